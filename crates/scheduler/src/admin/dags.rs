//! DAGs: listing, details, pausing, the next runs, import errors.

use std::sync::Arc;

use tradewind_engine::Event;
use tradewind_ports::DagFilter;
use tradewind_proto::{micros, v1};
use tradewind_types::{ApiError, DagId, DagRow, DagVersion, SourceKind};

use super::{ADMIN, page};
use crate::{
    core::{Core, store_error},
    publish::{deprecations, remarks},
};

/// A DAG as listings show it; `next_run_after` is the leader's to add.
fn wire_dag(row: &DagRow, version: &DagVersion) -> v1::Dag {
    let spec = &version.spec;
    v1::Dag {
        dag_id: row.dag_id.to_string(),
        version: row.version.to_string(),
        version_number: row.version_number,
        is_paused: row.is_paused,
        is_stale: row.is_stale,
        rel_path: row.source.rel_path.clone(),
        source_kind: match row.source.kind {
            SourceKind::Python => "python",
            SourceKind::Yaml => "yaml",
        }
        .to_owned(),
        parsed_at: micros(row.parsed_at),
        spec_json: None,
        description: spec.description.clone(),
        schedule: spec.schedule_text.clone(),
        owners: spec.owners.clone(),
        tags: spec.tags.clone(),
        next_run_after: None,
        task_count: u32::try_from(spec.tasks.len()).unwrap_or(u32::MAX),
    }
}

pub(crate) async fn list_dags(
    core: &Arc<Core>,
    request: v1::ListDagsRequest,
) -> Result<v1::ListDagsResponse, ApiError> {
    let filter = DagFilter { pattern: request.pattern, include_stale: request.include_stale, paused: request.paused };
    let listing = core.store.dags(&filter, page(request.page)).await.map_err(store_error)?;
    let mut dags: Vec<v1::Dag> = listing.rows.iter().map(|(row, version)| wire_dag(row, version)).collect();
    tell_next_runs(core, &mut dags).await;
    Ok(v1::ListDagsResponse { dags, total: listing.total })
}

/// Adds when each DAG runs next. Only the leader knows; a standby leaves it out.
async fn tell_next_runs(core: &Core, dags: &mut [v1::Dag]) {
    let ids: Vec<DagId> = dags.iter().map(|dag| dag.dag_id.as_str().into()).collect();
    let next = core
        .query(move |engine, _| {
            let first = |dag_id: &DagId| engine.next_runs(dag_id, 1).ok()?.first().map(|run| micros(run.run_after));
            ids.iter().map(first).collect::<Vec<_>>()
        })
        .await;
    for (dag, next) in dags.iter_mut().zip(next.unwrap_or_default()) {
        dag.next_run_after = next.filter(|_| !dag.is_paused && !dag.is_stale);
    }
}

pub(crate) async fn get_dag(core: &Arc<Core>, request: v1::GetDagRequest) -> Result<v1::Dag, ApiError> {
    let (row, version) = known_dag(core, &request.dag_id).await?;
    let mut dag = wire_dag(&row, &version);
    let mut spec = serde_json::to_value(&version.spec).map_err(|error| ApiError::internal(error.to_string()))?;
    // Remarks belong to the file, not to the version; they are shown beside what the version says.
    let mut remarks = remarks(core, &row.source.rel_path).await?;
    if let Some(error) = &row.schedule_error {
        remarks.push(format!("its timetable raised, so there is no next run until its file changes: {error}"));
    }
    if let Some(fields) = spec.as_object_mut().filter(|_| !remarks.is_empty()) {
        fields.insert("warnings".to_owned(), remarks.into());
    }
    dag.spec_json = Some(spec.to_string());
    tell_next_runs(core, std::slice::from_mut(&mut dag)).await;
    Ok(dag)
}

/// A DAG by id.
///
/// # Errors
/// `not_found`.
pub(crate) async fn known_dag(core: &Core, dag_id: &str) -> Result<(DagRow, Arc<DagVersion>), ApiError> {
    let found = core.store.dag(dag_id).await.map_err(store_error)?;
    found.ok_or_else(|| ApiError::not_found(format!("no DAG has the id \"{dag_id}\"; see `tradewind dags list`")))
}

pub(crate) async fn set_dag_paused(core: &Arc<Core>, request: v1::SetDagPausedRequest) -> Result<v1::Dag, ApiError> {
    let event =
        Event::SetPaused { dag_id: request.dag_id.as_str().into(), paused: request.paused, by: ADMIN.to_owned() };
    core.step_one(event).await?;
    let (row, version) = known_dag(core, &request.dag_id).await?;
    let mut dag = wire_dag(&row, &version);
    tell_next_runs(core, std::slice::from_mut(&mut dag)).await;
    Ok(dag)
}

pub(crate) async fn next_runs(
    core: &Arc<Core>,
    request: v1::NextRunsRequest,
) -> Result<v1::NextRunsResponse, ApiError> {
    let count = usize::try_from(request.count.clamp(1, 1_000)).unwrap_or(1);
    let dag_id = DagId::from(request.dag_id);
    let (runs, question) =
        core.query(move |engine, _| (engine.next_runs(&dag_id, count), engine.timetable_question(&dag_id))).await?;
    let runs = match question? {
        Some(question) => core.leadership()?.timetables.next_runs(question, count).await?,
        None => runs?,
    };
    let runs = runs
        .into_iter()
        .map(|run| v1::NextRun {
            logical_date: Some(micros(run.logical_date)),
            data_interval_start: Some(micros(run.interval_start)),
            data_interval_end: Some(micros(run.interval_end)),
            run_after: micros(run.run_after),
        })
        .collect();
    Ok(v1::NextRunsResponse { runs })
}

pub(crate) async fn list_import_errors(
    core: &Arc<Core>,
    request: v1::ListRequest,
) -> Result<v1::ListImportErrorsResponse, ApiError> {
    let page = page(request.page);
    let deprecations = if page.offset == 0 { deprecations(core).await? } else { Vec::new() };
    let listing = core.store.import_errors(page).await.map_err(store_error)?;
    Ok(v1::ListImportErrorsResponse {
        deprecations: deprecations.into_iter().map(Into::into).collect(),
        errors: listing.rows.into_iter().map(Into::into).collect(),
        total: listing.total,
    })
}
