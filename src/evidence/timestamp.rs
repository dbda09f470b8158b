//! Timestamps (RFC 3161, RFC 5816): the request, and what a response proves.
//!
//! A token says that its authority saw the hash of a message at a time. All is checked as of that
//! time, so an authority's certificate may have expired since.

use der::asn1::{Any, AnyRef, ObjectIdentifier, OctetString, Uint};
use der::oid::AssociatedOid as _;
use der::{Decode, Encode as _, Sequence, Tag, TagNumber, Tagged as _};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::Digest as _;
use x509_cert::ext::Extension;
use x509_cert::spki::AlgorithmIdentifier;

use super::cms::{
    ContentInfo, IssuerAndSerialNumber, SIGNED_DATA, SignedAttributes, SignedData, SignerInfo,
};
use super::x509::{self, Certificate, Hash, check_path};

/// Longest response that is read, in bytes. Real ones have 1 to 10 KiB.
pub const MAX_RESPONSE: usize = 64 << 10;
/// Most certificates in a token that are looked at: it bounds the signatures to check.
const MAX_CERTIFICATES: usize = 16;

const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// Certificates that the caller trusts: of CAs, or of timestamp authorities themselves.
#[derive(Clone, Debug)]
pub struct Authorities(Vec<Certificate>);

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// When the authority saw the hash of the message.
    pub time: Timestamp,
    /// How far off `time` may be, in seconds, rounded up; 0 when the token does not say.
    pub accuracy_seconds: u64,
    /// Subject of the signer's certificate (RFC 4514).
    pub authority: String,
    /// The authority's policy, an object identifier.
    pub policy: String,
    /// The nonce of the request; `None` when there is none, or one of more than 64 bits.
    pub nonce: Option<u64>,
}

/// Why a timestamp is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// The trusted certificates are unusable.
    #[error("not certificates in PEM: {0}")]
    Authorities(&'static str),
    /// Longer than [`MAX_RESPONSE`].
    #[error("a timestamp response of {found} bytes; at most {MAX_RESPONSE} are read")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// Not in the form that the standards demand.
    #[error("not a timestamp response (RFC 3161): {0}")]
    Malformed(&'static str),
    /// The authority refused.
    #[error("the authority refused the request with status {status}")]
    NotGranted {
        /// `PKIStatus` (RFC 3161 section 2.4.2).
        status: u32,
    },
    /// The token is over another message.
    #[error("the timestamp is over something else")]
    OtherMessage,
    /// A certificate does not hold, or its key did not sign.
    #[error("the certificate of `{subject}`: {fault}")]
    Certificate {
        /// Its subject.
        subject: String,
        /// Why.
        fault: &'static str,
    },
}

impl TimestampError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Authorities(_) => {
                "give a file with the CA certificate of the timestamp authority in PEM"
            }
            Self::TooLong { .. } | Self::Malformed(_) => {
                "keep the body of the authority's answer (application/timestamp-reply) as it is"
            }
            Self::NotGranted { .. } => "ask again, or ask another authority",
            Self::OtherMessage => "ask for a timestamp over this very checkpoint",
            Self::Certificate { .. } => {
                "give the CA certificate that the authority publishes, or ask another authority"
            }
        }
    }
}

#[derive(Sequence)]
struct MessageImprint {
    hash_algorithm: AlgorithmIdentifier<Any>,
    hashed_message: OctetString,
}

#[derive(Sequence)]
struct TimeStampReq {
    version: u8,
    message_imprint: MessageImprint,
    #[asn1(optional = "true")]
    nonce: Option<u64>,
    cert_req: bool,
}

#[derive(Sequence)]
struct TimeStampResp<'a> {
    status: PkiStatusInfo<'a>,
    #[asn1(optional = "true")]
    token: Option<ContentInfo<'a>>,
}

#[derive(Sequence)]
struct PkiStatusInfo<'a> {
    status: u32,
    #[asn1(optional = "true")]
    text_or_failure: Option<AnyRef<'a>>,
    #[asn1(optional = "true")]
    failure: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct EncapsulatedContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: OctetString,
}

#[derive(Sequence)]
struct TstInfo<'a> {
    version: u8,
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial: Uint,
    /// `GeneralizedTime` with parts of a second, which `der` does not read.
    time: AnyRef<'a>,
    #[asn1(optional = "true")]
    accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    ordering: bool,
    #[asn1(optional = "true")]
    nonce: Option<der::asn1::Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    authority: Option<AnyRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
struct Accuracy {
    #[asn1(optional = "true")]
    seconds: Option<u64>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    millis: Option<u16>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    micros: Option<u16>,
}

/// A request for a timestamp over `message`: DER `TimeStampReq` with a SHA-256 imprint, asking for
/// the certificates too. Without a nonce, equal messages make equal requests.
#[must_use]
pub fn request(message: &[u8], nonce: Option<u64>) -> Vec<u8> {
    let request = OctetString::new(sha2::Sha256::digest(message).as_slice()).map(|hashed| {
        let hash_algorithm =
            AlgorithmIdentifier { oid: sha2::Sha256::OID, parameters: Some(Any::null()) };
        let message_imprint = MessageImprint { hash_algorithm, hashed_message: hashed };
        TimeStampReq { version: 1, message_imprint, nonce, cert_req: true }
    });
    // Fails for lengths that 32 bytes and a number cannot have.
    request.and_then(|request| request.to_der()).unwrap_or_default()
}

impl Authorities {
    /// Reads one or more certificates in PEM; other text between them is passed over.
    ///
    /// # Errors
    /// [`TimestampError::Authorities`].
    pub fn from_pem(pem: &str) -> Result<Self, TimestampError> {
        let certificates = x509::from_pem(pem).map_err(TimestampError::Authorities)?;
        Ok(Self(certificates))
    }
}

/// Verifies a DER `TimeStampResp` over `message`.
///
/// # Errors
/// [`TimestampError`]: the first thing that does not hold.
pub fn verify(
    response: &[u8],
    message: &[u8],
    authorities: &Authorities,
) -> Result<Token, TimestampError> {
    if response.len() > MAX_RESPONSE {
        return Err(TimestampError::TooLong { found: response.len() });
    }
    let response: TimeStampResp<'_> = read(response, "not a DER `TimeStampResp`")?;
    let status = response.status.status;
    if status > 1 {
        return Err(TimestampError::NotGranted { status });
    }
    let token = response.token.ok_or(TimestampError::Malformed("it has no token"))?;
    if token.content_type != SIGNED_DATA {
        return Err(TimestampError::Malformed("the token is not CMS `SignedData`"));
    }
    let data: SignedData<'_> = token
        .content
        .decode_as()
        .map_err(|_| TimestampError::Malformed("the token is not DER `SignedData`"))?;
    let encapsulated: EncapsulatedContentInfo = data
        .content
        .decode_as()
        .map_err(|_| TimestampError::Malformed("the token is not DER `SignedData`"))?;
    if encapsulated.content_type != TST_INFO {
        return Err(TimestampError::Malformed("the token's content is not `TSTInfo`"));
    }
    let content = encapsulated.content.as_bytes();
    let info: TstInfo<'_> = read(content, "the token's content is not DER `TSTInfo`")?;
    let time = check_info(&info, message)?;

    let [signer] = data.signers.as_slice() else {
        return Err(TimestampError::Malformed("the token has not exactly one signer"));
    };
    let signer: SignerInfo<'_> = signer
        .decode_as()
        .map_err(|_| TimestampError::Malformed("the signer is not DER `SignerInfo`"))?;
    let certificates = certificates(&data)?;
    let other = "the signed content type is not `TSTInfo`";
    let attributes = SignedAttributes::read(signer.signed_attributes, TST_INFO, other)
        .map_err(TimestampError::Malformed)?;
    let hash = Hash::named(&signer.digest_algorithm)
        .ok_or(TimestampError::Malformed("the signer's digest is not SHA-256, 384 or 512"))?;
    if attributes.message_digest != hash.of(content) {
        return Err(TimestampError::Malformed("the signed digest is not that of the content"));
    }
    let is_signer = |certificate: &&Certificate| {
        identifies(signer.signer, certificate) && attributes.names(certificate)
    };
    let certificate = certificates.iter().chain(&authorities.0).find(is_signer).ok_or(
        TimestampError::Malformed("the certificate that the signer names is not in the token"),
    )?;
    let fault = |fault| TimestampError::Certificate { subject: certificate.subject(), fault };
    certificate
        .signed(
            &signer.signature_algorithm,
            Some(hash),
            &attributes.bytes,
            signer.signature.as_bytes(),
        )
        .map_err(fault)?;
    let at = time.as_second();
    certificate.may_stamp(at).map_err(fault)?;
    check_path(certificate, &certificates, &authorities.0, at)
        .map_err(|(subject, fault)| TimestampError::Certificate { subject, fault })?;
    Ok(Token {
        time,
        accuracy_seconds: info.accuracy.map_or(0, |accuracy| accuracy.seconds_up()),
        authority: certificate.subject(),
        policy: info.policy.to_string(),
        nonce: info.nonce.and_then(|nonce| u64_of(&nonce)),
    })
}

/// The token of a DER `TimeStampResp` over `message`, as it stands in a signature that it belongs to (RFC
/// 3161 appendix A). Whether its authority deserves trust is not looked at.
///
/// # Errors
/// [`TimestampError`]: it was not granted, or is over something else.
pub fn token_over(response: &[u8], message: &[u8]) -> Result<Vec<u8>, TimestampError> {
    const MALFORMED: TimestampError = TimestampError::Malformed("not a DER `TimeStampResp`");
    if response.len() > MAX_RESPONSE {
        return Err(TimestampError::TooLong { found: response.len() });
    }
    let parsed: TimeStampResp<'_> = read(response, "not a DER `TimeStampResp`")?;
    if parsed.status.status > 1 {
        return Err(TimestampError::NotGranted { status: parsed.status.status });
    }
    let token = parsed.token.ok_or(TimestampError::Malformed("it has no token"))?;
    let data: SignedData<'_> = token.content.decode_as().map_err(|_| MALFORMED)?;
    let content: EncapsulatedContentInfo = data.content.decode_as().map_err(|_| MALFORMED)?;
    let info: TstInfo<'_> =
        read(content.content.as_bytes(), "the token's content is not DER `TSTInfo`")?;
    check_info(&info, message)?;
    token.to_der().map_err(|_| MALFORMED)
}

fn read<'a, T: Decode<'a>>(bytes: &'a [u8], fault: &'static str) -> Result<T, TimestampError> {
    T::from_der(bytes).map_err(|_| TimestampError::Malformed(fault))
}

/// The time of a `TSTInfo` over this message.
fn check_info(info: &TstInfo<'_>, message: &[u8]) -> Result<Timestamp, TimestampError> {
    if info.version != 1 {
        return Err(TimestampError::Malformed("`TSTInfo` of another version than 1"));
    }
    if info.extensions.iter().flatten().any(|extension| extension.critical) {
        return Err(TimestampError::Malformed("`TSTInfo` has a critical extension"));
    }
    let imprint = &info.message_imprint;
    let hash = Hash::named(&imprint.hash_algorithm)
        .ok_or(TimestampError::Malformed("the imprint is not by SHA-256, 384 or 512"))?;
    if imprint.hashed_message.as_bytes() != hash.of(message) {
        return Err(TimestampError::OtherMessage);
    }
    parse_time(info.time).ok_or(TimestampError::Malformed("the time is not as RFC 3161 writes it"))
}

/// `YYYYMMDDhhmmss[.s…]Z`, without zeros at the end of the fraction (RFC 3161 section 2.4.2).
fn parse_time(encoded: AnyRef<'_>) -> Option<Timestamp> {
    let text = std::str::from_utf8(encoded.value()).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction_is_minimal = fraction.is_none_or(|fraction| {
        digits(fraction) && !fraction.is_empty() && fraction.len() <= 9 && !fraction.ends_with('0')
    });
    if encoded.tag() != Tag::GeneralizedTime
        || whole.len() != 14
        || !digits(whole)
        || !fraction_is_minimal
    {
        return None;
    }
    let time = DateTime::strptime("%Y%m%d%H%M%S%.f", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

fn u64_of(number: &der::asn1::Int) -> Option<u64> {
    number.to_der().ok().and_then(|der| u64::from_der(&der).ok())
}

impl Accuracy {
    /// Whole seconds, rounded up.
    fn seconds_up(&self) -> u64 {
        let has_part = self.millis.unwrap_or(0) > 0 || self.micros.unwrap_or(0) > 0;
        self.seconds.unwrap_or(0).saturating_add(u64::from(has_part))
    }
}

fn certificates(data: &SignedData<'_>) -> Result<Vec<Certificate>, TimestampError> {
    if data.certificates.as_ref().is_some_and(|set| set.len() > MAX_CERTIFICATES) {
        return Err(TimestampError::Malformed("the token has more than 16 certificates"));
    }
    Ok(data.certificates())
}

/// Does the `SignerIdentifier` name this certificate?
fn identifies(signer: AnyRef<'_>, certificate: &Certificate) -> bool {
    let key_identifier = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
    if signer.tag() == key_identifier {
        return certificate.has_key_identifier(signer.value());
    }
    signer
        .decode_as::<IssuerAndSerialNumber<'_>>()
        .is_ok_and(|named| certificate.is(named.issuer, named.serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<String> {
        let encoded = AnyRef::new(Tag::GeneralizedTime, text.as_bytes()).unwrap();
        parse_time(encoded).map(|time| time.to_string())
    }

    #[test]
    fn times_are_read_as_the_standard_writes_them() {
        assert_eq!(time("20261123203410Z").as_deref(), Some("2026-11-23T20:34:10Z"));
        assert_eq!(time("20261123203410.25Z").as_deref(), Some("2026-11-23T20:34:10.25Z"));
        for other in [
            "20261123203410",
            "202611232034Z",
            "20261123203410+0100",
            "20261123203410.Z",
            "20261123203410.250Z",
            "20261123203410,25Z",
            "20261323203410Z",
            "+2026112320341Z",
            "2026112320341 Z",
        ] {
            assert_eq!(time(other), None, "{other}");
        }
    }

    #[test]
    fn accuracy_is_rounded_up() {
        let up = |seconds, millis, micros| Accuracy { seconds, millis, micros }.seconds_up();
        assert_eq!(up(None, None, None), 0);
        assert_eq!(up(Some(2), None, None), 2);
        assert_eq!(up(Some(2), Some(1), None), 3);
        assert_eq!(up(None, None, Some(1)), 1);
        assert_eq!(up(Some(u64::MAX), Some(1), None), u64::MAX);
    }
}
