//! What attempts leave and read: XComs, variables, connections, rendered fields, logs, kept values.

use tradewind_engine::Event;
use tradewind_ports::{LogChunk, XComQuery};
use tradewind_proto::{attempt_ref, json, v1, xcom_values};
use tradewind_types::{ApiError, AssetRef, ErrorCode, check_key};

use super::{Holder, WorkerApi};
use crate::core::{all_rows, store_error};

/// XComs that one answer may hold: what fits a message, with room for their keys.
const ANSWER_MAX_BYTES: usize = 12 * 1024 * 1024;

/// Room past the limit of a log for its end.
const LOG_END_BYTES: u64 = 64 * 1024;

impl WorkerApi {
    pub(super) async fn do_push_xcoms(&self, request: v1::PushXComsRequest) -> Result<v1::Empty, ApiError> {
        let (key, token) = attempt_ref(request.attempt.as_ref())?;
        let xcoms = xcom_values(request.xcoms)?;
        self.check_sizes(&xcoms)?;
        self.check_lengths(request.attempt.as_ref(), &xcoms).await?;
        self.core.step_one(Event::PushXComs { key, token, xcoms }).await?;
        Ok(v1::Empty {})
    }

    /// Every XCom that the query names: of a mapped task these may be more than one page of the store.
    pub(super) async fn do_get_xcoms(&self, request: v1::GetXComsRequest) -> Result<v1::GetXComsResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let query = XComQuery {
            dag_id: request.dag_id.into(),
            run_id: request.run_id.as_str().into(),
            task_id: request.task_id,
            map_index: request.map_index,
            key: request.key,
            include_prior: request.include_prior_dates,
        };
        let rows = all_rows(|page| self.core.store.xcoms(&query, page)).await?;
        let xcoms: Vec<v1::XCom> = rows.into_iter().map(|xcom| v1::XCom::new(xcom, &request.run_id)).collect();
        let bytes: usize = xcoms.iter().map(|xcom| xcom.value_json.len()).sum();
        if bytes > ANSWER_MAX_BYTES {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!(
                    "{} XComs have {bytes} bytes together, at most {ANSWER_MAX_BYTES} can be read at once; read them \
                     by map index, or keep large data in storage that tasks share",
                    xcoms.len()
                ),
            ));
        }
        Ok(v1::GetXComsResponse { xcoms })
    }

    pub(super) async fn do_delete_xcom(&self, request: v1::DeleteXComRequest) -> Result<v1::Empty, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        self.core.store.delete_xcom(holder.own_instance()?.id, &request.key).await.map_err(store_error)?;
        Ok(v1::Empty {})
    }

    pub(super) async fn do_get_variable(
        &self,
        request: v1::GetVariableRequest,
    ) -> Result<v1::GetVariableResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        self.core.read_variable(&request.key).await
    }

    pub(super) async fn do_list_variable_keys(
        &self,
        request: v1::ListVariableKeysRequest,
    ) -> Result<v1::ListVariableKeysResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let variables = all_rows(async |page| self.core.store.variables(page).await).await?;
        let mut keys: Vec<String> = variables.into_iter().map(|variable| variable.key).collect();
        keys.retain(|key| key.starts_with(&request.prefix));
        let total = keys.len() as u64;
        let part = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(v1::ListVariableKeysResponse {
            keys: keys.into_iter().skip(part(request.offset)).take(part(request.limit)).collect(),
            total,
        })
    }

    pub(super) async fn do_put_variable(&self, request: v1::PutVariableRequest) -> Result<v1::Empty, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        let variable = request.variable.ok_or_else(|| ApiError::invalid("variable: missing"))?;
        check_key("variable key", &variable.key).map_err(ApiError::invalid)?;
        let sealed = self.core.vault.seal_variable(variable.into());
        self.core.store.put_variable(&sealed).await.map_err(store_error)?;
        Ok(v1::Empty {})
    }

    pub(super) async fn do_delete_variable(&self, request: v1::DeleteVariableRequest) -> Result<v1::Empty, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        self.core.store.delete_variable(&request.key).await.map_err(store_error)?;
        Ok(v1::Empty {})
    }

    pub(super) async fn do_get_connection(
        &self,
        request: v1::GetConnectionRequest,
    ) -> Result<v1::GetConnectionResponse, ApiError> {
        self.check_attempt(request.attempt.as_ref()).await?;
        self.core.read_connection(&request.conn_id).await
    }

    pub(super) async fn do_put_rendered(&self, request: v1::PutRenderedRequest) -> Result<v1::Empty, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        self.check_size("the rendered fields", request.fields_json.len())?;
        let fields = json("fields", &request.fields_json)?;
        self.core.store.put_rendered(holder.own_instance()?.id, &fields).await.map_err(store_error)?;
        Ok(v1::Empty {})
    }

    /// Callbacks and triggers have logs, too: a log belongs to the attempt of the token.
    pub(super) async fn do_append_log(&self, request: v1::AppendLogRequest) -> Result<v1::AppendLogResponse, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        let limit = self.core.settings.log_max_bytes;
        let room = if request.end { limit + LOG_END_BYTES } else { limit };
        if request.offset + request.data.len() as u64 > room {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!("the log is over {limit} bytes (scheduler.log_max_bytes)"),
            ));
        }
        let chunk = LogChunk { offset: request.offset, data: request.data };
        self.core.logs.append_log(holder.run.run_no, holder.key, &chunk).await.map_err(store_error)?;
        Ok(v1::AppendLogResponse {})
    }

    pub(super) async fn do_get_state_value(
        &self,
        request: v1::StateValueRequest,
    ) -> Result<v1::StateValueResponse, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        self.check_scope(&holder, &request.scope).await?;
        let key = request.key.ok_or_else(|| ApiError::invalid("key: missing"))?;
        let value = self.core.store.state_value(&request.scope, &key).await.map_err(store_error)?;
        Ok(v1::StateValueResponse { value_json: value.map(|value| value.to_string()) })
    }

    pub(super) async fn do_put_state_value(&self, request: v1::PutStateValueRequest) -> Result<v1::Empty, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        self.check_scope(&holder, &request.scope).await?;
        if request.key.is_empty() {
            return Err(ApiError::invalid("key: missing"));
        }
        self.check_size(&format!("the kept value \"{}\"", request.key), request.value_json.len())?;
        let value = json("value", &request.value_json)?;
        self.core.store.put_state_value(&request.scope, &request.key, &value).await.map_err(store_error)?;
        Ok(v1::Empty {})
    }

    pub(super) async fn do_delete_state_values(&self, request: v1::StateValueRequest) -> Result<v1::Empty, ApiError> {
        let holder = self.check_attempt(request.attempt.as_ref()).await?;
        self.check_scope(&holder, &request.scope).await?;
        self.core.store.delete_state_values(&request.scope, request.key.as_deref()).await.map_err(store_error)?;
        Ok(v1::Empty {})
    }

    /// An attempt may touch the kept values of its own task instance and of the assets that its task names.
    async fn check_scope(&self, holder: &Holder, scope: &str) -> Result<(), ApiError> {
        let ti = holder.own_instance()?;
        let own = format!("task/{}/{}/{}/{}", ti.dag_id, ti.run_id, ti.task_id, ti.map_index);
        if scope == own {
            return Ok(());
        }
        if let Some(name) = scope.strip_prefix("asset/")
            && let Some(task) = holder.version.spec.task(ti.task_id.as_str())
        {
            for asset in task.outlets.iter().chain(&task.inlets) {
                if self.is_named(asset, name).await? {
                    return Ok(());
                }
            }
        }
        Err(ApiError::new(
            ErrorCode::Forbidden,
            format!(
                "the task \"{}\" may not touch the kept values of \"{scope}\": only its own (\"{own}\") and those of \
                 assets among its inlets and outlets",
                ti.task_id
            ),
        ))
    }

    /// Whether a task's reference means the asset with this name.
    async fn is_named(&self, asset: &AssetRef, name: &str) -> Result<bool, ApiError> {
        match asset {
            AssetRef::Asset(key) => Ok(key.name == name),
            AssetRef::Name { name: own } => Ok(own == name),
            AssetRef::Uri { uri } => Ok(self.core.find_asset(Some(name), Some(uri)).await?.is_some()),
            AssetRef::Alias { name: alias } => {
                let assets = self.core.store.assets_of_alias(alias).await.map_err(store_error)?;
                Ok(assets.iter().any(|asset| asset.key.name == name))
            }
        }
    }
}
