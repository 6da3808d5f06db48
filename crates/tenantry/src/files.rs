//! How many files the process may have open: every connection is one.

/// What is open beside connections, generously: the database, its readers, the log.
const OTHERS: u64 = 192;

/// Raises the limit as far as it goes; answers how many connections that leaves room for.
#[cfg(unix)]
pub(crate) fn room_for_connections() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = setrlimit(Resource::Nofile, raised).map_or(current, |()| maximum);
    limit.map_or(usize::MAX, |files| {
        usize::try_from(files.saturating_sub(OTHERS).max(1)).unwrap_or(usize::MAX)
    })
}

/// There is no such limit.
#[cfg(not(unix))]
pub(crate) fn room_for_connections() -> usize {
    usize::MAX
}
