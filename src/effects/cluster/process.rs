//! Milvus on one machine.
