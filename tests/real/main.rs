//! A real Milvus.
