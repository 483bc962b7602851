//! `tradewind assets`.

mod details;
mod events;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;
use tradewind_proto::{json, v1};

use super::dags::{TriggeredArgs, json_object, triggered};
use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, PageArgs, Record, Text},
    suggest,
};

/// The commands of `tradewind assets`.
#[derive(Debug, Subcommand)]
pub enum AssetsCommand {
    /// List the assets that DAGs name.
    List {
        /// Only names and URIs that contain this.
        pattern: Option<String>,
        /// How many, and how to print.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an asset: who makes it, who waits for it, its last event.
    #[command(after_help = "Example:\n  tradewind assets details --name orders")]
    Details {
        #[command(flatten)]
        asset: AssetArgs,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Run the DAG whose task makes an asset.
    #[command(after_help = "Example:\n  tradewind assets materialize --name orders --wait")]
    Materialize {
        #[command(flatten)]
        asset: AssetArgs,
        /// The run's conf, a JSON object.
        #[arg(short, long, value_name = "JSON")]
        conf: Option<String>,
        #[command(flatten)]
        triggered: TriggeredArgs,
    },
    /// List asset events, newest first.
    #[command(after_help = "Examples:
  tradewind assets events --name orders
  tradewind assets events --consumed-by report latest")]
    Events(events::EventsArgs),
    /// Make an event of an asset by hand, as if a task had updated it.
    #[command(visible_alias = "event")]
    #[command(after_help = "Example:\n  tradewind assets update --name orders --extra '{\"rows\": 42}'")]
    Update {
        #[command(flatten)]
        asset: AssetArgs,
        /// What the event carries, a JSON object.
        #[arg(short, long, value_name = "JSON")]
        extra: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Names an asset.
#[derive(Clone, Debug, Default, Args)]
pub struct AssetArgs {
    /// Its name.
    #[arg(long, required_unless_present = "uri")]
    name: Option<String>,
    /// Its URI.
    #[arg(long)]
    uri: Option<String>,
}

/// An asset as a row.
#[derive(Serialize)]
struct AssetRecord {
    name: String,
    uri: String,
    group: String,
    extra: Value,
}

impl AssetRecord {
    fn new(asset: v1::Asset) -> Result<Self, CliError> {
        Ok(Self { name: asset.name, uri: asset.uri, group: asset.group, extra: json("extra", &asset.extra_json)? })
    }
}

impl Record for AssetRecord {
    const HEADINGS: &'static [&'static str] = &["name", "uri", "group", "extra"];

    fn cells(&self) -> Vec<Text> {
        vec![Text::plain(&self.name), Text::plain(&self.uri), Text::plain(&self.group), extra_text(&self.extra)]
    }
}

/// An extra as a cell: nothing when there is nothing in it.
fn extra_text(extra: &Value) -> Text {
    match extra {
        Value::Null => Text::default(),
        Value::Object(fields) if fields.is_empty() => Text::default(),
        other => Text::brief(&other.to_string(), 60),
    }
}

/// Runs a command of `tradewind assets`.
///
/// # Errors
/// No scheduler answers, there is no such asset, a value is wrong.
pub async fn run(context: &Context, command: AssetsCommand) -> Outcome {
    let client = context.client()?;
    match command {
        AssetsCommand::List { pattern, page } => {
            let (assets, total) = fetch(&client, pattern, page.limit).await?;
            let rows = assets.into_iter().map(AssetRecord::new).collect::<Result<Vec<_>, _>>()?;
            output::print_listing(page.output, &rows, total)?;
            Ok(Exit::Success)
        }
        AssetsCommand::Details { asset, output } => details::run(&client, &asset, output).await,
        AssetsCommand::Materialize { asset, conf, triggered: args } => {
            let request = v1::MaterializeAssetRequest {
                name: asset.name.clone(),
                uri: asset.uri.clone(),
                conf_json: conf.as_deref().map(|conf| json_object("--conf", conf)).transpose()?.unwrap_or_default(),
            };
            match client.write(async |mut admin| admin.materialize_asset(request.clone()).await).await {
                Ok(run) => triggered(&client, run, args).await,
                Err(error) => Err(near(&client, error, &asset).await),
            }
        }
        AssetsCommand::Events(args) => events::run(&client, args).await,
        AssetsCommand::Update { asset, extra, output } => {
            let extra = extra.as_deref().map(|extra| json_object("--extra", extra)).transpose()?;
            let request = v1::UpdateAssetRequest {
                name: asset.name.clone(),
                uri: asset.uri.clone(),
                extra_json: extra.unwrap_or_default(),
            };
            match client.write(async |mut admin| admin.update_asset(request.clone()).await).await {
                Ok(event) => {
                    output::print_listing(output.output, &[events::EventRecord::new(event)?], 1)?;
                    Ok(Exit::Success)
                }
                Err(error) => Err(near(&client, error, &asset).await),
            }
        }
    }
}

/// Assets, over all pages up to `limit` rows (0: all).
async fn fetch(client: &Client, pattern: Option<String>, limit: u64) -> Result<(Vec<v1::Asset>, u64), CliError> {
    output::all_pages(limit, async |page| {
        let request = v1::ListAssetsRequest { page: Some(page), pattern: pattern.clone() };
        let answer = client.read(async |mut admin| admin.list_assets(request.clone()).await).await?;
        Ok((answer.assets, answer.total))
    })
    .await
}

/// Adds the asset that was probably meant to a "not found".
async fn near(client: &Client, error: CliError, asset: &AssetArgs) -> CliError {
    if error.exit != Exit::NotFound {
        return error;
    }
    // The error stands as it is when the assets cannot be had.
    let known = fetch(client, None, 1_000).await.unwrap_or_default().0;
    match (&asset.name, &asset.uri) {
        (Some(name), _) if known.iter().all(|row| row.name != *name) => {
            suggest::near_one(error, name, known.iter().map(|row| row.name.as_str()))
        }
        (None, Some(uri)) if known.iter().all(|row| row.uri != *uri) => {
            suggest::near_one(error, uri, known.iter().map(|row| row.uri.as_str()))
        }
        _ => error,
    }
}
