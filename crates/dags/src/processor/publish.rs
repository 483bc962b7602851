//! Brings what the folder holds to the leader: blobs first, then each file, then the list of files that exist.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tradewind_proto::{LeaderClient, dag_client, to_json, v1};
use tradewind_types::{ApiError, BlobHash, Bundle, ErrorCode, sha256_hex};

use super::pipeline::{Folder, LoadedFile};
use crate::scan::Scan;

/// The largest part of a blob that goes in one message.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Blobs that go in one stream, by their bytes.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;
/// Hashes asked about at once.
const HASHES: usize = 2_000;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// No leader answers; or it refuses what we are.
    #[error("{0}")]
    Call(#[from] ApiError),
    /// A file changed between scan and upload: scan again.
    #[error("{0} changed while it was uploaded")]
    Changed(String),
}

/// Publishes, and remembers what the leader has.
pub(crate) struct Publisher {
    client: LeaderClient,
    patience: Duration,
    address: String,
    /// The fingerprint of what each file was published with.
    published: BTreeMap<String, String>,
    /// Bundles whose blobs are known to be stored.
    stored: BTreeSet<String>,
    /// The list of files that was published to its end, none refused.
    done: Option<Arc<Vec<LoadedFile>>>,
    /// The leader was away: it may be another one now, on another store.
    was_away: bool,
}

impl Publisher {
    pub(crate) fn new(client: LeaderClient, patience: Duration) -> Self {
        Self {
            address: client.address(),
            client,
            patience,
            published: BTreeMap::new(),
            stored: BTreeSet::new(),
            done: None,
            was_away: false,
        }
    }

    /// One round: everything that the leader does not have yet, and with `full` the list of files.
    ///
    /// # Errors
    /// The leader is away or a file changed meanwhile. What was published stays published; the next round goes on.
    pub(crate) async fn publish(&mut self, folder: &Folder, full: bool) -> Result<(), PublishError> {
        let result = self.round(folder, full).await;
        if let Err(PublishError::Call(_)) = &result {
            self.was_away = true;
        }
        result
    }

    async fn round(&mut self, folder: &Folder, full: bool) -> Result<(), PublishError> {
        let address = self.client.address();
        if self.was_away || address != self.address {
            // Publishing again what is known costs the leader a comparison of hashes.
            self.published.clear();
            self.stored.clear();
            self.done = None;
            self.address = address;
            self.was_away = false;
        }
        let is_done = self.done.as_ref().is_some_and(|done| Arc::ptr_eq(done, &folder.files));
        if is_done && !full {
            return Ok(());
        }
        let present: BTreeSet<&String> =
            folder.files.iter().map(|file| &file.rel_path).chain(&folder.pending).collect();
        let vanished = self.published.keys().any(|rel| !present.contains(rel));
        // Files that are gone give their DAG ids free before others take them, so that a renamed file just works.
        if folder.scan.complete && (full || vanished) {
            self.complete_scan(&present).await?;
        }
        if is_done {
            return Ok(());
        }
        self.done = None;
        let mut refused = Vec::new();
        for file in folder.files.iter() {
            if !self.publish_file(folder, file).await? {
                refused.push(file);
            }
        }
        // What one file gave up in this round may be what another was refused for.
        let mut all = true;
        for file in refused {
            all &= self.publish_file(folder, file).await?;
        }
        self.done = all.then(|| Arc::clone(&folder.files));
        Ok(())
    }

    async fn complete_scan(&mut self, present: &BTreeSet<&String>) -> Result<(), PublishError> {
        let request = v1::CompleteScanRequest { rel_paths: present.iter().map(|rel| (*rel).clone()).collect() };
        let answer = self
            .client
            .call(self.patience, |channel| {
                let request = request.clone();
                async move { dag_client(channel).complete_scan(request).await }
            })
            .await?;
        for dag_id in answer.stale {
            tracing::info!(dag_id, "the DAG's file is gone");
        }
        self.published.retain(|rel, _| present.contains(rel));
        Ok(())
    }

    /// Publishes a file unless the leader has it. False when a DAG of it was refused.
    async fn publish_file(&mut self, folder: &Folder, file: &LoadedFile) -> Result<bool, PublishError> {
        let request = request_of(file);
        let fingerprint = fingerprint(&request);
        if self.published.get(&file.rel_path) == Some(&fingerprint) {
            return Ok(true);
        }
        let mut answer = self.send(folder, file, request.clone()).await;
        if matches!(&answer, Err(PublishError::Call(error)) if error.code == ErrorCode::Conflict) {
            // The store lost blobs that it had.
            self.stored.clear();
            answer = self.send(folder, file, request.clone()).await;
        }
        let answer = match answer {
            Ok(answer) => answer,
            // The file's own fault, e.g. a DAG too large for one message: say so where its author looks.
            Err(PublishError::Call(error)) if is_about_the_file(&error) => {
                tracing::error!(file = file.rel_path, "the scheduler refuses the file: {error}");
                let errors = vec![v1::ImportError {
                    rel_path: file.rel_path.clone(),
                    message: format!("the scheduler refuses the file: {error}"),
                    at: tradewind_types::Timestamp::now().as_microsecond(),
                    ..Default::default()
                }];
                let request = v1::PublishFileRequest { dags: Vec::new(), bundle: None, errors, ..request };
                self.call_publish(request).await?
            }
            Err(error) => return Err(error),
        };
        for warning in &answer.warnings {
            tracing::warn!(file = file.rel_path, "{warning}");
        }
        if answer.refused.is_empty() {
            tracing::info!(file = file.rel_path, dags = file.dags.len(), errors = file.errors.len(), "published");
            self.published.insert(file.rel_path.clone(), fingerprint);
            return Ok(true);
        }
        for refused in &answer.refused {
            tracing::warn!(file = file.rel_path, "{}", refused.message);
        }
        // Not remembered: the reason may go away without a change of this file.
        self.published.insert(file.rel_path.clone(), String::new());
        Ok(false)
    }

    async fn send(
        &mut self,
        folder: &Folder,
        file: &LoadedFile,
        request: v1::PublishFileRequest,
    ) -> Result<v1::PublishFileResponse, PublishError> {
        if let Some(bundle) = &file.bundle {
            self.store_blobs(&folder.scan, bundle).await?;
        }
        self.call_publish(request).await
    }

    async fn call_publish(&self, request: v1::PublishFileRequest) -> Result<v1::PublishFileResponse, PublishError> {
        let answer = self
            .client
            .call(self.patience, |channel| {
                let request = request.clone();
                async move { dag_client(channel).publish_file(request).await }
            })
            .await?;
        Ok(answer)
    }

    async fn store_blobs(&mut self, scan: &Scan, bundle: &Bundle) -> Result<(), PublishError> {
        if self.stored.contains(bundle.hash.as_str()) {
            return Ok(());
        }
        let sizes: HashMap<&BlobHash, (&str, u64)> =
            bundle.files.iter().map(|file| (&file.blob, (file.path.as_str(), file.size))).collect();
        let hashes: Vec<String> = sizes.keys().map(ToString::to_string).collect();
        let mut missing = Vec::new();
        for hashes in hashes.chunks(HASHES) {
            let request = v1::MissingBlobsRequest { hashes: hashes.to_vec() };
            let answer = self
                .client
                .call(self.patience, |channel| {
                    let request = request.clone();
                    async move { dag_client(channel).missing_blobs(request).await }
                })
                .await?;
            missing.extend(answer.hashes.into_iter().map(BlobHash::from));
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for blob in missing {
            let Some((path, size)) = sizes.get(&blob) else {
                continue;
            };
            if !batch.is_empty() && bytes + size > BATCH_BYTES {
                self.put(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += size;
            batch.extend(chunks_of(scan, path, &blob).await?);
        }
        self.put(batch).await?;
        self.stored.insert(bundle.hash.to_string());
        Ok(())
    }

    async fn put(&self, chunks: Vec<v1::BlobChunk>) -> Result<(), PublishError> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.client
            .call(self.patience, |channel| {
                let chunks = chunks.clone();
                async move { dag_client(channel).put_blobs(tokio_stream::iter(chunks)).await }
            })
            .await?;
        Ok(())
    }
}

/// Whether trying again without the file's content makes sense. Wrong credentials, say, are not the file's fault.
const fn is_about_the_file(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::Invalid | ErrorCode::TooLarge)
}

fn request_of(file: &LoadedFile) -> v1::PublishFileRequest {
    v1::PublishFileRequest {
        rel_path: file.rel_path.clone(),
        dags: file
            .dags
            .iter()
            .map(|(version, spec)| v1::PublishedDag { version: version.to_string(), spec_json: to_json(spec) })
            .collect(),
        bundle: file.bundle.as_ref().map(Into::into),
        errors: file.errors.iter().cloned().map(Into::into).collect(),
        parse_ms: u64::try_from(file.parse_time.as_millis()).unwrap_or(u64::MAX),
        warnings: file.warnings.clone(),
        deprecations: file.deprecations.iter().cloned().map(Into::into).collect(),
    }
}

/// What makes two publications of a file the same.
fn fingerprint(request: &v1::PublishFileRequest) -> String {
    let mut text = request.rel_path.clone();
    for dag in &request.dags {
        text.push('\n');
        text.push_str(&dag.version);
    }
    if let Some(bundle) = &request.bundle {
        text.push_str("\nbundle ");
        text.push_str(&bundle.hash);
    }
    for warning in &request.warnings {
        text.push_str("\nwarning ");
        text.push_str(warning);
    }
    for error in &request.errors {
        text.push_str(&format!("\nerror {:?} {:?} {}", error.line, error.column, error.message));
    }
    sha256_hex(text.as_bytes())
}

/// Reads a file and cuts it into chunks, if it still is what was scanned.
async fn chunks_of(scan: &Scan, rel: &str, blob: &BlobHash) -> Result<Vec<v1::BlobChunk>, PublishError> {
    let changed = || PublishError::Changed(rel.to_owned());
    let path: &Path = &scan.files.get(rel).ok_or_else(changed)?.path;
    let bytes = tokio::fs::read(path).await.map_err(|_| changed())?;
    if sha256_hex(&bytes) != blob.as_str() {
        return Err(changed());
    }
    let last = bytes.len().div_ceil(CHUNK_BYTES).max(1) - 1;
    Ok((0..=last)
        .map(|index| v1::BlobChunk {
            hash: blob.to_string(),
            data: bytes[index * CHUNK_BYTES..bytes.len().min((index + 1) * CHUNK_BYTES)].to_vec(),
            last: index == last,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IgnoreSyntax, scan::Scanner};

    #[tokio::test]
    async fn a_file_that_changed_since_the_scan_is_not_uploaded() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.sql"), "one").unwrap();
        std::fs::write(dir.path().join("empty"), "").unwrap();
        let mut scanner = Scanner::new(dir.path().to_owned(), 1 << 20, IgnoreSyntax::Glob);
        let scan = scanner.scan().unwrap();
        let blob = |rel: &str| scan.files[rel].blob.clone();
        let chunks = chunks_of(&scan, "a.sql", &blob("a.sql")).await.unwrap();
        assert_eq!((chunks.len(), chunks[0].data.as_slice(), chunks[0].last), (1, b"one".as_slice(), true));
        let chunks = chunks_of(&scan, "empty", &blob("empty")).await.unwrap();
        assert_eq!((chunks.len(), chunks[0].last), (1, true));

        std::fs::write(dir.path().join("a.sql"), "two").unwrap();
        let changed = chunks_of(&scan, "a.sql", &blob("a.sql")).await;
        assert!(matches!(changed, Err(PublishError::Changed(file)) if file == "a.sql"));
        // A rewrite of the same length at once shows in the next scan.
        assert_ne!(scanner.scan().unwrap().files["a.sql"].blob, blob("a.sql"));
    }
}
