//! XComs and rendered template fields.

use tradewind_ports::{Listing, Page, StoreError, XComQuery};
use tradewind_types::{RunNo, TiId, Timestamp, XCom, XComObject};

use crate::{
    db::{Db, Row},
    sql::{Query, Sql, args},
};

const OF_RUN: Sql = Sql::both(
    "SELECT x.ti, x.run_no, x.task_id, x.map_index, x.key, x.value, x.created_at,
        x.object_url, x.object_size, x.object_sha256
    FROM xcom x JOIN dag_run r ON r.run_no = x.run_no",
);

/// Of the named run and the DAG's earlier ones; `older` is 1 for the latest that has the XCom. Airflow compares logical
/// dates (`XCom.get_many`), or `run_after` where there is none. Every column that is filtered on is in the partition, so
/// that the filters reach the tables.
const OF_RUN_AND_EARLIER: Sql = Sql::both(
    "SELECT ti, run_no, task_id, map_index, key, value, created_at, object_url, object_size, object_sha256 FROM (
        SELECT x.ti, x.run_no, x.task_id, x.map_index, x.key, x.value, x.created_at,
            x.object_url, x.object_size, x.object_sha256,
            this.dag_id AS dag_id, this.run_id AS this_run_id,
            ROW_NUMBER() OVER (
                PARTITION BY this.dag_id, this.run_id, x.task_id, x.map_index, x.key
                ORDER BY COALESCE(r.logical_date, r.run_after) DESC, r.run_no DESC
            ) AS older
        FROM dag_run this
        JOIN dag_run r ON r.dag_id = this.dag_id
            AND COALESCE(r.logical_date, r.run_after) <= COALESCE(this.logical_date, this.run_after)
        JOIN xcom x ON x.run_no = r.run_no
    ) x",
);

const DAG: Sql = Sql::both("r.dag_id = ?");
const RUN: Sql = Sql::both("r.run_id = ?");
const DAG_OF_MANY: Sql = Sql::both("x.dag_id = ?");
const THIS_RUN: Sql = Sql::both("x.this_run_id = ?");
const LATEST: Sql = Sql::both("x.older = 1");
const TASK: Sql = Sql::both("x.task_id = ?");
const MAP_INDEX: Sql = Sql::both("x.map_index = ?");
const KEY: Sql = Sql::both("x.key = ?");

const DELETE: Sql = Sql::both("DELETE FROM xcom WHERE ti = $1 AND key = $2");

/// What rows named until `$1`. Nothing of it that a row names again: a commit may clear and write the same.
const DROPPED: Sql = Sql::both(
    "SELECT d.url FROM xcom_object_dropped d WHERE d.dropped_at <= $1
        AND NOT EXISTS (SELECT 1 FROM xcom x WHERE x.object_url = d.url)
    ORDER BY d.dropped_at LIMIT $2",
);
const FORGET_DROPPED: Sql = Sql::both("DELETE FROM xcom_object_dropped WHERE url = $1");
const IS_NAMED: Sql = Sql::both("SELECT count(*) FROM xcom WHERE object_url = $1");

const PUT_RENDERED: Sql = Sql::both(
    "INSERT INTO rendered (ti, fields) VALUES ($1, $2)
    ON CONFLICT (ti) DO UPDATE SET fields = excluded.fields",
);
const RENDERED: Sql = Sql::both("SELECT fields FROM rendered WHERE ti = $1");

fn xcom(row: &Row) -> Result<XCom, StoreError> {
    Ok(XCom {
        ti: TiId(row.id(0)?),
        run_no: RunNo(row.uint(1)?),
        task_id: row.text(2)?.into(),
        map_index: row.number(3)?,
        key: row.text(4)?,
        value: row.json(5)?,
        created_at: row.at(6)?,
        object: match row.text_opt(7)? {
            Some(url) => Some(XComObject { url, size: row.uint(8)?, sha256: row.text(9)? }),
            None => None,
        },
    })
}

fn listing(query: &XComQuery) -> Query {
    const ORDER: &str = " ORDER BY x.task_id, x.map_index, x.key";
    let mut sql = if query.include_prior {
        let mut sql = Query::new(OF_RUN_AND_EARLIER, ORDER);
        sql.and_plain(LATEST);
        sql.and(DAG_OF_MANY, query.dag_id.as_str());
        sql.and(THIS_RUN, query.run_id.as_str());
        sql
    } else {
        let mut sql = Query::new(OF_RUN, ORDER);
        sql.and(DAG, query.dag_id.as_str());
        sql.and(RUN, query.run_id.as_str());
        sql
    };
    if let Some(task_id) = &query.task_id {
        sql.and(TASK, task_id.as_str());
    }
    if let Some(map_index) = query.map_index {
        sql.and(MAP_INDEX, map_index);
    }
    if let Some(key) = &query.key {
        sql.and(KEY, key.as_str());
    }
    sql
}

pub(crate) async fn list(db: &Db, query: &XComQuery, page: Page) -> Result<Listing<XCom>, StoreError> {
    let (rows, total) = db.fetch_page(&listing(query), page).await?;
    Ok(Listing { rows: rows.iter().map(xcom).collect::<Result<_, _>>()?, total })
}

pub(crate) async fn delete(db: &Db, ti: TiId, key: &str) -> Result<bool, StoreError> {
    Ok(db.execute(DELETE, args![ti.0, key]).await? > 0)
}

pub(crate) async fn dropped_objects(db: &Db, until: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
    let rows = db.fetch(DROPPED, args![until, i64::from(limit)]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

pub(crate) async fn forget_dropped_object(db: &Db, url: &str) -> Result<(), StoreError> {
    db.execute(FORGET_DROPPED, args![url]).await.map(drop)
}

pub(crate) async fn is_object_named(db: &Db, url: &str) -> Result<bool, StoreError> {
    Ok(db.fetch_one(IS_NAMED, args![url]).await?.map_or(Ok(0), |row| row.int(0))? > 0)
}

pub(crate) async fn put_rendered(db: &Db, ti: TiId, fields: &serde_json::Value) -> Result<(), StoreError> {
    let fields = crate::db::to_json(fields)?;
    db.execute(PUT_RENDERED, args![ti.0, fields.as_str()]).await.map(drop)
}

pub(crate) async fn rendered(db: &Db, ti: TiId) -> Result<Option<serde_json::Value>, StoreError> {
    let row = db.fetch_one(RENDERED, args![ti.0]).await?;
    row.map(|row| row.json(0)).transpose()
}

pub(crate) const STATEMENTS: &[Sql] = &[DELETE, DROPPED, FORGET_DROPPED, IS_NAMED, PUT_RENDERED, RENDERED];

pub(crate) fn queries() -> Vec<Query> {
    let plain = XComQuery {
        dag_id: "".into(),
        run_id: "".into(),
        task_id: None,
        map_index: None,
        key: None,
        include_prior: false,
    };
    let full = XComQuery {
        task_id: Some(String::new()),
        map_index: Some(0),
        key: Some(String::new()),
        include_prior: true,
        ..plain.clone()
    };
    vec![listing(&plain), listing(&full)]
}
