//! `tradewind standalone`.

use clap::Args;
use tradewind_config::{Config, Role};

use super::{
    home,
    local::LocalSystem,
    process::{Loading, hide_secrets, run_role},
    settings,
    stop::Stop,
};
use crate::{
    context::Context,
    errors::{CliError, Outcome},
    output::{self, Tone, paint},
    secret_files::LocalFiles,
};

/// The name of the worker and the scheduler: the same at each start, so that a new process takes over at once what the
/// last one left behind.
const NAME: &str = "local";

/// The arguments of `tradewind standalone`.
#[derive(Debug, Args)]
pub struct StandaloneArgs {
    /// The DAG folder (dags.folder) [default: dags].
    #[arg(long, value_name = "DIR")]
    dags_folder: Option<String>,
    /// Queues to serve, separated by commas (worker.queues) [default: default].
    #[arg(long, value_name = "QUEUES")]
    queues: Option<String>,
    /// Task instances to run at once (worker.slots) [default: 4 a core].
    #[arg(long, value_name = "N")]
    slots: Option<String>,
    /// Triggers of deferred task instances to run at once (worker.trigger_slots) [default: 1000]; 0 runs none.
    #[arg(long, value_name = "N")]
    trigger_slots: Option<String>,
    /// Address of the gRPC server (scheduler.listen) [default: 127.0.0.1:7070]; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
}

/// Runs everything in this process until it is told to stop.
///
/// # Errors
/// The configuration is not usable, another process uses the home folder, or a part cannot start or breaks.
pub fn run(context: &Context, args: StandaloneArgs) -> Outcome {
    let mut loading = Loading::new(
        context,
        vec![
            ("dags.folder", args.dags_folder),
            ("worker.queues", args.queues),
            ("worker.slots", args.slots),
            ("worker.trigger_slots", args.trigger_slots),
            ("scheduler.listen", args.listen),
        ],
    )?;
    let _lock = home::lock(&loading.config.home.dir)?;
    home::fill_secrets(&mut loading.config)?;
    settings::fill_xcom_storage(&mut loading.config)?;
    for name in [&mut loading.config.scheduler.name, &mut loading.config.worker.name] {
        if name.is_empty() {
            NAME.clone_into(name);
        }
    }
    let config = loading.checked(Role::Standalone)?;
    run_role("standalone", config, serve)
}

async fn serve(config: Config, stop: Stop) -> Result<(), CliError> {
    hide_secrets();
    let Some(system) = LocalSystem::start(&config, true, &stop).await? else { return Ok(()) };
    let files = LocalFiles::new(&config.home.dir);
    files.keep("address", &system.address)?;
    banner(&config, &system);
    let result = system.wait(&stop).await;
    files.forget("address");
    result
}

fn banner(config: &Config, system: &LocalSystem) {
    let shown =
        |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let python =
        system.guest.as_ref().map_or_else(|| "none: native tasks only".to_owned(), |guest| shown(&guest.python));
    output::note(&format!("{} {}", paint(Tone::Bold, "Tradewind"), env!("CARGO_PKG_VERSION")));
    for (what, value) in [
        ("gRPC", paint(Tone::Info, &system.address)),
        ("DAGs", shown(&config.dags.folder)),
        ("queues", format!("{} ({} slots)", config.worker.queues.join(", "), system.slots)),
        ("Python", python),
        ("home", shown(&config.home.dir)),
    ] {
        output::note(&format!("  {} {value}", paint(Tone::Dim, format!("{what:<8}"))));
    }
    output::note(&paint(Tone::Dim, "  Ctrl-C stops it."));
}
