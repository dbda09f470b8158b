//! The frameworks in the binary: one line each.
//!
//! Without a version, [`find`] takes the newest one, with one exception: `cis-kubernetes` gives
//! 1.12, the newest edition whose checks a supported scanner implements itself. 2.0.1 must be asked
//! for, because its evidence comes from the checks of 1.12.

use super::{Framework, FrameworkError};

/// A framework in the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Id of the framework.
    pub id: &'static str,
    /// Version of the standard.
    pub version: &'static str,
    /// The file.
    pub yaml: &'static str,
}

macro_rules! builtin {
    ($id:literal, $version:literal, $file:literal) => {
        Builtin {
            id: $id,
            version: $version,
            yaml: include_str!(concat!("../../frameworks/", $file)),
        }
    };
}

/// Every built-in framework.
pub const FRAMEWORKS: &[Builtin] = &[
    builtin!("cis-kubernetes", "1.12", "cis-kubernetes-1.12.yaml"),
    builtin!("cis-kubernetes", "2.0.1", "cis-kubernetes-2.0.1.yaml"),
    builtin!("hipaa-security-rule", "2013", "hipaa-security-rule.yaml"),
    builtin!("pci-dss", "4.0.1", "pci-dss-4.0.1.yaml"),
];

/// Versions taken without being asked for, where that is not the newest one.
const DEFAULT_VERSIONS: &[(&str, &str)] = &[("cis-kubernetes", "1.12")];

/// JSON Schema of a framework file.
pub const SCHEMA: &str = include_str!("../../frameworks/framework.schema.json");

/// No such framework, or one that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No framework of that id.
    #[error("there is no framework {id}; there are: {known}")]
    UnknownId {
        /// What was asked for.
        id: String,
        /// What there is.
        known: String,
    },
    /// A framework of that id, but not in that version.
    #[error("there is no version {version} of {id}; there are: {known}")]
    UnknownVersion {
        /// Id of the framework.
        id: String,
        /// What was asked for.
        version: String,
        /// What there is.
        known: String,
    },
    /// Its file is not valid.
    #[error(transparent)]
    Invalid(#[from] FrameworkError),
}

/// Reads every built-in framework.
///
/// # Errors
/// [`FrameworkError`] if a file is not valid; a test reads them all.
pub fn load_all() -> Result<Vec<Framework>, FrameworkError> {
    FRAMEWORKS.iter().map(|builtin| Framework::parse(builtin.yaml)).collect()
}

/// Reads one framework, in the version asked for or in its default version.
///
/// # Errors
/// [`FindError`] when there is no such framework, naming what there is.
pub fn find(id: &str, version: Option<&str>) -> Result<Framework, FindError> {
    let versions: Vec<&Builtin> = FRAMEWORKS.iter().filter(|known| known.id == id).collect();
    let default =
        DEFAULT_VERSIONS.iter().find(|(known, _)| *known == id).map(|(_, version)| *version);
    let found = match version.or(default) {
        Some(version) => versions.iter().find(|known| known.version == version),
        None => versions.iter().max_by_key(|known| version_key(known.version)),
    };
    if let Some(builtin) = found {
        return Ok(Framework::parse(builtin.yaml)?);
    }
    let id = id.to_owned();
    Err(match version {
        Some(version) if !versions.is_empty() => {
            let known = join(versions.iter().map(|known| known.version));
            FindError::UnknownVersion { id, version: version.to_owned(), known }
        }
        _ => {
            let mut ids: Vec<_> = FRAMEWORKS.iter().map(|known| known.id).collect();
            ids.dedup();
            FindError::UnknownId { id, known: join(ids) }
        }
    })
}

/// `4.0.1` as numbers, so that 1.12 is newer than 1.9.
fn version_key(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::version_key;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version_key("1.12") > version_key("1.9"));
        assert!(version_key("2.0.1") > version_key("1.12"));
        assert!(version_key("2.0.1") > version_key("2.0"));
    }
}
