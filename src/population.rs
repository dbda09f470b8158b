//! What was in scope: every kind of object with how many of it there were, or why they could not
//! be listed, and the cluster that it was asked of.
//!
//! A score says little without it: a check that passes on the three objects a scanner was allowed
//! to see is not a check that passes on the cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that one collection had in scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Population {
    /// The cluster; `None` for manifests.
    pub cluster: Option<ClusterIdentity>,
    /// Every kind that was in scope, in the order in which it was asked for.
    pub kinds: Vec<KindListing>,
    /// SHA-256 by path of the manifests that were read; empty for a cluster.
    pub files: BTreeMap<String, String>,
    /// Every object.
    pub members: Vec<Member>,
}

/// An object that was in scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-wide objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Was it looked at, and found to be as its controller's template says?
    pub is_as_its_controller: bool,
    /// How it can be reached from outside its network, worst first.
    pub exposed: Vec<String>,
}

/// Which cluster answered, to whom, and what its clock said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterIdentity {
    /// What gave access: `kubeconfig` or `in-cluster`.
    pub access: String,
    /// SHA-256 of the certificate authorities that were configured for it; empty where those of the system
    /// were believed.
    pub authorities: String,
    /// Seconds by which the API server's clock is ahead of the collector's; from the `Date` header
    /// (RFC 9110, section 6.6.1), so accurate to a second or two.
    pub clock_ahead_seconds: i64,
    /// Context of the kubeconfig; empty in a pod.
    pub context: String,
    /// SHA-256 of the certificate with which the API server answered (DER), in hexadecimal; empty
    /// without TLS.
    pub endpoint_certificate: String,
    /// Groups of the asking user, as the API server sees it.
    pub groups: Vec<String>,
    /// Kinds that the asking user may not list, as the API server says when asked
    /// (SelfSubjectAccessReview).
    pub may_not_list: Vec<String>,
    /// Kinds of which the API server did not say whether they may be listed.
    pub not_known: Vec<String>,
    /// Address of the API server, without credentials.
    pub server: String,
    /// Was the server's certificate verified?
    pub tls_verified: bool,
    /// UID of the namespace `kube-system`, which stays for a cluster's life; empty when it could
    /// not be read.
    pub uid: String,
    /// The asking user, as the API server sees it (SelfSubjectReview); empty when it does not say.
    pub user: String,
    /// Version of the API server.
    pub version: String,
}

/// How the listing of a kind went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// All of it.
    Complete,
    /// The cluster does not have this kind.
    Absent,
    /// The configuration says not to ask for it.
    Excluded,
    /// It broke off.
    #[default]
    Failed,
    /// The asking user may not.
    Forbidden,
}

impl Listing {
    /// Should it be known how many there are, and is not?
    #[must_use]
    pub fn is_gap(self) -> bool {
        matches!(self, Self::Failed | Self::Forbidden)
    }

    /// Is it known how many there are?
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Complete | Self::Absent)
    }

    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Absent => "absent",
            Self::Excluded => "excluded",
            Self::Failed => "failed",
            Self::Forbidden => "forbidden",
        }
    }
}

/// A kind and how its listing went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KindListing {
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// How many objects were seen.
    pub count: u64,
    /// Why it is not complete; empty when it is.
    pub detail: String,
    /// Kind.
    pub kind: String,
    /// How it went.
    pub listing: Listing,
    /// Resource version of the (first page of the) list; empty in manifests.
    pub resource_version: String,
    /// SHA-256 over the objects' UIDs in ascending order, each followed by a newline, in
    /// hexadecimal; over `namespace/name` in manifests.
    pub uids_sha256: String,
}
