//! The life of a DAG run: created by the schedule or a trigger, started under `max_active_runs`, finished by its leaves,
//! timed out, dropped from memory (semantics E7).

use std::sync::Arc;

use tradewind_types::{
    ApiError, AuditEvent, DagId, DagRun, DagVersion, ErrorCode, RunId, RunNo, RunState, RunType, TaskInstance,
    TaskState, Timestamp, check_run_id, truncate_micros,
};

use crate::{
    Dispatch, Effects, Engine, Reply, Trigger,
    engine::{just_after, plus},
    graph::index,
    memory::{At, Due},
    retry::iso_text,
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
        // As Airflow: a `TriggerDagRunOperator` takes the interval of the moment, others that of the logical date.
        let from_now = trigger.run_type == RunType::OperatorTriggered;
        let interval = logical_date.map(|date| graph.schedule.manual_interval(if from_now { run_after } else { date }));
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
            backfill: None,
            missed_deadlines: 0,
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

    /// Puts a queued run in line.
    pub(crate) fn queue_run(&mut self, position: u32) {
        let run = &self.runs[position];
        let starts_at = run.starts_at();
        let run_no = run.row.run_no.0;
        if self.is_of_open_backfill(position) {
            self.backfill_moves(position, RunState::Success, RunState::Queued);
        } else {
            let dag = &mut self.dags[run.dag as usize];
            dag.queued.insert((starts_at, run_no, position));
            dag.active += u32::from(run.row.run_type != RunType::Backfill);
        }
        if starts_at > self.now {
            self.set_timer(starts_at, Due::Start { run_no });
        }
    }

    /// Starts queued runs and creates scheduled ones, as far as they are due and `max_active_runs` lets them.
    pub(crate) fn check_dag(&mut self, dag_at: u32, effects: &mut Effects) {
        self.dags[dag_at as usize].check = false;
        loop {
            while let Some(run) = self.startable(dag_at) {
                self.start_run(run, effects);
            }
            if !self.create_asset_run(dag_at, effects) && !self.create_due(dag_at, effects) {
                break;
            }
        }
    }

    fn startable(&self, dag: u32) -> Option<u32> {
        let dag = &self.dags[dag as usize];
        if dag.row.is_paused {
            return None;
        }
        let own = dag.queued.first().filter(|(starts_at, ..)| *starts_at <= self.now);
        if let Some(&(.., run)) = own.filter(|_| dag.running < dag.max_active_runs()) {
            return Some(run);
        }
        if self.backfills.is_empty() {
            return None;
        }
        self.startable_backfill(&dag.row.dag_id)
    }

    fn start_run(&mut self, position: u32, effects: &mut Effects) {
        let now = self.now;
        let run = &mut self.runs[position];
        let entry = (run.starts_at(), run.row.run_no.0, position);
        let dag_at = run.dag;
        let row = Arc::make_mut(&mut run.row);
        row.state = RunState::Running;
        row.start_date.get_or_insert(now);
        row.end_date = None;
        row.note = None;
        let counts = u32::from(self.runs[position].row.run_type != RunType::Backfill);
        self.backfill_moves(position, RunState::Queued, RunState::Running);
        self.dags[dag_at as usize].queued.remove(&entry);
        self.dags[dag_at as usize].running += counts;
        self.touch_run(position);
        self.set_run_timeout(position);
        self.consider_run(position, effects);
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
                    .into_iter()
                    .any(|ti| matches!(run.ti(ti).row.state, TaskState::Failed | TaskState::UpstreamFailed))
            });
            let state = if failed { RunState::Failed } else { RunState::Success };
            let reason = if failed { "task_failure" } else { "success" };
            self.finish_run(position, state, None, Some(reason), effects);
        } else if run.live == 0 && self.is_deadlocked(position) {
            let note = "deadlocked: no task instance can run any more".to_owned();
            self.finish_run(position, RunState::Failed, Some(note), Some("all_tasks_deadlocked"), effects);
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
                !ti.absent
                    && !ti.row.state.is_finished()
                    && (run.graph.node(ti.task).depends_on_past
                        || spec.max_active_tis_per_dag.is_some()
                        || spec.max_active_tis_per_dagrun.is_some())
            });
        !excused
    }

    /// Ends a run. With a `reason` (as Airflow words it) the DAG's callback for it is called.
    pub(crate) fn finish_run(
        &mut self,
        position: u32,
        state: RunState,
        note: Option<String>,
        reason: Option<&str>,
        effects: &mut Effects,
    ) {
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
        if let Some(of) = self.runs[position].row.backfill.filter(|_| self.in_backfill(position)) {
            self.backfill_moves(position, was, state);
            self.check_backfill_done(of.no, effects);
        }
        if was == RunState::Queued {
            self.dags[dag_at as usize].queued.remove(&entry);
        }
        if run_type != RunType::Backfill {
            let dag = &mut self.dags[dag_at as usize];
            dag.running -= u32::from(was == RunState::Running);
            dag.active -= u32::from(!was.is_finished());
        }
        if let Some(reason) = reason {
            self.call_back_run(position, state, reason, effects);
        }
        self.note_runtime(position, state);
        let keep = self.retention();
        self.finished.push_back((plus(now, keep), run_no));
        effects.dispatch.push(Dispatch::RunFinished { run_no, state });
        self.show_run(position);
        self.count_failures(dag_at, state, effects);
        self.look_at_dag(dag_at);
    }

    /// Keeps how long successful runs take, where a deadline asks for it.
    fn note_runtime(&mut self, position: u32, state: RunState) {
        let run = &self.runs[position];
        let wanted = run.graph.version.spec.deadlines.iter().filter_map(|deadline| match deadline.reference {
            tradewind_types::DeadlineReference::AverageRuntime { max_runs, .. } => Some(max_runs as usize),
            _ => None,
        });
        let Some(wanted) = wanted.max() else { return };
        let (Some(start), Some(end)) = (run.row.start_date, run.row.end_date) else { return };
        let dag = run.dag;
        if state == RunState::Success {
            let runtimes = &mut self.dags[dag as usize].row.runtimes;
            runtimes.push(end.as_microsecond() - start.as_microsecond());
            let extra = runtimes.len().saturating_sub(wanted);
            runtimes.drain(..extra);
            self.touch_dag(dag);
        }
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
            self.pause(dag_at, true, effects);
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
        self.stop_run(position, RunState::Failed, |_| TaskState::Skipped, note, Some("timed_out"), effects);
    }

    /// Ends a run now: `state_of` says what becomes of each instance that is not over.
    pub(crate) fn stop_run(
        &mut self,
        position: u32,
        state: RunState,
        state_of: impl Fn(TaskState) -> TaskState,
        note: String,
        reason: Option<&str>,
        effects: &mut Effects,
    ) {
        // First the run, so that nothing in it starts because of what is stopped.
        self.finish_run(position, state, Some(note.clone()), reason, effects);
        self.stop_instances(position, state_of, &note, false, effects);
    }

    /// Ends the instances of a run that are not over.
    pub(crate) fn stop_instances(
        &mut self,
        position: u32,
        state_of: impl Fn(TaskState) -> TaskState,
        note: &str,
        spare_teardowns: bool,
        effects: &mut Effects,
    ) {
        for ti in 0..index(self.runs[position].tis.len()) {
            let at = At { run: position, ti };
            let run = &self.runs[position];
            let entry = run.ti(ti);
            let spared = entry.absent || spare_teardowns && run.graph.node(entry.task).is_teardown;
            let was = entry.row.state;
            if !was.is_finished() && !spared {
                self.stop(at, state_of(was), Some(format!("the run was {note}")), effects);
            }
        }
    }

    /// Whether a teardown of a run is not over.
    pub(crate) fn has_open_teardown(&self, position: u32) -> bool {
        let run = &self.runs[position];
        run.tis.iter().any(|ti| !ti.absent && run.graph.node(ti.task).is_teardown && !ti.row.state.is_finished())
    }

    pub(crate) fn load_run(
        &mut self,
        row: DagRun,
        rows: Vec<TaskInstance>,
        version: Arc<DagVersion>,
    ) -> Result<Reply, ApiError> {
        if self.run_at.contains_key(&row.run_no) {
            // It stays for what is asked of it next.
            let keep = plus(self.now, self.retention());
            let before = self.finished.len();
            self.finished.retain(|(_, run_no)| *run_no != row.run_no);
            if self.finished.len() < before {
                self.finished.push_back((keep, row.run_no));
            }
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
