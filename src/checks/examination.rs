//! All objects of a cluster, or of manifests, one after the other → one report
//! ([`crate::scanner::affidavit`]), written as it grows: memory does not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::engine::{Engine, Said, pod_path};
use super::kinds::{KINDS, Kind};
use super::related::{Related, list, text};
use super::view::view;
use crate::evidence::digest::Digest;
use crate::finding::Outcome;
use crate::population::{ClusterIdentity, KindListing, Listing};
use crate::scanner::affidavit::{Failed, Object, Rule, SCHEMA, Totals, Unmade};

/// What was said about an object: by place of the check.
type Verdicts = Arc<Vec<(u16, Said)>>;

/// An examination under way. Kinds must come in the order of [`KINDS`]: first the objects of one,
/// then how its listing went.
pub struct Examination<'e, W> {
    engine: &'e Engine,
    out: W,
    first: bool,
    related: Related,
    /// What was said about controllers, by UID: their pods are only mentioned by themselves where
    /// they differ.
    controllers: HashMap<String, Verdicts>,
    /// What was said about workloads that look the same.
    known: HashMap<Digest, Verdicts>,
    /// Everything that was said about any of them, once each.
    distinct: HashSet<Verdicts>,
    /// UIDs of the kind under way.
    uids: Vec<String>,
    listings: BTreeMap<&'static str, KindListing>,
    /// Kinds that no check looks at.
    others: Vec<KindListing>,
    /// Checks that had an object.
    made: BTreeSet<u16>,
    totals: Totals,
}

impl<'e, W: Write> Examination<'e, W> {
    /// Begins a report.
    ///
    /// # Errors
    /// That of `out`.
    pub fn begin(engine: &'e Engine, mut out: W, started: Timestamp) -> io::Result<Self> {
        let rules: Vec<Rule<'_>> = engine
            .checks()
            .map(|check| Rule {
                id: Cow::Borrowed(&check.id),
                title: Cow::Borrowed(&check.title),
                severity: check.severity,
                remedy: Cow::Borrowed(&check.remedy),
                cel: Cow::Borrowed(&check.cel),
            })
            .collect();
        write!(out, "{{\"schema\":\"{SCHEMA}\",\"tool\":")?;
        serde_json::to_writer(&mut out, &("affidavit", env!("CARGO_PKG_VERSION")))?;
        field(&mut out, "started", &started)?;
        field(&mut out, "checks", &rules)?;
        write!(out, ",\"objects\":[")?;
        Ok(Self {
            engine,
            out,
            first: true,
            related: Related::default(),
            controllers: HashMap::new(),
            known: HashMap::new(),
            distinct: HashSet::new(),
            uids: Vec::new(),
            listings: BTreeMap::new(),
            others: Vec::new(),
            made: BTreeSet::new(),
            totals: Totals::default(),
        })
    }

    /// Examines an object, which [`redact`](super::redact()) has been over.
    ///
    /// # Errors
    /// That of `out`.
    pub fn object(&mut self, kind: &'static Kind, value: &Value) -> io::Result<()> {
        let uid = text(value, "/metadata/uid");
        let namespace = text(value, "/metadata/namespace");
        let name = text(value, "/metadata/name");
        self.uids.push(if uid.is_empty() { format!("{namespace}/{name}") } else { uid.clone() });
        self.related.remember(kind.kind, value);
        let controller = controller(value);
        let is_old_revision = kind.kind == "ReplicaSet"
            && !controller.is_empty()
            && value.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0);
        let mut said = if is_old_revision { Arc::default() } else { self.said_of(kind, value) };
        let mut same_as = String::new();
        let own = self.controllers.get(&controller).and_then(|template| rest(&said, template));
        if is_old_revision || own.is_some() {
            same_as.clone_from(&controller);
        }
        if kind.is_workload && !uid.is_empty() && kind.kind != "Pod" && !is_old_revision {
            self.controllers.insert(uid.clone(), Arc::clone(&said));
        }
        self.made.extend(said.iter().map(|(place, _)| *place));
        if !same_as.is_empty() {
            said = Arc::new(own.unwrap_or_default());
        }
        let exposed = if kind.is_workload && !is_old_revision {
            let pod = pod_path(kind.kind).iter().try_fold(value, |value, step| value.get(step));
            let labels = pod.and_then(|pod| pod.pointer("/metadata/labels"));
            let spec = pod.and_then(|pod| pod.get("spec")).unwrap_or(&Value::Null);
            self.related.exposed(&namespace, labels, spec)
        } else {
            Vec::new()
        };
        let mut object = Object {
            kind: Cow::Borrowed(kind.kind),
            namespace: Cow::Owned(namespace),
            name: Cow::Owned(name),
            uid: Cow::Owned(uid),
            version: Cow::Owned(text(value, "/metadata/resourceVersion")),
            same_as: Cow::Owned(same_as),
            exposed: exposed.into_iter().map(Cow::Borrowed).collect(),
            ..Object::default()
        };
        for (place, said) in said.iter().cloned() {
            match said {
                Said::Pass => object.pass.push(place),
                Said::Fail { why, elements } => {
                    object.fail.push(Failed { check: place, why: Cow::Owned(why), elements });
                }
                Said::Error(why) => object.error.push((place, Cow::Owned(why))),
            }
        }
        self.totals.add(&object);
        if !self.first {
            self.out.write_all(b",")?;
        }
        self.first = false;
        self.out.write_all(b"\n")?;
        Ok(serde_json::to_writer(&mut self.out, &object)?)
    }

    fn said_of(&mut self, kind: &'static Kind, value: &Value) -> Verdicts {
        if !kind.is_workload {
            let made = |place| self.has_its_needs(place);
            return Arc::new(self.engine.examine(kind, value, &self.related, made));
        }
        let seen = view(kind, value);
        let account = self.related.account_of(&seen, pod_path(kind.kind));
        let key = Digest::of(format!("{} {account} {seen}", kind.kind).as_bytes());
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let made = |place| self.has_its_needs(place);
        let said = Arc::new(self.engine.examine(kind, &seen, &self.related, made));
        let said = self.distinct.get(&said).map_or(said, Arc::clone);
        self.distinct.insert(Arc::clone(&said));
        self.known.insert(key, Arc::clone(&said));
        said
    }

    fn has_its_needs(&self, place: u16) -> bool {
        let rule = self.engine.rules().get(usize::from(place));
        rule.is_some_and(|rule| rule.check.needs.iter().all(|kind| self.is_complete(kind)))
    }

    fn is_complete(&self, kind: &str) -> bool {
        self.listings.get(kind).is_some_and(|listed| listed.listing == Listing::Complete)
    }

    /// Says how the listing of a kind went, after its objects.
    pub fn listed(
        &mut self,
        kind: &'static Kind,
        listing: Listing,
        detail: &str,
        resource_version: &str,
    ) {
        let mut uids = std::mem::take(&mut self.uids);
        uids.sort_unstable();
        let mut text = uids.join("\n");
        if !uids.is_empty() {
            text.push('\n');
        }
        let entry = KindListing {
            api_version: kind.api_version(),
            count: uids.len() as u64,
            detail: detail.to_owned(),
            kind: kind.kind.to_owned(),
            listing,
            resource_version: resource_version.to_owned(),
            uids_sha256: Digest::of(text.as_bytes()).to_string(),
        };
        self.listings.insert(kind.kind, entry);
    }

    /// Says that there are objects of a kind that no check looks at.
    pub fn not_looked_at(&mut self, api_version: &str, kind: &str, count: u64) {
        self.others.push(KindListing {
            api_version: api_version.to_owned(),
            count,
            detail: "no check looks at this kind".to_owned(),
            kind: kind.to_owned(),
            listing: Listing::Complete,
            ..KindListing::default()
        });
    }

    /// Ends the report and gives back the writer. Kinds that nobody spoke of count as not listed.
    /// `files` and `unread` are for manifests: digests by name, and what could not be read and why.
    ///
    /// # Errors
    /// That of `out`.
    pub fn finish(
        mut self,
        cluster: Option<&ClusterIdentity>,
        files: &BTreeMap<String, String>,
        unread: &[(String, String)],
        finished: Timestamp,
    ) -> io::Result<W> {
        write!(self.out, "\n]")?;
        let unmade: Vec<Unmade<'_>> = (0..)
            .zip(self.engine.rules())
            .flat_map(|(place, rule)| self.unmade(place, &rule.check))
            .collect();
        field(&mut self.out, "unmade", &unmade)?;
        let listed = KINDS.iter().filter_map(|kind| self.listings.get(kind.kind));
        let kinds: Vec<&KindListing> = listed.chain(&self.others).collect();
        field(&mut self.out, "kinds", &kinds)?;
        field(&mut self.out, "files", files)?;
        field(&mut self.out, "unread", &unread)?;
        field(&mut self.out, "cluster", &cluster)?;
        field(&mut self.out, "finished", &finished)?;
        field(&mut self.out, "totals", &self.totals)?;
        writeln!(self.out, "}}")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Why a check was not made, or not everywhere; nothing when it was.
    fn unmade(&self, place: u16, check: &super::Check) -> Vec<Unmade<'static>> {
        let entry = |kind: &str, outcome, reason: String| Unmade {
            check: place,
            kind: Cow::Owned(kind.to_owned()),
            outcome,
            reason: Cow::Owned(reason),
        };
        let own = KINDS.iter().filter(|kind| check.looks_at(kind)).map(|kind| kind.kind);
        let needed = check.needs.iter().map(String::as_str);
        let mut unmade = Vec::new();
        let mut seen = 0;
        for kind in own.chain(needed) {
            let (listing, detail) = match self.listings.get(kind) {
                Some(listed) => {
                    seen += listed.count;
                    (listed.listing, listed.detail.as_str())
                }
                None => (Listing::Failed, "nobody asked for it"),
            };
            if !listing.is_answer() {
                let reason = format!("{kind} was not listed: {detail}");
                unmade.push(entry(kind, Outcome::NotChecked, reason));
            }
        }
        if unmade.is_empty() && !self.made.contains(&place) {
            let kind = check.kinds.first().map_or("", String::as_str);
            unmade.push(if let Some(component) = &check.component {
                let reason = format!(
                    "no static pod of {component} is in the API: it runs elsewhere or in another way"
                );
                entry(component, Outcome::NotChecked, reason)
            } else {
                let reason = format!("none of {seen} objects has to do with it");
                entry(kind, Outcome::NotApplicable, reason)
            });
        }
        unmade
    }
}

/// What was said about an object by checks that do not look at its controller's kind, if the others
/// say of both the same.
fn rest(said: &[(u16, Said)], template: &[(u16, Said)]) -> Option<Vec<(u16, Said)>> {
    let of_template: BTreeMap<u16, &Said> = template.iter().map(|(at, said)| (*at, said)).collect();
    let mut shared = 0;
    let mut rest = Vec::new();
    for (place, said) in said {
        match of_template.get(place) {
            Some(same) if *same == said => shared += 1,
            Some(_) => return None,
            None => rest.push((*place, said.clone())),
        }
    }
    (shared == template.len()).then_some(rest)
}

/// UID of the controller that made an object; empty when none did.
fn controller(object: &Value) -> String {
    list(object, "/metadata/ownerReferences")
        .find(|owner| owner.get("controller").and_then(Value::as_bool).unwrap_or(false))
        .map(|owner| text(owner, "/uid"))
        .unwrap_or_default()
}

fn field<T: Serialize>(out: &mut impl Write, name: &str, value: &T) -> io::Result<()> {
    write!(out, ",\n\"{name}\":")?;
    Ok(serde_json::to_writer(out, value)?)
}
