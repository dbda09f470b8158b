//! Kubernetes custom resources as they arrive in files: one object, a `List`, a bare array, or a
//! map from resource names to arrays (a common exporter's form).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Document, ReadError};

/// `metadata`, as far as it says what a report is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Object name.
    pub name: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// UID of the report itself.
    pub uid: String,
    /// Labels.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// Owners; the first one is the subject in Aqua's reports.
    #[serde(deserialize_with = "null_as_default")]
    pub owner_references: Vec<OwnerReference>,
    /// RFC 3339.
    pub creation_timestamp: Option<String>,
}

/// One owner.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnerReference {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// `null` counts as absent: Go writes nil slices and maps that way.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A `kubectl get -o json` list.
#[derive(Deserialize)]
struct List<T> {
    items: Option<Vec<T>>,
}

/// Reads the objects of a document with their JSON pointers, whatever wraps them. `T` is expected
/// to be lenient: in a mixed list it meets objects of other kinds.
///
/// # Errors
/// [`ReadError`] when an object is not a `T`.
pub fn read<'a, T: Deserialize<'a>>(
    document: &Document<'a>,
) -> Result<Vec<(String, T)>, ReadError> {
    let numbered = |parent: &str, objects: Vec<T>| -> Vec<(String, T)> {
        let pointer = |(index, object)| (format!("{parent}/{index}"), object);
        objects.into_iter().enumerate().map(pointer).collect()
    };
    let probe = document.probe();
    if probe.is_array {
        return Ok(numbered("", document.read::<Vec<T>>()?));
    }
    if probe.has("items") && probe.scalars.get("kind").is_some_and(|kind| kind.ends_with("List")) {
        return Ok(numbered("/items", document.read::<List<T>>()?.items.unwrap_or_default()));
    }
    if !probe.has("kind") {
        let lists = document.read::<BTreeMap<String, Option<Vec<T>>>>()?;
        return Ok(lists
            .into_iter()
            .flat_map(|(key, objects)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                numbered(&format!("/{key}"), objects.unwrap_or_default())
            })
            .collect());
    }
    Ok(vec![(String::new(), document.read::<T>()?)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Thing {
        kind: String,
    }

    #[test]
    fn every_wrapping_yields_the_objects_and_their_pointers() {
        for (text, pointer) in [
            (r#"{"kind":"A"}"#, ""),
            (r#"[{"kind":"A"}]"#, "/0"),
            (r#"{"kind":"List","items":[{"kind":"A"}]}"#, "/items/0"),
            (r#"{"things.example":[{"kind":"A"}]}"#, "/things.example/0"),
            ("kind: List\nitems:\n- kind: A\n", "/items/0"),
        ] {
            let documents = Document::split(text, "").unwrap();
            let objects = read::<Thing>(&documents[0]).unwrap();
            assert_eq!(objects.len(), 1, "{text}");
            assert_eq!((objects[0].0.as_str(), objects[0].1.kind.as_str()), (pointer, "A"));
        }
    }
}
