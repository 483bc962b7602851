//! What people and the CLI do. Each file handles one group; this one only routes.

mod assets;
mod backfills;
mod clear;
mod dags;
mod facts;
mod human;
mod resources;
mod runs;
mod tasks;

pub(crate) use clear::run_again;
pub(crate) use dags::known_dag;
pub(crate) use runs::{taken_by, trigger_new_run};

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tradewind_ports::Page;
use tradewind_proto::{status, v1};
use tradewind_types::{ApiError, AuditEvent};

use crate::core::Core;

pub(crate) struct AdminApi {
    pub(crate) core: Arc<Core>,
}

/// Who is noted in the audit trail for calls with the admin token.
const ADMIN: &str = "admin";

/// The page that a request asks for.
fn page(page: Option<v1::Page>) -> Page {
    let (limit, offset) = page.unwrap_or_default().into();
    Page { limit, offset }
}

/// A line for the audit trail about something that is no DAG.
fn audit(core: &Core, event: &str, detail: String) -> AuditEvent {
    AuditEvent {
        at: core.clock.now(),
        event: event.to_owned(),
        by: ADMIN.to_owned(),
        dag_id: None,
        run_id: None,
        task_id: None,
        detail: Some(detail),
    }
}

/// Routes calls: `rpc name(Request) -> Response = handler`.
macro_rules! routes {
    ($($name:ident($request:ty) -> $response:ty = $handler:path;)+) => {
        #[tonic::async_trait]
        impl v1::admin_service_server::AdminService for AdminApi {
            type WatchRunStream = ReceiverStream<Result<v1::GetRunResponse, Status>>;
            type ReadLogStream = ReceiverStream<Result<v1::LogData, Status>>;
            type ReadXComStream = ReceiverStream<Result<v1::XComData, Status>>;

            $(
                async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                    let answer: Result<$response, ApiError> = $handler(&self.core, request.into_inner()).await;
                    answer.map(Response::new).map_err(status)
                }
            )+
        }
    };
}

routes! {
    get_status(v1::Empty) -> v1::StatusResponse = facts::get_status;
    list_dags(v1::ListDagsRequest) -> v1::ListDagsResponse = dags::list_dags;
    get_dag(v1::GetDagRequest) -> v1::Dag = dags::get_dag;
    set_dag_paused(v1::SetDagPausedRequest) -> v1::Dag = dags::set_dag_paused;
    next_runs(v1::NextRunsRequest) -> v1::NextRunsResponse = dags::next_runs;
    list_import_errors(v1::ListRequest) -> v1::ListImportErrorsResponse = dags::list_import_errors;
    trigger_run(v1::TriggerRunRequest) -> v1::DagRun = runs::trigger_run;
    list_runs(v1::ListRunsRequest) -> v1::ListRunsResponse = runs::list_runs;
    get_run(v1::GetRunRequest) -> v1::GetRunResponse = runs::get_run;
    watch_run(v1::GetRunRequest) -> ReceiverStream<Result<v1::GetRunResponse, Status>> = runs::watch_run;
    mark_run(v1::MarkRunRequest) -> v1::DagRun = runs::mark_run;
    list_task_instances(v1::ListTaskInstancesRequest) -> v1::ListTaskInstancesResponse = tasks::list_task_instances;
    list_tries(v1::TaskInstanceRef) -> v1::ListTriesResponse = tasks::list_tries;
    get_rendered(v1::TaskInstanceRef) -> v1::RenderedResponse = tasks::get_rendered;
    clear_tasks(v1::ClearTasksRequest) -> v1::ListTaskInstancesResponse = clear::clear_tasks;
    mark_task(v1::MarkTaskRequest) -> v1::ListTaskInstancesResponse = tasks::mark_task;
    explain_task(v1::TaskInstanceRef) -> v1::ExplainResponse = tasks::explain_task;
    read_log(v1::ReadLogRequest) -> ReceiverStream<Result<v1::LogData, Status>> = tasks::read_log;
    create_backfill(v1::CreateBackfillRequest) -> v1::BackfillResponse = backfills::create_backfill;
    set_backfill(v1::SetBackfillRequest) -> v1::BackfillResponse = backfills::set_backfill;
    list_backfills(v1::ListBackfillsRequest) -> v1::ListBackfillsResponse = backfills::list_backfills;
    get_backfill(v1::GetBackfillRequest) -> v1::BackfillResponse = backfills::get_backfill;
    list_assets(v1::ListAssetsRequest) -> v1::ListAssetsResponse = assets::list_assets;
    list_asset_events(v1::ListAssetEventsRequest) -> v1::ListAssetEventsResponse = assets::list_asset_events;
    update_asset(v1::UpdateAssetRequest) -> v1::AssetEvent = assets::update_asset;
    materialize_asset(v1::MaterializeAssetRequest) -> v1::DagRun = assets::materialize_asset;
    list_human_inputs(v1::ListHumanInputsRequest) -> v1::ListHumanInputsResponse = human::list_human_inputs;
    answer_human(v1::AnswerHumanRequest) -> v1::HumanInput = human::answer_human;
    list_callbacks(v1::ListCallbacksRequest) -> v1::ListCallbacksResponse = facts::list_callbacks;
    list_x_coms(v1::GetXComsAdminRequest) -> v1::ListXComsResponse = tasks::list_xcoms;
    read_x_com(v1::GetXComsAdminRequest) -> ReceiverStream<Result<v1::XComData, Status>> = tasks::read_xcom;
    list_pools(v1::Empty) -> v1::ListPoolsResponse = resources::list_pools;
    set_pool(v1::Pool) -> v1::Pool = resources::set_pool;
    delete_pool(v1::NameRequest) -> v1::Empty = resources::delete_pool;
    list_variables(v1::ListRequest) -> v1::ListVariablesResponse = resources::list_variables;
    get_variable(v1::NameRequest) -> v1::Variable = resources::get_variable;
    set_variable(v1::Variable) -> v1::Empty = resources::set_variable;
    delete_variable(v1::NameRequest) -> v1::Empty = resources::delete_variable;
    list_connections(v1::ListRequest) -> v1::ListConnectionsResponse = resources::list_connections;
    get_connection(v1::NameRequest) -> v1::Connection = resources::get_connection;
    set_connection(v1::SetConnectionRequest) -> v1::Empty = resources::set_connection;
    delete_connection(v1::NameRequest) -> v1::Empty = resources::delete_connection;
    list_queues(v1::Empty) -> v1::ListQueuesResponse = facts::list_queues;
    list_workers(v1::Empty) -> v1::ListWorkersResponse = facts::list_workers;
    drain_worker(v1::NameRequest) -> v1::Worker = facts::drain_worker;
    list_audit(v1::ListRequest) -> v1::ListAuditResponse = facts::list_audit;
}
