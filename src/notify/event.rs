//! An Event in the cluster, about the pod of the run.

use serde_json::json;

use super::Ended;
use crate::alert::Standing;
use crate::collect::Api;
use crate::config::Access;
use crate::evidence::instant;

/// Longest message of an Event (`core/v1`).
const MAX_MESSAGE: usize = 1024;

/// Writes an Event about the pod that `POD_NAMESPACE`, `POD_NAME` and `POD_UID` name (the downward API).
pub(super) fn write(
    access: &Access,
    standing: &Standing,
    ended: Option<Ended>,
) -> Result<(), String> {
    let of = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let (namespace, name) = (of("POD_NAMESPACE")?, of("POD_NAME")?);
    let uid = std::env::var("POD_UID").unwrap_or_default();
    let at = ended.map_or_else(jiff::Timestamp::now, |ended| ended.at);
    let mut message: String = if standing.alerts.is_empty() {
        format!("Bundle {} of {} is sealed.", standing.seq.unwrap_or_default(), standing.origin)
    } else {
        standing.alerts.iter().map(|alert| alert.text.as_str()).collect::<Vec<_>>().join(" ")
    };
    if message.len() > MAX_MESSAGE {
        let end = (0..MAX_MESSAGE - 4).rev().find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    let reason = match (ended, standing.alerts.is_empty()) {
        (Some(Ended { sealed: false, .. }), _) => "EvidenceNotSealed",
        (_, true) => "EvidenceSealed",
        (_, false) => "EvidenceNeedsAttention",
    };
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "generateName": "affidavit-", "namespace": namespace },
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid,
        },
        "type": if standing.alerts.is_empty() { "Normal" } else { "Warning" },
        "reason": reason,
        "message": message,
        "source": { "component": "affidavit" },
        "firstTimestamp": instant::format(at),
        "lastTimestamp": instant::format(at),
        "count": 1,
    });
    let api = Api::open(access).map_err(|error| error.to_string())?;
    let path = format!("/api/v1/namespaces/{namespace}/events");
    api.post(&path, &event).map(drop).map_err(|error| error.to_string())
}
