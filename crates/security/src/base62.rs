//! Numbers in base 62 with a fixed number of digits, so that each has one spelling.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// As many digits as any 128-bit number needs.
pub(crate) const U128_DIGITS: u32 = 22;
/// As many digits as any 32-bit number needs.
pub(crate) const U32_DIGITS: u32 = 6;

/// Appends a number, with zeros in front if it has fewer digits.
pub(crate) fn push(text: &mut String, number: u128, digits: u32) {
    for place in (0..digits).rev() {
        let digit = usize::try_from(number / 62_u128.pow(place) % 62).unwrap_or_default();
        text.extend(ALPHABET.get(digit).copied().map(char::from));
    }
}

/// Reads a number of at most 128 bits.
pub(crate) fn read(text: &str) -> Option<u128> {
    text.bytes().try_fold(0_u128, |number, byte| {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        number.checked_mul(62)?.checked_add(digit as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_have_one_length() {
        for number in [0, 1, 61, 62, u128::from(u32::MAX), u128::MAX - 1, u128::MAX] {
            let mut text = String::new();
            push(&mut text, number, U128_DIGITS);
            assert_eq!(text.len(), 22);
            assert_eq!(read(&text), Some(number));
        }
        let mut text = String::new();
        push(&mut text, u32::MAX.into(), U32_DIGITS);
        assert_eq!(read(&text), Some(u32::MAX.into()));
        assert_eq!(text, "4gfFC3");
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        let mut largest = String::new();
        push(&mut largest, u128::MAX, U128_DIGITS);
        let above = largest.replacen(|_: char| true, "8", 1);
        assert!(above > largest);
        for text in [above.as_str(), "zzzzzzzzzzzzzzzzzzzzzz", "-1", "a b", "ü"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
