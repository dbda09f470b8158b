//! What the kubelet and the cloud would do for a pod: its process, its bucket.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;

use super::cluster::Cluster;
use crate::contract::server::SECRET_KEY;
use crate::tools;

/// Does what a kubelet would: writes the files of the volumes, sets the environment, and starts the
/// program with its arguments. Only the root of its file system is another.
pub fn run_as_pod(cluster: &Cluster, pod: &Value, folder: &Path) -> Output {
    let root = folder.join("root");
    let spec = &pod["spec"];
    let container = &spec["containers"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let namespace = text(&pod["metadata"]["namespace"]);
    let mounts: Vec<String> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| text(&mount["mountPath"]))
        .filter(|path| path != "/tmp")
        .collect();
    let moved = |text: &str| {
        mounts.iter().fold(text.to_owned(), |text, path| {
            text.replace(path, &format!("{}{path}", root.display()))
        })
    };
    for mount in container["volumeMounts"].as_array().unwrap() {
        let volumes = spec["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        let target = root.join(text(&mount["mountPath"]).trim_start_matches('/'));
        fs::create_dir_all(&target).unwrap();
        let (kind, name) = if volume["configMap"].is_object() {
            ("configmap", text(&volume["configMap"]["name"]))
        } else if volume["secret"].is_object() {
            assert_eq!(volume["secret"]["defaultMode"], 0o440);
            ("secret", text(&volume["secret"]["secretName"]))
        } else {
            continue;
        };
        let object = cluster.run(&["get", kind, &name, "-n", &namespace, "-o", "json"]);
        let object: Value = serde_json::from_str(&object).unwrap();
        for (file, content) in object["data"].as_object().unwrap() {
            let content = text(content);
            let bytes = if kind == "secret" {
                base64::engine::general_purpose::STANDARD.decode(content).unwrap()
            } else {
                moved(&content).into_bytes()
            };
            let path = target.join(file);
            drop(fs::remove_file(&path));
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o440)).unwrap();
        }
    }
    let mut environment = BTreeMap::new();
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some(field) => field_of(pod, field),
            None => text(&variable["value"]),
        };
        environment.insert(text(&variable["name"]), value);
    }
    // `$(NAME)` is what the environment has under that name.
    let expanded = |argument: &str| {
        environment.iter().fold(argument.to_owned(), |text, (name, value)| {
            text.replace(&format!("$({name})"), value)
        })
    };
    let account = text(&spec["serviceAccountName"]);
    Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .env_clear()
        .current_dir(&root)
        .envs(&environment)
        .env("KUBECONFIG", cluster.kubeconfig_of(&namespace, &account))
        .env("TMPDIR", root.join("tmp"))
        .args(container["args"].as_array().unwrap().iter().map(|a| moved(&expanded(&text(a)))))
        .output()
        .unwrap()
}

/// `metadata.name`, or `metadata.labels['key']`, of a pod.
fn field_of(pod: &Value, field: &str) -> String {
    let value = match field.split_once("['") {
        Some((map, key)) => &pod.pointer(&format!("/{}", map.replace('.', "/"))).unwrap()
            [key.trim_end_matches("']")],
        None => pod.pointer(&format!("/{}", field.replace('.', "/"))).unwrap(),
    };
    value.as_str().unwrap().to_owned()
}

/// Asks the S3 server as its administrator.
pub fn s3(endpoint: &str, arguments: &[&str], path: &str) -> Output {
    tools::CURL
        .command()
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "10"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &format!("admin:{SECRET_KEY}")])
        .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .args(arguments)
        .arg(format!("{endpoint}{path}"))
        .output()
        .unwrap()
}

/// With Object Lock; the server takes writes later than it answers.
pub fn make_bucket(endpoint: &str) {
    let start = Instant::now();
    let until_it_succeeds = |arguments: &[&str], path: &str| loop {
        let output = s3(endpoint, arguments, path);
        if output.status.success() {
            return;
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(start.elapsed() < Duration::from_mins(2), "{error}");
        std::thread::sleep(Duration::from_millis(500));
    };
    // The bucket first: a write to one that is not there would make it without locks.
    let lock = ["-X", "PUT", "-H", "x-amz-bucket-object-lock-enabled: true"];
    until_it_succeeds(&lock, "/evidence");
    until_it_succeeds(&["-X", "PUT", "--data-binary", "x"], "/evidence/ready");
}
