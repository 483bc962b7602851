use serde_json::json;

use crate::{
    harness::trigger,
    support::{World, guest, publish_files, python},
};

const DAG: &str = r#"
import datetime
from airflow.sdk import DAG, Variable, task
from helper import double

with DAG("guests", schedule=None, start_date=datetime.datetime(2026, 1, 1)):
    @task
    def first():
        print("in first")
        return {"n": double(21)}

    @task
    def second(value):
        Variable.set("db_password", "hunter-22")
        print("the secret is " + Variable.get("db_password"))
        return value["n"] + 1

    @task
    def third():
        raise ValueError("no luck today")

    second(first()) >> third()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn python_tasks_run_from_their_bundle() {
    let world = World::new().await;
    let files = [("guests.py", DAG), ("helper.py", "def double(n):\n    return 2 * n\n")];
    let tasks = json!([python("first", &[]), python("second", &["first"]), python("third", &["second"])]);
    publish_files(&world, &files, &[json!({"dag_id": "guests", "tasks": tasks})]).await;
    let worker = world.start(world.settings("w"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "guests").await;
    assert_eq!(world.ends(&run).await, "failed");
    assert_eq!(world.xcom(&run, "first").await, Some(json!({"n": 42})));
    assert_eq!(world.xcom(&run, "second").await, Some(json!(43)));
    let messages = world.messages(&run, "first").await;
    assert!(messages.iter().any(|message| message == "in first"), "{messages:?}");
    let messages = world.messages(&run, "second").await;
    assert!(messages.iter().any(|message| message == "the secret is ***"), "{messages:?}");
    let third = world.task(&run, "third").await;
    assert!(third.note.as_deref().is_some_and(|note| note.contains("no luck today")), "{third:?}");
    worker.stop().await;
    world.node.stop().await;
}
