//! A Python task on this worker, under the guest.

use std::{sync::Arc, time::Duration};

use tradewind_guest::{
    GuestError, StopReason as GuestStop, TaskControl, TaskExit, TaskLaunch, TaskOutcome, TaskStopper,
};
use tradewind_types::{AttemptOutcome, TaskId, Timestamp};
use uuid::Uuid;

use crate::{
    attempt::{Running, Verdict, stopped},
    bundle::BundleRef,
    grant::Work,
    host::Host,
    lease::{Control, StopReason},
};

/// How far behind the SDK's own execution timeout the hard limit lies.
const BACKSTOP: Duration = Duration::from_secs(30);
/// How often an attempt that has not begun is begun again, after its zygote died.
const STARTS: u32 = 3;

/// Runs it. `None` when nobody wants a report.
pub(crate) async fn run(running: &Running, work: &Work) -> Option<Verdict> {
    let session = &running.session;
    let Some(keeper) = &session.zygote else {
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
    let launch = launch(running, work, &bundle);
    let host = Arc::new(Host::new(running, work));
    for start in 1.. {
        let zygote = tokio::select! {
            _ = running.control.signal().requested() => return stopped(running.control.reason(), None),
            zygote = keeper.get() => zygote,
        };
        let zygote = match zygote {
            Ok(zygote) => zygote,
            Err(error) => {
                return Some(Verdict::failed(true, format!("{error} (python.interpreter)")));
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
            Ok(exit) => return verdict(&host, exit, work, running.control.reason()),
            Err(GuestError::ZygoteLost(reason)) if start < STARTS => {
                tracing::warn!(attempt = %running.key, reason, "the Python zygote died before the task began; starting it again");
            }
            Err(error) => return Some(Verdict::failed(true, error.to_string())),
        }
    }
    None
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

fn launch(running: &Running, work: &Work, bundle: &BundleRef) -> TaskLaunch {
    let (ti, run) = (&work.ti, &work.run);
    let started = ti.start_date.unwrap_or_else(Timestamp::now);
    TaskLaunch {
        map_index: ti.map_index,
        try_number: ti.try_number,
        max_tries: ti.max_tries,
        should_retry: work.should_retry,
        dag_version_id: version_id(work.version.as_str()),
        bundle_dir: bundle.dir().to_owned(),
        bundle_version: bundle.hash().to_string(),
        dag_rel_path: work.dag.rel_path.clone(),
        queue: ti.queue.to_string(),
        pool: ti.pool.to_string(),
        pool_slots: ti.pool_slots,
        priority_weight: ti.priority_weight,
        logical_date: run.logical_date,
        data_interval_start: run.data_interval_start,
        data_interval_end: run.data_interval_end,
        run_after: run.run_after,
        run_start_date: run.start_date,
        run_type: run.run_type.to_string(),
        conf: run.conf.clone(),
        triggering_user: run.triggered_by.clone(),
        clear_number: run.clear_number,
        start_date: ti.first_poke_at.unwrap_or(started),
        reschedule_count: u32::from(ti.first_poke_at.is_some()),
        env: vec![(crate::session::ATTEMPT_MARK.to_owned(), running.key.to_string())],
        ..TaskLaunch::new(ti.id.0, ti.dag_id.as_str(), ti.task_id.as_str(), ti.run_id.as_str(), started)
    }
}

/// The SDK wants a UUID; a version is a longer hash.
fn version_id(hash: &str) -> Uuid {
    hash.get(..32).and_then(|prefix| Uuid::parse_str(prefix).ok()).unwrap_or_default()
}

fn verdict(host: &Host, exit: TaskExit, work: &Work, reason: Option<StopReason>) -> Option<Verdict> {
    let skip = exit.skipped_downstream.into_iter().map(|(task, map_index)| (TaskId::from(task), map_index)).collect();
    let ended_well = !matches!(exit.outcome, TaskOutcome::Failed { .. });
    if exit.stopped.is_some() && !(exit.reported && ended_well && reason == Some(StopReason::Drained)) {
        return stopped(reason, work.task.execution_timeout);
    }
    let mut verdict = match exit.outcome {
        TaskOutcome::Success { .. } => Verdict::of(AttemptOutcome::Success),
        TaskOutcome::Skipped => Verdict::of(AttemptOutcome::Skipped),
        TaskOutcome::Removed => Verdict::failed(false, "the task is not in its DAG file any more"),
        TaskOutcome::Failed { retry, retry_delay, message } => {
            let mut verdict = Verdict::of(AttemptOutcome::Failed { retry, delay: retry_delay });
            verdict.note = message;
            verdict
        }
        TaskOutcome::UpForReschedule { at } => Verdict::of(AttemptOutcome::Reschedule { at }),
        TaskOutcome::Deferred { trigger_class, .. } => Verdict::failed(
            false,
            format!(
                "the task deferred itself to {trigger_class}, and Tradewind has no triggerer yet; set deferrable=False"
            ),
        ),
        TaskOutcome::AwaitingInput { .. } => {
            Verdict::failed(false, "the task waits for a person's input, which Tradewind does not support yet")
        }
    };
    verdict.skip = skip;
    verdict.xcoms = host.held_xcoms();
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
