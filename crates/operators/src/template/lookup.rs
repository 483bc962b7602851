//! What templates ask the worker for, fetched once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use minijinja::{Error, ErrorKind, Value};
use tradewind_types::{Connection, DagRun};

use crate::{IoError, OperatorIo, XComQuery};

/// Something that a template may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lookup {
    XComs(XComQuery),
    Variable(String),
    Connection(String),
    PreviousSuccess,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Found {
    XComs(Vec<(i32, serde_json::Value)>),
    Variable(Option<String>),
    Connection(Option<Box<Connection>>),
    Run(Option<Box<DagRun>>),
}

/// The look-ups of one attempt.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    found: HashMap<Lookup, Found>,
    needed: Option<Lookup>,
}

impl Lookups {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if it is known. Otherwise remembers the question and answers the error that ends this rendering.
    pub(super) fn get(&self, lookup: Lookup) -> Result<Found, Error> {
        let mut state = self.lock();
        match state.found.get(&lookup) {
            Some(found) => Ok(found.clone()),
            None => {
                state.needed.get_or_insert(lookup);
                Err(Error::new(ErrorKind::InvalidOperation, "a value is not known yet"))
            }
        }
    }

    pub(super) fn take_needed(&self) -> Option<Lookup> {
        self.lock().needed.take()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().found.len()
    }

    pub(super) async fn fetch(&self, lookup: Lookup, io: &dyn OperatorIo) -> Result<(), IoError> {
        let found = match &lookup {
            Lookup::XComs(query) => Found::XComs(io.xcoms(query).await?),
            Lookup::Variable(key) => Found::Variable(io.variable(key).await?),
            Lookup::Connection(id) => Found::Connection(io.connection(id).await?.map(Box::new)),
            Lookup::PreviousSuccess => Found::Run(io.previous_success().await?.map(Box::new)),
        };
        self.lock().found.insert(lookup, found);
        Ok(())
    }

    pub(super) fn xcoms(&self, query: XComQuery) -> Result<Vec<(i32, serde_json::Value)>, Error> {
        match self.get(Lookup::XComs(query))? {
            Found::XComs(values) => Ok(values),
            _ => Ok(Vec::new()),
        }
    }

    pub(super) fn variable(&self, key: &str) -> Result<Option<String>, Error> {
        match self.get(Lookup::Variable(key.to_owned()))? {
            Found::Variable(value) => Ok(value),
            _ => Ok(None),
        }
    }

    pub(super) fn connection(&self, id: &str) -> Result<Option<Box<Connection>>, Error> {
        match self.get(Lookup::Connection(id.to_owned()))? {
            Found::Connection(connection) => Ok(connection),
            _ => Ok(None),
        }
    }

    pub(super) fn previous_success(&self) -> Result<Option<Box<DagRun>>, Error> {
        match self.get(Lookup::PreviousSuccess)? {
            Found::Run(run) => Ok(run),
            _ => Ok(None),
        }
    }
}

/// A value, or one that carries the error to whoever uses it: attribute access has no other way to fail.
pub(super) fn or_error(result: Result<Value, Error>) -> Value {
    result.unwrap_or_else(Value::from)
}

/// A value of ours as a template sees it.
pub(super) fn serde(value: impl serde::Serialize) -> Value {
    Value::from(minijinja::value::Serde(value))
}
