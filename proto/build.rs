//! Compiles the `.proto` files with a compiler written in Rust, so that nobody needs `protoc`.

use std::error::Error;

const FILES: &[&str] = &[
    "kiln/v1/outcome.proto",
    "kiln/v1/event.proto",
    "kiln/v1/submission.proto",
    "kiln/v1/agent_link.proto",
    "kiln/v1/identity.proto",
    "kiln/v1/peer.proto",
    "kiln/v1/images.proto",
    "kiln/v1/farm.proto",
    "kiln/otlp/v1/trace.proto",
    "kiln/rest/v1/ledger.proto",
    "kiln/rest/v1/image.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=wire");
    println!("cargo:rerun-if-changed=rest");
    let descriptors = protox::compile(FILES, ["wire", "rest"])?;
    // Plans, requests and event bodies are handed on as they are: shared bytes spare the copies.
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
