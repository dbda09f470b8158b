//! The transit engine of `OpenBao`, which has Vault's HTTP API, over TLS.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use affidavit::sign::{self, Secret, Secrets, SignError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{
    Running, affidavit, free_port, init_makes_a_chain, init_refuses, isolate, private, suite,
};
use crate::contract::server::{refused, stub};
use crate::tools;

const ROOT: &str = "s3cret-root-token";

/// What a token needs to sign with the key `log`.
const POLICY: &str = r#"
path "transit/keys/log" { capabilities = ["read"] }
path "transit/sign/log" { capabilities = ["update"] }
"#;

/// A server in development mode.
struct Bao {
    server: Running,
    port: u16,
}

impl Bao {
    fn start() -> Self {
        let mut command = tools::BAO.command();
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        isolate(&mut command, &[]);
        command
            .args(["server", "-dev-tls", "-dev-no-store-token"])
            .arg(format!("-dev-tls-cert-dir={}", folder.path().display()))
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        let server = Running::start(&mut command, folder, "Development mode should NOT be used");
        Self { server, port }
    }

    fn folder(&self) -> &Path {
        self.server.folder.path()
    }

    /// Certificate of the authority that the server made for itself.
    fn authority(&self) -> String {
        self.folder().join("vault-ca.pem").to_str().unwrap().to_owned()
    }

    /// Runs the server's own command line; returns what it prints.
    fn bao(&self, arguments: &[&str], input: &str) -> String {
        let mut command = tools::BAO.command();
        let address = format!("https://127.0.0.1:{}", self.port);
        let authority = self.authority();
        let environment =
            [("BAO_ADDR", address.as_str()), ("BAO_TOKEN", ROOT), ("BAO_CACERT", &authority)];
        isolate(&mut command, &environment);
        let mut child = command
            .args(arguments)
            .env("HOME", self.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "bao {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn uri(&self, path: &str, query: &str) -> String {
        let port = self.port;
        format!("vault:https://127.0.0.1:{port}/{path}?ca-file={}{query}", self.authority())
    }
}

fn token(text: &str) -> Secrets {
    Secrets { vault_token: Some(Secret::new(text)), ..Secrets::default() }
}

#[apply(test)]
fn vault_keeps_the_contract() {
    let server = Bao::start();
    server.bao(&["secrets", "enable", "transit"], "");
    for (name, kind) in [("log", "ed25519"), ("rsa", "rsa-2048")] {
        server.bao(&["write", "-f", &format!("transit/keys/{name}"), &format!("type={kind}")], "");
    }
    server.bao(&["write", "-f", "transit/keys/derived", "type=ed25519", "derived=true"], "");
    server.bao(&["policy", "write", "signer", "-"], POLICY);
    let signer = server.bao(&["token", "create", "-policy=signer", "-field=token"], "");

    let log = server.uri("transit/keys/log", "&version=1");
    suite(&log, &token(&signer));
    let opened = sign::open(&log, &token(&signer)).unwrap();
    assert!(opened.public_key().verifies(b"", &opened.sign(b"").unwrap()));

    a_rotation_changes_nothing(&server, &log, &signer);
    secrets_come_from_where_they_may(&server, &log, &signer);
    refusals_say_why(&server, &log, &signer);
    a_service_account_logs_in(&server);
}

fn a_rotation_changes_nothing(server: &Bao, log: &str, signer: &str) {
    let before = sign::open(log, &token(signer)).unwrap();
    server.bao(&["write", "-f", "transit/keys/log/rotate"], "");
    let after = sign::open(log, &token(signer)).unwrap();
    assert_eq!(after.public_key(), before.public_key());
    let signature = before.sign(b"x").unwrap();
    assert_eq!(after.sign(b"x").unwrap(), signature);
    assert!(before.public_key().verifies(b"x", &signature));
    let second = server.uri("transit/keys/log", "&version=2");
    let second = sign::open(&second, &token(signer)).unwrap();
    assert_ne!(second.public_key(), before.public_key());
    assert!(second.public_key().verifies(b"x", &second.sign(b"x").unwrap()));
}

fn secrets_come_from_where_they_may(server: &Bao, log: &str, signer: &str) {
    let file = private(&server.folder().join("token"), &format!("{signer}\n"));
    let from_file = format!("{log}&token-file={file}");
    let key = sign::open(&from_file, &Secrets::default()).unwrap().public_key().clone();
    init_makes_a_chain(&from_file, &[], &key);
    init_makes_a_chain(log, &[("VAULT_TOKEN", signer)], &key);
    // The environment comes first.
    init_refuses(&from_file, &[("VAULT_TOKEN", "s3cret")], 2, "permission denied", &["s3cret"]);
}

fn refusals_say_why(server: &Bao, log: &str, signer: &str) {
    let valid = [("VAULT_TOKEN", ROOT)];
    init_refuses(log, &[("VAULT_TOKEN", "s3cret")], 2, "Vault refused: ", &["s3cret"]);
    init_refuses(log, &[("VAULT_TOKEN", "s3\ncret")], 3, "x-vault-token holds what", &["cret\n"]);
    init_refuses(log, &[], 2, "needs a token", &[]);
    for (path, query, reason) in [
        ("transit/keys/log", "", "version=N"),
        ("transit/keys/log", "&version=0", "version=N"),
        ("transit/keys/log", "&version=latest", "version=N"),
        ("transit/keys/log", "&version=9", "it has no version 9; the latest is 2"),
        ("transit/keys/nothing", "&version=1", "there is no such key"),
        ("nowhere/keys/log", "&version=1", "no handler for route"),
        ("transit/keys/rsa", "&version=1", "a key of type rsa-2048"),
        ("transit/keys/derived", "&version=1", "a derived key"),
        ("transit/keys/log", "&version=1&namespace=nowhere", "namespace not found"),
    ] {
        init_refuses(&server.uri(path, query), &valid, 2, reason, &[ROOT]);
    }
    // May read and not sign: found out before there is a chain.
    server.bao(
        &["policy", "write", "reader", "-"],
        POLICY.split("path \"transit/sign").next().unwrap(),
    );
    let reader = server.bao(&["token", "create", "-policy=reader", "-field=token"], "");
    init_refuses(log, &[("VAULT_TOKEN", &reader)], 2, "permission denied", &[&reader]);

    // A certificate of nobody that is known, and files that hold none.
    let plain = format!("vault:https://127.0.0.1:{}/transit/keys/log?version=1", server.port);
    init_refuses(&plain, &valid, 3, "certificate", &[ROOT]);
    let empty = private(&server.folder().join("empty.pem"), "");
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let garbled = private(&server.folder().join("garbled.pem"), garbled);
    for file in [&empty, &garbled] {
        let uri = format!("{plain}&ca-file={file}");
        let error = sign::open(&uri, &token(signer)).err().unwrap();
        assert!(matches!(error, SignError::File { .. }), "{error}");
    }

    let nobody = refused().replace("http:", "vault:http:") + "/transit/keys/log?version=1";
    init_refuses(&nobody, &valid, 3, "Connection refused", &[ROOT]);
}

/// The Kubernetes auth method, whose question to the API server is answered here.
fn a_service_account_logs_in(server: &Bao) {
    let review = stub(|_, _| {
        (
            201,
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":
            {"authenticated":true,"user":{"username":"system:serviceaccount:audit:affidavit",
            "uid":"u-1","groups":["system:serviceaccounts"]}}}"#,
        )
    });
    server.bao(&["auth", "enable", "kubernetes"], "");
    server.bao(
        &[
            "write",
            "auth/kubernetes/config",
            &format!("kubernetes_host={review}"),
            "token_reviewer_jwt=reviewer",
            "disable_local_ca_jwt=true",
            // Demanded, and not used: the question goes over http.
            &format!("kubernetes_ca_cert=@{}", server.authority()),
        ],
        "",
    );
    server.bao(
        &[
            "write",
            "auth/kubernetes/role/affidavit",
            "bound_service_account_names=affidavit",
            "bound_service_account_namespaces=audit",
            "token_policies=signer",
        ],
        "",
    );
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = r#"{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:audit:affidavit",
        "kubernetes.io/serviceaccount/namespace":"audit",
        "kubernetes.io/serviceaccount/service-account.name":"affidavit",
        "kubernetes.io/serviceaccount/service-account.uid":"u-1"}"#;
    let jwt = format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("s3cret"));
    let jwt_file = server.folder().join("jwt");
    // As Kubernetes mounts it, for all of the pod.
    fs::write(&jwt_file, &jwt).unwrap();
    let with = |role: &str| {
        let query = format!("&version=1&role={role}&jwt-file={}", jwt_file.display());
        server.uri("transit/keys/log", &query)
    };
    let signer = sign::open(&with("affidavit"), &Secrets::default()).unwrap();
    assert!(signer.public_key().verifies(b"x", &signer.sign(b"x").unwrap()));
    init_refuses(&with("nobody"), &[], 2, "Vault refused: invalid role name", &[&jwt]);
    let outside = server.uri("transit/keys/log", "&version=1&role=affidavit");
    let output = affidavit(&["init", "/nowhere", "--signer", &outside], &[]);
    assert_eq!(output.status.code(), Some(2), "there is no service account here");
}

/// Answers of a key with one version, as the API documents them.
const KEY: &str = r#"{"data":{"type":"ed25519","latest_version":1,"keys":{"1":{"public_key":
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}}}}"#;

/// Something as long as a signature.
const FOREIGN: &str = r#"{"data":{"signature":"vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}}"#;

#[apply(test)]
fn vault_is_asked_again_while_it_may_pass() {
    let uri = |server: &str| format!("vault:{server}/transit/keys/log?version=1");
    // Sealed twice, then there.
    let late = stub(|number, _| match number {
        0 | 1 => (503, r#"{"errors":["Vault is sealed"]}"#),
        _ => (200, KEY),
    });
    sign::open(&uri(&late), &token("t")).unwrap();
    let sealed = stub(|_, _| (503, r#"{"errors":["Vault is sealed"]}"#));
    init_refuses(&uri(&sealed), &[("VAULT_TOKEN", "s3cret")], 3, "Vault is sealed", &["s3cret"]);
    // What will not pass is asked once.
    let denied = stub(|number, _| match number {
        0 => (403, r#"{"errors":["permission denied"]}"#),
        _ => (200, KEY),
    });
    let error = sign::open(&uri(&denied), &token("t")).err().unwrap();
    assert!(matches!(error, SignError::Refused { .. }), "{error}");
}

#[apply(test)]
fn vault_is_not_waited_for_for_ever() {
    // Connections are taken by the system, and answered by nobody.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("vault:http://{}/transit/keys/log?version=1", listener.local_addr().unwrap());
    let start = Instant::now();
    init_refuses(&uri, &[("VAULT_TOKEN", "s3cret")], 3, "none within 10 s", &["s3cret"]);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[apply(test)]
fn what_is_no_answer_of_vault_is_no_signature() {
    let uri = |server: &str| format!("vault:{server}/transit/keys/log?version=1");
    // The token goes to nobody else.
    let elsewhere = stub(|_, _| (307, ""));
    let error = sign::open(&uri(&elsewhere), &token("t")).err().unwrap();
    assert!(error.to_string().contains("it sends elsewhere"), "{error}");
    let page = stub(|_, _| (200, "<html>"));
    let error = sign::open(&uri(&page), &token("t")).err().unwrap();
    assert!(matches!(error, SignError::Unreachable { .. }), "{error}");
    // By another version, of another length, of another key.
    for answer in [
        r#"{"data":{"signature":"vault:v2:AAAA"}}"#,
        r#"{"data":{"signature":"vault:v1:AAAA"}}"#,
        r#"{"data":{}}"#,
    ] {
        let server = stub(move |_, line| (200, if line.starts_with("get") { KEY } else { answer }));
        let signer = sign::open(&uri(&server), &token("t")).unwrap();
        let error = signer.sign(b"x").unwrap_err();
        assert!(error.to_string().contains("no signature by version 1"), "{error}");
    }
    let foreign = stub(|_, line| (200, if line.starts_with("get") { KEY } else { FOREIGN }));
    let uri = uri(&foreign);
    let signer = sign::open(&uri, &token("t")).unwrap();
    let error = sign::probe(&uri, &*signer).unwrap_err();
    assert!(matches!(error, SignError::BadSignature { .. }), "{error}");
}
