//! How a run comes into memory, new or as the store has it, with its task instances.

use std::{collections::BTreeSet, sync::Arc};

use smallvec::SmallVec;
use tradewind_types::{DagId, DagRun, RunState, RunType, TaskInstance, TaskState};

use crate::{
    Engine,
    graph::{Graph, GroupSpec, index},
    memory::{At, Group, LimitOn, Run, Ti},
    rules::UpstreamCounts,
};

impl Engine {
    /// Takes a run into memory: new (`rows` empty), or as the store has it.
    pub(crate) fn create_run(
        &mut self,
        dag_at: u32,
        row: DagRun,
        graph: Arc<Graph>,
        rows: Vec<TaskInstance>,
        stored: bool,
    ) -> u32 {
        let position = self.runs.next_position();
        let count = graph.nodes.len();
        let mut known: Vec<Option<TaskInstance>> = vec![None; count];
        let mut mapped: Vec<(u32, TaskInstance)> = Vec::new();
        for ti in rows {
            if let Some(task) = graph.task(ti.task_id.as_str()) {
                if ti.map_index > 0 {
                    mapped.push((task, ti));
                } else {
                    known[task as usize] = Some(ti);
                }
            }
        }
        mapped.sort_by_key(|(task, ti)| (*task, ti.map_index));
        let mut tis = Vec::with_capacity(count + mapped.len());
        self.tis.reserve(count);
        for (task, known) in known.into_iter().enumerate() {
            let task = index(task);
            let stored = known.is_some();
            let ti = known.unwrap_or_else(|| new_instance(&row, &graph, task));
            let mut ti = Ti::new(ti, task, self.now, stored);
            ti.up.total = graph.node(task).upstreams;
            ti.absent = !stored && !covers(&row, &graph, task);
            tis.push(ti);
        }
        let mut more = Vec::new();
        if !mapped.is_empty() {
            more = vec![Vec::new(); count];
        }
        for (task, ti) in mapped {
            more[task as usize].push(index(tis.len()));
            tis.push(Ti::new(ti, task, self.now, true));
        }
        let mut tallies = Vec::new();
        if graph.mapped {
            tallies = vec![UpstreamCounts::default(); count];
        }
        for (ti_at, ti) in tis.iter().enumerate().filter(|(_, ti)| !ti.absent) {
            self.tis.insert(ti.row.id, At { run: position, ti: index(ti_at) });
            self.by_state[ti.row.state as usize] += 1;
            if let Some(tally) = tallies.get_mut(ti.task as usize) {
                tally.total += 1;
            }
        }
        let groups = graph
            .groups
            .iter()
            .map(|spec| Group {
                pool: self.pool(&spec.pool),
                need: spec.need,
                task: spec.task,
                limits: self.limits_of(&row.dag_id, &graph, spec),
                ready: BTreeSet::new(),
                shown: None,
                parked: None,
            })
            .collect();
        let queues = graph.queues.iter().map(|name| self.queue(name)).collect();
        let dag = &mut self.dags[dag_at as usize];
        dag.past |= graph.past;
        dag.run_ids.insert(row.run_id.clone(), position);
        if let Some(date) = row.logical_date {
            dag.dates.insert(date, Some(position));
        }
        let run_no = row.run_no;
        self.run_at.insert(run_no, position);
        self.next_run_no = self.next_run_no.max(run_no.0 + 1);
        let state = row.state;
        let limits = if graph.limited { count } else { 0 };
        let run = Run {
            skips: tis.iter().any(|ti| !ti.row.skips.is_empty()),
            unfinished: index(tis.iter().filter(|ti| !ti.absent && !ti.row.state.is_finished()).count()),
            live: 0,
            active: 0,
            active_of: vec![0; limits],
            row: Arc::new(row),
            dag: dag_at,
            revise: vec![false; tallies.len()],
            graph,
            tis,
            more,
            tallies,
            queues,
            groups,
            dirty: false,
            stored,
            check: false,
        };
        let position = self.runs.insert(run);
        if !stored {
            self.touch_run(position);
        }
        for ti in 0..index(self.runs[position].tis.len()) {
            let entry = self.runs[position].ti(ti);
            if !entry.stored && !entry.absent {
                self.touch_ti(At { run: position, ti });
            }
        }
        match state {
            RunState::Queued => self.queue_run(position),
            RunState::Running => {
                if self.in_backfill(position) {
                    self.backfill_moves(position, RunState::Success, RunState::Running);
                }
                // A backfill's runs hold no place of the DAG, also those that outlive it.
                let counts = u32::from(self.runs[position].row.run_type != RunType::Backfill);
                let dag = &mut self.dags[dag_at as usize];
                dag.running += counts;
                dag.active += counts;
            }
            RunState::Success | RunState::Failed => {}
        }
        if !state.is_finished() {
            self.set_deadlines(position);
        }
        position
    }

    /// Gives a run the instances that it lacked for its date: a backfill runs every task (Airflow `verify_integrity`).
    pub(crate) fn fill_in(&mut self, position: u32) {
        for ti in 0..index(self.runs[position].tis.len()) {
            let at = At { run: position, ti };
            let run = &mut self.runs[position];
            let entry = run.ti_mut(ti);
            if !std::mem::replace(&mut entry.absent, false) {
                continue;
            }
            let (id, task) = (entry.row.id, entry.task);
            run.unfinished += 1;
            if let Some(tally) = run.tallies.get_mut(task as usize) {
                tally.total += 1;
            }
            self.by_state[TaskState::NoStatus as usize] += 1;
            self.tis.insert(id, at);
            self.touch_ti(at);
        }
    }

    /// Whether a run is counted by a backfill that is not over, not by its DAG.
    pub(crate) fn in_backfill(&self, position: u32) -> bool {
        self.runs[position].row.backfill.is_some_and(|of| self.backfills.contains_key(&of.no))
    }

    /// The limits over all runs that a group of tasks keeps to.
    fn limits_of(&mut self, dag_id: &DagId, graph: &Graph, group: &GroupSpec) -> SmallVec<[(u32, u32); 1]> {
        let mut limits = SmallVec::new();
        if let Some(task) = group.task
            && let Some(limit) = graph.spec(task).max_active_tis_per_dag
        {
            let on = LimitOn::Task(dag_id.clone(), graph.spec(task).task_id.clone());
            limits.push((self.limiter(on), limit));
        }
        if let Some(limit) = graph.version.spec.task_limit {
            limits.push((self.limiter(LimitOn::Dag(dag_id.clone())), limit));
        }
        for shared in &group.shared {
            limits.push((self.limiter(LimitOn::Key(shared.key.clone())), shared.limit));
        }
        limits
    }
}

/// Whether a task has an instance in a run: its dates must cover the run's (Airflow `DagRun.verify_integrity`).
fn covers(run: &DagRun, graph: &Graph, task: u32) -> bool {
    let Some(date) = run.logical_date.filter(|_| run.run_type != RunType::Backfill) else {
        return true;
    };
    let (dag, spec) = (&graph.version.spec, graph.spec(task));
    let start = spec.start_date.into_iter().chain(dag.start_date).max();
    let end = spec.end_date.into_iter().chain(dag.end_date).min();
    start.is_none_or(|start| start <= date) && end.is_none_or(|end| date <= end)
}

/// A new instance of a task.
fn new_instance(run: &DagRun, graph: &Graph, task: u32) -> TaskInstance {
    let spec = graph.spec(task);
    TaskInstance {
        id: graph.ti_id(run.run_no, task),
        run_no: run.run_no,
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_id: spec.task_id.clone(),
        map_index: tradewind_types::UNMAPPED,
        operator: spec.operator.name().to_owned(),
        pool: spec.pool.clone(),
        pool_slots: spec.pool_slots,
        queue: spec.queue.clone(),
        priority_weight: graph.node(task).priority,
        state: TaskState::NoStatus,
        try_number: 0,
        max_tries: spec.retry.retries,
        attempt: 0,
        worker_losses: 0,
        scheduled_at: None,
        queued_at: None,
        start_date: None,
        end_date: None,
        next_at: None,
        first_poke_at: None,
        worker: None,
        token: None,
        note: None,
        skips: Vec::new(),
        deferral: None,
        reschedules: 0,
        rendered_map_index: None,
        xcom_length: None,
    }
}
