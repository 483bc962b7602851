//! What tasks and assets keep between attempts and runs.

use tradewind_ports::StoreError;

use crate::{
    db::{Db, to_json},
    sql::{Sql, args},
};

const ONE: Sql = Sql::both("SELECT value FROM state_value WHERE scope = $1 AND key = $2");
const PUT: Sql = Sql::both(
    "INSERT INTO state_value (scope, key, value) VALUES ($1, $2, $3)
    ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
);
const DELETE: Sql = Sql::both("DELETE FROM state_value WHERE scope = $1 AND key = $2");
const DELETE_ALL: Sql = Sql::both("DELETE FROM state_value WHERE scope = $1");

pub(crate) async fn one(db: &Db, scope: &str, key: &str) -> Result<Option<serde_json::Value>, StoreError> {
    let row = db.fetch_one(ONE, args![scope, key]).await?;
    row.map(|row| row.json(0)).transpose()
}

pub(crate) async fn put(db: &Db, scope: &str, key: &str, value: &serde_json::Value) -> Result<(), StoreError> {
    let value = to_json(value)?;
    db.execute(PUT, args![scope, key, value.as_str()]).await.map(drop)
}

pub(crate) async fn delete(db: &Db, scope: &str, key: Option<&str>) -> Result<u64, StoreError> {
    match key {
        Some(key) => db.execute(DELETE, args![scope, key]).await,
        None => db.execute(DELETE_ALL, args![scope]).await,
    }
}

pub(crate) const STATEMENTS: &[Sql] = &[ONE, PUT, DELETE, DELETE_ALL];
