//! What a merge patch (RFC 7396) says about one property.

/// What to do with a property that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The patch does not name it.
    #[default]
    Keep,
    /// The patch gives `null`.
    Clear,
    /// The patch gives a value.
    Set(T),
}

impl<T> Patch<T> {
    /// The property after the patch.
    pub fn apply(self, current: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *current = None,
            Self::Set(value) => *current = Some(value),
        }
    }

    /// The value it gives, if it gives one.
    pub fn set(self) -> Option<T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Whether the patch does not name it.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// What differs between two JSON objects, for the audit log: `{"name": {"from": …, "to": …}}`.
/// `updatedAt` differs always and says nothing.
pub fn difference(before: &serde_json::Value, after: &serde_json::Value) -> serde_json::Value {
    let empty = serde_json::Map::new();
    let before = before.as_object().unwrap_or(&empty);
    let after = after.as_object().unwrap_or(&empty);
    let changed = after
        .iter()
        .filter(|(name, value)| *name != "updatedAt" && before.get(*name) != Some(value))
        .map(|(name, value)| {
            let from = before.get(name).unwrap_or(&serde_json::Value::Null);
            (name.clone(), serde_json::json!({"from": from, "to": value}))
        })
        .collect();
    serde_json::Value::Object(changed)
}
