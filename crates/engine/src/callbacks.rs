//! Callbacks that workers run: of DAG runs, of task instances whose worker was lost, of deadlines. Each is a row with the
//! protocol of an attempt: a hint, a claim, a lease, a report.

use std::sync::Arc;

use tradewind_types::{
    ApiError, AttemptKey, AttemptOutcome, AttemptReport, Callback, CallbackGrant, CallbackKind, CallbackState as State,
    ClaimRefusal, DEFAULT_QUEUE, DagRun, DagVersion, DeadlineReference, Hint, LeaseToken, QueueName, RunState, TaskId,
    TaskState, TiId, Timestamp, WorkerName, hint_score,
};

use crate::{
    ClaimAnswer, ClaimOffer, ClaimRequest, Dispatch, Effects, Engine, Reply,
    engine::plus,
    memory::{At, Due},
};

/// A callback in memory.
#[derive(Debug)]
pub(crate) struct CallbackState {
    pub(crate) row: Callback,
    pub(crate) run: Arc<DagRun>,
    pub(crate) version: Arc<DagVersion>,
    lease_until: Timestamp,
}

impl Engine {
    /// A callback of a whole run: its state was decided.
    pub(crate) fn call_back_run(&mut self, position: u32, state: RunState, reason: &str, effects: &mut Effects) {
        let run = &self.runs[position];
        let spec = &run.graph.version.spec;
        let kind = match state {
            RunState::Success if spec.on_success_callback => CallbackKind::DagSuccess,
            RunState::Failed if spec.on_failure_callback => CallbackKind::DagFailure,
            _ => return,
        };
        self.make_callback(position, kind, None, Some(reason.to_owned()), serde_json::Value::Null, effects);
    }

    /// A callback of a task instance that failed or is tried again, and whose process could not run it.
    pub(crate) fn call_back_task(&mut self, at: At, effects: &mut Effects) {
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let spec = run.graph.spec(ti.task);
        let kind = match ti.row.state {
            TaskState::Failed if spec.on_failure_callback => CallbackKind::TaskFailure,
            TaskState::UpForRetry if spec.on_retry_callback => CallbackKind::TaskRetry,
            _ => return,
        };
        let task = (ti.row.task_id.clone(), ti.row.map_index, ti.row.try_number);
        let reason = ti.row.note.clone();
        self.make_callback(at.run, kind, Some(task), reason, serde_json::Value::Null, effects);
    }

    fn make_callback(
        &mut self,
        position: u32,
        kind: CallbackKind,
        task: Option<(TaskId, i32, u32)>,
        reason: Option<String>,
        spec: serde_json::Value,
        effects: &mut Effects,
    ) {
        let run = &self.runs[position];
        let now = self.now;
        let about = task.as_ref().map_or_else(String::new, |(task, map_index, _)| format!("{task}/{map_index}"));
        // A callback of one kind is made once at an instant, so that its id need not be drawn.
        let name = TaskId::from(format!("callback/{kind}/{about}/{}/{spec}", now.as_microsecond()));
        let first = run.graph.version.spec.tasks.first();
        let of_task = task.as_ref().and_then(|(task_id, ..)| run.graph.version.spec.task(task_id.as_str()));
        let queue = of_task.or(first).map_or_else(|| QueueName::from(DEFAULT_QUEUE), |task| task.queue.clone());
        let row = Callback {
            id: TiId::derive(run.row.run_no, &name, 0),
            run_no: run.row.run_no,
            dag_id: run.row.dag_id.clone(),
            run_id: run.row.run_id.clone(),
            kind,
            task,
            reason,
            spec,
            queue,
            state: State::Queued,
            attempt: 0,
            worker: None,
            token: None,
            created_at: now,
            start_date: None,
            end_date: None,
            note: None,
        };
        let entry =
            CallbackState { run: Arc::clone(&run.row), version: Arc::clone(&run.graph.version), lease_until: now, row };
        let id = entry.row.id;
        self.callbacks.insert(id, entry);
        self.offer_callback(id, effects);
    }

    /// Takes a callback into memory as the store has it.
    pub(crate) fn restore_callback(&mut self, row: Callback, run: DagRun, version: Arc<DagVersion>) {
        let (id, state, token) = (row.id, row.state, row.token);
        let now = self.now;
        self.callbacks.insert(id, CallbackState { row, run: Arc::new(run), version, lease_until: now });
        match (state, token) {
            (State::Running, Some(token)) => {
                self.callback_tokens.insert(token, id);
                self.lease_callback(id);
            }
            _ => self.list_callback(id),
        }
    }

    fn list_callback(&mut self, id: TiId) {
        let row = &self.callbacks[&id].row;
        let (key, at, name) = (row.key(), row.created_at, row.queue.clone());
        let queue = self.queue(&name);
        self.queues[queue as usize].insert(hint_score(at, 0), key, at);
    }

    /// Numbers a callback anew and puts it in its queue.
    fn offer_callback(&mut self, id: TiId, effects: &mut Effects) {
        let Some(entry) = self.callbacks.get_mut(&id) else { return };
        let row = &mut entry.row;
        row.attempt = row.attempt.saturating_add(1);
        row.state = State::Queued;
        row.token = None;
        row.worker = None;
        let hint = Hint { queue: row.queue.clone(), key: row.key(), score: hint_score(row.created_at, 0) };
        effects.rows.callbacks.insert(id, row.clone());
        effects.dispatch.push(Dispatch::Push(hint));
        self.list_callback(id);
    }

    /// Answers an offer for a callback, if the key or token is one's.
    pub(crate) fn claim_callback(
        &mut self,
        request: &ClaimRequest,
        offer: ClaimOffer,
        id: TiId,
        effects: &mut Effects,
    ) -> ClaimAnswer {
        let stale = ClaimAnswer::Refused(ClaimRefusal::Stale);
        let now = self.now;
        let Some(entry) = self.callbacks.get_mut(&id) else {
            return ClaimAnswer::Refused(ClaimRefusal::Unknown);
        };
        let row = &mut entry.row;
        if row.state == State::Running {
            // The same token again: the answer was lost on its way.
            if row.token != Some(offer.token) || row.worker.as_ref() != Some(&request.worker) {
                return stale;
            }
        } else {
            if offer.key.is_some_and(|key| key != row.key()) {
                return stale;
            }
            if !request.queues.contains(&row.queue) {
                return ClaimAnswer::Refused(ClaimRefusal::WrongQueue);
            }
            let (key, score, name) = (row.key(), hint_score(row.created_at, 0), row.queue.clone());
            row.state = State::Running;
            row.token = Some(offer.token);
            row.worker = Some(request.worker.clone());
            row.start_date = Some(now);
            effects.rows.callbacks.insert(id, row.clone());
            let queue = self.queue(&name);
            self.queues[queue as usize].remove(score, key);
            self.callback_tokens.insert(offer.token, id);
        }
        self.lease_callback(id);
        let entry = &self.callbacks[&id];
        ClaimAnswer::Callback(Box::new(CallbackGrant {
            token: offer.token,
            lease: self.options.lease,
            callback: entry.row.clone(),
            run: Arc::clone(&entry.run),
            version: Arc::clone(&entry.version),
        }))
    }

    fn lease_callback(&mut self, id: TiId) {
        let until = plus(self.now, self.options.lease);
        let Some(entry) = self.callbacks.get_mut(&id) else { return };
        entry.lease_until = until;
        let attempt = entry.row.attempt;
        self.set_timer(until, Due::CallbackLease { id, attempt });
    }

    /// Renews the lease of a callback that a worker names in a heartbeat; `false` when it must stop it.
    pub(crate) fn renew_callback(&mut self, key: AttemptKey, token: LeaseToken) -> bool {
        let until = plus(self.now, self.options.lease);
        match self.callbacks.get_mut(&key.ti) {
            Some(entry) if entry.row.state == State::Running && entry.row.token == Some(token) => {
                entry.lease_until = until;
                true
            }
            _ => false,
        }
    }

    /// When the lease of a running callback's attempt runs out.
    pub(crate) fn callback_lease(&self, id: TiId, attempt: u32) -> Option<Timestamp> {
        let entry = self.callbacks.get(&id)?;
        (entry.row.state == State::Running && entry.row.attempt == attempt).then_some(entry.lease_until)
    }

    pub(crate) fn callback_lease_due(&mut self, id: TiId, attempt: u32, effects: &mut Effects) {
        match self.callback_lease(id, attempt) {
            Some(until) if until > self.now => self.set_timer(until, Due::CallbackLease { id, attempt }),
            Some(_) => self.callback_lost(id, effects),
            None => {}
        }
    }

    /// The callbacks that a worker runs.
    pub(crate) fn callbacks_of(&self, worker: &WorkerName) -> Vec<TiId> {
        let mut found: Vec<TiId> = self
            .callback_tokens
            .values()
            .copied()
            .filter(|id| self.callbacks.get(id).is_some_and(|entry| entry.row.worker.as_ref() == Some(worker)))
            .collect();
        found.sort();
        found
    }

    /// The worker of a callback is lost: it runs again, a few times.
    pub(crate) fn callback_lost(&mut self, id: TiId, effects: &mut Effects) {
        let limit = self.options.max_worker_losses;
        let Some(entry) = self.callbacks.get(&id) else { return };
        if entry.row.attempt >= limit {
            let why = format!("{limit} workers in a row were lost with it");
            return self.end_callback(id, State::Failed, Some(why), effects);
        }
        if let Some(token) = entry.row.token {
            self.callback_tokens.remove(&token);
        }
        self.offer_callback(id, effects);
    }

    pub(crate) fn report_callback(&mut self, report: AttemptReport, effects: &mut Effects) -> Result<Reply, ApiError> {
        let stale = || ApiError::stale(format!("callback {} is over or belongs to another worker", report.key));
        let entry = self.callbacks.get(&report.key.ti).ok_or_else(stale)?;
        if entry.row.key() != report.key || entry.row.token != Some(report.token) {
            return Err(stale());
        }
        match report.outcome {
            AttemptOutcome::Released => {
                self.callback_tokens.remove(&report.token);
                self.offer_callback(report.key.ti, effects);
            }
            AttemptOutcome::Success => self.end_callback(report.key.ti, State::Success, report.note, effects),
            _ => self.end_callback(report.key.ti, State::Failed, report.note, effects),
        }
        Ok(Reply::Done)
    }

    fn end_callback(&mut self, id: TiId, state: State, note: Option<String>, effects: &mut Effects) {
        let Some(mut entry) = self.callbacks.remove(&id) else { return };
        if let Some(token) = entry.row.token {
            self.callback_tokens.remove(&token);
        }
        entry.row.state = state;
        entry.row.note = note;
        entry.row.end_date = Some(self.now);
        effects.rows.callbacks.insert(id, entry.row);
    }

    /// The run that a running callback is about, if `token` is its current one.
    pub(crate) fn current_callback(&self, key: AttemptKey, token: LeaseToken) -> Option<&CallbackState> {
        let entry = self.callbacks.get(&key.ti)?;
        (entry.row.key() == key && entry.row.token == Some(token)).then_some(entry)
    }

    /// Sets the timers of a run's deadlines.
    pub(crate) fn set_deadlines(&mut self, position: u32) {
        let run = &self.runs[position];
        let mut timers = Vec::new();
        for (place, deadline) in run.graph.version.spec.deadlines.iter().enumerate().take(32) {
            let place = crate::graph::index(place);
            if run.row.missed_deadlines & (1 << place) != 0 {
                continue;
            }
            if let Some(at) = self.deadline_of(position, &deadline.reference, deadline.interval_micros) {
                timers.push((at, Due::Deadline { run_no: run.row.run_no.0, place }));
            }
        }
        for (at, due) in timers {
            self.set_timer(at, due);
        }
    }

    fn deadline_of(&self, position: u32, reference: &DeadlineReference, interval: i64) -> Option<Timestamp> {
        let run = &self.runs[position];
        let from = match reference {
            DeadlineReference::LogicalDate => run.row.logical_date?,
            DeadlineReference::QueuedAt => run.row.queued_at,
            DeadlineReference::Fixed { at } => *at,
            DeadlineReference::AverageRuntime { max_runs, min_runs } => {
                let runtimes = &self.dags[run.dag as usize].row.runtimes;
                let last: Vec<i64> = runtimes.iter().rev().take(*max_runs as usize).copied().collect();
                if last.is_empty() || last.len() < *min_runs as usize {
                    return None;
                }
                let average = last.iter().sum::<i64>() / i64::try_from(last.len()).ok()?;
                run.row.queued_at.checked_add(jiff::SignedDuration::from_micros(average)).ok()?
            }
        };
        from.checked_add(jiff::SignedDuration::from_micros(interval)).ok().map(tradewind_types::truncate_micros)
    }

    /// Whether the timer of a deadline is right: the run may have been cleared since, which moves it.
    pub(crate) fn deadline_stands(&self, position: u32, place: u32, at: Timestamp) -> bool {
        let Some(deadline) = self.runs[position].graph.version.spec.deadlines.get(place as usize) else { return false };
        // An average moves with every run; it stays as it was when the run was queued.
        let moved = !matches!(deadline.reference, DeadlineReference::AverageRuntime { .. })
            && self.deadline_of(position, &deadline.reference, deadline.interval_micros) != Some(at);
        !moved && self.deadline_due(position, place)
    }

    /// Whether a run can still miss a deadline.
    pub(crate) fn deadline_due(&self, run: u32, place: u32) -> bool {
        let run = &self.runs[run];
        !run.row.state.is_finished() && run.row.missed_deadlines & (1 << place) == 0
    }

    /// A run is not over by its deadline: its callback runs, once.
    pub(crate) fn miss_deadline(&mut self, position: u32, place: u32, effects: &mut Effects) {
        if !self.deadline_due(position, place) {
            return;
        }
        let run = &mut self.runs[position];
        let Some(deadline) = run.graph.version.spec.deadlines.get(place as usize) else { return };
        let spec = deadline.callback.clone();
        let name = deadline.name.clone().unwrap_or_else(|| format!("deadline {}", place + 1));
        Arc::make_mut(&mut run.row).missed_deadlines |= 1 << place;
        self.touch_run(position);
        let reason = format!("{name} was missed");
        self.make_callback(position, CallbackKind::Deadline, None, Some(reason), spec, effects);
    }
}
