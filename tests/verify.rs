//! What the verifier says of damaged archives: every fault once, at its cause.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use affidavit::archive::Directory;
use affidavit::evidence::layout;
use affidavit::verify::{FailureCode, Finding, Level, Policy};

use crate::small_chain::{at, copy, errors, files, policy, small_chain, verdict, verify_with};

/// Files that the format declares untrusted.
fn is_untrusted(path: &str) -> bool {
    path == layout::VERIFY_MD || path.starts_with("receipts/")
}

fn codes(archive: &Path, policy: &Policy) -> Vec<FailureCode> {
    verify_with(archive, policy).findings.iter().map(|finding| finding.code).collect()
}

#[apply(test)]
fn the_whole_chain_verifies_and_says_that_its_head_is_not_pinned() {
    let (folder, pins) = small_chain();
    let archive = folder.path().join("archive");
    let verdict = verify_with(&archive, &Policy { replay: true, ..policy() });
    assert_eq!(errors(&verdict), Vec::<String>::new());
    assert_eq!(verdict.checked.statements, 3);
    assert_eq!(verdict.checked.replayed, 3);
    assert_eq!(verdict.checked.not_checked, 0);
    let warnings: Vec<_> = verdict.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(warnings, [FailureCode::HeadUnpinned]);
    for pin in pins {
        let pinned = Policy { pins: vec![pin.clone()], ..policy() };
        let verdict = verify_with(&archive, &pinned);
        assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
        assert_eq!(verdict.pinned.unwrap().size, pin.size);
    }
}

#[apply(test)]
fn one_flipped_byte_anywhere_names_exactly_its_file() {
    let (_folder, archive) = copy();
    let mut tried = 0;
    for path in files(&archive).iter().filter(|path| !is_untrusted(path)) {
        let full = archive.join(path);
        let original = fs::read(&full).unwrap();
        let last = original.len() - 1;
        for (position, mask) in
            [(0, 1), (last / 3, 0x20), (last / 2, 1), (2 * last / 3, 4), (last, 1)]
        {
            let mut damaged = original.clone();
            damaged[position] ^= mask;
            fs::write(&full, &damaged).unwrap();
            let verdict = verdict(&archive);
            let errors = errors(&verdict);
            assert!(
                errors.len() == 1 && errors[0].ends_with(&format!(" {path}")),
                "{path} at {position}: {errors:#?}"
            );
            tried += 1;
        }
        fs::write(&full, &original).unwrap();
    }
    assert_eq!(errors(&verdict(&archive)), Vec::<String>::new());
    assert!(tried > 100, "{tried}");
}

#[apply(test)]
fn cut_lengthened_and_emptied_files_name_exactly_their_file() {
    let (_folder, archive) = copy();
    for path in files(&archive).iter().filter(|path| !is_untrusted(path)) {
        let full = archive.join(path);
        let original = fs::read(&full).unwrap();
        let longer = |byte: u8| [original.as_slice(), &[byte]].concat();
        let half = original[..original.len() / 2].to_vec();
        for damaged in [Vec::new(), half, longer(b'\n'), longer(0), longer(b'x')] {
            fs::write(&full, &damaged).unwrap();
            let errors = errors(&verdict(&archive));
            assert!(
                errors.len() == 1 && errors[0].ends_with(&format!(" {path}")),
                "{path} with {} bytes: {errors:#?}",
                damaged.len()
            );
        }
        fs::write(&full, &original).unwrap();
    }
}

#[apply(test)]
fn a_deleted_file_is_named() {
    let (_folder, archive) = copy();
    for path in files(&archive).iter().filter(|path| !is_untrusted(path)) {
        // The mutable head is a convenience: without it nothing is lost.
        if path == layout::HEAD {
            continue;
        }
        let full = archive.join(path);
        let original = fs::read(&full).unwrap();
        fs::remove_file(&full).unwrap();
        let errors = errors(&verdict(&archive));
        let named = match path.as_str() {
            path if path.starts_with("keyring/") => "KEYRING_MISSING keyring/".to_owned(),
            path if path.starts_with("checkpoints/") => format!("CHECKPOINT_MISSING {path}"),
            path if path.ends_with(".dsse.json") => {
                format!("UNSIGNED_CLAIM {}", path.replace(".dsse", ""))
            }
            path => format!("FILE_MISSING {path}"),
        };
        assert_eq!(errors, [named], "{path}");
        fs::write(&full, &original).unwrap();
    }
}

#[apply(test)]
fn what_does_not_belong_is_named() {
    let (_folder, archive) = copy();
    let bundle = files(&archive).iter().find(|path| path.ends_with("items.jsonl")).unwrap().clone();
    for path in ["keyring/x", "log/17.json", &bundle.replace("items.jsonl", "inputs/extra.json")] {
        fs::write(archive.join(path), "x").unwrap();
        assert_eq!(errors(&verdict(&archive)), [format!("FILE_EXTRA {path}")]);
        fs::remove_file(archive.join(path)).unwrap();
    }
    // Beside the archive's own files, and what file managers leave everywhere, is no fault.
    for path in ["stray.txt", "notes/x", "log/.DS_Store", &bundle.replace("items.jsonl", "._x")] {
        fs::create_dir_all(archive.join(path).parent().unwrap()).unwrap();
        fs::write(archive.join(path), "x").unwrap();
        let verdict = verdict(&archive);
        assert_eq!(errors(&verdict), [""; 0]);
        let unrelated = |finding: &&Finding| finding.code == FailureCode::FileUnrelated;
        let named: Vec<_> = verdict.findings.iter().filter(unrelated).map(|f| &f.object).collect();
        assert_eq!(named, [path]);
        fs::remove_file(archive.join(path)).unwrap();
    }
    // Nor is it one what kind of thing it is, or how its name is written.
    let odd = [b"Pr\xfcfung.txt", b"Pr\xe4fung.txt"].map(|name| std::ffi::OsStr::from_bytes(name));
    for name in odd {
        fs::write(archive.join(name), "x").unwrap();
    }
    std::os::unix::fs::symlink("bundles", archive.join("latest")).unwrap();
    let found: Vec<_> = verdict(&archive).findings;
    let warned = found.iter().filter(|finding| finding.code == FailureCode::FileUnrelated);
    assert_eq!(
        warned.map(|finding| finding.object.as_str()).collect::<Vec<_>>(),
        ["Pr\u{fffd}fung.txt", "Pr\u{fffd}fung.txt", "latest"]
    );
    assert!(found.iter().all(|finding| !finding.is_fault()), "{found:?}");
    // Among what is signed it is.
    let inside = archive.join("log").join(odd[0]);
    fs::write(&inside, "x").unwrap();
    assert_eq!(errors(&verdict(&archive)), ["PATH_UNSAFE log/Pr\u{fffd}fung.txt"]);
    fs::remove_file(inside).unwrap();
    let link = archive.join("log/link.json");
    std::os::unix::fs::symlink("0000000000.json", &link).unwrap();
    assert_eq!(errors(&verdict(&archive)), ["NOT_REGULAR_FILE log/link.json"]);
    fs::remove_file(link).unwrap();
    fs::rename(archive.join("checkpoints"), archive.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", archive.join("checkpoints")).unwrap();
    assert!(errors(&verdict(&archive)).contains(&"NOT_REGULAR_FILE checkpoints".to_owned()));
}

#[apply(test)]
fn a_removed_bundle_is_named() {
    let (_folder, archive) = copy();
    fs::remove_file(archive.join(layout::statement(1))).unwrap();
    fs::remove_file(archive.join(layout::envelope(1))).unwrap();
    assert_eq!(errors(&verdict(&archive)), ["BUNDLE_MISSING log/0000000001.json"]);
}

#[apply(test)]
fn a_doubled_bundle_is_named() {
    let (_folder, archive) = copy();
    for name in [layout::statement, layout::envelope] {
        fs::copy(archive.join(name(2)), archive.join(name(3))).unwrap();
    }
    assert_eq!(errors(&verdict(&archive)), ["BUNDLE_DUPLICATED log/0000000003.json"]);
}

#[apply(test)]
fn swapped_bundles_are_named() {
    let (_folder, archive) = copy();
    for name in [layout::statement, layout::envelope] {
        let (one, two) = (archive.join(name(1)), archive.join(name(2)));
        let spare = archive.join("spare");
        fs::rename(&one, &spare).unwrap();
        fs::rename(&two, &one).unwrap();
        fs::rename(&spare, &two).unwrap();
    }
    assert_eq!(errors(&verdict(&archive)), ["BUNDLE_REORDERED log/0000000001.json"]);
}

#[apply(test)]
fn a_dropped_and_renumbered_bundle_is_named_once() {
    let (_folder, archive) = copy();
    for name in [layout::statement, layout::envelope] {
        fs::rename(archive.join(name(1)), archive.join(name(0))).unwrap();
        fs::rename(archive.join(name(2)), archive.join(name(1))).unwrap();
    }
    let errors = errors(&verdict(&archive));
    assert_eq!(
        errors,
        ["SEQ_MISMATCH log/0000000000.json", "TAIL_TRUNCATED log/0000000002.json"],
        "the place and the shortened log are two facts"
    );
}

fn drop_tail(archive: &Path, with_checkpoints: bool) {
    fs::remove_file(archive.join(layout::statement(2))).unwrap();
    fs::remove_file(archive.join(layout::envelope(2))).unwrap();
    if with_checkpoints {
        fs::remove_file(archive.join(layout::checkpoint(3))).unwrap();
        fs::copy(archive.join(layout::checkpoint(2)), archive.join(layout::HEAD)).unwrap();
    }
}

#[apply(test)]
fn a_dropped_tail_is_named_by_its_checkpoint_or_by_a_pin() {
    let pins = &small_chain().1;
    let (_folder, archive) = copy();
    drop_tail(&archive, false);
    assert_eq!(errors(&verdict(&archive)), ["TAIL_TRUNCATED log/0000000002.json"]);

    let (_folder, archive) = copy();
    drop_tail(&archive, true);
    // Nothing inside can tell; the verdict says that it cannot, and only a pin finds out.
    assert!(!codes(&archive, &policy()).contains(&FailureCode::TailTruncated));
    assert!(codes(&archive, &policy()).contains(&FailureCode::HeadUnpinned));
    let pinned = Policy { pins: vec![pins[2].clone()], ..policy() };
    assert_eq!(errors(&verify_with(&archive, &pinned)), ["TAIL_TRUNCATED log/0000000002.json"]);
    let old_pin = Policy { pins: vec![pins[1].clone()], ..policy() };
    assert_eq!(errors(&verify_with(&archive, &old_pin)), Vec::<String>::new());
}

#[apply(test)]
fn an_old_head_is_named() {
    let (_folder, archive) = copy();
    fs::copy(archive.join(layout::checkpoint(1)), archive.join(layout::HEAD)).unwrap();
    assert_eq!(errors(&verdict(&archive)), ["HEAD_ROLLED_BACK checkpoint"]);
}

#[apply(test)]
fn a_pin_of_another_history_is_named() {
    let (_folder, archive) = copy();
    let mut pin = small_chain().1[1].clone();
    pin.root = affidavit::evidence::digest::Digest::of(b"another history");
    let pinned = Policy { pins: vec![pin.clone()], ..policy() };
    assert_eq!(
        errors(&verify_with(&archive, &pinned)),
        ["CHECKPOINT_INCONSISTENT checkpoints/0000000002"]
    );
    "evidence.example.com/other".clone_into(&mut pin.origin);
    let pinned = Policy { pins: vec![pin], ..policy() };
    assert_eq!(errors(&verify_with(&archive, &pinned)), ["ORIGIN_MISMATCH --pin"]);
}

#[apply(test)]
fn without_the_right_root_nothing_is_verified() {
    let (_folder, archive) = copy();
    let none = Policy { roots: std::collections::BTreeSet::new(), ..policy() };
    // By its own keys everything holds, and nothing shows whose they are.
    let own = verify_with(&archive, &none);
    assert_eq!(errors(&own), ["ROOT_NOT_GIVEN keyring/0000000001.dsse.json"]);
    assert!(!own.has(Level::Error));
    assert_eq!(own.checked.not_checked, 0);
    let untrusted = ["KEYRING_UNTRUSTED_ROOT keyring/0000000001.dsse.json"];
    let other = affidavit::evidence::key::KeyId::from_hex(&"ab".repeat(32)).unwrap();
    let wrong = Policy { roots: [other].into(), ..policy() };
    assert_eq!(errors(&verify_with(&archive, &wrong)), untrusted);
}

#[apply(test)]
fn time_is_looked_at() {
    let (_folder, archive) = copy();
    let late = Policy { now: at("2026-11-25T03:00:00Z"), ..policy() };
    let late = || late.clone();
    // Evidence that was handed over ends where it ends; an archive in use must not.
    let stale = "STALE_HEAD log/0000000002.json";
    assert_eq!(errors(&verify_with(&archive, &late())), [""; 0]);
    assert!(verify_with(&archive, &late()).has(Level::Warning));
    let live = Policy { live: true, ..late() };
    assert_eq!(errors(&verify_with(&archive, &live)), [stale]);
    let expired = Policy { now: at("2028-01-01T00:00:00Z"), ..policy() };
    assert_eq!(errors(&verify_with(&archive, &expired)), [""; 0]);
    assert_eq!(
        errors(&verify_with(&archive, &Policy { live: true, ..expired })),
        ["STALE_KEYRING keyring/0000000001.dsse.json", stale]
    );
    let early = Policy { now: at("2026-11-21T12:00:00Z"), ..policy() };
    assert_eq!(errors(&verify_with(&archive, &early)), ["TIME_IN_FUTURE log/0000000002.json"]);
}

#[apply(test)]
fn a_changed_finding_is_named_however_much_is_recomputed() {
    use affidavit::evidence::digest::Digest;
    use affidavit::evidence::manifest::Manifest;
    let (_folder, archive) = copy();
    let items = files(&archive).iter().find(|path| path.ends_with("items.jsonl")).unwrap().clone();
    let bundle = items.trim_end_matches("items.jsonl").to_owned();
    let text = fs::read_to_string(archive.join(&items)).unwrap();
    let forged = text.replace(r#""outcome":"fail""#, r#""outcome":"pass""#);
    assert_ne!(text, forged);
    fs::write(archive.join(&items), &forged).unwrap();
    assert_eq!(errors(&verdict(&archive)), [format!("FILE_MODIFIED {items}")]);
    // With the list recomputed too, the list is not the signed one.
    let sums_path = format!("{bundle}SHA256SUMS");
    let sums = Manifest::parse(&fs::read(archive.join(&sums_path)).unwrap()).unwrap();
    let mut recomputed = Manifest::default();
    for (path, digest) in sums.iter() {
        let digest = if path == "items.jsonl" { Digest::of(forged.as_bytes()) } else { *digest };
        assert!(recomputed.insert(path, digest));
    }
    fs::write(archive.join(&sums_path), recomputed.to_bytes()).unwrap();
    assert_eq!(errors(&verdict(&archive)), [format!("SUMS_MODIFIED {sums_path}")]);
}

#[apply(test)]
fn the_chain_alone_says_nothing_of_files() {
    let (_folder, archive) = copy();
    let items = files(&archive).iter().find(|path| path.ends_with("items.jsonl")).unwrap().clone();
    fs::write(archive.join(&items), "forged").unwrap();
    let chain_only = Policy { deep: false, ..policy() };
    let verdict = verify_with(&archive, &chain_only);
    assert!(verdict.is_verified() && !verdict.deep);
    assert_eq!((verdict.checked.bundles, verdict.checked.files), (0, 0));
}

#[apply(test)]
fn an_empty_or_missing_archive_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let errors = errors(&verdict(folder.path()));
    assert_eq!(errors, ["KEYRING_MISSING keyring/", "GENESIS_INVALID log/0000000000.json"]);
    let missing = Directory::new(folder.path().join("missing"));
    assert!(affidavit::verify::verify(&missing, &policy()).is_err());
}

#[apply(test)]
fn every_code_has_its_own_name_and_a_sentence() {
    let names: std::collections::BTreeSet<_> =
        FailureCode::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), FailureCode::ALL.len());
    assert!(FailureCode::ALL.iter().all(|code| code.sentence().ends_with('.')));
    assert_eq!(FailureCode::HeadUnpinned.level(), Level::Warning);
}
