//! What fails, ranked by what it would cost if it were used.
//!
//! A rank of resources, not an opinion on controls: it decides no status. Everything that it is
//! worked out from is sealed, and every score lists its factors, so that anybody can do it again:
//!
//! - The score of a failing finding is its severity's [`points`] times four factors, in
//!   percent: exposure of the resource, power that it has over its node or the cluster
//!   ([`POWER`]), [criticality](Criticality) of its namespace, and whether what was found is known to
//!   be exploited.
//! - The score of a resource is the sum over the checks that it fails of the highest score of each:
//!   five hundred vulnerabilities of one class count once.
//! - Findings that a waiver in force covers wherever they count, and findings that may not be used,
//!   do not count.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::finding::{CheckId, Finding, Outcome, Severity};
use crate::population::Population;

/// How many resources the rank names.
pub const RANKED: usize = 25;

/// How much depends on a namespace, as configured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// The business stops.
    Critical,
    /// It is hurt.
    High,
    /// As most.
    #[default]
    Normal,
    /// Nobody would notice.
    Low,
}

impl Criticality {
    fn percent(self) -> u64 {
        match self {
            Self::Critical => 200,
            Self::High => 150,
            Self::Normal => 100,
            Self::Low => 50,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Points of a severity.
#[must_use]
pub fn points(severity: Severity) -> u64 {
    match severity {
        Severity::Critical => 40,
        Severity::High => 20,
        // What nobody rated is not harmless.
        Severity::Medium | Severity::Unknown => 8,
        Severity::Low => 3,
        Severity::Info => 1,
    }
}

/// Factor of the worst way in which a resource can be reached from outside, in percent.
fn exposure_percent(how: &str) -> u64 {
    match how {
        "load-balancer" | "ingress" => 200,
        "node-port" | "host" => 150,
        _ => 100,
    }
}

/// Checks whose failure means that whoever takes over the resource has its node or the cluster too.
/// Built-in checks and their equals in Trivy.
pub const POWER: &[&str] = &[
    "affidavit:binding-to-escalation",
    "affidavit:capabilities-baseline",
    "affidavit:cluster-admin-bindings",
    "affidavit:container-privileged",
    "affidavit:container-runtime-socket",
    "affidavit:host-network",
    "affidavit:host-path",
    "affidavit:host-pid",
    "affidavit:host-process",
    "affidavit:role-escalation-verbs",
    "affidavit:sensitive-host-path",
    "trivy:KSV-0006",
    "trivy:KSV-0009",
    "trivy:KSV-0010",
    "trivy:KSV-0017",
    "trivy:KSV-0022",
    "trivy:KSV-0023",
    "trivy:KSV-0043",
    "trivy:KSV-0111",
];

const POWER_PERCENT: u64 = 150;
const EXPLOITED_PERCENT: u64 = 300;

/// A resource with its score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// As reports print it.
    pub resource: String,
    /// Its score.
    pub score: u64,
    /// Score of each check that it fails.
    pub checks: BTreeMap<CheckId, u64>,
    /// What raised or lowered it, in words.
    pub factors: Vec<String>,
}

/// What is known beside findings.
#[derive(Clone, Debug, Default)]
pub struct Circumstances<'a> {
    /// Criticality by namespace.
    pub namespaces: BTreeMap<String, Criticality>,
    /// Ids of vulnerabilities that are known to be exploited.
    pub exploited: BTreeSet<String>,
    /// What was in scope.
    pub populations: Vec<&'a Population>,
}

/// `(kind, namespace, name)`.
type Key<'a> = (&'a str, &'a str, &'a str);

/// Ranks all resources with a failing finding, highest score first, then by name. Gives the first
/// [`RANKED`] and how many there are in all.
pub fn rank<'a>(
    failing: impl Iterator<Item = &'a Finding>,
    circumstances: &Circumstances<'_>,
) -> (Vec<Risk>, usize) {
    let mut by_resource: HashMap<Key<'a>, Vec<&'a Finding>> = HashMap::new();
    for finding in failing.filter(|finding| finding.outcome == Outcome::Fail) {
        let resource = &finding.resource;
        let key = (&*resource.kind, &*resource.namespace, &*resource.name);
        by_resource.entry(key).or_default().push(finding);
    }
    let mut exposed: HashMap<Key<'_>, &str> = HashMap::new();
    for member in circumstances.populations.iter().flat_map(|population| &population.members) {
        if let Some(worst) = member.exposed.first() {
            exposed.insert((&member.kind, &member.namespace, &member.name), worst);
        }
    }
    let mut risks: Vec<Risk> = by_resource
        .iter()
        .map(|(key, findings)| {
            let how = exposed.get(&(key.0, key.1, key.2)).copied().unwrap_or_default();
            of_resource(*key, findings, how, circumstances)
        })
        .collect();
    risks.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.resource.cmp(&b.resource)));
    let all = risks.len();
    risks.truncate(RANKED);
    (risks, all)
}

fn of_resource(
    (kind, namespace, name): Key<'_>,
    findings: &[&Finding],
    how: &str,
    circumstances: &Circumstances<'_>,
) -> Risk {
    let criticality = circumstances.namespaces.get(namespace).copied().unwrap_or_default();
    let has_power = findings.iter().any(|finding| POWER.contains(&finding.check.as_str()));
    let mut factors = Vec::new();
    let mut percent = exposure_percent(how);
    if !how.is_empty() {
        factors.push(format!("reachable from outside ({how}): ×{}", decimal(percent)));
    }
    if has_power {
        percent = percent * POWER_PERCENT / 100;
        factors.push(format!("power over node or cluster: ×{}", decimal(POWER_PERCENT)));
    }
    if criticality != Criticality::Normal {
        percent = percent * criticality.percent() / 100;
        factors.push(format!(
            "namespace of {} criticality: ×{}",
            criticality.as_str(),
            decimal(criticality.percent())
        ));
    }
    let mut checks: BTreeMap<CheckId, u64> = BTreeMap::new();
    let mut exploited = BTreeSet::new();
    for finding in findings {
        let mut score = points(finding.severity) * percent / 100;
        if circumstances.exploited.contains(&*finding.rule) {
            score = score * EXPLOITED_PERCENT / 100;
            exploited.insert(&*finding.rule);
        }
        let known = checks.entry(finding.check.clone()).or_default();
        *known = score.max(*known);
    }
    if !exploited.is_empty() {
        let ids: Vec<&str> = exploited.into_iter().collect();
        factors.push(format!("known to be exploited ({}): ×3", ids.join(", ")));
    }
    let resource = if namespace.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{namespace}/{kind}/{name}")
    };
    Risk { resource, score: checks.values().sum(), checks, factors }
}

/// 150 percent is 1.5.
fn decimal(percent: u64) -> String {
    match percent % 100 {
        0 => (percent / 100).to_string(),
        rest => format!("{}.{}", percent / 100, rest / 10),
    }
}

/// Ids of vulnerabilities in a list of known exploited ones: the JSON that CISA publishes, or any
/// other text that names them.
#[must_use]
pub fn vulnerability_ids(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| {
            let mut parts = word.split('-');
            let is_number = |part: Option<&str>, least: usize| {
                part.is_some_and(|p| p.len() >= least && p.bytes().all(|b| b.is_ascii_digit()))
            };
            parts.next() == Some("CVE")
                && is_number(parts.next(), 4)
                && is_number(parts.next(), 4)
                && parts.next().is_none()
        })
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::finding::ResourceRef;
    use crate::population::Member;

    fn fail(check: &str, severity: Severity, namespace: &str, rule: &str) -> Finding {
        let (scanner, local) = check.split_once(':').unwrap();
        Finding {
            check: CheckId::new(scanner, local),
            resource: Arc::new(ResourceRef::namespaced("Deployment", namespace, "web")),
            outcome: Outcome::Fail,
            severity,
            rule: rule.into(),
            raw_check: "".into(),
            message: "".into(),
            locator: "".into(),
        }
    }

    #[test]
    fn a_score_is_the_product_of_what_is_listed() {
        let population = Population {
            members: vec![Member {
                kind: "Deployment".to_owned(),
                namespace: "pay".to_owned(),
                name: "web".to_owned(),
                exposed: vec!["ingress".to_owned(), "host".to_owned()],
                ..Member::default()
            }],
            ..Population::default()
        };
        let findings = [
            fail("affidavit:container-privileged", Severity::Critical, "pay", ""),
            fail("trivy:vulnerability-high", Severity::High, "pay", "CVE-2024-0001"),
            fail("trivy:vulnerability-high", Severity::High, "pay", "CVE-2024-0002"),
            fail("affidavit:memory-limit", Severity::Low, "lab", ""),
        ];
        let circumstances = Circumstances {
            namespaces: [("pay", Criticality::High), ("lab", Criticality::Low)]
                .map(|(name, criticality)| (name.to_owned(), criticality))
                .into(),
            exploited: ["CVE-2024-0002".to_owned()].into(),
            populations: vec![&population],
        };
        let (risks, all) = rank(findings.iter(), &circumstances);
        assert_eq!(all, 2);
        // 200 % exposure, 150 % power, 150 % namespace: 450 %.
        let score = 40 * 450 / 100 + 20 * 450 / 100 * 3;
        assert_eq!((risks[0].resource.as_str(), risks[0].score), ("pay/Deployment/web", score));
        assert_eq!(
            risks[0].factors,
            [
                "reachable from outside (ingress): ×2",
                "power over node or cluster: ×1.5",
                "namespace of high criticality: ×1.5",
                "known to be exploited (CVE-2024-0002): ×3",
            ]
        );
        assert_eq!((risks[1].score, risks[1].factors.len()), (3 * 50 / 100, 1));
    }

    #[test]
    fn ids_are_found_in_any_text() {
        let text = r#"{"vulnerabilities":[{"cveID":"CVE-2021-44228"},{"cveID":"CVE-2024-1"}]} CVE-2023-12345."#;
        let ids: Vec<_> = vulnerability_ids(text).into_iter().collect();
        assert_eq!(ids, ["CVE-2021-44228", "CVE-2023-12345"]);
    }
}
