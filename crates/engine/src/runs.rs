//! The life of a DAG run: created by the schedule or a trigger, started under `max_active_runs`, finished by its leaves,
//! timed out, dropped from memory (semantics E7).

use std::{collections::BTreeSet, sync::Arc};

use tradewind_types::{
    ApiError, AuditEvent, DagId, DagRun, DagVersion, ErrorCode, RunId, RunNo, RunState, RunType, TaskInstance,
    TaskState, Timestamp, check_run_id, truncate_micros,
};

use crate::{
    Dispatch, Effects, Engine, Reply, Trigger,
    engine::{just_after, plus},
    graph::{Graph, index},
    memory::{At, Due, Group, Run, Ti},
    retry::iso_text,
    rules::UpstreamCounts,
};

/// The id of a run that its type and time name (Airflow `DagRun.generate_run_id`).
pub(crate) fn run_id(run_type: RunType, run_after: Timestamp, suffix: Option<&str>) -> RunId {
    let stem = format!("{run_type}__{}", iso_text(run_after, 'T'));
    RunId::from(match suffix {
        Some(suffix) if !suffix.is_empty() => format!("{stem}_{suffix}"),
        _ => stem,
    })
}

impl Engine {
    pub(crate) fn trigger(&mut self, trigger: Trigger, effects: &mut Effects) -> Result<Reply, ApiError> {
        let dag_at = self.dag_position(&trigger.dag_id)?;
        let dag = &self.dags[dag_at as usize];
        if dag.row.is_stale {
            return Err(ApiError::conflict(format!(
                "the DAG \"{}\" is gone from {}; put its file back to run it",
                trigger.dag_id, dag.row.source.rel_path
            )));
        }
        let conf = match trigger.conf {
            serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
            conf @ serde_json::Value::Object(_) => conf,
            other => {
                return Err(ApiError::invalid(format!("conf must be a JSON object, not {other}")));
            }
        };
        let logical_date = trigger.logical_date.map(truncate_micros);
        let run_after = truncate_micros(trigger.run_after.unwrap_or(self.now));
        let run_id = match trigger.run_id {
            Some(run_id) => {
                if trigger.run_type == RunType::Manual {
                    check_run_id(run_id.as_str()).map_err(ApiError::invalid)?;
                }
                run_id
            }
            None => {
                let suffix = logical_date.is_none().then_some(trigger.suffix.as_str());
                run_id(trigger.run_type, run_after, suffix)
            }
        };
        self.refuse_taken(dag_at, &run_id, logical_date)?;
        let graph = Arc::clone(&self.dags[dag_at as usize].graph);
        let interval = logical_date.map(|date| graph.schedule.manual_interval(date));
        let row = DagRun {
            run_no: RunNo(self.next_run_no),
            dag_id: trigger.dag_id,
            run_id,
            run_type: trigger.run_type,
            state: RunState::Queued,
            version: graph.version.hash.clone(),
            logical_date,
            data_interval_start: interval.map(|(start, _)| start),
            data_interval_end: interval.map(|(_, end)| end),
            run_after,
            conf,
            queued_at: self.now,
            start_date: None,
            end_date: None,
            clear_number: 0,
            triggered_by: Some(trigger.by),
            note: None,
        };
        let run = self.create_run(dag_at, row, graph, Vec::new(), false);
        self.look_at_dag(dag_at);
        // What the trigger sets off comes first, so that the answer shows it.
        self.settle(effects);
        Ok(Reply::Run(Box::new((*self.runs[run].row).clone())))
    }

    fn refuse_taken(&self, dag: u32, run_id: &RunId, logical_date: Option<Timestamp>) -> Result<(), ApiError> {
        let dag = &self.dags[dag as usize];
        if dag.run_ids.contains_key(run_id) {
            return Err(ApiError::new(
                ErrorCode::AlreadyExists,
                format!("the DAG \"{}\" has a run \"{run_id}\" already", dag.row.dag_id),
            ));
        }
        if let Some(date) = logical_date
            && dag.dates.contains_key(&date)
        {
            return Err(ApiError::new(
                ErrorCode::AlreadyExists,
                format!("the DAG \"{}\" has a run with logical date {} already", dag.row.dag_id, iso_text(date, 'T')),
            ));
        }
        Ok(())
    }

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
        for ti in rows {
            if let Some(task) = graph.task(ti.task_id.as_str()) {
                known[task as usize] = Some(ti);
            }
        }
        let mut tis = Vec::with_capacity(count);
        self.tis.reserve(count);
        for (task, known) in known.into_iter().enumerate() {
            let task = index(task);
            let stored = known.is_some();
            let ti = known.unwrap_or_else(|| new_instance(&row, &graph, task));
            self.tis.insert(ti.id, At { run: position, ti: task });
            self.by_state[ti.state as usize] += 1;
            let ended = match (ti.state.is_executing(), ti.token) {
                (false, Some(token)) => Some((ti.attempt, token)),
                _ => None,
            };
            tis.push(Ti {
                row: ti,
                task,
                up: UpstreamCounts { total: graph.node(task).upstreams, ..UpstreamCounts::default() },
                scope_done: 0,
                lease_until: self.now,
                ended,
                acked: false,
                dirty: false,
                stored,
            });
        }
        let groups = graph
            .groups
            .iter()
            .map(|spec| Group {
                pool: self.pool(&spec.pool),
                need: spec.need,
                task: spec.task,
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
            unfinished: index(tis.iter().filter(|ti| !ti.row.state.is_finished()).count()),
            live: 0,
            active: 0,
            active_of: vec![0; limits],
            row: Arc::new(row),
            dag: dag_at,
            graph,
            tis,
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
        for ti in 0..index(count) {
            if !self.runs[position].ti(ti).stored {
                self.touch_ti(At { run: position, ti });
            }
        }
        match state {
            RunState::Queued => self.queue_run(position),
            RunState::Running => {
                let counts = self.runs[position].row.run_type != RunType::Backfill;
                let dag = &mut self.dags[dag_at as usize];
                dag.running += 1;
                dag.active += u32::from(counts);
            }
            RunState::Success | RunState::Failed => {}
        }
        position
    }

    /// Puts a queued run in line.
    pub(crate) fn queue_run(&mut self, position: u32) {
        let run = &self.runs[position];
        let starts_at = run.starts_at();
        let run_no = run.row.run_no.0;
        let dag = &mut self.dags[run.dag as usize];
        dag.queued.insert((starts_at, run_no, position));
        dag.active += u32::from(run.row.run_type != RunType::Backfill);
        if starts_at > self.now {
            self.set_timer(starts_at, Due::Start { run_no });
        }
    }

    /// Starts queued runs and creates scheduled ones, as far as they are due and `max_active_runs` lets them.
    pub(crate) fn check_dag(&mut self, dag_at: u32, _effects: &mut Effects) {
        self.dags[dag_at as usize].check = false;
        loop {
            while let Some(run) = self.startable(dag_at) {
                self.start_run(run);
            }
            if !self.create_due(dag_at) {
                break;
            }
        }
    }

    fn startable(&self, dag: u32) -> Option<u32> {
        let dag = &self.dags[dag as usize];
        let &(starts_at, _, run) = dag.queued.first()?;
        let free = dag.running < dag.max_active_runs();
        (starts_at <= self.now && free && !dag.row.is_paused).then_some(run)
    }

    fn start_run(&mut self, position: u32) {
        let now = self.now;
        let run = &mut self.runs[position];
        let entry = (run.starts_at(), run.row.run_no.0, position);
        let dag_at = run.dag;
        let row = Arc::make_mut(&mut run.row);
        row.state = RunState::Running;
        row.start_date.get_or_insert(now);
        row.end_date = None;
        row.note = None;
        let dag = &mut self.dags[dag_at as usize];
        dag.queued.remove(&entry);
        dag.running += 1;
        self.touch_run(position);
        self.set_run_timeout(position);
        self.consider_run(position);
        self.show_run(position);
        // Nothing may be left to do: no tasks, or all of them over.
        self.look_at_run(position);
    }

    /// Shows or hides what a run has ready, after something about the whole run changed.
    pub(crate) fn show_run(&mut self, position: u32) {
        for group in 0..self.runs[position].groups.len() {
            self.show_group(position, index(group));
        }
    }

    pub(crate) fn set_run_timeout(&mut self, position: u32) {
        let row = &self.runs[position].row;
        let run_no = row.run_no.0;
        if let Some(start) = row.start_date
            && let Some(timeout) = self.runs[position].graph.version.spec.dagrun_timeout
        {
            self.set_timer(just_after(plus(start, timeout)), Due::Timeout { run_no });
        }
    }

    /// Finishes a run if its instances decided it, or if nothing can happen in it any more.
    pub(crate) fn check_run(&mut self, position: u32, effects: &mut Effects) {
        let run = &mut self.runs[position];
        run.check = false;
        if run.row.state != RunState::Running {
            return;
        }
        if run.unfinished == 0 {
            let failed = run.graph.leaves.iter().any(|&leaf| {
                run.instances(leaf)
                    .any(|ti| matches!(run.ti(ti).row.state, TaskState::Failed | TaskState::UpstreamFailed))
            });
            let state = if failed { RunState::Failed } else { RunState::Success };
            self.finish_run(position, state, None, effects);
        } else if run.live == 0 && self.is_deadlocked(position) {
            let note = "deadlocked: no task instance can run any more".to_owned();
            self.finish_run(position, RunState::Failed, Some(note), effects);
        }
    }

    /// Whether nothing can move a run in which nothing moves: Airflow's rule, which excuses what may wait for another run.
    fn is_deadlocked(&self, position: u32) -> bool {
        let run = &self.runs[position];
        if self.dags[run.dag as usize].row.is_paused {
            return false;
        }
        let excused = (run.graph.past || run.graph.limited)
            && run.tis.iter().any(|ti| {
                let spec = run.graph.spec(ti.task);
                !ti.row.state.is_finished()
                    && (run.graph.node(ti.task).depends_on_past
                        || spec.max_active_tis_per_dag.is_some()
                        || spec.max_active_tis_per_dagrun.is_some())
            });
        !excused
    }

    pub(crate) fn finish_run(&mut self, position: u32, state: RunState, note: Option<String>, effects: &mut Effects) {
        let now = self.now;
        let run = &mut self.runs[position];
        let was = run.row.state;
        let entry = (run.starts_at(), run.row.run_no.0, position);
        let row = Arc::make_mut(&mut run.row);
        row.state = state;
        row.note = note;
        if !was.is_finished() {
            row.end_date = Some(now);
        }
        let (run_no, run_type, dag_at) = (row.run_no, row.run_type, run.dag);
        self.touch_run(position);
        let dag = &mut self.dags[dag_at as usize];
        match was {
            RunState::Queued => {
                dag.queued.remove(&entry);
            }
            RunState::Running => dag.running -= 1,
            RunState::Success | RunState::Failed => {}
        }
        if !was.is_finished() {
            dag.active -= u32::from(run_type != RunType::Backfill);
        }
        let keep = self.retention();
        self.finished.push_back((plus(now, keep), run_no));
        effects.dispatch.push(Dispatch::RunFinished { run_no, state });
        self.show_run(position);
        self.count_failures(dag_at, state, effects);
        self.look_at_dag(dag_at);
    }

    /// `max_consecutive_failed_dag_runs`.
    fn count_failures(&mut self, dag_at: u32, state: RunState, effects: &mut Effects) {
        let now = self.now;
        let dag = &mut self.dags[dag_at as usize];
        let limit = dag.graph.version.spec.max_consecutive_failed_dag_runs;
        let failed_runs = if state == RunState::Failed { dag.row.failed_runs.saturating_add(1) } else { 0 };
        if failed_runs != dag.row.failed_runs {
            dag.row.failed_runs = failed_runs;
            self.touch_dag(dag_at);
        }
        let dag = &self.dags[dag_at as usize];
        if limit > 0 && failed_runs >= limit && !dag.row.is_paused {
            effects.rows.audit.push(AuditEvent {
                at: now,
                event: "dag.pause".to_owned(),
                by: "scheduler".to_owned(),
                dag_id: Some(dag.row.dag_id.clone()),
                run_id: None,
                task_id: None,
                detail: Some(format!("{failed_runs} runs in a row failed")),
            });
            self.pause(dag_at, true);
        }
    }

    /// `dagrun_timeout`: the run fails, what is not over is skipped.
    pub(crate) fn time_out(&mut self, position: u32, effects: &mut Effects) {
        let run = &self.runs[position];
        let (Some(start), Some(timeout)) = (run.row.start_date, run.graph.version.spec.dagrun_timeout) else {
            return;
        };
        if run.row.state != RunState::Running || plus(start, timeout) >= self.now {
            return;
        }
        let note = format!("timed out after {} s", timeout.as_secs_f64());
        self.stop_run(position, RunState::Failed, |_| TaskState::Skipped, note, effects);
    }

    /// Ends a run now: `state_of` says what becomes of each instance that is not over.
    pub(crate) fn stop_run(
        &mut self,
        position: u32,
        state: RunState,
        state_of: impl Fn(TaskState) -> TaskState,
        note: String,
        effects: &mut Effects,
    ) {
        // First the run, so that nothing in it starts because of what is stopped.
        self.finish_run(position, state, Some(note.clone()), effects);
        for ti in 0..index(self.runs[position].tis.len()) {
            let at = At { run: position, ti };
            let was = self.runs[position].ti(ti).row.state;
            if !was.is_finished() {
                self.stop(at, state_of(was), Some(format!("the run was {note}")), effects);
            }
        }
    }

    pub(crate) fn load_run(
        &mut self,
        row: DagRun,
        rows: Vec<TaskInstance>,
        version: Arc<DagVersion>,
    ) -> Result<Reply, ApiError> {
        if self.run_at.contains_key(&row.run_no) {
            return Ok(Reply::Done);
        }
        let dag_at = self.dag_position(&row.dag_id)?;
        if !row.state.is_finished() {
            return Err(ApiError::conflict(format!(
                "the run \"{}\" is {} and not in memory; only finished runs are brought back",
                row.run_id, row.state
            )));
        }
        let graph = self.graph(version);
        let run_no = row.run_no;
        let position = self.create_run(dag_at, row, graph, rows, true);
        self.count_all(position);
        let keep = self.retention();
        self.finished.push_back((plus(self.now, keep), run_no));
        Ok(Reply::Done)
    }

    pub(crate) fn dag_position(&self, dag_id: &DagId) -> Result<u32, ApiError> {
        self.dag_at.get(dag_id).copied().ok_or_else(|| ApiError::not_found(format!("there is no DAG \"{dag_id}\"")))
    }

    pub(crate) fn run_position(&self, dag_id: &DagId, run_id: &RunId) -> Result<u32, ApiError> {
        let dag = self.dag_position(dag_id)?;
        self.dags[dag as usize]
            .run_ids
            .get(run_id)
            .copied()
            .ok_or_else(|| ApiError::not_found(format!("the DAG \"{dag_id}\" has no run \"{run_id}\"")))
    }
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
    }
}
