//! Which cluster and which node an input is about, and which are expected: results of another cluster, of a node that
//! shares its name with another one, or of one that is missing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::{affidavit, error};
use crate::small_chain::{NOW, workspace};

/// Writes a configuration with this cluster and these sources.
fn configure(folder: &Path, cluster: &str, sources: &str) {
    workspace(folder);
    let path = folder.join("affidavit.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let (head, _) = text.split_once("sources:").unwrap();
    let head = head.replace("{ name: test }", cluster);
    fs::write(path, format!("{head}sources: [{sources}]\n")).unwrap();
}

/// What a run would seal, and how it would end.
fn rehearse(folder: &Path) -> (Value, i32) {
    let output = affidavit(folder, &["run", "--dry-run", "--now", NOW, "-o", "json"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = serde_json::from_slice(&output.stdout);
    (found.unwrap_or_else(|_| panic!("{told}")), output.status.code().unwrap())
}

/// Name, standing and detail of a source.
fn source<'a>(found: &'a Value, name: &str) -> (&'a str, &'a str) {
    let sources = found["sources"].as_array().unwrap();
    let source = sources.iter().find(|source| source["name"] == name).unwrap();
    (source["standing"].as_str().unwrap(), source["detail"].as_str().unwrap())
}

/// A report of kube-bench: each recommendation with its status.
fn kube_bench(edition: &str, results: &[(&str, &str)]) -> String {
    let results: Vec<Value> = results
        .iter()
        .map(|(number, status)| json!({"test_number": number, "status": status, "scored": true}))
        .collect();
    json!([{"id": "4", "version": edition, "node_type": "node", "tests": [{"results": results}]}])
        .to_string()
}

/// A Kubescape scan of a cluster, as Kubescape 4 names it.
fn kubescape(cluster: &str) -> String {
    json!({
        "generationTime": "2026-11-21T00:00:00Z",
        "clusterName": "",
        "metadata": {"targetMetadata": {"clusterContextMetadata": {"contextName": cluster}}},
        "summaryDetails": {"controls": {"C-0057": {"status": "failed", "ResourceCounters": {"failedResources": 1}}}},
        "resources": [],
        "results": [{"resourceID": "apps/v1/shop/Deployment/web", "controls": [
            {"controlID": "C-0057", "status": {"status": "failed"}}]}],
    })
    .to_string()
}

/// A Trivy scan of a cluster.
fn trivy(cluster: &str) -> String {
    json!({
        "ClusterName": cluster,
        "Resources": [{"Namespace": "shop", "Kind": "Deployment", "Name": "web", "Results": [
            {"Target": "Deployment/web", "Class": "config", "Type": "kubernetes", "Misconfigurations": [
                {"ID": "KSV-0010", "Severity": "HIGH", "Status": "FAIL"}]}]}],
    })
    .to_string()
}

#[apply(test)]
fn a_report_that_names_another_cluster_is_no_evidence_about_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("in")).unwrap();
    fs::write(folder.join("in/ks.json"), kubescape("dev")).unwrap();
    fs::write(folder.join("in/trivy.json"), trivy("prod")).unwrap();
    let sources = "{ name: ks, scanner: kubescape, files: [in/ks.json], max_age: 30d }, \
        { name: tr, scanner: trivy, files: [in/trivy.json], max_age: 30d }";
    configure(folder, "{ name: prod }", sources);
    let (found, exit) = rehearse(folder);
    assert_eq!((exit, source(&found, "tr").0), (4, "ok"));
    let (standing, detail) = source(&found, "ks");
    assert_eq!(standing, "other-cluster");
    assert!(detail.contains("names the cluster `dev`, and this run is about `prod`"), "{detail}");
    assert!(detail.contains("add `dev` to cluster.also_known_as"), "{detail}");
    let strict = affidavit(folder, &["run", "--strict", "--now", NOW]);
    assert!(error(&strict, 3).contains("other-cluster"));
    // Its failures are not this cluster's.
    let fails = |found: &Value| found["frameworks"][0]["counts"]["notSatisfied"].as_u64().unwrap();
    let without = fails(&found);
    configure(folder, "{ name: prod, also_known_as: [dev] }", sources);
    let (found, exit) = rehearse(folder);
    assert_eq!((exit, source(&found, "ks").0), (0, "ok"));
    assert!(fails(&found) > without);
    // Two clusters in one source, and in one file.
    let both = format!("{}\n{}", trivy("prod"), trivy("dev"));
    for (name, text) in [("trivy-dev.json", trivy("dev")), ("trivy-dev.json", both)] {
        fs::write(folder.join("in").join(name), text).unwrap();
        let source_of_all = "{ name: tr, scanner: trivy, files: ['in/trivy*.json'], expect_files: 2, max_age: 30d }";
        configure(folder, "{ name: prod }", source_of_all);
        let (found, exit) = rehearse(folder);
        assert_eq!((exit, source(&found, "tr").0), (4, "other-cluster"));
    }
}

#[apply(test)]
fn a_node_is_called_as_the_path_of_its_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for node in ["a", "b"] {
        fs::create_dir_all(folder.join("in").join(node)).unwrap();
        let report = kube_bench("cis-1.12", &[("4.1.1", "PASS"), ("4.2.1", "PASS")]);
        fs::write(folder.join("in").join(node).join("kube-bench.json"), report).unwrap();
    }
    let of = |files: &str, more: &str| {
        let source = format!(
            "{{ name: kb, scanner: kube-bench, files: ['{files}'], max_age: 30d, taken_at: '2026-11-21T00:00:00Z', {more} }}"
        );
        configure(folder, "{ name: prod }", &source);
        rehearse(folder)
    };
    // Two files that name the same node would hide one behind the other.
    let (found, exit) = of("in/*/kube-bench.json", "expect_files: 2");
    let (standing, detail) = source(&found, "kb");
    assert_eq!((exit, standing), (4, "incomplete"));
    assert!(detail.contains("are both about node kube-bench"), "{detail}");
    assert!(detail.contains("{node}"), "{detail}");
    let (found, exit) = of("in/{node}/kube-bench.json", "expect_nodes: [a, b]");
    assert_eq!((exit, source(&found, "kb").0), (0, "ok"));
    let (found, exit) = of("in/{node}/kube-bench.json", "expect_nodes: [a, b, c.example]");
    assert_eq!(exit, 4);
    assert_eq!(source(&found, "kb"), ("incomplete", "there are no results for node c.example"));
    // Without the extension a file's name is the node's, as another scanner writes it.
    fs::write(folder.join("in/c.example.json"), kube_bench("cis-1.12", &[("4.2.1", "PASS")]))
        .unwrap();
    let (found, exit) = of("in/*.json", "expect_nodes: [c.example]");
    assert_eq!((exit, source(&found, "kb")), (0, ("ok", "")));
    // The two halves of a node's scan are no contradiction.
    let halves = folder.join("in/halves/n1");
    fs::create_dir_all(&halves).unwrap();
    for number in ["4.1.1", "4.2.1"] {
        let report = kube_bench("cis-1.12", &[(number, "PASS")]);
        fs::write(halves.join(format!("{number}.json")), report).unwrap();
    }
    let (found, exit) = of("in/halves/{node}/*.json", "expect_nodes: [n1]");
    assert_eq!((exit, source(&found, "kb").0), (0, "ok"), "{found}");
    for (files, more, said) in [
        ("in/{node}/{node}.json", "", "several places for {node}"),
        ("in/{node}.json", "subject: n1", "leave this out"),
    ] {
        let source = format!(
            "{{ name: kb, scanner: kube-bench, files: ['{files}'], max_age: 30d, {more} }}"
        );
        configure(folder, "{ name: prod }", &source);
        let told = error(&affidavit(folder, &["run", "--now", NOW]), 2);
        assert!(told.contains(said), "{told}");
    }
}

#[apply(test)]
fn a_source_that_expects_nothing_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let notices = |files: &str, more: &str| {
        let source = format!(
            "{{ name: kb, scanner: kube-bench, files: ['{files}'], max_age: 30d, taken_at: '2026-11-21T00:00:00Z', {more} }}"
        );
        configure(folder, "{ name: prod }", &source);
        rehearse(folder).0["notices"].to_string()
    };
    for open in ["inputs/*.json", "inputs/{node}.json", "inputs/node-?.json"] {
        assert!(notices(open, "").contains("source kb does not say how many files"), "{open}");
    }
    assert_eq!(notices("inputs/node-1.json", ""), "[]");
    assert_eq!(notices("inputs/*.json", "expect_files: 1"), "[]");
    assert_eq!(notices("inputs/{node}.json", "expect_nodes: [node-1]"), "[]");
}

#[apply(test)]
fn reports_that_name_no_node_are_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("in")).unwrap();
    let source_of = |name: &str, file: &str| {
        format!(
            "{{ name: {name}, scanner: kube-bench, files: [in/{file}], max_age: 30d, taken_at: '2026-11-21T00:00:00Z' }}"
        )
    };
    let all = ["4.1.1", "4.1.5", "4.2.1", "4.2.2"];
    let of = |edition: &str, status: &str| kube_bench(edition, &all.map(|number| (number, status)));
    let hidden = [kube_bench("cis-1.12", &[("4.1.1", "PASS")]), of("eks-1.8.0", "FAIL")];
    for (text, said) in [
        (format!("[{},{}]", of("cis-1.12", "PASS"), of("eks-1.8.0", "FAIL")), "several benchmarks"),
        (format!("{}{}", of("cis-1.12", "PASS"), of("cis-1.12", "FAIL")), "none names its node"),
        (format!("[{},{}]", of("cis-1.12", "PASS"), of("cis-1.12", "PASS")), "none names its node"),
        (hidden.join("\n"), "only 1 are of an edition that does"),
    ] {
        fs::write(folder.join("in/n.json"), text).unwrap();
        configure(folder, "{ name: prod }", &source_of("kb", "n.json"));
        let (found, exit) = rehearse(folder);
        let (standing, detail) = source(&found, "kb");
        assert_eq!((standing, exit), ("incomplete", 4), "{detail}");
        assert!(detail.contains(said), "{said}: {detail}");
    }
    // Two sources: what differs is not one node, or one that nobody understands.
    for (node, status) in [("a", "PASS"), ("b", "FAIL")] {
        fs::create_dir_all(folder.join("in").join(node)).unwrap();
        fs::write(folder.join("in").join(node).join("worker.json"), of("cis-1.12", status))
            .unwrap();
    }
    let both = [source_of("a", "a/worker.json"), source_of("b", "b/worker.json")].join(", ");
    configure(folder, "{ name: prod }", &both);
    let (found, _) = rehearse(folder);
    assert_eq!(source(&found, "a").0, "ok");
    assert!(source(&found, "b").1.contains("of another source"), "{}", source(&found, "b").1);
    // The scanner's name in a file's name is not the node's.
    fs::write(folder.join("in/w1.kube-bench.json"), of("cis-1.12", "PASS")).unwrap();
    let named =
        source_of("kb", "w1.kube-bench.json").replace("max_age", "expect_nodes: [w1], max_age");
    configure(folder, "{ name: prod }", &named);
    assert_eq!(source(&rehearse(folder).0, "kb"), ("ok", ""));
}

#[apply(test)]
fn everything_that_is_wrong_with_a_source_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("in")).unwrap();
    configure(
        folder,
        "{ name: prod }",
        "{ name: kb, scanner: kube-bench, files: ['in/{node}.json', 'more/*.json'], expect_files: 9, expect_nodes: [a, b], max_age: 30d, taken_at: '2026-11-21T00:00:00Z' }",
    );
    fs::write(folder.join("in/a.json"), kube_bench("eks-9.9.9", &[("4.2.1", "FAIL")])).unwrap();
    fs::write(folder.join("in/c.json"), "{").unwrap();
    let (found, exit) = rehearse(folder);
    let (standing, detail) = source(&found, "kb");
    assert_eq!((standing, exit), ("unreadable", 4));
    for part in [
        "c.json (c): line 1",
        "a.json (a): ",
        "more/*.json",
        "2 of 9 expected files were found",
        "there are no results for node b",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}

#[apply(test)]
fn a_node_with_results_of_unknown_editions_only_has_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("in")).unwrap();
    let report = |node: &str, edition: &str, status: &str| {
        let sections: Value =
            serde_json::from_str(&kube_bench(edition, &[("4.2.1", status), ("4.1.1", status)]))
                .unwrap();
        json!({
            "apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "CISKubeBenchReport",
            "metadata": {"name": node, "ownerReferences": [{"kind": "Node", "name": node, "uid": "1"}]},
            "report": {"updateTimestamp": "2026-11-21T00:00:00Z", "sections": sections},
        })
    };
    let list = |items: Vec<Value>| json!({"apiVersion": "v1", "kind": "List", "items": items});
    let source_of = "{ name: kb, scanner: kube-bench, files: [in/kb.json], max_age: 30d }";
    configure(folder, "{ name: prod }", source_of);
    let path = folder.join("in/kb.json");
    let known = report("n1", "cis-1.12", "PASS");
    let rehearsed = |items: Vec<Value>| {
        fs::write(&path, list(items).to_string()).unwrap();
        rehearse(folder)
    };
    let satisfied = |found: &Value| found["frameworks"][0]["counts"]["satisfied"].as_u64().unwrap();
    let (found, exit) = rehearsed(vec![known.clone()]);
    assert_eq!(exit, 0);
    assert!(satisfied(&found) > 0);
    assert_eq!(
        (&found["sources"][0]["findings"], &found["sources"][0]["mapped"]),
        (&json!(2), &json!(2))
    );
    let (found, exit) = rehearsed(vec![known, report("n2", "eks-1.8.0", "FAIL")]);
    assert_eq!((exit, satisfied(&found)), (4, 0));
    let detail = source(&found, "kb").1;
    assert!(detail.contains("none of the 2 findings about Node/n2 bears on a control"), "{detail}");
    let sourced = &found["sources"][0];
    assert_eq!((&sourced["findings"], &sourced["mapped"]), (&json!(4), &json!(2)));
    assert_eq!(
        sourced["unmappedChecks"],
        json!(["kube-bench:eks-1.8.0:4.1.1", "kube-bench:eks-1.8.0:4.2.1"])
    );
}
