//! The first message to a task.

use serde_json::{Value, json};

use crate::api::{DagRunInfo, TaskLaunch};
use crate::further::consumed_event;

/// `StartupDetails`, as the SDK validates it.
pub(crate) fn startup_details(task: &TaskLaunch) -> Value {
    json!({
        "type": "StartupDetails",
        "ti": ti_value(task),
        "dag_rel_path": task.dag_rel_path,
        // The version is pinned by the folder. Naming it here would make the SDK take a lock file for it.
        "bundle_info": {"name": task.bundle_name, "version": null},
        "start_date": task.start_date,
        "ti_context": ti_context(task, "running"),
        "sentry_integration": "",
    })
}

/// The SDK's `TaskInstance`.
pub(crate) fn ti_value(task: &TaskLaunch) -> Value {
    json!({
        "id": task.ti_id,
        "dag_id": task.dag_id,
        "task_id": task.task_id,
        "run_id": task.run_id,
        "try_number": task.try_number,
        "map_index": task.map_index,
        "dag_version_id": task.dag_version_id,
        "hostname": hostname(),
        "queue": task.queue,
    })
}

/// The SDK's `TIRunContext`.
pub(crate) fn ti_context(task: &TaskLaunch, run_state: &str) -> Value {
    let mut run = dag_run(
        &DagRunInfo {
            dag_id: task.dag_id.clone(),
            run_id: task.run_id.clone(),
            logical_date: task.logical_date,
            data_interval_start: task.data_interval_start,
            data_interval_end: task.data_interval_end,
            run_after: task.run_after,
            start_date: task.run_start_date,
            end_date: task.run_end_date,
            run_type: task.run_type.clone(),
            state: run_state.to_owned(),
            conf: task.conf.clone(),
        },
        task.clear_number,
        task.triggering_user.as_deref(),
    );
    run["consumed_asset_events"] = task.consumed_events.iter().map(consumed_event).collect();
    json!({
        "dag_run": run,
        "task_reschedule_count": task.reschedule_count,
        "max_tries": task.max_tries,
        "should_retry": task.should_retry,
        "xcom_keys_to_clear": task.xcom_keys_to_clear,
        "next_method": task.next_method,
        "next_kwargs": task.next_kwargs,
        "start_date": task.start_date,
    })
}

/// The SDK's `DagRun`.
pub(crate) fn dag_run(run: &DagRunInfo, clear_number: u32, triggering_user: Option<&str>) -> Value {
    json!({
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "logical_date": run.logical_date,
        "data_interval_start": run.data_interval_start,
        "data_interval_end": run.data_interval_end,
        "run_after": run.run_after,
        "start_date": run.start_date,
        "end_date": run.end_date,
        "clear_number": clear_number,
        "run_type": run.run_type,
        "state": run.state,
        "conf": run.conf,
        "triggering_user_name": triggering_user,
        "consumed_asset_events": [],
        "partition_key": null,
    })
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
