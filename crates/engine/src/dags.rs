//! DAGs and pools: published, gone, paused, resized.

use std::sync::{Arc, Weak};

use tradewind_types::{ApiError, AuditEvent, DEFAULT_POOL, DagId, DagRow, DagVersion, Pool, PoolName, check_key};

use crate::{
    Effects, Engine, Reply, check_spec,
    graph::{Graph, index},
    memory::{Dag, LastRun},
};

impl Dag {
    pub(crate) fn new(row: DagRow, graph: Arc<Graph>, highest: u32) -> Self {
        Self {
            last: row.last_scheduled.map(|(start, end)| LastRun { start, end }),
            past: graph.past,
            row,
            graph,
            highest,
            run_ids: std::collections::HashMap::new(),
            dates: std::collections::BTreeMap::new(),
            queued: std::collections::BTreeSet::new(),
            running: 0,
            active: 0,
            next: None,
            timer: None,
            question: 0,
            asked: false,
            dirty: false,
            check: false,
        }
    }

    /// Runs that may be active at once; a continuous DAG runs one after the other.
    pub(crate) fn max_active_runs(&self) -> u32 {
        let limit = self.graph.version.spec.max_active_runs;
        if self.graph.schedule.is_continuous() { limit.min(1) } else { limit }
    }
}

impl Engine {
    /// The graph of a version, worked out once.
    pub(crate) fn graph(&mut self, version: Arc<DagVersion>) -> Arc<Graph> {
        let key = (version.spec.dag_id.clone(), version.hash.clone());
        if let Some(graph) = self.graphs.get(&key).and_then(Weak::upgrade) {
            return graph;
        }
        let graph = Arc::new(Graph::build(version));
        if self.graphs.len() > 2 * (self.dags.len() + self.run_at.len()) + 64 {
            self.graphs.retain(|_, graph| graph.strong_count() > 0);
        }
        self.graphs.insert(key, Arc::downgrade(&graph));
        graph
    }

    pub(crate) fn publish(
        &mut self,
        version: Arc<DagVersion>,
        paused_by_default: bool,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let spec = &version.spec;
        check_spec(spec).map_err(|problems| {
            ApiError::invalid(format!("the DAG \"{}\" is refused: {}", spec.dag_id, problems.join("; ")))
        })?;
        let now = self.now;
        let dag_id = spec.dag_id.clone();
        let source = spec.source.clone();
        let Some(&dag_at) = self.dag_at.get(&dag_id) else {
            let version = numbered(version, 1);
            let row = DagRow {
                dag_id: dag_id.clone(),
                version: version.hash.clone(),
                version_number: version.number,
                is_paused: version.spec.is_paused_upon_creation.unwrap_or(paused_by_default),
                is_stale: false,
                source,
                parsed_at: now,
                failed_runs: 0,
                pending_assets: Vec::new(),
                runtimes: Vec::new(),
                schedule_error: None,
                last_scheduled: None,
            };
            effects.rows.versions.push(Arc::clone(&version));
            let highest = version.number;
            let graph = self.graph(version);
            let dag_at = index(self.dags.len());
            self.dags.push(Dag::new(row, graph, highest));
            self.dag_at.insert(dag_id, dag_at);
            self.register_assets(dag_at, effects);
            self.touch_dag(dag_at);
            self.look_at_dag(dag_at);
            return Ok(Reply::Done);
        };
        let dag = &mut self.dags[dag_at as usize];
        dag.row.parsed_at = now;
        dag.row.is_stale = false;
        dag.row.source = source;
        if dag.row.version != version.hash {
            let next = dag.highest.saturating_add(1);
            let version = numbered(version, next);
            let dag = &mut self.dags[dag_at as usize];
            dag.highest = dag.highest.max(version.number);
            dag.row.version = version.hash.clone();
            dag.row.version_number = version.number;
            effects.rows.versions.push(Arc::clone(&version));
            let graph = self.graph(version);
            let dag = &mut self.dags[dag_at as usize];
            dag.row.version_number = graph.version.number;
            dag.past |= graph.past;
            dag.graph = graph;
            dag.next = None;
            dag.timer = None;
            dag.asked = false;
            dag.row.schedule_error = None;
            self.register_assets(dag_at, effects);
        }
        self.touch_dag(dag_at);
        self.look_at_dag(dag_at);
        Ok(Reply::Done)
    }

    pub(crate) fn dag_gone(&mut self, dag_id: &DagId) -> Result<Reply, ApiError> {
        let dag_at = self.dag_position(dag_id)?;
        if !std::mem::replace(&mut self.dags[dag_at as usize].row.is_stale, true) {
            self.touch_dag(dag_at);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn set_paused(
        &mut self,
        dag_id: &DagId,
        paused: bool,
        by: String,
        effects: &mut Effects,
    ) -> Result<Reply, ApiError> {
        let dag_at = self.dag_position(dag_id)?;
        if self.dags[dag_at as usize].row.is_paused == paused {
            return Ok(Reply::Done);
        }
        effects.rows.audit.push(AuditEvent {
            at: self.now,
            event: if paused { "dag.pause" } else { "dag.unpause" }.to_owned(),
            by,
            dag_id: Some(dag_id.clone()),
            run_id: None,
            task_id: None,
            detail: None,
        });
        if !paused {
            // The failures that paused it are forgiven.
            self.dags[dag_at as usize].row.failed_runs = 0;
        }
        self.pause(dag_at, paused, effects);
        Ok(Reply::Done)
    }

    /// Pausing hides what is ready and stops new runs; what is queued or runs goes on.
    pub(crate) fn pause(&mut self, dag_at: u32, paused: bool, effects: &mut Effects) {
        let dag = &mut self.dags[dag_at as usize];
        dag.row.is_paused = paused;
        dag.timer = None;
        // A pause may have lasted long: the next run is worked out anew.
        dag.next = None;
        dag.asked = false;
        let runs: Vec<u32> = dag.run_ids.values().copied().collect();
        self.touch_dag(dag_at);
        for run in runs {
            if self.runs[run].row.state.is_finished() {
                continue;
            }
            self.show_run(run);
            if !paused {
                self.consider_run(run, effects);
                self.look_at_run(run);
            }
        }
        self.look_at_dag(dag_at);
    }

    pub(crate) fn set_pool(&mut self, pool: Pool, effects: &mut Effects) -> Result<Reply, ApiError> {
        check_key("pool name", pool.name.as_str()).map_err(ApiError::invalid)?;
        if pool.slots < -1 {
            return Err(ApiError::invalid(format!(
                "a pool has 0 or more slots, or -1 for no limit, not {}",
                pool.slots
            )));
        }
        if pool.rate.is_some_and(|rate| rate.starts == 0 || rate.per_secs == 0) {
            return Err(ApiError::invalid("a pool's rate is at least one start in at least one second".to_owned()));
        }
        let pool_at = self.pool(&pool.name);
        effects.rows.pools.insert(pool.name.clone(), Some(pool.clone()));
        self.pools[pool_at as usize].config = Some(pool);
        self.renew_rate(pool_at);
        Ok(Reply::Done)
    }

    pub(crate) fn delete_pool(&mut self, name: &PoolName, effects: &mut Effects) -> Result<Reply, ApiError> {
        if name.as_str() == DEFAULT_POOL {
            return Err(ApiError::conflict(format!("the pool \"{DEFAULT_POOL}\" cannot be deleted")));
        }
        let pool_at = self
            .pool_at
            .get(name)
            .copied()
            .filter(|&pool| self.pools[pool as usize].config.is_some())
            .ok_or_else(|| ApiError::not_found(format!("there is no pool \"{name}\"")))?;
        self.pools[pool_at as usize].config = None;
        effects.rows.pools.insert(name.clone(), None);
        self.refresh_pool(pool_at);
        Ok(Reply::Done)
    }
}

fn numbered(version: Arc<DagVersion>, next: u32) -> Arc<DagVersion> {
    if version.number != 0 {
        return version;
    }
    let mut version = Arc::unwrap_or_clone(version);
    version.number = next;
    Arc::new(version)
}
