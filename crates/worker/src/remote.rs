//! What a running attempt asks of the leader, under its lease token.

use std::time::Duration;

use serde_json::Value;
use tradewind_proto::{LeaderClient, json, v1, worker_client};
use tradewind_types::{
    ApiError, Asset, AssetEvent, AttemptKey, Connection, DagRun, ErrorCode, HumanInput, LeaseToken, TaskInstance, TiId,
    Timestamp, XComValue,
};

use crate::lease::{Control, StopReason};

/// Runs looked at to find the previous one. They come latest first; the run itself may be among them.
const PREVIOUS_RUNS: u32 = 10;

/// Calls of one attempt. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Remote {
    client: LeaderClient,
    attempt: v1::AttemptRef,
    control: Control,
    /// How long a call is tried again while no leader answers. A lease that cannot be renewed ends the task earlier.
    patience: Duration,
    lost_grace: Duration,
}

/// Which runs to look for.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunQuery {
    pub(crate) dag_id: String,
    pub(crate) run_id: Option<String>,
    pub(crate) logical_date: Option<Timestamp>,
    pub(crate) states: Vec<String>,
    /// Only runs with an earlier logical date.
    pub(crate) before: Option<Timestamp>,
    pub(crate) limit: u32,
}

/// Makes a call of the worker service, again while that may help.
macro_rules! call {
    ($remote:expr, $patience:expr, $method:ident, $request:expr) => {{
        let remote: &Remote = $remote;
        let request = $request;
        let answer = remote
            .client
            .call($patience, |channel| {
                let request = request.clone();
                async move { worker_client(channel).$method(request).await }
            })
            .await;
        remote.note_stale(answer)
    }};
}

impl Remote {
    pub(crate) fn new(
        client: LeaderClient,
        key: AttemptKey,
        token: LeaseToken,
        control: Control,
        patience: Duration,
        lost_grace: Duration,
    ) -> Self {
        Self { client, attempt: v1::AttemptRef::new(key, token), control, patience, lost_grace }
    }

    /// A stale token means that the attempt is someone else's by now: the task must go.
    fn note_stale<T>(&self, answer: Result<T, ApiError>) -> Result<T, ApiError> {
        if let Err(error) = &answer
            && error.code == ErrorCode::StaleAttempt
        {
            self.control.stop(StopReason::LeaseLost, self.lost_grace);
        }
        answer
    }

    fn attempt(&self) -> Option<v1::AttemptRef> {
        Some(self.attempt.clone())
    }

    /// XComs that fit, by map index; large ones as references.
    pub(crate) async fn xcoms(&self, mut query: v1::GetXComsRequest) -> Result<Vec<v1::XCom>, ApiError> {
        query.attempt = self.attempt();
        let mut found = call!(self, self.patience, get_x_coms, query)?.xcoms;
        found.sort_by_key(|xcom| xcom.map_index);
        Ok(found)
    }

    pub(crate) async fn push_xcoms(&self, xcoms: &[XComValue], patience: Duration) -> Result<(), ApiError> {
        let request = v1::PushXComsRequest { attempt: self.attempt(), xcoms: xcoms.iter().map(Into::into).collect() };
        call!(self, patience, push_x_coms, request).map(drop)
    }

    pub(crate) async fn delete_xcom(&self, key: &str) -> Result<(), ApiError> {
        let request = v1::DeleteXComRequest { attempt: self.attempt(), key: key.to_owned() };
        call!(self, self.patience, delete_x_com, request).map(drop)
    }

    pub(crate) async fn variable(&self, key: &str) -> Result<Option<String>, ApiError> {
        let request = v1::GetVariableRequest { attempt: self.attempt(), key: key.to_owned() };
        let answer = none_when_missing(call!(self, self.patience, get_variable, request))?;
        Ok(answer.and_then(|answer| answer.variable).map(|variable| variable.value))
    }

    /// Keys of variables, and how many there are in all.
    pub(crate) async fn variable_keys(
        &self,
        prefix: &str,
        limit: u64,
        offset: u64,
    ) -> Result<(Vec<String>, u64), ApiError> {
        let request =
            v1::ListVariableKeysRequest { attempt: self.attempt(), prefix: prefix.to_owned(), limit, offset };
        let answer = call!(self, self.patience, list_variable_keys, request)?;
        Ok((answer.keys, answer.total))
    }

    pub(crate) async fn put_variable(&self, key: &str, value: &str, description: Option<&str>) -> Result<(), ApiError> {
        let request = v1::PutVariableRequest {
            attempt: self.attempt(),
            variable: Some(v1::Variable {
                key: key.to_owned(),
                value: value.to_owned(),
                description: description.map(str::to_owned),
            }),
        };
        call!(self, self.patience, put_variable, request).map(drop)
    }

    pub(crate) async fn delete_variable(&self, key: &str) -> Result<(), ApiError> {
        let request = v1::DeleteVariableRequest { attempt: self.attempt(), key: key.to_owned() };
        none_when_missing(call!(self, self.patience, delete_variable, request)).map(drop)
    }

    pub(crate) async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, ApiError> {
        let request = v1::GetConnectionRequest { attempt: self.attempt(), conn_id: conn_id.to_owned() };
        let answer = none_when_missing(call!(self, self.patience, get_connection, request))?;
        answer.and_then(|answer| answer.connection).map(TryInto::try_into).transpose()
    }

    /// The rendered template fields: a JSON object.
    pub(crate) async fn put_rendered(&self, fields: &Value) -> Result<(), ApiError> {
        let request = v1::PutRenderedRequest { attempt: self.attempt(), fields_json: fields.to_string() };
        call!(self, self.patience, put_rendered, request).map(drop)
    }

    /// One try to append to the log; the caller tries again with the same bytes.
    pub(crate) async fn append_log(&self, offset: u64, data: Vec<u8>, end: bool) -> Result<(), ApiError> {
        let request = v1::AppendLogRequest { attempt: self.attempt(), offset, data, end };
        call!(self, Duration::ZERO, append_log, request).map(drop)
    }

    /// Runs that fit, and how many there are in all.
    pub(crate) async fn runs(&self, query: &RunQuery) -> Result<(Vec<DagRun>, u64), ApiError> {
        let request = v1::FindRunsRequest {
            attempt: self.attempt(),
            dag_id: query.dag_id.clone(),
            run_id: query.run_id.clone(),
            logical_date: query.logical_date.map(tradewind_proto::micros),
            states: query.states.clone(),
            before: query.before.map(tradewind_proto::micros),
            limit: query.limit,
        };
        let answer = call!(self, self.patience, find_runs, request)?;
        let runs: Result<Vec<DagRun>, ApiError> = answer.runs.into_iter().map(TryInto::try_into).collect();
        Ok((runs?, answer.total))
    }

    /// The latest run before `before`, of one of `states` if any are named.
    pub(crate) async fn previous_run(
        &self,
        dag_id: &str,
        before: Timestamp,
        states: Vec<String>,
    ) -> Result<Option<DagRun>, ApiError> {
        let query = RunQuery {
            dag_id: dag_id.to_owned(),
            states,
            before: Some(before),
            limit: PREVIOUS_RUNS,
            ..RunQuery::default()
        };
        let (runs, _) = self.runs(&query).await?;
        Ok(runs.into_iter().filter(|run| run.logical_date < Some(before)).max_by_key(|run| run.logical_date))
    }

    pub(crate) async fn task_instances(
        &self,
        mut query: v1::FindTaskInstancesRequest,
    ) -> Result<Vec<TaskInstance>, ApiError> {
        query.attempt = self.attempt();
        let answer = call!(self, self.patience, find_task_instances, query)?;
        answer.task_instances.into_iter().map(TryInto::try_into).collect()
    }

    /// Starts a run of a DAG. The number of the attempt goes in by itself.
    pub(crate) async fn trigger(&self, mut request: v1::TriggerDagRunRequest) -> Result<(), ApiError> {
        request.attempt = self.attempt();
        call!(self, self.patience, trigger_dag_run, request).map(drop)
    }

    /// Assets by name, URI or alias.
    pub(crate) async fn assets(&self, mut query: v1::FindAssetsRequest) -> Result<Vec<Asset>, ApiError> {
        query.attempt = self.attempt();
        let answer = none_when_missing(call!(self, self.patience, find_assets, query))?;
        answer.map(|answer| answer.assets).unwrap_or_default().into_iter().map(TryInto::try_into).collect()
    }

    pub(crate) async fn asset_events(
        &self,
        mut query: v1::FindAssetEventsRequest,
    ) -> Result<Vec<AssetEvent>, ApiError> {
        query.attempt = self.attempt();
        let answer = none_when_missing(call!(self, self.patience, find_asset_events, query))?;
        answer.map(|answer| answer.events).unwrap_or_default().into_iter().map(TryInto::try_into).collect()
    }

    pub(crate) async fn ask_human(&self, input: &HumanInput) -> Result<(), ApiError> {
        let request = v1::AskHumanRequest { attempt: self.attempt(), input_json: tradewind_proto::to_json(input) };
        call!(self, self.patience, ask_human, request).map(drop)
    }

    pub(crate) async fn human_input(&self, ti: TiId) -> Result<HumanInput, ApiError> {
        let request = v1::GetHumanInputRequest { attempt: self.attempt(), ti: ti.to_string() };
        call!(self, self.patience, get_human_input, request)?.try_into()
    }

    pub(crate) async fn state_value(&self, scope: &str, key: &str) -> Result<Option<Value>, ApiError> {
        let request =
            v1::StateValueRequest { attempt: self.attempt(), scope: scope.to_owned(), key: Some(key.to_owned()) };
        let answer = none_when_missing(call!(self, self.patience, get_state_value, request))?;
        answer.and_then(|answer| answer.value_json).map(|value| json("value", &value)).transpose()
    }

    pub(crate) async fn put_state_value(&self, scope: &str, key: &str, value: &Value) -> Result<(), ApiError> {
        let request = v1::PutStateValueRequest {
            attempt: self.attempt(),
            scope: scope.to_owned(),
            key: key.to_owned(),
            value_json: value.to_string(),
        };
        call!(self, self.patience, put_state_value, request).map(drop)
    }

    pub(crate) async fn delete_state_values(&self, scope: &str, key: Option<&str>) -> Result<(), ApiError> {
        let request =
            v1::StateValueRequest { attempt: self.attempt(), scope: scope.to_owned(), key: key.map(str::to_owned) };
        none_when_missing(call!(self, self.patience, delete_state_values, request)).map(drop)
    }

    pub(crate) async fn describe_dag(&self, dag_id: &str) -> Result<v1::DescribeDagResponse, ApiError> {
        let request = v1::DescribeDagRequest { attempt: self.attempt(), dag_id: dag_id.to_owned() };
        call!(self, self.patience, describe_dag, request)
    }
}

/// "There is none" is an answer, not an error.
fn none_when_missing<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
