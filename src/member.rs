//! A cluster of a fleet, as its own archive stood when it was looked at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What can be believed of a cluster's archive, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It does not verify: nothing in it is believed.
    NotVerified,
    /// It could not be read.
    Unreadable,
    /// There is no bundle in it.
    Absent,
    /// It verifies, and a run that was due has left no bundle, or its newest one is too old.
    Stale,
    /// It verifies and is as new as it should be.
    Ok,
}

impl State {
    /// All, worst first.
    pub const ALL: [Self; 5] =
        [Self::NotVerified, Self::Unreadable, Self::Absent, Self::Stale, Self::Ok];

    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotVerified => "not-verified",
            Self::Unreadable => "unreadable",
            Self::Absent => "absent",
            Self::Stale => "stale",
            Self::Ok => "ok",
        }
    }
}

/// A cluster of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As the fleet calls it.
    pub cluster: String,
    /// What can be believed of its archive.
    pub state: State,
    /// Why, in a sentence; empty when it is in order.
    pub detail: String,
    /// The head that an earlier bundle of the fleet pinned and that this one was held against
    /// (`origin size root`); empty when there was none.
    pub known: String,
    /// Its newest bundle; `None` where nothing can be believed.
    pub newest: Option<Newest>,
}

/// What the newest bundle of a cluster's archive says, as far as its signed statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Head of the log (`origin size root`).
    pub head: String,
    /// Number of the bundle.
    pub seq: u64,
    /// Hex SHA-256 of its statement.
    pub statement_sha256: String,
    /// When its run took place.
    pub created: String,
    /// When the next one is due; empty without a schedule.
    pub next: String,
    /// Controls of each status by `id@version`; statuses that do not occur are left out.
    pub frameworks: BTreeMap<String, BTreeMap<String, u64>>,
    /// Standing of each of its sources.
    pub sources: BTreeMap<String, String>,
}
