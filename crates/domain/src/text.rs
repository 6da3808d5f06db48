//! Text that people and programs give: bounded, on one line, without characters that deceive.

use std::fmt;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

/// Characters that show nothing or reorder what is shown around them (Unicode TR 36): with them,
/// two names can look the same and be different, or a name can look like something else.
fn deceives(character: char) -> bool {
    matches!(character,
        '\u{00ad}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// What Unicode keeps for the inside of programs, never to be exchanged (section 23.7).
fn is_noncharacter(character: char) -> bool {
    matches!(character, '\u{fdd0}'..='\u{fdef}') || u32::from(character) & 0xfffe == 0xfffe
}

/// Reads one line of text with at least one and at most `max` characters.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn line(text: &str, max: usize) -> Result<String, String> {
    if text.trim() != text || text.is_empty() || text.chars().count() > max {
        return Err(format!("must have 1 to {max} characters and no space at either end"));
    }
    let is_wrong = |c: char| c.is_control() || deceives(c) || is_noncharacter(c);
    if text.chars().any(is_wrong) {
        return Err("must not contain control, invisible or text-direction characters".to_owned());
    }
    Ok(text.to_owned())
}

/// What texts have in common that differ in the case of their letters, or in how an accent is put
/// onto one, alone (Unicode, section 3.13: canonical caseless matching). Upper and lower case of
/// every letter lead to the same: `ß` to `ss`, every sigma to one, and the `ı` without a dot to `i`.
pub fn fold(text: &str) -> String {
    // In ASCII all of it comes to this.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = |c: char| c.to_lowercase();
    let folded = text.nfd().flat_map(lower).flat_map(char::to_uppercase).flat_map(lower);
    folded.nfc().collect()
}

/// A name of 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The most characters it may have.
    pub const MAX: usize = 200;

    /// Reads a name.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        line(text, Self::MAX).map(Self)
    }

    /// A name that a store kept.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is sorted and found by: the name without regard to case.
    pub fn key(&self) -> String {
        fold(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An e-mail address of at most 254 characters (RFC 5321). It is kept as given and compared
/// without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// The most characters it may have.
    pub const MAX: usize = 254;

    /// Reads an address: one `@`, something before it, and a domain after it. Whether mail
    /// arrives there only mail can tell.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = line(text, Self::MAX)?;
        let wrong = || "must be an e-mail address such as ann@example.com".to_owned();
        let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && !local.chars().any(|c| c.is_whitespace() || "@,;:<>()[]\\\"".contains(c));
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        if local_ok && domain.split('.').all(label_ok) { Ok(Self(text)) } else { Err(wrong()) }
    }

    /// An address that a store kept.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is unique in a tenant: the address without regard to case.
    pub fn key(&self) -> String {
        fold(&self.0)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_edges() {
        assert!(Name::parse(&"x".repeat(200)).is_ok());
        assert!(Name::parse("Ærøskøbing 東京 👩‍💻".replace('\u{200d}', "").as_str()).is_ok());
        for bad in [
            "",
            " a",
            "a ",
            "a\0b",
            "a\nb",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{3164}",
            "a\u{fdd0}",
            "a\u{1ffff}",
            &"x".repeat(201),
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_part_stays_a_part_whatever_its_case() {
        for (text, part) in [("ΟΔΟΣΑ", "ΟΔΟΣ"), ("ÆRØ", "rø"), ("İzmir", "İ"), ("Straße", "ß")]
        {
            assert!(fold(text).contains(&fold(part)), "{text}");
        }
        assert_eq!(fold("ΟΔΟΣ"), "οδοσ");
    }

    #[test]
    fn addresses_at_the_edges() {
        for good in
            ["ann@example.com", "o'neil+tag@sub.example.co", "a@localhost", "用户@例子.世界"]
        {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@ex ample.com",
            "a@b@c",
            "ann@-x.com",
            "ann@example..com",
            "a..b@example.com",
            "Ann <ann@example.com>",
            "a\0@example.com",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Email::parse("Ann@Example.COM").unwrap().key(), "ann@example.com");
    }

    #[test]
    fn the_case_of_a_letter_and_its_composition_do_not_matter() {
        for same in [
            ["STRASSE@x", "straße@x", "STRAẞE@x"],
            ["ΟΔΟΣ@x", "οδος@x", "οδοσ@x"],
            ["jos\u{e9}@x", "jose\u{301}@x", "JOSE\u{301}@X"],
            ["İ@x", "i\u{307}@x", "I\u{307}@x"],
            ["ı@x", "i@x", "I@x"],
            ["\u{212a}@x", "k@x", "K@x"],
            ["\u{17f}am@x", "sam@x", "SAM@x"],
            ["\u{1c4}@x", "\u{1c5}@x", "\u{1c6}@x"],
            ["\u{1fb3}@x", "\u{1fbc}@x", "αι@x"],
        ] {
            let keys = same.map(|text| Email::parse(text).unwrap().key());
            assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        }
        for [one, other] in [["e@x", "\u{e9}@x"], ["İ@x", "i@x"], ["o@x", "0@x"]] {
            assert_ne!(fold(one), fold(other));
        }
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_is_folding_once(text: String) {
            let folded = fold(&text);
            proptest::prop_assert_eq!(fold(&folded), folded);
        }

        #[test]
        fn all_upper_and_all_lower_case_are_the_same(text in "[a-zA-ZßẞΣσςıİſKéÉüÜΆάǄǅǆ@.-]{0,20}") {
            let folded = fold(&text);
            let (upper, lower) = (fold(&text.to_uppercase()), fold(&text.to_lowercase()));
            proptest::prop_assert_eq!((&upper, &lower), (&folded, &folded));
        }
    }
}
