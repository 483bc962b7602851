//! One attempt, from its grant to its report.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tradewind_secrets::Masker;
use tradewind_types::{
    AttemptKey, AttemptOutcome, AttemptReport, LeaseToken, Operator, OutletEvent, TaskId, TaskState, Timestamp,
    XComValue,
};

use crate::{
    grant::{Granted, Work},
    guest_task,
    lease::{Control, StopReason},
    logs::TaskLog,
    native_task,
    remote::Remote,
    session::{Session, Slot},
    trigger_task,
    xcoms::LargeXComs,
};

/// How long the end of the log may take before the result is reported without it.
const LOG_PATIENCE: Duration = Duration::from_secs(5);
/// Longest note; the log has the rest.
const MAX_NOTE_BYTES: usize = 4_000;

/// How an attempt went.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: AttemptOutcome,
    pub(crate) xcoms: Vec<XComValue>,
    pub(crate) skip: Vec<(TaskId, i32)>,
    pub(crate) asset_events: Vec<OutletEvent>,
    pub(crate) rendered_map_index: Option<String>,
    pub(crate) callbacks_due: bool,
    pub(crate) note: Option<String>,
}

impl Verdict {
    pub(crate) fn of(outcome: AttemptOutcome) -> Self {
        Self {
            outcome,
            xcoms: Vec::new(),
            skip: Vec::new(),
            asset_events: Vec::new(),
            rendered_map_index: None,
            callbacks_due: false,
            note: None,
        }
    }

    /// A failure with its reason.
    pub(crate) fn failed(retry: bool, note: impl Into<String>) -> Self {
        let mut verdict = Self::of(AttemptOutcome::Failed { retry, delay: None });
        verdict.note = Some(note.into());
        verdict
    }
}

/// What a running attempt has at hand.
pub(crate) struct Running {
    pub(crate) session: Arc<Session>,
    pub(crate) key: AttemptKey,
    pub(crate) control: Control,
    pub(crate) remote: Remote,
    pub(crate) log: TaskLog,
    pub(crate) xcoms: LargeXComs,
}

/// Takes a grant over. `sent` is when its offer went out: the lease counts from there.
pub(crate) fn start(session: &Arc<Session>, granted: Granted, slot: Slot, sent: Instant) {
    let Granted { key, token, lease, work } = granted;
    let control = Control::new();
    session.leases.insert(key, token, sent, lease, control.clone());
    if session.draining.is_cancelled() {
        let verdict = Verdict::of(AttemptOutcome::Released);
        return session.end(report(key, token, verdict), slot);
    }
    let work = match work {
        Ok(work) => work,
        Err(error) => {
            tracing::error!(attempt = %key, %error, "a grant makes no sense");
            let note =
                format!("this worker does not understand what the scheduler sent ({error}); are both of one version?");
            return session.end(report(key, token, Verdict::failed(true, note)), slot);
        }
    };
    let session = Arc::clone(session);
    tokio::spawn(async move { run(session, key, token, control, work, slot).await });
}

async fn run(session: Arc<Session>, key: AttemptKey, token: LeaseToken, control: Control, work: Work, slot: Slot) {
    let running = Running::new(session, key, token, control);
    let verdict = AssertUnwindSafe(dispatch(&running, &work)).catch_unwind().await;
    running.end(token, verdict, slot).await;
}

impl Running {
    pub(crate) fn new(session: Arc<Session>, key: AttemptKey, token: LeaseToken, control: Control) -> Self {
        let terms = session.terms();
        let remote =
            Remote::new(session.client.clone(), key, token, control.clone(), terms.lease * 2, session.lost_grace());
        let log = TaskLog::new(remote.clone(), Masker::default());
        let xcoms = LargeXComs::new(&session.settings, terms.xcom_max_bytes);
        Self { session, key, control, remote, log, xcoms }
    }

    /// Hands the verdict in; `None` when nobody wants one. A defect of ours must end the attempt, too: its lease would
    /// otherwise be renewed for ever.
    pub(crate) async fn end(self, token: LeaseToken, verdict: std::thread::Result<Option<Verdict>>, slot: Slot) {
        let Self { session, key, control, log, .. } = self;
        let verdict = verdict.unwrap_or_else(|_| {
            tracing::error!(attempt = %key, "the worker failed while it ran an attempt");
            Some(Verdict::failed(true, "the worker failed while it ran this task; its own log has the details"))
        });
        let Some(mut verdict) = verdict else {
            tracing::info!(attempt = %key, reason = ?control.reason(), "an attempt was stopped; nothing is reported");
            log.finish(LOG_PATIENCE).await;
            session.leases.book().remove(token);
            return;
        };
        if let Some(note) = &mut verdict.note {
            let hidden = log.masker().mask(note).into_owned();
            *note = shortened(hidden);
            let level = match verdict.outcome {
                AttemptOutcome::Failed { .. } | AttemptOutcome::TriggerFailed { .. } => "error",
                _ => "info",
            };
            log.remark(level, note.clone()).await;
        }
        log.finish(LOG_PATIENCE).await;
        session.end(report(key, token, verdict), slot);
    }
}

/// Runs the operator. `None` when nobody wants a report.
async fn dispatch(running: &Running, work: &Work) -> Option<Verdict> {
    if work.ti.state == TaskState::Deferred {
        return trigger_task::run(running, work).await;
    }
    match &work.task.operator {
        Operator::Empty => Some(Verdict::of(AttemptOutcome::Success)),
        Operator::Native(operator) => native_task::run(running, work, operator).await,
        Operator::Python { .. } => guest_task::run(running, work).await,
    }
}

/// The verdict on an attempt that was stopped from outside; `None` when nobody wants one.
pub(crate) fn stopped(reason: Option<StopReason>, timeout: Option<Duration>) -> Option<Verdict> {
    match reason {
        Some(StopReason::Cancelled | StopReason::LeaseLost) => None,
        Some(StopReason::TimedOut) => {
            let limit = timeout.unwrap_or_default().as_secs_f64();
            Some(Verdict::failed(true, format!("the task ran longer than its execution_timeout of {limit} s")))
        }
        Some(StopReason::Drained) => {
            let mut verdict = Verdict::of(AttemptOutcome::Released);
            verdict.note = Some("the worker drained before the task was done; the task is queued again".to_owned());
            Some(verdict)
        }
        None => Some(Verdict::failed(true, "the task was stopped")),
    }
}

pub(crate) fn report(key: AttemptKey, token: LeaseToken, verdict: Verdict) -> AttemptReport {
    AttemptReport {
        key,
        token,
        outcome: verdict.outcome,
        xcoms: verdict.xcoms,
        skip: verdict.skip,
        asset_events: verdict.asset_events,
        rendered_map_index: verdict.rendered_map_index,
        callbacks_due: verdict.callbacks_due,
        note: verdict.note,
        ended_at: Timestamp::now(),
    }
}

fn shortened(mut note: String) -> String {
    if note.len() > MAX_NOTE_BYTES {
        let end = (0..=MAX_NOTE_BYTES).rev().find(|at| note.is_char_boundary(*at));
        note.truncate(end.unwrap_or(0));
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_end_in_the_gentlest_sound_way() {
        assert!(stopped(Some(StopReason::Cancelled), None).is_none());
        assert!(stopped(Some(StopReason::LeaseLost), None).is_none());
        let drained = stopped(Some(StopReason::Drained), None).map(|verdict| verdict.outcome);
        assert_eq!(drained, Some(AttemptOutcome::Released));
        let late = stopped(Some(StopReason::TimedOut), Some(Duration::from_secs(5)));
        let late = late.expect("a verdict");
        assert!(matches!(late.outcome, AttemptOutcome::Failed { retry: true, .. }));
        assert!(late.note.is_some_and(|note| note.contains("execution_timeout of 5 s")));
    }

    #[test]
    fn notes_are_cut_between_characters() {
        let note = shortened("é".repeat(MAX_NOTE_BYTES));
        assert!(note.len() <= MAX_NOTE_BYTES + '…'.len_utf8());
        assert!(note.ends_with("é…"));
    }
}
