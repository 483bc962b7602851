//! What a task instance waits for without a slot: a trigger, a time, or a person.

use serde::{Deserialize, Serialize};

use crate::{DagId, RunId, TaskId, TaskState, TiId, Timestamp};

/// What ends a wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Trigger {
    /// A moment: the engine's own timer, no host needed (Airflow's `DateTimeTrigger`, `TimeDeltaTrigger`).
    At {
        /// The moment.
        at: Timestamp,
        /// The event that it gives, as the SDK serializes it.
        event: serde_json::Value,
        /// The state that it gives the task instance directly (`end_from_trigger`); else the task resumes.
        #[serde(default)]
        end: Option<TaskState>,
    },
    /// A trigger class, run by the trigger host of a worker.
    Hosted {
        /// Its class path.
        class: String,
        /// Its arguments, as the SDK serializes them.
        kwargs: serde_json::Value,
    },
    /// A person's answer (human in the loop).
    Input,
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Resume {
    /// The trigger gave an event, or a person answered.
    Event {
        /// It, as the SDK serializes it; it becomes `next_kwargs["event"]`.
        event: serde_json::Value,
    },
    /// The wait failed: the task is resumed with `__fail__` (Airflow's `TaskDeferralError`).
    Failed {
        /// What the task is told, e.g. `Trigger timeout` or `Trigger failure`.
        error: String,
        /// The traceback's lines, where there is one.
        #[serde(default)]
        traceback: Vec<String>,
    },
}

/// The wait of a task instance, kept until the attempt that resumes it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deferral {
    /// What it waits for.
    pub trigger: Trigger,
    /// When the wait fails.
    #[serde(default)]
    pub timeout_at: Option<Timestamp>,
    /// The method to resume at.
    pub next_method: String,
    /// Its arguments, as the SDK serializes them: an object or null.
    #[serde(default)]
    pub next_kwargs: serde_json::Value,
    /// How the wait ended; none while it lasts.
    #[serde(default)]
    pub resume: Option<Resume>,
}

/// A task that starts in its trigger, without a worker before (`start_from_trigger`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartTrigger {
    /// The trigger.
    pub trigger: Trigger,
    /// How long the wait may last, in microseconds.
    #[serde(default)]
    pub timeout_micros: Option<i64>,
    /// The method to resume at.
    pub next_method: String,
    /// Its arguments.
    #[serde(default)]
    pub next_kwargs: serde_json::Value,
}

/// A question to a person and the answer (Airflow's HITL detail).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HumanInput {
    /// The task instance that asks.
    pub ti: TiId,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// Its map index.
    pub map_index: i32,
    /// The question in a line.
    pub subject: String,
    /// More, in Markdown.
    #[serde(default)]
    pub body: Option<String>,
    /// What can be chosen.
    pub options: Vec<String>,
    /// What is chosen when nobody answers in time.
    #[serde(default)]
    pub defaults: Option<Vec<String>>,
    /// Whether several options can be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// Params to fill in, as the SDK serializes them: an object.
    #[serde(default)]
    pub params: serde_json::Value,
    /// Who may answer, as the SDK serializes them; anybody when empty.
    #[serde(default)]
    pub assignees: Vec<serde_json::Value>,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it was answered.
    #[serde(default)]
    pub responded_at: Option<Timestamp>,
    /// Who answered.
    #[serde(default)]
    pub responded_by: Option<String>,
    /// What was chosen.
    #[serde(default)]
    pub chosen_options: Option<Vec<String>>,
    /// The params as filled in: an object.
    #[serde(default)]
    pub params_input: serde_json::Value,
}
