//! Taking over what a DAG processor found in one file: new versions go to the engine, errors to the store, and DAGs that
//! the file no longer defines become stale. While a file is broken its last good version stays.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};
use tradewind_engine::{Event, check_spec};
use tradewind_proto::{from_json, v1};
use tradewind_types::{
    ApiError, Bundle, DagId, DagSpec, DagVersion, Deprecation, ImportError, Operator, SourceKind, Timestamp,
    VersionHash,
};

use crate::{
    core::{Core, store_error},
    params::default_problems,
};

/// A DAG as the engine has it: what a publication is compared with.
struct KnownDag {
    dag_id: DagId,
    version: VersionHash,
    rel_path: String,
    is_stale: bool,
}

async fn known_dags(core: &Core) -> Result<Vec<KnownDag>, ApiError> {
    core.query(|engine, _| {
        engine
            .dags()
            .map(|row| KnownDag {
                dag_id: row.dag_id.clone(),
                version: row.version.clone(),
                rel_path: row.source.rel_path.clone(),
                is_stale: row.is_stale,
            })
            .collect()
    })
    .await
}

/// Publishes one file.
pub(crate) async fn publish_file(
    core: &Arc<Core>,
    request: v1::PublishFileRequest,
) -> Result<v1::PublishFileResponse, ApiError> {
    let rel_path = request.rel_path;
    let now = core.clock.now();
    let mut errors = request.errors.into_iter().map(ImportError::try_from).collect::<Result<Vec<_>, _>>()?;
    let file_is_broken = !errors.is_empty();
    let bundle = request.bundle.map(Bundle::try_from).transpose()?;
    if let Some(bundle) = &bundle {
        let blobs: Vec<_> = bundle.files.iter().map(|file| file.blob.clone()).collect();
        let missing = core.store.missing_blobs(&blobs).await.map_err(store_error)?;
        if let Some(blob) = missing.first() {
            return Err(ApiError::conflict(format!(
                "{} blobs of the bundle {} are not stored yet, e.g. {blob}; upload them first",
                missing.len(),
                bundle.hash
            )));
        }
        core.store.put_bundle(bundle).await.map_err(store_error)?;
    }

    let known = known_dags(core).await?;
    let mut refused = Vec::new();
    let mut events = Vec::new();
    let mut defined = HashSet::new();
    let mut warnings = Vec::new();
    for dag in request.dags {
        let spec: DagSpec = from_json("spec", &dag.spec_json)?;
        let problems = problems_of(&spec, &rel_path, &known);
        if !problems.is_empty() {
            refused.extend(problems.into_iter().map(|message| import_error(&rel_path, message, now)));
            // What was there before stays.
            defined.insert(spec.dag_id.clone());
            continue;
        }
        defined.insert(spec.dag_id.clone());
        warnings.extend(warnings_of(core, &spec).await?);
        let unchanged =
            known.iter().any(|old| old.dag_id == spec.dag_id && old.version.as_str() == dag.version && !old.is_stale);
        if unchanged {
            continue;
        }
        // Also where no task needs it: callbacks of the DAG do.
        let needs_bundle = spec.source.kind == SourceKind::Python;
        let hash = VersionHash::from(dag.version);
        // A version that comes back (an edit that was undone) keeps its number.
        let stored = core.store.dag_version(spec.dag_id.as_str(), &hash).await.map_err(store_error)?;
        let version = DagVersion {
            hash,
            number: stored.map_or(0, |version| version.number),
            bundle: bundle.as_ref().filter(|_| needs_bundle).map(|bundle| bundle.hash.clone()),
            created_at: now,
            spec,
        };
        events.push(Event::DagPublished {
            version: Arc::new(version),
            paused_by_default: core.settings.paused_by_default,
        });
    }
    if !file_is_broken && refused.is_empty() {
        let gone =
            known.iter().filter(|old| old.rel_path == rel_path && !old.is_stale && !defined.contains(&old.dag_id));
        events.extend(gone.map(|old| Event::DagGone { dag_id: old.dag_id.clone() }));
    }
    if !events.is_empty() {
        for reply in core.step(events).await? {
            if let tradewind_engine::Reply::Refused(error) = reply {
                refused.push(import_error(&rel_path, error.message, now));
            }
        }
    }
    let deprecations: Vec<Deprecation> = request.deprecations.into_iter().map(Into::into).collect();
    keep_remarks(core, &rel_path, REMARKS, &request.warnings).await?;
    keep_remarks(core, &rel_path, DEPRECATIONS, &deprecations).await?;
    errors.extend(refused.iter().cloned());
    core.store.set_import_errors(&rel_path, &errors).await.map_err(store_error)?;
    Ok(v1::PublishFileResponse { refused: refused.into_iter().map(Into::into).collect(), warnings })
}

/// Ends a scan: answers the DAGs that became stale.
pub(crate) async fn complete_scan(core: &Arc<Core>, rel_paths: Vec<String>) -> Result<Vec<String>, ApiError> {
    let present: HashSet<String> = rel_paths.into_iter().collect();
    let gone: Vec<KnownDag> =
        known_dags(core).await?.into_iter().filter(|dag| !dag.is_stale && !present.contains(&dag.rel_path)).collect();
    for dag in &gone {
        keep_remarks::<String>(core, &dag.rel_path, REMARKS, &[]).await?;
        keep_remarks::<Deprecation>(core, &dag.rel_path, DEPRECATIONS, &[]).await?;
    }
    let gone: Vec<DagId> = gone.into_iter().map(|dag| dag.dag_id).collect();
    if !gone.is_empty() {
        core.step(gone.iter().map(|dag_id| Event::DagGone { dag_id: dag_id.clone() }).collect()).await?;
    }
    let mut offset = 0;
    let mut vanished = HashSet::new();
    loop {
        let page = tradewind_ports::Page { limit: tradewind_ports::Page::MAX, offset };
        let errors = core.store.import_errors(page).await.map_err(store_error)?;
        offset += errors.rows.len() as u64;
        let done = errors.rows.is_empty() || offset >= errors.total;
        vanished.extend(errors.rows.into_iter().map(|error| error.rel_path).filter(|path| !present.contains(path)));
        if done {
            break;
        }
    }
    for rel_path in vanished {
        core.store.set_import_errors(&rel_path, &[]).await.map_err(store_error)?;
    }
    Ok(gone.into_iter().map(|dag_id| dag_id.to_string()).collect())
}

/// Where the remarks about a DAG file are kept: out of reach of tasks, whose scopes begin with `task/` or `asset/`.
fn remarks_scope(rel_path: &str) -> String {
    format!("dag-file/{rel_path}")
}

/// The keys of the remarks in their scope: lines, and names that the file should no longer use.
const REMARKS: &str = "warnings";
const DEPRECATIONS: &str = "deprecations";

/// What the conversion and Python had to say about the file that defines a DAG.
pub(crate) async fn remarks(core: &Core, rel_path: &str) -> Result<Vec<String>, ApiError> {
    kept(core, rel_path, REMARKS).await
}

/// The names that the files of all DAGs should no longer use, each once.
pub(crate) async fn deprecations(core: &Core) -> Result<Vec<Deprecation>, ApiError> {
    let files: BTreeSet<String> =
        known_dags(core).await?.into_iter().filter(|dag| !dag.is_stale).map(|dag| dag.rel_path).collect();
    let mut found = BTreeSet::new();
    for rel_path in files {
        found.extend(kept::<Deprecation>(core, &rel_path, DEPRECATIONS).await?);
    }
    Ok(found.into_iter().collect())
}

async fn kept<T: DeserializeOwned>(core: &Core, rel_path: &str, key: &str) -> Result<Vec<T>, ApiError> {
    let kept = core.store.state_value(&remarks_scope(rel_path), key).await.map_err(store_error)?;
    Ok(kept.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default())
}

/// Keeps remarks about a file; none clears them.
async fn keep_remarks<T>(core: &Core, rel_path: &str, key: &str, remarks: &[T]) -> Result<(), ApiError>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    if kept::<T>(core, rel_path, key).await? == remarks {
        return Ok(());
    }
    let scope = remarks_scope(rel_path);
    if remarks.is_empty() {
        core.store.delete_state_values(&scope, Some(key)).await.map_err(store_error)?;
    } else {
        core.store.put_state_value(&scope, key, &serde_json::json!(remarks)).await.map_err(store_error)?;
    }
    Ok(())
}

fn problems_of(spec: &DagSpec, rel_path: &str, known: &[KnownDag]) -> Vec<String> {
    let mut problems = check_spec(spec).err().unwrap_or_default();
    problems.extend(default_problems(spec));
    if let Some(other) = known.iter().find(|old| old.dag_id == spec.dag_id && !old.is_stale && old.rel_path != rel_path)
    {
        problems.push(format!(
            "the DAG id \"{}\" is defined in {} already; give one of them another id, or delete one",
            spec.dag_id, other.rel_path
        ));
    }
    problems
}

/// What will keep tasks from running, though the DAG is sound.
async fn warnings_of(core: &Core, spec: &DagSpec) -> Result<Vec<String>, ApiError> {
    let pools: HashSet<String> = core
        .query(|engine, _| engine.pool_usage().into_iter().map(|(pool, _)| pool.name.to_string()).collect())
        .await?;
    let workers = core.leadership()?.workers;
    let mut warnings = Vec::new();
    let mut seen = HashSet::new();
    for task in &spec.tasks {
        if !pools.contains(task.pool.as_str()) && seen.insert(format!("pool {}", task.pool)) {
            warnings.push(format!(
                "{}: the pool \"{}\" of task {} does not exist; its tasks wait until it does",
                spec.dag_id, task.pool, task.task_id
            ));
        }
        let on_worker = !matches!(task.operator, Operator::Empty);
        if on_worker && seen.insert(format!("queue {}", task.queue)) && workers.serving(&task.queue).0.is_empty() {
            warnings.push(format!(
                "{}: no live worker serves the queue \"{}\" of task {}",
                spec.dag_id, task.queue, task.task_id
            ));
        }
    }
    Ok(warnings)
}

fn import_error(rel_path: &str, message: String, at: Timestamp) -> ImportError {
    ImportError { rel_path: rel_path.to_owned(), message, line: None, column: None, traceback: None, at }
}
