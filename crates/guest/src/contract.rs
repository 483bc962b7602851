//! The installed SDK's own schema against what we send and accept. After an upgrade of the SDK this says what moved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tradewind_secrets::Masker;
use uuid::Uuid;

use crate::api::*;
use crate::report::Report;
use crate::requests::{Reply, answer};
use crate::startup::startup_details;

const TI: &str = "00000000-0000-4000-8000-000000000001";

/// Questions that get "not supported by Tradewind yet" for an answer, whatever the host is. The one that is left is asked by
/// `HITLTrigger` alone, which Airflow 3.3's operators do not use any more: the engine keeps the time of a person's answer.
const UNSUPPORTED: [&str; 1] = ["UpdateHITLDetail"];

/// Answered to triggers, which understand more messages than tasks; the schema has those of tasks only.
const FOR_TRIGGERS: &str = "HITLDetailResponseResult";

/// Messages that say how the task went.
fn reports() -> Vec<Value> {
    let now = "2026-01-01T00:00:00Z";
    vec![
        json!({"type": "SucceedTask", "end_date": now, "task_outlets": [], "outlet_events": []}),
        json!({"type": "TaskState", "state": "failed", "end_date": now}),
        json!({"type": "TaskState", "state": "skipped", "end_date": now}),
        json!({"type": "TaskState", "state": "removed", "end_date": now}),
        json!({"type": "RetryTask", "end_date": now, "retry_delay_seconds": 1.5, "retry_reason": "r"}),
        json!({"type": "RescheduleTask", "reschedule_date": now, "end_date": now}),
        json!({"type": "DeferTask", "classpath": "a.B", "trigger_kwargs": {}, "trigger_timeout": "PT5S",
               "queue": null, "next_method": "m", "next_kwargs": {}}),
        json!({"type": "AwaitInputTask", "timeout": "PT5S", "next_method": "m", "next_kwargs": {}}),
        json!({"type": "SkipDownstreamTasks", "tasks": ["a", ["b", 1]]}),
    ]
}

/// Questions, each with every field that we read.
fn questions() -> Vec<Value> {
    let xcom = |kind: &str, more: Value| {
        let mut body = json!({"type": kind, "dag_id": "d", "run_id": "r", "task_id": "t", "key": "k"});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        body
    };
    let filter = json!({"dag_id": "d", "logical_dates": ["2026-01-01T00:00:00Z"], "run_ids": ["r"]});
    let filtered = |kind: &str, more: Value| {
        let mut body = filter.clone();
        body["type"] = kind.into();
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        body
    };
    vec![
        xcom("GetXCom", json!({"map_index": 0, "include_prior_dates": true})),
        xcom("GetXComSequenceSlice", json!({"start": 0, "stop": null, "step": 1, "include_prior_dates": false})),
        xcom("GetXComSequenceItem", json!({"offset": 0})),
        xcom("GetXComCount", json!({})),
        xcom("SetXCom", json!({"value": {"a": 1}, "map_index": -1, "mapped_length": 3})),
        xcom("DeleteXCom", json!({"map_index": -1})),
        json!({"type": "GetVariable", "key": "k"}),
        json!({"type": "GetVariableKeys", "prefix": "p", "limit": 1, "offset": 0}),
        json!({"type": "PutVariable", "key": "k", "value": "v", "description": "d"}),
        json!({"type": "DeleteVariable", "key": "k"}),
        json!({"type": "GetConnection", "conn_id": "c"}),
        json!({"type": "MaskSecret", "value": "secret", "name": "password"}),
        json!({"type": "SetRenderedFields", "rendered_fields": {"a": "b"}}),
        json!({"type": "SetRenderedMapIndex", "rendered_map_index": "label"}),
        json!({"type": "ValidateInletsAndOutlets", "ti_id": TI}),
        json!({"type": "GetDagRun", "dag_id": "d", "run_id": "r"}),
        json!({"type": "GetDagRunState", "dag_id": "d", "run_id": "r"}),
        json!({"type": "GetPreviousDagRun", "dag_id": "d", "logical_date": "2026-01-01T00:00:00Z", "state": "success"}),
        json!({"type": "GetPrevSuccessfulDagRun", "ti_id": TI}),
        filtered("GetDRCount", json!({"states": ["success"]})),
        filtered("GetTICount", json!({"map_index": 0, "task_ids": ["t"], "task_group_id": "g", "states": ["success"]})),
        filtered("GetTaskStates", json!({"map_index": 0, "task_ids": ["t"], "task_group_id": "g"})),
        json!({"type": "GetTaskRescheduleStartDate", "ti_id": TI, "try_number": 1}),
        json!({"type": "GetAssetByName", "name": "a"}),
        json!({"type": "GetAssetByUri", "uri": "s3://a"}),
        json!({"type": "GetAssetsByAlias", "alias_name": "x"}),
        json!({"type": "GetAssetEventByAsset", "name": "a", "uri": null, "after": "2026-01-01T00:00:00Z", "before": null,
               "limit": 3, "ascending": false}),
        json!({"type": "GetAssetEventByAssetAlias", "alias_name": "x", "after": null, "before": "2026-01-01T00:00:00Z",
               "limit": null, "ascending": true}),
        json!({"type": "GetTaskStateStore", "ti_id": TI, "key": "k"}),
        json!({"type": "SetTaskStateStore", "ti_id": TI, "key": "k", "value": {"a": 1}, "expires_at": null}),
        json!({"type": "DeleteTaskStateStore", "ti_id": TI, "key": "k"}),
        json!({"type": "ClearTaskStateStore", "ti_id": TI}),
        json!({"type": "GetAssetStateStoreByName", "name": "a", "key": "k"}),
        json!({"type": "GetAssetStateStoreByUri", "uri": "s3://a", "key": "k"}),
        json!({"type": "SetAssetStateStoreByName", "name": "a", "key": "k", "value": 1}),
        json!({"type": "SetAssetStateStoreByUri", "uri": "s3://a", "key": "k", "value": [1]}),
        json!({"type": "DeleteAssetStateStoreByName", "name": "a", "key": "k"}),
        json!({"type": "DeleteAssetStateStoreByUri", "uri": "s3://a", "key": "k"}),
        json!({"type": "ClearAssetStateStoreByName", "name": "a"}),
        json!({"type": "ClearAssetStateStoreByUri", "uri": "s3://a"}),
        json!({"type": "GetDag", "dag_id": "d"}),
        json!({"type": "GetPreviousTI", "dag_id": "d", "task_id": "t", "logical_date": "2026-01-01T00:00:00Z",
               "map_index": -1, "state": "success"}),
        json!({"type": "GetTaskBreadcrumbs", "dag_id": "d", "run_id": "r"}),
        json!({"type": "CreateHITLDetailPayload", "ti_id": TI, "options": ["yes", "no"], "subject": "s", "body": "b",
               "defaults": ["no"], "multiple": false, "params": {}, "assigned_users": [{"id": "a", "name": "A"}]}),
        json!({"type": "GetHITLDetailResponse", "ti_id": TI}),
        json!({"type": "TriggerDagRun", "dag_id": "d", "run_id": "r", "conf": {}, "logical_date": null,
               "run_after": null, "reset_dag_run": false, "note": "n"}),
    ]
}

fn python() -> PathBuf {
    let python = std::env::var_os("TRADEWIND_TEST_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "{} is missing: run `python/prepare.sh .venv`", python.display());
    python
}

fn ask_python(code: &str) -> String {
    let output = Command::new(python()).args(["-W", "ignore", "-c", code]).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let packages = ask_python("import sysconfig; print(sysconfig.get_paths()['purelib'])");
    let file = Path::new(&packages).join("airflow/sdk/execution_time/schema/schema.json");
    serde_json::from_slice(&std::fs::read(file).expect("the SDK is installed")).expect("JSON")
});

/// Checks a message against the definition of its type, and that it has no field which the SDK does not know.
fn check(message: &Value) {
    let kind = message["type"].as_str().expect("a type");
    let definition = &SCHEMA["$defs"][kind];
    assert!(definition.is_object(), "the SDK has no {kind} any more");
    let schema = json!({"$schema": SCHEMA["$schema"], "$ref": format!("#/$defs/{kind}"), "$defs": SCHEMA["$defs"]});
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(message).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{kind}: {errors:#?}");
    for field in message.as_object().expect("an object").keys() {
        assert!(definition["properties"].get(field).is_some(), "{kind} has no field {field:?} any more");
    }
}

fn body_of(message: &Value) -> (String, Map<String, Value>) {
    let mut body = message.as_object().expect("an object").clone();
    let kind = body.remove("type").and_then(|kind| kind.as_str().map(str::to_owned)).expect("a type");
    (kind, body)
}

#[test]
fn the_start_of_a_task_is_valid() {
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let least = TaskLaunch::new(Uuid::nil(), "d", "t", "r", at);
    check(&startup_details(&least));
    let most = TaskLaunch {
        consumed_events: vec![some_event()],
        run_end_date: Some(at),
        logical_date: Some(at),
        data_interval_start: Some(at),
        data_interval_end: Some(at),
        conf: json!({"a": 1}),
        triggering_user: Some("someone".to_owned()),
        xcom_keys_to_clear: vec!["k".to_owned()],
        next_method: Some("m".to_owned()),
        next_kwargs: Some(json!({"event": 1})),
        ..least
    };
    for run_type in
        ["scheduled", "manual", "backfill", "operator_triggered", "asset_triggered", "asset_materialization"]
    {
        check(&startup_details(&TaskLaunch { run_type: run_type.to_owned(), ..most.clone() }));
    }
}

#[test]
fn every_report_is_understood() {
    for message in reports() {
        check(&message);
        let (kind, body) = body_of(&message);
        assert_eq!(Report::default().take(&kind, &body), Ok(true), "{kind}");
    }
}

#[tokio::test]
async fn every_question_is_answered_with_a_valid_message() {
    for message in questions() {
        check(&message);
        let (kind, body) = body_of(&message);
        for host in [&Full as &dyn TaskHost, &Empty] {
            match answer(host, &Masker::default(), &kind, &mut body.clone()).await {
                Reply::Body(reply) if reply["type"] == FOR_TRIGGERS => {
                    assert_eq!(reply["response_received"], reply["responded_at"].is_string());
                }
                Reply::Body(reply) => check(&reply),
                Reply::Done => {}
                Reply::Error(error) => check(&error),
            }
        }
    }
    check(&json!({"type": "SentFDs", "fds": [0]}));
}

#[tokio::test]
async fn what_is_unsupported_gets_an_error_that_says_so() {
    for kind in UNSUPPORTED {
        let Reply::Error(error) = answer(&Full, &Masker::default(), kind, &mut Map::new()).await else {
            panic!("{kind}")
        };
        check(&error);
        let message = error["detail"]["message"].as_str().unwrap();
        assert_eq!(message, format!("not supported by Tradewind yet: {kind}"));
    }
}

#[test]
fn every_message_that_the_sdk_can_send_is_provided_for() {
    let code = "import typing; from airflow.sdk.execution_time import comms; \
                print(*(m.__name__ for m in typing.get_args(typing.get_args(comms.ToSupervisor)[0])))";
    let sent = ask_python(code);
    let sent: BTreeSet<&str> = sent.lines().last().unwrap_or_default().split(' ').collect();
    let (reports, questions) = (reports(), questions());
    let known: BTreeSet<&str> = reports
        .iter()
        .chain(&questions)
        .filter_map(|message| message["type"].as_str())
        .chain(UNSUPPORTED)
        // Answered by the conversation itself: the answer carries a file descriptor.
        .chain(["ResendLoggingFD"])
        .collect();
    let unknown: Vec<_> = sent.difference(&known).collect();
    assert!(unknown.is_empty(), "the SDK can send {unknown:?}: answer them, or list them as unsupported");
    let gone: Vec<_> = known.difference(&sent).collect();
    assert!(gone.is_empty(), "the SDK does not send {gone:?} any more");
}

/// Has everything.
struct Full;
/// Has nothing.
struct Empty;

fn some_run() -> DagRunInfo {
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    DagRunInfo {
        dag_id: "d".to_owned(),
        run_id: "r".to_owned(),
        logical_date: Some(at),
        data_interval_start: Some(at),
        data_interval_end: Some(at),
        run_after: at,
        start_date: Some(at),
        end_date: None,
        run_type: "scheduled".to_owned(),
        state: "running".to_owned(),
        conf: json!({}),
    }
}

fn some_event() -> AssetEventInfo {
    AssetEventInfo {
        id: 7,
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        asset: some_asset(),
        extra: json!({"n": 1}),
        source: Some(("d".to_owned(), "r".to_owned(), "t".to_owned(), -1)),
        aliases: vec!["x".to_owned()],
    }
}

fn some_asset() -> AssetInfo {
    AssetInfo { name: "a".to_owned(), uri: "s3://a".to_owned(), group: "asset".to_owned(), extra: json!({}) }
}

fn some_ti() -> TaskInstanceInfo {
    TaskInstanceInfo {
        dag_id: "d".to_owned(),
        run_id: "r".to_owned(),
        task_id: "t".to_owned(),
        map_index: -1,
        state: Some("success".to_owned()),
        try_number: 1,
        logical_date: some_run().logical_date,
        start_date: some_run().logical_date,
        end_date: some_run().logical_date,
        ..TaskInstanceInfo::default()
    }
}

type Answer<T> = Result<T, HostError>;

#[async_trait]
impl TaskHost for Full {
    async fn get_previous_ti(&self, _: &PreviousTiQuery) -> Answer<Option<TaskInstanceInfo>> {
        Ok(Some(some_ti()))
    }
    async fn get_dag(&self, dag_id: &str) -> Answer<DagInfo> {
        let next_logical_date = some_run().logical_date;
        Ok(DagInfo { dag_id: dag_id.to_owned(), tags: vec!["a".to_owned()], next_logical_date, ..DagInfo::default() })
    }
    async fn get_finished(&self, _: &str, _: &str) -> Answer<Vec<TaskInstanceInfo>> {
        Ok(vec![some_ti()])
    }
    async fn get_state_value(&self, _: &StateScope, _: &str) -> Answer<Option<Value>> {
        Ok(Some(json!({"a": 1})))
    }
    async fn put_state_value(&self, _: &StateScope, _: &str, _: &Value) -> Answer<()> {
        Ok(())
    }
    async fn delete_state_values(&self, _: &StateScope, _: Option<&str>) -> Answer<()> {
        Ok(())
    }
    async fn get_asset(&self, _: &AssetName) -> Answer<Option<AssetInfo>> {
        Ok(Some(some_asset()))
    }
    async fn get_assets_of_alias(&self, _: &str) -> Answer<Vec<AssetInfo>> {
        Ok(vec![some_asset()])
    }
    async fn get_asset_events(&self, _: &AssetEventQuery) -> Answer<Vec<AssetEventInfo>> {
        Ok(vec![some_event()])
    }
    async fn get_inactive_assets(&self) -> Answer<Vec<(String, String)>> {
        Ok(vec![("a".to_owned(), "s3://a".to_owned())])
    }
    async fn ask_human(&self, question: &HumanQuestion) -> Answer<()> {
        assert_eq!(question.assignees.len(), 1);
        Ok(())
    }
    async fn get_human_answer(&self, _: Uuid) -> Answer<HumanAnswer> {
        let chosen = Some(vec!["yes".to_owned()]);
        Ok(HumanAnswer { at: some_run().logical_date, by: Some("a".to_owned()), chosen, params_input: json!({}) })
    }
    async fn log(&self, _: Vec<LogLine>) {}
    async fn get_xcom(&self, _: &XComAddress, _: bool) -> Answer<Option<Value>> {
        Ok(Some(json!({"a": [1, null]})))
    }
    async fn get_xcom_slice(&self, _: &XComAddress, _: XComSlice) -> Answer<Vec<Value>> {
        Ok(vec![json!(1), json!("two")])
    }
    async fn get_xcom_item(&self, _: &XComAddress, _: i64) -> Answer<Option<Value>> {
        Ok(Some(json!(1)))
    }
    async fn count_xcoms(&self, _: &XComAddress) -> Answer<u64> {
        Ok(2)
    }
    async fn set_xcom(&self, _: &XComAddress, _: Value, _: Option<u64>) -> Answer<()> {
        Ok(())
    }
    async fn delete_xcom(&self, _: &XComAddress) -> Answer<()> {
        Ok(())
    }
    async fn get_variable(&self, _: &str) -> Answer<Option<String>> {
        Ok(Some("value".to_owned()))
    }
    async fn list_variables(&self, _: Option<&str>, _: u64, _: u64) -> Answer<(Vec<String>, u64)> {
        Ok((vec!["k".to_owned()], 1))
    }
    async fn set_variable(&self, _: &str, _: Option<&str>, _: Option<&str>) -> Answer<()> {
        Ok(())
    }
    async fn delete_variable(&self, _: &str) -> Answer<()> {
        Ok(())
    }
    async fn get_connection(&self, conn_id: &str) -> Answer<Option<ConnectionInfo>> {
        Ok(Some(ConnectionInfo {
            conn_id: conn_id.to_owned(),
            conn_type: "http".to_owned(),
            schema: Some("s".to_owned()),
            port: Some(80),
            ..ConnectionInfo::default()
        }))
    }
    async fn set_rendered_fields(&self, _: Value) -> Answer<()> {
        Ok(())
    }
    async fn get_dag_run(&self, _: &str, _: &str) -> Answer<DagRunInfo> {
        Ok(some_run())
    }
    async fn get_dag_run_state(&self, _: &str, _: &str) -> Answer<String> {
        Ok("success".to_owned())
    }
    async fn get_previous_dag_run(&self, _: &str, _: Timestamp, _: Option<&str>) -> Answer<Option<DagRunInfo>> {
        Ok(Some(some_run()))
    }
    async fn get_previous_successful_dag_run(&self, _: Uuid) -> Answer<Option<DagRunInfo>> {
        Ok(Some(some_run()))
    }
    async fn count_dag_runs(&self, _: &TaskInstanceFilter) -> Answer<u64> {
        Ok(1)
    }
    async fn count_task_instances(&self, _: &TaskInstanceFilter) -> Answer<u64> {
        Ok(1)
    }
    async fn get_task_states(&self, _: &TaskInstanceFilter) -> Answer<Vec<(String, String, Option<String>)>> {
        Ok(vec![("r".to_owned(), "t".to_owned(), Some("success".to_owned()))])
    }
    async fn get_first_reschedule_date(&self, _: Uuid, _: u32) -> Answer<Option<Timestamp>> {
        Ok(some_run().start_date)
    }
    async fn trigger_dag_run(&self, _: TriggerRequest) -> Answer<()> {
        Ok(())
    }
}

#[async_trait]
impl TaskHost for Empty {
    async fn get_previous_ti(&self, _: &PreviousTiQuery) -> Answer<Option<TaskInstanceInfo>> {
        Ok(None)
    }
    async fn get_state_value(&self, _: &StateScope, _: &str) -> Answer<Option<Value>> {
        Ok(None)
    }
    async fn get_asset(&self, _: &AssetName) -> Answer<Option<AssetInfo>> {
        Ok(None)
    }
    async fn get_asset_events(&self, _: &AssetEventQuery) -> Answer<Vec<AssetEventInfo>> {
        Ok(Vec::new())
    }
    async fn get_human_answer(&self, _: Uuid) -> Answer<HumanAnswer> {
        Ok(HumanAnswer::default())
    }
    async fn log(&self, _: Vec<LogLine>) {}
    async fn get_xcom(&self, _: &XComAddress, _: bool) -> Answer<Option<Value>> {
        Ok(None)
    }
    async fn get_xcom_slice(&self, _: &XComAddress, _: XComSlice) -> Answer<Vec<Value>> {
        Ok(vec![])
    }
    async fn get_xcom_item(&self, _: &XComAddress, _: i64) -> Answer<Option<Value>> {
        Ok(None)
    }
    async fn count_xcoms(&self, _: &XComAddress) -> Answer<u64> {
        Ok(0)
    }
    async fn set_xcom(&self, _: &XComAddress, _: Value, _: Option<u64>) -> Answer<()> {
        Err(HostError::Refused { message: "too large".to_owned() })
    }
    async fn delete_xcom(&self, _: &XComAddress) -> Answer<()> {
        Err(HostError::Unavailable { message: "no scheduler".to_owned() })
    }
    async fn get_variable(&self, _: &str) -> Answer<Option<String>> {
        Ok(None)
    }
    async fn set_variable(&self, _: &str, _: Option<&str>, _: Option<&str>) -> Answer<()> {
        Err(HostError::Refused { message: "read only".to_owned() })
    }
    async fn delete_variable(&self, _: &str) -> Answer<()> {
        Ok(())
    }
    async fn get_connection(&self, _: &str) -> Answer<Option<ConnectionInfo>> {
        Ok(None)
    }
    async fn set_rendered_fields(&self, _: Value) -> Answer<()> {
        Ok(())
    }
    async fn get_previous_dag_run(&self, _: &str, _: Timestamp, _: Option<&str>) -> Answer<Option<DagRunInfo>> {
        Ok(None)
    }
    async fn get_previous_successful_dag_run(&self, _: Uuid) -> Answer<Option<DagRunInfo>> {
        Ok(None)
    }
    async fn trigger_dag_run(&self, _: TriggerRequest) -> Answer<()> {
        Err(HostError::AlreadyExists { message: "run r exists".to_owned() })
    }
}
