//! Mapped tasks, Python and native.

use serde_json::{Value, json};

use crate::{
    harness::{run_state, trigger},
    support::{World, guest, publish_files, python, task},
};

const DAG: &str = r#"
import datetime
from airflow.sdk import DAG, task, task_group

with DAG("mapped", schedule=None, start_date=datetime.datetime(2026, 1, 1)):
    @task
    def numbers():
        return [3, 4, 5]

    @task(map_index_template="square of {{ n }}")
    def square(n):
        return n * n

    @task
    def total(values):
        return [sum(values), len(values), values[1], list(values[1:])]

    total(square.expand(n=numbers()))

with DAG("grouped", schedule=None, start_date=datetime.datetime(2026, 1, 1)):
    @task
    def double(n):
        return 2 * n

    @task
    def plus(n):
        return n + 1

    @task_group
    def both(n):
        return plus(double(n))

    total.override(task_id="sum")(both.expand(n=[1, 2, 3]))
"#;

fn over(mut task: Value, name: &str, upstream: &str) -> Value {
    let argument = json!({"type": "x_com", "task_id": upstream, "key": "return_value"});
    task["expand"] = json!({"type": "product", "arguments": [[name, argument]]});
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_task_is_mapped_over_the_list_of_another() {
    let world = World::new().await;
    let square = over(python("square", &["numbers"]), "n", "numbers");
    let tasks = json!([python("numbers", &[]), square, python("total", &["square"])]);
    publish_files(&world, &[("mapped.py", DAG)], &[json!({"dag_id": "mapped", "tasks": tasks})]).await;
    let worker = world.start(world.settings("w"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "mapped").await;
    assert_eq!(world.ends(&run).await, "success");
    assert_eq!(world.xcom(&run, "total").await, Some(json!([50, 3, 16, [16, 25]])));
    let mut squares: Vec<(i32, String)> = run_state(&world.admin, &run)
        .await
        .task_instances
        .into_iter()
        .filter(|ti| ti.task_id == "square")
        .map(|ti| (ti.map_index, ti.rendered_map_index.unwrap_or_default()))
        .collect();
    squares.sort();
    let label = |index: i32, text: &str| (index, text.to_owned());
    assert_eq!(squares, [label(0, "square of 3"), label(1, "square of 4"), label(2, "square of 5")]);
    worker.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_mapped_group_read_each_their_own() {
    let world = World::new().await;
    let group = json!({"type": "product", "arguments": [["n", {"type": "literal", "length": 3}]]});
    let in_group = |id: &str, upstream: &[&str]| {
        let mut task = python(id, upstream);
        task["mapped_group"] = "both".into();
        task
    };
    let tasks =
        json!([in_group("both.double", &[]), in_group("both.plus", &["both.double"]), python("sum", &["both.plus"]),]);
    let groups = json!([{"group_id": "both", "tasks": ["both.double", "both.plus"], "expand": group}]);
    let dag = json!({"dag_id": "grouped", "tasks": tasks, "task_groups": groups});
    publish_files(&world, &[("mapped.py", DAG)], &[dag]).await;
    let worker = world.start(world.settings("w"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "grouped").await;
    assert_eq!(world.ends(&run).await, "success");
    assert_eq!(world.xcom(&run, "sum").await, Some(json!([15, 3, 5, [5, 7]])));
    worker.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_task_is_mapped_over_the_list_of_another() {
    let world = World::new().await;
    let list = task("list", &[], json!({"kind": "noop", "value": ["echo a", "echo b"]}));
    let each = over(task("each", &["list"], json!({"kind": "bash", "command": "?"})), "command", "list");
    let worker = world.worker("w");
    let run = world.run("natives", json!([list, each])).await;
    assert_eq!(world.ends(&run).await, "success");
    let instances = run_state(&world.admin, &run).await.task_instances;
    assert_eq!(instances.iter().filter(|ti| ti.task_id == "each").count(), 2);
    worker.stop().await;
    world.node.stop().await;
}
