//! Assets: listing them and their events, updating one by hand, running the DAG that makes one.

use std::sync::Arc;

use tradewind_engine::{Event, Reply, Trigger};
use tradewind_ports::{AssetEventFilter, Page};
use tradewind_proto::{json, v1};
use tradewind_types::{ApiError, Asset, AssetKey, AssetRef, DagId, DagSpec, ErrorCode, RunType};

use super::{ADMIN, page, runs::find_run, trigger_new_run};
use crate::{
    core::{Core, store_error},
    params::conf_object,
    worker_service::{random_suffix, unexpected},
};

pub(crate) async fn list_assets(
    core: &Arc<Core>,
    request: v1::ListAssetsRequest,
) -> Result<v1::ListAssetsResponse, ApiError> {
    let listing = core.store.assets(request.pattern.as_deref(), page(request.page)).await.map_err(store_error)?;
    Ok(v1::ListAssetsResponse { assets: listing.rows.iter().map(Into::into).collect(), total: listing.total })
}

pub(crate) async fn list_asset_events(
    core: &Arc<Core>,
    request: v1::ListAssetEventsRequest,
) -> Result<v1::ListAssetEventsResponse, ApiError> {
    let page = page(request.page);
    let filter = AssetEventFilter {
        name: request.name,
        uri: request.uri,
        source_dag_id: request.source_dag_id.map(Into::into),
        ..AssetEventFilter::default()
    };
    let (rows, total) = match (&request.consumed_by_dag_id, &request.consumed_by_run_id) {
        (None, None) => {
            let listing = core.store.asset_events(&filter, page).await.map_err(store_error)?;
            (listing.rows, listing.total)
        }
        (Some(dag_id), Some(run_id)) => {
            let run = find_run(core, dag_id, run_id).await?;
            let consumed = core.store.consumed_events(run.dag_id.as_str(), run.run_id.as_str()).await;
            let mut rows = consumed.map_err(store_error)?;
            rows.retain(|event| {
                filter.name.as_ref().is_none_or(|name| event.asset.name == *name)
                    && filter.uri.as_ref().is_none_or(|uri| event.asset.uri == *uri)
                    && filter
                        .source_dag_id
                        .as_ref()
                        .is_none_or(|dag_id| event.source.as_ref().is_some_and(|source| source.dag_id == *dag_id))
            });
            // Newest first, as all listings of events.
            rows.reverse();
            let total = rows.len() as u64;
            let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
            (rows.into_iter().skip(offset).take(page.capped_limit() as usize).collect(), total)
        }
        _ => {
            return Err(ApiError::invalid(
                "consumed_by_run_id and consumed_by_dag_id go together: give both, or none of them",
            ));
        }
    };
    Ok(v1::ListAssetEventsResponse { events: rows.iter().map(Into::into).collect(), total })
}

/// The asset that a request names.
///
/// # Errors
/// `not_found`; neither name nor URI given.
async fn named_asset(core: &Core, name: Option<&str>, uri: Option<&str>) -> Result<Asset, ApiError> {
    core.find_asset(name, uri).await?.ok_or_else(|| {
        let named = match (name, uri) {
            (Some(name), Some(uri)) => format!("the name \"{name}\" and the uri \"{uri}\""),
            (Some(name), None) => format!("the name \"{name}\""),
            (None, uri) => format!("the uri \"{}\"", uri.unwrap_or_default()),
        };
        ApiError::not_found(format!("no DAG names an asset with {named}; see `tradewind assets list`"))
    })
}

pub(crate) async fn update_asset(
    core: &Arc<Core>,
    request: v1::UpdateAssetRequest,
) -> Result<v1::AssetEvent, ApiError> {
    let extra = match json("extra", &request.extra_json)? {
        serde_json::Value::Null => serde_json::json!({}),
        extra @ serde_json::Value::Object(_) => extra,
        _ => return Err(ApiError::invalid("extra: it must be a JSON object")),
    };
    let asset = named_asset(core, request.name.as_deref(), request.uri.as_deref()).await?;
    let event = Event::UpdateAsset { asset: asset.key.clone(), extra, by: ADMIN.to_owned() };
    let no = match core.step_one(event).await? {
        Reply::AssetEvent(no) => no,
        other => return Err(unexpected(&other)),
    };
    // It is among the newest of its asset.
    let filter =
        AssetEventFilter { name: Some(asset.key.name), uri: Some(asset.key.uri), ..AssetEventFilter::default() };
    let newest = core.store.asset_events(&filter, Page::first(Page::MAX)).await.map_err(store_error)?;
    let event = newest.rows.iter().find(|event| event.no == no);
    event.map(Into::into).ok_or_else(|| ApiError::internal(format!("the asset event {no} is not in the store")))
}

pub(crate) async fn materialize_asset(
    core: &Arc<Core>,
    request: v1::MaterializeAssetRequest,
) -> Result<v1::DagRun, ApiError> {
    let conf = conf_object(json("conf", &request.conf_json)?)?;
    let asset = named_asset(core, request.name.as_deref(), request.uri.as_deref()).await?;
    let key = asset.key.clone();
    let mut makers: Vec<DagId> = core
        .query(move |engine, _| {
            let live = engine.dags().filter(|row| !row.is_stale).map(|row| row.dag_id.clone());
            live.filter(|dag_id| engine.dag(dag_id).is_some_and(|dag| makes(&dag.version.spec, &key))).collect()
        })
        .await?;
    makers.sort();
    let dag_id = match makers.as_slice() {
        [dag_id] => dag_id.clone(),
        [] => {
            return Err(ApiError::not_found(format!(
                "no DAG has a task with the asset \"{}\" among its outlets",
                asset.key
            )));
        }
        several => {
            let names: Vec<&str> = several.iter().map(DagId::as_str).collect();
            return Err(ApiError::new(
                ErrorCode::Conflict,
                format!(
                    "several DAGs make the asset \"{}\": {}; trigger the one that you mean",
                    asset.key,
                    names.join(", ")
                ),
            ));
        }
    };
    let trigger = Trigger {
        dag_id,
        run_id: None,
        run_type: RunType::AssetMaterialization,
        logical_date: None,
        run_after: None,
        conf,
        by: ADMIN.to_owned(),
        suffix: random_suffix(),
    };
    trigger_new_run(core, trigger).await
}

/// Whether a task of the DAG has the asset among its outlets. Aliases do not count: what comes through them is only known
/// afterwards.
fn makes(spec: &DagSpec, key: &AssetKey) -> bool {
    spec.tasks.iter().flat_map(|task| &task.outlets).any(|outlet| match outlet {
        AssetRef::Asset(own) => own == key,
        AssetRef::Name { name } => *name == key.name,
        AssetRef::Uri { uri } => *uri == key.uri,
        AssetRef::Alias { .. } => false,
    })
}
