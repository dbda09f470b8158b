//! Every vector: one call each, by what is attacked.
#![allow(
    clippy::assigning_clones,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    reason = "rows of a table"
)]

use std::collections::BTreeSet;
use std::fs;

use affidavit::archive::packed::{self, Format};
use affidavit::disclose::Source;
use affidavit::evidence::canonical;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::disclosure::Disclosure;
use affidavit::evidence::envelope::{Envelope, STATEMENT_TYPE, pae};
use affidavit::evidence::key::KeyId;
use affidavit::evidence::keyring::{KeyStatus, Keyring, Revocation};
use affidavit::evidence::layout;
use affidavit::evidence::manifest::Manifest;
use affidavit::evidence::statement::{Gap, Listing, Pruned, Statement};
use affidavit::evidence::tlog_proof::TlogProof;
use affidavit::verify::pin::Pin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;

use super::{Case, Made, root};
use crate::forge::{
    Draft, Files, Forge, InMemory, LOG, NEXT_LOG, ORIGIN, ROOT, SECOND_ROOT, STRANGER, anchor,
    cosignature, day, envelope, key, log_hash, log_key, public, root_entry, root_id,
    witness_policy,
};

#[derive(Default)]
struct Cases(Vec<Made>);

/// What a case starts from: an archive, and an auditor who has its root and its head.
#[derive(Clone)]
struct Subject {
    files: Files,
    /// Entries of the tar that no tree of files could have.
    odd: Vec<(tar::EntryType, String)>,
    pin: Option<Pin>,
    roots: Vec<KeyId>,
    policy: String,
    tsa: String,
    now: String,
    replay: bool,
}

impl Subject {
    fn of(forge: &Forge) -> Self {
        Self {
            files: forge.files.clone(),
            odd: Vec::new(),
            pin: Some(forge.pin()),
            roots: vec![root_id()],
            policy: String::new(),
            tsa: String::new(),
            now: day(forge.today.saturating_sub(1)).replace("T02", "T03"),
            replay: false,
        }
    }

    fn edit(mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(self.files.get_mut(path).unwrap_or_else(|| panic!("no {path}")));
        self
    }

    fn set(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), bytes.into());
        self
    }

    fn remove(mut self, path: &str) -> Self {
        assert!(self.files.remove(path).is_some(), "no {path}");
        self
    }

    fn without_bundle(mut self, seq: u64) -> Self {
        let folder = self.inside(seq, "");
        self.files.retain(|path, _| !path.starts_with(&folder));
        self
    }

    fn unpinned(self) -> Self {
        Self { pin: None, ..self }
    }

    /// The path of a file of bundle `seq`.
    fn inside(&self, seq: u64, file: &str) -> String {
        let statement = Statement::parse(&self.files[&layout::statement(seq)]).unwrap();
        layout::bundle_file(&statement.sums().unwrap(), file)
    }

    fn tar(&self) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let paths: Vec<String> = self.files.keys().cloned().collect();
        let at = "2026-11-20T02:00:00Z".parse().unwrap();
        packed::write(Format::Tar, &InMemory(&self.files), &paths, &[], at, &mut bytes).unwrap();
        let mut bytes = bytes.into_inner();
        if !self.odd.is_empty() {
            // In front, so that the end of the file stays where it is.
            let mut front = tar::Builder::new(Vec::new());
            for (kind, path) in &self.odd {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(*kind);
                header.set_mode(0o644);
                header.set_size(0);
                if kind.is_symlink() || kind.is_hard_link() {
                    header.set_link_name("log/0000000000.json").unwrap();
                }
                // The library's own setter refuses names that this is about.
                header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
                header.set_cksum();
                front.append(&header, std::io::empty()).unwrap();
            }
            let mut front = front.into_inner().unwrap();
            front.truncate(front.len() - 1024);
            front.extend_from_slice(&bytes);
            bytes = front;
        }
        bytes
    }
}

impl Cases {
    fn add(
        &mut self,
        name: &str,
        attacks: &[u32],
        title: &str,
        subject: Subject,
        expected: &[&str],
    ) {
        let bytes = subject.tar();
        self.add_bytes(name, attacks, title, subject, "archive.tar", bytes, expected);
    }

    #[expect(clippy::too_many_arguments, reason = "a row of a table")]
    fn add_bytes(
        &mut self,
        name: &str,
        attacks: &[u32],
        title: &str,
        subject: Subject,
        file: &str,
        bytes: Vec<u8>,
        expected: &[&str],
    ) {
        assert!(self.0.iter().all(|made| made.name != name), "{name} twice");
        let mut findings: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        if subject.pin.is_none() && file != "disclosure.json" {
            findings.push("HEAD_UNPINNED checkpoint".to_owned());
        }
        findings.sort();
        let case = Case {
            title: title.to_owned(),
            attacks: attacks.to_vec(),
            subject: file.to_owned(),
            roots: subject.roots.iter().map(ToString::to_string).collect(),
            pins: subject.pin.iter().map(Pin::line).collect(),
            policy: subject.policy,
            tsa: subject.tsa,
            now: subject.now,
            replay: subject.replay,
            page_findings: subject.replay.then(Vec::new),
            findings,
        };
        self.0.push(Made { name: name.to_owned(), case, subject: bytes });
    }

    fn disclosure(
        &mut self,
        name: &str,
        attacks: &[u32],
        title: &str,
        bytes: Vec<u8>,
        expected: &[&str],
    ) {
        let subject = Subject::of(&Forge::three());
        self.add_bytes(name, attacks, title, subject, "disclosure.json", bytes, expected);
    }
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

fn three() -> Subject {
    Subject::of(&Forge::three())
}

/// Two honest bundles and a third whose payload was changed before it was sealed.
fn third_payload(change: &dyn Fn(&mut Draft)) -> Subject {
    let mut forge = Forge::new();
    forge.bundle();
    forge.bundle();
    forge.bundle_with(change, &|_| {});
    Subject::of(&forge)
}

/// The same with a statement that was changed before it was signed.
fn third_statement(change: &dyn Fn(&mut Statement)) -> Subject {
    let mut forge = Forge::new();
    forge.bundle();
    forge.bundle();
    forge.bundle_with(&|_| {}, change);
    Subject::of(&forge)
}

/// The same with the statement's bytes changed before they were signed.
fn third_bytes(change: &dyn Fn(String) -> String) -> Subject {
    let mut forge = Forge::new();
    forge.bundle();
    forge.bundle();
    let bytes = forge.draft(&|_| {}, &|_| {});
    let changed = change(String::from_utf8(bytes.clone()).unwrap());
    assert_ne!(changed.as_bytes(), bytes);
    forge.seal(changed.as_bytes());
    Subject::of(&forge)
}

/// Rewrites the newest envelope.
fn third_envelope(change: &dyn Fn(&mut Envelope)) -> Subject {
    let subject = three();
    let mut changed = Envelope::parse(&subject.files[&layout::envelope(2)]).unwrap();
    change(&mut changed);
    subject.set(&layout::envelope(2), changed.to_bytes())
}

fn third_envelope_text(change: &dyn Fn(String) -> String) -> Subject {
    three().edit(&layout::envelope(2), |bytes| {
        *bytes = change(String::from_utf8(bytes.clone()).unwrap()).into_bytes();
    })
}

/// Rewrites the newest checkpoint, and the head with it.
fn third_note(change: &dyn Fn(String) -> String) -> Subject {
    let subject = three();
    let note = String::from_utf8(subject.files[&layout::checkpoint(3)].clone()).unwrap();
    let changed = change(note.clone());
    assert_ne!(changed, note);
    let head = changed.clone();
    subject.set(&layout::checkpoint(3), changed).set(layout::HEAD, head)
}

/// Items as lines; a changed list is put back with count and root as they are then.
fn change_items(draft: &mut Draft, recount: bool, change: &dyn Fn(&mut Vec<String>)) {
    let text = String::from_utf8(draft.payload[layout::ITEMS].clone()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    let bytes = lines.join("\n") + "\n";
    draft.payload.insert(layout::ITEMS.to_owned(), bytes.into_bytes());
    if recount {
        let leaves: Vec<Digest> = lines
            .iter()
            .map(|line| affidavit::evidence::merkle::leaf_hash(line.as_bytes()))
            .collect();
        let root = affidavit::evidence::merkle::root(&leaves);
        draft.statement.predicate.items.size = leaves.len() as u64;
        draft.statement.predicate.items.root = STANDARD.encode(root.as_bytes());
    }
}

fn change_sums(draft: &mut Draft, change: &dyn Fn(String) -> String) {
    let mut manifest = Manifest::default();
    for (path, bytes) in &draft.payload {
        assert!(manifest.insert(path, Digest::of(bytes)));
    }
    draft.statement.predicate.files = manifest.len() as u64;
    draft.sums = change(String::from_utf8(manifest.to_bytes()).unwrap()).into_bytes();
}

pub(super) fn cases() -> Vec<Made> {
    let mut cases = Cases::default();
    valid(&mut cases);
    files(&mut cases);
    lists_and_items(&mut cases);
    statements(&mut cases);
    chains(&mut cases);
    heads(&mut cases);
    keys(&mut cases);
    witnesses(&mut cases);
    timestamps(&mut cases);
    disclosures(&mut cases);
    cases.0
}

fn valid(cases: &mut Cases) {
    cases.add("valid/three-bundles", &[], "An archive of three bundles, pinned.", three(), &[]);
    cases.add(
        "valid/without-root",
        &[32],
        "No root was given, so that nothing shows whose archive it is: neither valid nor refuted.",
        Subject { roots: Vec::new(), ..three() },
        &["ROOT_NOT_GIVEN keyring/0000000001.dsse.json"],
    );
    cases.add(
        "valid/replayed",
        &[],
        "The same, assessed again.",
        Subject { replay: true, ..three() },
        &[],
    );
    cases.add(
        "valid/unpinned",
        &[22],
        "Nothing from outside says how long it must be.",
        three().unpinned(),
        &[],
    );
    let subject = three();
    let bytes = zip(&subject);
    cases.add_bytes("valid/zip", &[], "The same as a .zip.", subject, "archive.zip", bytes, &[]);

    let mut forge = Forge::new();
    let keyring = forge.rotated(NEXT_LOG);
    forge.publish(keyring, &[ROOT, LOG]);
    forge.signer = NEXT_LOG;
    forge.bundle();
    cases.add(
        "valid/rotation-at-genesis",
        &[39],
        "The log key was replaced before the first bundle.",
        Subject::of(&forge),
        &[],
    );

    let mut forge = Forge::three();
    let first = forge.rotated(NEXT_LOG);
    forge.publish(first, &[ROOT, LOG]);
    let second = forge.rotated(5);
    forge.publish(second, &[ROOT, NEXT_LOG]);
    forge.signer = 5;
    forge.bundle();
    cases.add(
        "valid/two-rotations-in-a-row",
        &[39],
        "Two rotations without a bundle between them.",
        Subject::of(&forge),
        &[],
    );

    let mut forge = Forge::with_roots(2, &[ROOT, SECOND_ROOT]);
    forge.bundle();
    let mut keyring = forge.rotated(NEXT_LOG);
    keyring.root.keys = vec![root_entry(SECOND_ROOT), root_entry(5)];
    forge.publish(keyring, &[ROOT, SECOND_ROOT, 5, LOG]);
    forge.signer = NEXT_LOG;
    forge.bundle();
    let roots = vec![root_id(), public(SECOND_ROOT).id()];
    cases.add(
        "valid/root-replaced",
        &[],
        "One of two root keys was replaced, and the log key.",
        Subject { roots, ..Subject::of(&forge) },
        &[],
    );

    let mut forge = revoked(&Forge::three(), 3, None);
    forge.bundle();
    cases.add(
        "valid/revoked-in-time",
        &[34],
        "A revoked key signed nothing after the last good log.",
        Subject::of(&forge),
        &[],
    );

    let mut forge = Forge::three();
    forge.today += 1;
    forge.bundle_with(&|_| {}, &|statement| {
        statement.predicate.gap = Some(Gap {
            from: day(2),
            to: day(3),
            reason: "1 scheduled runs did not take place".to_owned(),
        });
    });
    cases.add(
        "valid/declared-gap",
        &[49],
        "A run did not take place, and the next bundle says so.",
        Subject::of(&forge),
        &["PERIOD_GAP_DECLARED log/0000000003.json"],
    );

    // Two of three payloads are past their day of retention when the fourth bundle is sealed.
    let pruned = |days: u64| {
        let mut forge = Forge::three();
        forge.bundle_with(&|_| {}, &|statement| {
            let rule = "house rule".to_owned();
            statement.predicate.pruned = Some(Pruned { before: 2, days, rule });
        });
        Subject::of(&forge)
    };
    cases.add(
        "valid/pruned",
        &[],
        "Payloads were removed after their retention, and a statement says so.",
        pruned(1).without_bundle(0).without_bundle(1),
        &["PAYLOAD_PRUNED log/0000000003.json"],
    );
    let half = pruned(1).without_bundle(0);
    let report = half.inside(1, layout::REPORT_PDF);
    cases.add(
        "valid/half-pruned",
        &[],
        "A run was cut off while it removed payloads; what is there is whole.",
        half.clone().remove(&report),
        &["PAYLOAD_PRUNED log/0000000003.json"],
    );
    cases.add(
        "invalid/half-pruned-modified",
        &[],
        "Something of a bundle that was being removed was changed.",
        half.set(&report, "%PDF-1.7 another\n"),
        &["PAYLOAD_PRUNED log/0000000003.json", &format!("FILE_MODIFIED {report}")],
    );
    let beyond = pruned(1).without_bundle(0).without_bundle(1);
    let folder = beyond.inside(2, "");
    cases.add(
        "invalid/pruned-beyond",
        &[4],
        "More was removed than the statement says.",
        beyond.without_bundle(2),
        &["PAYLOAD_PRUNED log/0000000003.json", &format!("FILE_MISSING {folder}")],
    );
    let early = pruned(3);
    let folder = early.inside(0, "");
    cases.add(
        "invalid/pruned-too-early",
        &[4],
        "A payload was removed before the retention that the statement claims was over.",
        early.without_bundle(0),
        &[&format!("FILE_MISSING {folder}")],
    );
    cases.add(
        "invalid/prunes-itself",
        &[],
        "A statement claims that its own payload may be gone.",
        {
            let mut forge = Forge::three();
            forge.bundle_with(&|_| {}, &|statement| {
                let rule = String::new();
                statement.predicate.pruned = Some(Pruned { before: 4, days: 0, rule });
            });
            Subject::of(&forge)
        },
        &["STATEMENT_MALFORMED log/0000000003.json"],
    );

    let orphan = format!("bundles/{}/items.jsonl", "ab".repeat(32));
    cases.add(
        "valid/orphan",
        &[27],
        "What a run left that lost its place.",
        three().set(&orphan, "{}\n"),
        &[&format!("ORPHAN_BUNDLE bundles/{}/", "ab".repeat(32))],
    );

    let subject = three();
    let gone: Vec<String> = (0..2)
        .flat_map(|seq| {
            let folder = subject.inside(seq, "");
            subject
                .files
                .keys()
                .filter(|path| path.starts_with(&folder))
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    let partial = gone.iter().fold(three(), |subject, path| subject.remove(path));
    cases.add(
        "valid/partial-export",
        &[56],
        "Only the newest bundle was handed over.",
        partial.set(layout::EXPORT, r#"{"from":2,"to":2}"#),
        &["PARTIAL_EXPORT export.json"],
    );
}

fn zip(subject: &Subject) -> Vec<u8> {
    let mut zip = std::io::Cursor::new(Vec::new());
    let paths: Vec<String> = subject.files.keys().cloned().collect();
    let at = "2026-11-20T02:00:00Z".parse().unwrap();
    packed::write(Format::Zip, &InMemory(&subject.files), &paths, &[], at, &mut zip).unwrap();
    zip.into_inner()
}

/// Marks an entry as encrypted, in both of its headers (APPNOTE 4.4.4).
fn encrypted(mut zip: Vec<u8>, path: &str) -> Vec<u8> {
    let name = path.as_bytes();
    let mut marked = 0;
    for at in 46..zip.len() - name.len() {
        if zip[at..].starts_with(name) {
            let flags = match zip[at - 46..at] {
                [b'P', b'K', 1, 2, ..] => at - 46 + 8,
                _ => at - 30 + 6,
            };
            zip[flags] |= 1;
            marked += 1;
        }
    }
    assert_eq!(marked, 2);
    zip
}

fn files(cases: &mut Cases) {
    let subject = three();
    let items = subject.inside(1, layout::ITEMS);
    let input = subject.inside(1, "inputs/kube-bench/0001-node-1.json");
    let report = subject.inside(1, layout::REPORT_PDF);
    let sums = subject.inside(1, layout::SHA256SUMS);
    let other_report = subject.inside(0, layout::REPORT_PDF);
    let modified = |path: &str| format!("FILE_MODIFIED {path}");
    cases.add(
        "invalid/file-modified",
        &[1],
        "One bit of a scanner file was changed.",
        three().edit(&input, |b| flip(b)),
        &[&modified(&input)],
    );
    cases.add(
        "invalid/file-lengthened",
        &[2],
        "A newline was added to a scanner file.",
        three().edit(&input, |b| b.push(b'\n')),
        &[&modified(&input)],
    );
    cases.add(
        "invalid/file-nul-appended",
        &[2],
        "A NUL was added to a scanner file.",
        three().edit(&input, |b| b.push(0)),
        &[&modified(&input)],
    );
    cases.add(
        "invalid/file-truncated",
        &[3],
        "The items were cut off.",
        three().edit(&items, |b| b.truncate(100)),
        &[&modified(&items)],
    );
    cases.add(
        "invalid/file-emptied",
        &[3],
        "The items were emptied.",
        three().edit(&items, Vec::clear),
        &[&modified(&items)],
    );
    cases.add(
        "invalid/file-missing",
        &[4],
        "The report was removed.",
        three().remove(&report),
        &[&format!("FILE_MISSING {report}")],
    );
    cases.add_bytes(
        "invalid/file-unreadable",
        &[],
        "A file of a .zip is encrypted.",
        three(),
        "archive.zip",
        encrypted(zip(&subject), &report),
        &[&format!("FILE_UNREADABLE {report}")],
    );
    let stray = subject.inside(1, "inputs/kube-bench/0002-node-2.json");
    cases.add(
        "invalid/file-extra",
        &[5],
        "A scanner file was put into a sealed bundle.",
        three().set(&stray, "{}"),
        &[&format!("FILE_EXTRA {stray}")],
    );
    cases.add(
        "invalid/file-extra-in-log",
        &[5],
        "A file in a folder of the archive, where nothing of that name belongs.",
        three().set("log/notes.txt", "x"),
        &["FILE_EXTRA log/notes.txt"],
    );
    cases.add(
        "valid/file-beside",
        &[5],
        "Somebody keeps notes beside the archive's own files.",
        three().set("notes.txt", "x"),
        &["FILE_UNRELATED notes.txt"],
    );
    let (litter, resources) = (subject.inside(1, "inputs/.DS_Store"), "log/._0000000001.json");
    cases.add(
        "valid/file-manager-litter",
        &[5],
        "File managers have left their files, also inside a sealed bundle.",
        three().set(&litter, "x").set(resources, "x").set("Thumbs.db", "x"),
        &[
            "FILE_UNRELATED Thumbs.db",
            &format!("FILE_UNRELATED {litter}"),
            &format!("FILE_UNRELATED {resources}"),
        ],
    );
    let (one, two) = (subject.files[&items].clone(), subject.files[&input].clone());
    cases.add(
        "invalid/files-swapped",
        &[6],
        "Two files have each other's bytes.",
        three().set(&items, two).set(&input, one),
        &[&modified(&input), &modified(&items)],
    );
    let other = subject.files[&other_report]
        .iter()
        .chain(b"of another bundle")
        .copied()
        .collect::<Vec<u8>>();
    cases.add(
        "invalid/report-of-another-bundle",
        &[53],
        "The report is another bundle's.",
        three().set(&report, other),
        &[&modified(&report)],
    );
    let renamed = String::from_utf8(subject.files[&sums].clone())
        .unwrap()
        .replace("report.pdf", "rapport.pdf");
    let rapport = subject.inside(1, "rapport.pdf");
    let bytes = subject.files[&report].clone();
    cases.add(
        "invalid/file-renamed",
        &[7],
        "A file was renamed, and its line in the list.",
        three().set(&sums, renamed).set(&rapport, bytes).remove(&report),
        &[&format!("SUMS_MODIFIED {sums}")],
    );
    cases.add(
        "invalid/sums-modified",
        &[1],
        "One bit of the list was changed.",
        three().edit(&sums, |b| flip(b)),
        &[&format!("SUMS_MODIFIED {sums}")],
    );
    cases.add(
        "invalid/statement-modified",
        &[1],
        "One bit of a statement was changed.",
        three().edit(&layout::statement(1), |b| flip(b)),
        &["PAYLOAD_COPY_MISMATCH log/0000000001.json"],
    );
    cases.add(
        "invalid/statement-emptied",
        &[3],
        "A statement was emptied.",
        three().edit(&layout::statement(1), Vec::clear),
        &["PAYLOAD_COPY_MISMATCH log/0000000001.json"],
    );
    cases.add(
        "invalid/statement-missing",
        &[4],
        "A statement was removed, its envelope not.",
        three().remove(&layout::statement(1)),
        &["FILE_MISSING log/0000000001.json"],
    );
    cases.add(
        "invalid/envelope-modified",
        &[1],
        "One bit of an envelope was changed.",
        three().edit(&layout::envelope(1), |b| {
            let at = b.len() - 20;
            b[at] ^= 1;
        }),
        &["SIGNATURE_INVALID log/0000000001.dsse.json"],
    );
    cases.add(
        "invalid/envelope-truncated",
        &[3],
        "An envelope was cut off.",
        three().edit(&layout::envelope(1), |b| b.truncate(200)),
        &["ENVELOPE_MALFORMED log/0000000001.dsse.json"],
    );
    cases.add(
        "invalid/statement-far-away",
        &[5],
        "A file has the largest number that a statement can have.",
        three().set("log/9999999999.json", "x"),
        &["BUNDLE_MISSING log/0000000003.json", "UNSIGNED_CLAIM log/9999999999.json"],
    );
    cases.add(
        "invalid/unsigned-claim",
        &[4, 27],
        "A statement has no envelope.",
        three().remove(&layout::envelope(1)),
        &["UNSIGNED_CLAIM log/0000000001.json"],
    );
    cases.add(
        "invalid/keyring-modified",
        &[1],
        "One bit of the keyring was changed.",
        three().edit(&layout::keyring(1), |b| {
            let at = b.len() - 20;
            b[at] ^= 1;
        }),
        &["KEYRING_THRESHOLD_NOT_MET keyring/0000000001.dsse.json"],
    );
    cases.add(
        "invalid/keyring-missing",
        &[4],
        "The keyring was removed.",
        three().remove(&layout::keyring(1)),
        &["KEYRING_MISSING keyring/"],
    );
    let odd = |kind, path: &str| Subject { odd: vec![(kind, path.to_owned())], ..three() };
    cases.add(
        "invalid/path-parent",
        &[8],
        "An entry whose path leads out of the archive.",
        odd(tar::EntryType::Regular, "../escape"),
        &["PATH_UNSAFE ../escape"],
    );
    cases.add(
        "invalid/path-absolute",
        &[8],
        "An entry with an absolute path.",
        odd(tar::EntryType::Regular, "/etc/passwd"),
        &["PATH_UNSAFE /etc/passwd"],
    );
    cases.add(
        "invalid/path-backslash",
        &[8],
        "An entry whose path has a backslash.",
        odd(tar::EntryType::Regular, "log\\x"),
        &["PATH_UNSAFE log\\x"],
    );
    cases.add(
        "invalid/symbolic-link",
        &[8],
        "A link stands among the files.",
        odd(tar::EntryType::Symlink, "log/link"),
        &["NOT_REGULAR_FILE log/link"],
    );
    cases.add(
        "invalid/hard-link",
        &[8],
        "A hard link stands among the files.",
        odd(tar::EntryType::Link, "log/link"),
        &["NOT_REGULAR_FILE log/link"],
    );
    cases.add(
        "invalid/fifo",
        &[8],
        "A pipe stands among the files.",
        odd(tar::EntryType::Fifo, "log/pipe"),
        &["NOT_REGULAR_FILE log/pipe"],
    );
    cases.add(
        "invalid/link-for-a-folder",
        &[8],
        "A link stands in the place of a folder of the archive.",
        odd(tar::EntryType::Symlink, "keyring"),
        &["NOT_REGULAR_FILE keyring"],
    );
    cases.add(
        "valid/link-beside",
        &[5, 8],
        "Somebody keeps a link and a pipe beside the archive's own files.",
        Subject {
            odd: vec![
                (tar::EntryType::Symlink, "latest".to_owned()),
                (tar::EntryType::Fifo, "receipts/pipe".to_owned()),
            ],
            ..three()
        },
        &["FILE_UNRELATED latest", "FILE_UNRELATED receipts/pipe"],
    );
    cases.add(
        "invalid/path-twice",
        &[8],
        "Two entries have one name.",
        odd(tar::EntryType::Regular, "VERIFY.md").set("VERIFY.md", "x"),
        &["PATH_COLLISION VERIFY.md"],
    );
}

fn lists_and_items(cases: &mut Cases) {
    let sums = |title: &str,
                name: &str,
                change: &dyn Fn(String) -> String,
                code: &str,
                cases: &mut Cases| {
        let subject = third_payload(&|draft| change_sums(draft, change));
        let path = subject.inside(2, layout::SHA256SUMS);
        cases.add(name, &[8, 9], title, subject, &[&format!("{code} {path}")]);
    };
    sums(
        "The list names a path outside of the bundle.",
        "invalid/sums-path-unsafe",
        &|t| t.replace("run.json", "../n.json"),
        "PATH_UNSAFE",
        cases,
    );
    sums(
        "Two paths of the list are one on some systems.",
        "invalid/sums-path-collision",
        &|t| {
            let line = t.lines().next().unwrap().to_owned();
            t + &line.replace("controls", "controlS") + "\n"
        },
        "PATH_COLLISION",
        cases,
    );
    sums(
        "A line of the list stands twice.",
        "invalid/sums-line-twice",
        &|t| {
            let line = t.lines().next().unwrap().to_owned();
            format!("{line}\n{t}")
        },
        "PATH_COLLISION",
        cases,
    );
    sums(
        "The list has carriage returns.",
        "invalid/sums-crlf",
        &|t| t.replace('\n', "\r\n"),
        "PATH_UNSAFE",
        cases,
    );
    sums(
        "The list has a digest in capitals.",
        "invalid/sums-upper-case",
        &|t| {
            let (a, b) = t.split_at(64);
            a.to_uppercase() + b
        },
        "SUMS_MALFORMED",
        cases,
    );
    sums(
        "The list has the mark of binary mode.",
        "invalid/sums-binary-mark",
        &|t| t.replacen("  ", " *", 1),
        "SUMS_MALFORMED",
        cases,
    );
    sums(
        "The list has a short digest.",
        "invalid/sums-short",
        &|t| t.get(1..).unwrap().to_owned(),
        "SUMS_MALFORMED",
        cases,
    );

    let subject = three();
    let (items, list) = (subject.inside(1, layout::ITEMS), subject.inside(1, layout::SHA256SUMS));
    let text = String::from_utf8(subject.files[&items].clone()).unwrap();
    let forged = text.replace(r#""outcome":"fail""#, r#""outcome":"pass""#);
    assert_ne!(text, forged);
    let old = Digest::of(text.as_bytes()).to_string();
    let new = Digest::of(forged.as_bytes()).to_string();
    let recomputed = String::from_utf8(subject.files[&list].clone()).unwrap().replace(&old, &new);
    cases.add(
        "invalid/finding-changed",
        &[10],
        "A failure was made a pass, and the list recomputed.",
        three().set(&items, forged.clone()).set(&list, recomputed.clone()),
        &[&format!("SUMS_MODIFIED {list}")],
    );
    // The whole bundle under its new name, the statement and its envelope, but for the signature.
    let sums = Digest::of(recomputed.as_bytes());
    let mut subject = three();
    let folder = subject.inside(1, "");
    let moved: Vec<(String, Vec<u8>)> = subject
        .files
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&folder)?.to_owned(), bytes.clone())))
        .collect();
    subject.files.retain(|path, _| !path.starts_with(&folder));
    for (path, bytes) in moved {
        subject.files.insert(layout::bundle_file(&sums, &path), bytes);
    }
    subject.files.insert(layout::bundle_file(&sums, layout::ITEMS), forged.clone().into_bytes());
    subject.files.insert(layout::bundle_file(&sums, layout::SHA256SUMS), recomputed.into_bytes());
    let mut statement = Statement::parse(&subject.files[&layout::statement(1)]).unwrap();
    statement.subject[0].digest.sha256 = sums;
    let leaves: Vec<Digest> = forged
        .lines()
        .map(|line| affidavit::evidence::merkle::leaf_hash(line.as_bytes()))
        .collect();
    statement.predicate.items.root =
        STANDARD.encode(affidavit::evidence::merkle::root(&leaves).as_bytes());
    let bytes = canonical::to_vec(&statement).unwrap();
    let mut signed = Envelope::parse(&subject.files[&layout::envelope(1)]).unwrap();
    signed.payload.clone_from(&bytes);
    subject.files.insert(layout::statement(1), bytes);
    subject.files.insert(layout::envelope(1), signed.to_bytes());
    cases.add(
        "invalid/all-but-the-signature",
        &[11],
        "Everything was recomputed but the signature.",
        subject,
        &["SIGNATURE_INVALID log/0000000001.dsse.json"],
    );

    let item = |name: &str,
                attacks: &[u32],
                title: &str,
                recount: bool,
                change: &dyn Fn(&mut Vec<String>),
                code: &str,
                cases: &mut Cases| {
        let subject = third_payload(&|draft| change_items(draft, recount, change));
        let path = subject.inside(2, layout::ITEMS);
        cases.add(name, attacks, title, subject, &[&format!("{code} {path}")]);
    };
    let is_finding = |line: &String| line.contains(r#""type":"finding""#);
    item(
        "invalid/item-removed",
        &[12],
        "A finding is not in the items that were counted.",
        false,
        &|lines| {
            let at = lines.iter().position(is_finding).unwrap();
            lines.remove(at);
        },
        "ITEM_COUNT_MISMATCH",
        cases,
    );
    item(
        "invalid/item-replaced",
        &[12],
        "The items are others than those with the signed root.",
        false,
        &|lines| {
            let at = lines.iter().position(is_finding).unwrap();
            lines[at] = lines[at].replace(r#""message":""#, r#""message":"x"#);
        },
        "ITEM_ROOT_MISMATCH",
        cases,
    );
    item(
        "invalid/items-reordered",
        &[13],
        "Two items stand in each other's place.",
        true,
        &|lines| lines.swap(0, 1),
        "ITEM_ORDER",
        cases,
    );
    item(
        "invalid/item-twice",
        &[14],
        "Two items have one id.",
        true,
        &|lines| {
            let line = lines[0].clone();
            lines.insert(0, line);
        },
        "ITEM_DUPLICATE_ID",
        cases,
    );
    item(
        "invalid/item-without-salt",
        &[46],
        "An item has no salt.",
        true,
        &|lines| {
            let at = lines[0].find(r#""salt":""#).unwrap() + 8;
            lines[0].replace_range(at..at + 24, "");
        },
        "ITEM_MALFORMED",
        cases,
    );
    item(
        "invalid/item-not-canonical",
        &[46, 47],
        "An item is spelled in another way.",
        true,
        &|lines| lines[0] = lines[0].replacen(':', ": ", 1),
        "ITEM_MALFORMED",
        cases,
    );
    item(
        "invalid/item-key-twice",
        &[46],
        "An item has one key twice.",
        true,
        &|lines| lines[0] = lines[0].replacen('{', r#"{"id":"a","#, 1),
        "ITEM_MALFORMED",
        cases,
    );
    item(
        "invalid/item-with-fraction",
        &[46],
        "An item has a number that is no integer.",
        true,
        &|lines| lines[0] = lines[0].replacen('{', r#"{"a":1.5,"#, 1),
        "ITEM_MALFORMED",
        cases,
    );

    let subject = third_payload(&|draft| {
        let text = String::from_utf8(draft.payload[layout::CONTROLS].clone()).unwrap();
        let changed = text
            .replace(r#""notSatisfied":1"#, r#""notSatisfied":0"#)
            .replace(r#""satisfied":1"#, r#""satisfied":2"#);
        assert_ne!(text, changed);
        draft.payload.insert(layout::CONTROLS.to_owned(), changed.into_bytes());
    });
    let path = subject.inside(2, layout::CONTROLS);
    cases.add(
        "invalid/report-mismatch",
        &[53],
        "The report's figures are not those of the items.",
        subject,
        &[&format!("REPORT_MISMATCH {path}")],
    );
    let subject = third_statement(&|statement| {
        if let Listing::Here(list) = &mut statement.predicate.summary {
            list[0].pass = 2;
            list[0].fail = 0;
        }
    });
    cases.add(
        "invalid/summary-mismatch",
        &[53],
        "The signed summary is not what the items add up to.",
        subject,
        &["SUMMARY_MISMATCH log/0000000002.json"],
    );

    let subject = third_payload(&|draft| {
        change_items(draft, true, &|lines| {
            let at = lines.iter().position(is_finding).unwrap();
            lines[at] = lines[at].replace(r#""message":""#, r#""message":"invented"#);
        });
    });
    let path = subject.inside(2, layout::ITEMS);
    cases.add(
        "invalid/replay-mismatch",
        &[53],
        "The sealed items are not what the sealed inputs give.",
        Subject { replay: true, ..subject },
        &[&format!("REPLAY_MISMATCH {path}")],
    );
}

fn statements(cases: &mut Cases) {
    let at_envelope = |code: &str| format!("{code} log/0000000002.dsse.json");
    let at_statement = |code: &str| format!("{code} log/0000000002.json");
    let mut envelope_case =
        |name: &str, attacks: &[u32], title: &str, subject: Subject, code: &str| {
            cases.add(name, attacks, title, subject, &[&at_envelope(code)]);
        };
    envelope_case(
        "invalid/wrong-payload-type",
        &[42],
        "The envelope says to hold something else.",
        third_envelope(&|e| *e = envelope("text/plain", &e.payload, &[LOG])),
        "WRONG_PAYLOAD_TYPE",
    );
    let keyring = three().files[&layout::keyring(1)].clone();
    envelope_case(
        "invalid/keyring-as-statement",
        &[42],
        "A keyring stands where a statement must.",
        three().set(&layout::envelope(2), keyring),
        "WRONG_PAYLOAD_TYPE",
    );
    envelope_case(
        "invalid/signature-of-payload-alone",
        &[42],
        "The signature is over the payload and not over its encoding.",
        third_envelope(&|e| e.signatures[0].bytes = key(LOG).sign(&e.payload).to_bytes()),
        "SIGNATURE_INVALID",
    );
    envelope_case(
        "invalid/signature-of-wrong-lengths",
        &[42],
        "The signature is over an encoding with other lengths.",
        third_envelope(&|e| {
            let mut message = pae(STATEMENT_TYPE, &e.payload);
            message[7] = b'9';
            e.signatures[0].bytes = key(LOG).sign(&message).to_bytes();
        }),
        "SIGNATURE_INVALID",
    );
    envelope_case(
        "invalid/signature-prehashed",
        &[41],
        "The signature is Ed25519ph.",
        third_envelope(&|e| {
            let mut digest = sha2_512();
            sha2::Digest::update(&mut digest, pae(STATEMENT_TYPE, &e.payload));
            e.signatures[0].bytes = key(LOG).sign_prehashed(digest, None).unwrap().to_bytes();
        }),
        "SIGNATURE_INVALID",
    );
    envelope_case(
        "invalid/signature-of-checkpoint",
        &[43],
        "The signature is that of the checkpoint.",
        third_envelope(&|e| {
            let body = Forge::three().checkpoint().body();
            e.signatures[0].bytes = key(LOG).sign(body.as_bytes()).to_bytes();
        }),
        "SIGNATURE_INVALID",
    );
    envelope_case(
        "invalid/signature-scalar-too-large",
        &[40],
        "The signature's scalar is written with the group's order added.",
        third_envelope(&|e| add_order(&mut e.signatures[0].bytes)),
        "SIGNATURE_INVALID",
    );
    envelope_case(
        "invalid/signature-small-order",
        &[40],
        "The signature's point is of small order.",
        third_envelope(&|e| {
            e.signatures[0].bytes[..32].copy_from_slice(&{
                let mut identity = [0; 32];
                identity[0] = 1;
                identity
            });
        }),
        "SIGNATURE_INVALID",
    );
    envelope_case(
        "invalid/signature-of-another-key",
        &[31],
        "Another key's signature under the log key's id.",
        third_envelope(&|e| {
            e.signatures[0].bytes = key(STRANGER).sign(&pae(STATEMENT_TYPE, &e.payload)).to_bytes();
        }),
        "SIGNATURE_INVALID",
    );
    envelope_case(
        "invalid/key-unknown",
        &[30],
        "A key signed that the keyring does not know.",
        third_envelope(&|e| *e = envelope(STATEMENT_TYPE, &e.payload, &[STRANGER])),
        "KEY_UNKNOWN",
    );
    envelope_case(
        "invalid/two-signatures",
        &[45],
        "An envelope with two signatures.",
        third_envelope(&|e| *e = envelope(STATEMENT_TYPE, &e.payload, &[LOG, STRANGER])),
        "SIGNATURE_COUNT",
    );
    envelope_case(
        "invalid/same-signature-twice",
        &[45],
        "An envelope with one signature twice.",
        third_envelope(&|e| *e = envelope(STATEMENT_TYPE, &e.payload, &[LOG, LOG])),
        "SIGNATURE_COUNT",
    );
    envelope_case(
        "invalid/no-signature",
        &[45],
        "An envelope with an empty list of signatures.",
        third_envelope(&|e| e.signatures.clear()),
        "SIGNATURE_COUNT",
    );
    envelope_case(
        "invalid/base64-url-safe",
        &[44],
        "The payload's base64 is of another alphabet.",
        third_envelope_text(&|t| t.replacen('/', "_", 1).replacen("ey", "e-", 1)),
        "ENVELOPE_MALFORMED",
    );
    envelope_case(
        "invalid/base64-white-space",
        &[44],
        "A space stands in the payload's base64.",
        third_envelope_text(&|t| t.replacen("\":\"", "\":\" ", 1)),
        "ENVELOPE_MALFORMED",
    );
    envelope_case(
        "invalid/base64-without-padding",
        &[44],
        "The signature's base64 lacks its padding.",
        third_envelope_text(&|t| t.replacen("==\"}", "\"}", 1)),
        "ENVELOPE_MALFORMED",
    );
    envelope_case(
        "invalid/envelope-key-twice",
        &[46],
        "The envelope has a key twice.",
        third_envelope_text(&|t| t.replacen('{', "{\"payload\":\"e30=\",", 1)),
        "ENVELOPE_MALFORMED",
    );
    envelope_case(
        "invalid/envelope-unknown-field",
        &[46],
        "The envelope has a field that none has.",
        third_envelope_text(&|t| t.replacen('{', "{\"x\":1,", 1)),
        "ENVELOPE_MALFORMED",
    );
    envelope_case(
        "invalid/envelope-byte-order-mark",
        &[46],
        "A byte order mark stands before the envelope.",
        third_envelope_text(&|t| format!("\u{feff}{t}")),
        "ENVELOPE_MALFORMED",
    );
    envelope_case(
        "invalid/envelope-nested",
        &[46],
        "The envelope is nested ten thousand deep.",
        third_envelope_text(&|_| "[".repeat(10_000)),
        "ENVELOPE_MALFORMED",
    );

    let mut bytes_case = |name: &str,
                          attacks: &[u32],
                          title: &str,
                          change: &dyn Fn(String) -> String,
                          code: &str| {
        let subject = third_bytes(change);
        let mut expected = vec![at_statement(code)];
        // A statement that cannot be read names no bundle, so none can be called an orphan.
        expected.dedup();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        cases.add(name, attacks, title, subject, &expected);
    };
    bytes_case(
        "invalid/wrong-predicate-type",
        &[42],
        "The statement is about something else.",
        &|t| t.replace("urn:affidavit:evidence-bundle:v1", "https://slsa.dev/provenance/v1"),
        "WRONG_PREDICATE_TYPE",
    );
    bytes_case(
        "invalid/unsupported-version",
        &[],
        "The statement is of a later version.",
        &|t| t.replace("evidence-bundle:v1", "evidence-bundle:v2"),
        "UNSUPPORTED_VERSION",
    );
    bytes_case(
        "invalid/statement-key-twice",
        &[46],
        "The signed statement has one key twice.",
        &|t| t.replacen('{', r#"{"_type":"x","#, 1),
        "DUPLICATE_JSON_KEY",
    );
    bytes_case(
        "invalid/statement-unknown-field",
        &[46],
        "The signed statement has a field that none has.",
        &|t| t.replace(r#""tool":{"#, r#""tool":{"color":"red","#),
        "STATEMENT_MALFORMED",
    );
    bytes_case(
        "invalid/statement-field-missing",
        &[46],
        "The signed statement lacks a field.",
        &|t| t.replace(r#""gap":null,"#, ""),
        "STATEMENT_MALFORMED",
    );
    bytes_case(
        "invalid/statement-with-list-for-object",
        &[46],
        "The signed statement has a list where an object must stand.",
        &|t| {
            let tool = r#""tool":{"name":"affidavit","version":"1.0.0"}"#;
            t.replace(tool, r#""tool":["affidavit","1.0.0"]"#)
        },
        "STATEMENT_MALFORMED",
    );
    bytes_case(
        "invalid/statement-not-canonical",
        &[47],
        "The signed statement has a space too many.",
        &|t| t.replacen(':', ": ", 1),
        "NON_CANONICAL_PAYLOAD",
    );
    bytes_case(
        "invalid/statement-with-nan",
        &[46],
        "The signed statement has NaN for a number.",
        &|t| t.replace(r#""version":1}"#, r#""version":NaN}"#),
        "NON_CANONICAL_PAYLOAD",
    );
    bytes_case(
        "invalid/statement-with-exponent",
        &[46],
        "The signed statement has 1e400 for a number.",
        &|t| t.replace(r#""version":1}"#, r#""version":1e400}"#),
        "NON_CANONICAL_PAYLOAD",
    );
    bytes_case(
        "invalid/statement-with-unsafe-integer",
        &[46],
        "The signed statement has a number that not every reader keeps.",
        &|t| t.replace(r#""version":1}"#, r#""version":9007199254740993}"#),
        "NON_CANONICAL_PAYLOAD",
    );
    bytes_case(
        "invalid/statement-with-lone-surrogate",
        &[46],
        "The signed statement has half a character.",
        &|t| t.replace(r#""name":"affidavit""#, r#""name":"\ud800""#),
        "NON_CANONICAL_PAYLOAD",
    );
    bytes_case(
        "invalid/statement-with-newline",
        &[47],
        "The signed statement ends in a newline.",
        &|t| t + "\n",
        "NON_CANONICAL_PAYLOAD",
    );
    bytes_case(
        "invalid/statement-too-large",
        &[48],
        "The signed statement is longer than the format allows.",
        &|t| t.replace(r#""name":"affidavit""#, &format!(r#""name":"{}""#, "a".repeat(3_600))),
        "STATEMENT_TOO_LARGE",
    );
    bytes_case(
        "invalid/time-without-form",
        &[49],
        "The signed statement's time is written in another way.",
        &|t| t.replacen("T02:00:00Z", "T02:00:00.5Z", 1),
        "STATEMENT_MALFORMED",
    );
    bytes_case(
        "invalid/leap-second",
        &[49],
        "The signed statement is dated in a leap second.",
        &|t| {
            t.replacen(
                r#""created":"2026-11-22T02:00:00Z""#,
                r#""created":"2026-11-22T23:59:60Z""#,
                1,
            )
        },
        "STATEMENT_MALFORMED",
    );
}

fn sha2_512() -> sha2::Sha512 {
    sha2::Digest::new()
}

/// Adds the order of the group to a signature's scalar: the same signature to a lax verifier.
fn add_order(signature: &mut [u8; 64]) {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

fn chains(cases: &mut Cases) {
    let without = |seq: u64| without_bundle(three(), seq);
    let copied = |mut subject: Subject, from: u64, to: u64| {
        for name in [layout::statement, layout::envelope] {
            let bytes = subject.files[&name(from)].clone();
            subject.files.insert(name(to), bytes);
        }
        subject
    };
    cases.add(
        "invalid/bundle-missing",
        &[16],
        "A bundle was removed from the middle.",
        without(1),
        &["BUNDLE_MISSING log/0000000001.json"],
    );
    let folder = three().inside(0, "");
    let mut renumbered = copied(copied(three(), 1, 0), 2, 1)
        .remove(&layout::statement(2))
        .remove(&layout::envelope(2));
    renumbered.files.retain(|path, _| !path.starts_with(&folder));
    cases.add(
        "invalid/bundle-dropped-and-renumbered",
        &[17],
        "The first bundle was removed and the rest renumbered.",
        renumbered,
        &["SEQ_MISMATCH log/0000000000.json", "TAIL_TRUNCATED log/0000000002.json"],
    );
    let mut swapped = three();
    for name in [layout::statement, layout::envelope] {
        let (one, two) = (swapped.files[&name(1)].clone(), swapped.files[&name(2)].clone());
        swapped.files.insert(name(1), two);
        swapped.files.insert(name(2), one);
    }
    cases.add(
        "invalid/bundles-reordered",
        &[18],
        "Two bundles stand in each other's place.",
        swapped,
        &["BUNDLE_REORDERED log/0000000001.json"],
    );
    cases.add(
        "invalid/bundle-duplicated",
        &[19],
        "The newest bundle stands a second time behind itself.",
        copied(three(), 2, 3),
        &["BUNDLE_DUPLICATED log/0000000003.json"],
    );
    cases.add(
        "invalid/old-bundle-replayed",
        &[20],
        "The first bundle stands a second time as the newest.",
        copied(three(), 0, 3),
        &["BUNDLE_DUPLICATED log/0000000003.json"],
    );
    let mut forked = Forge::new();
    forked.bundle();
    forked.bundle();
    let mut other = forked.clone();
    forked.bundle();
    other.today += 1;
    other.bundle();
    let mut subject = Subject::of(&forked);
    for (name, place) in [(layout::statement as fn(u64) -> String, 3), (layout::envelope, 3)] {
        subject.files.insert(name(place), other.files[&name(2)].clone());
    }
    for (path, bytes) in &other.files {
        if path.starts_with("bundles/") {
            subject.files.insert(path.clone(), bytes.clone());
        }
    }
    cases.add(
        "invalid/fork",
        &[25],
        "Two signed statements say to be the third.",
        subject,
        &["FORK log/0000000003.json"],
    );

    let mut foreign = Forge::new();
    foreign.origin = "evidence.example.com/another".to_owned();
    (0..3).for_each(|_| foreign.bundle());
    let mut subject = three();
    for name in [layout::statement, layout::envelope] {
        subject.files.insert(name(2), foreign.files[&name(2)].clone());
    }
    for (path, bytes) in &foreign.files {
        if path.starts_with("bundles/") {
            subject.files.insert(path.clone(), bytes.clone());
        }
    }
    let orphans = orphans(&subject);
    let mut expected = vec!["ORIGIN_MISMATCH log/0000000002.json".to_owned()];
    expected.extend(orphans);
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    cases.add(
        "invalid/origin-mismatch",
        &[21],
        "A bundle of another chain by the same key.",
        subject,
        &expected,
    );

    let statement = |change: &dyn Fn(&mut Statement)| third_statement(change);
    cases.add(
        "invalid/prev-mismatch",
        &[17],
        "The newest statement follows another one.",
        statement(&|s| s.predicate.chain.prev.as_mut().unwrap().sha256 = Digest::of(b"another")),
        &["PREV_MISMATCH log/0000000002.json"],
    );
    let mut forge = Forge::new();
    forge.bundle_with(&|_| {}, &|s| {
        s.predicate.chain.prev =
            Some(affidavit::evidence::statement::DigestSet { sha256: Digest::of(b"x") })
    });
    cases.add(
        "invalid/genesis",
        &[17],
        "The first statement says to follow another one.",
        Subject::of(&forge),
        &["GENESIS_INVALID log/0000000000.json"],
    );
    cases.add(
        "invalid/seq-mismatch",
        &[17],
        "The newest statement says to stand at another place.",
        statement(&|s| s.predicate.chain.seq = 7),
        &["SEQ_MISMATCH log/0000000002.json"],
    );
    cases.add(
        "invalid/time-not-monotonic",
        &[49],
        "The clock went back.",
        statement(&|s| s.predicate.time.created = "2026-11-20T12:00:00Z".to_owned()),
        &["TIME_NOT_MONOTONIC log/0000000002.json"],
    );
    cases.add(
        "invalid/time-in-future",
        &[49],
        "A bundle is dated a year ahead.",
        statement(&|s| s.predicate.time.created = "2027-11-22T02:00:00Z".to_owned()),
        &["TIME_IN_FUTURE log/0000000002.json"],
    );
    cases.add(
        "invalid/year-9999",
        &[49],
        "A bundle is dated in the year 9999.",
        statement(&|s| s.predicate.time.created = "9999-12-01T00:00:00Z".to_owned()),
        &["TIME_IN_FUTURE log/0000000002.json"],
    );
    cases.add(
        "invalid/period-overlap",
        &[49],
        "Two bundles speak for the same time.",
        statement(&|s| s.predicate.time.period_start = "2026-11-20T12:00:00Z".to_owned()),
        &["PERIOD_OVERLAP log/0000000002.json"],
    );
    cases.add(
        "invalid/period-gap-undeclared",
        &[49],
        "Half a day is missing, and nobody says so.",
        statement(&|s| s.predicate.time.period_start = "2026-11-21T14:00:00Z".to_owned()),
        &["PERIOD_GAP_UNDECLARED log/0000000002.json"],
    );
    let mut forge = Forge::three();
    forge.today += 1;
    forge.bundle_with(&|_| {}, &|statement| statement.predicate.time.period_start = day(2));
    cases.add(
        "invalid/missed-run-unmentioned",
        &[49],
        "A run did not take place, and the next bundle claims its time without a word.",
        Subject::of(&forge),
        &["PERIOD_GAP_UNDECLARED log/0000000003.json"],
    );
    cases.add(
        "invalid/next-run-not-later",
        &[49],
        "The next run is said to be due before this one.",
        statement(&|s| s.predicate.time.schedule.as_mut().unwrap().next = day(1)),
        &["STATEMENT_MALFORMED log/0000000002.json"],
    );
    cases.add(
        "invalid/same-second-twice",
        &[49],
        "Two bundles of the same second speak for time twice.",
        statement(&|s| {
            s.predicate.time.created = day(1);
            s.predicate.time.period_start = day(0);
            s.predicate.time.period_end = day(1);
        }),
        &["PERIOD_OVERLAP log/0000000002.json"],
    );
}

/// A subject without a statement, its envelope and the files that it names.
fn without_bundle(subject: Subject, seq: u64) -> Subject {
    let folder = subject.inside(seq, "");
    let mut subject = subject.remove(&layout::statement(seq)).remove(&layout::envelope(seq));
    subject.files.retain(|path, _| !path.starts_with(&folder));
    subject
}

/// Bundles that no statement of the subject names.
fn orphans(subject: &Subject) -> Vec<String> {
    let named: BTreeSet<Digest> = subject
        .files
        .iter()
        .filter(|(path, _)| matches!(layout::place(path), layout::Place::Statement(_)))
        .filter_map(|(_, bytes)| Statement::parse(bytes).ok()?.sums())
        .collect();
    let there: BTreeSet<Digest> = subject
        .files
        .keys()
        .filter_map(|path| match layout::place(path) {
            layout::Place::BundleFile(sums, _) => Some(sums),
            _ => None,
        })
        .collect();
    there.difference(&named).map(|sums| format!("ORPHAN_BUNDLE bundles/{sums}/")).collect()
}

fn heads(cases: &mut Cases) {
    let tail = |with_checkpoint: bool| {
        let subject = three();
        let folder = subject.inside(2, "");
        let mut subject = subject.remove(&layout::statement(2)).remove(&layout::envelope(2));
        subject.files.retain(|path, _| !path.starts_with(&folder));
        if with_checkpoint {
            let before = subject.files[&layout::checkpoint(2)].clone();
            subject = subject.remove(&layout::checkpoint(3)).set(layout::HEAD, before);
        }
        subject
    };
    cases.add(
        "invalid/tail-truncated",
        &[22],
        "The newest bundle was removed, its checkpoint not.",
        tail(false),
        &["TAIL_TRUNCATED log/0000000002.json"],
    );
    cases.add(
        "invalid/tail-truncated-with-checkpoint",
        &[22, 24],
        "The newest bundle was removed with its checkpoint; a pin tells.",
        tail(true),
        &["TAIL_TRUNCATED log/0000000002.json"],
    );
    let mut two = Forge::new();
    two.bundle();
    let one = two.pin();
    two.bundle();
    let stale =
        |pin| Subject { now: "2026-11-25T03:00:00Z".to_owned(), pin: Some(pin), ..tail(true) };
    cases.add(
        "valid/stale-head",
        &[24],
        "An archive that ends before a run that was due: it was handed over, or an old one was put back.",
        stale(one),
        &["STALE_HEAD log/0000000001.json"],
    );
    cases.add(
        "valid/stale-head-closed",
        &[24],
        "The same with a pin of the whole log, which says where the archive ends.",
        stale(two.pin()),
        &[],
    );
    let old = three().files[&layout::checkpoint(1)].clone();
    cases.add(
        "invalid/head-rolled-back",
        &[23],
        "The mutable head is an old one.",
        three().set(layout::HEAD, old),
        &["HEAD_ROLLED_BACK checkpoint"],
    );
    cases.add(
        "invalid/checkpoint-missing",
        &[4],
        "A checkpoint was removed.",
        three().remove(&layout::checkpoint(2)),
        &["CHECKPOINT_MISSING checkpoints/0000000002"],
    );
    let mut other = Forge::three().pin();
    other.root = Digest::of(b"another history");
    cases.add(
        "invalid/checkpoint-inconsistent",
        &[25, 36],
        "The archive is not the one that was pinned.",
        Subject { pin: Some(other), ..three() },
        &["CHECKPOINT_INCONSISTENT checkpoints/0000000003"],
    );
    let mut pin = Forge::three().pin();
    pin.origin = "evidence.example.com/another".to_owned();
    cases.add(
        "invalid/pin-of-another-chain",
        &[21],
        "The pin is another chain's.",
        Subject { pin: Some(pin), ..three() },
        &["ORIGIN_MISMATCH --pin"],
    );
    let forge = Forge::three();
    let mut wrong = forge.checkpoint();
    wrong.root = Digest::of(b"wrong");
    let note = forge.note(&wrong);
    cases.add(
        "invalid/checkpoint-root-mismatch",
        &[26],
        "The signed checkpoint does not fit the statements.",
        three().set(&layout::checkpoint(3), note.clone()).set(layout::HEAD, note),
        &["CHECKPOINT_ROOT_MISMATCH checkpoints/0000000003"],
    );
    let mut note_case = |name: &str, title: &str, change: &dyn Fn(String) -> String, code: &str| {
        cases.add(
            name,
            &[50],
            title,
            third_note(change),
            &[&format!("{code} checkpoints/0000000003")],
        );
    };
    note_case(
        "invalid/note-without-blank-line",
        "The checkpoint has no blank line.",
        &|t| t.replace("\n\n", "\n"),
        "CHECKPOINT_MALFORMED",
    );
    note_case(
        "invalid/note-without-final-newline",
        "The checkpoint does not end in a newline.",
        &|t| t.trim_end().to_owned(),
        "CHECKPOINT_MALFORMED",
    );
    note_case(
        "invalid/note-with-hyphen",
        "The checkpoint has a hyphen for its dash.",
        &|t| t.replace('—', "-"),
        "CHECKPOINT_MALFORMED",
    );
    note_case(
        "invalid/note-with-control-character",
        "The checkpoint has a tab.",
        &|t| t.replacen("\n3\n", "\n3\t\n", 1),
        "CHECKPOINT_MALFORMED",
    );
    note_case(
        "invalid/note-with-leading-zero",
        "The checkpoint's size has a leading zero.",
        &|t| t.replacen("\n3\n", "\n03\n", 1),
        "CHECKPOINT_MALFORMED",
    );
    note_case(
        "invalid/note-with-plus",
        "The checkpoint's key name has a plus.",
        &|t| t.replacen("— evidence", "— evi+dence", 1),
        "CHECKPOINT_MALFORMED",
    );
    note_case(
        "invalid/note-with-many-lines",
        "The checkpoint has a thousand signature lines.",
        &|t| {
            let line = t.lines().last().unwrap().to_owned() + "\n";
            t + &line.repeat(1_000)
        },
        "CHECKPOINT_MALFORMED",
    );
    note_case(
        "invalid/note-of-size-zero",
        "The checkpoint is of an empty log.",
        &|t| t.replacen("\n3\n", "\n0\n", 1),
        "CHECKPOINT_SIGNATURE_INVALID",
    );
    note_case(
        "invalid/note-with-bad-signature-beside-a-good-one",
        "A second line of the log key is wrong.",
        &|t| {
            let bytes = [log_hash(LOG).as_slice(), &[7; 64]].concat();
            format!("{t}— {ORIGIN} {}\n", STANDARD.encode(bytes))
        },
        "CHECKPOINT_SIGNATURE_INVALID",
    );
    note_case(
        "invalid/checkpoint-signature-invalid",
        "The checkpoint is signed by another key.",
        &|_| {
            let checkpoint = Forge::three().checkpoint();
            let signature = key(STRANGER).sign(checkpoint.body().as_bytes()).to_bytes();
            String::from_utf8(checkpoint.to_note(&public(STRANGER), &signature)).unwrap()
        },
        "CHECKPOINT_SIGNATURE_INVALID",
    );
}

/// The chain with a next keyring that revokes the log key: the log was good up to `size`.
fn revoked(forge: &Forge, size: u64, compromised_since: Option<&str>) -> Forge {
    let mut forge = forge.clone();
    let mut good = Forge::new();
    (0..size).for_each(|_| good.bundle());
    let last_good = anchor(size, &good.tree.root());
    let mut keyring = forge.next_keyring();
    keyring.anchor = last_good.clone();
    keyring.signers[0].until_seq = Some(size - 1);
    keyring.signers[0].status = KeyStatus::Revoked;
    keyring.signers[0].revocation = Some(Revocation {
        at: day(forge.today),
        compromised_since: compromised_since.map(str::to_owned),
        reason: "stolen".to_owned(),
        last_good,
    });
    keyring.signers.push(log_key(NEXT_LOG, size));
    forge.publish(keyring, &[ROOT]);
    forge.signer = NEXT_LOG;
    forge
}

fn keys(cases: &mut Cases) {
    let first = "keyring/0000000001.dsse.json";
    let second = "keyring/0000000002.dsse.json";
    cases.add(
        "invalid/keyring-untrusted-root",
        &[32],
        "The whole archive is by somebody else's keys.",
        Subject { roots: vec![public(STRANGER).id()], ..three() },
        &[&format!("KEYRING_UNTRUSTED_ROOT {first}")],
    );
    let made = |change: &dyn Fn(&mut Forge)| {
        let mut forge = Forge::three();
        change(&mut forge);
        Subject::of(&forge)
    };
    let keyring_case = |name: &str,
                        attacks: &[u32],
                        title: &str,
                        signers: &[u8],
                        change: &dyn Fn(&mut Keyring),
                        code: &str,
                        cases: &mut Cases| {
        let subject = made(&|forge| {
            let mut keyring = forge.next_keyring();
            change(&mut keyring);
            forge.publish(keyring, signers);
        });
        cases.add(name, attacks, title, subject, &[&format!("{code} {second}")]);
    };
    let new_root = |keyring: &mut Keyring| keyring.root.keys = vec![root_entry(SECOND_ROOT)];
    keyring_case(
        "invalid/keyring-signed-by-new-roots-only",
        &[33],
        "The second keyring is signed by its own root keys alone.",
        &[SECOND_ROOT],
        &new_root,
        "KEYRING_THRESHOLD_NOT_MET",
        cases,
    );
    keyring_case(
        "invalid/keyring-signed-by-old-roots-only",
        &[33],
        "The second keyring is signed by the old root keys alone.",
        &[ROOT],
        &new_root,
        "KEYRING_THRESHOLD_NOT_MET",
        cases,
    );
    keyring_case(
        "invalid/keyring-version-gap",
        &[33],
        "The second keyring does not follow the first.",
        &[ROOT],
        &|k| k.prev.as_mut().unwrap().sha256 = Digest::of(b"x"),
        "KEYRING_VERSION_GAP",
        cases,
    );
    keyring_case(
        "invalid/keyring-skipped-version",
        &[33],
        "The second keyring says to be the third.",
        &[ROOT],
        &|k| k.version = 3,
        "KEYRING_VERSION_GAP",
        cases,
    );
    keyring_case(
        "invalid/keyring-forgets-a-key",
        &[38],
        "The second keyring does not name a key that has signed.",
        &[ROOT],
        &|k| k.signers = vec![log_key(NEXT_LOG, 3)],
        "KEYRING_MALFORMED",
        cases,
    );
    keyring_case(
        "invalid/handover-missing",
        &[33],
        "The replaced log key did not sign the second keyring.",
        &[ROOT],
        &|k| {
            k.signers[0].until_seq = Some(2);
            k.signers[0].status = KeyStatus::Retired;
            k.signers.push(log_key(NEXT_LOG, 3));
        },
        "HANDOVER_MISSING",
        cases,
    );
    keyring_case(
        "invalid/keyring-overlap",
        &[38],
        "Two active keys may sign the same places.",
        &[ROOT],
        &|k| k.signers.push(log_key(NEXT_LOG, 3)),
        "KEYRING_MALFORMED",
        cases,
    );
    keyring_case(
        "invalid/key-swapped",
        &[31],
        "Another key stands under the log key's id.",
        &[ROOT],
        &|k| {
            let mut signer = log_key(NEXT_LOG, 3);
            signer.pem = public(STRANGER).to_pem();
            k.signers[0].until_seq = Some(2);
            k.signers[0].status = KeyStatus::Retired;
            k.signers.push(signer);
        },
        "KEY_SWAPPED",
        cases,
    );
    keyring_case(
        "invalid/key-weak",
        &[40],
        "A log key is of small order.",
        &[ROOT],
        &|k| {
            let mut signer = log_key(NEXT_LOG, 3);
            let mut der =
                vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 1];
            der.extend_from_slice(&[0; 31]);
            let pem = format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                STANDARD.encode(&der)
            );
            signer.keyid = KeyId::from_hex(&Digest::of(&der).to_string()).unwrap();
            signer.pem = pem;
            k.signers[0].until_seq = Some(2);
            k.signers[0].status = KeyStatus::Retired;
            k.signers.push(signer);
        },
        "KEY_WEAK",
        cases,
    );
    let twice = {
        let mut forge = Forge::with_roots(2, &[ROOT, SECOND_ROOT]);
        (0..3).for_each(|_| forge.bundle());
        let keyring = forge.next_keyring();
        forge.publish(keyring, &[ROOT, ROOT]);
        Subject { roots: vec![root_id(), public(SECOND_ROOT).id()], ..Subject::of(&forge) }
    };
    cases.add(
        "invalid/keyring-one-root-twice",
        &[33],
        "One of two root keys signed twice.",
        twice,
        &[&format!("KEYRING_THRESHOLD_NOT_MET {second}")],
    );
    let statement = three().files[&layout::envelope(0)].clone();
    cases.add(
        "invalid/statement-as-keyring",
        &[42],
        "A statement stands where a keyring must.",
        three().set(second, statement),
        &[&format!("WRONG_PAYLOAD_TYPE {second}")],
    );
    // It expires between the first bundle and the second.
    let expiring = |bundles: usize| {
        let mut forge = Forge::new();
        let expires = "2026-11-20T12:00:00Z".to_owned();
        forge.publish(Keyring { expires, ..forge.keyring.clone() }, &[ROOT]);
        (0..bundles).for_each(|_| forge.bundle());
        Subject { now: "2026-11-21T02:30:00Z".to_owned(), ..Subject::of(&forge) }
    };
    cases.add(
        "invalid/keyring-expired",
        &[33],
        "A bundle was made with a keyring that had expired.",
        expiring(2),
        &[&format!("KEYRING_EXPIRED {first}")],
    );
    cases.add(
        "valid/keyring-expired-since",
        &[33],
        "The keyring has expired since the newest bundle was made.",
        expiring(1),
        &[&format!("STALE_KEYRING {first}")],
    );
    let rolled_back = made(&|forge| {
        let keyring = forge.rotated(NEXT_LOG);
        forge.publish(keyring, &[ROOT, LOG]);
        forge.bundle();
    })
    .remove(second);
    cases.add(
        "invalid/keyring-rolled-back",
        &[33, 37],
        "The keyring that the newest statement names is gone.",
        rolled_back,
        &["KEYRING_ROLLED_BACK log/0000000003.json"],
    );
    let out_of_window = |signer: u8| {
        let mut forge = Forge::three();
        let keyring = forge.rotated(NEXT_LOG);
        forge.publish(keyring, &[ROOT, LOG]);
        forge.signer = NEXT_LOG;
        forge.bundle();
        let statement = forge.files[&layout::statement(if signer == LOG { 3 } else { 2 })].clone();
        let place = layout::envelope(if signer == LOG { 3 } else { 2 });
        Subject::of(&forge).set(&place, envelope(STATEMENT_TYPE, &statement, &[signer]).to_bytes())
    };
    cases.add(
        "invalid/retired-key-used",
        &[38],
        "A retired key signed a later statement.",
        out_of_window(LOG),
        &["KEY_OUT_OF_WINDOW log/0000000003.dsse.json"],
    );
    cases.add(
        "invalid/new-key-used-too-early",
        &[38],
        "The new key signed a statement before its time.",
        out_of_window(NEXT_LOG),
        &["KEY_OUT_OF_WINDOW log/0000000002.dsse.json"],
    );

    // A thief adds a bundle; then the owner revokes the key as of the log before it.
    let mut stolen = Forge::three();
    stolen.bundle();
    let forge = revoked(&stolen, 3, None);
    cases.add(
        "invalid/signed-after-revocation",
        &[34],
        "The thief of a key added a bundle after the last good log.",
        Subject::of(&forge),
        &["SIGNED_AFTER_REVOCATION log/0000000003.dsse.json"],
    );
    // The thief makes the whole history anew, with other dates, and keeps the real keyrings.
    let real = revoked(&Forge::three(), 3, None);
    let mut forged = Forge::new();
    forged.cron = Some("00 02 * * *");
    (0..3).for_each(|_| forged.bundle());
    let mut subject = Subject::of(&forged);
    subject.files.insert(second.to_owned(), real.files[second].clone());
    cases.add(
        "invalid/history-rewritten",
        &[35],
        "The thief of a key signed the whole history anew.",
        subject,
        &[&format!("HISTORY_REWRITTEN {second}")],
    );
    let suspect = revoked(&Forge::three(), 3, Some("2026-11-22T00:00:00Z"));
    cases.add(
        "valid/suspect-window",
        &[34],
        "A statement of the time in which the key may have been in other hands.",
        Subject::of(&suspect),
        &["SUSPECT_WINDOW log/0000000002.json"],
    );
}

fn witnesses(cases: &mut Cases) {
    let forge = Forge::three();
    let seconds = 1_795_316_400; // 2026-11-22T03:00:00Z
    let path = |seed: u8| layout::cosignature(3, &format!("w{seed}"));
    let signed = |subject: Subject, seed: u8| {
        subject.set(&path(seed), cosignature(seed, &forge.checkpoint(), seconds))
    };
    let asked = |subject: Subject, threshold: usize| Subject {
        policy: witness_policy(threshold, &[11, 12, 13]),
        ..subject
    };
    let witnessed = asked(signed(signed(three().unpinned(), 11), 13), 2);
    cases.0.push({
        let bytes = witnessed.tar();
        let mut only = Cases::default();
        only.add_bytes(
            "valid/witnessed",
            &[52],
            "Two of three witnesses have signed the head: it is pinned by them.",
            witnessed,
            "archive.tar",
            bytes,
            &[],
        );
        let mut made = only.0.remove(0);
        made.case.findings.clear();
        made
    });
    cases.add(
        "invalid/quorum-not-met",
        &[52],
        "One of three witnesses has signed, and two are asked for.",
        asked(signed(three(), 11), 2),
        &["QUORUM_NOT_MET checkpoints/0000000003"],
    );
    let twice = signed(three(), 11)
        .set(&layout::cosignature(3, "again"), cosignature(11, &forge.checkpoint(), seconds - 1));
    cases.add(
        "invalid/witness-counted-twice",
        &[52],
        "One witness has signed twice.",
        asked(twice, 2),
        &["QUORUM_NOT_MET checkpoints/0000000003"],
    );
    let line = String::from_utf8(cosignature(11, &forge.checkpoint(), seconds)).unwrap();
    let encoded = line.trim_end().rsplit(' ').next().unwrap().to_owned();
    let mut bytes = STANDARD.decode(&encoded).unwrap();
    let hash = affidavit::evidence::checkpoint::key_hash(
        "w11.example.com",
        affidavit::evidence::checkpoint::SignatureType::Ed25519,
        &public(11),
    );
    bytes[..4].copy_from_slice(&hash);
    let wrong_type = line.replace(&encoded, &STANDARD.encode(bytes));
    cases.add(
        "invalid/witness-of-wrong-type",
        &[52],
        "A line is of the log's type of signature and not of a witness's.",
        asked(three().set(&path(11), wrong_type), 1),
        &["QUORUM_NOT_MET checkpoints/0000000003"],
    );
    let mut other = forge.checkpoint();
    other.root = Digest::of(b"another history");
    let split = signed(three(), 12).set(&path(11), cosignature(11, &other, seconds));
    cases.add(
        "invalid/cosignature-of-another-history",
        &[26],
        "A witness has signed another history of the same length.",
        asked(split, 1),
        &[&format!("COSIGNATURE_INVALID {}", path(11))],
    );
    let future =
        signed(three(), 12).set(&path(11), cosignature(11, &forge.checkpoint(), seconds + 86_400));
    cases.add(
        "invalid/cosignature-in-future",
        &[52],
        "A cosignature is dated after its verification.",
        asked(future, 1),
        &[&format!("COSIGNATURE_INVALID {}", path(11))],
    );
    let mut longer = Forge::three();
    longer.bundle();
    let beyond = signed(three(), 12)
        .set(&layout::cosignature(4, "w11"), cosignature(11, &longer.checkpoint(), seconds));
    cases.add(
        "invalid/witnessed-longer-log",
        &[22, 52],
        "A witness has signed a longer log than this one.",
        asked(beyond, 1),
        &["TAIL_TRUNCATED log/0000000003.json"],
    );
    let logs = format!(
        "log {}\n{}",
        affidavit::evidence::cosignature::NoteKey::log(ORIGIN, public(STRANGER)).to_text(),
        witness_policy(1, &[11])
    );
    cases.add(
        "invalid/log-not-of-the-policy",
        &[30],
        "The policy names another key of this log.",
        Subject { policy: logs, ..signed(three(), 11) },
        &["KEY_UNKNOWN checkpoints/0000000003"],
    );
}

/// Responses of a local authority over the head of [`Forge::three`]; `tests/vectors/timestamps/make.sh`
/// made them.
fn timestamps(cases: &mut Cases) {
    let folder = root().join("timestamps");
    let read = |name: &str| fs::read(folder.join(name));
    let tsa = String::from_utf8(read("ca.pem").unwrap()).unwrap();
    let stamped = |name: &str| Subject {
        tsa: tsa.clone(),
        ..three().set(&layout::timestamp(3), read(name).unwrap())
    };
    let invalid = "TIMESTAMP_INVALID timestamps/0000000003.tsr";
    cases.add(
        "valid/timestamped",
        &[51],
        "An authority has stamped the head.",
        stamped("good.tsr"),
        &[],
    );
    cases.add(
        "invalid/timestamp-of-other-data",
        &[51],
        "The token is over something else.",
        stamped("other-data.tsr"),
        &[invalid],
    );
    cases.add(
        "invalid/timestamp-modified",
        &[1, 51],
        "One bit of the token was changed.",
        stamped("good.tsr").edit(&layout::timestamp(3), |b| {
            let at = b.len() - 40;
            b[at] ^= 1;
        }),
        &[invalid],
    );
    cases.add(
        "invalid/timestamp-of-other-authority",
        &[51],
        "The token is of an authority that nobody named.",
        stamped("other-authority.tsr"),
        &[invalid],
    );
    cases.add(
        "invalid/timestamp-contradicts",
        &[51],
        "The token is older than what it is over.",
        stamped("too-early.tsr"),
        &["TIMESTAMP_CONTRADICTS timestamps/0000000003.tsr"],
    );
}

fn disclosures(cases: &mut Cases) {
    let forge = Forge::three();
    let source = |seq: u64| Source::read(&InMemory(&forge.files), Some(seq)).unwrap();
    let ids: BTreeSet<String> =
        ["finding/0000002".to_owned(), "control/demo@1/1.2".to_owned()].into();
    let honest = source(1).disclose(&ids).unwrap();
    let parsed = Disclosure::parse(&honest).unwrap();
    let changed = |change: &dyn Fn(&mut Disclosure)| {
        let mut disclosure = parsed.clone();
        change(&mut disclosure);
        disclosure.to_bytes().unwrap()
    };
    let proof = |change: &dyn Fn(&mut TlogProof)| {
        changed(&|d| {
            let mut proof = TlogProof::parse(d.proof.as_bytes()).unwrap();
            change(&mut proof);
            d.proof = String::from_utf8(proof.to_bytes()).unwrap();
        })
    };
    let item = "INCLUSION_PROOF_INVALID item finding/0000002";
    let at = parsed.items.iter().position(|item| item.item.contains("finding/0000002")).unwrap();
    cases.disclosure(
        "valid/disclosure",
        &[],
        "Two items of the second bundle.",
        honest.clone(),
        &[],
    );
    cases.disclosure(
        "invalid/disclosed-item-changed",
        &[10, 15],
        "A disclosed failure was made a pass.",
        changed(&|d| {
            d.items[at].item =
                d.items[at].item.replace(r#""outcome":"fail""#, r#""outcome":"pass""#)
        }),
        &[item],
    );
    cases.disclosure(
        "invalid/proof-of-wrong-index",
        &[15],
        "An item's proof says another place.",
        changed(&|d| d.items[at].index ^= 1),
        &[item],
    );
    cases.disclosure(
        "invalid/proof-with-extra-hash",
        &[15],
        "An item's proof has a hash too many.",
        changed(&|d| {
            let hash = d.items[at].hashes[0].clone();
            d.items[at].hashes.push(hash);
        }),
        &[item],
    );
    cases.disclosure(
        "invalid/proof-with-missing-hash",
        &[15],
        "An item's proof lacks a hash.",
        changed(&|d| {
            d.items[at].hashes.pop();
        }),
        &[item],
    );
    cases.disclosure(
        "invalid/proof-from-another-bundle",
        &[15],
        "An item's proof is another bundle's.",
        changed(&|d| {
            d.items = Disclosure::parse(&source(0).disclose(&ids).unwrap()).unwrap().items
        }),
        &[item, "INCLUSION_PROOF_INVALID item control/demo@1/1.2"],
    );
    cases.disclosure(
        "invalid/node-as-item",
        &[15],
        "Two hashes of the tree are shown as an item.",
        changed(&|d| d.items[at].item = "\u{1}ab".to_owned()),
        &[&format!("ITEM_MALFORMED item {at}")],
    );
    cases.disclosure(
        "invalid/statement-at-wrong-index",
        &[15],
        "The proof of the statement says another place.",
        proof(&|p| p.index = 0),
        &["SEQ_MISMATCH log/0000000000.json"],
    );
    cases.disclosure(
        "invalid/statement-proof-invalid",
        &[15],
        "The proof of the statement has another hash.",
        proof(&|p| p.hashes[0] = Digest::of(b"x")),
        &["INCLUSION_PROOF_INVALID log/0000000001.json"],
    );
    cases.disclosure(
        "invalid/statement-proof-of-wrong-size",
        &[15],
        "The proof of the statement lacks a hash.",
        proof(&|p| {
            p.hashes.pop();
        }),
        &["INCLUSION_PROOF_INVALID log/0000000001.json"],
    );
    cases.disclosure(
        "invalid/disclosed-envelope-changed",
        &[1],
        "The statement's signature was changed.",
        changed(&|d| {
            let mut e = Envelope::parse(d.envelope.as_bytes()).unwrap();
            e.signatures[0].bytes[40] ^= 1;
            d.envelope = String::from_utf8(e.to_bytes()).unwrap();
        }),
        &["SIGNATURE_INVALID log/0000000001.dsse.json"],
    );
    cases.disclosure(
        "invalid/disclosure-malformed",
        &[46],
        "The disclosure is spelled in another way.",
        String::from_utf8(honest.clone()).unwrap().replacen(':', ": ", 1).into_bytes(),
        &["DISCLOSURE_MALFORMED disclosure"],
    );
    cases.disclosure(
        "invalid/disclosure-with-extra",
        &[15],
        "The proof has a line that nothing vouches for.",
        changed(&|d| d.proof = d.proof.replacen("\nindex", "\nextra AAAA\nindex", 1)),
        &["DISCLOSURE_MALFORMED disclosure"],
    );
    let untrusted = Subject { roots: vec![public(STRANGER).id()], ..three() };
    let nobody = Subject { roots: Vec::new(), ..three() };
    cases.add_bytes(
        "valid/disclosure-without-root",
        &[32],
        "No root was given, so that nothing shows whose disclosure it is: neither valid nor refuted.",
        nobody,
        "disclosure.json",
        honest.clone(),
        &["ROOT_NOT_GIVEN keyring/0000000001.dsse.json"],
    );
    cases.add_bytes(
        "invalid/disclosure-of-untrusted-root",
        &[32],
        "The disclosure is by somebody else's keys.",
        untrusted,
        "disclosure.json",
        honest.clone(),
        &["KEYRING_UNTRUSTED_ROOT keyring/0000000001.dsse.json"],
    );
    let mut other = forge.pin();
    other.root = Digest::of(b"another history");
    let inconsistent = Subject { pin: Some(other), ..three() };
    cases.add_bytes(
        "invalid/disclosure-inconsistent",
        &[25],
        "The disclosure is of another history than the pinned one.",
        inconsistent,
        "disclosure.json",
        honest.clone(),
        &["CHECKPOINT_INCONSISTENT checkpoints/0000000003"],
    );
    cases.add_bytes(
        "valid/disclosure-unpinned",
        &[],
        "The same without a pin.",
        three().unpinned(),
        "disclosure.json",
        honest,
        &["HEAD_UNPINNED checkpoints/0000000003"],
    );
}
