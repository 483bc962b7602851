//! `tradewind config`.

use std::collections::BTreeMap;

use clap::Subcommand;
use tradewind_config::{generate_secrets, render_toml};

use crate::{
    context::Context,
    errors::{CliError, Exit, Outcome},
    output,
};

/// The commands of `tradewind config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration as TOML, without secrets.
    #[command(after_help = "Example:\n  tradewind --config prod.toml config show --origins")]
    Show {
        /// Say where each value came from: default, file and line, environment variable or flag.
        #[arg(long)]
        origins: bool,
    },
    /// Print one value.
    #[command(after_help = "Example:\n  tradewind config get-value scheduler listen")]
    GetValue {
        /// Section, e.g. `scheduler`.
        section: String,
        /// Option, e.g. `listen`.
        option: String,
    },
    /// Print fresh tokens and a Fernet key as TOML; nothing is stored.
    #[command(after_help = "Example:\n  (umask 077; tradewind config generate-secrets > secrets.toml)")]
    GenerateSecrets,
}

/// Runs a command of `tradewind config`.
///
/// # Errors
/// The configuration is not usable, or an option does not exist.
pub fn run(context: &Context, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Show { origins } => {
            let loaded = context.load(Vec::new())?;
            let shown = if origins { loaded.origins } else { BTreeMap::new() };
            output::line(render_toml(&loaded.config, &shown).trim_end())?;
        }
        ConfigCommand::GetValue { section, option } => get_value(context, &section, &option)?,
        ConfigCommand::GenerateSecrets => {
            let secrets = generate_secrets();
            output::line("[security]")?;
            for (key, value) in [
                ("admin_token", secrets.admin_token),
                ("worker_token", secrets.worker_token),
                ("processor_token", secrets.processor_token),
                ("fernet_key", secrets.fernet_key),
            ] {
                output::line(format!("{key} = {}", toml::Value::String(value)))?;
            }
        }
    }
    Ok(Exit::Success)
}

fn get_value(context: &Context, section: &str, option: &str) -> Result<(), CliError> {
    let loaded = context.load(Vec::new())?;
    let key = format!("{section}.{option}");
    let keys = tradewind_config::all_keys();
    if !keys.contains(&key) {
        let near = tradewind_types::did_you_mean(&key, keys.iter().map(String::as_str));
        return Err(CliError::new(Exit::NotFound, format!("there is no option \"{key}\"{near}")));
    }
    // What `config show` hides stays hidden here.
    let shown: toml::Table = render_toml(&loaded.config, &BTreeMap::new())
        .parse()
        .map_err(|error| CliError::new(Exit::Internal, format!("cannot read the configuration back: {error}")))?;
    match shown.get(section).and_then(|section| section.get(option)) {
        Some(toml::Value::String(text)) => output::line(text)?,
        Some(value) => output::line(value)?,
        None => output::line("")?,
    }
    Ok(())
}
