//! What a running task may look up: runs, task instances, assets and their events, DAGs; and the bundles that it runs from.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tradewind_ports::{AssetEventFilter, Page, RunFilter, TaskInstanceFilter};
use tradewind_proto::{instant, instant_opt, micros, status, to_json, v1};
use tradewind_types::{ApiError, DagRun, RunState, TaskInstance, TaskState};

use super::{WorkerApi, parse_all};
use crate::{
    admin::known_dag,
    core::{Core, all_rows, store_error},
};

/// Bytes of a blob sent at once.
const BLOB_PART: usize = 1024 * 1024;

impl WorkerApi {
    pub(super) async fn do_find_runs(&self, request: v1::FindRunsRequest) -> Result<v1::FindRunsResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let dag_id = request.dag_id;
        let states: Vec<RunState> = parse_all("states", &request.states)?;
        let date = instant_opt("logical_date", request.logical_date)?;
        let before = instant_opt("before", request.before)?;
        let fits = |run: &DagRun| {
            (states.is_empty() || states.contains(&run.state))
                && date.is_none_or(|date| run.logical_date == Some(date))
                && before.is_none_or(|before| run.logical_date.unwrap_or(run.run_after) < before)
        };
        let named = match (&request.run_id, date) {
            (Some(run_id), _) => Some(self.core.store.run(&dag_id, run_id).await),
            (None, Some(date)) => Some(self.core.store.run_by_logical_date(&dag_id, date).await),
            (None, None) => None,
        };
        if let Some(run) = named {
            let runs: Vec<DagRun> = run.map_err(store_error)?.into_iter().filter(fits).collect();
            return Ok(runs_answer(&runs, runs.len() as u64));
        }
        // The filter's bound is inclusive, "before" is not; instants are whole microseconds.
        let to = before.map(|at| instant("before", micros(at) - 1)).transpose()?;
        let filter = RunFilter { dag_id: Some(dag_id.into()), states: states.clone(), from: None, to };
        let page = Page::first(if request.limit == 0 { Page::MAX } else { request.limit });
        let listing = self.core.store.runs(&filter, page).await.map_err(store_error)?;
        Ok(runs_answer(&listing.rows, listing.total))
    }

    pub(super) async fn do_find_task_instances(
        &self,
        request: v1::FindTaskInstancesRequest,
    ) -> Result<v1::FindTaskInstancesResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let dag_id = request.dag_id;
        let mut run_ids = request.run_ids;
        for date in request.logical_dates {
            let date = instant("logical_dates", date)?;
            let run = self.core.store.run_by_logical_date(&dag_id, date).await.map_err(store_error)?;
            run_ids.extend(run.map(|run| run.run_id.to_string()));
        }
        let states: Vec<TaskState> = parse_all("states", &request.states)?;
        let wanted = |ti: &TaskInstance| {
            request.task_ids.is_empty() || request.task_ids.iter().any(|task| task == ti.task_id.as_str())
        };
        let mut found = Vec::new();
        for run_id in run_ids {
            let filter = TaskInstanceFilter {
                dag_id: Some(dag_id.as_str().into()),
                run_id: Some(run_id.into()),
                task_id: None,
                states: states.clone(),
            };
            let rows = all_rows(|page| self.core.store.task_instances(&filter, page)).await?;
            found.extend(rows.iter().filter(|ti| wanted(ti)).map(v1::TaskInstance::from));
        }
        Ok(v1::FindTaskInstancesResponse { task_instances: found })
    }

    /// The asset with a name or URI, or the assets that an alias stands for.
    pub(super) async fn do_find_assets(
        &self,
        request: v1::FindAssetsRequest,
    ) -> Result<v1::FindAssetsResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let assets = match &request.alias {
            Some(alias) => self.core.store.assets_of_alias(alias).await.map_err(store_error)?,
            None => {
                let found = self.core.find_asset(request.name.as_deref(), request.uri.as_deref()).await?;
                found.into_iter().collect()
            }
        };
        Ok(v1::FindAssetsResponse { assets: assets.iter().map(Into::into).collect() })
    }

    pub(super) async fn do_find_asset_events(
        &self,
        request: v1::FindAssetEventsRequest,
    ) -> Result<v1::FindAssetEventsResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        if request.name.is_none() && request.uri.is_none() && request.alias.is_none() {
            return Err(ApiError::invalid("an asset's name, its uri or an alias is needed"));
        }
        let filter = AssetEventFilter {
            name: request.name,
            uri: request.uri,
            alias: request.alias,
            after: instant_opt("after", request.after)?,
            before: instant_opt("before", request.before)?,
            ascending: request.ascending,
            ..AssetEventFilter::default()
        };
        let events = match request.limit {
            limit @ 1..=Page::MAX => {
                self.core.store.asset_events(&filter, Page::first(limit)).await.map_err(store_error)?.rows
            }
            limit => {
                let mut events = all_rows(|page| self.core.store.asset_events(&filter, page)).await?;
                if limit > 0 {
                    events.truncate(limit as usize);
                }
                events
            }
        };
        Ok(v1::FindAssetEventsResponse { events: events.iter().map(Into::into).collect() })
    }

    pub(super) async fn do_describe_dag(
        &self,
        request: v1::DescribeDagRequest,
    ) -> Result<v1::DescribeDagResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let (row, version) = known_dag(&self.core, &request.dag_id).await?;
        let dag_id = row.dag_id.clone();
        let next = self
            .core
            .query(move |engine, _| engine.next_runs(&dag_id, 1).ok().and_then(|runs| runs.into_iter().next()))
            .await?;
        let spec = &version.spec;
        let tasks: BTreeMap<&str, Vec<&str>> = spec
            .tasks
            .iter()
            .map(|task| (task.task_id.as_str(), task.upstream.iter().map(AsRef::as_ref).collect()))
            .collect();
        Ok(v1::DescribeDagResponse {
            dag_id: row.dag_id.to_string(),
            is_paused: row.is_paused,
            is_stale: row.is_stale,
            rel_path: row.source.rel_path.clone(),
            description: spec.description.clone(),
            owners: spec.owners.clone(),
            tags: spec.tags.clone(),
            next_logical_date: next.map(|run| micros(run.logical_date)),
            next_run_after: next.map(|run| micros(run.run_after)),
            schedule: spec.schedule_text.clone(),
            parsed_at: micros(row.parsed_at),
            version: row.version.to_string(),
            tasks_json: to_json(&tasks),
        })
    }

    pub(super) async fn do_get_bundle(&self, request: v1::GetBundleRequest) -> Result<v1::Bundle, ApiError> {
        let hash = request.hash;
        let bundle = self.core.store.bundle(&hash.as_str().into()).await.map_err(store_error)?;
        let bundle = bundle.ok_or_else(|| ApiError::not_found(format!("no bundle has the hash {hash}")))?;
        Ok(v1::Bundle::from(&bundle))
    }

    pub(super) async fn do_get_blobs(
        &self,
        request: v1::GetBlobsRequest,
    ) -> Result<ReceiverStream<Result<v1::BlobChunk, Status>>, ApiError> {
        let (sender, receiver) = mpsc::channel(4);
        let core = Arc::clone(&self.core);
        tokio::spawn(async move {
            for hash in request.hashes {
                if let Err(error) = send_blob(&core, &hash, &sender).await {
                    // The worker may have gone.
                    let _ = sender.send(Err(status(error))).await;
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

async fn send_blob(
    core: &Core,
    hash: &str,
    sender: &mpsc::Sender<Result<v1::BlobChunk, Status>>,
) -> Result<(), ApiError> {
    let blob = core.store.blob(&hash.into()).await.map_err(store_error)?;
    let blob = blob.ok_or_else(|| ApiError::not_found(format!("no blob has the hash {hash}")))?;
    let parts = blob.len().div_ceil(BLOB_PART).max(1);
    for part in 0..parts {
        let data = blob[part * BLOB_PART..blob.len().min((part + 1) * BLOB_PART)].to_vec();
        let chunk = v1::BlobChunk { hash: hash.to_owned(), data, last: part + 1 == parts };
        if sender.send(Ok(chunk)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn runs_answer(runs: &[DagRun], total: u64) -> v1::FindRunsResponse {
    v1::FindRunsResponse { total, runs: runs.iter().map(Into::into).collect() }
}
