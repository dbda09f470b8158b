//! What cannot be read is not called forged: whichever objects of a sound archive a store does not give, there is
//! no error, and the archive is not called verified either.

use std::collections::BTreeSet;

use affidavit::archive::packed::Packed;
use affidavit::evidence::digest::Digest;
use affidavit::verify::{Archive, Entry, FailureCode, Level, ReadFailure, Verdict, verify};

use crate::vectors::{Case, on_disk, policy_of};

/// An archive of which some objects are listed and not given.
struct Withheld<'a> {
    whole: &'a Packed,
    withheld: BTreeSet<&'a str>,
}

impl Withheld<'_> {
    fn check(&self, path: &str) -> Result<(), ReadFailure> {
        if self.withheld.contains(path) {
            return Err(ReadFailure::new(path, "SlowDown: please reduce your request rate"));
        }
        Ok(())
    }
}

impl Archive for Withheld<'_> {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        self.whole.list()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        self.check(path)?;
        self.whole.read(path)
    }

    fn digest(&self, path: &str) -> Result<(Digest, u64), ReadFailure> {
        self.check(path)?;
        self.whole.digest(path)
    }
}

fn judged(whole: &Packed, case: &Case, withheld: BTreeSet<&str>) -> Verdict {
    verify(&Withheld { whole, withheld }, &policy_of(case)).unwrap()
}

/// The sound archives among the vectors.
fn sound() -> Vec<(String, Case, Packed)> {
    let mut sound = Vec::new();
    for (folder, case) in on_disk() {
        if folder.parent().is_some_and(|kind| kind.ends_with("valid"))
            && case.subject != "disclosure.json"
            && !case.roots.is_empty()
        {
            let archive = Packed::open(&folder.join(&case.subject)).unwrap();
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            sound.push((name, case, archive));
        }
    }
    assert!(sound.len() >= 15, "{}", sound.len());
    sound
}

/// Checks a verdict on an archive of which these were withheld.
fn check(name: &str, verdict: &Verdict, withheld: &BTreeSet<&str>) {
    for finding in verdict.findings.iter().filter(|f| f.code == FailureCode::FileUnreadable) {
        assert!(withheld.contains(finding.object.as_str()), "{name}: {finding:?}");
        assert!(finding.found.contains("SlowDown"), "{finding:?}");
    }
    // Once for each object at most, and for each that was needed.
    let unread: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|finding| finding.code == FailureCode::FileUnreadable)
        .map(|finding| finding.object.as_str())
        .collect();
    let once: BTreeSet<&str> = unread.iter().copied().collect();
    assert_eq!(unread.len(), once.len(), "{name}: {unread:?}");
    assert_eq!(verdict.is_verified(), unread.is_empty(), "{name}: {unread:?}");
}

#[apply(test)]
fn whatever_is_withheld_refutes_nothing() {
    let (mut tried, mut refuted) = (0, Vec::new());
    for (name, case, archive) in sound() {
        let entries = archive.list().unwrap();
        let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        // Each alone, and everything from each on: a store that goes away while it is read.
        let ones = paths.iter().map(|path| BTreeSet::from([*path]));
        let rest = (0..paths.len()).map(|from| paths[from..].iter().copied().collect());
        // Each kind: a rule of the store for one folder.
        let kinds =
            ["keyring/", "log/", "checkpoints/", "bundles/", "timestamps/", "cosignatures/"]
                .into_iter()
                .map(|kind| paths.iter().copied().filter(|path| path.starts_with(kind)).collect());
        for withheld in ones.chain(rest).chain(kinds) {
            let verdict = judged(&archive, &case, withheld.clone());
            check(&name, &verdict, &withheld);
            let errors = verdict.findings.iter().filter(|finding| finding.level == Level::Error);
            refuted.extend(errors.map(|error| {
                format!("{name} without {withheld:?}: {} {}", error.code, error.object)
            }));
            tried += 1;
        }
    }
    assert!(
        refuted.is_empty(),
        "{} of {tried}: {:#?}",
        refuted.len(),
        &refuted[..refuted.len().min(3)]
    );
    assert!(tried > 500, "{tried}");
}

#[apply(test)]
fn what_is_withheld_is_named_and_what_is_wrong_stays_wrong() {
    let (_, case, archive) =
        sound().into_iter().find(|(name, ..)| name == "three-bundles").unwrap();
    let verdict = judged(&archive, &case, ["log/0000000001.json"].into());
    let said: Vec<_> = verdict.findings.iter().map(|f| (f.level, f.object.as_str())).collect();
    assert_eq!(said, [(Level::Inconclusive, "log/0000000001.json")]);

    // An error beside it is an error.
    let mut stranger = case;
    stranger.roots = vec!["00".repeat(32)];
    let verdict = judged(&archive, &stranger, ["log/0000000001.json"].into());
    assert_eq!(verdict.findings[0].code, FailureCode::KeyringUntrustedRoot);
    assert!(verdict.findings.iter().any(|finding| finding.level == Level::Inconclusive));
}
