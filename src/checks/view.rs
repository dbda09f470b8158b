//! What expressions see of a workload: what it runs, and nothing that differs between a thousand
//! pods of one template. So what was said of one holds for all that look the same.

use serde_json::{Map, Value, json};

use super::engine::pod_path;
use super::kinds::Kind;

/// Annotations of pods that mean something to the runtime or say where a pod comes from.
const ANNOTATIONS: [&str; 3] = [
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "kubernetes.io/config.",
];
/// Labels that tell the parts of a control plane.
const LABELS: [&str; 2] = ["component", "tier"];
/// Fields of a pod's specification that say which one of many it is.
const WHICH_ONE: [&str; 2] = ["hostname", "nodeName"];
/// Volumes that the API server adds for the token end in random characters.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// A workload with its namespace, whether it has a controller, and its pod template.
pub(super) fn view(kind: &Kind, object: &Value) -> Value {
    let path = pod_path(kind.kind);
    let pod = path.iter().try_fold(object, |value, step| value.get(step));
    let of_pod = |name: &str| pod.and_then(|pod| pod.get(name));
    let mut template = Map::new();
    if let Some(spec) = of_pod("spec") {
        template.insert("spec".to_owned(), spec_of(spec));
    }
    let mut metadata = chosen(of_pod("metadata"));
    if path.is_empty() {
        add_own(&mut metadata, object);
        template.insert("metadata".to_owned(), metadata);
    } else {
        template.insert("metadata".to_owned(), metadata);
        let inner =
            path.iter().rev().fold(Value::Object(template), |inner, step| json!({*step: inner}));
        let mut metadata = json!({});
        add_own(&mut metadata, object);
        template = match inner {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        template.insert("metadata".to_owned(), metadata);
    }
    for field in ["apiVersion", "kind"] {
        if let Some(value) = object.get(field) {
            template.insert(field.to_owned(), value.clone());
        }
    }
    Value::Object(template)
}

fn add_own(metadata: &mut Value, object: &Value) {
    let own = |pointer: &str| object.pointer(pointer).cloned();
    if let Some(namespace) = own("/metadata/namespace") {
        metadata["namespace"] = namespace;
    }
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled = owners.into_iter().flatten().any(|owner| owner["controller"] == true);
    if controlled {
        metadata["ownerReferences"] = json!([{"controller": true}]);
    }
}

fn chosen(metadata: Option<&Value>) -> Value {
    let keep = |field: &str, wanted: &dyn Fn(&str) -> bool| -> Map<String, Value> {
        let all = metadata.and_then(|metadata| metadata.get(field)).and_then(Value::as_object);
        let kept = all.into_iter().flatten().filter(|(key, _)| wanted(key));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let annotations =
        keep("annotations", &|key| ANNOTATIONS.iter().any(|start| key.starts_with(start)));
    let labels = keep("labels", &|key| LABELS.contains(&key));
    let maps = [("annotations", annotations), ("labels", labels)];
    let there = maps.into_iter().filter(|(_, map)| !map.is_empty());
    Value::Object(there.map(|(name, map)| (name.to_owned(), Value::Object(map))).collect())
}

fn spec_of(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, _| !WHICH_ONE.contains(&name.as_str()));
    }
    let names = |value: &mut Value, list: &str| {
        for element in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(name) = element.get_mut("name")
                && name.as_str().is_some_and(|name| name.starts_with(TOKEN_VOLUME))
            {
                *name = Value::from("kube-api-access");
            }
        }
    };
    names(&mut spec, "volumes");
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            names(container, "volumeMounts");
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::super::find_kind;
    use super::*;

    #[test]
    fn pods_of_one_template_look_the_same() {
        let pod = |number: u32| {
            let volume = format!("{TOKEN_VOLUME}{number}");
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("web-{number}"), "namespace": "shop", "uid": number.to_string(),
                    "annotations": {"cni.example.com/ip": number.to_string(), "kubernetes.io/config.mirror": "x"},
                    "ownerReferences": [{"uid": "u", "controller": true}]},
                "spec": {"nodeName": format!("node-{number}"), "hostPID": true,
                    "volumes": [{"name": volume, "projected": {}}],
                    "containers": [{"name": "web", "volumeMounts": [{"name": volume}]}]},
                "status": {"podIP": number.to_string()},
            })
        };
        let kind = find_kind("Pod").unwrap();
        let one = view(kind, &pod(1));
        assert_eq!(one, view(kind, &pod(2)));
        assert_eq!(one["metadata"]["namespace"], "shop");
        assert_eq!(one["metadata"]["annotations"], json!({"kubernetes.io/config.mirror": "x"}));
        assert_eq!(one["spec"]["hostPID"], true);
        let mut other = pod(1);
        other["spec"]["containers"][0]["image"] = json!("example.com/other");
        assert_ne!(one, view(kind, &other));
    }

    #[test]
    fn a_template_stands_where_it_stood() {
        let job = json!({"kind": "CronJob", "metadata": {"namespace": "n"}, "spec": {"schedule": "x",
            "jobTemplate": {"spec": {"template": {"spec": {"hostIPC": true}}}}}});
        let seen = view(find_kind("CronJob").unwrap(), &job);
        assert_eq!(seen["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostIPC"], true);
        assert!(seen["spec"].get("schedule").is_none());
    }
}
