//! Integration tests, in one binary: they link once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_imports,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop, and the harness prints"
)]

#[macro_use(apply)]
extern crate macro_rules_attribute;

// First: its macros are in scope for the modules after it.
#[macro_use]
mod harness;
mod tools;

mod agreement;
mod architecture;
mod assessment_properties;
mod docs;
mod formats;
mod frameworks;
mod hostile;
mod item_bytes;
mod monotone;
mod odd_values;
mod support;
mod timestamps;

#[cfg(feature = "cli")]
mod browser;
#[cfg(feature = "pipeline")]
mod canary;
#[cfg(feature = "cli")]
mod command;
#[cfg(feature = "cli")]
mod forge;
#[cfg(feature = "cli")]
mod hand_over;
#[cfg(feature = "cli")]
mod mutations;
#[cfg(feature = "cli")]
mod page;
#[cfg(feature = "cli")]
mod unread;
#[cfg(feature = "cli")]
mod vectors;

#[cfg(feature = "pipeline")]
mod ceremonies;
#[cfg(feature = "pipeline")]
mod ci_examples;
#[cfg(feature = "pipeline")]
mod config;
#[cfg(feature = "pipeline")]
mod contract;
#[cfg(feature = "pipeline")]
mod doctor;
#[cfg(feature = "pipeline")]
mod faulty;
#[cfg(feature = "pipeline")]
mod fleet;
#[cfg(feature = "pipeline")]
mod journeys;
#[cfg(feature = "pipeline")]
mod kubernetes;
#[cfg(feature = "pipeline")]
mod page_agreement;
#[cfg(feature = "pipeline")]
mod examples;
#[cfg(feature = "pipeline")]
mod exports;
#[cfg(feature = "pipeline")]
mod html_report;
#[cfg(feature = "pipeline")]
mod newcomers;
#[cfg(feature = "pipeline")]
mod whose_evidence;
#[cfg(feature = "pipeline")]
mod notify;
#[cfg(feature = "pipeline")]
mod period;
#[cfg(feature = "pipeline")]
mod proxies;
#[cfg(feature = "pipeline")]
mod reading_back;
#[cfg(feature = "pipeline")]
mod render;
#[cfg(feature = "pipeline")]
mod sealing;
#[cfg(feature = "pipeline")]
mod watch;
#[cfg(feature = "pipeline")]
mod serve;
#[cfg(feature = "pipeline")]
mod signed_report;
#[cfg(feature = "pipeline")]
mod signers;
#[cfg(feature = "pipeline")]
mod small_chain;
#[cfg(feature = "pipeline")]
mod stock_tools;
#[cfg(feature = "pipeline")]
mod timestamp_command;
#[cfg(feature = "pipeline")]
mod verify;

fn main() -> std::process::ExitCode {
    harness::main()
}
