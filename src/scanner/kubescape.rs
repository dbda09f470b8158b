//! Kubescape JSON, format version 2: Kubescape 2.0 (2022), 3 and 4.
//!
//! Kubescape's `passed` has shades, given as `subStatus`: `irrelevant` (nothing matched),
//! `w/exceptions` (failed and excepted), incomplete coverage (part of the resources could not be
//! fetched). Version 2.0 gives no status of a control at a resource, only of its rules.
//!
//! A control without any resource is never a pass and never not-applicable: the report does not say
//! whether Kubescape could list the resources that it did not find.
//!
//! `resources[].object` is the whole manifest with its environment variables; only its UID is read.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::kube_object::null_as_default;
use super::text::{Text, Word, clean};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Kubescape;

const PREFIX: &str = "kubescape";
/// Why a failure is none to Kubescape.
const EXCEPTED: &str = "excepted in Kubescape";
/// Paths of one failure that are written out.
const MAX_PATHS: usize = 20;

impl Scanner for Kubescape {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        !probe.is_array
            && (probe.child_has("summaryDetails", "controls")
                || probe.has("summaryDetails")
                    && !probe.child_keys.contains_key("summaryDetails")
                    && probe.child_has("results", "controls"))
            // Where no resource has a result, there is no `results`.
            && probe.child_keys.get("results").is_none_or(|keys| keys.contains("resourceID"))
    }

    fn is_dated(&self) -> bool {
        true
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "attributes",
            "clusterAPIServerInfo",
            "clusterCloudProvider",
            "clusterName",
            "customerGUID",
            "customerGUIDGenerated",
            "generationTime",
            "jobID",
            "metadata",
            "paginationInfo",
            "reportGUID",
            "resources",
            "results",
            "scanCoverage",
            "summaryDetails",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let report: Report<'_> = document.read()?;
        let scan = &report.metadata.scan;
        parsed.saw_tool(PREFIX, scan.kubescape_version.trim_start_matches('v'));
        if let Some(at) = document.time("/generationTime", &report.generation_time) {
            parsed.saw_time(at);
        }
        for framework in &report.summary_details.frameworks {
            parsed.saw_rule_set(&framework.name);
        }
        let context = report.metadata.target.cluster_context_metadata.as_ref();
        let context = context.map_or("", |context| &*context.context_name);
        let deprecated = &*report.metadata.cluster.context_name;
        let mut names = [&*report.cluster_name, context, deprecated].into_iter();
        parsed.saw_cluster(&clean(names.find(|name| !name.is_empty()).unwrap_or_default()));
        report.read_results(document, parsed);
        if let Some(coverage) = &report.scan_coverage {
            coverage.tell(document, parsed);
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Report<'a> {
    #[serde(borrow)]
    generation_time: Text<'a>,
    cluster_name: Text<'a>,
    summary_details: SummaryDetails<'a>,
    #[serde(deserialize_with = "null_as_default")]
    results: Vec<ResourceResult<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    resources: Vec<Resource<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    metadata: Metadata<'a>,
    /// Only where something was not covered (Kubescape 4, since May 2026).
    scan_coverage: Option<Coverage<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Coverage<'a> {
    degraded: bool,
    evaluated_controls: Option<usize>,
    total_controls: Option<usize>,
    #[serde(borrow, rename = "failedGVRPulls", deserialize_with = "null_as_default")]
    failed: Vec<Pull<'a>>,
    #[serde(rename = "partialGVRPulls", deserialize_with = "null_as_default")]
    partial: Vec<Pull<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    not_evaluated_controls: Vec<NotEvaluated<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    policy_degradations: Vec<Degradation<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    skipped_manifests: Vec<serde::de::IgnoredAny>,
}

/// What could not be listed. Its `error` is a server's text, which is not repeated.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Pull<'a> {
    #[serde(borrow)]
    gvr: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NotEvaluated<'a> {
    #[serde(borrow, rename = "controlID")]
    id: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Degradation<'a> {
    #[serde(borrow)]
    component: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow, rename = "scanMetadata")]
    scan: ScanMetadata<'a>,
    #[serde(rename = "targetMetadata")]
    target: TargetMetadata<'a>,
    /// The place of the context's name before `targetMetadata`.
    #[serde(rename = "clusterMetadata", deserialize_with = "null_as_default")]
    cluster: ClusterContext<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ScanMetadata<'a> {
    #[serde(borrow)]
    kubescape_version: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TargetMetadata<'a> {
    #[serde(borrow)]
    cluster_context_metadata: Option<ClusterContext<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClusterContext<'a> {
    #[serde(borrow)]
    context_name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SummaryDetails<'a> {
    #[serde(borrow, deserialize_with = "null_as_default")]
    frameworks: Vec<Framework<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    controls: BTreeMap<Text<'a>, ControlSummary<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Framework<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ControlSummary<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    status_info: Status<'a>,
    status: Text<'a>,
    #[serde(rename = "ResourceCounters")]
    counters: Counters,
    severity: Text<'a>,
    score_factor: f64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Counters {
    #[serde(rename = "passedResources")]
    passed: usize,
    #[serde(rename = "failedResources")]
    failed: usize,
    #[serde(rename = "skippedResources")]
    skipped: usize,
    #[serde(rename = "excludedResources")]
    excluded: usize,
}

impl Counters {
    fn total(self) -> usize {
        self.passed
            .saturating_add(self.failed)
            .saturating_add(self.skipped)
            .saturating_add(self.excluded)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow, rename = "status")]
    word: Word<'a>,
    #[serde(rename = "subStatus")]
    sub: Word<'a>,
    info: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceResult<'a> {
    #[serde(borrow, rename = "resourceID")]
    resource_id: Text<'a>,
    #[serde(deserialize_with = "null_as_default")]
    controls: Vec<ControlResult<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ControlResult<'a> {
    #[serde(borrow, rename = "controlID")]
    control_id: Text<'a>,
    severity: Text<'a>,
    /// Missing in 2.0.
    status: Option<Status<'a>>,
    #[serde(deserialize_with = "null_as_default")]
    rules: Vec<Rule<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    sub_status: Word<'a>,
    #[serde(deserialize_with = "null_as_default")]
    paths: Vec<Paths<'a>>,
    exception: Exceptions,
}

/// What excepts a failure, of whatever shape: Kubescape ships exceptions for what a platform needs, and users add
/// their own.
#[derive(Default)]
struct Exceptions {
    is_any: bool,
    /// Name of the first one, and whether Kubescape ships it.
    first: Option<(String, bool)>,
}

impl<'de> Deserialize<'de> for Exceptions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let is_any = match &value {
            Value::Null => false,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        let first = value.as_array().into_iter().flatten().find_map(|exception| {
            let name = exception.get("name").filter(|name| !name.is_null())?;
            let name = name.as_str().map_or_else(|| name.to_string(), ToOwned::to_owned);
            let is_own =
                exception.pointer("/attributes/systemException") == Some(&Value::Bool(true));
            Some((name, is_own))
        });
        Ok(Self { is_any, first })
    }
}

/// `fixPath.value` and `fixCommand` may hold values of the manifest and are not read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Paths<'a> {
    #[serde(borrow, rename = "failedPath")]
    failed: Text<'a>,
    #[serde(rename = "reviewPath")]
    review: Text<'a>,
    #[serde(rename = "deletePath")]
    delete: Text<'a>,
    #[serde(rename = "fixPath")]
    fix: FixPath<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FixPath<'a> {
    #[serde(borrow)]
    path: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow, rename = "resourceID")]
    id: Text<'a>,
    object: Option<Object<'a>>,
    source: Option<Source<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    #[serde(borrow, deserialize_with = "null_as_default")]
    metadata: ObjectMetadata<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectMetadata<'a> {
    #[serde(borrow)]
    uid: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source<'a> {
    #[serde(borrow)]
    relative_path: Text<'a>,
}

/// A control's id as a check, its severity, and at how many resources it has a result.
struct Known {
    check: CheckId,
    severity: Severity,
    results: usize,
    /// At how many of them it failed or was excepted.
    failures: usize,
}

impl Report<'_> {
    fn read_results(&self, document: &Document<'_>, parsed: &mut Parsed) {
        let resources: HashMap<&str, &Resource<'_>> =
            self.resources.iter().map(|resource| (&*resource.id, resource)).collect();
        let mut known: HashMap<&str, Known> = HashMap::new();
        for (id, summary) in &self.summary_details.controls {
            let check = CheckId::new(PREFIX, named(id));
            if has_own_title(id) {
                parsed.saw_check(&check, &clean(&summary.name), "");
            }
            let severity = summary.severity();
            known.insert(id, Known { check, severity, results: 0, failures: 0 });
        }
        for (index, result) in self.results.iter().enumerate() {
            let listed = resources.get(&*result.resource_id).copied();
            let resource = Arc::new(resource_of(&result.resource_id, listed));
            for (nth, control) in result.controls.iter().enumerate() {
                let entry = known.entry(&control.control_id).or_insert_with(|| Known {
                    check: CheckId::new(PREFIX, named(&control.control_id)),
                    severity: Severity::Unknown,
                    results: 0,
                    failures: 0,
                });
                entry.results += 1;
                let (outcome, message) = judge(control);
                entry.failures += usize::from(outcome == Outcome::Fail);
                let severity = match Severity::from_word(&control.severity) {
                    Severity::Unknown => entry.severity,
                    stated => stated,
                };
                parsed.findings.push(Finding {
                    check: entry.check.clone(),
                    resource: Arc::clone(&resource),
                    outcome,
                    severity,
                    rule: "".into(),
                    raw_check: "".into(),
                    message: message.into(),
                    locator: document.locator(&format!("/results/{index}/controls/{nth}")),
                });
            }
        }
        self.note_exceptions(document, parsed);
        self.read_summary(document, &known, parsed);
    }

    /// Failures under an exception count as failures: accepting a risk is a waiver with an approver and an end.
    fn note_exceptions(&self, document: &Document<'_>, parsed: &mut Parsed) {
        let fails = parsed.count(Outcome::Fail);
        let controls = self.results.iter().flat_map(|result| &result.controls);
        let excepted = controls
            .filter(|control| judge(control).1.starts_with(EXCEPTED))
            .filter_map(ControlResult::exception);
        let (mut own, mut others) = (0, 0);
        for (_, is_own) in excepted {
            *(if is_own { &mut own } else { &mut others }) += 1;
        }
        for (count, whose) in
            [(own, "Kubescape's own exceptions"), (others, "exceptions of its user")]
        {
            if count > 0 {
                let text = format!(
                    "{count} of {fails} failures are under {whose}, and count as failures without a waiver"
                );
                parsed.note(document.locator("/results"), text);
            }
        }
    }

    /// What the summary knows and the results do not hold.
    fn read_summary(
        &self,
        document: &Document<'_>,
        known: &HashMap<&str, Known>,
        parsed: &mut Parsed,
    ) {
        let cluster = Arc::new(ResourceRef::cluster_scoped("Cluster", ""));
        let mut missing = Vec::new();
        for (id, summary) in &self.summary_details.controls {
            let Some(known) = known.get(&**id) else { continue };
            let counted = summary.counters.total();
            if summary.counters.failed > known.failures && known.results >= counted {
                let (failed, read) = (summary.counters.failed, known.failures);
                missing.push(format!("{} ({read} of {failed} failures)", &**id));
            }
            if counted > known.results {
                missing.push(format!("{} ({} of {counted})", &**id, known.results));
            }
            if known.results > 0 {
                continue;
            }
            let (outcome, message) = summary.judge_without_results();
            let pointer = format!("/summaryDetails/controls/{}", escape(id));
            parsed.findings.push(Finding {
                check: known.check.clone(),
                resource: Arc::clone(&cluster),
                outcome,
                severity: known.severity,
                rule: "".into(),
                raw_check: "".into(),
                message: message.into(),
                locator: document.locator(&pointer),
            });
        }
        if self.summary_details.controls.is_empty() {
            let text = match self.results.as_slice() {
                [] => "no control was run",
                _ => "`summaryDetails` lists no controls: nothing shows that the results are all",
            };
            parsed.shortfall(document.locator("/summaryDetails/controls"), text);
        }
        if !missing.is_empty() {
            let shown = missing.iter().take(MAX_PATHS).cloned().collect::<Vec<_>>().join(", ");
            let more = missing.len().saturating_sub(MAX_PATHS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            parsed.shortfall(
                document.locator("/results"),
                format!("results are missing that the summary counts: {shown}{more}"),
            );
        }
    }
}

impl ControlResult<'_> {
    /// The first exception that covers it, and whether Kubescape ships it.
    fn exception(&self) -> Option<(&str, bool)> {
        let first = self.rules.iter().find_map(|rule| rule.exception.first.as_ref());
        first.map(|(name, is_own)| (name.as_str(), *is_own))
    }
}

impl Coverage<'_> {
    fn tell(&self, document: &Document<'_>, parsed: &mut Parsed) {
        let list = |names: Vec<&str>| {
            let shown: Vec<_> = names.iter().take(MAX_PATHS).map(|name| clean(name)).collect();
            let more = names.len().saturating_sub(MAX_PATHS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more}", shown.join(", "))
        };
        let mut missing = Vec::new();
        for (what, names) in [
            ("not listed", self.failed.iter().map(|pull| &*pull.gvr).collect::<Vec<_>>()),
            ("listed in part", self.partial.iter().map(|pull| &*pull.gvr).collect()),
            (
                "controls not evaluated",
                self.not_evaluated_controls.iter().map(|c| &*c.id).collect(),
            ),
            ("policies degraded", self.policy_degradations.iter().map(|d| &*d.component).collect()),
        ] {
            if !names.is_empty() {
                missing.push(format!("{what}: {}", list(names)));
            }
        }
        if !self.skipped_manifests.is_empty() {
            missing.push(format!("manifests skipped: {}", self.skipped_manifests.len()));
        }
        if let (Some(evaluated), Some(total)) = (self.evaluated_controls, self.total_controls)
            && evaluated < total
        {
            missing.push(format!("{evaluated} of {total} controls evaluated"));
        }
        if self.degraded || !missing.is_empty() {
            let what =
                if missing.is_empty() { "no details".to_owned() } else { missing.join("; ") };
            let text = format!("Kubescape says that its scan is incomplete ({what})");
            parsed.shortfall(document.locator("/scanCoverage"), text);
        }
    }
}

impl ControlSummary<'_> {
    fn severity(&self) -> Severity {
        match Severity::from_word(&self.severity) {
            Severity::Unknown => severity_of_factor(self.score_factor),
            stated => stated,
        }
    }

    fn judge_without_results(&self) -> (Outcome, String) {
        let status =
            if self.status_info.word.is_empty() { &*self.status } else { &*self.status_info.word };
        let info = clean(&self.status_info.info);
        let is_review = self.status_info.sub.contains("review");
        let (outcome, text) = match status {
            "failed" => (Outcome::Fail, "failed, but no resource is named"),
            "skipped" if is_review => (Outcome::Manual, "left to a person"),
            "skipped" => (Outcome::NotChecked, "skipped in Kubescape"),
            "passed" | "irrelevant" | "excluded" => (
                Outcome::NotChecked,
                "no resource to look at was found: Kubescape does not say whether it could list them",
            ),
            "" => (Outcome::Error, "no status stated"),
            other => (Outcome::Error, other),
        };
        let text = if outcome == Outcome::Error && !status.is_empty() {
            format!("unknown status `{}`", clean(text))
        } else {
            text.to_owned()
        };
        (outcome, if info.is_empty() { text } else { format!("{text}: {info}") })
    }
}

/// Kubescape's own scale (opa-utils, `ControlSeverityToString`).
fn severity_of_factor(factor: f64) -> Severity {
    match factor {
        f if f >= 9.0 => Severity::Critical,
        f if f >= 7.0 => Severity::High,
        f if f >= 4.0 => Severity::Medium,
        f if f >= 1.0 => Severity::Low,
        _ => Severity::Unknown,
    }
}

/// From C-0092 on, Kubescape's controls mostly carry a CIS benchmark's recommendation titles, whose
/// wording is licensed; those with `CIS-` ids always do.
fn has_own_title(id: &str) -> bool {
    id.strip_prefix("C-").and_then(|digits| digits.parse().ok()).is_some_and(|n: u32| n < 92)
}

fn named(id: &str) -> &str {
    if id.is_empty() { "unnamed" } else { id }
}

fn escape(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        key.replace('~', "~0").replace('/', "~1").into()
    } else {
        key.into()
    }
}

fn judge(control: &ControlResult<'_>) -> (Outcome, String) {
    let (outcome, mut message) = match &control.status {
        Some(status) if !status.word.is_empty() => {
            judge_status(&status.word, &status.sub, &status.info, false)
        }
        _ => control
            .rules
            .iter()
            .map(|rule| judge_status(&rule.status, &rule.sub_status, "", rule.exception.is_any))
            .min_by_key(|(outcome, message)| (*outcome, !message.is_empty()))
            .unwrap_or_else(|| (Outcome::Error, "neither a status nor rules".to_owned())),
    };
    if outcome == Outcome::Fail {
        if message == EXCEPTED
            && let Some((name, is_own)) = control.exception()
        {
            let whose = if is_own { "Kubescape's own exception" } else { "the exception" };
            message = format!("{EXCEPTED} by {whose} `{}`", clean(name));
        }
        let paths = failed_paths(control);
        if !paths.is_empty() {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&paths);
        }
    }
    (outcome, message)
}

fn judge_status(status: &str, sub: &str, info: &str, is_excepted: bool) -> (Outcome, String) {
    let with_info = |text: &str| {
        let info = clean(info);
        if info.is_empty() { text.to_owned() } else { format!("{text}: {info}") }
    };
    let is_review = sub.contains("review");
    let sub = sub.trim();
    match status {
        "failed" if is_excepted => (Outcome::Fail, EXCEPTED.to_owned()),
        "failed" => (Outcome::Fail, String::new()),
        // Kubescape 2.0: failed, with an exception.
        "excluded" => (Outcome::Fail, EXCEPTED.to_owned()),
        "irrelevant" => (Outcome::NotApplicable, String::new()),
        "skipped" if is_review => (Outcome::Manual, with_info("left to a person")),
        "passed" | "skipped" if sub.contains("incomplete") => {
            (Outcome::Error, with_info("part of the resources could not be fetched"))
        }
        "skipped" => (Outcome::NotChecked, with_info("skipped in Kubescape")),
        "passed" if sub == "w/exceptions" || is_excepted => (Outcome::Fail, EXCEPTED.to_owned()),
        "passed" if sub.is_empty() => (Outcome::Pass, String::new()),
        "passed" if sub == "irrelevant" => (Outcome::NotApplicable, String::new()),
        "passed" if is_review => (Outcome::Manual, with_info("left to a person")),
        "passed" if matches!(sub, "configuration" | "integration" | "not evaluated") => {
            (Outcome::NotChecked, with_info(sub))
        }
        "passed" => (Outcome::Error, format!("unknown sub-status `{}`", clean(sub))),
        "" => (Outcome::Error, "no status stated".to_owned()),
        other => (Outcome::Error, format!("unknown status `{}`", clean(other))),
    }
}

/// Where in the manifest it failed. Paths only, never the values there.
fn failed_paths(control: &ControlResult<'_>) -> String {
    let mut paths: Vec<&str> = control
        .rules
        .iter()
        .flat_map(|rule| &rule.paths)
        .flat_map(|path| [&path.failed, &path.review, &path.delete, &path.fix.path])
        .map(|path| path.trim())
        .filter(|path| !path.is_empty())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let more = paths.len().saturating_sub(MAX_PATHS);
    paths.truncate(MAX_PATHS);
    let text = paths.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// `group/version/namespace/Kind/name`, in files after `path=<hash>/api=`. Who-may-do-what controls
/// have a composite: the subject as `group/namespace/Kind/name`, then the ids of role and binding,
/// which are kept as `part`.
fn resource_of(id: &str, listed: Option<&Resource<'_>>) -> ResourceRef {
    let plain = id
        .strip_prefix("path=")
        .and_then(|rest| rest.split_once("/api="))
        .map_or(id, |(_, rest)| rest);
    let segments: Vec<&str> = plain.split('/').collect();
    let mut resource = match segments.as_slice() {
        [_, _, namespace, kind, name] | [_, namespace, kind, name] => {
            ResourceRef::namespaced(*kind, namespace.trim(), *name)
        }
        [_, namespace, kind, name, rest @ ..] => ResourceRef {
            part: rest.join("/"),
            ..ResourceRef::namespaced(*kind, namespace.trim(), *name)
        },
        _ => ResourceRef::cluster_scoped("", plain),
    };
    if let Some(listed) = listed {
        if let Some(object) = &listed.object {
            resource.uid = object.metadata.uid.to_string();
        }
        if let (true, Some(source)) = (resource.part.is_empty(), &listed.source) {
            resource.part = source.relative_path.to_string();
        }
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::read;

    fn shown(parsed: &Parsed) -> Vec<String> {
        let line = |f: &Finding| format!("{} {} {}", f.check, f.resource, f.outcome);
        parsed.findings.iter().map(line).collect()
    }

    fn report(results: &str, controls: &str, rest: &str) -> Parsed {
        let text = format!(
            r#"{{"generationTime":"0001-01-01T00:00:00Z","clusterName":"","summaryDetails":{{"frameworks":[{{"name":"NSA"}}],"controls":{{{controls}}}}},"results":[{results}]{rest}}}"#
        );
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["kubescape"]);
        reading.parsed
    }

    fn outcome(control: &str) -> (Outcome, String) {
        let parsed = report(
            &format!(
                r#"{{"resourceID":"apps/v1/a/Deployment/api","controls":[{{"controlID":"C-0017",{control}}}]}}"#
            ),
            "",
            "",
        );
        let finding = &parsed.findings[0];
        assert_eq!(finding.check.as_str(), "kubescape:C-0017");
        assert_eq!(finding.resource.to_string(), "a/Deployment/api");
        (finding.outcome, finding.message.to_string())
    }

    #[test]
    fn exceptions_are_named_and_counted_and_coverage_is_told() {
        let rule = |name: &str, attributes: &str| {
            format!(
                r#"{{"controlID":"C-0001","status":{{"status":"passed","subStatus":"w/exceptions"}},"rules":[{{"status":"passed","exception":[{{"name":"{name}"{attributes}}}]}}]}}"#
            )
        };
        let own = rule("exclude-kube-system", r#","attributes":{"systemException":true}"#);
        let report = |coverage: &str| {
            let text = format!(
                r#"{{"summaryDetails":{{"controls":{{"C-0001":{{"status":"failed"}}}}}},"results":[
                {{"resourceID":"/v1/a/Pod/x","controls":[{own}]}},{{"resourceID":"/v1/a/Pod/y","controls":[{}]}}]{coverage}}}"#,
                rule("legacy", "")
            );
            crate::scanner::read(text.as_bytes(), "").unwrap().parsed
        };
        let parsed = report("");
        let said: Vec<&str> = parsed.findings.iter().map(|finding| &*finding.message).collect();
        assert_eq!(
            said,
            [
                "excepted in Kubescape by Kubescape's own exception `exclude-kube-system`",
                "excepted in Kubescape by the exception `legacy`"
            ]
        );
        assert!(parsed.findings.iter().all(|finding| finding.outcome == Outcome::Fail));
        assert!(parsed.notes[0].text.starts_with("1 of 2 failures are under Kubescape's own"));
        assert!(
            parsed.notes[1].text.starts_with("1 of 2 failures are under exceptions of its user")
        );
        let weak = |coverage: &str| {
            let notes = report(coverage).notes;
            notes.into_iter().find(|note| note.weakens).map(|note| note.text)
        };
        let degraded = r#","scanCoverage":{"degraded":true,"failedGVRPulls":[{"gvr":"apps/v1/daemonsets","error":"x"}],"notEvaluatedControls":[{"controlID":"C-0041"}]}"#;
        let text = weak(degraded).unwrap();
        assert!(
            text.contains("not listed: apps/v1/daemonsets; controls not evaluated: C-0041"),
            "{text}"
        );
        assert!(weak(r#","scanCoverage":{"degraded":true}"#).is_some());
        assert!(weak(r#","scanCoverage":{"partialGVRPulls":[{"gvr":"/v1/pods"}]}"#).is_some());
        assert!(weak(r#","scanCoverage":"unknown""#).is_some());
        assert_eq!(weak(r#","scanCoverage":{"degraded":false}"#), None);
    }

    #[test]
    fn states_of_a_control_at_a_resource() {
        for (status, expected) in [
            (r#""status":"passed""#, Outcome::Pass),
            (r#""status":"passed","subStatus":"irrelevant""#, Outcome::NotApplicable),
            (r#""status":"passed","subStatus":"w/exceptions""#, Outcome::Fail),
            (r#""status":"passed","subStatus":"incomplete coverage""#, Outcome::Error),
            (r#""status":"passed","subStatus":"configuration""#, Outcome::NotChecked),
            (r#""status":"passed","subStatus":"manual review""#, Outcome::Manual),
            (r#""status":"passed","subStatus":"new word""#, Outcome::Error),
            (r#""status":"skipped","subStatus":"manual review""#, Outcome::Manual),
            (r#""status":"skipped","subStatus":"requires review""#, Outcome::Manual),
            (r#""status":"skipped","subStatus":"configuration","info":"i""#, Outcome::NotChecked),
            (r#""status":"skipped","subStatus":"incomplete coverage""#, Outcome::Error),
            (r#""status":"failed""#, Outcome::Fail),
            (r#""status":"excluded""#, Outcome::Fail),
            (r#""status":"irrelevant""#, Outcome::NotApplicable),
            (r#""status":"new word""#, Outcome::Error),
        ] {
            assert_eq!(outcome(&format!(r#""status":{{{status}}}"#)).0, expected, "{status}");
        }
    }

    #[test]
    fn paths_are_told_and_values_are_not() {
        let (outcome, message) = outcome(
            r#""status":{"status":"failed"},"rules":[{"status":"failed","paths":[{"failedPath":"spec.a"},{"fixPath":{"path":"spec.b","value":"hunter2"}},{"reviewPath":"spec.a"}]}]"#,
        );
        assert_eq!((outcome, message.as_str()), (Outcome::Fail, "spec.a, spec.b"));
    }

    #[test]
    fn version_2_0_is_judged_by_its_rules() {
        assert_eq!(outcome(r#""rules":[{"status":"passed"}]"#).0, Outcome::Pass);
        assert_eq!(
            outcome(
                r#""rules":[{"status":"passed"},{"status":"failed","paths":[{"failedPath":"x"}]}]"#
            ),
            (Outcome::Fail, "x".to_owned())
        );
        let excepted = outcome(r#""rules":[{"status":"failed","exception":[{"name":"e"}]}]"#);
        assert_eq!(excepted, (Outcome::Fail, format!("{EXCEPTED} by the exception `e`")));
        assert_eq!(outcome(r#""rules":[]"#).0, Outcome::Error);
    }

    #[test]
    fn controls_without_resources_are_never_passed() {
        let parsed = report(
            "",
            r#""C-0001":{"statusInfo":{"status":"passed","subStatus":"irrelevant"},"name":"own"},
               "C-0002":{"statusInfo":{"status":"passed"}},
               "C-0003":{"statusInfo":{"status":"skipped","subStatus":"manual review"}},
               "C-0004":{"statusInfo":{"status":"skipped","info":"operator only"},"scoreFactor":9},
               "C-0005":{"statusInfo":{"status":"failed"}},
               "C-0006":{"status":"irrelevant"},
               "C-0007":{"status":"strange"},
               "C-0113":{"status":"irrelevant","name":"Ensure that ..."}"#,
            "",
        );
        let outcomes: Vec<_> = parsed.findings.iter().map(|f| f.outcome).collect();
        assert_eq!(
            outcomes,
            [
                Outcome::NotChecked,
                Outcome::NotChecked,
                Outcome::Manual,
                Outcome::NotChecked,
                Outcome::Fail,
                Outcome::NotChecked,
                Outcome::Error,
                Outcome::NotChecked,
            ]
        );
        assert_eq!(&*parsed.findings[3].message, "skipped in Kubescape: operator only");
        assert_eq!(parsed.findings[3].severity, Severity::Critical);
        assert_eq!(&*parsed.findings[0].locator, "/summaryDetails/controls/C-0001");
        let titles: Vec<_> = parsed.checks.values().map(|info| info.title.as_str()).collect();
        assert!(titles.contains(&"own") && !titles.iter().any(|title| title.starts_with("Ensure")));
        assert_eq!(parsed.rule_sets, ["NSA"]);
        assert_eq!(parsed.taken_at, None);
    }

    #[test]
    fn counted_results_that_are_not_there_weaken() {
        let parsed = report(
            r#"{"resourceID":"/v1/a/Pod/p","controls":[{"controlID":"C-0001","status":{"status":"passed"}}]}"#,
            r#""C-0001":{"status":"passed","ResourceCounters":{"passedResources":3}}"#,
            "",
        );
        assert_eq!(shown(&parsed), ["kubescape:C-0001 a/Pod/p pass"]);
        assert!(parsed.notes[0].weakens && parsed.notes[0].text.contains("C-0001 (1 of 3)"));
    }

    #[test]
    fn resources_are_named_by_their_ids_and_manifests_stay_out() {
        for (id, expected) in [
            ("path=18/api=apps/v1//Deployment/pay", "Deployment/pay#a.yaml"),
            ("path=18/api=/v1/k/ServiceAccount/s", "k/ServiceAccount/s#a.yaml"),
            ("/v1/kube-system/ServiceAccount/x", "kube-system/ServiceAccount/x#a.yaml"),
            (
                "rbac.authorization.k8s.io//User/x/rbac.authorization.k8s.io/v1/n/Role/y",
                "User/x#rbac.authorization.k8s.io/v1/n/Role/y",
            ),
        ] {
            let parsed = report(
                &format!(
                    r#"{{"resourceID":"{id}","controls":[{{"controlID":"C-0001","status":{{"status":"passed"}}}}]}}"#
                ),
                "",
                &format!(
                    r#","metadata":{{"scanMetadata":{{"kubescapeVersion":"v3.0.3"}},"targetMetadata":{{"clusterContextMetadata":{{"contextName":"prod"}}}}}},"resources":[{{"resourceID":"{id}","source":{{"relativePath":"a.yaml"}},"object":{{"metadata":{{"uid":"u1"}},"spec":{{"env":"hunter2"}}}}}}]"#
                ),
            );
            assert_eq!(parsed.findings[0].resource.to_string(), expected);
            assert_eq!(parsed.findings[0].resource.uid, "u1");
            assert_eq!(
                (parsed.tools["kubescape"].as_str(), parsed.clusters.first().unwrap().as_str()),
                ("3.0.3", "prod")
            );
            assert!(!format!("{parsed:?}").contains("hunter2"));
        }
    }

    #[test]
    fn look_alikes_do_not_match() {
        for text in [
            r#"{"scanID":"x","scannedAt":"y","results":[]}"#,
            r#"{"summaryDetails":{"controls":{}},"results":[{"id":"x"}]}"#,
            r#"{"controls":{},"status":"failed","frameworks":[]}"#,
        ] {
            assert!(read(text.as_bytes(), "").is_err(), "{text}");
        }
    }

    #[test]
    fn what_the_summary_counts_and_the_coverage_lacks_weakens() {
        let text = |failed: usize, rest: &str| {
            format!(
                r#"{{"summaryDetails":{{"controls":{{"C-0001":{{"ResourceCounters":{{"passedResources":1,"failedResources":{failed}}}}}}}}},"results":[{{"resourceID":"a","controls":[{{"controlID":"C-0001","status":{{"status":"failed"}}}}]}},{{"resourceID":"b","controls":[{{"controlID":"C-0001","status":{{"status":"passed"}}}}]}}]{rest}}}"#
            )
        };
        for (text, expected) in [
            (text(1, ""), false),
            (text(1, "").replace("failed\"}", "passed\"}"), true),
            (text(1, r#","scanCoverage":{"evaluatedControls":5,"totalControls":5}"#), false),
            (text(1, r#","scanCoverage":{"evaluatedControls":4,"totalControls":5}"#), true),
        ] {
            let notes = crate::scanner::read(text.as_bytes(), "").unwrap().parsed.notes;
            assert_eq!(notes.iter().any(|note| note.weakens), expected, "{text} {notes:?}");
        }
        let old = text(1, r#","metadata":{"clusterMetadata":{"contextName":"dev"}}"#);
        let parsed = crate::scanner::read(old.as_bytes(), "").unwrap().parsed;
        assert!(parsed.clusters.contains("dev"));
    }
}
