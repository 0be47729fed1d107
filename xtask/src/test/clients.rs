//! The real clients and servers that the end-to-end tests use, from Debian.
//!
//! The Python ones (the AWS CLI among them) come from `tests/requirements.txt`; the tests make that environment
//! themselves, below `target/venv`, when the first of them asks for it.

use anyhow::Result;

use crate::apt::{self, Need, Sign};

/// Installs what is missing, saying it first.
pub(super) fn ensure() -> Result<()> {
    apt::ensure(&PACKAGES)
}

const PACKAGES: [Need; 11] = [
    // Not any Python: Debian's uses the system's OpenSSL, and every user can execute it.
    Need {
        package: "python3",
        sign: Sign::File("/usr/bin/python3"),
        reason: "Python clients of the system's OpenSSL",
    },
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
