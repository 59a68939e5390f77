//! Compiles the Milvus protocol files. Needs no `protoc`: protox is a compiler in Rust.

use std::error::Error;

const PROTO_DIR: &str = "proto";
const PROTO_FILES: [&str; 3] = ["common.proto", "schema.proto", "milvus.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_DIR}");
    let descriptors = protox::compile(PROTO_FILES, [PROTO_DIR])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        // The transport's constructor is called `connect`, as is one of the calls of Milvus.
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
