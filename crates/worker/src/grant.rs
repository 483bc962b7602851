//! A granted claim, checked: all that is needed to run the attempt.

use std::{sync::Arc, time::Duration};

use tradewind_operators::DagFacts;
use tradewind_proto::{from_json, json, uuid, v1};
use tradewind_types::{
    ApiError, AssetEvent, AttemptKey, BundleHash, Callback, DagRun, Environment, LeaseToken, TaskInstance, TaskSpec,
    VersionHash,
};

/// An attempt that this worker holds.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) key: AttemptKey,
    pub(crate) token: LeaseToken,
    pub(crate) lease: Duration,
    pub(crate) work: Result<Work, ApiError>,
}

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) ti: Arc<TaskInstance>,
    pub(crate) run: Arc<DagRun>,
    pub(crate) task: Arc<TaskSpec>,
    pub(crate) dag: Arc<DagFacts>,
    pub(crate) version: VersionHash,
    pub(crate) bundle: Option<BundleHash>,
    /// The DAG's own Python environment.
    pub(crate) environment: Option<Environment>,
    pub(crate) should_retry: bool,
    /// The asset events that the run consumed.
    pub(crate) consumed: Vec<AssetEvent>,
}

/// A callback that this worker holds.
#[derive(Clone, Debug)]
pub(crate) struct GrantedCallback {
    pub(crate) key: AttemptKey,
    pub(crate) token: LeaseToken,
    pub(crate) lease: Duration,
    pub(crate) work: Result<CallbackWork, ApiError>,
}

/// Which callback to run, and what it is about.
#[derive(Clone, Debug)]
pub(crate) struct CallbackWork {
    pub(crate) callback: Callback,
    pub(crate) run: Arc<DagRun>,
    pub(crate) dag: Arc<DagFacts>,
    pub(crate) version: VersionHash,
    pub(crate) bundle: Option<BundleHash>,
    /// The DAG's own Python environment.
    pub(crate) environment: Option<Environment>,
    pub(crate) ti: Option<Arc<TaskInstance>>,
    pub(crate) consumed: Vec<AssetEvent>,
}

impl GrantedCallback {
    /// Reads a grant, as [`Granted::parse`].
    pub(crate) fn parse(grant: v1::CallbackGrant) -> Result<Self, ApiError> {
        let token = LeaseToken(uuid("token", &grant.token)?);
        let callback = grant.callback.as_ref().ok_or_else(|| missing("callback"))?;
        let key =
            AttemptKey { ti: tradewind_types::TiId(uuid("callback.id", &callback.id)?), attempt: callback.attempt };
        let lease = Duration::from_millis(grant.lease_ms.max(1));
        Ok(Self { key, token, lease, work: callback_work(grant) })
    }
}

fn callback_work(grant: v1::CallbackGrant) -> Result<CallbackWork, ApiError> {
    let callback: Callback = grant.callback.ok_or_else(|| missing("callback"))?.try_into()?;
    let run: DagRun = grant.run.ok_or_else(|| missing("run"))?.try_into()?;
    let dag = grant.dag.ok_or_else(|| missing("dag"))?;
    let ti: Option<TaskInstance> = grant.ti.map(TryInto::try_into).transpose()?;
    Ok(CallbackWork {
        callback,
        run: Arc::new(run),
        version: dag.version.clone().into(),
        bundle: dag.bundle.clone().map(Into::into),
        environment: environment(&dag)?,
        dag: Arc::new(facts(dag)?),
        ti: ti.map(Arc::new),
        consumed: consumed(grant.consumed_events)?,
    })
}

fn environment(dag: &v1::DagContext) -> Result<Option<Environment>, ApiError> {
    dag.environment_json.as_deref().map(|text| from_json("dag.environment", text)).transpose()
}

fn missing(what: &str) -> ApiError {
    ApiError::invalid(format!("{what}: missing"))
}

fn facts(dag: v1::DagContext) -> Result<DagFacts, ApiError> {
    Ok(DagFacts {
        timezone: dag.timezone,
        owners: dag.owners,
        params: json("params", &dag.params_json)?,
        rel_path: dag.rel_path,
    })
}

fn consumed(events: Vec<v1::AssetEvent>) -> Result<Vec<AssetEvent>, ApiError> {
    events.into_iter().map(TryInto::try_into).collect()
}

impl Granted {
    /// Reads a grant. One that does not even name its attempt is an error; one whose work makes no sense can at least
    /// be reported as failed.
    pub(crate) fn parse(grant: v1::Grant) -> Result<Self, ApiError> {
        let token = LeaseToken(uuid("token", &grant.token)?);
        let ti = grant.ti.as_ref().ok_or_else(|| ApiError::invalid("ti: missing"))?;
        let key = AttemptKey { ti: tradewind_types::TiId(uuid("ti.id", &ti.id)?), attempt: ti.attempt };
        Ok(Self { key, token, lease: Duration::from_millis(grant.lease_ms.max(1)), work: work(grant) })
    }
}

fn work(grant: v1::Grant) -> Result<Work, ApiError> {
    let ti: TaskInstance = grant.ti.ok_or_else(|| missing("ti"))?.try_into()?;
    let run: DagRun = grant.run.ok_or_else(|| missing("run"))?.try_into()?;
    let dag = grant.dag.ok_or_else(|| missing("dag"))?;
    Ok(Work {
        ti: Arc::new(ti),
        run: Arc::new(run),
        task: Arc::new(from_json("task", &grant.task_json)?),
        version: dag.version.clone().into(),
        bundle: dag.bundle.clone().map(Into::into),
        environment: environment(&dag)?,
        dag: Arc::new(facts(dag)?),
        should_retry: grant.should_retry,
        consumed: consumed(grant.consumed_events)?,
    })
}
