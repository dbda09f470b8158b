//! How services over the network are reached: one HTTP client, one TLS stack, where AWS tools look
//! for credentials, and what went wrong in words.

use std::error::Error;
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig, environment, profile};
use aws_sdk_kms::config::http::HttpRequest;
use aws_sdk_s3::config::HttpClient;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
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

/// For services and for where credentials come from.
fn http_client() -> impl HttpClient + 'static {
    HttpBuilder::new().tls_provider(TLS).build_https()
}

/// The configuration of an AWS client. Credentials come from where AWS tools look for them:
/// environment, profile, web identity, container, instance.
pub(crate) async fn aws(
    region: Option<&str>,
    endpoint: Option<&str>,
    timeouts: TimeoutConfig,
) -> SdkConfig {
    let given = RegionProviderChain::first_try(region.map(|name| Region::new(name.to_owned())));
    let region = if endpoint.is_some() {
        // Such services seldom care, and an instance's metadata would not tell.
        given
            .or_else(environment::EnvironmentVariableRegionProvider::new())
            .or_else(profile::ProfileFileRegionProvider::new())
    } else {
        given.or_default_provider()
    };
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .region(region.or_else("us-east-1"))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
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

/// What went wrong with a service of AWS, for people.
pub(crate) fn reason<E>(service: &str, error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => {
            let error = answer.err();
            match (error.code(), error.message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(text), None) | (None, Some(text)) => text.to_owned(),
                (None, None) if answer.raw().status().is_success() => {
                    format!("not an answer of {service}: {}", deepest(error))
                }
                (None, None) => format!("HTTP status {}", answer.raw().status()),
            }
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            "no answer in time".to_owned()
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => {
            format!("no connection: {}", deepest(error))
        }
        // Not sent at all, most likely for want of credentials.
        SdkError::DispatchFailure(failure) => {
            let cause = failure.as_connector_error().and_then(Error::source);
            cause.map_or_else(|| deepest(error), causes)
        }
        SdkError::ResponseError(_) => format!("not an answer of {service}: {}", deepest(error)),
        _ => deepest(error),
    }
}

/// An error and its causes, in one line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first cause of an error.
pub(crate) fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
