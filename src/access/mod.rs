//! The way to a cluster: which one, as whom, and how it is known to be that one.
//!
//! There is one rule. A kubeconfig, where one is named: by the configuration, by `KUBECONFIG`, or as
//! `~/.kube/config`. The account of the pod, where none is, or where the configuration says so. What is named
//! and cannot be used is an error; nothing else is tried in its place.

mod client;
mod credentials;
mod exec;
mod kubeconfig;
mod proxy;
mod tls;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use http::header::HeaderValue;

pub use client::Way;
pub(crate) use client::{failure, of_access};
pub use exec::PluginError;

use crate::config::{Access, AccessFrom};
use crate::evidence::digest::Digest;
use credentials::Credentials;
use kubeconfig::{Selected, User};
use proxy::Proxy;
use tls::Trust;

/// Where a pod finds its account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Why there is no way to a cluster. Nothing in it is a credential, nor holds one.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessError {
    /// A file cannot be read.
    #[error("{}: {}", path.display(), words(*reason))]
    File {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: ErrorKind,
    },
    /// Of the files that are named, none is there.
    #[error("no kubeconfig at {}", joined(.0))]
    NoFile(Vec<PathBuf>),
    /// A file that is no kubeconfig.
    #[error("{} is no kubeconfig: {place}", path.display())]
    NotKubeconfig {
        /// Path.
        path: PathBuf,
        /// Where in it, and what is wrong there.
        place: String,
    },
    /// What is selected in a kubeconfig cannot be used.
    #[error("kubeconfig: {0}")]
    Kubeconfig(String),
    /// Certificates or keys that cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// The address of the server, or of a proxy, cannot be used.
    #[error("{0}")]
    Address(String),
    /// The pod has no account.
    #[error("in-cluster: {0}")]
    InCluster(String),
    /// Nothing says which cluster.
    #[error(
        "nothing says which cluster: no KUBECONFIG, no ~/.kube/config, and this is no pod with a service account"
    )]
    Nothing,
    /// No credentials.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The system does not give what every program needs.
    #[error("{0}")]
    System(ErrorKind),
}

/// The kinds of errors that people meet, as other programs call them.
fn words(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::InvalidData => "not UTF-8".to_owned(),
        kind => kind.to_string(),
    }
}

fn joined(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// How a cluster is reached, without anything secret: what the sealed identity says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Address of the API server, without credentials.
    pub server: String,
    /// `kubeconfig` or `in-cluster`.
    pub by: &'static str,
    /// Context of the kubeconfig; empty in a pod.
    pub context: String,
    /// SHA-256 of the certificate authorities that are believed, as they are configured; empty where those
    /// of the system are.
    pub authorities: String,
    /// Is it known to be that server?
    pub verified: bool,
}

/// What a client is made of.
struct Target {
    server: Uri,
    trust: Trust,
    server_name: String,
    credentials: Credentials,
    headers: Vec<(http::HeaderName, HeaderValue)>,
    proxy: Option<Proxy>,
    route: Route,
}

/// Finds the cluster that is meant.
///
/// # Errors
/// [`AccessError`].
fn target(access: &Access) -> Result<Target, AccessError> {
    let select = |paths: &[PathBuf]| {
        let time = Duration::from_secs(access.timeout_seconds);
        kubeconfig::select(paths, access.context.as_deref())
            .and_then(|selected| of_kubeconfig(selected, time))
    };
    if access.from == Some(AccessFrom::InCluster) {
        return in_cluster();
    }
    if let Some(path) = &access.kubeconfig {
        return select(std::slice::from_ref(path));
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let listed: Vec<PathBuf> =
        std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return select(&listed);
    }
    let home = std::env::home_dir().map(|home| home.join(".kube/config"));
    if let Some(home) = home.filter(|home| home.exists()) {
        return select(&[home]);
    }
    let is_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && Path::new(ACCOUNT).join("token").exists();
    let may_be_pod = access.from.is_none() && access.context.is_none();
    if is_pod && may_be_pod { in_cluster() } else { Err(AccessError::Nothing) }
}

fn in_cluster() -> Result<Target, AccessError> {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| AccessError::InCluster(format!("{name} is not set")))
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let server: Uri = format!("https://{host}:{port}").parse().map_err(|_| {
        AccessError::InCluster(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no address".to_owned(),
        )
    })?;
    let file = |name: &str| {
        let path = Path::new(ACCOUNT).join(name);
        std::fs::read(&path).map_err(|error| AccessError::File { path, reason: error.kind() })
    };
    // It is read again by every request: a token lives for an hour.
    file("token")?;
    let authorities = file("ca.crt")?;
    let trust = tls::certificates(&authorities)
        .map(Trust::Authorities)
        .ok_or_else(|| AccessError::InCluster("ca.crt holds no certificate".to_owned()))?;
    let route = Route {
        server: address(&server),
        by: "in-cluster",
        context: String::new(),
        authorities: Digest::of(&authorities).to_string(),
        verified: true,
    };
    let credentials = Credentials::file(Path::new(ACCOUNT).join("token"));
    Ok(Target {
        proxy: proxy::of_environment(&server),
        server,
        trust,
        server_name: String::new(),
        credentials,
        headers: Vec::new(),
        route,
    })
}

fn of_kubeconfig(selected: Selected, time: Duration) -> Result<Target, AccessError> {
    let Selected { context, cluster, mut user } = selected;
    let (server, of_address) = server(&cluster.server)?;
    let is_tls = server.scheme_str() == Some("https");
    let trust = match &cluster.authorities {
        // Without TLS nobody is verified, and client-go reads neither these nor any credential.
        _ if !is_tls || cluster.insecure_skip_tls_verify => Trust::Anybody,
        Some(pem) => Trust::Authorities(tls::certificates(pem).ok_or_else(|| {
            AccessError::Tls("the certificate authority is no certificate in PEM".to_owned())
        })?),
        None => Trust::System,
    };
    let route = Route {
        server: address(&server),
        by: "kubeconfig",
        context,
        authorities: match (&trust, &cluster.authorities) {
            (Trust::Authorities(_), Some(pem)) => Digest::of(pem).to_string(),
            _ => String::new(),
        },
        verified: is_tls && !cluster.insecure_skip_tls_verify,
    };
    let headers = impersonation(&user)?;
    let proxy = match &*cluster.proxy_url {
        "" => proxy::of_environment(&server),
        named => Some(proxy::named(named)?),
    };
    let credentials = if is_tls {
        Credentials::of_user(&mut user, &cluster, of_address, time)?
    } else {
        Credentials::default()
    };
    Ok(Target {
        server,
        trust,
        server_name: cluster.tls_server_name,
        credentials,
        headers,
        proxy,
        route,
    })
}

/// The server, and the user and password that its address may hold.
fn server(text: &str) -> Result<(Uri, Option<(String, String)>), AccessError> {
    let wrong = || AccessError::Address("`server` of the kubeconfig is no address".to_owned());
    // As kubectl: without a scheme it is HTTP.
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = url::Url::parse(&text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong());
    }
    let user = take_user(&mut url);
    url.set_query(None);
    url.set_fragment(None);
    let uri = url.as_str().trim_end_matches('/').parse().map_err(|_| wrong())?;
    Ok((uri, user))
}

/// Takes the name and the password out of an address.
fn take_user(url: &mut url::Url) -> Option<(String, String)> {
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
    // An address with a host takes both.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    user
}

/// An address as it is sealed and printed.
fn address(server: &Uri) -> String {
    server.to_string().trim_end_matches('/').to_owned()
}

/// `as`, `as-uid`, `as-groups` and `as-user-extra`.
fn impersonation(user: &User) -> Result<Vec<(http::HeaderName, HeaderValue)>, AccessError> {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &str| {
        let wrong = || {
            AccessError::Kubeconfig("`as` and its companions hold what no header may".to_owned())
        };
        let name = name.parse().map_err(|_| wrong())?;
        headers.push((name, HeaderValue::from_str(value).map_err(|_| wrong())?));
        Ok::<(), AccessError>(())
    };
    if user.impersonate.is_empty() {
        return Ok(headers);
    }
    add("impersonate-user", &user.impersonate)?;
    if !user.impersonate_uid.is_empty() {
        add("impersonate-uid", &user.impersonate_uid)?;
    }
    for group in &user.impersonate_groups {
        add("impersonate-group", group)?;
    }
    for (key, values) in &user.impersonate_extra {
        let key = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC);
        for value in values {
            add(&format!("impersonate-extra-{key}").to_lowercase(), value)?;
        }
    }
    Ok(headers)
}
