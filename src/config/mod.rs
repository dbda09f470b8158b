//! `affidavit.yaml` as written, and as meant.

mod notify;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use self::notify::WrittenNotify;
pub use self::notify::{Address, Format, Notify, Webhook, load_notify};
use self::source::WrittenSource;
pub use self::source::{FleetCluster, From, IN_CLUSTER, NODE, Parts, Source, scanners};
use crate::archive::{Checksums, Encryption, Location, LockMode, scheme};
use crate::evidence::checkpoint::valid_origin;
use crate::risk::Criticality;
use crate::scanner::fleet;
use crate::schedule::{self, Schedule, ScheduleError};

/// What `affidavit init` writes unless it is given a name.
pub const EXAMPLE_CLUSTER: &str = "my-cluster";

/// What `affidavit init` writes unless it is given an origin.
pub const EXAMPLE_ORIGIN: &str = "evidence.example.com/my-cluster";

/// Longest [`Location::patience`], in seconds.
const MAX_PATIENCE: u64 = 6 * 3600;

/// Most days that a lock may hold.
const MAX_LOCK_DAYS: u32 = 36_500;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    organisation: String,
    cluster: WrittenCluster,
    #[serde(default)]
    kubernetes: WrittenAccess,
    origin: String,
    archive: WrittenArchive,
    keys: WrittenKeys,
    #[serde(default)]
    report: WrittenReport,
    #[serde(default)]
    schedule: Option<String>,
    #[serde(default)]
    time_zone: Option<String>,
    frameworks: Vec<String>,
    sources: Vec<WrittenSource>,
    #[serde(default)]
    namespaces: BTreeMap<String, Criticality>,
    #[serde(default)]
    known_exploited: Vec<PathBuf>,
    #[serde(default)]
    waivers: Vec<PathBuf>,
    #[serde(default)]
    attestations: Vec<PathBuf>,
    #[serde(default)]
    notify: WrittenNotify,
    #[serde(default)]
    serve: WrittenServe,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenServe {
    listen: Option<SocketAddr>,
    jitter: Option<String>,
    catch_up: CatchUp,
    lease: Option<Lease>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCluster {
    name: String,
    #[serde(default)]
    also_known_as: Vec<String>,
    #[serde(default)]
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenAccess {
    from: Option<AccessFrom>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    timeout: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenArchive {
    uri: String,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    path_style: bool,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    retention: Option<WrittenRetention>,
    #[serde(default)]
    object_lock: Option<WrittenLock>,
    #[serde(default)]
    legal_hold: bool,
    #[serde(default)]
    encryption: Option<WrittenEncryption>,
    #[serde(default)]
    checksums: Option<Checksums>,
    #[serde(default)]
    patience: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRetention {
    #[serde(default)]
    rule: Option<RetentionRule>,
    #[serde(default)]
    days: Option<u32>,
    #[serde(default)]
    prune: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLock {
    mode: LockMode,
    #[serde(default)]
    days: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEncryption {
    by: EncryptionBy,
    #[serde(default)]
    key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncryptionBy {
    Aes256,
    Kms,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeys {
    signer: String,
    keyring: PathBuf,
    disclosure_secret: PathBuf,
    #[serde(default)]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenReport {
    signature: Option<WrittenSignature>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSignature {
    key: PathBuf,
    certificate: PathBuf,
    #[serde(default)]
    timestamp_authority: Option<String>,
}

/// The configuration as meant: checked, and with paths resolved from the folder of the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Organisation; may be empty.
    pub organisation: String,
    /// Cluster name.
    pub cluster: String,
    /// What scanners call it besides its name.
    pub also_known_as: Vec<String>,
    /// UID of `kube-system`; may be empty.
    pub cluster_uid: String,
    /// How to reach it.
    pub access: Access,
    /// Origin of the chain.
    pub origin: String,
    /// Where bundles go.
    pub archive: Location,
    /// How long payloads are kept; `None`: for ever.
    pub retention: Option<Retention>,
    /// Keys.
    pub keys: Keys,
    /// With what the report PDF is signed, if it is.
    pub report_signature: Option<ReportSignature>,
    /// When runs are due.
    pub schedule: Option<Schedule>,
    /// `(id, version)`; the default version when none is given.
    pub frameworks: Vec<(String, Option<String>)>,
    /// Declared sources.
    pub sources: Vec<Source>,
    /// Criticality of namespaces.
    pub namespaces: BTreeMap<String, Criticality>,
    /// Lists of vulnerabilities that are known to be exploited.
    pub known_exploited: Vec<PathBuf>,
    /// Waiver files.
    pub waivers: Vec<PathBuf>,
    /// Attestation files.
    pub attestations: Vec<PathBuf>,
    /// Whom to tell how runs end.
    pub notify: Notify,
    /// The long-lived process.
    pub serve: Serve,
}

/// The long-lived process (`affidavit serve`).
#[derive(Clone, Debug)]
pub struct Serve {
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// Most seconds by which a run is put off, so that many clusters do not run at once.
    pub jitter_seconds: u64,
    /// What becomes of a run that was due while no process was there.
    pub catch_up: CatchUp,
    /// By which one of several processes leads.
    pub lease: Option<Lease>,
}

/// What becomes of runs that were due while no process was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// One run at once; it declares the gap.
    #[default]
    Run,
    /// Nothing until the next due time; that run declares the gap.
    Skip,
}

/// A Lease object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Where health and metrics are served, unless the configuration says otherwise: on loopback, which
/// nobody else reaches.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// How long payloads are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days after the end of a bundle's period.
    pub days: u32,
    /// Who asks for so long; may be empty.
    pub rule: String,
    /// Are payloads removed then?
    pub prune: bool,
}

/// A standard that says how long evidence is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionRule {
    /// 12 months: PCI DSS 4.0.1, requirement 10.5.1.
    PciDss,
    /// Six years: 45 CFR 164.316(b)(2)(i).
    Hipaa,
}

impl RetentionRule {
    /// Days that are never less than what the standard says, whatever leap days are among them.
    #[must_use]
    pub fn days(self) -> u32 {
        match self {
            Self::PciDss => 366,
            Self::Hipaa => 6 * 365 + 2,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PciDss => "pci-dss",
            Self::Hipaa => "hipaa",
        }
    }
}

/// Keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// URI of the log key.
    pub signer: String,
    /// Folder with keyring versions.
    pub keyring: PathBuf,
    /// File with the secret from which salts are derived.
    pub disclosure_secret: PathBuf,
    /// File with the passphrase of the log key.
    pub passphrase_file: Option<PathBuf>,
}

/// A key and a certificate.
#[derive(Clone, Debug)]
pub struct ReportSignature {
    /// File with the private key.
    pub key: PathBuf,
    /// File with its certificate, and those of its issuers.
    pub certificate: PathBuf,
    /// Address of an authority that stamps the signature (RFC 3161).
    pub timestamp_authority: Option<String>,
}

/// How to reach a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// What says which cluster is meant; `None`: whatever there is, by the rule of [`crate::access`].
    pub from: Option<AccessFrom>,
    /// A kubeconfig; without it, `KUBECONFIG`, then `~/.kube/config`, then the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// Its context; without it, the current one.
    pub context: Option<String>,
    /// Seconds that one answer may take.
    pub timeout_seconds: u64,
}

/// What says which cluster is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessFrom {
    /// A kubeconfig, never the account of the pod.
    Kubeconfig,
    /// The account of the pod, never a kubeconfig.
    InCluster,
}

/// Seconds that one answer of a cluster may take.
const TIMEOUT_SECONDS: u64 = 60;

impl Default for Access {
    fn default() -> Self {
        Self { from: None, kubeconfig: None, context: None, timeout_seconds: TIMEOUT_SECONDS }
    }
}

/// Why a configuration is not valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("could not read {path}: {reason}")]
    Read {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not YAML of the right shape; the text names the line.
    #[error("{path} is not valid\n{text}")]
    Shape {
        /// Path.
        path: PathBuf,
        /// What and where.
        text: String,
    },
    /// A value cannot be meant.
    #[error("{path}: `{field}`: {reason}")]
    Value {
        /// Path.
        path: PathBuf,
        /// Which field.
        field: String,
        /// Why.
        reason: String,
    },
}

impl Config {
    /// Is it a fleet of clusters that is assessed, by their archives?
    #[must_use]
    pub fn is_fleet(&self) -> bool {
        self.sources.iter().any(|source| source.scanner == fleet::PREFIX)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::parse(&text, path, folder.unwrap_or(Path::new(".")))
    }

    /// Reads a configuration; relative paths in it start at `folder`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, path: &Path, folder: &Path) -> Result<Self, ConfigError> {
        let written: Written = serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::Shape { path: path.to_owned(), text: error.render() })?;
        written.mean(folder).map_err(|(field, reason)| ConfigError::Value {
            path: path.to_owned(),
            field,
            reason,
        })
    }
}

type Fault = (String, String);

impl Written {
    /// Evidence about an example is evidence about nothing.
    fn refuse_examples(&self) -> Result<(), Fault> {
        for (field, value, example) in [
            ("cluster.name", &self.cluster.name, EXAMPLE_CLUSTER),
            ("origin", &self.origin, EXAMPLE_ORIGIN),
        ] {
            if value == example {
                let reason = format!(
                    "`{example}` is only an example: `affidavit init DIR --origin ORIGIN --cluster NAME` writes a configuration and keys for yours"
                );
                return Err((field.to_owned(), reason));
            }
        }
        Ok(())
    }

    fn refuse_uris(&self) -> Result<(), Fault> {
        let keys = [&self.keys.keyring, &self.keys.disclosure_secret];
        let places = [
            ("keys", keys.to_vec()),
            ("waivers", self.waivers.iter().collect()),
            ("attestations", self.attestations.iter().collect()),
            ("known_exploited", self.known_exploited.iter().collect()),
        ];
        for (field, paths) in places {
            let mut texts = paths.into_iter().filter_map(|path| path.to_str());
            if let Some(uri) = texts.find(|text| scheme(text).is_some()) {
                let reason = format!("`{uri}` is no path: only files on this machine are read");
                return Err((field.to_owned(), reason));
            }
        }
        Ok(())
    }

    fn mean(self, folder: &Path) -> Result<Config, Fault> {
        let fault = |field: &str, reason: String| Err((field.to_owned(), reason));
        if !valid_origin(&self.origin) {
            return fault("origin", "1 to 256 characters without space, plus or control".into());
        }
        if self.cluster.name.trim().is_empty() {
            return fault("cluster.name", "empty".into());
        }
        self.refuse_examples()?;
        self.refuse_uris()?;
        if self.sources.is_empty() {
            return fault("sources", "without a source there is no evidence".into());
        }
        if self.frameworks.is_empty() {
            return fault("frameworks", "without a framework there is nothing to assess".into());
        }
        let zone = self.time_zone.as_deref().unwrap_or(schedule::UTC);
        let schedule = self.schedule.as_deref().map(|text| Schedule::parse(text, zone)).transpose();
        let schedule = schedule.map_err(|error| {
            let field =
                if matches!(error, ScheduleError::Zone(_)) { "time_zone" } else { "schedule" };
            (field.to_owned(), error.to_string())
        })?;
        let mut listed = BTreeSet::new();
        if let Some(twice) = self.frameworks.iter().find(|text| !listed.insert(text.as_str())) {
            return fault("frameworks", format!("`{twice}` is listed twice"));
        }
        let frameworks = self
            .frameworks
            .iter()
            .map(|text| match text.split_once('@') {
                Some((id, version)) => (id.to_owned(), Some(version.to_owned())),
                None => (text.clone(), None),
            })
            .collect();
        let (archive, retention) = self.archive.mean(folder)?;
        let mut names = BTreeSet::new();
        let mut sources = Vec::new();
        for source in self.sources {
            // Stores and file systems may not tell capitals apart.
            if !names.insert(source.name.to_ascii_lowercase()) {
                return fault("sources", format!("`{}` is listed twice", source.name));
            }
            sources.push(source.mean(folder, &archive)?);
        }
        let fleets = sources.iter().filter(|source| source.scanner == fleet::PREFIX).count();
        if fleets > 0 && fleets < sources.len() {
            let reason = "a fleet is assessed by its clusters alone: `scanner: fleet` for all";
            return fault("sources", reason.into());
        }
        let resolve = |path: &Path| folder.join(path);
        let signer = match self.keys.signer.strip_prefix("file:").unwrap_or(&self.keys.signer) {
            uri if uri.contains("://") || uri.starts_with("pkcs11:") => uri.to_owned(),
            path => format!("file:{}", resolve(Path::new(path)).display()),
        };
        Ok(Config {
            organisation: self.organisation,
            cluster: self.cluster.name,
            also_known_as: self.cluster.also_known_as,
            cluster_uid: self.cluster.uid,
            access: self.kubernetes.mean(folder)?,
            origin: self.origin,
            archive,
            retention,
            report_signature: self.report.signature.map(|signature| ReportSignature {
                key: resolve(&signature.key),
                certificate: resolve(&signature.certificate),
                timestamp_authority: signature.timestamp_authority,
            }),
            keys: Keys {
                signer,
                keyring: resolve(&self.keys.keyring),
                disclosure_secret: resolve(&self.keys.disclosure_secret),
                passphrase_file: self.keys.passphrase_file.as_deref().map(resolve),
            },
            schedule,
            frameworks,
            sources,
            namespaces: self.namespaces,
            known_exploited: self.known_exploited.iter().map(|path| resolve(path)).collect(),
            waivers: self.waivers.iter().map(|path| resolve(path)).collect(),
            attestations: self.attestations.iter().map(|path| resolve(path)).collect(),
            notify: self.notify.mean(folder)?,
            serve: self.serve.mean()?,
        })
    }
}

impl WrittenServe {
    fn mean(self) -> Result<Serve, Fault> {
        let jitter_seconds = match self.jitter.as_deref() {
            None => 0,
            Some(text) => parse_duration(text)
                .and_then(|seconds| u64::try_from(seconds).ok())
                .ok_or_else(|| {
                    let reason = "a number with s, m, h or d, like 5m".to_owned();
                    ("serve.jitter".to_owned(), reason)
                })?,
        };
        Ok(Serve {
            listen: self.listen.unwrap_or(LISTEN),
            jitter_seconds,
            catch_up: self.catch_up,
            lease: self.lease,
        })
    }
}

impl WrittenAccess {
    fn mean(self, folder: &Path) -> Result<Access, Fault> {
        let timeout_seconds = match self.timeout.as_deref() {
            None => TIMEOUT_SECONDS,
            Some(text) => parse_duration(text)
                .and_then(|seconds| u64::try_from(seconds).ok())
                .ok_or_else(|| {
                    let reason = "a number with s, m, h or d, like 60s".to_owned();
                    ("kubernetes.timeout".to_owned(), reason)
                })?,
        };
        if self.from == Some(AccessFrom::InCluster) {
            for (key, is_set) in
                [("kubeconfig", self.kubeconfig.is_some()), ("context", self.context.is_some())]
            {
                if is_set {
                    let reason = "not with `from: in-cluster`".to_owned();
                    return Err((format!("kubernetes.{key}"), reason));
                }
            }
        }
        // Nobody but a shell reads `~` in a path, but people write it here.
        let in_home = |path: &Path| {
            path.strip_prefix("~").ok().and_then(|rest| Some(std::env::home_dir()?.join(rest)))
        };
        Ok(Access {
            from: self.from,
            kubeconfig: self
                .kubeconfig
                .map(|path| in_home(&path).unwrap_or_else(|| folder.join(path))),
            context: self.context,
            timeout_seconds,
        })
    }
}

impl WrittenRetention {
    fn mean(&self) -> Result<Retention, Fault> {
        let fault = |reason: String| Err(("archive.retention".to_owned(), reason));
        let days = match (self.rule, self.days) {
            (Some(rule), None) => rule.days(),
            // Longer than the standard asks is everybody's right.
            (Some(rule), Some(days)) if days < rule.days() => {
                return fault(format!("{} asks for {} days", rule.as_str(), rule.days()));
            }
            (_, Some(days)) => days,
            (None, None) => return fault("`rule`, or `days`".to_owned()),
        };
        if days == 0 || days > MAX_LOCK_DAYS {
            return Err(("archive.retention.days".into(), format!("1 to {MAX_LOCK_DAYS}")));
        }
        let rule = self.rule.map_or_else(String::new, |rule| rule.as_str().to_owned());
        Ok(Retention { days, rule, prune: self.prune })
    }
}

impl WrittenArchive {
    fn mean(self, folder: &Path) -> Result<(Location, Option<Retention>), Fault> {
        if let Some(scheme) = scheme(&self.uri).filter(|_| !self.uri.starts_with("s3://")) {
            let reason =
                format!("`{scheme}:` is no kind of store: give a folder, or s3://bucket/prefix");
            return Err(("archive.uri".to_owned(), reason));
        }
        let remote = self.uri.contains("://");
        let local_fault = |field: &str, what: &str| {
            Err((format!("archive.{field}"), format!("a directory cannot be {what}")))
        };
        if !remote && self.object_lock.is_some() {
            return local_fault("object_lock", "locked");
        }
        if !remote && self.legal_hold {
            return local_fault("legal_hold", "put under a legal hold");
        }
        if !remote && self.encryption.is_some() {
            return local_fault("encryption", "encrypted");
        }
        if !remote && self.checksums.is_some() {
            return local_fault("checksums", "sent any");
        }
        let patience = match &self.patience {
            None => None,
            Some(text) => {
                match parse_duration(text).and_then(|seconds| u64::try_from(seconds).ok()) {
                    Some(seconds) if seconds <= MAX_PATIENCE => Some(Duration::from_secs(seconds)),
                    _ => {
                        let expected = "a number with s, m or h, like 5m, and at most 6h";
                        return Err(("archive.patience".to_owned(), expected.to_owned()));
                    }
                }
            }
        };
        let retention = self.retention.as_ref().map(WrittenRetention::mean).transpose()?;
        let lock = match self.object_lock {
            None => None,
            Some(WrittenLock { mode, days }) => {
                let at = || "archive.object_lock.days".to_owned();
                let kept = retention.as_ref().map(|retention| retention.days);
                let Some(days) = days.or(kept) else {
                    return Err((at(), "missing, and there is no `archive.retention`".to_owned()));
                };
                if days == 0 || days > MAX_LOCK_DAYS {
                    return Err((at(), format!("1 to {MAX_LOCK_DAYS}")));
                }
                if kept.is_some_and(|kept| days < kept) {
                    return Err((at(), "shorter than `archive.retention`".to_owned()));
                }
                Some((mode, days))
            }
        };
        let encryption = match self.encryption {
            None => None,
            Some(WrittenEncryption { by: EncryptionBy::Kms, key }) => Some(Encryption::Kms(key)),
            Some(WrittenEncryption { by: EncryptionBy::Aes256, key: None }) => {
                Some(Encryption::Aes256)
            }
            Some(_) => {
                return Err(("archive.encryption.key".into(), "only with `by: kms`".into()));
            }
        };
        let location = Location {
            uri: if remote { self.uri } else { folder.join(&self.uri).display().to_string() },
            endpoint: self.endpoint,
            path_style: self.path_style,
            region: self.region,
            lock,
            legal_hold: self.legal_hold,
            encryption,
            checksums: self.checksums.unwrap_or_default(),
            patience,
        };
        Ok((location, retention))
    }
}

/// `90s`, `15m`, `36h`, `7d` in seconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => DAY,
        _ => return None,
    };
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    i64::from(number).checked_mul(factor).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
cluster: { name: prod }
origin: evidence.example.com/prod
archive: { uri: ./archive }
keys: { signer: k/log.pem, keyring: k/keyring, disclosure_secret: k/secret }
frameworks: [pci-dss, cis-kubernetes@1.12]
sources:
  - { name: kb, scanner: kube-bench, files: ['in/*.json'], max_age: 36h }
";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("affidavit.yaml"), Path::new("/etc/a"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn paths_start_at_the_file() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.archive.uri, "/etc/a/./archive");
        assert_eq!(config.sources[0].from, From::Files(vec!["/etc/a/in/*.json".to_owned()]));
        assert_eq!(config.sources[0].max_age_seconds, 36 * 3600);
        assert_eq!(config.frameworks[1], ("cis-kubernetes".into(), Some("1.12".into())));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse(&GOOD.replace("frameworks:", "framework:")).unwrap_err();
        assert!(error.contains("unknown field") && error.contains("framework"), "{error}");
        assert!(error.contains('5'), "names line 5: {error}");
    }

    #[test]
    fn values_that_cannot_be_meant_are_named() {
        for (part, replacement, field) in [
            ("36h", "soon", "sources.kb.max_age"),
            ("36h", "0h", "sources.kb.max_age"),
            ("files: ['in/*.json'], ", "", "sources.kb.files"),
            ("files: ", "from: cluster, files: ", "sources.kb.files"),
            ("files: ", "manifests: ", "sources.kb.manifests"),
            ("scanner: kube-bench", "scanner: kubebench", "sources.kb.scanner"),
            ("evidence.example.com/prod", "'a b'", "origin"),
            ("name: kb", "name: '../kb'", "name"),
            (
                "{ uri: ./archive }",
                "{ uri: ./a, object_lock: { mode: governance, days: 3 } }",
                "lock",
            ),
        ] {
            let error = parse(&GOOD.replace(part, replacement)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }
}
