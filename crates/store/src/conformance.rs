//! The behaviour that every store has.
