//! The runs that a schedule will create.

use tradewind_types::Timestamp;

use super::{DagRunInfo, Schedule};

/// The scheduled runs from some instant on, each worked out at the instant at which the one before falls due, as a scheduler
/// does that is never late and never at its limit of active runs.
#[derive(Clone, Debug)]
pub struct Upcoming<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) last: Option<(Timestamp, Timestamp)>,
    pub(super) now: Timestamp,
    pub(super) catchup: bool,
    pub(super) earliest: Option<Timestamp>,
    pub(super) latest: Option<Timestamp>,
    pub(super) over: bool,
}

impl Iterator for Upcoming<'_> {
    type Item = DagRunInfo;

    fn next(&mut self) -> Option<DagRunInfo> {
        if self.over {
            return None;
        }
        let run = self.schedule.next_run(self.last, self.now, self.catchup, self.earliest, self.latest)?;
        self.now = self.now.max(run.run_after);
        self.last = Some((run.interval_start, run.interval_end));
        // `@continuous` begins the next run when one ends, and here none takes any time.
        self.over = self.schedule.is_continuous();
        Some(run)
    }
}
