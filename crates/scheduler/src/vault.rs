//! Encrypts what must not lie in the store in clear: values of variables, passwords and extras of connections.

use tradewind_proto::v1;
use tradewind_secrets::Fernet;
use tradewind_types::{ApiError, Connection, Variable};

use crate::core::{Core, store_error};

/// The keys of the installation.
pub(crate) struct Vault(Fernet);

impl Vault {
    pub(crate) fn new(keys: &[String]) -> Result<Self, ApiError> {
        Fernet::new(keys).map(Self).map_err(|error| ApiError::invalid(format!("security.fernet_key: {error}")))
    }

    fn open(&self, what: &str, sealed: &str) -> Result<String, ApiError> {
        self.0.decrypt(sealed).map_err(|error| {
            ApiError::internal(format!(
                "{what} cannot be decrypted ({error}); was security.fernet_key changed without keeping the old key \
                 behind the new one?"
            ))
        })
    }

    pub(crate) fn seal_variable(&self, mut variable: Variable) -> Variable {
        variable.value = self.0.encrypt(&variable.value);
        variable
    }

    pub(crate) fn open_variable(&self, mut variable: Variable) -> Result<Variable, ApiError> {
        variable.value = self.open(&format!("the variable \"{}\"", variable.key), &variable.value)?;
        Ok(variable)
    }

    pub(crate) fn seal_connection(&self, mut connection: Connection) -> Connection {
        connection.password = connection.password.map(|password| self.0.encrypt(&password));
        connection.extra = connection.extra.map(|extra| self.0.encrypt(&extra));
        connection
    }

    pub(crate) fn open_connection(&self, mut connection: Connection) -> Result<Connection, ApiError> {
        let what = format!("the connection \"{}\"", connection.conn_id);
        connection.password = connection.password.map(|sealed| self.open(&what, &sealed)).transpose()?;
        connection.extra = connection.extra.map(|sealed| self.open(&what, &sealed)).transpose()?;
        Ok(connection)
    }
}

impl Core {
    /// A variable as user code reads it.
    pub(crate) async fn read_variable(&self, key: &str) -> Result<v1::GetVariableResponse, ApiError> {
        let sealed = self.store.variable(key).await.map_err(store_error)?;
        let variable = sealed.map(|variable| self.vault.open_variable(variable)).transpose()?;
        Ok(v1::GetVariableResponse { variable: variable.map(Into::into) })
    }

    /// A connection as user code reads it.
    pub(crate) async fn read_connection(&self, conn_id: &str) -> Result<v1::GetConnectionResponse, ApiError> {
        let sealed = self.store.connection(conn_id).await.map_err(store_error)?;
        let connection = sealed.map(|row| self.vault.open_connection(row)).transpose()?;
        Ok(v1::GetConnectionResponse { connection: connection.map(Into::into) })
    }
}
