//! `tradewind dags report`.

use clap::Args;
use serde::Serialize;

use crate::{
    commands::local,
    context::Context,
    errors::{Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
};

/// The arguments of `tradewind dags report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The DAG folder, or one file [default: dags.folder].
    #[arg(value_name = "PATH")]
    place: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct FileRecord {
    file: String,
    duration_secs: f64,
    dag_num: usize,
    task_num: usize,
    dags: Vec<String>,
    errors: usize,
    warnings: Vec<String>,
    #[serde(skip)]
    duration: String,
    #[serde(skip)]
    share: f64,
}

impl Record for FileRecord {
    const HEADINGS: &'static [&'static str] = &["file", "duration", "", "dags", "tasks", "errors", "dag_ids"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::plain(&self.file),
            Text::number(&self.duration),
            Text::toned(Tone::Info, output::bar(self.share, 10)),
            Text::number(self.dag_num),
            Text::number(self.task_num),
            if self.errors > 0 { Text::toned(Tone::Bad, self.errors) } else { Text::number(0) },
            Text::plain(self.dags.join(", ")),
        ]
    }
}

/// Loads the DAG folder and says what each file gave, slowest first.
///
/// # Errors
/// The folder cannot be read.
pub async fn run(context: &Context, args: ReportArgs) -> Outcome {
    let loaded = local::load(context, args.place.as_deref()).await?;
    for warning in &loaded.warnings {
        output::warn(warning);
    }
    let longest = loaded.files.iter().map(|file| file.parse_time.as_secs_f64()).fold(f64::MIN_POSITIVE, f64::max);
    let mut rows: Vec<FileRecord> = loaded
        .files
        .into_iter()
        .map(|file| FileRecord {
            duration: output::duration(file.parse_time),
            duration_secs: file.parse_time.as_secs_f64(),
            share: file.parse_time.as_secs_f64() / longest,
            dag_num: file.dags.len(),
            task_num: file.dags.iter().map(|(_, spec)| spec.tasks.len()).sum(),
            dags: file.dags.iter().map(|(_, spec)| spec.dag_id.to_string()).collect(),
            errors: file.errors.len(),
            warnings: file.warnings,
            file: file.rel_path,
        })
        .collect();
    rows.sort_by(|a, b| b.duration_secs.total_cmp(&a.duration_secs));
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    if !args.output.output.is_data() {
        let sum = |count: fn(&FileRecord) -> usize| rows.iter().map(count).sum::<usize>();
        output::note(&format!(
            "{} files, {} DAGs, {} tasks, {} errors",
            rows.len(),
            sum(|row| row.dag_num),
            sum(|row| row.task_num),
            sum(|row| row.errors)
        ));
    }
    Ok(Exit::Success)
}
