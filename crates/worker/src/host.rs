//! Answers a running Python task, over the worker service.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tradewind_guest::{
    ConnectionInfo, DagRunInfo, HostError, LogLevel, LogLine, TaskHost, TaskInstanceFilter, TriggerRequest,
    XComAddress, XComSlice,
};
use tradewind_proto::v1;
use tradewind_types::{ApiError, Connection, DagRun, ErrorCode, TaskInstance, XComValue};
use uuid::Uuid;

use crate::{
    attempt::Running,
    grant::Work,
    logs::{Line, TaskLog},
    remote::{Remote, RunQuery},
    session::Session,
    xcoms::HeldXComs,
};

type Answer<T> = Result<T, HostError>;

/// The host of one Python task.
pub(crate) struct Host {
    session: Arc<Session>,
    remote: Remote,
    log: TaskLog,
    held: HeldXComs,
    ti: Arc<TaskInstance>,
    run: Arc<DagRun>,
    /// The task's process, which leads a group of its own; 0 while there is none.
    pid: AtomicU32,
}

fn refused(message: String) -> HostError {
    HostError::Refused { message }
}

fn answer(error: ApiError) -> HostError {
    let message = error.message;
    match error.code {
        ErrorCode::NotFound => HostError::NotFound { message },
        ErrorCode::AlreadyExists => HostError::AlreadyExists { message },
        ErrorCode::Unavailable | ErrorCode::NotLeader | ErrorCode::Internal => HostError::Unavailable { message },
        ErrorCode::Invalid
        | ErrorCode::Conflict
        | ErrorCode::StaleAttempt
        | ErrorCode::Unauthenticated
        | ErrorCode::Forbidden
        | ErrorCode::TooLarge => HostError::Refused { message },
    }
}

impl Host {
    pub(crate) fn new(running: &Running, work: &Work) -> Self {
        Self {
            session: Arc::clone(&running.session),
            remote: running.remote.clone(),
            log: running.log.clone(),
            held: HeldXComs::new(running.remote.clone(), running.xcom_max_bytes),
            ti: Arc::clone(&work.ti),
            run: Arc::clone(&work.run),
            pid: AtomicU32::new(0),
        }
    }

    /// XComs that the report is to take along.
    pub(crate) fn held_xcoms(&self) -> Vec<XComValue> {
        self.held.take()
    }

    /// The task's process is gone.
    pub(crate) fn ended(&self) {
        let pid = self.pid.swap(0, Ordering::AcqRel);
        if pid != 0 {
            self.session.watchdog.ended(pid);
        }
    }

    /// A task writes its own XComs only.
    fn check_own(&self, at: &XComAddress) -> Answer<()> {
        let ti = &self.ti;
        let own = at.dag_id == ti.dag_id.as_str()
            && at.run_id == ti.run_id.as_str()
            && at.task_id == ti.task_id.as_str()
            && at.map_index.is_none_or(|index| index == ti.map_index);
        if own {
            return Ok(());
        }
        Err(refused(format!(
            "a task may write its own XComs only, not those of {}.{} in {}",
            at.dag_id, at.task_id, at.run_id
        )))
    }

    async fn values(&self, at: &XComAddress, map_index: Option<i32>, include_prior_dates: bool) -> Answer<Vec<Value>> {
        self.held.flush().await.map_err(answer)?;
        let query = v1::GetXComsRequest {
            attempt: None,
            dag_id: at.dag_id.clone(),
            run_id: at.run_id.clone(),
            task_id: Some(at.task_id.clone()),
            map_index,
            key: Some(at.key.clone()),
            include_prior_dates,
        };
        let values = self.remote.xcom_values(query).await.map_err(answer)?;
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }

    async fn one_run(&self, dag_id: &str, run_id: &str) -> Answer<DagRun> {
        let query =
            RunQuery { dag_id: dag_id.to_owned(), run_id: Some(run_id.to_owned()), limit: 1, ..RunQuery::default() };
        let (runs, _) = self.remote.runs(&query).await.map_err(answer)?;
        runs.into_iter()
            .next()
            .ok_or_else(|| HostError::NotFound { message: format!("the DAG \"{dag_id}\" has no run \"{run_id}\"") })
    }

    async fn instances(&self, filter: &TaskInstanceFilter) -> Answer<Vec<TaskInstance>> {
        if filter.task_group_id.is_some() {
            return Err(HostError::unsupported("a question about the tasks of a task group"));
        }
        let query = v1::FindTaskInstancesRequest {
            attempt: None,
            dag_id: filter.dag_id.clone(),
            run_ids: filter.run_ids.clone().unwrap_or_default(),
            task_ids: filter.task_ids.clone().unwrap_or_default(),
            states: states(filter),
            logical_dates: filter.logical_dates.iter().flatten().map(|date| tradewind_proto::micros(*date)).collect(),
        };
        let mut found = self.remote.task_instances(query).await.map_err(answer)?;
        if let Some(index) = filter.map_index {
            found.retain(|ti| ti.map_index == index);
        }
        Ok(found)
    }
}

/// The states of a filter; the SDK says "no state yet" with `None` or `null` where we have a name.
fn states(filter: &TaskInstanceFilter) -> Vec<String> {
    filter
        .states
        .iter()
        .flatten()
        .map(|state| match state.to_ascii_lowercase().as_str() {
            "none" | "null" => "no_status".to_owned(),
            _ => state.clone(),
        })
        .collect()
}

fn run_info(run: DagRun) -> DagRunInfo {
    DagRunInfo {
        dag_id: run.dag_id.to_string(),
        run_id: run.run_id.to_string(),
        logical_date: run.logical_date,
        data_interval_start: run.data_interval_start,
        data_interval_end: run.data_interval_end,
        run_after: run.run_after,
        start_date: run.start_date,
        end_date: run.end_date,
        run_type: run.run_type.to_string(),
        state: run.state.to_string(),
        conf: run.conf,
    }
}

fn connection_info(connection: Connection) -> ConnectionInfo {
    ConnectionInfo {
        conn_id: connection.conn_id,
        conn_type: connection.conn_type,
        host: connection.host,
        schema: connection.schema,
        login: connection.login,
        password: connection.password,
        port: connection.port.map(i32::from),
        extra: connection.extra,
    }
}

fn line(line: LogLine) -> Line {
    Line {
        at: line.at,
        level: match line.level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        },
        logger: line.logger,
        message: line.message,
        fields: line.fields,
    }
}

/// A slice of a list, the way Python does it.
fn slice(values: Vec<Value>, slice: XComSlice) -> Answer<Vec<Value>> {
    let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
    let step = slice.step.unwrap_or(1);
    if step == 0 {
        return Err(refused("slice step cannot be zero".to_owned()));
    }
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |index: Option<i64>, default: i64| match index {
        None => default,
        Some(index) if index < 0 => index.saturating_add(length).clamp(low, high),
        Some(index) => index.clamp(low, high),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (mut at, stop) = (bound(slice.start, first), bound(slice.stop, last));
    let mut picked = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        if let Some(value) = usize::try_from(at).ok().and_then(|at| values.get(at)) {
            picked.push(value.clone());
        }
        at = at.saturating_add(step);
    }
    Ok(picked)
}

#[async_trait]
impl TaskHost for Host {
    async fn log(&self, lines: Vec<LogLine>) {
        self.log.write(lines.into_iter().map(line).collect()).await;
    }

    async fn started(&self, pid: u32) {
        self.pid.store(pid, Ordering::Release);
        self.session.watchdog.started(pid);
    }

    async fn get_xcom(&self, at: &XComAddress, include_prior_dates: bool) -> Answer<Option<Value>> {
        let index = at.map_index.unwrap_or(tradewind_types::UNMAPPED);
        let values = self.values(at, Some(index), include_prior_dates).await?;
        Ok(values.into_iter().next())
    }

    async fn get_xcom_slice(&self, at: &XComAddress, part: XComSlice) -> Answer<Vec<Value>> {
        slice(self.values(at, None, part.include_prior_dates).await?, part)
    }

    async fn get_xcom_item(&self, at: &XComAddress, offset: i64) -> Answer<Option<Value>> {
        let mut values = self.values(at, None, false).await?;
        let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let index = if offset < 0 { offset.saturating_add(length) } else { offset };
        Ok(usize::try_from(index).ok().filter(|index| *index < values.len()).map(|index| values.swap_remove(index)))
    }

    async fn count_xcoms(&self, at: &XComAddress) -> Answer<u64> {
        Ok(self.values(at, None, false).await?.len() as u64)
    }

    async fn set_xcom(&self, at: &XComAddress, value: Value, _mapped_length: Option<u64>) -> Answer<()> {
        self.check_own(at)?;
        self.held.push(&at.key, value).map_err(answer)
    }

    async fn delete_xcom(&self, at: &XComAddress) -> Answer<()> {
        self.check_own(at)?;
        self.held.forget(&at.key);
        self.remote.delete_xcom(&at.key).await.map_err(answer)
    }

    async fn get_variable(&self, key: &str) -> Answer<Option<String>> {
        let value = self.remote.variable(key).await.map_err(answer)?;
        if let Some(value) = &value {
            self.log.masker().add_variable(key, value);
        }
        Ok(value)
    }

    async fn set_variable(&self, key: &str, value: Option<&str>, description: Option<&str>) -> Answer<()> {
        let value = value.unwrap_or_default();
        self.log.masker().add_variable(key, value);
        self.remote.put_variable(key, value, description).await.map_err(answer)
    }

    async fn delete_variable(&self, key: &str) -> Answer<()> {
        self.remote.delete_variable(key).await.map_err(answer)
    }

    async fn get_connection(&self, conn_id: &str) -> Answer<Option<ConnectionInfo>> {
        let connection = self.remote.connection(conn_id).await.map_err(answer)?;
        if let Some(connection) = &connection {
            self.log.masker().add_connection(connection);
        }
        Ok(connection.map(connection_info))
    }

    async fn set_rendered_fields(&self, mut fields: Value) -> Answer<()> {
        self.log.masker().hide_value(&mut fields);
        self.remote.put_rendered(&fields).await.map_err(answer)
    }

    async fn get_dag_run(&self, dag_id: &str, run_id: &str) -> Answer<DagRunInfo> {
        self.held.flush().await.map_err(answer)?;
        self.one_run(dag_id, run_id).await.map(run_info)
    }

    async fn get_dag_run_state(&self, dag_id: &str, run_id: &str) -> Answer<String> {
        self.held.flush().await.map_err(answer)?;
        Ok(self.one_run(dag_id, run_id).await?.state.to_string())
    }

    async fn get_previous_dag_run(
        &self,
        dag_id: &str,
        before: Timestamp,
        state: Option<&str>,
    ) -> Answer<Option<DagRunInfo>> {
        let states = state.map(str::to_owned).into_iter().collect();
        let run = self.remote.previous_run(dag_id, before, states).await.map_err(answer)?;
        Ok(run.map(run_info))
    }

    async fn get_previous_successful_dag_run(&self, _ti_id: Uuid) -> Answer<Option<DagRunInfo>> {
        let Some(before) = self.run.logical_date else {
            return Ok(None);
        };
        self.get_previous_dag_run(self.run.dag_id.as_str(), before, Some("success")).await
    }

    async fn count_dag_runs(&self, filter: &TaskInstanceFilter) -> Answer<u64> {
        let run_ids = each(filter.run_ids.as_deref());
        let dates = each(filter.logical_dates.as_deref());
        let mut count = 0;
        for run_id in &run_ids {
            for date in &dates {
                let query = RunQuery {
                    dag_id: filter.dag_id.clone(),
                    run_id: run_id.cloned(),
                    logical_date: date.copied(),
                    states: filter.states.clone().unwrap_or_default(),
                    ..RunQuery::default()
                };
                let (runs, total) = self.remote.runs(&query).await.map_err(answer)?;
                // One that is asked for by its id comes in whatever state it is.
                let others = match &filter.states {
                    Some(states) => {
                        runs.iter().filter(|run| !states.iter().any(|state| state == run.state.as_str())).count()
                    }
                    None => 0,
                };
                count += total.saturating_sub(others as u64);
            }
        }
        Ok(count)
    }

    async fn count_task_instances(&self, filter: &TaskInstanceFilter) -> Answer<u64> {
        Ok(self.instances(filter).await?.len() as u64)
    }

    async fn get_task_states(&self, filter: &TaskInstanceFilter) -> Answer<Vec<(String, String, Option<String>)>> {
        let found = self.instances(filter).await?;
        Ok(found
            .into_iter()
            .map(|ti| {
                let task = match ti.map_index {
                    index if index >= 0 => format!("{}_{index}", ti.task_id),
                    _ => ti.task_id.to_string(),
                };
                let state = (ti.state != tradewind_types::TaskState::NoStatus).then(|| ti.state.to_string());
                (ti.run_id.to_string(), task, state)
            })
            .collect())
    }

    async fn get_first_reschedule_date(&self, _ti_id: Uuid, _try_number: u32) -> Answer<Option<Timestamp>> {
        Ok(self.ti.first_poke_at)
    }

    async fn trigger_dag_run(&self, request: TriggerRequest) -> Answer<()> {
        self.held.flush().await.map_err(answer)?;
        if request.run_after.is_some_and(|at| at > Timestamp::now()) {
            return Err(HostError::unsupported("TriggerDagRun with a run_after in the future"));
        }
        if request.note.is_some() {
            self.log.remark("warning", "the note of the triggered run is not kept yet").await;
        }
        let reset = request.reset;
        let done = self
            .remote
            .trigger(request.dag_id, request.run_id, request.logical_date, &request.conf)
            .await
            .map_err(answer);
        match done {
            Err(HostError::AlreadyExists { .. }) if reset => {
                Err(HostError::unsupported("TriggerDagRun with reset_dag_run for a run that exists"))
            }
            done => done,
        }
    }

    async fn mask_secret(&self, value: &str) {
        self.log.masker().add(value);
    }
}

/// Each of the values, or one question without any.
fn each<T>(values: Option<&[T]>) -> Vec<Option<&T>> {
    match values {
        None => vec![None],
        Some(values) => values.iter().map(Some).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_pythons() {
        let of = |start, stop, step| {
            let values = (0..5).map(Value::from).collect();
            let part = XComSlice { start, stop, step, include_prior_dates: false };
            let picked = slice(values, part).unwrap();
            picked.iter().filter_map(Value::as_i64).collect::<Vec<_>>()
        };
        assert_eq!(of(None, None, None), [0, 1, 2, 3, 4]);
        assert_eq!(of(Some(1), Some(-1), None), [1, 2, 3]);
        assert_eq!(of(None, None, Some(-1)), [4, 3, 2, 1, 0]);
        assert_eq!(of(Some(-2), None, None), [3, 4]);
        assert_eq!(of(Some(4), Some(0), Some(-2)), [4, 2]);
        assert_eq!(of(Some(-100), Some(100), Some(2)), [0, 2, 4]);
        assert_eq!(of(Some(3), Some(1), None), [0; 0]);
        assert_eq!(of(None, Some(-100), Some(-1)), [4, 3, 2, 1, 0]);
        let zero = XComSlice { step: Some(0), ..XComSlice::default() };
        assert!(slice(vec![], zero).is_err());
    }

    #[test]
    fn no_state_has_a_name_here() {
        let filter = TaskInstanceFilter {
            states: Some(vec!["None".to_owned(), "success".to_owned()]),
            ..TaskInstanceFilter::default()
        };
        assert_eq!(states(&filter), ["no_status", "success"]);
    }
}
