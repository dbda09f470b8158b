//! `SoftHSM`, a token in files, behind PKCS#11.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use affidavit::sign::{self, Secret, Secrets, SignError};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use tempfile::TempDir;

use super::{init_makes_a_chain, init_refuses, inner, isolate, private, suite};
use crate::tools;

const PIN: &str = "13572468";

/// Tells the inner process where the library is.
const MODULE: &str = "AFFIDAVIT_TEST_MODULE";

/// DER of the `PrintableString` by which PKCS#11 names the curve.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";

/// Two tokens in a folder of their own: `audit` with keys, and `empty`.
struct Tokens {
    folder: TempDir,
    module: String,
}

impl Tokens {
    fn new() -> Self {
        tools::SOFTHSM.demand();
        let library = tools::softhsm_library();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("tokens");
        fs::create_dir(&data).unwrap();
        let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", data.display());
        fs::write(folder.path().join("softhsm2.conf"), config).unwrap();
        let tokens = Self { folder, module: library.to_str().unwrap().to_owned() };
        for label in ["audit", "empty"] {
            let mut command = tools::SOFTHSM.command();
            isolate(&mut command, &[("SOFTHSM2_CONF", &tokens.config())]);
            command.args(["--init-token", "--free", "--so-pin", "87654321", "--pin", PIN]);
            let output = command.args(["--label", label]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        tokens
    }

    fn config(&self) -> String {
        self.folder.path().join("softhsm2.conf").to_str().unwrap().to_owned()
    }
}

#[apply(test)]
fn pkcs11_keeps_the_contract() {
    let tokens = Tokens::new();
    let (config, module) = (tokens.config(), tokens.module.as_str());
    let environment = [("SOFTHSM2_CONF", config.as_str()), (MODULE, module)];
    inner("pkcs11::contract", &environment);

    let uri = |path: &str| format!("pkcs11:{path}?module-path={module}");
    let with =
        |pin: &'static str| [("SOFTHSM2_CONF", config.as_str()), ("AFFIDAVIT_PKCS11_PIN", pin)];
    let log = uri("token=audit;object=log");
    init_refuses(&log, &with("s3cret-pin"), 2, "refused: wrong PIN", &["s3cret-pin"]);
    init_refuses(&log, &with("s"), 2, "refused: wrong PIN", &["\"s\""]);
    init_refuses(&log, &with(""), 2, "needs a PIN", &[]);
    init_refuses(&uri("token=audit;object=nothing"), &with(PIN), 2, "no such private", &[PIN]);
    init_refuses(&uri("token=empty;object=log"), &with(PIN), 2, "no such private", &[PIN]);
    init_refuses(&uri("token=nothing;object=log"), &with(PIN), 2, "no such token", &[PIN]);
    init_refuses(&uri("object=log"), &with(PIN), 2, "2 tokens are meant", &[PIN]);
    init_refuses(&uri("token=audit;object=twice"), &with(PIN), 2, "2 private keys", &[PIN]);
    init_refuses(&uri("token=audit;object=p256"), &with(PIN), 2, "no such private", &[PIN]);
    init_refuses(&uri("token=audit;object=half"), &with(PIN), 2, "no such public", &[PIN]);
    init_refuses(&uri("token=audit;object=halves"), &with(PIN), 2, "does not verify", &[PIN]);
    let nowhere = "pkcs11:token=audit;object=log?module-path=/nowhere/module.so";
    init_refuses(nowhere, &with(PIN), 3, "/nowhere/module.so", &[PIN]);
    let inline = format!("{log}&pin-value={PIN}");
    init_refuses(&inline, &with(PIN), 2, "a PIN does not belong in a URI", &[PIN]);

    // A file with the PIN, which others cannot read.
    let file = private(&tokens.folder.path().join("pin"), &format!("{PIN}\n"));
    let from_file = format!("{log}&pin-source=file:{file}");
    let open = [("SOFTHSM2_CONF", config.as_str())];
    init_makes_a_chain(&from_file, &open, &key_of(&tokens));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let output = super::affidavit(&["init", "/nowhere", "--signer", &from_file], &open);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("can be read by others (mode 644)"), "{text}");
}

/// The public key that the inner process found.
fn key_of(tokens: &Tokens) -> affidavit::evidence::key::PublicKey {
    let pem = fs::read_to_string(tokens.folder.path().join("log.pub")).unwrap();
    affidavit::evidence::key::PublicKey::from_pem(&pem).unwrap()
}

/// In a process with `SOFTHSM2_CONF`.
mod contract {
    use super::*;

    fn session(module: &str) -> Session {
        let client = Pkcs11::new(module).unwrap();
        client.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let slot = client
            .get_slots_with_initialized_token()
            .unwrap()
            .into_iter()
            .find(|slot| client.get_token_info(*slot).unwrap().label() == "audit")
            .unwrap();
        let session = client.open_rw_session(slot).unwrap();
        session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
        session
    }

    /// Makes a key pair of a curve that never leaves the token.
    /// Returns the public half.
    fn generate(
        session: &Session,
        mechanism: &Mechanism,
        curve: &[u8],
        label: &str,
        id: u8,
    ) -> ObjectHandle {
        let named = |mut more: Vec<Attribute>| {
            more.extend([
                Attribute::Token(true),
                Attribute::Label(label.as_bytes().to_vec()),
                Attribute::Id(vec![id]),
            ]);
            more
        };
        let public = named(vec![Attribute::Verify(true), Attribute::EcParams(curve.to_vec())]);
        let private = named(vec![
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        session.generate_key_pair(mechanism, &public, &private).unwrap().0
    }

    #[apply(part)]
    fn holds() {
        let module = std::env::var(MODULE).expect("pkcs11_keeps_the_contract runs this");
        let session = session(&module);
        let edwards = Mechanism::EccEdwardsKeyPairGen;
        for (label, id) in [("log", 1), ("other", 2), ("twice", 3), ("twice", 4)] {
            generate(&session, &edwards, EDWARDS25519, label, id);
        }
        let half = generate(&session, &edwards, EDWARDS25519, "half", 5);
        session.destroy_object(half).unwrap();
        let p256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        generate(&session, &Mechanism::EccKeyPairGen, p256, "p256", 6);

        let secrets = Secrets { pin: Some(Secret::new(PIN)), ..Secrets::default() };
        let uri = |path: &str| format!("pkcs11:{path}?module-path={module}");
        let log = uri("token=audit;object=log;type=private");
        suite(&log, &secrets);

        let public = |uri: &str| sign::open(uri, &secrets).unwrap().public_key().clone();
        let first = public(&log);
        assert_eq!(public(&uri("token=audit;id=%01")), first);
        assert_ne!(public(&uri("token=audit;object=other")), first);
        assert_ne!(public(&uri("token=audit;id=%03")), public(&uri("token=audit;id=%04")));
        let signer = sign::open(&log, &secrets).unwrap();
        assert!(first.verifies(b"", &signer.sign(b"").unwrap()));

        // All that is named must fit.
        let error = sign::open(&uri("token=audit;object=other;id=%01"), &secrets).err().unwrap();
        assert!(matches!(error, SignError::Key { .. }), "{error}");

        // Halves of two pairs under one id: `init` finds out in time.
        let lone = generate(&session, &edwards, EDWARDS25519, "halves", 7);
        session.destroy_object(lone).unwrap();
        let stray = generate(&session, &edwards, EDWARDS25519, "stray", 8);
        session.update_attributes(stray, &[Attribute::Id(vec![7])]).unwrap();

        let config = std::env::var("SOFTHSM2_CONF").unwrap();
        fs::write(Path::new(&config).with_file_name("log.pub"), first.to_pem()).unwrap();
    }
}
