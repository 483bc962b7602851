//! What people do to instances and runs: clear, mark (semantics E5).

use tradewind_types::{ApiError, AuditEvent, DagId, RunId, RunState, TaskId, TaskState};

use crate::{ClearRequest, Effects, Engine, Reply, graph::index, memory::At};

impl Engine {
    pub(crate) fn clear(&mut self, request: &ClearRequest, effects: &mut Effects) -> Result<Reply, ApiError> {
        let mut position = self.run_position(&request.dag_id, &request.run_id)?;
        let run = &self.runs[position];
        let moves = request.latest_version && !request.dry_run;
        let graph = if moves { &self.dags[run.dag as usize].graph } else { &run.graph };
        let graph = std::sync::Arc::clone(graph);
        let mut tasks = Vec::new();
        for task_id in &request.task_ids {
            tasks.push(graph.task(task_id.as_str()).ok_or_else(|| {
                ApiError::not_found(format!("the run \"{}\" has no task \"{task_id}\"", request.run_id))
            })?);
        }
        let all: Vec<u32>;
        // Nothing may be refused after this.
        if moves {
            position = self.take_latest(position, &request.by, effects)?;
        }
        let named = if tasks.is_empty() {
            all = (0..index(graph.nodes.len())).collect();
            &all
        } else {
            &tasks
        };
        let chosen = graph.selection(named, request.upstream, request.downstream);
        let picked: Vec<At> = self.runs[position]
            .tis
            .iter()
            .enumerate()
            .filter(|(_, ti)| !ti.absent && chosen[ti.task as usize] && is_wanted(request, &ti.row))
            .map(|(ti, _)| At { run: position, ti: index(ti) })
            .collect();
        if !request.dry_run && !picked.is_empty() {
            self.audit(
                "task.clear",
                &request.by,
                &request.dag_id,
                &request.run_id,
                None,
                Some(format!("{} task instances", picked.len())),
                effects,
            );
            self.clear_instances(position, &picked, effects);
            self.settle(effects);
        }
        Ok(self.instances(&picked))
    }

    fn instances(&self, picked: &[At]) -> Reply {
        let row = |at: &At| self.runs[at.run].ti(at.ti).row.clone();
        Reply::Instances(picked.iter().map(row).collect())
    }

    /// Clears instances of one run and brings the run back.
    pub(crate) fn clear_instances(&mut self, position: u32, picked: &[At], effects: &mut Effects) {
        for &at in picked {
            self.clear_instance(at, effects);
        }
        self.revive(position);
        if self.runs[position].tallies.is_empty() {
            for &at in picked {
                self.consider(at, effects);
            }
        } else {
            // While it is not known how long a mapped task is, all instances of those above count for each of it.
            self.consider_run(position, effects);
        }
    }

    fn clear_instance(&mut self, at: At, effects: &mut Effects) {
        let row = &self.runs[at.run].ti(at.ti).row;
        match row.state {
            // The worker is told; the instance runs again once the attempt has stopped or its lease is over.
            TaskState::Running => {
                self.cancel(at, effects);
                self.set_state(at, TaskState::Restarting);
            }
            TaskState::Restarting => {}
            TaskState::Queued => {
                self.forget_hint(at, effects);
                self.reset(at);
            }
            state => {
                if state == TaskState::Deferred {
                    self.cancel(at, effects);
                }
                let row = &self.runs[at.run].ti(at.ti).row;
                if state.is_finished() && row.worker.is_some() {
                    self.keep_try(at, state, effects);
                }
                self.reset(at);
            }
        }
    }

    /// Makes an instance wait for its dependencies as if it had not run: with all its retries ahead.
    fn reset(&mut self, at: At) {
        let run = &mut self.runs[at.run];
        let task = run.ti(at.ti).task;
        let retries = run.graph.spec(task).retry.retries;
        let row = &mut run.ti_mut(at.ti).row;
        row.max_tries = row.try_number.saturating_add(retries);
        row.worker_losses = 0;
        row.next_at = None;
        row.note = None;
        self.set_state(at, TaskState::NoStatus);
        self.forget_token(at);
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.worker = None;
        row.scheduled_at = None;
        row.queued_at = None;
        row.start_date = None;
        row.end_date = None;
        row.first_poke_at = None;
        row.skips = Vec::new();
        row.deferral = None;
        row.reschedules = 0;
        row.rendered_map_index = None;
        row.xcom_length = None;
        self.touch_ti(at);
    }

    /// A restarting attempt is over: the instance runs again.
    pub(crate) fn finish_restart(&mut self, at: At, effects: &mut Effects) {
        let now = self.now;
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.end_date = Some(now);
        row.note = Some("cleared while it ran".to_owned());
        self.keep_try(at, TaskState::Failed, effects);
        self.reset(at);
        self.consider(at, effects);
    }

    /// A run with cleared instances: a finished one goes back to the queue.
    fn revive(&mut self, position: u32) {
        let now = self.now;
        let run = &mut self.runs[position];
        let row = std::sync::Arc::make_mut(&mut run.row);
        row.clear_number = row.clear_number.saturating_add(1);
        // As Airflow, deadlines are worked out anew.
        row.missed_deadlines = 0;
        row.queued_at = now;
        if row.state.is_finished() {
            row.state = RunState::Queued;
            row.start_date = None;
            row.end_date = None;
            row.note = None;
            let dag = run.dag;
            self.queue_run(position);
            self.look_at_dag(dag);
        } else {
            self.look_at_run(position);
        }
        self.touch_run(position);
        self.set_deadlines(position);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    pub(crate) fn mark_task(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: &TaskId,
        map_index: i32,
        state: TaskState,
        by: String,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        if !matches!(state, TaskState::Success | TaskState::Failed | TaskState::Skipped) {
            return Err(ApiError::invalid(format!(
                "a task instance can be marked success, failed or skipped, not {state}"
            )));
        }
        let at = self.instance_position(dag_id, run_id, task_id, map_index)?;
        let was = self.runs[at.run].ti(at.ti).row.state;
        if was == state {
            return Ok(self.instances(&[at]));
        }
        self.audit("task.mark", &by, dag_id, run_id, Some(task_id), Some(format!("{was} -> {state}")), effects);
        self.stop(at, state, Some(format!("marked {state} by {by}")), effects);
        // As Airflow: what failed because of it gets another chance.
        let graph = std::sync::Arc::clone(&self.runs[at.run].graph);
        let task = self.runs[at.run].ti(at.ti).task;
        let below = graph.reach(&[task], &graph.down);
        let picked: Vec<At> = self.runs[at.run]
            .tis
            .iter()
            .enumerate()
            .filter(|(_, ti)| !ti.absent && ti.task != task && below[ti.task as usize] && is_failed(ti.row.state))
            .map(|(ti, _)| At { run: at.run, ti: index(ti) })
            .collect();
        if !picked.is_empty() {
            self.clear_instances(at.run, &picked, effects);
        }
        self.settle(effects);
        let mut changed = vec![at];
        changed.extend(picked);
        Ok(self.instances(&changed))
    }

    pub(crate) fn mark_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        state: RunState,
        by: String,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        if !state.is_finished() {
            return Err(ApiError::invalid(format!("a run can be marked success or failed, not {state}")));
        }
        let position = self.run_position(dag_id, run_id)?;
        let was = self.runs[position].row.state;
        if was != state {
            self.audit("run.mark", &by, dag_id, run_id, None, Some(format!("{was} -> {state}")), effects);
            let note = format!("marked {state} by {by}");
            // As Airflow: what runs gets the run's state, what waits is skipped, teardowns do their work; the run is then
            // not over before them.
            let of_running = if state == RunState::Success { TaskState::Success } else { TaskState::Failed };
            let state_of = |ti: TaskState| match ti {
                TaskState::Running
                | TaskState::Restarting
                | TaskState::Deferred
                | TaskState::UpForReschedule
                | TaskState::AwaitingInput => of_running,
                _ => TaskState::Skipped,
            };
            if self.has_open_teardown(position) {
                self.stop_instances(position, state_of, &note, true, effects);
            } else {
                self.stop_run(position, state, state_of, note, None, effects);
            }
            self.settle(effects);
        }
        Ok(Reply::Run(Box::new((*self.runs[position].row).clone())))
    }

    pub(crate) fn instance_position(
        &self,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: &TaskId,
        map_index: i32,
    ) -> Result<At, ApiError> {
        let position = self.run_position(dag_id, run_id)?;
        let run = &self.runs[position];
        run.graph
            .task(task_id.as_str())
            .and_then(|task| run.instance(task, map_index))
            .map(|ti| At { run: position, ti })
            .ok_or_else(|| {
                let index = if map_index >= 0 { format!(" with map index {map_index}") } else { String::new() };
                ApiError::not_found(format!("the run \"{run_id}\" of \"{dag_id}\" has no task \"{task_id}\"{index}"))
            })
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one row")]
    pub(crate) fn audit(
        &self,
        event: &str,
        by: &str,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: Option<&TaskId>,
        detail: Option<String>,
        effects: &mut Effects,
    ) {
        effects.rows.audit.push(AuditEvent {
            at: self.now,
            event: event.to_owned(),
            by: by.to_owned(),
            dag_id: Some(dag_id.clone()),
            run_id: Some(run_id.clone()),
            task_id: task_id.cloned(),
            detail,
        });
    }
}

/// Whether a request to clear is about an instance of one of its tasks.
fn is_wanted(request: &ClearRequest, row: &tradewind_types::TaskInstance) -> bool {
    (!request.only_failed || is_failed(row.state))
        && (!request.only_running || matches!(row.state, TaskState::Running | TaskState::Deferred))
        && (request.map_indexes.is_empty() || request.map_indexes.contains(&row.map_index))
}

const fn is_failed(state: TaskState) -> bool {
    matches!(state, TaskState::Failed | TaskState::UpstreamFailed)
}
