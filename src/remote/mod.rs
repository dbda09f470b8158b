//! How services over the network are reached: one HTTP client, one TLS stack, and what went wrong in
//! words.

#[cfg(feature = "aws")]
pub(crate) mod aws;
pub(crate) mod proxy;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::runtime::Builder;

/// How many times a request is tried.
pub(crate) const ATTEMPTS: u32 = 3;

/// Pause before the second try of [`deliver`]; doubled before the third.
const PAUSE: Duration = Duration::from_millis(500);

/// Time for one request.
const TIME: Duration = Duration::from_secs(20);

/// Longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The one TLS stack.
pub(crate) const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// At random between 0 and 1, so that those who were refused together do not come back together.
pub(crate) fn random_share() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

/// Posts something and gives the answer's body.
///
/// # Errors
/// What went wrong, with the address.
pub(crate) fn post(url: &str, content_type: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
    match post_once(url, content_type, body) {
        Ok((200..=299, answer)) => Ok(answer),
        Ok((status, _)) => Err(format!("{url}: HTTP status {status}")),
        Err(reason) => Err(format!("{url}: {reason}")),
    }
}

/// Posts something that nobody answers with more than a status, in a few tries.
///
/// # Errors
/// What went wrong, without the address: it may be a secret.
pub(crate) fn deliver(url: &str, content_type: &str, body: &[u8]) -> Result<(), String> {
    let mut pause = PAUSE;
    let mut attempt = 1;
    loop {
        let (reason, may_pass) = match post_once(url, content_type, body.to_vec()) {
            Ok((200..=299, _)) => return Ok(()),
            Ok((status, _)) => (format!("HTTP status {status}"), status == 429 || status >= 500),
            Err(reason) => (reason.replace(url, "its address"), true),
        };
        if !may_pass || attempt == ATTEMPTS {
            return Err(reason);
        }
        std::thread::sleep(pause);
        pause *= 2;
        attempt += 1;
    }
}

fn post_once(url: &str, content_type: &str, body: Vec<u8>) -> Result<(u16, Vec<u8>), String> {
    let connector = if url.starts_with("http:") {
        Connector::builder().build_http()
    } else {
        Connector::builder().tls_provider(TLS).build()
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let headers = [("content-type", content_type)];
    runtime.block_on(async {
        let late = |_| format!("no answer within {} s", TIME.as_secs());
        let exchange = exchange(&connector, "POST", url, &headers, body);
        tokio::time::timeout(TIME, exchange).await.map_err(late)?
    })
}

/// One request and its answer: status and body.
///
/// # Errors
/// What went wrong before there was a whole answer. It repeats no header's value.
pub(crate) async fn exchange(
    connector: &Connector,
    method: &str,
    url: &str,
    headers: &[(&'static str, &str)],
    body: Vec<u8>,
) -> Result<(u16, Vec<u8>), String> {
    let mut request = HttpRequest::empty();
    request.set_method(method).map_err(|error| error.to_string())?;
    request.set_uri(url.to_owned()).map_err(|error| error.to_string())?;
    for (name, value) in headers {
        request
            .headers_mut()
            .try_insert(*name, (*value).to_owned())
            .map_err(|_| format!("{name} holds what an HTTP header cannot hold"))?;
    }
    *request.body_mut() = body.into();
    let response = connector.call(request).await.map_err(|error| causes(&error))?;
    let status = response.status().as_u16();
    let mut stream = ByteStream::new(response.into_body());
    let mut bytes = Vec::new();
    while let Some(part) = stream.try_next().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&part);
        if bytes.len() > LONGEST {
            return Err(format!("longer than {LONGEST} bytes"));
        }
    }
    Ok((status, bytes))
}

/// A file of PEM certificates, checked: the client panics on what it cannot read.
///
/// # Errors
/// Why it is none, without its path.
pub(crate) fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let mut roots = RootCertStore::empty();
    for certificate in found.map_err(|error| error.to_string())? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("no PEM certificate is in it".to_owned());
    }
    Ok(pem)
}

/// An error and its causes, in one line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first cause of an error.
#[cfg(feature = "aws")]
pub(crate) fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
