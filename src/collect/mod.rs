//! Where inputs come from. One file per kind of source.

mod files;

pub use files::{CollectError, Collected, files};
