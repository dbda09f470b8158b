//! A shallow look at a document: enough keys to tell formats apart, at bounded cost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::shown;

/// Levels below the document that are looked at: `{"x.example": [{"kind": …}]}` needs three.
const DEPTH: usize = 3;
/// Characters of a key or kind that an error repeats.
const MAX_SHOWN: usize = 64;
/// Different values of a scalar of an array's objects that are remembered.
const MAX_VALUES: usize = 8;
/// Keys remembered per object.
const MAX_KEYS: usize = 64;

/// `(apiVersion, kind)` of objects, and the keys of each kind's.
pub type Objects = BTreeMap<(String, String), BTreeSet<String>>;

/// What a list of Kubernetes objects holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListItems {
    /// Is there any item?
    pub is_empty: bool,
    /// Items that are empty objects, or no objects.
    pub hollow: usize,
    /// Do some items leave out what they are?
    pub has_anonymous: bool,
}

/// What a document looks like from outside.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// Is the document an array? Then it looks like all objects in it together.
    pub is_array: bool,
    /// Keys of the top object.
    pub keys: BTreeSet<String>,
    /// For each key whose value is an object or an array of objects: the keys of that object, or
    /// of all objects of the array together.
    pub child_keys: BTreeMap<String, BTreeSet<String>>,
    /// The last key of the top object, if a list with something in it stands there.
    pub last_list: Option<String>,
    /// Scalar values of the top object, as text; of all objects of an array, a few that differ.
    pub scalars: BTreeMap<String, Vec<String>>,
    /// If this is a list of Kubernetes objects: what it holds.
    pub list: Option<ListItems>,
    /// `(apiVersion, kind)` of every Kubernetes object: the document itself, the items of a list
    /// or an array, or of a map from resource names to arrays. Items of a `PodList`, as the API itself
    /// answers, do not repeat that they are Pods. With the keys that objects of the kind have.
    pub objects: Objects,
    /// Namespace and name of the root element, in XML.
    pub root_element: Option<(String, String)>,
}

impl Probe {
    /// Is this an entry of a log, as programs write one in each line?
    #[must_use]
    pub fn is_event(&self) -> bool {
        !self.is_array
            && (self.has("AuditResultName")
                || (self.has("rule") && self.has("priority"))
                || self.has_object("audit.k8s.io", |kind| kind == "Event"))
    }

    /// Has the top object this key?
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    /// The value of a scalar of the top object.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.scalars.get(key).and_then(|values| values.first()).map(String::as_str)
    }

    /// Has the top object, or one of an array, this scalar?
    #[must_use]
    pub fn has_text(&self, key: &str, text: &str) -> bool {
        self.scalars.get(key).is_some_and(|values| values.iter().any(|value| value == text))
    }

    /// Has the object below `key`, or one of the array there, this key?
    #[must_use]
    pub fn child_has(&self, key: &str, child: &str) -> bool {
        self.child_keys.get(key).is_some_and(|keys| keys.contains(child))
    }

    /// Is there a Kubernetes object of this API group (the part of `apiVersion` before the slash)
    /// whose kind is accepted?
    #[must_use]
    pub fn has_object(&self, group: &str, kind: impl Fn(&str) -> bool) -> bool {
        self.objects.keys().any(|(api, name)| {
            api.split_once('/').is_some_and(|(found, _)| found == group) && kind(name)
        })
    }

    /// For the error about a document that nobody recognises.
    #[must_use]
    pub fn describe(&self) -> String {
        if let Some((_, name)) = &self.root_element {
            return format!("XML, root element `{}`", shown(name, MAX_SHOWN));
        }
        if self.has("FindingUniqueId") && self.has("CheckID") {
            return "Prowler 3; its OCSF output is read".to_owned();
        }
        if self.child_has("Findings", "SchemaVersion")
            || (self.has("SchemaVersion") && self.has("ProductArn"))
        {
            return "ASFF, the AWS Security Finding Format".to_owned();
        }
        let holds_lists = || self.objects.keys().all(|(_, kind)| kind.ends_with("List"));
        match self.list {
            Some(ListItems { is_empty: true, .. }) => {
                return "an empty list of Kubernetes objects".to_owned();
            }
            Some(ListItems { has_anonymous: true, .. }) if holds_lists() => {
                return "a list of Kubernetes objects that do not say their kind".to_owned();
            }
            Some(_) if holds_lists() => {
                return "a list of lists: write each of them to a file of its own".to_owned();
            }
            _ => {}
        }
        if !self.objects.is_empty() {
            let kinds: Vec<_> = self
                .objects
                .keys()
                .take(8)
                .map(|(api, kind)| shown(&format!("{api} {kind}"), MAX_SHOWN))
                .collect();
            return format!("Kubernetes objects: {}", kinds.join(", "));
        }
        if self.keys.is_empty() {
            return if self.is_array { "an array without objects" } else { "no object" }.to_owned();
        }
        let keys: Vec<_> = self.keys.iter().take(8).map(|key| shown(key, MAX_SHOWN)).collect();
        let what = if self.is_array { "array of objects" } else { "object" };
        format!("{what} with keys {}", keys.join(", "))
    }
}

/// A value seen down to a limited depth.
enum Node {
    Scalar(Vec<String>),
    Map(Vec<(String, Node)>),
    Seq {
        /// All elements in one, if there is one.
        together: Option<Box<Node>>,
        objects: Objects,
        /// Elements that are empty objects, or no objects.
        hollow: usize,
        /// Keys of the objects that do not say what they are.
        anonymous: BTreeSet<String>,
    },
    Unseen,
}

impl Node {
    fn object_identity(&self) -> Option<(String, String)> {
        let Self::Map(entries) = self else { return None };
        let text = |key: &str| {
            entries.iter().find_map(|(name, node)| match node {
                Self::Scalar(texts) if name == key => texts.first().cloned(),
                _ => None,
            })
        };
        Some((text("apiVersion")?, text("kind")?))
    }

    /// Does its kind say that it is a list, or nothing else?
    fn is_list(&self) -> bool {
        let Self::Map(entries) = self else { return false };
        let holds_items = entries
            .iter()
            .any(|(key, node)| key == "items" && matches!(node, Self::Seq { .. } | Self::Unseen));
        entries.iter().any(|(key, node)| {
            key == "kind"
                && match node {
                    Self::Scalar(texts) => texts.iter().any(|text| text.ends_with("List")),
                    Self::Unseen => holds_items,
                    _ => false,
                }
        })
    }

    fn keys(&self) -> BTreeSet<String> {
        match self {
            Self::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Seq { together: Some(together), .. } if matches!(**together, Self::Map(_)) => {
                together.keys()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Adds what another element of the same array shows.
    fn unite(&mut self, other: Self) {
        match (self, other) {
            (Self::Map(entries), Self::Map(others)) => {
                for (place, (key, node)) in others.into_iter().enumerate() {
                    // The elements of an array mostly have the same keys in the same order.
                    let known = match entries.get(place) {
                        Some((known, _)) if *known == key => Some(place),
                        _ => entries.iter().position(|(known, _)| *known == key),
                    };
                    if known.is_none() && entries.len() < MAX_KEYS {
                        entries.push((key, node));
                    } else if let Some((_, known)) = known.and_then(|at| entries.get_mut(at)) {
                        known.unite(node);
                    }
                }
            }
            (
                Self::Seq { together, objects, anonymous, hollow },
                Self::Seq {
                    together: other,
                    objects: others,
                    anonymous: other_anonymous,
                    hollow: other_hollow,
                },
            ) => {
                *hollow += other_hollow;
                unite_objects(objects, others);
                anonymous.extend(other_anonymous);
                match (together, other) {
                    (Some(together), Some(other)) => together.unite(*other),
                    (together @ None, other) => *together = other,
                    _ => {}
                }
            }
            (Self::Scalar(texts), Self::Scalar(others)) => {
                let new = others.into_iter().find(|text| !texts.contains(text));
                texts.extend(new.filter(|_| texts.len() < MAX_VALUES));
            }
            (
                this @ (Self::Scalar(_) | Self::Unseen),
                other @ (Self::Map(_) | Self::Seq { .. }),
            )
            | (this @ Self::Unseen, other @ Self::Scalar(_)) => *this = other,
            _ => {}
        }
    }
}

fn unite_objects(objects: &mut Objects, others: Objects) {
    for (identity, keys) in others {
        objects.entry(identity).or_default().extend(keys);
    }
}

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let top = Seed { depth: DEPTH }.deserialize(deserializer)?;
        let mut probe = Self { keys: top.keys(), ..Self::default() };
        let map = match top {
            Node::Seq { together, objects, .. } => {
                probe.is_array = true;
                probe.objects = objects;
                together.map_or(Node::Unseen, |together| *together)
            }
            other => other,
        };
        let own_identity = map.object_identity();
        let is_list = !probe.is_array && map.is_list();
        let kind_of_items = own_identity.as_ref().and_then(|(api, kind)| {
            kind.strip_suffix("List")
                .filter(|kind| !kind.is_empty())
                .map(|kind| (api.clone(), kind.to_owned()))
        });
        if let (Some(identity), false, false) = (&own_identity, probe.is_array, is_list) {
            probe.objects.insert(identity.clone(), probe.keys.clone());
        }
        let Node::Map(entries) = map else { return Ok(probe) };
        if let (false, Some((key, Node::Seq { together: Some(_), .. }))) =
            (probe.is_array, entries.last())
        {
            probe.last_list = Some(key.clone());
        }
        for (key, node) in entries {
            let keys = node.keys();
            if !keys.is_empty() {
                probe.child_keys.insert(key.clone(), keys);
            }
            match node {
                Node::Scalar(texts) => {
                    probe.scalars.insert(key, texts);
                }
                Node::Seq { objects, anonymous, hollow, together } if is_list && key == "items" => {
                    probe.list = Some(ListItems {
                        is_empty: together.is_none(),
                        hollow,
                        has_anonymous: hollow > 0 || !anonymous.is_empty(),
                    });
                    unite_objects(&mut probe.objects, objects);
                    let inherited = kind_of_items.clone().filter(|_| !anonymous.is_empty());
                    let inherited = inherited.map(|kind| (kind, anonymous));
                    unite_objects(&mut probe.objects, inherited.into_iter().collect());
                }
                Node::Seq { objects, .. } if key.contains('.') => {
                    unite_objects(&mut probe.objects, objects);
                }
                _ => {}
            }
        }
        if let (true, true, Some(identity)) = (is_list, probe.objects.is_empty(), own_identity) {
            probe.objects.insert(identity, probe.keys.clone());
            probe.list.get_or_insert(ListItems { is_empty: true, ..ListItems::default() });
        }
        Ok(probe)
    }
}

#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(vec![value.to_string()]))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(vec![value.to_string()]))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(vec![value.to_string()]))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(vec![value.to_string()]))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(vec![value.chars().take(128).collect()]))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Unseen)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Unseen)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        if self.depth == 0 {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Node::Unseen);
        }
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.len() >= MAX_KEYS {
                map.next_value::<IgnoredAny>()?;
            } else {
                entries.push((key, map.next_value_seed(Self { depth: self.depth - 1 })?));
            }
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        if self.depth == 0 {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Node::Unseen);
        }
        let (mut together, mut objects) = (None::<Box<Node>>, Objects::new());
        let (mut anonymous, mut hollow) = (BTreeSet::new(), 0);
        while let Some(node) = seq.next_element_seed(Self { depth: self.depth - 1 })? {
            let is_object = matches!(&node, Node::Map(entries) if !entries.is_empty());
            hollow += usize::from(!is_object);
            if let Node::Map(entries) = &node {
                let keys = match node.object_identity() {
                    Some(identity) => objects.entry(identity).or_default(),
                    None => &mut anonymous,
                };
                for (key, _) in entries {
                    if !keys.contains(key) {
                        keys.insert(key.clone());
                    }
                }
            }
            match &mut together {
                Some(together) => together.unite(node),
                None => together = Some(Box::new(node)),
            }
        }
        Ok(Node::Seq { together, objects, hollow, anonymous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(text: &str) -> Probe {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn kinds_are_found_in_every_wrapping() {
        let wanted = ("a.example/v1".to_owned(), "Thing".to_owned());
        for text in [
            r#"{"apiVersion":"a.example/v1","kind":"Thing"}"#,
            r#"[{"apiVersion":"a.example/v1","kind":"Thing"}]"#,
            r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"a.example/v1","kind":"Thing"}]}"#,
            r#"{"things.a.example":[{"apiVersion":"a.example/v1","kind":"Thing"}]}"#,
        ] {
            assert!(probe(text).objects.contains_key(&wanted), "{text}");
        }
    }

    #[test]
    fn every_kind_of_a_mixed_list_is_seen() {
        let probe = probe(
            r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"a/v1","kind":"A"},{"apiVersion":"b/v1","kind":"B"}]}"#,
        );
        assert_eq!(probe.objects.len(), 2);
        assert!(probe.has_object("b", |kind| kind == "B"));
    }

    #[test]
    fn keys_one_level_down_are_seen_through_arrays() {
        for text in [
            r#"{"Controls":[{"tests":[]}]}"#,
            r#"{"Controls":[{"id":"1"},null,{"id":"2","tests":[]}]}"#,
            r#"[{"Controls":null},{"Controls":{"tests":[]}}]"#,
        ] {
            assert!(probe(text).child_has("Controls", "tests"), "{text}");
        }
    }

    #[test]
    fn items_of_a_list_of_one_kind_need_not_say_it() {
        let text = r#"{"apiVersion":"a/v1","kind":"AList","items":[{"apiVersion":"b/v1","kind":"B"},{"x":1}]}"#;
        assert!(probe(text).has_object("a", |kind| kind == "A"));
        assert!(probe(text).has_object("b", |kind| kind == "B"));
        let text = r#"{"apiVersion":"v1","kind":"List","items":[{"x":1}]}"#;
        assert!(!probe(text).objects.keys().any(|(_, kind)| kind.is_empty()));
    }
}
