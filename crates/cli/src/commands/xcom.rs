//! `tradewind xcom`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;
use tradewind_proto::{api_error, json, v1};
use tradewind_types::XComObject;

use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, PageArgs, Record, Text},
    suggest,
};

/// The commands of `tradewind xcom`.
#[derive(Debug, Subcommand)]
pub enum XcomCommand {
    /// List the XComs of a run.
    #[command(after_help = "Example:\n  tradewind xcom list hello latest --task-id greet")]
    List {
        /// The DAG.
        dag_id: String,
        /// The run: its id, its logical date, or `latest`.
        run_id: String,
        /// Only those of this task.
        #[arg(short, long, value_name = "TASK")]
        task_id: Option<String>,
        /// Only those with this key.
        #[arg(short, long)]
        key: Option<String>,
        /// Only those of the task instances with this map index.
        #[arg(long, allow_negative_numbers = true)]
        map_index: Option<i32>,
        /// How many, and how to print.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Print the value of an XCom.
    #[command(after_help = "Example:\n  tradewind xcom get hello latest greet")]
    Get {
        /// The DAG.
        dag_id: String,
        /// The run: its id, its logical date, or `latest`.
        run_id: String,
        /// The task that pushed it.
        task_id: String,
        /// Its key.
        #[arg(short, long, default_value = "return_value")]
        key: String,
        /// The map index of the task instance.
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
        map_index: i32,
        /// Write the JSON text of the value to this file instead: for large ones.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Serialize)]
struct XComRecord {
    dag_id: String,
    run_id: String,
    task_id: String,
    map_index: i32,
    key: String,
    /// Null when it is kept elsewhere.
    value: Value,
    /// Where a large value is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<XComObject>,
    timestamp: String,
}

impl Record for XComRecord {
    const HEADINGS: &'static [&'static str] = &["task_id", "key", "value", "timestamp"];

    fn cells(&self) -> Vec<Text> {
        let index = if self.map_index >= 0 { format!("[{}]", self.map_index) } else { String::new() };
        vec![
            Text::plain(format!("{}{index}", self.task_id)),
            Text::plain(&self.key),
            match &self.object {
                Some(object) => Text::plain(format!("{} bytes in {}", object.size, object.url)),
                None => Text::brief(&self.value.to_string(), 80),
            },
            Text::instant(Some(&self.timestamp)),
        ]
    }
}

/// Runs a command of `tradewind xcom`.
///
/// # Errors
/// No scheduler answers, or there is no such run or XCom.
pub async fn run(context: &Context, command: XcomCommand) -> Outcome {
    let client = context.client()?;
    match command {
        XcomCommand::List { dag_id, run_id, task_id, key, map_index, page } => {
            let request = v1::GetXComsAdminRequest { page: None, dag_id, run_id, task_id, key, map_index };
            let (xcoms, total) = fetch(&client, &request, page.limit).await?;
            let rows = xcoms.into_iter().map(|xcom| record(&request.dag_id, xcom)).collect::<Result<Vec<_>, _>>()?;
            output::print_listing(page.output, &rows, total)?;
        }
        XcomCommand::Get { dag_id, run_id, task_id, key, map_index, save, output } => {
            let request = v1::GetXComsAdminRequest {
                page: None,
                dag_id,
                run_id,
                task_id: Some(task_id),
                key: Some(key),
                map_index: Some(map_index),
            };
            let (mut xcoms, _) = fetch(&client, &request, 1).await?;
            let Some(xcom) = xcoms.pop() else {
                return Err(missing(&client, &request).await);
            };
            if let Some(path) = save {
                let file = File::create(&path).map_err(|error| CliError::file("write", &path, &error))?;
                let size = copy(&client, &request, &xcom, Saved { file, path: &path }).await?;
                output::note(&format!("{size} bytes in {}", path.display()));
                return Ok(Exit::Success);
            }
            let value = match &xcom.object {
                None => json("value", &xcom.value_json)?,
                Some(_) => {
                    let mut text = Vec::new();
                    copy(&client, &request, &xcom, &mut text).await?;
                    serde_json::from_slice(&text)
                        .map_err(|error| CliError::new(Exit::Internal, format!("the value is not JSON: {error}")))?
                }
            };
            match value {
                // Text is printed as it is, so that scripts can use it.
                Value::String(text) if !output.output.is_data() => output::line(text)?,
                value => output::print_serialized(output.output, &value)?,
            }
        }
    }
    Ok(Exit::Success)
}

/// Takes pieces of a value.
trait Sink {
    fn take(&mut self, data: &[u8]) -> Result<(), CliError>;
}

struct Saved<'a> {
    file: File,
    path: &'a Path,
}

impl Sink for Saved<'_> {
    fn take(&mut self, data: &[u8]) -> Result<(), CliError> {
        self.file.write_all(data).map_err(|error| CliError::file("write", self.path, &error))
    }
}

impl Sink for &mut Vec<u8> {
    fn take(&mut self, data: &[u8]) -> Result<(), CliError> {
        self.extend_from_slice(data);
        Ok(())
    }
}

/// Copies the JSON text of a value piece by piece. Returns its size.
async fn copy(
    client: &Client,
    request: &v1::GetXComsAdminRequest,
    xcom: &v1::XCom,
    mut to: impl Sink,
) -> Result<u64, CliError> {
    let mut pieces = client.read(async |mut admin| admin.read_x_com(request.clone()).await).await?;
    let mut size = 0;
    while let Some(piece) = pieces.message().await.map_err(|status| CliError::from(api_error(&status)))? {
        size += piece.data.len() as u64;
        to.take(&piece.data)?;
    }
    match &xcom.object {
        Some(object) if object.size != size => {
            let message = format!("the value broke off after {size} of {} bytes; try again", object.size);
            Err(CliError::new(Exit::Unavailable, message))
        }
        _ => Ok(size),
    }
}

async fn fetch(
    client: &Client,
    request: &v1::GetXComsAdminRequest,
    limit: u64,
) -> Result<(Vec<v1::XCom>, u64), CliError> {
    let fetched = output::all_pages(limit, async |page| {
        let request = v1::GetXComsAdminRequest { page: Some(page), ..request.clone() };
        let answer = client.read(async |mut admin| admin.list_x_coms(request.clone()).await).await?;
        Ok((answer.xcoms, answer.total))
    })
    .await;
    match fetched {
        Ok(found) => Ok(found),
        Err(error) => Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
    }
}

async fn missing(client: &Client, request: &v1::GetXComsAdminRequest) -> CliError {
    let (task, key) = (request.task_id.as_deref().unwrap_or_default(), request.key.as_deref().unwrap_or_default());
    let error = CliError::new(Exit::NotFound, format!("{task} pushed no XCom with the key \"{key}\" in this run"));
    let all = v1::GetXComsAdminRequest { key: None, map_index: None, ..request.clone() };
    let pushed = fetch(client, &all, 1_000).await.unwrap_or_default().0;
    if pushed.is_empty() {
        return suggest::near_names(client, error, &request.dag_id, Some(task), Some(&request.run_id)).await;
    }
    let of_index = |xcom: &&v1::XCom| Some(xcom.map_index) == request.map_index;
    let keys: BTreeSet<&str> = pushed.iter().filter(of_index).map(|xcom| xcom.key.as_str()).collect();
    if keys.is_empty() {
        // The instances of a mapped task push each their own.
        let indexes: BTreeSet<i32> = pushed.iter().map(|xcom| xcom.map_index).collect();
        let (least, most) = (indexes.first().copied().unwrap_or(-1), indexes.last().copied().unwrap_or(-1));
        return error.with_hint(format!("{task} is mapped: choose one of {least} to {most} with --map-index"));
    }
    error.with_hint(format!("it pushed {}", keys.into_iter().collect::<Vec<_>>().join(", ")))
}

fn record(dag_id: &str, xcom: v1::XCom) -> Result<XComRecord, CliError> {
    Ok(XComRecord {
        dag_id: dag_id.to_owned(),
        run_id: xcom.run_id,
        task_id: xcom.task_id,
        map_index: xcom.map_index,
        key: xcom.key,
        value: json("value", &xcom.value_json)?,
        object: xcom.object.map(Into::into),
        timestamp: output::iso(xcom.created_at),
    })
}
