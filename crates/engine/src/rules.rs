//! Trigger rules as a pure function of counters (semantics E3; Airflow `ti_deps/deps/trigger_rule_dep.py`).

use tradewind_types::{TaskState, TriggerRule};

/// How many direct upstream instances there are and how many are over in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamCounts {
    /// All of them.
    pub total: u32,
    /// `success`.
    pub success: u32,
    /// `failed`.
    pub failed: u32,
    /// `upstream_failed`.
    pub upstream_failed: u32,
    /// `skipped`.
    pub skipped: u32,
    /// `removed`.
    pub removed: u32,
}

impl UpstreamCounts {
    /// How many are over.
    pub const fn done(&self) -> u32 {
        self.success + self.failed + self.upstream_failed + self.skipped + self.removed
    }

    /// Adds others to these.
    pub(crate) const fn add(&mut self, others: &Self) {
        self.total += others.total;
        self.success += others.success;
        self.failed += others.failed;
        self.upstream_failed += others.upstream_failed;
        self.skipped += others.skipped;
        self.removed += others.removed;
    }

    pub(crate) fn slot(&mut self, state: TaskState) -> Option<&mut u32> {
        match state {
            TaskState::Success => Some(&mut self.success),
            TaskState::Failed => Some(&mut self.failed),
            TaskState::UpstreamFailed => Some(&mut self.upstream_failed),
            TaskState::Skipped => Some(&mut self.skipped),
            TaskState::Removed => Some(&mut self.removed),
            _ => None,
        }
    }
}

/// The setups among the direct upstream tasks of a teardown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetupCounts {
    /// All of them.
    pub total: u32,
    /// `success`.
    pub success: u32,
    /// `skipped`.
    pub skipped: u32,
}

/// What a trigger rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet, or never (the run may be deadlocked).
    Wait,
    /// The task may start.
    Ready,
    /// The task will not start: it gets this state.
    Become(TaskState),
}

/// Evaluates a trigger rule: first whether it settles the state without running, then whether the task may start.
/// `setups` is only asked by `all_done_setup_success` once all upstream instances are over.
pub fn evaluate(
    rule: TriggerRule,
    counts: &UpstreamCounts,
    map_index: i32,
    setups: impl FnOnce() -> SetupCounts,
) -> Verdict {
    if counts.total == 0 || rule == TriggerRule::Always {
        return Verdict::Ready;
    }
    let UpstreamCounts { total, success, failed, upstream_failed, skipped, removed } = *counts;
    let bad = failed + upstream_failed;
    let done = counts.done();
    let all_done = done >= total;
    let skip = Verdict::Become(TaskState::Skipped);
    let fail = Verdict::Become(TaskState::UpstreamFailed);
    let ready_if = |ready: bool| if ready { Verdict::Ready } else { Verdict::Wait };
    match rule {
        TriggerRule::Always => Verdict::Ready,
        TriggerRule::AllSuccess => {
            if bad > 0 {
                fail
            } else if skipped > 0 {
                skip
            } else if removed > 0 && success > 0 && map_index >= 0 && i64::from(map_index) >= i64::from(success) {
                Verdict::Become(TaskState::Removed)
            } else {
                ready_if(success + removed >= total)
            }
        }
        TriggerRule::AllFailed => {
            if success > 0 || skipped > 0 {
                skip
            } else {
                ready_if(bad + removed >= total)
            }
        }
        TriggerRule::AllDone => ready_if(all_done),
        TriggerRule::AllSkipped => {
            if success > 0 || bad > 0 {
                skip
            } else {
                ready_if(skipped >= total)
            }
        }
        TriggerRule::OneSuccess => {
            if all_done && done == skipped {
                skip
            } else if all_done && success == 0 {
                fail
            } else {
                ready_if(success > 0)
            }
        }
        TriggerRule::OneFailed => {
            if all_done && bad == 0 {
                skip
            } else {
                ready_if(bad > 0)
            }
        }
        TriggerRule::OneDone => {
            if all_done && success + failed == 0 {
                skip
            } else {
                ready_if(success + failed > 0)
            }
        }
        TriggerRule::NoneFailed => {
            if bad > 0 {
                fail
            } else {
                ready_if(success + skipped + removed >= total)
            }
        }
        TriggerRule::NoneFailedMinOneSuccess => {
            if bad > 0 {
                fail
            } else if skipped == total {
                skip
            } else if all_done && success == 0 {
                fail
            } else {
                ready_if(success + skipped + removed >= total && success > 0)
            }
        }
        TriggerRule::NoneSkipped => {
            if skipped > 0 {
                skip
            } else {
                ready_if(all_done)
            }
        }
        TriggerRule::AllDoneMinOneSuccess => {
            if skipped > 0 {
                skip
            } else if success + bad + removed >= total && success == 0 {
                fail
            } else {
                ready_if(success + bad + removed >= total && success > 0)
            }
        }
        TriggerRule::AllDoneSetupSuccess => {
            if !all_done {
                return Verdict::Wait;
            }
            let setups = setups();
            if setups.total > 0 && setups.skipped >= setups.total {
                skip
            } else if setups.total > 0 && setups.success == 0 {
                fail
            } else {
                Verdict::Ready
            }
        }
    }
}
