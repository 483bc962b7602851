//! Assets, their aliases and their events.

use tradewind_ports::{AssetEventFilter, Listing, Page, StoreError};
use tradewind_types::{Asset, AssetEvent, AssetKey, AssetSource, RunNo, sha256_hex};
use uuid::Uuid;

use crate::{
    db::{Db, Row},
    resources::page_of,
    sql::{Query, Sql, args, clean},
};

const ALL: Sql = Sql::both("SELECT name, uri, asset_group, extra FROM asset ORDER BY name, uri");
const LIST: Sql = Sql::both("SELECT name, uri, asset_group, extra FROM asset");
const MATCHES: Sql =
    Sql::forked("(strpos(name, ?) > 0 OR strpos(uri, ?) > 0)", "(instr(name, ?) > 0 OR instr(uri, ?) > 0)");

const ALIASES: Sql = Sql::both("SELECT alias, name, uri FROM asset_alias ORDER BY alias, name, uri");
const OF_ALIAS: Sql = Sql::both(
    "SELECT t.name, t.uri, t.asset_group, t.extra FROM asset_alias a JOIN asset t ON t.id = a.asset
    WHERE a.id = $1 ORDER BY t.name, t.uri",
);

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT e.no, e.name, e.uri, e.at, e.extra, e.source_dag_id, e.source_run_no, e.source_run_id, ",
            "e.source_task_id, e.source_map_index, e.aliases FROM asset_event e ",
            $tail
        )
    };
}

const EVENTS: Sql = Sql::both(select!(""));
const EVENTS_THROUGH_ALIAS: Sql = Sql::both(select!("JOIN asset_event_alias a ON a.event_no = e.no"));
const CONSUMED: Sql = Sql::both(select!(
    "JOIN consumed_event c ON c.event_no = e.no JOIN dag_run r ON r.run_no = c.run_no
    WHERE r.dag_id = $1 AND r.run_id = $2 ORDER BY e.no"
));
const NEXT_EVENT_NO: Sql = Sql::both("SELECT COALESCE(max(no), 0) + 1 FROM asset_event");

const NAMED: Sql = Sql::both("e.name_id = ?");
const WITH_URI: Sql = Sql::both("e.uri_id = ?");
const THROUGH_ALIAS: Sql = Sql::both("a.alias = ?");
const OF_DAG: Sql = Sql::both("e.source_dag_id = ?");
const OF_RUN: Sql = Sql::both("e.source_run_id = ?");
const OF_TASK: Sql = Sql::both("e.source_task_id = ?");
const AFTER: Sql = Sql::both("e.at >= ?");
const BEFORE: Sql = Sql::both("e.at < ?");

/// The id of a name, URI or alias.
pub(crate) fn text_id(text: &str) -> Uuid {
    let hash = sha256_hex(clean(text).as_bytes());
    Uuid::from_u128(u128::from_str_radix(&hash[..32], 16).unwrap_or_default())
}

/// The id of an asset. No text that is kept has a U+0000 in it.
pub(crate) fn asset_id(key: &AssetKey) -> Uuid {
    let hash = sha256_hex(format!("{}\0{}", clean(&key.name), clean(&key.uri)).as_bytes());
    Uuid::from_u128(u128::from_str_radix(&hash[..32], 16).unwrap_or_default())
}

fn asset(row: &Row) -> Result<Asset, StoreError> {
    let key = AssetKey { name: row.text(0)?, uri: row.text(1)? };
    Ok(Asset { key, group: row.text(2)?, extra: row.json(3)? })
}

fn event(row: &Row) -> Result<AssetEvent, StoreError> {
    let source = match row.text_opt(5)? {
        None => None,
        Some(dag_id) => Some(AssetSource {
            dag_id: dag_id.into(),
            run_no: RunNo(row.uint(6)?),
            run_id: row.text(7)?.into(),
            task_id: row.text(8)?.into(),
            map_index: row.number(9)?,
        }),
    };
    Ok(AssetEvent {
        no: row.uint(0)?,
        asset: AssetKey { name: row.text(1)?, uri: row.text(2)? },
        at: row.at(3)?,
        extra: row.json(4)?,
        source,
        aliases: row.json_opt(10)?.unwrap_or_default(),
    })
}

pub(crate) async fn all(db: &Db) -> Result<Vec<Asset>, StoreError> {
    db.fetch(ALL, Vec::new()).await?.iter().map(asset).collect()
}

fn listing(pattern: Option<&str>) -> Query {
    let mut query = Query::new(LIST, " ORDER BY name, uri");
    if let Some(pattern) = pattern {
        query.and(MATCHES, pattern);
    }
    query
}

pub(crate) async fn list(db: &Db, pattern: Option<&str>, page: Page) -> Result<Listing<Asset>, StoreError> {
    page_of(db, &listing(pattern), page, asset).await
}

/// Which assets events of which alias were attached to.
pub(crate) async fn aliases(db: &Db) -> Result<Vec<(String, AssetKey)>, StoreError> {
    let rows = db.fetch(ALIASES, Vec::new()).await?;
    rows.iter().map(|row| Ok((row.text(0)?, AssetKey { name: row.text(1)?, uri: row.text(2)? }))).collect()
}

pub(crate) async fn of_alias(db: &Db, alias: &str) -> Result<Vec<Asset>, StoreError> {
    db.fetch(OF_ALIAS, args![text_id(alias)]).await?.iter().map(asset).collect()
}

fn event_listing(filter: &AssetEventFilter) -> Query {
    let mut query = match (&filter.alias, filter.ascending) {
        (None, true) => Query::new(EVENTS, " ORDER BY e.at, e.no"),
        (None, false) => Query::new(EVENTS, " ORDER BY e.at DESC, e.no DESC"),
        (Some(_), true) => Query::new(EVENTS_THROUGH_ALIAS, " ORDER BY a.at, a.event_no"),
        (Some(_), false) => Query::new(EVENTS_THROUGH_ALIAS, " ORDER BY a.at DESC, a.event_no DESC"),
    };
    for (condition, text) in [(NAMED, &filter.name), (WITH_URI, &filter.uri), (THROUGH_ALIAS, &filter.alias)] {
        if let Some(text) = text {
            query.and(condition, text_id(text));
        }
    }
    if let Some(dag_id) = &filter.source_dag_id {
        query.and(OF_DAG, dag_id.as_str());
    }
    if let Some(run_id) = &filter.source_run_id {
        query.and(OF_RUN, run_id.as_str());
    }
    if let Some(task_id) = &filter.source_task_id {
        query.and(OF_TASK, task_id.as_str());
    }
    if let Some(after) = filter.after {
        query.and(AFTER, after);
    }
    if let Some(before) = filter.before {
        query.and(BEFORE, before);
    }
    query
}

pub(crate) async fn events(db: &Db, filter: &AssetEventFilter, page: Page) -> Result<Listing<AssetEvent>, StoreError> {
    page_of(db, &event_listing(filter), page, event).await
}

pub(crate) async fn consumed(db: &Db, dag_id: &str, run_id: &str) -> Result<Vec<AssetEvent>, StoreError> {
    db.fetch(CONSUMED, args![dag_id, run_id]).await?.iter().map(event).collect()
}

/// One more than the highest number of an event.
pub(crate) async fn next_event_no(db: &Db) -> Result<u64, StoreError> {
    db.fetch_one(NEXT_EVENT_NO, Vec::new()).await?.map_or(Ok(1), |row| row.uint(0))
}

pub(crate) const STATEMENTS: &[Sql] = &[ALL, ALIASES, OF_ALIAS, CONSUMED, NEXT_EVENT_NO];

pub(crate) fn queries() -> Vec<Query> {
    let text = || Some(String::new());
    let at = Some(tradewind_types::Timestamp::UNIX_EPOCH);
    vec![
        listing(None),
        listing(Some("")),
        event_listing(&AssetEventFilter::default()),
        event_listing(&AssetEventFilter { alias: text(), ..AssetEventFilter::default() }),
        event_listing(&AssetEventFilter { ascending: true, ..AssetEventFilter::default() }),
        event_listing(&AssetEventFilter {
            name: text(),
            uri: text(),
            alias: text(),
            source_dag_id: Some("".into()),
            source_run_id: Some("".into()),
            source_task_id: text(),
            after: at,
            before: at,
            ascending: true,
        }),
    ]
}
