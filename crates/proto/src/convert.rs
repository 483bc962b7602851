//! Conversions between wire messages and domain types. Into the wire nothing can fail; out of it a malformed field is
//! an [`ErrorCode::Invalid`](tradewind_types::ErrorCode::Invalid) error that names it.

use std::str::FromStr;

use tradewind_types as t;
use tradewind_types::{ApiError, Timestamp};
use uuid::Uuid;

use crate::v1;

/// Microseconds since the epoch.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// An instant from microseconds since the epoch.
pub fn instant(field: &str, micros: i64) -> Result<Timestamp, ApiError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| ApiError::invalid(format!("{field}: {micros} microseconds is not an instant")))
}

/// An optional instant.
pub fn instant_opt(field: &str, micros: Option<i64>) -> Result<Option<Timestamp>, ApiError> {
    micros.map(|at| instant(field, at)).transpose()
}

/// A UUID from text.
pub fn uuid(field: &str, text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text).map_err(|_| ApiError::invalid(format!("{field}: \"{text}\" is not a UUID")))
}

/// A value from JSON text; the empty text is null.
pub fn json(field: &str, text: &str) -> Result<serde_json::Value, ApiError> {
    if text.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_str(text).map_err(|error| ApiError::invalid(format!("{field}: not JSON: {error}")))
}

/// A typed value from JSON text.
pub fn from_json<T: serde::de::DeserializeOwned>(field: &str, text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| ApiError::invalid(format!("{field}: {error}")))
}

/// JSON text of a value that always serializes.
pub fn to_json<T: serde::Serialize>(value: &T) -> String {
    // The domain types hold no maps with non-text keys, the one thing that serde_json refuses.
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<T: FromStr<Err = String>>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("{field}: {error}")))
}

impl From<&t::DagRun> for v1::DagRun {
    fn from(run: &t::DagRun) -> Self {
        Self {
            run_no: run.run_no.0,
            dag_id: run.dag_id.to_string(),
            run_id: run.run_id.to_string(),
            run_type: run.run_type.to_string(),
            state: run.state.to_string(),
            version: run.version.to_string(),
            logical_date: run.logical_date.map(micros),
            data_interval_start: run.data_interval_start.map(micros),
            data_interval_end: run.data_interval_end.map(micros),
            run_after: micros(run.run_after),
            conf_json: run.conf.to_string(),
            queued_at: micros(run.queued_at),
            start_date: run.start_date.map(micros),
            end_date: run.end_date.map(micros),
            clear_number: run.clear_number,
            triggered_by: run.triggered_by.clone(),
            note: run.note.clone(),
        }
    }
}

impl TryFrom<v1::DagRun> for t::DagRun {
    type Error = ApiError;

    fn try_from(run: v1::DagRun) -> Result<Self, ApiError> {
        Ok(Self {
            run_no: t::RunNo(run.run_no),
            dag_id: run.dag_id.into(),
            run_id: run.run_id.into(),
            run_type: parse("run_type", &run.run_type)?,
            state: parse("state", &run.state)?,
            version: run.version.into(),
            logical_date: instant_opt("logical_date", run.logical_date)?,
            data_interval_start: instant_opt("data_interval_start", run.data_interval_start)?,
            data_interval_end: instant_opt("data_interval_end", run.data_interval_end)?,
            run_after: instant("run_after", run.run_after)?,
            conf: json("conf", &run.conf_json)?,
            queued_at: instant("queued_at", run.queued_at)?,
            start_date: instant_opt("start_date", run.start_date)?,
            end_date: instant_opt("end_date", run.end_date)?,
            clear_number: run.clear_number,
            triggered_by: run.triggered_by,
            note: run.note,
        })
    }
}

impl From<&t::TaskInstance> for v1::TaskInstance {
    /// The lease token stays behind: it travels only in grants.
    fn from(ti: &t::TaskInstance) -> Self {
        Self {
            id: ti.id.to_string(),
            run_no: ti.run_no.0,
            dag_id: ti.dag_id.to_string(),
            run_id: ti.run_id.to_string(),
            task_id: ti.task_id.to_string(),
            map_index: ti.map_index,
            operator: ti.operator.clone(),
            pool: ti.pool.to_string(),
            pool_slots: ti.pool_slots,
            queue: ti.queue.to_string(),
            priority_weight: ti.priority_weight,
            state: ti.state.to_string(),
            try_number: ti.try_number,
            max_tries: ti.max_tries,
            attempt: ti.attempt,
            worker_losses: ti.worker_losses,
            scheduled_at: ti.scheduled_at.map(micros),
            queued_at: ti.queued_at.map(micros),
            start_date: ti.start_date.map(micros),
            end_date: ti.end_date.map(micros),
            next_at: ti.next_at.map(micros),
            first_poke_at: ti.first_poke_at.map(micros),
            worker: ti.worker.as_ref().map(ToString::to_string),
            note: ti.note.clone(),
        }
    }
}

impl TryFrom<v1::TaskInstance> for t::TaskInstance {
    type Error = ApiError;

    fn try_from(ti: v1::TaskInstance) -> Result<Self, ApiError> {
        Ok(Self {
            id: t::TiId(uuid("id", &ti.id)?),
            run_no: t::RunNo(ti.run_no),
            dag_id: ti.dag_id.into(),
            run_id: ti.run_id.into(),
            task_id: ti.task_id.into(),
            map_index: ti.map_index,
            operator: ti.operator,
            pool: ti.pool.into(),
            pool_slots: ti.pool_slots,
            queue: ti.queue.into(),
            priority_weight: ti.priority_weight,
            state: parse("state", &ti.state)?,
            try_number: ti.try_number,
            max_tries: ti.max_tries,
            attempt: ti.attempt,
            worker_losses: ti.worker_losses,
            scheduled_at: instant_opt("scheduled_at", ti.scheduled_at)?,
            queued_at: instant_opt("queued_at", ti.queued_at)?,
            start_date: instant_opt("start_date", ti.start_date)?,
            end_date: instant_opt("end_date", ti.end_date)?,
            next_at: instant_opt("next_at", ti.next_at)?,
            first_poke_at: instant_opt("first_poke_at", ti.first_poke_at)?,
            worker: ti.worker.map(Into::into),
            token: None,
            note: ti.note,
            skips: Vec::new(),
        })
    }
}

impl From<t::TaskTry> for v1::TaskTry {
    fn from(row: t::TaskTry) -> Self {
        Self {
            attempt: row.attempt,
            try_number: row.try_number,
            state: row.state.to_string(),
            queued_at: row.queued_at.map(micros),
            start_date: row.start_date.map(micros),
            end_date: row.end_date.map(micros),
            worker: row.worker.map(|worker| worker.to_string()),
            note: row.note,
        }
    }
}

impl v1::XCom {
    /// An XCom of the run with id `run_id`.
    pub fn new(xcom: t::XCom, run_id: &str) -> Self {
        Self {
            task_id: xcom.task_id.to_string(),
            map_index: xcom.map_index,
            key: xcom.key,
            value_json: xcom.value.to_string(),
            created_at: micros(xcom.created_at),
            run_id: run_id.to_owned(),
        }
    }
}

/// XCom values as a worker sends them.
pub fn xcom_values(values: Vec<v1::XComValue>) -> Result<Vec<t::XComValue>, ApiError> {
    values
        .into_iter()
        .map(|xcom| Ok(t::XComValue { value: json(&format!("xcom {}", xcom.key), &xcom.value_json)?, key: xcom.key }))
        .collect()
}

impl From<&t::XComValue> for v1::XComValue {
    fn from(xcom: &t::XComValue) -> Self {
        Self { key: xcom.key.clone(), value_json: xcom.value.to_string() }
    }
}

impl From<t::Variable> for v1::Variable {
    fn from(variable: t::Variable) -> Self {
        Self { key: variable.key, value: variable.value, description: variable.description }
    }
}

impl From<v1::Variable> for t::Variable {
    fn from(variable: v1::Variable) -> Self {
        Self { key: variable.key, value: variable.value, description: variable.description }
    }
}

impl From<t::Connection> for v1::Connection {
    fn from(connection: t::Connection) -> Self {
        Self {
            conn_id: connection.conn_id,
            conn_type: connection.conn_type,
            description: connection.description,
            host: connection.host,
            schema: connection.schema,
            login: connection.login,
            password: connection.password,
            port: connection.port.map(u32::from),
            extra: connection.extra,
        }
    }
}

impl TryFrom<v1::Connection> for t::Connection {
    type Error = ApiError;

    fn try_from(connection: v1::Connection) -> Result<Self, ApiError> {
        let port = connection
            .port
            .map(|port| {
                u16::try_from(port).map_err(|_| ApiError::invalid(format!("port: {port} is not between 0 and 65535")))
            })
            .transpose()?;
        Ok(Self {
            conn_id: connection.conn_id,
            conn_type: connection.conn_type,
            description: connection.description,
            host: connection.host,
            schema: connection.schema,
            login: connection.login,
            password: connection.password,
            port,
            extra: connection.extra,
        })
    }
}

impl From<&t::Bundle> for v1::Bundle {
    fn from(bundle: &t::Bundle) -> Self {
        let files = bundle
            .files
            .iter()
            .map(|file| v1::BundleFile {
                path: file.path.clone(),
                blob: file.blob.to_string(),
                size: file.size,
                executable: file.executable,
            })
            .collect();
        Self { hash: bundle.hash.to_string(), files }
    }
}

impl TryFrom<v1::Bundle> for t::Bundle {
    type Error = ApiError;

    /// Refuses a bundle whose hash does not fit or whose paths leave it.
    fn try_from(bundle: v1::Bundle) -> Result<Self, ApiError> {
        let files = bundle
            .files
            .into_iter()
            .map(|file| t::BundleFile {
                path: file.path,
                blob: file.blob.into(),
                size: file.size,
                executable: file.executable,
            })
            .collect();
        let bundle = Self { hash: bundle.hash.into(), files };
        if bundle.is_sound() {
            Ok(bundle)
        } else {
            Err(ApiError::invalid(format!("bundle {}: its hash or a path of it is wrong", bundle.hash)))
        }
    }
}

impl From<t::ImportError> for v1::ImportError {
    fn from(error: t::ImportError) -> Self {
        Self {
            rel_path: error.rel_path,
            message: error.message,
            line: error.line,
            column: error.column,
            traceback: error.traceback,
            at: micros(error.at),
        }
    }
}

impl TryFrom<v1::ImportError> for t::ImportError {
    type Error = ApiError;

    fn try_from(error: v1::ImportError) -> Result<Self, ApiError> {
        Ok(Self {
            at: instant("at", error.at)?,
            rel_path: error.rel_path,
            message: error.message,
            line: error.line,
            column: error.column,
            traceback: error.traceback,
        })
    }
}

impl From<t::AuditEvent> for v1::AuditEvent {
    fn from(event: t::AuditEvent) -> Self {
        Self {
            at: micros(event.at),
            event: event.event,
            by: event.by,
            dag_id: event.dag_id.map(|id| id.to_string()),
            run_id: event.run_id.map(|id| id.to_string()),
            task_id: event.task_id.map(|id| id.to_string()),
            detail: event.detail,
        }
    }
}

impl From<&t::WorkerInfo> for v1::Worker {
    fn from(worker: &t::WorkerInfo) -> Self {
        let status = match worker.status {
            t::WorkerStatus::Active => "active",
            t::WorkerStatus::Draining => "draining",
            t::WorkerStatus::Lost => "lost",
        };
        Self {
            name: worker.name.to_string(),
            incarnation: worker.incarnation.to_string(),
            queues: worker.queues.iter().map(ToString::to_string).collect(),
            slots: worker.slots,
            running: worker.running,
            status: status.to_owned(),
            version: worker.version.clone(),
            hostname: worker.hostname.clone(),
            pid: worker.pid,
            registered_at: micros(worker.registered_at),
            last_seen: micros(worker.last_seen),
            labels: worker.labels.clone().into_iter().collect(),
        }
    }
}

impl v1::AttemptRef {
    /// The reference of an attempt.
    pub fn new(key: t::AttemptKey, token: t::LeaseToken) -> Self {
        Self { ti: key.ti.to_string(), attempt: key.attempt, token: token.0.to_string() }
    }

    /// The attempt and its token.
    pub fn parse(&self) -> Result<(t::AttemptKey, t::LeaseToken), ApiError> {
        Ok((
            t::AttemptKey { ti: t::TiId(uuid("ti", &self.ti)?), attempt: self.attempt },
            t::LeaseToken(uuid("token", &self.token)?),
        ))
    }
}

/// The attempt reference that every attempt-scoped request must have.
pub fn attempt_ref(attempt: Option<&v1::AttemptRef>) -> Result<(t::AttemptKey, t::LeaseToken), ApiError> {
    attempt.ok_or_else(|| ApiError::invalid("attempt: missing"))?.parse()
}

impl From<&t::AttemptReport> for v1::AttemptReport {
    fn from(report: &t::AttemptReport) -> Self {
        Self {
            attempt: Some(v1::AttemptRef::new(report.key, report.token)),
            outcome_json: to_json(&report.outcome),
            xcoms: report.xcoms.iter().map(Into::into).collect(),
            skip: report
                .skip
                .iter()
                .map(|(task, map_index)| v1::SkippedTask { task_id: task.to_string(), map_index: *map_index })
                .collect(),
            note: report.note.clone(),
            ended_at: micros(report.ended_at),
        }
    }
}

impl TryFrom<v1::AttemptReport> for t::AttemptReport {
    type Error = ApiError;

    fn try_from(report: v1::AttemptReport) -> Result<Self, ApiError> {
        let (key, token) = attempt_ref(report.attempt.as_ref())?;
        Ok(Self {
            key,
            token,
            outcome: from_json("outcome", &report.outcome_json)?,
            xcoms: xcom_values(report.xcoms)?,
            skip: report.skip.into_iter().map(|task| (task.task_id.into(), task.map_index)).collect(),
            note: report.note,
            ended_at: instant("ended_at", report.ended_at)?,
        })
    }
}

impl From<v1::Page> for (u32, u64) {
    fn from(page: v1::Page) -> Self {
        (if page.limit == 0 { 100 } else { page.limit }, page.offset)
    }
}
