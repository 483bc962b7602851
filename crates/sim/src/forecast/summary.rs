//! What a forecast found, in numbers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use serde::{Serialize, Serializer};
use tradewind_engine::Engine;
use tradewind_types::{DagId, DagRun, PoolName, RunNo, RunState, TaskInstance, Timestamp};

use super::{
    Setup,
    history::{median, percentile},
};

/// In how many parts the time is cut for curves.
const PARTS: usize = 48;

/// How long something waited, from being ready to being taken by a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// How many task instances were taken.
    pub started: u64,
    /// The median.
    #[serde(rename = "median_seconds", serialize_with = "seconds")]
    pub median: Option<Duration>,
    /// What 95 of 100 do not exceed.
    #[serde(rename = "p95_seconds", serialize_with = "seconds")]
    pub p95: Option<Duration>,
}

impl Waits {
    fn of(waits: Option<&Vec<Duration>>) -> Self {
        let waits = waits.map_or(&[][..], Vec::as_slice);
        Self { started: waits.len() as u64, median: median(waits), p95: percentile(waits, 95) }
    }
}

fn seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}

/// A DAG in a forecast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DagSummary {
    /// It.
    pub dag_id: DagId,
    /// Runs that were made.
    pub runs: u64,
    /// Those of them that ended in time.
    pub finished: u64,
    /// Those of them that failed (of time-outs, or because of their trigger rules: no task fails here).
    pub failed: u64,
    /// From when a run was due to its end: the median of those that ended.
    #[serde(rename = "makespan_median_seconds", serialize_with = "seconds")]
    pub makespan_median: Option<Duration>,
    /// The longest.
    #[serde(rename = "makespan_max_seconds", serialize_with = "seconds")]
    pub makespan_max: Option<Duration>,
    /// How long its task instances waited.
    pub waits: Waits,
}

/// A pool in a forecast.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolSummary {
    /// It.
    pub pool: PoolName,
    /// Its slots; -1 for no limit.
    pub slots: i64,
    /// How long its task instances waited.
    pub waits: Waits,
    /// Slots in use, on average.
    pub mean_used: f64,
    /// Slots in use, at most.
    pub peak_used: u64,
    /// Slots in use over time, in equal parts.
    pub used: Vec<f64>,
    /// Slots that were waited for over time, in equal parts.
    pub wanted: Vec<f64>,
}

/// What is going to happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// When the last run ended.
    pub last_end: Option<Timestamp>,
    /// Task instances that may execute at once.
    pub parallelism: u32,
    /// All of them together.
    pub waits: Waits,
    /// The DAGs that made runs, and those that made none because they are not to be foreseen.
    pub dags: Vec<DagSummary>,
    /// The pools.
    pub pools: Vec<PoolSummary>,
    /// DAGs with custom timetables, whose scheduled runs are left out.
    pub not_foreseen: Vec<DagId>,
    /// Task instances that were queued at the end and that no worker serves.
    pub not_served: u64,
}

struct Seen {
    dag_id: DagId,
    due: Timestamp,
    end: Option<Timestamp>,
    state: RunState,
}

#[derive(Default)]
struct Curve {
    /// Slot-seconds, by part.
    used: Vec<f64>,
    wanted: Vec<f64>,
    peak: u64,
}

/// Counts while a forecast runs.
pub(super) struct Tally {
    from: Timestamp,
    to: Timestamp,
    runs: HashMap<RunNo, Seen>,
    by_dag: HashMap<DagId, Vec<Duration>>,
    by_pool: HashMap<PoolName, Vec<Duration>>,
    all: Vec<Duration>,
    curves: BTreeMap<PoolName, Curve>,
    unknown: BTreeSet<DagId>,
}

impl Tally {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            to,
            runs: HashMap::new(),
            by_dag: HashMap::new(),
            by_pool: HashMap::new(),
            all: Vec::new(),
            curves: BTreeMap::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// A run as it is now.
    pub(super) fn run(&mut self, run: &DagRun) {
        let due = run.run_after.max(self.from);
        let seen = Seen {
            dag_id: run.dag_id.clone(),
            due,
            end: run.end_date.filter(|_| run.state.is_finished()),
            state: run.state,
        };
        self.runs.insert(run.run_no, seen);
    }

    /// A DAG whose next run only Python knows.
    pub(super) fn unknown(&mut self, dag_id: DagId) {
        self.unknown.insert(dag_id);
    }

    /// A worker took a task instance.
    pub(super) fn started(&mut self, ti: &TaskInstance, now: Timestamp) {
        let wait = between(ti.scheduled_at.unwrap_or(now), now);
        self.by_dag.entry(ti.dag_id.clone()).or_default().push(wait);
        self.by_pool.entry(ti.pool.clone()).or_default().push(wait);
        self.all.push(wait);
    }

    /// Time passes while pools stand as they do.
    #[expect(clippy::cast_precision_loss, reason = "for curves")]
    pub(super) fn pass(&mut self, from: Timestamp, to: Timestamp, engine: &Engine) {
        let part = self.part();
        for (pool, usage) in engine.pool_usage() {
            let used = usage.running + usage.queued + if pool.include_deferred { usage.deferred } else { 0 };
            let curve = self.curves.entry(pool.name).or_default();
            curve.used.resize(PARTS, 0.0);
            curve.wanted.resize(PARTS, 0.0);
            curve.peak = curve.peak.max(used);
            if used == 0 && usage.scheduled == 0 {
                continue;
            }
            let (start, end) = (between(self.from, from).as_secs_f64(), between(self.from, to).as_secs_f64());
            for (place, (sum, wanted)) in curve.used.iter_mut().zip(&mut curve.wanted).enumerate() {
                let (low, high) = (place as f64 * part, (place + 1) as f64 * part);
                let overlap = (end.min(high) - start.max(low)).max(0.0);
                *sum += overlap * used as f64;
                *wanted += overlap * usage.scheduled as f64;
            }
        }
    }

    /// The seconds of one part.
    #[expect(clippy::cast_precision_loss, reason = "for curves")]
    fn part(&self) -> f64 {
        between(self.from, self.to).as_secs_f64() / PARTS as f64
    }

    pub(super) fn summary(&self, setup: &Setup, engine: &Engine) -> Forecast {
        let part = self.part();
        let pools = engine.pool_usage().into_iter().map(|(pool, _)| {
            let curve = self.curves.get(&pool.name);
            let mean = |sums: &[f64]| sums.iter().map(|sum| sum / part).collect::<Vec<f64>>();
            let used = curve.map(|curve| mean(&curve.used)).unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "a mean")]
            let mean_used = used.iter().sum::<f64>() / PARTS as f64;
            PoolSummary {
                waits: Waits::of(self.by_pool.get(&pool.name)),
                slots: pool.slots,
                mean_used,
                peak_used: curve.map_or(0, |curve| curve.peak),
                used,
                wanted: curve.map(|curve| mean(&curve.wanted)).unwrap_or_default(),
                pool: pool.name,
            }
        });
        let served: BTreeSet<_> = setup.workers.iter().flat_map(|worker| &worker.queues).collect();
        let not_served = |status: &tradewind_engine::QueueCounts| {
            let of_hosts = status.queue.as_str().ends_with(".triggers");
            !served.is_empty() && !of_hosts && !served.contains(&status.queue)
        };
        Forecast {
            from: self.from,
            to: self.to,
            last_end: self.runs.values().filter_map(|run| run.end).max(),
            parallelism: setup.parallelism,
            waits: Waits::of(Some(&self.all)),
            dags: self.dags(),
            pools: pools.collect(),
            not_foreseen: self.unknown.iter().cloned().collect(),
            not_served: engine.queue_status().iter().filter(|s| not_served(s)).map(|status| status.queued).sum(),
        }
    }

    fn dags(&self) -> Vec<DagSummary> {
        let mut found: BTreeMap<DagId, Vec<&Seen>> = BTreeMap::new();
        for run in self.runs.values() {
            found.entry(run.dag_id.clone()).or_default().push(run);
        }
        let summary = |(dag_id, runs): (DagId, Vec<&Seen>)| {
            let spans: Vec<Duration> = runs.iter().filter_map(|run| Some(between(run.due, run.end?))).collect();
            DagSummary {
                runs: runs.len() as u64,
                finished: spans.len() as u64,
                failed: runs.iter().filter(|run| run.state == RunState::Failed).count() as u64,
                makespan_median: median(&spans),
                makespan_max: spans.iter().max().copied(),
                waits: Waits::of(self.by_dag.get(&dag_id)),
                dag_id,
            }
        };
        found.into_iter().map(summary).collect()
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}
