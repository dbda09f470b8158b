//! Which kinds of object a check of Trivy looks at.
//!
//! Trivy runs every Kubernetes check over every object, and a check that finds nothing to complain
//! about passes: a `ConfigMap` passes "API server: no anonymous requests". Such a pass proves
//! nothing. A failure always counts, wherever it stands.

use crate::finding::{Outcome, ResourceRef};

const WORKLOADS: &[&str] = &[
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "Pod",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];
const ROLES: &[&str] = &["ClusterRole", "Role"];
const BINDINGS: &[&str] = &["ClusterRoleBinding", "RoleBinding"];
const NODES: &[&str] = &["Node", "NodeInfo"];

/// What a pass of check `local` (`KSV-0001`) at `resource` is worth, with the reason if it is not
/// one. Checks other than Trivy's own Kubernetes ones are taken at their word.
pub(super) fn weigh_pass(local: &str, resource: &ResourceRef) -> (Outcome, String) {
    let number = |family: &str| local.strip_prefix(family).and_then(|digits| digits.parse().ok());
    let (number, is_control_plane): (u32, bool) = match (number("KSV-"), number("KCV-")) {
        (Some(number), _) => (number, false),
        (_, Some(number)) => (number, true),
        _ => return (Outcome::Pass, String::new()),
    };
    let kind = resource.kind.as_str();
    if matches!(kind, "File" | "Cluster" | "Image" | "") {
        let text = "passed, but the report does not say whether there is an object that this check looks at";
        return (Outcome::NotChecked, text.to_owned());
    }
    let looks = if is_control_plane {
        match component(number) {
            Some(names) => {
                kind == "Pod" && names.iter().any(|name| resource.name.starts_with(name))
            }
            None => NODES.contains(&kind),
        }
    } else {
        kinds(number).is_none_or(|kinds| kinds.contains(&kind))
    };
    if looks {
        return (Outcome::Pass, String::new());
    }
    (
        Outcome::NotApplicable,
        format!("Trivy passes this check at every object; it does not look at this {kind}"),
    )
}

/// KCV checks up to 47 look at the arguments of one control plane component, the others at files of
/// a node.
fn component(number: u32) -> Option<&'static [&'static str]> {
    Some(match number {
        0..=32 => &["kube-apiserver"],
        34 | 40 => &["kube-scheduler", "kube-controller-manager"],
        33..=39 => &["kube-controller-manager"],
        41 => &["kube-scheduler"],
        42..=47 => &["etcd"],
        _ => return None,
    })
}

/// `None`: every kind.
fn kinds(number: u32) -> Option<&'static [&'static str]> {
    Some(match number {
        38 => &["NetworkPolicy"],
        39 => &["LimitRange"],
        40 => &["ResourceQuota"],
        41..=56 | 112..=115 => ROLES,
        111 | 122 | 123 => BINDINGS,
        107 => return None,
        108 => &["Service"],
        109 | 1010 => &["ConfigMap"],
        // About Gatekeeper's own objects.
        124 => &[],
        _ => WORKLOADS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_counts_only_where_the_check_looks() {
        let at = |kind: &str, name: &str| ResourceRef::namespaced(kind, "a", name);
        for (check, resource, expected) in [
            ("KCV-0001", at("Pod", "kube-apiserver-cp1"), Outcome::Pass),
            ("KCV-0001", at("ConfigMap", "kube-root-ca.crt"), Outcome::NotApplicable),
            ("KCV-0042", at("Pod", "kube-apiserver-cp1"), Outcome::NotApplicable),
            ("KCV-0042", at("Pod", "etcd-cp1"), Outcome::Pass),
            ("KCV-0034", at("Pod", "kube-scheduler-cp1"), Outcome::Pass),
            ("KCV-0077", at("NodeInfo", "n1"), Outcome::Pass),
            ("KCV-0077", at("Pod", "etcd-cp1"), Outcome::NotApplicable),
            ("KSV-0012", at("Deployment", "api"), Outcome::Pass),
            ("KSV-0012", at("Role", "r"), Outcome::NotApplicable),
            ("KSV-0041", at("Role", "r"), Outcome::Pass),
            ("KSV-0041", at("Deployment", "api"), Outcome::NotApplicable),
            ("KSV-0111", at("ClusterRoleBinding", "b"), Outcome::Pass),
            ("KSV-01010", at("ConfigMap", "c"), Outcome::Pass),
            ("KSV-0107", at("Ingress", "i"), Outcome::Pass),
            ("KSV-0012", at("File", "rbac.yaml"), Outcome::NotChecked),
            ("DS-0002", at("File", "Dockerfile"), Outcome::Pass),
            ("USR-0001", at("ConfigMap", "c"), Outcome::Pass),
        ] {
            assert_eq!(weigh_pass(check, &resource).0, expected, "{check} {resource}");
        }
    }
}
