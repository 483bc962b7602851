//! Every statement of this crate, so that a test (and `tradewind db check`) can have the database prepare them all.

use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use tradewind_ports::StoreError;

use crate::{
    SqlStore, assets, audit, backfills, bundles, callbacks, commit, dags, db::Db, error::from_sqlx, human_inputs,
    leases, logs, migrate, resources, runs, samples::samples, sql::Sql, state_values, store::PING, task_instances,
    xcoms,
};

/// The texts that `db` may be sent.
fn texts(db: &Db) -> Vec<String> {
    let pick = db.pick();
    let mut all: Vec<String> = [
        &[PING],
        migrate::STATEMENTS,
        leases::STATEMENTS,
        dags::STATEMENTS,
        runs::STATEMENTS,
        task_instances::STATEMENTS,
        xcoms::STATEMENTS,
        resources::STATEMENTS,
        bundles::STATEMENTS,
        audit::STATEMENTS,
        assets::STATEMENTS,
        backfills::STATEMENTS,
        callbacks::STATEMENTS,
        human_inputs::STATEMENTS,
        state_values::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .map(|sql: &Sql| pick(sql).to_owned())
    .collect();
    let queries = [
        dags::queries(),
        runs::queries(),
        task_instances::queries(),
        xcoms::queries(),
        resources::queries(),
        audit::queries(),
        assets::queries(),
        backfills::queries(),
        callbacks::queries(),
        human_inputs::queries(),
    ];
    for query in queries.iter().flatten() {
        all.push(query.page(pick));
        all.push(query.count(pick));
    }
    match db {
        Db::Postgres(_) => {
            let more = [leases::POSTGRES_STATEMENTS, logs::POSTGRES_STATEMENTS];
            all.extend(more.into_iter().flatten().map(|text| (*text).to_owned()));
        }
        Db::Sqlite(_) => {
            let more = [commit::STATEMENTS, commit::EVENT_STATEMENTS];
            all.extend(more.into_iter().flatten().map(|sql| sql.sqlite.to_owned()));
        }
    }
    all
}

impl SqlStore {
    /// Has the database prepare every statement of this crate against its schema, and answers how many there are.
    ///
    /// # Errors
    /// The first statement that the database refuses, with its reason.
    pub async fn check_statements(&self) -> Result<usize, StoreError> {
        let texts = texts(&self.db);
        let mut count = texts.len();
        for text in texts {
            let shown = text.clone();
            let sql = AssertSqlSafe(text).into_sql_str();
            let prepared = match &self.db {
                Db::Postgres(db) => db.pool.prepare(sql).await.map(drop),
                Db::Sqlite(db) => {
                    let mut turn = db.writer().await?;
                    let prepared = (&mut turn.connection).prepare(sql).await.map(drop);
                    turn.keep();
                    prepared
                }
            };
            prepared.map_err(|error| StoreError::Schema(format!("{}: {shown}", from_sqlx(error))))?;
        }
        if let Db::Postgres(db) = &self.db {
            for rows in samples() {
                commit::try_out(db, &rows).await?;
                count += 1;
            }
        }
        Ok(count)
    }
}

impl SqlStore {
    /// Bounds the size of a SQLite file in pages of 4 KiB: a quota, and how tests fill a disk.
    ///
    /// # Errors
    /// [`StoreError::Config`] on Postgres, which has no such bound.
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        let Db::Sqlite(db) = &self.db else {
            return Err(StoreError::Config("only a SQLite store can be bounded in pages".to_owned()));
        };
        let mut turn = db.writer().await?;
        let pragma = format!("PRAGMA max_page_count = {pages}");
        turn.connection.execute(AssertSqlSafe(pragma)).await.map_err(from_sqlx)?;
        turn.keep();
        Ok(())
    }
}
