//! What people see when a store fails and goes on failing: the program ends in time, says what is wrong with the
//! store, calls nothing forged, and what it says that it has sealed is there. The table in `docs/stores.md` is what
//! this test saw; `AFFIDAVIT_WRITE_OUTAGES=1` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::proxy::{Fault, Proxy};
use super::s3;
use super::server::{SECRET_KEY, Weed};
use crate::command::done;
use crate::small_chain::{root, workspace};

/// The longest that a command may take: one attempt, what it waits in all, and its own work on a busy machine.
const BOUND: Duration = Duration::from_secs(75);

const FAULTS: [Fault; 14] = [
    // First, because it takes longest.
    Fault::Stall,
    Fault::LoginPage,
    Fault::Lose,
    Fault::Truncate,
    Fault::DropRequest,
    Fault::DropReply,
    Fault::Refuse(503, "SlowDown"),
    Fault::Refuse(429, "TooManyRequests"),
    Fault::Refuse(400, "ExpiredToken"),
    Fault::Refuse(403, "AccessDenied"),
    Fault::Refuse(403, "RequestTimeTooSkewed"),
    Fault::Refuse(404, "NoSuchBucket"),
    Fault::EndlessListing,
    Fault::DoubledListing,
];

/// A folder with a configuration for each of two ways to one archive: past the proxy, and through it.
struct Place {
    folder: PathBuf,
    uri: String,
    root: String,
}

impl Place {
    fn new(folder: &Path, name: &str, weed: &Weed, proxy: &Proxy) -> Self {
        let folder = folder.join(name);
        fs::create_dir(&folder).unwrap();
        let config = workspace(&folder);
        let text = fs::read_to_string(&config).unwrap();
        let uri = format!("s3://plain/outage-{name}");
        for (file, endpoint) in [("direct.yaml", &weed.endpoint), ("through.yaml", &proxy.endpoint)]
        {
            let archive = format!(
                "{{ uri: '{uri}', endpoint: '{endpoint}', path_style: true, region: us-east-1, patience: 2s }}"
            );
            fs::write(folder.join(file), text.replace("{ uri: archive }", &archive)).unwrap();
        }
        Self { folder, uri, root: root().to_string() }
    }

    fn affidavit(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_affidavit"))
            .args(arguments)
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("AWS_ACCESS_KEY_ID", "writer")
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap()
    }

    fn run(&self, config: &str, day: u32) -> Output {
        self.affidavit(&["run", "--config", config, "--now", &format!("2026-11-{day}T02:00:00Z")])
    }

    fn read(&self, command: &str, endpoint: &str, day: u32) -> Output {
        let now = format!("2026-11-{day}T03:00:00Z");
        self.affidavit(&[
            command,
            &self.uri,
            "--endpoint",
            endpoint,
            "--path-style",
            "--patience",
            "2",
            "--region",
            "us-east-1",
            "--root",
            &self.root,
            "--now",
            &now,
        ])
    }
}

/// What a command said last that went wrong.
fn told(output: &Output) -> String {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{stdout}{stderr}")
}

/// Checks that it ended in time, by a code that says nothing of the evidence.
fn check(what: &str, start: Instant, output: &Output, allowed: &[i32]) {
    let told = told(output);
    assert!(start.elapsed() < BOUND, "{what}: {:?}", start.elapsed());
    assert!(!told.contains("panicked"), "{what}: {told}");
    let code = output.status.code().unwrap();
    assert!(allowed.contains(&code), "{what}: {code}: {told}");
    if code == 3 {
        // The store is named, and what to do.
        assert!(
            told.contains("s3://plain/outage-") && told.contains("127.0.0.1"),
            "{what}: {told}"
        );
        assert!(
            told.contains("help: ") || told.contains("INCONCLUSIVE") || told.contains("unreadable"),
            "{what}: {told}"
        );
    }
}

#[apply(test)]
fn a_store_that_goes_on_failing_is_named_and_nothing_is_forged() {
    let weed = Weed::start();
    s3::make_buckets(&weed);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let rows = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let proxy = Proxy::before(&weed.endpoint);
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let Some(&fault) = FAULTS.get(number) else { break };
                    let row = one(number, fault, folder, &weed, &proxy);
                    rows.lock().unwrap().insert(number, row);
                }
            });
        }
    });
    if std::env::var_os("AFFIDAVIT_WRITE_OUTAGES").is_some() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stores.md");
        let text = fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once("| fault |").unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        let rows: Vec<String> = rows.into_inner().unwrap().into_values().collect();
        let head = "| fault | verify | watch | run | run, from its 15th request on |\n| --- | --- | --- | --- | --- |";
        fs::write(&page, format!("{before}{head}\n{}\n\n{after}", rows.join("\n"))).unwrap();
    }
}

fn fail_from(proxy: &Proxy, begins: usize, fault: Fault) {
    if begins == 0 {
        proxy.plan_for_all(fault);
    } else {
        proxy.plan(move |at| (at >= begins).then_some(fault));
    }
}

/// A first bundle, a run and readers while the store fails, and the next run.
///
/// Returns the row of the table.
fn one(number: usize, fault: Fault, folder: &Path, weed: &Weed, proxy: &Proxy) -> String {
    let mut row = format!("| {} |", in_words(fault));
    let place = Place::new(folder, &number.to_string(), weed, proxy);
    done(&place.run("direct.yaml", 20));
    for command in ["verify", "watch"] {
        for begins in [0, 4] {
            fail_from(proxy, begins, fault);
            let start = Instant::now();
            let output = place.read(command, &proxy.endpoint, 20);
            check(&format!("{command}, {fault:?} from {begins}"), start, &output, &[0, 3]);
            if begins == 0 {
                write!(row, " {} |", outcome(&output)).unwrap();
            }
        }
    }
    // From the first request on, and in the midst of what is sealed.
    for (begins, day) in [(0, 21), (14, 22)] {
        fail_from(proxy, begins, fault);
        let start = Instant::now();
        let output = place.run("through.yaml", day);
        let what = format!("run, {fault:?} from {begins}");
        check(&what, start, &output, &[0, 3]);
        write!(row, " {} |", outcome(&output)).unwrap();
        let verdict = place.read("verify", &weed.endpoint, day);
        let verdict_told = told(&verdict);
        if output.status.success() {
            // The head that it printed is the archive's.
            assert!(verdict.status.success(), "{what}: {verdict_told}");
            let printed = told(&output);
            let head = printed.lines().find(|line| line.starts_with("head ")).unwrap();
            assert!(verdict_told.contains(head), "{what}: {head}: {verdict_told}");
        } else {
            let unfinished =
                ["UNSIGNED_CLAIM", "CHECKPOINT_MISSING", "HEAD_ROLLED_BACK", "STALE_HEAD"];
            let is_fault = |line: &&str| line.starts_with("ERROR ") || line.starts_with("UNREAD ");
            for line in verdict_told.lines().filter(is_fault) {
                assert!(unfinished.iter().any(|code| line.contains(code)), "{what}: {line}");
            }
        }
    }
    done(&place.run("direct.yaml", 23));
    let verdict = told(&place.read("verify", &weed.endpoint, 23));
    assert!(verdict.contains("verdict   VERIFIED"), "{fault:?}: {verdict}");
    row
}

/// The code of the exit, and what the program says is wrong with the store.
fn outcome(output: &Output) -> String {
    let code = output.status.code().unwrap();
    let told = told(output);
    let lines = || told.lines().map(str::trim);
    let reason = lines()
        .find_map(|line| line.strip_prefix("error: "))
        .or_else(|| {
            lines().find(|line| {
                line.starts_with("FILE_UNREADABLE") || line.contains(": could not be read")
            })
        })
        .or_else(|| lines().find_map(|line| line.strip_prefix("verdict ")))
        .unwrap_or_default();
    // Without the names that another run would not have.
    let reason = reason.split_once("`: ").map_or(reason, |(_, reason)| reason);
    let reason = reason.split(" (").next().unwrap_or_default();
    let reason = reason.split(", for ").next().unwrap_or_default();
    let reason = reason.trim_end_matches(": made up").replace('|', ",");
    if code == 0 { "0".to_owned() } else { format!("{code}: {reason}") }
}

fn in_words(fault: Fault) -> String {
    match fault {
        Fault::Stall => "no answer".to_owned(),
        Fault::LoginPage => "a login page with 200".to_owned(),
        Fault::Lose => "writes are answered and lost".to_owned(),
        Fault::Truncate => "answers break off".to_owned(),
        Fault::DropRequest => "connections end before the request arrives".to_owned(),
        Fault::DropReply => "requests are done and their answers lost".to_owned(),
        Fault::Refuse(status, code) => format!("{status} {code}"),
        Fault::EndlessListing => "a listing without an end".to_owned(),
        Fault::DoubledListing => "a listing with one object twice".to_owned(),
        other => format!("{other:?}"),
    }
}
