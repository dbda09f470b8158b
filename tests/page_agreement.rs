//! The web verifier and the program say the same of the same archives, and the page knows the parts
//! of the format by which archives are handed over.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use affidavit::evidence::canonical;
use affidavit::evidence::checkpoint::Checkpoint;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::envelope::{
    Envelope, EnvelopeSignature, KEYRING_TYPE, STATEMENT_TYPE, pae,
};
use affidavit::evidence::key::{KeyId, PublicKey};
use affidavit::evidence::keyring::{Anchor, KeyStatus, Keyring, Signer};
use affidavit::evidence::layout;
use affidavit::evidence::merkle::{inclusion_proof, leaf_hash};
use affidavit::evidence::statement::{DigestSet, Statement};
use affidavit::verify::Policy;
use affidavit::verify::pin::Pin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use crate::browser::{Browser, Input};
use crate::small_chain::{
    DAYS, NOW, ORIGIN, copy, files, policy, root, run, small_chain, verify_with, workspace,
};
use crate::tools;

const ROOT_SEED: u8 = 11;
const LOG_SEED: u8 = 22;

fn input(subject: &Path) -> Input {
    Input {
        subject: subject.to_owned(),
        roots: root().to_string(),
        now: NOW.to_owned(),
        ..Input::default()
    }
}

/// `CODE object` of every finding of the page.
fn findings(result: &Value) -> Vec<String> {
    assert!(result["error"].is_null(), "{}", result["error"]);
    let line =
        |f: &Value| format!("{} {}", f["code"].as_str().unwrap(), f["object"].as_str().unwrap());
    result["findings"].as_array().unwrap().iter().map(line).collect()
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey::from_bytes(signing(seed).verifying_key().as_bytes()).unwrap()
}

/// What both verifiers must agree on.
fn said_by_page(result: &Value) -> Value {
    let findings: Vec<Value> = result["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| json!([f["level"], f["code"], f["object"]]))
        .collect();
    json!([findings, result["checked"], result["pinned"], result["head"], result["error"]])
}

fn said_by_program(archive: &Path, policy: &Policy) -> Value {
    let verdict = verify_with(archive, policy);
    let head =
        verdict.head.as_ref().filter(|head| head.size > 0).map(|head| {
            Pin { origin: head.origin.clone(), size: head.size, root: head.root }.line()
        });
    let findings: Vec<Value> =
        verdict.findings.iter().map(|f| json!([f.level, f.code, f.object])).collect();
    json!([findings, verdict.checked, verdict.pinned, head, null])
}

/// Ways to damage an archive.
type Damage = Box<dyn Fn(&Path)>;

fn edit(path: &str, change: impl Fn(&mut Vec<u8>) + 'static) -> Damage {
    let path = path.to_owned();
    Box::new(move |archive| {
        let mut bytes = fs::read(archive.join(&path)).unwrap();
        change(&mut bytes);
        fs::write(archive.join(&path), bytes).unwrap();
    })
}

fn remove(paths: &[String]) -> Damage {
    let paths = paths.to_owned();
    Box::new(move |archive| {
        for path in &paths {
            let full = archive.join(path);
            if full.is_dir() { fs::remove_dir_all(full) } else { fs::remove_file(full) }.unwrap();
        }
    })
}

/// Each pair is a copy from the undamaged archive to a place in the damaged one.
fn replace(pairs: &[(String, String)]) -> Damage {
    let pairs = pairs.to_owned();
    Box::new(move |archive| {
        let whole = small_chain().0.path().join("archive");
        for (from, to) in &pairs {
            fs::copy(whole.join(from), archive.join(to)).unwrap();
        }
    })
}

fn both(one: Damage, other: Damage) -> Damage {
    Box::new(move |archive| {
        one(archive);
        other(archive);
    })
}

/// A statement and its envelope, moved as one.
fn moved(pairs: &[(u64, u64)]) -> Damage {
    let pairs = pairs.iter().flat_map(|(from, to)| {
        [
            (layout::statement(*from), layout::statement(*to)),
            (layout::envelope(*from), layout::envelope(*to)),
        ]
    });
    replace(&pairs.collect::<Vec<_>>())
}

fn dropped(seq: u64) -> Damage {
    remove(&[layout::statement(seq), layout::envelope(seq)])
}

fn damages(paths: &[String]) -> Vec<(String, Damage)> {
    let mut all: Vec<(String, Damage)> = vec![("nothing".to_owned(), Box::new(|_: &Path| {}))];
    let first_bundle = paths.iter().find(|path| path.starts_with("bundles/")).unwrap();
    let bundle = first_bundle.split_inclusive('/').take(2).collect::<String>();
    let tried = paths.iter().filter(|p| !p.starts_with("bundles/") || p.starts_with(&bundle));
    for path in tried {
        let mut named = |what: &str, damage| all.push((format!("{what} {path}"), damage));
        named(
            "flipped",
            edit(path, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }),
        );
        named("cut", edit(path, |bytes| bytes.truncate(bytes.len() / 2)));
        named("lengthened", edit(path, |bytes| bytes.push(b'\n')));
        named("deleted", remove(std::slice::from_ref(path)));
    }
    let written = |path: String| -> Damage {
        Box::new(move |archive| {
            let full = archive.join(&path);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, "x").unwrap();
        })
    };
    let copied = |from: String, to: String| replace(&[(from, to)]);
    let named: Vec<(&str, Damage)> = vec![
        ("stray file", written("stray.txt".to_owned())),
        ("stray file in log/", written("log/1.json".to_owned())),
        ("stray file in a bundle", written(format!("{bundle}inputs/extra"))),
        ("unsafe name in a bundle", written(format!("{bundle}inputs/a b"))),
        ("orphan", written(format!("bundles/{}/x", "ab".repeat(32)))),
        ("a bundle's files gone", remove(std::slice::from_ref(&bundle))),
        ("no log", remove(&["log".to_owned()])),
        ("no checkpoints", remove(&["checkpoints".to_owned(), "checkpoint".to_owned()])),
        ("first dropped", dropped(0)),
        ("middle dropped", dropped(1)),
        ("tail dropped", dropped(2)),
        (
            "tail dropped with its checkpoint",
            both(
                both(dropped(2), remove(&[layout::checkpoint(3)])),
                copied(layout::checkpoint(2), layout::HEAD.to_owned()),
            ),
        ),
        ("swapped", moved(&[(1, 2), (2, 1)])),
        ("doubled", moved(&[(1, 3)])),
        ("renumbered", both(moved(&[(1, 0), (2, 1)]), dropped(2))),
        ("far away", moved(&[(1, 7), (2, 8)])),
        ("old head", copied(layout::checkpoint(1), layout::HEAD.to_owned())),
        (
            "checkpoints swapped",
            replace(&[
                (layout::checkpoint(1), layout::checkpoint(2)),
                (layout::checkpoint(2), layout::checkpoint(1)),
            ]),
        ),
        ("checkpoint for nothing", copied(layout::checkpoint(1), layout::checkpoint(0))),
        ("keyring as envelope", copied(layout::keyring(1), layout::envelope(1))),
        ("envelope as keyring", copied(layout::envelope(1), layout::keyring(1))),
        ("keyring twice", copied(layout::keyring(1), layout::keyring(2))),
        ("keyring gap", copied(layout::keyring(1), layout::keyring(3))),
        ("other envelope", copied(layout::envelope(1), layout::envelope(2))),
    ];
    all.extend(named.into_iter().map(|(name, damage)| (name.to_owned(), damage)));
    all
}

#[apply(test)]
fn page_and_program_say_the_same_of_every_damage() {
    let browser = Browser::open();
    let whole = small_chain().0.path().join("archive");
    let mut differences = Vec::new();
    let all = damages(&files(&whole));
    for (name, damage) in &all {
        let (_folder, archive) = copy();
        damage(&archive);
        let page = said_by_page(&browser.verify(&input(&archive)));
        let program = said_by_program(&archive, &policy());
        if page != program {
            differences.push(format!("{name}\n  page    {page}\n  program {program}"));
        }
    }
    assert!(all.len() > 90, "{}", all.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[apply(test)]
fn page_and_program_say_the_same_of_roots_pins_and_times() {
    let browser = Browser::open();
    let (chain, pins) = small_chain();
    let archive = chain.path().join("archive");
    let check = |name: &str, input: &Input, policy: &Policy| {
        let (page, program) = (browser.verify(input), said_by_program(&archive, policy));
        assert_eq!(said_by_page(&page), program, "{name}");
    };
    let times = [
        "2026-11-25T03:00:00Z",
        "2028-01-01T00:00:00Z",
        DAYS[1],
        "2026-11-22T01:55:00Z",
        "2026-11-22T01:54:59Z",
    ];
    for now in times {
        let input = Input { now: now.to_owned(), ..input(&archive) };
        check(now, &input, &Policy { now: now.parse().unwrap(), ..policy() });
    }
    let keyring = fs::read(archive.join(layout::keyring(1))).unwrap();
    let payload = Digest::of(&Envelope::parse(&keyring).unwrap().payload).to_string();
    for fingerprint in ["ab".repeat(32), payload] {
        let roots = BTreeSet::from([KeyId::from_fingerprint(&fingerprint).unwrap()]);
        check(
            &fingerprint,
            &Input { roots: fingerprint.clone(), ..input(&archive) },
            &Policy { roots, ..policy() },
        );
    }
    check(
        "no root",
        &Input { roots: String::new(), ..input(&archive) },
        &Policy { roots: BTreeSet::new(), ..policy() },
    );
    let pinned = |pins: &[Pin]| Policy { pins: pins.to_vec(), ..policy() };
    let other = |change: fn(&mut Pin)| {
        let mut pin = pins[1].clone();
        change(&mut pin);
        pin
    };
    let lists = [
        vec![pins[0].clone()],
        pins.clone(),
        vec![other(|pin| pin.root = Digest::of(b"another history"))],
        vec![other(|pin| pin.origin.push('x'))],
        vec![other(|pin| pin.size = 9)],
    ];
    for list in lists {
        let texts = list.iter().map(Pin::line).collect();
        check(&format!("{list:?}"), &Input { pins: texts, ..input(&archive) }, &pinned(&list));
    }
    // Other ways to say the same.
    let fingerprint = root().to_string();
    let spelled: String = fingerprint
        .to_uppercase()
        .as_bytes()
        .chunks(4)
        .fold(String::new(), |text, group| text + std::str::from_utf8(group).unwrap() + ": ");
    for roots in
        [spelled, public(ROOT_SEED).to_pem(), format!("# ours\n{}\n{fingerprint}", "cd".repeat(32))]
    {
        assert_eq!(
            findings(&browser.verify(&Input { roots, ..input(&archive) })),
            ["HEAD_UNPINNED checkpoint"]
        );
    }
    let read = |path: String| fs::read_to_string(archive.join(path)).unwrap();
    let pdf = chain.path().join("pin.pdf");
    fs::write(
        &pdf,
        [b"%PDF-1.7\n\xff\x00<x>affidavit-head: ".as_slice(), pins[1].line().as_bytes(), b"</x>"]
            .concat(),
    )
    .unwrap();
    let notes = vec![read(layout::checkpoint(1)), read(layout::receipt(2)), proof(&archive, 1, 3)];
    for (pins, pin_files, size) in [
        (vec![read(layout::checkpoint(2))], vec![], 2),
        (vec![read(layout::receipt(2))], vec![], 3),
        (vec![proof(&archive, 1, 2)], vec![], 2),
        (notes, vec![], 3),
        (vec![], vec![pdf], 2),
        (vec![], vec![archive.join(layout::checkpoint(1)), archive.join(layout::receipt(2))], 3),
    ] {
        let result = browser.verify(&Input { pins, pin_files, ..input(&archive) });
        assert_eq!(findings(&result), Vec::<String>::new());
        assert_eq!(result["pinned"], json!({"size": size, "of": 3}));
    }
}

#[apply(test)]
fn unusable_input_is_said_and_verifies_nothing() {
    let browser = Browser::open();
    let archive = small_chain().0.path().join("archive");
    let whole = input(&archive);
    let stray = small_chain().0.path().join("affidavit.yaml");
    for (input, word) in [
        (Input { roots: "abc".to_owned(), ..whole.clone() }, "neither a fingerprint"),
        (Input { pins: vec!["nothing here".to_owned()], ..whole.clone() }, "No head was found"),
        (Input { pin_files: vec![stray.clone()], ..whole.clone() }, "no head to pin"),
        (Input { policy: "quorum nobody".to_owned(), ..whole.clone() }, "line 1"),
        (Input { tsa: "x".to_owned(), ..whole.clone() }, "no certificate"),
        (Input { now: "yesterday".to_owned(), ..whole.clone() }, "not a time"),
        (Input { subject: stray, ..whole }, "neither a whole .tar nor a .zip"),
    ] {
        let result = browser.verify(&input);
        assert_eq!(result["verified"], false);
        assert!(
            result["error"].as_str().is_some_and(|error| error.contains(word)),
            "{word}: {result}"
        );
    }
}

#[apply(test)]
fn a_browser_without_ed25519_verifies_nothing() {
    let browser = Browser::open();
    let said = browser.script(
        "SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'));
         affidavit.verify(new Map()).then(JSON.stringify, error => error.message).then(arguments[0]);",
        &[],
    );
    assert!(said.as_str().unwrap().contains("Nothing was verified"), "{said}");
}

fn shell(folder: &Path, script: &str) {
    let output = tools::BASH
        .command()
        .env("LC_ALL", "C")
        .arg("-euc")
        .arg(script)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The page says of the small chain, packed by each script, what it says of its folder.
fn packed_alike(browser: &Browser, scripts: &[(&str, &str)]) {
    let folder = small_chain().0.path();
    let expected = browser.verify(&input(&folder.join("archive")));
    for (name, script) in scripts {
        shell(folder, script);
        let found = browser.verify(&input(&folder.join(name)));
        assert_eq!(said_by_page(&found), said_by_page(&expected), "{name}");
    }
}

/// The beginning of a packed archive is no archive.
fn cut_off(browser: &Browser, whole: &str, cut: &str) {
    let folder = small_chain().0.path();
    let bytes = fs::read(folder.join(whole)).unwrap();
    fs::write(folder.join(cut), &bytes[..20_000]).unwrap();
    assert!(browser.verify(&input(&folder.join(cut)))["error"].is_string(), "{cut}");
}

#[apply(test)]
fn tar_archives_are_read_as_they_stand() {
    for tool in [tools::BASH, tools::TAR, tools::MKFIFO] {
        tool.demand();
    }
    let browser = Browser::open();
    let scripts = [
        ("ustar.tar", "tar --format=ustar --sort=name -C archive -cf ustar.tar $(ls archive)"),
        ("gnu.tar", "tar --format=gnu -C archive -cf gnu.tar $(ls archive)"),
        ("pax.tar", "tar --format=pax -C archive -cf pax.tar $(ls archive)"),
        ("inside.tar", "tar -C archive -cf inside.tar ."),
    ];
    packed_alike(&browser, &scripts);
    let (_folder, archive) = copy();
    shell(&archive, "
        ln -s VERIFY.md link; ln VERIFY.md hard; mkfifo pipe; mkdir empty; echo > $'bad\\xff'; echo > '<img src=x onerror=alert(1)>'
        tar --format=gnu -cf ../hostile.tar *
        tar -rf ../hostile.tar checkpoint
        tar -rf ../hostile.tar --transform 's,^,../,' VERIFY.md
        tar -rPf ../hostile.tar --transform 's,^,/,' VERIFY.md");
    let found = findings(&browser.verify(&input(&archive.parent().unwrap().join("hostile.tar"))));
    let expected = [
        "PATH_UNSAFE ../VERIFY.md",
        "PATH_UNSAFE /VERIFY.md",
        "FILE_UNRELATED <img src=x onerror=alert(1)>",
        "FILE_UNRELATED bad\u{fffd}",
        "PATH_COLLISION checkpoint",
        "FILE_UNRELATED hard",
        "FILE_UNRELATED link",
        "FILE_UNRELATED pipe",
        "HEAD_UNPINNED checkpoint",
    ];
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, BTreeSet::from(expected));
    cut_off(&browser, "ustar.tar", "cut.tar");
}

#[apply(test)]
fn zip_archives_are_read_as_they_stand() {
    for tool in [tools::BASH, tools::PYTHON3] {
        tool.demand();
    }
    let browser = Browser::open();
    let scripts = [
        ("deflated.zip", "cd archive; python3 -m zipfile -c ../deflated.zip *"),
        (
            "stored.zip",
            "cd archive; python3 -c 'import zipfile, glob, os
z = zipfile.ZipFile(\"../stored.zip\", \"w\")
[z.write(p) for p in sorted(glob.glob(\"**\", recursive=True)) if os.path.isfile(p)]'",
        ),
    ];
    packed_alike(&browser, &scripts);
    let (_folder, archive) = copy();
    shell(
        &archive,
        "
        python3 - <<'END'
import zipfile, glob, os, warnings
warnings.simplefilter('ignore')
z = zipfile.ZipFile('../hostile.zip', 'w', zipfile.ZIP_DEFLATED)
for p in sorted(glob.glob('**', recursive=True)):
    if os.path.isfile(p): z.write(p)
z.writestr('checkpoint', 'other')
z.writestr('..\\\\up', 'x')
link = zipfile.ZipInfo('link'); link.create_system = 3; link.external_attr = 0o120777 << 16
z.writestr(link, 'VERIFY.md')
z.close()
END
        # A file that unpacks to more than its entry says.
        python3 - <<'END'
import struct
b = bytearray(open('../hostile.zip', 'rb').read())
at = b.rfind(b'PK\\x01\\x02', 0, b.rfind(b'VERIFY.md'))
b[at + 24:at + 28] = struct.pack('<I', 10)
open('../hostile.zip', 'wb').write(b)
END",
    );
    let found = findings(&browser.verify(&input(&archive.parent().unwrap().join("hostile.zip"))));
    assert_eq!(
        found,
        [
            "PATH_UNSAFE ..\\up",
            "PATH_COLLISION checkpoint",
            "FILE_UNRELATED link",
            "HEAD_UNPINNED checkpoint",
        ]
    );
    cut_off(&browser, "stored.zip", "cut.zip");
}

fn sign(seed: u8, message: &[u8]) -> [u8; 64] {
    signing(seed).sign(message).to_bytes()
}

fn envelope(payload_type: &str, payload: &[u8], seeds: &[u8]) -> Envelope {
    let message = pae(payload_type, payload);
    let signature =
        |seed: &u8| EnvelopeSignature { key: public(*seed).id(), bytes: sign(*seed, &message) };
    Envelope {
        payload_type: payload_type.to_owned(),
        payload: payload.to_vec(),
        signatures: seeds.iter().map(signature).collect(),
    }
}

fn head(size: usize) -> Checkpoint {
    let pin = small_chain().1[size - 1].clone();
    Checkpoint { origin: pin.origin, size: pin.size, root: pin.root }
}

/// Keyring 2, in which the log key of the chain is retired after its three statements.
fn rotated(archive: &Path, seeds: &[u8], change: impl Fn(&mut Keyring)) {
    let first = Envelope::parse(&fs::read(archive.join(layout::keyring(1))).unwrap()).unwrap();
    let mut keyring: Keyring = serde_json::from_slice(&first.payload).unwrap();
    let head = head(3);
    keyring.version = 2;
    keyring.prev = Some(DigestSet { sha256: Digest::of(&first.payload) });
    keyring.anchor = Anchor { size: 3, root: STANDARD.encode(head.root.as_bytes()) };
    keyring.signers[0].status = KeyStatus::Retired;
    keyring.signers[0].until_seq = Some(2);
    keyring.signers.push(Signer {
        keyid: public(44).id(),
        pem: public(44).to_pem(),
        role: "log".to_owned(),
        from_seq: 3,
        until_seq: None,
        status: KeyStatus::Active,
        revocation: None,
    });
    change(&mut keyring);
    let bytes = envelope(KEYRING_TYPE, &keyring.to_bytes().unwrap(), seeds).to_bytes();
    fs::write(archive.join(layout::keyring(2)), bytes).unwrap();
}

#[apply(test)]
fn a_replaced_log_key_signs_its_replacement_and_keeps_its_past() {
    let browser = Browser::open();
    let second = layout::keyring(2);
    let check = |seeds: &[u8], change: fn(&mut Keyring), code: &str| {
        let (_folder, archive) = copy();
        rotated(&archive, seeds, change);
        let found = findings(&browser.verify(&input(&archive)));
        let mut expected = vec!["HEAD_UNPINNED checkpoint".to_owned()];
        if !code.is_empty() {
            expected.insert(0, format!("{code} {second}"));
        }
        assert_eq!(found, expected);
    };
    check(&[ROOT_SEED, LOG_SEED], |_| {}, "");
    check(&[ROOT_SEED], |_| {}, "HANDOVER_MISSING");
    check(&[LOG_SEED], |_| {}, "KEYRING_THRESHOLD_NOT_MET");
    check(&[ROOT_SEED, LOG_SEED], |k| k.signers[0].from_seq = 1, "KEYRING_MALFORMED");
    check(&[ROOT_SEED, LOG_SEED], |k| drop(k.signers.remove(0)), "KEYRING_MALFORMED");
    check(&[ROOT_SEED, LOG_SEED], |k| k.version = 3, "KEYRING_VERSION_GAP");
    check(&[ROOT_SEED, LOG_SEED], |k| k.prev = None, "KEYRING_MALFORMED");
    check(
        &[ROOT_SEED, LOG_SEED],
        |k| k.anchor.root = STANDARD.encode([7; 32]),
        "HISTORY_REWRITTEN",
    );
}

#[apply(test)]
fn two_signed_statements_for_one_place_are_a_fork() {
    let browser = Browser::open();
    let (_folder, archive) = copy();
    let mut other =
        Statement::parse(&fs::read(archive.join(layout::statement(1))).unwrap()).unwrap();
    "other".clone_into(&mut other.predicate.tool.version);
    let bytes = other.to_bytes().unwrap();
    fs::write(archive.join(layout::statement(3)), &bytes).unwrap();
    let signed = envelope(STATEMENT_TYPE, &bytes, &[LOG_SEED]).to_bytes();
    fs::write(archive.join(layout::envelope(3)), signed).unwrap();
    let found = findings(&browser.verify(&input(&archive)));
    assert_eq!(
        found,
        [format!("FORK {}", layout::statement(3)), "HEAD_UNPINNED checkpoint".to_owned()]
    );
}

#[apply(test)]
fn an_export_says_which_bundles_it_holds() {
    let browser = Browser::open();
    let (_folder, archive) = copy();
    for seq in [0, 2] {
        let statement = fs::read(archive.join(layout::statement(seq))).unwrap();
        let sums = Statement::parse(&statement).unwrap().sums().unwrap();
        fs::remove_dir_all(archive.join(format!("bundles/{sums}"))).unwrap();
    }
    fs::write(archive.join("export.json"), r#"{"from":1,"to":1}"#).unwrap();
    let result = browser.verify(&input(&archive));
    assert_eq!(findings(&result), ["PARTIAL_EXPORT export.json", "HEAD_UNPINNED checkpoint"]);
    assert_eq!(result["checked"]["bundles"], 1);
    for other in [
        "{\"from\":1,\"to\":1}\n",
        r#"{"from":2,"to":1}"#,
        r#"{"to":1,"from":1}"#,
        r#"{"from":1,"to":9007199254740992}"#,
    ] {
        fs::write(archive.join("export.json"), other).unwrap();
        let found = findings(&browser.verify(&input(&archive)));
        assert_eq!(found.iter().filter(|finding| finding.starts_with("FILE_MISSING")).count(), 2);
        assert!(found.contains(&"FILE_EXTRA export.json".to_owned()), "{found:?}");
    }
}

/// Hash of a note key of a type (C2SP signed-note).
fn note_hash(name: &str, signature_type: u8, seed: u8) -> Vec<u8> {
    let bytes = [name.as_bytes(), b"\n", &[signature_type], public(seed).as_bytes()].concat();
    Digest::of(&bytes).as_bytes()[..4].to_vec()
}

fn verifier_key(name: &str, signature_type: u8, seed: u8) -> String {
    let hash = note_hash(name, signature_type, seed);
    let hash = u32::from_be_bytes(hash.try_into().unwrap());
    let key = [&[signature_type], public(seed).as_bytes().as_slice()].concat();
    format!("{name}+{hash:08x}+{}", STANDARD.encode(key))
}

fn cosignature(name: &str, seed: u8, checkpoint: &Checkpoint, seconds: u64) -> String {
    let message = format!("cosignature/v1\ntime {seconds}\n{}", checkpoint.body());
    let bytes = [
        note_hash(name, 4, seed),
        seconds.to_be_bytes().to_vec(),
        sign(seed, message.as_bytes()).to_vec(),
    ];
    format!("— {name} {}\n", STANDARD.encode(bytes.concat()))
}

#[apply(test)]
fn cosignatures_pin_the_head_when_their_quorum_is_met() {
    let browser = Browser::open();
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let now = u64::try_from(now.as_second()).unwrap();
    let policy = format!(
        "# two of three\nlog {}\nwitness A {}\nwitness B {}\nwitness C {} https://c.example\ngroup G 2 A B C\nquorum G\n",
        verifier_key(ORIGIN, 1, LOG_SEED),
        verifier_key("a.example", 4, 51),
        verifier_key("b.example", 4, 52),
        verifier_key("c.example", 4, 53),
    );
    let check = |files: &[(&str, String)], policy: &str, expected: &[&str]| -> Value {
        let (_folder, archive) = copy();
        fs::create_dir(archive.join("cosignatures")).unwrap();
        for (name, text) in files {
            fs::write(archive.join("cosignatures").join(name), text).unwrap();
        }
        let result = browser.verify(&Input { policy: policy.to_owned(), ..input(&archive) });
        assert_eq!(findings(&result), expected);
        result
    };
    let (a, b) = ("0000000003.a", "0000000003.b");
    let by_a = || cosignature("a.example", 51, &head(3), now - 60);
    let by_b = |time| cosignature("b.example", 52, &head(3), time);
    let result = check(&[(a, by_a()), (b, by_b(now - 30))], &policy, &[]);
    assert_eq!(result["pinned"], json!({"size": 3, "of": 3}));
    assert_eq!(result["witnessed"], json!({"size": 3, "at": "2026-11-22T02:59:30Z"}));
    let old = [
        ("0000000002.a", cosignature("a.example", 51, &head(2), now - 60)),
        ("0000000002.b", cosignature("b.example", 52, &head(2), now - 9)),
    ];
    assert_eq!(check(&old, &policy, &[])["pinned"], json!({"size": 2, "of": 3}));
    let unmet = ["QUORUM_NOT_MET checkpoints/0000000003", "HEAD_UNPINNED checkpoint"];
    check(&[(a, by_a())], &policy, &unmet);
    check(&[(a, by_a()), (b, by_a())], &policy, &unmet);
    check(&[(a, by_a()), (b, cosignature("d.example", 54, &head(3), now))], &policy, &unmet);
    let invalid = ["COSIGNATURE_INVALID cosignatures/0000000003.b", unmet[0], unmet[1]];
    check(&[(a, by_a()), (b, by_b(now + 301))], &policy, &invalid);
    check(&[(a, by_a()), (b, cosignature("b.example", 52, &head(2), now))], &policy, &invalid);
    check(&[(a, by_a()), (b, by_b(now).trim_end().to_owned())], &policy, &invalid);
    let beyond = Checkpoint { size: 4, ..head(3) };
    check(
        &[("0000000004.a", cosignature("a.example", 51, &beyond, now))],
        "quorum none",
        &["HEAD_UNPINNED checkpoint"],
    );
    check(
        &[("0000000004.a", cosignature("a.example", 51, &beyond, now))],
        &policy,
        &["TAIL_TRUNCATED log/0000000003.json", unmet[0], unmet[1]],
    );
    let other_log =
        policy.replace(&verifier_key(ORIGIN, 1, LOG_SEED), &verifier_key(ORIGIN, 1, 60));
    check(&[(a, by_a()), (b, by_b(now))], &other_log, &["KEY_UNKNOWN checkpoints/0000000003"]);
    check(
        &[("3.a", by_a())],
        "quorum none",
        &["FILE_UNRELATED cosignatures/3.a", "HEAD_UNPINNED checkpoint"],
    );
}

/// A `.tlog-proof` of a statement in the log of that size.
fn proof(archive: &Path, seq: usize, size: usize) -> String {
    let leaf =
        |seq: usize| leaf_hash(&fs::read(archive.join(layout::statement(seq as u64))).unwrap());
    let leaves: Vec<Digest> = (0..size).map(leaf).collect();
    let hashes: String = inclusion_proof(&leaves, seq)
        .unwrap()
        .iter()
        .map(|hash| STANDARD.encode(hash.as_bytes()) + "\n")
        .collect();
    let note = fs::read_to_string(archive.join(layout::checkpoint(size as u64))).unwrap();
    format!("c2sp.org/tlog-proof@v1\nindex {seq}\n{hashes}\n{note}")
}

/// Items 0 and 2 of statement 1, disclosed.
fn disclosure(archive: &Path) -> Value {
    let read = |path: &str| fs::read_to_string(archive.join(path)).unwrap();
    let statement = Statement::parse(read(&layout::statement(1)).as_bytes()).unwrap();
    let items = read(&layout::bundle_file(&statement.sums().unwrap(), layout::ITEMS));
    let lines: Vec<&str> = items.lines().collect();
    let leaves: Vec<Digest> = lines.iter().map(|line| leaf_hash(line.as_bytes())).collect();
    let item = |index: usize| {
        let hashes = inclusion_proof(&leaves, index).unwrap();
        let hashes: Vec<String> =
            hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        json!({"item": lines[index], "index": index, "hashes": hashes})
    };
    json!({
        "format": "urn:affidavit:disclosure:v1",
        "keyrings": [read(&layout::keyring(1))],
        "envelope": read(&layout::envelope(1)),
        "proof": proof(archive, 1, 3),
        "items": [item(0), item(2)],
    })
}

#[apply(test)]
fn a_disclosure_shows_its_items_and_nothing_else() {
    let browser = Browser::open();
    let (folder, archive) = copy();
    let file = folder.path().join("disclosure.json");
    let whole = disclosure(&archive);
    let verify = |document: &Value, pins: Vec<String>| {
        let mut bytes = canonical::to_vec(document).unwrap();
        bytes.push(b'\n');
        fs::write(&file, bytes).unwrap();
        browser.verify(&Input { pins, ..input(&file) })
    };
    let pins = &small_chain().1;
    let result = verify(&whole, vec![pins[2].line()]);
    assert_eq!(findings(&result), Vec::<String>::new());
    assert_eq!(result["disclosed"]["items"].as_array().unwrap().len(), 2);
    assert_eq!(result["disclosed"]["items"][1]["line"], whole["items"][1]["item"]);
    assert_eq!(result["head"], pins[2].line());
    let unpinned = "HEAD_UNPINNED checkpoints/0000000003";
    assert_eq!(findings(&verify(&whole, vec![])), [unpinned]);
    assert_eq!(findings(&verify(&whole, vec![pins[1].line()])), [unpinned]);
    let mut other = pins[2].clone();
    other.root = Digest::of(b"x");
    assert_eq!(
        findings(&verify(&whole, vec![other.line()])),
        ["CHECKPOINT_INCONSISTENT checkpoints/0000000003"]
    );

    let id: Value = serde_json::from_str(whole["items"][0]["item"].as_str().unwrap()).unwrap();
    let forged = whole["items"][0]["item"].as_str().unwrap().replacen("\"id\":\"", "\"id\":\"x", 1);
    let id = id["id"].as_str().unwrap();
    let log_proof =
        |from: &str, to: &str| json!(whole["proof"].as_str().unwrap().replacen(from, to, 1));
    let cases: Vec<(&str, Value, String)> = vec![
        ("/items/0/index", json!(1), format!("INCLUSION_PROOF_INVALID item {id}")),
        ("/items/0/item", json!(forged), format!("INCLUSION_PROOF_INVALID item x{id}")),
        ("/items/0/item", json!("{}"), "ITEM_MALFORMED item 0".to_owned()),
        ("/items/0/hashes", json!([]), format!("INCLUSION_PROOF_INVALID item {id}")),
        ("/items/0/hashes/0", json!("x"), "DISCLOSURE_MALFORMED disclosure".to_owned()),
        ("/items", json!([]), "DISCLOSURE_MALFORMED disclosure".to_owned()),
        ("/items/1/index", json!(0), "DISCLOSURE_MALFORMED disclosure".to_owned()),
        (
            "/format",
            json!("urn:affidavit:disclosure:v2"),
            "DISCLOSURE_MALFORMED disclosure".to_owned(),
        ),
        ("/proof", json!(""), "DISCLOSURE_MALFORMED disclosure".to_owned()),
        ("/proof", log_proof("index 1", "index 0"), "SEQ_MISMATCH log/0000000000.json".to_owned()),
        (
            "/proof",
            json!(proof(&archive, 0, 3).replacen("index 0", "index 1", 1)),
            "INCLUSION_PROOF_INVALID log/0000000001.json".to_owned(),
        ),
        (
            "/proof",
            log_proof("\n3\n", "\n4\n"),
            "CHECKPOINT_SIGNATURE_INVALID checkpoints/0000000004".to_owned(),
        ),
        ("/envelope", json!("x"), "ENVELOPE_MALFORMED log/0000000001.dsse.json".to_owned()),
        (
            "/envelope",
            whole["keyrings"][0].clone(),
            "WRONG_PAYLOAD_TYPE log/0000000001.dsse.json".to_owned(),
        ),
        (
            "/keyrings/0",
            whole["envelope"].clone(),
            "WRONG_PAYLOAD_TYPE keyring/0000000001.dsse.json".to_owned(),
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut document = whole.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        let found = findings(&verify(&document, vec![]));
        let errors: Vec<_> = found.iter().filter(|f| !f.starts_with("HEAD_UNPINNED")).collect();
        assert_eq!(errors, [&expected], "{pointer}");
    }
}

/// A timestamp authority made with openssl, and its response over `body`.
fn timestamp(folder: &Path, body: &str, key: &str, usage: &str) -> Vec<u8> {
    fs::write(folder.join("body"), body).unwrap();
    shell(folder, &format!("
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Test CA' 2>/dev/null
        openssl req -newkey {key} -nodes -keyout tsa.key -out tsa.csr -subj '/CN=Test TSA' 2>/dev/null
        printf 'extendedKeyUsage={usage}\\nkeyUsage=critical,digitalSignature\\n' > ext
        openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile ext -out tsa.pem 2>/dev/null
        printf '[tsa]\\ndefault_tsa=t\\n[t]\\nserial=serial\\nsigner_cert=tsa.pem\\nsigner_key=tsa.key\\nsigner_digest=sha256\\ndefault_policy=1.2.3.4\\ndigests=sha256,sha512\\naccuracy=secs:1,millisecs:500\\n' > ts.cnf
        echo 01 > serial
        openssl ts -query -data body -sha512 -cert -out query 2>/dev/null
        openssl ts -reply -config ts.cnf -queryfile query -out response 2>/dev/null"));
    fs::read(folder.join("response")).unwrap()
}

/// The content of a new response, signed under another certificate of the authority, which was there
/// before it: one that openssl's own authority would not use.
fn resigned(folder: &Path, usage: &str, days: i32) -> Vec<u8> {
    shell(folder, &format!("
        printf 'extendedKeyUsage={usage}\\nkeyUsage=critical,digitalSignature\\n' > ext
        openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile ext -out other.pem 2>/dev/null
        openssl ts -reply -config ts.cnf -queryfile query -out response 2>/dev/null
        openssl ts -reply -in response -token_out -out token 2>/dev/null
        openssl cms -verify -noverify -in token -inform DER -out info 2>/dev/null
        openssl cms -sign -binary -nodetach -cades -md sha256 -econtent_type 1.2.840.113549.1.9.16.1.4 -in info -signer other.pem -inkey tsa.key -outform DER -out token"));
    let token = fs::read(folder.join("token")).unwrap();
    let body = [&[0x30, 3, 2, 1, 0], token.as_slice()].concat();
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82, length[0], length[1]], body.as_slice()].concat()
}

#[apply(test)]
fn timestamps_are_checked_against_trusted_authorities() {
    for tool in [tools::BASH, tools::OPENSSL] {
        tool.demand();
    }
    let browser = Browser::open();
    // The authority stamps with the machine's clock, so the chain is one of today.
    let folder = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now();
    let at = |seconds: i64| {
        (now + jiff::SignedDuration::from_secs(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let pin = run(&workspace(folder.path()), &at(0)).pin.unwrap();
    let archive = folder.path().join("archive");
    let body = Checkpoint { origin: pin.origin, size: pin.size, root: pin.root }.body();
    let path = "timestamps/0000000001.tsr";
    fs::create_dir(archive.join("timestamps")).unwrap();
    let verify = |response: &[u8], tsa: &str, now: &str| {
        fs::write(archive.join(path), response).unwrap();
        let input = Input { tsa: tsa.to_owned(), now: now.to_owned(), ..input(&archive) };
        let result = browser.verify(&input);
        let found = findings(&result);
        (found.into_iter().filter(|f| f.contains("TIMESTAMP")).collect::<Vec<_>>(), result)
    };
    let later = at(3600);
    let invalid = [format!("TIMESTAMP_INVALID {path}")];
    let made = |body: &str, key: &str, usage: &str| {
        let place = tempfile::tempdir().unwrap();
        let response = timestamp(place.path(), body, key, usage);
        let pem = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
        (response, pem("ca.pem"), pem("tsa.pem"))
    };
    let rsa = made(&body, "rsa:2048", "critical,timeStamping");
    let p384 = made(&body, "ec -pkeyopt ec_paramgen_curve:P-384", "critical,timeStamping");
    let p256 = made(&body, "ec -pkeyopt ec_paramgen_curve:P-256", "critical,timeStamping");
    for (response, ca, tsa) in [&rsa, &p384, &p256] {
        for trusted in [ca, tsa] {
            let (found, result) = verify(response, trusted, &later);
            assert_eq!(found, Vec::<String>::new());
            assert_eq!(result["timestamps"][0]["authority"], "Test TSA");
        }
        // Far beyond the certificates' end: what counts is the token's own time.
        let (found, _) = verify(response, ca, &at(200 * 86_400));
        assert_eq!(found, Vec::<String>::new());
    }
    let (response, ca, _) = &rsa;
    assert_eq!(verify(response, "", &later).1["timestamps"], json!([]));
    assert_eq!(verify(response, &p256.1, &later).0, invalid, "another authority");
    assert_eq!(verify(response, ca, &at(-3600)).0, invalid, "after the time of verification");
    for damaged in [2, 30, response.len() / 2, response.len() - 1] {
        let mut bytes = response.clone();
        bytes[damaged] ^= 0x10;
        assert_eq!(verify(&bytes, ca, &later).0, invalid, "byte {damaged}");
    }
    assert_eq!(verify(&response[..response.len() - 1], ca, &later).0, invalid);
    assert_eq!(verify(b"", ca, &later).0, invalid);
    for usage in ["timeStamping", "critical,timeStamping,codeSigning", "critical,codeSigning"] {
        let place = tempfile::tempdir().unwrap();
        timestamp(place.path(), &body, "rsa:2048", "critical,timeStamping");
        let good = resigned(place.path(), "critical,timeStamping", 20);
        let ca = fs::read_to_string(place.path().join("ca.pem")).unwrap();
        assert_eq!(verify(&good, &ca, &later).0, Vec::<String>::new());
        assert_eq!(verify(&resigned(place.path(), usage, 20), &ca, &later).0, invalid, "{usage}");
        let expired = resigned(place.path(), "critical,timeStamping", -1);
        assert_eq!(verify(&expired, &ca, &later).0, invalid, "an expired certificate");
    }
    let (other, ca, _) = made("other\n1\nbody\n", "rsa:2048", "critical,timeStamping");
    assert_eq!(verify(&other, &ca, &later).0, invalid, "over another message");
    // A size beyond the log.
    fs::rename(archive.join(path), archive.join("timestamps/0000000002.tsr")).unwrap();
    let input = Input { tsa: ca, now: later, ..input(&archive) };
    assert_eq!(findings(&browser.verify(&input))[0], "TAIL_TRUNCATED log/0000000001.json");
    let (_folder, archive) = future_chain(&at(7200));
    let pin = fs::read_to_string(archive.join(layout::checkpoint(1))).unwrap();
    let (body, _) = pin.split_once("\n\n").unwrap();
    let (response, ca, _) = made(&format!("{body}\n"), "rsa:2048", "critical,timeStamping");
    fs::create_dir(archive.join("timestamps")).unwrap();
    fs::write(archive.join(path), response).unwrap();
    let input = Input { subject: archive, tsa: ca, now: at(7300), ..input };
    assert_eq!(findings(&browser.verify(&input))[0], format!("TIMESTAMP_CONTRADICTS {path}"));
}

fn future_chain(created: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    run(&workspace(folder.path()), created);
    let archive = folder.path().join("archive");
    (folder, archive)
}
