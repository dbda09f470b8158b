//! The Helm chart on the real API server: what it makes is taken, the CronJob controller makes a Job of
//! it, and what the pod would do is done here, with the pod's arguments, files, environment and token.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use affidavit::config::Config;
use serde_json::Value;

use super::cluster::Cluster;
use super::pod::{make_bucket, run_as_pod, s3};
use crate::command::{affidavit, done};
use crate::contract::server::{SECRET_KEY, Weed};
use crate::tools;

const ORIGIN: &str = "evidence.example.com/prod";
const NAMESPACE: &str = "affidavit";

/// Its folder.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes/chart")
}

fn helm(arguments: &[&str]) -> Output {
    tools::program_within(&tools::PRODUCTION, "bin/helm").args(arguments).output().unwrap()
}

/// What the chart makes with these values, as `helm install` would send it.
pub fn made(values: &[&str]) -> String {
    made_of(&chart(), "evidence", values)
}

/// The same of another chart, or under another name.
fn made_of(chart: &Path, release: &str, values: &[&str]) -> String {
    let start = ["template", release, chart.to_str().unwrap(), "--kube-version", "1.36.3"];
    let place = ["--namespace", NAMESPACE];
    done(&helm(&[&start, &place[..], values].concat()))
}

/// Its objects.
pub fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .map(|text| serde_saphyr::from_str::<Value>(text.trim_start_matches("---\n")).unwrap())
        .filter(|value| !value.is_null())
        .collect()
}

const EVERYTHING: [&str; 2] = [
    "--set",
    "mode=serve,rbac.reports=true,prometheusRule.enabled=true,podMonitor.enabled=true,dashboard.enabled=true,config.time_zone=Europe/Berlin",
];

#[apply(test)]
fn the_chart_is_sound_and_refuses_what_cannot_be_meant() {
    let chart = chart();
    done(&helm(&["lint", "--strict", chart.to_str().unwrap()]));
    for (values, said) in [
        ("mode=daemon", "mode"),
        ("config.schedule=daily", "schedule"),
        ("image.digest=latest", "digest"),
        ("config.keys.signer=x", "config"),
        ("keys.secret=", "secret"),
        ("imag.tag=1", "imag"),
        ("enabled=false", "only in a parent chart"),
        (
            "fullnameOverride=a-name-that-is-longer-than-the-name-of-a-cronjob-may-be",
            "fullnameOverride",
        ),
    ] {
        let arguments = ["template", "e", chart.to_str().unwrap(), "--kube-version", "1.36.3"];
        let output = helm(&[&arguments[..], &["--set", values]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{values}: {error}");
    }
    // What is configured is a configuration, in both modes, and of every permission there is one role.
    for values in [&[][..], &EVERYTHING] {
        let objects = documents(&made(values));
        let config = objects.iter().find(|object| object["data"]["affidavit.yaml"].is_string());
        let text = config.unwrap()["data"]["affidavit.yaml"].as_str().unwrap();
        let folder = Path::new("/etc/affidavit/config");
        // Whoever installs it names their cluster: the example's is refused.
        let parse = |text: &str| Config::parse(text, Path::new("affidavit.yaml"), folder);
        assert!(parse(text).is_err_and(|error| error.to_string().contains("my-cluster")));
        let config = parse(&text.replace("my-cluster", "prod"));
        let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(config.notify.events);
        assert_eq!(config.serve.lease.is_some(), !values.is_empty());
    }
    let shipped = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes/collector-rbac.yaml"),
    )
    .unwrap();
    let rules = |objects: &[Value], name: &str| -> Vec<Value> {
        let role = objects.iter().find(|object| {
            object["kind"] == "ClusterRole"
                && object["metadata"]["name"].as_str().unwrap().ends_with(name)
        });
        role.unwrap()["rules"].as_array().unwrap().clone()
    };
    let (plain, ours) = (documents(&shipped), documents(&made(&EVERYTHING)));
    for name in ["collector", "reports"] {
        assert_eq!(rules(&ours, name), rules(&plain, name), "{name}");
    }
}

/// Would the server create these objects? They are tried in a namespace that is there.
fn server_takes(cluster: &Cluster, objects: &str) {
    let strict = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];
    done(&cluster.kubectl(&strict, objects));
}

/// Kinds and names of objects; each is there once.
fn names(objects: &[Value]) -> BTreeSet<(String, String)> {
    let name = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&object["kind"]), text(&object["metadata"]["name"]))
    };
    let names: BTreeSet<_> = objects.iter().map(name).collect();
    assert_eq!(names.len(), objects.len(), "{names:?}");
    names
}

/// Which pods an object means.
fn selects(objects: &[Value], kind: &str) -> Vec<Value> {
    let of_kind = objects.iter().filter(|object| object["kind"] == kind);
    of_kind.map(|object| object["spec"]["podSelector"]["matchLabels"].clone()).collect()
}

#[apply(test)]
fn a_parent_chart_may_have_it_once_or_more_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path();
    let dependency = |alias: &str| {
        format!(
            "- {{ name: affidavit, version: '>=0', repository: 'file://{}', alias: {alias}, condition: {alias}.enabled }}\n",
            chart().display()
        )
    };
    let [one, two] = ["affidavit", "fleet"].map(dependency);
    let text = format!("apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n{one}{two}");
    fs::write(parent.join("Chart.yaml"), text).unwrap();
    let values = "global: { imageRegistry: registry.example.com, imagePullSecrets: [pull] }\n\
        affidavit: { mode: serve }\nfleet: { enabled: false, config: { schedule: '30 5 * * *' } }\n";
    fs::write(parent.join("values.yaml"), values).unwrap();
    done(&helm(&["dependency", "build", parent.to_str().unwrap()]));
    done(&helm(&["lint", "--strict", parent.to_str().unwrap()]));

    let objects = documents(&made_of(parent, "evidence", &[]));
    let affidavit = names(&objects);
    assert!(affidavit.contains(&("Deployment".to_owned(), "evidence-affidavit".to_owned())));
    assert!(affidavit.iter().all(|(_, name)| name.starts_with("evidence-affidavit")));

    let both = made_of(parent, "evidence", &["--set", "fleet.enabled=true"]);
    let objects = documents(&both);
    let fleet: Vec<_> = names(&objects).difference(&affidavit).cloned().collect();
    assert!(fleet.iter().all(|(_, name)| name.starts_with("evidence-fleet")), "{fleet:?}");
    let cron = objects.iter().find(|object| object["kind"] == "CronJob").unwrap();
    assert_eq!(cron["spec"]["schedule"], "30 5 * * *");
    // Neither takes the pods of the other one for its own.
    let policies = selects(&objects, "NetworkPolicy");
    assert!(policies.len() == 2 && policies[0] != policies[1], "{policies:?}");

    let neither = made_of(parent, "evidence", &["--set", "affidavit.enabled=false"]);
    assert!(documents(&neither).is_empty(), "{neither}");

    let cluster = Cluster::start();
    cluster.run(&["create", "namespace", NAMESPACE]);
    server_takes(&cluster, &both);
}

#[apply(test)]
fn a_long_release_name_is_cut_and_stays_its_own() {
    let cluster = Cluster::start();
    cluster.run(&["create", "namespace", NAMESPACE]);
    let values = "dashboard.enabled=true,rbac.reports=true";
    let cron = |release: &str, mode: &str| {
        let made = made_of(&chart(), release, &["--set", &format!("{values},mode={mode}")]);
        server_takes(&cluster, &made);
        let objects = documents(&made);
        names(&objects);
        let kind = if mode == "serve" { "Deployment" } else { "CronJob" };
        let object = objects.iter().find(|object| object["kind"] == kind).unwrap();
        object["metadata"]["name"].as_str().unwrap().to_owned()
    };
    let of =
        |length: usize| "release-of-evidence-".chars().cycle().take(length).collect::<String>();
    // What fits is as it was.
    let whole = of(42);
    assert_eq!(cron(&whole, "cronjob"), format!("{whole}-affidavit"));
    // Of 43, 53 and where the cut leaves a `-` or a dot at the end; two that differ in their last character only.
    let last = format!("{}x", of(52));
    let dashes = format!("{}---aaaaaaa", of(43).trim_end_matches('-'));
    let dotted = format!("{}.aaaaaaaaa", of(42));
    let releases = [of(43), of(53), last, dashes, dotted];
    let mut all = BTreeSet::new();
    for release in &releases {
        let name = cron(release, "cronjob");
        assert!(name.len() <= 52 && name.starts_with(&release[..35]), "{name}");
        assert_eq!(cron(release, "serve"), name);
        all.insert(name);
    }
    assert_eq!(all.len(), releases.len(), "{all:?}");
}

/// Definitions that are in no cluster by themselves; their fields are not looked at.
fn definition(kind: &str, plural: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
         metadata: {{ name: {plural}.monitoring.coreos.com }}\nspec:\n  group: monitoring.coreos.com\n  \
         names: {{ kind: {kind}, plural: {plural} }}\n  scope: Namespaced\n  versions:\n  \
         - name: v1\n    served: true\n    storage: true\n    \
         schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }}\n"
    )
}

/// The folder of the manifests for Kustomize.
fn plain() -> PathBuf {
    chart().parent().unwrap().to_owned()
}

/// What the overlay of the plain manifests configures.
fn overlaid() -> Config {
    let config = fs::read_to_string(plain().join("overlay/config.yaml")).unwrap();
    let config: Value = serde_saphyr::from_str(&config).unwrap();
    let text = config["data"]["affidavit.yaml"].as_str().unwrap();
    Config::parse(text, Path::new("affidavit.yaml"), Path::new("/etc")).unwrap()
}

#[apply(test)]
fn the_overlay_of_the_plain_manifests_configures_a_schedule() {
    assert!(overlaid().schedule.is_some());
}

#[apply(test)]
fn the_plain_manifests_are_those_of_the_chart() {
    let chart = chart();
    let output = helm(&[
        "template",
        "affidavit",
        chart.to_str().unwrap(),
        "--namespace",
        NAMESPACE,
        "--kube-version",
        "1.36.3",
    ]);
    let shipped = fs::read_to_string(plain().join("base/affidavit.yaml")).unwrap();
    let shipped: Vec<&str> = shipped.lines().skip_while(|line| line.starts_with('#')).collect();
    assert_eq!(shipped.join("\n"), done(&output).trim_end(), "make base/affidavit.yaml again");
}

#[apply(test)]
fn the_server_takes_an_overlay_of_the_plain_manifests() {
    let cluster = Cluster::start();
    let folder = plain();
    let overlay = folder.join("overlay");
    let made = cluster.run(&["kustomize", overlay.to_str().unwrap()]);
    let cron = documents(&made).into_iter().find(|object| object["kind"] == "CronJob").unwrap();
    let schedule = overlaid().schedule.unwrap();
    assert_eq!(cron["spec"]["schedule"], schedule.cron);
    assert_eq!(cron["spec"]["timeZone"], schedule.time_zone);
    // The namespace must be there before its objects are tried.
    cluster.apply(&fs::read_to_string(folder.join("base/namespace.yaml")).unwrap());
    server_takes(&cluster, &made);
}

#[apply(test)]
fn a_run_in_the_cluster_archives_to_s3_with_retention() {
    tools::CURL.demand();
    tools::within(&tools::PRODUCTION, "bin/helm");
    let weed = Weed::start();
    let mut cluster = Cluster::start();
    cluster.start_controllers();
    make_bucket(&weed.endpoint);
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  \
         labels: {{ pod-security.kubernetes.io/enforce: restricted }}\n"
    ));
    for (kind, plural) in [("PrometheusRule", "prometheusrules"), ("PodMonitor", "podmonitors")] {
        cluster.apply(&definition(kind, plural));
        let name = format!("crd/{plural}.monitoring.coreos.com");
        cluster.run(&["wait", "--for=condition=Established", "--timeout=60s", &name]);
    }
    // Everything at once is taken too, field by field.
    server_takes(&cluster, &made(&EVERYTHING));

    // As the notes say: keys, a secret, a config map.
    let folder = tempfile::tempdir().unwrap();
    done(&affidavit(folder.path(), &["init", ".", "--keys-only", "--origin", ORIGIN]));
    let file = |name: &str, path: &str| {
        format!("--from-file={name}={}", folder.path().join("keys").join(path).display())
    };
    let secret = ["create", "secret", "generic", "affidavit-keys", "-n", NAMESPACE];
    let (log, disclosure) =
        (file("log.pem", "log.pem"), file("disclosure.secret", "disclosure.secret"));
    cluster.run(&[&secret[..], &[&log, &disclosure]].concat());
    let keyring = format!("--from-file={}", folder.path().join("keys/keyring").display());
    cluster.run(&["create", "configmap", "affidavit-keyring", "-n", NAMESPACE, &keyring]);

    let uid = cluster.run(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    let values = folder.path().join("values.yaml");
    let text = format!(
        "config:\n  cluster: {{ name: prod, uid: {uid} }}\n  origin: {ORIGIN}\n  schedule: '* * * * *'\n  \
         frameworks: [cis-kubernetes@1.12]\n  archive:\n    uri: s3://evidence/prod\n    endpoint: '{}'\n    \
         path_style: true\n    region: us-east-1\n    retention: {{ rule: pci-dss }}\n    \
         object_lock: {{ mode: governance }}\nenv:\n\
         - {{ name: AWS_ACCESS_KEY_ID, value: keeper }}\n- {{ name: AWS_SECRET_ACCESS_KEY, value: {SECRET_KEY} }}\n",
        weed.endpoint
    );
    fs::write(&values, text).unwrap();
    let made = made(&["--values", values.to_str().unwrap()]);
    let strict = ["apply", "--server-side", "--validate=strict", "-f", "-"];
    done(&cluster.kubectl(&strict, &made));

    let pod = wait_for_pod(&cluster);
    assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "Job");
    let output = run_as_pod(&cluster, &pod, folder.path());
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("not told"), "{said}");
    let events = cluster.run(&["get", "events", "-n", NAMESPACE, "-o", "json"]);
    let events: Value = serde_json::from_str(&events).unwrap();
    let ours = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["source"]["component"] == "affidavit");
    assert_eq!(ours.unwrap()["involvedObject"]["name"], pod["metadata"]["name"]);

    // Verified from the store, by somebody who may only read; and the lock is there.
    let root = fs::read_to_string(folder.path().join("keys/root.fingerprint")).unwrap();
    let verified = Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .args(["verify", "s3://evidence/prod", "--endpoint", &weed.endpoint, "--path-style"])
        .args(["--replay", "--root", root.trim()])
        .env("AWS_ACCESS_KEY_ID", "reader")
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let said = done(&verified);
    assert!(said.contains("HEAD_UNPINNED"), "{said}");
    let head = s3(&weed.endpoint, &["--head"], "/evidence/prod/log/0000000000.json");
    let head = String::from_utf8_lossy(&head.stdout).to_lowercase();
    assert!(head.contains("x-amz-object-lock-mode: governance"), "{head}");
    let until = head.lines().find_map(|l| l.strip_prefix("x-amz-object-lock-retain-until-date: "));
    let until: jiff::Timestamp = until.unwrap().trim().to_uppercase().parse().unwrap();
    let days = until.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!((365..=366).contains(&days), "{days}");
}

/// The pod of the Job of the CronJob. No node takes it: it stays pending.
fn wait_for_pod(cluster: &Cluster) -> Value {
    let start = Instant::now();
    loop {
        let listed = cluster.run(&["get", "pods", "-n", NAMESPACE, "-o", "json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        if let Some(pod) = listed["items"].as_array().unwrap().first() {
            return pod.clone();
        }
        let log = || cluster.log("kube-controller-manager");
        assert!(start.elapsed() < Duration::from_mins(3), "no Job was made: {}", log());
        std::thread::sleep(Duration::from_millis(500));
    }
}
