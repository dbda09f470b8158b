//! The HTTP client that all requests to a cluster go through.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{AUTHORIZATION, LOCATION, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::Body;
use rustls::pki_types::ServerName;
use tower_service::Service;

use super::credentials::{Certificate, Presented};
use super::proxy::Connector;
use super::{AccessError, Route, Target, target, tls};
use crate::config::Access;

/// Longest that a connection may take to open.
const CONNECT: Duration = Duration::from_secs(30);
/// Redirects that are followed, as Go does.
const REDIRECTS: usize = 10;

/// Why there was no answer, besides what the network says.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
enum NoAnswer {
    #[error("no answer within {0} s")]
    Late(u64),
    #[error("it redirects to another server")]
    RedirectsElsewhere,
    #[error("it redirects to nowhere")]
    RedirectsNowhere,
}

type Http = HyperClient<HttpsConnector<Connector>, Body>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A way to a cluster. Nothing is asked before a request is sent.
#[derive(Clone)]
pub struct Way(Arc<Inner>);

struct Inner {
    target: Target,
    timeout: Duration,
    /// The client, and the certificate that it presents.
    http: Mutex<Option<(Option<Arc<Certificate>>, Http)>>,
}

impl Way {
    /// Finds the cluster that is meant.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn find(access: &Access) -> Result<Self, AccessError> {
        let timeout = Duration::from_secs(access.timeout_seconds);
        let inner = Inner { target: target(access)?, timeout, http: Mutex::default() };
        // What cannot be used is said before anything is asked.
        let way = Self(Arc::new(inner));
        way.0.connector(None)?;
        Ok(way)
    }

    /// How the cluster is reached.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.0.target.route
    }

    /// What the kubeconfig says to people who do not have its credential plugin.
    #[must_use]
    pub fn install_hint(&self) -> &str {
        self.0.target.credentials.install_hint()
    }

    /// A client for it. The runtime must be the one that its requests are sent in.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// The certificate (DER) with which the server answers; `None` without TLS. It is asked for on a
    /// connection of its own, verified like the others.
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) async fn certificate(&self) -> Result<Option<Vec<u8>>, String> {
        let server = &self.0.target.server;
        if server.scheme_str() != Some("https") {
            return Ok(None);
        }
        let open = async {
            let presented = self.0.target.credentials.present(None).await?.unwrap_or_default();
            let mut connector = self.0.connector(presented.certificate.as_ref())?;
            let origin = origin(server, None)?;
            std::future::poll_fn(|context| connector.poll_ready(context))
                .await
                .and(connector.call(origin).await)
        };
        let opened = tokio::time::timeout(self.0.timeout, open).await;
        let stream = opened
            .map_err(|_| NoAnswer::Late(self.0.timeout.as_secs()).to_string())?
            .map_err(|error| failure(&*error))?;
        Ok(match stream {
            hyper_rustls::MaybeHttpsStream::Https(stream) => {
                let (_, connection) = stream.inner().get_ref();
                let chain = connection.peer_certificates();
                chain.and_then(|chain| chain.first()).map(|leaf| leaf.to_vec())
            }
            hyper_rustls::MaybeHttpsStream::Http(_) => None,
        })
    }
}

impl Inner {
    fn connector(
        &self,
        certificate: Option<&Arc<Certificate>>,
    ) -> Result<HttpsConnector<Connector>, AccessError> {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_connect_timeout(Some(CONNECT));
        direct.set_nodelay(true);
        let connector = Connector::new(self.target.proxy.as_ref(), direct)?;
        let tls = tls::client(&self.target.trust, certificate.map(|certificate| &**certificate))?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let builder = match &*self.target.server_name {
            "" => builder,
            name => {
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|_| AccessError::Tls("`tls-server-name` is no name".to_owned()))?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
        };
        Ok(builder.enable_http1().wrap_connector(connector))
    }

    /// The client that presents this certificate.
    fn http(&self, certificate: Option<&Arc<Certificate>>) -> Result<Http, AccessError> {
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, http)) = &*http
            && known.as_ref().map(|known| &**known) == certificate.map(|certificate| &**certificate)
        {
            return Ok(http.clone());
        }
        let new = HyperClient::builder(TokioExecutor::new()).build(self.connector(certificate)?);
        *http = Some((certificate.cloned(), new.clone()));
        Ok(new)
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        for (name, value) in &self.target.headers {
            parts.headers.append(name, value.clone());
        }
        let agent = HeaderValue::from_static(concat!("affidavit/", env!("CARGO_PKG_VERSION")));
        parts.headers.entry(USER_AGENT).or_insert(agent);
        parts.uri = origin(&self.target.server, parts.uri.path_and_query())?;
        let mut presented = self.target.credentials.present(None).await?.unwrap_or_default();
        let (mut renewed, mut redirects) = (false, 0);
        loop {
            let response = self.send_once(&parts, &body, &presented).await?;
            let status = response.status().as_u16();
            if status == 401 && !renewed {
                renewed = true;
                if let Some(new) = self.target.credentials.present(Some(&presented)).await? {
                    presented = new;
                    continue;
                }
            }
            let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
            let is_question = matches!(parts.method, Method::GET | Method::HEAD);
            if is_redirect && is_question && redirects < REDIRECTS {
                redirects += 1;
                parts.uri = redirected(&parts.uri, response.headers().get(LOCATION))?;
                continue;
            }
            return Ok(response);
        }
    }

    async fn send_once(
        &self,
        parts: &http::request::Parts,
        body: &[u8],
        presented: &Presented,
    ) -> Result<Response<Incoming>, BoxError> {
        let mut request = Request::builder().method(&parts.method).uri(&parts.uri);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&parts.headers);
            if let Some(header) = &presented.header {
                headers.insert(AUTHORIZATION, header.clone());
            }
        }
        let request = request.body(Body::from(body.to_vec()))?;
        let http = self.http(presented.certificate.as_ref())?;
        Ok(http.request(request).await?)
    }
}

/// Where a redirect leads. Credentials go to no other server than the one that they are for.
fn redirected(from: &Uri, location: Option<&HeaderValue>) -> Result<Uri, BoxError> {
    let base = url::Url::parse(&from.to_string())?;
    let location = location.and_then(|location| location.to_str().ok());
    let to = base.join(location.ok_or(NoAnswer::RedirectsNowhere)?)?;
    if to.origin() == base.origin() {
        Ok(to.as_str().parse()?)
    } else {
        Err(NoAnswer::RedirectsElsewhere.into())
    }
}

/// The way itself, where that is what cannot be used.
pub(crate) fn of_access(error: &(dyn std::error::Error + 'static)) -> Option<AccessError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<AccessError>() {
            return Some(ours.clone());
        }
        cause = error.source();
    }
    None
}

/// Why there was no answer, in words of our own: what others say may repeat what they were sent.
pub(crate) fn failure(error: &(dyn std::error::Error + 'static)) -> String {
    said(error).unwrap_or_else(|| "the connection failed".to_owned())
}

fn said(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    let mut said = None;
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<AccessError>() {
            return Some(ours.to_string());
        }
        if let Some(ours) = error.downcast_ref::<NoAnswer>() {
            return Some(ours.to_string());
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(of_tls(error));
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            // What is inside it is not among its sources.
            let inner = error.get_ref().and_then(|inner| self::said(inner));
            if inner.is_some() {
                return inner;
            }
            said = Some(error.kind().to_string());
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            let text = if error.is_incomplete_message() || error.is_closed() {
                "the connection was closed before the answer was complete"
            } else if error.is_parse() {
                "the answer is no HTTP"
            } else {
                "the connection failed"
            };
            said = Some(text.to_owned());
        }
        let text = error.to_string();
        if text == "dns error" {
            return Some("its name is not known (DNS)".to_owned());
        }
        if text.starts_with("tunnel error") || text.starts_with("SOCKS error") {
            said = Some("the proxy did not let it through".to_owned());
        }
        cause = error.source();
    }
    said
}

fn of_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let text = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                "its certificate is of an authority that is not trusted"
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            _ => "its certificate cannot be used",
        },
        rustls::Error::AlertReceived(alert) => return format!("it refused TLS ({alert:?})"),
        _ => "TLS failed",
    };
    text.to_owned()
}

/// The address of what is asked for: below the path of the server, if it has one.
fn origin(server: &Uri, asked: Option<&PathAndQuery>) -> Result<Uri, BoxError> {
    let mut parts = server.clone().into_parts();
    let below = server.path().trim_end_matches('/');
    let asked = asked.map_or("/", PathAndQuery::as_str);
    parts.path_and_query = Some(format!("{below}{asked}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

impl Service<Request<Body>> for Way {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::time::timeout(inner.timeout, inner.send(request))
                .await
                .map_err(|_| NoAnswer::Late(inner.timeout.as_secs()))?
        })
    }
}
