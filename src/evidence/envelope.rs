//! DSSE envelopes (protocol v1.0.2), one Ed25519 signature or more, standard base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::key::KeyId;

/// Payload type of statements.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
/// Payload type of keyrings.
pub const KEYRING_TYPE: &str = "application/vnd.affidavit.keyring+json";

/// Pre-authentication encoding: what is signed (DSSE v1.0.2 protocol.md, "Signature Definition").
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut out = head.into_bytes();
    out.extend_from_slice(payload);
    out
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// Who says to have signed.
    pub key: KeyId,
    /// Ed25519 signature over [`pae`].
    pub bytes: [u8; 64],
}

/// An envelope, decoded but not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Media type of the payload.
    pub payload_type: String,
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// Signatures in order.
    pub signatures: Vec<EnvelopeSignature>,
}

/// Why bytes are not an envelope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not the JSON of an envelope, with a duplicate or unknown field, or in another spelling than
    /// ours: a second spelling of one signature would be a second file for one statement.
    #[error("not a DSSE envelope: {0}")]
    Malformed(String),
    /// Not standard base64 with padding (RFC 4648 section 4), or of the wrong length.
    #[error("`{field}` is not standard base64 of the right length")]
    Base64 {
        /// Which field.
        field: &'static str,
    },
    /// A `keyid` that is not 64 lower-case hex digits.
    #[error("`keyid` is not a SHA-256 in lower-case hex")]
    KeyId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Its bytes: compact JSON in the order of the DSSE document, with a newline.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = Wire {
            payload: STANDARD.encode(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: self
                .signatures
                .iter()
                .map(|signature| WireSignature {
                    keyid: signature.key.to_string(),
                    sig: STANDARD.encode(signature.bytes),
                })
                .collect(),
        };
        let mut bytes = serde_json::to_vec(&wire).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads exactly what [`to_bytes`](Self::to_bytes) writes.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let wire: Wire = serde_json::from_slice(bytes)
            .map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        let payload = STANDARD
            .decode(&wire.payload)
            .map_err(|_| EnvelopeError::Base64 { field: "payload" })?;
        let mut signatures = Vec::with_capacity(wire.signatures.len());
        for signature in &wire.signatures {
            let key = KeyId::from_hex(&signature.keyid).ok_or(EnvelopeError::KeyId)?;
            let bytes = STANDARD
                .decode(&signature.sig)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(EnvelopeError::Base64 { field: "sig" })?;
            signatures.push(EnvelopeSignature { key, bytes });
        }
        let envelope = Self { payload_type: wire.payload_type, payload, signatures };
        if envelope.to_bytes() == bytes {
            Ok(envelope)
        } else {
            Err(EnvelopeError::Malformed("another spelling than the one that is written".into()))
        }
    }

    /// Digest of the payload as an id: that of a first keyring may be trusted in place of root keys.
    #[must_use]
    pub fn payload_id(&self) -> KeyId {
        KeyId::from(Digest::of(&self.payload))
    }

    /// The bytes that each signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::digest::Digest;

    fn envelope() -> Envelope {
        Envelope {
            payload_type: STATEMENT_TYPE.into(),
            payload: b"{}".to_vec(),
            signatures: vec![EnvelopeSignature {
                key: KeyId::from_hex(&Digest::of(b"").to_string()).unwrap(),
                bytes: [7; 64],
            }],
        }
    }

    #[test]
    fn pae_is_as_the_protocol_document_shows() {
        // The example of protocol.md.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn only_one_spelling_is_read() {
        let bytes = envelope().to_bytes();
        assert_eq!(Envelope::parse(&bytes), Ok(envelope()));
        let text = String::from_utf8(bytes).unwrap();
        for other in [
            text.trim_end().to_owned(),
            text.replace("\":\"", "\": \""),
            text.replace("{\"payload\"", "{\"x\":1,\"payload\""),
            text.replace("\"signatures\"", "\"payload\":\"e30=\",\"signatures\""),
            text.replace("e30=", "e30"),
            text.replace("e30=", "e31="),
        ] {
            assert!(Envelope::parse(other.as_bytes()).is_err(), "{other}");
        }
    }
}
