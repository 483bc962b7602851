//! `tradewind standalone`: scheduler, DAG processor and worker in one process, on SQLite and the in-process queue. The
//! parts talk gRPC over loopback, as they do when they are apart.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_config::Config;
use tradewind_proto::{ClientOptions, LeaderClient};
use tradewind_queue::MemoryQueue;
use tradewind_scheduler::Running;

use super::{
    dag_processor::start_dag_processor,
    guest::absolute,
    local::fill_in_secrets,
    scheduler::{open_store, start_scheduler},
    worker::start_worker,
};
use crate::secret_files::LocalFiles;

/// A standalone system that runs.
pub struct Standalone {
    /// The address of its scheduler.
    pub address: String,
    /// The administrator's token.
    pub admin_token: String,
    scheduler: Running,
    worker: JoinHandle<anyhow::Result<()>>,
    processor: JoinHandle<anyhow::Result<()>>,
    /// Ends the scheduler, after the others have ended.
    stop_scheduler: CancellationToken,
    shutdown: CancellationToken,
    _lock: fs::File,
}

/// Runs a standalone system until the token is cancelled.
///
/// # Errors
/// See [`Standalone::start`]; or a part ended by itself.
pub async fn run_standalone(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let home = absolute(&config.home.dir);
    let dags = absolute(&config.dags.folder);
    let queues = config.worker.queues.join(", ");
    let system = Standalone::start(config, shutdown).await?;
    println!("Tradewind {} is running", env!("CARGO_PKG_VERSION"));
    println!("  gRPC    {}", system.address);
    println!("  DAGs    {}", dags.display());
    println!("  home    {}", home.display());
    println!("  queues  {queues}");
    println!("Ctrl-C stops it.");
    // The banner is for whoever waits for it, also through a pipe.
    std::io::stdout().flush().context("cannot print")?;
    system.wait().await
}

impl Standalone {
    /// Starts every part.
    ///
    /// # Errors
    /// Another standalone system uses the home folder (the message names its process), or a part cannot start.
    pub async fn start(mut config: Config, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let home = absolute(&config.home.dir);
        fs::create_dir_all(&home).with_context(|| format!("cannot create the home folder {}", home.display()))?;
        let lock = lock_home(&home)?;
        let files = LocalFiles::new(&home);
        fill_in_secrets(&files, &mut config)?;
        let dags = absolute(&config.dags.folder);
        if !dags.is_dir() {
            anyhow::bail!("the DAG folder {} does not exist (dags.folder); create it, or name another", dags.display());
        }

        let store = open_store(&config).await.context("store.url")?;
        store.migrate().await.context("the database cannot be brought up to date")?;
        let queue = Arc::new(MemoryQueue::new());
        let stop_scheduler = CancellationToken::new();
        let scheduler = start_scheduler(
            &config,
            store,
            Arc::<MemoryQueue>::clone(&queue),
            stop_scheduler.clone(),
        )
        .await?;
        wait_for_leader(&scheduler, &shutdown).await;
        files.keep("address", &scheduler.address)?;

        let client = |token: &str| {
            LeaderClient::new(ClientOptions {
                addresses: vec![scheduler.address.clone()],
                token: Some(token.to_owned()),
                ..ClientOptions::default()
            })
        };
        let worker_client = client(&config.security.worker_token)?;
        let processor_client = client(&config.security.processor_token)?;
        let admin_token = config.security.admin_token.clone();
        let config = Arc::new(config);
        let worker = {
            let (config, shutdown) = (Arc::clone(&config), shutdown.clone());
            tokio::spawn(async move { start_worker(&config, worker_client, queue, shutdown).await })
        };
        let processor = {
            let (config, shutdown) = (Arc::clone(&config), shutdown.clone());
            tokio::spawn(async move { start_dag_processor(&config, processor_client, shutdown).await })
        };
        Ok(Self {
            address: scheduler.address.clone(),
            admin_token,
            scheduler,
            worker,
            processor,
            stop_scheduler,
            shutdown,
            _lock: lock,
        })
    }

    /// Waits until everything has ended: the worker first, so that it can report, then the scheduler.
    ///
    /// # Errors
    /// A part ended by itself.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        let first = tokio::select! {
            result = &mut self.worker => ("worker", result),
            result = &mut self.processor => ("DAG processor", result),
        };
        let by_itself = !self.shutdown.is_cancelled();
        self.shutdown.cancel();
        let (name, result) = first;
        let second = if name == "worker" { self.processor.await } else { self.worker.await };
        self.stop_scheduler.cancel();
        self.scheduler.wait().await?;
        result.with_context(|| format!("the {name} panicked"))?.with_context(|| format!("the {name} ended"))?;
        second.context("a part panicked")??;
        if by_itself {
            // A drained worker ends without error.
            tracing::info!("the {name} ended; so does the rest");
        }
        Ok(())
    }
}

async fn wait_for_leader(scheduler: &Running, shutdown: &CancellationToken) {
    while !scheduler.is_leader() && !shutdown.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Takes the lock of a home folder for the life of this process.
fn lock_home(home: &Path) -> anyhow::Result<fs::File> {
    let path = home.join("standalone.lock");
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        let mut pid = String::new();
        file.read_to_string(&mut pid).context("cannot read the lock file")?;
        anyhow::bail!(
            "another `tradewind standalone` (process {}) uses the home folder {}; stop it, or give this one another \
             folder with --home",
            pid.trim(),
            home.display()
        );
    }
    file.set_len(0).context("cannot write the lock file")?;
    file.write_all(std::process::id().to_string().as_bytes()).context("cannot write the lock file")?;
    Ok(file)
}
