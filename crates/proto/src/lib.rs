//! The gRPC contracts of `proto/`, their conversions to the types of `tradewind-types`, the one mapping of errors to
//! gRPC statuses, and the client that finds the leader.

mod client;
mod convert;
mod status;

pub use client::{
    AuthChannel, ClientOptions, LeaderClient, MAX_MESSAGE_BYTES, admin_client, dag_client, worker_client,
};
pub use convert::*;
pub use status::{api_error, status};

/// The generated messages, clients and servers of `tradewind.v1`.
#[expect(missing_docs, clippy::doc_markdown, clippy::large_enum_variant, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("tradewind.v1");

    /// The encoded descriptor set, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
