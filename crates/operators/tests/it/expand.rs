//! Mapped native tasks: which values each instance gets.

use std::sync::Arc;

use serde_json::{Value, json};
use tradewind_operators::{Finished, OperatorError, OperatorResult};
use tradewind_types::{Expand, TaskInstance, TaskSpec};

use crate::support::{Attempt, Worker};

fn instance(expand: Value, map_index: i32) -> Attempt {
    let expand: Expand = serde_json::from_value(expand).unwrap();
    Attempt::new().with(|ctx| {
        ctx.task = Arc::new(TaskSpec { expand: Some(expand), ..(*ctx.task).clone() });
        ctx.ti = Arc::new(TaskInstance { map_index, ..(*ctx.ti).clone() });
    })
}

fn over(argument: Value) -> Value {
    json!({"type": "product", "arguments": [["value", argument]]})
}

fn literal(values: Value) -> Value {
    json!({"type": "literal", "length": values.as_array().unwrap().len(), "values": values})
}

fn xcom(task: &str) -> Value {
    json!({"type": "x_com", "task_id": task, "key": "return_value"})
}

async fn noop(worker: &Worker, expand: Value, map_index: i32) -> OperatorResult {
    worker.run(json!({"kind": "noop"}), &instance(expand, map_index)).await
}

async fn value(worker: &Worker, expand: Value, map_index: i32) -> Value {
    match noop(worker, expand, map_index).await {
        Ok(Finished::Success(value)) => value.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

fn upstream(values: Vec<(i32, Value)>) -> Worker {
    Worker::new().with(|state| {
        state.xcoms.insert(("up".to_owned(), "return_value".to_owned()), values);
    })
}

#[tokio::test]
async fn the_last_argument_is_the_fastest() {
    let worker = Worker::new();
    let expand = json!({"type": "product", "arguments": [
        ["command", literal(json!(["echo a", "echo b"]))],
        ["env", literal(json!([{"N": "1"}, {"N": "2"}, {"N": "3"}]))],
    ]});
    let mut seen = Vec::new();
    for index in 0..6 {
        let attempt = instance(expand.clone(), index);
        let done = worker.run(json!({"kind": "bash", "command": "?$N"}), &attempt).await.unwrap();
        let Finished::Success(Some(Value::String(line))) = done else { panic!("{done:?}") };
        let fields = worker.state.lock().unwrap().rendered.len();
        assert_eq!(fields, 0, "nothing had to be rendered");
        seen.push(line);
    }
    assert_eq!(seen, ["a", "a", "a", "b", "b", "b"]);
    let beyond = worker.run(json!({"kind": "bash", "command": "?"}), &instance(expand, 6)).await;
    assert!(matches!(beyond, Err(OperatorError::Fatal(text)) if text.contains("map index 6")));
}

#[tokio::test]
async fn rows_give_all_options_at_once() {
    let rows = json!({"type": "rows", "rows": literal(json!([{"value": 1}, {"value": {"a": "{{ ti.map_index }}"}}]))});
    let worker = Worker::new();
    assert_eq!(value(&worker, rows.clone(), 0).await, json!(1));
    assert_eq!(value(&worker, rows, 1).await, json!({"a": "1"}), "what stands in the file is rendered");
    let wrong = json!({"type": "rows", "rows": literal(json!([3]))});
    assert!(matches!(noop(&worker, wrong, 0).await, Err(OperatorError::Fatal(text)) if text.contains("a number")));
}

#[tokio::test]
async fn lists_and_dicts_of_other_tasks_are_mapped_over() {
    let worker = upstream(vec![(-1, json!(["x", "y"]))]);
    assert_eq!(value(&worker, over(xcom("up")), 1).await, json!("y"));
    let worker = upstream(vec![(-1, json!({"k": 5}))]);
    assert_eq!(value(&worker, over(xcom("up")), 0).await, json!(["k", 5]));
    let worker = upstream(vec![(0, json!("first")), (1, json!("second"))]);
    assert_eq!(value(&worker, over(xcom("up")), 1).await, json!("second"));
    let zip = json!({"type": "zip", "args": [xcom("up"), literal(json!([7]))], "fill": true});
    assert_eq!(value(&worker, over(zip), 1).await, json!(["second", null]));
    let joined = json!({"type": "concat", "args": [literal(json!([7])), xcom("up")]});
    assert_eq!(value(&worker, over(joined), 2).await, json!("second"));
}

#[tokio::test]
async fn what_another_task_left_is_not_rendered() {
    let tricky = "{{ var.value.secret }} {% endraw %} \\ \" \u{e9}\n";
    let worker = upstream(vec![(-1, json!([tricky]))]);
    assert_eq!(value(&worker, over(xcom("up")), 0).await, json!(tricky));
    assert!(!worker.state.lock().unwrap().asked.iter().any(|asked| asked.starts_with("variable")));
}

#[tokio::test]
async fn what_cannot_be_mapped_over_says_so() {
    let text = |worker: Worker, expand: Value| async move {
        match noop(&worker, expand, 0).await {
            Err(OperatorError::Fatal(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    assert!(text(Worker::new(), over(xcom("up"))).await.contains("has left no XCom"));
    assert!(text(upstream(vec![(-1, json!("text"))]), over(xcom("up"))).await.contains("is a text, not a list"));
    let map = json!({"type": "map", "arg": xcom("up")});
    assert!(text(Worker::new(), over(map)).await.contains("needs Python"));
    let attempt = instance(json!({"type": "product", "arguments": [["skip_on_exit_code", literal(json!(["x"]))]]}), 0);
    let done = Worker::new().run(json!({"kind": "bash", "command": "true"}), &attempt).await;
    assert!(matches!(done, Err(OperatorError::Fatal(text)) if text.contains("does not fit the operator")));
    let numbers = instance(json!({"type": "product", "arguments": [["command", literal(json!([0]))]]}), 0);
    let done = Worker::new().run(json!({"kind": "bash", "command": "exit"}), &numbers).await;
    assert!(matches!(done, Err(OperatorError::Failed(text)) if text.contains("127")), "the number 0 is the command");
}
