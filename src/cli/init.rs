//! `affidavit init [DIR]`

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Context;
use crate::archive::for_shell;
use crate::config::{EXAMPLE_CLUSTER, EXAMPLE_ORIGIN};
use crate::evidence::checkpoint::valid_origin;
use crate::evidence::key::PublicKey;
use crate::exit::Exit;
use crate::output::{Failure, Paint};
use crate::sign::chain::{self, NewChain};
use crate::sign::{self, Secrets, SignError};

/// The configuration that is written; a test reads it.
const TEMPLATE: &str = include_str!("affidavit.yaml");

/// Decisions of people, as they are written; not one of them holds before somebody writes it.
const WAIVERS: &str = "\
# Approved exceptions. A waiver never makes a control satisfied: the finding stays a failure and is shown as waived.
# Uncomment one, and name this file under `waivers` in affidavit.yaml.
waivers: []
#  - id: W-1
#    scope: { checks: ['trivy:KSV-0017'], resources: ['payments/*'] }
#    reason: <why the risk is accepted>
#    approver: <who accepted it>
#    ticket: <where the decision is recorded>
#    expires: 2027-06-30
";

/// The same for what people say of controls that no check can decide.
const ATTESTATIONS: &str = "\
# What people say of controls that no check can decide. An attestation never outweighs a failing check.
# Uncomment one, and name this file under `attestations` in affidavit.yaml.
attestations: []
#  - id: A-1
#    controls: ['pci-dss@4.0.1/9.1.1']
#    outcome: implemented   # or alternative, not-implemented, not-applicable
#    by: <name of who says it>
#    role: <in which role>
#    statement: <what is in place, in their words>
#    date: 2026-11-01
#    until: 2027-10-31
";

/// What must not leave the machine with the rest of the folder.
const GITIGNORE: &str =
    "# Private keys and the secret of disclosures: never commit them.\n*.pem\n*.secret\n";

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to write
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,

    /// Name of the chain of evidence, like a host and a path: `evidence.example.com/prod`
    #[arg(long, default_value = EXAMPLE_ORIGIN)]
    origin: String,

    /// Name of the cluster
    #[arg(long, default_value = EXAMPLE_CLUSTER)]
    cluster: String,

    /// How many root keys to make
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    root_keys: u8,

    /// How many of them must sign a keyring
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    threshold: u8,

    /// For how many days the keyring is valid
    #[arg(long, default_value_t = 1827)]
    valid_days: u16,

    /// The log key, when it is in an HSM or a KMS: a `pkcs11:`, `vault:` or `awskms:` URI. The root
    /// keys are files all the same
    #[arg(long, value_name = "URI")]
    signer: Option<String>,

    /// Make keys only, no configuration
    #[arg(long)]
    keys_only: bool,
}

pub(super) fn init(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let usage = |text: String| Failure::new(Exit::Usage, anyhow::anyhow!(text));
    if !valid_origin(&arguments.origin) {
        return Err(usage(format!("--origin `{}`: no space, plus or control", arguments.origin)));
    }
    if arguments.threshold > arguments.root_keys {
        return Err(usage("--threshold is larger than --root-keys".to_owned()));
    }
    if arguments.signer.as_deref().is_some_and(sign::is_file) {
        return Err(usage("--signer is for a key in an HSM or a KMS".to_owned())
            .help("leave it out: a key file is made then"));
    }
    let secrets = Secrets::from_environment();
    let keys = arguments.folder.join("keys");
    let config = arguments.folder.join("affidavit.yaml");
    if !arguments.keys_only && config.exists() {
        return Err(usage(format!("{} exists already; it is left as it is", config.display()))
            .help("--keys-only makes keys without a configuration"));
    }
    let log = arguments.signer.as_deref().map(|uri| log_key(uri, &secrets)).transpose();
    let log = log.map_err(|error| {
        let exit = if error.is_configuration() { Exit::Usage } else { Exit::NotFinished };
        let help = error.help();
        Failure::new(exit, error).help(help)
    })?;
    let new_chain = NewChain {
        origin: &arguments.origin,
        root_keys: arguments.root_keys,
        threshold: arguments.threshold,
        created: context.now,
        valid_days: arguments.valid_days,
        passphrase: secrets.passphrase.as_ref(),
    };
    let written = chain::create(&keys, &new_chain, log.as_ref())
        .map_err(|error| Failure::new(Exit::NotFinished, error).help("choose an empty folder"))?;
    if !arguments.keys_only {
        let mut text = TEMPLATE
            .replace(EXAMPLE_ORIGIN, &arguments.origin)
            .replace("name: my-cluster", &format!("name: {}", quoted(&arguments.cluster)));
        if let Some(uri) = &arguments.signer {
            text = text.replace("signer: keys/log.pem", &format!("signer: {}", quoted(uri)));
        }
        let failed = |error: std::io::Error| Failure::new(Exit::NotFinished, error);
        write_new(&config, &text).map_err(failed)?;
        for (name, text) in [("waivers.yaml", WAIVERS), ("attestations.yaml", ATTESTATIONS)] {
            // Decisions that are there already are people's own.
            match write_new(&arguments.folder.join(name), text) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                written => written.map_err(failed)?,
            }
        }
    }
    write_new(&keys.join(".gitignore"), GITIGNORE)
        .map_err(|error| Failure::new(Exit::NotFinished, error))?;
    let output = &context.output;
    let fingerprints: Vec<String> = written.fingerprints.iter().map(ToString::to_string).collect();
    if output.is_json() {
        output.json(&serde_json::json!({
            "rootFingerprints": fingerprints,
            "signer": written.signer,
            "keys": keys,
        }));
        return Ok(Exit::Done);
    }
    if !arguments.keys_only {
        output.line(format!("configuration     {}", config.display()));
    }
    output.line(format!("keys              {}", keys.display()));
    for fingerprint in &fingerprints {
        output.line(format!("root fingerprint  {}", output.paint(Paint::Bold, fingerprint)));
    }
    output.note("");
    output.note("Give the root fingerprint to your auditors by another way than the archive.");
    for path in &written.root_keys {
        output.note(format!("Take {} offline: runs do not need it.", path.display()));
    }
    if secrets.passphrase.is_none() {
        output.note("The private keys are not encrypted; AFFIDAVIT_KEY_PASSPHRASE would do that.");
    }
    if !arguments.keys_only {
        output.note("");
        output.note("Next:");
        if arguments.cluster == EXAMPLE_CLUSTER || arguments.origin == EXAMPLE_ORIGIN {
            output.note(
                "  begin again in an empty folder with --origin and --cluster: a run refuses the example names that were written now",
            );
        }
        output.note("  put reports of your scanners where `sources` looks for them");
        let name = for_shell(&config.display().to_string());
        output.note(format!("  affidavit run --config {name} --dry-run   # what would be sealed"));
        output.note(format!("  affidavit run --config {name}"));
    }
    Ok(Exit::Done)
}

/// The public half of a key that is kept elsewhere, once it is seen to sign.
fn log_key(uri: &str, secrets: &Secrets) -> Result<PublicKey, SignError> {
    let signer = sign::open(uri, secrets)?;
    sign::probe(uri, &*signer)?;
    Ok(signer.public_key().clone())
}

/// A YAML string in double quotes; JSON strings are YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}
