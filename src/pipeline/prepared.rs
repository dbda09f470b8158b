//! Everything that a run is made of: keys, rules, inputs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::{RunFailure, TOOL, read_text, secrets};
use crate::config::{Config, ReportSignature};
use crate::evaluate::{EvaluateError, Evaluation, evaluate};
use crate::evidence::digest::Digest;
use crate::evidence::envelope::Envelope;
use crate::evidence::items::{DisclosureSecret, ItemError};
use crate::evidence::key::KeyId;
use crate::evidence::keyring::CheckedKeyring;
use crate::evidence::{canonical, instant, layout};
use crate::framework::builtin;
use crate::redaction::redacted;
use crate::run::Run;
use crate::scanner::{self, fleet};
use crate::seal::SealError;
use crate::sign::report::ReportSigner;
use crate::{collect, run};

/// Keyrings and the secret of a chain.
pub(super) struct Keys {
    pub(super) keyring: CheckedKeyring,
    /// Root keys of the first version: the ones that auditors were told.
    pub(super) roots: Vec<KeyId>,
    pub(super) envelopes: Vec<Vec<u8>>,
    pub(super) secret: DisclosureSecret,
    /// Who signs the report PDF.
    pub(super) report: Option<ReportSigner>,
}

impl Keys {
    pub(super) fn load(config: &Config, now: Timestamp) -> Result<Self, RunFailure> {
        let mut envelopes = Vec::new();
        let mut keyring = None;
        let mut roots = Vec::new();
        for version in 1.. {
            let name = layout::keyring(version);
            let name = name.strip_prefix("keyring/").unwrap_or(&name);
            let path = config.keys.keyring.join(name);
            if !path.exists() && keyring.is_some() {
                break;
            }
            let failed = |reason: String| RunFailure::File { path: path.clone(), reason };
            let bytes = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
            let envelope = Envelope::parse(&bytes).map_err(|error| RunFailure::Content {
                path: path.clone(),
                reason: error.to_string(),
            })?;
            let checked = CheckedKeyring::parse(&envelope.payload)
                .map_err(|source| RunFailure::Keyring { path: path.clone(), source })?;
            if version == 1 {
                roots.extend(checked.root_ids());
            }
            keyring = Some(checked);
            envelopes.push(bytes);
        }
        let Some(keyring) = keyring else {
            let reason = "there is no keyring".to_owned();
            return Err(RunFailure::File { path: config.keys.keyring.clone(), reason });
        };
        if keyring.keyring.origin != config.origin {
            return Err(RunFailure::Origin {
                keyring: keyring.keyring.origin.clone(),
                configured: config.origin.clone(),
            });
        }
        let path = &config.keys.disclosure_secret;
        let text = read_text(path)?;
        let secret = Digest::from_hex(text.trim()).ok_or_else(|| RunFailure::Content {
            path: path.clone(),
            reason: "not 64 lower-case hex digits".to_owned(),
        })?;
        let report = match &config.report_signature {
            None => None,
            Some(ReportSignature { key, certificate, timestamp_authority }) => {
                let passphrase = secrets(config)?.passphrase;
                let authority = timestamp_authority.as_deref();
                Some(ReportSigner::open(key, certificate, passphrase.as_ref(), authority, now)?)
            }
        };
        let secret = DisclosureSecret::new(*secret.as_bytes());
        Ok(Self { keyring, roots, envelopes, secret, report })
    }
}

/// Everything that goes into an evaluation.
pub(super) struct Prepared {
    pub(super) run: Run,
    /// Frameworks, waivers and attestations, by path in the bundle.
    pub(super) rules: BTreeMap<String, Vec<u8>>,
    /// Where each input lies.
    pub(super) origins: BTreeMap<String, PathBuf>,
    /// Where each rule file lies, for errors.
    pub(super) rule_origins: BTreeMap<String, PathBuf>,
}

impl Prepared {
    pub(super) fn new(
        config: &Config,
        now: Timestamp,
        collected: collect::Collected,
    ) -> Result<Self, RunFailure> {
        let mut rules = BTreeMap::new();
        let mut rule_origins = BTreeMap::new();
        let mut frameworks = Vec::new();
        for (id, version) in &config.frameworks {
            let mut framework = builtin::find(id, version.as_deref())?;
            if config.is_fleet() {
                framework = framework.rolled_up(fleet::control_check);
            }
            let path = format!("mapping/{}-{}.json", framework.id, framework.version);
            let bytes = canonical::to_vec(&framework).map_err(ItemError::from)?;
            // Once by its version and once without one, which is the same.
            if rules.insert(path.clone(), bytes).is_some() {
                let reason = format!("`{}` is listed twice", framework.key());
                return Err(RunFailure::Content { path: "frameworks".into(), reason });
            }
            frameworks.push(path);
        }
        let mut policy = |kind: &str, files: &[PathBuf]| -> Result<Vec<String>, RunFailure> {
            let mut paths = Vec::new();
            for (number, file) in (1..).zip(files) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let path = format!("policy/{kind}/{number:04}-{}", layout::safe_segment(&name));
                rules.insert(path.clone(), read_text(file)?.into_bytes());
                rule_origins.insert(path.clone(), file.clone());
                paths.push(path);
            }
            Ok(paths)
        };
        let waivers = policy("waivers", &config.waivers)?;
        let attestations = policy("attestations", &config.attestations)?;
        let known_exploited = policy("known-exploited", &config.known_exploited)?;
        let (name, version) = TOOL;
        let run = Run {
            schema: run::SCHEMA.to_owned(),
            created: instant::format(now),
            tool: run::Tool { name: name.to_owned(), version: version.to_owned() },
            organisation: config.organisation.clone(),
            cluster: run::Cluster {
                name: config.cluster.clone(),
                also_known_as: config.also_known_as.clone(),
                // Written down for the next run, which refuses another cluster.
                uid: if config.cluster_uid.is_empty() {
                    collected.cluster_uid.clone()
                } else {
                    config.cluster_uid.clone()
                },
            },
            frameworks,
            waivers,
            attestations,
            namespaces: config.namespaces.clone(),
            known_exploited,
            sources: collected.sources,
        };
        Ok(Self { run, rules, origins: collected.origins, rule_origins })
    }

    pub(super) fn evaluate(&self, reader: &mut InputReader<'_>) -> Result<Evaluation, RunFailure> {
        evaluate(&self.run, &mut |path| match self.rules.get(path) {
            Some(bytes) => Ok(Arc::new(bytes.clone())),
            None => reader.first(path),
        })
        .map_err(|error| evaluate_failure(error, self))
    }

    /// The input because of which an attempt failed, and why.
    pub(super) fn lost(&self, error: &RunFailure) -> Option<(String, String)> {
        let (path, reason) = match error {
            RunFailure::Input { path, reason, .. } => (path, reason.clone()),
            RunFailure::Seal(SealError::Path { path, reason }) => (path, (*reason).to_owned()),
            _ => return None,
        };
        self.origins.contains_key(path).then(|| (path.clone(), reason))
    }

    /// Takes an input out of the run and says so in its source.
    pub(super) fn leave_out(&mut self, path: &str, reason: &str) {
        self.origins.remove(path);
        for source in &mut self.run.sources {
            let (lost, kept) = source.files.drain(..).partition(|file| file.path == path);
            source.files = kept;
            let lost: Vec<run::File> = lost;
            source
                .shortfalls
                .extend(lost.iter().map(|file| format!("{}: {reason}", file.original)));
        }
    }
}

/// Reads inputs, and makes sure that a second reading gives the same bytes.
pub(super) struct InputReader<'a> {
    pub(super) origins: &'a BTreeMap<String, PathBuf>,
    /// As many as there was room for: those are not read a second time.
    pub(super) kept: BTreeMap<String, Arc<Vec<u8>>>,
    /// Bytes that may still be kept.
    pub(super) room: usize,
}

/// What is judged and sealed of an input: all of it but its secrets.
fn without_secrets(bytes: Vec<u8>) -> Vec<u8> {
    // In UTF-16 nothing has its usual form.
    let has_nul = bytes.iter().take(4).any(|byte| *byte == 0) || bytes.starts_with(&[0xFF, 0xFE]);
    if has_nul && let Ok(text) = scanner::decode(&bytes) {
        return match redacted(text.as_bytes()) {
            Cow::Owned(text) => text,
            Cow::Borrowed(_) => bytes,
        };
    }
    match redacted(&bytes) {
        Cow::Owned(text) => text,
        Cow::Borrowed(_) => bytes,
    }
}

/// Why an input was not read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct InputError(String);

impl InputReader<'_> {
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, InputError> {
        let origin = self.origins.get(path).map_or(Path::new(path), PathBuf::as_path);
        let bytes = std::fs::read(origin).map_err(|error| InputError(error.to_string()))?;
        Ok(without_secrets(bytes))
    }

    pub(super) fn first(&mut self, path: &str) -> Result<Arc<Vec<u8>>, InputError> {
        let bytes = Arc::new(self.read(path)?);
        if let Some(room) = self.room.checked_sub(bytes.len()) {
            self.room = room;
            self.kept.insert(path.to_owned(), Arc::clone(&bytes));
        }
        Ok(bytes)
    }

    /// The same bytes as the first time, which had this digest.
    pub(super) fn again(
        &self,
        path: &str,
        digest: Option<&Digest>,
    ) -> Result<Arc<Vec<u8>>, SealError> {
        if let Some(bytes) = self.kept.get(path) {
            return Ok(Arc::clone(bytes));
        }
        let failed = |reason| SealError::Path { path: path.to_owned(), reason };
        let bytes = self.read(path).map_err(|_| failed("it can no longer be read"))?;
        if digest == Some(&Digest::of(&bytes)) {
            Ok(Arc::new(bytes))
        } else {
            Err(failed("it changed while it was being read"))
        }
    }
}

pub(super) fn evaluate_failure(
    error: EvaluateError<InputError>,
    prepared: &Prepared,
) -> RunFailure {
    match error {
        EvaluateError::Load { path, source: InputError(reason) } => {
            let origin = prepared.origins.get(&path).cloned().unwrap_or_default();
            RunFailure::Input { path, origin, reason }
        }
        EvaluateError::Invalid { path, reason } => {
            let path = prepared.rule_origins.get(&path).cloned().unwrap_or_else(|| path.into());
            RunFailure::Content { path, reason }
        }
        EvaluateError::Time => {
            let reason = "not a valid time".to_owned();
            RunFailure::Content { path: PathBuf::from("--now"), reason }
        }
    }
}
