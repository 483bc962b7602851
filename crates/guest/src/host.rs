//! What a running task may ask of the system around it.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::api::{
    AssetEventInfo, AssetEventQuery, AssetInfo, AssetName, ConnectionInfo, DagInfo, DagRunInfo, HumanAnswer,
    HumanQuestion, LogLine, PreviousTiQuery, StateScope, TaskInstanceFilter, TaskInstanceInfo, TaskOutcome,
    TriggerRequest, XComAddress, XComSlice,
};

/// Why a question of a task was not answered. Each kind reaches the task as an exception with this text in its log.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum HostError {
    /// The request is understood and refused, e.g. an XCom that is too large.
    #[error("{message}")]
    Refused {
        /// What to tell the user.
        message: String,
    },
    /// The thing asked for does not exist.
    #[error("{message}")]
    NotFound {
        /// What to tell the user.
        message: String,
    },
    /// A thing of this name exists already.
    #[error("{message}")]
    AlreadyExists {
        /// What to tell the user.
        message: String,
    },
    /// The scheduler cannot be reached, or failed.
    #[error("{message}")]
    Unavailable {
        /// What to tell the user.
        message: String,
    },
    /// Nobody answers this kind of request yet.
    #[error("not supported by Tradewind yet: {what}")]
    Unsupported {
        /// The request, in the SDK's words.
        what: String,
    },
}

impl HostError {
    /// The answer to a request that has no implementation.
    pub fn unsupported(what: &str) -> Self {
        Self::Unsupported { what: what.to_owned() }
    }
}

type Answer<T> = Result<T, HostError>;

/// Answers one running task. A task asks one thing at a time, so implementations need no ordering of their own.
///
/// Methods with a default body answer "not supported by Tradewind yet", never a made-up value.
#[async_trait]
pub trait TaskHost: Send + Sync {
    /// Largest request that is read, in bytes; a larger one is refused unread.
    fn largest_request(&self) -> usize {
        crate::wire::LARGEST_REQUEST
    }

    /// Lines of the log, in order of arrival, in batches. Returning late slows the task down: this is the
    /// back-pressure. All lines are delivered before [`crate::Zygote::run`] returns. Secrets are already masked.
    async fn log(&self, lines: Vec<LogLine>);

    /// The task has reported how it went; its process still runs callbacks and ends. Delivered at most once, before
    /// `run` returns, for those who want to move on early. `skipped_downstream` is complete at this point.
    async fn outcome_reported(&self, _outcome: &TaskOutcome, _skipped_downstream: &[(String, i32)]) {}

    /// The task's process exists.
    async fn started(&self, _pid: u32) {}

    /// One XCom, `None` when there is none. `map_index` `None` means the unmapped one (-1).
    async fn get_xcom(&self, at: &XComAddress, include_prior_dates: bool) -> Answer<Option<Value>>;

    /// The XComs of all map indexes, by map index, sliced the Python way.
    async fn get_xcom_slice(&self, at: &XComAddress, slice: XComSlice) -> Answer<Vec<Value>>;

    /// The XCom at a position among the map indexes; `None` when out of range. Negative counts from the end.
    async fn get_xcom_item(&self, at: &XComAddress, offset: i64) -> Answer<Option<Value>>;

    /// How many map indexes have this XCom.
    async fn count_xcoms(&self, at: &XComAddress) -> Answer<u64>;

    /// Stores an XCom. `mapped_length` is set when a mapped downstream task expands over the value.
    async fn set_xcom(&self, at: &XComAddress, value: Value, mapped_length: Option<u64>) -> Answer<()>;

    /// Deletes an XCom; deleting none is fine.
    async fn delete_xcom(&self, at: &XComAddress) -> Answer<()>;

    /// A variable, `None` when there is none.
    async fn get_variable(&self, key: &str) -> Answer<Option<String>>;

    /// Keys with a prefix, and how many there are in all.
    async fn list_variables(&self, _prefix: Option<&str>, _limit: u64, _offset: u64) -> Answer<(Vec<String>, u64)> {
        Err(HostError::unsupported("GetVariableKeys"))
    }

    /// Stores a variable.
    async fn set_variable(&self, key: &str, value: Option<&str>, description: Option<&str>) -> Answer<()>;

    /// Deletes a variable; deleting none is fine.
    async fn delete_variable(&self, key: &str) -> Answer<()>;

    /// A connection, `None` when there is none.
    async fn get_connection(&self, conn_id: &str) -> Answer<Option<ConnectionInfo>>;

    /// The template fields as rendered for this attempt: an object.
    async fn set_rendered_fields(&self, fields: Value) -> Answer<()>;

    /// The label of a mapped task instance.
    async fn set_rendered_map_index(&self, _label: &str) -> Answer<()> {
        Ok(())
    }

    /// A run; [`HostError::NotFound`] when there is none.
    async fn get_dag_run(&self, _dag_id: &str, _run_id: &str) -> Answer<DagRunInfo> {
        Err(HostError::unsupported("GetDagRun"))
    }

    /// State of a run; [`HostError::NotFound`] when there is none.
    async fn get_dag_run_state(&self, _dag_id: &str, _run_id: &str) -> Answer<String> {
        Err(HostError::unsupported("GetDagRunState"))
    }

    /// The run before a logical date, of a state if one is named.
    async fn get_previous_dag_run(
        &self,
        _dag_id: &str,
        _before: Timestamp,
        _state: Option<&str>,
    ) -> Answer<Option<DagRunInfo>> {
        Err(HostError::unsupported("GetPreviousDagRun"))
    }

    /// The last successful run before that of this task instance.
    async fn get_previous_successful_dag_run(&self, _ti_id: Uuid) -> Answer<Option<DagRunInfo>> {
        Err(HostError::unsupported("GetPrevSuccessfulDagRun"))
    }

    /// How many runs match; uses `dag_id`, `logical_dates`, `run_ids` and `states` of the filter.
    async fn count_dag_runs(&self, _filter: &TaskInstanceFilter) -> Answer<u64> {
        Err(HostError::unsupported("GetDRCount"))
    }

    /// How many task instances match.
    async fn count_task_instances(&self, _filter: &TaskInstanceFilter) -> Answer<u64> {
        Err(HostError::unsupported("GetTICount"))
    }

    /// States of the matching task instances: run id, task id (with `_<map index>` when mapped), state.
    async fn get_task_states(&self, _filter: &TaskInstanceFilter) -> Answer<Vec<(String, String, Option<String>)>> {
        Err(HostError::unsupported("GetTaskStates"))
    }

    /// When this attempt of a rescheduled sensor first started; `None` before its first reschedule.
    async fn get_first_reschedule_date(&self, _ti_id: Uuid, _try_number: u32) -> Answer<Option<Timestamp>> {
        Err(HostError::unsupported("GetTaskRescheduleStartDate"))
    }

    /// Starts a run; [`HostError::AlreadyExists`] when the run id is taken.
    async fn trigger_dag_run(&self, _request: TriggerRequest) -> Answer<()> {
        Err(HostError::unsupported("TriggerDagRun"))
    }

    /// The latest earlier instance of a task.
    async fn get_previous_ti(&self, _query: &PreviousTiQuery) -> Answer<Option<TaskInstanceInfo>> {
        Err(HostError::unsupported("GetPreviousTI"))
    }

    /// A DAG; [`HostError::NotFound`] when there is none.
    async fn get_dag(&self, _dag_id: &str) -> Answer<DagInfo> {
        Err(HostError::unsupported("GetDag"))
    }

    /// The finished task instances of a run.
    async fn get_finished(&self, _dag_id: &str, _run_id: &str) -> Answer<Vec<TaskInstanceInfo>> {
        Err(HostError::unsupported("GetTaskBreadcrumbs"))
    }

    /// A value that a task or an asset keeps between attempts and runs.
    async fn get_state_value(&self, _scope: &StateScope, _key: &str) -> Answer<Option<Value>> {
        Err(HostError::unsupported("the task and asset state stores"))
    }

    /// Keeps a value.
    async fn put_state_value(&self, _scope: &StateScope, _key: &str, _value: &Value) -> Answer<()> {
        Err(HostError::unsupported("the task and asset state stores"))
    }

    /// Forgets a kept value, or all of a task's or asset's; forgetting none is fine.
    async fn delete_state_values(&self, _scope: &StateScope, _key: Option<&str>) -> Answer<()> {
        Err(HostError::unsupported("the task and asset state stores"))
    }

    /// An asset, `None` when no DAG names it.
    async fn get_asset(&self, _asset: &AssetName) -> Answer<Option<AssetInfo>> {
        Err(HostError::unsupported("GetAsset"))
    }

    /// The assets that an alias stands for so far.
    async fn get_assets_of_alias(&self, _alias: &str) -> Answer<Vec<AssetInfo>> {
        Err(HostError::unsupported("GetAssetsByAlias"))
    }

    /// Asset events.
    async fn get_asset_events(&self, _query: &AssetEventQuery) -> Answer<Vec<AssetEventInfo>> {
        Err(HostError::unsupported("GetAssetEvent"))
    }

    /// The inlets and outlets of this task that are no active assets: name and URI.
    async fn get_inactive_assets(&self) -> Answer<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    /// Asks a person something, in the name of this task instance.
    async fn ask_human(&self, _question: &HumanQuestion) -> Answer<()> {
        Err(HostError::unsupported("CreateHITLDetailPayload"))
    }

    /// What a person has answered to a task instance; [`HostError::NotFound`] when nobody was asked.
    async fn get_human_answer(&self, _ti_id: Uuid) -> Answer<HumanAnswer> {
        Err(HostError::unsupported("GetHITLDetailResponse"))
    }

    /// A value that must not appear in any log from now on. This crate masks the task's own log by itself.
    async fn mask_secret(&self, _value: &str) {}
}
