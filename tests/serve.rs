//! `affidavit serve`: runs on its schedule, catches up, tells how it is, and ends when it is told to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use affidavit::archive::Directory;
use affidavit::sealed::Bundle;
use affidavit::verify::{FailureCode, Policy};
use jiff::{SignedDuration, Timestamp};

use crate::command::{affidavit, done, error};
use crate::small_chain::{ORIGIN, verify_with, workspace};
use crate::tools;

const LONG: Duration = Duration::from_secs(90);

/// A running service; killed when dropped.
pub struct Service {
    child: Child,
    /// Where it listens.
    pub address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts it in a folder with a configuration.
    pub fn start(folder: &Path, name: &str) -> Self {
        Self::start_with(folder, name, &[])
    }

    /// The same with more variables in its environment.
    pub fn start_with(folder: &Path, name: &str, variables: &[(&str, &str)]) -> Self {
        // Asked for here: without it nothing could be told to end.
        tools::KILL.demand();
        let mut child = Command::new(env!("CARGO_BIN_EXE_affidavit"))
            .arg("serve")
            .current_dir(folder)
            .env("POD_NAME", name)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (kept, stderr) = (lines.clone(), child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let mut service = Self { child, address: String::new(), lines };
        let line = service.says("listening at http://");
        line.rsplit('/').next().unwrap().clone_into(&mut service.address);
        service
    }

    fn said(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until it has said something.
    pub fn says(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let found = self.said().into_iter().find(|line| line.contains(text));
            if let Some(line) = found {
                return line;
            }
            assert!(start.elapsed() < LONG, "`{text}` was not said: {:#?}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Status and the whole answer.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    /// Tells it to end; gives how it did.
    pub fn end(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let output = tools::KILL.command().args(["-TERM", &id]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LONG, "it does not end: {:#?}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A workspace whose keys are of today, on this schedule.
pub fn of_today(folder: &Path, cron: &str, serve: &str) {
    done(&affidavit(folder, &["init", ".", "--keys-only", "--origin", ORIGIN]));
    let config = workspace(folder);
    let text = fs::read_to_string(&config).unwrap().replace("0 2 * * *", cron);
    fs::write(&config, format!("{text}serve: {{ listen: '127.0.0.1:0'{serve} }}\n")).unwrap();
}

fn before(minutes: i64) -> String {
    let at = Timestamp::now().checked_sub(SignedDuration::from_mins(minutes)).unwrap();
    Timestamp::from_second(at.as_second()).unwrap().to_string()
}

fn bundles(folder: &Path) -> usize {
    fs::read_dir(folder.join("archive/bundles")).map_or(0, Iterator::count)
}

#[apply(test)]
fn it_catches_up_runs_when_due_and_tells_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    of_today(folder.path(), "* * * * *", "");
    done(&affidavit(folder.path(), &["run", "--now", &before(4)]));
    let mut service = Service::start(folder.path(), "one");
    // At once, for what was due while nobody was there; then with the next minute.
    let sealed = service.says(&format!("sealed {ORIGIN}#1 with 3 findings; 0 of 1 sources"));
    assert!(sealed.starts_with("20"), "{sealed}");
    assert_eq!(service.ask("GET", "/healthz").0, 200);
    assert_eq!(service.ask("GET", "/readyz").0, 200);
    let (status, metrics) = service.ask("GET", "/metrics");
    assert!(status == 200 && metrics.contains("application/openmetrics-text; version=1.0.0"));
    for line in [
        "affidavit_serve_leader{cluster=\"test\",origin=\"evidence.example.com/test\"} 1\n",
        "affidavit_serve_ready{cluster=\"test\",origin=\"evidence.example.com/test\"} 1\n",
        "affidavit_serve_runs_total{cluster=\"test\",origin=\"evidence.example.com/test\"} 1\n",
        "affidavit_bundle_seq{cluster=\"test\",origin=\"evidence.example.com/test\"} 1\n",
        "kind=\"missed\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n") && metrics.matches("# EOF").count() == 1, "{metrics}");
    for (method, path, status) in
        [("POST", "/metrics", 405), ("GET", "/", 404), ("GET", "/metrics/../archive", 404)]
    {
        assert_eq!(service.ask(method, path).0, status, "{method} {path}");
    }
    service.says(&format!("sealed {ORIGIN}#2"));
    assert!(service.end().success());
    assert_eq!(bundles(folder.path()), 3);

    let root = fs::read_to_string(folder.path().join("keys/root.fingerprint")).unwrap();
    let root = affidavit::evidence::key::KeyId::from_fingerprint(root.trim()).unwrap();
    let archive = folder.path().join("archive");
    let verdict = verify_with(&archive, &Policy::new([root].into(), Timestamp::now()));
    let codes: Vec<_> = verdict.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [FailureCode::HeadUnpinned, FailureCode::PeriodGapDeclared], "{verdict:#?}");
    // The second of them took the place that the first said is next.
    let of = |seq| Bundle::read(&Directory::new(&archive), Some(seq)).unwrap().statement.predicate;
    let (first, second) = (of(1).time.schedule.unwrap(), of(2).time.schedule.unwrap());
    assert_eq!(second.due, Some(first.next));
}

#[apply(test)]
fn a_run_that_fails_is_tried_again_and_told() {
    let folder = tempfile::tempdir().unwrap();
    of_today(folder.path(), "* * * * *", ", jitter: 1s");
    done(&affidavit(folder.path(), &["run", "--now", &before(2)]));
    let key = folder.path().join("keys/log.pem");
    let away = folder.path().join("away.pem");
    fs::rename(&key, &away).unwrap();
    let mut service = Service::start(folder.path(), "one");
    service.says("sealed nothing: ");
    service.says("trying again in 60 s");
    let (status, answer) = service.ask("GET", "/readyz");
    assert!(status == 503 && answer.contains("not ready"), "{answer}");
    assert_eq!(service.ask("GET", "/healthz").0, 200);
    let metrics = service.ask("GET", "/metrics").1;
    let failures =
        "affidavit_serve_failures_total{cluster=\"test\",origin=\"evidence.example.com/test\"} 1\n";
    assert!(metrics.contains(failures), "{metrics}");
    assert!(metrics.contains("kind=\"failed\"} 1\n"), "{metrics}");
    fs::rename(&away, &key).unwrap();
    service.says(&format!("sealed {ORIGIN}#1"));
    assert_eq!(service.ask("GET", "/readyz").0, 200);
    assert!(service.end().success());
}

#[apply(test)]
fn a_chain_that_cannot_be_read_is_said_and_has_no_metrics() {
    let folder = tempfile::tempdir().unwrap();
    of_today(folder.path(), "0 0 1 1 *", ", catch_up: skip");
    let path = folder.path().join("archive");
    fs::write(&path, "a file is no archive").unwrap();
    let mut service = Service::start(folder.path(), "one");
    service.says("could not read the chain, so it has no metrics: ");
    service.says("not ready: ");
    let metrics = service.ask("GET", "/metrics").1;
    assert!(metrics.contains("affidavit_serve_ready{") && !metrics.contains("affidavit_alerts"));
    // Once it can be read, nobody has to start the process again.
    fs::remove_file(&path).unwrap();
    let start = Instant::now();
    while service.ask("GET", "/readyz").0 != 200 {
        assert!(start.elapsed() < LONG, "{:#?}", service.said());
        thread::sleep(Duration::from_millis(300));
    }
    assert!(service.end().success());
}

#[apply(test)]
fn it_may_wait_instead_of_catching_up_and_ends_at_once_while_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    of_today(folder.path(), "0 0 1 1 *", ", catch_up: skip");
    // Of a time before its data: that is incomplete, and long ago.
    error(&affidavit(folder.path(), &["run", "--now", "2025-12-01T00:00:00Z"]), 4);
    let mut service = Service::start(folder.path(), "one");
    thread::sleep(Duration::from_secs(2));
    let start = Instant::now();
    assert!(service.end().success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(bundles(folder.path()), 1);

    // Without anything to wait for there is nothing to serve.
    let config = folder.path().join("affidavit.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("schedule: '0 0 1 1 *'\n", "")).unwrap();
    let said = error(&affidavit(folder.path(), &["serve"]), 2);
    assert!(said.contains("no schedule"), "{said}");
    fs::write(&config, text.replace("127.0.0.1:0", "192.0.2.1:1")).unwrap();
    let said = error(&affidavit(folder.path(), &["serve"]), 3);
    assert!(said.contains("could not listen at 192.0.2.1:1"), "{said}");
}
