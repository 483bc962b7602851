//! The roles: what a process does until it is told to stop. Each file puts one role together from the other crates; none
//! holds logic of its own.

mod backends;
pub mod dag_processor;
mod guest;
mod home;
mod local;
mod logging;
mod process;
pub mod scheduler;
mod settings;
pub mod standalone;
mod stop;
pub mod worker;

pub use backends::open_store;
pub use guest::{environment as guest_environment, share_environments};
pub use home::fill_secrets;
pub use local::LocalSystem;
pub use process::run_role;
pub use settings::processor as processor_settings;
pub use stop::Stop;
