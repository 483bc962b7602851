//! `tradewind variables`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tradewind_proto::v1;

use super::files;
use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, PageArgs, Record, Text},
    suggest,
};

/// The commands of `tradewind variables`.
#[derive(Debug, Subcommand)]
pub enum VariablesCommand {
    /// List the variables.
    List {
        /// How many, and how to print.
        #[command(flatten)]
        page: PageArgs,
        /// Show the values, too.
        #[arg(long)]
        show_values: bool,
    },
    /// Print the value of a variable.
    #[command(after_help = "Example:\n  tradewind variables get feature_flags --json")]
    Get {
        /// Its key.
        key: String,
        /// What to print when there is none.
        #[arg(short, long, value_name = "VALUE")]
        default: Option<String>,
        /// Check that it is JSON, and print it indented.
        #[arg(short, long)]
        json: bool,
    },
    /// Create a variable or change one.
    Set {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// Check that the value is JSON.
        #[arg(short, long)]
        json: bool,
    },
    /// Delete a variable.
    Delete {
        /// Its key.
        key: String,
    },
    /// Create the variables of a JSON or YAML file, as `export` writes it.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// What to do with a key that exists.
        #[arg(short, long, value_enum, default_value_t = OnConflict::Overwrite)]
        action_on_existing_key: OnConflict,
    },
    /// Write all variables, with their values, to a JSON or YAML file that only you can read.
    Export {
        /// The file; `-` for standard output.
        file: PathBuf,
    },
}

/// What an import does with what exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// Replace it.
    Overwrite,
    /// Change nothing at all.
    Fail,
    /// Leave it as it is.
    Skip,
}

#[derive(Serialize)]
struct VariableRecord {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    description: Option<String>,
}

impl Record for VariableRecord {
    const HEADINGS: &'static [&'static str] = &["key", "value", "description"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::plain(&self.key),
            self.value.as_deref().map_or_else(Text::default, |value| Text::brief(value, 60)),
            Text::maybe(self.description.as_ref()),
        ]
    }
}

/// A variable in a file: its value alone, or with a description (both are Airflow's).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedEntry {
    value: Value,
    description: Option<String>,
}

/// Runs a command of `tradewind variables`.
///
/// # Errors
/// No leader answers, there is no such variable, a file or value is wrong.
pub async fn run(context: &Context, command: VariablesCommand) -> Outcome {
    let client = context.client()?;
    match command {
        VariablesCommand::List { page, show_values } => {
            let (variables, total) = list(&client, page.limit).await?;
            let rows: Vec<VariableRecord> = variables
                .into_iter()
                .map(|variable| VariableRecord {
                    key: variable.key,
                    value: show_values.then_some(variable.value),
                    description: variable.description,
                })
                .collect();
            output::print_listing(page.output, &rows, total)?;
        }
        VariablesCommand::Get { key, default, json } => {
            let value = match get(&client, &key).await {
                Ok(variable) => variable.value,
                Err(error) if error.exit == Exit::NotFound => match default {
                    Some(default) => default,
                    None => return Err(unknown(&client, error, &key).await),
                },
                Err(error) => return Err(error),
            };
            if json {
                output::print_serialized(output::Format::Json, &parse(&key, &value)?)?;
            } else {
                output::line(value)?;
            }
        }
        VariablesCommand::Set { key, value, description, json } => {
            if json {
                parse(&key, &value)?;
            }
            set(&client, v1::Variable { key: key.clone(), value, description }).await?;
            output::line(format!("Set the variable {key}."))?;
        }
        VariablesCommand::Delete { key } => {
            let request = v1::NameRequest { name: key };
            let deleted = client.write(async |mut admin| admin.delete_variable(request.clone()).await).await;
            if let Err(error) = deleted {
                return Err(unknown(&client, error, &request.name).await);
            }
            output::line(format!("Deleted the variable {}.", request.name))?;
        }
        VariablesCommand::Import { file, action_on_existing_key } => {
            import(&client, &file, action_on_existing_key).await?;
        }
        VariablesCommand::Export { file } => {
            let (variables, _) = list(&client, 0).await?;
            let entries: BTreeMap<String, Value> = variables.into_iter().map(exported).collect();
            files::write(&file, &entries, true)?;
            output::note(&format!("Wrote {} variables to {}.", entries.len(), file.display()));
        }
    }
    Ok(Exit::Success)
}

/// As Airflow exports: a value that is JSON as JSON, a described one in an object.
fn exported(variable: v1::Variable) -> (String, Value) {
    let value = serde_json::from_str(&variable.value).unwrap_or(Value::String(variable.value));
    let entry = match variable.description.filter(|description| !description.is_empty()) {
        Some(description) => serde_json::json!({ "value": value, "description": description }),
        None => value,
    };
    (variable.key, entry)
}

fn imported(key: String, entry: Value) -> v1::Variable {
    let (value, description) = match serde_json::from_value::<DescribedEntry>(entry.clone()) {
        Ok(described) => (described.value, described.description),
        Err(_) => (entry, None),
    };
    let value = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    v1::Variable { key, value, description }
}

async fn import(client: &Client, file: &std::path::Path, on_conflict: OnConflict) -> Result<(), CliError> {
    let entries: BTreeMap<String, Value> = files::read(file)?;
    let known: Vec<String> = list(client, 0).await?.0.into_iter().map(|variable| variable.key).collect();
    let taken: Vec<&String> = entries.keys().filter(|key| known.contains(key)).collect();
    if on_conflict == OnConflict::Fail
        && let Some(first) = taken.first()
    {
        return Err(CliError::new(
            Exit::Conflict,
            format!("{} variables exist already, e.g. \"{first}\"; nothing was imported", taken.len()),
        ));
    }
    let (mut set_count, mut skipped) = (0, 0);
    for (key, entry) in entries {
        if on_conflict == OnConflict::Skip && known.contains(&key) {
            skipped += 1;
            continue;
        }
        set(client, imported(key, entry)).await?;
        set_count += 1;
    }
    output::line(format!("Imported {set_count} variables, left {skipped} as they were."))?;
    Ok(())
}

async fn list(client: &Client, limit: u64) -> Result<(Vec<v1::Variable>, u64), CliError> {
    output::all_pages(limit, async |page| {
        let request = v1::ListRequest { page: Some(page) };
        let answer = client.read(async |mut admin| admin.list_variables(request).await).await?;
        Ok((answer.variables, answer.total))
    })
    .await
}

async fn get(client: &Client, key: &str) -> Result<v1::Variable, CliError> {
    let request = v1::NameRequest { name: key.to_owned() };
    client.read(async |mut admin| admin.get_variable(request.clone()).await).await
}

async fn set(client: &Client, variable: v1::Variable) -> Result<(), CliError> {
    client.write(async |mut admin| admin.set_variable(variable.clone()).await).await.map(drop)
}

async fn unknown(client: &Client, error: CliError, key: &str) -> CliError {
    let known = list(client, 1_000).await.unwrap_or_default().0;
    suggest::near_one(error, key, known.iter().map(|variable| variable.key.as_str()))
}

fn parse(key: &str, text: &str) -> Result<Value, CliError> {
    serde_json::from_str(text).map_err(|error| CliError::usage(format!("the value of \"{key}\" is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_import_to_the_same() {
        for (value, description) in [("plain", None), ("{\"a\":1}", None), ("7", Some("seven")), ("a b", Some("text"))]
        {
            let variable = v1::Variable {
                key: "k".to_owned(),
                value: value.to_owned(),
                description: description.map(ToOwned::to_owned),
            };
            let (key, entry) = exported(variable.clone());
            assert_eq!(imported(key, entry), variable);
        }
    }
}
