//! DAGs and their versions.

use std::sync::Arc;

use tradewind_ports::{DagFilter, Listing, Page, StoreError};
use tradewind_types::{BundleHash, DagId, DagRow, DagSource, DagVersion, SourceKind, VersionHash};

use crate::{
    db::{Db, Row},
    sql::{Arg, Query, Sql, args},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT d.dag_id, d.version, d.version_number, d.is_paused, d.is_stale, d.source_kind, d.rel_path, ",
            "d.parsed_at, d.failed_runs, d.pending_assets, d.runtimes, d.schedule_error, ",
            "d.last_scheduled_start, d.last_scheduled_end, ",
            "v.hash, v.number, v.bundle, v.created_at, v.spec ",
            "FROM dag d JOIN dag_version v ON v.dag_id = d.dag_id AND v.hash = d.version ",
            $tail
        )
    };
}

const ALL: Sql = Sql::both(select!("ORDER BY d.dag_id"));
const ONE: Sql = Sql::both(select!("WHERE d.dag_id = $1"));
const LIST: Sql = Sql::both(select!(""));
const VERSION: Sql =
    Sql::both("SELECT hash, number, bundle, created_at, spec FROM dag_version WHERE dag_id = $1 AND hash = $2");
const VERSIONS: Sql = Sql::forked(
    "SELECT v.hash, v.number, v.bundle, v.created_at, v.spec
    FROM dag_version v JOIN unnest($1::text[], $2::text[]) AS u (dag_id, hash) ON u.dag_id = v.dag_id AND u.hash = v.hash
    ORDER BY v.dag_id, v.hash",
    "SELECT v.hash, v.number, v.bundle, v.created_at, v.spec
    FROM json_each($1) d JOIN json_each($2) h ON h.key = d.key
    JOIN dag_version v ON v.dag_id = d.value AND v.hash = h.value
    ORDER BY v.dag_id, v.hash",
);

const MATCHES: Sql = Sql::forked("strpos(d.dag_id, ?) > 0", "instr(d.dag_id, ?) > 0");
const NOT_STALE: Sql = Sql::forked("NOT d.is_stale", "d.is_stale = 0");
const PAUSED: Sql = Sql::both("d.is_paused = ?");

pub(crate) const fn kind_name(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Python => "python",
        SourceKind::Yaml => "yaml",
    }
}

fn kind(name: &str) -> Result<SourceKind, StoreError> {
    [SourceKind::Python, SourceKind::Yaml]
        .into_iter()
        .find(|kind| kind_name(*kind) == name)
        .ok_or_else(|| StoreError::Broken(format!("unknown kind of source \"{name}\"")))
}

fn dag(row: &Row) -> Result<(DagRow, Arc<DagVersion>), StoreError> {
    let dag = DagRow {
        dag_id: row.text(0)?.into(),
        version: row.text(1)?.into(),
        version_number: row.number(2)?,
        is_paused: row.truth(3)?,
        is_stale: row.truth(4)?,
        source: DagSource { kind: kind(&row.text(5)?)?, rel_path: row.text(6)? },
        parsed_at: row.at(7)?,
        failed_runs: row.number(8)?,
        pending_assets: row.json_opt(9)?.unwrap_or_default(),
        runtimes: row.json_opt(10)?.unwrap_or_default(),
        schedule_error: row.text_opt(11)?,
        last_scheduled: row.at_opt(12)?.zip(row.at_opt(13)?),
    };
    Ok((dag, version(row, 14)?))
}

/// A version whose columns begin at `first`.
fn version(row: &Row, first: usize) -> Result<Arc<DagVersion>, StoreError> {
    Ok(Arc::new(DagVersion {
        hash: row.text(first)?.into(),
        number: row.number(first + 1)?,
        bundle: row.text_opt(first + 2)?.map(BundleHash::from),
        created_at: row.at(first + 3)?,
        spec: row.json(first + 4)?,
    }))
}

pub(crate) async fn all(db: &Db) -> Result<Vec<(DagRow, Arc<DagVersion>)>, StoreError> {
    db.fetch(ALL, Vec::new()).await?.iter().map(dag).collect()
}

pub(crate) async fn one(db: &Db, dag_id: &str) -> Result<Option<(DagRow, Arc<DagVersion>)>, StoreError> {
    let row = db.fetch_one(ONE, args![dag_id]).await?;
    row.as_ref().map(dag).transpose()
}

fn listing(filter: &DagFilter) -> Query {
    let mut query = Query::new(LIST, " ORDER BY d.dag_id");
    if let Some(pattern) = &filter.pattern {
        query.and(MATCHES, pattern.as_str());
    }
    if !filter.include_stale {
        query.and_plain(NOT_STALE);
    }
    if let Some(paused) = filter.paused {
        query.and(PAUSED, paused);
    }
    query
}

pub(crate) async fn list(
    db: &Db,
    filter: &DagFilter,
    page: Page,
) -> Result<Listing<(DagRow, Arc<DagVersion>)>, StoreError> {
    let (rows, total) = db.fetch_page(&listing(filter), page).await?;
    Ok(Listing { rows: rows.iter().map(dag).collect::<Result<_, _>>()?, total })
}

pub(crate) async fn dag_version(
    db: &Db,
    dag_id: &str,
    hash: &VersionHash,
) -> Result<Option<Arc<DagVersion>>, StoreError> {
    let row = db.fetch_one(VERSION, args![dag_id, hash.as_str()]).await?;
    row.as_ref().map(|row| version(row, 0)).transpose()
}

/// These versions, by DAG and hash.
pub(crate) async fn versions(db: &Db, wanted: &[(DagId, VersionHash)]) -> Result<Vec<Arc<DagVersion>>, StoreError> {
    let dag_ids = wanted.iter().map(|(dag_id, _)| dag_id.to_string()).collect();
    let hashes = wanted.iter().map(|(_, hash)| hash.to_string()).collect();
    let rows = db.fetch(VERSIONS, vec![Arg::Texts(dag_ids), Arg::Texts(hashes)]).await?;
    rows.iter().map(|row| version(row, 0)).collect()
}

pub(crate) const STATEMENTS: &[Sql] = &[ALL, ONE, VERSION, VERSIONS];

pub(crate) fn queries() -> Vec<Query> {
    vec![
        listing(&DagFilter::default()),
        listing(&DagFilter { pattern: Some(String::new()), include_stale: true, paused: Some(true) }),
    ]
}
