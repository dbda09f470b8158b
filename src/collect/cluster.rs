//! A live cluster, object by object, into the examination: what was in scope, and what was not
//! allowed to be.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::api::{Api, ApiError, Depth, Listable, Listed};
use crate::checks::{Engine, Examination, KINDS, KUBELET, Kind, SECRET, redact};
use crate::evidence::digest::Digest;
use crate::population::{ClusterIdentity, Listing};

/// Why a cluster could not be examined. What it refuses is no error: that is part of the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// It gave no answer at all.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The report could not be written.
    #[error("could not write the report: {0}")]
    Write(#[from] io::Error),
    /// It is another cluster than the one that is meant.
    #[error(
        "this cluster's kube-system has the UID {found}, and this chain is about {configured} (cluster.uid, or else the last bundle)"
    )]
    Other {
        /// UID of its `kube-system` namespace.
        found: String,
        /// The one configured.
        configured: String,
    },
}

/// Who answers, and to whom. Parts that the asking user may not know, or that the server does not say, stay
/// empty.
///
/// # Errors
/// [`ClusterError::Api`] when there is no answer at all, [`ClusterError::Other`] when `uid` is not
/// empty and another cluster answers.
pub fn identify(api: &Api, uid: &str) -> Result<ClusterIdentity, ClusterError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    let version = answered(api.get::<Version>("/version"))?.map(|version| version.git_version);
    let namespace = answered(api.get::<Value>("/api/v1/namespaces/kube-system"))?;
    let namespace = namespace.filter(|namespace| text(namespace, "/kind") == "Namespace");
    let found = namespace.map(|namespace| text(&namespace, "/metadata/uid")).unwrap_or_default();
    if !uid.is_empty() && !found.is_empty() && uid != found {
        return Err(ClusterError::Other { found, configured: uid.to_owned() });
    }
    let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let myself = answered(api.post(path, &question))?;
    let groups = myself.as_ref().and_then(|review| review.pointer("/status/userInfo/groups"));
    let route = api.route();
    let mut identity = ClusterIdentity {
        access: route.by.to_owned(),
        authorities: route.authorities.clone(),
        clock_ahead_seconds: api.clock_ahead_seconds(),
        context: route.context.clone(),
        endpoint_certificate: answered(api.certificate())?
            .flatten()
            .map(|certificate| Digest::of(&certificate).to_string())
            .unwrap_or_default(),
        groups: groups
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|group| Some(group.as_str()?.to_owned()))
            .collect(),
        may_not_list: Vec::new(),
        not_known: Vec::new(),
        server: route.server.clone(),
        tls_verified: route.verified,
        uid: found,
        user: myself.map(|review| text(&review, "/status/userInfo/username")).unwrap_or_default(),
        version: version.unwrap_or_default(),
    };
    for kind in KINDS {
        match may(api, kind) {
            Some(true) => {}
            Some(false) => identity.may_not_list.push(kind.kind.to_owned()),
            None => identity.not_known.push(kind.kind.to_owned()),
        }
    }
    Ok(identity)
}

/// `None` for what the server does not give. A question before the lists loses what it asks for, and nothing
/// else; but where nobody answers, nobody is asked further.
fn answered<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        // Nothing is answered to somebody whom the server does not know.
        Err(
            error @ (ApiError::Silent { .. }
            | ApiError::Access(_)
            | ApiError::Status { code: 401, .. }),
        ) => Err(error),
        Err(_) => Ok(None),
    }
}

/// May the asking user list this kind (`kubelet`: ask kubelets through the API server)? `None` when
/// the server does not say.
fn may(api: &Api, kind: &Kind) -> Option<bool> {
    if kind.kind == KUBELET {
        let of_kubelets =
            json!({"verb": "get", "group": "", "resource": "nodes", "subresource": "proxy"});
        api.may(&of_kubelets)
    } else {
        api.may_list(&listable(kind))
    }
}

fn listable(kind: &Kind) -> Listable {
    Listable {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        kind: kind.kind.to_owned(),
        resource: kind.plural.to_owned(),
    }
}

/// What is to be examined, and when.
pub struct Examining<'a> {
    /// Who answers.
    pub identity: &'a ClusterIdentity,
    /// Kinds that are not asked for.
    pub without: &'a [String],
    /// When it begins.
    pub started: Timestamp,
    /// Gives the time at its end.
    pub finished: &'a dyn Fn() -> Timestamp,
    /// Is told which kind comes next.
    pub step: &'a dyn Fn(&str),
}

/// Examines a cluster and writes the report into `out`. Gives what could not be seen, in sentences.
///
/// # Errors
/// [`ClusterError::Write`].
pub fn examine<W: Write>(
    api: &Api,
    engine: &Engine,
    examining: &Examining<'_>,
    out: W,
) -> Result<(W, Vec<String>), ClusterError> {
    let mut examination = Examination::begin(engine, out, examining.started)?;
    let mut unseen = Vec::new();
    let mut nodes = Vec::new();
    let mut has_all_nodes = false;
    for kind in KINDS {
        if examining.without.iter().any(|name| name == kind.kind) {
            examination.listed(kind, Listing::Excluded, "the configuration says `without` it", "");
            continue;
        }
        (examining.step)(kind.kind);
        if kind.kind == KUBELET && !has_all_nodes {
            let detail = "which nodes there are is not known";
            unseen.push(format!("{}: {detail}", kind.kind));
            examination.listed(kind, Listing::Failed, detail, "");
            continue;
        }
        if kind.kind == KUBELET {
            unseen.extend(kubelets(api, kind, &nodes, &mut examination)?);
            continue;
        }
        let depth = if kind.kind == SECRET { Depth::Metadata } else { Depth::Whole };
        let what = listable(kind);
        let result = api.list(&what, depth, |items| {
            for item in items {
                let mut object = parsed(&item)?;
                redact(&mut object);
                complete(&mut object, kind);
                if kind.kind == "Node" {
                    nodes.push(text(&object, "/metadata/name"));
                }
                examination.object(kind, &object)?;
            }
            Ok::<(), ClusterError>(())
        });
        has_all_nodes |= kind.kind == "Node" && result.is_ok();
        match result {
            Ok(listed) => examination.listed(
                kind,
                Listing::Complete,
                &restarted(&listed),
                &listed.resource_version,
            ),
            Err(ClusterError::Api(error)) => {
                let (listing, detail) = how_it_failed(api, &what, &error);
                if listing != Listing::Absent {
                    unseen.push(format!("{}: {detail}", kind.kind));
                }
                examination.listed(kind, listing, &detail, "");
            }
            Err(error) => return Err(error),
        }
    }
    let files = std::collections::BTreeMap::new();
    let finished = (examining.finished)();
    Ok((examination.finish(Some(examining.identity), &files, &[], finished)?, unseen))
}

/// An item of a list, one at a time.
pub(super) fn parsed(item: &RawValue) -> Result<Value, ApiError> {
    serde_json::from_str(item.get()).map_err(|error| ApiError::Silent {
        path: "an object of a list".to_owned(),
        reason: format!("it cannot be read (line {}, column {})", error.line(), error.column()),
    })
}

fn how_it_failed(api: &Api, what: &Listable, error: &ApiError) -> (Listing, String) {
    match error {
        ApiError::Forbidden { .. } => (Listing::Forbidden, error.to_string()),
        ApiError::NotFound { .. } if api.is_absent(what) => {
            (Listing::Absent, "the server does not have this kind".to_owned())
        }
        _ => (Listing::Failed, error.to_string()),
    }
}

fn restarted(listed: &Listed) -> String {
    match listed.restarts {
        0 => String::new(),
        1 => "the list expired while it was read and was begun again".to_owned(),
        n => format!("the list expired while it was read and was begun again {n} times"),
    }
}

/// Items of a list do not repeat what they are.
fn complete(object: &mut Value, kind: &Kind) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), Value::from(kind.api_version()));
        fields.insert("kind".to_owned(), Value::from(kind.kind));
    }
}

/// Asks every kubelet for its configuration, through the API server.
fn kubelets<W: Write>(
    api: &Api,
    kind: &'static Kind,
    nodes: &[String],
    examination: &mut Examination<'_, W>,
) -> Result<Option<String>, ClusterError> {
    let mut failures: Vec<(&str, ApiError)> = Vec::new();
    let mut strange = Vec::new();
    let paths: Vec<String> =
        nodes.iter().map(|node| format!("/api/v1/nodes/{node}/proxy/configz")).collect();
    let mut names = nodes.iter();
    api.get_each(&paths, |_, answer| {
        let node = names.next().map_or("", String::as_str);
        match answer.map(|mut answer| answer.get_mut("kubeletconfig").map(Value::take)) {
            Ok(Some(Value::Object(mut fields))) => {
                fields.insert("metadata".to_owned(), json!({"name": node}));
                let mut object = Value::Object(fields);
                redact(&mut object);
                complete(&mut object, kind);
                examination.object(kind, &object)
            }
            Ok(_) => {
                strange.push(node);
                Ok(())
            }
            Err(error) => {
                failures.push((node, error));
                Ok(())
            }
        }
    })?;
    let forbidden =
        failures.iter().filter(|(_, error)| matches!(error, ApiError::Forbidden { .. })).count();
    let (listing, detail) = match (failures.first(), strange.first()) {
        (Some((_, error)), _) if forbidden == nodes.len() => {
            (Listing::Forbidden, error.to_string())
        }
        (Some((node, error)), _) => {
            let text = format!(
                "{} of {} nodes gave none; {node}: {error}",
                failures.len() + strange.len(),
                nodes.len()
            );
            (Listing::Failed, text)
        }
        (None, Some(node)) => {
            let text = format!("{node}: its answer is no kubelet configuration");
            (Listing::Failed, text)
        }
        (None, None) => (Listing::Complete, String::new()),
    };
    examination.listed(kind, listing, &detail, "");
    Ok((listing != Listing::Complete).then(|| format!("{}: {detail}", kind.kind)))
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
