//! Pools, variables and connections.

use std::sync::Arc;

use tradewind_engine::Event;
use tradewind_proto::v1;
use tradewind_types::{ApiError, Connection, ErrorCode, Pool, check_key};

use super::{audit, page};
use crate::core::{Core, store_error};

pub(crate) async fn list_pools(core: &Arc<Core>, _: v1::Empty) -> Result<v1::ListPoolsResponse, ApiError> {
    let mut pools: Vec<v1::Pool> = core.store.pools().await.map_err(store_error)?.iter().map(Into::into).collect();
    // A standby does not know how full they are and leaves it out.
    if let Ok(usage) = core.query(|engine, _| engine.pool_usage()).await {
        for pool in &mut pools {
            pool.usage = usage.iter().find(|(row, _)| row.name.as_str() == pool.name).map(|(_, usage)| v1::PoolUsage {
                running: usage.running,
                queued: usage.queued,
                scheduled: usage.scheduled,
                deferred: usage.deferred,
                open: usage.open,
            });
        }
    }
    Ok(v1::ListPoolsResponse { pools })
}

pub(crate) async fn set_pool(core: &Arc<Core>, request: v1::Pool) -> Result<v1::Pool, ApiError> {
    check_key("pool name", &request.name).map_err(ApiError::invalid)?;
    if request.slots < -1 {
        return Err(ApiError::invalid(format!(
            "slots: {} is neither a number of slots nor -1 (no limit)",
            request.slots
        )));
    }
    let pool = Pool::try_from(request)?;
    let answer = v1::Pool::from(&pool);
    core.step_one(Event::SetPool(pool)).await?;
    Ok(answer)
}

pub(crate) async fn delete_pool(core: &Arc<Core>, request: v1::NameRequest) -> Result<v1::Empty, ApiError> {
    core.step_one(Event::DeletePool(request.name.into())).await?;
    Ok(v1::Empty {})
}

pub(crate) async fn list_variables(
    core: &Arc<Core>,
    request: v1::ListRequest,
) -> Result<v1::ListVariablesResponse, ApiError> {
    let listing = core.store.variables(page(request.page)).await.map_err(store_error)?;
    let variables = listing
        .rows
        .into_iter()
        .map(|variable| core.vault.open_variable(variable).map(Into::into))
        .collect::<Result<_, _>>()?;
    Ok(v1::ListVariablesResponse { variables, total: listing.total })
}

pub(crate) async fn get_variable(core: &Arc<Core>, request: v1::NameRequest) -> Result<v1::Variable, ApiError> {
    let found = core.store.variable(&request.name).await.map_err(store_error)?;
    let variable = found.ok_or_else(|| ApiError::not_found(format!("no variable has the key \"{}\"", request.name)))?;
    core.vault.open_variable(variable).map(Into::into)
}

pub(crate) async fn set_variable(core: &Arc<Core>, request: v1::Variable) -> Result<v1::Empty, ApiError> {
    core.leadership()?;
    check_key("variable key", &request.key).map_err(ApiError::invalid)?;
    let sealed = core.vault.seal_variable(request.into());
    core.store.put_variable(&sealed).await.map_err(store_error)?;
    note(core, "variable.set", sealed.key).await
}

pub(crate) async fn delete_variable(core: &Arc<Core>, request: v1::NameRequest) -> Result<v1::Empty, ApiError> {
    core.leadership()?;
    if !core.store.delete_variable(&request.name).await.map_err(store_error)? {
        return Err(ApiError::not_found(format!("no variable has the key \"{}\"", request.name)));
    }
    note(core, "variable.delete", request.name).await
}

async fn note(core: &Core, event: &str, detail: String) -> Result<v1::Empty, ApiError> {
    core.store.put_audit(&audit(core, event, detail)).await.map_err(store_error)?;
    Ok(v1::Empty {})
}

pub(crate) async fn list_connections(
    core: &Arc<Core>,
    request: v1::ListRequest,
) -> Result<v1::ListConnectionsResponse, ApiError> {
    let listing = core.store.connections(page(request.page)).await.map_err(store_error)?;
    let mask = |secret: Option<String>| secret.map(|_| "***".to_owned());
    let connections = listing
        .rows
        .into_iter()
        .map(|row| v1::Connection::from(Connection { password: mask(row.password), extra: mask(row.extra), ..row }))
        .collect();
    Ok(v1::ListConnectionsResponse { connections, total: listing.total })
}

pub(crate) async fn get_connection(core: &Arc<Core>, request: v1::NameRequest) -> Result<v1::Connection, ApiError> {
    let found = core.store.connection(&request.name).await.map_err(store_error)?;
    let row = found.ok_or_else(|| ApiError::not_found(format!("no connection has the id \"{}\"", request.name)))?;
    core.vault.open_connection(row).map(Into::into)
}

pub(crate) async fn set_connection(core: &Arc<Core>, request: v1::SetConnectionRequest) -> Result<v1::Empty, ApiError> {
    core.leadership()?;
    let connection: Connection =
        request.connection.ok_or_else(|| ApiError::invalid("connection: missing"))?.try_into()?;
    check_key("connection id", &connection.conn_id).map_err(ApiError::invalid)?;
    if connection.conn_type.is_empty() {
        return Err(ApiError::invalid("conn_type: missing, e.g. postgres, sqlite, http"));
    }
    if let Some(extra) = connection.extra.as_deref().filter(|extra| !extra.is_empty()) {
        let is_object = serde_json::from_str::<serde_json::Value>(extra).is_ok_and(|value| value.is_object());
        if !is_object {
            return Err(ApiError::invalid("extra: it must be a JSON object"));
        }
    }
    if request.create_only && core.store.connection(&connection.conn_id).await.map_err(store_error)?.is_some() {
        return Err(ApiError::new(
            ErrorCode::AlreadyExists,
            format!("a connection with the id \"{}\" exists; delete it first", connection.conn_id),
        ));
    }
    let sealed = core.vault.seal_connection(connection);
    core.store.put_connection(&sealed).await.map_err(store_error)?;
    note(core, "connection.set", sealed.conn_id).await
}

pub(crate) async fn delete_connection(core: &Arc<Core>, request: v1::NameRequest) -> Result<v1::Empty, ApiError> {
    core.leadership()?;
    if !core.store.delete_connection(&request.name).await.map_err(store_error)? {
        return Err(ApiError::not_found(format!("no connection has the id \"{}\"", request.name)));
    }
    note(core, "connection.delete", request.name).await
}
