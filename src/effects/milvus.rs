//! Milvus over its own protocols: gRPC on 19530, metrics pages on 9091.
