//! Callbacks that the leader has workers run.

use serde_json::{Value, json};
use tradewind_proto::{admin_client, v1};

use crate::{
    harness::{eventually, trigger},
    support::{PATIENCE, World, guest, publish_files, python},
};

const DAG: &str = r#"
import datetime
import time
from airflow.sdk import DAG, Variable, task

def note(context):
    print("noting", context["reason"])
    Variable.get("anything", default=None)
    with open(FOLDER + "/" + context["run_id"], "w") as file:
        file.write(f"{context['dag'].dag_id} {context['reason']} {context['ti'].task_id} {context['dag_run'].state.value}")

def raises(context):
    raise RuntimeError("a broken callback")

def hangs(context):
    time.sleep(1000)

for name, callback in (("notes", note), ("raises", raises), ("hangs", hangs)):
    with DAG(name, schedule=None, start_date=datetime.datetime(2026, 1, 1), on_success_callback=callback):
        @task
        def one():
            pass
        one()
"#;

async fn callback(world: &World, dag_id: &str) -> v1::Callback {
    let request = v1::ListCallbacksRequest { dag_id: Some(dag_id.to_owned()), ..v1::ListCallbacksRequest::default() };
    eventually(&format!("the end of the callback of {dag_id}"), || async {
        let listed = world
            .admin
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { admin_client(channel).list_callbacks(request).await }
            })
            .await
            .unwrap();
        listed.callbacks.into_iter().find(|callback| matches!(callback.state.as_str(), "success" | "failed"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn dag_callbacks_run_and_fail_and_hang_on_workers() {
    let world = World::new().await;
    let notes = world.dir.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    let text = DAG.replace("FOLDER", &format!("{:?}", notes.to_str().unwrap()));
    let dag = |dag_id: &str| -> Value {
        json!({"dag_id": dag_id, "tasks": [python("one", &[])], "on_success_callback": true})
    };
    publish_files(&world, &[("calls.py", &text)], &[dag("notes"), dag("raises"), dag("hangs")]).await;
    let mut settings = world.settings("w");
    settings.callback_timeout = std::time::Duration::from_secs(3);
    let worker = world.start(settings, world.installation.queue.clone(), Some(guest(&world)));

    let run = trigger(&world.admin, "notes").await;
    assert_eq!(world.ends(&run).await, "success");
    let done = callback(&world, "notes").await;
    assert_eq!((done.state.as_str(), done.kind.as_str()), ("success", "dag_success"), "{done:?}");
    let written = std::fs::read_to_string(notes.join(&run.run_id)).unwrap();
    assert_eq!(written, format!("notes {} one success", done.reason.unwrap_or_default()));

    trigger(&world.admin, "raises").await;
    let done = callback(&world, "raises").await;
    assert_eq!(done.state, "failed");
    assert!(done.note.as_deref().is_some_and(|note| note.contains("a broken callback")), "{done:?}");

    trigger(&world.admin, "hangs").await;
    let done = callback(&world, "hangs").await;
    assert_eq!(done.state, "failed");
    assert!(done.note.as_deref().is_some_and(|note| note.contains("worker.callback_timeout_secs")), "{done:?}");
    worker.stop().await;
    world.node.stop().await;
}
