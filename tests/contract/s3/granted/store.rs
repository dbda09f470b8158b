//! The store itself.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use affidavit::archive::{
    self, Encryption, Location, LockMode, LockProbe, Put, S3, Store, StoreError,
};
use affidavit::config::Config;
use affidavit::evidence::digest::Digest;
use affidavit::evidence::layout;
use affidavit::pipeline::{self, Progress};
use affidavit::sign::chain::{self, NewChain};
use affidavit::verify::{Archive as _, Policy, verify};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumMode, ObjectLockLegalHoldStatus, ObjectLockMode, ServerSideEncryption,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::super::super::{chains, directory, paths, suite};
use super::super::{fixture, location, server, store};
use super::{Admin, LOCKED, PLAIN, endpoint};

#[apply(part)]
fn the_contract_holds() {
    suite(12, &|| store(&endpoint(), &format!("s3://{PLAIN}/suite")));
}

#[apply(part)]
fn a_chain_survives_races_and_cuts() {
    let open = |name: &str| store(&endpoint(), &format!("s3://{PLAIN}/chain-{name}"));
    chains::racing_writers_make_one_chain(25, &open);
    chains::a_writer_cut_off_anywhere_is_finished(&open);
}

#[apply(part)]
fn the_contract_holds_under_lock() {
    let mut location = location(&endpoint(), &format!("s3://{LOCKED}/suite"));
    location.lock = Some((LockMode::Governance, 1));
    let now = Timestamp::now();
    // Fewer rounds: the server lets racing writers of versions wait for each other, a second each.
    suite(2, &|| archive::open(&location, now).unwrap());
}

#[apply(part)]
fn a_lock_is_set_and_holds() {
    let admin = Admin::new();
    let mut location = location(&endpoint(), &format!("s3://{LOCKED}/lock"));
    location.lock = Some((LockMode::Compliance, 2));
    let now = Timestamp::now();
    let store = archive::open(&location, now).unwrap();
    assert_eq!(store.put_new("log/0000000000.json", b"claim").unwrap(), Put::Created);
    admin.runtime.block_on(async {
        let key = "lock/log/0000000000.json";
        let head = admin.client.head_object().bucket(LOCKED).key(key);
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        assert_eq!(head.object_lock_mode, Some(ObjectLockMode::Compliance));
        let until = head.object_lock_retain_until_date.unwrap();
        assert_eq!(until.secs(), now.as_second() + 2 * 86_400);
        assert_eq!(head.content_type.as_deref(), Some("application/json"));
        let digest = STANDARD.encode(Digest::of(b"claim").as_bytes());
        assert_eq!(head.checksum_sha256, Some(digest));
        for bypass in [false, true] {
            let delete = admin.client.delete_object().bucket(LOCKED).key(key);
            let delete = delete.set_version_id(head.version_id.clone());
            let refused = delete.bypass_governance_retention(bypass).send().await.unwrap_err();
            assert_eq!(refused.code(), Some("AccessDenied"), "{refused:?}");
        }
    });
    assert_eq!(store.put_new("log/0000000000.json", b"other").unwrap(), Put::Other);
    assert_eq!(store.read("log/0000000000.json").unwrap(), b"claim");

    // The head changes and the probe goes away: neither is locked.
    store.put_head(b"1").unwrap();
    store.put_head(b"2").unwrap();
    store.probe().unwrap();
    admin.runtime.block_on(async {
        let head = admin.client.head_object().bucket(LOCKED).key("lock/checkpoint");
        assert_eq!(head.send().await.unwrap().object_lock_mode, None);
        let versions = admin.client.list_object_versions().bucket(LOCKED).prefix("lock/.probe/");
        let versions = versions.send().await.unwrap();
        assert_eq!((versions.versions(), versions.delete_markers()), (&[][..], &[][..]));
    });
}

/// What is past its lock and sealed to be so goes with all its versions; what is not stays.
#[apply(part)]
fn payloads_go_with_their_versions_when_no_lock_holds_them() {
    let admin = Admin::new();
    let versions = |prefix: &str| {
        let list = admin.client.list_object_versions().bucket(LOCKED).prefix(prefix);
        let listed = admin.runtime.block_on(list.send()).unwrap();
        listed.versions().len() + listed.delete_markers().len()
    };
    let free = store(&endpoint(), &format!("s3://{LOCKED}/prune"));
    let path = layout::bundle_file(&Digest::of(b"sums"), "items.jsonl");
    free.put_new(&path, b"items").unwrap();
    free.put_new(&format!("{path}.more"), b"a longer name").unwrap();
    free.put_head(b"1").unwrap();
    // Hidden, written again: two versions and a marker.
    let key = format!("prune/{path}");
    admin.runtime.block_on(admin.client.delete_object().bucket(LOCKED).key(&key).send()).unwrap();
    free.put_new(&path, b"items").unwrap();
    assert_eq!(versions(&key), 4);
    free.remove(&path).unwrap();
    assert_eq!(versions(&key), 1);
    assert_eq!(paths(&*free), [format!("{path}.more"), layout::HEAD.to_owned()]);
    free.remove(&path).unwrap();

    let plain = store(&endpoint(), &format!("s3://{PLAIN}/prune"));
    plain.put_new(&path, b"items").unwrap();
    plain.remove(&path).unwrap();
    assert_eq!(paths(&*plain), Vec::<String>::new());

    for (name, protect) in [
        ("locked", Location { lock: Some((LockMode::Governance, 1)), ..Location::default() }),
        ("held", Location { legal_hold: true, ..Location::default() }),
    ] {
        let location = Location {
            lock: protect.lock,
            legal_hold: protect.legal_hold,
            ..location(&endpoint(), &format!("s3://{LOCKED}/prune-{name}"))
        };
        let store = archive::open(&location, Timestamp::now()).unwrap();
        store.put_new(&path, b"items").unwrap();
        let error = store.remove(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Remove { .. }), "{error}");
        assert!(error.to_string().contains("AccessDenied"), "{name}: {error}");
        assert_eq!(store.read(&path).unwrap(), b"items");
    }
    let head = admin.client.head_object().bucket(LOCKED).key(format!("prune-held/{path}"));
    let hold = admin.runtime.block_on(head.send()).unwrap().object_lock_legal_hold_status;
    assert_eq!(hold, Some(ObjectLockLegalHoldStatus::On));
}

/// What a store says of its locks proves nothing: one is tried.
#[apply(part)]
fn locks_are_tried() {
    let mut location = location(&endpoint(), &format!("s3://{LOCKED}/tried"));
    let open = |location: &Location| archive::open(location, Timestamp::now()).unwrap();
    assert_eq!(open(&location).probe_lock().unwrap(), LockProbe::NotAsked);
    for mode in [LockMode::Governance, LockMode::Compliance] {
        location.lock = Some((mode, 1));
        assert_eq!(open(&location).probe_lock().unwrap(), LockProbe::Enforced);
    }
    assert_eq!(paths(&*open(&location)), Vec::<String>::new());
    let ahead = open(&location).clock_ahead_seconds().unwrap();
    assert!(ahead.abs() <= 2, "{ahead}");
    // Takes everything, says that it is locked, and gives it away.
    location.endpoint = Some(server::stub_with_headers(|_, _| {
        let tag = "ETag: \"4cef2f30ac7d33419d00c1d93a090095\"\r\n";
        let lock = "x-amz-object-lock-mode: COMPLIANCE\r\n\
                    x-amz-object-lock-retain-until-date: 2090-01-01T00:00:00Z\r\n";
        (200, format!("{tag}{lock}"), "")
    }));
    assert_eq!(open(&location).probe_lock().unwrap(), LockProbe::NotEnforced);
    location.endpoint = Some(endpoint());
    location.uri = format!("s3://{PLAIN}/tried");
    let error = open(&location).probe_lock().unwrap_err().to_string();
    assert!(error.contains("InvalidRequest"), "{error}");
}

/// A keyring is needed for as long as the newest bundle, so its lock is renewed; no lock is shortened.
#[apply(part)]
fn locks_of_keyrings_are_renewed_and_none_is_shortened() {
    let admin = Admin::new();
    let now = Timestamp::now();
    let open = |days: u32, hours: i64| {
        let mut location = location(&endpoint(), &format!("s3://{LOCKED}/renew"));
        location.lock = Some((LockMode::Compliance, days));
        let at = now.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap();
        archive::open(&location, at).unwrap()
    };
    let until = |path: &str| {
        let head = admin.client.head_object().bucket(LOCKED).key(format!("renew/{path}"));
        let head = admin.runtime.block_on(head.send()).unwrap();
        assert_eq!(head.object_lock_mode, Some(ObjectLockMode::Compliance));
        (head.object_lock_retain_until_date.unwrap().secs() - now.as_second()) / 3600
    };
    let (keyring, statement) = (layout::keyring(1), layout::statement(0));
    for path in [&keyring, &statement] {
        assert_eq!(open(2, 0).put_new(path, b"x").unwrap(), Put::Created);
        assert_eq!(open(2, 24).put_new(path, b"x").unwrap(), Put::Same);
    }
    assert_eq!((until(&keyring), until(&statement)), (72, 48));
    // A shorter retention is for what is written from now on.
    assert_eq!(open(1, 25).put_new(&keyring, b"x").unwrap(), Put::Same);
    assert_eq!(until(&keyring), 72);
    // Another's bytes are not locked in our name.
    assert_eq!(open(9, 25).put_new(&keyring, b"y").unwrap(), Put::Other);
    assert_eq!(until(&keyring), 72);
}

#[apply(part)]
fn large_objects_in_parts_are_locked_encrypted_and_checked() {
    let admin = Admin::new();
    let mut location = location(&endpoint(), &format!("s3://{LOCKED}/large"));
    location.lock = Some((LockMode::Governance, 1));
    location.encryption = Some(Encryption::Aes256);
    let store = archive::open(&location, Timestamp::now()).unwrap();
    let bytes: Vec<u8> = (0_u32..17 << 20).flat_map(u32::to_le_bytes).collect();
    for (path, bytes, parts) in [("receipts/0000000000.txt", &bytes[..], 3), ("VERIFY.md", b"x", 1)]
    {
        assert_eq!(store.put_new(path, bytes).unwrap(), Put::Created, "{path}");
        assert_eq!(store.put_new(path, bytes).unwrap(), Put::Same, "{path}");
        assert!(store.read(path).unwrap() == bytes, "{path}");
        let head = admin.client.head_object().bucket(LOCKED).key(format!("large/{path}"));
        let head = head.checksum_mode(ChecksumMode::Enabled).send();
        let head = admin.runtime.block_on(head).unwrap();
        assert_eq!(head.server_side_encryption, Some(ServerSideEncryption::Aes256), "{path}");
        assert_eq!(head.object_lock_mode, Some(ObjectLockMode::Governance), "{path}");
        let checksum = head.checksum_sha256.unwrap();
        assert_eq!(checksum.ends_with("-3"), parts == 3, "{path}: {checksum}");
    }
    // Nothing is left of the upload that lost.
    let uploads = admin.client.list_multipart_uploads().bucket(LOCKED).prefix("large/");
    let uploads = admin.runtime.block_on(uploads.send()).unwrap();
    assert_eq!(uploads.uploads(), []);
}

/// Attack 29. A lock keeps the version that was written; it does not keep another one from covering it.
#[apply(part)]
fn an_object_deleted_and_made_again_is_named() {
    let admin = Admin::new();
    let mut location = location(&endpoint(), &format!("s3://{LOCKED}/again"));
    location.lock = Some((LockMode::Governance, 1));
    let store = archive::open(&location, Timestamp::now()).unwrap();
    chains::seal(&*store, "owner", 3).unwrap();
    let path = layout::statement(1);
    let original = store.read(&path).unwrap();
    let cover = || {
        let key = format!("again/{path}");
        let delete = admin.client.delete_object().bucket(LOCKED).key(key).send();
        let deleted = admin.runtime.block_on(delete).unwrap();
        assert_eq!(deleted.delete_marker(), Some(true));
    };
    cover();
    assert_eq!(chains::errors(&*store, 3), [format!("FILE_MISSING {path}")]);
    assert_eq!(store.put_new(&path, b"{}").unwrap(), Put::Created);
    assert_eq!(chains::errors(&*store, 3), [format!("PAYLOAD_COPY_MISMATCH {path}")]);
    cover();
    assert_eq!(store.put_new(&path, &original).unwrap(), Put::Created);
    assert_eq!(chains::errors(&*store, 3), Vec::<String>::new());
}

#[apply(part)]
fn a_lock_on_a_bucket_without_locks_is_an_error() {
    let mut location = location(&endpoint(), &format!("s3://{PLAIN}/lock"));
    location.lock = Some((LockMode::Compliance, 2));
    let store = archive::open(&location, Timestamp::now()).unwrap();
    let error = store.put_new("VERIFY.md", b"x").unwrap_err().to_string();
    assert!(error.contains(": InvalidRequest: "), "{error}");
}

#[apply(part)]
fn an_object_without_sha256_is_compared_by_its_bytes() {
    let admin = Admin::new();
    let store = store(&endpoint(), &format!("s3://{PLAIN}/no-sha256"));
    let put = admin.client.put_object().bucket(PLAIN).key("no-sha256/VERIFY.md");
    let put = put.body(ByteStream::from_static(b"text"));
    admin.runtime.block_on(put.send()).unwrap();
    assert_eq!(store.put_new("VERIFY.md", b"text").unwrap(), Put::Same);
    assert_eq!(store.put_new("VERIFY.md", b"tent").unwrap(), Put::Other);
}

#[apply(part)]
fn a_listing_has_many_pages_and_one_prefix() {
    const OBJECTS: u64 = 1_050;
    let location = |uri: &str| location(&endpoint(), uri);
    let open = |uri: &str| S3::open(&location(uri), Timestamp::UNIX_EPOCH).unwrap();
    let store = open(&format!("s3://{PLAIN}//pages//many/"));
    assert_eq!(store.describe(), format!("s3://{PLAIN}/pages/many"));
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= OBJECTS {
                        break;
                    }
                    assert_eq!(store.put_new(&layout::receipt(number), b"").unwrap(), Put::Created);
                }
            });
        }
    });
    let expected: Vec<String> = (0..OBJECTS).map(layout::receipt).collect();
    assert_eq!(paths(&store), expected);
    let shorter = open(&format!("s3://{PLAIN}/pages/man"));
    assert_eq!(paths(&shorter), [""; 0]);
    assert_eq!(open(&format!("s3://{PLAIN}/pages")).list().unwrap().len(), expected.len());

    // What a console makes to show an empty folder.
    let admin = Admin::new();
    let put = admin.client.put_object().bucket(PLAIN).key("pages/many/log/");
    admin.runtime.block_on(put.send()).unwrap();
    assert_eq!(paths(&store), expected);
}

#[apply(part)]
fn a_lost_reply_is_found_out() {
    let proxy = server::lossy(&endpoint());
    let through = store(&proxy, &format!("s3://{PLAIN}/lost"));
    assert_eq!(through.put_new("VERIFY.md", b"text").unwrap(), Put::Same);
    assert_eq!(through.put_new("VERIFY.md", b"other").unwrap(), Put::Other);
    assert_eq!(through.read("VERIFY.md").unwrap(), b"text");

    let proxy = server::lossy(&endpoint());
    store(&proxy, &format!("s3://{PLAIN}/lost")).probe().unwrap();
}

#[apply(part)]
fn a_missing_bucket_is_named() {
    // As AWS answers. SeaweedFS makes the bucket when an administrator writes to it.
    const MISSING: &str = "<Error><Code>NoSuchBucket</Code><Message>None.</Message></Error>";
    let writing = store(&server::stub(|_, _| (404, MISSING)), "s3://no-such-bucket/a");
    let reading = store(&endpoint(), "s3://no-such-bucket/a");
    for error in [
        writing.probe().unwrap_err().to_string(),
        writing.put_new("VERIFY.md", b"x").unwrap_err().to_string(),
        writing.put_head(b"x").unwrap_err().to_string(),
        reading.read("VERIFY.md").unwrap_err().to_string(),
        reading.list().unwrap_err().to_string(),
    ] {
        assert!(error.contains(": NoSuchBucket: "), "{error}");
    }
}

#[apply(part)]
fn a_refused_connection_is_named_soon() {
    let store = store(&server::refused(), "s3://bucket/a");
    let start = Instant::now();
    for error in [
        store.probe().unwrap_err().to_string(),
        store.read("VERIFY.md").unwrap_err().to_string(),
        store.list().unwrap_err().to_string(),
    ] {
        assert!(error.contains("no connection: Connection refused"), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[apply(part)]
fn a_store_that_overwrites_is_refused() {
    let endpoint = server::overwriting();
    let error = store(&endpoint, "s3://bucket/a").probe().unwrap_err();
    let StoreError::NotConditional { path, how, .. } = &error else { panic!("{error}") };
    assert!(path.starts_with(".probe/") && how.contains("16 of 16 writers"), "{error}");
    let endpoint = server::stub(|_, _| (200, ""));
    let error = store(&endpoint, "s3://bucket/a").list().unwrap_err().to_string();
    assert!(error.contains("not an answer of S3"), "{error}");
}

#[apply(part)]
fn a_collision_is_tried_again_but_not_for_ever() {
    const CONFLICT: &str =
        "<Error><Code>ConditionalRequestConflict</Code><Message>busy</Message></Error>";
    let endpoint = server::stub(|number, _| if number < 3 { (409, CONFLICT) } else { (200, "") });
    assert_eq!(store(&endpoint, "s3://bucket").put_new("VERIFY.md", b"").unwrap(), Put::Created);

    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let endpoint = server::stub(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        (409, CONFLICT)
    });
    let error = store(&endpoint, "s3://bucket").put_new("VERIFY.md", b"").unwrap_err().to_string();
    assert!(error.contains("ConditionalRequestConflict: busy"), "{error}");
    assert!(count.load(Ordering::Relaxed) < 20);
}

struct Quiet;

impl Progress for Quiet {
    fn step(&self, _text: &str) {}
}

#[apply(part)]
fn a_run_yields_the_same_archive_in_both_stores() {
    let folder = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    let origin = "evidence.example.com/contract";
    let new = NewChain {
        origin,
        root_keys: 1,
        threshold: 1,
        created: now,
        valid_days: 30,
        passphrase: None,
    };
    let written = chain::create(&folder.path().join("keys"), &new, None).unwrap();
    let text = format!(
        "cluster: {{ name: contract }}\norigin: {origin}\narchive: {{ uri: ./archive }}\n\
         keys: {{ signer: keys/log.pem, keyring: keys/keyring, \
         disclosure_secret: keys/disclosure.secret }}\nframeworks: [pci-dss]\nsources:\n  \
         - {{ name: kb, scanner: kube-bench, files: ['{}'], max_age: 36h, \
         taken_at: 2026-11-24T11:00:00Z }}\n",
        fixture("kube-bench/node.json"),
    );
    let mut config = Config::parse(&text, Path::new("affidavit.yaml"), folder.path()).unwrap();
    pipeline::run(&config, now, false, &Quiet).unwrap();
    let local = archive::open(&directory(&folder.path().join("archive")), now).unwrap();

    config.archive = location(&endpoint(), &format!("s3://{LOCKED}/run"));
    let remote = archive::open(&config.archive, now).unwrap();
    pipeline::run(&config, now, false, &Quiet).unwrap();

    let listed = paths(&*local);
    assert!(listed.len() > 8, "{listed:?}");
    assert_eq!(paths(&*remote), listed);
    for path in &listed {
        assert_eq!(remote.digest(path).unwrap(), local.digest(path).unwrap(), "{path}");
    }
    let roots = written.fingerprints.iter().copied().collect();
    let policy = Policy { replay: true, ..Policy::new(roots, now) };
    let verdicts = [&*local, &*remote].map(|store| verify(store, &policy).unwrap());
    assert!(verdicts[0].is_verified(), "{:?}", verdicts[0]);
    assert_eq!(format!("{:?}", verdicts[0]), format!("{:?}", verdicts[1]));

    // The same forgery is found in both.
    let forged = layout::statement(1);
    for store in [&*local, &*remote] {
        assert_eq!(store.put_new(&forged, b"{}").unwrap(), Put::Created);
    }
    let verdicts = [&*local, &*remote].map(|store| verify(store, &policy).unwrap());
    assert!(!verdicts[0].is_verified());
    assert_eq!(format!("{:?}", verdicts[0]), format!("{:?}", verdicts[1]));
}
