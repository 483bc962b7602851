use std::path::PathBuf;

use serde_json::json;
use tradewind_guest::GuestEnv;
use tradewind_proto::{dag_client, to_json, v1};
use tradewind_types::{Bundle, BundleFile, DagSpec, sha256_hex};

use crate::{
    harness::{PROCESSOR, trigger},
    support::{PATIENCE, World},
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

fn guest(world: &World) -> GuestEnv {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let python = std::env::var_os("TRADEWIND_TEST_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python environment: run the tests with `make test`");
    GuestEnv {
        python,
        guest_package_dir: root.join("python"),
        home: world.dir.path().join("guest"),
        extra_env: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_tasks_run_from_their_bundle() {
    let world = World::new().await;
    let files = [("guests.py", DAG), ("helper.py", "def double(n):\n    return 2 * n\n")];
    let bundle = Bundle::new(
        files
            .iter()
            .map(|(path, text)| BundleFile {
                path: (*path).to_owned(),
                blob: sha256_hex(text.as_bytes()).into(),
                size: text.len() as u64,
                executable: false,
            })
            .collect(),
    );
    let python = |id: &str, upstream: &[&str]| {
        json!({"task_id": id, "upstream": upstream, "operator":
            {"type": "python", "class": "_PythonDecoratedOperator", "module": "airflow.providers.standard.decorators.python"}})
    };
    let spec: DagSpec = serde_json::from_value(json!({
        "dag_id": "guests",
        "tasks": [python("first", &[]), python("second", &["first"]), python("third", &["second"])],
        "source": {"kind": "python", "rel_path": "guests.py"},
    }))
    .unwrap();
    let processor = world.node.client(PROCESSOR);
    for (_, text) in files {
        let blob = v1::BlobChunk { hash: sha256_hex(text.as_bytes()), data: text.as_bytes().to_vec(), last: true };
        processor
            .call(PATIENCE, |channel| {
                let blob = blob.clone();
                async move { dag_client(channel).put_blobs(futures::stream::iter([blob])).await }
            })
            .await
            .unwrap();
    }
    let request = v1::PublishFileRequest {
        rel_path: "guests.py".to_owned(),
        bundle: Some(v1::Bundle::from(&bundle)),
        dags: vec![v1::PublishedDag { version: sha256_hex(to_json(&spec).as_bytes()), spec_json: to_json(&spec) }],
        ..v1::PublishFileRequest::default()
    };
    processor
        .call(PATIENCE, |channel| {
            let request = request.clone();
            async move { dag_client(channel).publish_file(request).await }
        })
        .await
        .unwrap();

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
