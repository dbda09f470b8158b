//! A key in AWS Key Management Service: key spec `ECC_NIST_EDWARDS25519`, signing algorithm
//! `ED25519_SHA_512` over the raw message, which is Ed25519 of RFC 8032.
//!
//! `awskms:///KEY?region=…&endpoint=…`, with a key id, key ARN, alias name or alias ARN. An alias
//! is resolved once: what signs is the key whose public half was read.

use std::error::Error;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use percent_encoding::percent_decode_str;
use tokio::runtime::{Builder, Runtime};

use super::uri::{Attributes, shown};
use super::{KeyStore, SignError, Signer};
use crate::evidence::key::PublicKey;
use crate::remote::{ATTEMPTS, aws};

/// Time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Longest message that KMS signs (API reference, `Sign`).
const LONGEST: usize = 4096;

/// Answers that the key itself is the fault.
const OF_THE_KEY: [&str; 7] = [
    "DisabledException",
    "InvalidArnException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
    "UnsupportedOperationException",
    "ValidationException",
];

/// Answers that the credentials are the fault.
const OF_THE_CREDENTIALS: [&str; 8] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// A key in KMS.
pub(super) struct AwsKmsSigner {
    uri: String,
    runtime: Runtime,
    client: Client,
    /// ARN of the key whose public half was read.
    key: String,
    public: PublicKey,
}

impl AwsKmsSigner {
    /// Reads the public key.
    pub(super) fn open(uri: &str) -> Result<Self, SignError> {
        let fault = |reason: &str| SignError::Uri { uri: shown(uri), reason: reason.to_owned() };
        let key_error =
            |reason: String| SignError::Key { uri: shown(uri), store: KeyStore::AwsKms, reason };
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let key = path.strip_prefix("awskms:///").filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| fault("awskms:///KEY with three slashes is expected"))?;
        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
        let query = Attributes::parse(query, '&', &["region", "endpoint"]);
        let query = query.map_err(|reason| fault(&reason))?;
        let region = query.text("region").or_else(|| region_of_arn(&key));

        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| key_error(error.to_string()))?;
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(ATTEMPT * ATTEMPTS)
            .build();
        let shared = runtime.block_on(aws::configuration(region, query.text("endpoint"), timeouts));
        let shared =
            shared.map_err(|error| SignError::Settings { uri: shown(uri), source: error })?;
        let client = Client::new(&shared);
        let answer = runtime
            .block_on(client.get_public_key().key_id(&key).send())
            .map_err(|error| failure(uri, &error))?;
        if answer.key_spec() != Some(&KeySpec::EccNistEdwards25519) {
            let spec = answer.key_spec().map_or("another kind", KeySpec::as_str);
            return Err(key_error(format!("it is a key of {spec}, not ECC_NIST_EDWARDS25519")));
        }
        if answer.key_usage() != Some(&KeyUsageType::SignVerify) {
            return Err(key_error("it is not a key for signing".to_owned()));
        }
        let der = answer.public_key().map_or(&[][..], AsRef::as_ref);
        let public = PublicKey::from_der(der).map_err(|error| key_error(error.to_string()))?;
        let key = answer.key_id().map_or(key, ToOwned::to_owned);
        Ok(Self { uri: shown(uri), runtime, client, key, public })
    }
}

impl Signer for AwsKmsSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let key_error = |reason: String| SignError::Key {
            uri: self.uri.clone(),
            store: KeyStore::AwsKms,
            reason,
        };
        if message.is_empty() || message.len() > LONGEST {
            return Err(key_error(format!(
                "AWS KMS signs 1 to {LONGEST} bytes, and this has {}",
                message.len()
            )));
        }
        let request = self
            .client
            .sign()
            .key_id(&self.key)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::Ed25519Sha512);
        let answer =
            self.runtime.block_on(request.send()).map_err(|error| failure(&self.uri, &error))?;
        let signature = answer.signature().map_or(&[][..], AsRef::as_ref);
        signature
            .try_into()
            .map_err(|_| key_error(format!("a signature has 64 bytes, not {}", signature.len())))
    }
}

/// The fourth field of `arn:aws:kms:REGION:ACCOUNT:key/ID`.
fn region_of_arn(key: &str) -> Option<&str> {
    key.starts_with("arn:").then(|| key.split(':').nth(3)).flatten().filter(|name| !name.is_empty())
}

fn failure<E>(uri: &str, error: &SdkError<E>) -> SignError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let uri = shown(uri);
    let store = KeyStore::AwsKms;
    let reason = aws::reason("AWS KMS", error);
    let is = |codes: &[&str]| error.code().is_some_and(|code| codes.contains(&code));
    let no_credentials =
        matches!(error, SdkError::DispatchFailure(failure) if !aws::is_lost(failure));
    if is(&OF_THE_KEY) {
        SignError::Key { uri, store, reason }
    } else if is(&OF_THE_CREDENTIALS) {
        SignError::Refused { uri, store, reason }
    } else if no_credentials {
        SignError::SecretMissing { uri, store, what: format!("credentials: {reason}") }
    } else {
        SignError::Unreachable { uri, store, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_its_region() {
        let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(region_of_arn(arn), Some("eu-central-1"));
        assert_eq!(region_of_arn("alias/a:b:c:d"), None);
    }
}
