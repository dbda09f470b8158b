//! What an auditor trusts and where the archive lies: the arguments that verifying commands share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::Context;
use super::recognise::{self, refuse_other};
use crate::archive::{self, Location};
use crate::escape::visible;
use crate::evidence::key::{KeyId, PublicKey};
use crate::evidence::timestamp::Authorities;
use crate::exit::Exit;
use crate::output::Failure;
use crate::sealed::SealedError;
use crate::verify::pin::Pin;
use crate::verify::{self, Archive, FailureCode, Policy, ReadFailure, WitnessPolicy};

/// Where an archive lies.
#[derive(clap::Args)]
pub(super) struct Place {
    /// A directory, a `.tar` or `.zip`, or `s3://bucket/prefix`
    pub(super) archive: String,

    /// Endpoint of an S3-compatible store
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Bucket in the path instead of the host name
    #[arg(long)]
    path_style: bool,

    /// Region of the bucket
    #[arg(long)]
    region: Option<String>,

    /// How long a bucket that is busy or does not answer is waited for in all: 60s, 5m
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = patience)]
    patience: u64,
}

/// What is trusted.
#[derive(clap::Args)]
pub(super) struct Trust {
    /// Fingerprint of a root key that you trust, or a file with fingerprints or public keys
    #[arg(long, value_name = "FINGERPRINT|FILE")]
    root: Vec<String>,

    /// A head that you were given elsewhere: a checkpoint, a receipt, a .tlog-proof, or a report
    #[arg(long, value_name = "FILE")]
    pin: Vec<PathBuf>,
}

/// With a unit, or in seconds.
fn patience(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("", 1)];
    let seconds = units.iter().find_map(|(unit, factor)| {
        text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*factor)
    });
    seconds.ok_or_else(|| "it must be a number with s, m or h, like 90s".to_owned())
}

impl Place {
    pub(super) fn location(&self) -> Location {
        Location {
            uri: self.archive.clone(),
            endpoint: self.endpoint.clone(),
            path_style: self.path_style,
            region: self.region.clone(),
            patience: Some(Duration::from_secs(self.patience)),
            ..Location::default()
        }
    }

    pub(super) fn open(&self, context: &Context) -> Result<Box<dyn Archive>, Failure> {
        archive::open_to_read(&self.location(), context.now).map_err(|error| {
            let other = recognise::other_file(Path::new(&self.archive));
            other.unwrap_or_else(|| {
                let help = error.help();
                let failure =
                    if error.is_usage() { usage(error.into()) } else { not_finished(error) };
                Failure { help, ..failure }
            })
        })
    }

    /// Does a file lie in the archive's folder, by whatever path it was given?
    fn holds(&self, path: &Path) -> bool {
        let folder = Path::new(&self.archive).canonicalize().ok();
        let path = path.canonicalize().ok();
        folder.zip(path).is_some_and(|(folder, path)| path.starts_with(folder))
    }

    /// For errors of reading.
    pub(super) fn unreadable(&self, error: ReadFailure) -> Failure {
        let help = error.help;
        let is_named = error.path == self.archive;
        let error = anyhow::Error::from(error);
        let context = || format!("could not read the archive {}", visible(&self.archive));
        not_finished(if is_named { error } else { error.context(context()) }).help(help)
    }
}

impl Trust {
    /// `place` is where the archive lies that is to be verified by it, if it is one.
    pub(super) fn policy(
        &self,
        place: Option<&Place>,
        context: &Context,
    ) -> Result<Policy, Failure> {
        let mut roots = BTreeSet::new();
        for root in &self.root {
            roots.extend(read_roots(root).map_err(usage)?);
        }
        let mut policy = Policy::new(roots, context.now);
        for path in &self.pin {
            let pin = read_pin(path).map_err(usage)?;
            if place.is_some_and(|place| place.holds(path)) {
                let name = visible(&path.to_string_lossy());
                context.output.note(format!(
                    "warning: --pin {name} lies in the archive itself, and proves nothing about it: whoever changes the archive changes this file too"
                ));
                policy.own_heads.push(pin);
            } else {
                policy.pins.push(pin);
            }
        }
        Ok(policy)
    }
}

/// Opens an archive whose chain verifies. Without a root that the caller trusts, it must agree with
/// its own first keyring, which is said: that proves nothing of its origin.
pub(super) fn open_verified(
    place: &Place,
    trust: &Trust,
    context: &Context,
) -> Result<Box<dyn Archive>, Failure> {
    let archive = place.open(context)?;
    let policy = Policy { deep: false, ..trust.policy(Some(place), context)? };
    let verdict = verify::verify(&*archive, &policy).map_err(|error| place.unreadable(error))?;
    refuse_other(place, &*archive, &verdict, &policy)?;
    if policy.roots.is_empty() {
        context.output.note("Without --root nothing shows whose archive this is.");
    }
    let mut faults = verdict.findings.iter().filter(|finding| finding.is_fault());
    match faults.find(|finding| finding.code != FailureCode::RootNotGiven) {
        None => Ok(archive),
        Some(finding) => {
            if finding.code == FailureCode::FileUnreadable {
                return Err(place.unreadable(ReadFailure::new(&*finding.object, &*finding.found)));
            }
            let text = format!(
                "the archive does not verify: {} {}",
                finding.code,
                visible(&finding.object)
            );
            let failure = Failure::new(Exit::NotVerified, anyhow!(text));
            Err(failure.help("run `affidavit verify` on the archive"))
        }
    }
}

pub(super) fn unsealed(error: SealedError) -> Failure {
    match error {
        SealedError::NoBundle { .. } => usage(error.into()),
        SealedError::File { .. } => Failure::new(Exit::NotVerified, error),
        other => not_finished(other),
    }
}

pub(super) fn usage(error: anyhow::Error) -> Failure {
    Failure::new(Exit::Usage, error)
}

pub(super) fn not_finished(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::NotFinished, error)
}

/// Reads a policy of witnesses.
pub(super) fn read_witnesses(path: &Path) -> Result<WitnessPolicy, Failure> {
    let name = || format!("--policy {}", path.display());
    let text = std::fs::read_to_string(path).with_context(name).map_err(usage)?;
    WitnessPolicy::parse(&text).with_context(name).map_err(usage)
}

/// Reads certificates of timestamping authorities; `None` when no file is given.
pub(super) fn read_authorities(paths: &[PathBuf]) -> Result<Option<Authorities>, Failure> {
    let mut pem = String::new();
    for path in paths {
        let name = || format!("--authority {}", path.display());
        let text = std::fs::read_to_string(path).with_context(name).map_err(usage)?;
        Authorities::from_pem(&text).with_context(name).map_err(usage)?;
        pem.push_str(&text);
        pem.push('\n');
    }
    if pem.is_empty() {
        return Ok(None);
    }
    Authorities::from_pem(&pem).map(Some).map_err(|error| usage(error.into()))
}

/// A fingerprint, or a file with fingerprints (one per line) or public keys in PEM.
fn read_roots(root: &str) -> Result<Vec<KeyId>, anyhow::Error> {
    if let Some(id) = KeyId::from_fingerprint(root) {
        return Ok(vec![id]);
    }
    let text = std::fs::read_to_string(root)
        .with_context(|| format!("--root {root}: neither a fingerprint nor a readable file"))?;
    let mut roots = Vec::new();
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        for pem in text.split_inclusive("-----END PUBLIC KEY-----") {
            if let Some(start) = pem.find("-----BEGIN PUBLIC KEY-----") {
                let pem = pem.get(start..).unwrap_or_default();
                let key = PublicKey::from_pem(&format!("{pem}\n"));
                roots.push(key.with_context(|| format!("--root {root}"))?.id());
            }
        }
    } else {
        roots.extend(text.lines().filter_map(KeyId::from_fingerprint));
    }
    if roots.is_empty() {
        return Err(anyhow!("--root {root}: no fingerprint and no public key in this file"));
    }
    Ok(roots)
}

fn read_pin(path: &Path) -> Result<Pin, anyhow::Error> {
    let name = || format!("--pin {}", path.display());
    let bytes = std::fs::read(path).with_context(name)?;
    if bytes.starts_with(b"%PDF") {
        return Pin::from_pdf(&bytes).with_context(|| {
            format!("{}: this PDF names no head (the report of a first bundle has none)", name())
        });
    }
    Pin::parse(&String::from_utf8_lossy(&bytes)).with_context(name)
}
