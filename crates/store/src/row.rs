//! Rows: how columns become values, on either database.

use sqlx::{postgres::PgRow, sqlite::SqliteRow};
use tradewind_ports::StoreError;
use tradewind_types::Timestamp;
use uuid::Uuid;

/// A row of either database; columns are named by position.
pub(crate) enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

macro_rules! get {
    ($row:expr, $column:expr, $type:ty) => {
        match $row {
            Row::Postgres(row) => sqlx::Row::try_get::<$type, _>(row, $column),
            // SQLite's declared types say too little to be checked.
            Row::Sqlite(row) => sqlx::Row::try_get_unchecked::<$type, _>(row, $column),
        }
        .map_err(|error| StoreError::Broken(format!("column {}: {error}", $column)))
    };
}

impl Row {
    pub(crate) fn text(&self, column: usize) -> Result<String, StoreError> {
        get!(self, column, String)
    }

    pub(crate) fn text_opt(&self, column: usize) -> Result<Option<String>, StoreError> {
        get!(self, column, Option<String>)
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        get!(self, column, i64)
    }

    pub(crate) fn int_opt(&self, column: usize) -> Result<Option<i64>, StoreError> {
        get!(self, column, Option<i64>)
    }

    /// A number that fits the wanted type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, StoreError> {
        let number = self.int(column)?;
        T::try_from(number).map_err(|_| StoreError::Broken(format!("column {column}: {number} is out of range")))
    }

    /// A number that fits the wanted type, or null.
    pub(crate) fn number_opt<T: TryFrom<i64>>(&self, column: usize) -> Result<Option<T>, StoreError> {
        self.int_opt(column)?.map(|_| self.number(column)).transpose()
    }

    pub(crate) fn uint(&self, column: usize) -> Result<u64, StoreError> {
        self.number(column)
    }

    pub(crate) fn truth(&self, column: usize) -> Result<bool, StoreError> {
        get!(self, column, bool)
    }

    pub(crate) fn id(&self, column: usize) -> Result<Uuid, StoreError> {
        get!(self, column, Uuid)
    }

    pub(crate) fn id_opt(&self, column: usize) -> Result<Option<Uuid>, StoreError> {
        get!(self, column, Option<Uuid>)
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        get!(self, column, Vec<u8>)
    }

    pub(crate) fn at(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.at_opt(column)?.ok_or_else(|| StoreError::Broken(format!("column {column}: an instant is missing")))
    }

    pub(crate) fn at_opt(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Postgres(row) => sqlx::Row::try_get::<Option<jiff_sqlx::Timestamp>, _>(row, column)
                .map(|at| at.map(jiff_sqlx::Timestamp::to_jiff))
                .map_err(|error| StoreError::Broken(format!("column {column}: {error}"))),
            Self::Sqlite(_) => self
                .int_opt(column)?
                .map(|micros| {
                    Timestamp::from_microsecond(micros)
                        .map_err(|error| StoreError::Broken(format!("column {column}: {error}")))
                })
                .transpose(),
        }
    }

    /// A value of a closed set, kept by name.
    pub(crate) fn named<T: std::str::FromStr<Err = String>>(&self, column: usize) -> Result<T, StoreError> {
        self.text(column)?.parse().map_err(|error| StoreError::Broken(format!("column {column}: {error}")))
    }

    /// A value kept as JSON text, or null.
    pub(crate) fn json_opt<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<Option<T>, StoreError> {
        self.text_opt(column)?
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| StoreError::Broken(format!("column {column}: {error}")))
    }

    /// A value kept as JSON text.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|error| StoreError::Broken(format!("column {column}: {error}")))
    }
}

/// JSON text for a column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Broken(format!("a value has no JSON form: {error}")))
}
