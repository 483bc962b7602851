//! `tradewind simulate day`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tradewind_sim::forecast::{DagSummary, Forecast, History, PoolSummary, Setup, forecast};
use tradewind_types::{Operator, PoolName};

use super::inputs;
use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, Format, OutputArgs, Record, Text, Tone, paint},
    suggest,
};

/// How full a slot is, from empty to full.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The arguments of `tradewind simulate day`.
#[derive(Debug, Args)]
pub struct DayArgs {
    /// Only these DAGs, paused ones too [default: all that are not paused].
    dag_ids: Vec<String>,
    /// How many hours.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=744))]
    hours: u16,
    /// From when [default: now].
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Another number of slots of a pool (-1 for no limit); may be given several times.
    #[arg(long = "pool", value_name = "NAME=SLOTS", value_parser = parse_pool)]
    pools: Vec<(String, i64)>,
    /// Another number of task instances that may execute at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    parallelism: Option<u32>,
    /// Take as many workers as it needs, instead of those that are there now.
    #[arg(long)]
    unlimited_workers: bool,
    /// How long a task takes of which nothing is known.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    default_duration: u32,
    #[command(flatten)]
    output: OutputArgs,
}

fn parse_pool(text: &str) -> Result<(String, i64), String> {
    let bad = || format!("\"{text}\" is not NAME=SLOTS, e.g. default_pool=64");
    let (name, slots) = text.rsplit_once('=').ok_or_else(bad)?;
    let slots: i64 = slots.trim().parse().map_err(|_| bad())?;
    if name.is_empty() || slots < -1 {
        return Err(format!("{}; slots are 0 or more, or -1 for no limit", bad()));
    }
    Ok((name.to_owned(), slots))
}

/// A forecast as things stand, and one with what the flags change.
#[derive(Serialize)]
struct Comparison {
    before: Forecast,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Forecast>,
}

/// Runs `tradewind simulate day`.
///
/// # Errors
/// No scheduler answers, there is no such DAG or pool, a value is wrong.
pub(super) async fn run(context: &Context, args: DayArgs) -> Outcome {
    let at = args.from.as_deref().map(output::parse_date).transpose()?.unwrap_or_else(Timestamp::now);
    let client = context.client()?;
    let setup = setup(&client, context, &args, at).await?;
    let changed = changed(&setup, &args)?;
    let horizon = Duration::from_secs(u64::from(args.hours) * 3_600);
    let comparison = Comparison {
        before: forecast(&setup, horizon)?,
        after: changed.map(|changed| forecast(&changed, horizon)).transpose()?,
    };
    let format = args.output.output;
    if format.is_data() {
        output::print_serialized(format, &comparison)?;
    } else {
        print(format, &comparison)?;
        notes(&setup, &comparison, &args);
    }
    Ok(Exit::Success)
}

async fn setup(client: &Client, context: &Context, args: &DayArgs, at: Timestamp) -> Result<Setup, CliError> {
    let named: BTreeSet<String> = args.dag_ids.iter().cloned().collect();
    let dag_ids = if named.is_empty() { inputs::active_dags(client).await? } else { named.into_iter().collect() };
    let mut history = History::new(Duration::from_secs(args.default_duration.into()));
    let mut dags = Vec::new();
    for dag_id in dag_ids {
        let mut dag = inputs::dag(client, &dag_id).await?;
        // Who names a paused DAG wants to know what it would do.
        dag.is_paused = false;
        inputs::learn(client, &dag, &mut history).await?;
        dags.push(dag);
    }
    Ok(Setup {
        at,
        dags,
        pools: inputs::pools(client).await?,
        parallelism: context.load(Vec::new())?.config.scheduler.parallelism,
        workers: if args.unlimited_workers { Vec::new() } else { inputs::workers(client).await? },
        history,
    })
}

/// The same with other pools or parallelism, if any are asked for.
fn changed(setup: &Setup, args: &DayArgs) -> Result<Option<Setup>, CliError> {
    if args.pools.is_empty() && args.parallelism.is_none() {
        return Ok(None);
    }
    let mut changed = setup.clone();
    changed.parallelism = args.parallelism.unwrap_or(setup.parallelism);
    for (name, slots) in &args.pools {
        let Some(pool) = changed.pools.iter_mut().find(|pool| pool.name.as_str() == name) else {
            let error = CliError::new(Exit::NotFound, format!("there is no pool \"{name}\""));
            return Err(suggest::near_one(error, name, setup.pools.iter().map(|pool| pool.name.as_str())));
        };
        pool.slots = *slots;
    }
    Ok(Some(changed))
}

fn print(format: Format, comparison: &Comparison) -> Result<(), CliError> {
    let Comparison { before, after } = comparison;
    let dag_of = |forecast: &Forecast| -> BTreeMap<String, DagSummary> {
        forecast.dags.iter().map(|dag| (dag.dag_id.to_string(), dag.clone())).collect()
    };
    let (was, mut is) = (dag_of(before), after.as_ref().map(dag_of).unwrap_or_default());
    let dags: Vec<DagRow> =
        was.into_iter().map(|(dag_id, before)| DagRow { after: is.remove(&dag_id), before }).collect();
    output::print_listing(format, &dags, dags.len() as u64)?;
    output::line("")?;
    let changed = |name: &PoolName| after.as_ref()?.pools.iter().find(|pool| pool.pool == *name);
    let mut pools = Vec::new();
    // A pool in which nothing happens says nothing.
    for pool in before.pools.iter().filter(|pool| pool.peak_used > 0 || changed(&pool.pool).is_some_and(in_use)) {
        let after = changed(&pool.pool);
        pools.push(PoolRow { pool: pool.clone(), when: after.map_or("", |_| "now") });
        pools.extend(after.map(|pool| PoolRow { pool: pool.clone(), when: "then" }));
    }
    output::print_listing(format, &pools, pools.len() as u64)?;
    Ok(())
}

fn in_use(pool: &PoolSummary) -> bool {
    pool.peak_used > 0
}

fn notes(setup: &Setup, comparison: &Comparison, args: &DayArgs) {
    for (forecast, when) in [(Some(&comparison.before), "now"), (comparison.after.as_ref(), "then")] {
        let Some(forecast) = forecast else { continue };
        let when = if comparison.after.is_some() {
            format!("{} ", paint(Tone::Bold, format!("{when}:")))
        } else {
            String::new()
        };
        let runs: u64 = forecast.dags.iter().map(|dag| dag.runs).sum();
        let open: u64 = forecast.dags.iter().map(|dag| dag.runs - dag.finished).sum();
        let wait = |wait: Option<Duration>| wait.map_or_else(|| "-".to_owned(), output::duration);
        output::note(&format!(
            "{when}{runs} runs and {} task instances in {} h from {}; {open} runs are not over at the end; the median wait \
             is {}, 95 of 100 wait at most {}.",
            forecast.waits.started,
            args.hours,
            output::iso_micros(forecast.from),
            wait(forecast.waits.median),
            wait(forecast.waits.p95),
        ));
        if forecast.not_served > 0 {
            output::warn(&format!("{} task instances wait in queues that no worker serves now", forecast.not_served));
        }
    }
    let unknown: usize = setup
        .dags
        .iter()
        .flat_map(|dag| dag.version.spec.tasks.iter().map(move |task| (&dag.version.spec.dag_id, task)))
        .filter(|(dag_id, task)| task.operator != Operator::Empty && !setup.history.knows(dag_id, &task.task_id))
        .count();
    if unknown > 0 {
        output::note(&format!(
            "{unknown} tasks have no past durations; each is taken to last {} s (--default-duration).",
            args.default_duration
        ));
    }
    if setup.workers.is_empty() && !args.unlimited_workers {
        output::note("No worker is there now: as many as needed are assumed.");
    }
    let python: Vec<&str> = comparison.before.not_foreseen.iter().map(|dag_id| dag_id.as_str()).collect();
    if !python.is_empty() {
        output::note(&format!("Custom timetables are not evaluated here: no scheduled runs of {}.", python.join(", ")));
    }
}

struct DagRow {
    before: DagSummary,
    after: Option<DagSummary>,
}

impl Serialize for DagRow {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.before, &self.after).serialize(serializer)
    }
}

impl DagRow {
    /// A figure, with what becomes of it where that is another one.
    fn cell<T: PartialEq + Copy>(
        &self,
        of: impl Fn(&DagSummary) -> T,
        show: impl Fn(T) -> String,
        worse: impl Fn(T, T) -> bool,
    ) -> Text {
        let before = of(&self.before);
        match self.after.as_ref().map(&of) {
            Some(after) if after != before => {
                let tone = if worse(before, after) { Tone::Bad } else { Tone::Good };
                Text::toned(tone, format!("{} → {}", show(before), show(after)))
            }
            _ => Text::number(show(before)),
        }
    }

    fn time(&self, of: impl Fn(&DagSummary) -> Option<Duration>) -> Text {
        let show = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), output::duration);
        self.cell(of, show, |before, after| after > before)
    }

    fn count(&self, of: impl Fn(&DagSummary) -> u64) -> Text {
        self.cell(of, |count| count.to_string(), |before, after| after < before)
    }
}

impl Record for DagRow {
    const HEADINGS: &'static [&'static str] =
        &["dag_id", "runs", "finished", "makespan", "longest", "tasks", "wait", "wait p95"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::plain(&self.before.dag_id),
            self.count(|dag| dag.runs),
            self.count(|dag| dag.finished),
            self.time(|dag| dag.makespan_median),
            self.time(|dag| dag.makespan_max),
            self.count(|dag| dag.waits.started),
            self.time(|dag| dag.waits.median),
            self.time(|dag| dag.waits.p95),
        ]
    }
}

#[derive(Serialize)]
struct PoolRow {
    pool: PoolSummary,
    when: &'static str,
}

impl Record for PoolRow {
    const HEADINGS: &'static [&'static str] =
        &["pool", "", "slots", "tasks", "wait", "wait p95", "in use", "at most", "slots in use over time"];

    fn cells(&self) -> Vec<Text> {
        let pool = &self.pool;
        let time = |time: Option<Duration>| Text::number(time.map_or_else(|| "-".to_owned(), output::duration));
        vec![
            Text::plain(&pool.pool),
            Text::toned(Tone::Dim, self.when),
            Text::number(if pool.slots < 0 { "∞".to_owned() } else { pool.slots.to_string() }),
            Text::number(pool.waits.started),
            time(pool.waits.median),
            time(pool.waits.p95),
            Text::number(format!("{:.1}", pool.mean_used)),
            Text::number(pool.peak_used),
            Text::toned(Tone::Info, curve(pool)),
        ]
    }
}

/// Slots in use over time: of all slots, or of the most that are in use where there is no limit.
fn curve(pool: &PoolSummary) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for a curve")]
    let full = if pool.slots > 0 { pool.slots as f64 } else { pool.peak_used as f64 };
    let level = |used: &f64| {
        let share = if full > 0.0 { (used / full).clamp(0.0, 1.0) } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 8")]
        let eighths = (share * 8.0).ceil() as usize;
        if eighths == 0 { '·' } else { LEVELS[eighths - 1] }
    };
    pool.used.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_given_by_name_and_slots() {
        assert_eq!(parse_pool("ml=3"), Ok(("ml".to_owned(), 3)));
        assert_eq!(parse_pool("a=b=-1"), Ok(("a=b".to_owned(), -1)));
        for bad in ["ml", "ml=", "=3", "ml=-2", "ml=x"] {
            assert!(parse_pool(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn curves_show_the_smallest_use_and_a_full_pool() {
        let pool = PoolSummary {
            pool: "p".into(),
            slots: 8,
            waits: Default::default(),
            mean_used: 1.0,
            peak_used: 8,
            used: vec![0.0, 0.01, 4.0, 8.0, 9.0],
            wanted: Vec::new(),
        };
        assert_eq!(curve(&pool), "·▁▄██");
        assert_eq!(curve(&PoolSummary { slots: -1, peak_used: 4, used: vec![1.0, 4.0], ..pool }), "▂█");
    }
}
