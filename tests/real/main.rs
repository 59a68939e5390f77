//! falconer and a real Milvus 2.3.5 on this machine: real processes, real faults, real times.
//!
//! `tests/run` gets Milvus and its Python client; these tests fail where they are missing. Each test
//! prints the times it has measured.

mod faults;
mod laptop;
mod owning;
mod probing;
mod running;
