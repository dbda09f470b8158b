//! What scanners left in the cluster as custom resources: found by discovery, read page by page,
//! kept as lists that their readers understand.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::api::{Api, ApiError, Depth, Listable};
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
        discover(api, group, kinds, &mut resources, &mut found.shortfalls);
    }
    if resources.is_empty() && found.shortfalls.is_empty() {
        found.shortfalls.push(format!(
            "the cluster has no kind of {} (looked in {})",
            kinds.join(", "),
            groups.join(", ")
        ));
    }
    for resource in resources {
        let mut page = 0;
        let (version, kind) = (resource.api_version(), &resource.kind);
        let result = api.list(&resource, Depth::Whole, |items| {
            if items.is_empty() {
                return Ok(());
            }
            page += 1;
            let mut objects = Vec::with_capacity(items.len());
            for item in items {
                let mut object = parsed(&item)?;
                strip(&mut object, &version, kind);
                objects.push(object);
            }
            let list = json!({
                "apiVersion": version,
                "kind": format!("{kind}List"),
                "items": objects,
            });
            let name = format!("{}-{page:04}.json", resource.resource);
            std::fs::write(folder.join(&name), list.to_string())?;
            found.files.push(name);
            Ok::<(), ReportsError>(())
        });
        match result {
            Ok(_) => {}
            Err(ReportsError::Api(error)) => {
                let name = format!("{}.{}", resource.resource, resource.group);
                found.shortfalls.push(format!("{name} could not be listed: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Finds the kinds of a group, each at the first version that serves it: kinds of one group may be served at
/// different ones. What the server does not say is a shortfall of that part.
fn discover(
    api: &Api,
    group: &str,
    kinds: &[&str],
    found: &mut Vec<Listable>,
    shortfalls: &mut Vec<String>,
) {
    let Some(versions) = api.versions(group) else {
        shortfalls.push(format!("{group}: the server does not say which groups it serves"));
        return;
    };
    for version in versions {
        let resources = match api.resources(group, version) {
            Ok(resources) => resources,
            Err(error) => {
                shortfalls.push(format!("{group}/{version}: {error}"));
                continue;
            }
        };
        for resource in resources {
            let is_report = kinds.contains(&resource.kind.as_str()) && !resource.name.contains('/');
            let is_known =
                found.iter().any(|known| known.group == group && known.kind == resource.kind);
            if is_report && !is_known {
                found.push(Listable {
                    group: group.to_owned(),
                    version: version.clone(),
                    kind: resource.kind,
                    resource: resource.name,
                });
            }
        }
    }
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
