//! Certificates of timestamp authorities (RFC 5280) and the signatures by their keys.
//!
//! What is here is what a timestamp needs: a path of CA certificates up to a certificate that the
//! caller trusts, as of a moment in the past. No revocation lists, no policies, no name
//! constraints: a certificate that demands one of them by a critical extension is refused.

use std::collections::BTreeSet;

use der::asn1::{Any, AnyRef, ObjectIdentifier};
use der::oid::AssociatedOid;
use der::referenced::OwnedToRef as _;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use rsa::Pss;
use rsa::pkcs1::RsaPssParamsOwned;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::signature::hazmat::PrehashVerifier as _;
use rsa::traits::PublicKeyParts as _;
use sha2::Digest as _;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfoOwned};

use super::key::PublicKey;

type Algorithm = AlgorithmIdentifier<Any>;

const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// RSA with PKCS #1 v1.5 padding (RFC 4055 section 5).
const RSA_WITH: [(ObjectIdentifier, Hash); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), Hash::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), Hash::Sha384),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), Hash::Sha512),
];
/// ECDSA (RFC 5758 section 3.2).
const ECDSA_WITH: [(ObjectIdentifier, Hash); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), Hash::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), Hash::Sha384),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), Hash::Sha512),
];

/// Smallest RSA modulus, in bits (NIST SP 800-131A). The library refuses more than 8192.
const MIN_RSA_BITS: u32 = 2048;

/// A hash function that is still sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The hash of that name; its parameters are absent or NULL (RFC 5754 section 2).
    pub(super) fn named(algorithm: &Algorithm) -> Option<Self> {
        is_bare(algorithm).then(|| Self::by_id(algorithm.oid)).flatten()
    }

    fn by_id(id: ObjectIdentifier) -> Option<Self> {
        match id {
            sha2::Sha256::OID => Some(Self::Sha256),
            sha2::Sha384::OID => Some(Self::Sha384),
            sha2::Sha512::OID => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(super) fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(message).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(message).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(message).to_vec(),
        }
    }
}

fn is_bare(algorithm: &Algorithm) -> bool {
    algorithm.parameters.as_ref().is_none_or(|parameters| *parameters == Any::null())
}

/// Why a certificate does not hold. The text follows "the certificate of …: ".
pub(super) type Fault = &'static str;

/// A certificate, with the bytes as they were signed.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    der: Vec<u8>,
    signed: Vec<u8>,
    parsed: x509_cert::Certificate,
}

/// Reads one or more certificates in PEM; other text between them is passed over.
pub(super) fn from_pem(pem: &str) -> Result<Vec<Certificate>, Fault> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut certificates = Vec::new();
    for part in pem.split(BEGIN).skip(1) {
        let (body, _) = part.split_once(END).ok_or("one is cut off")?;
        let (_, document) = der::Document::from_pem(&format!("{BEGIN}{body}{END}\n"))
            .map_err(|_| "one is not base64")?;
        let certificate =
            Certificate::from_der(document.as_bytes()).map_err(|_| "one is malformed")?;
        certificates.push(certificate);
    }
    if certificates.is_empty() { Err("none in this file") } else { Ok(certificates) }
}

/// The extensions that are understood.
#[derive(Default)]
struct Extensions {
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<(ExtendedKeyUsage, bool)>,
}

impl Certificate {
    pub(super) fn from_der(der: &[u8]) -> Result<Self, der::Error> {
        let parsed = x509_cert::Certificate::from_der(der)?;
        let mut reader = SliceReader::new(der)?;
        let signed = reader.sequence(|fields| -> Result<_, der::Error> {
            let signed = fields.tlv_bytes()?.to_vec();
            fields.drain(fields.remaining_len())?;
            Ok(signed)
        })?;
        Ok(Self { der: der.to_vec(), signed, parsed })
    }

    pub(super) fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Its subject (RFC 4514), for people.
    pub(super) fn subject(&self) -> String {
        let name = self.parsed.tbs_certificate().subject().to_string();
        name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    }

    /// Is it the one of that issuer and serial number?
    pub(super) fn is(&self, issuer: AnyRef<'_>, serial: AnyRef<'_>) -> bool {
        let fields = self.parsed.tbs_certificate();
        let equal = |own: der::Result<Vec<u8>>, other: AnyRef<'_>| matches!((own, other.to_der()), (Ok(own), Ok(other)) if own == other);
        equal(fields.issuer().to_der(), issuer) && equal(fields.serial_number().to_der(), serial)
    }

    /// Is its `subjectKeyIdentifier` this one?
    pub(super) fn has_key_identifier(&self, identifier: &[u8]) -> bool {
        use x509_cert::ext::pkix::SubjectKeyIdentifier;
        let found = self.parsed.tbs_certificate().get_extension::<SubjectKeyIdentifier>();
        matches!(found, Ok(Some((_, own))) if own.0.as_bytes() == identifier)
    }

    /// Is this a signature by its key? See [`verify`] for `hash`.
    pub(super) fn signed(
        &self,
        algorithm: &Algorithm,
        hash: Option<Hash>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Fault> {
        let key = self.parsed.tbs_certificate().subject_public_key_info();
        verify(key, algorithm, hash, message, signature)
    }

    /// May its key sign timestamps at that time (RFC 3161 section 2.3)?
    pub(super) fn may_stamp(&self, at: i64) -> Result<(), Fault> {
        self.is_valid(at)?;
        let extensions = self.extensions()?;
        let usage = &extensions.key_usage;
        if usage
            .as_ref()
            .is_some_and(|usage| !usage.digital_signature() && !usage.non_repudiation())
        {
            return Err("its key usage does not allow signatures");
        }
        match extensions.extended_key_usage {
            Some((ExtendedKeyUsage(usages), true)) if usages == [TIME_STAMPING] => Ok(()),
            Some((ExtendedKeyUsage(usages), false)) if usages == [TIME_STAMPING] => {
                Err("its extended key usage is not critical")
            }
            _ => Err("its one extended key usage is not timeStamping"),
        }
    }

    /// May its key sign certificates at that time, with so many CA certificates below it?
    fn may_issue(&self, below: usize, at: i64) -> Result<(), Fault> {
        self.is_valid(at)?;
        let extensions = self.extensions()?;
        let Some(BasicConstraints { ca: true, path_len_constraint }) = extensions.basic_constraints
        else {
            return Err("it is no CA certificate");
        };
        if path_len_constraint.is_some_and(|longest| below > usize::from(longest)) {
            return Err("it allows no path of that length");
        }
        if extensions.key_usage.is_some_and(|usage| !usage.key_cert_sign()) {
            return Err("its key usage does not allow to sign certificates");
        }
        match extensions.extended_key_usage {
            Some((ExtendedKeyUsage(usages), _))
                if !usages.contains(&TIME_STAMPING)
                    && !usages.contains(&ANY_EXTENDED_KEY_USAGE) =>
            {
                Err("its extended key usage does not include timeStamping")
            }
            _ => Ok(()),
        }
    }

    fn is_valid(&self, at: i64) -> Result<(), Fault> {
        let validity = self.parsed.tbs_certificate().validity();
        let seconds = |time: &x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        if at < seconds(&validity.not_before) {
            return Err("it was not valid yet at the time of the timestamp");
        }
        if at > seconds(&validity.not_after) {
            return Err("it was not valid any more at the time of the timestamp");
        }
        Ok(())
    }

    fn extensions(&self) -> Result<Extensions, Fault> {
        let mut known = Extensions::default();
        let mut seen = BTreeSet::new();
        for extension in self.parsed.tbs_certificate().extensions().into_iter().flatten() {
            let value = extension.extn_value.as_bytes();
            if !seen.insert(extension.extn_id) {
                return Err("it has an extension twice");
            }
            let read = match extension.extn_id {
                BasicConstraints::OID => BasicConstraints::from_der(value)
                    .map(|constraints| known.basic_constraints = Some(constraints)),
                KeyUsage::OID => {
                    KeyUsage::from_der(value).map(|usage| known.key_usage = Some(usage))
                }
                ExtendedKeyUsage::OID => ExtendedKeyUsage::from_der(value)
                    .map(|usage| known.extended_key_usage = Some((usage, extension.critical))),
                _ if extension.critical => {
                    return Err("it has a critical extension that is not supported");
                }
                _ => Ok(()),
            };
            read.map_err(|_| "it has a malformed extension")?;
        }
        Ok(known)
    }

    fn is_issued_by(&self, issuer: &Self) -> Result<(), Fault> {
        let fields = self.parsed.tbs_certificate();
        let algorithm = self.parsed.signature_algorithm();
        if fields.signature() != algorithm {
            return Err("its two signature algorithms differ");
        }
        let signature = self.parsed.signature().as_bytes().ok_or("its signature is wrong")?;
        issuer.signed(algorithm, None, &self.signed, signature)
    }
}

/// Is there a path from `leaf` through `intermediates` to one of `authorities`, all of whose
/// certificates hold at that time? `leaf` itself has been looked at already.
///
/// # Errors
/// Whose certificate does not hold, and why: the first that was met, else that nobody known
/// issued one.
pub(super) fn check_path(
    leaf: &Certificate,
    intermediates: &[Certificate],
    authorities: &[Certificate],
    at: i64,
) -> Result<(), (String, Fault)> {
    let mut first_fault = None;
    let mut known: Vec<&Certificate> = authorities.iter().chain(intermediates).collect();
    // Breadth first, so that a certificate is reached by its shortest path, which is the one that
    // `pathLenConstraint` is kindest to; each certificate is looked at once.
    let mut reached = vec![leaf];
    for below in 0.. {
        if reached.is_empty() {
            break;
        }
        let mut next = Vec::new();
        for certificate in reached {
            if authorities.iter().any(|authority| authority.der == certificate.der) {
                return Ok(());
            }
            let issuer_name = certificate.parsed.tbs_certificate().issuer();
            known.retain(|issuer| {
                if issuer.parsed.tbs_certificate().subject() != issuer_name {
                    return true;
                }
                // Perhaps another key of the same name.
                if let Err(fault) = certificate.is_issued_by(issuer) {
                    first_fault.get_or_insert_with(|| (certificate.subject(), fault));
                    return true;
                }
                match issuer.may_issue(below, at) {
                    Ok(()) => next.push(*issuer),
                    Err(fault) => {
                        first_fault.get_or_insert_with(|| (issuer.subject(), fault));
                    }
                }
                false
            });
        }
        reached = next;
    }
    Err(first_fault.unwrap_or_else(|| (leaf.subject(), "no trusted authority stands behind it")))
}

const UNSUPPORTED: Fault = "a key or signature algorithm is not supported";

/// Is this a signature by the key? `hash` is for algorithms that do not name theirs: RSA in CMS
/// (RFC 3370 section 3.2).
fn verify(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &Algorithm,
    hash: Option<Hash>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Fault> {
    let right = match key.algorithm.oid {
        RSA_ENCRYPTION => verify_rsa(key, algorithm, hash, message, signature)?,
        EC_PUBLIC_KEY => verify_ecdsa(key, algorithm, message, signature)?,
        ED25519 if algorithm.oid == ED25519 && algorithm.parameters.is_none() => {
            let bytes = key.subject_public_key.as_bytes().and_then(|bytes| bytes.try_into().ok());
            let key = bytes.and_then(|bytes| PublicKey::from_bytes(bytes).ok());
            let key = key.ok_or(UNSUPPORTED)?;
            signature.try_into().is_ok_and(|signature| key.verifies(message, signature))
        }
        _ => return Err(UNSUPPORTED),
    };
    if right { Ok(()) } else { Err("a signature is wrong") }
}

fn verify_rsa(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &Algorithm,
    hash: Option<Hash>,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, Fault> {
    let key = rsa::PublicKey::try_from(key.owned_to_ref()).map_err(|_| UNSUPPORTED)?;
    if key.n().bit_width() < MIN_RSA_BITS {
        return Err("an RSA key is shorter than 2048 bits");
    }
    if algorithm.oid == RSA_PSS {
        let (hash, salt) = pss_parameters(algorithm).ok_or(UNSUPPORTED)?;
        let hashed = hash.of(message);
        let verified = match hash {
            Hash::Sha256 => {
                key.verify(Pss::<sha2::Sha256>::new_with_salt(salt), &hashed, signature)
            }
            Hash::Sha384 => {
                key.verify(Pss::<sha2::Sha384>::new_with_salt(salt), &hashed, signature)
            }
            Hash::Sha512 => {
                key.verify(Pss::<sha2::Sha512>::new_with_salt(salt), &hashed, signature)
            }
        };
        return Ok(verified.is_ok());
    }
    let hash = if algorithm.oid == RSA_ENCRYPTION { hash } else { named(&RSA_WITH, algorithm) };
    let hash = hash.filter(|_| is_bare(algorithm)).ok_or(UNSUPPORTED)?;
    let scheme = match hash {
        Hash::Sha256 => Pkcs1v15Sign::new::<sha2::Sha256>(),
        Hash::Sha384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
        Hash::Sha512 => Pkcs1v15Sign::new::<sha2::Sha512>(),
    };
    Ok(key.verify(scheme, &hash.of(message), signature).is_ok())
}

fn verify_ecdsa(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, Fault> {
    let hash = named(&ECDSA_WITH, algorithm).filter(|_| algorithm.parameters.is_none());
    let hashed = hash.ok_or(UNSUPPORTED)?.of(message);
    let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
    let point = key.subject_public_key.as_bytes().ok_or(UNSUPPORTED)?;
    match curve {
        Some(P256) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| UNSUPPORTED)?;
            let signature = p256::ecdsa::Signature::from_der(signature);
            Ok(signature.is_ok_and(|signature| key.verify_prehash(&hashed, &signature).is_ok()))
        }
        Some(P384) => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| UNSUPPORTED)?;
            let signature = p384::ecdsa::Signature::from_der(signature);
            Ok(signature.is_ok_and(|signature| key.verify_prehash(&hashed, &signature).is_ok()))
        }
        _ => Err(UNSUPPORTED),
    }
}

fn named(table: &[(ObjectIdentifier, Hash)], algorithm: &Algorithm) -> Option<Hash> {
    table.iter().find(|(id, _)| *id == algorithm.oid).map(|(_, hash)| *hash)
}

/// Hash and length of the salt; the mask's hash must be the same (RFC 4055 section 3.1).
fn pss_parameters(algorithm: &Algorithm) -> Option<(Hash, usize)> {
    let encoded = algorithm.parameters.as_ref()?.to_der().ok()?;
    let parameters = RsaPssParamsOwned::from_der(&encoded).ok()?;
    let hash = Hash::by_id(parameters.hash.oid)?;
    let mask = parameters.mask_gen.parameters?;
    (parameters.mask_gen.oid == MGF1 && Hash::by_id(mask.oid) == Some(hash))
        .then_some((hash, usize::from(parameters.salt_len)))
}
