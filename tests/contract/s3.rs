//! The S3 store, on a real server.

use std::path::Path;

use affidavit::archive::{Location, Store, open};
use jiff::Timestamp;

use super::server::{self, SECRET_KEY, Weed};
use crate::harness::part_of;
use crate::tools;

mod denied;
mod anonymous;
mod granted;
mod reader;
mod writer;

/// Bucket without versions.
const PLAIN: &str = "plain";
/// Bucket with Object Lock.
const LOCKED: &str = "locked";

/// Tells the inner process where the server is.
const ENDPOINT: &str = "AFFIDAVIT_TEST_ENDPOINT";

#[apply(test)]
fn s3_keeps_the_contract() {
    // A part kills writers by it.
    tools::KILL.demand();
    let weed = Weed::start();
    make_buckets(&weed);
    inner(&weed, "granted::store", &["admin", SECRET_KEY]);
    inner(&weed, "granted::faults", &["admin", SECRET_KEY]);
    inner(&weed, "writer", &["writer", SECRET_KEY]);
    pods_take_credentials_from_where_their_platform_puts_them(&weed);
    inner(&weed, "reader", &["reader", SECRET_KEY]);
    inner(&weed, "denied", &["writer", "not the secret"]);
    inner(&weed, "anonymous", &[]);
}

/// Waits until the server accepts writes, with the two buckets.
pub fn make_buckets(weed: &Weed) {
    inner(weed, "granted::setup", &["admin", SECRET_KEY]);
}

/// IRSA and EKS Pod Identity: no key in the pod, but a token in a file, for which a service gives
/// credentials that expire.
fn pods_take_credentials_from_where_their_platform_puts_them(weed: &Weed) {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "token-of-the-pod").unwrap();
    let token = token.to_str().unwrap();
    let (service, requests) = server::credentials("writer");
    let full = format!("{service}/v1/credentials");
    let identity = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token),
    ];
    inner_with(weed, "writer", &identity);
    let irsa = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/evidence"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token),
        ("AWS_ENDPOINT_URL_STS", service.as_str()),
        ("AWS_REGION", "us-east-1"),
    ];
    inner_with(weed, "writer", &irsa);
    let requests = requests.lock().unwrap();
    for (method, name) in
        [("GET", "uthorization: token-of-the-pod"), ("POST", "WebIdentityToken=token-of-the-pod")]
    {
        let asked = |request: &&String| request.starts_with(method) && request.contains(name);
        assert!(requests.iter().any(|request| asked(&request)), "{requests:#?}");
    }
}

/// Runs the parts in a module below this one in a process of their own.
fn inner(weed: &Weed, module: &str, credentials: &[&str]) {
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let environment: Vec<_> = names.into_iter().zip(credentials.iter().copied()).collect();
    inner_with(weed, module, &environment);
}

fn inner_with(weed: &Weed, module: &str, environment: &[(&str, &str)]) {
    let home = tempfile::tempdir().unwrap();
    let mut command = part_of(&format!("contract::s3::{module}::"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().copied());
    let output = command
        .env("HOME", home.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "127.0.0.1")
        .env(ENDPOINT, &weed.endpoint)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = weed.output();
    assert!(output.status.success(), "{module}: {text}{errors}\nThe server said:\n{said}");
}

/// The server, in an inner process.
fn endpoint() -> String {
    std::env::var(ENDPOINT).expect("these tests are run by s3_keeps_the_contract")
}

fn location(endpoint: &str, uri: &str) -> Location {
    Location {
        uri: uri.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        path_style: true,
        region: Some("us-east-1".to_owned()),
        // Longer than any single fault lasts here.
        patience: Some(std::time::Duration::from_secs(2)),
        ..Location::default()
    }
}

fn store(endpoint: &str, uri: &str) -> Box<dyn Store> {
    open(&location(endpoint, uri), Timestamp::UNIX_EPOCH).unwrap()
}

fn fixture(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures").join(path).display().to_string()
}
