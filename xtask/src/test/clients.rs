//! The real clients and servers that the end-to-end tests use: Debian packages, and Python packages in a venv whose
//! versions are pinned in `tests/requirements.txt`.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    apt::{self, Need, Sign},
    paths, shell,
};

/// Installs what is missing, saying it first.
pub(super) fn ensure() -> Result<()> {
    apt::ensure(&PACKAGES)?;
    let requirements = paths::root().join("tests/requirements.txt");
    let wanted =
        fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let stamp = paths::venv().join("requirements.installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    shell::say("making target/venv — for the AWS CLI, Python clients and the AWS simulator of the tests");
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(paths::venv()))?;
    let mut pip = Command::new(paths::venv().join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements);
    shell::run(&mut pip).context("the Python packages of the tests could not be installed")?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

const PACKAGES: [Need; 10] = [
    Need {
        package: "nftables",
        sign: Sign::Program("nft"),
        reason: "losing packets between test namespaces",
    },
    Need { package: "nginx-light", sign: Sign::Program("nginx"), reason: "a TLS server that is no agent" },
    Need { package: "fuse3", sign: Sign::Program("fusermount3"), reason: "a buffer that never answers" },
    Need { package: "nodejs", sign: Sign::Program("node"), reason: "Node's fetch as a client" },
    Need { package: "openssl", sign: Sign::Program("openssl"), reason: "the certificates of test servers" },
    Need {
        package: "python3-venv",
        sign: Sign::Python("import venv, ensurepip"),
        reason: "the AWS CLI, Python clients and the AWS simulator",
    },
    Need { package: "iproute2", sign: Sign::Program("ip"), reason: "network namespaces" },
    Need { package: "curl", sign: Sign::Program("curl"), reason: "curl as a client" },
    Need { package: "gcc", sign: Sign::Program("gcc"), reason: "test clients written in C" },
    Need {
        package: "libssl-dev",
        sign: Sign::File("/usr/include/openssl/ssl.h"),
        reason: "test clients written against OpenSSL",
    },
];
