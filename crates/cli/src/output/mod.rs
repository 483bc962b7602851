//! Everything that is printed. Data goes to standard output, everything else to standard error; colours only where the
//! stream is a terminal that wants them (`NO_COLOR`, `CLICOLOR_FORCE`).

mod bars;
mod instants;
mod records;
mod tones;

pub use bars::{bar, bar_with_end};
pub use instants::{ago, compact_times, duration, iso, iso_in_zone, iso_micros, iso_or_none, parse_date, since};
pub use records::{Format, OutputArgs, PageArgs, Record, all_pages, print_listing, print_record, print_serialized};
pub use tones::{Text, Tone, paint, state_symbol, state_text, state_tone};

use std::io::{self, IsTerminal as _, Write as _};

/// Writes a line of data.
///
/// # Errors
/// Standard output is closed or broken.
pub fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")
}

/// Says something that is not data.
pub fn note(text: &str) {
    // Nobody is left to be told that standard error is gone.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Warns.
pub fn warn(text: &str) {
    note(&format!("{} {text}", paint(Tone::Warn, "warning:")));
}

/// Shows the error that ends the command.
pub fn error(error: &crate::errors::CliError) {
    note(&format!("{} {error}", paint(Tone::Bad, "error:")));
    if let Some(hint) = &error.hint {
        note(&format!("{} {hint}", paint(Tone::Info, "hint:")));
    }
}

/// Whether a person watches standard error.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Asks a yes-or-no question; `yes` answers it beforehand.
///
/// # Errors
/// Standard input is no terminal, so that nobody can answer.
pub fn confirm(question: &str, yes: bool) -> Result<bool, crate::errors::CliError> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(crate::errors::CliError::usage(format!("{question} Nobody is there to answer"))
            .with_hint("confirm with -y/--yes"));
    }
    let mut err = anstream::stderr().lock();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Columns and rows of the terminal behind standard error or standard output.
pub fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stderr())
        .or_else(|_| rustix::termios::tcgetwinsize(io::stdout()))
        .ok()
        .filter(|size| size.ws_col > 0)?;
    Some((size.ws_col.into(), size.ws_row.into()))
}
