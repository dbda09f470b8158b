//! Affidavit: Kubernetes scan results as evidence that an auditor can verify offline.
//!
//! The modules stand in the order in which data flows through them. `ARCHITECTURE.md` says which
//! may use which; `tests/architecture.rs` holds them to it.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that cannot go on should stop"
    )
)]

// Core: pure; no I/O, no clock, no randomness.
pub mod parallel;
pub mod escape;
pub mod population;
pub mod member;
pub mod finding;
pub mod scanner;
pub mod framework;
pub mod risk;
pub mod pattern;
pub mod validity;
pub mod waiver;
pub mod attestation;
pub mod assess;
pub mod assessment;
pub mod run;
pub mod record;
pub mod evaluate;
pub mod evidence;
pub mod verify;
pub mod decisions;
pub mod disclose;
pub mod sealed;
pub mod diff;
pub mod alert;
pub mod sample;

// Edges: each knows the core, none knows another edge.
#[cfg(feature = "pipeline")]
mod remote;
#[cfg(feature = "cli")]
pub mod archive;
#[cfg(feature = "pipeline")]
pub mod schedule;
#[cfg(feature = "pipeline")]
pub mod period;
#[cfg(feature = "pipeline")]
pub mod config;
#[cfg(feature = "pipeline")]
pub mod checks;
#[cfg(feature = "pipeline")]
pub mod redaction;
#[cfg(feature = "pipeline")]
pub mod access;
#[cfg(feature = "pipeline")]
pub mod collect;
#[cfg(feature = "pipeline")]
pub mod notify;
#[cfg(feature = "pipeline")]
pub mod sign;
#[cfg(feature = "pipeline")]
pub mod render;
#[cfg(feature = "cli")]
pub mod export;
#[cfg(feature = "pipeline")]
pub mod seal;
#[cfg(feature = "pipeline")]
pub mod pipeline;
#[cfg(feature = "pipeline")]
pub mod doctor;
#[cfg(feature = "pipeline")]
pub mod serve;

// Shell.
#[cfg(feature = "cli")]
pub mod exit;
#[cfg(feature = "cli")]
pub mod output;
#[cfg(feature = "cli")]
pub mod cli;
