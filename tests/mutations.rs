//! Random damage to an archive of twenty bundles: none of it verifies clean. Files that the format
//! declares untrusted are left out.
//!
//! `AFFIDAVIT_MUTATIONS` says how many are tried; CI tries a hundred thousand.

use std::collections::BTreeMap;

use affidavit::evidence::layout::{self, Place};
use affidavit::verify::{Archive, Entry, Policy, ReadFailure, verify};

use crate::forge::{Files, Forge, root_id};

/// Files that were changed, or taken away.
type Changes<'a> = BTreeMap<&'a str, Option<Vec<u8>>>;

/// An archive with some files changed or taken away.
struct Damaged<'a> {
    whole: &'a Files,
    changed: Changes<'a>,
}

impl Archive for Damaged<'_> {
    fn list(&self) -> Result<Vec<Entry>, ReadFailure> {
        let there = |path: &&String| !matches!(self.changed.get(path.as_str()), Some(None));
        let entry = |path: &String| Entry { path: path.clone(), is_file: true };
        Ok(self.whole.keys().filter(there).map(entry).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadFailure> {
        let bytes = match self.changed.get(path) {
            Some(changed) => changed.clone(),
            None => self.whole.get(path).cloned(),
        };
        bytes.ok_or_else(|| ReadFailure::new(path, "not there"))
    }
}

/// A xorshift generator: the same damage for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Edit,
    Insert,
    Delete,
    Truncate,
    Swap,
    Remove,
}

const KINDS: [Kind; 6] =
    [Kind::Edit, Kind::Insert, Kind::Delete, Kind::Truncate, Kind::Swap, Kind::Remove];

/// What was changed, or `None` when nothing was.
fn damage<'a>(
    whole: &'a Files,
    paths: &[&'a str],
    random: &mut Random,
) -> Option<(Kind, Changes<'a>)> {
    let kind = KINDS[random.below(KINDS.len())];
    let path = paths[random.below(paths.len())];
    let bytes = &whole[path];
    let mut changed = bytes.clone();
    let at = random.below(bytes.len());
    let mut result = BTreeMap::new();
    match kind {
        Kind::Edit => changed[at] ^= u8::try_from(1 + random.below(255)).unwrap(),
        Kind::Insert => changed.insert(at, u8::try_from(random.below(256)).unwrap()),
        Kind::Delete => drop(changed.remove(at)),
        Kind::Truncate => changed.truncate(at),
        Kind::Remove => {
            result.insert(path, None);
            return Some((kind, result));
        }
        Kind::Swap => {
            let other = paths[random.below(paths.len())];
            if whole[other] == *bytes {
                return None;
            }
            result.insert(other, Some(bytes.clone()));
            changed.clone_from(&whole[other]);
        }
    }
    if changed == *bytes {
        return None;
    }
    result.insert(path, Some(changed));
    Some((kind, result))
}

#[apply(test)]
fn no_random_damage_verifies_clean() {
    let asked = std::env::var("AFFIDAVIT_MUTATIONS").ok();
    let mutations = asked.as_deref().map_or(600, |text| text.parse().unwrap());
    let mut forge = Forge::new();
    (0..20).for_each(|_| forge.bundle());
    let whole = &forge.files;
    let policy = Policy {
        pins: vec![forge.pin()],
        ..Policy::new([root_id()].into(), "2026-12-09T03:00:00Z".parse().unwrap())
    };
    let intact = Damaged { whole, changed: BTreeMap::new() };
    let verdict = verify(&intact, &policy).unwrap();
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    let trusted = |path: &&str| !matches!(layout::place(path), Place::Untrusted | Place::Head);
    let paths: Vec<&str> = whole.keys().map(String::as_str).filter(trusted).collect();

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tried: BTreeMap<Kind, u32> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (paths, policy) = (&paths, &policy);
                scope.spawn(move || {
                    let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(thread as u64 + 1);
                    let mut random = Random(seed);
                    let mut tried: BTreeMap<Kind, u32> = BTreeMap::new();
                    let mut left: usize =
                        mutations / threads + usize::from(thread < mutations % threads);
                    while left > 0 {
                        let Some((kind, changed)) = damage(whole, paths, &mut random) else {
                            continue;
                        };
                        left -= 1;
                        *tried.entry(kind).or_default() += 1;
                        let damaged = Damaged { whole, changed };
                        let verdict = verify(&damaged, policy).unwrap();
                        assert!(
                            !verdict.is_verified(),
                            "{kind:?} of {:?} was not noticed",
                            damaged.changed.keys()
                        );
                    }
                    tried
                })
            })
            .collect();
        let mut all = BTreeMap::new();
        for worker in workers {
            for (kind, count) in worker.join().unwrap() {
                *all.entry(kind).or_default() += count;
            }
        }
        all
    });
    assert_eq!(tried.values().sum::<u32>() as usize, mutations);
    if asked.is_some() {
        eprintln!("damaged {mutations} times, verified clean 0 times: {tried:?}");
    }
}
