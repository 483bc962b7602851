//! Backfills: making, pausing, cancelling and showing them.

use std::{collections::HashMap, sync::Arc};

use tradewind_engine::{BackfillAction, BackfillRequest, Event, Reply};
use tradewind_ports::RunFilter;
use tradewind_proto::{instant, json, v1};
use tradewind_types::{ApiError, Backfill, BackfillItem, DagRun, RunNo, RunState, Timetable};

use super::{ADMIN, dags::known_dag, page, runs::ensure_loaded};
use crate::{
    core::{Core, all_rows, store_error},
    params::{check_conf, conf_object},
    worker_service::unexpected,
};

/// Runs of a backfill at once when the request does not say (Airflow's default).
const ACTIVE_RUNS: u32 = 10;

pub(crate) async fn create_backfill(
    core: &Arc<Core>,
    request: v1::CreateBackfillRequest,
) -> Result<v1::BackfillResponse, ApiError> {
    let timetables = core.leadership()?.timetables;
    let (from, to) = (instant("from", request.from)?, instant("to", request.to)?);
    if from > to {
        return Err(ApiError::invalid(format!("from: {from} is after {to}; swap them")));
    }
    let reprocess = match request.reprocess.as_str() {
        "" => tradewind_types::Reprocess::None,
        text => text.parse().map_err(|error| ApiError::invalid(format!("reprocess: {error}")))?,
    };
    let (_, version) = known_dag(core, &request.dag_id).await?;
    let conf = conf_object(json("conf", &request.conf_json)?)?;
    check_conf(&version.spec, &conf)?;
    let dates = match &version.spec.timetable {
        Timetable::Custom { periodic: true, .. } => Some(timetables.dates(&version, from, to, core.clock.now()).await?),
        _ => None,
    };

    // The engine has forgotten runs that were over long ago; it must see them to leave them alone or run them again.
    let over = RunFilter {
        dag_id: Some(version.spec.dag_id.clone()),
        states: vec![RunState::Success, RunState::Failed],
        from: Some(from),
        to: Some(to),
    };
    for run in all_rows(|page| core.store.runs(&over, page)).await? {
        ensure_loaded(core, &run).await?;
    }
    let backfill = BackfillRequest {
        dag_id: version.spec.dag_id.clone(),
        from,
        to,
        max_active_runs: if request.max_active_runs == 0 { ACTIVE_RUNS } else { request.max_active_runs },
        reprocess,
        backwards: request.backwards,
        conf,
        dates,
        dry_run: request.dry_run,
        by: ADMIN.to_owned(),
    };
    backfill_reply(core, core.step_one(Event::CreateBackfill(backfill)).await?).await
}

pub(crate) async fn set_backfill(
    core: &Arc<Core>,
    request: v1::SetBackfillRequest,
) -> Result<v1::BackfillResponse, ApiError> {
    let action = match request.action.as_str() {
        "pause" => BackfillAction::Pause,
        "unpause" => BackfillAction::Unpause,
        "cancel" => BackfillAction::Cancel,
        other => {
            return Err(ApiError::invalid(format!("action: \"{other}\" is not one of pause, unpause and cancel")));
        }
    };
    known_backfill(core, request.no).await?;
    let event = Event::SetBackfill { no: request.no, action, by: ADMIN.to_owned() };
    backfill_reply(core, core.step_one(event).await?).await
}

async fn backfill_reply(core: &Core, reply: Reply) -> Result<v1::BackfillResponse, ApiError> {
    match reply {
        Reply::Backfill(backfill, items) => with_runs(core, &backfill, &items).await,
        other => Err(unexpected(&other)),
    }
}

pub(crate) async fn list_backfills(
    core: &Arc<Core>,
    request: v1::ListBackfillsRequest,
) -> Result<v1::ListBackfillsResponse, ApiError> {
    if let Some(dag_id) = &request.dag_id {
        known_dag(core, dag_id).await?;
    }
    let listing = core.store.backfills(request.dag_id.as_deref(), page(request.page)).await.map_err(store_error)?;
    Ok(v1::ListBackfillsResponse { backfills: listing.rows.iter().map(Into::into).collect(), total: listing.total })
}

pub(crate) async fn get_backfill(
    core: &Arc<Core>,
    request: v1::GetBackfillRequest,
) -> Result<v1::BackfillResponse, ApiError> {
    let (backfill, items) = known_backfill(core, request.no).await?;
    with_runs(core, &backfill, &items).await
}

/// A backfill by number.
///
/// # Errors
/// `not_found`.
async fn known_backfill(core: &Core, no: u64) -> Result<(Backfill, Vec<BackfillItem>), ApiError> {
    let found = core.store.backfill(no).await.map_err(store_error)?;
    found.ok_or_else(|| ApiError::not_found(format!("no backfill has the number {no}; see `tradewind backfill list`")))
}

/// A backfill with its dates, each with the run that was made for it or is run again.
async fn with_runs(core: &Core, backfill: &Backfill, items: &[BackfillItem]) -> Result<v1::BackfillResponse, ApiError> {
    let dates = || items.iter().filter(|item| item.run_no.is_some()).map(|item| item.logical_date);
    let runs: HashMap<RunNo, DagRun> = if let (Some(from), Some(to)) = (dates().min(), dates().max()) {
        let filter =
            RunFilter { dag_id: Some(backfill.dag_id.clone()), from: Some(from), to: Some(to), ..RunFilter::default() };
        let rows = all_rows(|page| core.store.runs(&filter, page)).await?;
        rows.into_iter().map(|run| (run.run_no, run)).collect()
    } else {
        HashMap::new()
    };
    let wire = |item: &BackfillItem| v1::BackfillItem::new(item, item.run_no.and_then(|no| runs.get(&no)));
    Ok(v1::BackfillResponse { backfill: Some(backfill.into()), items: items.iter().map(wire).collect() })
}
