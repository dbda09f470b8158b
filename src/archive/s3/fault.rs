//! Why a request to a store came to nothing, whether it may pass by itself, and what to do about it.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::remote::{aws, causes};

/// Why a request came to nothing.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// The store's own name for it, as `SlowDown`.
    pub code: Option<String>,
    /// What went wrong, for people.
    pub reason: String,
    /// May the same request succeed a moment later?
    pub is_passing: bool,
    /// Was there no answer of a store at all, so that the address may be wrong?
    pub is_unreached: bool,
    /// Is it an answer that something else than the store may have given, so that it is asked once more?
    pub is_foreign: bool,
    /// What to do about it.
    pub help: &'static str,
}

/// Answers that say "later".
const PASSING_STATUS: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// The same by their names, whatever the status is.
const PASSING_CODES: [&str; 9] = [
    "BadGateway",
    "InternalError",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
];

/// What to do about an answer, by the store's name for it. To add one: a line.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "401"],
        "allow these credentials s3:ListBucket, s3:GetObject and s3:PutObject on this bucket and prefix; docs/production.md has the whole list",
    ),
    (
        &[
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "PermanentRedirect",
            "TemporaryRedirect",
            "301",
            "307",
        ],
        "set archive.region (--region) to the bucket's region",
    ),
    (
        &["BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"],
        "something between here and the store changes what is sent; if the store computes other checksums, set archive.checksums to md5 or none",
    ),
    (
        &[
            "EntityTooLarge",
            "InsufficientStorage",
            "QuotaExceeded",
            "XMinioStorageFull",
            "507",
            "413",
        ],
        "make room in the store, or raise its quota or its longest object",
    ),
    (
        &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"],
        "the credentials have expired: renew them",
    ),
    (
        &[
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidToken",
            "InvalidTokenId",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ],
        "the store does not know these credentials: check the access key, its secret and the endpoint",
    ),
    (
        &["InvalidObjectState"],
        "the object was moved to a class that must be restored first: keep archives out of such lifecycle rules",
    ),
    (
        &[
            "KMS.DisabledException",
            "KMS.KMSInvalidStateException",
            "KMS.NotFoundException",
            "KMS.AccessDeniedException",
            "KMSDisabledException",
            "KMSNotFoundException",
        ],
        "check archive.encryption.key, and that these credentials may use it",
    ),
    (
        &["MethodNotAllowed", "405"],
        "this is not the address of an S3 API: check archive.endpoint (--endpoint)",
    ),
    (
        &["NoSuchBucket"],
        "make the bucket, or correct its name, archive.endpoint (--endpoint) and archive.region (--region)",
    ),
    (
        &["NotImplemented", "501", "UnsupportedArgument"],
        "the store cannot do this: use one of docs/stores.md, or leave out what it cannot do (archive.checksums, object_lock, legal_hold, encryption)",
    ),
    (
        &["ObjectLockConfigurationNotFoundError", "InvalidRequest", "InvalidBucketState"],
        "if archive.object_lock or legal_hold is set, make the bucket with Object Lock",
    ),
    (
        &["InvalidBucketName"],
        "correct the bucket's name, or the path of archive.endpoint (--endpoint)",
    ),
    (&["RequestTimeTooSkewed"], "synchronise the clock (NTP)"),
    (
        &[
            "RequestTimeout",
            "SlowDown",
            "ServiceUnavailable",
            "InternalError",
            "429",
            "500",
            "502",
            "503",
            "504",
        ],
        "the store is busy or restarts: run again later, or give it longer by archive.patience",
    ),
];

/// When nothing better is known.
const DEFAULT_HELP: &str =
    "check archive.endpoint (--endpoint), the credentials, and the store's own log";

impl Fault {
    /// One that the answer itself is, though it says that all went well.
    pub(super) fn unproven(reason: &str) -> Self {
        Self {
            status: None,
            code: None,
            reason: reason.to_owned(),
            is_passing: false,
            is_unreached: false,
            is_foreign: false,
            help: "something else than the store answers under its address (a proxy, a login page): check archive.endpoint (--endpoint)",
        }
    }

    /// Is it this answer, by the store's name or by its status?
    pub(super) fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }
}

impl<E: ProvideErrorMetadata + Error + 'static> From<SdkError<E>> for Fault {
    fn from(error: SdkError<E>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().map(ToOwned::to_owned);
        let said = causes(&error);
        let is_certificate = said.contains("certificate");
        let (is_passing, is_unreached) = match &error {
            SdkError::DispatchFailure(failure) if is_certificate => (false, failure.is_io()),
            SdkError::DispatchFailure(failure) if aws::is_lost(failure) => {
                (true, failure.is_io() || failure.is_timeout())
            }
            // A service of credentials that answers late may answer next time.
            SdkError::DispatchFailure(_) => (said.contains("timed out"), true),
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => (true, false),
            SdkError::ServiceError(answer) => {
                let is_success = answer.raw().status().is_success();
                let by_status = status.is_some_and(|status| PASSING_STATUS.contains(&status));
                let by_code = code.as_deref().is_some_and(|code| PASSING_CODES.contains(&code));
                // An answer that breaks off is asked for again; one that is none of S3's may be somebody else's.
                let is_no_answer = is_success && code.is_none();
                (by_status || by_code || is_no_answer, is_no_answer)
            }
            _ => (false, false),
        };
        let mut reason = aws::reason("S3", &error);
        let region =
            error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
        if let Some(region) = region.filter(|_| status.is_some_and(|status| status >= 300)) {
            reason = format!("{reason} (the bucket is in {region})");
        }
        let help = match &error {
            SdkError::DispatchFailure(_) if is_certificate => {
                "name the store's certificate authority in AWS_CA_BUNDLE"
            }
            SdkError::DispatchFailure(_) if said.contains("lookup") || said.contains("resolve") => {
                "check the host name and this machine's DNS; a store that has no name for each bucket needs archive.path_style: true (--path-style)"
            }
            SdkError::DispatchFailure(failure) if !aws::is_lost(failure) => {
                "give credentials as AWS tools take them: environment, profile, web identity, container or instance"
            }
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => {
                "check archive.endpoint (--endpoint), the network and the proxies"
            }
            _ => advice(code.as_deref(), status),
        };
        Self { status, code, reason, is_passing, is_unreached, is_foreign: false, help }
    }
}

/// By the name first; some stores answer with a status alone.
fn advice(code: Option<&str>, status: Option<u16>) -> &'static str {
    let status = status.map(|status| status.to_string());
    let by = |name: Option<&str>| {
        let name = name?;
        ADVICE.iter().find(|(names, _)| names.contains(&name)).map(|(_, help)| *help)
    };
    by(code).or_else(|| by(status.as_deref())).unwrap_or(DEFAULT_HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_follows_the_name_and_then_the_status() {
        assert!(advice(Some("RequestTimeTooSkewed"), Some(403)).contains("clock"));
        assert!(advice(Some("OfThisStoreAlone"), Some(403)).contains("allow"));
        assert!(advice(None, Some(503)).contains("patience"));
        assert_eq!(advice(None, None), DEFAULT_HELP);
    }
}
