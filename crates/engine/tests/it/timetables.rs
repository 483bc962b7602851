//! Golden vectors of semantics E11, computed with Airflow's own classes.

use jiff::SignedDuration;
use tradewind_engine::timetable::{self, Cron, DagRunInfo, validate_cron, validate_zone};
use tradewind_types::{Delta, RunImmediately, Timestamp, Timetable};

use crate::support::at;

const DAY: i64 = 86_400;

fn ticks(cron: &str, from: &str, count: usize) -> Vec<String> {
    let timetable = Timetable::CronTrigger {
        cron: cron.to_owned(),
        timezone: "America/New_York".to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    };
    let mut last = None;
    (0..count)
        .map(|_| {
            let info = timetable::next_run(&timetable, last, at("2030-01-01T00:00:00Z"), true, Some(at(from)), None)
                .unwrap()
                .unwrap();
            last = Some((info.interval_start, info.interval_end));
            info.run_after.strftime("%m-%d %H:%M").to_string()
        })
        .collect()
}

#[test]
fn cron_ticks_over_changes_of_the_clocks_are_airflows() {
    let spring = "2026-03-08T04:00:00Z";
    let fall = "2026-11-01T04:00:00Z";
    for (cron, from, expected) in [
        ("30 2 * * *", spring, "03-08 07:30, 03-09 06:30"),
        ("30 2 * * *", fall, "11-01 07:30, 11-02 07:30"),
        ("30 1 * * *", spring, "03-08 06:30, 03-09 05:30"),
        ("30 1 * * *", fall, "11-01 06:30, 11-02 06:30"),
        ("0 * * * *", spring, "03-08 04:00, 03-08 05:00, 03-08 06:00, 03-08 07:00, 03-08 08:00"),
        ("0 * * * *", fall, "11-01 04:00, 11-01 05:00, 11-01 06:00, 11-01 07:00, 11-01 08:00"),
        ("0 */2 * * *", spring, "03-08 05:00, 03-08 07:00, 03-08 08:00, 03-08 10:00, 03-08 12:00"),
        ("0 */2 * * *", fall, "11-01 04:00, 11-01 07:00, 11-01 09:00, 11-01 11:00, 11-01 13:00"),
        ("*/30 1-2 * * *", spring, "03-08 06:00, 03-08 06:30, 03-08 07:00, 03-09 05:00"),
        ("*/30 1-2 * * *", fall, "11-01 06:00, 11-01 06:30, 11-01 07:00, 11-01 07:30"),
    ] {
        let expected: Vec<&str> = expected.split(", ").collect();
        assert_eq!(ticks(cron, from, expected.len()), expected, "{cron} {from}");
    }
}

#[test]
fn data_intervals_over_the_spring_gap_are_not_contiguous() {
    let timetable =
        Timetable::CronDataInterval { cron: "*/30 1-2 * * *".to_owned(), timezone: "America/New_York".to_owned() };
    let mut last = None;
    let mut found = Vec::new();
    for _ in 0..3 {
        let info = timetable::next_run(
            &timetable,
            last,
            at("2030-01-01T00:00:00Z"),
            true,
            Some(at("2026-03-08T04:00:00Z")),
            None,
        )
        .unwrap()
        .unwrap();
        last = Some((info.interval_start, info.interval_end));
        found.push((info.interval_start, info.interval_end));
    }
    assert_eq!(
        found,
        [
            (at("2026-03-08T06:00:00Z"), at("2026-03-08T06:30:00Z")),
            (at("2026-03-08T06:30:00Z"), at("2026-03-08T07:00:00Z")),
            (at("2026-03-08T07:30:00Z"), at("2026-03-09T05:00:00Z")),
        ]
    );
}

fn daily_kinds() -> [(&'static str, Timetable); 4] {
    let day = Delta::seconds(DAY);
    [
        (
            "CronTrigger",
            Timetable::CronTrigger {
                cron: "@daily".to_owned(),
                timezone: "UTC".to_owned(),
                interval: Delta::default(),
                run_immediately: RunImmediately::Auto,
            },
        ),
        ("CronDataInterval", Timetable::CronDataInterval { cron: "0 0 * * *".to_owned(), timezone: "UTC".to_owned() }),
        ("DeltaTrigger", Timetable::DeltaTrigger { delta: day, interval: Delta::default() }),
        ("DeltaDataInterval", Timetable::DeltaDataInterval { delta: day }),
    ]
}

fn day(text: &str) -> Timestamp {
    let text = if text.len() == 5 { format!("{text} 00:00") } else { text.to_owned() };
    at(&format!("2026-{}:00Z", text.replace(' ', "T")))
}

fn check(
    timetable: &Timetable,
    name: &str,
    (now, start, last, catchup): (&str, Option<&str>, Option<(Timestamp, Timestamp)>, bool),
    (run_after, interval_start, interval_end): (&str, &str, &str),
) {
    let start = start.map(day);
    let info = timetable::next_run(timetable, last, day(now), catchup, start, None).unwrap().unwrap();
    let expected = DagRunInfo {
        logical_date: day(interval_start),
        interval_start: day(interval_start),
        interval_end: day(interval_end),
        run_after: day(run_after),
    };
    assert_eq!(info, expected, "{name} now {now} start {start:?} last {last:?}");
}

#[test]
fn first_and_next_runs_are_airflows() {
    let now = "01-10 15:20";
    let old = |name: &str| match name {
        "CronTrigger" | "DeltaTrigger" => (day("01-03"), day("01-03")),
        _ => (day("01-02"), day("01-03")),
    };
    for (name, timetable) in daily_kinds() {
        let (with_start, no_start, after_last) = match name {
            "CronTrigger" => (("01-10", "01-10", "01-10"), ("01-11", "01-11", "01-11"), ("01-10", "01-10", "01-10")),
            "DeltaTrigger" => {
                let at_now = ("01-10 15:20", "01-10 15:20", "01-10 15:20");
                (at_now, at_now, at_now)
            }
            _ => {
                let yesterday = ("01-10", "01-09", "01-10");
                (yesterday, yesterday, yesterday)
            }
        };
        let start = Some("01-01");
        check(&timetable, name, (now, start, None, false), with_start);
        check(&timetable, name, (now, None, None, false), no_start);
        check(&timetable, name, (now, start, Some(old(name)), false), after_last);
        let on_tick = match name {
            "CronTrigger" => ("01-10", "01-10", "01-10"),
            "DeltaTrigger" => ("01-10", "01-10", "01-10"),
            _ => ("01-10", "01-09", "01-10"),
        };
        check(&timetable, name, ("01-10", start, None, false), on_tick);
        let catchup = match name {
            "CronTrigger" => ("01-02", "01-02", "01-02"),
            "CronDataInterval" => ("01-03", "01-02", "01-03"),
            "DeltaTrigger" => ("01-01 05:00", "01-01 05:00", "01-01 05:00"),
            _ => ("01-02 05:00", "01-01 05:00", "01-02 05:00"),
        };
        check(&timetable, name, (now, Some("01-01 05:00"), None, true), catchup);
        let manual = timetable::manual_interval(&timetable, day(now)).unwrap();
        let expected = match name {
            "CronDataInterval" => (day("01-09"), day("01-10")),
            "DeltaDataInterval" => (day("01-09 15:20"), day("01-10 15:20")),
            _ => (day(now), day(now)),
        };
        assert_eq!(manual, expected, "{name} manual");
    }
}

#[test]
fn run_immediately_decides_the_first_run_without_start_date() {
    let first = |immediately, now: &str| {
        let timetable = Timetable::CronTrigger {
            cron: "0 0 * * *".to_owned(),
            timezone: "UTC".to_owned(),
            interval: Delta::default(),
            run_immediately: immediately,
        };
        timetable::next_run(&timetable, None, day(now), true, None, None).unwrap().unwrap().run_after
    };
    assert_eq!(first(RunImmediately::Auto, "01-10 02:00"), day("01-10"));
    assert_eq!(first(RunImmediately::Auto, "01-10 03:00"), day("01-11"));
    assert_eq!(first(RunImmediately::Yes, "01-10 15:20"), day("01-10"));
    let hour = RunImmediately::Within(3_600_000_000);
    assert_eq!(first(hour, "01-10 01:00"), day("01-10"));
    assert_eq!(first(hour, "01-10 01:01"), day("01-11"));
}

#[test]
fn once_continuous_none_and_end_dates() {
    let now = day("01-10 15:20");
    let next = |timetable: &Timetable, last, start: Option<&str>, end: Option<&str>| {
        timetable::next_run(timetable, last, now, false, start.map(day), end.map(day))
            .unwrap()
            .map(|info| (info.interval_start, info.run_after))
    };
    assert_eq!(next(&Timetable::None, None, Some("01-01"), None), None);
    let once = Timetable::Once;
    assert_eq!(next(&once, None, Some("01-01"), None), Some((day("01-01"), day("01-01"))));
    assert_eq!(next(&once, None, None, None), Some((now, now)));
    assert_eq!(next(&once, Some((now, now)), None, None), None);
    assert_eq!(next(&once, None, Some("01-05"), Some("01-04")), None);
    let continuous = Timetable::Continuous;
    assert_eq!(next(&continuous, None, None, None), Some((now, now)));
    assert_eq!(next(&continuous, None, Some("01-01"), None), Some((day("01-01"), now)));
    let last = Some((day("01-01"), day("01-10 15:00")));
    assert_eq!(next(&continuous, last, Some("01-01"), None), Some((day("01-10 15:00"), now)));
    for (name, timetable) in daily_kinds() {
        let info = next(&timetable, None, Some("01-01"), Some("01-08"));
        assert_eq!(info, None, "{name}");
    }
    let other = Timetable::Other {
        class: "airflow.timetables.assets.AssetTriggeredTimetable".to_owned(),
        data: "{}".to_owned(),
    };
    assert_eq!(next(&other, None, Some("01-01"), None), None);
}

#[test]
fn several_crons_tick_together() {
    let timetable = Timetable::MultipleCronTrigger {
        crons: vec!["0 6 * * *".to_owned(), "0 18 * * *".to_owned()],
        timezone: "UTC".to_owned(),
        interval: Delta::default(),
        run_immediately: RunImmediately::Auto,
    };
    let next = |catchup, last: Option<&str>, now: &str| {
        let last = last.map(|last| (day(last), day(last)));
        timetable::next_run(&timetable, last, day(now), catchup, Some(day("01-01")), None).unwrap().unwrap().run_after
    };
    assert_eq!(next(true, None, "01-10 15:20"), day("01-01 06:00"));
    assert_eq!(next(true, Some("01-01 06:00"), "01-10 15:20"), day("01-01 18:00"));
    assert_eq!(next(false, None, "01-10 15:20"), day("01-10 06:00"));
    assert_eq!(next(false, Some("01-10 06:00"), "01-10 15:20"), day("01-10 18:00"));
    assert_eq!(next(false, Some("01-10 06:00"), "01-11 15:20"), day("01-11 06:00"));
}

#[test]
fn a_changed_schedule_does_not_repeat_an_interval() {
    let hourly = Timetable::CronDataInterval { cron: "0 * * * *".to_owned(), timezone: "UTC".to_owned() };
    // The last run covered a day of the former schedule that is not over.
    let last = Some((day("01-10 15:00"), day("01-10 15:10")));
    let info = timetable::next_run(&hourly, last, day("01-10 15:20"), true, Some(day("01-01")), None).unwrap().unwrap();
    assert!(info.interval_start > day("01-10 15:00"), "{info:?}");
}

#[test]
fn months_step_from_the_start() {
    let monthly = Timetable::DeltaDataInterval { delta: Delta::calendar(1, 0) };
    let next = |last, now: &str, catchup| {
        timetable::next_run(&monthly, last, at(now), catchup, Some(day("01-15")), None).unwrap().unwrap()
    };
    let info = next(None, "2026-06-20T00:00:00Z", false);
    assert_eq!((info.interval_start, info.run_after), (day("05-15"), day("06-15")));
    let info = next(None, "2026-06-20T00:00:00Z", true);
    assert_eq!((info.interval_start, info.run_after), (day("01-15"), day("02-15")));
    let far = next(None, "2095-06-20T00:00:00Z", false);
    assert_eq!(far.run_after, at("2095-06-15T00:00:00Z"));
}

#[test]
fn cron_syntax_is_croniters() {
    let next = |cron: &str, from: &str| {
        Cron::parse(cron, "UTC").unwrap_or_else(|problem| panic!("{problem}")).after(at(from)).unwrap().to_string()
    };
    // 2026-01-10 is a Saturday.
    let from = "2026-01-10T15:20:30Z";
    for (cron, expected) in [
        ("@midnight", "2026-01-11T00:00:00Z"),
        ("@hourly", "2026-01-10T16:00:00Z"),
        ("@quarterly", "2026-04-01T00:00:00Z"),
        // Six fields: seconds come last.
        ("* * * * * 45", "2026-01-10T15:20:45Z"),
        ("5/15 * * * *", "2026-01-10T15:35:00Z"),
        // Friday to Monday: Saturday counts.
        ("0 16 * * FRI-MON", "2026-01-10T16:00:00Z"),
        ("0 16 * * tue-thu", "2026-01-13T16:00:00Z"),
        ("0 22-2 * * *", "2026-01-10T22:00:00Z"),
        // The last Friday of the month.
        ("0 0 * * L5", "2026-01-30T00:00:00Z"),
        ("0 0 * * 5#2", "2026-02-13T00:00:00Z"),
        ("0 0 L * *", "2026-01-31T00:00:00Z"),
        ("0 0 * * 7", "2026-01-11T00:00:00Z"),
        ("0 0 * JUL *", "2026-07-01T00:00:00Z"),
        // Both day fields: either will do.
        ("0 0 13 * MON", "2026-01-12T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
    ] {
        assert_eq!(next(cron, from), expected, "{cron}");
    }
}

#[test]
fn a_tick_within_a_second_is_found_from_both_sides() {
    let cron = Cron::parse("0 0 * * *", "UTC").unwrap();
    let midnight = at("2026-01-10T00:00:00Z");
    let just_after = midnight + SignedDuration::from_millis(1);
    assert_eq!(cron.before(just_after), Some(midnight));
    assert_eq!(cron.before(midnight), Some(at("2026-01-09T00:00:00Z")));
    assert_eq!(cron.after(midnight - SignedDuration::from_millis(1)), Some(midnight));
    assert_eq!(cron.after(midnight), Some(at("2026-01-11T00:00:00Z")));
}

#[test]
fn bad_crons_and_zones_are_named() {
    for (cron, words) in [
        ("61 * * * *", vec!["minute", "61", "0 and 59"]),
        ("0 25 * * *", vec!["hour", "25"]),
        ("0 0 32 * *", vec!["day of month", "32"]),
        ("0 0 0 * *", vec!["day of month", "0 is not between 1"]),
        ("0 0 * 13 *", vec!["month", "13"]),
        ("0 0 * FOO *", vec!["month", "foo"]),
        ("0 0 * * 8", vec!["day of week", "8"]),
        ("0 0 * * 5L", vec!["day of week", "5l"]),
        ("*/0 * * * *", vec!["minute", "step"]),
        ("* * * *", vec!["4 fields"]),
        ("", vec!["0 fields"]),
        ("@often", vec!["1 fields"]),
        ("0 0 1,, * *", vec!["day of month", "empty"]),
        ("0 0 * * 1,5#2", vec!["day of week", "mix"]),
        ("0 0 30 2 *", vec!["never"]),
        ("1-x * * * *", vec!["minute", "\"x\""]),
    ] {
        let problem = validate_cron(cron).unwrap_err();
        for word in words {
            assert!(problem.contains(word), "{cron}: {problem}");
        }
    }
    assert!(validate_zone("Europe/Paris").is_ok());
    assert!(validate_zone("Mars/Olympus").unwrap_err().contains("Mars/Olympus"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
    /// Ticks come in order and in their zone, also over changes of the clocks.
    #[test]
    fn ticks_rise(minute in 0u32..60, hour in 0u32..24, from in 1_700_000_000i64..1_900_000_000) {
        let zones = ["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata"];
        for zone in zones {
            for text in [format!("{minute} {hour} * * *"), format!("{minute} * * * *"), format!("*/20 {hour} * * *")] {
                let cron = Cron::parse(&text, zone).unwrap();
                let mut now = Timestamp::from_second(from).unwrap();
                for _ in 0..60 {
                    let next = cron.after(now).unwrap();
                    proptest::prop_assert!(next > now, "{text} {zone} {now} {next}");
                    now = next;
                }
            }
        }
    }
}
