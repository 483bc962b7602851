//! What a task says to Tradewind itself, by `executor_config={"tradewind": {...}}`.

use serde::Deserialize;
use serde_json::Value;
use tradewind_types::{ConcurrencyLimit, did_you_mean};

use super::value::{Fields, plain};
use crate::check::check_limit;

const KEYS: [&str; 2] = ["concurrency", "dag_task_limit"];

/// What a task says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TradewindConfig {
    /// Limits that it shares with other tasks.
    pub(super) concurrency: Vec<ConcurrencyLimit>,
    /// A limit of its DAG's tasks over all runs.
    pub(super) dag_task_limit: Option<u32>,
}

/// Reads it; an unknown key is an error, as a limit that nobody keeps would be worse.
pub(super) fn read_executor_config(fields: &Fields<'_>) -> Result<TradewindConfig, String> {
    let Some(config) = fields.raw("executor_config").and_then(|config| config.get("tradewind")) else {
        return Ok(TradewindConfig::default());
    };
    let at = |key: &str| format!("executor_config[\"tradewind\"][\"{key}\"]");
    let config = plain(config);
    let Value::Object(config) = config else {
        return Err(format!("executor_config[\"tradewind\"] is {config}, not a dict with {}", KEYS.join(" or ")));
    };
    let mut read = TradewindConfig::default();
    for (key, value) in &config {
        match key.as_str() {
            "concurrency" => read.concurrency = limits(value).map_err(|message| format!("{} {message}", at(key)))?,
            "dag_task_limit" => {
                let limit = value.as_u64().and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0);
                let limit = limit.ok_or_else(|| format!("{} is {value}, not a whole number of at least 1", at(key)))?;
                read.dag_task_limit = Some(limit);
            }
            unknown => {
                let near = did_you_mean(unknown, KEYS.iter().copied());
                let hint = if near.is_empty() { format!("; the keys are {}", KEYS.join(", ")) } else { near };
                return Err(format!("{} is unknown{hint}", at(unknown)));
            }
        }
    }
    Ok(read)
}

fn limits(value: &Value) -> Result<Vec<ConcurrencyLimit>, String> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut limits: Vec<ConcurrencyLimit> = Vec::new();
    for item in items {
        let limit = ConcurrencyLimit::deserialize(item)
            .map_err(|error| format!("is {item}, not {{\"key\": ..., \"limit\": ...}}: {error}"))?;
        check_limit(&limit, &limits)?;
        limits.push(limit);
    }
    Ok(limits)
}
