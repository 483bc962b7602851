//! The one statement of a commit, put together from parts.

use sqlx::{Arguments, Encode, Postgres, Type, postgres::PgArguments};
use tradewind_ports::StoreError;
use tradewind_types::Term;

use crate::sql::{clean, int};

/// The guard: one row while the term holds the lease. The lock makes a taker wait for this commit, or this commit for a
/// taker, after which the row is looked at again.
const GUARD: &str = "WITH guard AS (
    SELECT 1 FROM lease WHERE shard = $1 AND term = $2 AND owner IS NOT NULL FOR KEY SHARE
)";

/// A statement in the making.
pub(super) struct Statement {
    text: String,
    /// Conditions of the final `CASE` that refuse the commit as a whole.
    refusals: String,
    args: PgArguments,
    error: Option<String>,
}

impl Statement {
    pub(super) fn new(shard: i32, term: Term) -> Self {
        let mut statement = Self {
            text: String::with_capacity(4096),
            refusals: String::new(),
            args: PgArguments::default(),
            error: None,
        };
        statement.text.push_str(GUARD);
        statement.bind(i64::from(shard));
        statement.bind(int(term.0));
        statement
    }

    pub(super) fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(&mut self, value: T) {
        if let Err(error) = self.args.add(value) {
            self.error.get_or_insert_with(|| error.to_string());
        }
    }

    /// Adds a part whose arguments are numbered from `$1`; they must be bound right after.
    pub(super) fn part(&mut self, name: &str, text: &str) {
        let before = self.args.len();
        self.text.push_str(", ");
        self.text.push_str(name);
        self.text.push_str(" AS (");
        renumber(text, before, &mut self.text);
        self.text.push(')');
    }

    /// Refuses the commit unless the part touched `count` rows.
    pub(super) fn must_touch(&mut self, name: &str, count: usize, what: &str) {
        self.bind(count as i64);
        let number = self.args.len();
        self.refusals.push_str(&format!(
            " WHEN (SELECT count(*) FROM {name}) <> ${number} THEN tradewind_fail('the commit names {what} that the store does not have, or has under another name')"
        ));
    }

    pub(super) fn finish(mut self) -> Result<(String, PgArguments), StoreError> {
        if let Some(error) = self.error {
            return Err(StoreError::Broken(format!("an argument cannot be bound: {error}")));
        }
        self.text.push_str(" SELECT CASE WHEN NOT EXISTS (SELECT FROM guard) THEN FALSE");
        self.text.push_str(&self.refusals);
        self.text.push_str(" ELSE TRUE END");
        Ok((self.text, self.args))
    }
}

/// Copies `text`, raising each `$n` by `by`.
fn renumber(text: &str, by: usize, to: &mut String) {
    let mut parts = text.split('$');
    to.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        match number.parse::<usize>() {
            Ok(number) => to.push_str(&format!("${}", number + by)),
            Err(_) => {
                to.push('$');
                to.push_str(number);
            }
        }
        to.push_str(rest);
    }
}

/// A column of an UNNEST: one value a row.
macro_rules! column {
    ($statement:expr, $rows:expr, $value:expr) => {
        $statement.bind($rows.iter().map($value).collect::<Vec<_>>())
    };
}
pub(super) use column;

pub(super) fn text_opt(text: Option<&str>) -> Option<String> {
    text.map(|text| clean(text).into_owned())
}
