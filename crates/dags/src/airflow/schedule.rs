//! Timetables by their class (`BUILTIN_TIMETABLES` of `airflow/serialization/encoders.py`).

use serde_json::{Map, Value};
use tradewind_types::{Delta, RunImmediately, Timetable};

use super::value::Fields;
use crate::bundle::canonical_json;

type Schedule = (Timetable, Option<String>);

/// Reads `{"__type": CLASS, "__var": {…}}`. What this version does not schedule becomes [`Timetable::Other`].
pub(super) fn read_timetable(timetable: &Value) -> Result<Schedule, String> {
    let class = timetable.get("__type").and_then(Value::as_str);
    let empty = Map::new();
    let data = timetable.get("__var").and_then(Value::as_object).unwrap_or(&empty);
    let class = class.ok_or_else(|| format!("the timetable {timetable} has no class"))?;
    let known = match class.strip_prefix("airflow.timetables.") {
        Some("simple.NullTimetable") => Some((Timetable::None, None)),
        Some("simple.OnceTimetable") => Some((Timetable::Once, Some("@once".to_owned()))),
        Some("simple.ContinuousTimetable") => Some((Timetable::Continuous, Some("@continuous".to_owned()))),
        Some("trigger.CronTriggerTimetable") => cron_trigger(data)?,
        Some("trigger.MultipleCronTriggerTimetable") => multiple_cron_trigger(data)?,
        Some("interval.CronDataIntervalTimetable") => cron_data_interval(data)?,
        Some("trigger.DeltaTriggerTimetable") => delta_trigger(data),
        Some("interval.DeltaDataIntervalTimetable") => delta_data_interval(data),
        _ => None,
    };
    Ok(known.unwrap_or_else(|| {
        let short = class.rsplit('.').next().unwrap_or(class).to_owned();
        let other = Timetable::Other { class: class.to_owned(), data: canonical_json(&Value::Object(data.clone())) };
        (other, Some(short))
    }))
}

fn cron_trigger(data: &Map<String, Value>) -> Result<Option<Schedule>, String> {
    let cron = expression(data)?;
    Ok(common(data).map(|(timezone, interval, run_immediately)| {
        let timetable = Timetable::CronTrigger { cron: cron.clone(), timezone, interval, run_immediately };
        (timetable, Some(cron))
    }))
}

fn multiple_cron_trigger(data: &Map<String, Value>) -> Result<Option<Schedule>, String> {
    let crons = Fields::new(data).texts("expressions")?;
    if crons.is_empty() {
        return Err("the timetable has no cron expressions".to_owned());
    }
    Ok(common(data).map(|(timezone, interval, run_immediately)| {
        let text = crons.join(", ");
        let timetable = Timetable::MultipleCronTrigger { crons, timezone, interval, run_immediately };
        (timetable, Some(text))
    }))
}

fn cron_data_interval(data: &Map<String, Value>) -> Result<Option<Schedule>, String> {
    let cron = expression(data)?;
    Ok(zone_of(data).map(|timezone| {
        let timetable = Timetable::CronDataInterval { cron: cron.clone(), timezone };
        (timetable, Some(cron))
    }))
}

fn delta_trigger(data: &Map<String, Value>) -> Option<Schedule> {
    let delta = read_delta(data.get("delta")?)?;
    let interval = data.get("interval").map_or(Some(Delta::default()), read_delta)?;
    Some((Timetable::DeltaTrigger { delta, interval }, Some(show(delta))))
}

fn delta_data_interval(data: &Map<String, Value>) -> Option<Schedule> {
    let delta = read_delta(data.get("delta")?)?;
    Some((Timetable::DeltaDataInterval { delta }, Some(show(delta))))
}

fn expression(data: &Map<String, Value>) -> Result<String, String> {
    Fields::new(data).text("expression")?.ok_or_else(|| "the timetable has no cron expression".to_owned())
}

fn common(data: &Map<String, Value>) -> Option<(String, Delta, RunImmediately)> {
    let interval = data.get("interval").map_or(Some(Delta::default()), read_delta)?;
    let run_immediately = match data.get("run_immediately") {
        None | Some(Value::Null | Value::Bool(false)) => RunImmediately::Auto,
        Some(Value::Bool(true)) => RunImmediately::Yes,
        Some(seconds) => RunImmediately::Within(micros(seconds.as_f64()?)?),
    };
    Some((zone_of(data)?, interval, run_immediately))
}

fn zone_of(data: &Map<String, Value>) -> Option<String> {
    data.get("timezone").map_or(Some("UTC".to_owned()), read_zone)
}

/// A zone's name, or its fixed offset in seconds, which is an IANA zone only for whole hours (`Etc/GMT-1` is UTC+1).
pub(super) fn read_zone(zone: &Value) -> Option<String> {
    match zone {
        Value::String(name) => Some(name.clone()),
        zone => {
            let seconds = zone.as_i64()?;
            let hours = seconds / 3600;
            match hours {
                0 if seconds == 0 => Some("UTC".to_owned()),
                -12..=14 if seconds % 3600 == 0 => Some(format!("Etc/GMT{:+}", -hours)),
                _ => None,
            }
        }
    }
}

/// Seconds (a timedelta), or the fields of a relativedelta; none when it sets fields instead of adding to them.
fn read_delta(value: &Value) -> Option<Delta> {
    let fields = match value {
        Value::Object(fields) => fields,
        seconds => {
            return Some(Delta { months: 0, micros: micros(seconds.as_f64()?)? });
        }
    };
    let mut delta = Delta::default();
    for (name, value) in fields {
        let amount = value.as_i64()?;
        let factor = match name.as_str() {
            "years" | "months" => {
                let months = amount.checked_mul(if name == "years" { 12 } else { 1 })?;
                delta.months = delta.months.checked_add(i32::try_from(months).ok()?)?;
                continue;
            }
            "days" => 86_400_000_000,
            "hours" => 3_600_000_000,
            "minutes" => 60_000_000,
            "seconds" => 1_000_000,
            "microseconds" => 1,
            // weekday, leapdays and the singular forms, which replace instead of add.
            _ => return None,
        };
        delta.micros = delta.micros.checked_add(amount.checked_mul(factor)?)?;
    }
    Some(delta)
}

fn micros(seconds: f64) -> Option<i64> {
    let micros = (seconds * 1e6).round();
    (micros.abs() < 9e18).then_some(micros as i64)
}

/// `1 day, 2:00:00`, as Python shows a timedelta, with months before it.
fn show(delta: Delta) -> String {
    let mut parts = Vec::new();
    let plural = |count: i64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    if delta.months != 0 {
        parts.push(plural(i64::from(delta.months), "month"));
    }
    let total = delta.micros / 1_000_000;
    let (days, rest) = (total.div_euclid(86_400), total.rem_euclid(86_400));
    if days != 0 {
        parts.push(plural(days, "day"));
    }
    if rest != 0 || parts.is_empty() || delta.months == 0 {
        parts.push(format!("{}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60));
    }
    parts.join(", ")
}
