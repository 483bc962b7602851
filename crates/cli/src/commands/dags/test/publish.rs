//! Brings one DAG of a folder to the scheduler of a test.

use std::{collections::BTreeMap, path::Path, time::Duration};

use tradewind_dags::{LoadedFile, version_hash};
use tradewind_proto::{LeaderClient, dag_client, to_json, v1};
use tradewind_types::{DagSpec, Timestamp};

use crate::errors::{CliError, Exit};

/// The largest part of a file in one message.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How long the scheduler of this process may take to lead.
const PATIENCE: Duration = Duration::from_secs(15);
/// No run is due before this: a hundred thousand days from now.
const NEVER_SECS: i64 = 8_640_000_000;

/// The DAG as it is tested: nothing but the one run comes of it, and its retries come at once.
pub(super) fn tested(mut spec: DagSpec) -> DagSpec {
    // The timetable stays, since data intervals and templates follow from it; it never ticks.
    let never = Timestamp::now().checked_add(jiff::SignedDuration::from_secs(NEVER_SECS)).unwrap_or(Timestamp::MAX);
    spec.catchup = false;
    spec.start_date = Some(never);
    spec.end_date = None;
    spec.is_paused_upon_creation = Some(false);
    for task in &mut spec.tasks {
        task.start_date = None;
        task.end_date = None;
        task.retry.delay = Duration::ZERO;
        task.retry.max_delay = None;
    }
    spec
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
