//! The kinds of objects that checks look at, in the order in which they must be examined: what a
//! check reads beside its object stands before it.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Kind.
    pub kind: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version that is asked for.
    pub version: &'static str,
    /// Name in URLs.
    pub plural: &'static str,
    /// Does it carry a pod or a pod template?
    pub is_workload: bool,
}

impl Kind {
    /// `group/version`, or the version alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    Kind { kind, group, version, plural, is_workload: false }
}

const fn workload(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    Kind { kind, group, version, plural, is_workload: true }
}

/// A kubelet's effective configuration: no object of the API, but what `configz` answers.
pub const KUBELET: &str = "KubeletConfiguration";
/// Listed as metadata only: its data is nobody's business here.
pub const SECRET: &str = "Secret";

/// Every kind, in order of examination.
pub const KINDS: &[Kind] = &[
    kind("", "v1", "Service", "services"),
    kind("networking.k8s.io", "v1", "Ingress", "ingresses"),
    kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    kind("", "v1", "Namespace", "namespaces"),
    kind("", "v1", "Node", "nodes"),
    kind("kubelet.config.k8s.io", "v1beta1", KUBELET, "configz"),
    kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    kind("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"),
    kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    kind("", "v1", "ServiceAccount", "serviceaccounts"),
    kind("", "v1", SECRET, "secrets"),
    kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    ),
    kind(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    workload("apps", "v1", "Deployment", "deployments"),
    workload("apps", "v1", "StatefulSet", "statefulsets"),
    workload("apps", "v1", "DaemonSet", "daemonsets"),
    workload("apps", "v1", "ReplicaSet", "replicasets"),
    workload("", "v1", "ReplicationController", "replicationcontrollers"),
    workload("batch", "v1", "CronJob", "cronjobs"),
    workload("batch", "v1", "Job", "jobs"),
    workload("", "v1", "Pod", "pods"),
];

/// The kind of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.kind == name)
}
