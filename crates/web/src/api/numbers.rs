//! Numbers that JSON must show to the last digit.

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tenantry_domain::usage::Bytes;

/// Storage, shown in megabytes exactly: 64-bit binary fractions do not hold every one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExactMegabytes(pub(crate) Bytes);

impl Serialize for ExactMegabytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.megabytes().to_string();
        RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_digit() {
        let json = |bytes| serde_json::to_string(&ExactMegabytes(Bytes::new(bytes))).unwrap();
        assert_eq!(json(2_500_000_000), "2500");
        assert_eq!(json(1), "0.000001");
        assert_eq!(json(9_007_199_254_740_991), "9007199254.740991");
    }
}
