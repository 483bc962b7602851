//! Connections: how statements reach a database and rows come back. Nothing here knows a table.

use std::{borrow::Cow, future::Future, path::Path, sync::PoisonError, time::Duration};

use jiff_sqlx::ToSqlx;
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor, Postgres, Sqlite, Transaction,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions},
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
        SqliteSynchronous,
    },
};
use tokio::sync::{Mutex, MutexGuard};
use tradewind_ports::StoreError;
use tradewind_types::Timestamp;

pub(crate) use crate::row::{Row, to_json};
use crate::{
    StoreOptions,
    error::from_sqlx,
    sql::{Arg, Query, Sql},
};

/// Runs a call on the pool, bounded, and once more when its connection turned out to be broken. (A function would take a
/// closure, whose futures are not general enough for `Send`.)
macro_rules! repeated {
    ($db:expr, $call:expr) => {
        $db.bounded(async {
            match $call {
                Err(StoreError::Unavailable(_)) => {
                    $db.weed().await;
                    $call
                }
                result => result,
            }
        })
        .await
    };
}

/// A database.
#[derive(Debug)]
pub(crate) enum Db {
    Postgres(Box<PostgresDb>),
    Sqlite(Box<SqliteDb>),
}

#[derive(Debug)]
pub(crate) struct PostgresDb {
    /// For everything but the leader's commits.
    pub(crate) pool: PgPool,
    /// For the leader's commits alone, so that no crowd of readers can hold them up.
    pub(crate) leader: Slot<PgConnection>,
    /// The server's process and its start, of the leader's connection.
    session: std::sync::Mutex<Option<(i32, Timestamp)>>,
    leader_options: PgConnectOptions,
    /// Host and port, for messages.
    place: String,
    call_timeout: Duration,
    connect_timeout: Duration,
}

#[derive(Debug)]
pub(crate) struct SqliteDb {
    readers: SqlitePool,
    writer: Slot<SqliteConnection>,
    writer_options: SqliteConnectOptions,
    call_timeout: Duration,
}

/// One connection that its user takes out and puts back when all went well. A call that fails or is cancelled half-way
/// leaves the slot empty, and the next one connects anew: a connection in an unknown state is never used again.
#[derive(Debug)]
pub(crate) struct Slot<C>(Mutex<Option<C>>);

/// The turn at a slot.
pub(crate) struct Turn<'a, C> {
    slot: MutexGuard<'a, Option<C>>,
    pub(crate) connection: C,
}

impl<C> Slot<C> {
    fn new(connection: C) -> Self {
        Self(Mutex::new(Some(connection)))
    }
}

impl<C> Turn<'_, C> {
    /// Gives the sound connection back.
    pub(crate) fn keep(mut self) {
        *self.slot = Some(self.connection);
    }
}

impl PostgresDb {
    /// The leader's connection; made anew if the last one failed.
    pub(crate) async fn leader(&self) -> Result<Turn<'_, PgConnection>, StoreError> {
        let mut slot = self.leader.0.lock().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => {
                let mut connection = connect_postgres(&self.leader_options, self.connect_timeout).await?;
                let session = session_of(&mut connection).await.map_err(from_sqlx)?;
                *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
                connection
            }
        };
        Ok(Turn { slot, connection })
    }

    /// The server's process, and its start, that the leader's connection talks to.
    pub(crate) fn leader_session(&self) -> Option<(i32, Timestamp)> {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the broken connections of the pool. When one broke, most of them did: the server restarted.
    async fn weed(&self) {
        let mut sound = Vec::new();
        for _ in 0..self.pool.num_idle() {
            let Some(mut connection) = self.pool.try_acquire() else { break };
            if connection.ping().await.is_ok() {
                sound.push(connection);
            } else {
                connection.close_on_drop();
            }
        }
    }

    /// Bounds a call, so that a server that went silent cannot hold its caller.
    pub(crate) async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.call_timeout, call).await {
            Ok(Err(StoreError::Unavailable(message))) if !message.contains(&self.place) => {
                Err(StoreError::Unavailable(format!("Postgres at {}: {message}", self.place)))
            }
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable(format!(
                "Postgres at {} did not answer within {:?}",
                self.place, self.call_timeout
            ))),
        }
    }
}

impl SqliteDb {
    /// The connection that writes.
    pub(crate) async fn writer(&self) -> Result<Turn<'_, SqliteConnection>, StoreError> {
        let mut slot = tokio::time::timeout(self.call_timeout, self.writer.0.lock())
            .await
            .map_err(|_| StoreError::Unavailable(format!("no turn to write within {:?}", self.call_timeout)))?;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.writer_options.connect().await.map_err(from_sqlx)?,
        };
        Ok(Turn { slot, connection })
    }
}

async fn session_of(connection: &mut PgConnection) -> Result<(i32, Timestamp), sqlx::Error> {
    let row = sqlx::query("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        .fetch_one(connection)
        .await?;
    let start: jiff_sqlx::Timestamp = sqlx::Row::try_get(&row, 1)?;
    Ok((sqlx::Row::try_get(&row, 0)?, start.to_jiff()))
}

/// Connects, and says in words what is wrong if that fails.
async fn connect_postgres(options: &PgConnectOptions, timeout: Duration) -> Result<PgConnection, StoreError> {
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    let error = match tokio::time::timeout(timeout, options.connect()).await {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(error)) => error,
        Err(_) => {
            return Err(StoreError::Unavailable(format!("Postgres at {place} did not answer within {timeout:?}")));
        }
    };
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    Err(match code.as_str() {
        "28P01" => StoreError::Config(format!("Postgres at {place} refuses user \"{user}\": wrong password")),
        "28000" => StoreError::Config(format!(
            "Postgres at {place} does not let user \"{user}\" in: {}",
            error.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default()
        )),
        "3D000" => StoreError::Config(format!(
            "Postgres at {place} has no database \"{database}\"; create it with `createdb -h {} -p {} {database}`",
            options.get_host(),
            options.get_port(),
        )),
        _ => match from_sqlx(error) {
            StoreError::Unavailable(message) => {
                StoreError::Unavailable(format!("cannot reach Postgres at {place}: {message}"))
            }
            StoreError::Config(message) => StoreError::Config(format!("Postgres at {place}: {message}")),
            other => other,
        },
    })
}

impl Db {
    pub(crate) async fn open_postgres(connect: PgConnectOptions, options: &StoreOptions) -> Result<Self, StoreError> {
        let millis = |duration: Duration| duration.as_millis().to_string();
        let connect = connect
            .application_name(&options.application_name)
            .options([
                ("statement_timeout", millis(options.call_timeout)),
                ("lock_timeout", "2000".to_owned()),
                ("idle_in_transaction_session_timeout", "5000".to_owned()),
                ("jit", "off".to_owned()),
            ])
            .disable_statement_logging();
        // Listings have optional conditions, which only a plan for the actual arguments can use; the leader's statements
        // are always the same, and planning them again would cost more than running them.
        let pool_options = connect.clone().options([("plan_cache_mode", "force_custom_plan")]);
        let leader_options = connect.options([("plan_cache_mode", "force_generic_plan"), ("lock_timeout", "500")]);

        let mut leader = connect_postgres(&leader_options, options.connect_timeout).await?;
        let session = session_of(&mut leader).await.map_err(from_sqlx)?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(2))
            .acquire_timeout(options.connect_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(pool_options);
        Ok(Self::Postgres(Box::new(PostgresDb {
            pool,
            leader: Slot::new(leader),
            session: std::sync::Mutex::new(Some(session)),
            place: format!("{}:{}", leader_options.get_host(), leader_options.get_port()),
            leader_options,
            call_timeout: options.call_timeout,
            connect_timeout: options.connect_timeout,
        })))
    }

    pub(crate) async fn open_sqlite(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let named = |what: &str, error: &dyn std::fmt::Display| {
            StoreError::Config(format!("{what} {}: {error}", path.display()))
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| named("cannot make the folder of the database", &error))?;
        }
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(200)
            .disable_statement_logging();
        let writer = connect.connect().await.map_err(|error| match from_sqlx(error) {
            StoreError::Config(message) => named("cannot open the database", &message),
            other => other,
        })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.max_connections.clamp(1, 4))
            .acquire_timeout(options.call_timeout)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(connect.clone().pragma("query_only", "ON"));
        Ok(Self::Sqlite(Box::new(SqliteDb {
            readers,
            writer: Slot::new(writer),
            writer_options: connect,
            call_timeout: options.call_timeout,
        })))
    }

    /// Picks the text for this database.
    pub(crate) fn pick(&self) -> fn(&Sql) -> &'static str {
        match self {
            Self::Postgres(_) => |sql| sql.postgres,
            Self::Sqlite(_) => |sql| sql.sqlite,
        }
    }

    /// Reads rows. A read that fails because its connection broke is repeated once.
    pub(crate) async fn fetch(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.fetch_text(Cow::Borrowed(self.pick()(&sql)), args).await
    }

    /// Reads at most one row.
    pub(crate) async fn fetch_one(&self, sql: Sql, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// Reads one page of a query and counts all its rows.
    pub(crate) async fn fetch_page(
        &self,
        query: &Query,
        page: tradewind_ports::Page,
    ) -> Result<(Vec<Row>, u64), StoreError> {
        let mut args = query.args();
        let total = self
            .fetch_text(Cow::Owned(query.count(self.pick())), args.clone())
            .await?
            .first()
            .map_or(Ok(0), |row| row.uint(0))?;
        args.push(Arg::from(page.capped_limit()));
        args.push(Arg::from(page.offset));
        let rows = self.fetch_text(Cow::Owned(query.page(self.pick())), args).await?;
        Ok((rows, total))
    }

    async fn fetch_text(&self, text: Cow<'static, str>, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Postgres(db) => repeated!(db, fetch_postgres(&db.pool, text.clone(), args.clone()).await),
            Self::Sqlite(db) => fetch_sqlite(&db.readers, text, args).await,
        }
    }

    /// Writes in a statement of its own; answers how many rows it touched. Like a read it is repeated once when its
    /// connection broke, so it must have the same effect twice.
    pub(crate) async fn execute(&self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        match self {
            Self::Postgres(db) => {
                repeated!(db, {
                    let query = sqlx::query_with(sql.postgres, postgres_args(args.clone())?);
                    query.execute(&db.pool).await.map_err(from_sqlx).map(|done| done.rows_affected())
                })
            }
            Self::Sqlite(db) => {
                let mut turn = db.writer().await?;
                let touched = execute_sqlite(&mut turn.connection, sql.sqlite, args).await;
                turn.keep();
                touched
            }
        }
    }

    /// Begins a transaction for writes outside the leader's term. Dropping it undoes it.
    pub(crate) async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        match self {
            Self::Postgres(db) => {
                let tx = repeated!(db, db.pool.begin().await.map_err(from_sqlx))?;
                Ok(Tx::Postgres(db, tx))
            }
            Self::Sqlite(db) => {
                let mut turn = db.writer().await?;
                turn.connection.execute("BEGIN IMMEDIATE").await.map_err(from_sqlx)?;
                Ok(Tx::Sqlite(Box::new(turn)))
            }
        }
    }
}

/// A transaction outside the leader's term.
pub(crate) enum Tx<'a> {
    Postgres(&'a PostgresDb, Transaction<'static, Postgres>),
    Sqlite(Box<Turn<'a, SqliteConnection>>),
}

impl Tx<'_> {
    pub(crate) async fn execute(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        match self {
            Self::Postgres(db, tx) => {
                let query = sqlx::query_with(sql.postgres, postgres_args(args)?);
                db.bounded(async { query.execute(&mut **tx).await.map_err(from_sqlx) })
                    .await
                    .map(|done| done.rows_affected())
            }
            Self::Sqlite(turn) => execute_sqlite(&mut turn.connection, sql.sqlite, args).await,
        }
    }

    pub(crate) async fn fetch(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Postgres(db, tx) => db.bounded(fetch_postgres(&mut **tx, Cow::Borrowed(sql.postgres), args)).await,
            Self::Sqlite(turn) => fetch_sqlite(&mut turn.connection, Cow::Borrowed(sql.sqlite), args).await,
        }
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(db, tx) => db.bounded(async { tx.commit().await.map_err(from_sqlx) }).await,
            Self::Sqlite(mut turn) => {
                turn.connection.execute("COMMIT").await.map_err(from_sqlx)?;
                turn.keep();
                Ok(())
            }
        }
    }
}

async fn fetch_postgres<'e, E: Executor<'e, Database = Postgres>>(
    executor: E,
    text: Cow<'static, str>,
    args: Vec<Arg>,
) -> Result<Vec<Row>, StoreError> {
    let rows =
        sqlx::query_with(AssertSqlSafe(text), postgres_args(args)?).fetch_all(executor).await.map_err(from_sqlx)?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

async fn fetch_sqlite<'e, E: Executor<'e, Database = Sqlite>>(
    executor: E,
    text: Cow<'static, str>,
    args: Vec<Arg>,
) -> Result<Vec<Row>, StoreError> {
    let rows =
        sqlx::query_with(AssertSqlSafe(text), sqlite_args(args)?).fetch_all(executor).await.map_err(from_sqlx)?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

pub(crate) async fn execute_sqlite(
    connection: &mut SqliteConnection,
    text: &'static str,
    args: Vec<Arg>,
) -> Result<u64, StoreError> {
    sqlx::query_with(text, sqlite_args(args)?)
        .execute(connection)
        .await
        .map_err(from_sqlx)
        .map(|done| done.rows_affected())
}

fn not_bound(error: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(format!("an argument cannot be bound: {error}"))
}

/// An instant as Postgres gets it.
pub(crate) fn at(at: Timestamp) -> jiff_sqlx::Timestamp {
    tradewind_types::truncate_micros(at).to_sqlx()
}

pub(crate) fn postgres_args(args: Vec<Arg>) -> Result<PgArguments, StoreError> {
    let mut bound = PgArguments::default();
    for arg in args {
        match arg {
            Arg::Text(text) => bound.add(text),
            Arg::Int(number) => bound.add(number),
            Arg::Bool(truth) => bound.add(truth),
            Arg::At(instant) => bound.add(instant.map(at)),
            Arg::Id(id) => bound.add(id),
            Arg::Bytes(bytes) => bound.add(bytes),
            Arg::Texts(texts) => bound.add(texts),
            Arg::Ints(numbers) => bound.add(numbers),
        }
        .map_err(not_bound)?;
    }
    Ok(bound)
}

pub(crate) fn sqlite_args(args: Vec<Arg>) -> Result<SqliteArguments, StoreError> {
    let mut bound = SqliteArguments::default();
    for arg in args {
        match arg {
            Arg::Text(text) => Arguments::add(&mut bound, text),
            Arg::Int(number) => Arguments::add(&mut bound, number),
            Arg::Bool(truth) => Arguments::add(&mut bound, i64::from(truth)),
            Arg::At(instant) => Arguments::add(&mut bound, instant.map(Timestamp::as_microsecond)),
            Arg::Id(id) => Arguments::add(&mut bound, id),
            Arg::Bytes(bytes) => Arguments::add(&mut bound, bytes),
            Arg::Texts(texts) => Arguments::add(&mut bound, serde_json::to_string(&texts).map_err(not_bound)?),
            Arg::Ints(numbers) => Arguments::add(&mut bound, serde_json::to_string(&numbers).map_err(not_bound)?),
        }
        .map_err(not_bound)?;
    }
    Ok(bound)
}
