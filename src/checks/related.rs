//! What checks read beside their object: network policies of a namespace, the rules of the role
//! that a binding refers to, the settings of a service account, and the ways in which a pod can be
//! reached from outside.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// `(namespace, name)`.
type Key = (String, String);

/// Objects seen so far, as far as later ones are judged beside them.
#[derive(Default)]
pub(super) struct Related {
    policies: HashMap<String, Vec<Value>>,
    rules: HashMap<(&'static str, Key), Value>,
    accounts: HashMap<Key, Value>,
    services: HashMap<String, Vec<Service>>,
    ingress_backends: BTreeSet<Key>,
}

struct Service {
    name: String,
    selector: BTreeMap<String, String>,
    exposed: Vec<&'static str>,
}

impl Related {
    /// Remembers an object, if others are judged beside it.
    pub(super) fn remember(&mut self, kind: &str, object: &Value) {
        let name = text(object, "/metadata/name");
        let namespace = text(object, "/metadata/namespace");
        let key = (namespace.clone(), name);
        match kind {
            "NetworkPolicy" => self.policies.entry(namespace).or_default().push(object.clone()),
            "ClusterRole" | "Role" => {
                let kind = if kind == "Role" { "Role" } else { "ClusterRole" };
                let rules = object.get("rules").cloned().unwrap_or(Value::Array(Vec::new()));
                self.rules.insert((kind, key), rules);
            }
            "ServiceAccount" => {
                // Large clusters have many, and little of them is asked for.
                let mut account = serde_json::Map::new();
                for field in ["automountServiceAccountToken", "metadata"] {
                    if let Some(value) = object.get(field) {
                        account.insert(field.to_owned(), value.clone());
                    }
                }
                self.accounts.insert(key, Value::Object(account));
            }
            "Service" => self.remember_service(key, object),
            "Ingress" => {
                let rules = list(object, "/spec/rules");
                let paths = rules.flat_map(|rule| list(rule, "/http/paths"));
                let backends = paths.map(|path| text(path, "/backend/service/name"));
                let default = text(object, "/spec/defaultBackend/service/name");
                for service in backends.chain([default]).filter(|name| !name.is_empty()) {
                    self.ingress_backends.insert((namespace.clone(), service));
                }
            }
            _ => {}
        }
    }

    fn remember_service(&mut self, (namespace, name): Key, object: &Value) {
        let selector: BTreeMap<String, String> = object
            .pointer("/spec/selector")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        if selector.is_empty() {
            return;
        }
        let mut exposed = Vec::new();
        let kind = text(object, "/spec/type");
        if kind == "LoadBalancer" || list(object, "/spec/externalIPs").next().is_some() {
            exposed.push("load-balancer");
        }
        if kind == "NodePort" {
            exposed.push("node-port");
        }
        self.services.entry(namespace).or_default().push(Service { name, selector, exposed });
    }

    /// Network policies of a namespace.
    pub(super) fn policies(&self, namespace: &str) -> Value {
        Value::Array(self.policies.get(namespace).cloned().unwrap_or_default())
    }

    /// Rules of the role that a binding refers to; empty when there is no such role, which grants
    /// nothing.
    pub(super) fn rules_of_binding(&self, binding: &Value) -> Value {
        let name = text(binding, "/roleRef/name");
        let key = if text(binding, "/roleRef/kind") == "Role" {
            ("Role", (text(binding, "/metadata/namespace"), name))
        } else {
            ("ClusterRole", (String::new(), name))
        };
        self.rules.get(&key).cloned().unwrap_or(Value::Array(Vec::new()))
    }

    /// The service account of a workload; an empty object when there is none. `pod` is the way to
    /// what carries the pod's specification.
    pub(super) fn account_of(&self, workload: &Value, pod: &[&str]) -> Value {
        let pod = pod.iter().try_fold(workload, |value, step| value.get(step));
        let name = pod.map(|pod| text(pod, "/spec/serviceAccountName")).unwrap_or_default();
        let name = if name.is_empty() { "default".to_owned() } else { name };
        let key = (text(workload, "/metadata/namespace"), name);
        self.accounts.get(&key).cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    /// How pods with this specification and these labels can be reached from outside, worst first.
    pub(super) fn exposed(
        &self,
        namespace: &str,
        labels: Option<&Value>,
        pod: &Value,
    ) -> Vec<&'static str> {
        let mut found = BTreeSet::new();
        for service in self.services.get(namespace).into_iter().flatten() {
            let selects = service.selector.iter().all(|(key, value)| {
                labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value)
            });
            if selects {
                found.extend(service.exposed.iter().copied());
                if self.ingress_backends.contains(&(namespace.to_owned(), service.name.clone())) {
                    found.insert("ingress");
                }
            }
        }
        let has_host_port = list(pod, "/containers").any(|container| {
            list(container, "/ports")
                .any(|port| port.get("hostPort").and_then(Value::as_i64).is_some_and(|n| n > 0))
        });
        let is_on_host = pod.get("hostNetwork").and_then(Value::as_bool).unwrap_or(false);
        if has_host_port || is_on_host {
            found.insert("host");
        }
        ["load-balancer", "ingress", "node-port", "host"]
            .into_iter()
            .filter(|how| found.contains(how))
            .collect()
    }
}

/// The text at a JSON pointer; empty when there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The elements of the list at a JSON pointer; none when there is no list.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}
