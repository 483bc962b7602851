//! `tradewind db`: the only commands that open the database themselves.

use clap::Subcommand;
use serde::Serialize;
use tradewind_config::{Config, without_password};
use tradewind_ports::{SchemaStatus, StoreError};

use crate::{
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
    roles,
};

/// The commands of `tradewind db`.
#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Bring the schema up to date.
    #[command(after_help = "Example:\n  tradewind --config scheduler.toml db migrate")]
    Migrate,
    /// Check that the database answers and that its schema fits; the exit code is 1 when it does not fit.
    Check {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Serialize)]
struct CheckRecord {
    url: String,
    ready: bool,
    round_trip_ms: f64,
    applied: Vec<String>,
    pending: Vec<String>,
    unknown: Vec<String>,
}

impl Record for CheckRecord {
    const HEADINGS: &'static [&'static str] = &["database", "schema", "round trip", "applied", "pending", "unknown"];

    fn cells(&self) -> Vec<Text> {
        let schema = match (self.ready, self.unknown.is_empty()) {
            (true, _) => Text::toned(Tone::Good, "up to date"),
            (false, true) => Text::toned(Tone::Warn, "behind: run `tradewind db migrate`"),
            (false, false) => Text::toned(Tone::Bad, "newer than this binary"),
        };
        vec![
            Text::plain(&self.url),
            schema,
            Text::plain(format!("{:.1} ms", self.round_trip_ms)),
            Text::plain(self.applied.join(", ")),
            Text::plain(self.pending.join(", ")),
            Text::plain(self.unknown.join(", ")),
        ]
    }
}

/// Runs a command of `tradewind db`.
///
/// # Errors
/// The database is set up wrongly or does not answer.
pub async fn run(context: &Context, command: DbCommand) -> Outcome {
    let config = context.load(Vec::new())?.config;
    let store = roles::open_store(&config).await.map_err(|error| store_error(&error, &config))?;
    let url = shown_url(&config);
    match command {
        DbCommand::Migrate => {
            let before = store.schema_status().await.map_err(|error| store_error(&error, &config))?;
            if !before.unknown.is_empty() {
                return Err(CliError::usage(format!(
                    "{url} is newer than this binary: it has {}",
                    before.unknown.join(", ")
                )));
            }
            store.migrate().await.map_err(|error| store_error(&error, &config))?;
            if before.pending.is_empty() {
                output::line(format!("{url} is up to date."))?;
            } else {
                output::line(format!("{url}: applied {}.", before.pending.join(", ")))?;
            }
            Ok(Exit::Success)
        }
        DbCommand::Check { output } => {
            let took = store.ping().await.map_err(|error| store_error(&error, &config))?;
            let status = store.schema_status().await.map_err(|error| store_error(&error, &config))?;
            let ready = status.is_ready();
            let SchemaStatus { applied, pending, unknown } = status;
            let record =
                CheckRecord { url, ready, round_trip_ms: took.as_secs_f64() * 1_000.0, applied, pending, unknown };
            output::print_record(output.output, &record)?;
            Ok(if ready { Exit::Success } else { Exit::Negative })
        }
    }
}

fn shown_url(config: &Config) -> String {
    match config.store.url.as_str() {
        "" => format!("sqlite://{}", config.home.dir.join("tradewind.db").display()),
        url => without_password(url),
    }
}

fn store_error(error: &StoreError, config: &Config) -> CliError {
    match error {
        StoreError::Unavailable(_) | StoreError::Full(_) => {
            CliError::new(Exit::Unavailable, format!("{} (store.url {})", error, shown_url(config)))
        }
        StoreError::Config(_) => CliError::usage(format!("store.url: {error}")),
        _ => CliError::new(Exit::Internal, error.to_string()),
    }
}
