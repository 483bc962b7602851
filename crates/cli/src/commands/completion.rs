//! `tradewind completion`.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::{
    args::Cli,
    errors::{Exit, Outcome},
};

/// Prints the completion script of a shell.
///
/// # Errors
/// Standard output is closed or broken.
pub fn run(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tradewind", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Success)
}
