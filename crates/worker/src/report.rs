//! Reports: results out, and with them the freed slots for what comes next.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, mpsc};
use tradewind_proto::{v1, worker_client};
use tradewind_types::{AttemptOutcome, AttemptReport, ErrorCode};

use crate::{
    claim::{self, Offer, OpenClaim},
    session::{Ended, Session, Slot},
};

/// Calls on their way at once. While they are, what ends meanwhile gathers into the next batch.
const IN_FLIGHT: usize = 2;
/// Reports of one call at most.
const BATCH: usize = 256;
/// XCom bytes of one call, so that it stays well below the largest message.
const BATCH_BYTES: usize = 4 << 20;
/// The shortest and the longest pause between tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// Reports until all senders are gone.
pub(crate) async fn report(session: Arc<Session>, mut ended: mpsc::UnboundedReceiver<Ended>) {
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut next = None;
    loop {
        // The semaphore is never closed.
        let Ok(turn) = Arc::clone(&in_flight).acquire_owned().await else {
            return;
        };
        let first = match next.take() {
            Some(first) => first,
            None => match ended.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut bytes = size(&first);
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let Ok(one) = ended.try_recv() else { break };
            bytes += size(&one);
            if bytes > BATCH_BYTES {
                next = Some(one);
                break;
            }
            batch.push(one);
        }
        let session = Arc::clone(&session);
        tokio::spawn(async move {
            send(&session, batch).await;
            drop(turn);
        });
    }
}

fn size(ended: &Ended) -> usize {
    let xcoms = &ended.report.xcoms;
    let deferral = match &ended.report.outcome {
        AttemptOutcome::Deferred { next_kwargs, .. } => next_kwargs.to_string().len(),
        AttemptOutcome::TriggerFired { event } => event.to_string().len(),
        _ => 0,
    };
    // Almost all have none or a small one; only texts can be large without being nested.
    xcoms
        .iter()
        .map(|xcom| match &xcom.value {
            serde_json::Value::String(text) => text.len(),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 8,
            nested => nested.to_string().len(),
        })
        .sum::<usize>()
        + deferral
}

/// Reports a batch until each is accepted, refused, or its lease is over.
async fn send(session: &Arc<Session>, batch: Vec<Ended>) {
    let _open = OpenClaim::new(session);
    let (mut reports, slots): (Vec<AttemptReport>, Vec<_>) =
        batch.into_iter().map(|ended| (ended.report, ended.slot)).unzip();
    let mut offers: Vec<Offer> = Vec::new();
    if !session.draining.is_cancelled() {
        // A trigger's slot is not offered for whatever is next: hints of triggers come from their own queues.
        offers = slots.into_iter().filter_map(Slot::for_task).map(|slot| Offer::new(None, slot)).collect();
    }
    let offered = Instant::now();
    let mut pause = BACKOFF.0;
    loop {
        // First of all, also after a pause of this process: nothing is reported for a lease that has run out.
        reports.retain(|report| {
            let live = session.leases.check(report.token, session.lost_grace());
            if !live {
                tracing::warn!(attempt = %report.key, "the lease ran out before its result could be reported; the result is dropped");
                session.leases.book().remove(report.token);
            }
            live
        });
        if reports.is_empty() {
            return;
        }
        let request = v1::ReportRequest {
            worker: session.settings.name.to_string(),
            incarnation: session.incarnation.to_string(),
            reports: reports.iter().map(Into::into).collect(),
            offers: offers.iter().map(Offer::wire).collect(),
        };
        let answer = session
            .client
            .once(|channel| {
                let request = request.clone();
                async move { worker_client(channel).report(request).await }
            })
            .await;
        match answer {
            Ok(answer) => {
                reports = settle(session, reports, &answer.results);
                claim::take(session, std::mem::take(&mut offers), answer.answers, offered);
                if reports.is_empty() {
                    return;
                }
            }
            Err(error) if error.code.is_retryable() || reports.len() == 1 => {
                if error.code == ErrorCode::StaleAttempt {
                    refuse(session, &reports[0], &error.message);
                    return;
                }
                if matches!(error.code, ErrorCode::Invalid | ErrorCode::TooLarge) {
                    // It will never be taken as it is.
                    if !spoil(&mut reports[0], &error.message) {
                        refuse(session, &reports[0], &error.message);
                        return;
                    }
                }
                tracing::warn!(%error, reports = reports.len(), "a report did not get through, trying again");
            }
            Err(error) => {
                tracing::warn!(%error, "a batch of reports was refused as a whole; sending them one by one");
                for report in reports {
                    Box::pin(send_one(session, report)).await;
                }
                return;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn send_one(session: &Arc<Session>, report: AttemptReport) {
    // A slot that is not offered: the batch's own are on their way already.
    if let Ok(slot) = Arc::new(Semaphore::new(1)).acquire_owned().await {
        send(session, vec![Ended { report, slot: Slot::trigger(slot) }]).await;
    }
}

/// Takes the answers in. What remains is to be tried again.
fn settle(session: &Arc<Session>, reports: Vec<AttemptReport>, results: &[v1::ReportResult]) -> Vec<AttemptReport> {
    let mut again = Vec::new();
    let mut results = results.iter();
    for mut report in reports {
        let Some(result) = results.next() else {
            again.push(report);
            continue;
        };
        match result.error.as_str() {
            "" => {
                session.leases.book().remove(report.token);
            }
            "stale_attempt" | "not_found" => refuse(session, &report, &result.message),
            "unavailable" | "not_leader" | "internal" => again.push(report),
            other => {
                tracing::error!(attempt = %report.key, code = other, message = result.message, "a report was refused");
                if spoil(&mut report, &result.message) {
                    again.push(report);
                } else {
                    refuse(session, &report, &result.message);
                }
            }
        }
    }
    again
}

/// Turns a report that the leader cannot take into a failure that it can. False if it is one already.
fn spoil(report: &mut AttemptReport, message: &str) -> bool {
    if matches!(report.outcome, AttemptOutcome::Failed { .. }) && report.xcoms.is_empty() && report.skip.is_empty() {
        return false;
    }
    report.outcome = AttemptOutcome::Failed { retry: true, delay: None };
    report.xcoms.clear();
    report.skip.clear();
    report.asset_events.clear();
    report.note = Some(format!("the scheduler refused the result: {message}"));
    true
}

fn refuse(session: &Session, report: &AttemptReport, message: &str) {
    tracing::info!(attempt = %report.key, message, "the leader no longer wants this result");
    session.leases.book().remove(report.token);
}

#[cfg(test)]
mod tests {
    use tradewind_types::{AttemptKey, LeaseToken, TiId, Timestamp, XComValue};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_refused_result_becomes_a_failure_once() {
        let mut report = AttemptReport {
            key: AttemptKey { ti: TiId(Uuid::nil()), attempt: 1 },
            token: LeaseToken(Uuid::nil()),
            outcome: AttemptOutcome::Success,
            xcoms: vec![XComValue { key: "k".to_owned(), value: 1.into(), object: None, mapped_length: None }],
            skip: Vec::new(),
            asset_events: Vec::new(),
            rendered_map_index: None,
            callbacks_due: false,
            note: None,
            ended_at: Timestamp::UNIX_EPOCH,
        };
        assert!(spoil(&mut report, "too large"));
        assert!(report.xcoms.is_empty());
        assert!(report.note.as_deref().is_some_and(|note| note.ends_with("too large")));
        assert!(!spoil(&mut report, "again"), "nothing is left that could be refused");
    }
}
