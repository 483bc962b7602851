//! Questions to people, and the answers.

use tradewind_ports::{HumanInputFilter, Listing, Page, StoreError};
use tradewind_types::{HumanInput, TiId};

use crate::{
    db::{Db, Row},
    resources::page_of,
    sql::{Query, Sql, args},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT ti, dag_id, run_id, task_id, map_index, subject, body, options, defaults, multiple, params, ",
            "assignees, created_at, responded_at, responded_by, chosen_options, params_input FROM human_input",
            $tail
        )
    };
}

const ONE: Sql = Sql::both(select!(" WHERE ti = $1"));
const LIST: Sql = Sql::both(select!(""));

const OF_DAG: Sql = Sql::both("dag_id = ?");
const OF_RUN: Sql = Sql::both("run_id = ?");
const ANSWERED: Sql = Sql::both("responded_at IS NOT NULL");
const OPEN: Sql = Sql::both("responded_at IS NULL");

fn human_input(row: &Row) -> Result<HumanInput, StoreError> {
    Ok(HumanInput {
        ti: TiId(row.id(0)?),
        dag_id: row.text(1)?.into(),
        run_id: row.text(2)?.into(),
        task_id: row.text(3)?.into(),
        map_index: row.number(4)?,
        subject: row.text(5)?,
        body: row.text_opt(6)?,
        options: row.json(7)?,
        defaults: row.json_opt(8)?,
        multiple: row.truth(9)?,
        params: row.json(10)?,
        assignees: row.json(11)?,
        created_at: row.at(12)?,
        responded_at: row.at_opt(13)?,
        responded_by: row.text_opt(14)?,
        chosen_options: row.json_opt(15)?,
        params_input: row.json(16)?,
    })
}

pub(crate) async fn one(db: &Db, ti: TiId) -> Result<Option<HumanInput>, StoreError> {
    let row = db.fetch_one(ONE, args![ti.0]).await?;
    row.as_ref().map(human_input).transpose()
}

fn listing(filter: &HumanInputFilter) -> Query {
    let mut query = Query::new(LIST, " ORDER BY created_at, ti");
    if let Some(dag_id) = &filter.dag_id {
        query.and(OF_DAG, dag_id.as_str());
    }
    if let Some(run_id) = &filter.run_id {
        query.and(OF_RUN, run_id.as_str());
    }
    match filter.answered {
        None => {}
        Some(true) => query.and_plain(ANSWERED),
        Some(false) => query.and_plain(OPEN),
    }
    query
}

pub(crate) async fn list(db: &Db, filter: &HumanInputFilter, page: Page) -> Result<Listing<HumanInput>, StoreError> {
    page_of(db, &listing(filter), page, human_input).await
}

pub(crate) const STATEMENTS: &[Sql] = &[ONE];

pub(crate) fn queries() -> Vec<Query> {
    let of = |answered| HumanInputFilter { dag_id: Some("".into()), run_id: Some("".into()), answered };
    vec![listing(&HumanInputFilter::default()), listing(&of(Some(true))), listing(&of(Some(false)))]
}
