//! What every store must do, over every store there is.
//!
//! S3 is tested on a real server, which `.ci/seaweedfs` installs and this file starts. Credentials
//! come from the environment, as in production, so those tests run in a process of their own: this
//! very program, started again with another environment.

mod amazon;
mod chains;
mod killed;
mod outages;
pub mod proxy;
pub mod server;
mod s3;

use std::fs;
use std::path::Path;
use std::sync::{Barrier, Mutex};
use std::thread;

use affidavit::archive::{self, Directory, Location, Put, Store};
use affidavit::evidence::digest::Digest;
use affidavit::evidence::layout;
use affidavit::verify::Archive as _;
use jiff::Timestamp;

const WRITERS: usize = 20;

/// Everything that every store must do. The store is empty; writers race for `rounds` rounds.
fn suite(rounds: u64, open: &(dyn Fn() -> Box<dyn Store> + Sync)) {
    let store = open();
    store.probe().unwrap();
    once_written_stays(&*store);
    what_is_put_is_listed(&*store);
    the_head_is_replaced(&*store);
    one_of_many_writers_wins(rounds, open);
    // The probe leaves nothing that belongs to the archive.
    let before = paths(&*store);
    store.probe().unwrap();
    assert_eq!(paths(&*store), before);
}

fn once_written_stays(store: &dyn Store) {
    let path = layout::statement(0);
    assert_eq!(store.put_new(&path, b"one").unwrap(), Put::Created);
    assert_eq!(store.put_new(&path, b"one").unwrap(), Put::Same);
    assert_eq!(store.put_new(&path, b"two").unwrap(), Put::Other);
    assert_eq!(store.read(&path).unwrap(), b"one");
    assert_eq!(store.put_new(&layout::statement(1), b"").unwrap(), Put::Created);
    assert_eq!(store.put_new(&layout::statement(1), b"").unwrap(), Put::Same);
    assert_eq!(store.read(&layout::statement(1)).unwrap(), b"");
}

fn what_is_put_is_listed(store: &dyn Store) {
    let sums = Digest::of(b"sums");
    let large: Vec<u8> = (0..3 << 20).map(|n: u32| n.to_le_bytes()[(n % 3) as usize]).collect();
    let objects = [
        (layout::bundle_file(&sums, layout::SHA256SUMS), b"sums".to_vec()),
        (layout::bundle_file(&sums, "inputs/a/b_c-1.json"), large),
        (layout::keyring(1), b"keyring".to_vec()),
        (layout::VERIFY_MD.to_owned(), b"text".to_vec()),
    ];
    let mut expected = paths(store);
    for (path, bytes) in &objects {
        assert_eq!(store.put_new(path, bytes).unwrap(), Put::Created, "{path}");
        expected.push(path.clone());
    }
    expected.sort();
    assert_eq!(paths(store), expected);
    for (path, bytes) in &objects {
        assert!(store.read(path).unwrap() == *bytes, "{path}");
        let digest = (Digest::of(bytes), bytes.len() as u64);
        assert_eq!(store.digest(path).unwrap(), digest, "{path}");
    }
    let missing = layout::envelope(7);
    assert_eq!(store.read(&missing).unwrap_err().path, missing);
    assert_eq!(store.digest(&missing).unwrap_err().path, missing);
}

fn the_head_is_replaced(store: &dyn Store) {
    for note in [b"first", b"other"] {
        store.put_head(note).unwrap();
        assert_eq!(store.read(layout::HEAD).unwrap(), note);
    }
    let heads = paths(store).into_iter().filter(|path| path == layout::HEAD);
    assert_eq!(heads.count(), 1);
}

fn one_of_many_writers_wins(rounds: u64, open: &(dyn Fn() -> Box<dyn Store> + Sync)) {
    let start = Barrier::new(WRITERS);
    let results = Mutex::new(Vec::new());
    // A thread that panics would leave the others waiting for ever.
    let errors = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (start, results, errors) = (&start, &results, &errors);
            scope.spawn(move || {
                let store = open();
                for round in 0..rounds {
                    let path = layout::statement(1000 + round);
                    // Every other round all write the same.
                    let own = if round % 2 == 0 { writer } else { WRITERS };
                    start.wait();
                    match store.put_new(&path, format!("writer {own}").as_bytes()) {
                        Ok(put) => results.lock().unwrap().push((round, own, put)),
                        Err(error) => errors.lock().unwrap().push(format!("{round}: {error}")),
                    }
                }
            });
        }
    });
    assert_eq!(errors.into_inner().unwrap(), [""; 0]);
    let results = results.into_inner().unwrap();
    let store = open();
    for round in 0..rounds {
        let of_round = || results.iter().filter(move |(of, ..)| *of == round);
        let created: Vec<_> = of_round().filter(|(.., put)| *put == Put::Created).collect();
        let [(_, winner, _)] = created[..] else { panic!("round {round}: {created:?}") };
        let loser = if round % 2 == 0 { Put::Other } else { Put::Same };
        assert_eq!(of_round().filter(|(.., put)| *put == loser).count(), WRITERS - 1);
        let there = store.read(&layout::statement(1000 + round)).unwrap();
        assert_eq!(there, format!("writer {winner}").into_bytes());
    }
}

/// Sorted.
fn paths(store: &dyn Store) -> Vec<String> {
    let entries = store.list().unwrap();
    assert!(entries.iter().all(|entry| entry.is_file));
    let mut paths: Vec<String> = entries.into_iter().map(|entry| entry.path).collect();
    paths.sort();
    paths
}

fn directory(folder: &Path) -> Location {
    Location { uri: folder.display().to_string(), ..Location::default() }
}

#[apply(test)]
fn a_chain_in_a_directory_survives_races_and_cuts() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        |name: &str| -> Box<dyn Store> { Box::new(Directory::new(folder.path().join(name))) };
    chains::racing_writers_make_one_chain(25, &open);
    chains::a_writer_cut_off_anywhere_is_finished(&open);
}

#[apply(test)]
fn a_directory_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let location = directory(folder.path());
    suite(10, &|| archive::open(&location, Timestamp::UNIX_EPOCH).unwrap());
}

#[apply(test)]
fn leftovers_of_a_killed_writer_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::new(folder.path());
    assert_eq!(store.put_new(layout::VERIFY_MD, b"text").unwrap(), Put::Created);
    // What a writer leaves that is killed between writing and linking.
    fs::write(folder.path().join(".tmp/4711-0"), b"half a stat").unwrap();
    let old = folder.path().join(".tmp/4712-0");
    fs::write(&old, b"older").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(paths(&store), [layout::VERIFY_MD]);
    store.probe().unwrap();
    assert!(!old.exists() && folder.path().join(".tmp/4711-0").exists());
    assert_eq!(store.put_new(&layout::statement(0), b"whole").unwrap(), Put::Created);
    assert_eq!(store.read(&layout::statement(0)).unwrap(), b"whole");
}

#[apply(test)]
fn what_is_no_place_is_refused() {
    for uri in ["", "s3://", "s3://a b/c", "s3://bucket/../x", "ftp://host/folder"] {
        let location = Location { uri: uri.to_owned(), ..Location::default() };
        let error = archive::open(&location, Timestamp::UNIX_EPOCH).err().unwrap();
        assert!(error.to_string().starts_with(&format!("`{uri}`: ")), "{error}");
    }
}
