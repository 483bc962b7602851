//! DAG runs, task instances, tries, XComs, import errors, bundles and the audit trail.

use tradewind_types as t;
use tradewind_types::ApiError;

use super::{from_json, instant, instant_opt, json, micros, parse, to_json, uuid};
use crate::v1;

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
            backfill: run.backfill.map(|backfill| backfill.no),
            backfill_ordinal: run.backfill.map_or(0, |backfill| backfill.ordinal),
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
            backfill: run.backfill.map(|no| t::BackfillRef { no, ordinal: run.backfill_ordinal }),
            // The leader's own book-keeping.
            missed_deadlines: 0,
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
            deferral_json: ti.deferral.as_ref().map(to_json),
            reschedules: ti.reschedules,
            rendered_map_index: ti.rendered_map_index.clone(),
            xcom_length: ti.xcom_length,
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
            deferral: ti.deferral_json.map(|text| from_json("deferral", &text)).transpose()?,
            reschedules: ti.reschedules,
            rendered_map_index: ti.rendered_map_index,
            xcom_length: ti.xcom_length,
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
            object: xcom.object.map(Into::into),
        }
    }
}

impl From<t::XComObject> for v1::XComObject {
    fn from(object: t::XComObject) -> Self {
        Self { url: object.url, size: object.size, sha256: object.sha256 }
    }
}

impl From<v1::XComObject> for t::XComObject {
    fn from(object: v1::XComObject) -> Self {
        Self { url: object.url, size: object.size, sha256: object.sha256 }
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

impl From<t::Deprecation> for v1::Deprecation {
    fn from(name: t::Deprecation) -> Self {
        Self { file: name.file, line: name.line, old: name.old, new: name.new, note: name.note }
    }
}

impl From<v1::Deprecation> for t::Deprecation {
    fn from(name: v1::Deprecation) -> Self {
        Self { file: name.file, line: name.line, old: name.old, new: name.new, note: name.note }
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
