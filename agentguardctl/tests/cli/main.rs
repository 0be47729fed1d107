//! The real executable against a daemon that gives canned answers: every exit status, and what people read with it.

mod explain;
mod fake;
mod refusals;
mod run;
mod views;
