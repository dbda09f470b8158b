//! Timestamps (RFC 3161): authorities made by `openssl` answer our requests; what we accept and
//! refuse is what `openssl ts -verify` accepts and refuses.

use std::fs;
use std::process::Output;

use affidavit::evidence::timestamp::{Authorities, TimestampError, Token, request, verify};
use sha2::Digest as _;
use tempfile::TempDir;

use crate::tools;

const MESSAGE: &[u8] = b"example.com/log\n42\nq1sTx4zIBQlYQMrM5qGQ+aJCqBCVGCe0WzLRzZ5dXaQ=\n";
const NONCE: u64 = 0xfedc_ba98_7654_3210;

const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash";
const TSA: &str = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\nsubjectKeyIdentifier=hash";

const EC_P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const EC_P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const RSA_SHORT: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1536"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];

const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";

const FOREVER: (&str, &str) = ("20200101000000Z", "20491231235959Z");

const CONFIG: &str = "
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = default
policy = policy
[policy]
commonName = supplied
[req]
prompt = no
distinguished_name = name
[name]
commonName = replaced
[tsa]
serial = serial
default_policy = 1.2.3.4.1
signer_digest = sha256
digests = sha256, sha384, sha512
";

/// A folder with certificate and timestamp authorities.
pub struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        tools::OPENSSL.demand();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config"), CONFIG).unwrap();
        fs::write(folder.path().join("index.txt"), "").unwrap();
        fs::write(folder.path().join("serial"), "01\n").unwrap();
        Self(folder)
    }

    /// A root, and a TSA under it, with keys on P-256.
    pub fn with_tsa() -> Self {
        let workshop = Self::new();
        workshop.certificate("root", "root", EC_P256, CA, FOREVER);
        workshop.certificate("tsa", "root", EC_P256, TSA, FOREVER);
        workshop
    }

    fn try_openssl(&self, arguments: &[&str]) -> Output {
        tools::OPENSSL.command().args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = self.try_openssl(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {error}");
    }

    /// Where a file of it lies.
    #[cfg(feature = "pipeline")]
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    /// Makes `<name>.key` and `<name>.pem`, issued by `issuer` (by itself when that is the same).
    fn certificate(
        &self,
        name: &str,
        issuer: &str,
        key: &[&str],
        extensions: &str,
        (from, until): (&str, &str),
    ) {
        let (key_file, pem) = (format!("{name}.key"), format!("{name}.pem"));
        self.openssl(&[&["genpkey", "-out", &key_file], key].concat());
        self.write("extensions", extensions);
        let subject = format!("/CN={name}");
        self.openssl(&[
            "req", "-new", "-config", "config", "-key", &key_file, "-subj", &subject, "-out", "csr",
        ]);
        let (issuer_key, issuer_pem) = (format!("{issuer}.key"), format!("{issuer}.pem"));
        let by: &[&str] = if name == issuer { &["-selfsign"] } else { &["-cert", &issuer_pem] };
        self.openssl(
            &[
                &[
                    "ca",
                    "-config",
                    "config",
                    "-batch",
                    "-notext",
                    "-in",
                    "csr",
                    "-out",
                    &pem,
                    "-keyfile",
                    &issuer_key,
                    "-startdate",
                    from,
                    "-enddate",
                    until,
                    "-extfile",
                    "extensions",
                ],
                by,
            ]
            .concat(),
        );
    }

    /// What `openssl ts` answers to our request. `settings` are lines of its configuration.
    pub fn reply(&self, signer: &str, request: &[u8], settings: &str) -> Vec<u8> {
        self.write("tsa-config", format!("{CONFIG}{settings}\n"));
        self.write("request.tsq", request);
        let (key, pem) = (format!("{signer}.key"), format!("{signer}.pem"));
        self.openssl(&[
            "ts",
            "-reply",
            "-config",
            "tsa-config",
            "-section",
            "tsa",
            "-queryfile",
            "request.tsq",
            "-signer",
            &pem,
            "-inkey",
            &key,
            "-out",
            "response.tsr",
        ]);
        self.read("response.tsr")
    }

    /// A response around any `TSTInfo`, signed by `openssl cms`: for times and keys that
    /// `openssl ts` does not do.
    fn sign(&self, signer: &str, info: &[u8], options: &[&str]) -> Vec<u8> {
        self.cms(signer, info, &[&["-cades", "-econtent_type", TST_INFO], options].concat())
    }

    fn cms(&self, signer: &str, content: &[u8], options: &[&str]) -> Vec<u8> {
        self.write("content", content);
        let (key, pem) = (format!("{signer}.key"), format!("{signer}.pem"));
        let sign = [
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-in",
            "content",
            "-signer",
            &pem,
            "-inkey",
            &key,
            "-outform",
            "DER",
            "-out",
            "token",
        ];
        self.openssl(&[&sign, options].concat());
        respond(&self.read("token"))
    }

    fn verify(
        &self,
        response: &[u8],
        message: &[u8],
        authority: &str,
    ) -> Result<Token, TimestampError> {
        let pem = String::from_utf8(self.read(&format!("{authority}.pem"))).unwrap();
        verify(response, message, &Authorities::from_pem(&pem)?)
    }

    /// Does `openssl ts -verify` accept it, at that time?
    fn openssl_accepts(
        &self,
        response: &[u8],
        message: &[u8],
        authority: &str,
        at: Option<i64>,
    ) -> bool {
        self.write("response.tsr", response);
        self.write("message", message);
        let pem = format!("{authority}.pem");
        let mut verify =
            vec!["ts", "-verify", "-in", "response.tsr", "-data", "message", "-CAfile", &pem];
        let at = at.map(|at| at.to_string());
        if let Some(at) = &at {
            verify.extend(["-attime", at]);
        }
        self.try_openssl(&verify).status.success()
    }
}

/// One DER value.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    let mut der = vec![tag];
    match length {
        [0, short] if short < 0x80 => der.push(short),
        [0, long] => der.extend([0x81, long]),
        long => der.extend([[0x82].as_slice(), &long].concat()),
    }
    der.extend(value);
    der
}

/// A granting response with that token.
fn respond(token: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&tlv(0x30, &[&[2, 1, 0]]), token])
}

/// A `TSTInfo` over the message by SHA-256; `more` stands after the time.
fn info(message: &[u8], time: &str, more: &[u8]) -> Vec<u8> {
    let sha256 = [6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    let algorithm = tlv(0x30, &[&sha256, &[5, 0]]);
    let hash = sha2::Sha256::digest(message);
    let imprint = tlv(0x30, &[&algorithm, &tlv(4, &[&hash])]);
    let policy = [6, 4, 0x2a, 3, 4, 1];
    tlv(0x30, &[&[2, 1, 1], &policy, &imprint, &[2, 1, 7], &tlv(0x18, &[time.as_bytes()]), more])
}

fn fault(result: Result<Token, TimestampError>) -> String {
    result.unwrap_err().to_string()
}

#[apply(test)]
fn a_reply_to_our_request_is_read() {
    let workshop = Workshop::with_tsa();
    let before = jiff::Timestamp::now().as_second();
    let with_nonce = request(MESSAGE, Some(NONCE));
    let settings = "accuracy = secs:2, millisecs:500\ntsa_name = yes\nordering = yes";
    let response = workshop.reply("tsa", &with_nonce, settings);
    let token = workshop.verify(&response, MESSAGE, "root").unwrap();
    let after = jiff::Timestamp::now().as_second();
    assert!((before..=after).contains(&token.time.as_second()), "{token:?}");
    assert_eq!(token.accuracy_seconds, 3);
    assert_eq!(token.authority, "CN=tsa");
    assert_eq!(token.policy, "1.2.3.4.1");
    assert_eq!(token.nonce, Some(NONCE));
    // `openssl` compares the whole request, nonce included, with the response.
    let arguments = [
        "ts",
        "-verify",
        "-in",
        "response.tsr",
        "-queryfile",
        "request.tsq",
        "-CAfile",
        "root.pem",
    ];
    workshop.openssl(&arguments);
    // An authority itself can be what is trusted.
    assert_eq!(workshop.verify(&response, MESSAGE, "tsa").unwrap(), token);

    let without = workshop.reply("tsa", &request(MESSAGE, None), "");
    let token = workshop.verify(&without, MESSAGE, "root").unwrap();
    assert_eq!((token.nonce, token.accuracy_seconds), (None, 0));
}

#[apply(test)]
fn every_key_and_hash_in_use_is_read() {
    let workshop = Workshop::new();
    workshop.certificate("root", "root", RSA, CA, FOREVER);
    workshop.certificate("rsa", "root", RSA, TSA, FOREVER);
    workshop.certificate("p256", "root", EC_P256, TSA, FOREVER);
    workshop.certificate("p384", "root", EC_P384, TSA, FOREVER);
    let request = request(MESSAGE, None);
    for signer in ["rsa", "p256", "p384"] {
        for digest in ["sha256", "sha384", "sha512"] {
            // Both versions of the signing certificate attribute: RFC 2634 and RFC 5035.
            for id in ["sha1", "sha256", "sha512"] {
                let settings = format!("signer_digest = {digest}\ness_cert_id_alg = {id}");
                let response = workshop.reply(signer, &request, &settings);
                let read = workshop.verify(&response, MESSAGE, "root");
                assert!(read.is_ok(), "{signer} {digest} {id}: {read:?}");
                assert!(workshop.openssl_accepts(&response, MESSAGE, "root", None));
            }
        }
    }
    let weak = workshop.reply("rsa", &request, "signer_digest = sha1");
    assert!(fault(workshop.verify(&weak, MESSAGE, "root")).contains("SHA-256, 384 or 512"));

    // Imprints by longer hashes, and RSA-PSS.
    workshop.write("message", MESSAGE);
    for digest in ["-sha384", "-sha512"] {
        workshop.openssl(&["ts", "-query", "-data", "message", digest, "-cert", "-out", "other"]);
        let response = workshop.reply("rsa", &workshop.read("other"), "");
        workshop.verify(&response, MESSAGE, "root").unwrap();
    }
    let info = info(MESSAGE, "20260101000000Z", &[]);
    for digest in ["sha256", "sha512"] {
        let options = ["-keyopt", "rsa_padding_mode:pss", "-md", digest];
        let response = workshop.sign("rsa", &info, &options);
        let read = workshop.verify(&response, MESSAGE, "root");
        assert!(read.is_ok(), "PSS {digest}: {read:?}");
        // `openssl ts` 3.0 knows PKCS #1 v1.5 only.
        workshop.openssl(&[
            "cms",
            "-verify",
            "-binary",
            "-inform",
            "DER",
            "-in",
            "token",
            "-CAfile",
            "root.pem",
            "-purpose",
            "timestampsign",
            "-out",
            "verified",
        ]);
    }

    workshop.certificate("edwards", "edwards", ED25519, CA, FOREVER);
    workshop.certificate("under-edwards", "edwards", EC_P256, TSA, FOREVER);
    let response = workshop.reply("under-edwards", &request, "");
    workshop.verify(&response, MESSAGE, "edwards").unwrap();
    assert!(workshop.openssl_accepts(&response, MESSAGE, "edwards", None));

    workshop.certificate("short", "root", RSA_SHORT, TSA, FOREVER);
    let response = workshop.reply("short", &request, "");
    assert!(fault(workshop.verify(&response, MESSAGE, "root")).contains("2048 bits"));
}

/// Whose certificate is refused, and a part of the reason.
type Refusal<'a> = Option<(&'a str, &'a str)>;

/// What a certificate or a path must be. `openssl` judges each the same way.
#[apply(test)]
fn certificates_that_do_not_hold_are_refused() {
    let workshop = Workshop::with_tsa();
    workshop.certificate("other", "other", EC_P256, CA, FOREVER);
    let make = |name: &str, issuer: &str, extensions: &str| {
        workshop.certificate(name, issuer, EC_P256, extensions, FOREVER);
    };
    let usage = |value: &str| format!("extendedKeyUsage={value}");
    make("no-usage", "root", "basicConstraints=CA:FALSE");
    make("not-critical", "root", &usage("timeStamping"));
    make("extra-usage", "root", &usage("critical,timeStamping,codeSigning"));
    make("other-usage", "root", &usage("critical,codeSigning"));
    make(
        "no-signature",
        "root",
        &format!("keyUsage=critical,keyAgreement\n{}", usage("critical,timeStamping")),
    );
    make(
        "unknown-extension",
        "root",
        &format!("1.2.3.4=critical,ASN1:NULL\n{}", usage("critical,timeStamping")),
    );
    make("middle", "root", CA);
    make("by-middle", "middle", TSA);
    make("no-ca", "root", "basicConstraints=CA:FALSE");
    make("by-no-ca", "no-ca", TSA);
    make(
        "no-cert-sign",
        "root",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature",
    );
    make("by-no-cert-sign", "no-cert-sign", TSA);
    make("short-path", "root", "basicConstraints=critical,CA:TRUE,pathlen:0");
    make("too-deep", "short-path", CA);
    make("by-too-deep", "too-deep", TSA);
    make(
        "name-constraints",
        "root",
        &format!("{CA}\nnameConstraints=critical,permitted;DNS:example.com"),
    );
    make("by-constrained", "name-constraints", TSA);
    // Another root of the same name.
    let impostor = Workshop::with_tsa();

    // Signer, CA certificates that the token brings along, what is said of which certificate.
    let cases: [(&str, &[&str], &str, Refusal<'_>); 13] = [
        ("tsa", &[], "root", None),
        ("by-middle", &["middle"], "root", None),
        ("by-middle", &["middle"], "middle", None),
        ("tsa", &[], "other", Some(("tsa", "no trusted authority"))),
        ("by-middle", &[], "root", Some(("by-middle", "no trusted authority"))),
        ("no-usage", &[], "root", Some(("no-usage", "timeStamping"))),
        ("not-critical", &[], "root", Some(("not-critical", "not critical"))),
        ("extra-usage", &[], "root", Some(("extra-usage", "timeStamping"))),
        ("other-usage", &[], "root", Some(("other-usage", "timeStamping"))),
        ("no-signature", &[], "root", Some(("no-signature", "does not allow signatures"))),
        ("unknown-extension", &[], "root", Some(("unknown-extension", "not supported"))),
        ("by-no-ca", &["no-ca"], "root", Some(("no-ca", "no CA certificate"))),
        (
            "by-no-cert-sign",
            &["no-cert-sign"],
            "root",
            Some(("no-cert-sign", "to sign certificates")),
        ),
    ];
    let judge = |signer: &str, chain: &[&str], authority: &str, refused: Refusal<'_>| {
        let chain: Vec<u8> =
            chain.iter().flat_map(|name| workshop.read(&format!("{name}.pem"))).collect();
        workshop.write("chain", &chain);
        let options: &[&str] = if chain.is_empty() { &[] } else { &["-certfile", "chain"] };
        let info = info(MESSAGE, "20260101000000Z", &[]);
        let response = workshop.sign(signer, &info, options);
        let read = workshop.verify(&response, MESSAGE, authority);
        let accepted = workshop.openssl_accepts(&response, MESSAGE, authority, None);
        match refused {
            None => assert!(read.is_ok(), "{signer}: {read:?}"),
            Some((subject, text)) => {
                let found = fault(read);
                let expected = format!("the certificate of `CN={subject}`: ");
                assert!(found.starts_with(&expected) && found.contains(text), "{signer}: {found}");
            }
        }
        (refused.is_none(), accepted)
    };
    for (signer, chain, authority, refused) in cases {
        let (ours, theirs) = judge(signer, chain, authority, refused);
        // `openssl` wants the path to end at a self-signed certificate; we end at what is trusted.
        if authority != "middle" {
            assert_eq!(ours, theirs, "{signer} under {authority}");
        }
    }
    let refused = Some(("short-path", "no path of that length"));
    assert_eq!(judge("by-too-deep", &["too-deep", "short-path"], "root", refused), (false, false));
    // `openssl` works name constraints out; we refuse what we do not work out.
    let refused = Some(("name-constraints", "not supported"));
    assert_eq!(judge("by-constrained", &["name-constraints"], "root", refused), (false, true));

    let response = impostor.reply("tsa", &request(MESSAGE, None), "");
    assert!(fault(workshop.verify(&response, MESSAGE, "root")).contains("a signature is wrong"));
    assert!(!workshop.openssl_accepts(&response, MESSAGE, "root", None));
}

#[apply(test)]
fn certificates_are_judged_at_the_time_of_the_token() {
    let workshop = Workshop::new();
    let year = ("20200101000000Z", "20201231235959Z");
    workshop.certificate("root", "root", EC_P256, CA, FOREVER);
    workshop.certificate("tsa", "root", EC_P256, TSA, year);
    workshop.certificate("middle", "root", EC_P256, CA, year);
    workshop.certificate("by-middle", "middle", EC_P256, TSA, FOREVER);
    workshop.certificate("old-root", "old-root", EC_P256, CA, year);
    workshop.certificate("by-old-root", "old-root", EC_P256, TSA, FOREVER);
    let chain = workshop.read("middle.pem");
    workshop.write("chain", chain);
    for (time, expected) in [
        ("20191231235959Z", Some("not valid yet")),
        ("20200101000000Z", None),
        ("20200615120000.25Z", None),
        ("20201231235959Z", None),
        ("20210101000000Z", Some("not valid any more")),
    ] {
        // Those of the second and third were valid long after, but their issuers were not.
        for (signer, authority, guilty) in [
            ("tsa", "root", "tsa"),
            ("by-middle", "root", "middle"),
            ("by-old-root", "old-root", "old-root"),
        ] {
            let response =
                workshop.sign(signer, &info(MESSAGE, time, &[]), &["-certfile", "chain"]);
            let read = workshop.verify(&response, MESSAGE, authority);
            match expected {
                None => {
                    let token = read.unwrap();
                    let at = token.time.as_second();
                    // `openssl` takes the last second of a validity for the first after it; RFC
                    // 5280 section 4.1.2.5 includes it.
                    let last_second = time == "20201231235959Z";
                    let accepted =
                        workshop.openssl_accepts(&response, MESSAGE, authority, Some(at));
                    assert_eq!(accepted, !last_second, "{signer} {time}");
                    // Today the certificate has expired; the token stays good.
                    assert!(!workshop.openssl_accepts(&response, MESSAGE, authority, None));
                }
                Some(text) => {
                    let found = fault(read);
                    let too_early = time.starts_with("2019");
                    let subject = if too_early { signer } else { guilty };
                    assert!(found.contains(&format!("`CN={subject}`")), "{signer} {time}: {found}");
                    assert!(found.contains(text), "{signer} {time}: {found}");
                }
            }
        }
    }
}

#[apply(test)]
fn what_is_no_timestamp_over_the_message_is_refused() {
    let workshop = Workshop::with_tsa();
    let response = workshop.reply("tsa", &request(MESSAGE, None), "");
    let refuse = |response: &[u8], text: &str| {
        let found = fault(workshop.verify(response, MESSAGE, "root"));
        assert!(found.contains(text), "{text}: {found}");
    };

    let other = workshop.verify(&response, b"another message", "root");
    assert_eq!(other.unwrap_err(), TimestampError::OtherMessage);
    assert!(!workshop.openssl_accepts(&response, b"another message", "root", None));

    for length in 0..response.len() {
        assert!(workshop.verify(&response[..length], MESSAGE, "root").is_err(), "{length}");
    }
    refuse(&[&response[..], &[0]].concat(), "not a DER `TimeStampResp`");
    refuse(&vec![0x30; (64 << 10) + 1], "at most 65536");
    // The token without the response around it.
    workshop.write("response.tsr", &response);
    workshop.openssl(&["ts", "-reply", "-in", "response.tsr", "-token_out", "-out", "token"]);
    refuse(&workshop.read("token"), "not a DER `TimeStampResp`");

    // A status that grants nothing, as the authority gives it to a request it does not like.
    let rejected = workshop.reply("tsa", &request(MESSAGE, None), "digests = sha512");
    refuse(&rejected, "refused the request with status 2");
    refuse(&tlv(0x30, &[&tlv(0x30, &[&[2, 1, 0]])]), "no token");

    // Granted with modifications is granted.
    let token = workshop.read("token");
    let modified = tlv(0x30, &[&tlv(0x30, &[&[2, 1, 1]]), &token]);
    workshop.verify(&modified, MESSAGE, "root").unwrap();
    let revoked = tlv(0x30, &[&tlv(0x30, &[&[2, 1, 5]]), &token]);
    refuse(&revoked, "refused the request with status 5");

    let info = |more: &[u8]| info(MESSAGE, "20260101000000Z", more);
    let good = workshop.sign("tsa", &info(&[]), &[]);
    workshop.verify(&good, MESSAGE, "root").unwrap();
    let critical = tlv(0x30, &[&[6, 3, 0x2a, 3, 4], &[1, 1, 0xff], &[4, 2, 5, 0]]);
    refuse(&workshop.sign("tsa", &info(&tlv(0xa1, &[&critical])), &[]), "critical extension");
    refuse(&workshop.sign("tsa", b"no TSTInfo", &[]), "not DER `TSTInfo`");
    workshop.certificate("second", "root", EC_P256, TSA, FOREVER);
    let two = ["-signer", "second.pem", "-inkey", "second.key"];
    refuse(&workshop.sign("tsa", &info(&[]), &two), "not exactly one signer");
    refuse(&workshop.sign("tsa", &info(&[]), &["-nocerts"]), "not in the token");
    let data = workshop.cms("tsa", &info(&[]), &["-cades"]);
    refuse(&data, "content is not `TSTInfo`");
    let bare = workshop.cms("tsa", &info(&[]), &["-noattr", "-econtent_type", TST_INFO]);
    refuse(&bare, "not DER `SignerInfo`");
    // Without `-cades` nothing says which certificate was meant (RFC 3161 section 2.4.2).
    let unnamed = workshop.cms("tsa", &info(&[]), &["-econtent_type", TST_INFO]);
    refuse(&unnamed, "name no certificate");
    // A signer named by its key identifier is found as well.
    let by_key = workshop.sign("tsa", &info(&[]), &["-keyid"]);
    workshop.verify(&by_key, MESSAGE, "root").unwrap();
}

/// Another certificate over the same key: the signature is right, the certificate is not the one
/// that was signed for.
#[apply(test)]
fn another_certificate_of_the_same_key_is_refused() {
    let workshop = Workshop::with_tsa();
    let response = workshop.reply("tsa", &request(MESSAGE, None), "");
    let der = |name: &str| {
        workshop.openssl(&["x509", "-in", name, "-outform", "DER", "-out", "der"]);
        workshop.read("der")
    };
    let own = der("tsa.pem");
    let at = response.windows(own.len()).position(|window| window == own).unwrap();
    // ECDSA signatures have no fixed length: try until the new certificate is as long.
    let swapped = (0..100).find_map(|_| {
        workshop.openssl(&[
            "req", "-new", "-config", "config", "-key", "tsa.key", "-subj", "/CN=tsa", "-out",
            "csr",
        ]);
        workshop.write("extensions", TSA);
        let serial = openssl_serial(&workshop);
        workshop.openssl(&[
            "x509",
            "-req",
            "-in",
            "csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-set_serial",
            &serial,
            "-extfile",
            "extensions",
            "-days",
            "3650",
            "-out",
            "again.pem",
        ]);
        let again = der("again.pem");
        (again.len() == own.len()).then(|| {
            let mut swapped = response.clone();
            swapped[at..at + own.len()].copy_from_slice(&again);
            swapped
        })
    });
    let found = fault(workshop.verify(&swapped.unwrap(), MESSAGE, "root"));
    assert!(found.contains("the signer names is not in the token"), "{found}");
}

fn openssl_serial(workshop: &Workshop) -> String {
    let output = workshop.try_openssl(&["x509", "-in", "tsa.pem", "-noout", "-serial"]);
    let text = String::from_utf8(output.stdout).unwrap();
    format!("0x{}", text.trim().strip_prefix("serial=").unwrap())
}

#[apply(test)]
fn no_altered_byte_changes_what_a_token_says() {
    let workshop = Workshop::new();
    workshop.certificate("root", "root", RSA, CA, FOREVER);
    workshop.certificate("middle", "root", EC_P384, CA, FOREVER);
    workshop.certificate("rsa", "middle", RSA, TSA, FOREVER);
    workshop.certificate("p256", "root", EC_P256, TSA, FOREVER);
    let pem = String::from_utf8(workshop.read("root.pem")).unwrap();
    let authorities = Authorities::from_pem(&pem).unwrap();
    for (signer, certs) in [("rsa", "certs = middle.pem"), ("p256", "")] {
        let settings = format!("{certs}\naccuracy = secs:1\ntsa_name = yes");
        let response = workshop.reply(signer, &request(MESSAGE, Some(NONCE)), &settings);
        let token = verify(&response, MESSAGE, &authorities).unwrap();
        let mut altered = response.clone();
        let (mut tried, mut accepted) = (0, Vec::new());
        for at in 0..response.len() {
            for change in [0x01, 0x80, 0xff] {
                altered[at] ^= change;
                tried += 1;
                if let Ok(read) = verify(&altered, MESSAGE, &authorities) {
                    assert_eq!(read, token, "byte {at} by {change}");
                    accepted.push(at);
                }
                altered[at] ^= change;
            }
        }
        accepted.dedup();
        assert!(tried > 3000, "{tried}");
        // What nobody signs: the status (granted or granted with modifications), version numbers,
        // the list of digests before the content.
        assert!(accepted.len() < 20, "{accepted:?}");
    }
}

#[apply(test)]
fn authorities_are_read_with_text_around_them() {
    let workshop = Workshop::with_tsa();
    let pem = String::from_utf8(workshop.read("root.pem")).unwrap();
    let response = workshop.reply("tsa", &request(MESSAGE, None), "");
    let other = Workshop::with_tsa();
    let first = String::from_utf8(other.read("root.pem")).unwrap();
    let all =
        format!("subject=/CN=first\n{first}\nsubject=/CN=root\r\n{}", pem.replace('\n', "\r\n"));
    verify(&response, MESSAGE, &Authorities::from_pem(&all).unwrap()).unwrap();

    let cut_off = pem.replace("-----END CERTIFICATE-----", "");
    let key = String::from_utf8(workshop.read("root.key")).unwrap();
    let letters = pem.replacen("MII", "!!!", 1);
    let half = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", "MIIB");
    for bad in ["", &cut_off, &key, &letters, &half] {
        assert!(Authorities::from_pem(bad).is_err(), "{bad}");
    }
}
