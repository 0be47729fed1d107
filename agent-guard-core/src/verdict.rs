//! Proof values: only this crate can mint one, and only an executed decision holds one.

/// Proof that a request was judged and may leave. No public constructor.
#[derive(Debug)]
pub struct Allowed {
    pub(crate) because: Because,
}

/// Proof of a final verdict against a request. No public constructor.
#[derive(Debug)]
pub struct Refused {
    pub(crate) because: Because,
}

/// Which rule decided, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    pub rule: String,
    pub why: String,
}

impl Allowed {
    pub fn because(&self) -> &Because {
        &self.because
    }
}

impl Refused {
    pub fn because(&self) -> &Because {
        &self.because
    }
}
