//! Bundles from the scheduler. Any scheduler can answer: nothing is written.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tradewind_proto::{LeaderClient, api_error, v1, worker_client};
use tradewind_types::{ApiError, BlobHash, Bundle, BundleHash};

use crate::bundle::{BlobPart, BundleSource};

/// How long a fetch is tried while no scheduler answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// The worker service as a source of bundles.
pub(crate) struct Remote(pub(crate) LeaderClient);

#[async_trait]
impl BundleSource for Remote {
    async fn manifest(&self, hash: &BundleHash) -> Result<Bundle, ApiError> {
        let request = v1::GetBundleRequest { hash: hash.to_string() };
        self.0
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { worker_client(channel).get_bundle(request).await }
            })
            .await?
            .try_into()
    }

    async fn blobs(&self, hashes: Vec<BlobHash>, into: mpsc::Sender<BlobPart>) -> Result<(), ApiError> {
        let request = v1::GetBlobsRequest { hashes: hashes.iter().map(ToString::to_string).collect() };
        let mut stream = self
            .0
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { worker_client(channel).get_blobs(request).await }
            })
            .await?;
        while let Some(chunk) = stream.message().await.map_err(|status| api_error(&status))? {
            let part = BlobPart { hash: chunk.hash.into(), data: chunk.data, last: chunk.last };
            if into.send(part).await.is_err() {
                // The receiver has said why it does not want more.
                break;
            }
        }
        Ok(())
    }
}
