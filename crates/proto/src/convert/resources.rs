//! Variables, connections, pools and workers.

use tradewind_types as t;
use tradewind_types::ApiError;

use super::micros;
use crate::v1;

impl From<t::Variable> for v1::Variable {
    fn from(variable: t::Variable) -> Self {
        Self { key: variable.key, value: variable.value, description: variable.description }
    }
}

impl From<v1::Variable> for t::Variable {
    fn from(variable: v1::Variable) -> Self {
        Self { key: variable.key, value: variable.value, description: variable.description }
    }
}

impl From<t::Connection> for v1::Connection {
    fn from(connection: t::Connection) -> Self {
        Self {
            conn_id: connection.conn_id,
            conn_type: connection.conn_type,
            description: connection.description,
            host: connection.host,
            schema: connection.schema,
            login: connection.login,
            password: connection.password,
            port: connection.port.map(u32::from),
            extra: connection.extra,
        }
    }
}

impl TryFrom<v1::Connection> for t::Connection {
    type Error = ApiError;

    fn try_from(connection: v1::Connection) -> Result<Self, ApiError> {
        let port = connection
            .port
            .map(|port| {
                u16::try_from(port).map_err(|_| ApiError::invalid(format!("port: {port} is not between 0 and 65535")))
            })
            .transpose()?;
        Ok(Self {
            conn_id: connection.conn_id,
            conn_type: connection.conn_type,
            description: connection.description,
            host: connection.host,
            schema: connection.schema,
            login: connection.login,
            password: connection.password,
            port,
            extra: connection.extra,
        })
    }
}

impl From<&t::WorkerInfo> for v1::Worker {
    fn from(worker: &t::WorkerInfo) -> Self {
        let status = match worker.status {
            t::WorkerStatus::Active => "active",
            t::WorkerStatus::Draining => "draining",
            t::WorkerStatus::Lost => "lost",
        };
        Self {
            name: worker.name.to_string(),
            incarnation: worker.incarnation.to_string(),
            queues: worker.queues.iter().map(ToString::to_string).collect(),
            slots: worker.slots,
            running: worker.running,
            status: status.to_owned(),
            version: worker.version.clone(),
            hostname: worker.hostname.clone(),
            pid: worker.pid,
            registered_at: micros(worker.registered_at),
            last_seen: micros(worker.last_seen),
            labels: worker.labels.clone().into_iter().collect(),
        }
    }
}

impl From<&t::Pool> for v1::Pool {
    fn from(pool: &t::Pool) -> Self {
        Self {
            name: pool.name.to_string(),
            slots: pool.slots,
            description: pool.description.clone(),
            include_deferred: pool.include_deferred,
            usage: None,
            rate_starts: pool.rate.map(|rate| rate.starts),
            rate_per_secs: pool.rate.map(|rate| rate.per_secs),
        }
    }
}

impl TryFrom<v1::Pool> for t::Pool {
    type Error = ApiError;

    /// Refuses a rate of which one half is missing or zero: a pool in which nothing may ever start is one with no slots.
    fn try_from(pool: v1::Pool) -> Result<Self, ApiError> {
        let rate = match (pool.rate_starts, pool.rate_per_secs) {
            (None, None) => None,
            (Some(starts @ 1..), Some(per_secs @ 1..)) => Some(t::RateLimit { starts, per_secs }),
            _ => {
                return Err(ApiError::invalid(format!(
                    "rate of the pool \"{}\": give at least 1 start in at least 1 second, or no rate at all",
                    pool.name
                )));
            }
        };
        Ok(Self {
            name: pool.name.into(),
            slots: pool.slots,
            description: pool.description,
            include_deferred: pool.include_deferred,
            rate,
        })
    }
}
