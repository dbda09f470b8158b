//! `MiniStack`'s KMS, with requests checked against credentials. It stands in for AWS, where these
//! tests cannot go: names, shapes and error codes are those of the API reference, answers are the
//! emulator's.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use affidavit::evidence::key::PublicKey;
use affidavit::sign::{self, Secrets, SignError};
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::runtime::Runtime;

use super::{Running, free_port, init_makes_a_chain, init_refuses, inner, isolate, suite};
use crate::contract::server::{refused, stub};
use crate::tools;

const SECRET: &str = "s3cret-of-the-test-account";

/// Tells the inner process where the emulator is.
const ENDPOINT: &str = "AFFIDAVIT_TEST_ENDPOINT";

/// Where the inner process leaves names and keys for the outer one.
const FOLDER: &str = "AFFIDAVIT_TEST_FOLDER";

struct MiniStack {
    server: Running,
    endpoint: String,
}

impl MiniStack {
    fn start() -> Self {
        let mut command = tools::MINISTACK.command();
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().to_string();
        isolate(&mut command, &[("GATEWAY_PORT", &port), ("BIND_HOST", "127.0.0.1")]);
        command
            .envs([("SERVICES", "kms,iam"), ("AUTH", "true")])
            .envs([("IOT_MTLS_ENABLED", "0"), ("SFTP_ENABLED", "0")])
            .env("TMPDIR", folder.path());
        let server = Running::start(&mut command, folder, "Running on");
        Self { server, endpoint: format!("http://127.0.0.1:{port}") }
    }

    /// Asks the emulator's IAM as the account's owner, whose signature it does not check.
    fn iam(&self, form: &str) -> String {
        let host = self.endpoint.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let length = form.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20261101/us-east-1/iam/aws4_request, SignedHeaders=host, \
             Signature=none\r\n\r\n{form}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// A user who may do one thing with KMS; returns id and secret of their access key.
    fn user(&self, name: &str, action: &str) -> [String; 2] {
        self.iam(&format!("Action=CreateUser&Version=2010-05-08&UserName={name}"));
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{action},"Resource":"*"}}]}}"#
        );
        let policy = utf8_percent_encode(&policy, NON_ALPHANUMERIC);
        self.iam(&format!(
            "Action=PutUserPolicy&Version=2010-05-08&UserName={name}&PolicyName=p&PolicyDocument={policy}"
        ));
        let answer =
            self.iam(&format!("Action=CreateAccessKey&Version=2010-05-08&UserName={name}"));
        ["AccessKeyId", "SecretAccessKey"].map(|tag| {
            let rest = answer.split_once(&format!("<{tag}>")).unwrap().1;
            rest.split_once('<').unwrap().0.to_owned()
        })
    }
}

fn credentials<'a>(id: &'a str, secret: &'a str) -> [(&'a str, &'a str); 2] {
    [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)]
}

#[apply(test)]
fn awskms_keeps_the_contract() {
    let emulator = MiniStack::start();
    let endpoint = emulator.endpoint.as_str();
    let folder = emulator.server.folder.path();
    let valid = credentials("test", "test");
    let mut environment = valid.to_vec();
    environment.extend([(ENDPOINT, endpoint), (FOLDER, folder.to_str().unwrap())]);
    inner("awskms::contract", &environment);

    let uri = |key: &str| format!("awskms:///{key}?region=eu-central-1&endpoint={endpoint}");
    let log = uri("alias/log");
    let pem = fs::read_to_string(folder.join("log.pub")).unwrap();
    let key = PublicKey::from_pem(&pem).unwrap();
    init_makes_a_chain(&log, &valid, &key);

    // Those two actions are all that a signer needs.
    let [id, secret] = emulator.user("signer", r#"["kms:GetPublicKey","kms:Sign"]"#);
    init_makes_a_chain(&log, &credentials(&id, &secret), &key);
    init_refuses(&log, &credentials(&id, SECRET), 2, "AWS KMS refused", &[SECRET, &secret]);
    init_refuses(&log, &credentials("AKIA0", SECRET), 2, "AWS KMS refused", &[SECRET]);
    // May read and not sign: found out before there is a chain.
    let [id, secret] = emulator.user("reader", r#""kms:GetPublicKey""#);
    let denied = "AWS KMS refused: AccessDeniedException";
    init_refuses(&log, &credentials(&id, &secret), 2, denied, &[&secret]);
    init_refuses(&log, &[], 2, "needs credentials", &[]);
    init_refuses(&uri("alias/nothing"), &valid, 2, "NotFoundException", &[]);
    init_refuses(&uri("alias/p256"), &valid, 2, "a key of ECC_NIST_P256, not", &[]);
    init_refuses(&uri("alias/off"), &valid, 2, "DisabledException", &[]);
    let nobody = format!("awskms:///alias/log?region=eu-central-1&endpoint={}", refused());
    init_refuses(&nobody, &valid, 3, "no connection", &[]);
    let twice = "awskms://host/alias/log?region=eu-central-1";
    init_refuses(twice, &valid, 2, "three slashes", &[]);
}

/// A passing fault is tried again, and not for ever.
#[apply(test)]
fn awskms_retries_are_bounded() {
    let busy = stub(|_, _| (500, r#"{"__type":"KMSInternalException","message":"busy"}"#));
    let uri = format!("awskms:///alias/log?region=eu-central-1&endpoint={busy}");
    init_refuses(&uri, &credentials("test", SECRET), 3, "KMSInternalException: busy", &[SECRET]);
}

/// In a process with credentials.
mod contract {
    use super::*;

    async fn key(client: &Client, spec: KeySpec, alias: &str) -> String {
        let answer = client
            .create_key()
            .key_spec(spec)
            .key_usage(KeyUsageType::SignVerify)
            .send()
            .await
            .unwrap();
        let metadata = answer.key_metadata.unwrap();
        client
            .create_alias()
            .alias_name(format!("alias/{alias}"))
            .target_key_id(&metadata.key_id)
            .send()
            .await
            .unwrap();
        metadata.arn.unwrap()
    }

    #[apply(part)]
    fn holds() {
        use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
        let endpoint = std::env::var(ENDPOINT).expect("awskms_keeps_the_contract runs this");
        let runtime = Runtime::new().unwrap();
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .http_client(http)
            .region("eu-central-1")
            .endpoint_url(&endpoint);
        let client = Client::new(&runtime.block_on(config.load()));
        let log = runtime.block_on(key(&client, KeySpec::EccNistEdwards25519, "log"));
        let other = runtime.block_on(key(&client, KeySpec::EccNistEdwards25519, "other"));
        let off = runtime.block_on(key(&client, KeySpec::EccNistEdwards25519, "off"));
        runtime.block_on(key(&client, KeySpec::EccNistP256, "p256"));
        runtime.block_on(client.disable_key().key_id(off).send()).unwrap();

        let none = Secrets::default();
        // The region is in the ARN.
        let by_arn = format!("awskms:///{log}?endpoint={endpoint}");
        suite(&by_arn, &none);
        let by_alias = format!("awskms:///alias/log?region=eu-central-1&endpoint={endpoint}");
        let signer = sign::open(&by_alias, &none).unwrap();
        let key = signer.public_key().clone();
        assert_eq!(sign::open(&by_arn, &none).unwrap().public_key(), &key);

        // What signs is the key that was read, wherever the alias points since.
        let moved = client.update_alias().alias_name("alias/log").target_key_id(&other);
        runtime.block_on(moved.send()).unwrap();
        assert!(key.verifies(b"x", &signer.sign(b"x").unwrap()));
        let moved = client.update_alias().alias_name("alias/log").target_key_id(&log);
        runtime.block_on(moved.send()).unwrap();

        // The limits of the API.
        for length in [0, 4097] {
            let error = signer.sign(&vec![0; length]).unwrap_err();
            assert!(matches!(error, SignError::Key { .. }), "{error}");
            assert!(error.to_string().contains("1 to 4096 bytes"), "{error}");
        }
        let folder = std::env::var(FOLDER).unwrap();
        fs::write(Path::new(&folder).join("log.pub"), key.to_pem()).unwrap();
    }
}
