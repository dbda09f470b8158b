//! The contract of a store, the same for every implementation.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use affidavit::archive::{Directory, Location, LockMode, Put, S3, Store, StoreError};
use affidavit::evidence::digest::Digest;
use affidavit::evidence::layout;
use affidavit::verify::{Archive as _, verify};

use crate::support::seaweedfs::{SECRET_KEY, SeaweedFs, credentials};
use crate::support::{NOW, at, errors, files, policy, small_chain};

fn listed(store: &dyn Store) -> Vec<String> {
    let mut paths: Vec<String> =
        store.list().unwrap().into_iter().map(|entry| entry.path).collect();
    paths.sort();
    paths
}

/// What every store promises.
fn keeps_its_promises(store: &(dyn Store + Sync)) {
    store.probe().unwrap();
    assert_eq!(store.put_new("log/0000000000.json", b"one").unwrap(), Put::Created);
    assert_eq!(store.put_new("log/0000000000.json", b"one").unwrap(), Put::Same);
    assert_eq!(store.put_new("log/0000000000.json", b"two").unwrap(), Put::Other);
    assert_eq!(store.read("log/0000000000.json").unwrap(), b"one");
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    assert_eq!(store.put_new("bundles/x/large", &large).unwrap(), Put::Created);
    assert_eq!(store.digest("bundles/x/large").unwrap(), (Digest::of(&large), 3_000_000));
    assert_eq!(store.read("bundles/x/large").unwrap(), large);
    assert_eq!(store.put_new("bundles/x/empty", b"").unwrap(), Put::Created);
    assert_eq!(store.digest("bundles/x/empty").unwrap(), (Digest::of(b""), 0));
    store.put_head(b"first").unwrap();
    store.put_head(b"second").unwrap();
    assert_eq!(store.read(layout::HEAD).unwrap(), b"second");
    let error = store.read("log/0000000009.json").unwrap_err();
    assert!(error.to_string().contains("log/0000000009.json"), "{error}");
    assert_eq!(
        listed(store),
        ["bundles/x/empty", "bundles/x/large", "checkpoint", "log/0000000000.json"]
    );
    one_of_many_writers_wins(store);
}

fn one_of_many_writers_wins(store: &(dyn Store + Sync)) {
    for round in 0..10 {
        let path = format!("log/1{round:09}.json");
        let results: Vec<Put> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..20)
                .map(|writer: u8| {
                    let path = path.clone();
                    scope.spawn(move || store.put_new(&path, &[writer; 64]).unwrap())
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let winners = results.iter().filter(|put| **put == Put::Created).count();
        assert_eq!(winners, 1, "round {round}");
        assert!(results.iter().all(|put| *put != Put::Same));
        let there = store.read(&path).unwrap();
        assert_eq!(there, [there[0]; 64], "no mixture of two writers");
    }
    eprintln!("{}: 20 writers x 10 rounds: one winner each", store.describe());
}

#[test]
fn a_directory_keeps_the_promises() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("not/there/yet");
    keeps_its_promises(&Directory::new(&root));
    // What a killed writer leaves is not part of the archive.
    std::fs::create_dir_all(root.join(".tmp")).unwrap();
    std::fs::write(root.join(".tmp/123-4"), "half").unwrap();
    assert!(listed(&Directory::new(&root)).iter().all(|path| !path.contains("tmp")));
}

#[test]
fn a_directory_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Directory::new(file.join("below")).put_new("log/x", b"x").unwrap_err();
    assert!(error.to_string().starts_with("could not write `log/x`"), "{error}");
}

#[test]
fn s3_keeps_the_promises_and_locks() {
    let Some(server) = SeaweedFs::start() else { return };
    server.bucket("plain", false);
    keeps_its_promises(&server.store("s3://plain/some/prefix/"));
    assert!(listed(&server.store("s3://plain")).iter().all(|p| p.starts_with("some/prefix/")));

    server.bucket("locked", true);
    let lock = Some((LockMode::Governance, 3));
    // Locks must end in the server's future.
    let location = server.location("s3://locked/a", lock);
    let locked =
        S3::with(&location, jiff::Timestamp::now(), Some(credentials(SECRET_KEY))).unwrap();
    locked.probe().unwrap();
    assert_eq!(locked.put_new("log/0000000000.json", b"x").unwrap(), Put::Created);
    let (mode, refused) = server.retention("locked", "a/log/0000000000.json");
    assert_eq!((mode.as_deref(), refused), (Some("GOVERNANCE"), true));

    // The same tree in both kinds of store, and the same verdict.
    let archive = small_chain().0.path().join("archive");
    let store = server.store("s3://plain/chain");
    for path in files(&archive) {
        let bytes = std::fs::read(archive.join(&path)).unwrap();
        if path == layout::HEAD {
            store.put_head(&bytes).unwrap();
        } else {
            assert_eq!(store.put_new(&path, &bytes).unwrap(), Put::Created);
        }
    }
    let verdict = verify(&store, &policy()).unwrap();
    assert_eq!(errors(&verdict), Vec::<String>::new());
    assert_eq!(verdict.checked, verify(&Directory::new(&archive), &policy()).unwrap().checked);

    // This server makes buckets when an administrator writes to them; reading tells.
    let missing = server.store("s3://nowhere/x").list().unwrap_err();
    assert!(missing.to_string().contains("NoSuchBucket"), "{missing}");
    let refused = server.store_as("s3://plain/x", "wrong-secret");
    let refused = refused.put_new("log/x", b"x").unwrap_err();
    assert!(refused.to_string().contains("SignatureDoesNotMatch"), "{refused}");
}

#[test]
fn a_store_that_ignores_the_condition_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(64) {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut buffer = [0; 8_192];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"x\"\r\n\r\n";
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let location = Location {
        uri: "s3://bucket/x".to_owned(),
        endpoint: Some(endpoint),
        path_style: true,
        region: Some("us-east-1".to_owned()),
        lock: None,
    };
    let error =
        S3::with(&location, at(NOW), Some(credentials(SECRET_KEY))).unwrap().probe().unwrap_err();
    assert!(matches!(error, StoreError::NotConditional { .. }), "{error}");
}

#[test]
fn a_store_that_cannot_be_reached_says_so_in_time() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let location = Location {
        uri: "s3://bucket/x".to_owned(),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        path_style: true,
        region: Some("us-east-1".to_owned()),
        lock: None,
    };
    let start = Instant::now();
    let error =
        S3::with(&location, at(NOW), Some(credentials(SECRET_KEY))).unwrap().probe().unwrap_err();
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    assert!(error.to_string().starts_with("could not write"), "{error}");
}
