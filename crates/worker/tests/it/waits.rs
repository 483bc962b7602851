//! Deferred tasks and the triggers that workers host for them.

use serde_json::{Value, json};
use tradewind_proto::{admin_client, v1};

use crate::{
    harness::{eventually, trigger},
    support::{PATIENCE, World, guest, publish_files, python},
};

const DAG: &str = r#"
import datetime
from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator, task
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from own_triggers import Echo, Gate, Raises, Ends

class Defers(BaseOperator):
    def __init__(self, make, **kwargs):
        super().__init__(**kwargs)
        self.make = make
    def execute(self, context):
        self.defer(trigger=self.make(), method_name="go_on", kwargs={"n": 1})
    def go_on(self, context, n, event):
        return [n, event if not isinstance(event, datetime.datetime) else "a moment"]

with DAG("waits", schedule=None, start_date=datetime.datetime(2026, 1, 1)):
    Defers(task_id="echo", make=lambda: Echo("hello"))
    Defers(task_id="moment", make=lambda: TimeDeltaTrigger(datetime.timedelta(seconds=1)))
    Defers(task_id="raises", make=Raises)
    Defers(task_id="ends", make=Ends)
with DAG("gates", schedule=None, start_date=datetime.datetime(2026, 1, 1)):
    for number in range(20):
        Defers(task_id=f"gate_{number}", make=Gate)
with DAG("people", schedule=None, start_date=datetime.datetime(2026, 1, 1)):
    HITLOperator(task_id="ask", subject="Go on?", options=["yes", "no"])
with DAG("updates", schedule=None, start_date=datetime.datetime(2026, 1, 1)):
    A, X = Asset("a", uri="s3://bucket/a"), AssetAlias("x")
    @task(outlets=[A, X])
    def make(outlet_events=None):
        outlet_events[A].extra = {"rows": 3}
        outlet_events[X].add(Asset("b", uri="s3://bucket/b"), extra={"n": 1})
    make()
"#;

const TRIGGERS: &str = r#"
import asyncio
import os
from airflow.sdk import Variable
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

class Echo(BaseTrigger):
    def __init__(self, text):
        super().__init__()
        self.text = text
    def serialize(self):
        return "own_triggers.Echo", {"text": self.text}
    async def run(self):
        print("echoing", self.text)
        yield TriggerEvent(self.text + "!")

class Plain(BaseTrigger):
    def serialize(self):
        return f"own_triggers.{type(self).__name__}", {}

class Raises(Plain):
    async def run(self):
        raise RuntimeError("no luck here")
        yield

class Ends(Plain):
    async def run(self):
        yield TaskSuccessEvent(xcoms={"return_value": "of the trigger"})

class Gate(Plain):
    async def run(self):
        print("at the gate", os.getpid())
        while Variable.get("gate", default="closed") != "open":
            await asyncio.sleep(0.2)
        yield TriggerEvent("through")
"#;

const FILES: [(&str, &str); 2] = [("waits.py", DAG), ("own_triggers.py", TRIGGERS)];

fn dag(dag_id: &str, tasks: &[&str]) -> Value {
    let tasks: Vec<Value> = tasks.iter().map(|task| python(task, &[])).collect();
    json!({"dag_id": dag_id, "tasks": tasks})
}

async fn open_the_gate(world: &World) {
    let variable = v1::Variable { key: "gate".to_owned(), value: "open".to_owned(), description: None };
    world
        .admin
        .call(PATIENCE, |channel| {
            let variable = variable.clone();
            async move { admin_client(channel).set_variable(variable).await }
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_tasks_wait_in_a_host_and_resume() {
    let world = World::new().await;
    publish_files(&world, &FILES, &[dag("waits", &["echo", "moment", "raises", "ends"])]).await;
    let worker = world.start(world.settings("w"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "waits").await;
    assert_eq!(world.ends(&run).await, "failed", "one of them fails");

    assert_eq!(world.xcom(&run, "echo").await, Some(json!([1, "hello!"])));
    assert_eq!(world.xcom(&run, "moment").await, Some(json!([1, "a moment"])));
    assert_eq!(world.xcom(&run, "ends").await, Some(json!("of the trigger")));
    let raises = world.task(&run, "raises").await;
    assert_eq!((raises.state.as_str(), raises.try_number), ("failed", 1));
    assert!(raises.note.as_deref().is_some_and(|note| note.contains("TaskDeferralError")), "{raises:?}");
    let log = world.messages(&run, "raises").await.join("\n");
    assert!(log.contains("no luck here"), "{log}");
    worker.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_host_hands_its_triggers_over() {
    let world = World::new().await;
    let gates: Vec<String> = (0..20).map(|number| format!("gate_{number}")).collect();
    let gates: Vec<&str> = gates.iter().map(String::as_str).collect();
    publish_files(&world, &FILES, &[dag("gates", &gates)]).await;
    let one = world.start(world.settings("one"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "gates").await;
    for gate in &gates {
        world.becomes(&run, gate, "deferred").await;
    }
    let two = world.start(world.settings("two"), world.installation.queue.clone(), Some(guest(&world)));
    // Waits may last for days: a drain gives them up at once.
    let begun = std::time::Instant::now();
    one.stop().await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "the drain took {:?}", begun.elapsed());
    open_the_gate(&world).await;
    assert_eq!(world.ends(&run).await, "success");
    let gate = world.task(&run, "gate_7").await;
    assert_eq!((gate.try_number, gate.worker_losses), (1, 0));
    assert_eq!(world.xcom(&run, "gate_7").await, Some(json!([1, "through"])));
    two.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_outlive_the_death_of_their_process() {
    let world = World::new().await;
    publish_files(&world, &FILES, &[dag("gates", &["gate_0", "gate_1"])]).await;
    let worker = world.start(world.settings("w"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "gates").await;
    world.becomes(&run, "gate_0", "deferred").await;
    let pid = eventually("the process of the trigger", || async {
        let messages = world.messages(&run, "gate_0").await;
        messages.iter().find_map(|line| line.strip_prefix("at the gate ").map(str::to_owned))
    })
    .await;
    let killed = std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    eventually("the start in another process", || async {
        let messages = world.messages(&run, "gate_0").await;
        messages.iter().any(|line| line.starts_with("at the gate ") && !line.ends_with(&pid)).then_some(())
    })
    .await;
    open_the_gate(&world).await;
    assert_eq!(world.ends(&run).await, "success");
    let gate = world.task(&run, "gate_0").await;
    assert_eq!((gate.try_number, gate.worker_losses), (1, 0));
    worker.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_tasks_hold_no_slot() {
    let world = World::new().await;
    let gates: Vec<String> = (0..20).map(|number| format!("gate_{number}")).collect();
    let gates: Vec<&str> = gates.iter().map(String::as_str).collect();
    publish_files(&world, &FILES, &[dag("gates", &gates)]).await;
    let mut settings = world.settings("w");
    settings.slots = 1;
    let worker = world.start(settings, world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "gates").await;
    for gate in &gates {
        world.becomes(&run, gate, "deferred").await;
    }
    open_the_gate(&world).await;
    assert_eq!(world.ends(&run).await, "success");
    worker.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_answers_a_waiting_task() {
    let world = World::new().await;
    publish_files(&world, &FILES, &[dag("people", &["ask"])]).await;
    let worker = world.start(world.settings("w"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "people").await;
    world.becomes(&run, "ask", "awaiting_input").await;
    let request = v1::AnswerHumanRequest {
        task: Some(crate::support::reference(&run, "ask")),
        chosen_options: vec!["yes".to_owned()],
        ..v1::AnswerHumanRequest::default()
    };
    world
        .admin
        .call(PATIENCE, |channel| {
            let request = request.clone();
            async move { admin_client(channel).answer_human(request).await }
        })
        .await
        .unwrap();
    assert_eq!(world.ends(&run).await, "success");
    let answer = world.xcom(&run, "ask").await.unwrap();
    assert_eq!(answer["chosen_options"], json!(["yes"]), "{answer}");
    worker.stop().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outlets_become_asset_events() {
    let world = World::new().await;
    let asset = json!({"type": "asset", "name": "a", "uri": "s3://bucket/a"});
    let mut updates = dag("updates", &["make"]);
    updates["assets"] = json!([{"key": {"name": "a", "uri": "s3://bucket/a"}}]);
    updates["tasks"][0]["outlets"] = json!([asset, {"type": "alias", "name": "x"}]);
    publish_files(&world, &FILES, &[updates]).await;
    let worker = world.start(world.settings("w"), world.installation.queue.clone(), Some(guest(&world)));
    let run = trigger(&world.admin, "updates").await;
    assert_eq!(world.ends(&run).await, "success", "{:?}", world.messages(&run, "make").await);
    let found = world
        .admin
        .call(PATIENCE, |channel| async move {
            admin_client(channel).list_asset_events(v1::ListAssetEventsRequest::default()).await
        })
        .await
        .unwrap();
    let mut events: Vec<(String, String, Vec<String>)> =
        found.events.into_iter().map(|event| (event.name, event.extra_json, event.aliases)).collect();
    events.sort();
    let expected = [
        ("a".to_owned(), r#"{"rows":3}"#.to_owned(), vec![]),
        ("b".to_owned(), r#"{"n":1}"#.to_owned(), vec!["x".to_owned()]),
    ];
    assert_eq!(events, expected);
    worker.stop().await;
    world.node.stop().await;
}
