//! Attacks 27 and 28 on the chain itself, over any store: writers that race, writers that are cut off
//! at every write in turn, and replies that are lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;

use affidavit::archive::Store;
use affidavit::evidence::layout;
use affidavit::seal::{SealError, Sealed, Sealer};
use affidavit::sign::FileSigner;
use affidavit::verify::{Level, Policy, verify};
use jiff::Timestamp;

use crate::faulty::Faulty;
use crate::forge::{Forge, LOG, key, newest_keyring, root_id};

type Open<'a> = &'a (dyn Fn(&str) -> Box<dyn Store> + Sync);

const WRITERS: usize = 4;

/// When everything here takes place.
pub fn now() -> Timestamp {
    "2026-11-20T03:00:00Z".parse().unwrap()
}

/// Seals bundles, each on the head as it is then, and unlike those of any other writer: the same
/// bundle twice would be one.
pub fn seal(store: &dyn Store, writer: &str, bundles: usize) -> Result<Vec<u64>, SealError> {
    let forge = Forge::new();
    let keyring = newest_keyring(&forge.files);
    let signer = FileSigner::new(key(LOG)).unwrap();
    let envelopes = [forge.files[&layout::keyring(1)].clone()];
    let sealer = Sealer::open(store, &signer, &keyring, &envelopes, now())?;
    let mut places = Vec::new();
    while places.len() < bundles {
        let log = sealer.log()?;
        let previous = log.newest.as_ref().map(|newest| newest.digest);
        let (mut payload, mut statement) = forge.bundle_after(previous, log.next_seq());
        payload.insert("inputs/writer".to_owned(), format!("{writer} {}", places.len()).into());
        let none = &mut |path: &str| panic!("{path} is no input");
        let outcome = sealer.seal(&log, &payload, none, &BTreeMap::new(), |sums, files| {
            statement.subject[0].digest.sha256 = sums;
            statement.predicate.files = files;
            statement
        })?;
        if let Sealed::Done { seq, .. } = outcome {
            places.push(seq);
        }
    }
    Ok(places)
}

/// Every error of the archive; it holds `size` statements.
pub fn errors(store: &dyn Store, size: u64) -> Vec<String> {
    let verdict = verify(store, &Policy::new([root_id()].into(), now())).unwrap();
    assert_eq!(verdict.checked.statements, size);
    let errors = verdict.findings.iter().filter(|finding| finding.level == Level::Error);
    errors.map(|finding| format!("{} {}", finding.code, finding.object)).collect()
}

/// Writers race for every place: none is won twice, none is lost.
pub fn racing_writers_make_one_chain(rounds: usize, open: Open<'_>) {
    let won = Mutex::new(Vec::new());
    // The first one settles the keyring, so that the others find an archive that verifies.
    won.lock().unwrap().extend(seal(&*open("race"), "first", 1).unwrap());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let won = &won;
            scope.spawn(move || {
                let mut left = rounds;
                while left > 0 {
                    match seal(&*open("race"), &format!("{writer}, {left} left"), left) {
                        Ok(places) => {
                            left -= places.len();
                            won.lock().unwrap().extend(places);
                        }
                        // Between another's claim and its checkpoint the archive is not whole.
                        Err(SealError::NotVerified { .. }) => thread::yield_now(),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let won = won.into_inner().unwrap();
    let places: BTreeSet<u64> = won.iter().copied().collect();
    let size = WRITERS * rounds + 1;
    assert_eq!((won.len(), places.len()), (size, size), "a place was won twice");
    assert_eq!(places.last(), Some(&(size as u64 - 1)));
    assert_eq!(errors(&*open("race"), size as u64), Vec::<String>::new());
}

/// A writer is cut off at every write in turn, before or after it took effect: the next one makes a
/// whole chain of it.
pub fn a_writer_cut_off_anywhere_is_finished(open: Open<'_>) {
    let mut tried = 0;
    for persisted in [false, true] {
        for fail_at in 1.. {
            let prefix = format!("cut-{fail_at}-{persisted}");
            let store = open(&prefix);
            seal(&*store, "first", 1).unwrap();
            if seal(&Faulty::new(&*store, fail_at, persisted), "cut off", 1).is_ok() {
                break;
            }
            tried += 1;
            let places = seal(&*store, "next", 1).unwrap();
            // The claim that was made counts; one that was not made leaves no hole.
            let size = places[0] + 1;
            assert!(matches!(size, 2 | 3), "{prefix}: {size}");
            assert_eq!(errors(&*store, size), Vec::<String>::new(), "{prefix}");
        }
    }
    assert!(tried > 20, "{tried}");
}
