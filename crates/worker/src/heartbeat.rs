//! Renews all leases in one call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tradewind_proto::{uuid, v1, worker_client};
use tradewind_types::LeaseToken;

use crate::{lease::StopReason, session::Session};

/// Beats until it is dropped.
pub(crate) async fn keep_beating(session: Arc<Session>) {
    loop {
        let interval = session.terms().heartbeat;
        // A beat that does not get through gives way to the next one, which names what is held by then.
        let pause = match beat(&session, interval).await {
            Ok(()) => interval,
            Err(error) => {
                tracing::warn!(%error, held = session.busy(), "the heartbeat failed");
                interval.min(Duration::from_millis(250))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = session.beat_now.notified() => {}
        }
    }
}

async fn beat(session: &Arc<Session>, patience: Duration) -> Result<(), tradewind_types::ApiError> {
    let sent = Instant::now();
    let held = session.leases.book().held(sent);
    let slots = session.settings.slots as usize;
    let request = v1::HeartbeatRequest {
        worker: session.settings.name.to_string(),
        incarnation: session.incarnation.to_string(),
        holds: held.iter().map(|(key, token)| v1::AttemptRef::new(*key, *token)).collect(),
        free_slots: u32::try_from(slots.saturating_sub(session.busy_slots())).unwrap_or(0),
        draining: session.draining.is_cancelled(),
    };
    let answer = session
        .client
        .call(patience, |channel| {
            let request = request.clone();
            async move { worker_client(channel).heartbeat(request).await }
        })
        .await?;
    if answer.register {
        // A leader that does not know us has renewed nothing.
        session.register_now.notify_one();
        return Ok(());
    }
    let cancelled: Vec<LeaseToken> =
        answer.cancel.iter().filter_map(|token| uuid("cancel", token).ok().map(LeaseToken)).collect();
    let renewed = held.iter().map(|(_, token)| *token).filter(|token| !cancelled.contains(token));
    session.leases.book().renew(renewed, sent);
    session.watchdog.alive();
    for token in cancelled {
        let control = session.leases.book().control(token);
        if let Some(control) = control {
            tracing::info!(?token, "the leader takes an attempt back; it is stopped");
            control.stop(StopReason::Cancelled, session.settings.kill_grace);
        }
    }
    if answer.drain {
        session.drain();
    }
    Ok(())
}
