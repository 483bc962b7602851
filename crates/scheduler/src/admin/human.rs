//! Questions to people (human in the loop): listing and answering them, by the rules of Airflow's route
//! (`api_fastapi/core_api/routes/public/hitl.py`).

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tradewind_engine::Event;
use tradewind_ports::HumanInputFilter;
use tradewind_proto::v1;
use tradewind_types::{ApiError, HumanInput, Timestamp, sdk_datetime};

use super::{ADMIN, page, runs::run_id_of, tasks::find_instance};
use crate::{
    core::{Core, store_error},
    params::check_value,
};

pub(crate) async fn list_human_inputs(
    core: &Arc<Core>,
    request: v1::ListHumanInputsRequest,
) -> Result<v1::ListHumanInputsResponse, ApiError> {
    let run_id = run_id_of(core, request.dag_id.as_deref(), request.run_id.as_deref()).await?;
    let filter = HumanInputFilter { dag_id: request.dag_id.map(Into::into), run_id, answered: request.answered };
    let listing = core.store.human_inputs(&filter, page(request.page)).await.map_err(store_error)?;
    Ok(v1::ListHumanInputsResponse { inputs: listing.rows.iter().map(Into::into).collect(), total: listing.total })
}

pub(crate) async fn answer_human(
    core: &Arc<Core>,
    request: v1::AnswerHumanRequest,
) -> Result<v1::HumanInput, ApiError> {
    core.leadership()?;
    let task = request.task.ok_or_else(|| ApiError::invalid("task: missing"))?;
    let ti = find_instance(core, &task).await?;
    let asked = core.store.human_input(ti.id).await.map_err(store_error)?;
    let mut input =
        asked.ok_or_else(|| ApiError::not_found(format!("the task \"{}\" asks nobody anything", ti.task_id)))?;
    if let Some(at) = input.responded_at {
        let by = input.responded_by.as_deref().unwrap_or("the defaults");
        return Err(ApiError::conflict(format!(
            "the question of the task \"{}\" was answered at {at} by {by}; an answer is final",
            ti.task_id
        )));
    }
    let params_input = match tradewind_proto::json("params_input", &request.params_input_json)? {
        Value::Null => json!({}),
        params @ Value::Object(_) => params,
        _ => return Err(ApiError::invalid("params_input: it must be a JSON object")),
    };
    check_answer(&input, &request.chosen_options, &params_input)?;
    let at = tradewind_types::truncate_micros(core.clock.now());
    input.responded_at = Some(at);
    input.responded_by = Some(ADMIN.to_owned());
    input.chosen_options = Some(request.chosen_options);
    input.params_input = params_input;
    let event = resume_event(&input, at);
    core.step_one(Event::AnswerHuman { input: Box::new(input), event }).await?;
    let answered = core.store.human_input(ti.id).await.map_err(store_error)?;
    let answered = answered.ok_or_else(|| ApiError::internal("the answered question is not in the store"))?;
    Ok(v1::HumanInput::from(&answered))
}

/// Checks an answer against its question.
fn check_answer(input: &HumanInput, chosen: &[String], params_input: &Value) -> Result<(), ApiError> {
    let wrong = |what: String| {
        Err(ApiError::invalid(format!("the answer to \"{}\" of the task \"{}\": {what}", input.subject, input.task_id)))
    };
    if chosen.is_empty() {
        return wrong(format!("choose one of {:?}", input.options));
    }
    if let Some(foreign) = chosen.iter().find(|option| !input.options.contains(option)) {
        return wrong(format!("\"{foreign}\" is not among the options {:?}", input.options));
    }
    if !input.multiple && chosen.len() > 1 {
        return wrong(format!("only one option may be chosen, not {}", chosen.len()));
    }
    let (Some(params), Some(given)) = (input.params.as_object(), params_input.as_object()) else { return Ok(()) };
    if params.is_empty() || given.is_empty() {
        return Ok(());
    }
    let (asked, filled): (BTreeSet<&String>, BTreeSet<&String>) = (params.keys().collect(), given.keys().collect());
    if asked != filled {
        return wrong(format!("it fills in {filled:?}, the question asks for {asked:?}"));
    }
    for (name, value) in given {
        // A param is a plain value or `{"value": …, "description": …, "schema": …}`.
        if let Some(schema) = params.get(name).and_then(|param| param.get("schema"))
            && let Err(problem) = check_value(schema, value)
        {
            return wrong(format!("its param \"{name}\" has the value {value}: {problem}"));
        }
    }
    Ok(())
}

/// What the task is told (Airflow's `as_resume_event_payload`), as the SDK serializes it.
fn resume_event(input: &HumanInput, at: Timestamp) -> Value {
    let by = input.responded_by.as_ref().map(|user| json!({"id": user, "name": user}));
    json!({
        "chosen_options": input.chosen_options.clone().unwrap_or_default(),
        "params_input": input.params_input,
        "responded_at": sdk_datetime(at),
        "responded_by_user": by,
        "timedout": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(multiple: bool) -> HumanInput {
        serde_json::from_value(json!({
            "ti": "00000000-0000-0000-0000-000000000001", "dag_id": "d", "run_id": "r", "task_id": "ask",
            "map_index": -1, "subject": "Go?", "options": ["Yes", "No"], "multiple": multiple,
            "params": {
                "n": {"value": 1, "description": null, "schema": {"type": "integer", "minimum": 1}},
                "why": "because",
            },
            "created_at": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    fn problem(multiple: bool, chosen: &[&str], params: &Value) -> String {
        let chosen: Vec<String> = chosen.iter().map(ToString::to_string).collect();
        check_answer(&question(multiple), &chosen, params).err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn answers_must_fit_their_question() {
        let full = json!({"n": 2, "why": "so"});
        assert_eq!(problem(false, &["Yes"], &json!({})), "");
        assert_eq!(problem(false, &["No"], &full), "");
        assert_eq!(problem(true, &["Yes", "No"], &full), "");
        assert!(problem(false, &["Yes", "No"], &full).contains("only one option"));
        assert!(problem(false, &[], &full).contains("choose one"));
        assert!(problem(false, &["Maybe"], &full).contains("\"Maybe\" is not among"));
        assert!(problem(false, &["Yes"], &json!({"n": 2})).contains("asks for"));
        assert!(problem(false, &["Yes"], &json!({"n": 0, "why": "so"})).contains("minimum"));
    }

    #[test]
    fn the_event_is_what_the_sdk_reads() {
        let at: Timestamp = "2026-11-21T15:24:11.79456Z".parse().unwrap();
        let mut input = question(false);
        input.chosen_options = Some(vec!["Yes".to_owned()]);
        input.responded_by = Some("admin".to_owned());
        input.params_input = json!({"n": 2});
        let event = resume_event(&input, at);
        assert_eq!(event["responded_at"]["__data__"]["timestamp"], json!(1_795_274_651.794_56));
        assert_eq!(event["responded_by_user"], json!({"id": "admin", "name": "admin"}));
        assert_eq!(event["params_input"], json!({"n": 2}));
        assert_eq!(event["timedout"], json!(false));
    }
}
