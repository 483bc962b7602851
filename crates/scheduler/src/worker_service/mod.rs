//! The worker's side of the scheduler: registration, claims, leases, reports, and what a running task may ask for.
//! Every write is checked against the attempt's token in the engine before anything is stored. Each file handles one
//! group; this one routes and checks tokens.

mod attempts;
mod look_ups;
mod requests;
mod values;

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tradewind_engine::{Event, Reply};
use tradewind_proto::{attempt_ref, micros, status, to_json, v1};
use tradewind_types::{ApiError, AttemptKey, DagRun, DagVersion, ErrorCode, TaskInstance, XComObject, XComValue};
use uuid::Uuid;

use crate::{core::Core, grants::Grants};

pub(crate) struct WorkerApi {
    pub(crate) core: Arc<Core>,
    pub(crate) grants: Grants,
}

/// Routes calls: `rpc name(Request) -> Response = method`.
macro_rules! routes {
    ($($name:ident($request:ty) -> $response:ty = $method:ident;)+) => {
        #[tonic::async_trait]
        impl v1::worker_service_server::WorkerService for WorkerApi {
            type GetBlobsStream = ReceiverStream<Result<v1::BlobChunk, Status>>;

            $(
                async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                    let answer: Result<$response, ApiError> = self.$method(request.into_inner()).await;
                    answer.map(Response::new).map_err(status)
                }
            )+
        }
    };
}

routes! {
    register(v1::RegisterRequest) -> v1::RegisterResponse = do_register;
    claim(v1::ClaimRequest) -> v1::ClaimResponse = do_claim;
    heartbeat(v1::HeartbeatRequest) -> v1::HeartbeatResponse = do_heartbeat;
    report(v1::ReportRequest) -> v1::ReportResponse = do_report;
    push_x_coms(v1::PushXComsRequest) -> v1::Empty = do_push_xcoms;
    get_x_coms(v1::GetXComsRequest) -> v1::GetXComsResponse = do_get_xcoms;
    delete_x_com(v1::DeleteXComRequest) -> v1::Empty = do_delete_xcom;
    get_variable(v1::GetVariableRequest) -> v1::GetVariableResponse = do_get_variable;
    list_variable_keys(v1::ListVariableKeysRequest) -> v1::ListVariableKeysResponse = do_list_variable_keys;
    put_variable(v1::PutVariableRequest) -> v1::Empty = do_put_variable;
    delete_variable(v1::DeleteVariableRequest) -> v1::Empty = do_delete_variable;
    get_connection(v1::GetConnectionRequest) -> v1::GetConnectionResponse = do_get_connection;
    put_rendered(v1::PutRenderedRequest) -> v1::Empty = do_put_rendered;
    append_log(v1::AppendLogRequest) -> v1::AppendLogResponse = do_append_log;
    get_state_value(v1::StateValueRequest) -> v1::StateValueResponse = do_get_state_value;
    put_state_value(v1::PutStateValueRequest) -> v1::Empty = do_put_state_value;
    delete_state_values(v1::StateValueRequest) -> v1::Empty = do_delete_state_values;
    find_runs(v1::FindRunsRequest) -> v1::FindRunsResponse = do_find_runs;
    find_task_instances(v1::FindTaskInstancesRequest) -> v1::FindTaskInstancesResponse = do_find_task_instances;
    find_assets(v1::FindAssetsRequest) -> v1::FindAssetsResponse = do_find_assets;
    find_asset_events(v1::FindAssetEventsRequest) -> v1::FindAssetEventsResponse = do_find_asset_events;
    describe_dag(v1::DescribeDagRequest) -> v1::DescribeDagResponse = do_describe_dag;
    ask_human(v1::AskHumanRequest) -> v1::HumanInput = do_ask_human;
    get_human_input(v1::GetHumanInputRequest) -> v1::HumanInput = do_get_human_input;
    trigger_dag_run(v1::TriggerDagRunRequest) -> v1::DagRun = do_trigger_dag_run;
    get_bundle(v1::GetBundleRequest) -> v1::Bundle = do_get_bundle;
    get_blobs(v1::GetBlobsRequest) -> ReceiverStream<Result<v1::BlobChunk, Status>> = do_get_blobs;
}

/// Whom a current token belongs to: an attempt of a task instance, its trigger, or a callback.
struct Holder {
    /// The attempt that the token stands for.
    key: AttemptKey,
    /// The task instance; none for a callback.
    ti: Option<Box<TaskInstance>>,
    /// Its run.
    run: Arc<DagRun>,
    /// The version of its DAG.
    version: Arc<DagVersion>,
}

impl Holder {
    /// The task instance whose own attempt it is. Callbacks may read, but what a task instance leaves behind is not theirs.
    fn own_instance(&self) -> Result<&TaskInstance, ApiError> {
        self.ti.as_deref().filter(|ti| ti.id == self.key.ti).ok_or_else(|| {
            ApiError::new(
                ErrorCode::Forbidden,
                "a callback cannot change the task instance or the run that it is about",
            )
        })
    }
}

impl WorkerApi {
    /// Whom the attempt's token belongs to, if it is current.
    async fn check_attempt(&self, attempt: Option<&v1::AttemptRef>) -> Result<Holder, ApiError> {
        let (key, token) = attempt_ref(attempt)?;
        match self.core.peek(Event::CheckAttempt { key, token }).await? {
            Reply::Attempt { ti, run, version } => Ok(Holder { key, ti: Some(ti), run, version }),
            Reply::Callback { run, version, .. } => Ok(Holder { key, ti: None, run, version }),
            other => Err(unexpected(&other)),
        }
    }

    fn check_sizes(&self, xcoms: &[XComValue]) -> Result<(), ApiError> {
        for xcom in xcoms {
            match &xcom.object {
                Some(object) => self.check_object(&xcom.key, object)?,
                None => self.check_size(&format!("the XCom \"{}\"", xcom.key), to_json(&xcom.value).len())?,
            }
        }
        Ok(())
    }

    /// Refuses a list that tasks are mapped over and that is too long (Airflow's `UnmappableXComLengthPushed`).
    async fn check_lengths(&self, attempt: Option<&v1::AttemptRef>, xcoms: &[XComValue]) -> Result<(), ApiError> {
        let limit = self.core.settings.engine.max_map_length;
        let Some(length) = xcoms.iter().filter_map(|xcom| xcom.mapped_length).find(|length| *length > limit) else {
            return Ok(());
        };
        let holder = self.check_attempt(attempt).await?;
        let task_id = holder.own_instance()?.task_id.clone();
        Err(ApiError::invalid(format!(
            "the task \"{task_id}\" returned {length} values for tasks that are mapped over it, the limit is {limit} \
             (scheduler.max_map_length)"
        )))
    }

    /// A reference must lie where this scheduler would look for it.
    fn check_object(&self, key: &str, object: &XComObject) -> Result<(), ApiError> {
        let settings = &self.core.settings;
        if object.size > settings.xcom_max_bytes {
            let (size, limit) = (object.size, settings.xcom_max_bytes);
            let message = format!("the XCom \"{key}\" has {size} bytes, the limit is {limit} (xcom.max_bytes)");
            return Err(ApiError::new(ErrorCode::TooLarge, message));
        }
        let here = settings.xcom_storage.as_ref();
        if here.is_some_and(|storage| storage.holds(&object.url)) {
            return Ok(());
        }
        Err(ApiError::invalid(format!(
            "the worker keeps the XCom \"{key}\" in {}, and this scheduler's xcom.storage_url is {}: both need the same",
            object.url,
            here.map_or_else(|| "not set".to_owned(), |storage| storage.url().to_owned())
        )))
    }

    fn check_size(&self, what: &str, bytes: usize) -> Result<(), ApiError> {
        let limit = self.core.settings.xcom_inline_max_bytes;
        if bytes as u64 <= limit {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::TooLarge,
            format!(
                "{what} has {bytes} bytes, the limit is {limit} (xcom.inline_max_bytes); keep large data in storage \
                 that tasks share and pass its address, or set xcom.storage_url, where large XComs go"
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

/// Parses state names.
pub(crate) fn parse_all<T: std::str::FromStr<Err = String>>(field: &str, names: &[String]) -> Result<Vec<T>, ApiError> {
    names.iter().map(|name| name.parse().map_err(|error| ApiError::invalid(format!("{field}: {error}")))).collect()
}

/// Microseconds, for answers.
pub(crate) fn wire_micros(at: Option<tradewind_types::Timestamp>) -> Option<i64> {
    at.map(micros)
}
