//! The configuration: options with their defaults, loading and validation.
//!
//! Loading reads the layers (defaults, file, environment, flags) and never guesses: a key that does not exist, or a value
//! that does not fit, is an error that names its place and how to mend it. What the options mean is up to the roles.

mod error;
mod keys;
mod load;
mod options;
mod render;
mod secrets;
mod validate;

pub use error::{ConfigError, Problem};
pub use keys::{SECRET_KEYS, all_keys};
pub use load::{LoadArgs, Loaded, Origin, load};
pub use options::*;
pub use render::{render_toml, without_password};
pub use secrets::generate_secrets;
pub use validate::Role;
