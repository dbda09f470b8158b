//! Exported `OpenReports`, applied to the real API server by its own definitions, and read back.

use std::fs;

use serde_json::Value;

use super::cluster::Cluster;
use crate::exports;
use crate::tools;

#[apply(test)]
fn the_api_server_takes_open_reports_and_gives_them_back() {
    let definitions = tools::OPENREPORTS.path();
    let cluster = Cluster::start();
    for entry in fs::read_dir(definitions).unwrap() {
        cluster.apply(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    for kind in ["reports", "clusterreports"] {
        let definition = format!("crd/{kind}.openreports.io");
        cluster.run(&["wait", "--for=condition=Established", "--timeout=60s", &definition]);
    }
    cluster.run(&["create", "namespace", "payments"]);
    cluster.run(&["create", "namespace", "long"]);
    let folder = tempfile::tempdir().unwrap();
    let bundle = exports::archive_with_long_messages(folder.path());
    let path = exports::export(folder.path(), "openreports", "openreports.json");
    let list = fs::read_to_string(&path).unwrap();
    // Server-side: kubectl's own way keeps a second copy in an annotation, for which these are too long.
    let apply = ["apply", "--server-side", "--filename", path.to_str().unwrap()];
    cluster.run(&apply);

    let read = |kind: &str| -> Vec<Value> {
        let text = cluster.run(&["get", kind, "--all-namespaces", "--output", "json"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    };
    let mut found = read("reports.openreports.io");
    found.extend(read("clusterreports.openreports.io"));
    let sent: Value = serde_json::from_str(&list).unwrap();
    let sent = sent["items"].as_array().unwrap();
    assert_eq!(found.len(), sent.len());
    let mut results = 0;
    for report in sent {
        let name = &report["metadata"]["name"];
        let back = found.iter().find(|back| back["metadata"]["name"] == *name).unwrap();
        // Nothing that was sent was dropped as unknown.
        for field in ["source", "summary", "results", "scope"] {
            assert_eq!(back[field], report[field], "{field} of {name}");
        }
        results += back["results"].as_array().unwrap().len();
    }
    assert_eq!(results, bundle.items.findings.len());
    // A later run takes the place of an earlier one.
    cluster.run(&apply);
    assert_eq!(
        read("reports.openreports.io").len() + read("clusterreports.openreports.io").len(),
        sent.len()
    );
}
