//! What top-level code of DAG files reads of the store: variables and connections.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use tradewind_guest::{ConnectionInfo, ParseHost};
use tradewind_proto::{LeaderClient, dag_client, v1};

/// Asks the leader for one parse, and remembers whether anything was asked.
pub(crate) struct LookUps {
    client: LeaderClient,
    patience: Duration,
    asked: AtomicBool,
}

impl LookUps {
    pub(crate) fn new(client: LeaderClient, patience: Duration) -> Self {
        Self { client, patience, asked: AtomicBool::new(false) }
    }

    /// Whether what the file gave may be another thing next time, though no file has changed.
    pub(crate) fn were_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

impl fmt::Debug for LookUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookUps").field("asked", &self.asked).finish_non_exhaustive()
    }
}

#[async_trait]
impl ParseHost for LookUps {
    async fn variable(&self, key: &str) -> Result<Option<String>, String> {
        self.asked.store(true, Ordering::Release);
        let request = v1::GetVariableRequest { attempt: None, key: key.to_owned() };
        let answer = self
            .client
            .call(self.patience, |channel| {
                let request = request.clone();
                async move { dag_client(channel).get_variable(request).await }
            })
            .await
            .map_err(|error| error.to_string())?;
        Ok(answer.variable.map(|variable| variable.value))
    }

    async fn connection(&self, conn_id: &str) -> Result<Option<ConnectionInfo>, String> {
        self.asked.store(true, Ordering::Release);
        let request = v1::GetConnectionRequest { attempt: None, conn_id: conn_id.to_owned() };
        let answer = self
            .client
            .call(self.patience, |channel| {
                let request = request.clone();
                async move { dag_client(channel).get_connection(request).await }
            })
            .await
            .map_err(|error| error.to_string())?;
        answer.connection.map(info).transpose()
    }
}

fn info(connection: v1::Connection) -> Result<ConnectionInfo, String> {
    let connection = tradewind_types::Connection::try_from(connection).map_err(|error| error.to_string())?;
    Ok(ConnectionInfo {
        conn_id: connection.conn_id,
        conn_type: connection.conn_type,
        host: connection.host,
        schema: connection.schema,
        login: connection.login,
        password: connection.password,
        port: connection.port.map(i32::from),
        extra: connection.extra,
    })
}
