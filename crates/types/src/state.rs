//! Airflow's states and rules as closed enums (`airflow/utils/state.py`, `airflow/utils/trigger_rule.py`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name as Airflow writes it; also how stores keep it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => {
                        let all: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                        Err(format!("unknown {} \"{other}\"; use one of {}", $what, all.join(", ")))
                    }
                }
            }
        }
    };
}

text_enum!(
    /// The state of a task instance.
    TaskState, "task state" {
        /// Not looked at yet, or waiting for its upstream tasks (Airflow's `None`).
        NoStatus = "no_status",
        /// Its task left the DAG.
        Removed = "removed",
        /// Its dependencies are met; it waits for a pool slot and the concurrency limits.
        Scheduled = "scheduled",
        /// Admitted: it holds its pool slots and waits for a worker to claim it.
        Queued = "queued",
        /// Claimed by a worker.
        Running = "running",
        /// Done.
        Success = "success",
        /// Cleared while it ran; the worker is being told to stop it.
        Restarting = "restarting",
        /// Failed for good.
        Failed = "failed",
        /// Failed, and due again at its retry time.
        UpForRetry = "up_for_retry",
        /// A sensor in reschedule mode that waits for its next poke.
        UpForReschedule = "up_for_reschedule",
        /// An upstream task failed and the trigger rule does not accept that.
        UpstreamFailed = "upstream_failed",
        /// Skipped by a branch, a trigger rule or the task itself.
        Skipped = "skipped",
        /// Waits in a trigger, holding no slot.
        Deferred = "deferred",
        /// Waits for a person.
        AwaitingInput = "awaiting_input",
    }
);

impl TaskState {
    /// Whether the task instance is over (Airflow's `State.finished`).
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed)
    }

    /// Whether a worker may hold it: queued, running or being restarted.
    pub const fn is_executing(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Restarting)
    }
}

text_enum!(
    /// The state of a DAG run.
    RunState, "DAG run state" {
        /// Created; waits for `max_active_runs`.
        Queued = "queued",
        /// Its task instances are being scheduled.
        Running = "running",
        /// Over: every leaf succeeded or was skipped.
        Success = "success",
        /// Over: a leaf failed, it timed out, or nothing could run any more.
        Failed = "failed",
    }
);

impl RunState {
    /// Whether the run is over.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

text_enum!(
    /// What created a DAG run.
    RunType, "run type" {
        /// A backfill.
        Backfill = "backfill",
        /// The DAG's schedule.
        Scheduled = "scheduled",
        /// A person or an API client.
        Manual = "manual",
        /// A `TriggerDagRunOperator`.
        OperatorTriggered = "operator_triggered",
        /// Updates of assets.
        AssetTriggered = "asset_triggered",
        /// A request to materialize an asset.
        AssetMaterialization = "asset_materialization",
    }
);

text_enum!(
    /// When a task may start, given the states of its direct upstream tasks (semantics E3).
    TriggerRule, "trigger rule" {
        /// All succeeded.
        AllSuccess = "all_success",
        /// All failed or were upstream_failed.
        AllFailed = "all_failed",
        /// All are done.
        AllDone = "all_done",
        /// All were skipped.
        AllSkipped = "all_skipped",
        /// At least one succeeded (does not wait for the rest).
        OneSuccess = "one_success",
        /// At least one failed (does not wait for the rest).
        OneFailed = "one_failed",
        /// At least one succeeded or failed (does not wait for the rest).
        OneDone = "one_done",
        /// None failed: all succeeded or were skipped.
        NoneFailed = "none_failed",
        /// None failed and at least one succeeded.
        NoneFailedMinOneSuccess = "none_failed_min_one_success",
        /// None was skipped.
        NoneSkipped = "none_skipped",
        /// All done, none skipped, at least one succeeded.
        AllDoneMinOneSuccess = "all_done_min_one_success",
        /// The default of teardown tasks: all done and at least one setup succeeded.
        AllDoneSetupSuccess = "all_done_setup_success",
        /// No condition.
        Always = "always",
    }
);

text_enum!(
    /// How a task's effective priority follows from the weights around it (semantics E4).
    WeightRule, "weight rule" {
        /// Its own weight and those of all transitive downstream tasks.
        Downstream = "downstream",
        /// Its own weight and those of all transitive upstream tasks.
        Upstream = "upstream",
        /// Its own weight alone.
        Absolute = "absolute",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        for state in TaskState::ALL {
            assert_eq!(state.as_str().parse::<TaskState>().as_ref(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for rule in TriggerRule::ALL {
            assert_eq!(rule.as_str().parse::<TriggerRule>().as_ref(), Ok(rule));
        }
        assert!("one_sucess".parse::<TriggerRule>().unwrap_err().contains("one_success"));
    }

    #[test]
    fn finished_and_executing_states_are_disjoint() {
        assert!(TaskState::ALL.iter().all(|state| !(state.is_finished() && state.is_executing())));
    }
}
