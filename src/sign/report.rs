//! Who signs the report PDF: a key with an X.509 certificate, because readers of PDF know no other.

use std::path::{Path, PathBuf};

use der::Decode as _;
use der::asn1::OctetStringRef;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey as Ed25519Key;
use jiff::Timestamp;
use p256::ecdsa::SigningKey as P256Key;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};

use super::file::{file_error, read_private};
use super::{Passphrase, SignError};
use crate::evidence::pades::{self, Algorithm, PlaceError, Prepared, Signed};
use crate::evidence::timestamp;
use crate::remote;

const P256: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const EC_PUBLIC_KEY: pkcs8::ObjectIdentifier =
    pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.3.101.112");

/// A key with its certificate.
pub struct ReportSigner {
    key: Key,
    /// DER, its own first.
    certificates: Vec<Vec<u8>>,
    path: PathBuf,
    /// Address of a timestamping authority.
    authority: Option<String>,
}

/// A signed report.
pub struct SignedReport {
    /// The PDF.
    pub pdf: Vec<u8>,
    /// Why the signature has no timestamp though one was wanted.
    pub without_timestamp: Option<String>,
}

enum Key {
    P256(Box<P256Key>),
    Ed25519(Box<Ed25519Key>),
}

/// `ECPrivateKey` (RFC 5915) as far as it is needed.
#[derive(der::Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    parameters: Option<der::asn1::AnyRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    public_key: Option<der::asn1::AnyRef<'a>>,
}

impl ReportSigner {
    /// Reads a private key (PKCS#8 PEM, ECDSA P-256 or Ed25519, maybe under a passphrase) and its
    /// certificate with those of its issuers (PEM). The certificate must be of this key, and valid `at`
    /// the time of the run.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn open(
        key: &Path,
        certificate: &Path,
        passphrase: Option<&Passphrase>,
        authority: Option<&str>,
        at: Timestamp,
    ) -> Result<Self, SignError> {
        let (key, public) = read_key(key, passphrase)?;
        let pem = std::fs::read_to_string(certificate);
        let pem = pem.map_err(|error| file_error(certificate, error))?;
        let certificates = pades::certificates(&pem)
            .map_err(|fault| file_error(certificate, format!("certificates in PEM: {fault}")))?;
        let own = certificates.first().map(Vec::as_slice).unwrap_or_default();
        let own = x509_cert::Certificate::from_der(own)
            .map_err(|error| file_error(certificate, error))?;
        let fields = own.tbs_certificate();
        let found = fields.subject_public_key_info().subject_public_key.raw_bytes();
        if found != public {
            return Err(file_error(certificate, "it is the certificate of another key"));
        }
        let seconds = |time: &x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let validity = fields.validity();
        if at.as_second() < seconds(&validity.not_before) {
            return Err(file_error(certificate, "it is not valid yet"));
        }
        if at.as_second() > seconds(&validity.not_after) {
            return Err(file_error(certificate, "it is not valid any more"));
        }
        let authority = authority.map(ToOwned::to_owned);
        Ok(Self { key, certificates, path: certificate.to_owned(), authority })
    }

    /// Signs a PDF that this program rendered. Without a timestamp, equal input gives equal bytes: Ed25519
    /// and ECDSA as RFC 6979 has it draw no random numbers. An authority that does not answer does not
    /// keep evidence from being sealed.
    ///
    /// # Errors
    /// [`SignError::File`].
    pub fn sign(&self, pdf: &[u8], at: Timestamp) -> Result<SignedReport, SignError> {
        let failed = |error: PlaceError| file_error(&self.path, error);
        let prepared = Prepared::new(pdf, at).map_err(failed)?;
        let algorithm = match self.key {
            Key::P256(_) => Algorithm::EcdsaP256,
            Key::Ed25519(_) => Algorithm::Ed25519,
        };
        let mut without_timestamp = None;
        let pdf = prepared.sign(&self.certificates, algorithm, |message| {
            let signature = match &self.key {
                Key::P256(key) => {
                    let signature: p256::ecdsa::Signature = key.sign(message);
                    signature.to_der().as_bytes().to_vec()
                }
                Key::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            };
            let token = match self.authority.as_deref().map(|url| stamp(url, &signature)) {
                None => None,
                Some(Ok(token)) => Some(token),
                Some(Err(reason)) => {
                    without_timestamp = Some(reason);
                    None
                }
            };
            Ok(Signed { signature, token })
        });
        Ok(SignedReport { pdf: pdf.map_err(failed)?, without_timestamp })
    }
}

/// A timestamp over a signature.
fn stamp(url: &str, signature: &[u8]) -> Result<Vec<u8>, String> {
    let request = timestamp::request(signature, None);
    let answer = remote::post(url, "application/timestamp-query", request)?;
    timestamp::token_over(&answer, signature).map_err(|error| format!("{url}: {error}"))
}

/// The key and its public half as certificates write it.
fn read_key(path: &Path, passphrase: Option<&Passphrase>) -> Result<(Key, Vec<u8>), SignError> {
    let pem = read_private(path)?;
    let other = || file_error(path, "neither a P-256 nor an Ed25519 private key in PKCS#8 PEM");
    let (label, document) = SecretDocument::from_pem(&pem).map_err(|_| other())?;
    let document = if label == "ENCRYPTED PRIVATE KEY" {
        let Some(passphrase) = passphrase else {
            return Err(SignError::PassphraseMissing { path: path.to_owned() });
        };
        let encrypted = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes());
        let wrong = |_| SignError::PassphraseWrong { path: path.to_owned() };
        encrypted.map_err(|_| other())?.decrypt(passphrase.expose()).map_err(wrong)?
    } else {
        document
    };
    let info = PrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|_| other())?;
    match info.algorithm.oid {
        EC_PUBLIC_KEY if info.algorithm.parameters_oid().is_ok_and(|curve| curve == P256) => {
            let inner = EcPrivateKey::from_der(info.private_key.as_bytes()).map_err(|_| other())?;
            let key = P256Key::from_slice(inner.key.as_bytes()).map_err(|_| other())?;
            let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
            Ok((Key::P256(Box::new(key)), public))
        }
        ED25519 => {
            let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes());
            let seed = seed.ok().and_then(|seed| <[u8; 32]>::try_from(seed.as_bytes()).ok());
            let key = Ed25519Key::from_bytes(&seed.ok_or_else(other)?);
            let public = key.verifying_key().as_bytes().to_vec();
            Ok((Key::Ed25519(Box::new(key)), public))
        }
        _ => Err(other()),
    }
}
