//! Where DAGs come from: Airflow DAG files, serialized by Airflow's own serializer in a guest process, and native YAML
//! files; the bundles that workers need to run them; and the DAG processor, which watches the folder and publishes.
//!
//! This crate never runs user code in its own process, and a file that is wrong never disturbs another one.

pub mod airflow;
mod bundle;
mod check;
pub mod compare;
mod environments;
mod ignore;
mod order;
mod problem;
mod processor;
pub mod review;
mod scan;
pub mod yaml;

pub use bundle::version_hash;
pub use ignore::IgnoreSyntax;
pub use problem::Problem;
pub use processor::{DagProcessor, LoadedFile, LocalFolder, LocalLoader, ProcessorSettings, load_local};
