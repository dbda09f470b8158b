//! The frameworks in the binary: one line each.

/// `(file name, YAML)` of every built-in framework.
pub const FRAMEWORKS: &[(&str, &str)] = &[];
