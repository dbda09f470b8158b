//! Signatures in CMS (RFC 5652), as far as timestamps and signed reports have them.
//!
//! The structures are read here, and not by a library, because what was signed must be hashed as it
//! stands.

use std::collections::BTreeSet;

use der::asn1::{Any, AnyRef, ObjectIdentifier, OctetString, SetOfVec};
use der::{Encode as _, Sequence, Tag, TagNumber, Tagged as _};
use sha2::Digest as _;
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifier;

use super::x509::{Certificate, Fault, Hash};

pub(super) const SIGNED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
pub(super) const CONTENT_TYPE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
pub(super) const MESSAGE_DIGEST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
pub(super) const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

#[derive(Sequence)]
pub(super) struct ContentInfo<'a> {
    pub(super) content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) content: AnyRef<'a>,
}

#[derive(Sequence)]
pub(super) struct SignedData<'a> {
    pub(super) version: u8,
    pub(super) digest_algorithms: SetOfVec<AnyRef<'a>>,
    /// `EncapsulatedContentInfo`, whose content may be elsewhere.
    pub(super) content: AnyRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) certificates: Option<SetOfVec<AnyRef<'a>>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) revocation: Option<SetOfVec<AnyRef<'a>>>,
    pub(super) signers: SetOfVec<AnyRef<'a>>,
}

impl SignedData<'_> {
    /// The certificates that can be read; others (attribute certificates) are not needed.
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        let set = self.certificates.as_ref().map(SetOfVec::as_slice).unwrap_or_default();
        let read = |encoded: &AnyRef<'_>| Certificate::from_der(&encoded.to_der().ok()?).ok();
        set.iter().filter_map(read).collect()
    }
}

#[derive(Sequence)]
pub(super) struct SignerInfo<'a> {
    pub(super) version: u8,
    /// `IssuerAndSerialNumber`, or `[0] SubjectKeyIdentifier`.
    pub(super) signer: AnyRef<'a>,
    pub(super) digest_algorithm: AlgorithmIdentifier<Any>,
    /// `[0] IMPLICIT SET OF Attribute`: always there in a token (RFC 5652 section 5.3).
    pub(super) signed_attributes: AnyRef<'a>,
    pub(super) signature_algorithm: AlgorithmIdentifier<Any>,
    pub(super) signature: OctetString,
    #[asn1(optional = "true")]
    pub(super) unsigned_attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct IssuerAndSerialNumber<'a> {
    pub(super) issuer: AnyRef<'a>,
    pub(super) serial: AnyRef<'a>,
}

/// What the signer signed: attributes, which hold the digest of the content.
pub(super) struct SignedAttributes {
    /// As they are hashed (RFC 5652 section 5.4).
    pub(super) bytes: Vec<u8>,
    pub(super) message_digest: Vec<u8>,
    /// Hashes of the signer's certificate; at least one.
    pub(super) certificate_hashes: Vec<(CertificateHash, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertificateHash {
    /// Of version 1 of the attribute (RFC 2634 section 5.4).
    Sha1,
    /// Of version 2 (RFC 5035 section 3), which leaves out the name of its default, SHA-256.
    Default,
    /// Of version 2, by the name of a hash.
    Named(Hash),
}

/// Both versions: the first certificate is the signer's.
#[derive(Sequence)]
struct SigningCertificate<'a> {
    certificates: Vec<AnyRef<'a>>,
    #[asn1(optional = "true")]
    policies: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct EssCertId<'a> {
    hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct EssCertIdV2<'a> {
    /// SHA-256 when absent.
    #[asn1(optional = "true")]
    hash_algorithm: Option<AlgorithmIdentifier<Any>>,
    hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<AnyRef<'a>>,
}

impl SignedAttributes {
    /// `[0] IMPLICIT SET OF Attribute`, over a content of that type; `other` is said of another.
    pub(super) fn read(
        encoded: AnyRef<'_>,
        of: ObjectIdentifier,
        other: Fault,
    ) -> Result<Self, Fault> {
        const MALFORMED: Fault = "the signed attributes are not a DER set";
        if encoded.tag() != (Tag::ContextSpecific { constructed: true, number: TagNumber(0) }) {
            return Err("the signer has no signed attributes");
        }
        let set = AnyRef::new(Tag::Set, encoded.value()).map_err(|_| MALFORMED)?;
        let bytes = set.to_der().map_err(|_| MALFORMED)?;
        let attributes: SetOfVec<Attribute> = set.decode_as().map_err(|_| MALFORMED)?;
        let mut seen = BTreeSet::new();
        let mut content_type = None;
        let mut message_digest = None;
        let mut certificate_hashes = Vec::new();
        for attribute in attributes.iter() {
            if !seen.insert(attribute.oid) {
                return Err("a signed attribute is there twice");
            }
            let [value] = attribute.values.as_slice() else { continue };
            match attribute.oid {
                CONTENT_TYPE => content_type = value.decode_as::<ObjectIdentifier>().ok(),
                MESSAGE_DIGEST => message_digest = value.decode_as::<OctetString>().ok(),
                SIGNING_CERTIFICATE => certificate_hashes.push(certificate_hash(value, 1)?),
                SIGNING_CERTIFICATE_V2 => certificate_hashes.push(certificate_hash(value, 2)?),
                _ => {}
            }
        }
        if content_type != Some(of) {
            return Err(other);
        }
        let message_digest =
            message_digest.ok_or("the signed attributes have no message digest")?;
        if certificate_hashes.is_empty() {
            return Err("the signed attributes name no certificate");
        }
        Ok(Self { bytes, message_digest: message_digest.as_bytes().to_vec(), certificate_hashes })
    }

    /// Is this the certificate that they name?
    pub(super) fn names(&self, certificate: &Certificate) -> bool {
        let der = certificate.as_der();
        self.certificate_hashes.iter().all(|(hash, value)| match hash {
            CertificateHash::Sha1 => sha1::Sha1::digest(der).as_slice() == value,
            CertificateHash::Default => Hash::Sha256.of(der) == *value,
            CertificateHash::Named(hash) => hash.of(der) == *value,
        })
    }
}

/// The hash of the signer's certificate in a `SigningCertificate` or `SigningCertificateV2`.
fn certificate_hash(value: &Any, version: u8) -> Result<(CertificateHash, Vec<u8>), Fault> {
    const MALFORMED: Fault = "the signing certificate attribute is malformed";
    let list: SigningCertificate<'_> = value.decode_as().map_err(|_| MALFORMED)?;
    let first = list.certificates.first().ok_or(MALFORMED)?;
    if version == 1 {
        let id: EssCertId<'_> = first.decode_as().map_err(|_| MALFORMED)?;
        return Ok((CertificateHash::Sha1, id.hash.as_bytes().to_vec()));
    }
    let id: EssCertIdV2<'_> = first.decode_as().map_err(|_| MALFORMED)?;
    let hash = match &id.hash_algorithm {
        None => CertificateHash::Default,
        Some(algorithm) => CertificateHash::Named(
            Hash::named(algorithm)
                .ok_or("the signing certificate is not named by SHA-256, 384 or 512")?,
        ),
    };
    Ok((hash, id.hash.as_bytes().to_vec()))
}
