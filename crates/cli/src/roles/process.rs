//! What every role does first: load and check its options, log, listen to signals.

use std::collections::BTreeMap;

use tradewind_config::{Config, Origin, Role};

use super::{
    logging::{self, Logging},
    stop::Stop,
};
use crate::{
    context::Context,
    errors::{CliError, Exit, Outcome},
    output,
};

/// A loaded configuration on its way to a role.
pub struct Loading {
    /// The options.
    pub config: Config,
    /// Where each came from.
    pub origins: BTreeMap<String, Origin>,
}

impl Loading {
    /// Loads what a role needs, with what its flags override.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(context: &Context, flags: Vec<(&str, Option<String>)>) -> Result<Self, CliError> {
        let overrides = flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        let loaded = context.load(overrides)?;
        Ok(Self { config: loaded.config, origins: loaded.origins })
    }

    /// Checks the options for a role; warnings go to standard error.
    ///
    /// # Errors
    /// Everything that keeps the role from starting.
    pub fn checked(self, role: Role) -> Result<Config, CliError> {
        for warning in self.config.validate(role, &self.origins)? {
            output::warn(&warning);
        }
        Ok(self.config)
    }
}

/// Runs a role on a runtime with threads, with logging and signals.
///
/// # Errors
/// Those of the role.
pub fn run_role(
    name: &'static str,
    config: Config,
    role: impl AsyncFnOnce(Config, Stop) -> Result<(), CliError>,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tradewind").build()?;
    runtime.block_on(async {
        let _logging: Logging = logging::start(name, &config.logs, &config.telemetry)?;
        let stop = Stop::on_signals()?;
        let result = role(config, stop.clone()).await;
        match result {
            Ok(()) => Ok(stop.exit()),
            // Whatever broke because everything is being torn down is no news.
            Err(error) if stop.abort.is_cancelled() => {
                tracing::debug!(%error, "ended");
                Ok(Exit::Interrupted)
            }
            Err(error) => Err(error),
        }
    })
}

/// Hides this process's memory and environment, which hold secrets, from the user code that it starts.
pub fn hide_secrets() {
    if let Err(error) = tradewind_guest::hide_from_guests() {
        tracing::warn!(%error, "tasks of the same user may be able to read this process's memory");
    }
}
