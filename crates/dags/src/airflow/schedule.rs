//! Timetables by their class (`BUILTIN_TIMETABLES` of `airflow/serialization/encoders.py`).

use serde_json::{Map, Value};
use tradewind_types::{Delta, Replace, RunImmediately, Timestamp, Timetable};

use super::{
    asset::{read_condition, show_condition},
    value::Fields,
};
use crate::bundle::canonical_json;

type Schedule = (Timetable, Option<String>);

/// Reads `{"__type": CLASS, "__var": {…}}`. What the engine does not know itself becomes [`Timetable::Custom`].
pub(super) fn read_timetable(timetable: &Value) -> Result<Schedule, String> {
    let class = timetable.get("__type").and_then(Value::as_str);
    let empty = Map::new();
    let data = timetable.get("__var").and_then(Value::as_object).unwrap_or(&empty);
    let class = class.ok_or_else(|| format!("the timetable {timetable} has no class"))?;
    let known = match class.strip_prefix("airflow.timetables.") {
        Some("simple.NullTimetable" | "simple.PartitionedAtRuntime") => Some((Timetable::None, None)),
        Some("simple.AssetTriggeredTimetable") => Some(assets(data)?),
        Some("assets.AssetOrTimeSchedule") => Some(asset_or_time(data)?),
        Some("simple.OnceTimetable") => Some((Timetable::Once, Some("@once".to_owned()))),
        Some("simple.ContinuousTimetable") => Some((Timetable::Continuous, Some("@continuous".to_owned()))),
        Some("trigger.CronTriggerTimetable") => cron_trigger(data)?,
        Some("trigger.MultipleCronTriggerTimetable") => multiple_cron_trigger(data)?,
        Some("interval.CronDataIntervalTimetable") => cron_data_interval(data)?,
        Some("trigger.DeltaTriggerTimetable") => delta_trigger(data),
        Some("interval.DeltaDataIntervalTimetable") => delta_data_interval(data),
        Some("events.EventsTimetable") => Some(events(data)?),
        _ => None,
    };
    Ok(known.unwrap_or_else(|| custom(class, data, timetable)))
}

/// A timetable that a guest has to be asked about. The parser tells whether a class of the user's own is periodic; all of
/// Airflow's own that come here are.
fn custom(class: &str, data: &Map<String, Value>, serialized: &Value) -> Schedule {
    let short = class.rsplit('.').next().unwrap_or(class).to_owned();
    let data = canonical_json(&Value::Object(data.clone()));
    let periodic = serialized.get("periodic").and_then(Value::as_bool).unwrap_or(true);
    (Timetable::Custom { class: class.to_owned(), data, periodic }, Some(short))
}

fn assets(data: &Map<String, Value>) -> Result<Schedule, String> {
    let condition = read_condition(data.get("asset_condition").ok_or("the asset schedule has no condition")?)?;
    let text = show_condition(&condition);
    Ok((Timetable::Assets { condition }, Some(text)))
}

fn asset_or_time(data: &Map<String, Value>) -> Result<Schedule, String> {
    let (Timetable::Assets { condition }, text) = assets(data)? else {
        return Err("the asset schedule has no condition".to_owned());
    };
    let inner = data.get("timetable").ok_or("the asset schedule has no timetable beside its assets")?;
    let (timetable, inner) = read_timetable(inner)?;
    let texts: Vec<String> = inner.into_iter().chain(text).collect();
    Ok((Timetable::AssetOrTime { timetable: Box::new(timetable), condition }, Some(texts.join(" or "))))
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

/// A zone's name, or its fixed offset in seconds: an IANA zone for whole hours (`Etc/GMT-1` is UTC+1), else `+05:30`.
pub(super) fn read_zone(zone: &Value) -> Option<String> {
    let seconds = match zone {
        Value::String(name) => return Some(name.clone()),
        zone => zone.as_i64()?,
    };
    let hours = seconds / 3600;
    match hours {
        0 if seconds == 0 => Some("UTC".to_owned()),
        -12..=14 if seconds % 3600 == 0 => Some(format!("Etc/GMT{:+}", -hours)),
        -25..=25 => {
            let (sign, size) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
            let rest = if size % 60 == 0 { String::new() } else { format!(":{:02}", size % 60) };
            Some(format!("{sign}{:02}:{:02}{rest}", size / 3600, size % 3600 / 60))
        }
        _ => None,
    }
}

fn events(data: &Map<String, Value>) -> Result<Schedule, String> {
    let texts = Fields::new(data).texts("event_dates")?;
    let dates = texts.iter().map(|text| {
        text.parse::<Timestamp>()
            .map_err(|_| format!("the event date \"{text}\" is no date with a time and a time zone"))
    });
    let dates = dates.collect::<Result<Vec<_>, _>>()?;
    let summary = ["_summary", "description"].iter().find_map(|name| data.get(*name).and_then(Value::as_str));
    let text = summary.map_or_else(|| format!("{} events", dates.len()), str::to_owned);
    let restrict_to_events = data.get("restrict_to_events").and_then(Value::as_bool).unwrap_or_default();
    Ok((Timetable::Events { dates, restrict_to_events }, Some(text)))
}

/// Seconds (a timedelta), or the fields of a relativedelta: the plural ones are added, the singular ones replace.
fn read_delta(value: &Value) -> Option<Delta> {
    let fields = match value {
        Value::Object(fields) => fields,
        seconds => return Some(Delta::calendar(0, micros(seconds.as_f64()?)?)),
    };
    let mut delta = Delta::default();
    let replace = &mut delta.replace;
    for (name, value) in fields {
        let factor = match name.as_str() {
            "years" | "months" => {
                let months = whole::<i32>(value)?.checked_mul(if name == "years" { 12 } else { 1 })?;
                delta.months = delta.months.checked_add(months)?;
                continue;
            }
            "days" => 86_400_000_000,
            "hours" => 3_600_000_000,
            "minutes" => 60_000_000,
            "seconds" => 1_000_000,
            "microseconds" => 1,
            name => {
                read_replace(replace, name, value)?;
                continue;
            }
        };
        delta.micros = delta.micros.checked_add(times(value, factor)?)?;
    }
    Some(delta)
}

fn read_replace(replace: &mut Replace, name: &str, value: &Value) -> Option<()> {
    match name {
        "year" => replace.year = Some(whole(value)?),
        "month" => replace.month = Some(whole(value)?),
        "day" => replace.day = Some(whole(value)?),
        "hour" => replace.hour = Some(whole(value)?),
        "minute" => replace.minute = Some(whole(value)?),
        "second" => replace.second = Some(whole(value)?),
        "microsecond" => replace.microsecond = Some(whole(value)?),
        "leapdays" => replace.leapdays = whole(value)?,
        // The weekday, and which one if it is not the next.
        "weekday" => {
            let parts = value.as_array()?;
            let nth = parts.get(1).map_or(Some(1), whole)?;
            replace.weekday = Some((whole(parts.first()?)?, if nth == 0 { 1 } else { nth }));
        }
        _ => return None,
    }
    Some(())
}

/// A whole number, which Python may have written as `1.0`.
fn whole<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    let number =
        value.as_i64().or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64));
    T::try_from(number?).ok()
}

/// A number of units in microseconds; a relativedelta may have half hours.
fn times(value: &Value, factor: i64) -> Option<i64> {
    match value.as_i64() {
        Some(number) => number.checked_mul(factor),
        None => {
            let product = (value.as_f64()? * factor as f64).round_ties_even();
            (product.abs() < 9e18).then_some(product as i64)
        }
    }
}

fn micros(seconds: f64) -> Option<i64> {
    let micros = (seconds * 1e6).round();
    (micros.abs() < 9e18).then_some(micros as i64)
}

/// `1 day, 2:00:00`, as Python shows a timedelta, with months before it, and behind it what is set: `day=1, weekday=FR(-1)`.
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
    let set = show_replace(&delta.replace);
    if rest != 0 || (parts.is_empty() && set.is_empty()) || (delta.months == 0 && set.is_empty()) {
        parts.push(format!("{}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60));
    }
    parts.extend(set);
    parts.join(", ")
}

fn show_replace(replace: &Replace) -> Vec<String> {
    let fields = [
        ("year", replace.year.map(i32::from)),
        ("month", replace.month.map(i32::from)),
        ("day", replace.day.map(i32::from)),
        ("hour", replace.hour.map(i32::from)),
        ("minute", replace.minute.map(i32::from)),
        ("second", replace.second.map(i32::from)),
        ("microsecond", replace.microsecond),
        ("leapdays", Some(replace.leapdays).filter(|&days| days != 0)),
    ];
    let mut shown: Vec<String> =
        fields.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))).collect();
    if let Some((weekday, nth)) = replace.weekday {
        let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let name = usize::try_from(weekday).ok().and_then(|day| names.get(day)).copied().unwrap_or("?");
        shown.push(format!("weekday={name}({nth:+})"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use tradewind_engine::timetable::Schedule;

    use super::*;

    const SERIALIZED: &str = include_str!("../../../../tests/vectors/serialized.jsonl");

    fn instant(value: &Value) -> Timestamp {
        Timestamp::from_microsecond((value.as_f64().unwrap() * 1e6).round() as i64).unwrap()
    }

    /// Timetables as Airflow serializes them, and what Airflow's classes answer after it read them back
    /// (`tests/vectors/timetables.py`).
    #[test]
    fn serialized_timetables_answer_as_airflows() {
        let (mut links, mut set, mut events) = (0, 0, 0);
        for line in SERIALIZED.lines().skip(1) {
            let line: Value = serde_json::from_str(line).unwrap();
            let (timetable, text) = read_timetable(&line["serialized"]).unwrap();
            assert!(
                text.is_some() && !matches!(timetable, Timetable::Other { .. } | Timetable::Custom { .. }),
                "{line}"
            );
            set += usize::from(matches!(timetable, Timetable::DeltaTrigger { delta, .. }
                | Timetable::DeltaDataInterval { delta } if delta.replace != Replace::default()));
            events += usize::from(matches!(timetable, Timetable::Events { .. }));
            let schedule = Schedule::compile(&timetable).unwrap();
            let case = &line["run"];
            let maybe = |value: &Value| (!value.is_null()).then(|| instant(value));
            let last = maybe(&case[3][0]).map(|start| (start, instant(&case[3][1])));
            let expected: Vec<(Timestamp, Timestamp)> = case[5]
                .as_array()
                .unwrap()
                .iter()
                .filter(|link| !link.is_null())
                .map(|link| {
                    if link.is_array() {
                        (instant(&link[0]), instant(&link[1]))
                    } else {
                        (instant(link), instant(link))
                    }
                })
                .collect();
            let found: Vec<(Timestamp, Timestamp)> = schedule
                .upcoming(last, instant(&case[4]), case[0] == 1, maybe(&case[1]), maybe(&case[2]))
                .map(|run| (run.interval_start, run.interval_end))
                .take(expected.len())
                .collect();
            assert_eq!(found, expected, "{line}");
            links += found.len();
        }
        assert!(links > 500 && set > 8 && events > 10, "{links} {set} {events}");
    }

    #[test]
    fn deltas_are_shown_as_python_shows_them() {
        let shown = |value: Value| show(read_delta(&value).unwrap());
        assert_eq!(shown(serde_json::json!(93_600)), "1 day, 2:00:00");
        assert_eq!(shown(serde_json::json!({"months": 1, "days": -3})), "1 month, -3 days");
        let last_friday = serde_json::json!({"months": 1, "day": 31, "weekday": [4, -1]});
        assert_eq!(shown(last_friday), "1 month, day=31, weekday=FR(-1)");
        assert_eq!(
            read_delta(&serde_json::json!({"days": 1.5, "years": 1.0})).unwrap(),
            Delta::calendar(12, 129_600_000_000)
        );
        assert_eq!(read_delta(&serde_json::json!({"fortnights": 1})), None);
    }

    #[test]
    fn fixed_offsets_are_zones_of_the_engine() {
        for (seconds, name) in
            [(0, "UTC"), (3600, "Etc/GMT-1"), (19_800, "+05:30"), (-12_600, "-03:30"), (52_200, "+14:30")]
        {
            assert_eq!(read_zone(&Value::from(seconds)).as_deref(), Some(name));
            assert_eq!(tradewind_engine::timetable::validate_zone(name), Ok(()));
        }
        assert_eq!(read_zone(&Value::from(100_000)), None);
    }
}
