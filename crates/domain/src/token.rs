//! Tokens that are ended before their time.

use uuid::Uuid;

use crate::clock::Timestamp;

/// Something that is no good from now on, although its time is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedToken {
    /// The token's id or its session's, or what stands for an assertion that was used.
    pub id: Uuid,
    /// When it would have ended by itself: until then it is remembered.
    pub expires_at: Timestamp,
    /// Whether the audit log tells it. That an assertion was used is nothing to tell.
    pub is_told: bool,
}
