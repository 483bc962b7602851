//! The leases of the attempts that this worker holds, judged by its own monotonic clock.
//!
//! A lease counts from the moment when the request that won or renewed it was *sent*: the leader cannot have counted
//! from earlier, so the worker's idea of the end always comes first. At four fifths of it the attempt is lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tradewind_operators::{StopSignal, Stopper};
use tradewind_types::{AttemptKey, LeaseToken};

/// Why a running attempt is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The leader took it away: cleared, failed by hand, its run over.
    Cancelled,
    /// Its lease could not be renewed.
    LeaseLost,
    /// The worker drains and its grace is over.
    Drained,
    /// Its execution timeout is over.
    TimedOut,
}

/// The handle that stops one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    stopper: Stopper,
    signal: StopSignal,
    reason: Arc<OnceLock<StopReason>>,
}

impl Control {
    pub(crate) fn new() -> Self {
        let (stopper, signal) = Stopper::new();
        Self { stopper, signal, reason: Arc::default() }
    }

    /// Stops the attempt. The first reason stays; a shorter grace of a later call counts.
    pub(crate) fn stop(&self, reason: StopReason, grace: Duration) {
        let _ = self.reason.set(reason);
        self.stopper.stop(grace);
    }

    /// Why it is being stopped, if it is.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    pub(crate) fn signal(&self) -> &StopSignal {
        &self.signal
    }
}

#[derive(Debug)]
struct Lease {
    key: AttemptKey,
    /// When the request that last renewed it was sent.
    renewed: Instant,
    length: Duration,
    control: Control,
    lost: bool,
}

impl Lease {
    /// When the worker gives it up: before the leader can have given it to another one.
    fn end(&self) -> Instant {
        self.renewed + self.length * 4 / 5
    }
}

/// The book of leases, without a clock of its own.
#[derive(Debug, Default)]
pub(crate) struct LeaseBook {
    leases: HashMap<LeaseToken, Lease>,
}

impl LeaseBook {
    /// A lease that was won by a request sent at `sent`.
    pub(crate) fn insert(
        &mut self,
        key: AttemptKey,
        token: LeaseToken,
        sent: Instant,
        length: Duration,
        control: Control,
    ) {
        let lease = Lease { key, renewed: sent, length, control, lost: false };
        self.leases.insert(token, lease);
    }

    /// The attempts to renew: all that are not lost.
    pub(crate) fn held(&self, now: Instant) -> Vec<(AttemptKey, LeaseToken)> {
        self.leases
            .iter()
            .filter(|(_, lease)| !lease.lost && now < lease.end())
            .map(|(token, lease)| (lease.key, *token))
            .collect()
    }

    /// The leader acknowledged a renewal that was sent at `sent`. A lease that was lost meanwhile stays lost: its task
    /// is being killed.
    pub(crate) fn renew(&mut self, tokens: impl IntoIterator<Item = LeaseToken>, sent: Instant) {
        for token in tokens {
            if let Some(lease) = self.leases.get_mut(&token) {
                lease.renewed = lease.renewed.max(sent);
            }
        }
    }

    /// The leases that came to their end by `now`, each named once, with what stops its task.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(AttemptKey, Control)> {
        self.leases
            .values_mut()
            .filter(|lease| !lease.lost && lease.end() <= now)
            .map(|lease| {
                lease.lost = true;
                (lease.key, lease.control.clone())
            })
            .collect()
    }

    /// Whether something may still be written for this token.
    pub(crate) fn is_live(&self, token: LeaseToken, now: Instant) -> bool {
        self.leases.get(&token).is_some_and(|lease| !lease.lost && now < lease.end())
    }

    /// When the next lease ends.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.leases.values().filter(|lease| !lease.lost).map(Lease::end).min()
    }

    pub(crate) fn control(&self, token: LeaseToken) -> Option<Control> {
        self.leases.get(&token).map(|lease| lease.control.clone())
    }

    pub(crate) fn remove(&mut self, token: LeaseToken) -> bool {
        self.leases.remove(&token).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.leases.len()
    }

    pub(crate) fn controls(&self) -> Vec<Control> {
        self.leases.values().map(|lease| lease.control.clone()).collect()
    }
}

/// The book, shared, and the watch over it.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    book: Mutex<LeaseBook>,
    changed: Notify,
}

impl Leases {
    pub(crate) fn book(&self) -> MutexGuard<'_, LeaseBook> {
        // The book is sound between any two statements, so a panic elsewhere does not spoil it.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, key: AttemptKey, token: LeaseToken, sent: Instant, length: Duration, control: Control) {
        self.book().insert(key, token, sent, length, control);
        self.changed.notify_one();
    }

    /// Whether something may still be written for this token, now. Ends whatever has run out first: after a pause of
    /// this process that is the first thing to do.
    pub(crate) fn check(&self, token: LeaseToken, kill_grace: Duration) -> bool {
        self.expire_now(kill_grace);
        self.book().is_live(token, Instant::now())
    }

    fn expire_now(&self, kill_grace: Duration) {
        let lost = self.book().expire(Instant::now());
        for (key, control) in lost {
            tracing::warn!(attempt = %key, "the lease could not be renewed; the task is stopped and its result dropped");
            control.stop(StopReason::LeaseLost, kill_grace);
        }
    }

    /// Stops attempts whose lease runs out. Runs until it is dropped.
    pub(crate) async fn watch(&self, kill_grace: impl Fn() -> Duration) {
        loop {
            self.expire_now(kill_grace());
            let next = self.book().next_end();
            let end = async {
                match next {
                    Some(end) => tokio::time::sleep_until(end.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tradewind_types::TiId;
    use uuid::Uuid;

    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn entry(number: u128) -> (AttemptKey, LeaseToken) {
        let key = AttemptKey { ti: TiId(Uuid::from_u128(number)), attempt: 1 };
        (key, LeaseToken(Uuid::from_u128(number)))
    }

    #[test]
    fn a_lease_ends_at_four_fifths_counted_from_the_request() {
        let start = Instant::now();
        let mut book = LeaseBook::default();
        let (key, token) = entry(1);
        book.insert(key, token, start, LEASE, Control::new());
        assert!(book.is_live(token, after(start, 11)));
        assert!(book.expire(after(start, 11)).is_empty());
        assert!(!book.is_live(token, after(start, 12)));
        assert_eq!(book.expire(after(start, 12)).len(), 1);
        assert!(book.expire(after(start, 13)).is_empty(), "named once");
        assert!(book.held(after(start, 13)).is_empty());
    }

    #[test]
    fn a_renewal_counts_from_when_it_was_sent() {
        let start = Instant::now();
        let mut book = LeaseBook::default();
        let (key, token) = entry(1);
        book.insert(key, token, start, LEASE, Control::new());
        book.renew([token], after(start, 5));
        assert_eq!(book.next_end(), Some(after(start, 17)));
        book.renew([token], after(start, 3));
        assert_eq!(book.next_end(), Some(after(start, 17)), "an older answer takes nothing back");
    }

    #[test]
    fn a_late_acknowledgement_does_not_revive_a_lost_lease() {
        let start = Instant::now();
        let mut book = LeaseBook::default();
        let (key, token) = entry(1);
        book.insert(key, token, start, LEASE, Control::new());
        assert_eq!(book.expire(after(start, 12)).len(), 1);
        book.renew([token], after(start, 11));
        assert!(!book.is_live(token, after(start, 12)));
    }

    #[test]
    fn each_lease_stands_for_itself() {
        let start = Instant::now();
        let mut book = LeaseBook::default();
        let ((first, one), (second, two)) = (entry(1), entry(2));
        book.insert(first, one, start, LEASE, Control::new());
        book.insert(second, two, after(start, 4), LEASE, Control::new());
        assert_eq!(book.next_end(), Some(after(start, 12)));
        assert_eq!(book.expire(after(start, 12)).first().map(|lost| lost.0), Some(first));
        assert_eq!(book.held(after(start, 12)), [(second, two)]);
        assert!(book.remove(two) && !book.remove(two));
        assert_eq!(book.len(), 1);
    }

    #[tokio::test]
    async fn after_a_pause_the_check_comes_before_the_write() {
        // The start lies so far back as if the process had been stopped for longer than the lease.
        let Some(long_ago) = Instant::now().checked_sub(LEASE) else {
            return;
        };
        let leases = Leases::default();
        let (key, token) = entry(1);
        let control = Control::new();
        leases.insert(key, token, long_ago, LEASE, control.clone());
        assert!(!leases.check(token, Duration::ZERO));
        assert_eq!(control.reason(), Some(StopReason::LeaseLost));
    }
}
