//! The attempt protocol: claims and reports (leases are in `leases.rs`). Every write of a worker names its attempt and
//! carries its token; what does not fit changes nothing.

use std::sync::Arc;

use tradewind_types::{
    ApiError, AttemptKey, AttemptOutcome, AttemptReport, ClaimRefusal, Grant, LeaseToken, QueueName, TaskId, TaskState,
    TaskTry, Timestamp, WorkerName, XCOM_RETURN_KEY, XCom, XComValue,
};

use crate::{
    ClaimAnswer, ClaimOffer, ClaimRequest, Dispatch, Effects, Engine, Reply,
    deferral::trigger_queue,
    engine::plus,
    memory::{At, Due},
    retry,
};

impl Engine {
    pub(crate) fn claim(&mut self, request: &ClaimRequest, effects: &mut Effects) -> Vec<ClaimAnswer> {
        request.offers.iter().map(|offer| self.claim_one(request, *offer, effects)).collect()
    }

    fn claim_one(&mut self, request: &ClaimRequest, offer: ClaimOffer, effects: &mut Effects) -> ClaimAnswer {
        // The same token again: the answer was lost on its way.
        if let Some(&id) = self.callback_tokens.get(&offer.token) {
            return self.claim_callback(request, offer, id, effects);
        }
        if let Some(&at) = self.tokens.get(&offer.token) {
            let row = &self.runs[at.run].ti(at.ti).row;
            let same = matches!(row.state, TaskState::Running | TaskState::Deferred)
                && row.worker.as_ref() == Some(&request.worker)
                && offer.key.is_none_or(|key| key == row.key());
            if !same {
                return ClaimAnswer::Refused(ClaimRefusal::Stale);
            }
            self.renew(at);
            return ClaimAnswer::Granted(Box::new(self.grant(at, offer.token)));
        }
        let at = match offer.key {
            Some(key) => {
                if self.callbacks.contains_key(&key.ti) {
                    return self.claim_callback(request, offer, key.ti, effects);
                }
                let Some(&at) = self.tis.get(&key.ti) else {
                    return ClaimAnswer::Refused(ClaimRefusal::Unknown);
                };
                let ti = self.runs[at.run].ti(at.ti);
                let row = &ti.row;
                if !(row.state == TaskState::Queued || ti.unhosted) || row.attempt != key.attempt {
                    return ClaimAnswer::Refused(ClaimRefusal::Stale);
                }
                let queue = if ti.unhosted { &trigger_queue(&row.queue) } else { &row.queue };
                if !request.queues.contains(queue) {
                    return ClaimAnswer::Refused(ClaimRefusal::WrongQueue);
                }
                at
            }
            None if self.spent.contains_key(&offer.token) => {
                return ClaimAnswer::Refused(ClaimRefusal::Stale);
            }
            None => {
                let Some((queue, key)) = self.best_queued(&request.queues) else {
                    return ClaimAnswer::Nothing;
                };
                // Nobody popped its hint.
                effects.dispatch.push(Dispatch::Forget { queue, key });
                self.spend(offer.token);
                if self.callbacks.contains_key(&key.ti) {
                    return self.claim_callback(request, offer, key.ti, effects);
                }
                let Some(&at) = self.tis.get(&key.ti) else {
                    return ClaimAnswer::Nothing;
                };
                at
            }
        };
        if self.runs[at.run].ti(at.ti).unhosted {
            self.host(at, &request.worker, offer.token);
            return ClaimAnswer::Granted(Box::new(self.grant(at, offer.token)));
        }
        let now = self.now;
        let ti = self.runs[at.run].ti_mut(at.ti);
        ti.acked = false;
        let row = &mut ti.row;
        row.token = Some(offer.token);
        row.worker = Some(request.worker.clone());
        row.end_date = None;
        let resumes = row.deferral.is_some();
        if row.start_date.is_none() || !(resumes || row.first_poke_at.is_some()) {
            row.start_date = Some(now);
        }
        // As Airflow: a task that goes on after a wait keeps what it pushed before.
        if row.attempt > 1 && !resumes {
            row.xcom_length = None;
            effects.rows.xcoms_cleared.push(row.id);
            effects.rows.xcoms.retain(|xcom| xcom.ti != row.id);
        }
        self.set_state(at, TaskState::Running);
        self.start_lease(at);
        ClaimAnswer::Granted(Box::new(self.grant(at, offer.token)))
    }

    /// Remembers a token that named no attempt.
    fn spend(&mut self, token: LeaseToken) {
        let until = plus(self.now, self.retention());
        while let Some(&(end, old)) = self.spent_since.front()
            && end <= self.now
        {
            self.spent_since.pop_front();
            self.spent.remove(&old);
        }
        self.spent.insert(token, ());
        self.spent_since.push_back((until, token));
    }

    fn best_queued(&self, queues: &[QueueName]) -> Option<(QueueName, AttemptKey)> {
        let (_, name) = queues
            .iter()
            .filter_map(|name| Some((self.queues[*self.queue_at.get(name)? as usize].hints.first()?, name)))
            .min()?;
        let queue = &self.queues[*self.queue_at.get(name)? as usize];
        queue.hints.first().map(|(_, key)| (name.clone(), *key))
    }

    fn grant(&self, at: At, token: LeaseToken) -> Grant {
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti).row.clone();
        let (upstream_map_indexes, expanded_count) = self.mapping_of(at);
        Grant {
            token,
            lease: self.options.lease,
            should_retry: retry::is_eligible(ti.try_number, ti.max_tries),
            ti,
            run: Arc::clone(&run.row),
            version: Arc::clone(&run.graph.version),
            upstream_map_indexes,
            expanded_count,
        }
    }

    /// Sets an attempt's lease and the timer for its end.
    pub(crate) fn start_lease(&mut self, at: At) {
        self.renew(at);
        let run = &self.runs[at.run];
        let ti = run.ti(at.ti);
        let due = Due::Lease { run_no: run.row.run_no.0, ti: at.ti, attempt: ti.row.attempt };
        let until = ti.lease_until;
        self.set_timer(until, due);
    }

    /// Ends a failed attempt: up for retry if the rule allows, else failed.
    pub(crate) fn fail(
        &mut self,
        at: At,
        may_retry: bool,
        delay: Option<std::time::Duration>,
        note: Option<String>,
        effects: &mut Effects,
    ) {
        let now = self.now;
        let cap = self.options.max_retry_delay;
        let run = &mut self.runs[at.run];
        let date = run.row.logical_date;
        let task = run.ti(at.ti).task;
        let spec = &run.graph.version.spec.tasks[task as usize];
        let row = &mut run.tis[at.ti as usize].row;
        row.end_date = Some(now);
        row.note = note;
        row.deferral = None;
        if may_retry && retry::is_eligible(row.try_number, row.max_tries) {
            let delay = delay.unwrap_or_else(|| {
                retry::retry_delay(&spec.retry, row.dag_id.as_str(), row.task_id.as_str(), date, row.try_number, cap)
            });
            row.next_at = Some(plus(now, delay));
            self.keep_try(at, TaskState::Failed, effects);
            self.set_state(at, TaskState::UpForRetry);
            self.set_again_timer(at);
            // Meanwhile its trigger rule or a branch may have settled it.
            self.consider(at, effects);
        } else {
            self.set_state(at, TaskState::Failed);
        }
    }

    /// Writes the attempt that just ended to the past attempts.
    pub(crate) fn keep_try(&self, at: At, state: TaskState, effects: &mut Effects) {
        let row = &self.runs[at.run].ti(at.ti).row;
        effects.rows.tries.push(TaskTry {
            ti: row.id,
            run_no: row.run_no,
            attempt: row.attempt,
            try_number: row.try_number,
            state,
            queued_at: row.queued_at,
            start_date: row.start_date,
            end_date: row.end_date.or(Some(self.now)),
            worker: row.worker.clone(),
            note: row.note.clone(),
        });
    }

    pub(crate) fn forget_token(&mut self, at: At) {
        let ti = self.runs[at.run].ti_mut(at.ti);
        ti.row.token = None;
        ti.ended = None;
    }

    /// The instance whose running attempt `key` is, under `token`.
    pub(crate) fn current_attempt(&self, key: AttemptKey, token: LeaseToken) -> Result<At, ApiError> {
        let stale = || ApiError::stale(format!("attempt {key} is over or belongs to another worker; stop it"));
        let at = *self.tis.get(&key.ti).ok_or_else(stale)?;
        let row = &self.runs[at.run].ti(at.ti).row;
        let runs = matches!(row.state, TaskState::Running | TaskState::Deferred);
        if runs && row.attempt == key.attempt && row.token == Some(token) { Ok(at) } else { Err(stale()) }
    }

    pub(crate) fn check_attempt(&self, key: AttemptKey, token: LeaseToken) -> Result<Reply, ApiError> {
        if let Some(callback) = self.current_callback(key, token) {
            return Ok(Reply::Callback {
                callback: Box::new(callback.row.clone()),
                run: Arc::clone(&callback.run),
                version: Arc::clone(&callback.version),
            });
        }
        let at = self.current_attempt(key, token)?;
        let run = &self.runs[at.run];
        Ok(Reply::Attempt {
            ti: Box::new(run.ti(at.ti).row.clone()),
            run: Arc::clone(&run.row),
            version: Arc::clone(&run.graph.version),
        })
    }

    pub(crate) fn heartbeat(
        &mut self,
        worker: &WorkerName,
        holds: &[(AttemptKey, LeaseToken)],
        effects: &mut Effects,
    ) -> Vec<LeaseToken> {
        let mut cancel = Vec::new();
        for &(key, token) in holds {
            let held = self.tis.get(&key.ti).copied().filter(|at| {
                let row = &self.runs[at.run].ti(at.ti).row;
                row.attempt == key.attempt && row.token == Some(token)
            });
            let state = held.map(|at| self.runs[at.run].ti(at.ti).row.state);
            match (held, state) {
                (Some(at), Some(TaskState::Running | TaskState::Deferred)) => {
                    self.renew(at);
                    self.runs[at.run].ti_mut(at.ti).acked = true;
                }
                (Some(at), Some(TaskState::Restarting)) => {
                    self.runs[at.run].ti_mut(at.ti).acked = true;
                    cancel.push(token);
                }
                _ if self.renew_callback(key, token) => {}
                _ => cancel.push(token),
            }
        }
        // A restarting attempt that its worker knew and holds no more has stopped.
        let stopped: Vec<At> = self
            .restarting
            .iter()
            .copied()
            .filter(|at| {
                let ti = self.runs[at.run].ti(at.ti);
                ti.acked
                    && ti.row.worker.as_ref() == Some(worker)
                    && !holds.iter().any(|(_, token)| ti.row.token == Some(*token))
            })
            .collect();
        for at in stopped {
            self.finish_restart(at, effects);
        }
        cancel
    }

    pub(crate) fn report(&mut self, report: AttemptReport, effects: &mut Effects) -> Result<Reply, ApiError> {
        let stale = || {
            ApiError::stale(format!(
                "attempt {} is over or belongs to another worker; the report changed nothing",
                report.key
            ))
        };
        if self.callbacks.contains_key(&report.key.ti) {
            return self.report_callback(report, effects);
        }
        let at = *self.tis.get(&report.key.ti).ok_or_else(stale)?;
        let ti = self.runs[at.run].ti(at.ti);
        if ti.ended == Some((report.key.attempt, report.token)) {
            return Ok(Reply::Done);
        }
        if ti.row.attempt != report.key.attempt || ti.row.token != Some(report.token) {
            return Err(stale());
        }
        match ti.row.state {
            TaskState::Running => {}
            TaskState::Restarting => {
                self.finish_restart(at, effects);
                return Ok(Reply::Done);
            }
            TaskState::Deferred => {
                self.push_xcoms(at, report.xcoms, effects);
                self.runs[at.run].ti_mut(at.ti).ended = Some((report.key.attempt, report.token));
                self.trigger_report(at, report.outcome, effects);
                return Ok(Reply::Done);
            }
            _ => return Err(stale()),
        }
        let now = self.now;
        self.push_xcoms(at, report.xcoms, effects);
        let ti = self.runs[at.run].ti_mut(at.ti);
        ti.ended = Some((report.key.attempt, report.token));
        ti.row.worker_losses = 0;
        ti.row.end_date = Some(now);
        ti.row.note = report.note;
        if report.rendered_map_index.is_some() {
            ti.row.rendered_map_index = report.rendered_map_index;
        }
        match report.outcome {
            AttemptOutcome::Success => {
                ti.row.deferral = None;
                self.set_state(at, TaskState::Success);
                self.skip_tasks(at, &report.skip);
                self.assets_updated(at, report.asset_events, effects);
            }
            AttemptOutcome::Skipped => {
                ti.row.deferral = None;
                self.set_state(at, TaskState::Skipped);
            }
            AttemptOutcome::Failed { retry, delay } => {
                let note = self.runs[at.run].ti_mut(at.ti).row.note.take();
                self.fail(at, retry, delay, note, effects);
                if report.callbacks_due {
                    self.call_back_task(at, effects);
                }
            }
            AttemptOutcome::Reschedule { at: next_at } => {
                let row = &mut ti.row;
                row.next_at = Some(tradewind_types::truncate_micros(next_at));
                row.first_poke_at = row.first_poke_at.or(row.start_date);
                row.reschedules = row.reschedules.saturating_add(1);
                row.deferral = None;
                self.keep_try(at, TaskState::UpForReschedule, effects);
                self.set_state(at, TaskState::UpForReschedule);
                self.set_again_timer(at);
                self.consider(at, effects);
            }
            AttemptOutcome::Deferred { trigger, timeout, next_method, next_kwargs } => {
                self.defer(at, trigger, timeout, next_method, next_kwargs, effects);
            }
            AttemptOutcome::TriggerFired { .. }
            | AttemptOutcome::TriggerEnded { .. }
            | AttemptOutcome::TriggerFailed { .. } => {
                let note = Some("its worker reported the end of a trigger, which it did not run".to_owned());
                self.fail(at, true, None, note, effects);
            }
            AttemptOutcome::Released => {
                let row = &mut ti.row;
                if row.first_poke_at.is_none() {
                    row.start_date = None;
                }
                self.enqueue(at, effects);
            }
        }
        Ok(Reply::Done)
    }

    /// A branch or short circuit: the tasks that it named are skipped, and the decision is kept for when one of them is
    /// cleared alone.
    fn skip_tasks(&mut self, at: At, skip: &[(TaskId, i32)]) {
        let run = &mut self.runs[at.run];
        run.ti_mut(at.ti).row.skips = skip.to_vec();
        if skip.is_empty() {
            return;
        }
        run.skips = true;
        for (task_id, map_index) in skip {
            let run = &self.runs[at.run];
            let Some(task) = run.graph.task(task_id.as_str()) else {
                continue;
            };
            for ti in run.instances(task) {
                let skipped = At { run: at.run, ti };
                let row = &self.runs[at.run].ti(ti).row;
                if row.map_index == *map_index && matches!(row.state, TaskState::NoStatus | TaskState::Scheduled) {
                    self.settle_unrun(skipped, TaskState::Skipped);
                }
            }
        }
    }

    pub(crate) fn push_xcoms(&mut self, at: At, xcoms: Vec<XComValue>, effects: &mut Effects) {
        if let Some(value) = xcoms.iter().rfind(|xcom| xcom.key == XCOM_RETURN_KEY) {
            self.runs[at.run].ti_mut(at.ti).row.xcom_length = Some(value.mapped_length.unwrap_or(0));
            self.touch_ti(at);
        }
        let row = &self.runs[at.run].ti(at.ti).row;
        let created_at: Timestamp = self.now;
        effects.rows.xcoms.extend(xcoms.into_iter().map(|xcom| XCom {
            ti: row.id,
            run_no: row.run_no,
            task_id: row.task_id.clone(),
            map_index: row.map_index,
            key: xcom.key,
            value: xcom.value,
            object: xcom.object,
            created_at,
        }));
    }

    /// Stops an instance for good, whatever it does: its worker is told, its hint is taken back.
    pub(crate) fn stop(&mut self, at: At, to: TaskState, why: Option<String>, effects: &mut Effects) {
        let now = self.now;
        self.cancel(at, effects);
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        let was = row.state;
        // The attempts of what waits for its next try are kept already.
        if matches!(was, TaskState::UpForRetry | TaskState::UpForReschedule) {
            row.worker = None;
        }
        row.start_date.get_or_insert(now);
        row.end_date = Some(now);
        row.next_at = None;
        row.deferral = None;
        row.note = why;
        self.set_state(at, to);
        self.forget_token(at);
        self.touch_ti(at);
    }

    /// Tells the worker or the queue that an attempt is not wanted any more.
    pub(crate) fn cancel(&mut self, at: At, effects: &mut Effects) {
        let row = &self.runs[at.run].ti(at.ti).row;
        match (row.state, &row.worker, row.token) {
            (TaskState::Queued, ..) => self.forget_hint(at, effects),
            (TaskState::Running | TaskState::Restarting | TaskState::Deferred, Some(worker), Some(token)) => {
                effects.dispatch.push(Dispatch::Cancel { worker: worker.clone(), token });
            }
            (TaskState::Deferred, ..) if self.runs[at.run].ti(at.ti).unhosted => {
                effects.dispatch.push(Dispatch::Forget { queue: trigger_queue(&row.queue), key: row.key() });
            }
            _ => {}
        }
    }
}
