//! Opening a store by its URL.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tradewind_ports::StoreError;

use crate::{FileLogs, FullStore, SqlStore, db::Db};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Connections for reads and for writes outside the leader's term; the leader's commits have one of their own.
    pub max_connections: u32,
    /// How long connecting, or waiting for a free connection, may take.
    pub connect_timeout: Duration,
    /// How long one call may take in all before it fails as unavailable.
    pub call_timeout: Duration,
    /// The folder of log files. With Postgres, logs are kept in the database when this is absent; it must be shared by
    /// all schedulers when it is present. With SQLite it is `<database>.logs` when absent.
    pub logs_dir: Option<PathBuf>,
    /// What the database shows as the name of the client.
    pub application_name: String,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            max_connections: 8,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            logs_dir: None,
            application_name: "tradewind".to_owned(),
        }
    }
}

/// Opens the store at `url`: `postgres://user:password@host:port/database` or `sqlite:///path/to/file`. Connects once, so
/// that what is wrong shows at once. The schema is left as it is: see [`tradewind_ports::Store::migrate`].
///
/// # Errors
/// [`StoreError::Config`] for a bad URL, a wrong password or a missing database, [`StoreError::Unavailable`] for a server
/// that does not answer. No message holds a password.
pub async fn open(url: &str, options: StoreOptions) -> Result<Arc<dyn FullStore>, StoreError> {
    Ok(Arc::new(open_sql(url, options).await?))
}

/// [`open`], as the adapter itself: for what the ports do not name ([`SqlStore::check_statements`]).
///
/// # Errors
/// Those of [`open`].
pub async fn open_sql(url: &str, options: StoreOptions) -> Result<SqlStore, StoreError> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "postgres" | "postgresql" => {
            let connect = PgConnectOptions::from_str(url).map_err(|error| {
                StoreError::Config(format!(
                    "the store URL is not a Postgres URL ({}); write postgres://user:password@host:port/database",
                    first_line(&error)
                ))
            })?;
            let logs = options.logs_dir.as_deref().map(FileLogs::new).transpose()?;
            let db = Db::open_postgres(connect, &options).await?;
            Ok(SqlStore::new(db, logs))
        }
        "sqlite" => {
            let path = sqlite_path(url)?;
            let logs_dir = options.logs_dir.clone().unwrap_or_else(|| {
                let mut name = path.clone().into_os_string();
                name.push(".logs");
                PathBuf::from(name)
            });
            let db = Db::open_sqlite(&path, &options).await?;
            Ok(SqlStore::new(db, Some(FileLogs::new(&logs_dir)?)))
        }
        _ => Err(StoreError::Config(format!(
            "the store URL \"{}\" has an unknown scheme; write postgres://user:password@host:port/database or sqlite:///path/to/file",
            redacted(url)
        ))),
    }
}

fn first_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The file of a `sqlite:` URL: `sqlite:///absolute/path`, `sqlite://relative/path`.
fn sqlite_path(url: &str) -> Result<PathBuf, StoreError> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.ends_with('/') {
        return Err(StoreError::Config(format!("the store URL \"{url}\" names no file; write sqlite:///path/to/file")));
    }
    if path.contains(":memory:") || path.contains('?') {
        return Err(StoreError::Config(format!(
            "the store URL \"{url}\" must name a file and nothing else; write sqlite:///path/to/file"
        )));
    }
    Ok(Path::new(path).to_path_buf())
}

/// A URL without its password, for messages and logs.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, tail) = match rest.find(['/', '?', '#']) {
        // A password may hold a raw slash; the last @ ends the user part.
        Some(_) if rest.contains('@') => {
            let at = rest.rfind('@').unwrap_or(0);
            let end = rest[at..].find(['/', '?', '#']).map_or(rest.len(), |i| at + i);
            rest.split_at(end)
        }
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    // Query parameters may hold a password, too (`?password=`).
    let tail = tail.split('?').next().unwrap_or_default();
    format!("{scheme}://{authority}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_survives_redaction() {
        for (url, shown) in [
            ("postgres://u:secret@h:1/db", "postgres://u:***@h:1/db"),
            ("postgres://u:se/cr@et@h/db", "postgres://u:***@h/db"),
            ("postgres://h/db?password=secret", "postgres://h/db"),
            ("postgres://u@h", "postgres://u@h"),
            ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn sqlite_urls_name_files() {
        assert_eq!(sqlite_path("sqlite:///a/b.db").unwrap(), Path::new("/a/b.db"));
        assert_eq!(sqlite_path("sqlite://a/b.db").unwrap(), Path::new("a/b.db"));
        for bad in ["sqlite://", "sqlite::memory:", "sqlite:///a/", "sqlite:///a?mode=ro"] {
            assert!(sqlite_path(bad).is_err(), "{bad}");
        }
    }
}
