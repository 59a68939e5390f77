//! The generated client and server of Milvus' gRPC service, from `proto/*.proto`. Holds no code of
//! its own. The modules mirror the packages, because the generated code refers to them that way.

/// Package `milvus.proto.common`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod common {
    tonic::include_proto!("milvus.proto.common");
}

/// Package `milvus.proto.schema`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod schema {
    tonic::include_proto!("milvus.proto.schema");
}

/// Package `milvus.proto.milvus`: `milvus_service_client` and `milvus_service_server`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod milvus {
    tonic::include_proto!("milvus.proto.milvus");
}
