//! `tradewind connections`.

mod uri;

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tradewind_proto::v1;

use super::files;
use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, PageArgs, Record, Text},
    suggest,
};

/// The commands of `tradewind connections`.
#[derive(Debug, Subcommand)]
pub enum ConnectionsCommand {
    /// List the connections; passwords and extras are masked.
    List {
        /// How many, and how to print.
        #[command(flatten)]
        page: PageArgs,
        /// Only this one.
        #[arg(long, value_name = "CONN_ID")]
        conn_id: Option<String>,
    },
    /// Show a connection with its password.
    Get {
        /// Its id.
        conn_id: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Create a connection.
    #[command(after_help = "Examples:
  tradewind connections add db --conn-uri postgres://user:secret@db.internal:5432/app
  tradewind connections add api --conn-type http --conn-host api.internal --conn-port 8080")]
    Add(Box<AddArgs>),
    /// Delete a connection.
    Delete {
        /// Its id.
        conn_id: String,
    },
    /// Create the connections of a JSON or YAML file, as `export` writes it.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Replace connections that exist; without it they are left as they are.
        #[arg(long)]
        overwrite: bool,
    },
    /// Write all connections, with their passwords, to a JSON or YAML file that only you can read.
    Export {
        /// The file; `-` for standard output.
        file: PathBuf,
    },
}

/// The arguments of `tradewind connections add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Its id.
    conn_id: String,
    /// All of it as a URI.
    #[arg(long, value_name = "URI", conflicts_with_all = ["conn_json", "conn_type"])]
    conn_uri: Option<String>,
    /// All of it as a JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "conn_type")]
    conn_json: Option<String>,
    /// Its type, e.g. postgres.
    #[arg(long, value_name = "TYPE", required_unless_present_any = ["conn_uri", "conn_json"])]
    conn_type: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    conn_description: Option<String>,
    /// Host.
    #[arg(long, value_name = "HOST")]
    conn_host: Option<String>,
    /// User.
    #[arg(long, value_name = "USER")]
    conn_login: Option<String>,
    /// Password.
    #[arg(long, value_name = "PASSWORD")]
    conn_password: Option<String>,
    /// Schema or database.
    #[arg(long, value_name = "SCHEMA")]
    conn_schema: Option<String>,
    /// Port.
    #[arg(long, value_name = "PORT")]
    conn_port: Option<u16>,
    /// Everything else, as a JSON object.
    #[arg(long, value_name = "JSON")]
    conn_extra: Option<String>,
}

/// A connection in a file (Airflow's export format, keyed by id) and of `--conn-json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConnectionEntry {
    conn_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// An object, or an object as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Value>,
}

impl ConnectionEntry {
    fn wire(self, conn_id: &str) -> v1::Connection {
        v1::Connection {
            conn_id: conn_id.to_owned(),
            conn_type: self.conn_type,
            description: self.description,
            host: self.host,
            schema: self.schema,
            login: self.login,
            password: self.password,
            port: self.port.map(u32::from),
            extra: self.extra.map(|extra| match extra {
                Value::String(text) => text,
                other => other.to_string(),
            }),
        }
    }
}

impl From<v1::Connection> for ConnectionEntry {
    fn from(connection: v1::Connection) -> Self {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            conn_type: connection.conn_type,
            description: some(connection.description),
            host: some(connection.host),
            login: some(connection.login),
            password: some(connection.password),
            schema: some(connection.schema),
            port: connection.port.and_then(|port| u16::try_from(port).ok()),
            extra: some(connection.extra).map(|extra| serde_json::from_str(&extra).unwrap_or(Value::String(extra))),
        }
    }
}

#[derive(Serialize)]
struct ConnectionRecord {
    conn_id: String,
    conn_type: String,
    description: Option<String>,
    host: Option<String>,
    schema: Option<String>,
    login: Option<String>,
    password: Option<String>,
    port: Option<u32>,
    extra: Option<String>,
}

impl From<v1::Connection> for ConnectionRecord {
    fn from(connection: v1::Connection) -> Self {
        let v1::Connection { conn_id, conn_type, description, host, schema, login, password, port, extra } = connection;
        Self { conn_id, conn_type, description, host, schema, login, password, port, extra }
    }
}

impl Record for ConnectionRecord {
    const HEADINGS: &'static [&'static str] =
        &["conn_id", "type", "host", "port", "schema", "login", "password", "extra", "description"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::plain(&self.conn_id),
            Text::plain(&self.conn_type),
            Text::maybe(self.host.as_ref()),
            self.port.map_or_else(Text::default, Text::number),
            Text::maybe(self.schema.as_ref()),
            Text::maybe(self.login.as_ref()),
            Text::maybe(self.password.as_ref()),
            Text::maybe(self.extra.as_ref()),
            Text::maybe(self.description.as_ref()),
        ]
    }
}

/// Runs a command of `tradewind connections`.
///
/// # Errors
/// No leader answers, there is no such connection, a file or value is wrong.
pub async fn run(context: &Context, command: ConnectionsCommand) -> Outcome {
    let client = context.client()?;
    match command {
        ConnectionsCommand::List { page, conn_id } => {
            let (mut connections, mut total) = list(&client, if conn_id.is_some() { 0 } else { page.limit }).await?;
            if let Some(conn_id) = conn_id {
                connections.retain(|connection| connection.conn_id == conn_id);
                total = connections.len() as u64;
            }
            let rows: Vec<ConnectionRecord> = connections.into_iter().map(Into::into).collect();
            output::print_listing(page.output, &rows, total)?;
        }
        ConnectionsCommand::Get { conn_id, output } => {
            let request = v1::NameRequest { name: conn_id };
            let found = client.read(async |mut admin| admin.get_connection(request.clone()).await).await;
            match found {
                Ok(connection) => output::print_record(output.output, &ConnectionRecord::from(connection))?,
                Err(error) => return Err(unknown(&client, error, &request.name).await),
            }
        }
        ConnectionsCommand::Add(args) => {
            let conn_id = args.conn_id.clone();
            set(&client, entry(*args)?.wire(&conn_id), true).await?;
            output::line(format!("Added the connection {conn_id}."))?;
        }
        ConnectionsCommand::Delete { conn_id } => {
            let request = v1::NameRequest { name: conn_id };
            let deleted = client.write(async |mut admin| admin.delete_connection(request.clone()).await).await;
            if let Err(error) = deleted {
                return Err(unknown(&client, error, &request.name).await);
            }
            output::line(format!("Deleted the connection {}.", request.name))?;
        }
        ConnectionsCommand::Import { file, overwrite } => import(&client, &file, overwrite).await?,
        ConnectionsCommand::Export { file } => export(&client, &file).await?,
    }
    Ok(Exit::Success)
}

fn entry(args: AddArgs) -> Result<ConnectionEntry, CliError> {
    let base = match (&args.conn_uri, &args.conn_json) {
        (Some(uri), _) => uri::parse(uri)?,
        (None, Some(json)) => serde_json::from_str(json)
            .map_err(|error| CliError::usage(format!("--conn-json is not a connection as JSON: {error}")))?,
        (None, None) => ConnectionEntry { conn_type: args.conn_type.unwrap_or_default(), ..Default::default() },
    };
    let extra = args
        .conn_extra
        .map(|extra| {
            serde_json::from_str::<Value>(&extra)
                .ok()
                .filter(Value::is_object)
                .ok_or_else(|| CliError::usage("--conn-extra is not a JSON object"))
        })
        .transpose()?;
    Ok(ConnectionEntry {
        conn_type: base.conn_type,
        description: args.conn_description.or(base.description),
        host: args.conn_host.or(base.host),
        login: args.conn_login.or(base.login),
        password: args.conn_password.or(base.password),
        schema: args.conn_schema.or(base.schema),
        port: args.conn_port.or(base.port),
        extra: extra.or(base.extra),
    })
}

async fn import(client: &Client, file: &std::path::Path, overwrite: bool) -> Result<(), CliError> {
    let raw: BTreeMap<String, Value> = files::read(file)?;
    // Everything is understood before anything is changed.
    let mut entries = Vec::new();
    for (conn_id, value) in raw {
        let entry = match value {
            Value::String(text) => uri::parse(&text)?,
            other => serde_json::from_value(other).map_err(|error| {
                CliError::usage(format!("{}: the connection \"{conn_id}\": {error}", file.display()))
            })?,
        };
        entries.push((conn_id, entry));
    }
    let (mut set_count, mut skipped) = (0, 0);
    for (conn_id, entry) in entries {
        match set(client, entry.wire(&conn_id), !overwrite).await {
            Ok(()) => set_count += 1,
            Err(error) if error.exit == Exit::Conflict => skipped += 1,
            Err(mut error) => {
                error.message = format!("the connection \"{conn_id}\": {}", error.message);
                return Err(error);
            }
        }
    }
    output::line(format!("Imported {set_count} connections, left {skipped} as they were."))?;
    Ok(())
}

async fn export(client: &Client, file: &std::path::Path) -> Result<(), CliError> {
    let mut entries: BTreeMap<String, ConnectionEntry> = BTreeMap::new();
    for connection in list(client, 0).await?.0 {
        // Listings are masked; each is fetched whole.
        let request = v1::NameRequest { name: connection.conn_id };
        let whole = client.read(async |mut admin| admin.get_connection(request.clone()).await).await?;
        entries.insert(request.name, whole.into());
    }
    files::write(file, &entries, true)?;
    output::note(&format!("Wrote {} connections to {}.", entries.len(), file.display()));
    Ok(())
}

async fn list(client: &Client, limit: u64) -> Result<(Vec<v1::Connection>, u64), CliError> {
    output::all_pages(limit, async |page| {
        let request = v1::ListRequest { page: Some(page) };
        let answer = client.read(async |mut admin| admin.list_connections(request).await).await?;
        Ok((answer.connections, answer.total))
    })
    .await
}

async fn set(client: &Client, connection: v1::Connection, create_only: bool) -> Result<(), CliError> {
    let request = v1::SetConnectionRequest { connection: Some(connection), create_only };
    client.write(async |mut admin| admin.set_connection(request.clone()).await).await.map(drop)
}

async fn unknown(client: &Client, error: CliError, conn_id: &str) -> CliError {
    let known = list(client, 1_000).await.unwrap_or_default().0;
    suggest::near_one(error, conn_id, known.iter().map(|connection| connection.conn_id.as_str()))
}
