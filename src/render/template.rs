//! Report templates: those of this program, and folders of users.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

/// `report-templates/`, fonts included.
pub(super) static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/report-templates");

/// What a template is compiled from.
const MAIN: &str = "main.typ";
/// Name of the template of sealed reports.
pub const SEALED: &str = "full";
/// Parts that every template may import, as `/common/<name>`.
const COMMON: &str = "common";
/// Largest template that a user may bring, in bytes: pictures included.
const MAX_BYTES: u64 = 20_000_000;

/// A typst program that turns `/data.json` into pages.
#[derive(Clone, Debug)]
pub struct Template {
    /// Content by virtual path (`/main.typ`).
    files: BTreeMap<String, Vec<u8>>,
}

/// Why there is no such template.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Neither a name nor a folder.
    #[error("there is no template `{name}`: neither one of {} nor a folder", names.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those of this program.
        names: Vec<&'static str>,
    },
    /// The folder cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is no template.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// File or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Template {
    /// The names of this program's own templates, in alphabetical order.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let has_main = |folder: &&Dir<'static>| folder.get_file(folder.path().join(MAIN)).is_some();
        FILES.dirs().filter(has_main).filter_map(|folder| folder.path().to_str()).collect()
    }

    /// That of the report which a run seals.
    #[must_use]
    pub fn sealed() -> Self {
        Self::builtin(SEALED).unwrap_or(Self { files: BTreeMap::new() })
    }

    /// One of this program's own.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        if !Self::names().contains(&name) {
            return None;
        }
        let mut template = Self::with_common();
        template.add_builtin(name, "/");
        Some(template)
    }

    /// What every template has.
    fn with_common() -> Self {
        let mut template = Self { files: BTreeMap::new() };
        template.add_builtin(COMMON, "/common/");
        template
    }

    fn add_builtin(&mut self, folder: &str, prefix: &str) {
        for file in FILES.get_dir(folder).into_iter().flat_map(Dir::files) {
            if let Some(name) = file.path().file_name().and_then(|name| name.to_str()) {
                self.files.insert(format!("{prefix}{name}"), file.contents().to_vec());
            }
        }
    }

    /// One of this program's own by its name, or a folder with a `main.typ`, which may use
    /// `/common/…` of this program and every file of its own.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn find(name: &str) -> Result<Self, TemplateError> {
        if let Some(template) = Self::builtin(name) {
            return Ok(template);
        }
        let folder = Path::new(name);
        if !folder.is_dir() {
            return Err(TemplateError::Unknown { name: name.to_owned(), names: Self::names() });
        }
        let mut template = Self::with_common();
        let mut left = MAX_BYTES;
        template.add(folder, "/", &mut left)?;
        if !template.files.contains_key("/main.typ") {
            let reason = format!("it has no {MAIN}");
            return Err(TemplateError::Malformed { path: folder.to_owned(), reason });
        }
        Ok(template)
    }

    fn add(&mut self, folder: &Path, prefix: &str, left: &mut u64) -> Result<(), TemplateError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TemplateError::Read { path, source }
        };
        for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            let malformed =
                |reason: String| TemplateError::Malformed { path: path.clone(), reason };
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(malformed("its name is not UTF-8".to_owned()));
            };
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                if prefix == "/" && name == COMMON {
                    let reason = format!("`{COMMON}` is the program's own folder");
                    return Err(malformed(reason));
                }
                self.add(&path, &format!("{prefix}{name}/"), left)?;
                continue;
            }
            let size = std::fs::metadata(&path).map_err(failed(&path))?.len();
            *left = left.checked_sub(size).ok_or_else(|| {
                malformed(format!("with it the template is larger than {MAX_BYTES} bytes"))
            })?;
            let bytes = std::fs::read(&path).map_err(failed(&path))?;
            self.files.insert(format!("{prefix}{name}"), bytes);
        }
        Ok(())
    }

    /// Content by virtual path.
    pub(super) fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_users_have_a_main_file_and_the_common_parts() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().to_str().unwrap();
        let error = Template::find(name).unwrap_err().to_string();
        assert!(error.ends_with("it has no main.typ"), "{error}");
        std::fs::write(folder.path().join("main.typ"), "= A").unwrap();
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        std::fs::write(folder.path().join("parts/logo.svg"), "<svg/>").unwrap();
        let template = Template::find(name).unwrap();
        for file in ["/main.typ", "/parts/logo.svg", "/common/style.typ"] {
            assert!(template.files.contains_key(file), "no {file}");
        }
        std::fs::create_dir(folder.path().join("common")).unwrap();
        assert!(Template::find(name).unwrap_err().to_string().contains("program's own"));
        let error = Template::find("no such").unwrap_err().to_string();
        assert!(error.contains("`no such`") && error.contains("full"), "{error}");
    }
}
