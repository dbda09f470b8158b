//! The cluster of these tests is a real one: it refuses, denies, records and controls.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;

/// A namespace with an account that may list config maps there, and nothing else.
const READER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: smoke}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: smoke}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: smoke}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: smoke}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: smoke}]
";

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {size: {type: integer}}}}
";

const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-host-network}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations:
  - expression: '!object.spec.?hostNetwork.orValue(false)'
    message: the host network is not for pods
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-host-network}
spec: {policyName: no-host-network, validationActions: [Deny]}
";

fn pod(host_network: bool) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "smoke"},
        "spec": {
            "hostNetwork": host_network,
            "containers": [{"name": "c", "image": "registry.example.com/c:1"}],
        },
    })
    .to_string()
}

/// Asks again until the answer is what it should be.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(1), "{what}");
        sleep(Duration::from_millis(300));
    }
}

#[apply(test)]
fn the_cluster_is_a_real_one() {
    let mut cluster = Cluster::start();
    cluster.apply(READER);
    a_token_allows_what_its_role_does(&cluster);
    the_audit_log_has_it(&cluster);
    a_definition_defines(&cluster);
    a_policy_denies(&cluster);
    a_node_answers_through_the_api_server(&mut cluster);
    controllers_make_pods(&mut cluster);
}

/// Runs kubectl as the account; `Err` says why not.
fn as_reader(cluster: &Cluster, arguments: &[&str]) -> Result<String, String> {
    let kubeconfig = cluster.kubeconfig_of("smoke", "reader");
    let mut all = vec!["--kubeconfig", kubeconfig.to_str().unwrap()];
    all.extend(arguments);
    let output = cluster.kubectl(&all, "");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn a_token_allows_what_its_role_does(cluster: &Cluster) {
    as_reader(cluster, &["get", "configmaps", "-n", "smoke"]).unwrap();
    let error = as_reader(cluster, &["get", "secrets", "-n", "smoke"]).unwrap_err();
    assert!(error.contains("(Forbidden)") && error.contains("smoke:reader"), "{error}");
}

fn the_audit_log_has_it(cluster: &Cluster) {
    let log = fs::read_to_string(cluster.path("audit.log")).unwrap();
    let refused =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).any(|event| {
            event["user"]["username"] == "system:serviceaccount:smoke:reader"
                && event["objectRef"]["resource"] == "secrets"
                && event["verb"] == "list"
                && event["responseStatus"]["code"] == 403
        });
    assert!(refused, "{log}");
}

fn a_definition_defines(cluster: &Cluster) {
    let widget = |size: Value| {
        json!({"apiVersion": "example.com/v1", "kind": "Widget",
            "metadata": {"name": "w", "namespace": "smoke"}, "spec": {"size": size}})
        .to_string()
    };
    assert!(cluster.would_create(&widget(json!(1))).is_err());
    cluster.apply(DEFINITION);
    wait_for("the definition is served", || cluster.would_create(&widget(json!(1))).is_ok());
    let error = cluster.would_create(&widget(json!("large"))).unwrap_err();
    assert!(error.contains("spec.size"), "{error}");
}

fn a_policy_denies(cluster: &Cluster) {
    // What a controller makes elsewhere.
    cluster.apply(
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: smoke}}",
    );
    cluster.would_create(&pod(true)).unwrap();
    cluster.apply(POLICY);
    wait_for("the policy is in force", || cluster.would_create(&pod(true)).is_err());
    let error = cluster.would_create(&pod(true)).unwrap_err();
    assert!(error.contains("the host network is not for pods"), "{error}");
    cluster.would_create(&pod(false)).unwrap();
}

fn a_node_answers_through_the_api_server(cluster: &mut Cluster) {
    let configuration = json!({"kubeletconfig": {"readOnlyPort": 0}});
    cluster.add_node("node-1", &configuration);
    let path = |page: &str| format!("/api/v1/nodes/node-1/proxy/{page}");
    wait_for("the node answers", || {
        cluster.kubectl(&["get", "--raw", &path("configz")], "").status.success()
    });
    let said: Value =
        serde_json::from_str(&cluster.run(&["get", "--raw", &path("configz")])).unwrap();
    assert_eq!(said, configuration);
    let output = cluster.kubectl(&["get", "--raw", &path("pods")], "");
    assert!(!output.status.success(), "the stand-in answers nothing else");
    let error = as_reader(cluster, &["get", "--raw", &path("configz")]).unwrap_err();
    assert!(error.contains("(Forbidden)"), "{error}");
}

fn controllers_make_pods(cluster: &mut Cluster) {
    let owners = |cluster: &Cluster| {
        let pods = cluster.run(&["get", "pods", "-n", "smoke", "-l", "app=web", "-o", "json"]);
        let pods: Value = serde_json::from_str(&pods).unwrap();
        let owner = |pod: &Value| pod["metadata"]["ownerReferences"][0]["kind"].clone();
        pods["items"].as_array().unwrap().iter().map(owner).collect::<Vec<_>>()
    };
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "smoke"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "registry.example.com/c:1"}]},
            },
        },
    });
    cluster.apply(&deployment.to_string());
    assert!(owners(cluster).is_empty(), "nobody makes pods yet");
    cluster.start_controllers();
    wait_for("the controllers make pods", || owners(cluster).len() == 2);
    assert_eq!(owners(cluster), ["ReplicaSet", "ReplicaSet"]);
}

/// What an account may not do is named by `doctor`, with what to do about it.
#[apply(test)]
fn doctor_names_the_rights_that_are_missing() {
    let cluster = Cluster::start();
    cluster.apply(READER);
    let folder = tempfile::tempdir().unwrap();
    let config = crate::small_chain::workspace(folder.path());
    let text = fs::read_to_string(&config).unwrap();
    let (start, _) = text.split_once("sources:").unwrap();
    let doctor = |kubeconfig: &std::path::Path, without: &str| {
        let access = format!("kubernetes: {{ kubeconfig: '{}' }}\n", kubeconfig.display());
        let source = format!(
            "sources: [{{ name: cluster, scanner: affidavit, from: cluster, max_age: 1h{without} }}]\n"
        );
        fs::write(&config, format!("{start}{access}{source}")).unwrap();
        let arguments = ["doctor", "-o", "json", "--no-progress"];
        let output = crate::command::affidavit(folder.path(), &arguments);
        let lines: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let of = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        let ours = |line: &Value| {
            let subject = of(line, "subject");
            subject.starts_with("source") || subject.starts_with("permissions")
        };
        let said: Vec<String> = lines
            .iter()
            .filter(|line| ours(line))
            .map(|line| {
                let [health, subject, text, help] =
                    ["health", "subject", "text", "help"].map(|key| of(line, key));
                format!("{health} {subject}: {text} ({help})")
            })
            .collect();
        said.join("\n")
    };
    let said = doctor(&cluster.kubeconfig_of("smoke", "reader"), "");
    assert!(
        said.contains("failing permissions: system:serviceaccount:smoke:reader may not list "),
        "{said}"
    );
    for kind in ["Pod", "ClusterRole", "Secret"] {
        assert!(said.contains(kind), "{kind}: {said}");
    }
    assert!(said.contains("collector-rbac.yaml"), "{said}");
    // What is left out on purpose is not missing.
    let said = doctor(&cluster.kubeconfig_of("smoke", "reader"), ", without: [Secret]");
    let line = said.lines().find(|line| line.contains("permissions")).unwrap();
    assert!(line.contains("Pod") && !line.contains("Secret"), "{said}");
    let said = doctor(&cluster.kubeconfig(), "");
    assert!(said.contains("ok permissions"), "{said}");
}
