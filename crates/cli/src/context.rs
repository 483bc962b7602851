//! What every command starts from: the loaded configuration and how to reach the schedulers.

use std::path::{Path, PathBuf};

use tradewind_config::{Config, LoadArgs, Loaded, load};
use tradewind_proto::ClientOptions;

use crate::{
    args::GlobalArgs,
    client::Client,
    errors::{CliError, Exit},
    output, secret_files,
};

/// The address that a scheduler has unless it is told another one.
pub const DEFAULT_SCHEDULER: &str = "http://127.0.0.1:7070";

/// What a command starts from.
pub struct Context {
    /// Options of every command.
    pub global: GlobalArgs,
}

impl Context {
    /// A context; nothing is loaded yet.
    pub fn new(global: GlobalArgs) -> Self {
        Self { global }
    }

    /// The configuration, with what the global flags and `more` override.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, more: Vec<(String, String)>) -> Result<Loaded, CliError> {
        let loaded = self.load_quietly(more)?;
        for warning in &loaded.warnings {
            output::warn(warning);
        }
        Ok(loaded)
    }

    /// As [`Context::load`], by a command that has warned already.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load_quietly(&self, more: Vec<(String, String)>) -> Result<Loaded, CliError> {
        let mut overrides = Vec::new();
        if let Some(home) = &self.global.home {
            overrides.push(("home.dir".to_owned(), home.display().to_string()));
        }
        if let Some(address) = &self.global.scheduler {
            overrides.push(("client.schedulers".to_owned(), address.clone()));
        }
        if let Some(token) = &self.global.token {
            overrides.push(("security.admin_token".to_owned(), token.clone()));
        }
        overrides.extend(more);
        Ok(load(LoadArgs::from_process(self.global.config.clone(), overrides))?)
    }

    /// A client of the schedulers, with the admin token.
    ///
    /// # Errors
    /// The configuration, an address or a file of `[tls]` is not usable.
    pub fn client(&self) -> Result<Client, CliError> {
        let config = self.load(Vec::new())?.config;
        let local = secret_files::LocalFiles::new(&config.home.dir);
        let token = match config.security.admin_token.as_str() {
            "" => local.admin_token()?,
            token => Some(token.to_owned()),
        };
        let options = client_options(&config, token.clone(), local.address()?)?;
        Client::new(options, token.is_none().then(|| config.home.dir.clone()), self.global.verbose)
    }
}

/// How to reach the schedulers: the configured addresses, else that of the local standalone process, else the default.
///
/// # Errors
/// A file of `[tls]` cannot be read.
pub fn client_options(
    config: &Config,
    token: Option<String>,
    local_address: Option<String>,
) -> Result<ClientOptions, CliError> {
    let addresses = match config.client.schedulers.as_slice() {
        [] => vec![local_address.unwrap_or_else(|| DEFAULT_SCHEDULER.to_owned())],
        configured => configured.to_vec(),
    };
    let read = |path: &Option<PathBuf>| path.as_deref().map(read_pem).transpose();
    let identity_pem = match (read(&config.tls.cert)?, read(&config.tls.key)?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        _ => None,
    };
    Ok(ClientOptions { addresses, token, ca_pem: read(&config.tls.ca)?, identity_pem })
}

/// The bytes of a PEM file of `[tls]`.
///
/// # Errors
/// It cannot be read.
pub fn read_pem(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path)
        .map_err(|error| CliError::new(Exit::Usage, format!("cannot read {} ([tls]): {error}", path.display())))
}
