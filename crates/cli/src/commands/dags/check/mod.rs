//! `tradewind dags check`: every problem of DAG files at once, without a server.

mod known;
mod places;
mod sarif;
mod show;

use clap::{Args, ValueEnum};
use tradewind_dags::review::{self, Finding, Level, Planned, Review};
use tradewind_scheduler::default_problems;
use tradewind_types::Timestamp;

use crate::{
    commands::local,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output,
};
use known::Compared;
use places::Place;

/// The arguments of `tradewind dags check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// DAG folders, folders in them, or files [default: dags.folder].
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Compare pools, queues and connections with nothing.
    #[arg(long)]
    offline: bool,
    /// The exit code is 1 for warnings, too.
    #[arg(long)]
    strict: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: CheckFormat,
}

/// How the answer of a check is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// For people.
    #[default]
    Table,
    /// JSON, with every field.
    Json,
    /// SARIF 2.1.0, as code scanners of forges and editors read it.
    Sarif,
}

/// What one check found, with paths as people gave them.
#[derive(Debug, Default)]
struct Checked {
    files: usize,
    findings: Vec<Finding>,
    planned: Vec<Planned>,
    compared: Compared,
}

impl Checked {
    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    fn take(&mut self, review: Review, place: &Place) {
        self.findings
            .extend(review.findings.into_iter().map(|finding| Finding { file: place.shown(&finding.file), ..finding }));
        self.planned
            .extend(review.planned.into_iter().map(|planned| Planned { file: place.shown(&planned.file), ..planned }));
    }
}

/// Checks DAG files: the exit code is 0 when there is nothing to say, 1 when there are errors (with `--strict`, warnings).
///
/// # Errors
/// A path does not exist or cannot be read.
pub async fn run(context: &Context, args: CheckArgs) -> Outcome {
    // The client says what is odd about the configuration.
    let config = if args.offline { context.load(Vec::new())? } else { context.load_quietly(Vec::new())? }.config;
    let places = places::resolve(&args.paths, &config.dags.folder)?;
    let known = known::ask(context, &config, args.offline).await;
    let now = Timestamp::now();
    let mut checked = Checked { compared: known.compared, ..Checked::default() };
    for place in &places {
        let loaded = local::load_authored(context, &place.root, place.only.clone()).await?;
        let text = |rel: &str| std::fs::read_to_string(place.root.join(rel)).ok();
        checked.files += loaded.files.len();
        checked.take(review::review(&loaded.files, &known.known, now, default_problems, text), place);
        let found = |rel: &String| {
            let below = |file: &str| {
                file.strip_prefix(rel.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            loaded.files.iter().any(|file| below(&file.rel_path))
        };
        let empty: Vec<&String> = place.only.iter().filter(|rel| !found(rel)).collect();
        checked.findings.extend(empty.into_iter().map(|rel| places::without_dags(&place.shown(rel))));
        checked.findings.extend(loaded.warnings.iter().map(|warning| places::of_folder(&place.shown(""), warning)));
    }
    match args.output {
        CheckFormat::Table => show::people(&checked)?,
        CheckFormat::Json => show::json(&checked)?,
        CheckFormat::Sarif => print_json(&sarif::log(&checked.findings))?,
    }
    let bad = checked.count(Level::Error) > 0 || args.strict && checked.count(Level::Warning) > 0;
    Ok(if bad { Exit::Negative } else { Exit::Success })
}

fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    output::print_serialized(output::Format::Json, value)
}
