//! Time: what is due, and when the engine wants to be woken next.

use std::{cmp::Reverse, time::Duration};

use tradewind_types::{RunNo, RunState, TaskState, Timestamp};

use crate::{
    Effects, Engine,
    engine::{just_after, plus},
    memory::{At, Due},
};

impl Engine {
    /// When something is due next; [`crate::Event::Tick`] then. `None` while nothing waits for time.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// How long a finished run stays in memory: longer than a worker repeats a report.
    pub(crate) fn retention(&self) -> Duration {
        self.options.lease.saturating_mul(2).max(Duration::from_secs(1))
    }

    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        while let Some(&Reverse((at, due))) = self.timers.peek()
            && at <= self.now
        {
            self.timers.pop();
            self.fire(at, due, effects);
        }
    }

    fn fire(&mut self, at: Timestamp, due: Due, effects: &mut Effects) {
        match due {
            Due::Schedule { dag } => {
                let entry = &mut self.dags[dag as usize];
                if entry.timer == Some(at) {
                    entry.timer = None;
                    self.look_at_dag(dag);
                }
            }
            Due::Start { run_no } => {
                if let Some(run) = self.run_with(run_no) {
                    self.look_at_dag(self.runs[run].dag);
                }
            }
            Due::Timeout { run_no } => {
                if let Some(run) = self.run_with(run_no) {
                    self.time_out(run, effects);
                }
            }
            Due::Again { run_no, ti } => {
                if let Some(at) = self.instance_with(run_no, ti) {
                    self.consider(at, effects);
                }
            }
            Due::Lease { run_no, ti, attempt } => {
                if let Some(at) = self.instance_with(run_no, ti) {
                    self.lease_due(at, attempt, effects);
                }
            }
            Due::Wait { run_no, ti, attempt } => {
                if let Some(at) = self.instance_with(run_no, ti)
                    && self.runs[at.run].ti(at.ti).row.attempt == attempt
                {
                    self.wait_due(at, effects);
                }
            }
            Due::CallbackLease { id, attempt } => self.callback_lease_due(id, attempt, effects),
            Due::Deadline { run_no, place } => {
                if let Some(run) = self.run_with(run_no)
                    && self.deadline_stands(run, place, at)
                {
                    self.miss_deadline(run, place, effects);
                }
            }
            Due::Rate { pool } => self.renew_rate(pool),
        }
    }

    fn run_with(&self, run_no: u64) -> Option<u32> {
        self.run_at.get(&RunNo(run_no)).copied()
    }

    /// The instance at this place of a run. A run that moved to another version of its DAG may have fewer, and others in
    /// their places: whoever acts on a timer asks the instance whether it is due.
    fn instance_with(&self, run_no: u64, ti: u32) -> Option<At> {
        let run = self.run_with(run_no)?;
        ((ti as usize) < self.runs[run].tis.len()).then_some(At { run, ti })
    }

    /// Drops timers that fit no more from the top, and moves renewed leases on, so that `next_wakeup` tells the truth.
    pub(crate) fn drop_idle_timers(&mut self) {
        while let Some(&Reverse((at, due))) = self.timers.peek() {
            match self.really_due(at, due) {
                Some(when) if when <= at => break,
                Some(later) => {
                    self.timers.pop();
                    self.set_timer(later, due);
                }
                None => {
                    self.timers.pop();
                }
            }
        }
    }

    /// When a timer is really due, if at all.
    fn really_due(&self, at: Timestamp, due: Due) -> Option<Timestamp> {
        match due {
            Due::Schedule { dag } => (self.dags[dag as usize].timer == Some(at)).then_some(at),
            Due::Start { run_no } => {
                let run = &self.runs[self.run_with(run_no)?];
                (run.row.state == RunState::Queued).then(|| run.starts_at())
            }
            Due::Timeout { run_no } => {
                let run = &self.runs[self.run_with(run_no)?];
                let timeout = run.graph.version.spec.dagrun_timeout?;
                let start = run.row.start_date?;
                (run.row.state == RunState::Running).then(|| just_after(plus(start, timeout)))
            }
            Due::Again { run_no, ti } => {
                let at_ti = self.instance_with(run_no, ti)?;
                let row = &self.runs[at_ti.run].ti(at_ti.ti).row;
                let waits = matches!(row.state, TaskState::UpForRetry | TaskState::UpForReschedule);
                let next_at = row.next_at.filter(|_| waits)?;
                let when = if row.state == TaskState::UpForRetry { just_after(next_at) } else { next_at };
                // What has come due and was not scheduled waits for something else than time.
                (when > self.now || when == at).then_some(when)
            }
            Due::Lease { run_no, ti, attempt } => {
                let at_ti = self.instance_with(run_no, ti)?;
                let ti = self.runs[at_ti.run].ti(at_ti.ti);
                (ti.is_held() && ti.row.attempt == attempt).then_some(ti.lease_until)
            }
            Due::Wait { run_no, ti, attempt } => {
                let at_ti = self.instance_with(run_no, ti)?;
                let row = &self.runs[at_ti.run].ti(at_ti.ti).row;
                let waits = matches!(row.state, TaskState::Deferred | TaskState::AwaitingInput);
                (waits && row.attempt == attempt).then(|| self.wait_ends(at_ti))?
            }
            Due::CallbackLease { id, attempt } => self.callback_lease(id, attempt),
            Due::Deadline { run_no, place } => {
                let run = self.run_with(run_no)?;
                self.deadline_stands(run, place, at).then_some(at)
            }
            Due::Rate { pool } => self.rate_opens(pool),
        }
    }
}
