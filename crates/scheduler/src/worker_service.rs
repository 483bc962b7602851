//! The worker's side of the scheduler: registration, claims, leases, reports, and what a running task may ask for.
//! Every write is checked against the attempt's token in the engine before anything is stored.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tradewind_engine::{ClaimOffer, ClaimRequest, Event, Reply, Trigger};
use tradewind_ports::{LogChunk, Page, RunFilter, TaskInstanceFilter, XComQuery};
use tradewind_proto::{attempt_ref, instant_opt, json, micros, status, to_json, uuid, v1, xcom_values};
use tradewind_types::{
    ApiError, AttemptKey, ErrorCode, LeaseToken, RunType, TaskInstance, WorkerInfo, WorkerName, WorkerStatus,
    XComValue, check_key, check_run_id,
};
use uuid::Uuid;

use crate::{
    admin::trigger_new_run,
    core::{Core, Leadership, store_error},
    grants::Grants,
    workers::{Heard, Registered},
};

/// Bytes of a blob sent at once.
const BLOB_PART: usize = 1024 * 1024;

/// Rows of a look-up by a task at most.
const LOOK_UP_LIMIT: u32 = 1_000;

pub(crate) struct WorkerApi {
    pub(crate) core: Arc<Core>,
    pub(crate) grants: Grants,
}

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: Result<T, ApiError>) -> Answer<T> {
    result.map(Response::new).map_err(status)
}

#[tonic::async_trait]
impl v1::worker_service_server::WorkerService for WorkerApi {
    type GetBlobsStream = ReceiverStream<Result<v1::BlobChunk, Status>>;

    async fn register(&self, request: Request<v1::RegisterRequest>) -> Answer<v1::RegisterResponse> {
        answer(self.do_register(request.into_inner()).await)
    }

    async fn claim(&self, request: Request<v1::ClaimRequest>) -> Answer<v1::ClaimResponse> {
        let request = request.into_inner();
        answer(self.do_claim(request).await)
    }

    async fn heartbeat(&self, request: Request<v1::HeartbeatRequest>) -> Answer<v1::HeartbeatResponse> {
        answer(self.do_heartbeat(request.into_inner()).await)
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Answer<v1::ReportResponse> {
        answer(self.do_report(request.into_inner()).await)
    }

    async fn push_x_coms(&self, request: Request<v1::PushXComsRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(
            async {
                let (key, token) = attempt_ref(request.attempt.as_ref())?;
                let xcoms = xcom_values(request.xcoms)?;
                self.check_sizes(&xcoms)?;
                self.core.step_one(Event::PushXComs { key, token, xcoms }).await?;
                Ok(v1::Empty {})
            }
            .await,
        )
    }

    async fn get_x_coms(&self, request: Request<v1::GetXComsRequest>) -> Answer<v1::GetXComsResponse> {
        let request = request.into_inner();
        answer(
            async {
                self.check_attempt(request.attempt.as_ref()).await?;
                let query = XComQuery {
                    dag_id: request.dag_id.into(),
                    run_id: request.run_id.as_str().into(),
                    task_id: request.task_id,
                    map_index: request.map_index,
                    key: request.key,
                    include_prior: request.include_prior_dates,
                };
                let listing = self.core.store.xcoms(&query, Page::first(LOOK_UP_LIMIT)).await.map_err(store_error)?;
                let xcoms = listing.rows.into_iter().map(|xcom| v1::XCom::new(xcom, &request.run_id)).collect();
                Ok(v1::GetXComsResponse { xcoms })
            }
            .await,
        )
    }

    async fn delete_x_com(&self, request: Request<v1::DeleteXComRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(
            async {
                let ti = self.check_attempt(request.attempt.as_ref()).await?;
                self.core.store.delete_xcom(ti.id, &request.key).await.map_err(store_error)?;
                Ok(v1::Empty {})
            }
            .await,
        )
    }

    async fn get_variable(&self, request: Request<v1::GetVariableRequest>) -> Answer<v1::GetVariableResponse> {
        let request = request.into_inner();
        answer(
            async {
                self.check_attempt(request.attempt.as_ref()).await?;
                let sealed = self.core.store.variable(&request.key).await.map_err(store_error)?;
                let variable = sealed.map(|variable| self.core.vault.open_variable(variable)).transpose()?;
                Ok(v1::GetVariableResponse { variable: variable.map(Into::into) })
            }
            .await,
        )
    }

    async fn put_variable(&self, request: Request<v1::PutVariableRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(
            async {
                self.check_attempt(request.attempt.as_ref()).await?;
                let variable = request.variable.ok_or_else(|| ApiError::invalid("variable: missing"))?;
                check_key("variable key", &variable.key).map_err(ApiError::invalid)?;
                let sealed = self.core.vault.seal_variable(variable.into());
                self.core.store.put_variable(&sealed).await.map_err(store_error)?;
                Ok(v1::Empty {})
            }
            .await,
        )
    }

    async fn delete_variable(&self, request: Request<v1::DeleteVariableRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(
            async {
                self.check_attempt(request.attempt.as_ref()).await?;
                self.core.store.delete_variable(&request.key).await.map_err(store_error)?;
                Ok(v1::Empty {})
            }
            .await,
        )
    }

    async fn get_connection(&self, request: Request<v1::GetConnectionRequest>) -> Answer<v1::GetConnectionResponse> {
        let request = request.into_inner();
        answer(
            async {
                self.check_attempt(request.attempt.as_ref()).await?;
                let sealed = self.core.store.connection(&request.conn_id).await.map_err(store_error)?;
                let connection = sealed.map(|row| self.core.vault.open_connection(row)).transpose()?;
                Ok(v1::GetConnectionResponse { connection: connection.map(Into::into) })
            }
            .await,
        )
    }

    async fn put_rendered(&self, request: Request<v1::PutRenderedRequest>) -> Answer<v1::Empty> {
        let request = request.into_inner();
        answer(
            async {
                let ti = self.check_attempt(request.attempt.as_ref()).await?;
                self.check_size("the rendered fields", request.fields_json.len())?;
                let fields = json("fields", &request.fields_json)?;
                self.core.store.put_rendered(ti.id, &fields).await.map_err(store_error)?;
                Ok(v1::Empty {})
            }
            .await,
        )
    }

    async fn append_log(&self, request: Request<v1::AppendLogRequest>) -> Answer<v1::AppendLogResponse> {
        let request = request.into_inner();
        answer(
            async {
                let ti = self.check_attempt(request.attempt.as_ref()).await?;
                let limit = self.core.settings.log_max_bytes;
                if request.offset + request.data.len() as u64 > limit {
                    return Err(ApiError::new(
                        ErrorCode::TooLarge,
                        format!("the log is over {limit} bytes (scheduler.log_max_bytes)"),
                    ));
                }
                let chunk = LogChunk { offset: request.offset, data: request.data };
                self.core.logs.append_log(ti.run_no, ti.key(), &chunk).await.map_err(store_error)?;
                Ok(v1::AppendLogResponse {})
            }
            .await,
        )
    }

    async fn find_runs(&self, request: Request<v1::FindRunsRequest>) -> Answer<v1::FindRunsResponse> {
        answer(self.do_find_runs(request.into_inner()).await)
    }

    async fn find_task_instances(
        &self,
        request: Request<v1::FindTaskInstancesRequest>,
    ) -> Answer<v1::FindTaskInstancesResponse> {
        answer(self.do_find_task_instances(request.into_inner()).await)
    }

    async fn trigger_dag_run(&self, request: Request<v1::TriggerDagRunRequest>) -> Answer<v1::DagRun> {
        let request = request.into_inner();
        answer(
            async {
                let ti = self.check_attempt(request.attempt.as_ref()).await?;
                if let Some(run_id) = &request.run_id {
                    check_run_id(run_id).map_err(ApiError::invalid)?;
                }
                let trigger = Trigger {
                    dag_id: request.dag_id.into(),
                    run_id: request.run_id.map(Into::into),
                    run_type: RunType::OperatorTriggered,
                    logical_date: instant_opt("logical_date", request.logical_date)?,
                    run_after: None,
                    conf: json("conf", &request.conf_json)?,
                    by: format!("task {}.{}", ti.dag_id, ti.task_id),
                    suffix: random_suffix(),
                };
                trigger_new_run(&self.core, trigger).await
            }
            .await,
        )
    }

    async fn get_bundle(&self, request: Request<v1::GetBundleRequest>) -> Answer<v1::Bundle> {
        let hash = request.into_inner().hash;
        answer(
            async {
                let bundle = self.core.store.bundle(&hash.as_str().into()).await.map_err(store_error)?;
                let bundle = bundle.ok_or_else(|| ApiError::not_found(format!("no bundle has the hash {hash}")))?;
                Ok(v1::Bundle::from(&bundle))
            }
            .await,
        )
    }

    async fn get_blobs(&self, request: Request<v1::GetBlobsRequest>) -> Answer<Self::GetBlobsStream> {
        let hashes = request.into_inner().hashes;
        let (sender, receiver) = mpsc::channel(4);
        let core = Arc::clone(&self.core);
        tokio::spawn(async move {
            for hash in hashes {
                if let Err(error) = send_blob(&core, &hash, &sender).await {
                    // The worker may have gone.
                    let _ = sender.send(Err(status(error))).await;
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
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

impl WorkerApi {
    async fn do_register(&self, request: v1::RegisterRequest) -> Result<v1::RegisterResponse, ApiError> {
        let leadership = self.core.leadership()?;
        check_key("worker name", &request.name).map_err(ApiError::invalid)?;
        if request.queues.is_empty() || request.slots == 0 {
            return Err(ApiError::invalid("a worker serves at least one queue and has at least one slot"));
        }
        for queue in &request.queues {
            check_key("queue", queue).map_err(ApiError::invalid)?;
        }
        let now = self.core.clock.now();
        let name = WorkerName::from(request.name);
        let info = WorkerInfo {
            name: name.clone(),
            incarnation: uuid("incarnation", &request.incarnation)?,
            queues: request.queues.into_iter().map(Into::into).collect(),
            slots: request.slots,
            running: 0,
            status: WorkerStatus::Active,
            version: request.version,
            hostname: request.hostname,
            pid: request.pid,
            registered_at: now,
            last_seen: now,
            labels: request.labels.into_iter().collect::<BTreeMap<_, _>>(),
        };
        tracing::info!(worker = %name, queues = ?info.queues, slots = info.slots, "worker registered");
        if leadership.workers.register(info)? == Registered::Replaced {
            self.core.step_one(Event::WorkerGone { worker: name }).await?;
        }
        let lease = self.core.settings.engine.lease;
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Ok(v1::RegisterResponse {
            lease_ms: millis(lease),
            heartbeat_ms: millis(lease / 5),
            xcom_max_bytes: self.core.settings.xcom_max_bytes,
            term: leadership.info.term.0,
        })
    }

    async fn do_claim(&self, request: v1::ClaimRequest) -> Result<v1::ClaimResponse, ApiError> {
        let leadership = self.core.leadership()?;
        let claim = claim_request(&leadership, &request.worker, &request.incarnation, request.offers)?;
        match self.core.step_one(Event::Claim(claim)).await? {
            Reply::Claims(answers) => Ok(v1::ClaimResponse {
                answers: answers.into_iter().map(|answer| self.grants.answer(answer)).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn do_heartbeat(&self, request: v1::HeartbeatRequest) -> Result<v1::HeartbeatResponse, ApiError> {
        let leadership = self.core.leadership()?;
        let worker = WorkerName::from(request.worker);
        let incarnation = uuid("incarnation", &request.incarnation)?;
        let holds = request.holds.iter().map(v1::AttemptRef::parse).collect::<Result<Vec<_>, _>>()?;
        let running = u32::try_from(holds.len()).unwrap_or(u32::MAX);
        let now = self.core.clock.now();
        let heard = leadership.workers.heard(&worker, incarnation, running, request.draining, now);
        let cancel = match self.core.peek(Event::Heartbeat { worker, holds }).await? {
            Reply::Heartbeat { cancel } => cancel.into_iter().map(|token| token.0.to_string()).collect(),
            other => return Err(unexpected(&other)),
        };
        let (drain, register) = match heard {
            Heard::Known { drain } => (drain, false),
            Heard::Unknown => (false, true),
        };
        Ok(v1::HeartbeatResponse { cancel, drain, register })
    }

    async fn do_report(&self, request: v1::ReportRequest) -> Result<v1::ReportResponse, ApiError> {
        let leadership = self.core.leadership()?;
        let count = request.reports.len();
        let mut events = Vec::with_capacity(count + 1);
        let mut results: Vec<Option<ApiError>> = Vec::with_capacity(count);
        for report in request.reports {
            let report = tradewind_types::AttemptReport::try_from(report)?;
            match self.check_sizes(&report.xcoms) {
                Ok(()) => {
                    events.push(Event::Report(report));
                    results.push(None);
                }
                Err(error) => results.push(Some(error)),
            }
        }
        // Offers of a worker that must register first are answered with "nothing".
        let offers = request.offers.len();
        let claim = if offers == 0 {
            None
        } else {
            claim_request(&leadership, &request.worker, &request.incarnation, request.offers).ok()
        };
        events.extend(claim.map(Event::Claim));

        let mut replies = self.core.step(events).await?.into_iter();
        let mut wire = Vec::with_capacity(count);
        for result in results {
            let error = match result {
                Some(error) => Some(error),
                None => match replies.next() {
                    Some(Reply::Refused(error)) => Some(error),
                    _ => None,
                },
            };
            wire.push(match error {
                Some(error) => v1::ReportResult { error: error.code.as_str().to_owned(), message: error.message },
                None => v1::ReportResult::default(),
            });
        }
        let answers = match replies.next() {
            Some(Reply::Claims(answers)) => answers.into_iter().map(|answer| self.grants.answer(answer)).collect(),
            _ => vec![v1::ClaimAnswer { answer: Some(v1::claim_answer::Answer::Nothing(v1::Empty {})) }; offers],
        };
        Ok(v1::ReportResponse { results: wire, answers })
    }

    async fn do_find_runs(&self, request: v1::FindRunsRequest) -> Result<v1::FindRunsResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let dag_id = request.dag_id;
        if let Some(run_id) = request.run_id {
            let run = self.core.store.run(&dag_id, &run_id).await.map_err(store_error)?;
            return Ok(runs_answer(run.into_iter().collect()));
        }
        if let Some(date) = instant_opt("logical_date", request.logical_date)? {
            let run = self.core.store.run_by_logical_date(&dag_id, date).await.map_err(store_error)?;
            return Ok(runs_answer(run.into_iter().collect()));
        }
        let states = parse_all("states", &request.states)?;
        let before = instant_opt("before", request.before)?;
        let filter = RunFilter { dag_id: Some(dag_id.into()), states, from: None, to: before };
        let limit = if request.limit == 0 { LOOK_UP_LIMIT } else { request.limit };
        let listing = self.core.store.runs(&filter, Page::first(limit)).await.map_err(store_error)?;
        // The filter's bound is inclusive; "before" is not.
        let runs = listing
            .rows
            .into_iter()
            .filter(|run| before.is_none_or(|before| run.logical_date.unwrap_or(run.run_after) < before))
            .collect();
        Ok(runs_answer(runs))
    }

    async fn do_find_task_instances(
        &self,
        request: v1::FindTaskInstancesRequest,
    ) -> Result<v1::FindTaskInstancesResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let dag_id = request.dag_id;
        let mut run_ids = request.run_ids;
        for date in request.logical_dates {
            let date = tradewind_proto::instant("logical_dates", date)?;
            let run = self.core.store.run_by_logical_date(&dag_id, date).await.map_err(store_error)?;
            run_ids.extend(run.map(|run| run.run_id.to_string()));
        }
        let states = parse_all("states", &request.states)?;
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
            let listing =
                self.core.store.task_instances(&filter, Page::first(LOOK_UP_LIMIT)).await.map_err(store_error)?;
            found.extend(listing.rows.iter().filter(|ti| wanted(ti)).map(v1::TaskInstance::from));
        }
        Ok(v1::FindTaskInstancesResponse { task_instances: found })
    }

    /// The task instance of the attempt that a request names, if its token is current.
    async fn check_attempt(&self, attempt: Option<&v1::AttemptRef>) -> Result<Box<TaskInstance>, ApiError> {
        let (key, token) = attempt_ref(attempt)?;
        match self.core.peek(Event::CheckAttempt { key, token }).await? {
            Reply::Attempt { ti, .. } => Ok(ti),
            other => Err(unexpected(&other)),
        }
    }

    fn check_sizes(&self, xcoms: &[XComValue]) -> Result<(), ApiError> {
        for xcom in xcoms {
            self.check_size(&format!("the XCom \"{}\"", xcom.key), to_json(&xcom.value).len())?;
        }
        Ok(())
    }

    fn check_size(&self, what: &str, bytes: usize) -> Result<(), ApiError> {
        let limit = self.core.settings.xcom_max_bytes;
        if bytes as u64 <= limit {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::TooLarge,
            format!(
                "{what} has {bytes} bytes, the limit is {limit} (scheduler.xcom_max_bytes); keep large data in \
                 storage that tasks share and pass its address"
            ),
        ))
    }
}

/// A few random characters for run ids without a logical date.
pub(crate) fn random_suffix() -> String {
    Uuid::new_v4().simple().to_string()[..8].to_owned()
}

pub(crate) fn unexpected(reply: &Reply) -> ApiError {
    tracing::error!(?reply, "the engine gave an answer of another kind");
    ApiError::internal("the engine gave an answer of another kind")
}

fn runs_answer(runs: Vec<tradewind_types::DagRun>) -> v1::FindRunsResponse {
    v1::FindRunsResponse { total: runs.len() as u64, runs: runs.iter().map(Into::into).collect() }
}

/// Parses state names.
pub(crate) fn parse_all<T: std::str::FromStr<Err = String>>(field: &str, names: &[String]) -> Result<Vec<T>, ApiError> {
    names.iter().map(|name| name.parse().map_err(|error| ApiError::invalid(format!("{field}: {error}")))).collect()
}

fn claim_request(
    leadership: &Leadership,
    worker: &str,
    incarnation: &str,
    offers: Vec<v1::ClaimOffer>,
) -> Result<ClaimRequest, ApiError> {
    let worker = WorkerName::from(worker);
    let queues = leadership.workers.queues(&worker, uuid("incarnation", incarnation)?).ok_or_else(|| {
        ApiError::not_found(format!("the worker \"{worker}\" is not registered here; register first"))
    })?;
    let offers = offers
        .into_iter()
        .map(|offer| {
            let key = offer.hint.map(|hint| hint.parse::<AttemptKey>()).transpose();
            Ok(ClaimOffer {
                key: key.map_err(|error| ApiError::invalid(format!("hint: {error}")))?,
                token: LeaseToken(uuid("token", &offer.token)?),
            })
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    Ok(ClaimRequest { worker, queues, offers })
}

/// Microseconds, for answers.
pub(crate) fn wire_micros(at: Option<tradewind_types::Timestamp>) -> Option<i64> {
    at.map(micros)
}
