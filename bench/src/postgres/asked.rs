//! What the store asks the database, as the database's log tells it: so that whatever is measured
//! beside it asks the very same.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

/// A statement and its parameters, each as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) sql: String,
    pub(crate) params: Vec<String>,
}

/// Has the log tell each statement, of connections that are made from now on.
pub(crate) const LOG: &str = "DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', current_database()); END $$";
/// Ends that.
pub(crate) const LOG_NO_MORE: &str = "DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I RESET log_statement', current_database()); END $$";

/// What each of so many reads has asked: the statements that the log tells as many times, of
/// connections that have no transactions.
pub(crate) fn by_each_of(reads: usize, log: &str) -> Result<Vec<Asked>> {
    let told = told(log)?;
    let changing: BTreeSet<_> =
        told.iter().filter(|it| it.sql.starts_with("BEGIN")).map(|it| it.by).collect();
    let mut asked: Vec<(Told<'_>, usize)> = Vec::new();
    for it in told.into_iter().filter(|it| !changing.contains(it.by)) {
        // The instants that they ask for differ.
        match asked.iter_mut().find(|(known, _)| known.sql == it.sql) {
            Some((_, times)) => *times += 1,
            None => asked.push((it, 1)),
        }
    }
    asked.retain(|(_, times)| *times == reads);
    ensure!(!asked.is_empty(), "no statement was asked {reads} times: {log}");
    asked.into_iter().map(|(it, _)| Ok(Asked { params: read(it.params)?, sql: it.sql })).collect()
}

/// A statement that was executed, by which process, and what the log says of its parameters.
#[derive(Debug)]
struct Told<'a> {
    by: &'a str,
    sql: String,
    params: &'a str,
}

fn told(log: &str) -> Result<Vec<Told<'_>>> {
    let mut told = Vec::new();
    // A line that goes on begins with a tab. What is told of one statement stands together.
    let mut lines = log.split('\n').peekable();
    while let Some(line) = lines.next() {
        let Some((before, text)) = line.split_once("] LOG:  execute ") else { continue };
        let (_, by) = before.rsplit_once('[').context("a line names no process")?;
        let (_, sql) = text.split_once(": ").context("a statement has no name")?;
        let mut sql = sql.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            sql.push_str(more);
        }
        let params = lines.peek().and_then(|line| line.split_once("] DETAIL:  parameters: "));
        told.push(Told { by, sql, params: params.map_or("", |(_, params)| params) });
    }
    Ok(told)
}

/// Reads `$1 = 'one', $2 = 'two'`.
fn read(params: &str) -> Result<Vec<String>> {
    let value = |param: &str| {
        let (_, value) = param.split_once(" = ")?;
        // NULL is none: whoever asks elsewhere would be told the answer beforehand.
        value.strip_prefix('\'')?.strip_suffix('\'').map(str::to_owned)
    };
    let values = params.split(", $").map(|param| {
        value(param).with_context(|| format!("{param} is no value to ask for elsewhere"))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
        2026-01-01 00:00:00.000 UTC [7] LOG:  execute s1: SELECT 1\n\
        \t    WHERE id = $1 AND at < $2\n\
        2026-01-01 00:00:00.000 UTC [7] DETAIL:  parameters: $1 = '01', $2 = '10'\n\
        2026-01-01 00:00:00.000 UTC [8] LOG:  execute s1: BEGIN\n\
        2026-01-01 00:00:00.000 UTC [8] LOG:  execute s2: INSERT INTO t VALUES ($1)\n\
        2026-01-01 00:00:00.000 UTC [8] DETAIL:  parameters: $1 = NULL\n\
        2026-01-01 00:00:00.000 UTC [9] LOG:  statement: SELECT 2\n";

    #[test]
    fn what_was_asked_is_read() {
        let sql = "SELECT 1\t    WHERE id = $1 AND at < $2".to_owned();
        let asked = [Asked { sql, params: vec!["01".to_owned(), "10".to_owned()] }];
        assert_eq!(by_each_of(1, LOG).unwrap(), asked);
        assert_eq!(by_each_of(2, &LOG.repeat(2)).unwrap(), asked);
        assert!(by_each_of(2, LOG).is_err());
        assert!(by_each_of(1, &LOG.replace("'10'", "NULL")).is_err());
    }
}
