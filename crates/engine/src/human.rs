//! Human in the loop: a task instance asks a person and waits for the answer (Airflow `models/hitl.py`,
//! `SchedulerJobRunner.check_awaiting_input_timeouts`).

use serde_json::{Map, Value, json};
use tradewind_types::{ApiError, AttemptKey, AuditEvent, HumanInput, LeaseToken, Resume, TaskState, sdk_datetime};

use crate::{Effects, Engine, Reply, memory::At};

impl Engine {
    pub(crate) fn ask_human(
        &mut self,
        key: AttemptKey,
        token: LeaseToken,
        input: HumanInput,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let at = self.current_attempt(key, token)?;
        let row = &self.runs[at.run].ti(at.ti).row;
        let input = HumanInput {
            ti: row.id,
            dag_id: row.dag_id.clone(),
            run_id: row.run_id.clone(),
            task_id: row.task_id.clone(),
            map_index: row.map_index,
            created_at: self.now,
            responded_at: None,
            responded_by: None,
            chosen_options: None,
            params_input: Value::Null,
            ..input
        };
        effects.rows.human_inputs.insert(input.ti, input.clone());
        self.questions.insert(input.ti, input);
        Ok(Reply::Done)
    }

    pub(crate) fn answer_human(
        &mut self,
        input: HumanInput,
        event: Value,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let what = || format!("the task \"{}\" of the run \"{}\"", input.task_id, input.run_id);
        let at = *self
            .tis
            .get(&input.ti)
            .ok_or_else(|| ApiError::conflict(format!("{} waits for no answer: its run is over", what())))?;
        let state = self.runs[at.run].ti(at.ti).row.state;
        if state != TaskState::AwaitingInput {
            return Err(ApiError::conflict(format!("{} waits for no answer: it is {state}", what())));
        }
        effects.rows.audit.push(AuditEvent {
            at: self.now,
            event: "task.answer".to_owned(),
            by: input.responded_by.clone().unwrap_or_default(),
            dag_id: Some(input.dag_id.clone()),
            run_id: Some(input.run_id.clone()),
            task_id: Some(input.task_id.clone()),
            detail: input.chosen_options.as_ref().map(|chosen| chosen.join(", ")),
        });
        self.questions.remove(&input.ti);
        let answered = HumanInput { responded_at: Some(self.now), ..input };
        effects.rows.human_inputs.insert(answered.ti, answered);
        self.resume(at, Resume::Event { event }, effects);
        Ok(Reply::Done)
    }

    /// The time to answer is over: the defaults are taken, or the task is told.
    pub(crate) fn nobody_answered(&mut self, at: At, effects: &mut Effects) {
        let now = self.now;
        let ti = self.runs[at.run].ti(at.ti).row.id;
        let question = self.questions.remove(&ti);
        let event = match question {
            Some(question) if question.defaults.is_some() => {
                let defaults = question.defaults.clone().unwrap_or_default();
                let params_input = default_params(&question.params);
                let event = json!({
                    "chosen_options": defaults,
                    "params_input": params_input,
                    "responded_by_user": null,
                    "responded_at": sdk_datetime(now),
                    "timedout": true,
                });
                let answered = HumanInput {
                    chosen_options: question.defaults.clone(),
                    params_input,
                    responded_at: Some(now),
                    responded_by: None,
                    ..question
                };
                effects.rows.human_inputs.insert(ti, answered);
                event
            }
            question => {
                // Nobody need be asked any more.
                if let Some(question) = question {
                    effects.rows.human_inputs.insert(ti, HumanInput { responded_at: Some(now), ..question });
                }
                json!({
                    "error": "The Human-in-the-loop response timeout has passed without a response.",
                    "error_type": "timeout",
                })
            }
        };
        self.resume(at, Resume::Event { event }, effects);
    }
}

/// The values of params as they were offered.
fn default_params(params: &Value) -> Value {
    let values = params.as_object().into_iter().flatten().map(|(name, param)| {
        let value = param.get("value").unwrap_or(param).clone();
        (name.clone(), value)
    });
    Value::Object(values.collect::<Map<_, _>>())
}
