//! What Airflow's own timetable classes and croniter answer (`tests/vectors/timetables.py`), compared with the engine.

use serde_json::Value;
use tradewind_engine::timetable::{Cron, DagRunInfo, Schedule};
use tradewind_types::{Timestamp, Timetable};

const TIMETABLES: &str = include_str!("../../../../tests/vectors/timetables.jsonl");
const CRONS: &str = include_str!("../../../../tests/vectors/crons.jsonl");

/// Seconds of the epoch, with up to six decimals.
fn instant(value: &Value) -> Timestamp {
    let micros = match value.as_i64() {
        Some(seconds) => seconds * 1_000_000,
        None => (value.as_f64().unwrap_or_else(|| panic!("{value} is no instant")) * 1e6).round() as i64,
    };
    Timestamp::from_microsecond(micros).unwrap()
}

fn maybe(value: &Value) -> Option<Timestamp> {
    (!value.is_null()).then(|| instant(value))
}

fn pair(value: &Value) -> (Timestamp, Timestamp) {
    (instant(&value[0]), instant(&value[1]))
}

struct Bounds {
    catchup: bool,
    earliest: Option<Timestamp>,
    latest: Option<Timestamp>,
    last: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
}

fn bounds(case: &Value) -> Bounds {
    let last = (!case[3].is_null()).then(|| pair(&case[3]));
    let (earliest, latest) = (maybe(&case[1]), maybe(&case[2]));
    Bounds { catchup: case[0] == 1, earliest, latest, last, now: instant(&case[4]) }
}

/// The first link of a chain that differs, in words.
fn check_chain(schedule: &Schedule, partitioned: bool, years: bool, case: &Value) -> Option<String> {
    let Bounds { catchup, earliest, latest, mut last, mut now } = bounds(case);
    for (number, link) in case[5].as_array().unwrap().iter().enumerate() {
        let found = schedule.next_run(last, now, catchup, earliest, latest);
        match link.as_str() {
            // No tick to be found behind or ahead: Airflow's class raises, even where the other direction or another
            // expression has one.
            Some("!CroniterBadDateError") if found.is_some() && years => return None,
            // On nights on which the clocks change it raises because ticks are out of order. Here the schedule goes on.
            Some("!AssertionError" | "!ValueError") => {
                let ahead = |run: DagRunInfo| last.is_none_or(|(start, _)| run.interval_start > start);
                // What follows may lie behind the end date.
                let goes_on = found.map_or(latest.is_some(), ahead);
                return (!goes_on && !years).then(|| format!("link {number}: stops where Airflow raises, {found:?}"));
            }
            _ => {}
        }
        // Where a class of Airflow raises, no run is created here either.
        let expected = match link {
            Value::Null | Value::String(_) => None,
            Value::Array(_) if partitioned => Some((instant(&link[0]), instant(&link[0]))),
            Value::Array(_) => Some(pair(link)),
            at => Some((instant(at), instant(at))),
        };
        let shown = found.map(|run| (run.interval_start, run.interval_end));
        if shown != expected {
            return Some(format!("link {number}: Airflow {expected:?}, here {shown:?}"));
        }
        let Some(DagRunInfo { logical_date, interval_start, interval_end, run_after }) = found else { continue };
        assert_eq!((logical_date, run_after), (interval_start, interval_end));
        if partitioned {
            let key = schedule.partition(run_after).map(|partition| partition.key);
            if key.as_deref() != link[1].as_str() {
                return Some(format!("link {number}: Airflow's key {}, here {key:?}", link[1]));
            }
        }
        last = Some((interval_start, interval_end));
        now = now.max(run_after);
    }
    None
}

fn has_year(timetable: &Timetable) -> bool {
    let seven = |cron: &String| cron.split_whitespace().count() == 7;
    match timetable {
        Timetable::CronTrigger { cron, .. } | Timetable::CronDataInterval { cron, .. } => seven(cron),
        Timetable::CronPartition { cron, .. } => seven(cron),
        Timetable::MultipleCronTrigger { crons, .. } => crons.iter().any(seven),
        _ => false,
    }
}

#[test]
fn timetables_answer_as_airflows() {
    let (mut cases, mut ended, mut raised) = (0, 0, 0);
    let mut wrong = Vec::new();
    for line in TIMETABLES.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let timetable: Timetable = serde_json::from_value(line["t"].clone()).unwrap();
        let schedule = match Schedule::compile(&timetable) {
            Ok(schedule) => schedule,
            Err(problem) => {
                // An expression that croniter takes and that never comes: Airflow finds out when it schedules.
                let fails = |case: &Value| case[5][0] == "!CroniterBadDateError" || case[5][0].is_null();
                let never = line["runs"].as_array().unwrap().iter().all(fails) && problem.contains("never comes");
                if !never {
                    wrong.push(format!("{}: {problem}", line["t"]));
                }
                continue;
            }
        };
        for case in line["runs"].as_array().unwrap() {
            cases += 1;
            ended += usize::from(case[5].as_array().unwrap().last() == Some(&Value::Null));
            raised += usize::from(case[5].as_array().unwrap().last().is_some_and(Value::is_string));
            if let Some(difference) = check_chain(&schedule, timetable.is_partitioned(), has_year(&timetable), case) {
                wrong.push(format!("{} {case}: {difference}", line["t"]));
            }
        }
        for case in line["manual"].as_array().unwrap() {
            cases += 1;
            let found = schedule.manual_interval(instant(&case[0]));
            if found != (instant(&case[1]), instant(&case[2])) {
                wrong.push(format!("{} by hand {case}: {found:?}", line["t"]));
            }
        }
    }
    println!("{cases} cases, {ended} chains end, {raised} end with an exception, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong[..wrong.len().min(25)].join("\n"));
    assert!(cases >= 20_000, "only {cases} cases");
}

#[test]
fn upcoming_lists_the_runs_of_the_vectors() {
    let mut chains = 0;
    for line in TIMETABLES.lines().skip(1).step_by(7) {
        let line: Value = serde_json::from_str(line).unwrap();
        let timetable: Timetable = serde_json::from_value(line["t"].clone()).unwrap();
        if timetable == Timetable::Continuous {
            continue;
        }
        let Ok(schedule) = Schedule::compile(&timetable) else { continue };
        for case in line["runs"].as_array().unwrap() {
            let Bounds { catchup, earliest, latest, last, now } = bounds(case);
            let links = case[5].as_array().unwrap();
            if links.last().is_some_and(Value::is_string) {
                continue;
            }
            let due: Vec<Timestamp> = links
                .iter()
                .filter_map(|link| match link {
                    Value::Null | Value::String(_) => None,
                    Value::Array(_) if timetable.is_partitioned() => Some(instant(&link[0])),
                    Value::Array(_) => Some(instant(&link[1])),
                    at => Some(instant(at)),
                })
                .collect();
            let upcoming = schedule.upcoming(last, now, catchup, earliest, latest);
            let found: Vec<Timestamp> = upcoming.map(|run| run.run_after).take(links.len()).collect();
            assert_eq!(found, due, "{} {case}", line["t"]);
            chains += 1;
        }
    }
    assert!(chains > 2_000, "only {chains}");
}

#[test]
fn cron_expressions_are_read_as_croniters() {
    let mut wrong = Vec::new();
    let (mut right, mut refused) = (0, 0);
    for line in CRONS.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = line[0].as_str().unwrap();
        let cron = Cron::parse(text, "UTC");
        let Some(found) = line[1].as_array() else {
            refused += 1;
            if cron.is_ok() {
                wrong.push(format!("{text:?} is refused by croniter"));
            }
            continue;
        };
        right += 1;
        let cron = match cron {
            Ok(cron) => cron,
            Err(problem) => {
                // We say so when the DAG is read, Airflow when it schedules.
                if found[1..].iter().any(|tick| !tick.is_null()) || !problem.contains("never comes") {
                    wrong.push(format!("{text:?}: {problem}"));
                }
                continue;
            }
        };
        let mut from = instant(&found[0]);
        let before = cron.before(from);
        if before != maybe(&found[4]) {
            wrong.push(format!("{text:?} before {from}: croniter {:?}, here {before:?}", maybe(&found[4])));
        }
        for tick in &found[1..4] {
            let after = cron.after(from);
            if after != maybe(tick) {
                wrong.push(format!("{text:?} after {from}: croniter {:?}, here {after:?}", maybe(tick)));
            }
            let Some(after) = after else { break };
            from = after;
        }
    }
    println!("{right} expressions, {refused} refused");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(right > 1_500 && refused > 500, "{right} {refused}");
}
