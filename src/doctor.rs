//! What a run depends on, tried and not asked for: each thing is used as a run would use it, and nothing
//! is sealed.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use serde::Serialize;

use crate::archive::{self, Former, LockProbe, Store, StoreError};
use crate::config::{Config, RetentionRule};
use crate::evidence::instant;
use crate::evidence::key::KeyId;
use crate::evidence::keyring::KeyStatus;
use crate::pipeline::{self, Progress};
use crate::population::ClusterIdentity;
use crate::seal;
use crate::sign;
use crate::verify::{self, FailureCode, Finding, Policy};

/// A difference between two clocks that is told of, in seconds.
const CLOCK_WARNING: i64 = 5;
/// One at which bundles of this machine would be dated in the future for others.
const CLOCK_FAILING: i64 = 300;

/// Only AWS's services are reached through a proxy.
const PROXY_HELP: &str = "add the host to NO_PROXY if it can be reached directly";

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// A run can rely on it.
    Ok,
    /// A run goes on, but somebody should look.
    Warning,
    /// A run would fail, or its evidence would be worth less than it says.
    Failing,
}

/// Something that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What.
    pub subject: String,
    /// How it stands.
    pub health: Health,
    /// What was seen.
    pub text: String,
    /// What to do; empty when it is ok.
    pub help: String,
}

/// What was tried, in the order of a run.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn ok(&mut self, subject: &str, text: impl Into<String>) {
        self.add(subject, Health::Ok, text, "");
    }

    fn add(
        &mut self,
        subject: &str,
        health: Health,
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (subject, text, help) = (subject.to_owned(), text.into(), help.into());
        self.0.push(Line { subject, health, text, help });
    }
}

/// Tries everything. `now` is the time of the run that is rehearsed.
#[must_use]
pub fn examine(config: &Config, now: Timestamp, progress: &dyn Progress) -> Vec<Line> {
    let mut lines = Lines::default();
    configuration(&mut lines, config);
    schedule(&mut lines, config, now);
    progress.step("trying keys");
    let roots = keys(&mut lines, config, now);
    progress.step("trying the archive");
    store(&mut lines, config, now, roots);
    progress.step("rehearsing a run");
    sources(&mut lines, config, now, progress);
    tellers(&mut lines, config);
    for sentence in pipeline::past_proxies(config) {
        lines.add("proxy", Health::Warning, sentence, PROXY_HELP);
    }
    lines.0
}

fn configuration(lines: &mut Lines, config: &Config) {
    let frameworks: Vec<&str> = config.frameworks.iter().map(|(id, _)| id.as_str()).collect();
    let sources = match config.sources.len() {
        1 => "1 source".to_owned(),
        more => format!("{more} sources"),
    };
    let text = format!("{sources}, {}", frameworks.join(", "));
    lines.ok("configuration", text);
    if config.cluster_uid.is_empty()
        && config
            .sources
            .iter()
            .any(|source| matches!(source.from, crate::config::From::Cluster { .. }))
    {
        lines.add(
            "configuration",
            Health::Warning,
            "cluster.uid is not set: the first run writes it down, and nobody has compared it",
            "set it to `kubectl get namespace kube-system -o jsonpath={.metadata.uid}`",
        );
    }
    for (prefix, rule) in [("pci-dss", RetentionRule::PciDss), ("hipaa", RetentionRule::Hipaa)] {
        let applies = frameworks.iter().any(|id| id.starts_with(prefix));
        let kept = config.retention.as_ref().filter(|retention| retention.prune);
        if let Some(kept) = kept.filter(|kept| applies && kept.days < rule.days()) {
            let (days, wanted) = (kept.days, rule.days());
            lines.add(
                "retention",
                Health::Failing,
                format!("payloads are removed after {days} days, and {prefix} asks for {wanted}"),
                format!("archive.retention: {{ rule: {}, prune: true }}", rule.as_str()),
            );
        }
    }
}

fn schedule(lines: &mut Lines, config: &Config, now: Timestamp) {
    match &config.schedule {
        None => lines.add(
            "schedule",
            Health::Warning,
            "none: nobody can tell that a run is missing",
            "set `schedule` to what the CronJob has",
        ),
        Some(schedule) => match schedule.next(now) {
            Some(next) => {
                let text = format!(
                    "{} ({}), next due {}",
                    schedule.cron,
                    schedule.time_zone,
                    instant::format(next)
                );
                lines.ok("schedule", text);
            }
            None => lines.add("schedule", Health::Failing, "it never comes", "correct `schedule`"),
        },
    }
}

/// The root keys that auditors were told, if the keyring can be read.
fn keys(lines: &mut Lines, config: &Config, now: Timestamp) -> Option<Vec<KeyId>> {
    let signer = pipeline::secrets(config)
        .and_then(|secrets| Ok(sign::open(&config.keys.signer, &secrets)?))
        .and_then(|signer| {
            sign::probe(&config.keys.signer, &*signer)?;
            Ok(signer)
        });
    let id = match signer {
        Ok(signer) => {
            let id = signer.public_key().id();
            lines.ok("signer", format!("key {id} signs"));
            Some(id)
        }
        Err(error) => {
            lines.add("signer", Health::Failing, error.to_string(), error.help());
            None
        }
    };
    let (keyring, roots) = match pipeline::keyring(config, now) {
        Ok(keyring) => keyring,
        Err(error) => {
            lines.add("keyring", Health::Failing, error.to_string(), error.help());
            return None;
        }
    };
    let version = keyring.keyring.version;
    let expires = instant::parse(&keyring.keyring.expires).unwrap_or(now);
    let days = expires.duration_since(now).as_secs() / 86_400;
    let renew = "make a new version with the root keys: `affidavit keys rotate`";
    let text = format!("version {version}, expires {}", keyring.keyring.expires);
    if expires < now {
        lines.add("keyring", Health::Failing, text, renew);
    } else if days < i64::from(crate::alert::SOON_DAYS) {
        lines.add("keyring", Health::Warning, text, renew);
    } else {
        lines.ok("keyring", text);
    }
    if let Some(id) = id {
        let known = keyring.signer(id).map(|(signer, _)| signer.status);
        if known != Some(KeyStatus::Active) {
            let text = format!("key {id} may not sign: the keyring does not know it as active");
            lines.add("keyring", Health::Failing, text, renew);
        }
    }
    // Who takes the machine must not be able to make a keyring of his own.
    let beside = fs::read_dir(config.keys.keyring.parent().unwrap_or(&config.keys.keyring));
    let online: Vec<String> = beside
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pem"))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("root"))
        .collect();
    if !online.is_empty() {
        let text = format!("beside the keyring lies {}", online.join(", "));
        lines.add("root keys", Health::Warning, text, "take private root keys offline");
    }
    Some(roots)
}

fn store(lines: &mut Lines, config: &Config, now: Timestamp, roots: Option<Vec<KeyId>>) {
    let store = match archive::open(&config.archive, now) {
        Ok(store) => store,
        Err(error) => {
            lines.add("archive", Health::Failing, error.to_string(), error.help());
            return;
        }
    };
    match store.probe() {
        Ok(()) => {
            let place = store.place();
            let at = if place.is_empty() { place } else { format!(" ({place})") };
            lines.ok("archive", format!("{}{at} lets one writer of a name win", store.describe()));
        }
        Err(error) => {
            lines.add("archive", Health::Failing, error.to_string(), error.help());
            // A clock that is wrong is why many stores refuse.
            if let Some(ahead) = store.clock_ahead_seconds() {
                clock(lines, "the archive's server", ahead);
            }
            return;
        }
    }
    match store.probe_lock() {
        Ok(LockProbe::NotAsked) => {}
        Ok(LockProbe::Enforced) => {
            lines.ok(
                "retention",
                "a locked object could not be removed before its lock ended",
            );
        }
        Ok(LockProbe::EnforcedAndLeft) => lines.add(
            "retention",
            Health::Warning,
            "a locked object could not be removed, nor after its lock ended",
            "allow s3:DeleteObjectVersion below .probe/, or let a lifecycle rule remove what is there",
        ),
        Ok(LockProbe::NotEnforced) => lines.add(
            "retention",
            Health::Failing,
            "the store took a lock and let the object be removed all the same",
            "use a store that enforces Object Lock",
        ),
        Err(error) => lines.add(
            "retention",
            Health::Failing,
            error.to_string(),
            "make the bucket with Object Lock, and allow s3:PutObjectRetention",
        ),
    }
    if let Some(ahead) = store.clock_ahead_seconds() {
        clock(lines, "the archive's server", ahead);
    }
    let Some(roots) = roots else { return };
    chain(lines, &*store, roots, now);
}

fn clock(lines: &mut Lines, whose: &str, ahead: i64) {
    let text = match ahead {
        0 => format!("agrees with {whose}"),
        ahead if ahead > 0 => format!("{ahead} s behind {whose}"),
        ahead => format!("{} s ahead of {whose}", -ahead),
    };
    let health = if ahead.abs() < CLOCK_WARNING {
        Health::Ok
    } else if ahead.abs() < CLOCK_FAILING {
        Health::Warning
    } else {
        Health::Failing
    };
    let help = if health == Health::Ok { "" } else { "synchronise the clock (NTP)" };
    lines.add("clock", health, text, help);
}

fn chain(lines: &mut Lines, store: &dyn Store, roots: Vec<KeyId>, now: Timestamp) {
    let policy =
        Policy { deep: false, live: true, ..Policy::new(roots.into_iter().collect(), now) };
    let verdict = match verify::verify(store, &policy) {
        Ok(verdict) => verdict,
        Err(error) => {
            lines.add("chain", Health::Failing, error.to_string(), error.help);
            return;
        }
    };
    let size = verdict.checked.statements;
    let errors = verdict.findings.iter().filter(|finding| finding.is_fault());
    // A run writes the keyring before it looks.
    let is_begun =
        |code| code != FailureCode::GenesisInvalid && code != FailureCode::KeyringMissing;
    if size == 0 && !errors.clone().any(|finding| is_begun(finding.code)) {
        former(lines, store);
        return;
    }
    match store.former() {
        Ok(Former::Removed(count)) => {
            let error = StoreError::Removed { store: store.describe(), count };
            lines.add("chain", Health::Failing, error.to_string(), error.help());
        }
        Ok(Former::Unknown) => lines.add(
            "chain",
            Health::Warning,
            "the store does not say whether objects of the log are hidden",
            "allow s3:ListBucketVersions, if the bucket keeps versions",
        ),
        _ => {}
    }
    // What the next run puts right is no reason to stop it.
    let is_mended = |finding: &Finding| {
        finding.code.is_of_time()
            || finding.code == FailureCode::KeyringMissing
            || seal::is_left_over(finding, size)
    };
    let mut faults: BTreeMap<(&str, Health), &str> = BTreeMap::new();
    for finding in errors {
        let health = if is_mended(finding) { Health::Warning } else { Health::Failing };
        faults.entry((finding.code.name(), health)).or_insert(&finding.object);
    }
    if faults.is_empty() {
        lines.ok(
            "chain",
            if size == 1 {
                "1 bundle verifies".to_owned()
            } else {
                format!("{size} bundles verify")
            },
        );
    }
    for ((code, health), object) in faults {
        lines.add("chain", health, format!("{code} at {object}"), "`affidavit verify` says more");
    }
}

/// An archive without a chain: was there one?
fn former(lines: &mut Lines, store: &dyn Store) {
    match store.former() {
        Ok(Former::None) => lines.ok("chain", "empty: the first run begins it"),
        Ok(Former::Unknown) => lines.add(
            "chain",
            Health::Warning,
            "empty, and the store does not say whether a chain was removed here",
            "allow s3:ListBucketVersions, or make sure that this is the first run",
        ),
        Ok(Former::Removed(count)) => {
            let error = StoreError::Removed { store: store.describe(), count };
            lines.add("chain", Health::Failing, error.to_string(), error.help());
        }
        Err(error) => lines.add("chain", Health::Failing, error.to_string(), error.help()),
    }
}

fn sources(lines: &mut Lines, config: &Config, now: Timestamp, progress: &dyn Progress) {
    let rehearsal = match pipeline::rehearse(config, now, progress) {
        Ok(rehearsal) => rehearsal,
        Err(error) => {
            lines.add("run", Health::Failing, error.to_string(), error.help());
            return;
        }
    };
    for source in rehearsal.sources {
        let subject = format!("source {}", source.name);
        if source.standing == "ok" {
            let (findings, mapped) = (source.findings, source.mapped);
            let text = format!("{findings} findings, {mapped} of them bear on a control");
            lines.ok(&subject, text);
        } else {
            let help = "correct it, or a run seals this gap";
            let text = format!("{}: {}", source.standing, source.detail);
            // Without the cluster there is nothing to seal but that it was not there.
            let is_of_cluster = config.sources.iter().any(|configured| {
                configured.name == source.name
                    && matches!(configured.from, crate::config::From::Cluster { .. })
            });
            let is_blind = is_of_cluster && source.standing != "incomplete";
            let health = if is_blind { Health::Failing } else { Health::Warning };
            lines.add(&subject, health, text, help);
        }
    }
    for notice in rehearsal.notices {
        let help = "correct it in the configuration or in the file it is about";
        lines.add("notice", Health::Warning, notice, help);
    }
    for cluster in rehearsal.clusters {
        clock(lines, "the cluster", cluster.clock_ahead_seconds);
        reached(lines, &cluster);
        let whose = if cluster.user.is_empty() { "it" } else { &cluster.user };
        // What is left out on purpose is not missing.
        let missing: Vec<&str> = cluster
            .may_not_list
            .iter()
            .map(String::as_str)
            .filter(|kind| !config.sources.iter().any(|source| source.is_without(kind)))
            .collect();
        let unknown: Vec<&str> = cluster
            .not_known
            .iter()
            .map(String::as_str)
            .filter(|kind| !config.sources.iter().any(|source| source.is_without(kind)))
            .collect();
        if !unknown.is_empty() {
            let text = format!(
                "the server does not say whether {whose} may list {}: only the lists themselves show it",
                unknown.join(", ")
            );
            let help = "allow selfsubjectaccessreviews (every user may, unless it was taken away)";
            lines.add("permissions", Health::Warning, text, help);
        } else if missing.is_empty() {
            lines.ok("permissions", format!("{whose} may list every kind that is asked for"));
        }
        if !missing.is_empty() {
            let text = format!("{whose} may not list {}", missing.join(", "));
            let help = "give it examples/kubernetes/collector-rbac.yaml, or leave the kinds out by `without`";
            lines.add("permissions", Health::Failing, text, help);
        }
    }
}

/// Which cluster it is, and how that is known.
fn reached(lines: &mut Lines, cluster: &ClusterIdentity) {
    let by = match &*cluster.context {
        "" => cluster.access.clone(),
        context => format!("{}, context {context}", cluster.access),
    };
    let uid = match &*cluster.uid {
        "" => "whose UID may not be read".to_owned(),
        uid => format!("kube-system {uid}"),
    };
    let text = format!("{} ({by}), {uid}", cluster.server);
    if cluster.tls_verified {
        lines.ok("cluster", text);
    } else {
        let text = format!("{text}: nothing shows that it is this server");
        let help = "name its certificate authority in the kubeconfig";
        lines.add("cluster", Health::Warning, text, help);
    }
}

/// Those that hold a secret are looked at, and not written to: people would be told of nothing.
fn tellers(lines: &mut Lines, config: &Config) {
    let notify = &config.notify;
    if notify.is_empty() {
        lines.add(
            "notify",
            Health::Warning,
            "nobody is told when a run fails",
            "set `notify`, and run `affidavit watch` elsewhere",
        );
        return;
    }
    for webhook in &notify.webhooks {
        let subject = format!("webhook {}", webhook.name);
        match &webhook.address {
            crate::config::Address::File(path) => match fs::read_to_string(path) {
                Ok(text) if text.trim().starts_with("http") => {
                    lines.ok(&subject, "its address can be read; no message was sent");
                }
                Ok(_) => lines.add(
                    &subject,
                    Health::Failing,
                    "its file holds no address",
                    "mend the file",
                ),
                Err(error) => {
                    let text = format!("{}: {error}", path.display());
                    lines.add(&subject, Health::Failing, text, "mount the file");
                }
            },
            crate::config::Address::Url(_) => lines.ok(&subject, "no message was sent"),
        }
    }
    if let Some(path) = &notify.textfile {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(std::path::Path::new("."));
        match tempfile::tempfile_in(folder) {
            Ok(_) => lines.ok("textfile", format!("{} can be written", path.display())),
            Err(error) => {
                let text = format!("{}: {error}", folder.display());
                lines.add("textfile", Health::Failing, text, "make the folder writable");
            }
        }
    }
}
