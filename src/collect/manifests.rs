//! Manifests before they are applied: plain YAML or JSON, what `helm template` prints, what
//! `kustomize build` prints. The same checks, the same report.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

use crate::checks::{Engine, Examination, KINDS, redact};
use crate::evidence::digest::Digest;
use crate::population::Listing;
use crate::scanner::{Document, ReadError, decode};

/// Examines manifests and writes the report into `out`. A file that cannot be read is recorded as
/// that, and takes away from the evidence.
///
/// # Errors
/// That of `out`.
pub fn examine<W: Write>(
    engine: &Engine,
    files: &[PathBuf],
    at: Timestamp,
    out: W,
) -> io::Result<W> {
    let mut examination = Examination::begin(engine, out, at)?;
    let mut digests = BTreeMap::new();
    let mut unread = Vec::new();
    let mut objects = Vec::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = unique(name, &digests);
        let result = std::fs::read(path).map_err(|error| error.to_string()).and_then(|bytes| {
            digests.insert(name.clone(), Digest::of(&bytes).to_string());
            read(&bytes).map_err(|error| error.to_string())
        });
        match result {
            Ok(found) => objects.extend(found),
            Err(reason) => unread.push((name, reason)),
        }
    }
    let mut by_kind: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    let mut others: BTreeMap<(String, String), u64> = BTreeMap::new();
    for object in objects {
        let field = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api, name) = (field("apiVersion"), field("kind"));
        let known = KINDS.iter().position(|kind| {
            kind.kind == name && api.split_once('/').map_or("", |(group, _)| group) == kind.group
        });
        match known {
            Some(place) => by_kind.entry(place).or_default().push(object),
            None => *others.entry((api.to_owned(), name.to_owned())).or_default() += 1,
        }
    }
    for (place, kind) in KINDS.iter().enumerate() {
        for mut object in by_kind.remove(&place).unwrap_or_default() {
            redact(&mut object);
            examination.object(kind, &object)?;
        }
        examination.listed(kind, Listing::Complete, "", "");
    }
    for ((api, kind), count) in &others {
        examination.not_looked_at(api, kind, *count);
    }
    examination.finish(None, &digests, &unread, at)
}

/// Two files of one name in different folders keep apart.
fn unique(name: String, taken: &BTreeMap<String, String>) -> String {
    if !taken.contains_key(&name) {
        return name;
    }
    // One more than there are names, so one is free.
    let mut others = (2..=taken.len() + 2).map(|n| format!("{name} ({n})"));
    others.find(|name| !taken.contains_key(name)).unwrap_or(name)
}

/// The objects of a file, lists unwrapped.
fn read(bytes: &[u8]) -> Result<Vec<Value>, ReadError> {
    let text = decode(bytes)?;
    let mut objects = Vec::new();
    for document in Document::split(&text, "")? {
        let value: Value = document.read_exactly()?;
        match value {
            Value::Null => {}
            Value::Object(mut fields)
                if fields
                    .get("kind")
                    .and_then(Value::as_str)
                    .is_some_and(|kind| kind.ends_with("List"))
                    && fields.get("items").is_some_and(Value::is_array) =>
            {
                if let Some(Value::Array(items)) = fields.remove("items") {
                    objects.extend(items);
                }
            }
            Value::Object(fields) if fields.contains_key("kind") => {
                objects.push(Value::Object(fields));
            }
            _ => {
                let reason = "no Kubernetes object: it has no `kind`";
                return Err(document.error("", reason));
            }
        }
    }
    Ok(objects)
}
