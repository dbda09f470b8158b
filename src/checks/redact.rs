//! What must never get further than the wire: values that may be secret.
//!
//! No field of an object is stored, only its identity and verdicts. This is the second line: what
//! an expression, an error or a later change could carry along is not there to be carried.

use serde_json::Value;

/// Annotations that repeat whole objects.
const COPIES: &[&str] = &["kubectl.kubernetes.io/last-applied-configuration"];

/// Stands where a value was. Checks may still ask whether there was one.
pub const REDACTED: &str = "(redacted)";

/// Takes out of an object what may be secret: data of Secrets and ConfigMaps, values of
/// environment variables, annotations that repeat the object, and the bookkeeping of its writers.
/// Fields that are null are as if they were not there.
pub fn redact(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    for field in ["data", "stringData", "binaryData"] {
        fields.remove(field);
    }
    walk(object);
}

fn walk(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(walk),
        Value::Object(fields) => {
            fields.remove("managedFields");
            // To the API server, null and absent are one thing; to an expression they are not.
            fields.retain(|_, value| !value.is_null());
            for (key, value) in fields.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("annotations", Value::Object(annotations)) => {
                        annotations.retain(|name, _| !COPIES.contains(&name.as_str()));
                    }
                    ("env", Value::Array(variables)) => variables.iter_mut().for_each(hide_value),
                    _ => {}
                }
                walk(value);
            }
        }
        _ => {}
    }
}

fn hide_value(variable: &mut Value) {
    if let Some(value) = variable.get_mut("value")
        && value.as_str() != Some("")
    {
        *value = Value::from(REDACTED);
    }
}
