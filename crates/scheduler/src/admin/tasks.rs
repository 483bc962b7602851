//! Task instances: listing, tries, clearing, marking, logs, XComs, and why one does not run.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::Status;
use tradewind_engine::{Event, Reply};
use tradewind_ports::{TaskInstanceFilter, XComQuery};
use tradewind_proto::{status, to_json, v1};
use tradewind_types::{ApiError, AttemptKey, BlockReason, TaskInstance, TaskState};

use super::{
    ADMIN, page,
    runs::{ensure_loaded, find_run, run_id_of},
};
use crate::{
    core::{Core, store_error},
    logs::{choose_attempt, send_log},
    worker_service::{parse_all, unexpected},
};

pub(super) fn instances_answer(rows: &[TaskInstance], total: u64) -> v1::ListTaskInstancesResponse {
    v1::ListTaskInstancesResponse { task_instances: rows.iter().map(Into::into).collect(), total }
}

pub(crate) async fn list_task_instances(
    core: &Arc<Core>,
    request: v1::ListTaskInstancesRequest,
) -> Result<v1::ListTaskInstancesResponse, ApiError> {
    let run_id = run_id_of(core, request.dag_id.as_deref(), request.run_id.as_deref()).await?;
    let filter = TaskInstanceFilter {
        dag_id: request.dag_id.map(Into::into),
        run_id,
        task_id: request.task_id,
        states: parse_all("states", &request.states)?,
    };
    let listing = core.store.task_instances(&filter, page(request.page)).await.map_err(store_error)?;
    Ok(instances_answer(&listing.rows, listing.total))
}

/// The task instance that a reference names.
///
/// # Errors
/// `not_found`, naming what is missing.
pub(super) async fn find_instance(core: &Core, task: &v1::TaskInstanceRef) -> Result<TaskInstance, ApiError> {
    let run = find_run(core, &task.dag_id, &task.run_id).await?;
    let rows = core.store.run_task_instances(run.dag_id.as_str(), run.run_id.as_str()).await.map_err(store_error)?;
    rows.into_iter().find(|row| row.task_id.as_str() == task.task_id && row.map_index == task.map_index).ok_or_else(
        || {
            ApiError::not_found(format!(
                "the run \"{}\" of \"{}\" has no task \"{}\"{}; see `tradewind tasks list {}`",
                run.run_id,
                run.dag_id,
                task.task_id,
                if task.map_index >= 0 { format!(" with map index {}", task.map_index) } else { String::new() },
                run.dag_id
            ))
        },
    )
}

pub(crate) async fn list_tries(core: &Arc<Core>, task: v1::TaskInstanceRef) -> Result<v1::ListTriesResponse, ApiError> {
    let ti = find_instance(core, &task).await?;
    let tries = core.store.tries(ti.id).await.map_err(store_error)?;
    Ok(v1::ListTriesResponse { tries: tries.into_iter().map(Into::into).collect() })
}

pub(crate) async fn get_rendered(
    core: &Arc<Core>,
    task: v1::TaskInstanceRef,
) -> Result<v1::RenderedResponse, ApiError> {
    let ti = find_instance(core, &task).await?;
    let fields = core.store.rendered(ti.id).await.map_err(store_error)?;
    Ok(v1::RenderedResponse { fields_json: fields.map(|fields| fields.to_string()) })
}

fn instances_reply(reply: Reply) -> Result<v1::ListTaskInstancesResponse, ApiError> {
    match reply {
        Reply::Instances(rows) => Ok(instances_answer(&rows, rows.len() as u64)),
        other => Err(unexpected(&other)),
    }
}

pub(crate) async fn mark_task(
    core: &Arc<Core>,
    request: v1::MarkTaskRequest,
) -> Result<v1::ListTaskInstancesResponse, ApiError> {
    let task = request.task.ok_or_else(|| ApiError::invalid("task: missing"))?;
    let state = request.state.parse().map_err(|error| ApiError::invalid(format!("state: {error}")))?;
    let run = find_run(core, &task.dag_id, &task.run_id).await?;
    ensure_loaded(core, &run).await?;
    let event = Event::MarkTask {
        dag_id: run.dag_id,
        run_id: run.run_id,
        task_id: task.task_id.into(),
        map_index: task.map_index,
        state,
        by: ADMIN.to_owned(),
    };
    instances_reply(core.step_one(event).await?)
}

pub(crate) async fn explain_task(core: &Arc<Core>, task: v1::TaskInstanceRef) -> Result<v1::ExplainResponse, ApiError> {
    let leadership = core.leadership()?;
    let ti = find_instance(core, &task).await?;
    let run = find_run(core, &task.dag_id, &task.run_id).await?;
    ensure_loaded(core, &run).await?;
    let (dag_id, run_id, task_id, map_index) =
        (run.dag_id.clone(), run.run_id.clone(), ti.task_id.clone(), ti.map_index);
    let mut reasons =
        core.query(move |engine, now| engine.explain(&dag_id, &run_id, &task_id, map_index, now)).await??;

    // What only the shell knows: who serves the queue, and how long it is.
    let (serving, free) = leadership.workers.serving(&ti.queue);
    for reason in &mut reasons {
        if let BlockReason::InQueue { depth, workers, free_slots, .. } = reason {
            *workers = u32::try_from(serving.len()).unwrap_or(u32::MAX);
            *free_slots = free;
            // Without the queue's answer the depth is left out.
            let depths = core.queue.depths(std::slice::from_ref(&ti.queue)).await.ok();
            *depth = depths.and_then(|depths| depths.first().map(|found| found.hints));
        }
    }
    // A wait for a moment or a person needs no worker, and the engine says what a trigger needs.
    let needs_none = matches!(ti.state, TaskState::Running | TaskState::Deferred | TaskState::AwaitingInput);
    let is_waiting = !ti.state.is_finished() && !needs_none;
    if serving.is_empty() && is_waiting && ti.operator != "EmptyOperator" {
        reasons.push(BlockReason::QueueNotServed { queue: ti.queue.clone() });
    }
    Ok(v1::ExplainResponse {
        task_instance: Some(v1::TaskInstance::from(&ti)),
        reasons_json: reasons.iter().map(to_json).collect(),
        reasons: reasons.iter().map(ToString::to_string).collect(),
    })
}

pub(crate) async fn read_log(
    core: &Arc<Core>,
    request: v1::ReadLogRequest,
) -> Result<ReceiverStream<Result<v1::LogData, Status>>, ApiError> {
    let task = request.task.ok_or_else(|| ApiError::invalid("task: missing"))?;
    let ti = find_instance(core, &task).await?;
    let attempt = choose_attempt(core, &ti, request.attempt, request.try_number).await?;
    let (sender, receiver) = mpsc::channel(4);
    let key = AttemptKey { ti: ti.id, attempt };
    tokio::spawn(send_log(Arc::clone(core), key, request.offset, request.follow, sender));
    Ok(ReceiverStream::new(receiver))
}

/// The JSON text of one XCom. A large one goes from its storage to the caller in pieces.
pub(crate) async fn read_xcom(
    core: &Arc<Core>,
    request: v1::GetXComsAdminRequest,
) -> Result<ReceiverStream<Result<v1::XComData, Status>>, ApiError> {
    let (task, key) = (request.task_id.clone().unwrap_or_default(), request.key.clone().unwrap_or_default());
    let page = v1::Page { limit: 1, ..v1::Page::default() };
    let found = list_xcoms(core, v1::GetXComsAdminRequest { page: Some(page), ..request }).await?.xcoms.pop();
    let Some(xcom) = found else {
        return Err(ApiError::not_found(format!("{task} pushed no XCom with the key \"{key}\" in this run")));
    };
    let (sender, receiver) = mpsc::channel(2);
    let Some(object) = xcom.object else {
        // Nobody else can hold the receiver yet.
        let _ = sender.try_send(Ok(v1::XComData { data: xcom.value_json.into_bytes() }));
        return Ok(ReceiverStream::new(receiver));
    };
    let Some(storage) = &core.settings.xcom_storage else {
        return Err(ApiError::invalid(format!(
            "the value is kept in {}, and this scheduler's xcom.storage_url is not set",
            object.url
        )));
    };
    let mut chunks = storage.read(&object.into()).await.map_err(|error| ApiError::invalid(error.to_string()))?;
    tokio::spawn(async move {
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map(|data| v1::XComData { data }).map_err(|error| status(ApiError::invalid(error.to_string())));
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}

pub(crate) async fn list_xcoms(
    core: &Arc<Core>,
    request: v1::GetXComsAdminRequest,
) -> Result<v1::ListXComsResponse, ApiError> {
    let run = find_run(core, &request.dag_id, &request.run_id).await?;
    let query = XComQuery {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_id: request.task_id,
        map_index: request.map_index,
        key: request.key,
        include_prior: false,
    };
    let listing = core.store.xcoms(&query, page(request.page)).await.map_err(store_error)?;
    let xcoms = listing.rows.into_iter().map(|xcom| v1::XCom::new(xcom, run.run_id.as_str())).collect();
    Ok(v1::ListXComsResponse { xcoms, total: listing.total })
}
