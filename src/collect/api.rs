//! The Kubernetes API, asked one question at a time: bounded in time, in tries and in memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{Request, Uri};
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use crate::config::Access;
use crate::remote::{deepest, proxy};

/// Objects per page.
const PAGE: u32 = 500;
/// Times that a question is asked before it counts as not answered.
const TRIES: u32 = 5;
/// The same for what the API server passes on to other machines.
const FEW_TRIES: u32 = 2;
/// Longest that such an answer may take.
const PASSED_ON: Duration = Duration::from_secs(10);
/// How many of those are asked for at a time.
const AT_A_TIME: usize = 8;
/// Longest that the API server is obeyed when it says when to come back.
const MAX_WAIT: Duration = Duration::from_secs(30);
const JSON: &str = "application/json";
/// Characters of an answer in plain text that an error repeats.
const MAX_WORDS: usize = 120;
/// Asks for nothing but the metadata of a list's items.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Why the API server did not give what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is no way to it.
    #[error("no access to a cluster: {0}")]
    Access(String),
    /// The asking user may not.
    #[error("{message}")]
    Forbidden {
        /// In the server's words, which name the user, the verb and the resource.
        message: String,
    },
    /// There is no such thing.
    #[error("{path}: not found")]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// The list being read is no longer kept.
    #[error("{path}: the list expired while it was being read")]
    Expired {
        /// What was asked for.
        path: String,
    },
    /// Another answer than the one hoped for.
    #[error("{path}: the API server answered {code}: {message}")]
    Status {
        /// What was asked for.
        path: String,
        /// HTTP status.
        code: u16,
        /// In its words.
        message: String,
    },
    /// No answer.
    #[error("{path}: {reason}")]
    Silent {
        /// What was asked for.
        path: String,
        /// Why.
        reason: String,
    },
}

impl ApiError {
    /// May it go better the next time?
    fn is_passing(&self) -> bool {
        match self {
            Self::Silent { .. } => true,
            Self::Status { code, .. } => *code == 429 || *code >= 500,
            _ => false,
        }
    }
}

/// A way to a cluster.
pub struct Api {
    client: kube::Client,
    config: kube::Config,
    runtime: Runtime,
    timeout: Duration,
    clock_ahead: Cell<Option<i64>>,
}

/// An answer.
struct Answer {
    bytes: Vec<u8>,
    date: Option<jiff::Timestamp>,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    /// As they came: one object at a time is looked at, and its form in memory is several times as
    /// large.
    #[serde(default)]
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow, default)]
    metadata: IdentityMetadata<'a>,
}

#[derive(Default, Deserialize)]
struct IdentityMetadata<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
}

/// How a list was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its resource version; of the last beginning, when it had to be begun again.
    pub resource_version: String,
    /// How often it had to be begun again because it had expired (410).
    pub restarts: u32,
}

/// What of each object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All.
    Whole,
    /// Its metadata.
    Metadata,
}

impl Api {
    /// Opens a way to the cluster. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ApiError::Access`].
    pub fn open(access: &Access) -> Result<Self, ApiError> {
        let failed = |error: &(dyn std::error::Error + 'static)| ApiError::Access(deepest(error));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let timeout = Duration::from_secs(access.timeout_seconds);
        let mut config = runtime.block_on(find(access))?;
        // The second line: the time of a whole answer is kept below.
        config.read_timeout = Some(timeout * 2);
        config.write_timeout = Some(timeout * 2);
        config.reset_reader_on_write = true;
        // Tries are counted here, where they end.
        config.default_retry = false;
        let guard = runtime.enter();
        let client = kube::Client::try_from(config.clone()).map_err(|error| failed(&error))?;
        drop(guard);
        Ok(Self { client, config, runtime, timeout, clock_ahead: Cell::new(None) })
    }

    /// Gets a document.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let answer =
            self.ask(&|| Request::get(path).header(ACCEPT, JSON).body(Body::empty()), path)?;
        parse(path, &answer.bytes)
    }

    /// Gets documents, several at a time and each in a few tries: for what is passed on to machines
    /// of which some may be down. `see` gets them in the order of `paths`.
    ///
    /// # Errors
    /// That of `see`.
    pub fn get_each<E>(
        &self,
        paths: &[String],
        mut see: impl FnMut(&str, Result<Value, ApiError>) -> Result<(), E>,
    ) -> Result<(), E> {
        for group in paths.chunks(AT_A_TIME) {
            let tasks: Vec<_> = group
                .iter()
                .map(|path| {
                    let (client, path) = (self.client.clone(), path.clone());
                    let timeout = self.timeout.min(PASSED_ON);
                    self.runtime.spawn(async move {
                        let request =
                            || Request::get(&path).header(ACCEPT, JSON).body(Body::empty());
                        let answer = insist(&client, timeout, FEW_TRIES, &request, &path).await?;
                        parse(&path, &answer.bytes)
                    })
                })
                .collect();
            for (path, task) in group.iter().zip(tasks) {
                let answer = self.runtime.block_on(task).unwrap_or_else(|error| {
                    Err(ApiError::Silent { path: path.clone(), reason: error.to_string() })
                });
                see(path, answer)?;
            }
        }
        Ok(())
    }

    /// Posts an object: a question that changes nothing (a review), or something to be made. It may be
    /// posted again when no answer came.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn post(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        let body = object.to_string().into_bytes();
        let request = || {
            Request::post(path)
                .header(ACCEPT, JSON)
                .header(CONTENT_TYPE, JSON)
                .body(Body::from(body.clone()))
        };
        parse(path, &self.ask(&request, path)?.bytes)
    }

    /// Reads a list page by page; `see` gets the objects of one page at a time, each object once.
    /// While it looks at them, the next page is fetched.
    ///
    /// # Errors
    /// [`ApiError`], or that of `see`.
    pub fn list<E: From<ApiError>>(
        &self,
        path: &str,
        depth: Depth,
        mut see: impl FnMut(Vec<Box<RawValue>>) -> Result<(), E>,
    ) -> Result<Listed, E> {
        let mut listed = Listed::default();
        let mut seen: HashSet<String> = HashSet::new();
        let mut pending = Some(self.fetch(path, depth, ""));
        while let Some(task) = pending.take() {
            let page = match self.runtime.block_on(task) {
                Ok(Ok(page)) => page,
                Ok(Err(ApiError::Expired { .. })) if listed.restarts < TRIES => {
                    listed.restarts += 1;
                    pending = Some(self.fetch(path, depth, ""));
                    continue;
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(error) => {
                    let reason = error.to_string();
                    return Err(ApiError::Silent { path: path.to_owned(), reason }.into());
                }
            };
            listed.resource_version = page.metadata.resource_version;
            if !page.metadata.next.is_empty() {
                pending = Some(self.fetch(path, depth, &page.metadata.next));
            }
            let mut items = page.items.unwrap_or_default();
            items.retain(|item| match serde_json::from_str::<Identity<'_>>(item.get()) {
                Ok(Identity { metadata: IdentityMetadata { uid } }) if !uid.is_empty() => {
                    seen.insert(uid.into_owned())
                }
                _ => true,
            });
            see(items)?;
        }
        Ok(listed)
    }

    fn fetch(
        &self,
        path: &str,
        depth: Depth,
        next: &str,
    ) -> tokio::task::JoinHandle<Result<Page, ApiError>> {
        let mut address = format!("{path}?limit={PAGE}");
        if !next.is_empty() {
            address.push_str("&continue=");
            address.extend(percent_encoding::utf8_percent_encode(
                next,
                percent_encoding::NON_ALPHANUMERIC,
            ));
        }
        let accept = match depth {
            Depth::Whole => JSON,
            Depth::Metadata => METADATA_ONLY,
        };
        let (client, timeout, path) = (self.client.clone(), self.timeout, path.to_owned());
        self.runtime.spawn(async move {
            let request = || Request::get(&address).header(ACCEPT, accept).body(Body::empty());
            let answer = insist(&client, timeout, TRIES, &request, &path).await?;
            parse(&path, &answer.bytes)
        })
    }

    /// Seconds by which the server's clock is ahead of ours, as of the first answer with a date.
    #[must_use]
    pub fn clock_ahead_seconds(&self) -> i64 {
        self.clock_ahead.get().unwrap_or(0)
    }

    fn ask(
        &self,
        request: &(dyn Fn() -> http::Result<Request<Body>> + Sync),
        path: &str,
    ) -> Result<Answer, ApiError> {
        let answer =
            self.runtime.block_on(insist(&self.client, self.timeout, TRIES, request, path))?;
        if let (None, Some(date)) = (self.clock_ahead.get(), answer.date) {
            let here =
                jiff::Timestamp::try_from(SystemTime::now()).map_or(0, jiff::Timestamp::as_second);
            self.clock_ahead.set(Some(date.as_second() - here));
        }
        Ok(answer)
    }

    /// The certificate (DER) with which the API server answers; `None` without TLS. It is asked for
    /// on a connection of its own, verified like the others.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn certificate(&self) -> Result<Option<Vec<u8>>, ApiError> {
        let url = &self.config.cluster_url;
        if url.scheme_str() != Some("https") {
            return Ok(None);
        }
        let silent = |reason: String| ApiError::Silent { path: url.to_string(), reason };
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_u16().unwrap_or(443);
        let tls = self.config.rustls_client_config().map_err(|error| silent(error.to_string()))?;
        let name = self.config.tls_server_name.clone().unwrap_or_else(|| host.clone());
        let name = rustls::pki_types::ServerName::try_from(name)
            .map_err(|error| silent(error.to_string()))?;
        let mut connection = rustls::ClientConnection::new(tls.into(), name)
            .map_err(|error| silent(error.to_string()))?;
        let mut socket = std::net::TcpStream::connect((host.as_str(), port))
            .map_err(|error| silent(error.to_string()))?;
        let timeout = Some(self.timeout);
        socket
            .set_read_timeout(timeout)
            .and_then(|()| socket.set_write_timeout(timeout))
            .map_err(|error| silent(error.to_string()))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| silent(error.to_string()))?;
        }
        let leaf = connection.peer_certificates().and_then(|certificates| certificates.first());
        Ok(leaf.map(|certificate| certificate.to_vec()))
    }
}

/// A client for what is no list of objects.
///
/// # Errors
/// [`ApiError::Access`].
pub async fn client(access: &Access) -> Result<kube::Client, ApiError> {
    let mut config = find(access).await?;
    config.read_timeout = Some(Duration::from_secs(access.timeout_seconds));
    config.write_timeout = Some(Duration::from_secs(access.timeout_seconds));
    kube::Client::try_from(config).map_err(|error| ApiError::Access(deepest(&error)))
}

/// Address of the API server that would be asked; `None` where it cannot be told.
#[must_use]
pub fn address(access: &Access) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let config = runtime.block_on(find(access)).ok()?;
    Some(config.cluster_url.to_string())
}

async fn find(access: &Access) -> Result<kube::Config, ApiError> {
    let mut config = configured(access).await?;
    if let Some(named) = config.proxy_url.take() {
        check_proxy(&config.cluster_url, &named)?;
    }
    Ok(config)
}

/// Is the proxy that `kube` found none that this API server would need? `kube` takes `HTTPS_PROXY` for every
/// host, where a kubeconfig names no proxy itself.
fn check_proxy(server: &Uri, named: &Uri) -> Result<(), ApiError> {
    let host = server.host().unwrap_or_default();
    let of_environment = ["HTTPS_PROXY", "https_proxy"].into_iter().any(|name| {
        std::env::var(name).is_ok_and(|value| value.parse::<Uri>().is_ok_and(|uri| uri == *named))
    });
    let reason = if !of_environment {
        let (proxy, port) = (named.host().unwrap_or_default(), named.port_u16());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("the kubeconfig names a proxy for {host} (`proxy-url`: {proxy}{port})")
    } else if let Some(variable) = proxy::variable(&server.to_string()) {
        format!("{variable} names a proxy for {host}, and NO_PROXY does not exempt it")
    } else {
        return Ok(());
    };
    Err(ApiError::Access(format!("{reason}; affidavit reaches an API server only without a proxy")))
}

async fn configured(access: &Access) -> Result<kube::Config, ApiError> {
    let options = KubeConfigOptions { context: access.context.clone(), ..Default::default() };
    let failed = |error: &(dyn std::error::Error + 'static)| ApiError::Access(deepest(error));
    if let Some(path) = &access.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(&error))?;
        return kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| failed(&error));
    }
    if access.context.is_some() {
        return kube::Config::from_kubeconfig(&options).await.map_err(|error| failed(&error));
    }
    kube::Config::infer().await.map_err(|error| failed(&error))
}

/// Asks until there is an answer, or until it is clear that there is none.
async fn insist(
    client: &kube::Client,
    timeout: Duration,
    tries: u32,
    request: &(dyn Fn() -> http::Result<Request<Body>> + Sync),
    path: &str,
) -> Result<Answer, ApiError> {
    let mut wait = Duration::from_millis(250);
    for tried in 1.. {
        let silent = |reason: String| ApiError::Silent { path: path.to_owned(), reason };
        let question = request().map_err(|error| silent(error.to_string()))?;
        let mut come_back = None;
        let error = match tokio::time::timeout(timeout, once(client, question, path)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err((error, after))) => {
                come_back = after;
                error
            }
            Err(_) => silent(format!("no answer within {} s", timeout.as_secs())),
        };
        if tried >= tries || !error.is_passing() {
            return Err(error);
        }
        tokio::time::sleep(come_back.unwrap_or(wait).min(MAX_WAIT)).await;
        wait *= 2;
    }
    Err(ApiError::Silent { path: path.to_owned(), reason: "not asked".to_owned() })
}

type Refusal = (ApiError, Option<Duration>);

async fn once(
    client: &kube::Client,
    question: Request<Body>,
    path: &str,
) -> Result<Answer, Refusal> {
    let silent = |error: kube::Error| {
        let reason = deepest(&error);
        (ApiError::Silent { path: path.to_owned(), reason }, None)
    };
    let response = client.send(question).await.map_err(silent)?;
    let (parts, body) = response.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let date = header(DATE).and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    let come_back = header(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let bytes = body.collect_bytes().await.map_err(silent)?.to_vec();
    let path = path.to_owned();
    let message = || {
        // What passes a request on answers in plain text.
        let text: String = String::from_utf8_lossy(&bytes).chars().take(MAX_WORDS).collect();
        serde_json::from_slice::<Status>(&bytes).map_or_else(
            |_| format!("{}: {}", parts.status, text.trim().escape_debug()),
            |status| status.message,
        )
    };
    let error = match parts.status.as_u16() {
        200..=299 => {
            return Ok(Answer { bytes, date: date.map(|date| date.timestamp()) });
        }
        403 => ApiError::Forbidden { message: message() },
        404 => ApiError::NotFound { path },
        410 => ApiError::Expired { path },
        code => ApiError::Status { path, code, message: message() },
    };
    Err((error, come_back))
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::Silent {
        path: path.to_owned(),
        // Where, and not what: an answer may hold secrets.
        reason: format!(
            "the answer breaks off or is no JSON (line {}, column {})",
            error.line(),
            error.column()
        ),
    })
}
