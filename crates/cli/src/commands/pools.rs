//! `tradewind pools`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use tradewind_proto::v1;

use super::{
    files,
    rate::{Rate, parse_rate},
};
use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
    suggest,
};

/// The commands of `tradewind pools`.
#[derive(Debug, Subcommand)]
pub enum PoolsCommand {
    /// List the pools and how full they are.
    List {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one pool.
    Get {
        /// Its name.
        name: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Create a pool or change one.
    #[command(after_help = "Examples:
  tradewind pools set ml_training 3 \"Models trained at once\"
  tradewind pools set partner_api 5 \"The partner's API\" --rate 10/60s")]
    Set {
        /// Its name.
        name: String,
        /// Slots; -1 for no limit.
        #[arg(allow_negative_numbers = true)]
        slots: i64,
        /// What it is for.
        #[arg(default_value = "")]
        description: String,
        /// Let deferred task instances hold slots, too.
        #[arg(long)]
        include_deferred: bool,
        /// At most this many starts in this time, e.g. 10/60s or 100/h; `none` for no limit, as without it.
        #[arg(long, value_name = "STARTS/TIME", value_parser = parse_rate)]
        rate: Option<Rate>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete a pool; `default_pool` stays.
    Delete {
        /// Its name.
        name: String,
    },
    /// Create or change the pools of a JSON or YAML file, as `export` writes it.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
    },
    /// Write all pools to a JSON or YAML file.
    Export {
        /// The file; `-` for standard output.
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct PoolRecord {
    pool: String,
    slots: i64,
    description: String,
    include_deferred: bool,
    rate: Option<Rate>,
    running_slots: Option<u64>,
    queued_slots: Option<u64>,
    scheduled_slots: Option<u64>,
    deferred_slots: Option<u64>,
    open_slots: Option<i64>,
}

impl From<v1::Pool> for PoolRecord {
    fn from(pool: v1::Pool) -> Self {
        let usage = pool.usage.as_ref();
        Self {
            rate: Rate::of(&pool),
            running_slots: usage.map(|usage| usage.running),
            queued_slots: usage.map(|usage| usage.queued),
            scheduled_slots: usage.map(|usage| usage.scheduled),
            deferred_slots: usage.map(|usage| usage.deferred),
            // No limit shows as -1, as the slots do.
            open_slots: usage.map(|usage| usage.open),
            pool: pool.name,
            slots: pool.slots,
            description: pool.description,
            include_deferred: pool.include_deferred,
        }
    }
}

fn limit(slots: i64) -> String {
    if slots < 0 { "∞".to_owned() } else { slots.to_string() }
}

impl Record for PoolRecord {
    const HEADINGS: &'static [&'static str] =
        &["pool", "slots", "in use", "", "open", "scheduled", "deferred", "rate", "description"];

    fn cells(&self) -> Vec<Text> {
        let deferred = if self.include_deferred { self.deferred_slots.unwrap_or(0) } else { 0 };
        let used = self.running_slots.unwrap_or(0) + self.queued_slots.unwrap_or(0) + deferred;
        #[expect(clippy::cast_precision_loss, reason = "for a bar")]
        let share = if self.slots > 0 { used as f64 / self.slots as f64 } else { 0.0 };
        let tone = if share >= 1.0 { Tone::Warn } else { Tone::Info };
        let known = |number: Option<u64>| Text::number(number.map_or_else(|| "?".to_owned(), |n| n.to_string()));
        let bar = if self.slots > 0 { output::bar_with_end(share, 10) } else { String::new() };
        vec![
            Text::plain(&self.pool),
            Text::number(limit(self.slots)),
            if self.running_slots.is_some() { Text::number(used) } else { known(None) },
            Text::toned(tone, bar),
            Text::number(self.open_slots.map_or_else(|| "?".to_owned(), limit)),
            known(self.scheduled_slots),
            known(self.deferred_slots),
            Text::maybe(self.rate),
            Text::plain(&self.description),
        ]
    }
}

/// A pool in a file: Airflow's export format, keyed by name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolEntry {
    slots: i64,
    #[serde(default)]
    description: String,
    #[serde(default)]
    include_deferred: bool,
    /// Only Tradewind has it; left out where there is none, so that Airflow can read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
}

fn wire(name: String, entry: PoolEntry) -> v1::Pool {
    // `0` starts mean no limit.
    let rate = entry.rate.filter(|rate| rate.starts > 0);
    v1::Pool {
        name,
        slots: entry.slots,
        description: entry.description,
        include_deferred: entry.include_deferred,
        usage: None,
        rate_starts: rate.map(|rate| rate.starts),
        rate_per_secs: rate.map(|rate| rate.per_secs),
    }
}

/// Runs a command of `tradewind pools`.
///
/// # Errors
/// No leader answers, there is no such pool, a file or value is wrong.
pub async fn run(context: &Context, command: PoolsCommand) -> Outcome {
    let client = context.client()?;
    match command {
        PoolsCommand::List { output } => {
            let rows: Vec<PoolRecord> = list(&client).await?.into_iter().map(Into::into).collect();
            output::print_listing(output.output, &rows, rows.len() as u64)?;
        }
        PoolsCommand::Get { name, output } => {
            let pools = list(&client).await?;
            let Some(pool) = pools.iter().find(|pool| pool.name == name) else {
                return Err(unknown(&name, &pools));
            };
            output::print_record(output.output, &PoolRecord::from(pool.clone()))?;
        }
        PoolsCommand::Set { name, slots, description, include_deferred, rate, output } => {
            let pool = wire(name, PoolEntry { slots, description, include_deferred, rate });
            let set = client.write(async |mut admin| admin.set_pool(pool.clone()).await).await?;
            // The answer does not say how full it is; the list does.
            let listed = list(&client).await.unwrap_or_default().into_iter().find(|pool| pool.name == set.name);
            output::print_listing(output.output, &[PoolRecord::from(listed.unwrap_or(set))], 1)?;
        }
        PoolsCommand::Delete { name } => {
            let request = v1::NameRequest { name };
            let deleted = client.write(async |mut admin| admin.delete_pool(request.clone()).await).await;
            if let Err(error) = deleted {
                let pools = list(&client).await.unwrap_or_default();
                return Err(suggest::near_one(error, &request.name, pools.iter().map(|pool| pool.name.as_str())));
            }
            output::line(format!("Deleted the pool {}.", request.name))?;
        }
        PoolsCommand::Import { file } => import(&client, &file).await?,
        PoolsCommand::Export { file } => {
            let pools = list(&client).await?;
            let entries: BTreeMap<String, PoolEntry> = pools
                .into_iter()
                .map(|pool| {
                    let entry = PoolEntry {
                        rate: Rate::of(&pool),
                        slots: pool.slots,
                        description: pool.description,
                        include_deferred: pool.include_deferred,
                    };
                    (pool.name, entry)
                })
                .collect();
            files::write(&file, &entries, false)?;
            output::note(&format!("Wrote {} pools to {}.", entries.len(), file.display()));
        }
    }
    Ok(Exit::Success)
}

async fn import(client: &Client, file: &std::path::Path) -> Result<(), CliError> {
    let entries: BTreeMap<String, PoolEntry> = files::read(file)?;
    let count = entries.len();
    for (name, entry) in entries {
        let pool = wire(name, entry);
        client.write(async |mut admin| admin.set_pool(pool.clone()).await).await.map_err(|mut error| {
            error.message = format!("the pool \"{}\": {}", pool.name, error.message);
            error
        })?;
    }
    output::line(format!("Imported {count} pools."))?;
    Ok(())
}

async fn list(client: &Client) -> Result<Vec<v1::Pool>, CliError> {
    Ok(client.read(async |mut admin| admin.list_pools(v1::Empty {}).await).await?.pools)
}

fn unknown(name: &str, pools: &[v1::Pool]) -> CliError {
    let error = CliError::new(Exit::NotFound, format!("there is no pool \"{name}\""));
    suggest::near_one(error, name, pools.iter().map(|pool| pool.name.as_str()))
}
