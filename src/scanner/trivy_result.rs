//! `Result`: the part that Trivy's image, filesystem, config, cluster and compliance reports share.
//!
//! Trivy lists failures. Passed checks are named only with `--include-non-failures`; otherwise
//! `MisconfSummary.Successes` is a bare number, which proves nothing about any one check.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::kube_object::null_as_default;
use super::text::{Text, clean};
use super::trivy_scope::weigh_pass;
use super::{Document, aqua_id};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

/// Prefix of every check of Trivy and trivy-operator.
pub(super) const PREFIX: &str = "trivy";

/// One entry of `Results`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub target: Text<'a>,
    pub class: Text<'a>,
    pub r#type: Text<'a>,
    /// `None` when the key is missing; `null` is an empty list.
    #[serde(deserialize_with = "null_as_some")]
    pub vulnerabilities: Option<Vec<Vulnerability<'a>>>,
    pub misconf_summary: Option<MisconfSummary>,
    #[serde(deserialize_with = "null_as_default")]
    pub misconfigurations: Vec<Misconfiguration<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    pub secrets: Vec<Secret<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    pub licenses: Vec<serde::de::IgnoredAny>,
    /// What `.trivyignore` or a VEX document took out, with `--show-suppressed`.
    #[serde(deserialize_with = "null_as_default")]
    pub experimental_modified_findings: Vec<Modified<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Vulnerability<'a> {
    #[serde(borrow, rename = "VulnerabilityID")]
    id: Text<'a>,
    #[serde(rename = "PkgName")]
    package: Text<'a>,
    #[serde(rename = "InstalledVersion")]
    installed: Text<'a>,
    #[serde(rename = "FixedVersion")]
    fixed: Text<'a>,
    #[serde(rename = "Status")]
    status: Text<'a>,
    #[serde(rename = "Severity")]
    severity: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct MisconfSummary {
    successes: usize,
    failures: usize,
    exceptions: usize,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Misconfiguration<'a> {
    #[serde(borrow, rename = "ID")]
    id: Text<'a>,
    #[serde(rename = "AVDID")]
    avd_id: Text<'a>,
    title: Text<'a>,
    message: Text<'a>,
    resolution: Text<'a>,
    severity: Text<'a>,
    status: Text<'a>,
}

/// `Match` holds a piece of the secret, masked by Trivy, and is not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Secret<'a> {
    #[serde(borrow, rename = "RuleID")]
    rule_id: Text<'a>,
    severity: Text<'a>,
    title: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Modified<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    status: Text<'a>,
    statement: Text<'a>,
    finding: Suppressed<'a>,
}

/// A finding of any type: their fields do not collide.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Suppressed<'a> {
    #[serde(borrow, rename = "VulnerabilityID")]
    vulnerability_id: Text<'a>,
    #[serde(rename = "PkgName")]
    package: Text<'a>,
    #[serde(rename = "InstalledVersion")]
    installed: Text<'a>,
    #[serde(rename = "FixedVersion")]
    fixed: Text<'a>,
    #[serde(rename = "ID")]
    id: Text<'a>,
    #[serde(rename = "AVDID")]
    avd_id: Text<'a>,
    #[serde(rename = "Message")]
    message: Text<'a>,
    #[serde(rename = "RuleID")]
    rule_id: Text<'a>,
    #[serde(rename = "Title")]
    title: Text<'a>,
    #[serde(rename = "Severity")]
    severity: Text<'a>,
}

fn null_as_some<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    null_as_default(deserializer).map(Some)
}

/// Trivy's check ids in one spelling, each built once.
#[derive(Default)]
pub(super) struct Checks {
    known: HashMap<String, (CheckId, Box<str>)>,
}

impl Checks {
    /// `KSV001` → `trivy:KSV-0001`, and `KSV001` itself as it differs.
    pub(super) fn of(&mut self, raw: &str) -> (CheckId, Box<str>) {
        if let Some(known) = self.known.get(raw) {
            return known.clone();
        }
        let normal = aqua_id(raw);
        let local = if normal.is_empty() { "unnamed" } else { &*normal };
        let kept = if normal == raw { "" } else { raw };
        let value = (CheckId::new(PREFIX, local), kept.into());
        self.known.insert(raw.to_owned(), value.clone());
        value
    }

    /// What Trivy says about a check. Its KCV checks carry the titles of the CIS benchmark, whose
    /// wording is licensed: those stay in the input.
    pub(super) fn describe(parsed: &mut Parsed, id: &CheckId, title: &str, advice: &str) {
        if !is_benchmark_check(id) && !parsed.checks.contains_key(id) {
            parsed.saw_check(id, &clean(title), &clean(advice));
        }
    }

    /// A check's message, unless it is such a title again.
    pub(super) fn message<'t>(id: &CheckId, title: &str, message: &'t str) -> &'t str {
        if is_benchmark_check(id) && message.trim() == title.trim() { "" } else { message }
    }

    pub(super) fn vulnerability(&mut self, severity: Severity) -> CheckId {
        self.of(vulnerability_class(severity)).0
    }
}

/// Local id of the check that stands for all vulnerabilities of a severity.
pub(super) fn vulnerability_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "vulnerability-critical",
        Severity::High => "vulnerability-high",
        Severity::Medium => "vulnerability-medium",
        Severity::Low => "vulnerability-low",
        Severity::Info | Severity::Unknown => "vulnerability-unknown",
    }
}

/// Classes that a vulnerability without a known severity may belong to.
const CLASSES: [Severity; 4] =
    [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];

/// Is this a word that Trivy or Grype gives a vulnerability? `Unknown` is one of them: nobody has rated it.
fn is_severity(word: &str) -> bool {
    ["critical", "high", "medium", "low", "negligible", "none", "unknown"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// Vulnerabilities of one target whose severity is missing, or a word that is not known: the classes that
/// they may belong to stay undecided.
#[derive(Default)]
pub(super) struct Unrated {
    count: usize,
    first: Box<str>,
}

impl Unrated {
    /// Looks at the severity of a vulnerability. `field` is where it stands, with `*` for what varies.
    pub(super) fn look(
        &mut self,
        document: &Document<'_>,
        severity: &str,
        field: &str,
        locator: &str,
    ) {
        if is_severity(severity) {
            return;
        }
        if self.count == 0 {
            self.first = locator.into();
        }
        self.count += 1;
        let says = match severity.trim() {
            "" => "missing: the vulnerability may be of any severity",
            _ => "no severity that is known: the vulnerability may be of any",
        };
        document.odd(field, says, locator, true);
    }

    /// An error of each class.
    pub(super) fn conclude(
        self,
        prefix: &str,
        resource: &Arc<ResourceRef>,
        findings: &mut Vec<Finding>,
    ) {
        if self.count == 0 {
            return;
        }
        let noun = if self.count == 1 { "vulnerability has" } else { "vulnerabilities have" };
        for class in CLASSES {
            let check = CheckId::new(prefix, vulnerability_class(class));
            let (resource, locator) = (Arc::clone(resource), self.first.clone());
            let mut finding = Finding::new(check, resource, Outcome::Error, locator);
            finding.message =
                format!("{} {noun} no known severity and may be {class}", self.count).into();
            findings.push(finding);
        }
    }
}

fn is_benchmark_check(id: &CheckId) -> bool {
    id.local().starts_with("KCV-")
}

/// `openssl 1.1.1c, fixed in 1.1.1d`.
pub(super) fn describe_vulnerability(
    package: &str,
    installed: &str,
    fixed: &str,
    status: &str,
) -> String {
    match (fixed.trim(), status.trim()) {
        ("", "" | "fixed") => format!("{package} {installed}, no fix published"),
        ("", status) => format!("{package} {installed}, no fix published ({status})"),
        (fixed, _) => format!("{package} {installed}, fixed in {fixed}"),
    }
}

/// Proof that a target was looked at. It says nothing about vulnerabilities that a severity filter
/// left out: the filter is not in the report.
pub(super) fn scan_proof(
    checks: &mut Checks,
    resource: &Arc<ResourceRef>,
    listed: usize,
    locator: Box<str>,
) -> Finding {
    Finding {
        check: checks.of("vulnerability-scan").0,
        resource: Arc::clone(resource),
        outcome: Outcome::Pass,
        severity: Severity::Unknown,
        rule: "".into(),
        raw_check: "".into(),
        message: format!("{listed} vulnerabilities listed").into(),
        locator,
    }
}

/// Reads the entries of one document.
pub(super) struct Reader<'r> {
    document: &'r Document<'r>,
    parsed: &'r mut Parsed,
    checks: Checks,
    unnamed_passes: usize,
    licenses: usize,
}

impl<'r> Reader<'r> {
    pub(super) fn new(document: &'r Document<'r>, parsed: &'r mut Parsed) -> Self {
        Self { document, parsed, checks: Checks::default(), unnamed_passes: 0, licenses: 0 }
    }

    pub(super) fn parsed(&mut self) -> &mut Parsed {
        self.parsed
    }

    /// Says what the entries counted without naming it.
    pub(super) fn finish(self) {
        let at = self.document.locator("");
        if self.unnamed_passes > 0 {
            self.parsed.note(
                at.clone(),
                format!(
                    "{} passes are counted but not named: they prove nothing about any one check (trivy --include-non-failures names them)",
                    self.unnamed_passes
                ),
            );
        }
        if self.licenses > 0 {
            self.parsed.note(at, format!("{} licence findings are not read", self.licenses));
        }
    }

    /// Reads one entry about `resource`; `pointer` is the entry's.
    pub(super) fn read(&mut self, entry: &Entry<'_>, resource: ResourceRef, pointer: &str) {
        let resource = Arc::new(resource);
        self.vulnerabilities(entry, &resource, pointer);
        self.misconfigurations(entry, &resource, pointer);
        for (index, secret) in entry.secrets.iter().enumerate() {
            let place = format!("{pointer}/Secrets/{index}");
            let check = self.checks.of("exposed-secret").0;
            let mut finding = self.finding(check, &resource, Outcome::Fail, &place);
            finding.severity = Severity::from_word(&secret.severity);
            finding.rule = (*secret.rule_id).into();
            finding.message = clean(&secret.title).into();
            self.parsed.findings.push(finding);
        }
        for (index, modified) in entry.experimental_modified_findings.iter().enumerate() {
            let place = format!("{pointer}/ExperimentalModifiedFindings/{index}");
            self.suppressed(modified, &resource, &place);
        }
        self.licenses += entry.licenses.len();
    }

    fn finding(
        &self,
        check: CheckId,
        resource: &Arc<ResourceRef>,
        outcome: Outcome,
        pointer: &str,
    ) -> Finding {
        Finding::new(check, Arc::clone(resource), outcome, self.document.locator(pointer))
    }

    fn vulnerabilities(&mut self, entry: &Entry<'_>, resource: &Arc<ResourceRef>, pointer: &str) {
        let listed = entry.vulnerabilities.as_deref().unwrap_or_default();
        // Reports before Trivy 0.20 have no classes; there the list itself is the proof.
        let scanned = match &*entry.class {
            "os-pkgs" | "lang-pkgs" => true,
            "" => entry.vulnerabilities.is_some(),
            _ => !listed.is_empty(),
        };
        if scanned {
            let place = self.document.locator(pointer);
            let proof = scan_proof(&mut self.checks, resource, listed.len(), place);
            self.parsed.findings.push(proof);
        }
        let mut unrated = Unrated::default();
        for (index, item) in listed.iter().enumerate() {
            let severity = Severity::from_word(&item.severity);
            let place = format!("{pointer}/Vulnerabilities/{index}");
            let check = self.checks.vulnerability(severity);
            let mut finding = self.finding(check, resource, Outcome::Fail, &place);
            finding.severity = severity;
            finding.rule = (*item.id).into();
            finding.message =
                describe_vulnerability(&item.package, &item.installed, &item.fixed, &item.status)
                    .into();
            let field = "/Vulnerabilities/*/Severity";
            unrated.look(self.document, &item.severity, field, &finding.locator);
            self.parsed.findings.push(finding);
        }
        unrated.conclude(PREFIX, resource, &mut self.parsed.findings);
    }

    fn misconfigurations(&mut self, entry: &Entry<'_>, resource: &Arc<ResourceRef>, pointer: &str) {
        let (mut passes, mut failures, mut exceptions) = (0, 0, 0);
        for (index, item) in entry.misconfigurations.iter().enumerate() {
            let raw = if item.id.is_empty() { &item.avd_id } else { &item.id };
            let (check, raw_check) = self.checks.of(raw);
            Checks::describe(self.parsed, &check, &item.title, &item.resolution);
            let message = clean(Checks::message(&check, &item.title, &item.message));
            let (outcome, message) = match &*item.status {
                "PASS" => {
                    passes += 1;
                    weigh_pass(check.local(), resource)
                }
                // Reports before Trivy 0.20 list failures only and give no status.
                "FAIL" | "" => {
                    failures += 1;
                    (Outcome::Fail, message.into_owned())
                }
                "EXCEPTION" => {
                    exceptions += 1;
                    (Outcome::Fail, excepted("", &message))
                }
                other => (Outcome::Error, format!("unknown status `{}`", clean(other))),
            };
            let place = format!("{pointer}/Misconfigurations/{index}");
            let mut finding = self.finding(check, resource, outcome, &place);
            finding.severity = Severity::from_word(&item.severity);
            finding.raw_check = raw_check;
            finding.message = message.into();
            self.parsed.findings.push(finding);
        }
        let Some(stated) = &entry.misconf_summary else { return };
        self.unnamed_passes += stated.successes.saturating_sub(passes);
        if stated.failures > failures || stated.exceptions > exceptions {
            self.parsed.shortfall(
                self.document.locator(&format!("{pointer}/MisconfSummary")),
                format!(
                    "{}: {} failures and {} exceptions are counted, {failures} and {exceptions} are listed: results are missing",
                    resource, stated.failures, stated.exceptions
                ),
            );
        }
    }

    /// What was taken out by a scanner's setting still failed.
    fn suppressed(&mut self, modified: &Modified<'_>, resource: &Arc<ResourceRef>, pointer: &str) {
        let item = &modified.finding;
        let severity = Severity::from_word(&item.severity);
        let why = [&*modified.status, &*modified.statement]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(": ");
        let (check, raw_check, rule, message) = match &*modified.r#type {
            "vulnerability" => (
                self.checks.vulnerability(severity),
                "".into(),
                &item.vulnerability_id,
                describe_vulnerability(&item.package, &item.installed, &item.fixed, ""),
            ),
            "misconfiguration" => {
                let raw = if item.id.is_empty() { &item.avd_id } else { &item.id };
                let (check, raw_check) = self.checks.of(raw);
                let message = Checks::message(&check, &item.title, &item.message).to_owned();
                (check, raw_check, &Text::default(), message)
            }
            "secret" => (
                self.checks.of("exposed-secret").0,
                "".into(),
                &item.rule_id,
                item.title.to_string(),
            ),
            _ => {
                self.licenses += 1;
                return;
            }
        };
        let mut finding = self.finding(check, resource, Outcome::Fail, pointer);
        finding.severity = severity;
        finding.rule = (**rule).into();
        finding.raw_check = raw_check;
        finding.message = excepted(&clean(&why), &clean(&message)).into();
        let mut unrated = Unrated::default();
        if &*modified.r#type == "vulnerability" {
            let field = "/ExperimentalModifiedFindings/*/Finding/Severity";
            unrated.look(self.document, &item.severity, field, &finding.locator);
        }
        self.parsed.findings.push(finding);
        unrated.conclude(PREFIX, resource, &mut self.parsed.findings);
    }
}

fn excepted(why: &str, message: &str) -> String {
    let mut text = "excepted in Trivy".to_owned();
    if !why.is_empty() {
        text.push_str(" (");
        text.push_str(why);
        text.push(')');
    }
    if !message.is_empty() {
        text.push_str(": ");
        text.push_str(message);
    }
    text
}

/// What an entry is about where only its target says so: `Deployment/api`, `alpine:3.10 (alpine
/// 3.10.2)`, a path. Nothing at all is the cluster.
pub(super) fn resource_of_target(entry: &Entry<'_>) -> ResourceRef {
    let target = entry.target.trim();
    if target.is_empty() {
        return ResourceRef::cluster_scoped("Cluster", "");
    }
    if let Some((kind, name)) = kind_and_name(entry) {
        return ResourceRef::cluster_scoped(kind, name);
    }
    match &*entry.class {
        "os-pkgs" => ResourceRef::cluster_scoped("Image", without_system(target)),
        "" if target != without_system(target) => {
            ResourceRef::cluster_scoped("Image", without_system(target))
        }
        _ => ResourceRef::cluster_scoped("File", target),
    }
}

/// `Deployment/api` in a config scan. A path has more slashes, a lower-case start or a suffix.
fn kind_and_name<'t>(entry: &'t Entry<'_>) -> Option<(&'t str, &'t str)> {
    let (kind, name) = entry.target.trim().split_once('/')?;
    let is_config = matches!(&*entry.class, "config" | "");
    let is_kind = kind.starts_with(|c: char| c.is_ascii_uppercase())
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_path = name.is_empty()
        || name.contains('/')
        || [".yaml", ".yml", ".json", ".tf"].iter().any(|suffix| name.ends_with(suffix));
    (is_config && is_kind && !is_path && matches!(&*entry.r#type, "kubernetes" | ""))
        .then_some((kind, name))
}

/// `alpine:3.10 (alpine 3.10.2)` → `alpine:3.10`.
pub(super) fn without_system(target: &str) -> &str {
    match target.rsplit_once(" (") {
        Some((image, system)) if system.ends_with(')') => image,
        _ => target,
    }
}
