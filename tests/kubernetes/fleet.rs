//! A fleet in shares on the real API server: the Job controller makes one pod for each index of the Indexed
//! Job, each is done here, and the Job after them rolls up what they left.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::Cluster;
use super::pod::{make_bucket, run_as_pod};
use crate::command::{affidavit, done};
use crate::contract::server::{SECRET_KEY, Weed};
use crate::small_chain::workspace;
use crate::tools;

const NAMESPACE: &str = "affidavit-fleet";
const CLUSTERS: usize = 12;

#[apply(test)]
fn an_indexed_job_reads_the_clusters_and_a_job_after_it_rolls_them_up() {
    tools::CURL.demand();
    let weed = Weed::start();
    let mut cluster = Cluster::start();
    cluster.start_controllers();
    make_bucket(&weed.endpoint);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let location = format!("endpoint: '{}', path_style: true, region: us-east-1", weed.endpoint);

    // Clusters that have run, each with keys of its own, into one bucket.
    let mut clusters = String::new();
    for number in 0..CLUSTERS {
        let name = format!("store-{number:03}");
        let own = root.join(&name);
        fs::create_dir(&own).unwrap();
        let origin = format!("evidence.example.com/{name}");
        done(&affidavit(&own, &["init", ".", "--keys-only", "--origin", &origin]));
        let config = workspace(&own);
        let text = fs::read_to_string(&config).unwrap();
        let text = text.replace("evidence.example.com/test", &origin).replace(
            "archive: { uri: archive }",
            &format!("archive: {{ uri: 's3://evidence/{name}', {location} }}"),
        );
        fs::write(&config, text).unwrap();
        // The last one never does.
        if number + 1 < CLUSTERS {
            done(&with_keys(&own, &["run", "--config", "affidavit.yaml"]));
        }
        let fingerprint = fs::read_to_string(own.join("keys/root.fingerprint")).unwrap();
        let fingerprint = fingerprint.trim();
        writeln!(
            clusters,
            "- {{ name: {name}, uri: 's3://evidence/{name}', roots: ['{fingerprint}'] }}"
        )
        .unwrap();
    }

    // The manifests as they are shipped, with this fleet's clusters and store.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes/fleet");
    let made = cluster.run(&["kustomize", shipped.to_str().unwrap()]);
    let documents =
        made.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let mut objects: Vec<Value> = documents.collect();
    let config = objects.iter_mut().find(|object| object["kind"] == "ConfigMap").unwrap();
    let text = config["data"]["affidavit.yaml"].as_str().unwrap();
    let ours = text
        .replace("uri: s3://example-evidence/all-stores", "uri: s3://evidence/all-stores")
        .replace("region: eu-central-1", &location.replace(", ", "\n  "))
        .replace(
            "frameworks: [cis-kubernetes@1.12, pci-dss@4.0.1]",
            "frameworks: [cis-kubernetes@1.12]",
        );
    assert_ne!(ours, text);
    config["data"]["affidavit.yaml"] = ours.into();
    config["data"]["clusters.yaml"] = clusters.into();
    let namespace = objects.iter().position(|object| object["kind"] == "Namespace").unwrap();
    cluster.apply(&objects.swap_remove(namespace).to_string());
    for object in &mut objects {
        // Not by the schedule, but when this test says so.
        if object["kind"] == "CronJob" {
            object["spec"]["suspend"] = true.into();
        }
        let strict = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        done(&cluster.kubectl(&strict, &object.to_string()));
    }
    let fleet = root.join("fleet");
    fs::create_dir(&fleet).unwrap();
    let origin = "evidence.example.com/all-stores";
    done(&affidavit(&fleet, &["init", ".", "--keys-only", "--origin", origin]));
    let file =
        |name: &str| format!("--from-file={name}={}", fleet.join("keys").join(name).display());
    let (log, disclosure) = (file("log.pem"), file("disclosure.secret"));
    let secret = ["create", "secret", "generic", "fleet-keys", "-n", NAMESPACE, &log, &disclosure];
    cluster.run(&secret);
    let keyring = format!("--from-file={}", fleet.join("keys/keyring").display());
    cluster.run(&["create", "configmap", "fleet-keyring", "-n", NAMESPACE, &keyring]);

    // One pod for each share; each leaves what it read in the volume that they have in common.
    let shares = pods_of(&cluster, "fleet-read", 10);
    for pod in &shares {
        let output = run_as_pod(&cluster, &with_credentials(pod), root);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let left = fs::read_dir(root.join("root/parts/clusters")).unwrap().count();
    assert_eq!(left, CLUSTERS);
    // And the step that reduces them: it reads no cluster's archive any more.
    let [reduce] = pods_of(&cluster, "fleet-roll-up", 1).try_into().unwrap();
    let output = run_as_pod(&cluster, &with_credentials(&reduce), root);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{said}{}", String::from_utf8_lossy(&output.stderr));

    let place = ["--endpoint", &weed.endpoint, "--path-style", "--root", "keys/root.fingerprint"];
    let verify = ["verify", "s3://evidence/all-stores", "--replay"];
    let said = done(&with_keys(&fleet, &[&verify[..], &place].concat()));
    assert!(said.contains("1 bundle assessed again: same items"), "{said}");
    let show = ["fleet", "show", "s3://evidence/all-stores", "--output", "json"];
    let output = with_keys(&fleet, &[&show[..], &place].concat());
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = shown["clusters"].as_array().unwrap();
    assert_eq!(shown.len(), CLUSTERS);
    let first = (&shown[0]["cluster"], &shown[0]["state"]);
    assert_eq!(first, (&"store-011".into(), &"absent".into()), "{:#?}", shown[0]);
    assert!(shown[1..].iter().all(|cluster| cluster["state"] == "ok"), "{shown:#?}");
}

/// Our program with the keeper's credentials.
fn with_keys(folder: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .args(arguments)
        .current_dir(folder)
        .env("AWS_ACCESS_KEY_ID", "keeper")
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap()
}

/// The pod with the environment that a cloud's webhook would give it.
fn with_credentials(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let container = &mut pod["spec"]["containers"][0];
    if container["env"].is_null() {
        container["env"] = Value::Array(Vec::new());
    }
    let environment = container["env"].as_array_mut().unwrap();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "keeper"),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("NO_PROXY", "127.0.0.1"),
    ] {
        environment.push(serde_json::json!({ "name": name, "value": value }));
    }
    pod
}

/// Starts the Job of a CronJob, and waits for its pods. No node takes them.
fn pods_of(cluster: &Cluster, cron: &str, number: usize) -> Vec<Value> {
    let from = format!("cronjob/{cron}");
    cluster.run(&["create", "job", cron, "--from", &from, "-n", NAMESPACE]);
    let selector = format!("job-name={cron}");
    let start = Instant::now();
    loop {
        let listed = cluster.run(&["get", "pods", "-n", NAMESPACE, "-l", &selector, "-o", "json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let pods = listed["items"].as_array().unwrap();
        if pods.len() == number {
            return pods.clone();
        }
        let log = || cluster.log("kube-controller-manager");
        assert!(start.elapsed() < Duration::from_mins(3), "{} pods: {}", pods.len(), log());
        std::thread::sleep(Duration::from_millis(500));
    }
}
