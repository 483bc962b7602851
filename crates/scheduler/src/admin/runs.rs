//! DAG runs: triggering, listing, watching, marking.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tradewind_engine::{Event, Reply, Trigger};
use tradewind_ports::RunFilter;
use tradewind_proto::{instant_opt, json, status, v1};
use tradewind_types::{ApiError, DagRun, ErrorCode, RunId, RunType, Timestamp, check_run_id};

use super::{ADMIN, dags::known_dag, page};
use crate::{
    core::{Core, store_error},
    params::{check_run_conf, conf_object},
    worker_service::{parse_all, random_suffix, unexpected},
};

/// A watched run is looked at no more often than this...
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// ...and, on a standby that sees no commits, at least this often.
const WATCH_POLL: Duration = Duration::from_millis(500);

pub(crate) async fn trigger_run(core: &Arc<Core>, request: v1::TriggerRunRequest) -> Result<v1::DagRun, ApiError> {
    if let Some(run_id) = &request.run_id {
        check_run_id(run_id).map_err(ApiError::invalid)?;
    }
    let conf = conf_object(json("conf", &request.conf_json)?)?;
    let logical_date = match (instant_opt("logical_date", request.logical_date)?, request.null_logical_date) {
        (Some(_), true) => {
            return Err(ApiError::invalid("logical_date: give a date or ask for none, not both"));
        }
        (date, false) => Some(date.unwrap_or_else(|| core.clock.now())),
        (None, true) => None,
    };
    let trigger = Trigger {
        dag_id: request.dag_id.into(),
        run_id: request.run_id.map(Into::into),
        run_type: RunType::Manual,
        logical_date,
        run_after: instant_opt("run_after", request.run_after)?,
        conf,
        by: ADMIN.to_owned(),
        suffix: random_suffix(),
    };
    trigger_new_run(core, trigger).await
}

/// The run that has the id or the logical date that a trigger wants. The engine remembers finished runs only for a while,
/// so the store is asked; a run that appears in between is still refused, by the engine that made it.
pub(crate) async fn taken_by(core: &Core, trigger: &Trigger) -> Result<Option<DagRun>, ApiError> {
    let dag_id = trigger.dag_id.as_str();
    if let Some(run_id) = &trigger.run_id
        && let Some(run) = core.store.run(dag_id, run_id.as_str()).await.map_err(store_error)?
    {
        return Ok(Some(run));
    }
    match trigger.logical_date {
        Some(date) => core.store.run_by_logical_date(dag_id, date).await.map_err(store_error),
        None => Ok(None),
    }
}

/// Triggers a run whose id and logical date are free and whose conf fits the params of the DAG.
///
/// # Errors
/// `already_exists`, naming the run that has the id or the date; `invalid`, naming the param.
pub(crate) async fn trigger_new_run(core: &Core, trigger: Trigger) -> Result<v1::DagRun, ApiError> {
    if let Some(run) = taken_by(core, &trigger).await? {
        return Err(ApiError::new(
            ErrorCode::AlreadyExists,
            format!(
                "\"{}\" has a run with this id or logical date already: {} ({}); clear it to run it again",
                trigger.dag_id, run.run_id, run.state
            ),
        ));
    }
    check_run_conf(core, &trigger.dag_id, &trigger.conf).await?;
    match core.step_one(Event::Trigger(trigger)).await? {
        Reply::Run(run) => Ok(v1::DagRun::from(&*run)),
        other => Err(unexpected(&other)),
    }
}

pub(crate) async fn list_runs(
    core: &Arc<Core>,
    request: v1::ListRunsRequest,
) -> Result<v1::ListRunsResponse, ApiError> {
    if let Some(dag_id) = &request.dag_id {
        known_dag(core, dag_id).await?;
    }
    let filter = RunFilter {
        dag_id: request.dag_id.map(Into::into),
        states: parse_all("states", &request.states)?,
        from: instant_opt("from", request.from)?,
        to: instant_opt("to", request.to)?,
    };
    let listing = core.store.runs(&filter, page(request.page)).await.map_err(store_error)?;
    Ok(v1::ListRunsResponse { runs: listing.rows.iter().map(Into::into).collect(), total: listing.total })
}

/// A run by its id or its logical date; `latest` names the newest.
///
/// # Errors
/// `not_found`, naming what is missing.
pub(crate) async fn find_run(core: &Core, dag_id: &str, run_id: &str) -> Result<DagRun, ApiError> {
    if run_id == "latest" {
        known_dag(core, dag_id).await?;
        let filter = RunFilter { dag_id: Some(dag_id.into()), ..RunFilter::default() };
        let newest = core.store.runs(&filter, tradewind_ports::Page::first(1)).await.map_err(store_error)?;
        return newest.rows.into_iter().next().ok_or_else(|| {
            ApiError::not_found(format!("\"{dag_id}\" has no runs; trigger one with `tradewind dags trigger {dag_id}`"))
        });
    }
    if let Some(run) = core.store.run(dag_id, run_id).await.map_err(store_error)? {
        return Ok(run);
    }
    if let Ok(date) = run_id.parse::<Timestamp>()
        && let Some(run) = core.store.run_by_logical_date(dag_id, date).await.map_err(store_error)?
    {
        return Ok(run);
    }
    known_dag(core, dag_id).await?;
    Err(ApiError::not_found(format!(
        "\"{dag_id}\" has no run with the id or logical date \"{run_id}\"; see `tradewind dags list-runs {dag_id}`"
    )))
}

/// The id of the run that a filter means.
///
/// # Errors
/// `not_found`; a run without its DAG.
pub(crate) async fn run_id_of(
    core: &Core,
    dag_id: Option<&str>,
    run_id: Option<&str>,
) -> Result<Option<RunId>, ApiError> {
    match (dag_id, run_id) {
        (Some(dag_id), Some(run_id)) => Ok(Some(find_run(core, dag_id, run_id).await?.run_id)),
        (None, Some(_)) => Err(ApiError::invalid("run_id: give the dag_id, too")),
        (_, None) => Ok(None),
    }
}

pub(crate) async fn get_run(core: &Arc<Core>, request: v1::GetRunRequest) -> Result<v1::GetRunResponse, ApiError> {
    let run = find_run(core, &request.dag_id, &request.run_id).await?;
    run_with_tasks(core, run.dag_id.as_str(), run.run_id.as_str()).await
}

async fn run_with_tasks(core: &Core, dag_id: &str, run_id: &str) -> Result<v1::GetRunResponse, ApiError> {
    // The run after its tasks: when it is over, the tasks are as they were at its end or later.
    let instances = core.store.run_task_instances(dag_id, run_id).await.map_err(store_error)?;
    let run = core.store.run(dag_id, run_id).await.map_err(store_error)?;
    let run = run.ok_or_else(|| ApiError::not_found(format!("the run \"{run_id}\" of \"{dag_id}\" is gone")))?;
    let finished = run.state.is_finished();
    let instances =
        if finished { core.store.run_task_instances(dag_id, run_id).await.map_err(store_error)? } else { instances };
    Ok(v1::GetRunResponse {
        run: Some(v1::DagRun::from(&run)),
        task_instances: instances.iter().map(Into::into).collect(),
    })
}

pub(crate) async fn watch_run(
    core: &Arc<Core>,
    request: v1::GetRunRequest,
) -> Result<ReceiverStream<Result<v1::GetRunResponse, Status>>, ApiError> {
    let run = find_run(core, &request.dag_id, &request.run_id).await?;
    let (sender, receiver) = mpsc::channel(4);
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let mut changes = core.changes.subscribe();
        let mut last: Option<v1::GetRunResponse> = None;
        loop {
            changes.mark_unchanged();
            let now = match run_with_tasks(&core, run.dag_id.as_str(), run.run_id.as_str()).await {
                Ok(now) => now,
                Err(error) => {
                    // The watcher may have gone.
                    let _ = sender.send(Err(status(error))).await;
                    return;
                }
            };
            let over = now.run.as_ref().is_none_or(|run| matches!(run.state.as_str(), "success" | "failed"));
            if last.as_ref() != Some(&now) {
                last = Some(now.clone());
                if sender.send(Ok(now)).await.is_err() {
                    return;
                }
            }
            if over {
                return;
            }
            tokio::select! {
                () = sender.closed() => return,
                () = async {
                    tokio::time::sleep(WATCH_INTERVAL).await;
                    // Either way it is time to look again.
                    let _ = tokio::time::timeout(WATCH_POLL, changes.changed()).await;
                } => {}
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}

pub(crate) async fn mark_run(core: &Arc<Core>, request: v1::MarkRunRequest) -> Result<v1::DagRun, ApiError> {
    let state = request.state.parse().map_err(|error| ApiError::invalid(format!("state: {error}")))?;
    let run = find_run(core, &request.dag_id, &request.run_id).await?;
    ensure_loaded(core, &run).await?;
    let event = Event::MarkRun { dag_id: run.dag_id.clone(), run_id: run.run_id.clone(), state, by: ADMIN.to_owned() };
    match core.step_one(event).await? {
        Reply::Run(run) => Ok(v1::DagRun::from(&*run)),
        other => Err(unexpected(&other)),
    }
}

/// Brings a finished run back into the engine's memory, so that it can be cleared or marked.
pub(crate) async fn ensure_loaded(core: &Core, run: &DagRun) -> Result<(), ApiError> {
    let (dag_id, run_id) = (run.dag_id.clone(), run.run_id.clone());
    if core.query(move |engine, _| engine.run(&dag_id, &run_id).is_some()).await? {
        return Ok(());
    }
    let version = core.store.dag_version(run.dag_id.as_str(), &run.version).await.map_err(store_error)?;
    let version = version.ok_or_else(|| {
        ApiError::internal(format!("the version {} of \"{}\" is not in the store", run.version, run.dag_id))
    })?;
    let task_instances =
        core.store.run_task_instances(run.dag_id.as_str(), run.run_id.as_str()).await.map_err(store_error)?;
    core.step_one(Event::LoadRun { run: run.clone(), task_instances, version }).await?;
    Ok(())
}
