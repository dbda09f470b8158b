//! What scanners left in the cluster as custom resources: found by discovery, read page by page,
//! kept as lists that their readers understand.

use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, ApiError, Depth};
use super::cluster::parsed;

/// API groups in which a scanner's reports are, by prefix of its check ids.
const GROUPS: &[(&str, &[&str])] = &[
    ("compliance-operator", &["compliance.openshift.io"]),
    ("kube-bench", &["aquasecurity.github.io"]),
    ("policy", &["wgpolicyk8s.io", "openreports.io", "reports.x-k8s.io"]),
    ("trivy", &["aquasecurity.github.io"]),
];

/// Kinds of reports, by prefix of their check ids.
const KINDS: &[(&str, &[&str])] = &[
    ("compliance-operator", &["ComplianceCheckResult"]),
    ("kube-bench", &["CISKubeBenchReport"]),
    ("policy", &["PolicyReport", "ClusterPolicyReport", "Report", "ClusterReport"]),
    (
        "trivy",
        &[
            "ClusterComplianceReport",
            "ClusterConfigAuditReport",
            "ClusterInfraAssessmentReport",
            "ClusterRbacAssessmentReport",
            "ClusterVulnerabilityReport",
            "ConfigAuditReport",
            "ExposedSecretReport",
            "InfraAssessmentReport",
            "RbacAssessmentReport",
            "VulnerabilityReport",
        ],
    ),
];

/// What was found of a scanner.
#[derive(Debug, Default)]
pub struct Found {
    /// Names of the files written, in order.
    pub files: Vec<String>,
    /// What could not be had, in sentences.
    pub shortfalls: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default)]
    preferred_version: Version,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
}

/// Why reports could not be kept; what the cluster does not give is a shortfall.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportsError {
    /// The API server did not answer as it should.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A page could not be written.
    #[error("could not keep a page of reports: {0}")]
    Write(#[from] io::Error),
}

/// Reads all reports of a scanner into files in `folder`, a page each.
///
/// # Errors
/// [`ReportsError::Write`].
pub fn fetch(api: &Api, scanner: &str, folder: &Path) -> Result<Found, ReportsError> {
    let mut found = Found::default();
    let of = |table: &'static [(&str, &'static [&'static str])]| {
        table.iter().find(|(name, _)| *name == scanner).map_or(&[][..], |(_, list)| *list)
    };
    let (groups, kinds) = (of(GROUPS), of(KINDS));
    let mut resources = Vec::new();
    for group in groups {
        let discovered = discover(api, group);
        match discovered {
            Ok(Some((version, list))) => resources.extend(
                list.into_iter()
                    .filter(|resource| {
                        kinds.contains(&resource.kind.as_str()) && !resource.name.contains('/')
                    })
                    .map(|resource| (version.clone(), resource)),
            ),
            Ok(None) => {}
            Err(error) => found.shortfalls.push(format!("{group}: {error}")),
        }
    }
    if resources.is_empty() && found.shortfalls.is_empty() {
        found.shortfalls.push(format!(
            "the cluster has no kind of {} (looked in {})",
            kinds.join(", "),
            groups.join(", ")
        ));
    }
    for (version, resource) in resources {
        let mut page = 0;
        let path = format!("/apis/{version}/{}", resource.name);
        let result = api.list(&path, Depth::Whole, |items| {
            if items.is_empty() {
                return Ok(());
            }
            page += 1;
            let mut objects = Vec::with_capacity(items.len());
            for item in items {
                let mut object = parsed(&item)?;
                strip(&mut object, &version, &resource.kind);
                objects.push(object);
            }
            let list = json!({
                "apiVersion": version,
                "kind": format!("{}List", resource.kind),
                "items": objects,
            });
            let name = format!("{}-{page:04}.json", resource.name);
            std::fs::write(folder.join(&name), list.to_string())?;
            found.files.push(name);
            Ok::<(), ReportsError>(())
        });
        match result {
            Ok(_) => {}
            Err(ReportsError::Api(error)) => {
                found.shortfalls.push(format!("{} could not be listed: {error}", resource.name));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn discover(api: &Api, group: &str) -> Result<Option<(String, Vec<Resource>)>, ApiError> {
    let found: Group = match api.get(&format!("/apis/{group}")) {
        Ok(found) => found,
        Err(ApiError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let version = found.preferred_version.group_version;
    let resources: Resources = api.get(&format!("/apis/{version}"))?;
    Ok(Some((version, resources.resources)))
}

/// Takes out what repeats the object or is the bookkeeping of its writers, and says of each item
/// what it is.
fn strip(item: &mut Value, version: &str, kind: &str) {
    let Some(fields) = item.as_object_mut() else { return };
    fields.entry("apiVersion").or_insert_with(|| Value::from(version));
    fields.entry("kind").or_insert_with(|| Value::from(kind));
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}
