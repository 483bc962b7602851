//! The secrets of a standalone installation: made at its first start, kept in its home folder, readable by its user only.

use tradewind_config::{Config, generate_secrets};

use crate::{errors::CliError, secret_files::LocalFiles};

/// Fills in the secrets that the configuration leaves empty: those of an earlier start, else fresh ones that are kept.
///
/// # Errors
/// The home folder cannot be read or written.
pub(super) fn fill_in_secrets(files: &LocalFiles, config: &mut Config) -> Result<(), CliError> {
    let fresh = generate_secrets();
    let security = &mut config.security;
    for (name, value, fresh) in [
        ("admin.token", &mut security.admin_token, fresh.admin_token),
        ("worker.token", &mut security.worker_token, fresh.worker_token),
        ("processor.token", &mut security.processor_token, fresh.processor_token),
        ("fernet.key", &mut security.fernet_key, fresh.fernet_key),
    ] {
        if value.is_empty() {
            *value = match files.secret(name)? {
                Some(kept) => kept,
                None => {
                    files.keep(name, &fresh)?;
                    fresh
                }
            };
        }
    }
    Ok(())
}
