//! The web verifier: what its file may hold, and that its parts judge as the program's do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use affidavit::evidence::canonical::{self, CanonicalError};
use affidavit::evidence::digest::Digest;
use affidavit::evidence::key::{KeyError, PublicKey};
use affidavit::evidence::keyring::{CheckedKeyring, KeyringError};
use affidavit::evidence::statement::{Statement, StatementError};
use affidavit::verify::{FailureCode, Level};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use crate::browser::{Browser, Input};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify/page.html");
    fs::read_to_string(path).unwrap()
}

/// What stands between two marks.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[apply(test)]
fn the_page_knows_every_code_with_its_level_and_sentence() {
    let page = page();
    for code in FailureCode::ALL {
        let level = match code.level() {
            Level::Error => "error",
            Level::Inconclusive => "inconclusive",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let line = format!("  {}: ['{level}', \"{}\"],", code.name(), code.sentence());
        assert!(page.lines().any(|found| found == line), "not in the page: {line}");
    }
}

#[apply(test)]
fn the_page_is_one_file_that_loads_and_sends_nothing() {
    let page = page();
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let hash = |text: &str| {
        format!("'sha256-{}'", STANDARD.encode(Digest::of(text.as_bytes()).as_bytes()))
    };
    let script = hash(between(&page, "<script>", "</script>"));
    let style = hash(between(&page, "<style>", "</style>"));
    let wanted = format!(
        "default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'"
    );
    assert_eq!(policy, wanted, "put this policy into the page");
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "sendBeacon",
        "import(",
        "@import",
        "url(",
        " src=",
        " href=",
        " onclick=",
        "localStorage",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    let plain = page.to_lowercase();
    for word in ["compliant", "certified"] {
        assert!(!plain.contains(word), "{word}");
    }
}

#[apply(test)]
fn the_program_writes_the_page() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_affidavit")).args(arguments).output().unwrap()
    };
    assert_eq!(run(&["page"]).stdout, page().as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verify.html");
    assert!(run(&["page", "--file", file.to_str().unwrap()]).status.success());
    assert_eq!(fs::read_to_string(&file).unwrap(), page());
    let nowhere = folder.path().join("no/verify.html");
    assert_eq!(run(&["page", "--file", nowhere.to_str().unwrap()]).status.code(), Some(3));
}

#[apply(test)]
fn digests_are_the_same_in_every_length_and_cut() {
    let browser = Browser::open();
    let bytes: Vec<u8> = (0..1_000_u32).map(|n| u8::try_from(n * n % 251).unwrap()).collect();
    let expected: Vec<String> =
        (0..300).map(|length| Digest::of(&bytes[..length]).to_string()).collect();
    let million = Digest::of(&vec![b'a'; 1_000_000]).to_string();
    let found = browser.script(
        "const bytes = Uint8Array.from(arguments[0]);
         const hex = hasher => Array.from(hasher.digest(), b => b.toString(16).padStart(2, '0')).join('');
         const cut = length => (length * 37) % (length + 1);
         const found = Array.from({length: 300}, (_, length) => hex(new affidavit.parts.Sha256()
           .update(bytes.subarray(0, cut(length))).update(bytes.subarray(cut(length), length))));
         found.push(hex(new affidavit.parts.Sha256().update(new Uint8Array(1000000).fill(97))));
         arguments[1](found);",
        &[json!(bytes)],
    );
    let expected: Vec<String> = expected.into_iter().chain([million]).collect();
    assert_eq!(found, json!(expected));
    // A file too long for one call of WebCrypto is hashed as it streams.
    let long = browser.script(
        "const part = new Uint8Array(1 << 20).fill(97);
         new affidavit.parts.Entry('x', new Blob(Array(65).fill(part))).digest().then(arguments[0]);",
        &[],
    );
    assert_eq!(long, Digest::of(&vec![b'a'; 65 << 20]).to_string());
}

/// Encodings of points whose order divides 8, canonical and not (RFC 8032 section 5.1.3).
const SMALL_ORDER: [&str; 14] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];
/// The order of the base point, little-endian.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn bytes32(hex: &str) -> [u8; 32] {
    *Digest::from_hex(hex).unwrap().as_bytes()
}

/// The same scalar, spelled with the order added.
fn plus_order(scalar: &[u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    let mut sum = [0; 32];
    for ((out, left), right) in sum.iter_mut().zip(scalar).zip(bytes32(ORDER)) {
        let total = u16::from(*left) + u16::from(right) + carry;
        [*out, _] = total.to_le_bytes();
        carry = total >> 8;
    }
    sum
}

/// Keys, messages and signatures of all kinds.
fn signatures() -> Vec<([u8; 32], Vec<u8>, [u8; 64])> {
    let mut cases = Vec::new();
    for seed in 0..12_u8 {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let key = signing.verifying_key().to_bytes();
        let message = vec![seed; usize::from(seed)];
        let right = signing.sign(&message).to_bytes();
        let (r, s) = (&right[..32], &right[32..]);
        let with = |r: &[u8], s: &[u8]| <[u8; 64]>::try_from([r, s].concat()).unwrap();
        cases.push((key, message.clone(), right));
        cases.push((key, vec![99; 3], right));
        cases.push((key, message.clone(), with(r, &plus_order(s.try_into().unwrap()))));
        for position in [0, 31, 32, 63] {
            let mut flipped = right;
            flipped[position] ^= 1;
            cases.push((key, message.clone(), flipped));
        }
        for point in SMALL_ORDER {
            cases.push((key, message.clone(), with(&bytes32(point), s)));
            // With a scalar of zero, a loose verifier accepts these for a weak key.
            cases.push((bytes32(point), message.clone(), with(&bytes32(point), &[0; 32])));
        }
        cases.push(([seed.wrapping_mul(37); 32], message, right));
    }
    cases
}

#[apply(test)]
fn keys_and_signatures_are_judged_as_strictly() {
    let browser = Browser::open();
    let cases = signatures();
    let expected: Vec<&str> = cases
        .iter()
        .map(|(key, message, signature)| match PublicKey::from_bytes(key) {
            Ok(key) if key.verifies(message, signature) => "right",
            Ok(_) => "wrong",
            Err(KeyError::Weak) => "weak",
            Err(_) => "malformed",
        })
        .collect();
    for kind in ["right", "wrong", "weak", "malformed"] {
        assert!(expected.contains(&kind), "no case is {kind}");
    }
    let arguments: Value = cases.iter().map(|(k, m, s)| json!([k, m, s.as_slice()])).collect();
    let found = browser.script(
        "(async ([cases, done]) => {
           const found = [];
           for (const [key, message, signature] of cases.map(parts => parts.map(part => Uint8Array.from(part)))) {
             try {
               const right = await new affidavit.parts.PublicKey(key).verifies(message, signature);
               found.push(right ? 'right' : 'wrong');
             } catch (error) {
               found.push(error.isWeak ? 'weak' : 'malformed');
             }
           }
           done(found);
         })(arguments);",
        &[arguments],
    );
    assert_eq!(found, json!(expected));
}

/// Runs a parser of the page over texts: `ok`, or the name of the fault.
fn parse_all(browser: &Browser, parser: &str, texts: &[Vec<u8>]) -> Vec<String> {
    let texts: Vec<String> = texts.iter().map(|text| STANDARD.encode(text)).collect();
    let script = format!(
        "const [texts, done] = arguments;
         done(texts.map(text => {{
           try {{
             {parser}(Uint8Array.from(atob(text), c => c.charCodeAt(0)));
             return 'ok';
           }} catch (error) {{
             return String(error.code ?? error.kind ?? (error.message ? 'shape' : error));
           }}
         }}));"
    );
    serde_json::from_value(browser.script(&script, &[json!(texts)])).unwrap()
}

#[apply(test)]
fn json_is_read_as_strictly() {
    let browser = Browser::open();
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let mut texts: Vec<Vec<u8>> = [
        "null",
        "true",
        "0",
        "-1",
        "9007199254740991",
        "-9007199254740991",
        "9007199254740992",
        "1.0",
        "1e3",
        "-0",
        "01",
        "+1",
        "NaN",
        "1e400",
        "18446744073709551616",
        "",
        " 1",
        "1 ",
        "\u{feff}1",
        "\"\u{20ac}/\"",
        "\"\\u20ac\"",
        "\"\\/\"",
        "\"\\u001f\"",
        "\"\\u001F\"",
        "\"\u{1f}\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\u{1f600}\"",
        "\"\u{7f}\u{2028}\"",
        "\"\\b\\t\\n\\f\\r\\\"\\\\\"",
        "\"\\x\"",
        "\"abc",
        "[1,2]",
        "[1,]",
        "[1 2]",
        "{\"a\":1,\"a\":1}",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"b\":[{\"c\":null}]}",
        "{\"\u{1f600}\":1,\"\u{fb33}\":2}",
        "{\"\u{fb33}\":2,\"\u{1f600}\":1}",
        "{\"__proto__\":1}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":{\"b\":1,\"b\":2}}",
        "{\"\\u0061\":1,\"a\":2}",
        "tru",
        "nulls",
        "1,2",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    texts.extend([127, 128, 20_000].map(|depth| nested(depth).into_bytes()));
    texts.extend([vec![b'"', 0xff, b'"'], vec![b'"', 0xed, 0xa0, 0x80, b'"'], vec![0]]);
    let expected: Vec<&str> = texts
        .iter()
        .map(|text| match canonical::check(text) {
            Ok(()) => "ok",
            Err(CanonicalError::DuplicateKey(_)) => "duplicate",
            Err(CanonicalError::NotCanonical) => "spelling",
            Err(_) => "malformed",
        })
        .collect();
    let found = parse_all(&browser, "affidavit.parts.parseCanonical", &texts);
    for ((text, expected), found) in texts.iter().zip(expected).zip(found) {
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
    }
}

/// A document with every value in turn left out, replaced by values of other types, or joined by a
/// field that nobody knows.
fn mutations(document: &Value) -> Vec<Vec<u8>> {
    fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, each)| pointers(each, &format!("{at}/{key}"), found));
            }
            Value::Array(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(n, each)| pointers(each, &format!("{at}/{n}"), found));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(7),
        json!(-1),
        json!(""),
        json!("x"),
        json!("2026-02-30T00:00:00Z"),
        json!("2026-11-20T02:00:60Z"),
        json!("2026-11-20T02:00:00.0Z"),
        json!("9999-12-31T23:59:59Z"),
        json!("0000-01-01T00:00:00Z"),
        json!([]),
        json!({}),
        json!("AB".repeat(32)),
        json!("ab".repeat(32)),
        json!("z".repeat(4000)),
    ];
    let mut texts = vec![canonical::to_vec(document).unwrap()];
    for pointer in all {
        for other in &others {
            let mut changed = document.clone();
            *changed.pointer_mut(&pointer).unwrap() = other.clone();
            texts.push(canonical::to_vec(&changed).unwrap());
        }
        let mut changed = document.clone();
        if let Some(fields) = changed.pointer_mut(&pointer).unwrap().as_object_mut() {
            fields.insert("unknown".to_owned(), json!(1));
            texts.push(canonical::to_vec(&changed).unwrap());
        }
        if let Some((parent, key)) = pointer.rsplit_once('/') {
            let mut changed = document.clone();
            if let Some(fields) = changed.pointer_mut(parent).unwrap().as_object_mut() {
                fields.remove(key);
                texts.push(canonical::to_vec(&changed).unwrap());
            }
        }
    }
    texts
}

#[apply(test)]
fn statements_are_read_as_strictly() {
    let browser = Browser::open();
    let digest = Digest::of(b"x").to_string();
    let document = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "urn:affidavit:evidence-bundle:v1",
        "subject": [{"name": "SHA256SUMS", "digest": {"sha256": digest}}],
        "predicate": {
            "chain": {"origin": "example.com/a", "seq": 1, "prev": {"sha256": digest}},
            "time": {"created": "2026-11-20T02:00:00Z", "periodStart": "2026-11-19T02:00:00Z",
                "periodEnd": "2026-11-20T02:00:00Z", "schedule": {"cron": "0 2 * * *", "timeZone": "UTC",
                    "due": "2026-11-20T02:00:00Z", "next": "2026-11-21T02:00:00Z"}},
            "items": {"file": "items.jsonl", "size": 3, "root": "cm9vdA=="},
            "files": 5,
            "keyring": {"version": 1, "sha256": digest},
            "frameworks": [{"id": "f", "version": "1", "sha256": digest}],
            "sources": [{"name": "s", "status": "ok", "sha256": null}],
            "summary": [{"framework": "f@1", "pass": 1, "fail": 0, "notAssessed": 2, "supported": 0,
                "waived": 0, "manual": 0, "notApplicable": 0}],
            "gap": {"from": "a", "to": "b", "reason": "c"},
            "pruned": {"before": 1, "days": 366, "rule": "pci-dss"},
            "tool": {"name": "affidavit", "version": "1"},
        },
    });
    let texts = mutations(&document);
    let expected: Vec<&str> = texts
        .iter()
        .map(|text| match Statement::parse(text) {
            Ok(_) => "ok",
            Err(StatementError::TooLarge { .. }) => "STATEMENT_TOO_LARGE",
            Err(StatementError::Canonical(CanonicalError::DuplicateKey(_))) => "DUPLICATE_JSON_KEY",
            Err(StatementError::Canonical(_)) => "NON_CANONICAL_PAYLOAD",
            Err(StatementError::WrongType { .. }) => "WRONG_PREDICATE_TYPE",
            Err(StatementError::UnsupportedVersion { .. }) => "UNSUPPORTED_VERSION",
            Err(_) => "STATEMENT_MALFORMED",
        })
        .collect();
    assert!(texts.len() > 700 && expected.iter().filter(|code| **code == "ok").count() > 50);
    let found = parse_all(&browser, "affidavit.parts.parseStatement", &texts);
    for ((text, expected), found) in texts.iter().zip(expected).zip(found) {
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
    }
}

#[apply(test)]
fn keyrings_are_read_as_strictly() {
    let browser = Browser::open();
    let key = |seed: u8| {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        PublicKey::from_bytes(signing.verifying_key().as_bytes()).unwrap()
    };
    let anchor = json!({"size": 0, "root": STANDARD.encode(Digest::of(b"").as_bytes())});
    let (root, old, new) = (key(1), key(2), key(3));
    let document = json!({
        "version": 2, "prev": {"sha256": Digest::of(b"x").to_string()}, "origin": "example.com/a",
        "created": "2026-11-20T02:00:00Z", "expires": "2027-11-20T02:00:00Z",
        "root": {"threshold": 1, "keys": [{"keyid": root.id(), "pem": root.to_pem()}]},
        "signers": [
            {"keyid": old.id(), "pem": old.to_pem(), "role": "log", "fromSeq": 0, "untilSeq": 6,
             "status": "revoked", "revocation": {"at": "2026-11-20T02:00:00Z",
                "compromisedSince": "2026-11-19T02:00:00Z", "reason": "lost", "lastGood": anchor}},
            {"keyid": new.id(), "pem": new.to_pem(), "role": "log", "fromSeq": 7, "untilSeq": null,
             "status": "active", "revocation": null},
        ],
        "anchor": anchor,
    });
    let texts = mutations(&document);
    let expected: Vec<&str> = texts
        .iter()
        .map(|text| match CheckedKeyring::parse(text) {
            Ok(_) => "ok",
            Err(KeyringError::KeySwapped(_)) => "KEY_SWAPPED",
            Err(KeyringError::Key { .. }) => "KEYRING_MALFORMED",
            Err(_) => "shape",
        })
        .collect();
    assert!(texts.len() > 500 && expected.contains(&"KEY_SWAPPED") && expected.contains(&"ok"));
    let parser = "(bytes => new affidavit.parts.Keyring(bytes))";
    let found = parse_all(&browser, parser, &texts);
    for ((text, expected), found) in texts.iter().zip(expected).zip(found) {
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
    }
}

/// The recorded cases, made by somebody else than the authors of both verifiers.
#[apply(test)]
fn a_place_without_an_archive_is_no_archive_with_faults() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("notes/a.txt", b"a");
    write("notes/b/c.txt", b"c");
    write("above/audit/log/0000000000.json", b"{}");
    write("above/readme.txt", b"r");
    write("keys/log.pem", b"-----BEGIN PRIVATE KEY-----");
    write("keys/keyring/0000000001.dsse.json", b"{}");
    write("report.pdf", b"%PDF-1.7\n");
    write("archive.tar.gz", &[0x1f, 0x8b, 8, 0, 0, 0]);
    write("report.json", b" {\"findings\": []}");
    write("above/aud\u{202e}it\n/log/0000000000.json", b"{}");
    write("list.json", b"[]");
    let browser = Browser::open();
    for (place, said) in [
        ("notes", "There is no archive here. It holds 2 other files. An archive is a folder with"),
        ("above", "An archive seems to be in “aud"),
        ("keys", "There is no archive here: these are the keys of a chain."),
        ("report.json", "This is JSON, but no disclosure and no archive."),
        ("list.json", "This is JSON, but no disclosure and no archive."),
        ("report.pdf", "This is a PDF, not an archive."),
        ("archive.tar.gz", "Unpack it first."),
    ] {
        let result = browser.verify(&Input { subject: folder.join(place), ..Input::default() });
        let told = result["error"].as_str().unwrap_or_default();
        assert!(told.contains(said), "{place}: {result}");
        assert_eq!((&result["verified"], &result["findings"]), (&json!(false), &json!([])));
    }
    // What a name does to the text around it is shown, and not done.
    write("named/log/a\u{202e}gnp.exe", b"x");
    write("named/a\u{200b}\nb", b"x");
    browser.verify(&Input { subject: folder.join("named"), ..Input::default() });
    let shown = browser.script("arguments[0](document.getElementById('paper').textContent);", &[]);
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("a\\u{202e}gnp.exe") && shown.contains("a\\u{200b}\\nb"), "{shown}");
    assert!(!shown.contains(['\u{202e}', '\u{200b}']), "{shown}");
    // Faults of one kind are told together, and none is lost.
    for number in 0..30 {
        write(&format!("faulty/log/{number}.txt"), b"x");
    }
    let result = browser.verify(&Input { subject: folder.join("faulty"), ..Input::default() });
    let extra = result["findings"].as_array().unwrap().iter();
    assert_eq!(extra.filter(|finding| finding["code"] == "FILE_EXTRA").count(), 30);
    let shown = browser.script(
        "const list = [...document.querySelectorAll('.findings li')].map(item => item.textContent);
         arguments[0]([list.filter(text => text.includes('.txt')).length, list.filter(text => text.includes('20 more of this kind (FILE_EXTRA)')).length]);",
        &[],
    );
    assert_eq!(shown, json!([10, 1]));
}

#[apply(test)]
fn the_recorded_cases_have_the_recorded_findings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut cases: Vec<PathBuf> = Vec::new();
    for kind in ["valid", "invalid"] {
        let Ok(listing) = fs::read_dir(folder.join(kind)) else { continue };
        cases.extend(listing.map(|entry| entry.unwrap().path().join("case.json")));
    }
    cases.retain(|case| case.exists());
    cases.sort();
    assert!(!cases.is_empty(), "{}", folder.display());
    let browser = Browser::open();
    let mut faults = Vec::new();
    for path in &cases {
        let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let text = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
        let texts = |field: &str| -> Vec<String> {
            case[field]
                .as_array()
                .into_iter()
                .flatten()
                .map(|t| t.as_str().unwrap().to_owned())
                .collect()
        };
        let input = Input {
            subject: path.parent().unwrap().join(text("subject")),
            roots: texts("roots").join("\n"),
            pins: texts("pins"),
            policy: text("policy"),
            tsa: text("tsa"),
            now: text("now"),
            ..Input::default()
        };
        let field = if case["pageFindings"].is_array() { "pageFindings" } else { "findings" };
        let result = browser.verify(&input);
        let mut found: Vec<String> = result["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| format!("{} {}", f["code"].as_str().unwrap(), f["object"].as_str().unwrap()))
            .collect();
        found.sort();
        let mut expected = texts(field);
        expected.sort();
        if found != expected {
            let error = &result["error"];
            faults.push(format!(
                "{}\n  expected {expected:?}\n  found    {found:?} {error}",
                path.display()
            ));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
