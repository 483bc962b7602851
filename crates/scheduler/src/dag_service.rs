//! The DAG processor's side of the scheduler.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};
use tradewind_engine::{Event, timetable::DagRunInfo};
use tradewind_proto::{instant, instant_opt, micros, status, v1};
use tradewind_types::{ApiError, BlobHash, DagId, ErrorCode, sha256_hex};

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

    async fn timetable_questions(
        &self,
        _: Request<v1::TimetableQuestionsRequest>,
    ) -> Result<Response<v1::TimetableQuestionsResponse>, Status> {
        timetable_questions(&self.core).await.map(Response::new).map_err(status)
    }

    async fn answer_timetable(
        &self,
        request: Request<v1::TimetableAnswer>,
    ) -> Result<Response<v1::TimetableAnswerResponse>, Status> {
        answer_timetable(&self.core, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_variable(
        &self,
        request: Request<v1::GetVariableRequest>,
    ) -> Result<Response<v1::GetVariableResponse>, Status> {
        self.core.read_variable(&request.into_inner().key).await.map(Response::new).map_err(status)
    }

    async fn get_connection(
        &self,
        request: Request<v1::GetConnectionRequest>,
    ) -> Result<Response<v1::GetConnectionResponse>, Status> {
        self.core.read_connection(&request.into_inner().conn_id).await.map(Response::new).map_err(status)
    }

    async fn complete_scan(
        &self,
        request: Request<v1::CompleteScanRequest>,
    ) -> Result<Response<v1::CompleteScanResponse>, Status> {
        let stale = complete_scan(&self.core, request.into_inner().rel_paths).await.map_err(status)?;
        Ok(Response::new(v1::CompleteScanResponse { stale }))
    }
}

async fn timetable_questions(core: &Core) -> Result<v1::TimetableQuestionsResponse, ApiError> {
    let asked = core.leadership()?.timetables.questions();
    if asked.is_empty() {
        return Ok(v1::TimetableQuestionsResponse::default());
    }
    // A question about a DAG that is gone has no file any more.
    let questions = core
        .query(move |engine, _| {
            let file = |dag_id: &DagId| engine.dag(dag_id).map(|dag| dag.row.source.rel_path.clone());
            let wire = |question: tradewind_engine::TimetableQuestion| {
                Some(v1::TimetableQuestion {
                    rel_path: file(&question.dag_id)?,
                    dag_id: question.dag_id.to_string(),
                    question: question.question,
                    last_start: question.last.map(|(start, _)| micros(start)),
                    last_end: question.last.map(|(_, end)| micros(end)),
                    now: micros(question.now),
                    catchup: question.catchup,
                    earliest: question.earliest.map(micros),
                    latest: question.latest.map(micros),
                })
            };
            asked.into_iter().filter_map(wire).collect()
        })
        .await?;
    Ok(v1::TimetableQuestionsResponse { questions })
}

async fn answer_timetable(core: &Core, answer: v1::TimetableAnswer) -> Result<v1::TimetableAnswerResponse, ApiError> {
    let timetables = core.leadership()?.timetables;
    let (dag_id, question) = (DagId::from(answer.dag_id), answer.question);
    let reply = match (answer.error, answer.next) {
        (Some(error), _) => Err(error),
        (None, next) => Ok(next.map(run_info).transpose()?),
    };
    if let Some(answer) = timetables.answer_own(question, reply) {
        core.step_one(Event::TimetableAnswer { dag_id: dag_id.clone(), question, answer }).await?;
        timetables.answered(&dag_id, question);
    }
    Ok(v1::TimetableAnswerResponse {})
}

fn run_info(run: v1::TimetableRun) -> Result<DagRunInfo, ApiError> {
    let interval_start = instant("data_interval_start", run.data_interval_start)?;
    Ok(DagRunInfo {
        // A run's logical date is the start of its data interval unless its timetable says otherwise.
        logical_date: instant_opt("logical_date", run.logical_date)?.unwrap_or(interval_start),
        interval_start,
        interval_end: instant("data_interval_end", run.data_interval_end)?,
        run_after: instant("run_after", run.run_after)?,
    })
}
