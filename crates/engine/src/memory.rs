//! What the engine remembers: DAGs, runs, task instances, pools and queues, and the small indices between them. Data
//! only; the rules that change it are in the other modules.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::{Index, IndexMut},
    sync::Arc,
};

use smallvec::SmallVec;
use tradewind_types::{
    AttemptKey, DagId, DagRow, DagRun, LeaseToken, Pool, PoolName, QueueName, RunId, TaskId, TaskInstance, TiId,
    Timestamp, Trigger,
};

use crate::{graph::Graph, rules::UpstreamCounts, timetable::DagRunInfo};

/// Names a task instance in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) run: u32,
    pub(crate) ti: u32,
}

/// The order of admission: priority first, then logical date, map index, then age of the run and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Priority with its sign turned, so that the smallest rank comes first.
    pub(crate) priority: i64,
    /// Logical date in microseconds; null comes last.
    pub(crate) date: i64,
    pub(crate) map_index: i32,
    pub(crate) run_no: u64,
    pub(crate) at: At,
}

/// A task instance and what the engine counts for it.
#[derive(Debug)]
pub(crate) struct Ti {
    pub(crate) row: TaskInstance,
    pub(crate) task: u32,
    pub(crate) up: UpstreamCounts,
    /// For a teardown: instances in its scope that are over.
    pub(crate) scope_done: u32,
    /// When its lease runs out, while it runs.
    pub(crate) lease_until: Timestamp,
    /// The attempt that ended before this one and its token: a repeat of its last report is answered, not refused.
    pub(crate) ended: Option<(u32, LeaseToken)>,
    /// Its worker has named it in a heartbeat.
    pub(crate) acked: bool,
    /// It is deferred to a hosted trigger that no worker holds: its hint is in the trigger queue.
    pub(crate) unhosted: bool,
    /// Its task does not cover the run's logical date (`start_date`, `end_date`): there is no task instance. It only keeps
    /// the place.
    pub(crate) absent: bool,
    /// It changed in this step.
    pub(crate) dirty: bool,
    /// The store has its row.
    pub(crate) stored: bool,
}

impl Ti {
    /// Whether a worker holds an attempt or a trigger of it.
    pub(crate) fn is_held(&self) -> bool {
        match self.row.state {
            tradewind_types::TaskState::Running | tradewind_types::TaskState::Restarting => true,
            tradewind_types::TaskState::Deferred => self.row.token.is_some(),
            _ => false,
        }
    }

    /// Whether it waits for a trigger that a host must run.
    pub(crate) fn waits_for_host(&self) -> bool {
        self.row.state == tradewind_types::TaskState::Deferred
            && self.row.deferral.as_ref().is_some_and(|deferral| matches!(deferral.trigger, Trigger::Hosted { .. }))
    }

    /// An instance of the task at position `task`.
    pub(crate) fn new(row: TaskInstance, task: u32, now: Timestamp, stored: bool) -> Self {
        let ended = match (row.state.is_executing(), row.token) {
            (false, Some(token)) if row.deferral.is_none() => Some((row.attempt, token)),
            _ => None,
        };
        Self {
            row,
            task,
            up: UpstreamCounts::default(),
            scope_done: 0,
            lease_until: now,
            ended,
            acked: false,
            unhosted: false,
            absent: false,
            dirty: false,
            stored,
        }
    }
}

/// Ready instances of one run that are admitted under the same conditions; only the first is shown to the pool.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) pool: u32,
    pub(crate) need: u32,
    pub(crate) task: Option<u32>,
    /// Limits over all runs: the limiter, and how many it lets execute.
    pub(crate) limits: SmallVec<[(u32, u32); 1]>,
    pub(crate) ready: BTreeSet<Rank>,
    /// What the pool sees.
    pub(crate) shown: Option<Rank>,
    /// Set aside until a limit over all runs has room: the place among its `limits`.
    pub(crate) parked: Option<(usize, Rank)>,
}

/// A run with its instances.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) row: Arc<DagRun>,
    pub(crate) dag: u32,
    pub(crate) graph: Arc<Graph>,
    /// First one instance a task, in task order (of a mapped one the unexpanded or the first), then the other mapped ones.
    pub(crate) tis: Vec<Ti>,
    /// Of each task the instances behind the first, by map index; empty while nothing is expanded.
    pub(crate) more: Vec<Vec<u32>>,
    /// Of each task how its instances stand; empty where nothing is mapped.
    pub(crate) tallies: Vec<UpstreamCounts>,
    /// Mapped tasks whose length may have changed since they were expanded; empty where nothing is mapped.
    pub(crate) revise: Vec<bool>,
    pub(crate) queues: SmallVec<[u32; 2]>,
    pub(crate) groups: SmallVec<[Group; 1]>,
    /// Instances that are not over.
    pub(crate) unfinished: u32,
    /// Instances that will move by themselves: scheduled, with a worker, or waiting for a time.
    pub(crate) live: u32,
    /// Instances that hold a slot.
    pub(crate) active: u32,
    /// The same a task, where tasks have limits (else empty).
    pub(crate) active_of: Vec<u32>,
    /// Some instance has decided to skip others.
    pub(crate) skips: bool,
    pub(crate) dirty: bool,
    pub(crate) stored: bool,
    /// It is on the list of runs to look at.
    pub(crate) check: bool,
}

impl Run {
    /// The instances of a task.
    pub(crate) fn instances(&self, task: u32) -> SmallVec<[u32; 4]> {
        let mut all = SmallVec::new();
        all.push(task);
        if let Some(more) = self.more.get(task as usize) {
            all.extend_from_slice(more);
        }
        all
    }

    /// The instance of a task with this map index.
    pub(crate) fn instance(&self, task: u32, map_index: i32) -> Option<u32> {
        self.instances(task).into_iter().find(|&ti| !self.ti(ti).absent && self.ti(ti).row.map_index == map_index)
    }

    pub(crate) fn ti(&self, ti: u32) -> &Ti {
        &self.tis[ti as usize]
    }

    pub(crate) fn ti_mut(&mut self, ti: u32) -> &mut Ti {
        &mut self.tis[ti as usize]
    }

    pub(crate) fn rank(&self, at: At) -> Rank {
        let row = &self.ti(at.ti).row;
        Rank {
            priority: row.priority_weight.saturating_neg(),
            date: self.row.logical_date.map_or(i64::MAX, Timestamp::as_microsecond),
            map_index: row.map_index,
            run_no: self.row.run_no.0,
            at,
        }
    }

    /// When it may start: never before its logical date.
    pub(crate) fn starts_at(&self) -> Timestamp {
        let row = &self.row;
        row.logical_date.map_or(row.run_after, |date| date.max(row.run_after))
    }
}

/// Runs by position; a position is used again once its run is dropped.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    entries: Vec<Option<Box<Run>>>,
    free: Vec<u32>,
}

impl Slab {
    pub(crate) fn insert(&mut self, run: Run) -> u32 {
        let run = Some(Box::new(run));
        if let Some(position) = self.free.pop() {
            self.entries[position as usize] = run;
            position
        } else {
            self.entries.push(run);
            crate::graph::index(self.entries.len() - 1)
        }
    }

    pub(crate) fn remove(&mut self, position: u32) -> Option<Box<Run>> {
        let run = self.entries.get_mut(position as usize)?.take();
        if run.is_some() {
            self.free.push(position);
        }
        run
    }

    pub(crate) fn get(&self, position: u32) -> Option<&Run> {
        self.entries.get(position as usize)?.as_deref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Run)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(position, run)| Some((crate::graph::index(position), run.as_deref()?)))
    }

    /// The next position that `insert` will use.
    pub(crate) fn next_position(&self) -> u32 {
        self.free.last().copied().unwrap_or_else(|| crate::graph::index(self.entries.len()))
    }
}

impl Index<u32> for Slab {
    type Output = Run;

    fn index(&self, position: u32) -> &Run {
        self.get(position).expect("a position is dropped from every index before its run is")
    }
}

impl IndexMut<u32> for Slab {
    fn index_mut(&mut self, position: u32) -> &mut Run {
        self.entries
            .get_mut(position as usize)
            .and_then(Option::as_deref_mut)
            .expect("a position is dropped from every index before its run is")
    }
}

/// The data interval of a DAG's last scheduled run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRun {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// What a limit over all runs is on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LimitOn {
    /// One task of a DAG (`max_active_tis_per_dag`); what is deferred counts, as in Airflow.
    Task(DagId, TaskId),
    /// All tasks of a DAG (`task_limit`).
    Dag(DagId),
    /// Whatever names the key (`concurrency`).
    Key(String),
}

/// A limit over all runs.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) on: LimitOn,
    pub(crate) active: u32,
    /// Groups that wait for room, by pool, slots and their number.
    pub(crate) parked: BTreeMap<(u32, u32, u32), BTreeSet<Rank>>,
}

/// A DAG.
#[derive(Debug)]
pub(crate) struct Dag {
    pub(crate) row: DagRow,
    pub(crate) graph: Arc<Graph>,
    /// The highest version number seen.
    pub(crate) highest: u32,
    pub(crate) run_ids: HashMap<RunId, u32>,
    /// Logical dates that are taken; the run where it is in memory.
    pub(crate) dates: BTreeMap<Timestamp, Option<u32>>,
    /// Queued runs that no backfill made, by when they may start.
    pub(crate) queued: BTreeSet<(Timestamp, u64, u32)>,
    /// Running runs that no backfill made.
    pub(crate) running: u32,
    /// Queued and running runs that are no backfill: what `max_active_runs` holds back new ones for.
    pub(crate) active: u32,
    pub(crate) last: Option<LastRun>,
    /// The next scheduled run; the outer `None` asks for it to be worked out.
    pub(crate) next: Option<Option<DagRunInfo>>,
    /// The timer that is set for it.
    pub(crate) timer: Option<Timestamp>,
    /// Some version of it in use depends on the past.
    pub(crate) past: bool,
    /// The number of the latest question about a custom timetable, and whether it is answered.
    pub(crate) question: u64,
    pub(crate) asked: bool,
    pub(crate) dirty: bool,
    /// It is on the list of DAGs to look at.
    pub(crate) check: bool,
}

/// A pool, whether it exists or some task only names it.
#[derive(Debug)]
pub(crate) struct PoolState {
    pub(crate) name: PoolName,
    pub(crate) config: Option<Pool>,
    pub(crate) running: u64,
    pub(crate) queued: u64,
    pub(crate) scheduled: u64,
    pub(crate) deferred: u64,
    /// With a rate limit: when the latest instances started, oldest first.
    pub(crate) started: VecDeque<Timestamp>,
    /// First ready instances of groups, by the slots that they need.
    pub(crate) ready: BTreeMap<u32, BTreeSet<Rank>>,
    /// What the engine's list of pool heads holds for it.
    pub(crate) head: Option<Rank>,
}

impl PoolState {
    pub(crate) const fn new(name: PoolName) -> Self {
        Self {
            name,
            config: None,
            running: 0,
            queued: 0,
            scheduled: 0,
            deferred: 0,
            started: VecDeque::new(),
            ready: BTreeMap::new(),
            head: None,
        }
    }

    /// Counts a start of a former leader against the rate, where it still counts.
    pub(crate) fn restore_start(&mut self, started: Timestamp, now: Timestamp) {
        let Some(rate) = self.config.as_ref().and_then(|pool| pool.rate) else { return };
        if started + jiff::SignedDuration::from_secs(i64::from(rate.per_secs)) > now {
            let place = self.started.partition_point(|earlier| *earlier <= started);
            self.started.insert(place, started);
        }
    }

    /// Open slots; negative when the pool was shrunk below its use; `i64::MAX` without limit; 0 when it does not exist.
    pub(crate) fn open(&self) -> i64 {
        let Some(pool) = &self.config else { return 0 };
        if pool.rate.is_some_and(|rate| self.started.len() >= rate.starts as usize) {
            return 0;
        }
        if pool.slots < 0 {
            return i64::MAX;
        }
        let deferred = if pool.include_deferred { self.deferred } else { 0 };
        let used = self.running + self.queued + deferred;
        pool.slots.saturating_sub(i64::try_from(used).unwrap_or(i64::MAX))
    }
}

/// A queue: its queued instances in hint order.
#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) name: QueueName,
    pub(crate) hints: BTreeSet<(i64, AttemptKey)>,
    /// The same in order of arrival; entries that left are dropped when they come to an end.
    pub(crate) arrivals: VecDeque<(Timestamp, AttemptKey, i64)>,
    pub(crate) running: u64,
}

impl QueueState {
    pub(crate) fn new(name: QueueName) -> Self {
        Self { name, hints: BTreeSet::new(), arrivals: VecDeque::new(), running: 0 }
    }

    pub(crate) fn insert(&mut self, score: i64, key: AttemptKey, at: Timestamp) {
        self.hints.insert((score, key));
        self.arrivals.push_back((at, key, score));
    }

    pub(crate) fn remove(&mut self, score: i64, key: AttemptKey) {
        self.hints.remove(&(score, key));
        let hints = &self.hints;
        let gone = |entry: &(Timestamp, AttemptKey, i64)| !hints.contains(&(entry.2, entry.1));
        while self.arrivals.front().is_some_and(gone) {
            self.arrivals.pop_front();
        }
        while self.arrivals.back().is_some_and(gone) {
            self.arrivals.pop_back();
        }
        // Old entries at both ends must not keep everything that came and went between them.
        if self.arrivals.len() > 64 + 2 * self.hints.len() {
            self.arrivals.retain(|entry| !gone(entry));
        }
    }
}

/// What a timer is for. Timers are never removed: one that does not fit any more when it comes up is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The DAG's next scheduled run.
    Schedule { dag: u32 },
    /// A queued run may start.
    Start { run_no: u64 },
    /// A run is too old.
    Timeout { run_no: u64 },
    /// A retry or a sensor's next poke.
    Again { run_no: u64, ti: u32 },
    /// A lease runs out.
    Lease { run_no: u64, ti: u32, attempt: u32 },
    /// A wait ends by time.
    Wait { run_no: u64, ti: u32, attempt: u32 },
    /// A callback's lease runs out.
    CallbackLease { id: TiId, attempt: u32 },
    /// A run should be over by now.
    Deadline { run_no: u64, place: u32 },
    /// A pool may start more again.
    Rate { pool: u32 },
}
