//! Embeds the eBPF object that `cargo xtask build-ebpf` made. Without it the daemon still builds (so that plain
//! `cargo test` needs no BPF toolchain) and says at start what is missing.

use std::{env, fs, path::PathBuf};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object = env::var_os("AGENT_GUARD_BPF_OBJECT")
        .map_or_else(|| manifest.join("../target/bpf/agent-guard.bpf.o"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=AGENT_GUARD_BPF_OBJECT");
    println!("cargo::rerun-if-changed={}", object.display());
    let embedded = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("agent-guard.bpf.o");
    let bytes = fs::read(&object).unwrap_or_default();
    if bytes.is_empty() {
        println!("cargo::warning=no eBPF object at {}: run `cargo xtask build-ebpf`", object.display());
    }
    if let Err(error) = fs::write(&embedded, bytes) {
        println!("cargo::error=cannot write {}: {error}", embedded.display());
    }
}
