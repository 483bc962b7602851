//! Fresh secrets for a new installation.

use tradewind_secrets::{generate_key, generate_token};

use crate::SecurityOptions;

/// Random tokens and a random Fernet key: what `tradewind config generate-secrets` prints, and what standalone makes and
/// keeps in its home folder at its first start.
pub fn generate_secrets() -> SecurityOptions {
    SecurityOptions {
        admin_token: generate_token(),
        worker_token: generate_token(),
        processor_token: generate_token(),
        fernet_key: generate_key(),
    }
}
