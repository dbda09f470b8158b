//! What every signer must do, over every signer there is.
//!
//! `pkcs11:` is tested on `SoftHSM`, `vault:` on `OpenBao` with TLS, `awskms:` on `MiniStack`, an
//! emulator: what AWS itself answers was never seen by these tests. `.ci/run` installs all three,
//! and these files start them. What is configured by environment variables is tested in a process of
//! its own.

mod awskms;
mod pkcs11;
mod vault;

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use affidavit::archive::{self, Directory};
use affidavit::config::Config;
use affidavit::evidence::checkpoint::Checkpoint;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::envelope::{STATEMENT_TYPE, pae};
use affidavit::evidence::key::PublicKey;
use affidavit::pipeline;
use affidavit::sign::chain::{self, NewChain};
use affidavit::sign::{self, Secrets, SignError, Signer, write_private};
use affidavit::verify::{self, Policy};
use ed25519_dalek::SigningKey;
use tempfile::TempDir;

use crate::command::done;
use crate::harness::part_of;
use crate::small_chain::{ORIGIN, Silent, at, workspace};

/// Longest statement (FORMAT section 2).
const STATEMENT: usize = 3584;

/// When chains are made, and when bundles are.
const MADE: &str = "2026-11-01T00:00:00Z";
const RUNS: [&str; 2] = ["2026-11-20T02:00:00Z", "2026-11-21T02:00:00Z"];

/// Everything that every signer must do.
fn suite(uri: &str, secrets: &Secrets) {
    let signer = sign::open(uri, secrets).unwrap();
    let again = sign::open(uri, secrets).unwrap();
    assert_eq!(signer.public_key(), again.public_key());
    sign::probe(uri, &*signer).unwrap();

    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 42, root: Digest::of(b"root") };
    let every_byte: Vec<u8> = (0..4096_u32).map(|n| n.to_le_bytes()[0]).collect();
    for message in [
        vec![0],
        every_byte,
        pae(STATEMENT_TYPE, &vec![b' '; STATEMENT]),
        checkpoint.body().into_bytes(),
    ] {
        let signature = signer.sign(&message).unwrap();
        assert!(signer.public_key().verifies(&message, &signature), "{} bytes", message.len());
        assert_eq!(again.sign(&message).unwrap(), signature, "signatures are deterministic");
        let mut other = message.clone();
        other[0] ^= 1;
        assert!(!signer.public_key().verifies(&other, &signature));
    }
    a_chain_with_it_verifies(uri, &*signer);
}

/// Two runs into an archive whose keyring names the signer's key.
fn a_chain_with_it_verifies(uri: &str, signer: &dyn Signer) {
    let folder = tempfile::tempdir().unwrap();
    let roots = [SigningKey::from_bytes(&[11; 32])];
    let new = new_chain();
    let keys = folder.path().join("keys");
    let log = signer.public_key();
    let written = chain::write_for(&keys, &new, &roots, log, &[33; 32]).unwrap();
    assert_eq!(written.signer, log.id());
    assert!(!keys.join("log.pem").exists());

    let path = workspace(folder.path());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("signer: keys/log.pem", &format!("signer: '{uri}'"))).unwrap();
    let config = Config::load(&path).unwrap();
    assert!(sign::is_file(uri) || config.keys.signer == uri);
    for (number, now) in (0..).zip(RUNS) {
        let store = archive::open(&config.archive, at(now)).unwrap();
        let outcome =
            pipeline::run_with(&config, &*store, signer, at(now), false, &Silent).unwrap();
        assert_eq!((outcome.seq, outcome.already_recorded), (number, false));
    }
    let policy = Policy::new(written.fingerprints.iter().copied().collect(), at(RUNS[1]));
    let verdict = verify::verify(&Directory::new(folder.path().join("archive")), &policy).unwrap();
    assert!(verdict.is_verified(), "{verdict:?}");
}

fn new_chain() -> NewChain<'static> {
    NewChain {
        origin: ORIGIN,
        root_keys: 1,
        threshold: 1,
        created: at(MADE),
        valid_days: 365,
        passphrase: None,
    }
}

/// A server, stopped when dropped. What it says is in a file in its folder.
struct Running {
    child: Child,
    folder: TempDir,
}

impl Running {
    /// Starts it, and waits until it says that it is ready.
    fn start(command: &mut Command, folder: TempDir, ready: &str) -> Self {
        let output = File::create(folder.path().join("output")).unwrap();
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut server = Self { child, folder };
        let late = Instant::now() + Duration::from_mins(1);
        loop {
            let said = fs::read_to_string(server.folder.path().join("output")).unwrap();
            if said.contains(ready) {
                return server;
            }
            let ended = server.child.try_wait().unwrap().is_some();
            assert!(!ended && Instant::now() < late, "the server did not start:\n{said}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `affidavit` with these variables and no others that matter here.
fn affidavit(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affidavit"));
    command.args(arguments);
    isolate(&mut command, environment);
    command.output().unwrap()
}

/// Takes away what this machine says of secrets, and adds what the test says.
fn isolate(command: &mut Command, environment: &[(&str, &str)]) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["AWS_", "VAULT_", "BAO_", "SOFTHSM2_", "AFFIDAVIT_KEY", "AFFIDAVIT_PKCS11"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("NO_PROXY", "127.0.0.1");
    command.envs(environment.iter().copied());
}

/// `affidavit init` makes a chain whose log key is `key`, and a configuration that names it.
fn init_makes_a_chain(uri: &str, environment: &[(&str, &str)], key: &PublicKey) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let names = ["--origin", "evidence.example.com/signers", "--cluster", "signers"];
    let init = [&["init", path, "--signer", uri, "-o", "json"], &names[..]].concat();
    let output = affidavit(&init, environment);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["signer"], key.id().to_string());
    let keys = folder.path().join("keys");
    assert!(keys.join("root-1.pem").exists() && !keys.join("log.pem").exists());
    let config = Config::load(&folder.path().join("affidavit.yaml")).unwrap();
    assert_eq!(config.keys.signer, uri);
}

/// `affidavit init` with this signer ends with an exit code and a text, says which signer and what
/// to do, repeats no secret, and makes nothing.
fn init_refuses(
    uri: &str,
    environment: &[(&str, &str)],
    exit: i32,
    reason: &str,
    secrets: &[&str],
) {
    let folder = tempfile::tempdir().unwrap();
    let output =
        affidavit(&["init", folder.path().to_str().unwrap(), "--signer", uri], environment);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{uri}: {text}");
    assert!(output.stdout.is_empty());
    assert!(text.contains(reason), "{uri}: `{reason}` is not in: {text}");
    assert!(text.contains(uri.split('?').next().unwrap()), "{uri}: {text}");
    assert!(text.contains("\nhelp: "), "{text}");
    for secret in secrets {
        assert!(!text.contains(secret), "{uri}: the secret is in: {text}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{text}");
}

/// Runs the parts of a module in a process of their own, with these variables.
fn inner(module: &str, environment: &[(&str, &str)]) {
    let mut command = part_of(&format!("signers::{module}::"));
    isolate(&mut command, environment);
    done(&command.output().unwrap());
}

/// Writes a file that only its owner can read.
fn private(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[apply(test)]
fn file_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_bytes(&[5; 32]);
    for (name, passphrase) in [("plain.pem", None), ("locked.pem", Some("correct horse"))] {
        let path = folder.path().join(name);
        let passphrase = passphrase.map(sign::Secret::new);
        write_private(&path, &key, passphrase.as_ref()).unwrap();
        let secrets = Secrets { passphrase, ..Secrets::default() };
        suite(path.to_str().unwrap(), &secrets);
        let by_uri = sign::open(&format!("file:{}", path.display()), &secrets).unwrap();
        assert!(by_uri.public_key().verifies(b"", &by_uri.sign(b"").unwrap()));
    }
}

#[apply(test)]
fn what_names_no_signer_is_said() {
    for uri in ["gcpkms://x", "file:", "", "s3://bucket", "PKCS11:object=k"] {
        let error = sign::open(uri, &Secrets::default()).err().unwrap();
        assert!(matches!(error, SignError::Uri { .. }), "{uri}: {error:?}");
        assert!(error.is_configuration() && error.help().contains("awskms:"));
    }
    // A key file is made by `init`, not named to it.
    let folder = tempfile::tempdir().unwrap();
    let output =
        affidavit(&["init", folder.path().to_str().unwrap(), "--signer", "keys/log.pem"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[apply(test)]
fn secrets_are_not_shown() {
    let secret = || Some(sign::Secret::new("s3cret\n"));
    let secrets = Secrets { passphrase: secret(), pin: secret(), vault_token: secret() };
    assert!(!format!("{secrets:?}").contains("s3cret"));
}
