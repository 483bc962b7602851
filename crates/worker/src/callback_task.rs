//! A callback on this worker: an attempt of its own, under a lease like a task's.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use serde_json::{Value, json};
use tradewind_guest::{CallbackLaunch, GuestError, StopReason as GuestStop, TaskControl, TaskLaunch};
use tradewind_proto::v1;
use tradewind_types::{AttemptOutcome, CallbackKind, TaskInstance, TaskState};

use crate::{
    attempt::{self, Running, Verdict, report},
    bundle::BundleRef,
    grant::{CallbackWork, GrantedCallback},
    guest_task,
    host::Host,
    lease::{Control, StopReason},
    session::{Session, Slot},
};

/// How often one that has not begun is begun again, after its zygote died.
const STARTS: u32 = 3;

/// Takes a grant over. `sent` is when its offer went out: the lease counts from there.
pub(crate) fn start(session: &Arc<Session>, granted: GrantedCallback, slot: Slot, sent: Instant) {
    let GrantedCallback { key, token, lease, work } = granted;
    let control = Control::new();
    session.leases.insert(key, token, sent, lease, control.clone());
    if session.draining.is_cancelled() {
        return session.end(report(key, token, Verdict::of(AttemptOutcome::Released)), slot);
    }
    let work = match work {
        Ok(work) => work,
        Err(error) => {
            tracing::error!(callback = %key, %error, "a granted callback makes no sense");
            let note =
                format!("this worker does not understand what the scheduler sent ({error}); are both of one version?");
            return session.end(report(key, token, Verdict::failed(false, note)), slot);
        }
    };
    let session = Arc::clone(session);
    tokio::spawn(async move {
        let running = Running::new(session, key, token, control);
        let verdict = AssertUnwindSafe(run(&running, &work)).catch_unwind().await;
        running.end(token, verdict, slot).await;
    });
}

/// Runs it. `None` when nobody wants a report.
async fn run(running: &Running, work: &CallbackWork) -> Option<Verdict> {
    let session = &running.session;
    let Some(zygotes) = &session.zygotes else {
        let worker = &session.settings.name;
        return Some(Verdict::failed(
            false,
            format!("the worker {worker} has no Python (python.interpreter), which callbacks need"),
        ));
    };
    let Some(hash) = &work.bundle else {
        return Some(Verdict::failed(false, "the DAG's version has no bundle, so its files cannot be fetched"));
    };
    let bundle = tokio::select! {
        _ = running.control.signal().requested() => return stopped(running.control.reason(), session),
        bundle = session.bundles.get(hash) => bundle,
    };
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(error) => return Some(Verdict::failed(false, format!("the DAG's files could not be fetched: {error}"))),
    };
    let environment = tokio::select! {
        _ = running.control.signal().requested() => return stopped(running.control.reason(), session),
        environment = guest_task::environment(running, work.environment.as_ref(), Some(&bundle)) => environment,
    };
    let environment = match environment {
        Ok(environment) => environment,
        Err(why) => return Some(Verdict::failed(false, why)),
    };
    let host = Arc::new(Host::for_callback(running, work));
    let ti = match &work.ti {
        Some(ti) => Some((**ti).clone()),
        None => relevant(running, work).await,
    };
    let launch = launch(running, work, ti.as_ref(), &bundle);
    for start in 1.. {
        let zygote = match zygotes.get(environment.as_ref()).await {
            Ok(zygote) => zygote,
            Err(error) => return Some(Verdict::failed(false, guest_task::no_python(&error, environment.as_ref()))),
        };
        let (stopper, control) = TaskControl::new();
        let exit = tokio::select! {
            exit = zygote.run_callback(launch.clone(), host.clone(), control) => exit,
            never = forward(&running.control, stopper, session) => never,
        };
        host.ended();
        match exit {
            Ok(exit) if exit.stopped.is_some() => return stopped(running.control.reason(), session),
            Ok(exit) => {
                return Some(match exit.failure {
                    None => Verdict::of(AttemptOutcome::Success),
                    Some(why) => Verdict::failed(false, why),
                });
            }
            Err(GuestError::ZygoteLost(reason)) if start < STARTS => {
                tracing::warn!(callback = %running.key, reason, "the Python zygote died before the callback began; starting it again");
            }
            Err(error) => return Some(Verdict::failed(false, error.to_string())),
        }
    }
    None
}

/// The task instance that a DAG callback's context is built around: as in Airflow, the last one that failed or succeeded;
/// where none failed, the first that is not over.
async fn relevant(running: &Running, work: &CallbackWork) -> Option<TaskInstance> {
    let wanted = match work.callback.kind {
        CallbackKind::DagSuccess => TaskState::Success,
        CallbackKind::DagFailure => TaskState::Failed,
        CallbackKind::TaskFailure | CallbackKind::TaskRetry | CallbackKind::Deadline => return None,
    };
    let query = v1::FindTaskInstancesRequest {
        dag_id: work.run.dag_id.to_string(),
        run_ids: vec![work.run.run_id.to_string()],
        ..v1::FindTaskInstancesRequest::default()
    };
    match running.remote.task_instances(query).await {
        Ok(found) => pick(found, wanted),
        Err(error) => {
            running.log.remark("warning", format!("the context has no task instance: {error}")).await;
            None
        }
    }
}

fn pick(mut found: Vec<TaskInstance>, wanted: TaskState) -> Option<TaskInstance> {
    let last = found.iter().enumerate().filter(|(_, ti)| ti.state == wanted).max_by_key(|(_, ti)| ti.end_date);
    let index = match last {
        Some((index, _)) => index,
        None if wanted == TaskState::Failed => found.iter().position(|ti| !ti.state.is_finished())?,
        None => return None,
    };
    Some(found.swap_remove(index))
}

/// Passes stops on, and stops a callback that takes too long.
async fn forward<T>(control: &Control, stopper: tradewind_guest::TaskStopper, session: &Session) -> T {
    let signal = control.signal();
    let mut grace = tokio::select! {
        grace = signal.requested() => grace,
        () = tokio::time::sleep(session.settings.callback_timeout) => {
            control.stop(StopReason::TimedOut, session.settings.kill_grace);
            session.settings.kill_grace
        }
    };
    loop {
        let reason = match control.reason() {
            Some(StopReason::Cancelled) | None => GuestStop::Cancelled,
            Some(StopReason::LeaseLost) => GuestStop::LeaseLost,
            Some(StopReason::Drained) => GuestStop::Shutdown,
            Some(StopReason::TimedOut) => GuestStop::HardTimeout,
        };
        stopper.stop(reason, grace);
        grace = signal.shortened(grace).await;
    }
}

fn stopped(reason: Option<StopReason>, session: &Session) -> Option<Verdict> {
    match reason {
        Some(StopReason::TimedOut) => Some(too_long(session.settings.callback_timeout)),
        reason => attempt::stopped(reason, None),
    }
}

fn too_long(limit: Duration) -> Verdict {
    let limit = limit.as_secs_f64();
    Verdict::failed(
        false,
        format!("the callback was still running after {limit} s and was killed (worker.callback_timeout_secs)"),
    )
}

fn launch(running: &Running, work: &CallbackWork, ti: Option<&TaskInstance>, bundle: &BundleRef) -> CallbackLaunch {
    let callback = &work.callback;
    let about = match ti {
        Some(ti) => guest_task::ti_launch(ti, &work.run, &work.version),
        None => {
            let at = work.run.start_date.unwrap_or(callback.created_at);
            let id = callback.id.0;
            let launch = TaskLaunch::new(id, work.run.dag_id.as_str(), "", work.run.run_id.as_str(), at);
            guest_task::with_run(launch, &work.run)
        }
    };
    CallbackLaunch {
        kind: callback.kind.to_string(),
        about: TaskLaunch {
            bundle_dir: bundle.dir().to_owned(),
            bundle_version: bundle.hash().to_string(),
            dag_rel_path: work.dag.rel_path.clone(),
            consumed_events: work.consumed.iter().map(crate::host_answers::consumed).collect(),
            try_number: callback.task.as_ref().map_or(about.try_number, |(_, _, try_number)| *try_number),
            env: vec![(crate::session::ATTEMPT_MARK.to_owned(), running.key.to_string())],
            ..about
        },
        run_state: work.run.state.to_string(),
        ti_state: ti.map(|ti| ti.state.to_string()),
        reason: callback.reason.clone(),
        spec: callback.spec.get("callback").cloned().unwrap_or_else(|| callback.spec.clone()),
        deadline: deadline(work),
    }
}

/// What a deadline's callback is told of it.
fn deadline(work: &CallbackWork) -> Value {
    let callback = &work.callback;
    let time = callback.spec.get("deadline_time").cloned();
    json!({"id": callback.id.0, "deadline_time": time.unwrap_or_else(|| json!(callback.created_at))})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hangs_fails_for_good_and_names_the_option() {
        let verdict = too_long(Duration::from_secs(600));
        assert_eq!(verdict.outcome, AttemptOutcome::Failed { retry: false, delay: None });
        assert!(verdict.note.is_some_and(|note| note.contains("600 s") && note.contains("callback_timeout_secs")));
    }
}
