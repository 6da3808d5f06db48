//! The middle of what the rounds of a side showed: one that was disturbed does not move it.

/// The median of a number that each round has.
pub(crate) fn median<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> f64 {
    middle(rounds.iter().map(of).collect())
}

/// The median of what a number of one side is of another's, round by round: the two were measured one
/// after the other, so whatever slowed the machine down for a while slowed both.
pub(crate) fn ratio<T>(rounds: &[T], others: &[T], of: impl Fn(&T) -> f64) -> f64 {
    middle(rounds.iter().zip(others).map(|(one, other)| of(one) / of(other)).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
