//! Text and bytes that must not be seen.

use std::{fmt, io};

use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A password, a token, a key in its text form. It is wiped from memory when dropped, prints
/// nothing of itself and cannot be serialised: whoever shows it says so with
/// [`SecretText::expose`].
#[derive(Clone, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a text over.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Bytes that hold secrets, as they are put together. They are wiped from memory when dropped, and
/// so is every smaller buffer that they outgrew.
#[derive(Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// None yet, with room for this many.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Adds some at the end.
    pub fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Self::with_capacity(needed.max(self.0.capacity().saturating_mul(2)));
            larger.0.extend_from_slice(&self.0);
            *self = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretBytes {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl io::Write for SecretBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_json_and_shows_nothing() {
        let secret: SecretText = serde_json::from_str(r#""correct horse""#).unwrap();
        assert_eq!(secret.expose(), "correct horse");
        assert_eq!(format!("{secret:?}"), "SecretText(…)");
        assert_eq!(format!("{:?}", secret.clone()), "SecretText(…)");
    }

    #[test]
    fn bytes_grow_and_show_nothing() {
        let mut bytes = SecretBytes::default();
        for _ in 0..100 {
            bytes.extend(b"correct horse ");
        }
        serde_json::to_writer(&mut bytes, "battery").unwrap();
        assert_eq!(
            bytes.as_ref(),
            ["correct horse ".repeat(100).as_bytes(), b"\"battery\""].concat()
        );
        assert_eq!(format!("{bytes:?}"), "SecretBytes(1409 bytes)");
    }
}
