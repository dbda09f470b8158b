//! What to change in an object so that it passes: strategic merge patches, where a change is safe
//! and always means the same.

use serde_json::{Map, Value, json};

use super::engine::pod_path;
use super::{Check, Patch};

/// Kinds whose pod template may be changed while they run.
const WITH_TEMPLATE: [&str; 5] =
    ["CronJob", "DaemonSet", "Deployment", "ReplicationController", "StatefulSet"];

/// Adds to `patch` what a failing object of that kind needs for this check; `elements` as a report
/// says them. `false`: there is nothing that would be safe.
pub fn add(check: &Check, kind: &str, elements: &[String], patch: &mut Value) -> bool {
    let Some(Patch { container, pod, object }) = &check.patch else { return false };
    let has_template = WITH_TEMPLATE.contains(&kind);
    let mut changes = false;
    if let Some(change) = object {
        merge(patch, change);
        changes = true;
    }
    if let (Some(change), true) = (pod, has_template) {
        merge(pod_spec(kind, patch), change);
        changes = true;
    }
    if let (Some(change), true) = (container, has_template) {
        for element in elements {
            let Some((list, name)) = element.split_once('/') else { continue };
            if list == "ephemeralContainers" {
                continue;
            }
            let containers = entry(pod_spec(kind, patch), list, || json!([]));
            let Some(containers) = containers.as_array_mut() else { continue };
            let known = containers.iter().position(|container| container["name"] == name);
            let place = known.unwrap_or(containers.len());
            if known.is_none() {
                containers.push(json!({"name": name}));
            }
            if let Some(container) = containers.get_mut(place) {
                merge(container, change);
                changes = true;
            }
        }
    }
    changes
}

fn pod_spec<'p>(kind: &str, patch: &'p mut Value) -> &'p mut Value {
    let steps = pod_path(kind).iter().copied().chain(["spec"]);
    steps.fold(patch, |value, step| entry(value, step, || json!({})))
}

fn entry<'v>(value: &'v mut Value, name: &str, make: impl FnOnce() -> Value) -> &'v mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => fields.entry(name).or_insert_with(make),
        // It was made an object above.
        other => other,
    }
}

/// RFC 7396, but that `null` stays: in a patch it takes a field away.
fn merge(into: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *into = change.clone();
        return;
    };
    for (name, change) in change {
        merge(entry(into, name, || Value::Null), change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_several_checks_are_one() {
        let checks = super::super::load_all().unwrap();
        let check = |id: &str| checks.iter().find(|check| check.id == id).unwrap();
        let mut patch = json!({});
        let elements = ["containers/a".to_owned(), "initContainers/b".to_owned()];
        assert!(add(check("container-privileged"), "CronJob", &elements, &mut patch));
        assert!(add(check("privilege-escalation"), "CronJob", &elements[..1], &mut patch));
        assert!(add(check("host-pid"), "CronJob", &[], &mut patch));
        assert!(!add(check("image-tag"), "CronJob", &elements, &mut patch));
        assert!(!add(check("container-privileged"), "Pod", &elements, &mut patch));
        assert_eq!(
            patch,
            json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {
                "containers": [{"name": "a", "securityContext":
                    {"privileged": false, "allowPrivilegeEscalation": false}}],
                "initContainers": [{"name": "b", "securityContext": {"privileged": false}}],
                "hostPID": null,
            }}}}}})
        );
    }
}
