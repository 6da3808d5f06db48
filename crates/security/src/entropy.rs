//! The operating system's randomness.

use tenantry_domain::entropy::Entropy;

/// The operating system's cryptographic random number generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// If the operating system has no randomness to give.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where the system's randomness is read"
    )]
    #[expect(
        clippy::expect_used,
        reason = "without randomness every key would be guessable, so nothing may go on"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system must supply random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_do_not_repeat() {
        let entropy: &dyn Entropy = &SystemEntropy;
        assert_ne!(entropy.bytes::<32>(), entropy.bytes::<32>());
    }
}
