use std::path::Path;

use assert_cmd::{Command, assert::Assert};

/// The binary in a folder of its own, with an environment of its own.
pub fn tradewind(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("tradewind").unwrap();
    command.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// What a command printed, and its exit code.
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

/// Runs a command line in a folder.
pub fn say(dir: &Path, args: &[&str]) -> Said {
    said(tradewind(dir).args(args).assert())
}

pub fn said(assert: Assert) -> Said {
    let output = assert.get_output();
    Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap_or(-1),
    }
}
