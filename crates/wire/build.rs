//! Compiles `proto/` with protox: no system `protoc`.

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = [
        "frame",
        "gateway",
        "record",
        "transfers",
        "live",
        "notes",
        "replay",
        "admin",
        "identity",
        "access",
    ]
    .map(|name| root.join(format!("enroute/v1/{name}.proto")));
    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        protox::prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .bytes(".enroute.v1.Batch.frame")
        .bytes(".enroute.v1.Batch.compressed")
        .bytes(".enroute.v1.ReceivedFrame.frame")
        .bytes(".enroute.v1.Samples.frame")
        .compile_fds(descriptors)?;
    Ok(())
}
