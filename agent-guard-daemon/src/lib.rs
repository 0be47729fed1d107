//! The only crate with privileges: thin shells around the pure crates.

pub mod api;
pub mod audit;
pub mod daemon;
pub mod enforce;
pub mod guard;
pub mod ingest;
pub mod judge;
pub mod kernel;
pub mod ledger;
pub mod live;
pub mod logging;
pub mod people;
pub mod preflight;
pub mod report;
pub mod settings;
