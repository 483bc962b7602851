//! `tradewind dags list-import-errors`.

use clap::Args;
use serde::Serialize;
use tradewind_proto::v1;

use crate::{
    client::Client,
    commands::local,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, Format, PageArgs, Record, Text, Tone, paint},
};

/// The arguments of `tradewind dags list-import-errors`.
#[derive(Debug, Args)]
pub struct ImportErrorsArgs {
    /// Show the tracebacks, too.
    #[arg(long)]
    traceback: bool,
    /// Load this folder or file in this process, without a scheduler [default: dags.folder].
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "")]
    pub(super) local: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

#[derive(Serialize)]
struct ImportErrorRecord {
    filepath: String,
    error: String,
    line: Option<u32>,
    column: Option<u32>,
    traceback: Option<String>,
    timestamp: String,
}

impl From<v1::ImportError> for ImportErrorRecord {
    fn from(error: v1::ImportError) -> Self {
        let mut text = error.message;
        // The place is part of what people read, unless the message has it.
        if let Some(line) = error.line
            && !text.contains(&format!("line {line}"))
        {
            let column = error.column.map_or_else(String::new, |column| format!(", column {column}"));
            text = format!("line {line}{column}: {text}");
        }
        Self {
            filepath: error.rel_path,
            error: text,
            line: error.line,
            column: error.column,
            traceback: error.traceback,
            timestamp: output::iso(error.at),
        }
    }
}

impl Record for ImportErrorRecord {
    const HEADINGS: &'static [&'static str] = &["filepath", "error", "since"];

    fn cells(&self) -> Vec<Text> {
        vec![Text::plain(&self.filepath), Text::toned(Tone::Bad, &self.error), Text::instant(Some(&self.timestamp))]
    }
}

/// Lists import errors.
///
/// # Errors
/// No scheduler answers.
pub async fn run(client: &Client, args: &ImportErrorsArgs) -> Outcome {
    let (errors, total) = output::all_pages(args.page.limit, async |page| {
        let request = v1::ListRequest { page: Some(page) };
        let answer = client.read(async |mut admin| admin.list_import_errors(request).await).await?;
        Ok((answer.errors, answer.total))
    })
    .await?;
    print(errors, total, args)?;
    Ok(Exit::Success)
}

/// Lists the import errors of a folder, or of one file in it; the exit code is 1 when there are any.
///
/// # Errors
/// The folder cannot be read.
pub async fn local(context: &Context, place: &str, args: &ImportErrorsArgs) -> Outcome {
    let loaded = local::load(context, Some(place)).await?;
    for warning in &loaded.warnings {
        output::warn(warning);
    }
    for file in &loaded.files {
        for warning in &file.warnings {
            output::warn(&format!("{}: {warning}", file.rel_path));
        }
    }
    let dags: usize = loaded.files.iter().map(|file| file.dags.len()).sum();
    let errors: Vec<v1::ImportError> =
        loaded.files.into_iter().flat_map(|file| file.errors).map(v1::ImportError::from).collect();
    if errors.is_empty() && !args.page.output.is_data() {
        output::note(&format!("No import errors; {dags} DAGs load."));
        return Ok(Exit::Success);
    }
    let total = errors.len() as u64;
    print(errors, total, args)?;
    Ok(if total > 0 { Exit::Negative } else { Exit::Success })
}

fn print(errors: Vec<v1::ImportError>, total: u64, args: &ImportErrorsArgs) -> Result<(), CliError> {
    let rows: Vec<ImportErrorRecord> = errors.into_iter().map(Into::into).collect();
    output::print_listing(args.page.output, &rows, total)?;
    if args.traceback && args.page.output == Format::Table {
        for row in &rows {
            if let Some(traceback) = &row.traceback {
                output::line(format!("\n{}\n{}", paint(Tone::Bold, &row.filepath), traceback.trim_end()))?;
            }
        }
    }
    Ok(())
}
