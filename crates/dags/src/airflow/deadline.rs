//! Deadline alerts of a DAG (`encode_deadline_alert`).

use serde_json::Value;
use tradewind_types::{DeadlineReference, DeadlineSpec, Timestamp};

use super::value::unwrapped;

/// Reads all of them; those that cannot be kept are remarks.
pub(super) fn read_deadlines(deadlines: Option<&Value>, warnings: &mut Vec<String>) -> Vec<DeadlineSpec> {
    let alerts = match deadlines {
        None => &[],
        Some(Value::Array(alerts)) => alerts.as_slice(),
        Some(alert) => std::slice::from_ref(alert),
    };
    let mut kept = Vec::new();
    for (index, alert) in alerts.iter().map(unwrapped).enumerate() {
        let name = alert.get("name").and_then(Value::as_str).map(ToOwned::to_owned);
        match read_deadline(alert, name.clone()) {
            Ok(deadline) => kept.push(deadline),
            Err(why) => {
                let which = name.map_or_else(|| format!("number {}", index + 1), |name| format!("\"{name}\""));
                warnings.push(format!("the deadline {which} is not watched: {why}"));
            }
        }
    }
    kept
}

fn read_deadline(alert: &Value, name: Option<String>) -> Result<DeadlineSpec, String> {
    let callback = alert.get("callback").filter(|callback| callback.is_object()).ok_or("it has no callback")?;
    Ok(DeadlineSpec {
        name,
        reference: read_reference(alert.get("reference").unwrap_or(&Value::Null))?,
        interval_micros: read_interval(alert.get("interval").unwrap_or(&Value::Null))?,
        callback: callback.clone(),
    })
}

fn read_reference(reference: &Value) -> Result<DeadlineReference, String> {
    let kind = reference.get("reference_type").and_then(Value::as_str).unwrap_or_default();
    if reference.get("__class_path").is_some() {
        return Err(format!("its reference {kind} is a class of your own, which only Airflow's scheduler could ask"));
    }
    let number = |name: &str| reference.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    match kind {
        "DagRunLogicalDateDeadline" => Ok(DeadlineReference::LogicalDate),
        "DagRunQueuedAtDeadline" => Ok(DeadlineReference::QueuedAt),
        "FixedDatetimeDeadline" => {
            let seconds = reference.get("datetime").and_then(Value::as_f64).ok_or("its fixed date is missing")?;
            let at = Timestamp::from_microsecond((seconds * 1e6).round() as i64);
            Ok(DeadlineReference::Fixed { at: at.map_err(|error| format!("its fixed date is out of range: {error}"))? })
        }
        "AverageRuntimeDeadline" => {
            let max_runs = number("max_runs").unwrap_or(10);
            Ok(DeadlineReference::AverageRuntime { max_runs, min_runs: number("min_runs").unwrap_or(max_runs) })
        }
        other => Err(format!("its reference \"{other}\" is unknown")),
    }
}

/// A timedelta, as `airflow.sdk.serde` writes it.
fn read_interval(interval: &Value) -> Result<i64, String> {
    let class = interval.get("__classname__").and_then(Value::as_str).unwrap_or_default();
    if class.ends_with(".VariableInterval") {
        let key = interval.pointer("/__data__/key").and_then(Value::as_str).unwrap_or_default();
        return Err(format!("its interval is the variable \"{key}\", which is not supported; give a timedelta"));
    }
    let seconds = interval.get("__data__").unwrap_or(interval).as_f64();
    let micros = seconds.map(|seconds| (seconds * 1e6).round()).filter(|micros| micros.abs() < 9e18);
    micros.map(|micros| micros as i64).ok_or_else(|| format!("its interval is {interval}, not a timedelta"))
}
