//! What a running task may ask others to do: a person to answer, another DAG to run.

use tradewind_engine::{Event, Trigger};
use tradewind_proto::{attempt_ref, instant_opt, json, uuid, v1};
use tradewind_types::{ApiError, AuditEvent, ErrorCode, HumanInput, RunType, TiId, check_run_id};

use super::{WorkerApi, random_suffix};
use crate::{
    admin::{run_again, taken_by, trigger_new_run},
    core::store_error,
    params::conf_object,
};

impl WorkerApi {
    /// Keeps the question of a task instance. Asked again, an open question stays as it is; an answered one is open again.
    pub(super) async fn do_ask_human(&self, request: v1::AskHumanRequest) -> Result<v1::HumanInput, ApiError> {
        let (key, token) = attempt_ref(request.attempt.as_ref())?;
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        let ti = holder.own_instance()?;
        self.check_size("the question", request.input_json.len())?;
        let serde_json::Value::Object(mut fields) = json("input", &request.input_json)? else {
            return Err(ApiError::invalid("input: it must be a JSON object"));
        };
        for answer in ["responded_at", "responded_by", "chosen_options", "params_input"] {
            fields.remove(answer);
        }
        // The leader's; whatever the worker wrote there is only a placeholder.
        for (name, value) in [
            ("ti", serde_json::json!(ti.id)),
            ("dag_id", serde_json::json!(ti.dag_id)),
            ("run_id", serde_json::json!(ti.run_id)),
            ("task_id", serde_json::json!(ti.task_id)),
            ("map_index", serde_json::json!(ti.map_index)),
            ("created_at", serde_json::json!(self.core.clock.now())),
        ] {
            fields.insert(name.to_owned(), value);
        }
        let input: HumanInput = serde_json::from_value(serde_json::Value::Object(fields))
            .map_err(|error| ApiError::invalid(format!("input: {error}")))?;
        check_question(&input)?;
        self.core.step_one(Event::AskHuman { key, token, input: Box::new(input) }).await?;
        self.human_input(ti.id).await
    }

    pub(super) async fn do_get_human_input(
        &self,
        request: v1::GetHumanInputRequest,
    ) -> Result<v1::HumanInput, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        let wanted = TiId(uuid("ti", &request.ti)?);
        if holder.own_instance()?.id != wanted {
            return Err(ApiError::new(ErrorCode::Forbidden, "a task may only read its own question"));
        }
        self.human_input(wanted).await
    }

    async fn human_input(&self, ti: TiId) -> Result<v1::HumanInput, ApiError> {
        let found = self.core.store.human_input(ti).await.map_err(store_error)?;
        let input = found.ok_or_else(|| ApiError::not_found("the task instance has asked nobody anything"))?;
        Ok(v1::HumanInput::from(&input))
    }

    pub(super) async fn do_trigger_dag_run(&self, request: v1::TriggerDagRunRequest) -> Result<v1::DagRun, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        let ti = holder.own_instance()?;
        if let Some(run_id) = &request.run_id {
            check_run_id(run_id).map_err(ApiError::invalid)?;
        }
        let by = format!("task {}.{}", ti.dag_id, ti.task_id);
        let trigger = Trigger {
            dag_id: request.dag_id.into(),
            run_id: request.run_id.map(Into::into),
            run_type: RunType::OperatorTriggered,
            logical_date: instant_opt("logical_date", request.logical_date)?,
            run_after: instant_opt("run_after", request.run_after)?,
            conf: conf_object(json("conf", &request.conf_json)?)?,
            by: by.clone(),
            suffix: random_suffix(),
        };
        let run = match taken_by(&self.core, &trigger).await? {
            Some(run) if request.reset => run_again(&self.core, &run, &by).await?,
            _ => trigger_new_run(&self.core, trigger).await?,
        };
        if let Some(note) = request.note {
            let line = AuditEvent {
                at: self.core.clock.now(),
                event: "run.note".to_owned(),
                by,
                dag_id: Some(run.dag_id.as_str().into()),
                run_id: Some(run.run_id.as_str().into()),
                task_id: None,
                detail: Some(note),
            };
            self.core.store.put_audit(&line).await.map_err(store_error)?;
        }
        Ok(run)
    }
}

/// Checks that a question can be answered, and that its defaults are an answer.
fn check_question(input: &HumanInput) -> Result<(), ApiError> {
    let wrong = |what: String| ApiError::invalid(format!("the question of the task \"{}\": {what}", input.task_id));
    if input.options.is_empty() {
        return Err(wrong("it offers no options".to_owned()));
    }
    if let Some(twice) = input.options.iter().enumerate().find(|(at, option)| input.options[..*at].contains(option)) {
        return Err(wrong(format!("it offers \"{}\" twice", twice.1)));
    }
    let defaults = input.defaults.as_deref().unwrap_or_default();
    if let Some(foreign) = defaults.iter().find(|option| !input.options.contains(option)) {
        return Err(wrong(format!("its default \"{foreign}\" is not among its options {:?}", input.options)));
    }
    if !input.multiple && defaults.len() > 1 {
        return Err(wrong("it has several defaults, but only one option may be chosen".to_owned()));
    }
    if !matches!(input.params, serde_json::Value::Null | serde_json::Value::Object(_)) {
        return Err(wrong("its params are not a JSON object".to_owned()));
    }
    Ok(())
}
