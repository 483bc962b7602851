//! What can be asked of an engine; nothing here changes it.

use std::sync::Arc;

use tradewind_types::{
    ApiError, DagId, DagRow, DagRun, DagVersion, Hint, Pool, PoolUsage, QueueName, RunId, RunState, TaskInstance,
    TaskState, TiId, Timestamp, Timetable, hint_score,
};

use crate::{Engine, TimetableQuestion, memory::At, timetable::DagRunInfo};

/// How a queue stands, as the engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCounts {
    /// The queue.
    pub queue: QueueName,
    /// Queued task instances.
    pub queued: u64,
    /// When the oldest of them was queued.
    pub oldest: Option<Timestamp>,
    /// Running task instances.
    pub running: u64,
}

/// How much the engine holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// DAGs.
    pub dags: u64,
    /// Paused ones.
    pub dags_paused: u64,
    /// Queued runs.
    pub runs_queued: u64,
    /// Running runs.
    pub runs_running: u64,
    /// Task instances in memory, by state; only states that occur.
    pub task_instances: Vec<(TaskState, u64)>,
    /// Task instances that hold a slot, of [`crate::EngineOptions::parallelism`].
    pub executing: u32,
    /// Timers that are set.
    pub timers: u64,
}

/// A DAG as the engine holds it.
#[derive(Clone, Debug)]
pub struct DagView<'a> {
    /// Its row.
    pub row: &'a DagRow,
    /// Its current version.
    pub version: &'a Arc<DagVersion>,
    /// Its queued runs.
    pub runs_queued: u32,
    /// Its running runs.
    pub runs_running: u32,
}

/// A run in memory.
#[derive(Clone, Copy, Debug)]
pub struct RunView<'a> {
    run: &'a crate::memory::Run,
}

impl<'a> RunView<'a> {
    /// Its row.
    pub fn row(&self) -> &'a Arc<DagRun> {
        &self.run.row
    }

    /// The version that it runs.
    pub fn version(&self) -> &'a Arc<DagVersion> {
        &self.run.graph.version
    }

    /// Its task instances, in the order of its version's tasks.
    pub fn task_instances(&self) -> impl Iterator<Item = &'a TaskInstance> + use<'a> {
        self.run.tis.iter().filter(|ti| !ti.absent).map(|ti| &ti.row)
    }
}

impl Engine {
    /// Every pool with its use, by name.
    pub fn pool_usage(&self) -> Vec<(Pool, PoolUsage)> {
        let mut pools: Vec<(Pool, PoolUsage)> = self
            .pools
            .iter()
            .filter_map(|state| {
                let pool = state.config.clone()?;
                let open = if pool.slots < 0 { -1 } else { state.open() };
                let usage = PoolUsage {
                    running: state.running,
                    queued: state.queued,
                    scheduled: state.scheduled,
                    deferred: state.deferred,
                    open,
                };
                Some((pool, usage))
            })
            .collect();
        pools.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        pools
    }

    /// Every queue that some run in memory has named, by name.
    pub fn queue_status(&self) -> Vec<QueueCounts> {
        let mut queues: Vec<QueueCounts> = self
            .queues
            .iter()
            .map(|queue| QueueCounts {
                queue: queue.name.clone(),
                queued: queue.hints.len() as u64,
                oldest: queue.arrivals.front().map(|(at, ..)| *at),
                running: queue.running,
            })
            .collect();
        queues.sort_by(|a, b| a.queue.cmp(&b.queue));
        queues
    }

    /// How many task instances are queued in a queue.
    pub fn queued_in(&self, queue: &QueueName) -> u64 {
        self.queue_at.get(queue).map_or(0, |&at| self.queues[at as usize].hints.len() as u64)
    }

    /// The hints that a queue must hold, best first.
    pub fn queued_hints(&self, queue: &QueueName) -> Vec<Hint> {
        let Some(&at) = self.queue_at.get(queue) else {
            return Vec::new();
        };
        self.queues[at as usize].hints.iter().map(|&(score, key)| Hint { queue: queue.clone(), key, score }).collect()
    }

    /// The hints of all queues, queue by queue, best first.
    pub fn all_queued_hints(&self) -> Vec<Hint> {
        let mut names: Vec<&QueueName> = self.queues.iter().map(|queue| &queue.name).collect();
        names.sort();
        names.into_iter().flat_map(|name| self.queued_hints(name)).collect()
    }

    /// A DAG.
    pub fn dag(&self, dag_id: &DagId) -> Option<DagView<'_>> {
        let dag = &self.dags[*self.dag_at.get(dag_id)? as usize];
        Some(DagView {
            row: &dag.row,
            version: &dag.graph.version,
            runs_queued: crate::graph::index(dag.queued.len()),
            runs_running: dag.running,
        })
    }

    /// The DAGs, in the order in which they came.
    pub fn dags(&self) -> impl Iterator<Item = &DagRow> {
        self.dags.iter().map(|dag| &dag.row)
    }

    /// A run, if it is in memory: every run that is not over, and those that ended a moment ago.
    pub fn run(&self, dag_id: &DagId, run_id: &RunId) -> Option<RunView<'_>> {
        let position = self.run_position(dag_id, run_id).ok()?;
        Some(RunView { run: &self.runs[position] })
    }

    /// The runs in memory, in no order that means anything.
    pub fn runs(&self) -> impl Iterator<Item = RunView<'_>> {
        self.runs.iter().map(|(_, run)| RunView { run })
    }

    /// A task instance, if its run is in memory.
    pub fn task_instance(&self, id: TiId) -> Option<&TaskInstance> {
        let At { run, ti } = *self.tis.get(&id)?;
        Some(&self.runs[run].ti(ti).row)
    }

    /// When the lease of a task instance's attempt runs out, while it runs.
    pub fn lease_until(&self, id: TiId) -> Option<Timestamp> {
        let at = *self.tis.get(&id)?;
        let ti = self.runs[at.run].ti(at.ti);
        matches!(ti.row.state, TaskState::Running | TaskState::Restarting).then_some(ti.lease_until)
    }

    /// Whether a hint is right: its attempt is queued now, with this score.
    pub fn is_queued(&self, hint: &Hint) -> bool {
        self.task_instance(hint.key.ti).is_some_and(|row| {
            row.state == TaskState::Queued
                && row.key() == hint.key
                && row.queued_at.is_some_and(|at| hint_score(at, row.priority_weight) == hint.score)
        })
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        let queued: usize = self.dags.iter().map(|dag| dag.queued.len()).sum();
        Counts {
            dags: self.dags.len() as u64,
            dags_paused: self.dags.iter().filter(|dag| dag.row.is_paused).count() as u64,
            runs_queued: queued as u64,
            runs_running: self.dags.iter().map(|dag| u64::from(dag.running)).sum(),
            task_instances: TaskState::ALL
                .iter()
                .map(|&state| (state, self.by_state[state as usize]))
                .filter(|(_, count)| *count > 0)
                .collect(),
            executing: self.executing,
            timers: self.timers.len() as u64,
        }
    }

    /// The next `n` runs that the DAG's schedule will create, as of the latest instant that the engine has seen
    /// (`dags next-execution`). Of a custom timetable no more than the next one, once a guest was asked for it:
    /// [`Engine::timetable_question`] asks for more.
    ///
    /// # Errors
    /// The DAG is unknown.
    pub fn next_runs(&self, dag_id: &DagId, n: usize) -> Result<Vec<DagRunInfo>, ApiError> {
        let dag = &self.dags[self.dag_position(dag_id)? as usize];
        let graph = &dag.graph;
        if matches!(graph.version.spec.timetable, Timetable::Custom { .. }) {
            return Ok(dag.next.flatten().into_iter().take(n).collect());
        }
        let mut last = dag.last.map(|last| (last.start, last.end));
        let mut now = self.now;
        let mut found = Vec::new();
        while found.len() < n {
            let next = graph.schedule.next_run(last, now, graph.version.spec.catchup, graph.earliest, graph.latest);
            let Some(info) = next else { break };
            let stands_still = last == Some((info.interval_start, info.interval_end));
            if stands_still || graph.schedule.is_continuous() && !found.is_empty() {
                break;
            }
            last = Some((info.interval_start, info.interval_end));
            now = now.max(info.run_after);
            found.push(info);
        }
        Ok(found)
    }

    /// What a guest is to be asked for the next run of a custom timetable; nothing when the engine knows its schedule itself.
    /// The caller gives it a number.
    ///
    /// # Errors
    /// The DAG is unknown.
    pub fn timetable_question(&self, dag_id: &DagId) -> Result<Option<TimetableQuestion>, ApiError> {
        let dag = &self.dags[self.dag_position(dag_id)? as usize];
        let is_custom = matches!(dag.graph.version.spec.timetable, Timetable::Custom { .. });
        Ok(is_custom.then(|| dag.next_question(self.now)))
    }

    /// Whether the run with this id is over, if it is in memory.
    pub fn run_state(&self, dag_id: &DagId, run_id: &RunId) -> Option<RunState> {
        self.run(dag_id, run_id).map(|run| run.row().state)
    }
}
