//! The evidence format: what is hashed, what is signed, where it lies.
//!
//! This module knows nothing of compliance. `FORMAT.md` beside it is the specification; section
//! numbers in comments are its own.

pub mod canonical;
pub mod checkpoint;
mod cms;
pub mod cosignature;
pub mod digest;
pub mod disclosure;
pub mod envelope;
pub mod instant;
pub mod items;
pub mod key;
pub mod keyring;
pub mod layout;
pub mod manifest;
pub mod merkle;
pub mod pades;
pub mod statement;
pub mod timestamp;
pub mod tlog_proof;
mod x509;
