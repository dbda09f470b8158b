//! A distinct secret in each place where a person can put one, and none of them anywhere that this program writes.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::command::affidavit;
use crate::proxies::affidavit_with;
use crate::small_chain::{NOW, files, workspace};

/// A place, and the secret that is put there. `{}` is the part that must not be found.
struct Canary {
    place: &'static str,
    secret: String,
}

fn canary(all: &mut Vec<Canary>, place: &'static str) -> String {
    let secret = format!("c4n4ry{:02}x7f3a9d0e5b1c8a6f2", all.len());
    all.push(Canary { place, secret: secret.clone() });
    secret
}

/// Everything below a folder, by path.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    files(folder)
        .into_iter()
        .map(|path| (path.clone(), fs::read(folder.join(path)).unwrap()))
        .collect()
}

fn holds(text: &[u8], secret: &str) -> bool {
    memchr::memmem::find(text, secret.as_bytes()).is_some()
}

/// Kubeconfigs, each with a secret where people have one.
fn plant_access(folder: &Path, all: &mut Vec<Canary>) {
    // A credential plugin that fails, and says everything that it knows.
    let plugin = folder.join("plugin");
    let (output, error) = (canary(all, "output of a plugin"), canary(all, "errors of a plugin"));
    fs::write(
        &plugin,
        format!("#!/bin/sh\necho token {output}\necho {error} >&2\nenv >&2\nexit 7\n"),
    )
    .unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let kubeconfig = |user: &str, cluster: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:9'{cluster}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        )
    };
    let exec = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: ./plugin, \
         args: [--client-secret, {}], env: [{{name: AWS_SECRET_ACCESS_KEY, value: {}}}]}}",
        canary(all, "argument of a plugin"),
        canary(all, "environment of a plugin"),
    );
    fs::write(folder.join("exec.kubeconfig"), kubeconfig(&exec, "")).unwrap();
    let token = format!("token: {}", canary(all, "token of a kubeconfig"));
    let proxy =
        format!(", proxy-url: 'http://me:{}@127.0.0.1:9'", canary(all, "password of a proxy"));
    fs::write(folder.join("token.kubeconfig"), kubeconfig(&token, &proxy)).unwrap();
    let address =
        format!("https://me:{}@127.0.0.1:9", canary(all, "password in a server's address"));
    let text = kubeconfig("", "").replace("https://127.0.0.1:9", &address);
    fs::write(folder.join("address.kubeconfig"), text).unwrap();
    let broken = format!(
        "{}\ntoken: {}\n  : [",
        kubeconfig("token: a", ""),
        canary(all, "broken kubeconfig")
    );
    fs::write(folder.join("broken.kubeconfig"), broken).unwrap();
    let wrong = kubeconfig(&format!("token: [{}]", canary(all, "wrong type in a kubeconfig")), "");
    fs::write(folder.join("wrong.kubeconfig"), wrong).unwrap();
}

/// Reports of scanners, in every syntax.
fn plant_reports(folder: &Path, all: &mut Vec<Canary>) {
    let jwt = |secret: &str| format!("eyJhbGciOiJSUzI1NiJ9.eyJ{secret}.{secret}");
    let report = json!({"Controls": [{"version": "cis-1.12", "node_type": "node", "tests": [{"results": [
        {"test_number": "4.1.1", "status": "FAIL", "scored": true,
         "actual_value": format!("kubelet --token={}", canary(all, "command line in a report")),
         "test_desc": "a", "remediation": format!("Bearer {}", canary(all, "header in a report"))}]}]}]});
    fs::write(folder.join("inputs/node-1.json"), report.to_string()).unwrap();
    let key = format!(
        "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----",
        canary(all, "private key in a report")
    );
    let policy = format!(
        "apiVersion: openreports.io/v1alpha1\nkind: Report\nmetadata:\n  name: a\n  annotations:\n    note: \"{}\"\n\
         summary: {{pass: 0, fail: 1, warn: 0, error: 0, skip: 0}}\nresults: [{{policy: p, rule: r, result: fail, source: kyverno, message: \"{} {key}\"}}]\n",
        jwt(&canary(all, "annotation of a report")),
        format_args!("postgres://app:{}@db/x", canary(all, "address in a report")),
    );
    fs::write(folder.join("policy.yaml"), policy).unwrap();
    let checkov: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(
            json!({"check_type": "kubernetes", "summary": {"passed": 0, "failed": 1, "skipped": 0, "parsing_errors": 0, "checkov_version": "3"},
                "results": {"passed_checks": [], "skipped_checks": [], "parsing_errors": [], "failed_checks": [
                    {"check_id": "CKV_K8S_8", "check_name": format!("DB_PASSWORD={}", canary(all, "report in UTF-16")), "resource": "Pod.a.b", "file_path": "/a",
                     "check_result": {"result": "FAILED"}}]}})
                .to_string()
                .encode_utf16()
                .flat_map(u16::to_le_bytes),
        )
        .collect();
    fs::write(folder.join("checkov.json"), checkov).unwrap();
}

/// Objects in manifests.
fn plant_objects(folder: &Path, all: &mut Vec<Canary>) {
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: b\n  annotations: {{ secret: {} }}\nspec:\n  containers:\n  - name: c\n    image: i\n    env: [{{name: KEY, value: {}}}]\n    args: [--password, {}]\n",
        canary(all, "annotation of an object"),
        canary(all, "environment of a container"),
        canary(all, "argument of a container"),
    );
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: b}}\nstringData: {{a: {}}}\n",
        canary(all, "data of a Secret")
    );
    fs::write(folder.join("pod.yaml"), format!("{pod}{secret}")).unwrap();
}

/// The configuration, without how the cluster is reached.
fn configuration(folder: &Path, all: &mut Vec<Canary>) -> String {
    let hook = canary(all, "address of a webhook");
    fs::write(folder.join("hook"), format!("http://127.0.0.1:9/services/{hook}")).unwrap();
    let mut config = fs::read_to_string(folder.join("affidavit.yaml")).unwrap();
    writeln!(
        config,
        "  - {{ name: policy, scanner: policy, files: [policy.yaml], max_age: 3650d, taken_at: '2026-11-19T00:00:00Z' }}\n  \
         - {{ name: checkov, scanner: checkov, files: [checkov.json], max_age: 3650d, taken_at: '2026-11-19T00:00:00Z' }}\n  \
         - {{ name: manifests, scanner: affidavit, manifests: [pod.yaml], max_age: 3650d }}\n  \
         - {{ name: live, scanner: affidavit, from: cluster, max_age: 1h }}\n  \
         - {{ name: reports, scanner: trivy, from: cluster, max_age: 1h }}\n\
         notify: {{ webhooks: [{{ name: h, url_file: hook }}], textfile: metrics.prom, pushgateway: 'http://me:{}@127.0.0.1:9', events: true }}",
        canary(all, "password of a Pushgateway"),
    )
    .unwrap();
    config
}

type Said = Vec<(String, Vec<u8>)>;

/// Does everything that people do, and keeps what is printed.
fn use_everything(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Said {
    let mut said = Said::new();
    let mut tell = |name: String, arguments: &[&str]| {
        let output = affidavit_with(folder, arguments, environment);
        said.push((name, [output.stdout, output.stderr].concat()));
        output.status.code()
    };
    for (number, file) in ["exec", "token", "address", "broken", "wrong"].into_iter().enumerate() {
        let access = format!("kubernetes: {{ kubeconfig: {file}.kubeconfig, timeout: 2s }}\n");
        fs::write(folder.join("affidavit.yaml"), format!("{access}{config}")).unwrap();
        let now = NOW.replace(":00Z", &format!(":{number:02}Z"));
        let code = tell(format!("run with {file}"), &["run", "--now", &now]);
        assert_eq!(code, Some(4), "{file}");
        tell(format!("doctor with {file}"), &["doctor", "--now", &now]);
        tell(
            format!("collect with {file}"),
            &["collect", &format!("collected-{file}"), "--now", &now],
        );
    }
    let plain = fs::read_to_string(folder.join("affidavit.yaml")).unwrap();
    for (name, text) in [
        ("vault", plain.replace("keys/log.pem", "'vault:https://127.0.0.1:9/transit/keys/k?version=1'")),
        ("s3", plain.replace("archive: { uri: archive }", "archive: { uri: 's3://b/p', endpoint: 'http://127.0.0.1:9', region: r, patience: 1s }")),
    ] {
        assert_ne!(text, plain);
        fs::write(folder.join("affidavit.yaml"), text).unwrap();
        tell(format!("run with {name}"), &["run", "--now", NOW]);
    }
    fs::write(folder.join("affidavit.yaml"), plain).unwrap();
    for format in ["csv", "hdf", "junit", "openreports", "oscal", "sarif"] {
        let out = format!("export-{format}");
        let export = ["export", "archive", "--format", format, "--out", &out, "--now", NOW];
        tell(format!("export {format}"), &export);
    }
    tell("report".to_owned(), &["report", "archive", "--format", "html", "--out", "report.html"]);
    let report = affidavit(folder, &["remediate", "archive", "--out", "remedies"]);
    said.push(("remediate".to_owned(), [report.stdout, report.stderr].concat()));
    said
}

#[apply(test)]
fn no_secret_gets_into_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    workspace(folder);
    let mut all = Vec::new();
    plant_access(folder, &mut all);
    plant_reports(folder, &mut all);
    plant_objects(folder, &mut all);
    let config = configuration(folder, &mut all);
    let environment = [
        ("AWS_ACCESS_KEY_ID", canary(&mut all, "AWS key id")),
        ("AWS_SECRET_ACCESS_KEY", canary(&mut all, "AWS secret key")),
        ("VAULT_TOKEN", canary(&mut all, "Vault token")),
        (
            "HTTPS_PROXY",
            format!("http://me:{}@127.0.0.1:9", canary(&mut all, "proxy of the environment")),
        ),
    ];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut said = use_everything(folder, &config, &environment);

    let mut table =
        "| secret | archive | exports | output and metrics |\n| --- | --- | --- | --- |\n"
            .to_owned();
    let archive = contents(&folder.join("archive"));
    assert!(archive.len() > 20, "{}", archive.len());
    let written: Vec<(String, Vec<u8>)> = contents(folder)
        .into_iter()
        .filter(|(path, _)| {
            ["export-", "remedies", "report.html", "collected-"]
                .iter()
                .any(|start| path.starts_with(start))
        })
        .collect();
    assert!(written.len() > 6, "{:?}", written.iter().map(|(path, _)| path).collect::<Vec<_>>());
    let metrics = fs::read(folder.join("metrics.prom")).unwrap();
    said.push(("metrics".to_owned(), metrics));
    let mut wrong = Vec::new();
    for Canary { place, secret } in &all {
        let mut row = format!("| {place} |");
        for (what, texts) in [("archive", &archive), ("exports", &written), ("output", &said)] {
            let found: Vec<&str> = texts
                .iter()
                .filter(|(_, text)| holds(text, secret))
                .map(|(name, _)| name.as_str())
                .collect();
            let word = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            if !found.is_empty() {
                wrong.push(format!("{place} in {what}: {word}"));
            }
            write!(row, " {word} |").unwrap();
        }
        writeln!(table, "{row}").unwrap();
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.len() >= 25, "{}", all.len());
    // What was taken out is said.
    let items = archive.iter().filter(|(path, _)| path.ends_with("items.jsonl"));
    let is_said = |text: &[u8]| holds(text, "like a secret: taken out before anything was judged");
    assert!(items.into_iter().all(|(_, text)| is_said(text)));
}
