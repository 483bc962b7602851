//! Timetables whose class is in the DAG folder.

use std::time::Duration;

use serde_json::json;
use tradewind_guest::*;

use crate::support::*;

async fn ask(dag_id: &str, question: TimetableQuestion) -> TimetableAnswer {
    let file = ParseRequest { timeout: Duration::from_secs(20), ..ParseRequest::new(dags(), "own_timetables.py") };
    PARSER.evaluate_timetable(TimetableRequest { file, dag_id: dag_id.to_owned(), question }).await.expect("a parser")
}

fn next(last: Option<(&str, &str)>, earliest: Option<&str>, latest: Option<&str>) -> TimetableQuestion {
    let at = |text: &str| text.parse().unwrap();
    TimetableQuestion::Next {
        last: last.map(|(start, end)| (at(start), at(end))),
        earliest: earliest.map(at),
        latest: latest.map(at),
        catchup: true,
    }
}

fn run(start: &str, end: &str) -> TimetableRun {
    TimetableRun {
        run_after: end.parse().unwrap(),
        data_interval_start: Some(start.parse().unwrap()),
        data_interval_end: Some(end.parse().unwrap()),
    }
}

#[test]
fn a_class_of_the_dag_folder_is_serialized_with_its_path_and_data() {
    on_runtime(async {
        let parsed = PARSER.parse(ParseRequest::new(dags(), "own_timetables.py")).await.unwrap();
        assert_eq!(parsed.import_error, None);
        let timetable = |dag_id: &str| {
            let dag = parsed.dags.iter().find(|dag| dag["dag"]["dag_id"] == dag_id).unwrap();
            dag["dag"]["timetable"].clone()
        };
        let noons = json!({"__type": "own_timetables.Noons", "__var": {"hour": 12}, "periodic": true});
        assert_eq!(timetable("noons"), noons);
        assert_eq!(timetable("quiet"), json!({"__type": "own_timetables.Quiet", "__var": {}, "periodic": false}));
    });
}

#[test]
fn the_next_run_follows_from_the_last_one() {
    on_runtime(async {
        let first = ask("noons", next(None, Some("2026-01-03T00:00:00Z"), None)).await;
        assert_eq!(first, Ok(vec![run("2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z")]));
        let last = Some(("2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z"));
        let second = ask("noons", next(last, None, None)).await;
        assert_eq!(second, Ok(vec![run("2026-01-03T12:00:00Z", "2026-01-04T12:00:00Z")]));
        assert_eq!(ask("noons", next(last, None, Some("2026-01-04T00:00:00Z"))).await, Ok(vec![]));
        assert_eq!(ask("noons", next(None, None, None)).await, Ok(vec![]));
    });
}

#[test]
fn manual_runs_and_spans_are_answered_too() {
    on_runtime(async {
        let at = |text: &str| text.parse().unwrap();
        let manual = ask("noons", TimetableQuestion::Manual { run_after: at("2026-01-03T07:00:00Z") }).await;
        assert_eq!(manual, Ok(vec![run("2026-01-02T07:00:00Z", "2026-01-03T07:00:00Z")]));
        let span = |limit| TimetableQuestion::Between {
            earliest: at("2026-01-01T00:00:00Z"),
            latest: at("2026-01-03T23:00:00Z"),
            limit,
        };
        assert_eq!(ask("noons", span(10)).await.map(|runs| runs.len()), Ok(3));
        assert_eq!(ask("noons", span(2)).await.map(|runs| runs.len()), Ok(2));
    });
}

#[test]
fn whatever_a_timetable_does_wrong_is_said() {
    on_runtime(async {
        let question = || next(None, Some("2026-01-03T00:00:00Z"), None);
        let raises = ask("raises", question()).await.unwrap_err();
        assert_eq!(raises.message, "RuntimeError: no idea when");
        assert!(raises.line.is_some() && raises.traceback.is_some_and(|text| text.contains("next_dagrun_info")));
        assert!(ask("naive", question()).await.unwrap_err().message.contains("has no time zone"));
        assert!(ask("rubbish", question()).await.unwrap_err().message.contains("str where a DagRunInfo is due"));
        assert!(ask("gone", question()).await.unwrap_err().message.contains("no DAG 'gone'"));
        let span = TimetableQuestion::Between {
            earliest: "2026-01-01T00:00:00Z".parse().unwrap(),
            latest: "2026-01-02T00:00:00Z".parse().unwrap(),
            limit: 10,
        };
        assert!(ask("stuck", span).await.unwrap_err().message.contains("does not move on"));
    });
}

#[test]
fn one_that_hangs_is_stopped() {
    on_runtime(async {
        let file = ParseRequest { timeout: Duration::from_secs(3), ..ParseRequest::new(dags(), "own_timetables.py") };
        let question = next(None, None, None);
        let request = TimetableRequest { file, dag_id: "hangs".to_owned(), question };
        let answer = PARSER.evaluate_timetable(request).await.unwrap();
        let error = answer.unwrap_err();
        assert!(error.message.contains("asked the timetable was not done after 3 s"), "{error:?}");
    });
}
