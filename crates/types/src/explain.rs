//! Why a task instance is not running: every reason that holds it now, in words (`tradewind tasks why`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{PoolName, QueueName, RunState, TaskId, TaskState, Timestamp, TriggerRule, WorkerName};

/// One reason that holds a task instance, or what it is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum BlockReason {
    /// The DAG is paused.
    DagPaused,
    /// The run waits for `max_active_runs`.
    RunQueued {
        /// Runs of the DAG that run now.
        running: u32,
        /// The limit.
        limit: u32,
    },
    /// The run is not due yet.
    RunNotDue {
        /// When it is.
        run_after: Timestamp,
    },
    /// The run is over.
    RunFinished {
        /// How.
        state: RunState,
    },
    /// Upstream tasks are not done in the way that the trigger rule asks for.
    Upstream {
        /// The rule.
        rule: TriggerRule,
        /// The upstream instances that it waits for, with their states.
        waiting_for: Vec<(TaskId, i32, TaskState)>,
    },
    /// `depends_on_past`: the previous run's instance is not done.
    PreviousRun {
        /// The previous run.
        run_id: crate::RunId,
        /// The task there.
        task_id: TaskId,
        /// Its state there.
        state: TaskState,
    },
    /// The pool does not exist.
    PoolMissing {
        /// Its name.
        pool: PoolName,
    },
    /// The task needs more slots than its pool has in all: it can never run.
    PoolTooSmall {
        /// Its name.
        pool: PoolName,
        /// Slots needed.
        needs: u32,
        /// Slots in all.
        slots: i64,
    },
    /// The pool is full.
    PoolFull {
        /// Its name.
        pool: PoolName,
        /// Slots needed.
        needs: u32,
        /// Free slots.
        open: i64,
        /// Slots in all.
        slots: i64,
        /// Some that hold slots: `dag/run/task`.
        holders: Vec<String>,
    },
    /// The run's `max_active_tasks` is reached.
    MaxActiveTasks {
        /// Executing now.
        active: u32,
        /// The limit.
        limit: u32,
    },
    /// The task's `max_active_tis_per_dag` is reached.
    MaxActiveTisPerDag {
        /// Executing now.
        active: u32,
        /// The limit.
        limit: u32,
    },
    /// The task's `max_active_tis_per_dagrun` is reached.
    MaxActiveTisPerDagrun {
        /// Executing now.
        active: u32,
        /// The limit.
        limit: u32,
    },
    /// The DAG's `task_limit` over all its runs is reached.
    DagTaskLimit {
        /// Executing now.
        active: u32,
        /// The limit.
        limit: u32,
    },
    /// A shared concurrency limit is reached.
    Concurrency {
        /// Its key.
        key: String,
        /// Executing now.
        active: u32,
        /// The limit.
        limit: u32,
    },
    /// The pool has started as many as its rate allows for now.
    PoolRate {
        /// Its name.
        pool: PoolName,
        /// When it may start the next.
        until: Timestamp,
    },
    /// The run's backfill is paused.
    BackfillPaused {
        /// The backfill.
        no: u64,
    },
    /// The run waits for the `max_active_runs` of its backfill.
    BackfillRunning {
        /// The backfill.
        no: u64,
        /// Runs of it that run now.
        running: u32,
        /// The limit.
        limit: u32,
    },
    /// A mapped task whose length is not known yet.
    NotExpanded {
        /// The upstream instances whose values decide it, with their states.
        waiting_for: Vec<(TaskId, i32, TaskState)>,
    },
    /// It waits in a trigger.
    Trigger {
        /// The trigger's class, or the moment that it waits for.
        what: String,
        /// The worker that hosts it.
        host: Option<WorkerName>,
        /// When the wait fails.
        timeout_at: Option<Timestamp>,
    },
    /// Its trigger waits for a worker that hosts triggers of its queue.
    TriggerNotHosted {
        /// The trigger's class.
        what: String,
        /// The queue that hosts take triggers from.
        queue: QueueName,
    },
    /// It waits for a person.
    HumanInput {
        /// The question.
        subject: String,
        /// When the wait is over without an answer.
        timeout_at: Option<Timestamp>,
    },
    /// The installation's `parallelism` is reached.
    Parallelism {
        /// Executing now.
        active: u32,
        /// The limit.
        limit: u32,
    },
    /// Others come first in its pool.
    Priority {
        /// How many are ahead.
        ahead: u32,
    },
    /// It waits for its retry.
    RetryAt {
        /// When.
        at: Timestamp,
        /// The try that failed.
        try_number: u32,
        /// The last try that may be retried.
        max_tries: u32,
        /// Why it failed.
        error: Option<String>,
    },
    /// A sensor that waits for its next poke.
    RescheduledUntil {
        /// When.
        at: Timestamp,
    },
    /// No live worker serves its queue.
    QueueNotServed {
        /// The queue.
        queue: QueueName,
    },
    /// It waits in its queue.
    InQueue {
        /// The queue.
        queue: QueueName,
        /// Since when.
        since: Timestamp,
        /// Hints in the queue, if known.
        depth: Option<u64>,
        /// Workers that serve it.
        workers: u32,
        /// Free slots of those workers.
        free_slots: u32,
    },
    /// A worker runs it.
    Running {
        /// The worker.
        worker: WorkerName,
        /// Since when.
        since: Timestamp,
    },
    /// It is over.
    Finished {
        /// How.
        state: TaskState,
        /// Why, where known.
        note: Option<String>,
    },
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DagPaused => f.write_str("the DAG is paused; unpause it with `tradewind dags unpause`"),
            Self::RunQueued { running, limit } => {
                write!(f, "the run is queued: {running} of max_active_runs {limit} are running")
            }
            Self::RunNotDue { run_after } => write!(f, "the run is not due before {run_after}"),
            Self::RunFinished { state } => write!(f, "the run is over ({state}); clear the task to run it again"),
            Self::Upstream { rule, waiting_for } => {
                write!(f, "trigger rule {rule} waits for ")?;
                write_instances(f, waiting_for)
            }
            Self::PreviousRun { run_id, task_id, state } => {
                write!(f, "depends on the past: {task_id} in the previous run {run_id} is {state}")
            }
            Self::PoolMissing { pool } => write!(
                f,
                "the pool \"{pool}\" does not exist; create it with `tradewind pools set {pool} SLOTS DESCRIPTION`"
            ),
            Self::PoolTooSmall { pool, needs, slots } => {
                write!(f, "it needs {needs} slots, but the pool \"{pool}\" has {slots} in all; it can never run")
            }
            Self::PoolFull { pool, needs, open, slots, holders } => {
                write!(f, "the pool \"{pool}\" has {open} of {slots} slots open, it needs {needs}")?;
                if holders.is_empty() { Ok(()) } else { write!(f, "; held by {}", holders.join(", ")) }
            }
            Self::MaxActiveTasks { active, limit } => {
                write!(f, "{active} task instances of the run execute, max_active_tasks is {limit}")
            }
            Self::MaxActiveTisPerDag { active, limit } => {
                write!(f, "{active} instances of the task execute over all runs, max_active_tis_per_dag is {limit}")
            }
            Self::MaxActiveTisPerDagrun { active, limit } => {
                write!(f, "{active} instances of the task execute in the run, max_active_tis_per_dagrun is {limit}")
            }
            Self::DagTaskLimit { active, limit } => {
                write!(f, "{active} task instances of the DAG execute over all runs, its task_limit is {limit}")
            }
            Self::Concurrency { key, active, limit } => {
                write!(f, "{active} task instances execute under the concurrency key \"{key}\", the limit is {limit}")
            }
            Self::PoolRate { pool, until } => {
                write!(f, "the pool \"{pool}\" has started as many as its rate allows; it starts more at {until}")
            }
            Self::BackfillPaused { no } => {
                write!(f, "backfill {no} is paused; go on with `tradewind backfill unpause {no}`")
            }
            Self::BackfillRunning { no, running, limit } => {
                write!(f, "the run is queued: {running} of max_active_runs {limit} of backfill {no} are running")
            }
            Self::NotExpanded { waiting_for } => {
                f.write_str("it is mapped over values that are not there yet: ")?;
                write_instances(f, waiting_for)
            }
            Self::Trigger { what, host, timeout_at } => {
                write!(f, "it is deferred and waits for {what}")?;
                if let Some(host) = host {
                    write!(f, ", hosted by worker \"{host}\"")?;
                }
                timeout_at.map_or(Ok(()), |at| write!(f, "; the wait fails at {at}"))
            }
            Self::TriggerNotHosted { what, queue } => write!(
                f,
                "its trigger {what} waits in the queue \"{queue}\" for a worker that hosts triggers; \
                 start one that serves the task's queue with worker.trigger_slots above 0"
            ),
            Self::HumanInput { subject, timeout_at } => {
                write!(f, "it waits for a person to answer \"{subject}\" (`tradewind tasks answer`)")?;
                timeout_at.map_or(Ok(()), |at| write!(f, "; the wait is over at {at}"))
            }
            Self::Parallelism { active, limit } => {
                write!(f, "{active} task instances execute in all, scheduler.parallelism is {limit}")
            }
            Self::Priority { ahead } => write!(f, "{ahead} task instances with higher priority come first in its pool"),
            Self::RetryAt { at, try_number, max_tries, error } => {
                write!(f, "try {try_number} of {} failed; the next starts at {at}", max_tries.saturating_add(1))?;
                match error {
                    Some(error) => write!(f, " ({error})"),
                    None => Ok(()),
                }
            }
            Self::RescheduledUntil { at } => write!(f, "the sensor pokes again at {at}"),
            Self::QueueNotServed { queue } => write!(
                f,
                "no live worker serves the queue \"{queue}\"; start one with `tradewind worker --queues {queue}`"
            ),
            Self::InQueue { queue, since, depth, workers, free_slots } => {
                write!(f, "it has waited in the queue \"{queue}\" since {since}; {workers} workers serve it with ")?;
                write!(f, "{free_slots} free slots")?;
                match depth {
                    Some(depth) => write!(f, ", {depth} hints are in the queue"),
                    None => Ok(()),
                }
            }
            Self::Running { worker, since } => {
                write!(f, "it runs on worker \"{worker}\" since {since}")
            }
            Self::Finished { state, note } => {
                write!(f, "it is over: {state}")?;
                match note {
                    Some(note) => write!(f, " ({note})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The first few of some task instances with their states.
fn write_instances(f: &mut fmt::Formatter<'_>, instances: &[(TaskId, i32, TaskState)]) -> fmt::Result {
    const SHOWN: usize = 5;
    for (position, (task, map_index, state)) in instances.iter().take(SHOWN).enumerate() {
        let comma = if position > 0 { ", " } else { "" };
        let index = if *map_index >= 0 { format!("[{map_index}]") } else { String::new() };
        write!(f, "{comma}{task}{index} ({state})")?;
    }
    match instances.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
