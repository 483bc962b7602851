//! Stopping a running operator from outside.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// Stops one operator. Dropping it does not.
#[derive(Clone, Debug)]
pub struct Stopper {
    sender: Arc<watch::Sender<Option<Duration>>>,
}

/// The operator's end of a [`Stopper`].
#[derive(Clone, Debug)]
pub struct StopSignal {
    receiver: watch::Receiver<Option<Duration>>,
}

impl Stopper {
    /// A stopper and its signal.
    pub fn new() -> (Self, StopSignal) {
        let (sender, receiver) = watch::channel(None);
        let stopper = Self { sender: Arc::new(sender) };
        (stopper, StopSignal { receiver })
    }

    /// Asks the operator to end: its processes get SIGTERM, and SIGKILL after `grace`. A later call can only shorten
    /// the grace.
    pub fn stop(&self, grace: Duration) {
        self.sender.send_modify(|stop| {
            *stop = Some(stop.map_or(grace, |earlier| earlier.min(grace)));
        });
    }

    /// Whether [`Stopper::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.sender.borrow().is_some()
    }
}

impl StopSignal {
    /// Waits until the operator is to end; answers the grace.
    pub async fn requested(&self) -> Duration {
        self.until(Option::is_some).await
    }

    /// Waits until the grace is shorter than `grace`.
    pub async fn shortened(&self, grace: Duration) -> Duration {
        self.until(|stop| stop.is_some_and(|now| now < grace)).await
    }

    async fn until(&self, fits: impl FnMut(&Option<Duration>) -> bool) -> Duration {
        let mut receiver = self.receiver.clone();
        // The guard of the value ends here: it must not live across an await.
        let grace = receiver.wait_for(fits).await.map(|stop| *stop);
        match grace {
            Ok(grace) => grace.unwrap_or_default(),
            // Nobody is left who could ask.
            Err(_) => std::future::pending().await,
        }
    }
}
