//! The built-in checks: CEL expressions over Kubernetes objects, one YAML file each in
//! `frameworks/checks`. To add one: its file, with an object that passes and one that fails.
//!
//! The expressions mean here what they mean in a ValidatingAdmissionPolicy of Kubernetes, so that
//! most checks can also be enforced where they were made.

mod engine;
mod examination;
mod kinds;
mod patch;
mod policy;
mod redact;
mod related;
mod view;

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_json::Value;

use crate::finding::Severity;

pub use engine::{Engine, Said};
pub use examination::Examination;
pub use kinds::{KINDS, KUBELET, Kind, SECRET, find as find_kind};
pub use patch::add as patch;
pub use policy::{Action, policy, why_not};
pub use redact::redact;

pub use crate::scanner::affidavit::PREFIX;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/frameworks/checks");

/// Stands in `kinds` for every kind that carries a pod or a pod template.
pub const WORKLOADS: &str = "workloads";

/// A check as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its id without the prefix `affidavit:`; the name of its file.
    pub id: String,
    /// What holds when it passes.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// Kinds of objects that it looks at; `workloads` stands for all with pods in them.
    pub kinds: Vec<String>,
    /// CEL: is this object the check's business?
    #[serde(default)]
    pub when: Option<String>,
    /// Kinds that it reads beside its object.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The control-plane component whose static pods it looks at.
    #[serde(default)]
    pub component: Option<String>,
    /// The elements of the object that `cel` is asked of, one by one.
    #[serde(default)]
    pub each: Option<Each>,
    /// CEL: true when it passes.
    pub cel: String,
    /// What is wrong when it does not, as a fragment.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// A patch that always means the same.
    #[serde(default)]
    pub patch: Option<Patch>,
    /// An object that passes.
    pub pass: Value,
    /// An object that fails.
    pub fail: Value,
    /// Objects that these two are judged beside.
    #[serde(default)]
    pub context: Context,
}

/// What an expression is asked of, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Each {
    /// Containers of all sorts, as `container`.
    Containers,
    /// Volumes, as `volume`.
    Volumes,
    /// Rules of a role, of the role that a binding refers to, or of an Ingress, as `rule`.
    Rules,
    /// Subjects of a binding, as `subject`.
    Subjects,
    /// Ports of a Service, as `port`.
    Ports,
}

impl Each {
    /// CEL of the list and of the element's name.
    #[must_use]
    pub fn cel(self) -> (&'static str, &'static str) {
        match self {
            Self::Containers => ("variables.containers", "container"),
            Self::Volumes => ("variables.podSpec.?volumes.orValue([])", "volume"),
            Self::Rules => ("variables.rules", "rule"),
            Self::Subjects => ("object.?subjects.orValue([])", "subject"),
            Self::Ports => ("object.?spec.?ports.orValue([])", "port"),
        }
    }
}

/// What to merge where.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patch {
    /// Into each failing container.
    pub container: Option<Value>,
    /// Into the pod's specification.
    pub pod: Option<Value>,
    /// Into the object.
    pub object: Option<Value>,
}

/// Objects beside the two of a check.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    /// Beside the one that passes.
    pub pass: Vec<Value>,
    /// Beside the one that fails.
    pub fail: Vec<Value>,
}

/// Why the built-in checks cannot be used; a test loads them all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Not a check.
    #[error("frameworks/checks/{file}: {reason}")]
    File {
        /// Its file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// No CEL.
    #[error("check {id}: `{expression}`: {reason}")]
    Expression {
        /// Id.
        id: String,
        /// As written.
        expression: String,
        /// What is wrong.
        reason: String,
    },
}

/// Every built-in check, in order of id.
///
/// # Errors
/// [`CheckError::File`].
pub fn load_all() -> Result<Vec<Check>, CheckError> {
    let mut checks = BTreeMap::new();
    for file in FILES.files() {
        let name = file.path().display().to_string();
        let Some(id) = name.strip_suffix(".yaml") else { continue };
        let failed = |reason: String| CheckError::File { file: name.clone(), reason };
        let text = file.contents_utf8().ok_or_else(|| failed("not UTF-8".to_owned()))?;
        let check = parse(text).map_err(failed)?;
        if check.id != id {
            return Err(failed(format!("its id is `{}`", check.id)));
        }
        checks.insert(id.to_owned(), check);
    }
    Ok(checks.into_values().collect())
}

fn parse(text: &str) -> Result<Check, String> {
    let check: Check = serde_saphyr::from_str(text).map_err(|error| error.render())?;
    let known = |kind: &String| kind == WORKLOADS || find_kind(kind).is_some();
    if let Some(kind) = check.kinds.iter().chain(&check.needs).find(|kind| !known(kind)) {
        return Err(format!("there is no kind `{kind}`"));
    }
    if check.kinds.is_empty() {
        return Err("`kinds` is empty".to_owned());
    }
    Ok(check)
}

impl Check {
    /// Does it look at objects of this kind?
    #[must_use]
    pub fn looks_at(&self, kind: &Kind) -> bool {
        self.kinds.iter().any(|name| name == kind.kind || (name == WORKLOADS && kind.is_workload))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::population::Listing;
    use crate::scanner::affidavit::Report;

    /// What a check says about an object beside others: `pass`, `fail: …`, `error: …`, or nothing.
    fn judge(check: &Check, object: &Value, beside: &[Value]) -> String {
        let engine = Engine::new(vec![check.clone()]).unwrap();
        let at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let mut examination = Examination::begin(&engine, Vec::new(), at).unwrap();
        let mut object = object.clone();
        object["metadata"]["uid"] = json!("the-one");
        for kind in KINDS {
            for value in beside.iter().chain([&object]).filter(|value| value["kind"] == kind.kind) {
                let mut value = value.clone();
                redact(&mut value);
                examination.object(kind, &value).unwrap();
            }
            examination.listed(kind, Listing::Complete, "", "1");
        }
        let bytes = examination.finish(None, &BTreeMap::new(), &[], at).unwrap();
        let report: Report<'_> = serde_json::from_slice(&bytes).unwrap();
        let object = report.objects.iter().find(|object| object.uid == "the-one").unwrap();
        match (object.pass.first(), object.fail.first(), object.error.first()) {
            (Some(_), None, None) => "pass".to_owned(),
            (None, Some(failed), None) => format!("fail: {}", failed.why),
            (None, None, Some((_, why))) => format!("error: {why}"),
            (None, None, None) => String::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_check_passes_one_of_its_objects_and_fails_the_other() {
        let checks = load_all().unwrap();
        assert!(checks.len() >= 100, "{} checks", checks.len());
        for check in &checks {
            let said = judge(check, &check.pass, &check.context.pass);
            assert_eq!(said, "pass", "{}: its passing object", check.id);
            let said = judge(check, &check.fail, &check.context.fail);
            assert!(said.starts_with("fail: "), "{}: its failing object: {said}", check.id);
        }
    }
}
