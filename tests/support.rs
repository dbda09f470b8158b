//! Runs built in memory: declared sources with their bytes, waivers, attestations → statuses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use affidavit::assessment::Status;
use affidavit::evaluate::{Evaluation, evaluate_by};
use affidavit::finding::CheckId;
use affidavit::framework::builtin;
use affidavit::framework::{Framework, Mapping};
use affidavit::run::{Cluster, File, FileTime, Run, SCHEMA, Source, Tool};
use affidavit::scanner::{self, SCANNERS};
use serde_json::{Value, json};

use crate::tools;

/// When every run of these tests takes place: after the newest fixture.
pub const CREATED: &str = "2027-01-01T00:00:00Z";
/// Old enough for the oldest sample.
pub const MANY_YEARS: i64 = 20 * 365 * 86_400;

/// Every built-in framework, read once: a debug build takes its time over YAML.
pub static BUILTIN: LazyLock<Vec<Framework>> = LazyLock::new(|| builtin::load_all().unwrap());

/// The same as a bundle holds them: path and bytes.
pub static FRAMEWORKS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let file = |(number, framework)| {
        (format!("frameworks/{number}.json"), serde_json::to_vec(framework).unwrap())
    };
    (0..).zip(&*BUILTIN).map(file).collect()
});

/// A source to declare: scanner, files, how many are expected.
#[derive(Clone, Debug)]
pub struct Declared {
    pub scanner: String,
    pub files: Vec<Vec<u8>>,
    pub expect_files: u64,
}

impl Declared {
    pub fn new(scanner: &str, files: &[&[u8]]) -> Self {
        Self {
            scanner: scanner.to_owned(),
            files: files.iter().map(|bytes| bytes.to_vec()).collect(),
            expect_files: files.len() as u64,
        }
    }
}

/// What people said, as YAML; empty for nothing.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub waivers: String,
    pub attestations: String,
}

/// A waiver for everything at everything.
pub fn waive_all(id: &str, expires: &str) -> String {
    format!(
        "waivers: [{{id: {id}, scope: {{controls: ['*'], resources: ['*']}}, reason: r, approver: a, ticket: t, expires: {expires}}}]"
    )
}

/// An attestation for every control.
pub fn attest_all(id: &str, outcome: &str, date: &str, until: &str) -> String {
    format!(
        "attestations: [{{id: {id}, controls: ['*'], outcome: {outcome}, by: b, role: r, statement: s, date: {date}, until: {until}}}]"
    )
}

/// Evaluates a run of these sources.
pub fn judge(sources: &[Declared], said: &Said, max_age_seconds: i64) -> Evaluation {
    let mut files: BTreeMap<String, &[u8]> = BTreeMap::new();
    for (path, bytes) in FRAMEWORKS.iter() {
        files.insert(path.clone(), bytes);
    }
    let named = |path: &str, text: &str| -> Vec<String> {
        if text.is_empty() { Vec::new() } else { vec![path.to_owned()] }
    };
    let waivers = named("waivers.yaml", &said.waivers);
    let attestations = named("attestations.yaml", &said.attestations);
    files.insert("waivers.yaml".to_owned(), said.waivers.as_bytes());
    files.insert("attestations.yaml".to_owned(), said.attestations.as_bytes());
    let mut declared = Vec::new();
    // Every fixture is of a cluster of its own; here they are one.
    let mut known = BTreeSet::new();
    for (number, source) in sources.iter().enumerate() {
        let mut collected = Vec::new();
        for (nth, bytes) in source.files.iter().enumerate() {
            let path = format!("inputs/{number}/{nth}");
            if let Ok(reading) = scanner::read(bytes, "") {
                known.extend(reading.parsed.clusters);
            }
            files.insert(path.clone(), bytes);
            collected.push(File {
                path,
                original: format!("node-{nth}"),
                subject: String::new(),
                taken_at: None,
                file_time: FileTime::Fresh,
            });
        }
        declared.push(Source {
            shortfalls: Vec::new(),
            name: format!("source-{number}"),
            scanner: source.scanner.clone(),
            max_age_seconds,
            expect_files: source.expect_files,
            expect_nodes: Vec::new(),
            files: collected,
        });
    }
    let run = Run {
        schema: SCHEMA.to_owned(),
        created: CREATED.to_owned(),
        tool: Tool { name: "test".to_owned(), version: "0".to_owned() },
        organisation: String::new(),
        cluster: Cluster {
            name: "c".to_owned(),
            also_known_as: known.into_iter().collect(),
            uid: String::new(),
        },
        frameworks: FRAMEWORKS.iter().map(|(path, _)| path.clone()).collect(),
        waivers,
        attestations,
        namespaces: std::collections::BTreeMap::new(),
        known_exploited: Vec::new(),
        sources: declared,
    };
    let mut load = |path: &str| -> Result<Vec<u8>, std::io::Error> {
        files
            .get(path)
            .map(|bytes| bytes.to_vec())
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    evaluate_by(BUILTIN.clone(), &run, &mut load).unwrap()
}

/// Status of every control of every framework.
pub fn statuses(evaluation: &Evaluation) -> BTreeMap<String, Status> {
    let mut all = BTreeMap::new();
    for (framework, results) in &evaluation.frameworks {
        for result in results {
            all.insert(format!("{}/{}", framework.key(), result.control), result.status);
        }
    }
    all
}

/// Every check that some control of a built-in framework maps to.
pub fn mapped_checks(scanner: &str) -> BTreeSet<CheckId> {
    BUILTIN
        .iter()
        .flat_map(|framework| &framework.controls)
        .flat_map(|control| &control.mappings)
        .flat_map(Mapping::all_checks)
        .map(|(check, _)| check.clone())
        .filter(|check| check.scanner() == scanner)
        .collect()
}

/// A report of a scanner in which every mapped check passes.
pub fn all_passes(scanner: &str) -> Vec<u8> {
    let checks = mapped_checks(scanner);
    let locals: Vec<&str> = checks.iter().map(CheckId::local).collect();
    let report = match scanner {
        "kube-bench" => kube_bench_passes(&locals),
        "trivy" => trivy_passes(&locals),
        "kubescape" => {
            let controls: Value = locals
                .iter()
                .map(|id| json!({"controlID": id, "status": {"status": "passed"}}))
                .collect();
            let summary: serde_json::Map<_, _> = locals
                .iter()
                .map(|id| {
                    let counters = json!({"passedResources": 1});
                    (
                        (*id).to_owned(),
                        json!({"name": "n", "status": "passed", "ResourceCounters": counters}),
                    )
                })
                .collect();
            json!({
                "summaryDetails": {"controls": summary},
                "results": [{"resourceID": "apps/v1/shop/Deployment/api", "controls": controls}],
            })
        }
        "policy" => {
            let results: Value = locals
                .iter()
                .map(|local| {
                    let (source, policy) = local.split_once('/').unwrap();
                    json!({"source": source, "policy": policy, "result": "pass"})
                })
                .collect();
            json!({
                "apiVersion": "openreports.io/v1alpha1", "kind": "ClusterReport",
                "metadata": {"name": "r"}, "results": results, "summary": {"pass": locals.len()},
            })
        }
        "compliance-operator" => {
            let items: Value = locals
                .iter()
                .map(|id| {
                    json!({
                        "apiVersion": "compliance.openshift.io/v1alpha1",
                        "kind": "ComplianceCheckResult", "id": id, "status": "PASS",
                    })
                })
                .collect();
            json!({"apiVersion": "v1", "kind": "List", "items": items})
        }
        "affidavit" => {
            let checks: Value = locals
                .iter()
                .map(|id| {
                    json!({"id": id, "title": "", "severity": "low", "remedy": "", "cel": "true"})
                })
                .collect();
            let places: Vec<usize> = (0..locals.len()).collect();
            json!({
                "schema": "urn:affidavit:checks:v1", "tool": ["affidavit", "0"],
                "started": CREATED, "checks": checks,
                "objects": [{"kind": "Pod", "namespace": "n", "name": "p", "pass": places}],
                "unmade": [], "kinds": [], "files": {}, "unread": [], "cluster": null,
                "finished": CREATED,
                "totals": {"objects": 1, "pass": locals.len(), "fail": 0, "error": 0},
            })
        }
        "audit-log" => return audit_log_passes(),
        other => other_passes(other, &locals),
    };
    serde_json::to_vec(&report).unwrap()
}

/// The same of a scanner that looks at manifests or images, or of a log of events.
fn other_passes(scanner: &str, locals: &[&str]) -> Value {
    match scanner {
        "checkov" => {
            let records: Value = locals
                .iter()
                .map(|id| {
                    json!({
                        "check_id": id, "check_result": {"result": "PASSED"},
                        "resource": "Deployment.shop.api",
                    })
                })
                .collect();
            json!({
                "check_type": "kubernetes", "results": {"passed_checks": records},
                "summary": {"passed": locals.len()},
            })
        }
        "dockle" => json!({"image": "i", "summary": {"fatal": 0, "pass": 16}, "details": []}),
        "falco" => json!({
            "rule": "Falco internal: metrics snapshot", "priority": "Informational",
            "hostname": "node-1", "time": CREATED, "output": "",
        }),
        // Signed, so it cannot be made up.
        "fleet" => serde_json::from_str(include_str!("fixtures/fleet-member/shop.json")).unwrap(),
        "grype" => json!({
            "matches": [], "source": {"type": "image", "target": {"userInput": "i"}},
            "descriptor": {"name": "grype", "version": "0"},
        }),
        "kube-linter" => json!({
            "Checks": [{"name": "latest-tag"}], "Reports": null,
            "Summary": {"ChecksStatus": "Passed", "KubeLinterVersion": "0"},
        }),
        // It names nothing that passes.
        "kubeaudit" => json!({"AuditResultName": "X", "level": "info"}),
        "polaris" => {
            let results: serde_json::Map<_, _> = locals
                .iter()
                .map(|id| ((*id).to_owned(), json!({"ID": id, "Success": true})))
                .collect();
            json!({
                "PolarisOutputVersion": "1.0",
                "Results": [{"Kind": "Deployment", "Name": "api", "Results": results}],
            })
        }
        "prowler" => locals
            .iter()
            .map(|id| {
                json!({
                    "class_uid": 2004, "status_code": "PASS",
                    "metadata": {"event_code": id, "product": {"name": "Prowler"}},
                    "resources": [{"name": "p", "namespace": "n", "type": "Pod"}],
                })
            })
            .collect(),
        "sarif" => json!({
            "version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": []}],
        }),
        other => panic!("no such scanner: {other}"),
    }
}

/// A change by a person, and a request that was refused.
fn audit_log_passes() -> Vec<u8> {
    let event = |verb: &str, code: u16| {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete",
            "verb": verb, "requestURI": "/apis/rbac.authorization.k8s.io/v1/roles",
            "user": {"username": "ann"}, "sourceIPs": ["10.0.0.1"], "stageTimestamp": CREATED,
            "objectRef": {"resource": "roles", "apiGroup": "rbac.authorization.k8s.io"},
            "responseStatus": {"code": code},
        })
    };
    format!("{}\n{}\n", event("create", 201), event("get", 403)).into_bytes()
}

fn kube_bench_passes(locals: &[&str]) -> Value {
    let mut by_benchmark: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for local in locals {
        let (benchmark, number) = local.split_once(':').unwrap();
        let result = json!({"test_number": number, "status": "PASS", "scored": true});
        by_benchmark.entry(benchmark).or_default().push(result);
    }
    let controls: Value = by_benchmark
        .iter()
        .map(|(benchmark, results)| {
            json!({"version": benchmark, "node_type": "node", "tests": [{"results": results}]})
        })
        .collect();
    json!({"Controls": controls, "Totals": {"total_pass": locals.len()}})
}

/// Each check at an object of every kind that some check looks at.
fn trivy_passes(locals: &[&str]) -> Value {
    let passes: Value = locals
        .iter()
        .filter(|id| !id.starts_with("vulnerability"))
        .map(|id| json!({"ID": id, "Status": "PASS"}))
        .collect();
    let mut resources: Vec<Value> = [
        ("Pod", "kube-apiserver-1"),
        ("Pod", "kube-controller-manager-1"),
        ("Pod", "kube-scheduler-1"),
        ("Pod", "etcd-1"),
        ("NodeInfo", "node-1"),
        ("Role", "r"),
        ("RoleBinding", "b"),
        ("NetworkPolicy", "p"),
        ("LimitRange", "l"),
        ("ResourceQuota", "q"),
        ("Service", "s"),
        ("ConfigMap", "m"),
    ]
    .iter()
    .map(|(kind, name)| {
        json!({"Namespace": "n", "Kind": kind, "Name": name, "Results": [
            {"Target": format!("{kind}/{name}"), "Class": "config", "Type": "kubernetes",
             "Misconfigurations": passes},
        ]})
    })
    .collect();
    resources.push(json!({"Namespace": "n", "Kind": "Pod", "Name": "etcd-1", "Results": [
        {"Target": "etcd:3 (alpine 3)", "Class": "os-pkgs", "Type": "alpine"},
    ]}));
    json!({"ClusterName": "c", "Resources": resources})
}

/// A real or made-up report: its name, the scanner to declare it as, and its bytes.
pub struct Report {
    pub name: String,
    pub scanner: String,
    pub bytes: Vec<u8>,
}

/// All fixtures that hold results of a single scanner.
pub fn fixtures() -> Vec<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut folders: Vec<PathBuf> = SCANNERS.iter().map(|s| root.join(s.id())).collect();
    folders.push(root.join("mixed"));
    reports(&folders)
}

/// All samples that hold results of a single scanner. Ends the test as left out where there are none.
pub fn samples() -> Vec<Report> {
    let folders = fs::read_dir(tools::samples()).unwrap().map(|entry| entry.unwrap().path());
    reports(&folders.filter(|path| path.is_dir()).collect::<Vec<_>>())
}

fn reports(folders: &[PathBuf]) -> Vec<Report> {
    let mut found = Vec::new();
    for folder in folders {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.to_str().unwrap().ends_with(".counts.json") {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let Ok(reading) = affidavit::scanner::read(&bytes, "node-1") else { continue };
            let scanners: BTreeSet<&str> = reading
                .parsed
                .findings
                .iter()
                .map(|finding| finding.check.scanner())
                .map(|prefix| if prefix == "trivy-compliance" { "trivy" } else { prefix })
                .collect();
            let &[scanner] = &*scanners.into_iter().collect::<Vec<_>>() else { continue };
            let parent = folder.file_name().unwrap().to_str().unwrap();
            let name = format!("{parent}/{}", path.file_name().unwrap().to_str().unwrap());
            found.push(Report { name, scanner: scanner.to_owned(), bytes });
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(!found.is_empty(), "no reports in {folders:?}");
    found
}

/// What a JSON Schema finds wrong with a document, a line each; nothing where it is valid.
pub fn schema_errors(schema: &Value, document: &Value) -> String {
    // What names itself by a relative `$id` needs a place that it is relative to.
    const PLACE: &str = "https://example.com/schema.json";
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource(PLACE, schema.clone()).unwrap();
    let index = compiler.compile(PLACE, &mut schemas).unwrap();
    schemas.validate(document, index).err().map(|error| format!("{error:#}")).unwrap_or_default()
}

/// The JSON Schema of SARIF 2.1.0 (OASIS).
#[cfg(feature = "pipeline")]
pub fn sarif_schema() -> Value {
    serde_json::from_str(include_str!("sarif/sarif-schema-2.1.0.json")).unwrap()
}
