//! Kubernetes custom resources as they arrive in files: one object, a `List`, a bare array, or a
//! map from resource names to arrays (a common exporter's form).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::text::{Raw, Text};
use super::{Document, Probe, ReadError};

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

/// An object that one reader or another reads.
pub(super) trait Object<'a>: Deserialize<'a> {
    /// Is an object with this `apiVersion` and `kind` one of these?
    fn is_ours(api: &str, kind: &str) -> bool;

    /// Its own `apiVersion` and `kind`.
    fn identity(&mut self) -> [&mut Text<'a>; 2];
}

/// A `kubectl get -o json` list.
#[derive(Deserialize)]
struct List<T> {
    #[serde(default, deserialize_with = "null_as_default")]
    metadata: ListMetadata,
    items: Option<Vec<T>>,
}

/// Where the API answers in pages, what follows on the next one.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMetadata {
    r#continue: Option<String>,
    remaining_item_count: Option<i64>,
}

impl ListMetadata {
    fn tell(&self, document: &Document<'_>) {
        let is_page = self.r#continue.as_ref().is_some_and(|token| !token.is_empty());
        let more = self.remaining_item_count.filter(|count| *count > 0);
        if !is_page && more.is_none() {
            return;
        }
        let more = more.map_or_else(String::new, |count| format!(" of {count} items"));
        let says = format!("one page of a longer list: the rest{more} is missing");
        document.odd("/metadata/continue", &says, &document.locator("/metadata"), true);
    }
}

/// `apiVersion` and `kind` of an object, whatever else it holds.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    kind: Text<'a>,
}

const EMPTY: &str = "an empty object: what it was is missing";

/// An object of a list with its pointer, and the same pointer with `*` for what varies.
type Placed<T> = (String, &'static str, T);

/// Reads the objects of a document that are `T`s, with their JSON pointers, whatever wraps them. An
/// object of a list that does not say what it is weakens the evidence, unless the list does.
///
/// # Errors
/// [`ReadError`] when an object cannot be read.
pub(super) fn read<'a, T: Object<'a>>(
    document: &'a Document<'a>,
) -> Result<Vec<(String, T)>, ReadError> {
    let Some(wrap) = Wrap::of(document.probe()) else {
        return Ok(vec![(String::new(), document.read()?)]);
    };
    let exactly = match wrap {
        Wrap::Array => document.read_exactly().map(in_array::<T>),
        Wrap::List => document.read_exactly().map(|list| in_list::<T>(document, list)),
        Wrap::Map => document.read_exactly().map(in_map::<T>),
    };
    let inherited = inherited(document.probe());
    let mut found = Vec::new();
    let error = match exactly {
        Ok(objects) => {
            let hollow = document.probe().list.map_or(0, |list| list.hollow);
            for _ in 0..hollow {
                document.odd("/items/*", EMPTY, &document.locator("/items"), true);
            }
            for (pointer, field, mut object) in objects {
                inherit(object.identity(), &inherited);
                if is_ours::<T>(document, object.identity(), &pointer, field) {
                    found.push((pointer, object));
                }
            }
            return Ok(found);
        }
        Err(error) => error,
    };
    // Objects of other kinds have other shapes: only those that are read here are looked into.
    let objects = match wrap {
        Wrap::Array => document.read_leniently(error.clone()).map(in_array::<Raw<'_>>),
        Wrap::List => {
            document.read_leniently(error.clone()).map(|list| in_list::<Raw<'_>>(document, list))
        }
        Wrap::Map => document.read_leniently(error.clone()).map(in_map::<Raw<'_>>),
    }?;
    for (pointer, field, Raw(text)) in objects {
        let is_object = text.starts_with('{');
        if !is_object || text.trim_matches(['{', '}']).trim().is_empty() {
            let says = if is_object { EMPTY } else { "no object: it is not read" };
            document.odd(field, says, &document.locator(&pointer), true);
            continue;
        }
        let Identity { mut api_version, mut kind } = Document::look_at(text).unwrap_or_default();
        inherit([&mut api_version, &mut kind], &inherited);
        if is_ours::<T>(document, [&mut api_version, &mut kind], &pointer, field) {
            let mut object: T = document.read_part(text, &pointer, field, error.clone())?;
            inherit(object.identity(), &inherited);
            found.push((pointer, object));
        }
    }
    Ok(found)
}

/// `apiVersion` and `kind` of the items of a list that leave them to the list, as the API's own answers
/// do: `v1` and `Pod` for a `PodList`. Empty where the list does not say.
fn inherited(probe: &Probe) -> [&str; 2] {
    let text = |key| probe.text(key).filter(|_| !probe.is_array).unwrap_or_default();
    match text("kind").strip_suffix("List") {
        None | Some("") => ["", ""],
        Some(kind) => [text("apiVersion"), kind],
    }
}

fn inherit(identity: [&mut Text<'_>; 2], inherited: &[&str; 2]) {
    for (own, inherited) in identity.into_iter().zip(inherited) {
        if own.is_empty() {
            *own = Text::owned(inherited);
        }
    }
}

/// What the objects of a document stand in.
#[derive(Clone, Copy)]
enum Wrap {
    Array,
    List,
    /// A map from resource names to arrays.
    Map,
}

impl Wrap {
    fn of(probe: &Probe) -> Option<Self> {
        // A kind that is `null` says nothing else.
        let is_list = || probe.text("kind").is_none_or(|kind| kind.ends_with("List"));
        match () {
            () if probe.is_array => Some(Self::Array),
            () if probe.has("items") && probe.has("kind") && is_list() => Some(Self::List),
            () if !probe.has("kind") => Some(Self::Map),
            () => None,
        }
    }
}

fn in_array<T>(objects: Vec<T>) -> Vec<Placed<T>> {
    numbered("", "/*", objects)
}

fn in_list<T>(document: &Document<'_>, list: List<T>) -> Vec<Placed<T>> {
    list.metadata.tell(document);
    numbered("/items", "/items/*", list.items.unwrap_or_default())
}

fn in_map<T>(lists: BTreeMap<String, Option<Vec<T>>>) -> Vec<Placed<T>> {
    let of_key = |(key, objects): (String, Option<Vec<T>>)| {
        let key = key.replace('~', "~0").replace('/', "~1");
        numbered(&format!("/{key}"), "/*/*", objects.unwrap_or_default())
    };
    lists.into_iter().flat_map(of_key).collect()
}

fn numbered<T>(parent: &str, field: &'static str, objects: Vec<T>) -> Vec<Placed<T>> {
    let placed = |(index, object)| (format!("{parent}/{index}"), field, object);
    objects.into_iter().enumerate().map(placed).collect()
}

fn is_ours<'a, T: Object<'a>>(
    document: &Document<'_>,
    [api, kind]: [&mut Text<'_>; 2],
    pointer: &str,
    field: &str,
) -> bool {
    for (key, value) in [("apiVersion", &*api), ("kind", &*kind)] {
        if value.is_empty() {
            let (field, locator) = (format!("{field}/{key}"), document.locator(pointer));
            document.odd(&field, "missing: the object is not read", &locator, true);
        }
    }
    T::is_ours(api, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Thing<'a> {
        #[serde(borrow, default)]
        api_version: Text<'a>,
        #[serde(default)]
        kind: Text<'a>,
    }

    impl<'a> Object<'a> for Thing<'a> {
        fn is_ours(_: &str, kind: &str) -> bool {
            kind == "A"
        }

        fn identity(&mut self) -> [&mut Text<'a>; 2] {
            [&mut self.api_version, &mut self.kind]
        }
    }

    #[test]
    fn every_wrapping_yields_the_objects_and_their_pointers() {
        for (text, pointer) in [
            (r#"{"apiVersion":"v1","kind":"A"}"#, ""),
            (r#"[{"apiVersion":"v1","kind":"A"}]"#, "/0"),
            (r#"{"kind":"List","items":[{"apiVersion":"v1","kind":"A"}]}"#, "/items/0"),
            (r#"{"things.example":[{"apiVersion":"v1","kind":"A"}]}"#, "/things.example/0"),
            (r#"{"apiVersion":"v1","kind":"AList","items":[{"x":1}]}"#, "/items/0"),
            (
                r#"{"apiVersion":"v1","kind":null,"items":[{"apiVersion":"v1","kind":"A"}]}"#,
                "/items/0",
            ),
            (
                r#"{"apiVersion":"v1","kind":"AList","items":[{"kind":"B"},{"kind":null}]}"#,
                "/items/1",
            ),
            ("kind: List\nitems:\n- kind: A\n  apiVersion: v1\n", "/items/0"),
            // By the slow way, which other kinds do not disturb.
            (
                r#"[{"apiVersion":true,"kind":"A"},{"apiVersion":"v1","kind":[]},{"kind":"B"}]"#,
                "/0",
            ),
        ] {
            let documents = Document::split(text, "").unwrap();
            let objects = read::<Thing<'_>>(&documents[0]).unwrap();
            assert_eq!(objects.len(), 1, "{text}");
            assert_eq!((objects[0].0.as_str(), &*objects[0].1.kind), (pointer, "A"));
        }
    }
}
