//! A native operator on this worker.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tradewind_operators::{Finished, IoError, LogLevel, OperatorError, OperatorIo, TaskContext, XComQuery};
use tradewind_proto::v1;
use tradewind_types::{
    ApiError, AssetRef, AttemptOutcome, Connection, DagRun, NativeOperator, OutletEvent, Timestamp, XCOM_RETURN_KEY,
};

use crate::{
    attempt::{Running, Verdict, stopped},
    grant::Work,
    lease::StopReason,
    logs::Line,
    session::ATTEMPT_MARK,
};

/// Runs it. `None` when nobody wants a report.
pub(crate) async fn run(running: &Running, work: &Work, operator: &NativeOperator) -> Option<Verdict> {
    let session = &running.session;
    let ctx = TaskContext {
        ti: work.ti.clone(),
        run: work.run.clone(),
        task: work.task.clone(),
        dag: work.dag.clone(),
        env: session.env.clone(),
        marker: (ATTEMPT_MARK.to_owned(), running.key.to_string()),
        scratch: session.scratch.clone(),
        xcom_max_bytes: running.xcoms.max_bytes(),
        stop: running.control.signal().clone(),
    };
    let io = NativeIo { running, work };
    let timeout = work.task.execution_timeout;
    let mut operation = std::pin::pin!(tradewind_operators::run(operator, &ctx, &io));
    let result = tokio::select! {
        result = &mut operation => result,
        () = over(timeout) => {
            running.control.stop(StopReason::TimedOut, session.settings.kill_grace);
            operation.await
        }
    };
    let verdict = match result {
        Ok(Finished::Success(value)) => {
            let mut verdict = Verdict::of(AttemptOutcome::Success);
            if let Some(value) = value {
                let length = mapped_length(&value);
                match running.xcoms.stow(&work.ti, XCOM_RETURN_KEY, value, length).await {
                    Ok(value) => verdict.xcoms.push(value),
                    Err(error) => return Some(Verdict::failed(true, error.message)),
                }
            }
            verdict.asset_events = outlets(&work.task.outlets);
            verdict
        }
        Ok(Finished::Reschedule(at)) => Verdict::of(AttemptOutcome::Reschedule { at }),
        Err(OperatorError::Failed(note)) => Verdict::failed(true, note),
        Err(OperatorError::Fatal(note)) => Verdict::failed(false, note),
        Err(OperatorError::Skipped(note)) => skipped(note),
        Err(OperatorError::Stopped) => {
            let reason = running.control.reason();
            // As Airflow's sensors: soft_fail also covers the execution timeout.
            if reason == Some(StopReason::TimedOut) && soft_fail(operator) {
                return Some(skipped("the sensor ran longer than its execution_timeout".to_owned()));
            }
            return stopped(reason, timeout);
        }
    };
    Some(verdict)
}

/// How many instances a task would have that is mapped over this value.
pub(crate) fn mapped_length(value: &Value) -> Option<u32> {
    let length = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => return None,
    };
    Some(u32::try_from(length).unwrap_or(u32::MAX))
}

/// A native task updates each asset that it names.
fn outlets(outlets: &[AssetRef]) -> Vec<OutletEvent> {
    outlets
        .iter()
        .filter_map(|outlet| match outlet {
            AssetRef::Asset(asset) => {
                Some(OutletEvent { asset: asset.clone(), extra: Value::Object(Map::new()), aliases: Vec::new() })
            }
            _ => None,
        })
        .collect()
}

fn skipped(note: String) -> Verdict {
    let mut verdict = Verdict::of(AttemptOutcome::Skipped);
    verdict.note = Some(note);
    verdict
}

fn soft_fail(operator: &NativeOperator) -> bool {
    match operator {
        NativeOperator::FileSensor(options) => options.sensor.soft_fail,
        NativeOperator::TimeSensor(options) => options.sensor.soft_fail,
        NativeOperator::TimeDeltaSensor(options) => options.sensor.soft_fail,
        NativeOperator::DateTimeSensor(options) => options.sensor.soft_fail,
        NativeOperator::Noop(_) | NativeOperator::Bash(_) | NativeOperator::Http(_) | NativeOperator::Sql(_) => false,
    }
}

async fn over(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// The worker's side of a native operator.
struct NativeIo<'a> {
    running: &'a Running,
    work: &'a Work,
}

fn io_error(error: ApiError) -> IoError {
    IoError(error.message)
}

#[async_trait]
impl OperatorIo for NativeIo<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn log(&self, level: LogLevel, logger: &'static str, lines: Vec<String>) {
        let at = Timestamp::now();
        let level = match level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        };
        let lines = lines
            .into_iter()
            .map(|message| Line { at, level, logger: logger.to_owned(), message, fields: Map::new() })
            .collect();
        self.running.log.write(lines).await;
    }

    async fn xcoms(&self, query: &XComQuery) -> Result<Vec<(i32, Value)>, IoError> {
        let request = v1::GetXComsRequest {
            attempt: None,
            dag_id: query.dag_id.clone(),
            run_id: query.run_id.clone(),
            task_id: Some(query.task_id.clone()),
            map_index: query.map_index,
            key: Some(query.key.clone()),
            include_prior_dates: query.include_prior_dates,
        };
        let found = self.running.remote.xcoms(request).await.map_err(io_error)?;
        self.running.xcoms.load(found).await.map_err(io_error)
    }

    async fn variable(&self, key: &str) -> Result<Option<String>, IoError> {
        let value = self.running.remote.variable(key).await.map_err(io_error)?;
        if let Some(value) = &value {
            self.running.log.masker().add_variable(key, value);
        }
        Ok(value)
    }

    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, IoError> {
        let connection = self.running.remote.connection(conn_id).await.map_err(io_error)?;
        if let Some(connection) = &connection {
            self.running.log.masker().add_connection(connection.password.as_deref(), connection.extra.as_deref());
        }
        Ok(connection)
    }

    async fn previous_success(&self) -> Result<Option<DagRun>, IoError> {
        let run = &self.work.run;
        let Some(before) = run.logical_date else {
            return Ok(None);
        };
        self.running
            .remote
            .previous_run(run.dag_id.as_str(), before, vec!["success".to_owned()])
            .await
            .map_err(io_error)
    }

    async fn rendered(&self, fields: Map<String, Value>) -> Result<(), IoError> {
        let mut fields = Value::Object(fields);
        self.running.log.masker().mask_value(&mut fields);
        self.running.remote.put_rendered(&fields).await.map_err(io_error)
    }

    fn process_started(&self, pid: u32) {
        self.running.session.watchdog.started(pid);
    }

    fn process_ended(&self, pid: u32) {
        self.running.session.watchdog.ended(pid);
    }
}
