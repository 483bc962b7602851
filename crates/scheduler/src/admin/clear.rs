//! Clearing: task instances of one run, of the runs before and after it, and of what waits for them in other DAGs
//! (`ExternalTaskMarker`).

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use tradewind_engine::{ClearRequest, Event, Reply};
use tradewind_ports::RunFilter;
use tradewind_proto::v1;
use tradewind_types::{ApiError, DagRun, ExternalMarker, TaskInstance, TiId};

use super::{
    ADMIN,
    runs::{ensure_loaded, find_run},
    tasks::instances_answer,
};
use crate::{
    core::{Core, all_rows, store_error},
    worker_service::unexpected,
};

pub(crate) async fn clear_tasks(
    core: &Arc<Core>,
    request: v1::ClearTasksRequest,
) -> Result<v1::ListTaskInstancesResponse, ApiError> {
    let run = find_run(core, &request.dag_id, &request.run_id).await?;
    if request.latest_version {
        return clear_in_latest(core, &run, request).await;
    }
    let runs = neighbours(core, run, request.past, request.future).await?;
    let mut plan = Plan::default();
    for run in runs {
        let clear = ClearRequest {
            task_ids: request.task_ids.iter().map(|task_id| task_id.as_str().into()).collect(),
            map_indexes: request.map_indexes.clone(),
            downstream: request.downstream,
            upstream: request.upstream,
            only_failed: request.only_failed,
            only_running: request.only_running,
            ..whole_run(&run, ADMIN)
        };
        plan.waiting.push_back(Step { run, clear, hops: 0, hops_at_most: None });
    }
    plan.work_out(core, !request.exclude_markers).await?;
    let rows = if request.dry_run { plan.instances } else { plan.carry_out(core).await? };
    Ok(instances_answer(&rows, rows.len() as u64))
}

/// Clears tasks of one run as the latest version of its DAG has them.
async fn clear_in_latest(
    core: &Arc<Core>,
    run: &DagRun,
    request: v1::ClearTasksRequest,
) -> Result<v1::ListTaskInstancesResponse, ApiError> {
    if request.past || request.future || request.dry_run {
        return Err(ApiError::invalid(
            "latest_version: only one run moves to the latest version, and not as a dry run",
        ));
    }
    ensure_loaded(core, run).await?;
    let clear = ClearRequest {
        task_ids: request.task_ids.iter().map(|task_id| task_id.as_str().into()).collect(),
        map_indexes: request.map_indexes,
        downstream: request.downstream,
        upstream: request.upstream,
        only_failed: request.only_failed,
        only_running: request.only_running,
        latest_version: true,
        ..whole_run(run, ADMIN)
    };
    match core.step_one(Event::Clear(clear)).await? {
        Reply::Instances(rows) => Ok(instances_answer(&rows, rows.len() as u64)),
        other => Err(unexpected(&other)),
    }
}

/// Clears a whole run, so that it runs again.
pub(crate) async fn run_again(core: &Core, run: &DagRun, by: &str) -> Result<v1::DagRun, ApiError> {
    ensure_loaded(core, run).await?;
    core.step_one(Event::Clear(whole_run(run, by))).await?;
    let cleared = core.store.run(run.dag_id.as_str(), run.run_id.as_str()).await.map_err(store_error)?;
    Ok(v1::DagRun::from(&cleared.unwrap_or_else(|| run.clone())))
}

/// The request that clears everything in a run.
fn whole_run(run: &DagRun, by: &str) -> ClearRequest {
    ClearRequest {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_ids: Vec::new(),
        map_indexes: Vec::new(),
        downstream: false,
        upstream: false,
        only_failed: false,
        only_running: false,
        dry_run: false,
        latest_version: false,
        by: by.to_owned(),
    }
}

/// The run, with the runs of its DAG before and after it by logical date where they are asked for, oldest first.
async fn neighbours(core: &Core, run: DagRun, past: bool, future: bool) -> Result<Vec<DagRun>, ApiError> {
    if !past && !future {
        return Ok(vec![run]);
    }
    let date = run.logical_date.ok_or_else(|| {
        ApiError::invalid(format!(
            "the run \"{}\" has no logical date, so no run is before or after it; clear it without past and future",
            run.run_id
        ))
    })?;
    let filter = RunFilter {
        dag_id: Some(run.dag_id.clone()),
        from: (!past).then_some(date),
        to: (!future).then_some(date),
        ..RunFilter::default()
    };
    let mut runs = all_rows(|page| core.store.runs(&filter, page)).await?;
    runs.retain(|run| run.logical_date.is_some_and(|at| at == date || if at < date { past } else { future }));
    runs.sort_by_key(|run| run.logical_date);
    Ok(runs)
}

/// What is to be cleared, before anything is.
#[derive(Default)]
struct Plan {
    waiting: VecDeque<Step>,
    /// What the steps come to, in order.
    clears: Vec<ClearRequest>,
    instances: Vec<TaskInstance>,
    chosen: HashSet<TiId>,
}

/// A run in which something is cleared.
struct Step {
    run: DagRun,
    clear: ClearRequest,
    /// DAGs between the first one and this one.
    hops: u32,
    /// How many the first marker allows.
    hops_at_most: Option<u32>,
}

impl Plan {
    /// Finds out which task instances would be cleared, following markers into other DAGs.
    async fn work_out(&mut self, core: &Core, follow: bool) -> Result<(), ApiError> {
        while let Some(step) = self.waiting.pop_front() {
            ensure_loaded(core, &step.run).await?;
            let trial = ClearRequest { dry_run: true, ..step.clear.clone() };
            let rows = match core.peek(Event::Clear(trial)).await? {
                Reply::Instances(rows) => rows,
                other => return Err(unexpected(&other)),
            };
            // A marker that was chosen before has been followed: markers in a circle end here.
            let fresh: Vec<TaskInstance> = rows.into_iter().filter(|row| self.chosen.insert(row.id)).collect();
            if fresh.is_empty() {
                continue;
            }
            if follow {
                for (marker, from) in markers(core, &step.run, &fresh).await? {
                    self.follow(core, &step, &marker, &from).await?;
                }
            }
            self.instances.extend(fresh);
            self.clears.push(step.clear);
        }
        Ok(())
    }

    /// Adds the run that a marker points at: the one with the same logical date, if there is one.
    async fn follow(
        &mut self,
        core: &Core,
        step: &Step,
        marker: &ExternalMarker,
        from: &TaskInstance,
    ) -> Result<(), ApiError> {
        let at_most = step.hops_at_most.unwrap_or(marker.recursion_depth);
        if step.hops + 1 > at_most {
            return Err(ApiError::invalid(format!(
                "the marker \"{}\" of the DAG \"{}\" leads deeper than {at_most} DAGs (recursion_depth); clear without \
                 following markers, or raise its recursion_depth",
                from.task_id, from.dag_id
            )));
        }
        let Some(date) = step.run.logical_date else { return Ok(()) };
        let found = core.store.run_by_logical_date(marker.dag_id.as_str(), date).await.map_err(store_error)?;
        let Some(run) = found else { return Ok(()) };
        if let Some(task_id) = &marker.task_id {
            let version = core.store.dag_version(run.dag_id.as_str(), &run.version).await.map_err(store_error)?;
            if version.is_none_or(|version| version.spec.task(task_id.as_str()).is_none()) {
                return Ok(());
            }
        }
        let clear = ClearRequest {
            task_ids: marker.task_id.iter().cloned().collect(),
            downstream: true,
            only_failed: step.clear.only_failed,
            only_running: step.clear.only_running,
            ..whole_run(&run, &step.clear.by)
        };
        self.waiting.push_back(Step { run, clear, hops: step.hops + 1, hops_at_most: Some(at_most) });
        Ok(())
    }

    /// Clears what was found, all in one step.
    async fn carry_out(self, core: &Core) -> Result<Vec<TaskInstance>, ApiError> {
        let mut rows = Vec::new();
        for reply in core.step(self.clears.into_iter().map(Event::Clear).collect()).await? {
            match reply {
                Reply::Instances(cleared) => rows.extend(cleared),
                Reply::Refused(error) => return Err(error),
                other => return Err(unexpected(&other)),
            }
        }
        let mut seen = HashSet::new();
        rows.retain(|row: &TaskInstance| seen.insert(row.id));
        Ok(rows)
    }
}

/// The markers among task instances of a run.
async fn markers(
    core: &Core,
    run: &DagRun,
    rows: &[TaskInstance],
) -> Result<Vec<(ExternalMarker, TaskInstance)>, ApiError> {
    let (dag_id, run_id) = (run.dag_id.clone(), run.run_id.clone());
    let version =
        core.query(move |engine, _| engine.run(&dag_id, &run_id).map(|run| Arc::clone(run.version()))).await?;
    let Some(version) = version else { return Ok(Vec::new()) };
    let marker = |row: &TaskInstance| {
        let marker = version.spec.task(row.task_id.as_str())?.marker.clone()?;
        Some((marker, row.clone()))
    };
    Ok(rows.iter().filter_map(marker).collect())
}
