//! Saying hello.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tradewind_proto::{LeaderClient, v1, worker_client};
use tradewind_types::{ApiError, ErrorCode};
use uuid::Uuid;

use crate::{
    session::{Session, Terms},
    settings::{WorkerSettings, hostname},
};

/// How long one round of trying lasts before the log says that it goes on.
const ROUND: Duration = Duration::from_secs(10);
/// How long a name may be taken before that counts as a mistake.
const TAKEN: Duration = Duration::from_secs(45);
/// Heartbeats that fit into a lease when the leader names no interval.
const BEATS_PER_LEASE: u32 = 5;

/// Registers, for as long as it takes.
///
/// # Errors
/// An answer that trying again does not change: a wrong token, a name that is taken. `None` when `shutdown` came first.
pub(crate) async fn register(
    client: &LeaderClient,
    settings: &WorkerSettings,
    incarnation: Uuid,
    shutdown: &CancellationToken,
) -> Result<Option<Terms>, ApiError> {
    let request = v1::RegisterRequest {
        name: settings.name.to_string(),
        incarnation: incarnation.to_string(),
        queues: settings.queues.iter().map(ToString::to_string).collect(),
        slots: settings.slots,
        hostname: hostname(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: settings.labels.clone().into_iter().collect(),
    };
    let began = Instant::now();
    loop {
        let call = client.call(ROUND, |channel| {
            let request = request.clone();
            async move { worker_client(channel).register(request).await }
        });
        let answer = tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            answer = call => answer,
        };
        match answer {
            Ok(answer) => {
                tracing::info!(scheduler = client.address(), term = answer.term, "registered");
                return Ok(Some(terms(&answer)));
            }
            Err(error) if lasting(error.code) => return Err(error),
            // A worker of this name may have died a moment ago on another host: it is known until its lease is over.
            Err(error) if error.code == ErrorCode::AlreadyExists && began.elapsed() > TAKEN => return Err(error),
            Err(error) => {
                tracing::warn!(scheduler = client.address(), %error, "cannot register yet, trying on");
                // Without a pause, an error that comes at once would spin.
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(None),
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            }
        }
    }
}

fn lasting(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Unauthenticated | ErrorCode::Forbidden | ErrorCode::Invalid | ErrorCode::Conflict)
}

fn terms(answer: &v1::RegisterResponse) -> Terms {
    let lease = Duration::from_millis(answer.lease_ms.max(1));
    let heartbeat = match answer.heartbeat_ms {
        0 => (lease / BEATS_PER_LEASE).max(Duration::from_secs(1)),
        millis => Duration::from_millis(millis),
    };
    Terms {
        lease,
        // Whatever it says, a lease must see several heartbeats.
        heartbeat: heartbeat.min(lease / 3),
        xcom_max_bytes: answer.xcom_max_bytes,
    }
}

/// Registers again whenever the leader does not know this incarnation. Runs until it is dropped.
pub(crate) async fn keep_registered(session: Arc<Session>) {
    loop {
        session.register_now.notified().await;
        let never = CancellationToken::new();
        match register(&session.client, &session.settings, session.incarnation, &never).await {
            Ok(Some(terms)) => {
                session.set_terms(terms);
                session.watchdog.set_lease(terms.lease);
                session.beat_now.notify_one();
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the leader does not take this worker back; leases run out unless it does");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_always_fits_several_times_into_a_lease() {
        let of = |lease_ms, heartbeat_ms| {
            terms(&v1::RegisterResponse { lease_ms, heartbeat_ms, ..Default::default() }).heartbeat
        };
        assert_eq!(of(15_000, 0), Duration::from_secs(3));
        assert_eq!(of(15_000, 2_000), Duration::from_secs(2));
        assert_eq!(of(15_000, 60_000), Duration::from_secs(5));
        assert_eq!(of(2_000, 0), Duration::from_secs(2) / 3);
    }
}
