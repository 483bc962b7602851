//! Workers and attempts: registration, claims, leases, reports.

use std::collections::BTreeMap;

use tradewind_engine::{ClaimOffer, ClaimRequest, Event, Reply};
use tradewind_proto::{uuid, v1};
use tradewind_types::{
    ApiError, AttemptKey, AttemptReport, LeaseToken, QueueName, WorkerInfo, WorkerName, WorkerStatus, check_key,
};

use super::{WorkerApi, unexpected};
use crate::{
    core::Leadership,
    workers::{Heard, Registered, trigger_queue},
};

impl WorkerApi {
    pub(super) async fn do_register(&self, request: v1::RegisterRequest) -> Result<v1::RegisterResponse, ApiError> {
        let leadership = self.core.leadership()?;
        check_key("worker name", &request.name).map_err(ApiError::invalid)?;
        if request.queues.is_empty() || request.slots == 0 {
            return Err(ApiError::invalid("a worker serves at least one queue and has at least one slot"));
        }
        for queue in &request.queues {
            check_key("queue", queue).map_err(ApiError::invalid)?;
        }
        let now = self.core.clock.now();
        let name = WorkerName::from(request.name);
        let info = WorkerInfo {
            name: name.clone(),
            incarnation: uuid("incarnation", &request.incarnation)?,
            queues: request.queues.into_iter().map(Into::into).collect(),
            slots: request.slots,
            running: 0,
            status: WorkerStatus::Active,
            version: request.version,
            hostname: request.hostname,
            pid: request.pid,
            registered_at: now,
            last_seen: now,
            labels: request.labels.into_iter().collect::<BTreeMap<_, _>>(),
        };
        tracing::info!(worker = %name, queues = ?info.queues, slots = info.slots, "worker registered");
        if leadership.workers.register(info)? == Registered::Replaced {
            self.core.step_one(Event::WorkerGone { worker: name }).await?;
        }
        let lease = self.core.settings.engine.lease;
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Ok(v1::RegisterResponse {
            lease_ms: millis(lease),
            heartbeat_ms: millis(lease / 5),
            xcom_max_bytes: self.core.settings.xcom_inline_max_bytes,
            term: leadership.info.term.0,
        })
    }

    pub(super) async fn do_claim(&self, request: v1::ClaimRequest) -> Result<v1::ClaimResponse, ApiError> {
        let leadership = self.core.leadership()?;
        let claim = claim_request(&leadership, &request.worker, &request.incarnation, request.offers)?;
        match self.core.step_one(Event::Claim(claim)).await? {
            Reply::Claims(claims) => Ok(v1::ClaimResponse { answers: self.grants.answers(&self.core, claims).await? }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn do_heartbeat(&self, request: v1::HeartbeatRequest) -> Result<v1::HeartbeatResponse, ApiError> {
        let leadership = self.core.leadership()?;
        let worker = WorkerName::from(request.worker);
        let incarnation = uuid("incarnation", &request.incarnation)?;
        let holds = request.holds.iter().map(v1::AttemptRef::parse).collect::<Result<Vec<_>, _>>()?;
        let running = u32::try_from(holds.len()).unwrap_or(u32::MAX);
        let now = self.core.clock.now();
        let heard = leadership.workers.heard(&worker, incarnation, running, request.draining, now);
        let cancel = match self.core.peek(Event::Heartbeat { worker, holds }).await? {
            Reply::Heartbeat { cancel } => cancel.into_iter().map(|token| token.0.to_string()).collect(),
            other => return Err(unexpected(&other)),
        };
        let (drain, register) = match heard {
            Heard::Known { drain } => (drain, false),
            Heard::Unknown => (false, true),
        };
        Ok(v1::HeartbeatResponse { cancel, drain, register })
    }

    pub(super) async fn do_report(&self, request: v1::ReportRequest) -> Result<v1::ReportResponse, ApiError> {
        let leadership = self.core.leadership()?;
        let count = request.reports.len();
        let mut events = Vec::with_capacity(count + 1);
        let mut results: Vec<Option<ApiError>> = Vec::with_capacity(count);
        for report in request.reports {
            let attempt = report.attempt.clone();
            let report = AttemptReport::try_from(report)?;
            let checked = match self.check_sizes(&report.xcoms) {
                Ok(()) => self.check_lengths(attempt.as_ref(), &report.xcoms).await,
                Err(error) => Err(error),
            };
            match checked {
                Ok(()) => {
                    events.push(Event::Report(report));
                    results.push(None);
                }
                // Nothing of the request is done yet: the worker finds the leader and repeats all of it.
                Err(error) if error.code.is_retryable() => return Err(error),
                Err(error) => results.push(Some(error)),
            }
        }
        // Offers of a worker that must register first are answered with "nothing".
        let offers = request.offers.len();
        let claim = if offers == 0 {
            None
        } else {
            claim_request(&leadership, &request.worker, &request.incarnation, request.offers).ok()
        };
        events.extend(claim.map(Event::Claim));

        let mut replies = self.core.step(events).await?.into_iter();
        let mut wire = Vec::with_capacity(count);
        for result in results {
            let error = match result {
                Some(error) => Some(error),
                None => match replies.next() {
                    Some(Reply::Refused(error)) => Some(error),
                    _ => None,
                },
            };
            wire.push(match error {
                Some(error) => v1::ReportResult { error: error.code.as_str().to_owned(), message: error.message },
                None => v1::ReportResult::default(),
            });
        }
        let answers = match replies.next() {
            Some(Reply::Claims(claims)) => self.grants.answers(&self.core, claims).await?,
            _ => vec![v1::ClaimAnswer { answer: Some(v1::claim_answer::Answer::Nothing(v1::Empty {})) }; offers],
        };
        Ok(v1::ReportResponse { results: wire, answers })
    }
}

fn claim_request(
    leadership: &Leadership,
    worker: &str,
    incarnation: &str,
    offers: Vec<v1::ClaimOffer>,
) -> Result<ClaimRequest, ApiError> {
    let worker = WorkerName::from(worker);
    let mut queues = leadership.workers.queues(&worker, uuid("incarnation", incarnation)?).ok_or_else(|| {
        ApiError::not_found(format!("the worker \"{worker}\" is not registered here; register first"))
    })?;
    // Only a hint leads to a trigger: a slot that asks for whatever is next is one for tasks and callbacks.
    if offers.iter().all(|offer| offer.hint.is_some()) {
        let triggers: Vec<QueueName> = queues.iter().map(trigger_queue).collect();
        queues.extend(triggers);
    }
    let offers = offers
        .into_iter()
        .map(|offer| {
            let key = offer.hint.map(|hint| hint.parse::<AttemptKey>()).transpose();
            Ok(ClaimOffer {
                key: key.map_err(|error| ApiError::invalid(format!("hint: {error}")))?,
                token: LeaseToken(uuid("token", &offer.token)?),
            })
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    Ok(ClaimRequest { worker, queues, offers })
}
