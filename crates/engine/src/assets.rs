//! Assets: events, which DAGs they concern, and the runs that they set off (Airflow `assets/manager.py`,
//! `SchedulerJobRunner._create_dag_runs_asset_triggered`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tradewind_types::{
    ApiError, Asset, AssetEvent, AssetKey, AssetRef, AssetSource, AuditEvent, DagRun, OutletEvent, PendingAsset, RunNo,
    RunState, RunType,
};

use crate::{Effects, Engine, Reply, memory::At, runs::run_id};

/// The assets that are known.
#[derive(Debug)]
pub(crate) struct Assets {
    pub(crate) known: BTreeMap<AssetKey, Asset>,
    pub(crate) aliases: HashMap<String, Vec<AssetKey>>,
    pub(crate) next_event_no: u64,
    /// The DAGs that are scheduled on assets.
    pub(crate) listeners: Vec<u32>,
}

impl Default for Assets {
    fn default() -> Self {
        Self { known: BTreeMap::new(), aliases: HashMap::new(), next_event_no: 1, listeners: Vec::new() }
    }
}

impl Assets {
    /// Whether an update of `asset` (that came through `aliases`) is one of what `named` stands for.
    fn concerns(&self, named: &AssetRef, asset: &AssetKey, aliases: &[String]) -> bool {
        match named {
            AssetRef::Asset(key) => key == asset,
            AssetRef::Name { name } => *name == asset.name,
            AssetRef::Uri { uri } => *uri == asset.uri,
            AssetRef::Alias { name } => {
                aliases.contains(name) || self.aliases.get(name).is_some_and(|assets| assets.contains(asset))
            }
        }
    }

    /// Notes that an event of `alias` was attached to `asset`; `true` when that is new.
    pub(crate) fn attach(&mut self, alias: &str, asset: &AssetKey) -> bool {
        let assets = self.aliases.entry(alias.to_owned()).or_default();
        let new = !assets.contains(asset);
        if new {
            assets.push(asset.clone());
        }
        new
    }
}

impl Engine {
    /// The assets that a DAG names are known from now on, and it is asked when they are updated.
    pub(crate) fn register_assets(&mut self, dag_at: u32, effects: &mut Effects) {
        let graph = Arc::clone(&self.dags[dag_at as usize].graph);
        let spec = &graph.version.spec;
        for asset in &spec.assets {
            if self.assets.known.get(&asset.key) != Some(asset) {
                self.assets.known.insert(asset.key.clone(), asset.clone());
                effects.rows.assets.insert(asset.key.clone(), asset.clone());
            }
        }
        let named = spec.timetable.asset_condition().map(|condition| condition.assets()).unwrap_or_default();
        let of_tasks = spec.tasks.iter().flat_map(|task| task.outlets.iter().chain(&task.inlets));
        for named in named.into_iter().chain(of_tasks) {
            if let AssetRef::Asset(key) = named
                && !self.assets.known.contains_key(key)
            {
                self.add_asset(key, effects);
            }
        }
        self.listen(dag_at);
    }

    /// An asset of which nothing but its name and URI is said.
    fn add_asset(&mut self, key: &AssetKey, effects: &mut Effects) {
        let new = Asset { key: key.clone(), group: "asset".to_owned(), extra: serde_json::json!({}) };
        effects.rows.assets.insert(key.clone(), new.clone());
        self.assets.known.insert(key.clone(), new);
    }

    /// Keeps the list of DAGs that are scheduled on assets.
    fn listen(&mut self, dag_at: u32) {
        let on_assets = self.dags[dag_at as usize].graph.version.spec.timetable.asset_condition().is_some();
        let known = self.assets.listeners.iter().position(|&listener| listener == dag_at);
        match (on_assets, known) {
            (true, None) => self.assets.listeners.push(dag_at),
            (false, Some(place)) => {
                self.assets.listeners.remove(place);
            }
            _ => {}
        }
    }

    /// A task instance succeeded and updated assets.
    pub(crate) fn assets_updated(&mut self, at: At, events: Vec<OutletEvent>, effects: &mut Effects) {
        let row = &self.runs[at.run].ti(at.ti).row;
        let source = AssetSource {
            dag_id: row.dag_id.clone(),
            run_no: row.run_no,
            run_id: row.run_id.clone(),
            task_id: row.task_id.clone(),
            map_index: row.map_index,
        };
        for event in events {
            // As Airflow: what no DAG names has no events, unless it comes through an alias.
            if !event.aliases.is_empty() || self.assets.known.contains_key(&event.asset) {
                self.asset_event(event, Some(source.clone()), effects);
            }
        }
    }

    fn asset_event(&mut self, event: OutletEvent, source: Option<AssetSource>, effects: &mut Effects) -> u64 {
        let no = self.assets.next_event_no;
        self.assets.next_event_no += 1;
        let OutletEvent { asset, extra, aliases } = event;
        if !self.assets.known.contains_key(&asset) {
            self.add_asset(&asset, effects);
        }
        for alias in &aliases {
            if self.assets.attach(alias, &asset) {
                effects.rows.asset_aliases.push((alias.clone(), asset.clone()));
            }
        }
        let at = self.now;
        effects.rows.asset_events.push(AssetEvent {
            no,
            asset: asset.clone(),
            at,
            extra,
            source,
            aliases: aliases.clone(),
        });
        for dag_at in self.assets.listeners.clone() {
            let dag = &self.dags[dag_at as usize];
            if dag.row.is_stale {
                continue;
            }
            // As Airflow: what happens while a DAG is paused sets off no run of it, but the next run sees it.
            let silent = dag.row.is_paused;
            let condition = dag.graph.version.spec.timetable.asset_condition();
            let concerned = condition.is_some_and(|condition| {
                condition.assets().into_iter().any(|named| self.assets.concerns(named, &asset, &aliases))
            });
            if concerned {
                let pending = PendingAsset { asset: asset.clone(), event: no, at, aliases: aliases.clone(), silent };
                self.dags[dag_at as usize].row.pending_assets.push(pending);
                self.touch_dag(dag_at);
                self.look_at_dag(dag_at);
            }
        }
        no
    }

    pub(crate) fn update_asset(
        &mut self,
        asset: AssetKey,
        extra: serde_json::Value,
        by: String,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        if !self.assets.known.contains_key(&asset) {
            return Err(ApiError::not_found(format!(
                "there is no asset \"{}\" with the URI {}",
                asset.name, asset.uri
            )));
        }
        effects.rows.audit.push(AuditEvent {
            at: self.now,
            event: "asset.update".to_owned(),
            by,
            dag_id: None,
            run_id: None,
            task_id: None,
            detail: Some(asset.name.clone()),
        });
        let no = self.asset_event(OutletEvent { asset, extra, aliases: Vec::new() }, None, effects);
        Ok(Reply::AssetEvent(no))
    }

    /// Creates the run that a DAG's pending asset events set off, if they suffice.
    pub(crate) fn create_asset_run(&mut self, dag_at: u32, effects: &mut Effects) -> bool {
        let dag = &self.dags[dag_at as usize];
        if dag.row.pending_assets.is_empty() || dag.row.is_paused || dag.row.is_stale {
            return false;
        }
        let Some(condition) = dag.graph.version.spec.timetable.asset_condition() else { return false };
        let pending = &dag.row.pending_assets;
        let heard: Vec<&PendingAsset> = pending.iter().filter(|update| !update.silent).collect();
        let met = condition
            .is_met(&|named| heard.iter().any(|update| self.assets.concerns(named, &update.asset, &update.aliases)));
        if !met {
            return false;
        }
        let latest = pending.iter().map(|update| (update.at, update.event)).max();
        let Some((run_after, last_event)) = latest else { return false };
        let events: Vec<u64> = pending.iter().map(|update| update.event).collect();
        let graph = Arc::clone(&dag.graph);
        let row = DagRun {
            run_no: RunNo(self.next_run_no),
            dag_id: dag.row.dag_id.clone(),
            run_id: run_id(RunType::AssetTriggered, run_after, Some(&suffix(last_event))),
            run_type: RunType::AssetTriggered,
            state: RunState::Queued,
            version: graph.version.hash.clone(),
            logical_date: None,
            data_interval_start: None,
            data_interval_end: None,
            run_after,
            conf: serde_json::json!({}),
            queued_at: self.now,
            start_date: None,
            end_date: None,
            clear_number: 0,
            triggered_by: Some("asset".to_owned()),
            note: None,
            backfill: None,
            missed_deadlines: 0,
        };
        effects.rows.consumed_events.extend(events.into_iter().map(|event| (row.run_no, event)));
        self.dags[dag_at as usize].row.pending_assets.clear();
        self.touch_dag(dag_at);
        self.create_run(dag_at, row, graph, Vec::new(), false);
        true
    }
}

/// Tells runs of one instant apart, where Airflow draws eight random characters: the number of the last event, spread over
/// eight hexadecimal digits. No two numbers below 2^32 share one.
fn suffix(event: u64) -> String {
    format!("{:08x}", event.wrapping_mul(0x9e37_79b1) & 0xffff_ffff)
}
