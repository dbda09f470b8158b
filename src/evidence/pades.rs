//! Signatures inside a PDF: `PAdES` baseline B-B (ETSI EN 319 142-1), a CMS signature (RFC 5652) with
//! `SubFilter` `ETSI.CAdES.detached`, added as an incremental update (ISO 32000-1, 7.5.6) to a file that
//! this program rendered.
//!
//! What is checked: that the signature covers the whole file, that the bytes are those that were signed,
//! and that the signature is by the key of the certificate in it. Whether that certificate deserves trust
//! is for the reader's program to say.

use std::ops::Range;

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use jiff::Timestamp;

use super::cms::{
    CONTENT_TYPE, CertificateHash, ContentInfo, IssuerAndSerialNumber, MESSAGE_DIGEST, SIGNED_DATA,
    SIGNING_CERTIFICATE_V2, SignedAttributes, SignedData, SignerInfo,
};
use super::x509::{self, Hash};

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNATURE_TIME_STAMP: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.14");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// Room for the CMS signature, in bytes; in the file it stands in hex, padded with zeros.
const ROOM: usize = 16 << 10;
/// Room for the four numbers of a `ByteRange`.
const RANGE_ROOM: usize = 48;

/// What signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256, which every reader of PDF knows.
    EcdsaP256,
    /// Ed25519 (RFC 8419), which few readers know.
    Ed25519,
}

/// Why a PDF cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PDF cannot be signed: {0}")]
pub struct PlaceError(&'static str);

/// Why a signature in a PDF does not hold.
pub type Fault = &'static str;

/// What a signature in a PDF shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Subject of the certificate, for people. Nobody has said that it deserves trust.
    pub subject: String,
}

/// A signature, maybe with a timestamp over it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// In the form of its algorithm: DER for ECDSA.
    pub signature: Vec<u8>,
    /// DER `TimeStampToken` over the signature (RFC 3161): it shows that the signature was there by then.
    pub token: Option<Vec<u8>>,
}

/// A PDF with room for a signature.
#[derive(Debug)]
pub struct Prepared {
    bytes: Vec<u8>,
    /// `<…>`: the room, with its brackets.
    hole: Range<usize>,
}

impl Prepared {
    /// Adds a signature field to a PDF, invisible and on its first page.
    ///
    /// # Errors
    /// [`PlaceError`] for a file that this program did not render.
    pub fn new(pdf: &[u8], at: Timestamp) -> Result<Self, PlaceError> {
        let file = File::read(pdf)?;
        let (field, signature) = (file.size, file.size + 1);
        let catalog = file.dictionary(file.root)?;
        if catalog.contains("/AcroForm") {
            return Err(PlaceError("it has a form already"));
        }
        let page_number = file.first_page(catalog)?;
        let page = file.dictionary(page_number)?;
        let page = match page.split_once("/Annots[") {
            Some((before, after)) => format!("{before}/Annots[{field} 0 R {after}"),
            None if page.contains("/Annots") => {
                return Err(PlaceError("the annotations of its first page stand elsewhere"));
            }
            None => with(page, &format!("/Annots[{field} 0 R]"))?,
        };
        let catalog = with(catalog, &format!("/AcroForm<</Fields[{field} 0 R]/SigFlags 3>>"))?;
        let mut bytes = pdf.to_vec();
        bytes.push(b'\n');
        let mut offsets = Vec::new();
        let mut object = |bytes: &mut Vec<u8>, number: usize, text: &str| {
            offsets.push((number, bytes.len()));
            bytes.extend(format!("{number} 0 obj\n{text}\nendobj\n").into_bytes());
        };
        object(&mut bytes, file.root, &catalog);
        object(&mut bytes, page_number, &page);
        object(
            &mut bytes,
            field,
            &format!(
                "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature)/TU(Digital signature of this report)\
                 /V {signature} 0 R/P {page_number} 0 R/F 132/Rect[0 0 0 0]>>"
            ),
        );
        let time = at.strftime("D:%Y%m%d%H%M%SZ");
        let range = " ".repeat(RANGE_ROOM);
        let room = "0".repeat(2 * ROOM);
        object(
            &mut bytes,
            signature,
            &format!(
                "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/M({time})\
                 /ByteRange[{range}]/Contents<{room}>>>"
            ),
        );
        let table = bytes.len();
        offsets.sort_unstable();
        let entry = |(number, offset): &(usize, usize)| {
            [number.to_string(), format!(" 1\n{offset:010} 00000 n\r\n")].concat()
        };
        let entries: Vec<String> = offsets.iter().map(entry).collect();
        let trailer = format!(
            "trailer\n<</Size {}/Root {} 0 R{}/Prev {}>>\nstartxref\n{table}\n%%EOF\n",
            file.size + 2,
            file.root,
            file.rest_of_trailer,
            file.table,
        );
        bytes.extend(["xref\n", &entries.concat(), &trailer].concat().into_bytes());
        let find = |text: &str| {
            memchr::memmem::rfind(&bytes, text.as_bytes()).ok_or(PlaceError("it is malformed"))
        };
        let start = find("/Contents<0000")? + "/Contents".len();
        let hole = start..start + 2 * ROOM + 2;
        let numbers = format!("0 {} {} {}", hole.start, hole.end, bytes.len() - hole.end);
        let from = find("/ByteRange[")? + "/ByteRange[".len();
        let slot = bytes.get_mut(from..from + numbers.len());
        slot.ok_or(PlaceError("it is malformed"))?.copy_from_slice(numbers.as_bytes());
        Ok(Self { bytes, hole })
    }

    /// Signs. `sign` gets the bytes to sign; `certificates` are DER, the signer's own first.
    ///
    /// # Errors
    /// What `sign` says, or [`PlaceError`] for more certificates than there is room for.
    pub fn sign<E: From<PlaceError>>(
        mut self,
        certificates: &[Vec<u8>],
        algorithm: Algorithm,
        sign: impl FnOnce(&[u8]) -> Result<Signed, E>,
    ) -> Result<Vec<u8>, E> {
        let digest = algorithm.hash().of(&covered(&self.bytes, &self.hole));
        let cms = cms(certificates, algorithm, &digest, sign)?;
        if cms.len() > ROOM {
            return Err(PlaceError("its certificates are too long").into());
        }
        let digit = |half: u8| char::from_digit(half.into(), 16).map_or(b'0', |digit| digit as u8);
        let hex: Vec<u8> =
            cms.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect();
        let start = self.hole.start + 1;
        if let Some(room) = self.bytes.get_mut(start..start + hex.len()) {
            room.copy_from_slice(&hex);
        }
        Ok(self.bytes)
    }
}

impl Algorithm {
    fn hash(self) -> Hash {
        match self {
            Self::EcdsaP256 => Hash::Sha256,
            Self::Ed25519 => Hash::Sha512,
        }
    }
}

/// All bytes but the signature itself.
fn covered(pdf: &[u8], hole: &Range<usize>) -> Vec<u8> {
    let mut bytes = pdf.get(..hole.start).unwrap_or_default().to_vec();
    bytes.extend_from_slice(pdf.get(hole.end..).unwrap_or_default());
    bytes
}

/// Puts entries at the end of a dictionary.
fn with(dictionary: &str, entries: &str) -> Result<String, PlaceError> {
    let inner =
        dictionary.trim_end().strip_suffix(">>").ok_or(PlaceError("an object is no dictionary"))?;
    Ok(format!("{inner}{entries}>>"))
}

/// A PDF with one classic cross-reference table, as this program renders it.
struct File<'a> {
    pdf: &'a [u8],
    table: usize,
    size: usize,
    root: usize,
    /// `/Info` and `/ID`, as they stand.
    rest_of_trailer: &'a str,
}

impl<'a> File<'a> {
    fn read(pdf: &'a [u8]) -> Result<Self, PlaceError> {
        const OTHER: PlaceError = PlaceError("its end is not as this program writes it");
        let tail = pdf.get(pdf.len().saturating_sub(2048)..).unwrap_or_default();
        let start = memchr::memmem::rfind(tail, b"trailer").ok_or(OTHER)?;
        let tail =
            tail.get(start..).and_then(|tail| std::str::from_utf8(tail).ok()).ok_or(OTHER)?;
        let (trailer, end) = tail.split_once("startxref").ok_or(OTHER)?;
        let table = end.trim().trim_end_matches("%%EOF").trim().parse().map_err(|_| OTHER)?;
        if !pdf.get(table..).is_some_and(|rest| rest.starts_with(b"xref\n0 "))
            || trailer.contains("/Prev")
        {
            return Err(OTHER);
        }
        let size = number_after(trailer, "/Size ").ok_or(OTHER)?;
        let root = number_after(trailer, "/Root ").ok_or(OTHER)?;
        let rest = trailer.find("/Info").and_then(|at| trailer.get(at..)).ok_or(OTHER)?;
        let rest_of_trailer = rest.trim_end().strip_suffix(">>").ok_or(OTHER)?;
        Ok(Self { pdf, table, size, root, rest_of_trailer })
    }

    /// The text of an object that is a dictionary without a stream.
    fn dictionary(&self, number: usize) -> Result<&'a str, PlaceError> {
        const OTHER: PlaceError = PlaceError("an object is not where its table says");
        let line = self.pdf.get(self.table..).unwrap_or_default();
        let first = 1 + memchr::memchr(b'\n', line.get(5..).unwrap_or_default()).ok_or(OTHER)? + 5;
        let entry = line.get(first + 20 * number..first + 20 * number + 10).ok_or(OTHER)?;
        let offset: usize =
            std::str::from_utf8(entry).ok().and_then(|text| text.parse().ok()).ok_or(OTHER)?;
        let object = self.pdf.get(offset..).unwrap_or_default();
        let end = memchr::memmem::find(object, b"endobj").ok_or(OTHER)?;
        let text =
            object.get(..end).and_then(|text| std::str::from_utf8(text).ok()).ok_or(OTHER)?;
        text.strip_prefix(&format!("{number} 0 obj")).map(str::trim).ok_or(OTHER)
    }

    fn first_page(&self, catalog: &str) -> Result<usize, PlaceError> {
        const OTHER: PlaceError = PlaceError("its pages cannot be found");
        let mut number = number_after(catalog, "/Pages ").ok_or(OTHER)?;
        // Deeper trees than this do not come out of a renderer.
        for _ in 0..32 {
            let node = self.dictionary(number)?;
            match number_after(node, "/Kids[") {
                Some(kid) => number = kid,
                None if node.contains("/Type/Page/") => return Ok(number),
                None => return Err(OTHER),
            }
        }
        Err(OTHER)
    }
}

fn number_after(text: &str, key: &str) -> Option<usize> {
    let (_, rest) = text.split_once(key)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A DER value (X.690) of parts.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let big = length.to_be_bytes();
            let digits: Vec<u8> = big.into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            bytes.extend(digits);
        }
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTETS: u8 = 0x04;
/// `[0]` and `[1]`, constructed.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;

fn oid(id: ObjectIdentifier) -> Vec<u8> {
    tlv(0x06, &[id.as_bytes()])
}

/// CMS `SignedData` over a digest, with one signer (ETSI EN 319 122-1, attributes of section 5).
fn cms<E>(
    certificates: &[Vec<u8>],
    algorithm: Algorithm,
    digest: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Signed, E>,
) -> Result<Vec<u8>, E> {
    let own = certificates.first().map(Vec::as_slice).unwrap_or_default();
    let (hash_id, signature_id) = match algorithm {
        Algorithm::EcdsaP256 => (SHA256, ECDSA_WITH_SHA256),
        Algorithm::Ed25519 => (SHA512, ED25519),
    };
    let hash = tlv(SEQUENCE, &[&oid(hash_id)]);
    let attribute = |id, value: &[u8]| tlv(SEQUENCE, &[&oid(id), &tlv(SET, &[value])]);
    let named = tlv(OCTETS, &[&Hash::Sha256.of(own)]);
    // ESSCertIDv2: SHA-256 is the default and therefore left out (RFC 5035 section 4).
    let named = tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&named])])]);
    let mut attributes = [
        attribute(CONTENT_TYPE, &oid(DATA)),
        attribute(MESSAGE_DIGEST, &tlv(OCTETS, &[digest])),
        attribute(SIGNING_CERTIFICATE_V2, &named),
    ];
    attributes.sort();
    let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
    let Signed { signature, token } = sign(&tlv(SET, &attributes))?;
    let unsigned = token
        .map_or_else(Vec::new, |token| tlv(CONTEXT_1, &[&attribute(SIGNATURE_TIME_STAMP, &token)]));
    let (issuer, serial) = issuer_and_serial(own).unwrap_or_default();
    let signer = tlv(
        SEQUENCE,
        &[
            &[0x02, 0x01, 0x01],
            &tlv(SEQUENCE, &[&issuer, &serial]),
            &hash,
            &tlv(CONTEXT_0, &attributes),
            &tlv(SEQUENCE, &[&oid(signature_id)]),
            &tlv(OCTETS, &[&signature]),
            &unsigned,
        ],
    );
    let mut sorted: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let data = tlv(
        SEQUENCE,
        &[
            &[0x02, 0x01, 0x01],
            &tlv(SET, &[&hash]),
            &tlv(SEQUENCE, &[&oid(DATA)]),
            &tlv(CONTEXT_0, &sorted),
            &tlv(SET, &[&signer]),
        ],
    );
    Ok(tlv(SEQUENCE, &[&oid(SIGNED_DATA), &tlv(CONTEXT_0, &[&data])]))
}

fn issuer_and_serial(certificate: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    let fields = parsed.tbs_certificate();
    Some((fields.issuer().to_der().ok()?, fields.serial_number().to_der().ok()?))
}

/// Reads certificates in PEM, as DER: the signer's own first.
///
/// # Errors
/// What is wrong with them.
pub fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let all = x509::from_pem(pem)?;
    Ok(all.iter().map(|certificate| certificate.as_der().to_vec()).collect())
}

/// Looks for a signature in a PDF; `None` when there is none.
///
/// # Errors
/// What does not hold: the signature must cover all of the file but itself, and be one by the key of
/// its certificate.
pub fn check(pdf: &[u8]) -> Result<Option<Signature>, Fault> {
    let mut ranges = memchr::memmem::find_iter(pdf, b"/ByteRange");
    let Some(at) = ranges.next() else {
        let has_field = memchr::memmem::find(pdf, b"ETSI.CAdES.detached").is_some()
            || memchr::memmem::find(pdf, b"/Type/Sig/").is_some();
        return if has_field { Err("it has a signature that covers nothing") } else { Ok(None) };
    };
    if ranges.next().is_some() {
        return Err("it has more than one signature");
    }
    let hole = hole_of(pdf, at)?;
    let encoded = pdf.get(hole.start + 1..hole.end - 1).unwrap_or_default();
    let cms = hex(encoded).ok_or("its signature is not in hex")?;
    let subject = check_cms(&cms, &covered(pdf, &hole))?;
    Ok(Some(Signature { subject }))
}

/// Where the signature stands: the one part of the file that the range leaves out.
fn hole_of(pdf: &[u8], at: usize) -> Result<Range<usize>, Fault> {
    const MALFORMED: Fault = "the range of its signature is malformed";
    let rest = pdf.get(at + "/ByteRange".len()..).unwrap_or_default();
    let rest = rest.strip_prefix(b"[").ok_or(MALFORMED)?;
    let end = memchr::memchr(b']', rest).filter(|end| *end <= 128).ok_or(MALFORMED)?;
    let text = rest.get(..end).and_then(|text| std::str::from_utf8(text).ok()).ok_or(MALFORMED)?;
    let numbers: Vec<usize> = text
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| MALFORMED)?;
    let [0, before, after, rest] = numbers.as_slice() else { return Err(MALFORMED) };
    if after.checked_add(*rest) != Some(pdf.len()) {
        return Err("its signature does not cover the whole file");
    }
    let is_hole = *before >= at
        && after > before
        && pdf.get(..*before).is_some_and(|start| start.ends_with(b"/Contents"))
        && pdf.get(*before) == Some(&b'<')
        && pdf.get(after - 1) == Some(&b'>');
    if is_hole { Ok(*before..*after) } else { Err("its signature leaves out more than itself") }
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}

/// Is this a signature over the content? Gives the subject of the certificate.
fn check_cms(bytes: &[u8], content: &[u8]) -> Result<String, Fault> {
    const MALFORMED: Fault = "its signature is not CMS as PAdES wants it";
    let mut reader = SliceReader::new(bytes).map_err(|_| MALFORMED)?;
    let info = ContentInfo::decode(&mut reader).map_err(|_| MALFORMED)?;
    // After it, zeros up to the end of the room.
    let length = usize::try_from(reader.position()).unwrap_or(usize::MAX);
    if bytes.get(length..).is_none_or(|rest| rest.iter().any(|byte| *byte != 0)) {
        return Err(MALFORMED);
    }
    if info.content_type != SIGNED_DATA {
        return Err(MALFORMED);
    }
    let data: SignedData<'_> = info.content.decode_as().map_err(|_| MALFORMED)?;
    let [signer] = data.signers.as_slice() else { return Err("it has not exactly one signer") };
    let signer: SignerInfo<'_> = signer.decode_as().map_err(|_| MALFORMED)?;
    // What no signature covers has one form only.
    let is_plain = data.version == 1
        && data.revocation.is_none()
        && signer.version == 1
        && data.content.to_der().is_ok_and(|content| content == tlv(SEQUENCE, &[&oid(DATA)]))
        && matches!(data.digest_algorithms.as_slice(), [one]
            if matches!((one.to_der(), signer.digest_algorithm.to_der()), (Ok(a), Ok(b)) if a == b));
    if !is_plain {
        return Err(MALFORMED);
    }
    let named: IssuerAndSerialNumber<'_> = signer.signer.decode_as().map_err(|_| MALFORMED)?;
    let certificates = data.certificates();
    let certificate = certificates
        .iter()
        .find(|certificate| certificate.is(named.issuer, named.serial))
        .ok_or("the certificate of its signer is not in it")?;
    let hash = Hash::named(&signer.digest_algorithm).ok_or(MALFORMED)?;
    let attributes =
        SignedAttributes::read(signer.signed_attributes, DATA, MALFORMED).map_err(|_| MALFORMED)?;
    let [(CertificateHash::Default, _)] = attributes.certificate_hashes.as_slice() else {
        return Err(MALFORMED);
    };
    if attributes.message_digest != hash.of(content) {
        return Err("its bytes are not those that were signed");
    }
    if !attributes.names(certificate) {
        return Err("its signature names another certificate");
    }
    let signature = signer.signature.as_bytes();
    certificate.signed(&signer.signature_algorithm, Some(hash), &attributes.bytes, signature)?;
    Ok(certificate.subject())
}
