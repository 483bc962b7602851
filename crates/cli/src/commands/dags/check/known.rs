//! What pools, queues and connections there are: a scheduler says it, or the database of a standalone installation.

use std::collections::BTreeSet;

use serde::Serialize;
use tradewind_config::Config;
use tradewind_dags::review::Known;
use tradewind_ports::{Page, StoreError};
use tradewind_proto::v1;

use crate::{client::Client, context::Context, errors::CliError, output, roles};

/// What the names in DAG files were compared with.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Compared {
    /// The scheduler or database; none when nothing was compared.
    pub(super) with: Option<String>,
    /// What was not compared.
    pub(super) not_checked: Vec<&'static str>,
    /// Why not.
    pub(super) because: Option<String>,
}

pub(super) struct Asked {
    pub(super) known: Known,
    pub(super) compared: Compared,
}

const ALL: [&str; 3] = ["pools", "queues", "connections"];

/// Asks the scheduler, else the database of a standalone installation that is not running.
pub(super) async fn ask(context: &Context, config: &Config, offline: bool) -> Asked {
    let nothing = |because: String| Asked {
        known: Known::default(),
        compared: Compared { with: None, not_checked: ALL.to_vec(), because: Some(because) },
    };
    if offline {
        return nothing("--offline was given".to_owned());
    }
    let scheduler = async {
        let client = context.client()?;
        scheduler(&client).await
    };
    let error = match scheduler.await {
        Ok(known) => {
            let compared = Compared { with: Some("the scheduler".to_owned()), ..Compared::default() };
            return Asked { known, compared };
        }
        Err(error) => error,
    };
    let file = config.home.dir.join("tradewind.db");
    if !config.store.url.is_empty() || !file.is_file() {
        return nothing(error.message);
    }
    match database(config).await {
        Ok(known) => {
            let compared = Compared {
                with: Some(format!("the database {}", file.display())),
                not_checked: vec!["queues"],
                because: Some("no scheduler answers, and only it knows the workers".to_owned()),
            };
            Asked { known, compared }
        }
        Err(error) => nothing(format!("no scheduler answers, and {} cannot be read: {error}", file.display())),
    }
}

async fn scheduler(client: &Client) -> Result<Known, CliError> {
    let pools = client.read(async |mut admin| admin.list_pools(v1::Empty {}).await).await?;
    let workers = client.read(async |mut admin| admin.list_workers(v1::Empty {}).await).await?;
    let (connections, _) = output::all_pages(0, async |page| {
        let request = v1::ListRequest { page: Some(page) };
        let answer = client.read(async |mut admin| admin.list_connections(request).await).await?;
        Ok((answer.connections, answer.total))
    })
    .await?;
    Ok(Known {
        pools: Some(pools.pools.into_iter().map(|pool| pool.name).collect()),
        queues: Some(workers.workers.into_iter().flat_map(|worker| worker.queues).collect()),
        connections: Some(with_environment(connections.into_iter().map(|connection| connection.conn_id))),
    })
}

async fn database(config: &Config) -> Result<Known, StoreError> {
    let store = roles::open_store(config).await?;
    let pools = store.pools().await?.into_iter().map(|pool| pool.name.to_string()).collect();
    let mut connections = Vec::new();
    loop {
        let page = store.connections(Page { limit: Page::MAX, offset: connections.len() as u64 }).await?;
        let is_last = page.rows.is_empty();
        connections.extend(page.rows.into_iter().map(|connection| connection.conn_id));
        if is_last || connections.len() as u64 >= page.total {
            break;
        }
    }
    Ok(Known { pools: Some(pools), queues: None, connections: Some(with_environment(connections.into_iter())) })
}

/// Connections may also be in the environment, as Airflow lets them; here that is what this process has.
fn with_environment(ids: impl Iterator<Item = String>) -> BTreeSet<String> {
    let named =
        std::env::vars_os().filter_map(|(name, _)| Some(name.to_str()?.strip_prefix("AIRFLOW_CONN_")?.to_lowercase()));
    ids.chain(named).collect()
}
