//! Waits without a slot: triggers on their hosts, people; and callbacks.

use std::time::Duration;

use serde_json::{Value, json};
use tradewind_ports::Queue;
use tradewind_proto::v1;
use tradewind_types::{
    AttemptKey, AttemptOutcome, DagSpec, Deferral, ErrorCode, HumanInput, LeaseToken, QueueName, Resume, Trigger,
};

use crate::harness::{ADMIN, Hand, Installation, Node, PROCESSOR, WORKER, dag, publish, run_state, trigger};

async fn started(installation: &Installation, spec: &DagSpec) -> (Node, Hand, v1::DagRun) {
    let node = installation.scheduler("a").await;
    node.leads().await;
    publish(&node.client(PROCESSOR), spec).await;
    let hand = Hand::new(node.client(WORKER), "w");
    hand.register(&["default"]).await.unwrap();
    let run = trigger(&node.client(ADMIN), spec.dag_id.as_str()).await;
    (node, hand, run)
}

fn deferred(trigger: Trigger) -> AttemptOutcome {
    AttemptOutcome::Deferred {
        trigger,
        timeout: None,
        next_method: "execute_complete".to_owned(),
        next_kwargs: json!({"a": 1}),
    }
}

fn deferral(grant: &v1::Grant) -> Deferral {
    serde_json::from_str(grant.ti.as_ref().unwrap().deferral_json.as_deref().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_is_hosted_by_its_hint_and_resumes_the_task() {
    let mut installation = Installation::new().await;
    // Hints come at once, not with the next repair of the queue.
    installation.repair_interval = Duration::from_secs(3_600);
    let (node, hand, run) = started(&installation, &dag("d", &[("waits", &[])])).await;
    let (_, key, token) = hand.next().await;
    let hosted = Trigger::Hosted { class: "m.Trigger".to_owned(), kwargs: json!({"n": 2}) };
    hand.report(key, token, deferred(hosted.clone()), Vec::new(), 0).await.unwrap();
    let queue = [QueueName::from("default.triggers")];
    let (_, hint) = installation.queue.pop(&queue, 1, Duration::from_secs(10)).await.unwrap().remove(0);
    // An ordinary slot that asks for whatever is next gets no trigger.
    assert!(hand.claim(None, uuid::Uuid::new_v4()).await.unwrap().is_none());
    let token = LeaseToken(uuid::Uuid::new_v4());
    let grant = hand.claim(Some(hint), token.0).await.unwrap().expect("the trigger");
    assert_eq!(grant.ti.as_ref().unwrap().state, "deferred");
    assert_eq!(deferral(&grant).trigger, hosted);
    assert!(hand.heartbeat(&[(hint, token)]).await.cancel.is_empty());
    // Its token reads, like any attempt's.
    let variable = v1::GetVariableRequest { attempt: Some(v1::AttemptRef::new(hint, token)), key: "x".to_owned() };
    assert_eq!(worker!(node, get_variable, variable).unwrap().variable, None);

    let fired = AttemptOutcome::TriggerFired { event: json!("done") };
    let answer = hand.report(hint, token, fired, Vec::new(), 0).await.unwrap();
    assert_eq!(answer.results[0].error, "");
    let (grant, key, token) = hand.next().await;
    assert_eq!(grant.ti.as_ref().unwrap().try_number, 1, "the same try");
    assert_eq!(deferral(&grant).resume, Some(Resume::Event { event: json!("done") }));
    hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    assert_eq!(run_state(&node.client(ADMIN), &run).await.run.unwrap().state, "success");
    node.stop().await;
}

fn question(fields: Value) -> String {
    let mut question = json!({
        "ti": "00000000-0000-0000-0000-000000000000", "dag_id": "?", "run_id": "?", "task_id": "?", "map_index": 7,
        "subject": "Go?", "options": ["Yes", "No"], "created_at": "1970-01-01T00:00:00Z", "responded_by": "mallory",
        "params": {"n": {"value": 1, "description": null, "schema": {"type": "integer"}}},
    });
    question.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    question.to_string()
}

fn read(input: &v1::HumanInput) -> HumanInput {
    HumanInput::try_from(input.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_answers_once_and_the_task_goes_on() {
    let installation = Installation::new().await;
    let (node, hand, run) = started(&installation, &dag("d", &[("asks", &[])])).await;
    let (_, key, token) = hand.next().await;
    let attempt = Some(v1::AttemptRef::new(key, token));
    let ask = |input_json: String| v1::AskHumanRequest { attempt: attempt.clone(), input_json };
    for bad in [json!({"options": []}), json!({"defaults": ["Maybe"]}), json!({"defaults": ["Yes", "No"]})] {
        let error = worker!(node, ask_human, ask(question(bad))).unwrap_err();
        assert!(error.code == ErrorCode::Invalid && error.message.contains("asks"), "{}", error.message);
    }
    let asked = read(&worker!(node, ask_human, ask(question(json!({})))).unwrap());
    assert_eq!((asked.ti, asked.task_id.as_str(), asked.map_index), (key.ti, "asks", -1), "ids are the leader's");
    assert_eq!(asked.responded_by, None);
    hand.report(key, token, deferred(Trigger::Input), Vec::new(), 0).await.unwrap();
    let state = run_state(&node.client(ADMIN), &run).await;
    assert_eq!(state.task_instances[0].state, "awaiting_input");
    let list = |answered| v1::ListHumanInputsRequest {
        dag_id: Some("d".to_owned()),
        answered: Some(answered),
        ..v1::ListHumanInputsRequest::default()
    };
    assert_eq!(admin!(node, list_human_inputs, list(false)).unwrap().total, 1);

    let answer = |chosen: &[&str], params: &str| v1::AnswerHumanRequest {
        task: Some(v1::TaskInstanceRef {
            dag_id: "d".to_owned(),
            run_id: run.run_id.clone(),
            task_id: "asks".to_owned(),
            map_index: -1,
        }),
        chosen_options: chosen.iter().map(ToString::to_string).collect(),
        params_input_json: params.to_owned(),
    };
    for (chosen, params) in [(vec!["Maybe"], ""), (vec!["Yes", "No"], ""), (vec!["Yes"], r#"{"n":"x"}"#), (vec![], "")]
    {
        let error = admin!(node, answer_human, answer(&chosen, params)).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid, "{chosen:?} {params}");
    }
    let given = read(&admin!(node, answer_human, answer(&["Yes"], r#"{"n":5}"#)).unwrap());
    assert_eq!(given.chosen_options, Some(vec!["Yes".to_owned()]));
    let again = admin!(node, answer_human, answer(&["No"], "")).unwrap_err();
    assert_eq!(again.code, ErrorCode::Conflict);
    assert!(again.message.contains("admin"), "{}", again.message);
    assert_eq!(admin!(node, list_human_inputs, list(true)).unwrap().total, 1);

    let (grant, key, token) = hand.next().await;
    let Some(Resume::Event { event }) = deferral(&grant).resume else { panic!("{grant:?}") };
    assert_eq!(event["chosen_options"], json!(["Yes"]));
    assert_eq!(event["params_input"], json!({"n": 5}));
    assert_eq!(event["timedout"], json!(false));
    let own = |ti: String| v1::GetHumanInputRequest { attempt: Some(v1::AttemptRef::new(key, token)), ti };
    assert_eq!(read(&worker!(node, get_human_input, own(key.ti.to_string())).unwrap()), given);
    let foreign = worker!(node, get_human_input, own(uuid::Uuid::new_v4().to_string()));
    assert_eq!(foreign.unwrap_err().code, ErrorCode::Forbidden);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_a_dag_runs_on_a_worker() {
    let installation = Installation::new().await;
    let mut spec = dag("d", &[("fails", &[])]);
    spec.on_failure_callback = true;
    let (node, hand, run) = started(&installation, &spec).await;
    let (_, key, token) = hand.next().await;
    let failed = AttemptOutcome::Failed { retry: false, delay: None };
    hand.report(key, token, failed, Vec::new(), 0).await.unwrap();

    let (grant, key, token) = hand.next_callback().await;
    let callback = grant.callback.unwrap();
    assert_eq!((callback.kind.as_str(), callback.state.as_str()), ("dag_failure", "running"));
    assert_eq!(grant.run.unwrap().run_id, run.run_id);
    assert_eq!(grant.dag.unwrap().rel_path, "d.yaml");
    assert!(grant.ti.is_none() && grant.task_json.is_empty());
    may_read_and_log(&node, &installation, key, token).await;
    let answer = hand.report(key, token, AttemptOutcome::Success, Vec::new(), 0).await.unwrap();
    assert_eq!(answer.results[0].error, "");
    let list = v1::ListCallbacksRequest {
        dag_id: Some("d".to_owned()),
        run_id: Some(run.run_id.clone()),
        ..v1::ListCallbacksRequest::default()
    };
    let listed = admin!(node, list_callbacks, list).unwrap();
    assert_eq!((listed.total, listed.callbacks[0].state.as_str()), (1, "success"));
    node.stop().await;
}

/// The token of a callback reads and logs, but changes nothing of the run.
async fn may_read_and_log(node: &Node, installation: &Installation, key: AttemptKey, token: LeaseToken) {
    let attempt = Some(v1::AttemptRef::new(key, token));
    let variable = v1::GetVariableRequest { attempt: attempt.clone(), key: "x".to_owned() };
    worker!(node, get_variable, variable).unwrap();
    let line = b"{}\n".to_vec();
    let append = v1::AppendLogRequest { attempt: attempt.clone(), offset: 0, data: line.clone(), end: false };
    worker!(node, append_log, append).unwrap();
    assert_eq!(tradewind_ports::LogStore::read_log(&*installation.store, key, 0, 100).await.unwrap(), line);
    let rendered = v1::PutRenderedRequest { attempt: attempt.clone(), fields_json: "{}".to_owned() };
    assert_eq!(worker!(node, put_rendered, rendered).unwrap_err().code, ErrorCode::Forbidden);
    let run = v1::TriggerDagRunRequest { attempt, dag_id: "d".to_owned(), ..v1::TriggerDagRunRequest::default() };
    assert_eq!(worker!(node, trigger_dag_run, run).unwrap_err().code, ErrorCode::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_a_lost_task_knows_the_try_that_was_lost() {
    let mut installation = Installation::new().await;
    installation.lease = Duration::from_millis(600);
    installation.repair_interval = Duration::from_secs(3_600);
    let mut spec = dag("d", &[("lost", &[])]);
    spec.tasks[0].on_retry_callback = true;
    spec.tasks[0].retry.retries = 1;
    spec.tasks[0].retry.delay = Duration::from_millis(1);
    let (node, hand, run) = started(&installation, &spec).await;
    let (_, lost, _) = hand.next().await;
    // Nobody renews the lease. Two hints follow: the second try and the callback of the first.
    let queue = [QueueName::from("default")];
    let mut hints = Vec::new();
    while hints.len() < 2 {
        let popped = installation.queue.pop(&queue, 1, Duration::from_secs(10)).await.unwrap();
        hints.extend(popped.into_iter().map(|(_, key)| key).filter(|key| *key != lost));
        hints.sort();
        hints.dedup();
    }
    let try_again = *hints.iter().find(|key| key.ti == lost.ti).unwrap();
    let callback = *hints.iter().find(|key| key.ti != lost.ti).unwrap();
    let second = hand.claim(Some(try_again), uuid::Uuid::new_v4()).await.unwrap().expect("the second try");
    assert_eq!(second.ti.unwrap().try_number, 2);
    let answer = hand.offer(Some(callback), uuid::Uuid::new_v4()).await.unwrap();
    let Some(v1::claim_answer::Answer::Callback(grant)) = answer else { panic!("{answer:?}") };
    assert_eq!(grant.callback.unwrap().kind, "task_retry");
    let ti = grant.ti.unwrap();
    assert_eq!((ti.task_id.as_str(), ti.try_number, ti.attempt), ("lost", 1, 1));
    assert!(grant.task_json.contains("\"lost\""));
    assert_eq!(grant.run.unwrap().run_id, run.run_id);
    node.stop().await;
}
