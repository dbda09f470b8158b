//! Services of AWS, reached as AWS tools reach them: credentials, regions, certificates and proxies from where
//! those look for them, and their errors in words.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

use aws_config::profile::{self, ProfileSet};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvidedCredentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use aws_smithy_http_client::{Builder as HttpBuilder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::os_shim_internal::{Env, Fs};
use url::Url;

use super::proxy::{is_everything_exempt, is_near};
use super::{TLS, causes, certificates, deepest};

/// The region of a service that no setting names: S3-compatible stores seldom care, and AWS tools
/// take it too.
const REGION: &str = "us-east-1";

/// Longest part of credentials, in bytes: a session token has some hundreds to a few thousand.
const MAX_SECRET: usize = 32 << 10;

/// What is wrong with the settings by which AWS is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsSettingsError {
    /// The profile is in none of the shared files.
    #[error("AWS_PROFILE names the profile `{0}`, and no shared configuration file has it")]
    UnknownProfile(String),
    /// The shared configuration files cannot be read.
    #[error("the shared configuration files of AWS: {0}")]
    SharedFiles(String),
    /// The certificates cannot be read.
    #[error("{} (set by {setting}): {reason}", path.display())]
    CaBundle {
        /// The variable or the key that names it.
        setting: &'static str,
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A value holds what no request can.
    #[error("{setting}: {reason}")]
    Value {
        /// Where it stands.
        setting: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The endpoint is no address of a service.
    #[error("endpoint `{endpoint}`: {reason}")]
    Endpoint {
        /// As given, without a password.
        endpoint: String,
        /// Why.
        reason: &'static str,
    },
}

impl AwsSettingsError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::UnknownProfile(_) => {
                "correct AWS_PROFILE, or name the files in AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE"
            }
            Self::SharedFiles(_) => "`aws configure list` reads the same files",
            Self::CaBundle { .. } => "name a file of PEM certificates that can be read",
            Self::Value { .. } => "correct it: a line end or a blank may have come with it",
            Self::Endpoint { .. } => {
                "give http://HOST or https://HOST, with a port and a path if it has them"
            }
        }
    }
}

/// The configuration of an AWS client. Credentials come from where AWS tools look for them: environment,
/// profile (keys, SSO, `credential_process`, roles), web identity, container, instance.
///
/// # Errors
/// [`AwsSettingsError`], before anything is sent.
pub(crate) async fn configuration(
    region: Option<&str>,
    endpoint: Option<&str>,
    timeouts: TimeoutConfig,
) -> Result<SdkConfig, AwsSettingsError> {
    let endpoint = endpoint.map(normal_endpoint).transpose()?;
    let profiles = profiles().await?;
    check_settings(region, &profiles)?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(&profiles)?)
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts);
    if let Some(endpoint) = &endpoint {
        loader = loader.endpoint_url(endpoint);
        // Asking the metadata service of a machine that may have none takes seconds.
        let named = region.map(ToOwned::to_owned).or_else(|| region_setting(&profiles));
        loader = loader.region(Region::new(named.unwrap_or_else(|| REGION.to_owned())));
    } else if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let mut config = loader.load().await;
    if config.region().is_none() {
        config = config.into_builder().region(Region::new(REGION)).build();
    }
    if let Some(inner) = config.credentials_provider() {
        let checked = SharedCredentialsProvider::new(CheckedCredentials(inner));
        config = config.into_builder().credentials_provider(checked).build();
    }
    if endpoint.is_some() {
        // They would choose among AWS's endpoints, and this one is chosen.
        config = config.into_builder().use_fips(false).use_dual_stack(false).build();
    }
    Ok(config)
}

/// Credentials that a request can carry: what a process or a service gives may be anything.
#[derive(Debug)]
struct CheckedCredentials(SharedCredentialsProvider);

impl ProvideCredentials for CheckedCredentials {
    fn provide_credentials<'a>(&'a self) -> ProvidedCredentials<'a>
    where
        Self: 'a,
    {
        ProvidedCredentials::new(async {
            let credentials = self.0.provide_credentials().await?;
            let texts = [Some(credentials.access_key_id()), credentials.session_token()];
            let is_sound = |text: &str| {
                text.len() <= MAX_SECRET && text.bytes().all(|byte| byte.is_ascii_graphic())
            };
            if texts.into_iter().flatten().all(is_sound) {
                Ok(credentials)
            } else {
                let reason = "the credentials hold a blank, a line end, or what is no ASCII";
                Err(CredentialsError::invalid_configuration(reason))
            }
        })
    }
}

/// The profiles of the shared files; the selected one is among them, unless there is none at all.
async fn profiles() -> Result<ProfileSet, AwsSettingsError> {
    #[expect(clippy::default_trait_access, reason = "the type is of a crate that is not ours")]
    let files = Default::default();
    let loaded = profile::load(&Fs::real(), &Env::real(), &files, None).await;
    let profiles = loaded.map_err(|error| AwsSettingsError::SharedFiles(causes(&error)))?;
    let chosen = profiles.selected_profile();
    let is_named = env::var_os("AWS_PROFILE").is_some_and(|name| !name.is_empty());
    if is_named && profiles.get_profile(chosen).is_none() {
        return Err(AwsSettingsError::UnknownProfile(chosen.to_owned()));
    }
    Ok(profiles)
}

/// Settings that would otherwise be found out in the midst of a request, or end the process.
fn check_settings(region: Option<&str>, profiles: &ProfileSet) -> Result<(), AwsSettingsError> {
    let of_environment = |name: &'static str| Some((name, env::var_os(name)?.into_string()));
    let of_profile = |key: &str, name: &'static str| {
        profiles.get(key).map(|value| (name, Ok::<_, std::ffi::OsString>(value.to_owned())))
    };
    let given = region.map(|region| ("the region", Ok(region.to_owned())));
    let regions = [
        given,
        of_environment("AWS_REGION"),
        of_environment("AWS_DEFAULT_REGION"),
        of_profile("region", "region of the profile"),
    ];
    for (setting, value) in regions.into_iter().flatten() {
        let is_region = |value: &str| {
            value.len() <= 64
                && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !value.is_ok_and(|value| is_region(&value)) {
            let reason = "a region consists of letters, digits and hyphens";
            return Err(AwsSettingsError::Value { setting, reason });
        }
    }
    let keys = [
        of_environment("AWS_ACCESS_KEY_ID"),
        of_environment("AWS_SESSION_TOKEN"),
        of_profile("aws_access_key_id", "aws_access_key_id of the profile"),
        of_profile("aws_session_token", "aws_session_token of the profile"),
    ];
    for (setting, value) in keys.into_iter().flatten() {
        if !value.is_ok_and(|value| value.bytes().all(|byte| byte.is_ascii_graphic())) {
            let reason = "it holds a blank, a line end, or what is no ASCII";
            return Err(AwsSettingsError::Value { setting, reason });
        }
    }
    // It is never sent, but a line end at its end makes every signature wrong.
    let secrets = [
        of_environment("AWS_SECRET_ACCESS_KEY"),
        of_profile("aws_secret_access_key", "aws_secret_access_key of the profile"),
    ];
    for (setting, value) in secrets.into_iter().flatten() {
        if !value.is_ok_and(|value| value.trim() == value && !value.contains(char::is_control)) {
            let reason = "it begins or ends with a blank or a line end, or is not UTF-8";
            return Err(AwsSettingsError::Value { setting, reason });
        }
    }
    let endpoints = [
        of_environment("AWS_ENDPOINT_URL"),
        of_environment("AWS_ENDPOINT_URL_S3"),
        of_environment("AWS_ENDPOINT_URL_STS"),
        of_environment("AWS_ENDPOINT_URL_KMS"),
        of_environment("AWS_ENDPOINT_URL_SSO"),
        of_environment("AWS_ENDPOINT_URL_SSO_OIDC"),
        of_profile("endpoint_url", "endpoint_url of the profile"),
    ];
    for (setting, value) in endpoints.into_iter().flatten() {
        let Ok(value) = value else {
            return Err(AwsSettingsError::Value { setting, reason: "not UTF-8" });
        };
        if !value.is_empty() {
            normal_endpoint(&value).map_err(|error| match error {
                AwsSettingsError::Endpoint { reason, .. } => {
                    AwsSettingsError::Value { setting, reason }
                }
                other => other,
            })?;
        }
    }
    Ok(())
}

/// The endpoint that the environment names for S3, or for all services: it needs the same care as one that the
/// configuration names.
pub(crate) fn s3_endpoint_setting() -> Option<String> {
    let named = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if named("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|is| is.eq_ignore_ascii_case("true"))
    {
        return None;
    }
    named("AWS_ENDPOINT_URL_S3").or_else(|| named("AWS_ENDPOINT_URL"))
}

fn region_setting(profiles: &ProfileSet) -> Option<String> {
    let named = |name| env::var(name).ok().filter(|region| !region.is_empty());
    named("AWS_REGION")
        .or_else(|| named("AWS_DEFAULT_REGION"))
        .or_else(|| profiles.get("region").map(ToOwned::to_owned))
}

/// An endpoint as the client needs it: without the slash at its end, the bucket would be joined to the last
/// segment of its path.
fn normal_endpoint(endpoint: &str) -> Result<String, AwsSettingsError> {
    let fault =
        |shown: &str, reason| AwsSettingsError::Endpoint { endpoint: shown.to_owned(), reason };
    // What is no URL may still hold a password.
    let shown = endpoint.rsplit_once('@').map_or(endpoint, |(_, rest)| rest);
    let mut url = Url::parse(endpoint).map_err(|_| fault(shown, "not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault(
            url.host_str().unwrap_or_default(),
            "user and password do not belong here",
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(fault(shown, "not an http or https URL"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault(url.host_str().unwrap_or_default(), "a query does not belong here"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url.into())
}

/// For services and for where credentials come from: one TLS stack, with the certificates and the proxies that
/// AWS tools take.
fn http_client(profiles: &ProfileSet) -> Result<SharedHttpClient, AwsSettingsError> {
    let bundle = match env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        Some(path) => Some(("AWS_CA_BUNDLE", PathBuf::from(path))),
        None => profiles.get("ca_bundle").map(|path| ("ca_bundle", PathBuf::from(path))),
    };
    let roots = match bundle {
        None => TrustStore::default(),
        Some((setting, path)) => {
            let fault = |reason| AwsSettingsError::CaBundle { setting, path: path.clone(), reason };
            TrustStore::empty().with_pem_certificate(certificates(&path).map_err(fault)?)
        }
    };
    let context = TlsContext::builder().with_trust_store(roots).build();
    // Certificates are all that it is made of, and they were read above.
    let context = context.unwrap_or_default();
    let client = |proxies: ProxyConfig| {
        let context = context.clone();
        HttpBuilder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder()
                .tls_provider(TLS)
                .tls_context(context.clone())
                .proxy_config(proxies.clone());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.build()
        })
    };
    let direct = client(ProxyConfig::disabled());
    let proxied =
        if is_everything_exempt() { direct.clone() } else { client(ProxyConfig::from_env()) };
    Ok(SharedHttpClient::new(Routes { direct, proxied }))
}

/// Past the proxies for this machine and for what is on its own link: where credentials of instances and
/// containers come from.
#[derive(Clone, Debug)]
struct Routes<C> {
    direct: C,
    proxied: C,
}

impl HttpClient for Routes<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = |client: &SharedHttpClient| client.http_connector(settings, components);
        let (direct, proxied) = (connector(&self.direct), connector(&self.proxied));
        SharedHttpConnector::new(Routes { direct, proxied })
    }
}

impl HttpConnector for Routes<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if is_near(request.uri()) { self.direct.call(request) } else { self.proxied.call(request) }
    }
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
                (Some(code), Some(message)) => without_secrets(&format!("{code}: {message}")),
                (Some(text), None) | (None, Some(text)) => text.to_owned(),
                (None, None) if answer.raw().status().is_success() => {
                    let content_type = answer.raw().headers().get("content-type");
                    match (deepest(error), content_type) {
                        // The parser prints what it parsed, which says nothing to people.
                        (cause, Some(content_type)) if cause.contains("XML") => {
                            format!(
                                "not an answer of {service}, but `{}`",
                                content_type.escape_debug()
                            )
                        }
                        (cause, None) if cause.contains("XML") => {
                            format!("not an answer of {service}")
                        }
                        (cause, _) => format!("not an answer of {service}: {cause}"),
                    }
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
        SdkError::DispatchFailure(failure) if is_lost(failure) => {
            format!("the connection broke off: {}", deepest(error))
        }
        SdkError::DispatchFailure(failure) => {
            let cause = failure.as_connector_error().and_then(Error::source);
            without_secrets(&cause.map_or_else(|| deepest(error), causes)) + &unreadable_files()
        }
        SdkError::ResponseError(_) => format!("not an answer of {service}: {}", deepest(error)),
        _ => deepest(error),
    }
}

/// Was there no connection, or did it break off? Anything else was not sent at all, most likely for want of
/// credentials.
pub(crate) fn is_lost(failure: &DispatchFailure) -> bool {
    failure.is_io() || failure.is_timeout() || failure.as_other().is_some()
}

/// What a `credential_process` printed may be a secret: how it ended is enough. So may what a request for
/// credentials holds, which some errors print whole.
fn without_secrets(reason: &str) -> String {
    let reason = reason
        .find("Request {")
        .map_or(reason, |at| reason.get(..at).unwrap_or_default().trim_end_matches(['`', ' ']));
    let mut reason = reason.to_owned();
    for name in ["WebIdentityToken=", "SAMLAssertion=", "SecretAccessKey", "SessionToken"] {
        if let Some(at) = reason.find(name) {
            reason.truncate(at);
        }
    }
    let reason = reason.as_str();
    let of_process = "external process";
    match reason.find(of_process) {
        None => reason.to_owned(),
        Some(at) => {
            let (before, after) = reason.split_at(at + of_process.len());
            let end = after.find(['.', ':', ',']).unwrap_or(after.len());
            // `exited with code exit status: 1. Stderr: …`
            let end = after.find(". Stderr").unwrap_or(end);
            format!("{before}{} (run credential_process by hand to see more)", &after[..end])
        }
    }
}

/// Which files that the environment names for credentials cannot be read: their errors do not say.
fn unreadable_files() -> String {
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        .into_iter()
        .filter_map(|name| {
            let path = env::var_os(name)?;
            let error = std::fs::File::open(Path::new(&path)).err()?;
            Some(format!("; {name}={}: {error}", path.display()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_have_a_path() {
        for (given, used) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
            ("https://gateway.example/gw/s3", "https://gateway.example/gw/s3/"),
            ("https://gateway.example/gw/s3/", "https://gateway.example/gw/s3/"),
        ] {
            assert_eq!(normal_endpoint(given).as_deref(), Ok(used));
        }
        for (given, said) in [
            ("minio:9000", "not an http or https URL"),
            ("minio", "not a URL"),
            ("ftp://minio", "not an http or https URL"),
            ("http://me:secret@minio", "endpoint `minio`: user and password"),
            ("http://minio/?x=1", "a query"),
            ("http://", "not a URL"),
            ("u:secret@host:7101", "not an http or https URL"),
            ("http://u:secret@ho st/", "not a URL"),
            ("http://u:secret@:7101", "not a URL"),
        ] {
            let error = normal_endpoint(given).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{given}: {error}");
        }
    }

    #[test]
    fn what_a_process_printed_is_not_repeated() {
        let exited = "Error retrieving credentials: external process exited with code exit status: 1. Stderr: SECRET";
        let no_json =
            "Error retrieving credentials from external process, could not parse response: SECRET";
        let said = without_secrets(exited);
        assert!(said.contains("exited with code exit status: 1 (run"), "{said}");
        assert!(!said.contains("SECRET") && !without_secrets(no_json).contains("SECRET"));
        assert_eq!(without_secrets("no providers"), "no providers");
        let dump = "failed to apply endpoint `x` to request `Request { body: SdkBody { WebIdentityToken=SECRET } }`";
        let said = without_secrets(dump);
        assert!(said.ends_with("to request") && !said.contains("SECRET"), "{said}");
    }
}
