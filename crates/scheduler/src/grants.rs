//! Granted claims on the wire. A task's spec is serialized once a DAG version, the events that a run consumed are read
//! once a run, not once a grant.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tradewind_engine::ClaimAnswer;
use tradewind_proto::{to_json, v1};
use tradewind_types::{
    ApiError, AssetEvent, Callback, CallbackGrant, ClaimRefusal, DagRun, DagVersion, Grant, RunNo, RunType, TaskId,
    TaskInstance, TiId, VersionHash,
};

use crate::core::{Core, store_error};

/// Things that a cache keeps; past this it begins anew.
const KEPT: usize = 256;

type TaskTexts = Arc<HashMap<TaskId, String>>;

/// Turns the engine's answers to offers into messages.
#[derive(Default)]
pub(crate) struct Grants {
    tasks: Kept<VersionHash, TaskTexts>,
    consumed: Kept<RunNo, Arc<Vec<AssetEvent>>>,
}

/// A small cache of things that never change.
struct Kept<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: K, value: V) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, value);
    }
}

impl Grants {
    /// The answers to offers, in order.
    ///
    /// # Errors
    /// The store does not answer. The worker repeats its offers then, and gets the same attempts again.
    pub(crate) async fn answers(
        &self,
        core: &Core,
        claims: Vec<ClaimAnswer>,
    ) -> Result<Vec<v1::ClaimAnswer>, ApiError> {
        use v1::claim_answer::Answer as Wire;
        let mut answers = Vec::with_capacity(claims.len());
        for claim in claims {
            let answer = match claim {
                ClaimAnswer::Granted(grant) => Wire::Granted(self.grant(core, &grant).await?),
                ClaimAnswer::Callback(grant) => Wire::Callback(self.callback(core, &grant).await?),
                ClaimAnswer::Nothing => Wire::Nothing(v1::Empty {}),
                ClaimAnswer::Refused(refusal) => Wire::Refused(refused(refusal).to_owned()),
            };
            answers.push(v1::ClaimAnswer { answer: Some(answer) });
        }
        Ok(answers)
    }

    fn task_text(&self, version: &DagVersion, task_id: &TaskId) -> String {
        let texts = self.tasks.get(&version.hash).unwrap_or_else(|| {
            let texts: TaskTexts =
                Arc::new(version.spec.tasks.iter().map(|task| (task.task_id.clone(), to_json(task))).collect());
            self.tasks.put(version.hash.clone(), Arc::clone(&texts));
            texts
        });
        texts.get(task_id).cloned().unwrap_or_default()
    }

    /// The events that an asset-triggered run consumed; they are settled when the run is made.
    async fn consumed(&self, core: &Core, run: &DagRun) -> Result<Vec<v1::AssetEvent>, ApiError> {
        if run.run_type != RunType::AssetTriggered {
            return Ok(Vec::new());
        }
        let events = match self.consumed.get(&run.run_no) {
            Some(events) => events,
            None => {
                let read = core.store.consumed_events(run.dag_id.as_str(), run.run_id.as_str()).await;
                let events = Arc::new(read.map_err(store_error)?);
                self.consumed.put(run.run_no, Arc::clone(&events));
                events
            }
        };
        Ok(events.iter().map(Into::into).collect())
    }

    async fn grant(&self, core: &Core, grant: &Grant) -> Result<v1::Grant, ApiError> {
        Ok(v1::Grant {
            token: grant.token.0.to_string(),
            lease_ms: millis(grant.lease),
            ti: Some(v1::TaskInstance::from(&grant.ti)),
            run: Some(v1::DagRun::from(&*grant.run)),
            task_json: self.task_text(&grant.version, &grant.ti.task_id),
            dag: Some(dag_context(&grant.version, &grant.run)),
            should_retry: grant.should_retry,
            upstream_map_indexes: grant.upstream_map_indexes.iter().map(Into::into).collect(),
            expanded_count: grant.expanded_count,
            consumed_events: self.consumed(core, &grant.run).await?,
        })
    }

    async fn callback(&self, core: &Core, grant: &CallbackGrant) -> Result<v1::CallbackGrant, ApiError> {
        let ti = instance_of(core, &grant.callback).await?;
        let task_json = ti.as_ref().map(|ti| self.task_text(&grant.version, &ti.task_id)).unwrap_or_default();
        Ok(v1::CallbackGrant {
            token: grant.token.0.to_string(),
            lease_ms: millis(grant.lease),
            callback: Some(v1::Callback::from(&grant.callback)),
            run: Some(v1::DagRun::from(&*grant.run)),
            dag: Some(dag_context(&grant.version, &grant.run)),
            ti: ti.as_ref().map(Into::into),
            task_json,
            consumed_events: self.consumed(core, &grant.run).await?,
        })
    }
}

/// The task instance that a callback is about, as it was at the end of the try that the callback is about: a later try may
/// run by now.
async fn instance_of(core: &Core, callback: &Callback) -> Result<Option<TaskInstance>, ApiError> {
    let Some((task_id, map_index, try_number)) = &callback.task else { return Ok(None) };
    let id = TiId::derive(callback.run_no, task_id, *map_index);
    let Some(mut ti) = core.store.task_instance(id).await.map_err(store_error)? else { return Ok(None) };
    let tries = core.store.tries(id).await.map_err(store_error)?;
    let then = tries.into_iter().rev().find(|row| row.try_number == *try_number);
    if let Some(then) = then.filter(|_| ti.try_number != *try_number) {
        ti.try_number = then.try_number;
        ti.attempt = then.attempt;
        ti.state = then.state;
        ti.queued_at = then.queued_at;
        ti.start_date = then.start_date;
        ti.end_date = then.end_date;
        ti.worker = then.worker;
        ti.note = then.note;
    }
    Ok(Some(ti))
}

const fn refused(refusal: ClaimRefusal) -> &'static str {
    match refusal {
        ClaimRefusal::Stale => "stale",
        ClaimRefusal::Unknown => "unknown",
        ClaimRefusal::WrongQueue => "wrong_queue",
    }
}

fn millis(lease: Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)
}

fn dag_context(version: &DagVersion, run: &DagRun) -> v1::DagContext {
    let spec = &version.spec;
    let mut params: serde_json::Map<String, serde_json::Value> =
        spec.params.iter().map(|(name, param)| (name.clone(), param.value.clone())).collect();
    if let serde_json::Value::Object(conf) = &run.conf {
        // Airflow's `[core] dag_run_conf_overrides_params`, true by default.
        params.extend(conf.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    v1::DagContext {
        version: version.hash.to_string(),
        version_number: version.number,
        bundle: version.bundle.as_ref().map(ToString::to_string),
        rel_path: spec.source.rel_path.clone(),
        timezone: spec.timezone.clone(),
        owners: spec.owners.clone(),
        params_json: serde_json::Value::Object(params).to_string(),
        environment_json: spec.environment.as_ref().map(to_json),
    }
}
