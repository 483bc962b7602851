//! What a task hands itself over to, in the engine's words, and how it comes back.

use std::time::Duration;

use serde_json::{Map, Value};
use tradewind_types::{AttemptOutcome, Deferral, Resume, TaskState, Timestamp, Trigger};

/// The trigger that waits for a moment. Airflow's `TimeDeltaTrigger` serializes itself as this one, too.
const DATE_TIME_TRIGGER: &str = "airflow.providers.standard.triggers.temporal.DateTimeTrigger";
/// The classes whose serialized form is a timestamp with a zone.
const INSTANTS: [&str; 2] = ["pendulum.datetime.DateTime", "datetime.datetime"];

/// The method by which the SDK knows that the wait failed.
const FAIL: &str = "__fail__";

/// The outcome of an attempt that defers itself.
pub(crate) fn deferred(
    class: String,
    kwargs: Value,
    timeout: Option<Duration>,
    next_method: String,
    next_kwargs: Value,
) -> AttemptOutcome {
    let trigger = moment(&class, &kwargs).unwrap_or(Trigger::Hosted { class, kwargs });
    AttemptOutcome::Deferred { trigger, timeout, next_method, next_kwargs }
}

/// A trigger that only waits for a moment needs no host: the engine has a timer.
fn moment(class: &str, kwargs: &Value) -> Option<Trigger> {
    if class != DATE_TIME_TRIGGER {
        return None;
    }
    let moment = kwargs.get("moment").filter(|moment| !moment.is_null())?;
    let ends = kwargs.get("end_from_trigger").and_then(Value::as_bool)?;
    // The trigger yields the moment that it was made with, so that its event is its argument.
    Some(Trigger::At { at: instant(moment)?, event: moment.clone(), end: ends.then_some(TaskState::Success) })
}

/// The SDK's form of an instant: seconds since the epoch, exact to the microsecond.
fn instant(value: &Value) -> Option<Timestamp> {
    let class = value.get("__classname__")?.as_str()?;
    if !INSTANTS.contains(&class) {
        return None;
    }
    let seconds = value.get("__data__")?.get("timestamp")?;
    if let Some(whole) = seconds.as_i64() {
        return Timestamp::from_second(whole).ok();
    }
    let micros = (seconds.as_f64()? * 1e6).round();
    // Exact up to 2^53 microseconds, which is the year 2255; Python's own timestamps are not better.
    #[expect(clippy::cast_possible_truncation, reason = "checked before")]
    (micros.abs() < 9e15).then(|| Timestamp::from_microsecond(micros as i64).ok())?
}

/// The method and arguments by which a task resumes; none for one that starts from the beginning.
pub(crate) fn resumption(deferral: &Deferral) -> Option<(String, Value)> {
    Some(match deferral.resume.as_ref()? {
        Resume::Event { event } => {
            let mut kwargs = arguments(&deferral.next_kwargs);
            kwargs.insert("event".to_owned(), event.clone());
            (deferral.next_method.clone(), Value::Object(kwargs))
        }
        Resume::Failed { error, traceback } => {
            let traceback = if traceback.is_empty() { Value::Null } else { traceback.clone().into() };
            (FAIL.to_owned(), serde_json::json!({"error": error, "traceback": traceback}))
        }
    })
}

/// The arguments as a plain object. Those that stand in a DAG file's serialization are wrapped once.
fn arguments(kwargs: &Value) -> Map<String, Value> {
    let inner = match kwargs.get("__type").and_then(Value::as_str) {
        Some("dict") => kwargs.get("__var"),
        _ => Some(kwargs),
    };
    inner.and_then(Value::as_object).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn date(timestamp: &Value) -> Value {
        json!({
            "__classname__": "pendulum.datetime.DateTime", "__version__": 2,
            "__data__": {"timestamp": timestamp, "tz": {"__classname__": "builtins.tuple", "__version__": 1,
                "__data__": ["UTC", "pendulum.tz.timezone.Timezone", 1, true]}},
        })
    }

    fn trigger(class: &str, kwargs: Value) -> Trigger {
        match deferred(class.to_owned(), kwargs, None, "m".to_owned(), Value::Null) {
            AttemptOutcome::Deferred { trigger, .. } => trigger,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_moment_is_exact_to_the_microsecond() {
        for (timestamp, expected) in [
            (json!(1_767_323_045.123_456), "2026-01-02T03:04:05.123456Z"),
            (json!(1_767_323_045.000_001), "2026-01-02T03:04:05.000001Z"),
            (json!(1_767_323_045.999_999), "2026-01-02T03:04:05.999999Z"),
            (json!(4_102_444_799.999_999), "2099-12-31T23:59:59.999999Z"),
            (json!(-0.5), "1969-12-31T23:59:59.5Z"),
            (json!(60), "1970-01-01T00:01:00Z"),
        ] {
            let moment = date(&timestamp);
            let at = trigger(DATE_TIME_TRIGGER, json!({"moment": moment, "end_from_trigger": false}));
            assert_eq!(at, Trigger::At { at: expected.parse().unwrap(), event: moment, end: None });
        }
    }

    #[test]
    fn it_can_end_its_task() {
        let moment = date(&json!(1.5));
        let at = trigger(DATE_TIME_TRIGGER, json!({"moment": moment, "end_from_trigger": true}));
        assert!(matches!(at, Trigger::At { end: Some(TaskState::Success), .. }));
    }

    #[test]
    fn everything_else_is_hosted() {
        let moment = date(&json!(1.5));
        for (class, kwargs) in [
            ("own.DateTimeTrigger", json!({"moment": moment, "end_from_trigger": false})),
            (DATE_TIME_TRIGGER, json!({"target_time": "{{ ds }}", "end_from_trigger": false})),
            (DATE_TIME_TRIGGER, json!({"moment": "2026-01-01", "end_from_trigger": false})),
            (DATE_TIME_TRIGGER, json!({"moment": moment})),
            (DATE_TIME_TRIGGER, Value::Null),
        ] {
            assert!(matches!(trigger(class, kwargs), Trigger::Hosted { .. }), "{class}");
        }
    }

    fn deferral(next_kwargs: Value, resume: Option<Resume>) -> Deferral {
        let trigger = Trigger::Input;
        Deferral { trigger, timeout_at: None, next_method: "go_on".to_owned(), next_kwargs, resume }
    }

    #[test]
    fn an_event_joins_the_arguments() {
        let resume = Some(Resume::Event { event: json!([1]) });
        let went_on = |kwargs: Value, expected: Value| {
            assert_eq!(resumption(&deferral(kwargs, resume.clone())), Some(("go_on".to_owned(), expected)));
        };
        went_on(json!({"a": 1}), json!({"a": 1, "event": [1]}));
        went_on(Value::Null, json!({"event": [1]}));
        went_on(json!({"__type": "dict", "__var": {"a": 1}}), json!({"a": 1, "event": [1]}));
        assert_eq!(resumption(&deferral(Value::Null, None)), None);
    }

    #[test]
    fn a_failed_wait_is_told_to_the_sdk_in_its_way() {
        let failed = |traceback: Vec<String>| {
            let resume = Resume::Failed { error: "Trigger failure".to_owned(), traceback };
            resumption(&deferral(json!({"a": 1}), Some(resume))).unwrap()
        };
        let expected = json!({"error": "Trigger failure", "traceback": ["line"]});
        assert_eq!(failed(vec!["line".to_owned()]), ("__fail__".to_owned(), expected));
        assert_eq!(failed(Vec::new()).1["traceback"], Value::Null);
    }
}
