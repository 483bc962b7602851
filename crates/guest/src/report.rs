//! A task's own words on how it went.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp};
use serde_json::{Map, Value};

use crate::api::TaskOutcome;

/// What the task has said about itself so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The first one stands: what callbacks do afterwards cannot change it.
    pub(crate) outcome: Option<TaskOutcome>,
    pub(crate) skipped_downstream: Vec<(String, i32)>,
    pub(crate) rendered_map_index: Option<String>,
}

impl Report {
    /// Takes in a report. False when `kind` is no report but a question.
    pub(crate) fn take(&mut self, kind: &str, body: &Map<String, Value>) -> Result<bool, String> {
        let outcome = match kind {
            "SucceedTask" => TaskOutcome::Success {
                task_outlets: get(body, "task_outlets").clone(),
                outlet_events: get(body, "outlet_events").clone(),
            },
            "TaskState" => match text(body, "state")? {
                "failed" => TaskOutcome::Failed { retry: false, retry_delay: None, message: None },
                "skipped" => TaskOutcome::Skipped,
                "removed" => TaskOutcome::Removed,
                other => return Err(format!("unknown task state {other:?}")),
            },
            "RetryTask" => TaskOutcome::Failed {
                retry: true,
                retry_delay: match get(body, "retry_delay_seconds") {
                    Value::Null => None,
                    seconds => Some(
                        seconds
                            .as_f64()
                            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                            .ok_or_else(|| format!("retry_delay_seconds is {seconds}"))?,
                    ),
                },
                message: optional_text(body, "retry_reason").map(str::to_owned),
            },
            "RescheduleTask" => TaskOutcome::UpForReschedule { at: instant(body, "reschedule_date")? },
            "DeferTask" => TaskOutcome::Deferred {
                trigger_class: text(body, "classpath")?.to_owned(),
                kwargs: get(body, "trigger_kwargs").clone(),
                timeout: optional_duration(body, "trigger_timeout")?,
                queue: optional_text(body, "queue").map(str::to_owned),
                next_method: text(body, "next_method")?.to_owned(),
                next_kwargs: get(body, "next_kwargs").clone(),
            },
            "AwaitInputTask" => TaskOutcome::AwaitingInput {
                timeout: optional_duration(body, "timeout")?,
                next_method: text(body, "next_method")?.to_owned(),
                next_kwargs: get(body, "next_kwargs").clone(),
            },
            "SkipDownstreamTasks" => {
                self.skipped_downstream.extend(skipped(body)?);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        if let Some(label) = optional_text(body, "rendered_map_index") {
            self.rendered_map_index = Some(label.to_owned());
        }
        self.outcome.get_or_insert(outcome);
        Ok(true)
    }
}

fn skipped(body: &Map<String, Value>) -> Result<Vec<(String, i32)>, String> {
    let tasks = get(body, "tasks").as_array().ok_or("SkipDownstreamTasks names no tasks")?;
    tasks
        .iter()
        .map(|task| match task {
            Value::String(task_id) => Some((task_id.clone(), -1)),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(task_id), index] => {
                    Some((task_id.clone(), index.as_i64().and_then(|index| i32::try_from(index).ok())?))
                }
                _ => None,
            },
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(|| "SkipDownstreamTasks names something that is no task".to_owned())
}

pub(crate) fn get<'a>(body: &'a Map<String, Value>, field: &str) -> &'a Value {
    body.get(field).unwrap_or(&Value::Null)
}

pub(crate) fn text<'a>(body: &'a Map<String, Value>, field: &str) -> Result<&'a str, String> {
    optional_text(body, field).ok_or_else(|| format!("{field} is missing or no text"))
}

pub(crate) fn optional_text<'a>(body: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    get(body, field).as_str()
}

pub(crate) fn instant(body: &Map<String, Value>, field: &str) -> Result<Timestamp, String> {
    optional_instant(body, field)?.ok_or_else(|| format!("{field} is missing"))
}

pub(crate) fn optional_instant(body: &Map<String, Value>, field: &str) -> Result<Option<Timestamp>, String> {
    match get(body, field) {
        Value::Null => Ok(None),
        Value::String(at) => at.parse().map(Some).map_err(|error| format!("{field} is no instant: {error}")),
        other => Err(format!("{field} is no instant: {other}")),
    }
}

fn optional_duration(body: &Map<String, Value>, field: &str) -> Result<Option<Duration>, String> {
    match get(body, field) {
        Value::Null => Ok(None),
        Value::String(length) => {
            let span: Span = length.parse().map_err(|error| format!("{field} is no duration: {error}"))?;
            let length = span
                .to_duration(SpanRelativeTo::days_are_24_hours())
                .map_err(|error| format!("{field} is no duration: {error}"))?;
            // A timeout that has passed already times out at once.
            Ok(Some(Duration::try_from(length).unwrap_or_default()))
        }
        Value::Number(seconds) => {
            Ok(Some(Duration::try_from_secs_f64(seconds.as_f64().unwrap_or_default()).unwrap_or_default()))
        }
        other => Err(format!("{field} is no duration: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn take(body: Value) -> Report {
        let Value::Object(mut body) = body else { panic!("not an object") };
        let kind = body.remove("type").unwrap();
        let mut report = Report::default();
        assert!(report.take(kind.as_str().unwrap(), &body).unwrap());
        report
    }

    #[test]
    fn a_deferral_is_taken_apart() {
        let report = take(json!({
            "type": "DeferTask", "classpath": "a.B", "trigger_kwargs": {"x": 1}, "trigger_timeout": "P1DT2.5S",
            "next_method": "resume", "next_kwargs": {},
        }));
        let Some(TaskOutcome::Deferred { timeout, trigger_class, .. }) = report.outcome else { panic!("{report:?}") };
        assert_eq!(trigger_class, "a.B");
        assert_eq!(timeout, Some(Duration::from_millis(86_402_500)));
    }

    #[test]
    fn skips_name_tasks_with_and_without_map_index() {
        let report = take(json!({"type": "SkipDownstreamTasks", "tasks": ["a", ["b", 3]]}));
        assert_eq!(report.skipped_downstream, [("a".to_owned(), -1), ("b".to_owned(), 3)]);
        assert_eq!(report.outcome, None);
    }

    #[test]
    fn the_first_outcome_stands() {
        let mut report = take(json!({"type": "SucceedTask", "end_date": "2026-01-01T00:00:00Z"}));
        let failed = json!({"state": "failed"});
        report.take("TaskState", failed.as_object().unwrap()).unwrap();
        assert!(matches!(report.outcome, Some(TaskOutcome::Success { .. })));
    }
}
