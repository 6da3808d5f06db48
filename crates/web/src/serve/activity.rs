//! What a connection is doing, and since when.
//!
//! The connection notes it as it goes, with a few writes to memory of its own; whoever looks after
//! the connections reads it once a second. So no request needs a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

/// A clock of whole seconds that costs nothing to read. It never says 0.
#[derive(Debug)]
pub(super) struct Seconds {
    started: Instant,
    now: AtomicU32,
}

impl Seconds {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), now: AtomicU32::new(1) }
    }

    /// Moves it to the present.
    pub(super) fn advance(&self) {
        let elapsed = self.started.elapsed().as_secs().saturating_add(1);
        self.now.store(u32::try_from(elapsed).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }
}

/// How long a connection may take, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) head: u32,
    pub(super) write: u32,
    pub(super) idle: u32,
}

/// For what a connection took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It has not brought the whole head of a request.
    Head,
    /// It has not taken anything of an answer.
    Write,
    /// It is without a request.
    Idle,
}

/// What a connection is doing. Where an instant is told, 0 is none.
#[derive(Debug)]
pub(super) struct Activity {
    seconds: Arc<Seconds>,
    /// Whether it has many requests at once: HTTP/2.
    multiplexed: AtomicBool,
    /// The requests under way: from the head to the last that is known of the answer.
    requests: AtomicU32,
    /// Since when the head of a request is being waited for, if one was begun or is the first.
    head_since: AtomicU32,
    /// When it was last busy.
    idle_since: AtomicU32,
    /// Since when the socket takes nothing.
    stalled_since: AtomicU32,
    /// The answers over HTTP/2 that could go on if the client let them, ...
    held_up: AtomicU32,
    /// ... and when it last let one.
    held_up_since: AtomicU32,
}

impl Activity {
    /// That of a new connection, which owes a request.
    pub(super) fn new(seconds: Arc<Seconds>) -> Self {
        let now = seconds.now();
        Self {
            seconds,
            multiplexed: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            head_since: AtomicU32::new(now),
            idle_since: AtomicU32::new(now),
            stalled_since: AtomicU32::new(0),
            held_up: AtomicU32::new(0),
            held_up_since: AtomicU32::new(now),
        }
    }

    /// Some bytes have come.
    pub(super) fn received(&self) {
        // Over HTTP/2 they may be of anything.
        if self.requests.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
            && !self.is_multiplexed()
        {
            self.head_since.store(self.seconds.now(), Ordering::Relaxed);
        }
    }

    /// The socket takes nothing now.
    pub(super) fn stalled(&self) {
        if self.stalled_since.load(Ordering::Relaxed) == 0 {
            self.stalled_since.store(self.seconds.now(), Ordering::Relaxed);
        }
    }

    /// Some bytes have gone.
    pub(super) fn sent(&self) {
        if self.stalled_since.load(Ordering::Relaxed) != 0 {
            self.stalled_since.store(0, Ordering::Relaxed);
        }
    }

    /// Whether nothing is under way: no request, and no answer that was not handed over wholly.
    pub(super) fn is_waiting(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
            && self.stalled_since.load(Ordering::Relaxed) == 0
    }

    /// Whether it has many requests at once.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// For what it took longer than it may, if so.
    pub(super) fn overdue(&self, patience: Patience) -> Option<Overdue> {
        let now = self.seconds.now();
        let over = |since: u32, seconds: u32| now.saturating_sub(since) > seconds;
        let stalled = self.stalled_since.load(Ordering::Relaxed);
        let held_up = self.held_up.load(Ordering::Acquire) > 0;
        if (stalled != 0 && over(stalled, patience.write))
            || (held_up && over(self.held_up_since.load(Ordering::Relaxed), patience.write))
        {
            return Some(Overdue::Write);
        }
        if !self.is_waiting() {
            return None;
        }
        let head = self.head_since.load(Ordering::Relaxed);
        if head != 0 {
            return over(head, patience.head).then_some(Overdue::Head);
        }
        over(self.idle_since.load(Ordering::Relaxed), patience.idle).then_some(Overdue::Idle)
    }

    /// How readily it is closed to make room: the least first; `None` while a request is under way
    /// and the client takes its answer.
    pub(super) fn expendable(&self) -> Option<(bool, u32)> {
        let stalled = self.stalled_since.load(Ordering::Relaxed);
        if stalled != 0 {
            return Some((true, stalled));
        }
        if self.held_up.load(Ordering::Acquire) > 0 {
            return Some((true, self.held_up_since.load(Ordering::Relaxed)));
        }
        self.is_waiting().then(|| (false, self.idle_since.load(Ordering::Relaxed)))
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Request {
    activity: Arc<Activity>,
    /// Whether its answer could go on if the client let it.
    held_up: bool,
}

impl Request {
    /// Notes that a request has begun.
    pub(super) fn begin(activity: Arc<Activity>, multiplexed: bool) -> Self {
        if multiplexed {
            activity.multiplexed.store(true, Ordering::Relaxed);
        }
        activity.requests.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(0, Ordering::Relaxed);
        Self { activity, held_up: false }
    }

    /// Notes whether its answer can go on if the client lets it. Of interest only over HTTP/2, where
    /// a client can hold up one answer and take others; otherwise the socket tells.
    pub(super) fn can_go_on(&mut self, can: bool) {
        let activity = &self.activity;
        if !activity.is_multiplexed() {
            return;
        }
        activity.held_up_since.store(activity.seconds.now(), Ordering::Relaxed);
        if can && !self.held_up {
            activity.held_up.fetch_add(1, Ordering::Release);
        } else if !can && self.held_up {
            activity.held_up.fetch_sub(1, Ordering::Release);
        }
        self.held_up = can;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.can_go_on(false);
        self.activity.idle_since.store(self.activity.seconds.now(), Ordering::Relaxed);
        self.activity.requests.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: 10, write: 30, idle: 75 };

    fn connection() -> (Arc<Seconds>, Arc<Activity>) {
        let seconds = Arc::new(Seconds::start());
        let activity = Arc::new(Activity::new(Arc::clone(&seconds)));
        (seconds, activity)
    }

    fn pass(seconds: &Seconds, number: u32) {
        seconds.now.fetch_add(number, Ordering::Relaxed);
    }

    #[test]
    fn a_new_connection_owes_a_head() {
        let (seconds, activity) = connection();
        pass(&seconds, 10);
        activity.received();
        assert_eq!(activity.overdue(PATIENCE), None);
        pass(&seconds, 1);
        assert_eq!(activity.overdue(PATIENCE), Some(Overdue::Head));
    }

    #[test]
    fn a_connection_that_had_a_request_may_idle_until_it_begins_another() {
        let (seconds, activity) = connection();
        drop(Request::begin(Arc::clone(&activity), false));
        pass(&seconds, 70);
        assert_eq!(activity.overdue(PATIENCE), None);
        // The first bytes of a head count, not each of them.
        activity.received();
        pass(&seconds, 10);
        activity.received();
        assert_eq!(activity.overdue(PATIENCE), None);
        pass(&seconds, 1);
        assert_eq!(activity.overdue(PATIENCE), Some(Overdue::Head));
        drop(Request::begin(Arc::clone(&activity), false));
        pass(&seconds, 75);
        assert_eq!(activity.overdue(PATIENCE), None);
        pass(&seconds, 1);
        assert_eq!(activity.overdue(PATIENCE), Some(Overdue::Idle));
    }

    #[test]
    fn a_request_under_way_is_never_overdue_while_its_answer_is_taken() {
        let (seconds, activity) = connection();
        let request = Request::begin(Arc::clone(&activity), false);
        pass(&seconds, 1_000);
        assert_eq!(activity.overdue(PATIENCE), None);
        assert_eq!(activity.expendable(), None);
        activity.stalled();
        pass(&seconds, 30);
        activity.stalled();
        assert_eq!(activity.overdue(PATIENCE), None);
        pass(&seconds, 1);
        assert_eq!(activity.overdue(PATIENCE), Some(Overdue::Write));
        activity.sent();
        assert_eq!(activity.overdue(PATIENCE), None);
        // The answer is done, and has not gone.
        activity.stalled();
        drop(request);
        assert!(!activity.is_waiting());
    }

    #[test]
    fn an_answer_over_http_2_that_the_client_holds_up() {
        let (seconds, activity) = connection();
        let mut held_up = Request::begin(Arc::clone(&activity), true);
        let mut quiet = Request::begin(Arc::clone(&activity), true);
        held_up.can_go_on(true);
        quiet.can_go_on(true);
        // A stream of events that has none now is not the client's doing.
        quiet.can_go_on(false);
        pass(&seconds, 31);
        assert_eq!(activity.overdue(PATIENCE), Some(Overdue::Write));
        drop(held_up);
        assert_eq!(activity.overdue(PATIENCE), None);
        pass(&seconds, 1_000);
        assert_eq!(activity.overdue(PATIENCE), None);
        drop(quiet);
        assert!(activity.is_waiting());
    }

    #[test]
    fn who_waits_longest_goes_first_and_who_is_being_served_stays() {
        let (seconds, idle) = connection();
        pass(&seconds, 5);
        let fresh = Arc::new(Activity::new(Arc::clone(&seconds)));
        let stalled = Arc::new(Activity::new(Arc::clone(&seconds)));
        let _request = Request::begin(Arc::clone(&stalled), false);
        stalled.stalled();
        assert!(idle.expendable() < fresh.expendable());
        assert!(fresh.expendable() < stalled.expendable());
        stalled.sent();
        assert_eq!(stalled.expendable(), None);
    }
}
