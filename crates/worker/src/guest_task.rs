//! A Python task on this worker, under the guest.

use std::{sync::Arc, time::Duration};

use tradewind_environments::Prepared;
use tradewind_guest::{
    GuestError, StopReason as GuestStop, TaskControl, TaskExit, TaskLaunch, TaskOutcome, TaskStopper,
};
use tradewind_types::{AttemptOutcome, DagRun, Environment, TaskId, TaskInstance, Timestamp, Trigger, VersionHash};
use uuid::Uuid;

use crate::{
    assets,
    attempt::{Running, Verdict, stopped},
    bundle::BundleRef,
    deferral,
    grant::Work,
    host::Host,
    host_answers,
    lease::{Control, StopReason},
};

/// How far behind the SDK's own execution timeout the hard limit lies.
const BACKSTOP: Duration = Duration::from_secs(30);
/// How long an environment is waited for before the log says so.
const SILENCE: Duration = Duration::from_secs(1);
/// How often an attempt that has not begun is begun again, after its zygote died.
const STARTS: u32 = 3;

/// Runs it. `None` when nobody wants a report.
pub(crate) async fn run(running: &Running, work: &Work) -> Option<Verdict> {
    let session = &running.session;
    let Some(zygotes) = &session.zygotes else {
        let worker = &session.settings.name;
        return Some(Verdict::failed(
            true,
            format!(
                "the worker {worker} has no Python: set python.interpreter to the interpreter of an environment with \
                 apache-airflow-task-sdk, or route the task to a queue whose workers have one"
            ),
        ));
    };
    let Some(hash) = &work.bundle else {
        return Some(Verdict::failed(
            false,
            "the DAG's version has no bundle, so its files cannot be fetched; parse the DAG file again",
        ));
    };
    let bundle = tokio::select! {
        _ = running.control.signal().requested() => return stopped(running.control.reason(), None),
        bundle = session.bundles.get(hash) => bundle,
    };
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(error) => {
            return Some(Verdict::failed(true, format!("the DAG's files could not be fetched: {error}")));
        }
    };
    let environment = tokio::select! {
        _ = running.control.signal().requested() => return stopped(running.control.reason(), None),
        environment = environment(running, work.environment.as_ref(), Some(&bundle)) => environment,
    };
    let environment = match environment {
        Ok(environment) => environment,
        Err(why) => return Some(Verdict::failed(true, why)),
    };
    let launch = TaskLaunch { working_dir: session.settings.task_dir.clone(), ..launch(running, work, Some(&bundle)) };
    let host = Arc::new(Host::new(running, work));
    for start in 1.. {
        let zygote = tokio::select! {
            _ = running.control.signal().requested() => return stopped(running.control.reason(), None),
            zygote = zygotes.get(environment.as_ref()) => zygote,
        };
        let zygote = match zygote {
            Ok(zygote) => zygote,
            Err(error) => {
                let note = no_python(&error, environment.as_ref());
                return Some(Verdict::failed(true, note));
            }
        };
        let (stopper, control) = TaskControl::new();
        let task = zygote.run(launch.clone(), host.clone(), control);
        let exit = tokio::select! {
            exit = task => exit,
            never = forward(&running.control, stopper, work.task.execution_timeout, session.settings.kill_grace) => never,
        };
        host.ended();
        match exit {
            Ok(exit) => return verdict(running, &host, exit, work).await,
            Err(GuestError::ZygoteLost(reason)) if start < STARTS => {
                tracing::warn!(attempt = %running.key, reason, "the Python zygote died before the task began; starting it again");
            }
            Err(error) => return Some(Verdict::failed(true, error.to_string())),
        }
    }
    None
}

/// The DAG's own environment, where it has one; its definition is in the bundle. An error says why there is none.
pub(crate) async fn environment(
    running: &Running,
    environment: Option<&Environment>,
    bundle: Option<&BundleRef>,
) -> Result<Option<Arc<Prepared>>, String> {
    let Some(environment) = environment else { return Ok(None) };
    let session = &running.session;
    let (zygotes, bundle) = match (&session.zygotes, bundle) {
        (Some(zygotes), Some(bundle)) => (zygotes, bundle),
        (None, _) => return Err(format!("the worker {} has no Python (python.interpreter)", session.settings.name)),
        (_, None) => {
            return Err("the DAG's version has no bundle, which its Python environment is defined in".to_owned());
        }
    };
    let prepare = zygotes.prepare(environment, bundle.dir());
    tokio::pin!(prepare);
    let prepared = tokio::select! {
        prepared = &mut prepare => prepared,
        () = tokio::time::sleep(SILENCE) => {
            let name = &environment.name;
            let text = format!("waiting for the Python environment \"{name}\", which this worker builds once");
            running.log.remark("info", text).await;
            prepare.await
        }
    };
    prepared.map(Some).map_err(|error| error.0)
}

/// Why there is no zygote.
pub(crate) fn no_python(error: &GuestError, environment: Option<&Arc<Prepared>>) -> String {
    match environment {
        None => format!("{error} (python.interpreter)"),
        Some(environment) => format!("{error} (the Python environment \"{}\")", environment.name()),
    }
}

/// Passes stops on to the guest, for as long as it is polled.
async fn forward(
    control: &Control,
    stopper: TaskStopper,
    timeout: Option<Duration>,
    kill_grace: Duration,
) -> Result<TaskExit, GuestError> {
    let limit = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout.saturating_add(BACKSTOP)).await,
            None => std::future::pending().await,
        }
    };
    let signal = control.signal();
    let mut grace = tokio::select! {
        grace = signal.requested() => grace,
        () = limit => {
            control.stop(StopReason::TimedOut, kill_grace);
            kill_grace
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

/// What the guest is told of an attempt. Without a bundle, it has to do with installed packages.
pub(crate) fn launch(running: &Running, work: &Work, bundle: Option<&BundleRef>) -> TaskLaunch {
    let resumption = work.ti.deferral.as_deref().and_then(deferral::resumption);
    let (next_method, next_kwargs) = resumption.unzip();
    let launch = TaskLaunch {
        should_retry: work.should_retry,
        dag_rel_path: work.dag.rel_path.clone(),
        consumed_events: work.consumed.iter().map(host_answers::consumed).collect(),
        next_method,
        next_kwargs,
        env: vec![(crate::session::ATTEMPT_MARK.to_owned(), running.key.to_string())],
        ..ti_launch(&work.ti, &work.run, &work.version)
    };
    match bundle {
        Some(bundle) => {
            TaskLaunch { bundle_dir: bundle.dir().to_owned(), bundle_version: bundle.hash().to_string(), ..launch }
        }
        None => launch,
    }
}

/// What the guest is told of a task instance and its run.
pub(crate) fn ti_launch(ti: &TaskInstance, run: &DagRun, version: &VersionHash) -> TaskLaunch {
    let started = ti.start_date.unwrap_or_else(Timestamp::now);
    let launch = TaskLaunch {
        map_index: ti.map_index,
        try_number: ti.try_number,
        max_tries: ti.max_tries,
        dag_version_id: version_id(version.as_str()),
        queue: ti.queue.to_string(),
        pool: ti.pool.to_string(),
        pool_slots: ti.pool_slots,
        priority_weight: ti.priority_weight,
        start_date: ti.first_poke_at.unwrap_or(started),
        reschedule_count: ti.reschedules,
        ..TaskLaunch::new(ti.id.0, ti.dag_id.as_str(), ti.task_id.as_str(), ti.run_id.as_str(), started)
    };
    with_run(launch, run)
}

/// Fills in the run.
pub(crate) fn with_run(launch: TaskLaunch, run: &DagRun) -> TaskLaunch {
    TaskLaunch {
        logical_date: run.logical_date,
        data_interval_start: run.data_interval_start,
        data_interval_end: run.data_interval_end,
        run_after: run.run_after,
        run_start_date: run.start_date,
        run_end_date: run.end_date,
        run_type: run.run_type.to_string(),
        conf: run.conf.clone(),
        triggering_user: run.triggered_by.clone(),
        clear_number: run.clear_number,
        ..launch
    }
}

/// The SDK wants a UUID; a version is a longer hash.
fn version_id(hash: &str) -> Uuid {
    hash.get(..32).and_then(|prefix| Uuid::parse_str(prefix).ok()).unwrap_or_default()
}

async fn verdict(running: &Running, host: &Host, exit: TaskExit, work: &Work) -> Option<Verdict> {
    let reason = running.control.reason();
    let skip = exit.skipped_downstream.into_iter().map(|(task, map_index)| (TaskId::from(task), map_index)).collect();
    let ended_well = !matches!(exit.outcome, TaskOutcome::Failed { .. });
    if exit.stopped.is_some() && !(exit.reported && ended_well && reason == Some(StopReason::Drained)) {
        let mut verdict = stopped(reason, work.task.execution_timeout)?;
        verdict.callbacks_due = !exit.reported;
        return Some(verdict);
    }
    let mut verdict = match exit.outcome {
        TaskOutcome::Success { task_outlets, outlet_events } => {
            let (asset_events, unknown) = match assets::events(&task_outlets, &outlet_events, host).await {
                Ok(found) => found,
                Err(why) => {
                    return Some(Verdict::failed(true, format!("the task's outlets could not be looked up: {why}")));
                }
            };
            for reference in unknown {
                let text = format!("Task has inactive assets \"{reference}\" in inlets or outlets");
                running.log.remark("warning", text).await;
            }
            let mut verdict = Verdict::of(AttemptOutcome::Success);
            verdict.asset_events = asset_events;
            verdict
        }
        TaskOutcome::Skipped => Verdict::of(AttemptOutcome::Skipped),
        TaskOutcome::Removed => Verdict::failed(false, "the task is not in its DAG file any more"),
        TaskOutcome::Failed { retry, retry_delay, message } => {
            let mut verdict = Verdict::of(AttemptOutcome::Failed { retry, delay: retry_delay });
            verdict.note = message;
            verdict
        }
        TaskOutcome::UpForReschedule { at } => Verdict::of(AttemptOutcome::Reschedule { at }),
        TaskOutcome::Deferred { trigger_class, kwargs, timeout, next_method, next_kwargs, queue: _ } => {
            Verdict::of(deferral::deferred(trigger_class, kwargs, timeout, next_method, next_kwargs))
        }
        TaskOutcome::AwaitingInput { timeout, next_method, next_kwargs } => {
            Verdict::of(AttemptOutcome::Deferred { trigger: Trigger::Input, timeout, next_method, next_kwargs })
        }
    };
    // What reported has run its callbacks, or died in them.
    verdict.callbacks_due = !exit.reported;
    verdict.skip = skip;
    verdict.xcoms = host.held_xcoms();
    verdict.rendered_map_index = exit.rendered_map_index.or_else(|| host.rendered_map_index());
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ids_come_from_hashes() {
        let hash = tradewind_types::sha256_hex(b"x");
        assert_eq!(version_id(&hash).simple().to_string(), hash[..32]);
        assert!(version_id("v1").is_nil());
    }
}
