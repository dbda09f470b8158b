//! A key in a token behind PKCS#11 (OASIS, version 2.40 with 3.0's `CKM_EDDSA`): a hardware module,
//! a network module, or `SoftHSM`.
//!
//! `pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/…/module.so` (RFC 7512). The vendor's
//! library is loaded when the signer is opened, and never in the verify-only program. A PIN in the
//! URI itself (`pin-value`) is refused: configurations are kept and copied.

use std::fmt;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::uri::{Attributes, shown};
use super::{KeyStore, Secret, SignError, Signer};
use crate::evidence::key::PublicKey;

/// What may stand before the `?`.
const PATH: [&str; 8] =
    ["token", "manufacturer", "model", "serial", "slot-id", "object", "id", "type"];

/// What may stand behind it.
const QUERY: [&str; 3] = ["module-path", "pin-source", "pin-value"];

/// An open session with a key found in it.
pub(super) struct Pkcs11Signer {
    uri: String,
    session: Session,
    key: ObjectHandle,
    public: PublicKey,
}

impl Pkcs11Signer {
    /// Logs in and finds the key pair. A PIN is tried once.
    pub(super) fn open(uri: &str, pin: Option<&Secret>) -> Result<Self, SignError> {
        let wanted = Wanted::parse(uri)?;
        let client = wanted.client()?;
        let (slot, token) = wanted.slot(&client)?;
        let session = client.open_ro_session(slot).map_err(|error| wanted.unreachable(&error))?;
        if token.login_required() {
            wanted.log_in(&session, pin)?;
        }
        let (key, public) = wanted.key_pair(&session)?;
        Ok(Self { uri: wanted.uri, session, key, public })
    }
}

impl Signer for Pkcs11Signer {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        // Without parameters: Ed25519 itself, neither with a context nor pre-hashed.
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signature = self
            .session
            .sign(&mechanism, self.key, message)
            .map_err(|error| unreachable(&self.uri, &error))?;
        signature.as_slice().try_into().map_err(|_| {
            key_error(&self.uri, format!("a signature has 64 bytes, not {}", signature.len()))
        })
    }
}

/// What a URI names.
struct Wanted {
    uri: String,
    path: Attributes,
    query: Attributes,
}

impl Wanted {
    fn parse(uri: &str) -> Result<Self, SignError> {
        let fault = |reason: String| SignError::Uri { uri: shown(uri), reason };
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let path = path.strip_prefix("pkcs11:").unwrap_or(path);
        let wanted = Self {
            uri: shown(uri),
            path: Attributes::parse(path, ';', &PATH).map_err(fault)?,
            query: Attributes::parse(query, '&', &QUERY).map_err(fault)?,
        };
        let reason = if wanted.query.bytes("pin-value").is_some() {
            "a PIN does not belong in a URI: use AFFIDAVIT_PKCS11_PIN or pin-source"
        } else if !wanted.query.text("module-path").is_some_and(|path| path.starts_with('/')) {
            "module-path must be the absolute path of the token's library"
        } else if wanted.path.bytes("object").or(wanted.path.bytes("id")).is_none() {
            "object or id must name the key"
        } else if !matches!(wanted.path.text("type"), None | Some("private")) {
            "type can only be private"
        } else {
            return Ok(wanted);
        };
        Err(fault(reason.to_owned()))
    }

    fn client(&self) -> Result<Pkcs11, SignError> {
        let module = self.query.text("module-path").unwrap_or_default();
        let client = Pkcs11::new(module).map_err(|error| self.unreachable(&error))?;
        match client.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another signer of this process has done it.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(client),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// The one token that is meant.
    fn slot(&self, client: &Pkcs11) -> Result<(Slot, TokenInfo), SignError> {
        let slots =
            client.get_slots_with_initialized_token().map_err(|error| self.unreachable(&error))?;
        let mut found = Vec::new();
        for slot in slots {
            let token = client.get_token_info(slot).map_err(|error| self.unreachable(&error))?;
            let is =
                |name, value: &str| self.path.bytes(name).is_none_or(|v| v == value.as_bytes());
            if is("token", token.label())
                && is("manufacturer", token.manufacturer_id())
                && is("model", token.model())
                && is("serial", token.serial_number())
                && is("slot-id", &slot.id().to_string())
            {
                found.push((slot, token));
            }
        }
        match (found.pop(), found.len()) {
            (Some(one), 0) => Ok(one),
            (None, _) => Err(key_error(&self.uri, "there is no such token".to_owned())),
            (Some(_), more) => {
                Err(key_error(&self.uri, format!("{} tokens are meant: add serial", more + 1)))
            }
        }
    }

    fn log_in(&self, session: &Session, pin: Option<&Secret>) -> Result<(), SignError> {
        let from_file = match (pin, self.query.text("pin-source")) {
            (None, Some(source)) => {
                let path = source.strip_prefix("file:").unwrap_or(source);
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.starts_with('/') {
                    return Err(SignError::Uri {
                        uri: self.uri.clone(),
                        reason: "pin-source must be the absolute path of a file".to_owned(),
                    });
                }
                Some(Secret::read(Path::new(path))?)
            }
            _ => None,
        };
        let Some(pin) = pin.or(from_file.as_ref()) else {
            return Err(SignError::SecretMissing {
                uri: self.uri.clone(),
                store: KeyStore::Pkcs11,
                what: "a PIN".to_owned(),
            });
        };
        let pin = AuthPin::new(pin.expose().into());
        match session.login(UserType::User, Some(&pin)) {
            // By another signer of this process.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(rv, _)) => {
                let reason = match rv {
                    RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
                        "wrong PIN".to_owned()
                    }
                    RvError::PinLocked => "the PIN is locked".to_owned(),
                    RvError::PinExpired => "the PIN has expired".to_owned(),
                    other => other.to_string(),
                };
                let store = KeyStore::Pkcs11;
                Err(SignError::Refused { uri: self.uri.clone(), store, reason })
            }
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// The private key's handle and the public key, which share `CKA_ID`, or the label where
    /// there is none. Nothing else of the private key is read.
    fn key_pair(&self, session: &Session) -> Result<(ObjectHandle, PublicKey), SignError> {
        let mut template = Vec::new();
        if let Some(label) = self.path.bytes("object") {
            template.push(Attribute::Label(label.to_vec()));
        }
        if let Some(id) = self.path.bytes("id") {
            template.push(Attribute::Id(id.to_vec()));
        }
        let key = self.one(session, ObjectClass::PRIVATE_KEY, &template)?;
        let id = self.attribute(session, key, AttributeType::Id)?;
        if let Some(Attribute::Id(id)) = id.filter(|id| *id != Attribute::Id(Vec::new())) {
            template = vec![Attribute::Id(id)];
        }
        let other = self.one(session, ObjectClass::PUBLIC_KEY, &template)?;
        let Some(Attribute::EcPoint(point)) =
            self.attribute(session, other, AttributeType::EcPoint)?
        else {
            return Err(key_error(&self.uri, "the token does not give its public key".to_owned()));
        };
        let public = ed25519_point(&point).and_then(|bytes| PublicKey::from_bytes(bytes).ok());
        match public {
            Some(public) => Ok((key, public)),
            None => Err(key_error(&self.uri, "its public key is no Ed25519 key".to_owned())),
        }
    }

    fn one(
        &self,
        session: &Session,
        class: ObjectClass,
        template: &[Attribute],
    ) -> Result<ObjectHandle, SignError> {
        let mut all = vec![Attribute::Class(class), Attribute::KeyType(KeyType::EC_EDWARDS)];
        all.extend_from_slice(template);
        let found = session.find_objects(&all).map_err(|error| self.unreachable(&error))?;
        let half = if class == ObjectClass::PRIVATE_KEY { "private" } else { "public" };
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(key_error(&self.uri, format!("there is no such {half} Edwards key"))),
            more => {
                Err(key_error(&self.uri, format!("{} {half} keys are meant: add id", more.len())))
            }
        }
    }

    fn attribute(
        &self,
        session: &Session,
        object: ObjectHandle,
        which: AttributeType,
    ) -> Result<Option<Attribute>, SignError> {
        let found = session.get_attributes(object, &[which]);
        Ok(found.map_err(|error| self.unreachable(&error))?.pop())
    }

    fn unreachable(&self, error: &Error) -> SignError {
        unreachable(&self.uri, error)
    }
}

/// `CKA_EC_POINT` of an Ed25519 key: 32 bytes (RFC 8032), raw or in a DER OCTET STRING. The
/// standard's versions differ in this, and so do tokens.
fn ed25519_point(point: &[u8]) -> Option<&[u8; 32]> {
    let raw = match point {
        [0x04, 0x20, raw @ ..] if raw.len() == 32 => raw,
        raw => raw,
    };
    raw.try_into().ok()
}

fn unreachable(uri: &str, error: &impl fmt::Display) -> SignError {
    let reason = error.to_string();
    SignError::Unreachable { uri: uri.to_owned(), store: KeyStore::Pkcs11, reason }
}

fn key_error(uri: &str, reason: String) -> SignError {
    SignError::Key { uri: uri.to_owned(), store: KeyStore::Pkcs11, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_raw_or_an_octet_string() {
        let raw = [7; 32];
        let der = [&[0x04, 0x20][..], &raw].concat();
        assert_eq!(ed25519_point(&raw), Some(&raw));
        assert_eq!(ed25519_point(&der), Some(&raw));
        for bad in [&[7; 31][..], &[7; 33], &[7; 57], &der[..33], &[0x03; 34], &[]] {
            assert_eq!(ed25519_point(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_uri_that_cannot_be_meant_is_refused_without_its_secrets() {
        for (uri, reason) in [
            ("pkcs11:object=k?module-path=/m.so&pin-value=s3cret", "does not belong in a URI"),
            ("pkcs11:object=k", "module-path"),
            ("pkcs11:object=k?module-path=m.so", "absolute"),
            ("pkcs11:token=t?module-path=/m.so", "object or id"),
            ("pkcs11:object=k;type=cert?module-path=/m.so", "type"),
            ("pkcs11:objekt=k?module-path=/m.so", "token, manufacturer"),
            ("pkcs11:object=k?module-path=/m.so&pin=s3cret", "module-path, pin-source"),
        ] {
            let error = Wanted::parse(uri).err().unwrap().to_string();
            assert!(error.contains(reason), "{uri}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
