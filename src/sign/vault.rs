//! A key in the transit secrets engine of `HashiCorp` Vault or `OpenBao`, key type `ed25519`.
//!
//! `vault:https://HOST:8200/transit/keys/NAME?version=1`: the address, the engine's mount, and the
//! key as the HTTP API names it. The version is part of the name, so that a rotation in Vault does
//! not change who signs. More in the query: `namespace`, `ca-file` (PEM of the authority of
//! Vault's certificate), `token-file`, or `role` for a login by the Kubernetes auth method with
//! `auth` (its mount, `kubernetes`) and `jwt-file` (the service account's token).

use std::path::Path;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use url::{Host, Url};

use super::uri::{Attributes, shown};
use super::{KeyStore, Secret, SignError, Signer};
use crate::evidence::key::PublicKey;
use crate::remote::{self, ATTEMPTS, TLS, causes};

/// What may stand in the query.
const QUERY: [&str; 7] =
    ["version", "namespace", "ca-file", "token-file", "role", "auth", "jwt-file"];

/// Time for one attempt, from connecting to the last byte of the answer.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Pause before the second attempt; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// Where Kubernetes puts a service account's token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// One version of a transit key.
pub(super) struct VaultSigner {
    api: Api,
    sign: String,
    version: u64,
    public: PublicKey,
}

impl VaultSigner {
    /// Logs in if need be, and reads the public key.
    pub(super) fn open(uri: &str, token: Option<&Secret>) -> Result<Self, SignError> {
        let Address { origin, mount, name, query } = Address::parse(uri)?;
        let version = query.text("version").and_then(|text| text.parse().ok()).filter(|v| *v > 0);
        let Some(version) = version else {
            let reason = "version=N must name the version of the key that signs".to_owned();
            return Err(SignError::Uri { uri: shown(uri), reason });
        };
        let mut api = Api::new(uri, origin, &query)?;
        api.token = Some(match (token, query.text("token-file"), query.text("role")) {
            (Some(token), _, _) => token.clone(),
            (None, Some(path), _) => Secret::read(absolute(uri, "token-file", path)?)?,
            (None, None, Some(role)) => api.log_in(role, &query)?,
            (None, None, None) => {
                let (uri, store) = (shown(uri), KeyStore::Vault);
                return Err(SignError::SecretMissing { uri, store, what: "a token".to_owned() });
            }
        });
        let answer = api
            .request("GET", &format!("{mount}/keys/{name}"), None)
            .map_err(|fault| api.error(fault))?;
        let public = public_key(&answer, version).map_err(|reason| api.key(reason))?;
        Ok(Self { api, sign: format!("{mount}/sign/{name}"), version, public })
    }
}

impl Signer for VaultSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let body = json!({ "input": STANDARD.encode(message), "key_version": self.version });
        let answer = self
            .api
            .request("POST", &self.sign, Some(&body))
            .map_err(|fault| self.api.error(fault))?;
        signature(&answer, self.version).ok_or_else(|| {
            self.api.key(format!("the answer holds no signature by version {}", self.version))
        })
    }
}

/// The public key of a version in the answer to `GET transit/keys/NAME`.
fn public_key(answer: &Value, version: u64) -> Result<PublicKey, String> {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
    match text("/data/type") {
        Some("ed25519") => {}
        Some(other) => return Err(format!("it is a key of type {other}, not ed25519")),
        None => return Err("the answer describes no key".to_owned()),
    }
    if answer.pointer("/data/derived").and_then(Value::as_bool) == Some(true) {
        return Err("it is a derived key: its public half depends on a context".to_owned());
    }
    let Some(encoded) = text(&format!("/data/keys/{version}/public_key")) else {
        let latest = answer.pointer("/data/latest_version").and_then(Value::as_u64);
        let latest = latest.map_or_else(String::new, |latest| format!("; the latest is {latest}"));
        return Err(format!("it has no version {version}{latest}"));
    };
    STANDARD
        .decode(encoded)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .and_then(|bytes: [u8; 32]| PublicKey::from_bytes(&bytes).ok())
        .ok_or_else(|| format!("the public key of version {version} is no Ed25519 key"))
}

/// The signature in the answer to `POST transit/sign/NAME`: `vault:v1:<base64>`.
fn signature(answer: &Value, version: u64) -> Option<[u8; 64]> {
    let text = answer.pointer("/data/signature")?.as_str()?;
    let encoded = text.strip_prefix(&format!("vault:v{version}:"))?;
    STANDARD.decode(encoded).ok()?.try_into().ok()
}

/// The parts of a URI.
#[derive(Debug)]
struct Address {
    /// Scheme, host and port.
    origin: String,
    /// Mount of the transit engine, percent-encoded.
    mount: String,
    /// Name of the key, percent-encoded.
    name: String,
    query: Attributes,
}

impl Address {
    fn parse(uri: &str) -> Result<Self, SignError> {
        let fault = |reason: &str| SignError::Uri { uri: shown(uri), reason: reason.to_owned() };
        let (address, query) = uri.split_once('?').unwrap_or((uri, ""));
        let query = Attributes::parse(query, '&', &QUERY).map_err(|reason| fault(&reason))?;
        let url = address.strip_prefix("vault:").and_then(|url| Url::parse(url).ok());
        let url = url.ok_or_else(|| fault("vault:https://HOST/MOUNT/keys/NAME is expected"))?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(fault("a token goes over https only, or over http to this machine"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(fault("no user, password or fragment is expected"));
        }
        let path = url.path();
        let path = path.strip_prefix("/v1/").or_else(|| path.strip_prefix('/')).unwrap_or(path);
        let parts = path.rsplit_once('/').and_then(|(rest, name)| {
            let mount = rest.strip_suffix("/keys")?;
            (!name.is_empty() && !mount.is_empty()).then_some((mount, name))
        });
        let (mount, name) =
            parts.ok_or_else(|| fault("vault:https://HOST/MOUNT/keys/NAME is expected"))?;
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            mount: mount.to_owned(),
            name: name.to_owned(),
            query,
        })
    }
}

/// Scheme, host and port of a key's server.
pub(super) fn origin(uri: &str) -> Option<String> {
    Address::parse(uri).ok().map(|address| address.origin)
}

/// Relative paths in a URI would start where the program happens to run.
fn absolute<'a>(uri: &str, name: &str, path: &'a str) -> Result<&'a Path, SignError> {
    if path.starts_with('/') {
        return Ok(Path::new(path));
    }
    Err(SignError::Uri { uri: shown(uri), reason: format!("{name} must be an absolute path") })
}

/// Why a request was not answered with a 2xx.
enum Fault {
    /// No answer, or none that can be read.
    Transport(String),
    /// No whole answer in time.
    Late,
    /// HTTP status, and what Vault said.
    Status(u16, String),
}

impl Fault {
    /// May the same request succeed soon? Signing twice harms nothing: Ed25519 is deterministic.
    fn is_passing(&self) -> bool {
        // 412: an older state on this node; 472 and 473: a standby; 503 is also "sealed".
        match self {
            Self::Transport(_) => true,
            // Who waited this long was let wait enough.
            Self::Late => false,
            Self::Status(status, _) => matches!(status, 412 | 429 | 472 | 473 | 500..=599),
        }
    }
}

/// The HTTP API.
struct Api {
    uri: String,
    origin: String,
    namespace: Option<String>,
    token: Option<Secret>,
    runtime: Runtime,
    connector: Connector,
}

impl Api {
    fn new(uri: &str, origin: String, query: &Attributes) -> Result<Self, SignError> {
        let connector = if origin.starts_with("http:") {
            Connector::builder().build_http()
        } else {
            let roots = match query.text("ca-file") {
                None => TrustStore::default(),
                Some(path) => {
                    let path = absolute(uri, "ca-file", path)?;
                    let pem = remote::certificates(path);
                    TrustStore::empty().with_pem_certificate(
                        pem.map_err(|reason| SignError::File { path: path.to_owned(), reason })?,
                    )
                }
            };
            let context = TlsContext::builder().with_trust_store(roots).build();
            let context = context.map_err(|error| SignError::Unreachable {
                uri: shown(uri),
                store: KeyStore::Vault,
                reason: causes(&error),
            })?;
            Connector::builder().tls_provider(TLS).tls_context(context).build()
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            let (uri, store) = (shown(uri), KeyStore::Vault);
            SignError::Unreachable { uri, store, reason: error.to_string() }
        })?;
        let namespace = query.text("namespace").map(ToOwned::to_owned);
        Ok(Self { uri: shown(uri), origin, namespace, token: None, runtime, connector })
    }

    /// A token by the Kubernetes auth method.
    fn log_in(&self, role: &str, query: &Attributes) -> Result<Secret, SignError> {
        let path = query.text("jwt-file").unwrap_or(SERVICE_ACCOUNT);
        let path = absolute(&self.uri, "jwt-file", path)?;
        // Kubernetes makes this file readable for all of the pod, so its mode says nothing.
        let jwt = std::fs::read_to_string(path).map_err(|error| SignError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let mount = query.text("auth").unwrap_or("kubernetes");
        let body = json!({ "jwt": jwt.trim(), "role": role });
        let answer = self.request("POST", &format!("auth/{mount}/login"), Some(&body));
        let answer = answer.map_err(|fault| match fault {
            // An unknown role or a token of somebody else.
            Fault::Status(400 | 404, reason) => self.error(Fault::Status(403, reason)),
            other => self.error(other),
        })?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str).map(Secret::new);
        token.ok_or_else(|| {
            self.error(Fault::Transport("the answer to the login holds no token".to_owned()))
        })
    }

    /// Sends a request, and again when the fault may pass.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let once = self.once(method, path, body);
            let result = self.runtime.block_on(async {
                tokio::time::timeout(ATTEMPT, once).await.map_err(|_| Fault::Late)?
            });
            match result {
                Err(fault) if fault.is_passing() && attempt < ATTEMPTS => {
                    std::thread::sleep(pause);
                    pause *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn once(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        // Vault's proxies demand the second one, as a guard against forged requests.
        let mut headers = vec![("content-type", "application/json"), ("x-vault-request", "true")];
        if let Some(namespace) = &self.namespace {
            headers.push(("x-vault-namespace", namespace));
        }
        if let Some(token) = &self.token {
            headers.push(("x-vault-token", token.expose()));
        }
        let url = format!("{}/v1/{path}", self.origin);
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = remote::exchange(&self.connector, method, &url, &headers, body).await;
        let (status, bytes) = answer.map_err(Fault::Transport)?;
        match status {
            200..=299 => serde_json::from_slice(&bytes)
                .map_err(|_| Fault::Transport("not an answer of Vault".to_owned())),
            status => Err(Fault::Status(status, said(status, &bytes))),
        }
    }

    fn key(&self, reason: String) -> SignError {
        SignError::Key { uri: self.uri.clone(), store: KeyStore::Vault, reason }
    }

    fn error(&self, fault: Fault) -> SignError {
        let (uri, store) = (self.uri.clone(), KeyStore::Vault);
        match fault {
            Fault::Late => {
                let reason = format!("none within {} s", ATTEMPT.as_secs());
                SignError::Unreachable { uri, store, reason }
            }
            Fault::Status(400 | 404 | 405, reason) => SignError::Key { uri, store, reason },
            Fault::Status(401 | 403, reason) => SignError::Refused { uri, store, reason },
            Fault::Transport(reason) | Fault::Status(_, reason) => {
                SignError::Unreachable { uri, store, reason }
            }
        }
    }
}

/// What Vault said beside a status: its `errors`, in one line.
fn said(status: u16, bytes: &[u8]) -> String {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let texts: Vec<&str> = errors.filter_map(Value::as_str).collect();
    let line: String = texts.join("; ").split_whitespace().collect::<Vec<_>>().join(" ");
    match (status, line.is_empty()) {
        (_, false) => line.chars().filter(|c| !c.is_control()).take(300).collect(),
        (404, true) => "there is no such key".to_owned(),
        (300..=399, true) => format!("it sends elsewhere (HTTP status {status})"),
        (_, true) => format!("HTTP status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_mount_and_key() {
        for (uri, origin, mount, name) in [
            ("vault:https://v.example/transit/keys/log", "https://v.example", "transit", "log"),
            ("vault:https://v.example:8200/v1/a/b/keys/k", "https://v.example:8200", "a/b", "k"),
            ("vault:http://127.0.0.1:1/keys/keys/keys", "http://127.0.0.1:1", "keys", "keys"),
            ("vault:http://[::1]:1/t/keys/k%20k", "http://[::1]:1", "t", "k%20k"),
        ] {
            let found = Address::parse(uri).unwrap();
            let parts = (found.origin.as_str(), found.mount.as_str(), found.name.as_str());
            assert_eq!(parts, (origin, mount, name), "{uri}");
        }
        for (uri, reason) in [
            ("vault:http://v.example/transit/keys/log", "https only"),
            ("vault:http://127.0.0.1.example/transit/keys/log", "https only"),
            ("vault:https://me:s3cret@v.example/transit/keys/log", "no user"),
            ("vault:https://v.example/transit/log", "MOUNT/keys/NAME"),
            ("vault:https://v.example/keys/log", "MOUNT/keys/NAME"),
            ("vault:https://v.example/transit/keys/", "MOUNT/keys/NAME"),
            ("vault:transit/keys/log", "MOUNT/keys/NAME"),
            ("vault:https://v.example/transit/keys/log?token=s3cret", "token-file"),
        ] {
            let error = Address::parse(uri).unwrap_err().to_string();
            assert!(error.contains(reason), "{uri}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn only_the_pinned_version_counts() {
        let signed = |text: &str| json!({ "data": { "signature": text } });
        let encoded = STANDARD.encode([5; 64]);
        assert_eq!(signature(&signed(&format!("vault:v2:{encoded}")), 2), Some([5; 64]));
        for bad in [
            format!("vault:v1:{encoded}"),
            format!("vault:v22:{encoded}"),
            format!("v2:{encoded}"),
            "vault:v2:AAAA".to_owned(),
        ] {
            assert_eq!(signature(&signed(&bad), 2), None, "{bad}");
        }
        assert_eq!(signature(&json!({}), 2), None);
    }

    #[test]
    fn a_key_of_another_kind_is_named() {
        let key = |kind: &str, derived: bool| {
            json!({ "data": { "type": kind, "derived": derived, "latest_version": 3,
                "keys": { "3": { "public_key": STANDARD.encode([1; 32]) } } } })
        };
        for (answer, version, reason) in [
            (key("rsa-2048", false), 3, "type rsa-2048"),
            (key("ed25519", true), 3, "derived"),
            (key("ed25519", false), 2, "no version 2; the latest is 3"),
            (json!({}), 1, "describes no key"),
        ] {
            assert!(public_key(&answer, version).unwrap_err().contains(reason), "{reason}");
        }
    }
}
