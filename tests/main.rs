//! Integration tests, in one binary: they link once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop"
)]

mod agreement;
mod assessment_properties;
mod formats;
mod frameworks;
mod hostile;
mod monotone;
mod support;
