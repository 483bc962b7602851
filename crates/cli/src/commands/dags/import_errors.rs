//! `tradewind dags list-import-errors`.

use std::{cell::RefCell, collections::BTreeSet};

use clap::Args;
use serde::Serialize;
use tradewind_proto::v1;
use tradewind_types::Deprecation;

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
    /// List only the deprecated names that files use, with what is written now; also with -o json.
    #[arg(long, conflicts_with = "traceback")]
    deprecations: bool,
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

/// A name that a file should no longer use.
#[derive(Serialize)]
struct DeprecationRecord {
    filepath: String,
    line: Option<u32>,
    old: String,
    new: String,
    note: Option<String>,
}

impl From<Deprecation> for DeprecationRecord {
    fn from(name: Deprecation) -> Self {
        Self { filepath: name.file, line: name.line, old: name.old, new: name.new, note: name.note }
    }
}

impl Record for DeprecationRecord {
    const HEADINGS: &'static [&'static str] = &["filepath", "line", "deprecated name", "use", "note"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::plain(&self.filepath),
            self.line.map_or_else(Text::default, Text::number),
            Text::toned(Tone::Warn, &self.old),
            Text::toned(Tone::Good, &self.new),
            Text::maybe(self.note.as_ref()),
        ]
    }
}

/// Lists import errors.
///
/// # Errors
/// No scheduler answers.
pub async fn run(client: &Client, args: &ImportErrorsArgs) -> Outcome {
    let deprecated = RefCell::new(BTreeSet::new());
    let (errors, total) = output::all_pages(args.page.limit, async |page| {
        let request = v1::ListRequest { page: Some(page) };
        let answer = client.read(async |mut admin| admin.list_import_errors(request).await).await?;
        deprecated.borrow_mut().extend(answer.deprecations.into_iter().map(Deprecation::from));
        Ok((answer.errors, answer.total))
    })
    .await?;
    print(errors, total, deprecated.into_inner(), args)?;
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
    let mut deprecated = BTreeSet::new();
    for file in &loaded.files {
        // Deprecated names have a table of their own.
        let names: BTreeSet<String> = file.deprecations.iter().map(ToString::to_string).collect();
        for warning in file.warnings.iter().filter(|warning| !names.contains(*warning)) {
            output::warn(&format!("{}: {warning}", file.rel_path));
        }
        deprecated.extend(file.deprecations.iter().cloned());
    }
    let dags: usize = loaded.files.iter().map(|file| file.dags.len()).sum();
    let errors: Vec<v1::ImportError> =
        loaded.files.into_iter().flat_map(|file| file.errors).map(v1::ImportError::from).collect();
    let total = errors.len() as u64;
    if errors.is_empty() && !args.deprecations && !args.page.output.is_data() {
        print_deprecated(deprecated, args)?;
        output::note(&format!("No import errors; {dags} DAGs load."));
        return Ok(Exit::Success);
    }
    print(errors, total, deprecated, args)?;
    Ok(if total > 0 { Exit::Negative } else { Exit::Success })
}

fn print(
    errors: Vec<v1::ImportError>,
    total: u64,
    deprecated: BTreeSet<Deprecation>,
    args: &ImportErrorsArgs,
) -> Result<(), CliError> {
    if args.deprecations {
        return print_deprecated(deprecated, args);
    }
    let rows: Vec<ImportErrorRecord> = errors.into_iter().map(Into::into).collect();
    output::print_listing(args.page.output, &rows, total)?;
    if args.traceback && args.page.output == Format::Table {
        for row in &rows {
            if let Some(traceback) = &row.traceback {
                output::line(format!("\n{}\n{}", paint(Tone::Bold, &row.filepath), traceback.trim_end()))?;
            }
        }
    }
    // As data, the listing is of errors alone; `--deprecations` lists the names.
    if args.page.output.is_data() { Ok(()) } else { print_deprecated(deprecated, args) }
}

/// The names that files should no longer use: below the errors, or by themselves.
fn print_deprecated(names: BTreeSet<Deprecation>, args: &ImportErrorsArgs) -> Result<(), CliError> {
    let rows: Vec<DeprecationRecord> = names.into_iter().map(Into::into).collect();
    if !args.deprecations {
        if rows.is_empty() {
            return Ok(());
        }
        output::line(paint(Tone::Bold, "\nDeprecated names"))?;
    }
    output::print_listing(args.page.output, &rows, rows.len() as u64)
}
