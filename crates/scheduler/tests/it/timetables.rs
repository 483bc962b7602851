//! Custom timetables: the DAG processor fetches questions and answers them.

use std::time::Duration;

use tradewind_proto::v1;
use tradewind_types::{DagSpec, ErrorCode, Timetable};

use crate::harness::{Installation, PROCESSOR, dag, eventually, publish};

const DAY: i64 = 86_400_000_000;
/// 2026-01-01T00:00:00Z.
const FROM: i64 = 1_767_225_600_000_000;

fn custom(dag_id: &str, periodic: bool) -> DagSpec {
    let mut spec = dag(dag_id, &[("only", &[])]);
    spec.timetable = Timetable::Custom { class: "plugins.Workdays".to_owned(), data: "{}".to_owned(), periodic };
    spec
}

/// Answers questions about `dag_id` as a daily timetable would, until it has said that there is nothing more.
async fn answer_daily(node: &crate::harness::Node, dag_id: &str, to: i64) {
    let mut over = false;
    while !over {
        let asked = processor!(node, timetable_questions, v1::TimetableQuestionsRequest {}).unwrap().questions;
        let own = asked.iter().filter(|question| question.dag_id == dag_id && question.latest == Some(to));
        for question in own {
            assert_eq!(question.rel_path, format!("{dag_id}.yaml"));
            let start = question.last_start.map_or(FROM, |start| start + DAY);
            over = start > to;
            let next = (!over).then_some(v1::TimetableRun {
                logical_date: None,
                data_interval_start: start,
                data_interval_end: start + DAY,
                run_after: start + DAY,
            });
            let answer =
                v1::TimetableAnswer { dag_id: dag_id.to_owned(), question: question.question, next, error: None };
            processor!(node, answer_timetable, answer).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timetable_that_raises_ends_the_backfill_with_its_error() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &custom("workdays", true)).await;
    let request = v1::CreateBackfillRequest {
        dag_id: "workdays".to_owned(),
        from: FROM,
        to: FROM + 2 * DAY,
        dry_run: true,
        ..v1::CreateBackfillRequest::default()
    };
    let backfill = async { admin!(node, create_backfill, request) };
    let raise = async {
        let question = eventually("the question", || async {
            let asked = processor!(node, timetable_questions, v1::TimetableQuestionsRequest {}).unwrap().questions;
            asked.into_iter().find(|question| question.latest == Some(FROM + 2 * DAY))
        })
        .await;
        let answer = v1::TimetableAnswer {
            dag_id: "workdays".to_owned(),
            question: question.question,
            next: None,
            error: Some("ValueError: no calendar".to_owned()),
        };
        processor!(node, answer_timetable, answer).unwrap();
    };
    let (answer, ()) = tokio::join!(backfill, raise);
    let error = answer.unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("no calendar") && error.message.contains("workdays"), "{}", error.message);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_over_a_custom_timetable_asks_for_its_dates() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &custom("workdays", true)).await;
    let to = FROM + 2 * DAY;
    let request = v1::CreateBackfillRequest {
        dag_id: "workdays".to_owned(),
        from: FROM,
        to,
        dry_run: true,
        ..v1::CreateBackfillRequest::default()
    };
    let backfill = async { admin!(node, create_backfill, request) };
    let (answer, ()) = tokio::join!(backfill, answer_daily(&node, "workdays", to));
    let dates: Vec<i64> = answer.unwrap().items.iter().map(|item| item.logical_date).collect();
    assert_eq!(dates, [FROM, FROM + DAY, to]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_asks_and_an_answer_settles_the_question() {
    let installation = Installation::new().await;
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), &custom("workdays", true)).await;
    let asked = || async { processor!(node, timetable_questions, v1::TimetableQuestionsRequest {}).unwrap().questions };
    let question = eventually("the question", || async { asked().await.into_iter().next() }).await;
    assert_eq!((question.dag_id.as_str(), question.rel_path.as_str()), ("workdays", "workdays.yaml"));
    let start = question.now - 2 * DAY;
    let answer = |question: u64| v1::TimetableAnswer {
        dag_id: "workdays".to_owned(),
        question,
        next: Some(v1::TimetableRun {
            logical_date: None,
            data_interval_start: start,
            data_interval_end: start + DAY,
            run_after: start + DAY,
        }),
        error: None,
    };
    // An answer to another question changes nothing.
    processor!(node, answer_timetable, answer(question.question + 1_000)).unwrap();
    assert_eq!(asked().await, std::slice::from_ref(&question));
    processor!(node, answer_timetable, answer(question.question)).unwrap();
    let run = eventually("the run", || async {
        admin!(node, list_runs, v1::ListRunsRequest::default()).unwrap().runs.into_iter().next()
    })
    .await;
    assert_eq!((run.run_type.as_str(), run.logical_date), ("scheduled", Some(start)));
    let next = eventually("the next question", || async { asked().await.into_iter().next() }).await;
    assert_ne!(next.question, question.question);
    assert_eq!(next.last_start, Some(start));
    node.stop().await;
}
