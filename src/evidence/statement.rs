//! Section 2: the statement, an in-toto Statement v1 with our predicate, in canonical JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::canonical::{self, CanonicalError};
use super::digest::Digest;
use super::instant;
use super::layout::SHA256SUMS;

/// `_type` of every statement.
pub const TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of every statement of this version of the format.
pub const PREDICATE_TYPE: &str = "urn:affidavit:evidence-bundle:v1";
/// What the predicate types of all versions begin with.
pub const PREDICATE_FAMILY: &str = "urn:affidavit:evidence-bundle:";
/// Longest statement in bytes: its PAE then fits the 4096 bytes that AWS KMS signs in one call.
pub const MAX_BYTES: usize = 3584;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// Exactly one: the bundle's `SHA256SUMS`.
    pub subject: Vec<Subject>,
    /// What is said of it.
    pub predicate: Predicate,
}

/// A file by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// `SHA256SUMS`.
    pub name: String,
    /// Its digest.
    pub digest: DigestSet,
}

/// in-toto `DigestSet` with the one algorithm that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// SHA-256.
    pub sha256: Digest,
}

/// Our predicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// Place in the chain.
    pub chain: Chain,
    /// What time it speaks for.
    pub time: Time,
    /// The Merkle leaves.
    pub items: Items,
    /// Number of files in `SHA256SUMS`.
    pub files: u64,
    /// Keyring in force.
    pub keyring: KeyringRef,
    /// Frameworks by which controls were assessed, or their number if they do not fit.
    pub frameworks: Listing<FrameworkRef>,
    /// One entry per declared source, or their number.
    pub sources: Listing<SourceRef>,
    /// Controls of each status per framework, or the number of frameworks.
    pub summary: Listing<Summary>,
    /// Set when runs before this one did not take place.
    #[serde(deserialize_with = "canonical::or_null")]
    pub gap: Option<Gap>,
    /// Set once payloads were removed after their retention; every later statement says so too.
    #[serde(deserialize_with = "canonical::or_null")]
    pub pruned: Option<Pruned>,
    /// Program that made the bundle.
    pub tool: Tool,
}

/// A list, or its length where the list stands in `run.json` alone because the statement would
/// become too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing<T> {
    /// The list.
    Here(Vec<T>),
    /// Its length.
    InRun(u64),
}

impl<T: Serialize> Serialize for Listing<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Here(list) => list.serialize(serializer),
            Self::InRun(count) => count.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listing<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Either<T> {
            type Value = Listing<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list or its length")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Self::Value, E> {
                Ok(Listing::InRun(count))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                seq: A,
            ) -> Result<Self::Value, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))
                    .map(Listing::Here)
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

/// Place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Origin of the chain.
    pub origin: String,
    /// Number from 0.
    pub seq: u64,
    /// Digest of the previous statement's bytes; `null` in the first.
    #[serde(deserialize_with = "canonical::or_null")]
    pub prev: Option<DigestSet>,
}

/// What time a bundle speaks for, in the form of [`instant`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Time {
    /// When the run took place.
    pub created: String,
    /// Start of the period.
    pub period_start: String,
    /// End of the period.
    pub period_end: String,
    /// When runs are due; `null` for runs without a schedule.
    #[serde(deserialize_with = "canonical::or_null")]
    pub schedule: Option<Schedule>,
}

/// When runs are due. The two instants let a verifier hold a run against the next one without
/// knowing what a cron expression means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Schedule {
    /// Five fields of crontab(5).
    pub cron: String,
    /// Time zone in which it is meant (IANA).
    pub time_zone: String,
    /// The newest due time after the previous bundle and up to this run; `null` when none was due.
    #[serde(deserialize_with = "canonical::or_null")]
    pub due: Option<String>,
    /// The first due time after this run.
    pub next: String,
}

/// The Merkle leaves of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Items {
    /// `items.jsonl`.
    pub file: String,
    /// Number of items.
    pub size: u64,
    /// RFC 6962 root, standard base64.
    pub root: String,
}

/// A keyring by version and payload digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyringRef {
    /// Version.
    pub version: u64,
    /// Digest of its payload.
    pub sha256: Digest,
}

/// A framework by which controls were assessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameworkRef {
    /// Id.
    pub id: String,
    /// Version of the standard.
    pub version: String,
    /// Digest of the mapping file in the bundle.
    pub sha256: Digest,
}

/// A declared source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRef {
    /// Name.
    pub name: String,
    /// Status word.
    pub status: String,
    /// Digest over its inputs' digests; `null` when there is no input.
    #[serde(deserialize_with = "canonical::or_null")]
    pub sha256: Option<Digest>,
}

/// Controls of each status in one framework. `pass`, `fail` and `notAssessed` are satisfied,
/// not-satisfied and not-assessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Summary {
    /// `id@version`.
    pub framework: String,
    /// satisfied.
    pub pass: u64,
    /// not-satisfied.
    pub fail: u64,
    /// not-assessed.
    pub not_assessed: u64,
    /// supported.
    pub supported: u64,
    /// waived.
    pub waived: u64,
    /// manual.
    pub manual: u64,
    /// not-applicable.
    pub not_applicable: u64,
}

/// Runs that were due and did not take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// End of the last period spoken for.
    pub from: String,
    /// Start of this one.
    pub to: String,
    /// Why, as far as known.
    pub reason: String,
}

/// A tombstone: whose payloads may be gone, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// The bundles before this number. Their statements stay.
    pub before: u64,
    /// For how many days after its period a payload is kept.
    pub days: u64,
    /// Who asks for so long (`hipaa`, `pci-dss`); may be empty.
    pub rule: String,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// Why bytes are not a statement of this format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Over [`MAX_BYTES`].
    #[error("{found} bytes; a statement has at most {MAX_BYTES}")]
    TooLarge {
        /// Size in bytes.
        found: usize,
    },
    /// Breaks a rule of the canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Another `_type`, or a predicate of something else.
    #[error("type `{found}` is not an evidence bundle's")]
    WrongType {
        /// What stands there.
        found: String,
    },
    /// A later version of this format.
    #[error("predicate type `{found}` is of a version that this program does not know")]
    UnsupportedVersion {
        /// What stands there.
        found: String,
    },
    /// A field is missing, unknown, or of the wrong form.
    #[error("{0}")]
    Shape(String),
}

#[derive(Deserialize)]
struct Types<'a> {
    #[serde(borrow, rename = "_type")]
    statement_type: Cow<'a, str>,
    #[serde(borrow, rename = "predicateType")]
    predicate_type: Cow<'a, str>,
}

impl Types<'_> {
    fn check(self) -> Result<(), StatementError> {
        if self.statement_type != TYPE {
            return Err(StatementError::WrongType { found: self.statement_type.into_owned() });
        }
        if self.predicate_type == PREDICATE_TYPE {
            return Ok(());
        }
        let found = self.predicate_type.into_owned();
        Err(if found.starts_with(PREDICATE_FAMILY) {
            StatementError::UnsupportedVersion { found }
        } else {
            StatementError::WrongType { found }
        })
    }
}

impl Statement {
    /// Its canonical bytes.
    ///
    /// # Errors
    /// [`StatementError::TooLarge`], or [`StatementError::Canonical`] for numbers that cannot be
    /// written safely.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        let bytes = canonical::to_vec(self)?;
        if bytes.len() > MAX_BYTES {
            return Err(StatementError::TooLarge { found: bytes.len() });
        }
        Ok(bytes)
    }

    /// Like [`to_bytes`](Self::to_bytes), but where the lists are too long for a statement it puts
    /// their lengths in their place.
    ///
    /// # Errors
    /// [`StatementError`] when even that is too long.
    pub fn into_fitting_bytes(mut self) -> Result<(Self, Vec<u8>), StatementError> {
        fn shorten<T>(listing: &mut Listing<T>) {
            if let Listing::Here(list) = listing {
                *listing = Listing::InRun(list.len() as u64);
            }
        }
        if let Ok(bytes) = self.to_bytes() {
            return Ok((self, bytes));
        }
        shorten(&mut self.predicate.sources);
        shorten(&mut self.predicate.frameworks);
        shorten(&mut self.predicate.summary);
        let bytes = self.to_bytes()?;
        Ok((self, bytes))
    }

    /// Reads a statement from bytes that are already authenticated.
    ///
    /// # Errors
    /// [`StatementError`], the most basic fault first.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_BYTES {
            return Err(StatementError::TooLarge { found: bytes.len() });
        }
        canonical::check(bytes)?;
        let shape = |error: serde_json::Error| StatementError::Shape(error.to_string());
        let statement: Self = match serde_json::from_slice(bytes) {
            Ok(statement) => statement,
            // Something else, or of another version, has another shape too.
            Err(error) => {
                let types: Types = serde_json::from_slice(bytes).map_err(shape)?;
                types.check()?;
                return Err(shape(error));
            }
        };
        Types {
            statement_type: Cow::Borrowed(&statement.statement_type),
            predicate_type: Cow::Borrowed(&statement.predicate_type),
        }
        .check()?;
        if !statement.has_its_own_shape(bytes)? {
            return Err(StatementError::Shape("a list stands where an object must".to_owned()));
        }
        statement.check_shape().map_err(|text| StatementError::Shape(text.to_owned()))?;
        Ok(statement)
    }

    /// serde reads an object's fields from a list too, which is a second spelling. Every list adds a
    /// bracket; where there are more of them than lists, the whole is compared.
    fn has_its_own_shape(&self, bytes: &[u8]) -> Result<bool, CanonicalError> {
        fn list<T>(listing: &Listing<T>) -> usize {
            usize::from(matches!(listing, Listing::Here(_)))
        }
        let Predicate { frameworks, sources, summary, .. } = &self.predicate;
        let lists = 1 + list(frameworks) + list(sources) + list(summary);
        let brackets = memchr::memchr_iter(b'[', bytes).count();
        Ok(brackets == lists || canonical::to_vec(self)? == bytes)
    }

    fn check_shape(&self) -> Result<(), &'static str> {
        let [Subject { name, .. }] = self.subject.as_slice() else {
            return Err("a statement has exactly one subject");
        };
        if name != SHA256SUMS {
            return Err("the subject is not SHA256SUMS");
        }
        if self.predicate.items.file != super::layout::ITEMS {
            return Err("the items file is not items.jsonl");
        }
        let time = &self.predicate.time;
        let schedule = time.schedule.as_ref();
        let instants = [&time.created, &time.period_start, &time.period_end]
            .into_iter()
            .chain(schedule.map(|schedule| &schedule.next))
            .chain(schedule.and_then(|schedule| schedule.due.as_ref()));
        if !instants.into_iter().all(|text| instant::parse(text).is_some()) {
            return Err("a time is not of the form 2026-11-23T02:00:00Z");
        }
        if time.period_start > time.period_end {
            return Err("the period ends before it starts");
        }
        if schedule.is_some_and(|schedule| schedule.due.as_ref() >= Some(&schedule.next)) {
            return Err("the next run is not due after this one");
        }
        let Predicate { chain, pruned, .. } = &self.predicate;
        if pruned.as_ref().is_some_and(|pruned| pruned.before > chain.seq) {
            return Err("a statement can only remove payloads of earlier ones");
        }
        Ok(())
    }

    /// Digest of the bundle's `SHA256SUMS`, which also names its folder.
    #[must_use]
    pub fn sums(&self) -> Option<Digest> {
        self.subject.first().map(|subject| subject.digest.sha256)
    }
}
