//! Statement texts and their arguments, independent of the database.

use std::borrow::Cow;

use tradewind_types::Timestamp;
use uuid::Uuid;

/// A statement, per database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sql {
    pub(crate) postgres: &'static str,
    pub(crate) sqlite: &'static str,
}

impl Sql {
    /// A text that both databases accept.
    pub(crate) const fn both(text: &'static str) -> Self {
        Self { postgres: text, sqlite: text }
    }

    /// A text for each.
    pub(crate) const fn forked(postgres: &'static str, sqlite: &'static str) -> Self {
        Self { postgres, sqlite }
    }
}

/// An argument of a statement. `None` is NULL.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    At(Option<Timestamp>),
    Id(Option<Uuid>),
    Bytes(Vec<u8>),
    /// `text[]` on Postgres, a JSON array on SQLite.
    Texts(Vec<String>),
    /// `bigint[]` on Postgres, a JSON array on SQLite.
    Ints(Vec<i64>),
}

/// Free text as both databases can keep it: see the crate's documentation.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(Some(clean(text).into_owned()))
    }
}

impl From<Option<&str>> for Arg {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(|text| clean(text).into_owned()))
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<i32> for Arg {
    fn from(number: i32) -> Self {
        Self::Int(Some(number.into()))
    }
}

impl From<u32> for Arg {
    fn from(number: u32) -> Self {
        Self::Int(Some(number.into()))
    }
}

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::Int(Some(int(number)))
    }
}

impl From<Option<i64>> for Arg {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Arg {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Timestamp> for Arg {
    fn from(at: Timestamp) -> Self {
        Self::At(Some(at))
    }
}

impl From<Option<Timestamp>> for Arg {
    fn from(at: Option<Timestamp>) -> Self {
        Self::At(at)
    }
}

impl From<Uuid> for Arg {
    fn from(id: Uuid) -> Self {
        Self::Id(Some(id))
    }
}

impl From<Option<Uuid>> for Arg {
    fn from(id: Option<Uuid>) -> Self {
        Self::Id(id)
    }
}

/// The arguments of a statement, in order.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Arg::from($value)),*] };
}
pub(crate) use args;

/// A count as the databases keep it. Counts beyond `i64` do not occur: run numbers end at 2^48.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A query whose conditions depend on a filter. Only literals of this crate become part of its text.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    head: Sql,
    conditions: Vec<Sql>,
    tail: &'static str,
    args: Vec<Arg>,
}

impl Query {
    /// A query that goes on after its WHERE conditions with `tail` (ORDER BY).
    pub(crate) fn new(head: Sql, tail: &'static str) -> Self {
        Self { head, conditions: Vec::new(), tail, args: Vec::new() }
    }

    /// Adds a condition; each `?` in it stands for `arg`.
    pub(crate) fn and(&mut self, condition: Sql, arg: impl Into<Arg>) {
        self.conditions.push(condition);
        self.args.push(arg.into());
    }

    /// Adds a condition without argument.
    pub(crate) fn and_plain(&mut self, condition: Sql) {
        self.conditions.push(condition);
    }

    fn text(&self, pick: fn(&Sql) -> &'static str, head: &'static str, tail: &str) -> String {
        let mut text = String::from(head);
        let mut next = 0;
        for (i, condition) in self.conditions.iter().enumerate() {
            text.push_str(if i == 0 { " WHERE " } else { " AND " });
            let condition = pick(condition);
            if condition.contains('?') {
                next += 1;
            }
            text.push_str(&condition.replace('?', &format!("${next}")));
        }
        text.push_str(tail);
        text
    }

    /// The rows of one page.
    pub(crate) fn page(&self, pick: fn(&Sql) -> &'static str) -> String {
        let next = self.args.len();
        let tail = format!("{} LIMIT ${} OFFSET ${}", self.tail, next + 1, next + 2);
        self.text(pick, pick(&self.head), &tail)
    }

    /// How many rows there are.
    pub(crate) fn count(&self, pick: fn(&Sql) -> &'static str) -> String {
        format!("SELECT count(*) FROM ({}) AS counted", self.text(pick, pick(&self.head), ""))
    }

    pub(crate) fn args(&self) -> Vec<Arg> {
        self.args.clone()
    }
}
