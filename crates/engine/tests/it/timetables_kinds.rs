//! Kinds of timetables beside cron: relative deltas, events, partitions; the strict rule for changes of the clocks; and what
//! is refused.

use tradewind_engine::timetable::{self, Cron, Dst, Schedule};
use tradewind_types::{Delta, Replace, Timestamp, Timetable};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

fn next_three(cron: &Cron, from: &str) -> Vec<String> {
    let mut now = at(from);
    (0..3)
        .map(|_| {
            now = cron.after(now).unwrap();
            now.to_string()
        })
        .collect()
}

const ZONES: [&str; 6] =
    ["America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Pacific/Apia", "Africa/Casablanca", "America/Havana"];

#[test]
fn strict_ticks_are_in_order_and_found_from_both_sides() {
    for zone in ZONES {
        for text in [
            "*/30 1-2 * * *",
            "0 * * * 1-5",
            "15 */2 * * *",
            "30 2 * * *",
            "0 0 * * *",
            "*/7 23,0,1 * * *",
            "* * 30 12 *",
        ] {
            let cron = Cron::parse(text, zone).unwrap().with_dst(Dst::Strict);
            // Over the day that Apia skipped, and a spring and an autumn night of each zone.
            for start in ["2011-12-28T00:00:00Z", "2024-03-01T00:00:00Z", "2024-10-01T00:00:00Z"] {
                let mut now = at(start);
                for _ in 0..400 {
                    let Some(next) = cron.after(now) else { panic!("{text} {zone} {now}") };
                    assert!(next > now, "{text} {zone} {now} {next}");
                    // Nothing between: seen from the next tick, the one before is the one we came from.
                    let back = cron.before(next).unwrap();
                    assert!(back <= now && cron.after(back) == Some(next), "{text} {zone} {now} {next} {back}");
                    let between = now + next.duration_since(now) / 2;
                    assert_eq!(cron.after(between), Some(next), "{text} {zone} {between}");
                    now = next;
                }
            }
        }
    }
}

#[test]
fn the_strict_rule_loses_no_tick_and_leaves_no_gap() {
    let airflow = Cron::parse("*/30 1-2 * * *", "America/New_York").unwrap();
    let strict = airflow.clone().with_dst(Dst::Strict);
    // The second half hour is lost to Airflow: 02:30 becomes 03:30, but 03:00 has passed it.
    let spring = "2026-03-08T06:30:00Z";
    assert_eq!(next_three(&airflow, spring), ["2026-03-08T07:00:00Z", "2026-03-09T05:00:00Z", "2026-03-09T05:30:00Z"]);
    assert_eq!(next_three(&strict, spring), ["2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z", "2026-03-09T05:00:00Z"]);
    // A repeated hour counts the second time, for both.
    let autumn = "2026-11-01T05:10:00Z";
    assert_eq!(next_three(&strict, autumn), ["2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"]);

    let timetable =
        Timetable::CronDataInterval { cron: "*/30 1-2 * * *".to_owned(), timezone: "America/New_York".to_owned() };
    let gaps = |dst| {
        let schedule = Schedule::compile_with(&timetable, dst).unwrap();
        let start = at("2026-03-07T00:00:00Z");
        let runs: Vec<_> = schedule.upcoming(None, start, true, Some(start), None).take(20).collect();
        runs.windows(2).filter(|pair| pair[0].interval_end != pair[1].interval_start).count()
    };
    assert_eq!((gaps(Dst::Airflow), gaps(Dst::Strict)), (1, 0));
}

#[test]
fn a_strict_open_hour_field_follows_the_wall_clock() {
    // Lord Howe moves by half an hour: a whole hour later is half past.
    let cron = Cron::parse("0 * * * *", "Australia/Lord_Howe").unwrap().with_dst(Dst::Strict);
    assert_eq!(
        next_three(&cron, "2026-04-04T13:30:00Z"),
        ["2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"]
    );
    // Both times that the hour comes.
    let cron = Cron::parse("30 * * * *", "America/New_York").unwrap().with_dst(Dst::Strict);
    assert_eq!(
        next_three(&cron, "2026-11-01T05:00:00Z"),
        ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"]
    );
    // Airflow reaches Monday an hour late, as it adds what the clock shows.
    let weekdays = Cron::parse("0 * * * 1-5", "America/New_York").unwrap();
    let friday = "2026-03-07T04:00:00Z";
    assert_eq!(next_three(&weekdays, friday)[0], "2026-03-09T05:00:00Z");
    assert_eq!(next_three(&weekdays.with_dst(Dst::Strict), friday)[0], "2026-03-09T04:00:00Z");
}

#[test]
fn what_a_relativedelta_sets_comes_first_and_the_weekday_last() {
    let next = |delta: Delta, from: &str| {
        let timetable = Timetable::DeltaTrigger { delta, interval: Delta::default() };
        let last = Some((at(from), at(from)));
        timetable::next_run(&timetable, last, at(from), true, None, None).unwrap().unwrap().run_after.to_string()
    };
    // The last Friday of the next month, at six.
    let set = Replace { day: Some(31), weekday: Some((4, -1)), hour: Some(6), minute: Some(0), ..Replace::default() };
    let monthly = Delta { replace: set, ..Delta::calendar(1, 0) };
    assert_eq!(next(monthly, "2026-01-10T15:20:00Z"), "2026-02-27T06:00:00Z");
    assert_eq!(next(monthly, "2026-02-27T06:00:00Z"), "2026-03-27T06:00:00Z");
    // Short months pull the day down, and it stays there.
    let plain = Delta::calendar(1, 0);
    assert_eq!(next(plain, "2027-01-31T00:00:00Z"), "2027-02-28T00:00:00Z");
    assert_eq!(next(plain, "2027-02-28T00:00:00Z"), "2027-03-28T00:00:00Z");
    let leap = Delta { replace: Replace { leapdays: -1, ..Replace::default() }, ..Delta::calendar(12, 0) };
    assert_eq!(next(leap, "2027-03-10T00:00:00Z"), "2028-03-09T00:00:00Z");
}

#[test]
fn steps_that_do_not_move_on_are_refused() {
    let check = |delta| timetable::validate(&Timetable::DeltaTrigger { delta, interval: Delta::default() });
    let set = |replace| Delta { replace, ..Delta::default() };
    let stand_still = [
        Delta::default(),
        Delta::seconds(-5),
        Delta::calendar(1, -40 * 86_400_000_000),
        set(Replace { day: Some(1), ..Replace::default() }),
        set(Replace { weekday: Some((0, 1)), ..Replace::default() }),
        set(Replace { year: Some(2030), ..Replace::default() }),
    ];
    for delta in stand_still {
        let problem = check(delta).unwrap_err();
        assert!(problem.contains("longer than zero"), "{delta:?}: {problem}");
    }
    let problem = check(set(Replace { month: Some(13), ..Replace::default() })).unwrap_err();
    assert!(problem.contains("month=13") && problem.contains("between 1 and 12"), "{problem}");
    for delta in [
        Delta::calendar(1, -3 * 86_400_000_000),
        Delta { replace: Replace { weekday: Some((0, 1)), ..Replace::default() }, ..Delta::seconds(86_400) },
        Delta { replace: Replace { day: Some(1), ..Replace::default() }, ..Delta::calendar(1, 0) },
    ] {
        assert_eq!(check(delta), Ok(()), "{delta:?}");
    }
}

#[test]
fn events_are_run_once_each_and_never_late_without_catchup() {
    let dates =
        ["2026-01-01T10:00:00Z", "2026-01-05T10:00:00Z", "2026-01-05T10:00:00Z", "2026-02-01T00:00:00Z"].map(at);
    let timetable = Timetable::Events { dates: dates.to_vec(), restrict_to_events: true };
    let schedule = Schedule::compile(&timetable).unwrap();
    let due = |catchup| -> Vec<Timestamp> {
        schedule.upcoming(None, at("2026-01-02T00:00:00Z"), catchup, None, None).map(|run| run.run_after).collect()
    };
    assert_eq!(due(true), [dates[0], dates[1], dates[3]]);
    assert_eq!(due(false), [dates[1], dates[3]]);
    assert_eq!(schedule.manual_interval(at("2026-01-20T00:00:00Z")), (dates[1], dates[1]));
    assert_eq!(schedule.manual_interval(at("2025-01-20T00:00:00Z")), (dates[0], dates[0]));
}

#[test]
fn partitions_are_named_in_the_timetables_zone() {
    let timetable = |run_offset, key_format: &str| Timetable::CronPartition {
        cron: "0 0 * * *".to_owned(),
        timezone: "Asia/Taipei".to_owned(),
        run_offset,
        run_immediately: Default::default(),
        key_format: key_format.to_owned(),
    };
    let yesterday = Schedule::compile(&timetable(-1, "%Y-%m-%d")).unwrap();
    let partition = yesterday.partition(at("2026-01-09T16:00:00Z")).unwrap();
    assert_eq!((partition.date, partition.key.as_str()), (at("2026-01-08T16:00:00Z"), "2026-01-09"));
    assert!(timetable::validate(&timetable(0, "%Y-%J")).unwrap_err().contains("key_format"));
    assert!(timetable::validate(&timetable(1_000_000, "%Y")).unwrap_err().contains("run_offset"));
}

#[test]
fn expressions_that_never_come_are_refused_and_rare_ones_end() {
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 13 * 5#1", "0 0 29 2 * 0 2027"] {
        assert!(timetable::validate_cron(text).unwrap_err().contains("never comes"), "{text}");
    }
    // A year that is over: no more ticks, and no search without end.
    let cron = Cron::parse("0 0 1 1 * 0 2030", "UTC").unwrap();
    assert_eq!(cron.after(at("2029-01-01T00:00:00Z")), Some(at("2030-01-01T00:00:00Z")));
    assert_eq!(cron.after(at("2030-01-01T00:00:00Z")), None);
    assert_eq!(cron.after(at("9999-12-01T00:00:00Z")), None);
    assert!(Cron::parse("* * * * *", "UTC").unwrap().after(at("9999-12-30T00:00:00Z")).is_some());
    // Before its year it is due in time, without catchup too; Airflow raises until then.
    let timetable = Timetable::CronTrigger {
        cron: "0 0 1 1 * 0 2030".to_owned(),
        timezone: "UTC".to_owned(),
        interval: Delta::default(),
        run_immediately: Default::default(),
    };
    let next = timetable::next_run(&timetable, None, at("2026-01-01T00:00:00Z"), false, None, None).unwrap();
    assert_eq!(next.unwrap().run_after, at("2030-01-01T00:00:00Z"));
}
