//! Tasks that start in a trigger (`start_from_trigger`, `_encode_start_trigger_args`).

use std::time::Duration;

use serde_json::{Map, Value, json};
use tradewind_types::{StartTrigger, TaskState, Timestamp, Trigger};

use super::value::{Fields, unwrapped};

const DATE_TIME_TRIGGER: &str = "airflow.providers.standard.triggers.temporal.DateTimeTrigger";

/// Reads the trigger that a task starts in; `Err` says why it starts on a worker instead.
pub(super) fn read_start_trigger(
    fields: &Fields<'_>,
    execution_timeout: Option<Duration>,
) -> Result<Option<StartTrigger>, String> {
    let args = fields.raw("start_trigger_args").and_then(Value::as_object);
    let Some(args) = args.filter(|_| fields.is_filled("start_from_trigger")) else {
        return Ok(None);
    };
    if fields.is_filled("_is_mapped") {
        return Err("a mapped task cannot start in a trigger, in Airflow neither".to_owned());
    }
    let args = Fields::new(args);
    let class = args.text("trigger_cls")?.ok_or("its trigger has no class")?;
    let object = |name: &str| match args.wrapped(name) {
        None => Ok(json!({})),
        Some(value) => as_sdk(value).map_err(|kind| format!("its {name} hold a value of the type {kind}")),
    };
    // Airflow's TaskInstance.defer_task: the earlier of both ends the wait.
    let timeout = [args.duration("timeout")?, execution_timeout].into_iter().flatten().min();
    Ok(Some(StartTrigger {
        trigger: match simple(&class, &args) {
            Some(trigger) => trigger,
            None => Trigger::Hosted { class, kwargs: object("trigger_kwargs")? },
        },
        timeout_micros: timeout.and_then(|timeout| i64::try_from(timeout.as_micros()).ok()),
        next_method: args.text("next_method")?.ok_or("its start_trigger_args have no next_method")?,
        next_kwargs: object("next_kwargs")?,
    }))
}

/// A moment that is known already needs no host.
fn simple(class: &str, args: &Fields<'_>) -> Option<Trigger> {
    let kwargs = args.raw("trigger_kwargs").filter(|_| class == DATE_TIME_TRIGGER)?.as_object()?;
    let moment = |value: &Value| match value.get("__type").and_then(Value::as_str) {
        Some("datetime") => instant(value.get("__var")?),
        // Without an offset, or with a template in it, only Airflow's trigger knows what it means.
        _ => value.as_str()?.parse::<Timestamp>().ok(),
    };
    let known = ["moment", "target_time"].into_iter().find_map(|name| kwargs.get(name))?;
    let at = moment(known)?;
    let others = ["moment", "target_time", "end_from_trigger"];
    if kwargs.keys().any(|name| !others.contains(&name.as_str())) {
        return None;
    }
    let ends = kwargs.get("end_from_trigger").and_then(Value::as_bool).unwrap_or(false);
    Some(Trigger::At {
        at,
        event: date_time(at.as_microsecond() as f64 / 1e6),
        end: ends.then_some(TaskState::Success),
    })
}

fn instant(seconds: &Value) -> Option<Timestamp> {
    Timestamp::from_microsecond((seconds.as_f64()? * 1e6).round() as i64).ok()
}

/// A date in UTC, as `airflow.sdk.serde` writes it.
fn date_time(timestamp: f64) -> Value {
    let zone = classed("builtins.tuple", 1, json!(["UTC", "pendulum.tz.timezone.Timezone", 1, true]));
    classed("pendulum.datetime.DateTime", 2, json!({"timestamp": timestamp, "tz": zone}))
}

fn classed(name: &str, version: u32, data: Value) -> Value {
    json!({"__classname__": name, "__version__": version, "__data__": data})
}

/// From the encoding of the DAG's serializer (`{"__type": …, "__var": …}`) to that of the SDK, in which deferrals and
/// triggers speak; the error is the type that has no counterpart.
fn as_sdk(value: &Value) -> Result<Value, String> {
    let Some(kind) = value.get("__type").and_then(Value::as_str) else {
        return match value {
            Value::Array(items) => items.iter().map(as_sdk).collect(),
            Value::Object(fields) => object(fields),
            value => Ok(value.clone()),
        };
    };
    let inside = unwrapped(value);
    let list = || inside.as_array().ok_or(kind)?.iter().map(as_sdk).collect::<Result<Value, String>>();
    match kind {
        "dict" => object(inside.as_object().ok_or(kind)?),
        "tuple" => Ok(classed("builtins.tuple", 1, list()?)),
        "set" => Ok(classed("builtins.set", 1, list()?)),
        "timedelta" => Ok(classed("datetime.timedelta", 2, json!(inside.as_f64().ok_or(kind)?))),
        "datetime" => Ok(date_time(inside.as_f64().ok_or(kind)?)),
        other => Err(other.to_owned()),
    }
}

fn object(fields: &Map<String, Value>) -> Result<Value, String> {
    fields.iter().map(|(name, value)| Ok((name.clone(), as_sdk(value)?))).collect()
}
