//! Proxies between this program and an API server, as Go's programs find them: the one of the kubeconfig, or
//! the one that the environment names.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use tower_service::Service;

use super::tls::{self, Trust};
use super::{AccessError, credentials, take_user};

/// A proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Without name and password.
    address: Uri,
    user: Option<(String, String)>,
}

/// The proxy that a kubeconfig names.
pub(super) fn named(text: &str) -> Result<Proxy, AccessError> {
    let wrong = || {
        AccessError::Address(
            "`proxy-url` of the kubeconfig is no address with http, https or socks5".to_owned(),
        )
    };
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    if known && url.host().is_some() { of_url(url).ok_or_else(wrong) } else { Err(wrong()) }
}

/// The proxy that `HTTPS_PROXY` (for `http` servers `HTTP_PROXY`) names, unless `NO_PROXY` exempts the server
/// or it is on this machine.
pub(super) fn of_environment(server: &Uri) -> Option<Proxy> {
    if crate::remote::proxy::is_near(&server.to_string())
        || crate::remote::proxy::is_everything_exempt()
    {
        return None;
    }
    let value = |names: [&str; 2]| {
        names
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let proxy = match server.scheme_str() {
        Some("https") => value(["HTTPS_PROXY", "https_proxy"]),
        _ => value(["HTTP_PROXY", "http_proxy"]),
    }?;
    let exempt = value(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Matcher::builder().all(&*proxy).no(exempt).build().intercept(server)?;
    let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
    of_url(url::Url::parse(&proxy).ok()?)
}

fn of_url(mut url: url::Url) -> Option<Proxy> {
    let user = take_user(&mut url).filter(|(name, _)| !name.is_empty());
    if url.scheme().starts_with("socks5") && url.port().is_none() {
        url.set_port(Some(1080)).ok()?;
    }
    Some(Proxy { address: url.as_str().parse().ok()?, user })
}

/// Opens connections to a server, through a proxy or without one.
#[derive(Clone)]
pub(super) enum Connector {
    Direct(HttpConnector),
    Tunnel(Tunnel<HttpsConnector<HttpConnector>>),
    Socks(SocksV5<HttpConnector>),
}

impl Connector {
    pub(super) fn new(proxy: Option<&Proxy>, direct: HttpConnector) -> Result<Self, AccessError> {
        let Some(Proxy { address, user }) = proxy else { return Ok(Self::Direct(direct)) };
        if address.scheme_str().is_some_and(|scheme| scheme.starts_with("socks5")) {
            let socks = SocksV5::new(address.clone(), direct);
            return Ok(Self::Socks(match user.clone() {
                Some((name, password)) => socks.with_auth(name, password),
                None => socks,
            }));
        }
        let to_proxy = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(&Trust::System, None)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(direct);
        let tunnel = Tunnel::new(address.clone(), to_proxy);
        Ok(Self::Tunnel(match user {
            Some((name, password)) => {
                let value = credentials::basic(name, password);
                let wrong = |_| AccessError::Address("the proxy's password".to_owned());
                tunnel.with_auth(HeaderValue::from_str(&value).map_err(wrong)?)
            }
            None => tunnel,
        }))
    }
}

trait Stream: hyper::rt::Read + hyper::rt::Write + Connection + Send + Unpin {}

impl<T: hyper::rt::Read + hyper::rt::Write + Connection + Send + Unpin> Stream for T {}

/// A connection, whatever it goes through.
pub(super) struct Opened(Box<dyn Stream>);

impl Connection for Opened {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl hyper::rt::Read for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Opened {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Opened;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Opened, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Direct(inner) => inner.poll_ready(context).map_err(Into::into),
            Self::Tunnel(inner) => inner.poll_ready(context).map_err(Into::into),
            Self::Socks(inner) => inner.poll_ready(context).map_err(Into::into),
        }
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        fn boxed<S: Stream + 'static, E: Into<BoxError>>(
            opening: impl Future<Output = Result<S, E>> + Send + 'static,
        ) -> Pin<Box<dyn Future<Output = Result<Opened, BoxError>> + Send>> {
            Box::pin(async {
                Ok(Opened(Box::new(opening.await.map_err(Into::into)?) as Box<dyn Stream>))
            })
        }
        match self {
            Self::Direct(inner) => boxed(inner.call(server)),
            Self::Tunnel(inner) => boxed(inner.call(server)),
            Self::Socks(inner) => boxed(inner.call(server)),
        }
    }
}
