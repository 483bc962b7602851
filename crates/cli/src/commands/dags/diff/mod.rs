//! `tradewind dags diff`: two states of a DAG folder compared by meaning.

mod revision;
mod show;

use clap::Args;
use tradewind_dags::{LocalFolder, compare};
use tradewind_types::{ImportError, Timestamp};

use crate::{
    commands::local,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs},
};
use revision::Source;

/// The arguments of `tradewind dags diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A folder or file, or a git revision of the DAG folder (`HEAD~1`, `main`, `v1.2..`, `main..feature`).
    old: String,
    /// Likewise [default: the DAG folder as it is; after `REVISION..`: HEAD].
    new: Option<String>,
    /// The DAG folder that revisions are of [default: the folder among OLD and NEW, or dags.folder].
    #[arg(long, value_name = "DIR")]
    folder: Option<String>,
    /// The exit code is 1 when something differs.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Compares two states.
///
/// # Errors
/// One of them is neither a path nor a revision, or cannot be loaded.
pub async fn run(context: &Context, args: DiffArgs) -> Outcome {
    let config = context.load(Vec::new())?.config;
    let (old, new) = revision::sources(&args.old, args.new.as_deref(), args.folder.as_deref(), &config.dags.folder)?;
    let before = load(context, &old).await?;
    let after = load(context, &new).await?;
    let comparison = compare::compare(&before.files, &after.files, Timestamp::now());
    let broken = Broken { old: errors(&before), new: errors(&after) };
    if args.output.output.is_data() {
        show::data(args.output.output, &comparison, &broken)?;
    } else {
        show::people(&comparison)?;
        // A DAG that does not load looks like one that is gone.
        for (name, errors) in [(&old.shown, &broken.old), (&new.shown, &broken.new)] {
            for error in errors {
                let line = error.line.map_or_else(String::new, |line| format!(":{line}"));
                output::warn(&format!(
                    "{name}: {}{line} does not load, so its DAGs are not compared: {}",
                    error.rel_path, error.message
                ));
            }
        }
    }
    Ok(if args.exit_code && !comparison.is_empty() { Exit::Negative } else { Exit::Success })
}

/// What does not load in either state.
struct Broken {
    old: Vec<ImportError>,
    new: Vec<ImportError>,
}

fn errors(folder: &LocalFolder) -> Vec<ImportError> {
    folder.files.iter().flat_map(|file| file.errors.clone()).collect()
}

async fn load(context: &Context, source: &Source) -> Result<LocalFolder, CliError> {
    local::load_authored(context, &source.folder, source.only.clone()).await
}
