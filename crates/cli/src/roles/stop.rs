//! Signals: the first asks to stop in order, the second to stop at once, the third does not ask.

use std::{io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::errors::Exit;

/// How long everything may take to end after the second signal.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// What tells a process to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Finish what runs, then end.
    pub shutdown: CancellationToken,
    /// End now.
    pub abort: CancellationToken,
}

impl Stop {
    /// Listens to SIGINT and SIGTERM.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let told = stop.clone();
        tokio::spawn(async move {
            next(&mut interrupt, &mut terminate).await;
            tracing::info!("stopping: running task instances may finish; a second signal stops them");
            told.shutdown.cancel();
            next(&mut interrupt, &mut terminate).await;
            tracing::warn!("stopping at once");
            told.abort.cancel();
            tokio::select! {
                () = next(&mut interrupt, &mut terminate) => {}
                () = tokio::time::sleep(ABORT_GRACE) => {}
            }
            std::process::exit(Exit::Interrupted as i32);
        });
        Ok(stop)
    }

    /// How the process ends when it was told to.
    pub fn exit(&self) -> Exit {
        if self.abort.is_cancelled() { Exit::Interrupted } else { Exit::Success }
    }
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
