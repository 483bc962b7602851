//! The warm Python process: started when it is needed first, or ahead of that, and again when it died.

use std::sync::Arc;

use tradewind_guest::{GuestEnv, GuestError, Zygote};

/// Keeps one zygote.
pub(crate) struct ZygoteKeeper {
    env: GuestEnv,
    current: tokio::sync::Mutex<Option<Arc<Zygote>>>,
}

impl ZygoteKeeper {
    pub(crate) fn new(env: GuestEnv) -> Self {
        Self { env, current: tokio::sync::Mutex::new(None) }
    }

    /// The living zygote; starts one if there is none. All who come meanwhile wait for the same one.
    pub(crate) async fn get(&self) -> Result<Arc<Zygote>, GuestError> {
        let mut current = self.current.lock().await;
        if let Some(zygote) = current.as_ref().filter(|zygote| zygote.is_alive()) {
            return Ok(Arc::clone(zygote));
        }
        if current.take().is_some() {
            tracing::warn!("the Python zygote died; starting another one");
        }
        let zygote = Arc::new(Zygote::start(self.env.clone()).await?);
        *current = Some(Arc::clone(&zygote));
        Ok(zygote)
    }

    /// Ends the zygote and whatever it still runs.
    pub(crate) async fn shutdown(&self) {
        if let Some(zygote) = self.current.lock().await.take() {
            match Arc::try_unwrap(zygote) {
                Ok(zygote) => zygote.shutdown().await,
                // A task that was given up holds it; it dies with the last handle.
                Err(shared) => drop(shared),
            }
        }
    }
}
