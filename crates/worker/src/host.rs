//! Answers a running Python task, over the worker service.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tradewind_guest::{
    AssetEventInfo, AssetEventQuery, AssetInfo, AssetName, ConnectionInfo, DagInfo, DagRunInfo, HostError, HumanAnswer,
    HumanQuestion, LogLine, PreviousTiQuery, StateScope, TaskHost, TaskInstanceFilter, TaskInstanceInfo,
    TriggerRequest, XComAddress, XComSlice,
};
use tradewind_proto::v1;
use tradewind_types::{AssetKey, DagRun, TaskInstance, TiId, XComValue};
use uuid::Uuid;

use crate::{
    attempt::Running,
    grant::{CallbackWork, Work},
    host_answers::{self, Answer, answer, connection_info, line, refused, run_info, slice, states, ti_info},
    logs::TaskLog,
    remote::{Remote, RunQuery},
    session::Session,
    xcoms::{HeldXComs, LargeXComs},
};

/// Runs of one look for an earlier task instance.
const PREVIOUS_PAGE: u32 = 50;
/// Pages of it.
const PREVIOUS_PAGES: usize = 20;

/// The host of one Python task.
pub(crate) struct Host {
    session: Arc<Session>,
    pub(crate) remote: Remote,
    log: TaskLog,
    held: HeldXComs,
    xcoms: LargeXComs,
    /// None for a callback that is about no task instance.
    pub(crate) ti: Option<Arc<TaskInstance>>,
    run: Arc<DagRun>,
    /// The assets that the task names.
    assets: Vec<AssetKey>,
    rendered_map_index: Mutex<Option<String>>,
    /// The task's process, which leads a group of its own; 0 while there is none.
    pid: AtomicU32,
}

impl Host {
    pub(crate) fn new(running: &Running, work: &Work) -> Self {
        Self {
            session: Arc::clone(&running.session),
            remote: running.remote.clone(),
            log: running.log.clone(),
            held: HeldXComs::new(running.remote.clone()),
            xcoms: running.xcoms.clone(),
            ti: Some(Arc::clone(&work.ti)),
            run: Arc::clone(&work.run),
            assets: host_answers::assets_of(&work.task),
            rendered_map_index: Mutex::default(),
            pid: AtomicU32::new(0),
        }
    }

    /// The host of a callback. It may read; what it writes is refused like that of any other stranger.
    pub(crate) fn for_callback(running: &Running, work: &CallbackWork) -> Self {
        Self {
            session: Arc::clone(&running.session),
            remote: running.remote.clone(),
            log: running.log.clone(),
            held: HeldXComs::new(running.remote.clone()),
            xcoms: running.xcoms.clone(),
            ti: work.ti.clone(),
            run: Arc::clone(&work.run),
            assets: Vec::new(),
            rendered_map_index: Mutex::default(),
            pid: AtomicU32::new(0),
        }
    }

    /// The label that the task gave itself.
    pub(crate) fn rendered_map_index(&self) -> Option<String> {
        self.rendered_map_index.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// XComs that the report is to take along.
    pub(crate) fn held_xcoms(&self) -> Vec<XComValue> {
        self.held.take()
    }

    /// The task's process is gone.
    pub(crate) fn ended(&self) {
        let pid = self.pid.swap(0, Ordering::AcqRel);
        if pid != 0 {
            self.session.watchdog.ended(pid);
        }
    }

    /// A task writes its own XComs only.
    fn check_own(&self, at: &XComAddress) -> Answer<()> {
        let own = self.ti.as_ref().is_some_and(|ti| {
            at.dag_id == ti.dag_id.as_str()
                && at.run_id == ti.run_id.as_str()
                && at.task_id == ti.task_id.as_str()
                && at.map_index.is_none_or(|index| index == ti.map_index)
        });
        if own {
            return Ok(());
        }
        Err(refused(format!(
            "a task may write its own XComs only, not those of {}.{} in {}",
            at.dag_id, at.task_id, at.run_id
        )))
    }

    /// The XComs that fit, by map index; large ones as references.
    async fn found(&self, at: &XComAddress, index: Option<i32>, include_prior_dates: bool) -> Answer<Vec<v1::XCom>> {
        self.held.flush().await.map_err(answer)?;
        let query = v1::GetXComsRequest {
            attempt: None,
            dag_id: at.dag_id.clone(),
            run_id: at.run_id.clone(),
            task_id: Some(at.task_id.clone()),
            map_index: index,
            key: Some(at.key.clone()),
            include_prior_dates,
        };
        self.remote.xcoms(query).await.map_err(answer)
    }

    /// Their values.
    async fn load(&self, xcoms: Vec<v1::XCom>) -> Answer<Vec<Value>> {
        let values = self.xcoms.load(xcoms).await.map_err(answer)?;
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }

    async fn one_run(&self, dag_id: &str, run_id: &str) -> Answer<DagRun> {
        let query =
            RunQuery { dag_id: dag_id.to_owned(), run_id: Some(run_id.to_owned()), limit: 1, ..RunQuery::default() };
        let (runs, _) = self.remote.runs(&query).await.map_err(answer)?;
        runs.into_iter()
            .next()
            .ok_or_else(|| HostError::NotFound { message: format!("the DAG \"{dag_id}\" has no run \"{run_id}\"") })
    }

    async fn instances(&self, filter: &TaskInstanceFilter) -> Answer<Vec<TaskInstance>> {
        let query = v1::FindTaskInstancesRequest {
            attempt: None,
            dag_id: filter.dag_id.clone(),
            run_ids: filter.run_ids.clone().unwrap_or_default(),
            task_ids: filter.task_ids.clone().unwrap_or_default(),
            states: states(filter),
            logical_dates: filter.logical_dates.iter().flatten().map(|date| tradewind_proto::micros(*date)).collect(),
        };
        let mut found = self.remote.task_instances(query).await.map_err(answer)?;
        if let Some(index) = filter.map_index {
            found.retain(|ti| ti.map_index == index);
        }
        if let Some(group) = &filter.task_group_id {
            // The tasks of a group carry its id before their own.
            let prefix = format!("{group}.");
            let is_group = found.iter().any(|ti| ti.task_id.as_str().starts_with(&prefix));
            found.retain(|ti| match is_group {
                true => ti.task_id.as_str().starts_with(&prefix),
                // As Airflow: where there is no such group, a task of that name.
                false => ti.task_id.as_str() == group && ti.map_index == tradewind_types::UNMAPPED,
            });
        }
        Ok(found)
    }
}

#[async_trait]
impl TaskHost for Host {
    async fn log(&self, lines: Vec<LogLine>) {
        self.log.write(lines.into_iter().map(line).collect()).await;
    }

    async fn started(&self, pid: u32) {
        self.pid.store(pid, Ordering::Release);
        self.session.watchdog.started(pid);
    }

    fn largest_request(&self) -> usize {
        // A float has 9 bytes on this way, as JSON at least 4.
        let bytes = self.xcoms.max_bytes().saturating_mul(9) / 4;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(tradewind_guest::LARGEST_REQUEST)
    }

    async fn get_xcom(&self, at: &XComAddress, include_prior_dates: bool) -> Answer<Option<Value>> {
        let index = at.map_index.unwrap_or(tradewind_types::UNMAPPED);
        let mut found = self.found(at, Some(index), include_prior_dates).await?;
        found.truncate(1);
        Ok(self.load(found).await?.pop())
    }

    async fn get_xcom_slice(&self, at: &XComAddress, part: XComSlice) -> Answer<Vec<Value>> {
        let include_prior_dates = part.include_prior_dates;
        let picked = slice(self.found(at, None, include_prior_dates).await?, part)?;
        self.load(picked).await
    }

    async fn get_xcom_item(&self, at: &XComAddress, offset: i64) -> Answer<Option<Value>> {
        let mut found = self.found(at, None, false).await?;
        let length = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let index = if offset < 0 { offset.saturating_add(length) } else { offset };
        let Some(index) = usize::try_from(index).ok().filter(|index| *index < found.len()) else { return Ok(None) };
        let picked = vec![found.swap_remove(index)];
        Ok(self.load(picked).await?.pop())
    }

    async fn count_xcoms(&self, at: &XComAddress) -> Answer<u64> {
        Ok(self.found(at, None, false).await?.len() as u64)
    }

    async fn set_xcom(&self, at: &XComAddress, value: Value, mapped_length: Option<u64>) -> Answer<()> {
        self.check_own(at)?;
        let ti = self.ti.as_ref().ok_or_else(|| refused("there is no task instance here".to_owned()))?;
        let length = mapped_length.map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        self.held.push(self.xcoms.stow(ti, &at.key, value, length).await.map_err(answer)?);
        Ok(())
    }

    async fn delete_xcom(&self, at: &XComAddress) -> Answer<()> {
        self.check_own(at)?;
        self.held.forget(&at.key);
        self.remote.delete_xcom(&at.key).await.map_err(answer)
    }

    async fn get_variable(&self, key: &str) -> Answer<Option<String>> {
        let value = self.remote.variable(key).await.map_err(answer)?;
        if let Some(value) = &value {
            self.log.masker().add_variable(key, value);
        }
        Ok(value)
    }

    async fn list_variables(&self, prefix: Option<&str>, limit: u64, offset: u64) -> Answer<(Vec<String>, u64)> {
        self.remote.variable_keys(prefix.unwrap_or_default(), limit, offset).await.map_err(answer)
    }

    async fn set_variable(&self, key: &str, value: Option<&str>, description: Option<&str>) -> Answer<()> {
        let value = value.unwrap_or_default();
        self.log.masker().add_variable(key, value);
        self.remote.put_variable(key, value, description).await.map_err(answer)
    }

    async fn delete_variable(&self, key: &str) -> Answer<()> {
        self.remote.delete_variable(key).await.map_err(answer)
    }

    async fn get_connection(&self, conn_id: &str) -> Answer<Option<ConnectionInfo>> {
        let connection = self.remote.connection(conn_id).await.map_err(answer)?;
        if let Some(connection) = &connection {
            self.log.masker().add_connection(connection.password.as_deref(), connection.extra.as_deref());
        }
        Ok(connection.map(connection_info))
    }

    async fn set_rendered_fields(&self, mut fields: Value) -> Answer<()> {
        self.log.masker().mask_value(&mut fields);
        self.remote.put_rendered(&fields).await.map_err(answer)
    }

    async fn get_dag_run(&self, dag_id: &str, run_id: &str) -> Answer<DagRunInfo> {
        self.held.flush().await.map_err(answer)?;
        self.one_run(dag_id, run_id).await.map(run_info)
    }

    async fn get_dag_run_state(&self, dag_id: &str, run_id: &str) -> Answer<String> {
        self.held.flush().await.map_err(answer)?;
        Ok(self.one_run(dag_id, run_id).await?.state.to_string())
    }

    async fn get_previous_dag_run(
        &self,
        dag_id: &str,
        before: Timestamp,
        state: Option<&str>,
    ) -> Answer<Option<DagRunInfo>> {
        let states = state.map(str::to_owned).into_iter().collect();
        let run = self.remote.previous_run(dag_id, before, states).await.map_err(answer)?;
        Ok(run.map(run_info))
    }

    async fn get_previous_successful_dag_run(&self, _ti_id: Uuid) -> Answer<Option<DagRunInfo>> {
        let Some(before) = self.run.logical_date else {
            return Ok(None);
        };
        self.get_previous_dag_run(self.run.dag_id.as_str(), before, Some("success")).await
    }

    async fn count_dag_runs(&self, filter: &TaskInstanceFilter) -> Answer<u64> {
        let run_ids = each(filter.run_ids.as_deref());
        let dates = each(filter.logical_dates.as_deref());
        let mut count = 0;
        for run_id in &run_ids {
            for date in &dates {
                let query = RunQuery {
                    dag_id: filter.dag_id.clone(),
                    run_id: run_id.cloned(),
                    logical_date: date.copied(),
                    states: filter.states.clone().unwrap_or_default(),
                    ..RunQuery::default()
                };
                let (runs, total) = self.remote.runs(&query).await.map_err(answer)?;
                // One that is asked for by its id comes in whatever state it is.
                let others = match &filter.states {
                    Some(states) => {
                        runs.iter().filter(|run| !states.iter().any(|state| state == run.state.as_str())).count()
                    }
                    None => 0,
                };
                count += total.saturating_sub(others as u64);
            }
        }
        Ok(count)
    }

    async fn count_task_instances(&self, filter: &TaskInstanceFilter) -> Answer<u64> {
        Ok(self.instances(filter).await?.len() as u64)
    }

    async fn get_task_states(&self, filter: &TaskInstanceFilter) -> Answer<Vec<(String, String, Option<String>)>> {
        let found = self.instances(filter).await?;
        Ok(found
            .into_iter()
            .map(|ti| {
                let task = match ti.map_index {
                    index if index >= 0 => format!("{}_{index}", ti.task_id),
                    _ => ti.task_id.to_string(),
                };
                let state = (ti.state != tradewind_types::TaskState::NoStatus).then(|| ti.state.to_string());
                (ti.run_id.to_string(), task, state)
            })
            .collect())
    }

    async fn get_first_reschedule_date(&self, _ti_id: Uuid, _try_number: u32) -> Answer<Option<Timestamp>> {
        Ok(self.ti.as_ref().and_then(|ti| ti.first_poke_at))
    }

    async fn trigger_dag_run(&self, request: TriggerRequest) -> Answer<()> {
        self.held.flush().await.map_err(answer)?;
        let conf = &request.conf;
        let request = v1::TriggerDagRunRequest {
            attempt: None,
            conf_json: if conf.is_null() { "{}".to_owned() } else { conf.to_string() },
            dag_id: request.dag_id,
            run_id: Some(request.run_id).filter(|run_id| !run_id.is_empty()),
            logical_date: request.logical_date.map(tradewind_proto::micros),
            run_after: request.run_after.map(tradewind_proto::micros),
            reset: request.reset,
            note: request.note,
        };
        self.remote.trigger(request).await.map_err(answer)
    }

    async fn set_rendered_map_index(&self, label: &str) -> Answer<()> {
        *self.rendered_map_index.lock().unwrap_or_else(PoisonError::into_inner) = Some(label.to_owned());
        Ok(())
    }

    async fn get_previous_ti(&self, query: &PreviousTiQuery) -> Answer<Option<TaskInstanceInfo>> {
        let mut before = query.before;
        for _ in 0..PREVIOUS_PAGES {
            let runs = RunQuery { dag_id: query.dag_id.clone(), before, limit: PREVIOUS_PAGE, ..RunQuery::default() };
            let (mut runs, _) = self.remote.runs(&runs).await.map_err(answer)?;
            runs.retain(|run| {
                run.logical_date.is_some() && before.is_none_or(|before| run.logical_date < Some(before))
            });
            runs.sort_by_key(|run| std::cmp::Reverse(run.logical_date));
            let Some(oldest) = runs.last().and_then(|run| run.logical_date) else {
                return Ok(None);
            };
            let found = self
                .instances(&TaskInstanceFilter {
                    dag_id: query.dag_id.clone(),
                    map_index: Some(query.map_index),
                    task_ids: Some(vec![query.task_id.clone()]),
                    run_ids: Some(runs.iter().map(|run| run.run_id.to_string()).collect()),
                    states: query.state.clone().map(|state| vec![state]),
                    ..TaskInstanceFilter::default()
                })
                .await?;
            let latest = runs.iter().find_map(|run| {
                found.iter().find(|ti| ti.run_id == run.run_id).map(|ti| ti_info(ti, run.logical_date))
            });
            if latest.is_some() {
                return Ok(latest);
            }
            before = Some(oldest);
        }
        Ok(None)
    }

    async fn get_dag(&self, dag_id: &str) -> Answer<DagInfo> {
        self.remote.describe_dag(dag_id).await.and_then(host_answers::dag_info).map_err(answer)
    }

    async fn get_finished(&self, dag_id: &str, run_id: &str) -> Answer<Vec<TaskInstanceInfo>> {
        let filter = TaskInstanceFilter {
            dag_id: dag_id.to_owned(),
            run_ids: Some(vec![run_id.to_owned()]),
            ..TaskInstanceFilter::default()
        };
        let mut found = self.instances(&filter).await?;
        found.retain(|ti| ti.state.is_finished());
        found.sort_by(|a, b| (&a.task_id, a.map_index).cmp(&(&b.task_id, b.map_index)));
        Ok(found.iter().map(|ti| ti_info(ti, None)).collect())
    }

    async fn get_state_value(&self, scope: &StateScope, key: &str) -> Answer<Option<Value>> {
        self.remote.state_value(&self.scope(scope).await?, key).await.map_err(answer)
    }

    async fn put_state_value(&self, scope: &StateScope, key: &str, value: &Value) -> Answer<()> {
        self.remote.put_state_value(&self.scope(scope).await?, key, value).await.map_err(answer)
    }

    async fn delete_state_values(&self, scope: &StateScope, key: Option<&str>) -> Answer<()> {
        self.remote.delete_state_values(&self.scope(scope).await?, key).await.map_err(answer)
    }

    async fn get_asset(&self, asset: &AssetName) -> Answer<Option<AssetInfo>> {
        let found = match asset {
            AssetName::Name(name) => self.find_assets(Some(name), None, None).await?,
            AssetName::Uri(uri) => self.find_assets(None, Some(uri), None).await?,
        };
        Ok(found.into_iter().next().map(host_answers::asset_info))
    }

    async fn get_assets_of_alias(&self, alias: &str) -> Answer<Vec<AssetInfo>> {
        let found = self.find_assets(None, None, Some(alias)).await?;
        Ok(found.into_iter().map(host_answers::asset_info).collect())
    }

    async fn get_asset_events(&self, query: &AssetEventQuery) -> Answer<Vec<AssetEventInfo>> {
        let request = v1::FindAssetEventsRequest {
            attempt: None,
            name: query.name.clone(),
            uri: query.uri.clone(),
            alias: query.alias.clone(),
            after: query.after.map(tradewind_proto::micros),
            before: query.before.map(tradewind_proto::micros),
            ascending: query.ascending,
            limit: query.limit.unwrap_or(0),
        };
        let events = self.remote.asset_events(request).await.map_err(answer)?;
        Ok(events.iter().map(host_answers::consumed).collect())
    }

    async fn get_inactive_assets(&self) -> Answer<Vec<(String, String)>> {
        let mut inactive = Vec::new();
        for key in &self.assets {
            let found = self.find_assets(Some(&key.name), None, None).await?;
            if !found.iter().any(|asset| asset.key == *key) {
                inactive.push((key.name.clone(), key.uri.clone()));
            }
        }
        Ok(inactive)
    }

    async fn ask_human(&self, question: &HumanQuestion) -> Answer<()> {
        let ti = self.ti.as_ref().ok_or_else(|| refused("there is no task instance here".to_owned()))?;
        self.held.flush().await.map_err(answer)?;
        self.remote.ask_human(&host_answers::human_input(ti, question)).await.map_err(answer)
    }

    async fn get_human_answer(&self, ti_id: Uuid) -> Answer<HumanAnswer> {
        let input = self.remote.human_input(TiId(ti_id)).await.map_err(answer)?;
        Ok(HumanAnswer {
            at: input.responded_at,
            by: input.responded_by,
            chosen: input.chosen_options,
            params_input: input.params_input,
        })
    }

    async fn mask_secret(&self, value: &str) {
        self.log.masker().add(value);
    }
}

/// Each of the values, or one question without any.
fn each<T>(values: Option<&[T]>) -> Vec<Option<&T>> {
    match values {
        None => vec![None],
        Some(values) => values.iter().map(Some).collect(),
    }
}
