//! Expressions, compiled, and what they say about one object.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, Env, ExecutionError, Program};
use serde_json::Value;

use super::kinds::{KINDS, Kind};
use super::related::{Related, list, text};
use super::{Check, CheckError, Each};

/// Names of failing elements that a message prints.
const MAX_NAMED: usize = 12;

/// What a check says about an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// It passes.
    Pass,
    /// It fails, and what is wrong.
    Fail {
        /// In words.
        why: String,
        /// The failing elements, where elements are what it looks at: names; of containers after
        /// that of their list (`initContainers/setup`).
        elements: Vec<String>,
    },
    /// The expression could not be evaluated, and why, without any value of the object.
    Error(String),
}

/// All checks, compiled.
pub struct Engine {
    env: Arc<Env>,
    rules: Vec<Rule>,
    /// Places of the rules that look at a kind.
    by_kind: HashMap<&'static str, Vec<u16>>,
}

/// A check with its programs.
pub(super) struct Rule {
    pub(super) check: Check,
    when: Option<Program>,
    verdict: Program,
}

impl Engine {
    /// Compiles checks, in the order given.
    ///
    /// # Errors
    /// [`CheckError::Expression`].
    pub fn new(checks: Vec<Check>) -> Result<Self, CheckError> {
        let mut env = Env::stdlib();
        // Kubernetes has it too. It can only fail where something is registered twice.
        drop(env.add_extension(cel::extensions::strings));
        let env = Arc::new(env);
        let mut rules = Vec::with_capacity(checks.len());
        for check in checks {
            let compile = |expression: &str| {
                env.compile(expression).map_err(|error| CheckError::Expression {
                    id: check.id.clone(),
                    expression: expression.to_owned(),
                    reason: error.to_string(),
                })
            };
            let when = check.when.as_deref().map(compile).transpose()?;
            let verdict = match check.each {
                None => compile(&check.cel)?,
                Some(each) => {
                    let (all, one) = each.cel();
                    compile(&format!("{all}.filter({one}, !({}))", check.cel))?
                }
            };
            rules.push(Rule { check, when, verdict });
        }
        let mut by_kind: HashMap<&'static str, Vec<u16>> = HashMap::new();
        for kind in KINDS {
            let places = (0..).zip(&rules).filter(|(_, rule)| rule.check.looks_at(kind));
            by_kind.insert(kind.kind, places.map(|(place, _)| place).collect());
        }
        Ok(Self { env, rules, by_kind })
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The checks, in their order.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.rules.iter().map(|rule| &rule.check)
    }

    /// What every check that has to do with this object says about it, by place; `may_be_made`
    /// says which ones have all that they need.
    pub(super) fn examine(
        &self,
        kind: &Kind,
        object: &Value,
        related: &Related,
        may_be_made: impl Fn(u16) -> bool,
    ) -> Vec<(u16, Said)> {
        let places = self.by_kind.get(kind.kind).map_or(&[][..], Vec::as_slice);
        if places.is_empty() {
            return Vec::new();
        }
        let subject = Subject::new(kind, object);
        let mut context = Context::with_env(Arc::clone(&self.env));
        let Ok(value) = cel::to_value(object) else {
            return places.iter().map(|place| (*place, Said::Error(NO_VALUE.to_owned()))).collect();
        };
        let mut variables = subject.variables(&value, related);
        variables.insert(key("kind"), cel::Value::String(Arc::new(kind.kind.to_owned())));
        context.add_variable_from_value("object", value);
        context.add_variable_from_value(
            "variables",
            cel::Value::Map(Map { map: Arc::new(variables) }),
        );
        let mut said = Vec::with_capacity(places.len());
        for place in places.iter().copied().filter(|place| may_be_made(*place)) {
            let Some(rule) = self.rules.get(usize::from(place)) else { continue };
            if let Some(verdict) = rule.examine(&subject, &context) {
                said.push((place, verdict));
            }
        }
        said
    }
}

const NO_VALUE: &str = "the object is no CEL value";

impl Rule {
    /// `None`: the object is not this check's business.
    fn examine(&self, subject: &Subject<'_>, context: &Context<'_, '_>) -> Option<Said> {
        if let Some(component) = &self.check.component
            && subject.component != component.as_str()
        {
            return None;
        }
        match self.when.as_ref().map(|when| when.execute(context)) {
            None | Some(Ok(cel::Value::Bool(true))) => {}
            Some(Ok(cel::Value::Bool(false))) => return None,
            Some(Ok(_)) => return Some(Said::Error("`when` is neither true nor false".to_owned())),
            Some(Err(error)) => return Some(Said::Error(reason(&error))),
        }
        Some(match self.verdict.execute(context) {
            Ok(cel::Value::Bool(true)) if self.check.each.is_none() => Said::Pass,
            Ok(cel::Value::Bool(false)) if self.check.each.is_none() => {
                Said::Fail { why: self.check.message.clone(), elements: Vec::new() }
            }
            Ok(cel::Value::List(failing)) if self.check.each.is_some() => {
                if failing.is_empty() {
                    Said::Pass
                } else {
                    self.failed(&failing, subject)
                }
            }
            Ok(_) => Said::Error("the expression is neither true nor false".to_owned()),
            Err(error) => Said::Error(reason(&error)),
        })
    }

    fn failed(&self, failing: &[cel::Value], subject: &Subject<'_>) -> Said {
        let Some(each) = self.check.each else {
            return Said::Fail { why: self.check.message.clone(), elements: Vec::new() };
        };
        let elements: Vec<String> = failing.iter().map(|element| name_of(each, element)).collect();
        let shown = elements.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = match elements.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let why = format!("{}: {shown}{more}", self.check.message);
        let elements = match each {
            Each::Containers => elements.iter().map(|name| subject.place_of(name)).collect(),
            _ => elements,
        };
        Said::Fail { why, elements }
    }
}

/// How an element is called in a message. Names only: never a value that may be secret.
fn name_of(each: Each, element: &cel::Value) -> String {
    let field = |name: &str| match member(element, name) {
        Some(cel::Value::String(text)) => text.to_string(),
        Some(cel::Value::Int(number)) => number.to_string(),
        Some(cel::Value::UInt(number)) => number.to_string(),
        Some(cel::Value::List(list)) => {
            let words = list.iter().map(|word| match word {
                cel::Value::String(text) => text.to_string(),
                _ => String::new(),
            });
            words.collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    };
    let words = match each {
        Each::Containers | Each::Volumes => vec![field("name")],
        Each::Rules => match field("host") {
            host if host.is_empty() => vec![field("verbs"), field("resources")],
            host => vec![host],
        },
        Each::Subjects => vec![field("kind"), field("namespace"), field("name")],
        Each::Ports => vec![field("port"), field("name")],
    };
    let name = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if name.is_empty() { "(without name)".to_owned() } else { name }
}

/// Why an expression could not be evaluated. The crate's own text may repeat values of the object,
/// so that only what the check itself says is taken from it.
fn reason(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no field `{key}`"),
        ExecutionError::NoSuchOverload(error) => {
            format!("`{}` does not fit the types of the object's fields", error.function())
        }
        ExecutionError::UndeclaredReference(name) => format!("there is no `{name}`"),
        ExecutionError::UnexpectedType { got, want } => format!("{got} where {want} should be"),
        _ => "the object's fields are not of the types that they should have".to_owned(),
    }
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

fn member<'a>(value: &'a cel::Value, name: &str) -> Option<&'a cel::Value> {
    match value {
        cel::Value::Map(map) => map.map.get(&key(name)),
        _ => None,
    }
}

/// An object, and where in it things stand.
struct Subject<'a> {
    kind: &'a Kind,
    object: &'a Value,
    /// Path to the object that carries the pod's `metadata` and `spec`.
    pod: &'static [&'static str],
    component: &'static str,
}

/// Lists of containers in a pod's specification.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Components of the control plane that run as static pods.
const COMPONENTS: [&str; 4] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

impl<'a> Subject<'a> {
    fn new(kind: &'a Kind, object: &'a Value) -> Self {
        let component = if kind.kind == "Pod" { component(object) } else { "" };
        Self { kind, object, pod: pod_path(kind.kind), component }
    }

    /// `containers/web`: a container's name after that of the list in which it stands.
    fn place_of(&self, container: &str) -> String {
        let pod = self.pod.iter().try_fold(self.object, |value, step| value.get(step));
        let holds = |field: &&&str| {
            let there = pod.and_then(|pod| pod.get("spec")?.get(field)?.as_array());
            there.into_iter().flatten().any(|found| text(found, "/name") == container)
        };
        let field = CONTAINERS.iter().find(holds).unwrap_or(&"containers");
        format!("{field}/{container}")
    }

    fn variables(&self, value: &cel::Value, related: &Related) -> HashMap<Key, cel::Value> {
        let mut variables = HashMap::new();
        let mut add = |name: &str, value: cel::Value| {
            variables.insert(key(name), value);
        };
        // What is made of JSON is a CEL value.
        let json = |value: &Value| cel::to_value(value).unwrap_or(cel::Value::Null);
        let name = text(self.object, "/metadata/name");
        if self.kind.is_workload {
            let pod = self.pod.iter().try_fold(value, |value, step| member(value, step));
            let empty = cel::Value::Map(Map { map: Arc::new(HashMap::new()) });
            let part = |name: &str| {
                pod.and_then(|pod| member(pod, name)).cloned().unwrap_or_else(|| empty.clone())
            };
            let spec = part("spec");
            let mut containers = Vec::new();
            for field in CONTAINERS {
                if let Some(cel::Value::List(list)) = member(&spec, field) {
                    containers.extend(list.iter().cloned());
                }
            }
            add("serviceAccount", json(&related.account_of(self.object, self.pod)));
            add("containers", cel::Value::List(Arc::new(containers)));
            add("podMeta", part("metadata"));
            add("podSpec", spec);
            if !self.component.is_empty() {
                add("flags", json(&flags(self.object, self.component)));
            }
        }
        match self.kind.kind {
            "Namespace" => add("networkPolicies", json(&related.policies(&name))),
            "ClusterRole" | "Role" => {
                let rules = member(value, "rules").cloned();
                let none = cel::Value::List(Arc::new(Vec::new()));
                add("rules", rules.filter(|rules| *rules != cel::Value::Null).unwrap_or(none));
            }
            "ClusterRoleBinding" | "RoleBinding" => {
                add("rules", json(&related.rules_of_binding(self.object)));
            }
            "Ingress" => {
                let rules = list(self.object, "/spec/rules").cloned().collect();
                add("rules", json(&Value::Array(rules)));
            }
            _ => {}
        }
        variables
    }
}

/// The way from a workload to what carries the pod's `metadata` and `spec`.
pub(super) fn pod_path(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &[],
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        _ => &["spec", "template"],
    }
}

/// Which component of the control plane a pod is; empty for all others. Kubelets mirror static pods
/// into the API with an annotation. Whoever may create pods in `kube-system` can imitate one; that
/// adds a pod and takes away none, so it cannot turn a failure into a pass.
fn component(pod: &Value) -> &'static str {
    let is_mirror = pod
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get("kubernetes.io/config.mirror"))
        .is_some();
    if !is_mirror || text(pod, "/metadata/namespace") != "kube-system" {
        return "";
    }
    let label = text(pod, "/metadata/labels/component");
    COMPONENTS.into_iter().find(|component| *component == label).unwrap_or("")
}

/// The flags of a component: the last value of each, `true` for a flag without one.
fn flags(pod: &Value, component: &str) -> Value {
    let containers = || list(pod, "/spec/containers");
    let named = containers().find(|container| text(container, "/name") == component);
    let Some(container) = named.or_else(|| containers().next()) else {
        return Value::Object(serde_json::Map::new());
    };
    let words: Vec<&str> = list(container, "/command")
        .chain(list(container, "/args"))
        .filter_map(Value::as_str)
        .collect();
    let mut flags = serde_json::Map::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match words.peek() {
                Some(next) if !next.starts_with("--") => {
                    (flag, words.next().unwrap_or_default().to_owned())
                }
                _ => (flag, "true".to_owned()),
            },
        };
        flags.insert(name.to_owned(), Value::from(value));
    }
    Value::Object(flags)
}
