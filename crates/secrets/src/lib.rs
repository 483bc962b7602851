//! What keeps secrets secret: encryption at rest (Fernet, as Airflow's) and masking in logs.
//!
//! This crate never stores or sends anything, and its errors and debug output never hold a secret.

mod fernet;
mod masker;

pub use fernet::{Fernet, FernetError, generate_key, generate_token};
pub use masker::{MASK, Masker, SENSITIVE_FIELDS, StreamMasker, is_sensitive_name};
