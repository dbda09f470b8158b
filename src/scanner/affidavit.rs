//! What Affidavit's own checks saw: one JSON document, written by the collector and read here like
//! any other scanner's report, so that a verifier without a cluster can judge again.
//!
//! Besides verdicts it holds what no scanner writes: every object that was in scope, and for every
//! kind of object whether it could be listed at all. It holds no field of any object but its
//! identity: no specification, no environment, no secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};
use crate::population::{ClusterIdentity, KindListing, Member, Population};

pub(super) struct Affidavit;

/// Prefix of the built-in checks' ids.
pub const PREFIX: &str = "affidavit";
/// `schema` of this version.
pub const SCHEMA: &str = "urn:affidavit:checks:v1";

/// The document. Fields stand in the order in which they become known while collecting.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Report<'a> {
    /// [`SCHEMA`].
    pub schema: Cow<'a, str>,
    /// Name and version of the program.
    pub tool: (Cow<'a, str>, Cow<'a, str>),
    /// When collection began.
    pub started: Timestamp,
    /// The checks that were made.
    #[serde(borrow)]
    pub checks: Vec<Rule<'a>>,
    /// Every object that was in scope.
    pub objects: Vec<Object<'a>>,
    /// Checks that could not be made.
    pub unmade: Vec<Unmade<'a>>,
    /// Every kind that was in scope.
    pub kinds: Vec<KindListing>,
    /// SHA-256 by path of the manifests that were read; empty for a cluster.
    pub files: BTreeMap<String, String>,
    /// Manifests that could not be read, with the reason.
    pub unread: Vec<(String, String)>,
    /// The cluster; `null` for manifests.
    pub cluster: Option<ClusterIdentity>,
    /// When collection ended.
    pub finished: Timestamp,
    /// What the lists above must add up to.
    pub totals: Totals,
}

/// A check as it was made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule<'a> {
    /// Id without prefix.
    pub id: Cow<'a, str>,
    /// What holds when it passes.
    pub title: Cow<'a, str>,
    /// How bad a failure is.
    pub severity: Severity,
    /// What to do about a failure.
    pub remedy: Cow<'a, str>,
    /// The CEL expression.
    pub cel: Cow<'a, str>,
}

/// An object and what the checks say about it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Object<'a> {
    /// Kind.
    pub kind: Cow<'a, str>,
    /// Namespace; empty for cluster-wide objects.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: Cow<'a, str>,
    /// Name.
    pub name: Cow<'a, str>,
    /// UID; empty in manifests.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uid: Cow<'a, str>,
    /// Resource version; empty in manifests.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub version: Cow<'a, str>,
    /// UID of the controller that it was made by and whose results are its own: what stands here
    /// besides comes from checks that do not look at controllers.
    #[serde(rename = "as", skip_serializing_if = "str::is_empty")]
    pub same_as: Cow<'a, str>,
    /// How it can be reached from outside its network, worst first: `load-balancer`, `ingress`,
    /// `node-port`, `host`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<Cow<'a, str>>,
    /// Checks that it passes, by place in `checks`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pass: Vec<u16>,
    /// Checks that it fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail: Vec<Failed<'a>>,
    /// Checks that could not tell, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error: Vec<(u16, Cow<'a, str>)>,
}

/// A check that an object fails.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed<'a> {
    /// Place in `checks`.
    pub check: u16,
    /// What is wrong, in words.
    pub why: Cow<'a, str>,
    /// Names of the volumes or other elements that fail, of containers after that of their list
    /// (`initContainers/setup`); empty when the check looks at the object as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<String>,
}

/// A check that could not be made, or that has no object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmade<'a> {
    /// Place in `checks`.
    pub check: u16,
    /// Kind that is missing.
    pub kind: Cow<'a, str>,
    /// `not-checked`: it could not be made. `not-applicable`: everything was listed and nothing in
    /// it is the check's business.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub reason: Cow<'a, str>,
}

/// What the lists of a report add up to: a report that was cut and mended does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Objects.
    pub objects: u64,
    /// Passes.
    pub pass: u64,
    /// Failures.
    pub fail: u64,
    /// Errors.
    pub error: u64,
}

impl Totals {
    /// Counts an object in.
    pub fn add(&mut self, object: &Object<'_>) {
        self.objects += 1;
        self.pass += object.pass.len() as u64;
        self.fail += object.fail.len() as u64;
        self.error += object.error.len() as u64;
    }
}

impl Scanner for Affidavit {
    fn id(&self) -> &'static str {
        "affidavit-checks"
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        !probe.is_array && probe.text("schema") == Some(SCHEMA)
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let report: Report<'_> = document.read_exactly()?;
        let (name, version) = &report.tool;
        parsed.saw_tool(name, version);
        parsed.saw_time(report.started);
        let checks: Vec<CheckId> =
            report.checks.iter().map(|rule| CheckId::new(PREFIX, &rule.id)).collect();
        for (rule, check) in report.checks.iter().zip(&checks) {
            parsed.saw_check(check, &rule.title, &rule.remedy);
        }
        let reader = Reader { document, report: &report, checks: &checks };
        let mut totals = Totals::default();
        for (index, object) in report.objects.iter().enumerate() {
            totals.add(object);
            reader.object(index, object, parsed)?;
        }
        for (index, unmade) in report.unmade.iter().enumerate() {
            reader.unmade(index, unmade, parsed)?;
        }
        if totals != report.totals {
            let text = format!(
                "its totals say {:?} and its lists hold {totals:?}: it is not whole",
                report.totals
            );
            parsed.shortfall(document.locator("/totals"), text);
        }
        for (file, reason) in &report.unread {
            parsed.shortfall(document.locator("/unread"), format!("{file} was not read: {reason}"));
        }
        let members = report.objects.iter().map(|object| Member {
            kind: (*object.kind).to_owned(),
            namespace: (*object.namespace).to_owned(),
            name: (*object.name).to_owned(),
            is_as_its_controller: !object.same_as.is_empty(),
            exposed: object.exposed.iter().map(|how| (**how).to_owned()).collect(),
        });
        parsed.populations.push(Population {
            members: members.collect(),
            kinds: report.kinds,
            cluster: report.cluster,
            files: report.files,
        });
        Ok(())
    }
}

fn resource(object: &Object<'_>) -> ResourceRef {
    ResourceRef {
        kind: (*object.kind).into(),
        name: (*object.name).into(),
        namespace: (*object.namespace).into(),
        uid: (*object.uid).into(),
        ..ResourceRef::default()
    }
}

struct Reader<'a> {
    document: &'a Document<'a>,
    report: &'a Report<'a>,
    checks: &'a [CheckId],
}

impl Reader<'_> {
    fn object(
        &self,
        index: usize,
        object: &Object<'_>,
        parsed: &mut Parsed,
    ) -> Result<(), ReadError> {
        let place = self.document.locator(&format!("/objects/{index}"));
        let passes = object.pass.iter().map(|check| (*check, Outcome::Pass, ""));
        let fails = object.fail.iter().map(|failed| (failed.check, Outcome::Fail, &*failed.why));
        let errors = object.error.iter().map(|(check, text)| (*check, Outcome::Error, &**text));
        let resource = Arc::new(resource(object));
        for (check, outcome, message) in passes.chain(fails).chain(errors) {
            self.add(check, outcome, message, &resource, &place, parsed)?;
        }
        Ok(())
    }

    fn unmade(
        &self,
        index: usize,
        unmade: &Unmade<'_>,
        parsed: &mut Parsed,
    ) -> Result<(), ReadError> {
        let place = self.document.locator(&format!("/unmade/{index}"));
        let resource = Arc::new(ResourceRef::cluster_scoped(&*unmade.kind, "all"));
        // Only what was not looked at may stand here: a pass needs an object.
        let outcome = match unmade.outcome {
            Outcome::NotApplicable => Outcome::NotApplicable,
            _ => Outcome::NotChecked,
        };
        self.add(unmade.check, outcome, &unmade.reason, &resource, &place, parsed)
    }

    fn add(
        &self,
        check: u16,
        outcome: Outcome,
        message: &str,
        resource: &Arc<ResourceRef>,
        place: &str,
        parsed: &mut Parsed,
    ) -> Result<(), ReadError> {
        let known =
            self.checks.get(usize::from(check)).zip(self.report.checks.get(usize::from(check)));
        let Some((id, rule)) = known else {
            return Err(ReadError::Malformed {
                place: place.to_owned(),
                reason: format!("there is no check {check}"),
            });
        };
        parsed.findings.push(Finding {
            check: id.clone(),
            raw_check: "".into(),
            rule: "".into(),
            outcome,
            severity: rule.severity,
            resource: Arc::clone(resource),
            message: message.into(),
            locator: place.into(),
        });
        Ok(())
    }
}
