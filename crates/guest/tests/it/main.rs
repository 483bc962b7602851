//! Real tasks under the real SDK. The interpreter is that of `TRADEWIND_TEST_PYTHON`, or of `.venv` in the repository.

#![allow(missing_docs)]

mod callbacks;
mod endings;
mod example;
mod logs;
mod outcomes;
mod parsing;
mod stopping;
mod support;
mod timetables;
mod triggers;
mod waits;
mod warm;
