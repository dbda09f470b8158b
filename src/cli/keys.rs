//! `affidavit keys`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use jiff::{Timestamp, ToSpan as _};

use super::Context;
use super::disclose::write_new;
use super::trust::{not_finished, usage};
use crate::archive;
use crate::config::Config;
use crate::evidence::digest::Digest;
use crate::evidence::instant;
use crate::evidence::key::{KeyId, PublicKey};
use crate::evidence::keyring::{CheckedKeyring, KeyStatus};
use crate::evidence::layout;
use crate::exit::Exit;
use crate::output::{Failure, Paint, table};
use crate::sign::ceremony::{self, Change, Draft};
use crate::sign::{self, Passphrase, Secrets, Signer};
use crate::verify::pin::Pin;
use crate::verify::{self, Policy};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a key pair: a new file with the private key
    Generate {
        /// The new file
        file: PathBuf,
    },
    /// Show the keyring: who may sign what, until when
    Show(Keyring),
    /// Print the fingerprint of keys or of a keyring's root keys
    Fingerprint {
        /// Files with private or public keys in PEM, or folders with keyrings
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Make the next keyring version: another log key, other root keys, or a later expiry
    Rotate(Rotate),
    /// Make the next keyring version: a log key is no longer trusted
    Revoke(Revoke),
    /// Sign a draft of a keyring version with a root key
    Sign(Sign),
}

#[derive(clap::Args)]
pub(super) struct Keyring {
    /// Configuration
    #[arg(short, long, default_value = "affidavit.yaml", value_name = "FILE")]
    config: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct Ceremony {
    #[command(flatten)]
    keyring: Keyring,

    /// Private root keys that lie here; the others sign the draft with `keys sign`
    #[arg(long, value_name = "FILE")]
    root_key: Vec<PathBuf>,

    /// For how many days the new version is valid
    #[arg(long, default_value_t = 1827)]
    valid_days: u16,

    /// Where a version goes that is not complete yet
    #[arg(long, value_name = "FILE", default_value = "keyring.draft.json")]
    draft: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    ceremony: Ceremony,

    /// The log key that takes over: a signer's URI, or the path of a key file
    #[arg(long, value_name = "URI", group = "change")]
    to: Option<String>,

    /// Keep all keys, and only make the keyring valid for longer
    #[arg(long, group = "change")]
    renew: bool,

    /// New root keys, public, in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "change")]
    add_root: Vec<PathBuf>,

    /// Fingerprints of root keys that go
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "change")]
    remove_root: Vec<String>,

    /// How many root keys must sign from now on [default: as before]
    #[arg(long, conflicts_with = "change")]
    threshold: Option<u64>,
}

#[derive(clap::Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    ceremony: Ceremony,

    /// Fingerprint of the log key
    #[arg(long, value_name = "FINGERPRINT")]
    key: String,

    /// Why
    #[arg(long)]
    reason: String,

    /// Since when it may have been in other hands
    #[arg(long, value_name = "TIME")]
    compromised_since: Option<Timestamp>,

    /// The last log that is known to be good: a receipt, checkpoint or .tlog-proof [default: the
    /// archive's head]
    #[arg(long, value_name = "FILE")]
    last_good: Option<PathBuf>,

    /// The log key that takes over, if the revoked one is active
    #[arg(long, value_name = "URI")]
    to: Option<String>,
}

#[derive(clap::Args)]
pub(super) struct Sign {
    /// The draft
    draft: PathBuf,

    /// Private root keys
    #[arg(long, value_name = "FILE", required = true)]
    root_key: Vec<PathBuf>,

    /// Folder with the keyring versions so far; a complete version is put there
    #[arg(long, value_name = "DIR", default_value = "keys/keyring")]
    keyring: PathBuf,
}

pub(super) fn keys(command: &Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Generate { file } => generate(file, context),
        Command::Show(arguments) => show(arguments, context),
        Command::Fingerprint { files } => fingerprint(files, context),
        Command::Rotate(arguments) => rotate(arguments, context),
        Command::Revoke(arguments) => revoke(arguments, context),
        Command::Sign(arguments) => sign_draft(arguments, context),
    }
}

fn passphrase() -> Option<Passphrase> {
    Secrets::from_environment().passphrase
}

fn generate(file: &Path, context: &Context) -> Result<Exit, Failure> {
    let key = sign::generate().map_err(|error| not_finished(anyhow!(error)))?;
    let passphrase = passphrase();
    sign::write_private(file, &key, passphrase.as_ref()).map_err(|error| Failure {
        help: "choose a name that is not taken",
        ..not_finished(error)
    })?;
    let public = PublicKey::from_bytes(key.verifying_key().as_bytes()).map_err(not_finished)?;
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({
            "file": file, "fingerprint": public.id(), "publicKey": public.to_pem(),
        }));
        return Ok(Exit::Done);
    }
    output.line(format!("private key  {}", file.display()));
    output.line(format!("fingerprint  {}", public.id()));
    output.document(public.to_pem().trim_end());
    if passphrase.is_none() {
        output.note("The private key is not encrypted; AFFIDAVIT_KEY_PASSPHRASE would do that.");
    }
    Ok(Exit::Done)
}

/// Every version in a folder, oldest first.
fn versions(folder: &Path) -> Result<Vec<CheckedKeyring>, Failure> {
    let mut versions = Vec::new();
    for version in 1.. {
        let path = version_path(folder, version);
        if !path.exists() {
            break;
        }
        let draft = read_draft(&path)?;
        versions.push(draft.keyring);
    }
    if versions.is_empty() {
        let text = format!("{} has no keyring", folder.display());
        return Err(usage(anyhow!(text)).help("`affidavit init` makes one"));
    }
    Ok(versions)
}

fn version_path(folder: &Path, version: u64) -> PathBuf {
    let name = layout::keyring(version);
    folder.join(name.strip_prefix("keyring/").unwrap_or(&name))
}

fn read_draft(path: &Path) -> Result<Draft, Failure> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(name).map_err(usage)?;
    Draft::parse(&bytes).with_context(name).map_err(usage)
}

fn newest(versions: Vec<CheckedKeyring>) -> Result<CheckedKeyring, Failure> {
    versions.into_iter().next_back().ok_or_else(|| usage(anyhow!("there is no keyring")))
}

/// The configuration and the newest keyring.
fn load(arguments: &Keyring) -> Result<(Config, CheckedKeyring), Failure> {
    let config = Config::load(&arguments.config).map_err(|error| usage(error.into()))?;
    let keyring = newest(versions(&config.keys.keyring)?)?;
    Ok((config, keyring))
}

fn show(arguments: &Keyring, context: &Context) -> Result<Exit, Failure> {
    let (_, keyring) = load(arguments)?;
    let output = context.output;
    if output.is_json() {
        output.json(&keyring.keyring);
        return Ok(Exit::Done);
    }
    let facts = &keyring.keyring;
    output.line(format!("chain     {}", facts.origin));
    output.line(format!("keyring   version {}, made {}", facts.version, facts.created));
    let left = instant::parse(&facts.expires)
        .map_or(0, |expires| (expires.as_second() - context.now.as_second()).div_euclid(86_400));
    let expires = match left {
        ..0 => output.paint(Paint::Red, &format!("{}: EXPIRED", facts.expires)),
        0..90 => output.paint(Paint::Yellow, &format!("{}: {left} days left", facts.expires)),
        _ => format!("{}: {left} days left", facts.expires),
    };
    output.line(format!("expires   {expires}"));
    output.line(format!("anchor    {} statements, root {}", facts.anchor.size, facts.anchor.root));
    output.line("");
    output.line(format!("root keys, of which {} must sign", facts.root.threshold));
    for key in &facts.root.keys {
        output.line(format!("  {}", key.keyid));
    }
    output.line("log keys");
    let rows = facts.signers.iter().map(|signer| {
        let status = match signer.status {
            KeyStatus::Active => "active",
            KeyStatus::Retired => "retired",
            KeyStatus::Revoked => "revoked",
        };
        let until = signer.until_seq.map_or("on".to_owned(), |until| format!("to {until}"));
        let why = signer.revocation.as_ref().map(|revocation| {
            format!(
                "{}: {}; good to {}",
                revocation.at, revocation.reason, revocation.last_good.size
            )
        });
        vec![
            format!("  {}", signer.keyid),
            status.to_owned(),
            format!("statements {} {until}", signer.from_seq),
            why.unwrap_or_default(),
        ]
    });
    for line in table(&rows.collect::<Vec<_>>()) {
        output.line(line);
    }
    Ok(Exit::Done)
}

fn fingerprint(files: &[PathBuf], context: &Context) -> Result<Exit, Failure> {
    let mut found: Vec<(String, KeyId)> = Vec::new();
    for file in files {
        let name = file.display().to_string();
        if file.is_dir() {
            let folder =
                if file.join("keyring").is_dir() { file.join("keyring") } else { file.clone() };
            // What auditors trust is the first version.
            let first = versions(&folder)?.into_iter().next();
            let ids = first.iter().flat_map(CheckedKeyring::root_ids);
            found.extend(ids.map(|id| (name.clone(), id)));
        } else {
            found.push((name, public_key(file)?.id()));
        }
    }
    if context.output.is_json() {
        let list: Vec<_> = found
            .iter()
            .map(|(file, id)| serde_json::json!({ "file": file, "fingerprint": id }))
            .collect();
        context.output.json(&list);
    } else {
        for (file, id) in found {
            context.output.line(format!("{id}  {file}"));
        }
    }
    Ok(Exit::Done)
}

/// The public key in a file, or the public half of a private one.
fn public_key(file: &Path) -> Result<PublicKey, Failure> {
    let name = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(name).map_err(usage)?;
    if text.contains("PRIVATE KEY") {
        let key = sign::load(file, passphrase().as_ref())
            .map_err(|error| Failure { help: error.help(), ..usage(error.into()) })?;
        return PublicKey::from_bytes(key.verifying_key().as_bytes())
            .with_context(name)
            .map_err(usage);
    }
    PublicKey::from_pem(&text).with_context(name).map_err(usage)
}

/// The archive's head, if the archive verifies: root keys must not vouch for anything else.
fn head(config: &Config, context: &Context) -> Result<Pin, Failure> {
    let empty = Pin { origin: config.origin.clone(), size: 0, root: Digest::of(b"") };
    let store = archive::open(&config.archive, context.now)
        .map_err(|error| Failure { help: error.help(), ..not_finished(error) })?;
    let entries = match store.list() {
        Ok(entries) => entries,
        // A directory that no run has made yet.
        Err(_) if is_absent(&config.archive.uri) => return Ok(empty),
        Err(error) => return Err(not_finished(error).help("check the path")),
    };
    if !entries
        .iter()
        .any(|entry| matches!(layout::place(&entry.path), layout::Place::Statement(_)))
    {
        return Ok(empty);
    }
    let first = versions(&config.keys.keyring)?.first().map(CheckedKeyring::id);
    let trusted = first.into_iter().collect();
    let policy = Policy { deep: false, ..Policy::new(trusted, context.now) };
    let verdict = verify::verify(&*store, &policy).map_err(not_finished)?;
    if let Some(fault) = verdict.first_fault() {
        let text = format!("the archive does not verify: {} {}", fault.code, fault.object);
        return Err(not_finished(anyhow!(text)).help(
            "root keys vouch for the archive; for a revocation give the last good log with --last-good",
        ));
    }
    verdict.head.map(Pin::from).ok_or_else(|| not_finished(anyhow!("the archive has no head")))
}

fn is_absent(uri: &str) -> bool {
    !uri.contains("://") && !Path::new(uri).exists()
}

fn open_signer(uri: &str) -> Result<Box<dyn Signer>, Failure> {
    sign::open(uri, &Secrets::from_environment())
        .map_err(|error| Failure { help: error.help(), ..usage(error.into()) })
}

/// A log key by a signer's URI, or by a file with its public half.
fn log_key(uri: &str) -> Result<PublicKey, Failure> {
    let path = Path::new(uri);
    if path.is_file() {
        return public_key(path);
    }
    Ok(open_signer(uri)?.public_key().clone())
}

fn rotate(arguments: &Rotate, context: &Context) -> Result<Exit, Failure> {
    let (config, before) = load(&arguments.ceremony.keyring)?;
    let changes_roots = !arguments.add_root.is_empty()
        || !arguments.remove_root.is_empty()
        || arguments.threshold.is_some();
    let change = if let Some(uri) = &arguments.to {
        Change::Rotate { to: log_key(uri)? }
    } else if arguments.renew {
        Change::Renew
    } else if changes_roots {
        let remove = arguments.remove_root.iter().map(|text| fingerprint_of(text));
        Change::Roots {
            add: arguments
                .add_root
                .iter()
                .map(|file| public_key(file))
                .collect::<Result<_, _>>()?,
            remove: remove.collect::<Result<BTreeSet<_>, _>>()?,
            threshold: arguments.threshold.unwrap_or(before.keyring.root.threshold),
        }
    } else {
        return Err(usage(anyhow!("nothing to change"))
            .help("give --to, --renew, or --add-root, --remove-root and --threshold"));
    };
    let log = head(&config, context)?;
    let mut draft = make(&before, &change, &log, &arguments.ceremony, context)?;
    if draft.keyring.handed_over_from(&before).next().is_some() {
        draft.hand_over(&*open_signer(&config.keys.signer)?).map_err(not_finished)?;
    }
    conclude(draft, &before, &config, &arguments.ceremony, context)?;
    if let Some(uri) = &arguments.to {
        context.output.note(format!("Now set `keys.signer: {uri}` in the configuration."));
    }
    Ok(Exit::Done)
}

fn revoke(arguments: &Revoke, context: &Context) -> Result<Exit, Failure> {
    let (config, before) = load(&arguments.ceremony.keyring)?;
    let log = match &arguments.last_good {
        None => head(&config, context)?,
        Some(path) => {
            let name = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(name).map_err(usage)?;
            Pin::parse(&text).with_context(name).map_err(usage)?
        }
    };
    if log.origin != config.origin {
        return Err(usage(anyhow!("the last good log is of `{}`", log.origin)));
    }
    let change = Change::Revoke {
        key: fingerprint_of(&arguments.key)?,
        reason: arguments.reason.clone(),
        compromised_since: arguments.compromised_since,
        to: arguments.to.as_deref().map(log_key).transpose()?,
    };
    let draft = make(&before, &change, &log, &arguments.ceremony, context)?;
    conclude(draft, &before, &config, &arguments.ceremony, context)?;
    if let Some(uri) = &arguments.to {
        context.output.note(format!("Now set `keys.signer: {uri}` in the configuration."));
    }
    Ok(Exit::Done)
}

fn fingerprint_of(text: &str) -> Result<KeyId, Failure> {
    KeyId::from_fingerprint(text).ok_or_else(|| usage(anyhow!("`{text}` is no fingerprint")))
}

fn make(
    before: &CheckedKeyring,
    change: &Change,
    log: &Pin,
    arguments: &Ceremony,
    context: &Context,
) -> Result<Draft, Failure> {
    let span = (i64::from(arguments.valid_days) * 24).hours();
    let expires = context.now.checked_add(span).map_err(not_finished)?;
    ceremony::next(before, change, log, context.now, expires).map_err(|error| usage(error.into()))
}

/// Signs with the root keys that are here, and puts the version or its draft where it belongs.
fn conclude(
    mut draft: Draft,
    before: &CheckedKeyring,
    config: &Config,
    arguments: &Ceremony,
    context: &Context,
) -> Result<(), Failure> {
    sign_with(&mut draft, before, &arguments.root_key)?;
    let missing = draft.missing(before);
    if missing.is_empty() {
        return install(&draft, &config.keys.keyring, context);
    }
    write_new(&arguments.draft, &draft.envelope.to_bytes())?;
    report_draft(&draft, &arguments.draft, &missing, context);
    Ok(())
}

fn sign_with(draft: &mut Draft, before: &CheckedKeyring, files: &[PathBuf]) -> Result<(), Failure> {
    for file in files {
        let key = sign::load(file, passphrase().as_ref())
            .map_err(|error| Failure { help: error.help(), ..usage(error.into()) })?;
        draft.sign_as_root(before, &key).map_err(|error| usage(error.into()))?;
    }
    Ok(())
}

fn install(draft: &Draft, folder: &Path, context: &Context) -> Result<(), Failure> {
    let version = draft.keyring.keyring.version;
    let path = version_path(folder, version);
    write_new(&path, &draft.envelope.to_bytes())?;
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({
            "version": version, "file": path, "complete": true, "sha256": draft.digest(),
        }));
    } else {
        output.line(format!("keyring {version} is complete: {}", path.display()));
        output.note("The next run publishes it in the archive.");
    }
    Ok(())
}

fn report_draft(draft: &Draft, path: &Path, missing: &[String], context: &Context) {
    let output = context.output;
    let version = draft.keyring.keyring.version;
    if output.is_json() {
        output.json(&serde_json::json!({
            "version": version, "file": path, "complete": false, "missing": missing,
            "sha256": draft.digest(),
        }));
        return;
    }
    output.line(format!("keyring {version} is a draft: {}", path.display()));
    output.line(format!("payload sha256  {}", draft.digest()));
    for text in missing {
        output.line(format!("missing         {text}"));
    }
    output.note("Who holds a root key: `affidavit keys sign DRAFT --root-key FILE`.");
}

fn sign_draft(arguments: &Sign, context: &Context) -> Result<Exit, Failure> {
    let mut draft = read_draft(&arguments.draft)?;
    let before = newest(versions(&arguments.keyring)?)?;
    let follows = draft.keyring.keyring.prev.map(|prev| prev.sha256) == Some(before.digest);
    if !follows {
        let text = format!("{} does not follow the newest keyring", arguments.draft.display());
        return Err(
            usage(anyhow!(text)).help("give the folder with the versions so far: --keyring")
        );
    }
    sign_with(&mut draft, &before, &arguments.root_key)?;
    let missing = draft.missing(&before);
    if missing.is_empty() {
        install(&draft, &arguments.keyring, context)?;
        drop(std::fs::remove_file(&arguments.draft));
        return Ok(Exit::Done);
    }
    let bytes = draft.envelope.to_bytes();
    std::fs::write(&arguments.draft, bytes)
        .with_context(|| arguments.draft.display().to_string())
        .map_err(not_finished)?;
    report_draft(&draft, &arguments.draft, &missing, context);
    Ok(Exit::Done)
}
