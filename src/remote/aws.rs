//! Services of AWS: credentials and regions from where AWS tools look for them, and their errors in words.

use std::error::Error;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig, environment, profile};
use aws_sdk_s3::config::HttpClient;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder as HttpBuilder;

use super::{ATTEMPTS, TLS, causes, deepest};

/// For services and for where credentials come from.
fn http_client() -> impl HttpClient + 'static {
    HttpBuilder::new().tls_provider(TLS).build_https()
}

/// The configuration of an AWS client. Credentials come from where AWS tools look for them:
/// environment, profile, web identity, container, instance.
pub(crate) async fn configuration(
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
