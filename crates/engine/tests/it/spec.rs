//! What is wrong with a DAG is said, all of it.

use tradewind_engine::check_spec;
use tradewind_types::*;

use crate::support::{at, spec, task};

fn problems(spec: &DagSpec) -> String {
    check_spec(spec).unwrap_err().join("\n")
}

#[test]
fn a_cycle_is_printed_with_its_path() {
    let dag = spec(
        "d",
        vec![task("start", &[]), task("a", &["start", "c"]), task("b", &["a"]), task("c", &["b"]), task("end", &["c"])],
    );
    assert_eq!(problems(&dag), "the tasks form a cycle: a -> b -> c -> a");
    let own = spec("d", vec![task("a", &["a"])]);
    assert_eq!(problems(&own), "the tasks form a cycle: a -> a");
}

#[test]
fn everything_that_is_wrong_is_said() {
    let mut tasks = vec![task("a", &["ghost"]), task("a", &[]), task("b c", &[]), task("mapped", &[])];
    tasks[1].pool_slots = 0;
    let over = ExpandArg::XCom { task_id: "nowhere".into(), key: XCOM_RETURN_KEY.to_owned() };
    tasks[3].expand = Some(Expand::Rows { rows: over });
    tasks[3].mapped_group = Some("group".to_owned());
    let mut dag = spec("d/1", tasks);
    dag.timetable = Timetable::CronDataInterval { cron: "0 25 * * *".to_owned(), timezone: "UTC".to_owned() };
    dag.timezone = "Mars/Olympus".to_owned();
    dag.start_date = Some(at("2026-02-01T00:00:00Z"));
    dag.end_date = Some(at("2026-01-01T00:00:00Z"));
    let text = problems(&dag);
    for words in [
        "'/'",
        "hour",
        "Mars/Olympus",
        "\"a\" is used twice",
        "ghost",
        "' '",
        "pool_slots 0",
        "mapped over the task \"nowhere\"",
        "mapped inside a mapped task group",
        "mapped task group \"group\"",
        "before the start_date",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn catchup_needs_a_start() {
    let mut dag = spec("d", vec![task("a", &[])]);
    dag.catchup = true;
    assert!(check_spec(&dag).is_ok(), "nothing is scheduled");
    dag.timetable = Timetable::DeltaTrigger { delta: Delta::seconds(60), interval: Delta::default() };
    assert!(problems(&dag).contains("start_date"));
    dag.tasks[0].start_date = Some(at("2026-01-01T00:00:00Z"));
    assert!(check_spec(&dag).is_ok());
    dag.timetable = Timetable::DeltaTrigger { delta: Delta::default(), interval: Delta::default() };
    assert!(problems(&dag).contains("longer than zero"));
}
