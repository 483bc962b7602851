//! What an operator knows of the attempt that it runs in.

use std::{path::PathBuf, sync::Arc};

use tradewind_types::{DagRun, TaskInstance, TaskSpec};

use crate::StopSignal;

/// What a task may know of its DAG.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DagFacts {
    /// IANA zone of the DAG's dates.
    pub timezone: String,
    /// Owners of its tasks.
    pub owners: Vec<String>,
    /// Params: the DAG's defaults, the task's, then the run's conf.
    pub params: serde_json::Value,
    /// Path of the DAG file below the DAG folder.
    pub rel_path: String,
}

/// An attempt, as its operator sees it.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// The task instance.
    pub ti: Arc<TaskInstance>,
    /// Its run.
    pub run: Arc<DagRun>,
    /// Its task.
    pub task: Arc<TaskSpec>,
    /// Its DAG.
    pub dag: Arc<DagFacts>,
    /// The environment that processes start from.
    pub env: Arc<Vec<(String, String)>>,
    /// A variable that marks every process of the attempt, so that strays are found; name and value.
    pub marker: (String, String),
    /// The folder below which temporary folders are made.
    pub scratch: Arc<PathBuf>,
    /// A return value above this fails the task (`xcom.inline_max_bytes`).
    pub xcom_max_bytes: u64,
    /// Ends the operator early.
    pub stop: StopSignal,
}

impl TaskContext {
    /// Airflow's `AIRFLOW_CTX_*` variables of the attempt (semantics E1).
    pub fn airflow_vars(&self) -> Vec<(&'static str, String)> {
        let mut vars = vec![
            ("AIRFLOW_CTX_DAG_ID", self.ti.dag_id.to_string()),
            ("AIRFLOW_CTX_TASK_ID", self.ti.task_id.to_string()),
            ("AIRFLOW_CTX_TRY_NUMBER", self.ti.try_number.to_string()),
            ("AIRFLOW_CTX_DAG_RUN_ID", self.ti.run_id.to_string()),
        ];
        let owner = match &self.task.owner {
            Some(owner) => owner.clone(),
            None => self.dag.owners.join(","),
        };
        if !owner.is_empty() {
            vars.push(("AIRFLOW_CTX_DAG_OWNER", owner));
        }
        if let Some(date) = self.run.logical_date {
            vars.push(("AIRFLOW_CTX_LOGICAL_DATE", crate::template::isoformat(date)));
        }
        vars
    }
}
