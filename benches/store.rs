//! An archive in S3 beside what others do with the same objects and the same server: reading 19 000 small objects
//! and sealing 1 GB, beside `rclone copy` and `aws s3 cp`. Time and memory.
//!
//! `TMPDIR=/dev/shm cargo bench --bench store [-- OBJECTS]`
//!
//! The server is SeaweedFS, which `.ci/seaweedfs` installs; rclone is found where `tests/stores/run rclone` puts it, and
//! `aws` on the PATH.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark that cannot go on should stop, and it counts in floating point"
)]

#[allow(dead_code, reason = "the other benchmarks have other peers")]
mod measure;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use measure::chain::{LogWriter, noise, write_bundle, written};
use measure::{Taken, median, watched};
use tempfile::TempDir;

const OBJECTS: usize = 19_000;
const ROUNDS: usize = 3;
const DAY: i64 = 86_400;
const ORIGIN: &str = "evidence.example.com/bench";
const SECRET_KEY: &str = "contract-secret";

/// Objects of a bundle in the long chain, with those in the log.
const SMALL: usize = 9;

/// What a large input has.
const INPUT: usize = 100_000_000;
const INPUTS: usize = 10;

fn main() {
    let mut objects = OBJECTS;
    for argument in std::env::args().skip(1) {
        if argument == "--list" || argument == "--test" {
            return;
        }
        objects = argument.parse().unwrap_or(objects);
    }
    let folder = tempfile::tempdir().unwrap();
    let place = Place::start(folder.path());
    println!(
        "| | wall, of `rclone copy` | of `aws s3 cp` | CPU time, of `rclone copy` | of `aws s3 cp` | peak MiB: ours, rclone, aws |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    small(&place, objects);
    large(&place);
}

/// The three programs, and a server.
struct Place {
    folder: PathBuf,
    endpoint: String,
    rclone: PathBuf,
    server: Child,
    /// What the server holds, on the disk: several times what the rounds copy.
    _data: TempDir,
}

impl Place {
    fn start(folder: &Path) -> Self {
        let home = PathBuf::from(std::env::var("HOME").unwrap());
        let cache =
            std::env::var("XDG_CACHE_HOME").map_or_else(|_| home.join(".cache"), PathBuf::from);
        let cache = cache.join("affidavit");
        let rclone = cache.join("stores/rclone/bin/rclone");
        assert!(rclone.exists(), "{} is missing: tests/stores/run rclone", rclone.display());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        let script = format!(
            "cache='{}'; seaweedfs_volumes=400; . tests/stores/servers/seaweedfs.sh; install && serve {port} '{}'",
            cache.display(),
            data.path().display()
        );
        let server = Command::new("bash")
            .args(["-c", &script])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let place = Self { folder: folder.to_owned(), endpoint, rclone, server, _data: data };
        for _ in 0..100 {
            let mut made = place.command(Path::new("aws"), &["s3", "mb", "s3://evidence"]);
            if made.stderr(Stdio::null()).status().unwrap().success() {
                return place;
            }
            sleep(Duration::from_millis(500));
        }
        panic!("the server did not start");
    }

    /// With the credentials as each of them wants them.
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("AWS_ACCESS_KEY_ID", "admin")
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("RCLONE_CONFIG_STORE_TYPE", "s3")
            .env("RCLONE_CONFIG_STORE_PROVIDER", "SeaweedFS")
            .env("RCLONE_CONFIG_STORE_ENV_AUTH", "true")
            .env("RCLONE_CONFIG_STORE_ENDPOINT", &self.endpoint)
            .stdout(Stdio::null());
        command
    }

    fn ours(&self, arguments: &[&str], code: i32) -> (Taken, f64) {
        let program = Path::new(env!("CARGO_BIN_EXE_affidavit"));
        watched(&mut self.command(program, arguments), &[code])
    }

    fn rclone(&self, from: &str, to: &str) -> (Taken, f64) {
        watched(&mut self.command(&self.rclone, &["copy", from, to]), &[0])
    }

    fn aws(&self, from: &str, to: &str) -> (Taken, f64) {
        watched(
            &mut self.command(Path::new("aws"), &["s3", "cp", "--recursive", "--quiet", from, to]),
            &[0],
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// One thing that each of the three does, in turn.
fn line(what: &str, mut each: impl FnMut(usize) -> [(Taken, f64); 3]) {
    let (mut times, mut peaks) = ([const { Vec::new() }; 3], [0.0_f64; 3]);
    for round in 0..=ROUNDS {
        for (number, (taken, peak)) in each(round).into_iter().enumerate() {
            // The first one warms up.
            if round > 0 {
                times[number].push(taken);
            }
            peaks[number] = peaks[number].max(peak);
        }
    }
    let [ours, rclone, aws] = times.map(|times| median(&times));
    println!(
        "| {what} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0}, {:.0}, {:.0} |",
        ours.wall / rclone.wall,
        ours.wall / aws.wall,
        ours.cpu / rclone.cpu,
        ours.cpu / aws.cpu,
        peaks[0],
        peaks[1],
        peaks[2],
    );
}

/// Verifies every file of a long chain; the peers fetch them.
fn small(place: &Place, objects: usize) {
    let mut log = LogWriter::new(ORIGIN, DAY);
    let archive = place.folder.join("chain");
    let bundles = objects / SMALL;
    for bundle in 0..bundles as u64 {
        let more = [
            ("inputs/trivy/0001-a.json", noise(bundle, 1_000)),
            ("report.pdf", noise(bundle + 100_000, 4_000)),
        ];
        write_bundle(&mut log, &archive, 2, &more);
    }
    place.rclone("chain", "store:evidence/chain");
    let there = fs::read_dir(archive.join("bundles")).unwrap().count();
    assert_eq!(there, bundles);
    let now = written(i64::try_from(bundles).unwrap() * DAY);
    let root = log.root.id().to_string();
    let verify = |arguments: &[&str]| {
        let all = [
            &["verify", "s3://evidence/chain", "--path-style", "--root", &root, "--now", &now],
            arguments,
        ]
        .concat();
        place.ours(&all, 0)
    };
    line(&format!("`verify --deep`, {objects} small objects"), |round| {
        let copies = ["rclone", "aws"].map(|name| place.folder.join(format!("{name}-{round}")));
        let [rclone, aws] = copies.each_ref().map(|copy| copy.to_str().unwrap());
        let taken = [
            verify(&["--deep"]),
            place.rclone("store:evidence/chain", rclone),
            place.aws("s3://evidence/chain", aws),
        ];
        for copy in copies {
            fs::remove_dir_all(copy).unwrap();
        }
        taken
    });
    fs::remove_dir_all(archive).unwrap();
}

/// Seals large inputs; the peers copy them to the store.
fn large(place: &Place) {
    let inputs = place.folder.join("inputs");
    fs::create_dir(&inputs).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kube-bench/node.json");
    let example = fs::read(example).unwrap();
    for number in 0..INPUTS {
        let mut input = example.clone();
        // White space, which JSON allows; each its own, so that none is taken for another.
        input.resize(INPUT + number, b' ');
        fs::write(inputs.join(format!("node-{number}.json")), input).unwrap();
    }
    place.ours(&["init", ".", "--keys-only", "--origin", ORIGIN], 0);
    let config = |round: usize| {
        let text = format!(
            "cluster: {{ name: bench }}\norigin: {ORIGIN}\n\
             archive: {{ uri: 's3://evidence/large-{round}', path_style: true }}\n\
             keys: {{ signer: keys/log.pem, keyring: keys/keyring, disclosure_secret: keys/disclosure.secret }}\n\
             frameworks: [cis-kubernetes]\n\
             sources:\n  - {{ name: kb, scanner: kube-bench, files: ['inputs/*.json'], max_age: 3650d, taken_at: '2026-11-01T00:00:00Z' }}\n"
        );
        fs::write(place.folder.join("affidavit.yaml"), text).unwrap();
    };
    let root = fs::read_to_string(place.folder.join("keys/root.fingerprint")).unwrap();
    line("`run` over 1 GB of inputs", |round| {
        config(round);
        [
            place.ours(&["run", "--quiet", "--now", "2026-11-20T02:00:00Z"], 0),
            place.rclone("inputs", &format!("store:evidence/rclone-{round}")),
            place.aws("inputs", &format!("s3://evidence/aws-{round}")),
        ]
    });
    line("`verify --deep` of that", |round| {
        let copies = ["rclone", "aws"].map(|name| place.folder.join(format!("{name}-{round}")));
        let [rclone, aws] = copies.each_ref().map(|copy| copy.to_str().unwrap());
        let arguments = [
            "verify",
            "s3://evidence/large-1",
            "--path-style",
            "--deep",
            "--root",
            root.trim(),
            "--now",
            "2026-11-20T03:00:00Z",
        ];
        let taken = [
            place.ours(&arguments, 0),
            place.rclone("store:evidence/rclone-1", rclone),
            place.aws("s3://evidence/aws-1", aws),
        ];
        for copy in copies {
            fs::remove_dir_all(copy).unwrap();
        }
        taken
    });
}
