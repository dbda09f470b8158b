//! Built-in checks as ValidatingAdmissionPolicy objects of Kubernetes, so that what a report finds
//! is not created again.

use serde_json::{Value, json};

use super::kinds::{KINDS, KUBELET, Kind, SECRET};
use super::{Check, Each};

/// What the API server does with an object that fails (`validationActions` of the binding).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Refuses it.
    Deny,
    /// Admits it and tells its author.
    Warn,
    /// Admits it and notes it in the audit log.
    Audit,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }
}

/// Why a check cannot be enforced by an admission policy; `None` when it can.
#[must_use]
pub fn why_not(check: &Check) -> Option<&'static str> {
    if check.component.is_some() {
        return Some("static pods come from a node's file and are not admitted");
    }
    if check.kinds.iter().any(|kind| kind == KUBELET) {
        return Some("a kubelet's configuration is no object of the API");
    }
    if check.kinds.iter().any(|kind| kind == SECRET || kind == "Node") {
        return Some("it looks at what is there, not at what is asked for");
    }
    if !check.needs.is_empty() {
        return Some("it reads other objects beside the one that is admitted");
    }
    None
}

/// The policy of a check, and the binding that puts it to work. `exempt` are namespaces in which
/// it does not hold.
#[must_use]
pub fn policy(check: &Check, action: Action, exempt: &[String]) -> [Value; 2] {
    let name = format!("affidavit-{}", check.id);
    let labels = json!({"app.kubernetes.io/managed-by": "affidavit"});
    let rules: Vec<Value> =
        KINDS.iter().filter(|kind| check.looks_at(kind)).map(resource_rule).collect();
    let mut expression = match check.each {
        None => format!("({})", check.cel),
        Some(each) => {
            let (all, one) = each.cel();
            format!("{all}.all({one}, {})", check.cel)
        }
    };
    if let Some(when) = &check.when {
        expression = format!("!({when}) || {expression}");
    }
    let variables: Vec<Value> = VARIABLES
        .iter()
        .filter(|(name, ..)| uses(check, &expression, name))
        .map(|(name, expression)| json!({"name": name, "expression": expression}))
        .collect();
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "validations": [{
            "expression": expression,
            "message": format!("{}: {} (affidavit:{})", check.title, check.message, check.id),
            "reason": "Invalid",
        }],
    });
    if !variables.is_empty()
        && let Some(spec) = spec.as_object_mut()
    {
        spec.insert("variables".to_owned(), Value::from(variables));
    }
    let mut binding = json!({"policyName": name, "validationActions": [action.as_str()]});
    if !exempt.is_empty()
        && let Some(binding) = binding.as_object_mut()
    {
        let selector = json!({"matchExpressions": [{
            "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": exempt,
        }]});
        binding.insert("matchResources".to_owned(), json!({"namespaceSelector": selector}));
    }
    let object = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name, "labels": labels},
            "spec": spec,
        })
    };
    [object("ValidatingAdmissionPolicy", spec), object("ValidatingAdmissionPolicyBinding", binding)]
}

/// Variables as the engine makes them. `dyn` keeps the API server from holding an expression
/// against each of the kinds that it is matched with.
const VARIABLES: &[(&str, &str)] = &[
    (
        "pod",
        "dyn(object).kind == 'Pod' ? dyn(object) : dyn(object).kind == 'CronJob' ? \
         dyn(object).spec.jobTemplate.spec.template : dyn(object).spec.template",
    ),
    ("podSpec", "variables.pod.spec"),
    ("podMeta", "variables.pod.?metadata.orValue({})"),
    (
        "containers",
        "variables.podSpec.containers + variables.podSpec.?initContainers.orValue([]) + \
         variables.podSpec.?ephemeralContainers.orValue([])",
    ),
    (
        "rules",
        "dyn(object).kind == 'Ingress' ? dyn(object).spec.?rules.orValue([]) : dyn(object).?rules.orValue([])",
    ),
];

/// Does the policy of a check need this variable? Each needs those that it is made of.
fn uses(check: &Check, expression: &str, name: &str) -> bool {
    let own = |name: &str| expression.contains(&format!("variables.{name}"));
    let containers = own("containers") || check.each == Some(Each::Containers);
    let spec = containers || own("podSpec") || check.each == Some(Each::Volumes);
    match name {
        "pod" => spec || own("podMeta"),
        "podSpec" => spec,
        "containers" => containers,
        "rules" => own("rules") || check.each == Some(Each::Rules),
        other => own(other),
    }
}

fn resource_rule(kind: &Kind) -> Value {
    let mut resources = vec![kind.plural.to_owned()];
    if kind.kind == "Pod" {
        resources.push("pods/ephemeralcontainers".to_owned());
    }
    json!({
        "apiGroups": [kind.group],
        "apiVersions": [kind.version],
        "operations": ["CREATE", "UPDATE"],
        "resources": resources,
    })
}
