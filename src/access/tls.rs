//! TLS to an API server as client-go does it: what Go's library takes beside what rustls takes by itself is
//! here, and nothing else.
//!
//! - A certificate that is itself among the trusted ones needs no issuer.
//! - Client certificates of X.509 version 1.
//! - Keys on P-521, and signatures with SHA-512 by keys on other curves.

use std::fmt;
use std::sync::{Arc, OnceLock};

use p521::ecdsa::signature::Signer as _;
use p521::ecdsa::signature::hazmat::PrehashVerifier as _;
use p521::ecdsa::{Signature, SigningKey as P521Key};
use p521::pkcs8::DecodePrivateKey as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, PrivateKeyDer, ServerName,
    SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureAlgorithm, SignatureScheme,
};
use sha2::Digest as _;
use x509_cert::der::Decode as _;

use super::AccessError;

/// Whom to believe.
#[derive(Clone)]
pub(super) enum Trust {
    /// Anybody.
    Anybody,
    /// Those whom the system believes.
    System,
    /// These.
    Authorities(Vec<CertificateDer<'static>>),
}

/// Reads the certificates of a PEM file; other blocks and text between them are passed over.
pub(super) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty())
}

/// The client's side of TLS.
///
/// # Errors
/// [`AccessError::Tls`].
pub(super) fn client(
    trust: &Trust,
    certificate: Option<&(Vec<u8>, Vec<u8>)>,
) -> Result<ClientConfig, AccessError> {
    let wrong = |what: &str| AccessError::Tls(what.to_owned());
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| wrong("no TLS version"))?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anybody => Arc::new(Anybody(provider.signature_verification_algorithms)),
        Trust::System => Arc::new(
            rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
                .map_err(|_| wrong("the certificates that the system trusts cannot be read"))?,
        ),
        Trust::Authorities(authorities) => {
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(authorities.iter().cloned());
            if added == 0 {
                return Err(wrong("the certificate authority is no certificate"));
            }
            let chains =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|_| wrong("the certificate authority cannot be used"))?;
            Arc::new(Listed { chains, listed: authorities.clone() })
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = certificate else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate)
        .ok_or_else(|| wrong("the client certificate is no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| wrong("the client key is no private key in PEM"))?;
    let key = match p521_key(&key) {
        Some(key) => Arc::new(key) as Arc<dyn SigningKey>,
        None => provider
            .key_provider
            .load_private_key(key)
            .map_err(|_| wrong("the client key is of a kind that is not supported"))?,
    };
    let certified = CertifiedKey::new(chain, key);
    if !is_pair(&certified) {
        return Err(wrong("the client key does not belong to the client certificate"));
    }
    Ok(builder.with_client_cert_resolver(Arc::new(One(Arc::new(certified)))))
}

/// Does the key belong to the certificate?
fn is_pair(certified: &CertifiedKey) -> bool {
    let certificate = certified.cert.first().and_then(|der| {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let key = certificate.tbs_certificate().subject_public_key_info();
        Some(key.subject_public_key.raw_bytes().to_vec())
    });
    let own = certified.key.public_key().and_then(|key| {
        let key = x509_cert::spki::SubjectPublicKeyInfoOwned::from_der(&key).ok()?;
        Some(key.subject_public_key.raw_bytes().to_vec())
    });
    // Version 1 has no form that the library reads; then the server decides.
    certificate.is_none() || own.is_none() || certificate == own
}

/// Ring, and what Go takes beside it.
fn provider() -> CryptoProvider {
    static EXTENDED: OnceLock<WebPkiSupportedAlgorithms> = OnceLock::new();
    let mut provider = rustls::crypto::ring::default_provider();
    let of_ring = provider.signature_verification_algorithms;
    provider.signature_verification_algorithms = *EXTENDED.get_or_init(|| {
        let all: Vec<_> = of_ring.all.iter().copied().chain(BESIDE_RING).collect();
        let scheme = (SignatureScheme::ECDSA_NISTP521_SHA512, &BESIDE_RING[..1]);
        let mapping: Vec<_> = of_ring.mapping.iter().copied().chain([scheme]).collect();
        // Once in a process.
        WebPkiSupportedAlgorithms { all: all.leak(), mapping: mapping.leak() }
    });
    provider
}

/// ECDSA of pairs of a curve and a hash that ring does not have.
const BESIDE_RING: [&dyn SignatureVerificationAlgorithm; 4] = [
    &Ecdsa { key: alg_id::ECDSA_P521, signature: alg_id::ECDSA_SHA512, verify: on_p521 },
    &Ecdsa { key: alg_id::ECDSA_P521, signature: alg_id::ECDSA_SHA384, verify: on_p521 },
    &Ecdsa { key: alg_id::ECDSA_P384, signature: alg_id::ECDSA_SHA512, verify: on_p384 },
    &Ecdsa { key: alg_id::ECDSA_P256, signature: alg_id::ECDSA_SHA512, verify: on_p256 },
];

/// Verifies the signature of a hash by a key (SEC 1).
type Verify = fn(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()>;

#[derive(Debug)]
struct Ecdsa {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    verify: Verify,
}

macro_rules! on_curve {
    ($name:ident, $curve:ident) => {
        fn $name(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
            let signature = $curve::ecdsa::Signature::from_der(signature).ok()?;
            key.verify_prehash(hash, &signature).ok()
        }
    };
}

on_curve!(on_p256, p256);
on_curve!(on_p384, p384);
on_curve!(on_p521, p521);

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let hash = if self.signature == alg_id::ECDSA_SHA384 {
            sha2::Sha384::digest(message).to_vec()
        } else {
            sha2::Sha512::digest(message).to_vec()
        };
        (self.verify)(public_key, &hash, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

/// A key on P-521, in PKCS#8 or by itself (SEC 1).
fn p521_key(key: &PrivateKeyDer<'_>) -> Option<KeyOnP521> {
    let key = match key {
        PrivateKeyDer::Pkcs8(der) => P521Key::from_pkcs8_der(der.secret_pkcs8_der()).ok()?,
        PrivateKeyDer::Sec1(der) => {
            p521::SecretKey::from_sec1_der(der.secret_sec1_der()).ok()?.into()
        }
        _ => return None,
    };
    Some(KeyOnP521(key))
}

#[derive(Clone)]
struct KeyOnP521(P521Key);

impl fmt::Debug for KeyOnP521 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key on P-521")
    }
}

impl SigningKey for KeyOnP521 {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP521_SHA512)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for KeyOnP521 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: Signature = self.0.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}

/// One certificate, of whatever version, for every server that asks for one.
#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesClientCert for One {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes chains up to the authorities, and each of them by itself.
#[derive(Debug)]
struct Listed {
    chains: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Listed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chained = self.chains.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        if chained.is_ok() || !self.listed.iter().any(|listed| listed == end_entity) {
            return chained;
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        let certificate = x509_cert::Certificate::from_der(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let validity = certificate.tbs_certificate().validity();
        let now = now.as_secs();
        if now < validity.not_before.to_unix_duration().as_secs() {
            return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
        }
        if now > validity.not_after.to_unix_duration().as_secs() {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Takes every certificate, as `insecure-skip-tls-verify` asks for. That its key signed is still checked.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
