//! The end of a worker: what is running gets its time, and then is given back.
//!
//! An attempt that is stopped because its worker drains is reported as *released*: nothing of it runs any more, it is
//! queued again at the same try number, and no lost worker is counted. That is what the leader would decide for a lost
//! worker, only at once and without blame. An attempt that ended in its grace is reported as it ended.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{lease::StopReason, session::Session};

/// How long reports may take once everything has been stopped.
const LAST_REPORTS: Duration = Duration::from_secs(10);
/// How long an immediate end waits for killed processes.
const ABORT_WAIT: Duration = Duration::from_secs(2);
/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// What a drain does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing runs any more.
    Done,
    /// Attempts may go on.
    Wait,
    /// They are to be stopped with this grace.
    Stop(Duration),
    /// They were stopped, and not all could be reported: their leases run out.
    GiveUp,
}

/// The decisions of a drain, without a clock.
#[derive(Clone, Copy, Debug)]
struct Plan {
    drain_grace: Duration,
    kill_grace: Duration,
}

impl Plan {
    /// What to do `passed` after the drain began. `stopped` says how long ago attempts were stopped, `aborted` how long
    /// ago an immediate end was asked for.
    fn step(&self, idle: bool, passed: Duration, stopped: Option<Duration>, aborted: Option<Duration>) -> Step {
        match (stopped, aborted) {
            _ if idle => Step::Done,
            (_, Some(since)) if since >= ABORT_WAIT => Step::GiveUp,
            (_, Some(since)) if since.is_zero() => Step::Stop(Duration::ZERO),
            (_, Some(_)) => Step::Wait,
            (Some(since), None) if since >= self.kill_grace + LAST_REPORTS => Step::GiveUp,
            (Some(_), None) => Step::Wait,
            (None, None) if passed >= self.drain_grace => Step::Stop(self.kill_grace),
            (None, None) => Step::Wait,
        }
    }
}

/// Waits until all attempts have ended or were given back. `abort` ends it at once.
pub(crate) async fn drain(session: &Session, abort: &CancellationToken) {
    session.drain();
    let plan = Plan { drain_grace: session.settings.drain_grace, kill_grace: session.settings.kill_grace };
    let began = tokio::time::Instant::now();
    let mut stopped = None;
    let mut aborted = None;
    loop {
        let mut since_abort = aborted.map(|at: tokio::time::Instant| at.elapsed().max(Duration::from_nanos(1)));
        if aborted.is_none() && abort.is_cancelled() {
            aborted = Some(tokio::time::Instant::now());
            since_abort = Some(Duration::ZERO);
        }
        let since_stop = stopped.map(|at: tokio::time::Instant| at.elapsed());
        match plan.step(session.is_idle(), began.elapsed(), since_stop, since_abort) {
            Step::Done => return,
            Step::Wait => {}
            Step::Stop(grace) => {
                tracing::warn!(
                    running = session.busy(),
                    "the drain's grace is over; running attempts are stopped and given back"
                );
                for control in session.leases.book().controls() {
                    control.stop(StopReason::Drained, grace);
                }
                stopped.get_or_insert_with(tokio::time::Instant::now);
            }
            Step::GiveUp => {
                tracing::error!(
                    open = session.busy(),
                    "some attempts could not be reported; they are tried again when their leases have run out"
                );
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = abort.cancelled(), if aborted.is_none() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { drain_grace: Duration::from_secs(30), kill_grace: Duration::from_secs(5) };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn running_attempts_get_their_grace_and_then_are_stopped() {
        assert_eq!(PLAN.step(false, s(0), None, None), Step::Wait);
        assert_eq!(PLAN.step(false, s(29), None, None), Step::Wait);
        assert_eq!(PLAN.step(false, s(30), None, None), Step::Stop(s(5)));
        assert_eq!(PLAN.step(false, s(31), Some(s(1)), None), Step::Wait);
        assert_eq!(PLAN.step(false, s(46), Some(s(16)), None), Step::GiveUp);
    }

    #[test]
    fn nothing_to_do_ends_it_at_any_time() {
        for (stopped, aborted) in [(None, None), (Some(s(1)), None), (None, Some(s(0))), (Some(s(99)), Some(s(99)))] {
            assert_eq!(PLAN.step(true, s(0), stopped, aborted), Step::Done);
        }
    }

    #[test]
    fn a_second_signal_ends_it_at_once() {
        assert_eq!(PLAN.step(false, s(1), None, Some(s(0))), Step::Stop(Duration::ZERO));
        assert_eq!(PLAN.step(false, s(31), Some(s(1)), Some(s(0))), Step::Stop(Duration::ZERO));
        assert_eq!(PLAN.step(false, s(2), Some(s(1)), Some(s(1))), Step::Wait);
        assert_eq!(PLAN.step(false, s(4), Some(s(3)), Some(s(2))), Step::GiveUp);
    }
}
