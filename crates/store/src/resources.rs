//! Pools, variables, connections and import errors.

use tradewind_ports::{Listing, Page, StoreError};
use tradewind_types::{Connection, ImportError, Pool, RateLimit, Variable};

use crate::{
    db::{Db, Row},
    sql::{Query, Sql, args},
};

const POOLS: Sql =
    Sql::both("SELECT name, slots, description, include_deferred, rate_starts, rate_seconds FROM pool ORDER BY name");

const INSTALLATION: Sql =
    Sql::forked("SELECT replace(CAST(id AS TEXT), '-', '') FROM installation", "SELECT id FROM installation");

const VARIABLE: Sql = Sql::both("SELECT key, value, description FROM variable WHERE key = $1");
const VARIABLES: Sql = Sql::both("SELECT key, value, description FROM variable");
const PUT_VARIABLE: Sql = Sql::both(
    "INSERT INTO variable (key, value, description) VALUES ($1, $2, $3)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, description = excluded.description",
);
const DELETE_VARIABLE: Sql = Sql::both("DELETE FROM variable WHERE key = $1");

const CONNECTION: Sql = Sql::both(
    "SELECT conn_id, conn_type, description, host, schema, login, password, port, extra
    FROM connection WHERE conn_id = $1",
);
const CONNECTIONS: Sql =
    Sql::both("SELECT conn_id, conn_type, description, host, schema, login, password, port, extra FROM connection");
const PUT_CONNECTION: Sql = Sql::both(
    "INSERT INTO connection (conn_id, conn_type, description, host, schema, login, password, port, extra)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (conn_id) DO UPDATE SET conn_type = excluded.conn_type, description = excluded.description,
        host = excluded.host, schema = excluded.schema, login = excluded.login, password = excluded.password,
        port = excluded.port, extra = excluded.extra",
);
const DELETE_CONNECTION: Sql = Sql::both("DELETE FROM connection WHERE conn_id = $1");

const IMPORT_ERRORS: Sql = Sql::both("SELECT rel_path, message, line, col, traceback, at FROM import_error");
const CLEAR_IMPORT_ERRORS: Sql = Sql::both("DELETE FROM import_error WHERE rel_path = $1");
const ADD_IMPORT_ERROR: Sql = Sql::both(
    "INSERT INTO import_error (rel_path, position, message, line, col, traceback, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)",
);

fn pool(row: &Row) -> Result<Pool, StoreError> {
    Ok(Pool {
        name: row.text(0)?.into(),
        slots: row.int(1)?,
        description: row.text(2)?,
        include_deferred: row.truth(3)?,
        rate: match row.int_opt(4)? {
            None => None,
            Some(_) => Some(RateLimit { starts: row.number(4)?, per_secs: row.number(5)? }),
        },
    })
}

fn variable_row(row: &Row) -> Result<Variable, StoreError> {
    Ok(Variable { key: row.text(0)?, value: row.text(1)?, description: row.text_opt(2)? })
}

fn connection_row(row: &Row) -> Result<Connection, StoreError> {
    Ok(Connection {
        conn_id: row.text(0)?,
        conn_type: row.text(1)?,
        description: row.text_opt(2)?,
        host: row.text_opt(3)?,
        schema: row.text_opt(4)?,
        login: row.text_opt(5)?,
        password: row.text_opt(6)?,
        port: row
            .int_opt(7)?
            .map(u16::try_from)
            .transpose()
            .map_err(|error| StoreError::Broken(format!("a connection's port: {error}")))?,
        extra: row.text_opt(8)?,
    })
}

fn position(number: Option<i64>) -> Result<Option<u32>, StoreError> {
    number
        .map(u32::try_from)
        .transpose()
        .map_err(|error| StoreError::Broken(format!("an import error's place: {error}")))
}

fn import_error(row: &Row) -> Result<ImportError, StoreError> {
    Ok(ImportError {
        rel_path: row.text(0)?,
        message: row.text(1)?,
        line: position(row.int_opt(2)?)?,
        column: position(row.int_opt(3)?)?,
        traceback: row.text_opt(4)?,
        at: row.at(5)?,
    })
}

pub(crate) async fn page_of<T>(
    db: &Db,
    query: &Query,
    page: Page,
    decode: fn(&Row) -> Result<T, StoreError>,
) -> Result<Listing<T>, StoreError> {
    let (rows, total) = db.fetch_page(query, page).await?;
    Ok(Listing { rows: rows.iter().map(decode).collect::<Result<_, _>>()?, total })
}

pub(crate) async fn pools(db: &Db) -> Result<Vec<Pool>, StoreError> {
    db.fetch(POOLS, Vec::new()).await?.iter().map(pool).collect()
}

pub(crate) async fn variable(db: &Db, key: &str) -> Result<Option<Variable>, StoreError> {
    let row = db.fetch_one(VARIABLE, args![key]).await?;
    row.as_ref().map(variable_row).transpose()
}

fn variable_listing() -> Query {
    Query::new(VARIABLES, " ORDER BY key")
}

pub(crate) async fn variables(db: &Db, page: Page) -> Result<Listing<Variable>, StoreError> {
    page_of(db, &variable_listing(), page, variable_row).await
}

pub(crate) async fn installation_id(db: &Db) -> Result<String, StoreError> {
    let row = db.fetch_one(INSTALLATION, args![]).await?;
    row.map_or_else(|| Err(StoreError::Broken("the table installation is empty".to_owned())), |row| row.text(0))
}

pub(crate) async fn put_variable(db: &Db, variable: &Variable) -> Result<(), StoreError> {
    let args = args![variable.key.as_str(), variable.value.as_str(), variable.description.as_deref()];
    db.execute(PUT_VARIABLE, args).await.map(drop)
}

pub(crate) async fn delete_variable(db: &Db, key: &str) -> Result<bool, StoreError> {
    Ok(db.execute(DELETE_VARIABLE, args![key]).await? > 0)
}

pub(crate) async fn connection(db: &Db, conn_id: &str) -> Result<Option<Connection>, StoreError> {
    let row = db.fetch_one(CONNECTION, args![conn_id]).await?;
    row.as_ref().map(connection_row).transpose()
}

fn connection_listing() -> Query {
    Query::new(CONNECTIONS, " ORDER BY conn_id")
}

pub(crate) async fn connections(db: &Db, page: Page) -> Result<Listing<Connection>, StoreError> {
    page_of(db, &connection_listing(), page, connection_row).await
}

pub(crate) async fn put_connection(db: &Db, connection: &Connection) -> Result<(), StoreError> {
    let args = args![
        connection.conn_id.as_str(),
        connection.conn_type.as_str(),
        connection.description.as_deref(),
        connection.host.as_deref(),
        connection.schema.as_deref(),
        connection.login.as_deref(),
        connection.password.as_deref(),
        connection.port.map(i64::from),
        connection.extra.as_deref(),
    ];
    db.execute(PUT_CONNECTION, args).await.map(drop)
}

pub(crate) async fn delete_connection(db: &Db, conn_id: &str) -> Result<bool, StoreError> {
    Ok(db.execute(DELETE_CONNECTION, args![conn_id]).await? > 0)
}

fn import_error_listing() -> Query {
    Query::new(IMPORT_ERRORS, " ORDER BY rel_path, position")
}

pub(crate) async fn import_errors(db: &Db, page: Page) -> Result<Listing<ImportError>, StoreError> {
    page_of(db, &import_error_listing(), page, import_error).await
}

pub(crate) async fn set_import_errors(db: &Db, rel_path: &str, errors: &[ImportError]) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    tx.execute(CLEAR_IMPORT_ERRORS, args![rel_path]).await?;
    for (position, error) in (0_i64..).zip(errors) {
        let args = args![
            rel_path,
            position,
            error.message.as_str(),
            error.line.map(i64::from),
            error.column.map(i64::from),
            error.traceback.as_deref(),
            error.at,
        ];
        tx.execute(ADD_IMPORT_ERROR, args).await?;
    }
    tx.commit().await
}

pub(crate) const STATEMENTS: &[Sql] = &[
    POOLS,
    INSTALLATION,
    VARIABLE,
    PUT_VARIABLE,
    DELETE_VARIABLE,
    CONNECTION,
    PUT_CONNECTION,
    DELETE_CONNECTION,
    CLEAR_IMPORT_ERRORS,
    ADD_IMPORT_ERROR,
];

pub(crate) fn queries() -> Vec<Query> {
    vec![variable_listing(), connection_listing(), import_error_listing()]
}
