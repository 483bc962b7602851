//! Waiting without a slot: a task instance that handed itself over to a trigger, a time or a person, and how it goes on
//! (semantics E2, Airflow `models/trigger.py`, `TaskInstance.defer_task`).
//!
//! A trigger that a guest must run is offered to the trigger hosts of workers as a hint in the queue `<queue>.triggers`. A
//! host claims it like an attempt and holds a lease on it; a lost host's triggers are offered again.

use std::time::Duration;

use tradewind_types::{
    AttemptKey, AttemptOutcome, Deferral, Hint, LeaseToken, QueueName, Resume, TaskState, Timestamp, Trigger,
    WorkerName, hint_score,
};

use crate::{
    Dispatch, Effects, Engine,
    engine::{just_after, plus},
    memory::{At, Due},
};

/// The queue in which the triggers of a queue's tasks are offered.
pub(crate) fn trigger_queue(queue: &QueueName) -> QueueName {
    QueueName::from(format!("{queue}.triggers"))
}

impl Engine {
    /// A running attempt, or a task that starts in its trigger, begins to wait.
    pub(crate) fn defer(
        &mut self,
        at: At,
        trigger: Trigger,
        timeout: Option<Duration>,
        next_method: String,
        next_kwargs: serde_json::Value,
        effects: &mut Effects,
    ) {
        let now = self.now;
        let waits_for_person = trigger == Trigger::Input;
        let mut timeout_at = timeout.map(|timeout| plus(now, timeout));
        if self.options.execution_timeout_spans_deferral {
            let run = &self.runs[at.run];
            let ti = run.ti(at.ti);
            let limit = run.graph.spec(ti.task).execution_timeout;
            let ends = limit.map(|limit| plus(ti.row.start_date.unwrap_or(now), limit));
            timeout_at = timeout_at.into_iter().chain(ends).min();
        }
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.deferral = Some(Box::new(Deferral { trigger, timeout_at, next_method, next_kwargs, resume: None }));
        let came_from_worker = row.state == TaskState::Running;
        if came_from_worker {
            self.keep_try(at, TaskState::Deferred, effects);
        }
        self.set_state(at, if waits_for_person { TaskState::AwaitingInput } else { TaskState::Deferred });
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.end_date = None;
        row.token = None;
        row.worker = None;
        self.offer_trigger(at, effects);
        if let Some(due) = self.wait_ends(at)
            && due <= now
        {
            self.wait_due(at, effects);
        }
    }

    /// Numbers the wait anew, and offers its trigger to hosts where one is needed.
    fn offer_trigger(&mut self, at: At, effects: &mut Effects) {
        let now = self.now;
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.attempt = row.attempt.saturating_add(1);
        let hosted = row.deferral.as_ref().is_some_and(|deferral| matches!(deferral.trigger, Trigger::Hosted { .. }));
        if hosted {
            row.queued_at = Some(now);
            self.list_trigger(at);
            let row = &self.runs[at.run].ti(at.ti).row;
            let score = hint_score(now, row.priority_weight);
            effects.dispatch.push(Dispatch::Push(Hint { queue: trigger_queue(&row.queue), key: row.key(), score }));
        }
        self.touch_ti(at);
        // Timers name the attempt, which is a new one.
        self.set_wait_timer(at);
    }

    /// Puts a deferred instance in its trigger queue.
    pub(crate) fn list_trigger(&mut self, at: At) {
        let ti = self.runs[at.run].ti_mut(at.ti);
        ti.unhosted = true;
        let row = &ti.row;
        let (key, queued_at) = (row.key(), row.queued_at.unwrap_or(self.now));
        let score = hint_score(queued_at, row.priority_weight);
        let name = trigger_queue(&row.queue);
        let queue = self.queue(&name);
        self.queues[queue as usize].insert(score, key, queued_at);
    }

    /// Takes a deferred instance out of its trigger queue.
    fn unlist_trigger(&mut self, at: At) -> Option<(QueueName, AttemptKey)> {
        let ti = self.runs[at.run].ti_mut(at.ti);
        if !std::mem::replace(&mut ti.unhosted, false) {
            return None;
        }
        let row = &ti.row;
        let key = row.key();
        let score = hint_score(row.queued_at.unwrap_or(self.now), row.priority_weight);
        let name = trigger_queue(&row.queue);
        let queue = self.queue(&name);
        self.queues[queue as usize].remove(score, key);
        Some((name, key))
    }

    /// A deferred instance goes on: its trigger is neither offered nor hosted any more.
    pub(crate) fn leave_host(&mut self, at: At) {
        self.unlist_trigger(at);
        let ti = self.runs[at.run].ti(at.ti);
        if let Some(token) = ti.row.token {
            self.tokens.remove(&token);
        }
    }

    /// A trigger host takes a trigger.
    pub(crate) fn host(&mut self, at: At, worker: &WorkerName, token: LeaseToken) {
        self.unlist_trigger(at);
        let ti = self.runs[at.run].ti_mut(at.ti);
        ti.acked = false;
        ti.row.token = Some(token);
        ti.row.worker = Some(worker.clone());
        self.tokens.insert(token, at);
        self.start_lease(at);
        self.touch_ti(at);
    }

    /// The host of a trigger is lost: another may take it.
    pub(crate) fn host_lost(&mut self, at: At, effects: &mut Effects) {
        let limit = self.options.max_worker_losses;
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.worker_losses = row.worker_losses.saturating_add(1);
        if row.worker_losses >= limit {
            let error = format!("Trigger failure: {} hosts in a row were lost with it", row.worker_losses);
            return self.resume(at, Resume::Failed { error, traceback: Vec::new() }, effects);
        }
        self.unhost(at, effects);
    }

    /// A trigger that a host holds is offered again.
    fn unhost(&mut self, at: At, effects: &mut Effects) {
        self.leave_host(at);
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.token = None;
        row.worker = None;
        self.offer_trigger(at, effects);
    }

    /// What the host of a trigger reports.
    pub(crate) fn trigger_report(&mut self, at: At, outcome: AttemptOutcome, effects: &mut Effects) {
        match outcome {
            AttemptOutcome::TriggerFired { event } => self.resume(at, Resume::Event { event }, effects),
            AttemptOutcome::TriggerEnded { state } => self.end_from_trigger(at, state, effects),
            AttemptOutcome::TriggerFailed { error, traceback } => {
                self.resume(at, Resume::Failed { error, traceback }, effects);
            }
            // It drains, or its process ended under it.
            _ => self.unhost(at, effects),
        }
    }

    /// The trigger decided the task instance itself (`TaskSuccessEvent` and its like): no retry, as in Airflow.
    fn end_from_trigger(&mut self, at: At, state: TaskState, effects: &mut Effects) {
        let now = self.now;
        let state = if matches!(state, TaskState::Success | TaskState::Skipped) { state } else { TaskState::Failed };
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.end_date = Some(now);
        row.next_at = None;
        row.deferral = None;
        self.set_state(at, state);
        self.runs[at.run].ti_mut(at.ti).row.token = None;
        if state == TaskState::Failed {
            self.call_back_task(at, effects);
        }
    }

    /// The wait is over: the task goes on, in the same try.
    pub(crate) fn resume(&mut self, at: At, how: Resume, _effects: &mut Effects) {
        let now = self.now;
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        if let Some(deferral) = &mut row.deferral {
            deferral.resume = Some(how);
        }
        row.scheduled_at = Some(now);
        row.next_at = None;
        self.set_state(at, TaskState::Scheduled);
        let row = &mut self.runs[at.run].ti_mut(at.ti).row;
        row.token = None;
        row.worker = None;
    }

    /// When a wait ends by time: its moment, or its timeout.
    pub(crate) fn wait_ends(&self, at: At) -> Option<Timestamp> {
        let deferral = self.runs[at.run].ti(at.ti).row.deferral.as_ref()?;
        let moment = match &deferral.trigger {
            Trigger::At { at, .. } => Some(tradewind_types::truncate_micros(*at)),
            _ => None,
        };
        let timeout = deferral.timeout_at.map(just_after);
        match (moment, timeout) {
            (Some(moment), Some(timeout)) => Some(moment.min(timeout)),
            (moment, timeout) => moment.or(timeout),
        }
    }

    /// Sets the timer for the end of a wait.
    pub(crate) fn set_wait_timer(&mut self, at: At) {
        let run_no = self.runs[at.run].row.run_no.0;
        let attempt = self.runs[at.run].ti(at.ti).row.attempt;
        if let Some(when) = self.wait_ends(at) {
            self.set_timer(when, Due::Wait { run_no, ti: at.ti, attempt });
        }
    }

    /// A wait's timer came up.
    pub(crate) fn wait_due(&mut self, at: At, effects: &mut Effects) {
        let now = self.now;
        let row = &self.runs[at.run].ti(at.ti).row;
        let waits = matches!(row.state, TaskState::Deferred | TaskState::AwaitingInput);
        let Some(deferral) = row.deferral.as_deref().filter(|_| waits) else { return };
        if let Trigger::At { at: moment, event, end } = &deferral.trigger
            && tradewind_types::truncate_micros(*moment) <= now
        {
            let (event, end) = (event.clone(), *end);
            match end {
                Some(state) => self.end_from_trigger(at, state, effects),
                None => self.resume(at, Resume::Event { event }, effects),
            }
            return;
        }
        if deferral.timeout_at.is_some_and(|timeout| timeout < now) {
            if row.state == TaskState::AwaitingInput {
                return self.nobody_answered(at, effects);
            }
            self.cancel(at, effects);
            let error = "Trigger timeout".to_owned();
            self.resume(at, Resume::Failed { error, traceback: Vec::new() }, effects);
        }
    }
}
