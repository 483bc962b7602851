//! The example DAG that the repository ships, task by task.

use std::sync::Arc;

use serde_json::json;
use tradewind_guest::*;

use crate::support::*;

async fn succeed(task_id: &str, host: &Arc<MemoryHost>) -> TaskExit {
    let task = TaskLaunch { bundle_dir: repository().join("dags"), ..launch("ml_retraining", task_id) };
    let exit = run_launch(task, host).await;
    assert!(matches!(exit.outcome, TaskOutcome::Success { .. }), "{task_id}: {exit:?}\n{}", host.text());
    exit
}

#[test]
fn the_example_parses_with_its_queue_pool_and_retries() {
    on_runtime(async {
        let parsed = PARSER.parse(ParseRequest::new(repository().join("dags"), "ml_retraining.py")).await.unwrap();
        assert_eq!(parsed.import_error, None);
        assert_eq!(parsed.warnings, Vec::<String>::new());
        let tasks = parsed.dags[0]["dag"]["tasks"].as_array().expect("tasks").clone();
        assert_eq!(tasks.len(), 9);
        let train = tasks.iter().map(|task| &task["__var"]).find(|task| task["task_id"] == "train_random_forest");
        let train = train.expect("the task");
        assert_eq!((&train["queue"], &train["pool"]), (&json!("ml"), &json!("ml_training")));
    });
}

#[test]
fn the_example_deploys_the_first_model_and_keeps_it_next_time() {
    on_runtime(async {
        let host = MemoryHost::new();
        for task_id in ["extract", "validate"] {
            succeed(task_id, &host).await;
        }
        for task_id in ["train_logistic_regression", "train_random_forest", "train_gradient_boosting"] {
            succeed(task_id, &host).await;
        }
        let chosen = succeed("choose_best", &host).await;
        assert_eq!(chosen.skipped_downstream, [("keep".to_owned(), -1)]);
        succeed("deploy", &host).await;
        succeed("notify", &host).await;
        let words = host.result("notify").expect("the last line").to_string();
        assert!(words.contains("retraining of 2026-01-02 is done") && words.contains("deployed"), "{words}");

        let chosen = succeed("choose_best", &host).await;
        assert_eq!(chosen.skipped_downstream, [("deploy".to_owned(), -1)]);
        succeed("keep", &host).await;
    });
}
