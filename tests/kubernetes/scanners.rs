//! Scanners of others on the same cluster and the same manifests: `.ci/scanners` installs them.
//!
//! They run as a user would run them, but without anything that they would fetch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::cluster::Cluster;
use crate::tools;

/// Programs of others. Each method gives the bytes of a report.
pub struct Scanners {
    /// Their home, where they keep what they read.
    folder: TempDir,
}

impl Scanners {
    /// Ends the test as left out where one of them is not installed.
    pub fn find() -> Self {
        for name in ["trivy", "kubescape", "checkov", "prowler"] {
            tools::within(&tools::SCANNERS, &format!("bin/{name}"));
        }
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Trivy on a live cluster, with passes and the checks that it was built with.
    pub fn trivy(&self, kubeconfig: &Path) -> Vec<u8> {
        let mut trivy = self.program("trivy");
        trivy
            .arg("k8s")
            .args(["--kubeconfig".as_ref(), kubeconfig])
            // They need nodes that pull images.
            .args(["--disable-node-collector", "--skip-images", "--scanners", "misconfig,rbac"])
            .args(["--report", "all", "--include-non-failures"]);
        self.report_of_trivy(trivy)
    }

    /// Trivy on manifests. It reports by file: a pass says that no object in the file failed.
    pub fn trivy_of_files(&self, manifests: &Path) -> Vec<u8> {
        let mut trivy = self.program("trivy");
        trivy
            .args(["config", "--misconfig-scanners", "kubernetes", "--include-non-failures"])
            .arg(manifests);
        self.report_of_trivy(trivy)
    }

    fn report_of_trivy(&self, mut trivy: Command) -> Vec<u8> {
        trivy.args(["--skip-check-update", "--skip-version-check", "--disable-telemetry"]).args([
            "--format",
            "json",
            "--output",
            "trivy.json",
        ]);
        run(trivy);
        self.take("trivy.json")
    }

    /// Kubescape on a live cluster, with all of its controls.
    pub fn kubescape(&self, kubeconfig: &Path) -> Vec<u8> {
        self.report_of_kubescape(&["--kubeconfig".as_ref(), kubeconfig])
    }

    /// Kubescape on manifests.
    pub fn kubescape_of_files(&self, manifests: &Path) -> Vec<u8> {
        self.report_of_kubescape(&[manifests])
    }

    fn report_of_kubescape(&self, what: &[&Path]) -> Vec<u8> {
        let policies = tools::within(&tools::SCANNERS, "kubescape-policies");
        let mut kubescape = self.program("kubescape");
        kubescape
            .env("KS_SKIP_UPDATE_CHECK", "true")
            .args(["scan", "framework", "allcontrols,nsa,cis-v1.23-t1.0.1"])
            .args(what)
            .args(["--use-artifacts-from".as_ref(), &*policies])
            .args(["--keep-local", "--format", "json", "--output", "kubescape.json"]);
        run(kubescape);
        self.take("kubescape.json")
    }

    /// Prowler on a live cluster: Detection Findings of OCSF.
    pub fn prowler(&self, kubeconfig: &Path) -> Vec<u8> {
        let mut prowler = self.program("prowler");
        prowler
            .args(["kubernetes", "--kubeconfig-file"])
            .arg(kubeconfig)
            .args(["--context", "test", "--output-formats", "json-ocsf"])
            .args(["--output-directory", ".", "--output-filename", "prowler"])
            .args(["--ignore-exit-code-3", "--no-banner"]);
        run(prowler);
        self.take("prowler.ocsf.json")
    }

    /// Checkov on manifests; it does not read clusters.
    pub fn checkov_of_files(&self, manifests: &Path) -> Vec<u8> {
        let mut checkov = self.program("checkov");
        checkov
            .args(["--framework", "kubernetes", "--skip-download", "--soft-fail"])
            .args(["--output", "json", "--directory"])
            .arg(manifests);
        run(checkov)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = tools::program_within(&tools::SCANNERS, &format!("bin/{name}"));
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "KUBECONFIG"] {
            command.env_remove(name);
        }
        command
    }

    /// So that no report is taken for that of a later run.
    fn take(&self, name: &str) -> Vec<u8> {
        let path = self.folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        bytes
    }
}

/// Runs it to its end, which must be good; gives what it printed.
fn run(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    output.stdout
}

/// What was said of the check for privileged containers: by name of the workload, `true` for a pass.
type Said = BTreeMap<String, bool>;

fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn of_trivy(report: &Value) -> Said {
    let mut said = Said::new();
    for resource in list(report, "/Resources") {
        for check in
            list(resource, "/Results").flat_map(|result| list(result, "/Misconfigurations"))
        {
            if check["ID"] == "KSV-0017" && is_workload(resource["Kind"].as_str().unwrap()) {
                let name = resource["Name"].as_str().unwrap().to_owned();
                said.insert(name, check["Status"] == "PASS");
            }
        }
    }
    said
}

fn of_kubescape(report: &Value) -> Said {
    let mut said = Said::new();
    for result in list(report, "/results") {
        for control in list(result, "/controls").filter(|control| control["controlID"] == "C-0057")
        {
            let id = result["resourceID"].as_str().unwrap();
            let name = id.rsplit('/').next().unwrap().to_owned();
            said.insert(name, control["status"]["status"] == "passed");
        }
    }
    said
}

/// Of pods only: what they were made by is told from their names.
fn of_prowler(report: &Value, workloads: &BTreeSet<String>) -> Said {
    let mut said = Said::new();
    for finding in list(report, "") {
        if finding["metadata"]["event_code"] == "core_minimize_privileged_containers" {
            let pod = finding["resources"][0]["name"].as_str().unwrap();
            let maker = workloads.iter().filter(|name| pod.starts_with(*name));
            let maker = maker.max_by_key(|name| name.len());
            said.insert(maker.unwrap().clone(), finding["status_code"] == "PASS");
        }
    }
    said
}

fn of_checkov(report: &Value) -> Said {
    let mut said = Said::new();
    for outcome in ["passed_checks", "failed_checks"] {
        let checks = list(report, &format!("/results/{outcome}")).collect::<Vec<_>>();
        for check in checks.iter().filter(|check| check["check_id"] == "CKV_K8S_16") {
            let name = check["resource"].as_str().unwrap().rsplit('.').next().unwrap();
            said.insert(name.to_owned(), outcome == "passed_checks");
        }
    }
    said
}

fn is_workload(kind: &str) -> bool {
    ["Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"].contains(&kind)
}

/// Applies the quick start's manifests, and waits for the pods that controllers make of them.
fn quick_start(cluster: &mut Cluster, manifests: &Path) {
    cluster.start_controllers();
    // Of a daemon set one pod is made for each node.
    cluster.add_node("node-1", &json!({"kubeletconfig": {"readOnlyPort": 0}}));
    for file in ["00-namespaces", "10-payments", "20-shop", "30-ops", "40-rbac"] {
        let text = fs::read_to_string(manifests.join(format!("{file}.yaml"))).unwrap();
        let began = Instant::now();
        // A pod is refused until its namespace has an account.
        while !cluster.kubectl(&["apply", "-f", "-"], &text).status.success() {
            assert!(began.elapsed() < Duration::from_mins(1), "{file}");
            sleep(Duration::from_millis(300));
        }
    }
    let began = Instant::now();
    while cluster.run(&["get", "pods", "-A", "-o", "name"]).lines().count() < 11 {
        assert!(began.elapsed() < Duration::from_mins(1), "no pods");
        sleep(Duration::from_millis(300));
    }
}

#[apply(test)]
fn scanners_of_others_run_on_the_cluster() {
    let scanners = Scanners::find();
    let mut cluster = Cluster::start();
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/manifests");
    quick_start(&mut cluster, &manifests);
    let read = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
    let kubeconfig = cluster.kubeconfig();

    // One pod is privileged, and all say so of it and of nothing else.
    let trivy = of_trivy(&read(scanners.trivy(&kubeconfig)));
    let workloads: BTreeSet<String> = trivy.keys().cloned().collect();
    let failed = trivy.iter().filter(|(_, pass)| !**pass).map(|(name, _)| name);
    assert_eq!(failed.collect::<Vec<_>>(), ["debug-shell"]);
    assert_eq!(trivy.len(), 10);
    let kubescape = of_kubescape(&read(scanners.kubescape(&kubeconfig)));
    assert_eq!(kubescape, trivy);
    // No pod has been made of the cron job.
    let prowler = of_prowler(&read(scanners.prowler(&kubeconfig)), &workloads);
    let mut with_pods = trivy.clone();
    with_pods.remove("settlement").unwrap();
    assert_eq!(prowler, with_pods);

    assert_eq!(of_checkov(&read(scanners.checkov_of_files(&manifests))), trivy);
    assert_eq!(of_kubescape(&read(scanners.kubescape_of_files(&manifests))), trivy);
    let by_file = read(scanners.trivy_of_files(&manifests));
    let failing = list(&by_file, "/Results").filter(|file| {
        list(file, "/Misconfigurations")
            .any(|check| check["ID"] == "KSV-0017" && check["Status"] == "FAIL")
    });
    assert_eq!(failing.map(|file| &file["Target"]).collect::<Vec<_>>(), ["20-shop.yaml"]);

    // None of them changed anything.
    let log = fs::read_to_string(cluster.path("audit.log")).unwrap();
    let mut seen = BTreeSet::new();
    for event in log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let agent = event["userAgent"].as_str().unwrap_or_default().to_lowercase();
        let names = ["trivy", "kubescape", "openapi-generator"];
        if let Some(name) = names.into_iter().find(|name| agent.starts_with(name)) {
            seen.insert(name);
            assert!(["get", "list", "watch"].contains(&event["verb"].as_str().unwrap()), "{event}");
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}
