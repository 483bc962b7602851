//! Granted claims on the wire. A task's spec is serialized once a DAG version, not once a grant.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tradewind_engine::ClaimAnswer;
use tradewind_proto::{to_json, v1};
use tradewind_types::{ClaimRefusal, DagVersion, Grant, TaskId, VersionHash};

/// Versions whose tasks are kept serialized; past this the cache begins anew.
const VERSIONS_KEPT: usize = 256;

type TaskTexts = Arc<HashMap<TaskId, String>>;

/// Turns the engine's answers to offers into messages.
#[derive(Default)]
pub(crate) struct Grants {
    tasks: Mutex<HashMap<VersionHash, TaskTexts>>,
}

impl Grants {
    /// The answer to one offer.
    pub(crate) fn answer(&self, claim: ClaimAnswer) -> v1::ClaimAnswer {
        use v1::claim_answer::Answer as Wire;
        let answer = match claim {
            ClaimAnswer::Granted(grant) => Wire::Granted(self.grant(&grant)),
            ClaimAnswer::Nothing => Wire::Nothing(v1::Empty {}),
            ClaimAnswer::Refused(refusal) => Wire::Refused(
                match refusal {
                    ClaimRefusal::Stale => "stale",
                    ClaimRefusal::Unknown => "unknown",
                    ClaimRefusal::WrongQueue => "wrong_queue",
                }
                .to_owned(),
            ),
        };
        v1::ClaimAnswer { answer: Some(answer) }
    }

    fn task_texts(&self, version: &DagVersion) -> TaskTexts {
        let mut kept = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(texts) = kept.get(&version.hash) {
            return Arc::clone(texts);
        }
        if kept.len() >= VERSIONS_KEPT {
            kept.clear();
        }
        let texts: TaskTexts =
            Arc::new(version.spec.tasks.iter().map(|task| (task.task_id.clone(), to_json(task))).collect());
        kept.insert(version.hash.clone(), Arc::clone(&texts));
        texts
    }

    fn grant(&self, grant: &Grant) -> v1::Grant {
        let spec = &grant.version.spec;
        let mut params: serde_json::Map<String, serde_json::Value> =
            spec.params.iter().map(|(name, param)| (name.clone(), param.value.clone())).collect();
        if let serde_json::Value::Object(conf) = &grant.run.conf {
            // Airflow's `[core] dag_run_conf_overrides_params`, true by default.
            params.extend(conf.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        v1::Grant {
            token: grant.token.0.to_string(),
            lease_ms: u64::try_from(grant.lease.as_millis()).unwrap_or(u64::MAX),
            ti: Some(v1::TaskInstance::from(&grant.ti)),
            run: Some(v1::DagRun::from(&*grant.run)),
            task_json: self.task_texts(&grant.version).get(&grant.ti.task_id).cloned().unwrap_or_default(),
            dag: Some(v1::DagContext {
                version: grant.version.hash.to_string(),
                version_number: grant.version.number,
                bundle: grant.version.bundle.as_ref().map(ToString::to_string),
                rel_path: spec.source.rel_path.clone(),
                timezone: spec.timezone.clone(),
                owners: spec.owners.clone(),
                params_json: serde_json::Value::Object(params).to_string(),
            }),
            should_retry: grant.should_retry,
        }
    }
}
