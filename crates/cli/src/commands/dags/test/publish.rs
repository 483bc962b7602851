//! Brings one DAG of a folder to the scheduler of a test.

use std::{collections::BTreeMap, path::Path, time::Duration};

use tradewind_dags::{LoadedFile, version_hash};
use tradewind_proto::{LeaderClient, dag_client, to_json, v1};
use tradewind_types::{DagSpec, Timestamp, TriggerRule, did_you_mean};

use crate::errors::{CliError, Exit};

/// The largest part of a file in one message.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How long the scheduler of this process may take to lead.
const PATIENCE: Duration = Duration::from_secs(15);

/// The DAG as it is tested on a date: nothing but the one run comes of it, and its retries come at once.
pub fn tested(mut spec: DagSpec, date: Timestamp) -> DagSpec {
    // The timetable stays, since data intervals and templates follow from it. The only run that it could make is for the
    // date of the test, which is taken by the time that the DAG is unpaused.
    spec.catchup = false;
    spec.start_date = Some(date);
    spec.end_date = Some(date);
    spec.is_paused_upon_creation = Some(true);
    // Nobody is alerted by a test.
    spec.deadlines = Vec::new();
    for task in &mut spec.tasks {
        task.start_date = None;
        task.end_date = None;
        task.retry.delay = Duration::ZERO;
        task.retry.max_delay = None;
    }
    spec
}

/// One task of the DAG, tested by itself: what it depends on is ignored, and it is tried once.
///
/// # Errors
/// There is no such task, or it is mapped over what other tasks give.
pub fn tested_task(spec: DagSpec, date: Timestamp, task_id: &str) -> Result<DagSpec, CliError> {
    let mut spec = tested(spec, date);
    let Some(at) = spec.task_index(task_id) else {
        let near = did_you_mean(task_id, spec.tasks.iter().map(|task| task.task_id.as_str()));
        return Err(CliError::new(Exit::NotFound, format!("{} has no task \"{task_id}\"{near}", spec.dag_id)));
    };
    let mut task = spec.tasks.swap_remove(at);
    let group = |id: &String| spec.task_groups.iter().find(|group| group.group_id == *id);
    let expand = task.expand.as_ref().or_else(|| group(task.mapped_group.as_ref()?)?.expand.as_ref());
    if let Some(over) = expand.and_then(|expand| expand.dependencies().into_iter().next()) {
        return Err(CliError::usage(format!(
            "\"{task_id}\" is mapped over what \"{over}\" gives, which does not run here"
        ))
        .with_hint(format!("run the whole DAG with `tradewind dags test {}`", spec.dag_id)));
    }
    task.upstream = Vec::new();
    task.trigger_rule = TriggerRule::Always;
    task.depends_on_past = false;
    task.wait_for_downstream = false;
    task.is_setup = false;
    task.is_teardown = false;
    task.retry.retries = 0;
    for group in &mut spec.task_groups {
        group.tasks.retain(|id| *id == task.task_id);
    }
    spec.tasks = vec![task];
    // They are about the run, which is none.
    spec.on_success_callback = false;
    spec.on_failure_callback = false;
    Ok(spec)
}

/// Publishes a DAG of a file with the files that its tasks need.
///
/// # Errors
/// A file changed meanwhile, or the scheduler refuses the DAG.
pub(super) async fn publish(
    client: &LeaderClient,
    folder: &Path,
    file: &LoadedFile,
    spec: &DagSpec,
) -> Result<(), CliError> {
    if let Some(bundle) = &file.bundle {
        let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in &bundle.files {
            paths.entry(entry.blob.as_str()).or_insert(&entry.path);
        }
        for (hash, path) in paths {
            let path = folder.join(path);
            let bytes = std::fs::read(&path).map_err(|error| CliError::file("read", &path, &error))?;
            put(client, hash, &bytes).await?;
        }
    }
    let version = version_hash(spec, file.bundle.as_ref());
    let request = v1::PublishFileRequest {
        rel_path: file.rel_path.clone(),
        dags: vec![v1::PublishedDag { version: version.to_string(), spec_json: to_json(spec) }],
        bundle: file.bundle.as_ref().map(Into::into),
        errors: Vec::new(),
        parse_ms: u64::try_from(file.parse_time.as_millis()).unwrap_or(u64::MAX),
        warnings: file.warnings.clone(),
        deprecations: file.deprecations.iter().cloned().map(Into::into).collect(),
    };
    let answer = client
        .call(PATIENCE, |channel| {
            let request = request.clone();
            async move { dag_client(channel).publish_file(request).await }
        })
        .await?;
    match answer.refused.into_iter().next() {
        None => Ok(()),
        Some(refused) => Err(CliError::new(Exit::Usage, format!("{}: {}", file.rel_path, refused.message))),
    }
}

async fn put(client: &LeaderClient, hash: &str, bytes: &[u8]) -> Result<(), CliError> {
    let mut parts: Vec<v1::BlobChunk> = bytes
        .chunks(CHUNK_BYTES)
        .map(|part| v1::BlobChunk { hash: hash.to_owned(), data: part.to_vec(), last: false })
        .collect();
    match parts.last_mut() {
        Some(part) => part.last = true,
        None => parts.push(v1::BlobChunk { hash: hash.to_owned(), data: Vec::new(), last: true }),
    }
    client
        .call(PATIENCE, |channel| {
            let parts = parts.clone();
            async move { dag_client(channel).put_blobs(futures::stream::iter(parts)).await }
        })
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> DagSpec {
        let mapped = |arg| json!({"type": "rows", "rows": arg});
        serde_json::from_value(json!({
            "dag_id": "d", "source": {"kind": "yaml", "rel_path": "d.yaml"},
            "on_failure_callback": true,
            "tasks": [
                {"task_id": "a", "operator": {"type": "empty"}, "retry": {"retries": 3}},
                {"task_id": "b", "upstream": ["a"], "operator": {"type": "empty"}, "depends_on_past": true},
                {"task_id": "over_a", "upstream": ["a"], "operator": {"type": "empty"},
                 "expand": mapped(json!({"type": "x_com", "task_id": "a", "key": "return_value"}))},
                {"task_id": "literal", "operator": {"type": "empty"},
                 "expand": mapped(json!({"type": "literal", "length": 2}))},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_task_is_tested_without_what_it_depends_on() {
        let one = tested_task(spec(), Timestamp::UNIX_EPOCH, "b").unwrap();
        assert_eq!(one.tasks.len(), 1);
        assert!(one.tasks[0].upstream.is_empty() && !one.tasks[0].depends_on_past && !one.on_failure_callback);
        assert_eq!(tested_task(spec(), Timestamp::UNIX_EPOCH, "a").unwrap().tasks[0].retry.retries, 0);
        assert!(tested_task(spec(), Timestamp::UNIX_EPOCH, "literal").unwrap().tasks[0].expand.is_some());
        let over = tested_task(spec(), Timestamp::UNIX_EPOCH, "over_a").unwrap_err();
        assert!(over.message.contains("\"a\"") && over.exit == Exit::Usage, "{over}");
        assert!(
            tested_task(spec(), Timestamp::UNIX_EPOCH, "litreal")
                .unwrap_err()
                .message
                .contains("did you mean \"literal\"")
        );
    }
}
