//! A commit on Postgres is a single statement, so that it costs one round trip and its transaction is over when the
//! statement is: a leader that freezes cannot leave its lock behind. The guard and each kind of row are parts of it; the
//! text is put together from the parts that the set needs, and each combination is prepared once a connection.

use sqlx::{Arguments, AssertSqlSafe, Encode, Postgres, Row, Type, postgres::PgArguments};
use tradewind_ports::StoreError;
use tradewind_types::{DagId, DagRun, PoolName, RunId, TaskId, TaskInstance, Term, WriteSet};
use uuid::Uuid;

use super::{last_xcoms, skips_json};
use crate::{
    dags::kind_name,
    db::{PostgresDb, at, to_json},
    error::{from_sqlx, is_rolled_back},
    sql::{clean, int},
};

/// The guard: one row while the term holds the lease. The lock makes a taker wait for this commit, or this commit for a
/// taker, after which the row is looked at again.
const GUARD: &str = "WITH guard AS (
    SELECT 1 FROM lease WHERE shard = $1 AND term = $2 AND owner IS NOT NULL FOR KEY SHARE
)";

const VERSIONS: &str = "INSERT INTO dag_version (dag_id, hash, number, bundle, created_at, spec)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (dag_id, hash) DO NOTHING RETURNING 1";

const DAGS: &str = "INSERT INTO dag
        (dag_id, version, version_number, is_paused, is_stale, source_kind, rel_path, parsed_at, failed_runs)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (dag_id) DO UPDATE SET version = excluded.version, version_number = excluded.version_number,
        is_paused = excluded.is_paused, is_stale = excluded.is_stale, source_kind = excluded.source_kind,
        rel_path = excluded.rel_path, parsed_at = excluded.parsed_at,
        failed_runs = excluded.failed_runs
    RETURNING 1";

const NEW_RUNS: &str = "INSERT INTO dag_run AS t
        (run_no, dag_id, run_id, run_type, logical_date, data_interval_start, data_interval_end, run_after, conf,
         triggered_by, state, version, queued_at, start_date, end_date, clear_number, note)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (run_no) DO UPDATE SET state = excluded.state, version = excluded.version,
        queued_at = excluded.queued_at, start_date = excluded.start_date, end_date = excluded.end_date,
        clear_number = excluded.clear_number, note = excluded.note
    WHERE t.dag_id = excluded.dag_id AND t.run_id = excluded.run_id
    RETURNING 1";

const RUNS: &str = "UPDATE dag_run AS t SET state = u.state, version = u.version, queued_at = u.queued_at,
        start_date = u.start_date, end_date = u.end_date, clear_number = u.clear_number, note = u.note
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
        AS u (run_no, state, version, queued_at, start_date, end_date, clear_number, note)
    WHERE t.run_no = u.run_no AND EXISTS (SELECT FROM guard)
    RETURNING 1";

const NEW_INSTANCES: &str = "INSERT INTO task_instance AS t
        (id, run_no, task_id, map_index, operator, pool, pool_slots, queue, priority_weight,
         state, try_number, max_tries, attempt, worker_losses, scheduled_at, queued_at, start_date, end_date, next_at,
         first_poke_at, worker, token, note, skips)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        $21, $22, $23, $24) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, try_number = excluded.try_number,
        max_tries = excluded.max_tries, attempt = excluded.attempt, worker_losses = excluded.worker_losses,
        scheduled_at = excluded.scheduled_at, queued_at = excluded.queued_at, start_date = excluded.start_date,
        end_date = excluded.end_date, next_at = excluded.next_at, first_poke_at = excluded.first_poke_at,
        worker = excluded.worker, token = excluded.token, note = excluded.note, skips = excluded.skips
    WHERE t.run_no = excluded.run_no AND t.task_id = excluded.task_id
    RETURNING 1";

const INSTANCES: &str = "UPDATE task_instance AS t SET state = u.state, try_number = u.try_number,
        max_tries = u.max_tries, attempt = u.attempt, worker_losses = u.worker_losses,
        scheduled_at = u.scheduled_at, queued_at = u.queued_at, start_date = u.start_date, end_date = u.end_date,
        next_at = u.next_at, first_poke_at = u.first_poke_at, worker = u.worker, token = u.token, note = u.note,
        skips = u.skips
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        AS u (id, state, try_number, max_tries, attempt, worker_losses, scheduled_at, queued_at, start_date, end_date,
              next_at, first_poke_at, worker, token, note, skips)
    WHERE t.id = u.id AND EXISTS (SELECT FROM guard)
    RETURNING 1";

const TRIES: &str = "INSERT INTO task_try
        (ti, attempt, run_no, try_number, state, queued_at, start_date, end_date, worker, note)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (ti, attempt) DO NOTHING RETURNING 1";

/// All parts see the store as it was before the statement, so this leaves alone what `XCOMS` is about to replace.
const CLEARED_XCOMS: &str = "DELETE FROM xcom AS t
    WHERE t.ti = ANY ($1) AND EXISTS (SELECT FROM guard)
        AND NOT EXISTS (SELECT FROM unnest($2, $3) AS u (ti, key) WHERE u.ti = t.ti AND u.key = t.key)
    RETURNING 1";

const XCOMS: &str = "INSERT INTO xcom (ti, key, run_no, task_id, map_index, value, created_at)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (ti, key) DO UPDATE SET run_no = excluded.run_no, task_id = excluded.task_id,
        map_index = excluded.map_index, value = excluded.value, created_at = excluded.created_at
    RETURNING 1";

const POOLS: &str = "INSERT INTO pool (name, slots, description, include_deferred)
    SELECT u.* FROM unnest($1, $2, $3, $4) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, description = excluded.description,
        include_deferred = excluded.include_deferred
    RETURNING 1";

const DELETED_POOLS: &str = "DELETE FROM pool AS t
    WHERE t.name = ANY ($1) AND EXISTS (SELECT FROM guard) RETURNING 1";

const AUDIT: &str = "INSERT INTO audit (batch, position, at, event, actor, dag_id, run_id, task_id, detail)
    SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (batch, position) DO NOTHING RETURNING 1";

/// A statement in the making.
struct Statement {
    text: String,
    /// Conditions of the final `CASE` that refuse the commit as a whole.
    refusals: String,
    args: PgArguments,
    error: Option<String>,
}

impl Statement {
    fn new(shard: i32, term: Term) -> Self {
        let mut statement = Self {
            text: String::with_capacity(4096),
            refusals: String::new(),
            args: PgArguments::default(),
            error: None,
        };
        statement.text.push_str(GUARD);
        statement.bind(i64::from(shard));
        statement.bind(int(term.0));
        statement
    }

    fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(&mut self, value: T) {
        if let Err(error) = self.args.add(value) {
            self.error.get_or_insert_with(|| error.to_string());
        }
    }

    /// Adds a part whose arguments are numbered from `$1`; they must be bound right after.
    fn part(&mut self, name: &str, text: &str) {
        let before = self.args.len();
        self.text.push_str(", ");
        self.text.push_str(name);
        self.text.push_str(" AS (");
        renumber(text, before, &mut self.text);
        self.text.push(')');
    }

    /// Refuses the commit unless the part touched `count` rows.
    fn must_touch(&mut self, name: &str, count: usize, what: &str) {
        self.bind(count as i64);
        let number = self.args.len();
        self.refusals.push_str(&format!(
            " WHEN (SELECT count(*) FROM {name}) <> ${number} THEN tradewind_fail('the commit names {what} that the store does not have, or has under another name')"
        ));
    }

    fn finish(mut self) -> Result<(String, PgArguments), StoreError> {
        if let Some(error) = self.error {
            return Err(StoreError::Broken(format!("an argument cannot be bound: {error}")));
        }
        self.text.push_str(" SELECT CASE WHEN NOT EXISTS (SELECT FROM guard) THEN FALSE");
        self.text.push_str(&self.refusals);
        self.text.push_str(" ELSE TRUE END");
        Ok((self.text, self.args))
    }
}

/// Copies `text`, raising each `$n` by `by`.
fn renumber(text: &str, by: usize, to: &mut String) {
    let mut parts = text.split('$');
    to.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        match number.parse::<usize>() {
            Ok(number) => to.push_str(&format!("${}", number + by)),
            Err(_) => {
                to.push('$');
                to.push_str(number);
            }
        }
        to.push_str(rest);
    }
}

/// A column of an UNNEST: one value a row.
macro_rules! column {
    ($statement:expr, $rows:expr, $value:expr) => {
        $statement.bind($rows.iter().map($value).collect::<Vec<_>>())
    };
}

fn text_opt(text: Option<&str>) -> Option<String> {
    text.map(|text| clean(text).into_owned())
}

fn assemble(shard: i32, term: Term, batch: Uuid, rows: &WriteSet) -> Result<(String, PgArguments), StoreError> {
    let mut s = Statement::new(shard, term);
    if !rows.versions.is_empty() {
        let versions = &rows.versions;
        let specs = versions.iter().map(|version| to_json(&version.spec)).collect::<Result<Vec<_>, _>>()?;
        s.part("new_versions", VERSIONS);
        column!(s, versions, |v| v.spec.dag_id.as_str());
        column!(s, versions, |v| v.hash.as_str());
        column!(s, versions, |v| i64::from(v.number));
        column!(s, versions, |v| v.bundle.as_ref().map(|b| b.as_str()));
        column!(s, versions, |v| at(v.created_at));
        s.bind(specs);
    }
    if !rows.dags.is_empty() {
        let dags: Vec<_> = rows.dags.values().collect();
        s.part("dags", DAGS);
        column!(s, dags, |d| d.dag_id.as_str());
        column!(s, dags, |d| d.version.as_str());
        column!(s, dags, |d| i64::from(d.version_number));
        column!(s, dags, |d| d.is_paused);
        column!(s, dags, |d| d.is_stale);
        column!(s, dags, |d| kind_name(d.source.kind));
        column!(s, dags, |d| clean(&d.source.rel_path).into_owned());
        column!(s, dags, |d| at(d.parsed_at));
        column!(s, dags, |d| i64::from(d.failed_runs));
    }
    add_runs(&mut s, rows)?;
    add_instances(&mut s, rows)?;
    if !rows.tries.is_empty() {
        let tries = &rows.tries;
        s.part("tries", TRIES);
        column!(s, tries, |t| t.ti.0);
        column!(s, tries, |t| i64::from(t.attempt));
        column!(s, tries, |t| int(t.run_no.0));
        column!(s, tries, |t| i64::from(t.try_number));
        column!(s, tries, |t| t.state.as_str());
        column!(s, tries, |t| t.queued_at.map(at));
        column!(s, tries, |t| t.start_date.map(at));
        column!(s, tries, |t| t.end_date.map(at));
        column!(s, tries, |t| text_opt(t.worker.as_ref().map(|w| w.as_str())));
        column!(s, tries, |t| text_opt(t.note.as_deref()));
    }
    add_xcoms(&mut s, rows)?;
    add_pools(&mut s, rows);
    if !rows.audit.is_empty() {
        let audit = &rows.audit;
        s.part("audit_lines", AUDIT);
        s.bind(batch);
        s.bind((0_i64..).take(audit.len()).collect::<Vec<_>>());
        column!(s, audit, |a| at(a.at));
        column!(s, audit, |a| clean(&a.event).into_owned());
        column!(s, audit, |a| clean(&a.by).into_owned());
        column!(s, audit, |a| text_opt(a.dag_id.as_ref().map(DagId::as_str)));
        column!(s, audit, |a| text_opt(a.run_id.as_ref().map(RunId::as_str)));
        column!(s, audit, |a| text_opt(a.task_id.as_ref().map(TaskId::as_str)));
        column!(s, audit, |a| text_opt(a.detail.as_deref()));
    }
    s.finish()
}

fn add_runs(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let changed = |new: bool| -> Vec<&DagRun> {
        rows.runs.values().filter(|run| run.is_new == new).map(|run| &run.row).collect()
    };
    let runs = changed(true);
    if !runs.is_empty() {
        let confs = runs.iter().map(|run| to_json(&run.conf)).collect::<Result<Vec<_>, _>>()?;
        s.part("new_runs", NEW_RUNS);
        column!(s, runs, |r| int(r.run_no.0));
        column!(s, runs, |r| r.dag_id.as_str());
        column!(s, runs, |r| r.run_id.as_str());
        column!(s, runs, |r| r.run_type.as_str());
        column!(s, runs, |r| r.logical_date.map(at));
        column!(s, runs, |r| r.data_interval_start.map(at));
        column!(s, runs, |r| r.data_interval_end.map(at));
        column!(s, runs, |r| at(r.run_after));
        s.bind(confs);
        column!(s, runs, |r| text_opt(r.triggered_by.as_deref()));
        bind_mutable_run(s, &runs);
        s.must_touch("new_runs", runs.len(), "a new run");
    }
    let runs = changed(false);
    if !runs.is_empty() {
        s.part("runs", RUNS);
        column!(s, runs, |r| int(r.run_no.0));
        bind_mutable_run(s, &runs);
        s.must_touch("runs", runs.len(), "a run");
    }
    Ok(())
}

fn bind_mutable_run(s: &mut Statement, runs: &[&DagRun]) {
    column!(s, runs, |r| r.state.as_str());
    column!(s, runs, |r| r.version.as_str());
    column!(s, runs, |r| at(r.queued_at));
    column!(s, runs, |r| r.start_date.map(at));
    column!(s, runs, |r| r.end_date.map(at));
    column!(s, runs, |r| i64::from(r.clear_number));
    column!(s, runs, |r| text_opt(r.note.as_deref()));
}

fn add_instances(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let changed = |new: bool| -> Vec<&TaskInstance> {
        rows.task_instances.values().filter(|ti| ti.is_new == new).map(|ti| &ti.row).collect()
    };
    let instances = changed(true);
    if !instances.is_empty() {
        s.part("new_instances", NEW_INSTANCES);
        column!(s, instances, |t| t.id.0);
        column!(s, instances, |t| int(t.run_no.0));
        column!(s, instances, |t| t.task_id.as_str());
        column!(s, instances, |t| i64::from(t.map_index));
        column!(s, instances, |t| clean(&t.operator).into_owned());
        column!(s, instances, |t| t.pool.as_str());
        column!(s, instances, |t| i64::from(t.pool_slots));
        column!(s, instances, |t| t.queue.as_str());
        column!(s, instances, |t| t.priority_weight);
        bind_mutable_instance(s, &instances)?;
        s.must_touch("new_instances", instances.len(), "a new task instance");
    }
    let instances = changed(false);
    if !instances.is_empty() {
        s.part("instances", INSTANCES);
        column!(s, instances, |t| t.id.0);
        bind_mutable_instance(s, &instances)?;
        s.must_touch("instances", instances.len(), "a task instance");
    }
    Ok(())
}

fn bind_mutable_instance(s: &mut Statement, instances: &[&TaskInstance]) -> Result<(), StoreError> {
    let skips = instances.iter().map(|ti| skips_json(ti)).collect::<Result<Vec<_>, _>>()?;
    column!(s, instances, |t| t.state.as_str());
    column!(s, instances, |t| i64::from(t.try_number));
    column!(s, instances, |t| i64::from(t.max_tries));
    column!(s, instances, |t| i64::from(t.attempt));
    column!(s, instances, |t| i64::from(t.worker_losses));
    column!(s, instances, |t| t.scheduled_at.map(at));
    column!(s, instances, |t| t.queued_at.map(at));
    column!(s, instances, |t| t.start_date.map(at));
    column!(s, instances, |t| t.end_date.map(at));
    column!(s, instances, |t| t.next_at.map(at));
    column!(s, instances, |t| t.first_poke_at.map(at));
    column!(s, instances, |t| text_opt(t.worker.as_ref().map(|w| w.as_str())));
    column!(s, instances, |t| t.token.map(|token| token.0));
    column!(s, instances, |t| text_opt(t.note.as_deref()));
    s.bind(skips);
    Ok(())
}

fn add_xcoms(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let xcoms = last_xcoms(rows);
    if !rows.xcoms_cleared.is_empty() {
        let cleared = &rows.xcoms_cleared;
        s.part("cleared_xcoms", CLEARED_XCOMS);
        column!(s, cleared, |ti| ti.0);
        column!(s, xcoms, |x| x.ti.0);
        column!(s, xcoms, |x| clean(&x.key).into_owned());
    }
    if !xcoms.is_empty() {
        let values = xcoms.iter().map(|xcom| to_json(&xcom.value)).collect::<Result<Vec<_>, _>>()?;
        s.part("xcoms", XCOMS);
        column!(s, xcoms, |x| x.ti.0);
        column!(s, xcoms, |x| clean(&x.key).into_owned());
        column!(s, xcoms, |x| int(x.run_no.0));
        column!(s, xcoms, |x| x.task_id.as_str());
        column!(s, xcoms, |x| i64::from(x.map_index));
        s.bind(values);
        column!(s, xcoms, |x| at(x.created_at));
    }
    Ok(())
}

fn add_pools(s: &mut Statement, rows: &WriteSet) {
    let pools: Vec<_> = rows.pools.values().flatten().collect();
    if !pools.is_empty() {
        s.part("pools", POOLS);
        column!(s, pools, |p| p.name.as_str());
        column!(s, pools, |p| p.slots);
        column!(s, pools, |p| clean(&p.description).into_owned());
        column!(s, pools, |p| p.include_deferred);
    }
    let deleted: Vec<&PoolName> = rows.pools.iter().filter(|(_, pool)| pool.is_none()).map(|(name, _)| name).collect();
    if !deleted.is_empty() {
        s.part("deleted_pools", DELETED_POOLS);
        column!(s, deleted, |name| name.as_str());
    }
}

pub(super) async fn commit(db: &PostgresDb, shard: i32, term: Term, rows: &WriteSet) -> Result<(), StoreError> {
    // The same for each attempt, so that the audit trail gets each line once.
    let batch = Uuid::new_v4();
    let held = db
        .bounded(async {
            let mut tries = 0;
            loop {
                tries += 1;
                match attempt(db, shard, term, batch, rows).await {
                    // Given up in favour of another transaction, or the connection broke, perhaps long ago. A commit may
                    // be repeated, so its outcome need not be known.
                    Err(Attempt::RolledBack(_)) if tries < 4 => {}
                    Err(Attempt::Failed(StoreError::Unavailable(_))) if tries < 3 => {}
                    Err(Attempt::RolledBack(error) | Attempt::Failed(error)) => return Err(error),
                    Ok(held) => return Ok(held),
                }
            }
        })
        .await?;
    if held { Ok(()) } else { Err(StoreError::StaleTerm) }
}

/// How an attempt at a commit failed.
enum Attempt {
    /// Nothing was written; the same again may succeed.
    RolledBack(StoreError),
    Failed(StoreError),
}

async fn attempt(db: &PostgresDb, shard: i32, term: Term, batch: Uuid, rows: &WriteSet) -> Result<bool, Attempt> {
    let (text, args) = assemble(shard, term, batch, rows).map_err(Attempt::Failed)?;
    let mut turn = db.leader().await.map_err(Attempt::Failed)?;
    let result = sqlx::query_with(AssertSqlSafe(text), args).fetch_one(&mut turn.connection).await;
    match result {
        Ok(row) => {
            turn.keep();
            row.try_get(0).map_err(|error| Attempt::Failed(from_sqlx(error)))
        }
        Err(error) => {
            let rolled_back = is_rolled_back(&error);
            let error = from_sqlx(error);
            // A refusal by the database leaves the connection sound.
            if rolled_back || !matches!(error, StoreError::Unavailable(_)) {
                turn.keep();
            }
            Err(if rolled_back { Attempt::RolledBack(error) } else { Attempt::Failed(error) })
        }
    }
}

/// Runs the statement that commits `rows` under a term that nobody has, so that it is prepared and writes nothing.
pub(crate) async fn try_out(db: &PostgresDb, rows: &WriteSet) -> Result<(), StoreError> {
    let (text, args) = assemble(-1, Term(0), Uuid::nil(), rows)?;
    let row = sqlx::query_with(AssertSqlSafe(text), args).fetch_one(&db.pool).await.map_err(from_sqlx)?;
    if row.try_get(0).map_err(from_sqlx)? {
        return Err(StoreError::Broken("a commit without a term went through".to_owned()));
    }
    Ok(())
}
