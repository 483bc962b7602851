//! I12: what a worker says of an attempt that is not the current one changes nothing.

use std::collections::BTreeMap;

use tradewind_engine::{Engine, Reply};
use tradewind_types::{AttemptKey, Callback, LeaseToken, TaskInstance, TaskState, TiId};

use crate::leader::Request;

/// The instances of attempts that a letter names and that are not current, and the tokens that must be cancelled.
pub(crate) struct Current {
    stale: Vec<(TiId, Option<TaskInstance>, Option<tradewind_types::Timestamp>)>,
    cancel: Vec<LeaseToken>,
}

impl Current {
    pub(crate) fn of(engine: &Engine, callbacks: &BTreeMap<TiId, Callback>, request: &Request) -> Self {
        let mut named: Vec<_> = match request {
            Request::Report(report) => vec![(report.key, report.token)],
            Request::Ask { key, token, .. } => vec![(*key, *token)],
            Request::Heartbeat { holds, .. } => holds.clone(),
            Request::Claim(_) | Request::Register { .. } => Vec::new(),
        };
        // The engine shows no callbacks; I15 is about them.
        named.retain(|(key, _)| !callbacks.contains_key(&key.ti));
        let mut current = Self { stale: Vec::new(), cancel: Vec::new() };
        let is_current = |key: AttemptKey, token: LeaseToken| {
            engine.task_instance(key.ti).is_some_and(|row| {
                row.attempt == key.attempt
                    && row.token == Some(token)
                    && matches!(row.state, TaskState::Running | TaskState::Restarting | TaskState::Deferred)
            })
        };
        for &(key, token) in &named {
            if !is_current(key, token) {
                let row = engine.task_instance(key.ti);
                // The same letter may name the current attempt as well, or end a restart by leaving it out.
                let also_current = named.iter().any(|&(other, token)| other.ti == key.ti && is_current(other, token));
                let restarts = row.is_some_and(|row| row.state == TaskState::Restarting);
                if !also_current && !restarts {
                    let lease = engine.lease_until(key.ti);
                    current.stale.push((key.ti, row.cloned(), lease));
                }
                if matches!(request, Request::Heartbeat { .. }) {
                    current.cancel.push(token);
                }
            }
        }
        current
    }

    pub(crate) fn check(&self, engine: &Engine, reply: &Reply) -> Result<(), String> {
        for (ti, row, lease) in &self.stale {
            let now = engine.task_instance(*ti);
            // A finished run is forgotten after a while.
            let forgotten = now.is_none() && row.as_ref().is_some_and(|row| row.state.is_finished());
            if !forgotten && (now != row.as_ref() || engine.lease_until(*ti) != *lease) {
                return Err(format!("I12: {ti} was changed by a stale attempt: {row:?}, now {now:?}"));
            }
        }
        if let Reply::Heartbeat { cancel } = reply
            && !self.cancel.iter().all(|token| cancel.contains(token))
        {
            return Err("I12: a stale attempt was not told to stop".to_owned());
        }
        Ok(())
    }
}
