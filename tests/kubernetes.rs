//! The live cluster, on a real API server: what the built-in checks say of it object by object,
//! with which permissions, and whether the server agrees.

mod agreement;
mod chart;
pub mod cluster;
mod fleet;
mod kubeconfigs;
mod lease;
mod monitoring;
mod moody;
mod open_reports;
mod pod;
mod proxy;
mod scanners;
mod smoke;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use affidavit::checks::{self, Action, Check, KINDS, KUBELET};
use affidavit::scanner::affidavit::Report;
use serde_json::{Value, json};

use crate::tools;
use cluster::Cluster;

/// Objects of one check, moved to where they are alone: into a namespace of their own, or under a
/// name of their own.
struct Placed {
    check: String,
    objects: Vec<Value>,
    /// Kind, namespace and name of the one that is judged.
    judged: (String, String, String),
    passes: bool,
}

/// What Kubernetes itself puts into a cluster is told from what a test puts there by its names.
fn place(check: &Check, passes: bool) -> Placed {
    let name = format!("{}-{}", if passes { "pass" } else { "fail" }, check.id);
    let (object, beside) = if passes {
        (&check.pass, &check.context.pass)
    } else {
        (&check.fail, &check.context.fail)
    };
    let mut objects: Vec<Value> = beside.clone();
    objects.push(object.clone());
    for object in &mut objects {
        let kind = object["kind"].as_str().unwrap().to_owned();
        if kind == "Namespace" {
            object["metadata"]["name"] = json!(name);
        } else if let Some(namespace) = object["metadata"].get_mut("namespace")
            && !["kube-system", "default"].contains(&namespace.as_str().unwrap())
        {
            *namespace = json!(name);
        }
        if object["metadata"].get("namespace").is_none() && kind != "Namespace" {
            object["metadata"]["name"] = json!(name);
        }
        if object["metadata"]["namespace"] == "kube-system"
            || object["metadata"]["namespace"] == "default"
        {
            object["metadata"]["name"] = json!(name);
        }
        if let Some(role) = object.pointer_mut("/roleRef/name")
            && *role == "deployer"
        {
            *role = json!(name);
        }
    }
    let judged = objects.last().unwrap();
    let text = |pointer: &str| {
        judged.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Placed {
        check: check.id.clone(),
        judged: (text("/kind"), text("/metadata/namespace"), text("/metadata/name")),
        objects,
        passes,
    }
}

/// A namespace with the account that its pods need, which a controller would make.
fn namespace(name: &str) -> [Value; 2] {
    [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": name}}),
    ]
}

fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// Runs this program, as a user would.
fn affidavit(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_affidavit")).args(arguments).output().unwrap()
}

/// Collects from a cluster; gives the report's bytes.
fn collect(kubeconfig: &Path, uid: &str) -> (Vec<u8>, std::process::Output, tempfile::TempDir) {
    collect_within(kubeconfig, uid, "60s")
}

/// The same where each answer may take so long.
fn collect_within(
    kubeconfig: &Path,
    uid: &str,
    timeout: &str,
) -> (Vec<u8>, std::process::Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "cluster: {{ name: test, uid: '{uid}' }}\norigin: evidence.example.com/test\n\
         kubernetes: {{ kubeconfig: '{}', timeout: {timeout} }}\narchive: {{ uri: archive }}\n\
         keys: {{ signer: k, keyring: k, disclosure_secret: k }}\nframeworks: [pci-dss]\n\
         sources: [{{ name: cluster, scanner: affidavit, from: cluster, max_age: 1h }}]\n",
        kubeconfig.display()
    );
    let path = folder.path().join("affidavit.yaml");
    std::fs::write(&path, config).unwrap();
    let out = folder.path().join("out");
    let output = affidavit(&["collect", "-c", path.to_str().unwrap(), out.to_str().unwrap()]);
    let report = std::fs::read(out.join("cluster/affidavit-checks.json")).unwrap_or_default();
    (report, output, folder)
}

/// What a report says: outcome by check, for each object.
type Verdicts = BTreeMap<(String, String, String), BTreeMap<String, &'static str>>;

fn verdicts(report: &Report<'_>) -> Verdicts {
    let id = |place: u16| report.checks[usize::from(place)].id.to_string();
    report
        .objects
        .iter()
        .map(|object| {
            let mut said = BTreeMap::new();
            said.extend(object.pass.iter().map(|place| (id(*place), "pass")));
            said.extend(object.fail.iter().map(|failed| (id(failed.check), "fail")));
            said.extend(object.error.iter().map(|(place, _)| (id(*place), "error")));
            let key = (&object.kind, &object.namespace, &object.name);
            ((key.0.to_string(), key.1.to_string(), key.2.to_string()), said)
        })
        .collect()
}

/// Which checks were not made, by kind.
fn unmade(report: &Report<'_>) -> BTreeSet<String> {
    let not_checked = report
        .unmade
        .iter()
        .filter(|unmade| unmade.outcome == affidavit::finding::Outcome::NotChecked);
    not_checked.map(|unmade| report.checks[usize::from(unmade.check)].id.to_string()).collect()
}

/// Checks whose objects an API server can hold, placed.
fn placed(checks: &[Check]) -> Vec<Placed> {
    checks
        .iter()
        .filter(|check| !check.kinds.iter().any(|kind| kind == KUBELET))
        .flat_map(|check| [place(check, true), place(check, false)])
        .collect()
}

/// Puts everything into the cluster: for each check an object that passes and one that fails.
fn populate(cluster: &mut Cluster, checks: &[Check]) -> Vec<Placed> {
    let placed = placed(checks);
    let mut namespaces: Vec<Value> = namespace("default").into();
    namespaces.extend(namespace("kube-system"));
    let mut others = Vec::new();
    for one in &placed {
        for object in &one.objects {
            let (kind, meta) = (object["kind"].as_str().unwrap(), &object["metadata"]);
            let inside = meta["namespace"].as_str().unwrap_or_default();
            if inside == format!("{}-{}", if one.passes { "pass" } else { "fail" }, one.check) {
                namespaces.extend(namespace(inside));
            }
            if kind == "Namespace" || (kind == "ServiceAccount" && meta["name"] == "default") {
                namespaces.push(object.clone());
            } else {
                others.push(object.clone());
            }
        }
    }
    // The check's own object wins over the one that is only there to hold others.
    let mut by_name = BTreeMap::new();
    for object in namespaces {
        let meta = &object["metadata"];
        let key = format!(
            "{} {} {}",
            object["kind"] == "ServiceAccount",
            meta["namespace"],
            meta["name"]
        );
        by_name.insert(key, object);
    }
    cluster.apply(&list(&by_name.into_values().collect::<Vec<_>>()));
    cluster.apply(&list(&others));
    // Nodes have their addresses in their status, which is written apart.
    for object in others.iter().filter(|object| object["kind"] == "Node") {
        // Nobody listens there, and nobody is far away.
        let own = cluster::own_address();
        let patch = json!({"status": object["status"]}).to_string().replace("10.0.0.1", &own);
        let name = object["metadata"]["name"].as_str().unwrap();
        cluster.run(&["patch", "node", name, "--subresource=status", "--type=merge", "-p", &patch]);
    }
    for passes in [true, false] {
        let mut configuration = json!({});
        for check in checks.iter().filter(|check| check.kinds.iter().any(|kind| kind == KUBELET)) {
            let object = if passes { &check.pass } else { &check.fail };
            merge(&mut configuration, object);
        }
        for field in ["apiVersion", "kind", "metadata"] {
            configuration.as_object_mut().unwrap().remove(field);
        }
        let name = if passes { "good-node" } else { "bad-node" };
        cluster.add_node(name, &json!({"kubeletconfig": configuration}));
    }
    placed
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[apply(test)]
fn every_check_says_of_real_objects_what_it_says_of_its_own() {
    let mut cluster = Cluster::start();
    let checks = checks::load_all().unwrap();
    let placed = populate(&mut cluster, &checks);
    let (bytes, output, _folder) = collect(&cluster.kubeconfig(), "");
    // Most of the nodes have no kubelet.
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("KubeletConfiguration: ") && !told.contains("Pod: "), "{told}");
    let report: Report<'_> = serde_json::from_slice(&bytes).unwrap();
    assert!(report.objects.len() > 300, "{}", report.objects.len());
    let said = verdicts(&report);
    let mut wrong = Vec::new();
    for one in &placed {
        let expected = if one.passes { "pass" } else { "fail" };
        let found = said.get(&one.judged).and_then(|said| said.get(&one.check));
        if found != Some(&expected) {
            wrong.push(format!("{} of {:?}: {found:?}, not {expected}", one.check, one.judged));
        }
    }
    for check in checks.iter().filter(|check| check.kinds.iter().any(|kind| kind == KUBELET)) {
        for (node, expected) in [("good-node", "pass"), ("bad-node", "fail")] {
            let key = (KUBELET.to_owned(), String::new(), node.to_owned());
            let found = said.get(&key).and_then(|said| said.get(&check.id));
            if found != Some(&expected) {
                wrong.push(format!("{} of {node}: {found:?}, not {expected}", check.id));
            }
        }
    }
    let told = report.kinds.iter().filter(|listed| !listed.detail.is_empty());
    let told: Vec<String> =
        told.map(|listed| format!("{}: {}", listed.kind, listed.detail)).collect();
    let (number, lines) = (wrong.len(), [wrong, told].concat().join("\n"));
    assert_eq!(number, 0, "{lines}");
    let errors: Vec<_> = report.objects.iter().filter(|object| !object.error.is_empty()).collect();
    assert!(errors.is_empty(), "{errors:#?}");

    // Who answered, and whom.
    let identity = report.cluster.as_ref().unwrap();
    let uid = cluster.run(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    assert_eq!(identity.uid, uid);
    assert_eq!(identity.user, "admin");
    assert!(identity.groups.contains(&"system:masters".to_owned()));
    assert!(identity.version.starts_with("v1."), "{}", identity.version);
    assert_eq!(identity.endpoint_certificate.len(), 64);
    assert_eq!((&*identity.server, &*identity.access), (&*cluster.url, "kubeconfig"));
    assert_eq!((&*identity.context, identity.authorities.len()), ("test", 64));
    assert!(identity.tls_verified && identity.not_known.is_empty());
    assert!(identity.clock_ahead_seconds.abs() <= 2);
    // Counts are those of the server.
    for listed in report.kinds.iter().filter(|listed| listed.kind != KUBELET) {
        let kind = checks::find_kind(&listed.kind).unwrap();
        let resource = format!("{}.{}", kind.plural, kind.group);
        let names = cluster.run(&["get", resource.trim_end_matches('.'), "-A", "-o", "name"]);
        assert_eq!(listed.count, names.lines().count() as u64, "{}", listed.kind);
        assert!(!listed.resource_version.is_empty());
    }
    // Another cluster is refused.
    let (bytes, output, _folder) =
        collect(&cluster.kubeconfig(), "00000000-0000-0000-0000-000000000000");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(bytes.is_empty() && output.status.code() == Some(3), "{error}");
    assert!(error.contains(&uid) && error.contains("00000000"), "{error}");
}

/// A collector whose role lacks some permissions; gives the kubeconfig of its account.
fn collector_without(
    cluster: &Cluster,
    name: &str,
    removed: Option<&(String, String, String)>,
) -> PathBuf {
    let mut role = shipped_role();
    role["metadata"]["name"] = json!(name);
    let rules = role["rules"].as_array_mut().unwrap();
    for rule in rules.iter_mut() {
        if let Some((group, resource, verb)) = removed
            && rule["apiGroups"][0] == **group
            && rule["verbs"][0] == **verb
        {
            let resources = rule["resources"].as_array_mut().unwrap();
            resources.retain(|value| value != resource);
        }
    }
    rules.retain(|rule| rule["resources"].as_array().is_some_and(|list| !list.is_empty()));
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "affidavit"}});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "affidavit"}],
    });
    cluster.apply(&list(&[role, account, binding]));
    cluster.kubeconfig_of("affidavit", name)
}

const SHIPPED: &str = "examples/kubernetes/collector-rbac.yaml";

fn shipped_role() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED);
    let text = std::fs::read_to_string(path).unwrap();
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap())
        .find(|object| object["kind"] == "ClusterRole")
        .unwrap()
}

#[apply(test)]
fn the_shipped_role_is_sufficient_and_minimal() {
    let mut cluster = Cluster::start();
    let checks = checks::load_all().unwrap();
    cluster.apply(
        &std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED)).unwrap(),
    );
    cluster.add_node("node", &json!({"kubeletconfig": {"readOnlyPort": 0}}));
    let kubeconfig = cluster.kubeconfig_of("affidavit", "affidavit");
    let (bytes, output, _folder) = collect(&kubeconfig, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report<'_> = serde_json::from_slice(&bytes).unwrap();
    for listed in &report.kinds {
        assert_eq!(listed.listing.as_str(), "complete", "{}: {}", listed.kind, listed.detail);
    }
    let identity = report.cluster.as_ref().unwrap();
    assert!(!identity.uid.is_empty() && identity.may_not_list.is_empty(), "{identity:?}");
    assert_eq!(identity.user, "system:serviceaccount:affidavit:affidavit");
    let without_objects = unmade(&report);

    // Each permission taken away loses the checks that read that kind, and no other.
    let mut permissions = Vec::new();
    for rule in shipped_role()["rules"].as_array().unwrap() {
        for resource in rule["resources"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            permissions.push((
                text(&rule["apiGroups"][0]),
                text(resource),
                text(&rule["verbs"][0]),
            ));
        }
    }
    assert!(permissions.len() > 20);
    for (number, removed) in permissions.iter().enumerate() {
        let kubeconfig = collector_without(&cluster, &format!("without-{number}"), Some(removed));
        let (bytes, output, _folder) = collect(&kubeconfig, "");
        let report: Report<'_> = serde_json::from_slice(&bytes).unwrap();
        let (_, resource, verb) = removed;
        let is_seen = resource == "namespaces" && verb == "get";
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(if is_seen { 0 } else { 4 }), "{removed:?} {error}");
        if is_seen {
            assert_eq!(report.cluster.as_ref().unwrap().uid, "");
            continue;
        }
        let lost: BTreeSet<String> =
            unmade(&report).difference(&without_objects).cloned().collect();
        let kind = KINDS
            .iter()
            .find(|kind| {
                kind.plural == resource || (kind.kind == KUBELET && resource == "nodes/proxy")
            })
            .unwrap();
        let reads = |check: &&Check| {
            check.looks_at(kind)
                || check.needs.iter().any(|need| need == kind.kind)
                // Without the list of nodes, nobody knows which kubelets to ask.
                || (kind.kind == "Node" && check.kinds.iter().any(|name| name == KUBELET))
        };
        let mut expected: BTreeSet<String> =
            checks.iter().filter(reads).map(|c| c.id.clone()).collect();
        expected.retain(|id| !without_objects.contains(id));
        assert_eq!(lost, expected, "without {removed:?}");
        let listed = report.kinds.iter().find(|listed| listed.kind == kind.kind).unwrap();
        assert_eq!(listed.listing.as_str(), "forbidden", "{removed:?}");
        assert!(report.cluster.as_ref().unwrap().may_not_list.contains(&kind.kind.to_owned()));
    }
}

/// The object with a label, so that only one policy is put to it.
fn labelled(object: &Value, label: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["labels"]["affidavit-test"] = json!(label);
    object
}

#[apply(test)]
fn the_api_server_enforces_each_exported_policy() {
    let cluster = Cluster::start();
    let checks = checks::load_all().unwrap();
    let enforced: Vec<&Check> =
        checks.iter().filter(|check| checks::why_not(check).is_none()).collect();
    assert!(enforced.len() >= 60, "{}", enforced.len());
    let [bare, _] = namespace("without-accounts");
    let [.., account] = namespace("default");
    cluster.apply(&list(&[&namespace("demo")[..], &[bare, account]].concat()));
    let mut objects = Vec::new();
    for check in &enforced {
        let [policy, mut binding] = checks::policy(check, Action::Deny, &[]);
        binding["spec"]["matchResources"] =
            json!({"objectSelector": {"matchLabels": {"affidavit-test": check.id}}});
        objects.extend([policy, binding]);
    }
    cluster.apply(&list(&objects));
    // A policy takes effect some time after it was written: wait for the last one.
    let last = enforced.last().unwrap();
    let fail = labelled(&unplaced(&last.fail), &last.id).to_string();
    let began = std::time::Instant::now();
    while cluster.would_create(&fail).is_ok() {
        assert!(began.elapsed().as_secs() < 60, "no policy took effect");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let mut wrong = Vec::new();
    for check in &enforced {
        let said = cluster.would_create(&labelled(&unplaced(&check.fail), &check.id).to_string());
        let named = format!("(affidavit:{})", check.id);
        if !said.as_ref().is_err_and(|error| error.contains(&named)) {
            wrong.push(format!("{}: the failing object: {said:?}", check.id));
        }
        if let Err(error) =
            cluster.would_create(&labelled(&unplaced(&check.pass), &check.id).to_string())
        {
            wrong.push(format!("{}: the passing object: {error}", check.id));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), enforced.len(), wrong.join("\n"));
    // No expression holds a type against the kinds that it is matched with.
    let policies = cluster.run(&["get", "validatingadmissionpolicies", "-o", "json"]);
    let policies: Value = serde_json::from_str(&policies).unwrap();
    for policy in policies["items"].as_array().unwrap() {
        let warnings = policy.pointer("/status/typeChecking/expressionWarnings");
        assert!(warnings.is_none(), "{}: {}", policy["metadata"]["name"], warnings.unwrap());
    }
}

/// An object that does not exist yet, in a namespace that does.
fn unplaced(object: &Value) -> Value {
    let mut object = object.clone();
    if object["kind"] == "Namespace" {
        object["metadata"]["name"] = json!("new");
    } else if object["kind"] == "ServiceAccount" {
        object["metadata"]["namespace"] = json!("without-accounts");
    }
    object
}

#[apply(test)]
fn pod_security_admission_agrees() {
    let cluster = Cluster::start();
    for level in ["baseline", "restricted"] {
        let [mut inside, account] = namespace(level);
        inside["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!(level);
        cluster.apply(&list(&[inside, account]));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("frameworks/checks");
    let mut compared = 0;
    for check in checks::load_all().unwrap() {
        let text = std::fs::read_to_string(folder.join(format!("{}.yaml", check.id))).unwrap();
        let Some(level) = text.lines().find_map(|l| l.strip_prefix("# Pod Security Standards: "))
        else {
            continue;
        };
        compared += 1;
        let level = if level.starts_with("baseline") && check.id != "proc-mount" {
            "baseline"
        } else {
            "restricted"
        };
        for (object, passes) in [(&check.pass, true), (&check.fail, false)] {
            let mut object = object.clone();
            object["metadata"]["namespace"] = json!(level);
            let said = cluster.would_create(&object.to_string());
            let refused = said.as_ref().is_err_and(|error| error.contains("violates PodSecurity"));
            assert_eq!(said.is_ok(), passes, "{} at {level}: {said:?}", check.id);
            assert!(passes || refused, "{}: {said:?}", check.id);
        }
    }
    assert_eq!(compared, 21);
}

/// Stands in every place where a secret may be.
const CANARY: &str = "canary-7f3a91c4";

/// Objects with the canary in every place that is not a name.
fn canaries() -> Vec<Value> {
    let env = json!([{"name": "PLAIN", "value": CANARY}, {"name": "DB_PASSWORD", "value": CANARY}]);
    let annotations = json!({
        "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"data\":\"{CANARY}\"}}"),
        "example.com/note": CANARY,
    });
    let container = json!({
        "name": "app", "image": "example.com/app:1", "env": env,
        "command": ["app", "--password", CANARY], "args": [format!("--token={CANARY}")],
        "livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "Authorization", "value": CANARY}]}},
        "lifecycle": {"preStop": {"exec": {"command": ["curl", CANARY]}}},
    });
    let spec = json!({
        "containers": [container], "initContainers": [{"name": "init", "image": "example.com/init:1", "env": env}],
        "volumes": [{"name": "v", "csi": {"driver": "example.com", "volumeAttributes": {"key": CANARY}}}],
    });
    let meta =
        |name: &str| json!({"name": name, "namespace": "canary", "annotations": annotations});
    let template = json!({"metadata": {"labels": {"app": "a"}, "annotations": {"example.com/note": CANARY}}, "spec": spec});
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("secret"), "stringData": {"key": CANARY}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("settings"), "data": {"key": CANARY}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("pod"), "spec": spec}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("deployment"),
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("cron-job"),
            "spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": {
                "metadata": {}, "spec": {"restartPolicy": "Never", "containers": [container]}}}}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("service"),
            "spec": {"type": "NodePort", "ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("account")}),
    ]
}

/// A kind that a scanner leaves its reports in, and one report.
fn policy_reports() -> [Value; 2] {
    let version = json!({"name": "v1alpha2", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let names =
        json!({"plural": "policyreports", "singular": "policyreport", "kind": "PolicyReport"});
    [
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "policyreports.wgpolicyk8s.io", "annotations": {
                "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/wg-policy-prototypes"}},
            "spec": {"group": "wgpolicyk8s.io", "scope": "Namespaced", "names": names, "versions": [version]}}),
        json!({"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
            "metadata": {"name": "r", "namespace": "canary", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": CANARY}},
            "summary": {"pass": 1, "fail": 0, "warn": 0, "error": 0, "skip": 0},
            "results": [{"policy": "p", "rule": "r", "result": "pass", "source": "kyverno",
                "resources": [{"apiVersion": "v1", "kind": "Pod", "name": "pod", "namespace": "canary"}]}]}),
    ]
}

/// Runs this program in a folder; it must come to its end. Gives what it printed.
fn run_in(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{arguments:?}: {error}");
    [output.stdout, output.stderr].concat()
}

/// A folder with keys and a configuration for these sources.
fn workplace(cluster: &Cluster, sources: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let names = ["--origin", "evidence.example.com/workplace", "--cluster", "workplace"];
    run_in(folder.path(), &[&["init", "."], &names[..]].concat());
    let path = folder.path().join("affidavit.yaml");
    let configured = std::fs::read_to_string(&path).unwrap();
    let before = configured.split("\nsources:").next().unwrap();
    let access = format!("kubernetes: {{ kubeconfig: '{}' }}\n", cluster.kubeconfig().display());
    std::fs::write(&path, format!("{before}\nsources:\n{sources}{access}")).unwrap();
    folder
}

#[apply(test)]
fn no_secret_gets_into_anything_that_is_written() {
    tools::QPDF.demand();
    let cluster = Cluster::start();
    cluster.apply(&list(&namespace("canary")));
    cluster.apply(&list(&canaries()));
    let [definition, report] = policy_reports();
    cluster.apply(&definition.to_string());
    cluster.run(&["wait", "--for=condition=Established", "crd/policyreports.wgpolicyk8s.io"]);
    cluster.apply(&report.to_string());

    let folder = workplace(
        &cluster,
        "- { name: cluster, scanner: affidavit, from: cluster, max_age: 1h }\n\
         - { name: reports, scanner: policy, from: cluster, max_age: 1h }\n\
         - { name: trivy, scanner: trivy, from: cluster, max_age: 1h }\n\
         - { name: manifests, scanner: affidavit, manifests: [m/*.json], max_age: 1h }\n",
    );
    let work = folder.path();
    // Manifests nobody has held against a schema: values where other types should be.
    let mut odd = canaries();
    odd[2]["spec"]["containers"][0]["securityContext"] =
        json!({"privileged": CANARY, "capabilities": CANARY});
    odd[2]["spec"]["containers"][0]["image"] = json!([CANARY]);
    odd[3]["spec"]["template"]["spec"]["containers"][0]["env"] = json!({"PASSWORD": CANARY});
    odd[4]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostNetwork"] = json!({"x": CANARY});
    std::fs::create_dir(work.join("m")).unwrap();
    std::fs::write(work.join("m/odd.json"), list(&odd)).unwrap();
    std::fs::write(work.join("m/broken.json"), format!("{{\"kind\": \"Pod\", \"x\": {CANARY}"))
        .unwrap();

    let printed = run_in(work, &["run"]);
    let text = String::from_utf8(printed).unwrap();
    assert!(!text.contains(CANARY), "{text}");
    assert!(text.contains("the cluster has no kind of"), "trivy's absence is said: {text}");
    let mut seen = 0;
    let mut unexamined = vec![work.join("archive")];
    while let Some(path) = unexamined.pop() {
        if path.is_dir() {
            unexamined.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        seen += 1;
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "pdf") {
            let mut qpdf = tools::QPDF.command();
            qpdf.args(["--stream-data=uncompress", path.to_str().unwrap(), "-"]);
            bytes = qpdf.output().unwrap().stdout;
            assert!(bytes.len() > 10_000);
        }
        let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!found, "{} holds a secret", path.display());
    }
    assert!(seen > 10, "{seen}");
    // The objects themselves were looked at: what is wrong with them is said.
    let inputs =
        std::fs::read_dir(work.join("archive/bundles")).unwrap().next().unwrap().unwrap().path();
    let cluster_report =
        std::fs::read(inputs.join("inputs/cluster/0001-affidavit-checks.json")).unwrap();
    let report: Report<'_> = serde_json::from_slice(&cluster_report).unwrap();
    let said = verdicts(&report);
    let pod = &said[&("Pod".to_owned(), "canary".to_owned(), "pod".to_owned())];
    assert_eq!(pod["literal-secret-in-environment"], "fail");
    let manifests =
        std::fs::read(inputs.join("inputs/manifests/0001-affidavit-checks.json")).unwrap();
    let report: Report<'_> = serde_json::from_slice(&manifests).unwrap();
    assert!(report.totals.error > 0 && report.unread.len() == 1, "{:?}", report.unread);
}

/// A pod's object as a Deployment.
fn as_deployment(pod: &Value, name: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "fix"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    })
}

#[apply(test)]
fn after_each_patch_the_check_passes() {
    let cluster = Cluster::start();
    cluster.apply(&list(&namespace("fix")));
    let checks = checks::load_all().unwrap();
    let patched: Vec<&Check> = checks.iter().filter(|check| check.patch.is_some()).collect();
    assert!(patched.len() >= 12, "{}", patched.len());
    let mut objects = Vec::new();
    for check in &patched {
        let mut object = check.fail.clone();
        if object["kind"] == "Pod" {
            // One of the containers is another one's equal, and starts before the others.
            let mut first = object["spec"]["containers"][0].clone();
            first["name"] = json!("setup");
            object["spec"]["initContainers"] = json!([first]);
            object = as_deployment(&object, &check.id);
        } else if object["kind"] == "Namespace" {
            object["metadata"]["name"] = json!(check.id);
        } else {
            object["metadata"]["namespace"] = json!("fix");
        }
        objects.push(object);
    }
    cluster.apply(&list(&objects));
    let sources = "- { name: cluster, scanner: affidavit, from: cluster, max_age: 1h }\n";
    let folder = workplace(&cluster, sources);
    run_in(folder.path(), &["run"]);
    let printed = run_in(folder.path(), &["remediate", "archive", "--out", "fix"]);
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("with a patch"), "{printed}");

    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(tools::KUBERNETES.path(), bin.join("kubectl")).unwrap();
    let apply = |mode: &[&str]| {
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let output = tools::SH
            .command()
            .arg(folder.path().join("fix/apply.sh"))
            .args(mode)
            .env("PATH", path)
            .env("KUBECONFIG", cluster.kubeconfig())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let tried = apply(&[]);
    assert!(tried.lines().all(|line| line.ends_with(" patched")), "{tried}");
    assert!(tried.lines().count() >= patched.len(), "{tried}");
    let fails = |check: &Check, object: &Value| {
        let (bytes, ..) = collect(&cluster.kubeconfig(), "");
        let report: Report<'_> = serde_json::from_slice(&bytes).unwrap();
        let text = |pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let key = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        verdicts(&report)[&key][&check.id]
    };
    // Trying changes nothing; applying does.
    assert_eq!(fails(patched[0], &objects[0]), "fail");
    apply(&["apply"]);
    for (check, object) in patched.iter().zip(&objects) {
        assert_eq!(fails(check, object), "pass", "{}", check.id);
    }
    let words = std::fs::read_to_string(folder.path().join("fix/remediation.md")).unwrap();
    assert!(words.contains("## fix/Deployment/container-privileged"), "{words}");
}
