//! The `schedule` of a YAML DAG, with the meaning that the same value has in an Airflow DAG.

use std::time::Duration;

use tradewind_types::{Asset, Delta, RunImmediately, Timetable, did_you_mean};

use super::{
    YamlSettings,
    asset::read_condition,
    decode::{Fault, decode, decode_entries, field_names, unknown_field},
    fields::{Immediately, ScheduleFields},
    node::{Entry, Node, Yaml},
    span::{parse_span, show_span},
};
use crate::airflow::asset::show_condition;

/// The fields of a schedule that is a mapping.
pub(super) fn schedule_field_names() -> Vec<&'static str> {
    let mut names = field_names::<ScheduleFields>().to_vec();
    names.push("assets");
    names
}

/// Airflow's presets (`utils/dates.py`).
const PRESETS: [(&str, &str); 6] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
];

/// A timetable and how to show it.
pub(super) type Schedule = (Timetable, Option<String>);

/// Reads a schedule; `zone` is the DAG's.
pub(super) fn read_schedule(
    node: &Node,
    zone: &str,
    settings: &YamlSettings,
    assets: &mut Vec<Asset>,
) -> Result<Schedule, Fault> {
    let fault = |message: String| Fault::new(node.at, "", message);
    match &node.value {
        Yaml::Null => Ok((Timetable::None, None)),
        Yaml::Text(text) => {
            let timetable = from_text(text, zone, settings).map_err(fault)?;
            let shown = (timetable != Timetable::None).then(|| text.trim().to_owned());
            checked(timetable, shown, node)
        }
        Yaml::List(_) => {
            let crons: Vec<String> = decode(node)?;
            checked(many(crons.clone(), zone, Delta::default(), RunImmediately::Auto), Some(crons.join(", ")), node)
        }
        Yaml::Map(entries) => match node.entry("assets") {
            None => from_fields(node, entries.iter().collect(), zone, settings),
            Some(named) => {
                let rest: Vec<&Entry> = entries.iter().filter(|entry| entry.key != "assets").collect();
                let condition = read_condition(&named.node, assets);
                let condition = condition.map_err(|fault| fault.within(named.node.at, "assets"))?;
                let text = show_condition(&condition);
                if rest.is_empty() {
                    return Ok((Timetable::Assets { condition }, Some(text)));
                }
                let (timetable, inner) = from_fields(node, rest, zone, settings)?;
                let texts: Vec<String> = inner.into_iter().chain([text]).collect();
                let timetable = Timetable::AssetOrTime { timetable: Box::new(timetable), condition };
                Ok((timetable, Some(texts.join(" or "))))
            }
        },
        _ => Err(fault(format!(
            "expects a cron expression, a preset such as @daily or a duration such as 30m, found {}",
            node.described()
        ))),
    }
}

fn checked(timetable: Timetable, shown: Option<String>, node: &Node) -> Result<Schedule, Fault> {
    tradewind_engine::timetable::validate(&timetable).map_err(|message| Fault::new(node.at, "", message))?;
    Ok((timetable, shown))
}

fn from_text(text: &str, zone: &str, settings: &YamlSettings) -> Result<Timetable, String> {
    let text = text.trim();
    if text.starts_with('@') {
        return match text {
            "@once" => Ok(Timetable::Once),
            "@continuous" => Ok(Timetable::Continuous),
            preset => match PRESETS.iter().find(|(name, _)| *name == preset) {
                Some((_, cron)) => Ok(cron_timetable(
                    cron,
                    zone,
                    settings.create_cron_data_intervals,
                    Delta::default(),
                    RunImmediately::Auto,
                )),
                None => {
                    let known = PRESETS.iter().map(|(name, _)| *name).chain(["@once", "@continuous"]);
                    let near = did_you_mean(preset, known);
                    Err(format!("there is no preset \"{preset}\"{near}"))
                }
            },
        };
    }
    match text {
        "" | "none" | "None" | "manual" => Ok(Timetable::None),
        // A cron expression has blanks between its fields, a duration has none of five words.
        text if text.split_whitespace().count() >= 5 => {
            Ok(cron_timetable(text, zone, settings.create_cron_data_intervals, Delta::default(), RunImmediately::Auto))
        }
        text => {
            let every = parse_span(text).map_err(|_| {
                format!(
                    "\"{text}\" is no schedule: write a cron expression of 5 fields (\"0 2 * * *\"), a preset (@daily), \
                     a duration (30m) or @once"
                )
            })?;
            every_timetable(every, settings.create_cron_data_intervals, Delta::default())
        }
    }
}

fn from_fields(node: &Node, entries: Vec<&Entry>, zone: &str, settings: &YamlSettings) -> Result<Schedule, Fault> {
    let known = schedule_field_names();
    if let Some(entry) = entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
        return Err(Fault::new(entry.key_at, "", unknown_field(&entry.key, &known)));
    }
    let fields: ScheduleFields = decode_entries(node.at, entries)?;
    let fault = |key: &str, message: &str| Fault::new(node.place_of(key), key, message);
    let zone = fields.timezone.as_deref().unwrap_or(zone);
    let intervals = fields.data_interval.unwrap_or(settings.create_cron_data_intervals);
    let interval = fields.interval.map_or(Delta::default(), |span| delta(span.0));
    if intervals && fields.interval.is_some() {
        return Err(fault("interval", "does not go with data_interval: the interval is the time between two ticks"));
    }
    let immediately = match fields.run_immediately {
        None | Some(Immediately::Flag(false)) => RunImmediately::Auto,
        Some(Immediately::Flag(true)) => RunImmediately::Yes,
        Some(Immediately::Within(span)) => RunImmediately::Within(delta(span.0).micros),
    };
    let (timetable, shown) = match (&fields.cron, fields.every) {
        (Some(_), Some(_)) => return Err(fault("every", "does not go with cron: give one of them")),
        (None, None) => {
            return Err(Fault::new(node.at, "", "needs \"cron\", \"every\" or \"assets\""));
        }
        (None, Some(every)) => {
            if fields.run_immediately.is_some() {
                return Err(fault("run_immediately", "goes with cron only"));
            }
            let timetable =
                every_timetable(every.0, intervals, interval).map_err(|message| fault("every", &message))?;
            (timetable, format!("every {}", show_span(every.0)))
        }
        (Some(crons), None) => {
            let shown = crons.0.join(", ");
            let timetable = match crons.0.as_slice() {
                [] => return Err(fault("cron", "is an empty list")),
                [cron] => cron_timetable(&preset(cron), zone, intervals, interval, immediately),
                _ if intervals => {
                    return Err(fault("data_interval", "does not go with several cron expressions"));
                }
                _ => many(crons.0.clone(), zone, interval, immediately),
            };
            (timetable, shown)
        }
    };
    checked(timetable, Some(shown), node)
}

fn preset(cron: &str) -> String {
    PRESETS
        .iter()
        .find(|(name, _)| *name == cron.trim())
        .map_or_else(|| cron.trim().to_owned(), |(_, cron)| (*cron).to_owned())
}

fn cron_timetable(
    cron: &str,
    zone: &str,
    intervals: bool,
    interval: Delta,
    run_immediately: RunImmediately,
) -> Timetable {
    let (cron, timezone) = (cron.to_owned(), zone.to_owned());
    if intervals {
        Timetable::CronDataInterval { cron, timezone }
    } else {
        Timetable::CronTrigger { cron, timezone, interval, run_immediately }
    }
}

fn many(crons: Vec<String>, zone: &str, interval: Delta, run_immediately: RunImmediately) -> Timetable {
    Timetable::MultipleCronTrigger {
        crons: crons.iter().map(|cron| preset(cron)).collect(),
        timezone: zone.to_owned(),
        interval,
        run_immediately,
    }
}

fn every_timetable(every: Duration, intervals: bool, interval: Delta) -> Result<Timetable, String> {
    if every.is_zero() {
        return Err("a schedule needs time between its runs; for one run after the other write @continuous".to_owned());
    }
    let delta = delta(every);
    Ok(if intervals { Timetable::DeltaDataInterval { delta } } else { Timetable::DeltaTrigger { delta, interval } })
}

fn delta(span: Duration) -> Delta {
    // Durations here are below 100 years.
    Delta::calendar(0, i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}
