//! The DAG sources against real files, the real Airflow package and a real gRPC server.

mod airflow_dags;
mod airflow_features;
mod bad_input;
mod documents;
mod processor;
mod support;
mod yaml_errors;
mod yaml_features;
mod yaml_good;
