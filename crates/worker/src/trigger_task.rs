//! A trigger on this worker: the wait of a deferred task instance.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tradewind_environments::Prepared;
use tradewind_guest::{GuestError, StopReason as GuestStop, TaskControl, TriggerEnd, TriggerLaunch};
use tradewind_types::{AttemptOutcome, TaskState, Trigger};

use crate::{
    attempt::{Running, Verdict},
    bundle::BundleRef,
    grant::Work,
    guest_task,
    host::Host,
    lease::{Control, StopReason},
    session::Session,
};

/// What a task is told of a trigger that failed, as Airflow's `TriggerFailureReason.TRIGGER_FAILURE`.
const TRIGGER_FAILURE: &str = "Trigger failure";
/// How often a trigger is started again whose process died without its doing.
const STARTS: u32 = 5;
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(200);

/// Counts a trigger among those that run.
struct Counted<'a>(&'a Session);

impl<'a> Counted<'a> {
    fn new(session: &'a Session) -> Self {
        session.triggers.fetch_add(1, Ordering::AcqRel);
        Self(session)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.triggers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits for it. `None` when nobody wants a report.
pub(crate) async fn run(running: &Running, work: &Work) -> Option<Verdict> {
    let session = &running.session;
    let _counted = Counted::new(session);
    let Some(Trigger::Hosted { class, kwargs }) = work.ti.deferral.as_ref().map(|deferral| &deferral.trigger) else {
        return Some(failed("the task instance waits for nothing that a worker could run".to_owned(), Vec::new()));
    };
    let trigger = work.ti.deferral.as_ref().map(|deferral| &deferral.trigger);
    // A task that starts in its trigger: no worker has rendered its templates.
    let template = work.task.start_trigger.as_ref().is_some_and(|start| Some(&start.trigger) == trigger);
    let host = Arc::new(Host::new(running, work));
    let environment = match environment(running, work).await {
        Ok(environment) => environment,
        Err(Stop::Stopped) => return stopped(running.control.reason()),
        Err(Stop::Failed(why)) => return Some(failed(why, Vec::new())),
    };
    let environment = environment.as_ref();
    let mut losses = 0;
    loop {
        let in_bundle = template || session.trigger_hosts.is_of_bundle(environment, class);
        let bundle = match bundle(running, work, in_bundle).await {
            Ok(bundle) => bundle,
            Err(Stop::Stopped) => return stopped(running.control.reason()),
            Err(Stop::Failed(why)) => return Some(failed(why, Vec::new())),
        };
        let process = match session.trigger_hosts.get(session, environment, bundle.as_ref()).await {
            Ok(process) => process,
            Err(GuestError::ZygoteLost(_)) if losses < STARTS => {
                losses += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Some(failed(guest_task::no_python(&error, environment), Vec::new())),
        };
        let launch = TriggerLaunch {
            about: guest_task::launch(running, work, bundle.as_ref()),
            class: class.clone(),
            kwargs: kwargs.clone(),
            timeout_at: work.ti.deferral.as_ref().and_then(|deferral| deferral.timeout_at),
            template,
        };
        let (stopper, control) = TaskControl::new();
        let end = tokio::select! {
            end = process.run(launch, host.clone(), control) => end,
            never = forward(&running.control, session, stopper) => never,
        };
        match end {
            TriggerEnd::Failed { made: false, .. } if bundle.is_none() && work.bundle.is_some() => {
                session.trigger_hosts.note_of_bundle(environment, class);
            }
            TriggerEnd::Lost { reason, culprit: false } if losses < STARTS => {
                losses += 1;
                tracing::warn!(attempt = %running.key, reason, "a trigger process is gone; the trigger starts again");
                running
                    .log
                    .remark("warning", format!("the process of the trigger is gone ({reason}); it starts again"))
                    .await;
                tokio::time::sleep(PAUSE).await;
            }
            end => return verdict(running, work, &host, end).await,
        }
    }
}

enum Stop {
    Stopped,
    Failed(String),
}

/// The DAG's own environment, where it has one.
async fn environment(running: &Running, work: &Work) -> Result<Option<Arc<Prepared>>, Stop> {
    if work.environment.is_none() {
        return Ok(None);
    }
    let bundle = bundle(running, work, true).await?;
    tokio::select! {
        _ = running.control.signal().requested() => Err(Stop::Stopped),
        environment = guest_task::environment(running, work.environment.as_ref(), bundle.as_ref()) => {
            environment.map_err(Stop::Failed)
        }
    }
}

/// The bundle of the DAG version, where the trigger needs it.
async fn bundle(running: &Running, work: &Work, needed: bool) -> Result<Option<BundleRef>, Stop> {
    let Some(hash) = work.bundle.as_ref().filter(|_| needed) else {
        return Ok(None);
    };
    tokio::select! {
        _ = running.control.signal().requested() => Err(Stop::Stopped),
        bundle = running.session.bundles.get(hash) => match bundle {
            Ok(bundle) => Ok(Some(bundle)),
            Err(error) => Err(Stop::Failed(format!("the DAG's files could not be fetched: {error}"))),
        },
    }
}

/// Passes stops on. A drain releases triggers at once: another worker can go on with them, and they may wait for days.
async fn forward(control: &Control, session: &Session, stopper: tradewind_guest::TaskStopper) -> TriggerEnd {
    let grace = tokio::select! {
        grace = control.signal().requested() => grace,
        () = session.draining.cancelled() => {
            control.stop(StopReason::Drained, session.settings.kill_grace);
            session.settings.kill_grace
        }
    };
    let reason = match control.reason() {
        Some(StopReason::Drained) => GuestStop::Shutdown,
        Some(StopReason::LeaseLost) => GuestStop::LeaseLost,
        Some(StopReason::Cancelled | StopReason::TimedOut) | None => GuestStop::Cancelled,
    };
    stopper.stop(reason, grace);
    std::future::pending().await
}

async fn verdict(running: &Running, work: &Work, host: &Host, end: TriggerEnd) -> Option<Verdict> {
    let reason = running.control.reason();
    let mut verdict = match end {
        TriggerEnd::Fired { event } => Verdict::of(AttemptOutcome::TriggerFired { event }),
        TriggerEnd::Ended { state, xcoms } => {
            let state = match state.as_str() {
                "success" => TaskState::Success,
                "skipped" => TaskState::Skipped,
                _ => TaskState::Failed,
            };
            let mut verdict = Verdict::of(AttemptOutcome::TriggerEnded { state });
            for (key, value) in xcoms {
                let length = crate::native_task::mapped_length(&value);
                match running.xcoms.stow(&work.ti, &key, value, length).await {
                    Ok(value) => verdict.xcoms.push(value),
                    Err(error) => return Some(failed(error.message, Vec::new())),
                }
            }
            verdict
        }
        TriggerEnd::Failed { summary, traceback, .. } => failed(summary, traceback),
        TriggerEnd::Lost { reason, .. } => failed(reason.clone(), vec![reason]),
        TriggerEnd::Stopped(_) => return stopped(reason),
    };
    verdict.xcoms.splice(..0, host.held_xcoms());
    Some(verdict)
}

fn failed(summary: String, traceback: Vec<String>) -> Verdict {
    let traceback = if traceback.is_empty() { vec![summary.clone()] } else { traceback };
    let mut verdict = Verdict::of(AttemptOutcome::TriggerFailed { error: TRIGGER_FAILURE.to_owned(), traceback });
    verdict.note = Some(format!("{TRIGGER_FAILURE}: {summary}"));
    verdict
}

/// The verdict on a trigger that was stopped; `None` when nobody wants one.
fn stopped(reason: Option<StopReason>) -> Option<Verdict> {
    match reason {
        Some(StopReason::Drained) => {
            let mut verdict = Verdict::of(AttemptOutcome::Released);
            verdict.note = Some("the worker drains; another one goes on with the trigger".to_owned());
            Some(verdict)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_gives_triggers_back_and_a_cancellation_ends_them() {
        let drained = stopped(Some(StopReason::Drained)).map(|verdict| verdict.outcome);
        assert_eq!(drained, Some(AttemptOutcome::Released));
        assert!(stopped(Some(StopReason::Cancelled)).is_none());
        assert!(stopped(Some(StopReason::LeaseLost)).is_none());
    }

    #[test]
    fn a_failure_always_tells_the_task_something() {
        let verdict = failed("no reason".to_owned(), Vec::new());
        let AttemptOutcome::TriggerFailed { error, traceback } = verdict.outcome else { panic!() };
        assert_eq!((error.as_str(), traceback), (TRIGGER_FAILURE, vec!["no reason".to_owned()]));
    }
}
