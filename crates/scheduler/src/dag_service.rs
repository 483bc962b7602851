//! The DAG processor's side of the scheduler.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};
use tradewind_proto::{status, v1};
use tradewind_types::{ApiError, BlobHash, ErrorCode, sha256_hex};

use crate::{
    core::{Core, store_error},
    publish::{complete_scan, publish_file},
};

/// The largest blob that is taken.
const BLOB_MAX_BYTES: usize = 256 * 1024 * 1024;

pub(crate) struct DagApi {
    pub(crate) core: Arc<Core>,
}

#[tonic::async_trait]
impl v1::dag_service_server::DagService for DagApi {
    async fn missing_blobs(
        &self,
        request: Request<v1::MissingBlobsRequest>,
    ) -> Result<Response<v1::MissingBlobsResponse>, Status> {
        self.core.leadership().map_err(status)?;
        let hashes: Vec<BlobHash> = request.into_inner().hashes.into_iter().map(Into::into).collect();
        let missing = self.core.store.missing_blobs(&hashes).await.map_err(|error| status(store_error(error)))?;
        let hashes = missing.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::MissingBlobsResponse { hashes }))
    }

    async fn put_blobs(
        &self,
        request: Request<Streaming<v1::BlobChunk>>,
    ) -> Result<Response<v1::PutBlobsResponse>, Status> {
        self.core.leadership().map_err(status)?;
        let mut chunks = request.into_inner();
        let mut data: Vec<u8> = Vec::new();
        let mut stored = 0;
        while let Some(chunk) = chunks.message().await? {
            if data.len() + chunk.data.len() > BLOB_MAX_BYTES {
                return Err(status(ApiError::new(
                    ErrorCode::TooLarge,
                    format!("the blob {} is over {BLOB_MAX_BYTES} bytes", chunk.hash),
                )));
            }
            data.extend_from_slice(&chunk.data);
            if chunk.last {
                let hash = sha256_hex(&data);
                if hash != chunk.hash {
                    return Err(status(ApiError::invalid(format!("the blob {} has the hash {hash}", chunk.hash))));
                }
                let blob = (BlobHash::from(hash), std::mem::take(&mut data));
                self.core.store.put_blobs(&[blob]).await.map_err(|error| status(store_error(error)))?;
                stored += 1;
            }
        }
        Ok(Response::new(v1::PutBlobsResponse { stored }))
    }

    async fn publish_file(
        &self,
        request: Request<v1::PublishFileRequest>,
    ) -> Result<Response<v1::PublishFileResponse>, Status> {
        publish_file(&self.core, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn complete_scan(
        &self,
        request: Request<v1::CompleteScanRequest>,
    ) -> Result<Response<v1::CompleteScanResponse>, Status> {
        let stale = complete_scan(&self.core, request.into_inner().rel_paths).await.map_err(status)?;
        Ok(Response::new(v1::CompleteScanResponse { stale }))
    }
}
