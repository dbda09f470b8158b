//! Whoever is named is told: by messages in the form that each reader expects, and by metrics; on real
//! servers where there are any (`.ci/production` installs them).

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::{affidavit, done, error};
use crate::contract::proxy::read_request;
use crate::contract::server::refused;
use crate::small_chain::workspace;
use crate::tools;

const DAY: &str = "2026-11-20T02:00:00Z";
const NEXT: &str = "2026-11-21T02:00:00Z";

/// Takes what is posted to it; answers the n-th with a status.
fn recorder(status: impl Fn(usize) -> u16 + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook/secret-path", listener.local_addr().unwrap());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = bodies.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Ok((head, body)) = read_request(&mut stream) else { continue };
            assert!(head.starts_with("POST /hook/secret-path "), "{head}");
            let mut kept = kept.lock().unwrap();
            let status = status(kept.len());
            kept.push(String::from_utf8(body).unwrap());
            let reply =
                format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            drop(stream.write_all(reply.as_bytes()));
        }
    });
    (address, bodies)
}

/// A workspace that tells these.
fn telling(folder: &Path, notify: &str) -> PathBuf {
    let config = workspace(folder);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}notify:\n{notify}")).unwrap();
    config
}

fn run(folder: &Path, now: &str) -> std::process::Output {
    affidavit(folder, &["run", "--now", now, "--no-progress"])
}

#[apply(test)]
fn messages_have_the_form_of_their_reader_and_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let (json, plain) = recorder(|_| 200);
    let (slack, slacked) = recorder(|_| 200);
    let (teams, teamed) = recorder(|_| 202);
    let (quiet, silent) = recorder(|_| 200);
    fs::write(folder.path().join("slack-address"), format!("{slack}\n")).unwrap();
    telling(
        folder.path(),
        &format!(
            "  expiring_within: 365d\n  webhooks:\n    - {{ url: '{json}' }}\n    \
             - {{ url_file: slack-address, format: slack, link: 'https://evidence.example.com/{{cluster}}/{{bundle}}' }}\n    \
             - {{ url: '{teams}', format: teams, on: [failed, not-satisfied] }}\n    \
             - {{ url: '{quiet}', on: [failed] }}\n"
        ),
    );
    done(&run(folder.path(), DAY));

    let plain: Value = serde_json::from_str(&plain.lock().unwrap()[0]).unwrap();
    assert_eq!(plain["schema"], "urn:affidavit:notice:v1");
    assert_eq!((&plain["cluster"], &plain["seq"]), (&"test".into(), &0.into()));
    let kinds: Vec<&str> =
        plain["alerts"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["not-satisfied", "expiring"]);
    assert_eq!(plain["next"], NEXT);

    let slacked: Value = serde_json::from_str(&slacked.lock().unwrap()[0]).unwrap();
    let text = slacked["text"].as_str().unwrap();
    assert!(
        text.contains("expiring: End within 365 days: keyring version 1 on 2027-11-01."),
        "{text}"
    );
    assert!(text.contains("<https://evidence.example.com/test/0|Read on>"), "{text}");
    assert!(text.contains("assessed of"), "coverage stands beside the score: {text}");

    let teamed: Value = serde_json::from_str(&teamed.lock().unwrap()[0]).unwrap();
    let card = &teamed["attachments"][0]["content"];
    assert_eq!((&card["type"], &card["version"]), (&"AdaptiveCard".into(), &"1.4".into()));
    let texts = card["body"].to_string();
    assert!(texts.contains("not-satisfied") && !texts.contains("expiring"), "{texts}");
    assert_eq!(silent.lock().unwrap().len(), 0);

    // What a scanner found is in none of them.
    for message in [plain.to_string(), slacked.to_string(), teamed.to_string()] {
        for detail in ["4.1.2", "root:root", "node-1"] {
            assert!(!message.contains(detail), "{message}");
        }
    }
}

#[apply(test)]
fn a_run_that_fails_is_told_and_addresses_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (address, bodies) = recorder(|_| 200);
    let (gone, gave_up) = recorder(|_| 410);
    let (busy, retried) = recorder(|number| if number < 2 { 503 } else { 200 });
    let webhooks = [address, gone, busy]
        .map(|url| format!("    - {{ url: '{url}', on: [failed] }}\n"))
        .concat();
    telling(folder.path(), &format!("  webhooks:\n{webhooks}  textfile: affidavit.prom\n"));
    done(&run(folder.path(), DAY));
    let metrics = fs::read_to_string(folder.path().join("affidavit.prom")).unwrap();
    assert!(metrics.contains(
        "affidavit_run_last_sealed{cluster=\"test\",origin=\"evidence.example.com/test\"} 1"
    ));
    assert_eq!(bodies.lock().unwrap().len(), 0);

    fs::remove_file(folder.path().join("keys/log.pem")).unwrap();
    let output = run(folder.path(), NEXT);
    let said = error(&output, 2);
    assert!(said.contains("not told: webhook 2: HTTP status 410"), "{said}");
    assert!(!said.contains("secret-path"), "{said}");
    let counts = [&bodies, &gave_up, &retried].map(|bodies| bodies.lock().unwrap().len());
    assert_eq!(counts, [1, 1, 3]);
    let body: Value = serde_json::from_str(&bodies.lock().unwrap()[0]).unwrap();
    assert_eq!(body["alerts"][0]["kind"], "failed");
    // The newest bundle still stands, and the metrics say that it is not of this run.
    assert_eq!(body["seq"], 0);
    let metrics = fs::read_to_string(folder.path().join("affidavit.prom")).unwrap();
    for line in [
        "affidavit_run_last_sealed{cluster=\"test\",origin=\"evidence.example.com/test\"} 0",
        "affidavit_bundle_seq{cluster=\"test\",origin=\"evidence.example.com/test\"} 0",
        "kind=\"failed\"} 1",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[apply(test)]
fn nobody_listening_does_not_change_how_a_run_ends() {
    let folder = tempfile::tempdir().unwrap();
    let refused = refused();
    telling(
        folder.path(),
        &format!(
            "  webhooks: [{{ name: pager, url: '{refused}/x' }}]\n  pushgateway: '{refused}'\n  \
             textfile: no/such/folder/a.prom\n  events: true\n"
        ),
    );
    let output = run(folder.path(), DAY);
    done(&output);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for who in [
        "webhook pager: ",
        "pushgateway: ",
        "a.prom: No such file",
        "event: POD_NAMESPACE is not set",
    ] {
        assert!(said.contains(&format!("not told: {who}")) || said.contains(who), "{who}\n{said}");
    }
}

/// A server of others; stopped when dropped.
struct Server {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Ends the test as left out where it is not installed. `ready` is what it answers once it is.
    fn start(name: &str, ready: &str, arguments: &dyn Fn(u16, &Path) -> Vec<String>) -> Self {
        tools::CURL.demand();
        let mut program = tools::program_within(&tools::PRODUCTION, &format!("bin/{name}"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("output")).unwrap();
        let child = program
            .args(arguments(port, folder.path()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        let start = Instant::now();
        while server.get(ready).is_none() {
            assert!(start.elapsed() < Duration::from_mins(1), "{name} does not answer");
            thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn get(&self, path: &str) -> Option<String> {
        let url = format!("{}{path}", self.url);
        let mut curl = tools::CURL.command();
        let output = curl.args(["-sf", "--noproxy", "*", &url]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

#[apply(test)]
fn a_pushgateway_takes_the_metrics() {
    let arguments = |port: u16, _: &Path| vec![format!("--web.listen-address=127.0.0.1:{port}")];
    let server = Server::start("pushgateway", "/-/ready", &arguments);
    let folder = tempfile::tempdir().unwrap();
    let config = telling(folder.path(), &format!("  pushgateway: '{}/'\n", server.url));
    // A name that a path must not take literally.
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("cluster: { name: test }", "cluster: { name: 'a/b \"c\"' }"))
        .unwrap();
    done(&run(folder.path(), DAY));
    let metrics = server.get("/metrics").unwrap();
    let value = |name: &str, label: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name) && line.contains(label));
        let line = line.unwrap_or_else(|| panic!("no {name} {label}:\n{metrics}"));
        assert!(
            line.contains(r#"cluster="a/b \"c\"""#) && line.contains("job=\"affidavit\""),
            "{line}"
        );
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!((value("affidavit_run_last_sealed", "") - 1.0).abs() < 0.1);
    assert!((value("affidavit_controls", "status=\"satisfied\"") - 1.0).abs() < 1.5);
    let created = value("affidavit_bundle_created_timestamp_seconds", "");
    assert!((created - 1_795_140_000.0).abs() < 1.0, "{created}");
    assert!((value("affidavit_alerts", "kind=\"failed\"")).abs() < 0.1);

    // A run that fails replaces what it knows and leaves what it does not.
    fs::remove_file(folder.path().join("keys/log.pem")).unwrap();
    error(&run(folder.path(), NEXT), 2);
    let metrics = server.get("/metrics").unwrap();
    assert!(
        metrics.lines().any(|l| l.starts_with("affidavit_run_last_sealed{") && l.ends_with(" 0"))
    );
    assert!(metrics.lines().any(|l| l.contains("kind=\"failed\"") && l.ends_with(" 1")));
    assert!(metrics.lines().any(|l| l.starts_with("affidavit_bundle_seq{")));
}

#[apply(test)]
fn an_alertmanager_holds_alerts_until_they_are_over() {
    let arguments = |port: u16, folder: &Path| {
        let config = "route: { receiver: none }\nreceivers: [{ name: none }]\n";
        fs::write(folder.join("alertmanager.yml"), config).unwrap();
        ["--cluster.listen-address=", "--config.file=alertmanager.yml", "--storage.path=data"]
            .into_iter()
            .map(str::to_owned)
            .chain([format!("--web.listen-address=127.0.0.1:{port}")])
            .collect()
    };
    let server = Server::start("alertmanager", "/-/ready", &arguments);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}/api/v2/alerts", server.url);
    let config = telling(
        folder.path(),
        &format!(
            "  webhooks: [{{ url: '{url}', format: alertmanager, link: 'https://e.example/{{bundle}}' }}]\n"
        ),
    );
    let active = || {
        let alerts: Value = serde_json::from_str(&server.get("/api/v2/alerts").unwrap()).unwrap();
        let mut kinds: Vec<String> = alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| {
                assert_eq!(alert["labels"]["cluster"], "test");
                assert_eq!(alert["generatorURL"], "https://e.example/0");
                alert["labels"]["kind"].as_str().unwrap().to_owned()
            })
            .collect();
        kinds.sort();
        kinds
    };
    done(&run(folder.path(), DAY));
    assert_eq!(active(), ["not-satisfied"]);
    // Told by somebody else, with the same labels: it is the same alert.
    let key = folder.path().join("keys/log.pem");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    error(&run(folder.path(), NEXT), 2);
    assert_eq!(active(), ["failed", "not-satisfied"]);
    fs::write(&key, kept).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(&config).unwrap().replace("{bundle}", "0");
    fs::write(&config, text).unwrap();
    done(&run(folder.path(), "2026-11-21T02:10:00Z"));
    let start = Instant::now();
    while active() != ["not-satisfied"] {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", active());
        thread::sleep(Duration::from_millis(200));
    }
}

#[apply(test)]
fn a_run_is_a_trace_in_a_collector() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let arguments = |port: u16, _: &Path| {
        let mut all = vec![
            format!("--query.http-server.host-port=127.0.0.1:{port}"),
            format!("--collector.otlp.http.host-port={collector}"),
        ];
        for other in [
            "admin.http",
            "collector.grpc-server",
            "collector.http-server",
            "collector.otlp.grpc",
            "query.grpc-server",
        ] {
            all.push(format!("--{other}.host-port=127.0.0.1:0"));
        }
        all
    };
    let server = Server::start("jaeger", "/api/services", &arguments);
    let folder = tempfile::tempdir().unwrap();
    telling(folder.path(), &format!("  traces: 'http://{collector}/'\n"));
    done(&run(folder.path(), DAY));
    fs::remove_file(folder.path().join("keys/log.pem")).unwrap();
    error(&run(folder.path(), NEXT), 2);
    let traces = || -> Vec<Value> {
        let found = server.get("/api/traces?service=affidavit").unwrap_or_default();
        let found: Value = serde_json::from_str(&found).unwrap_or_default();
        found["data"].as_array().cloned().unwrap_or_default()
    };
    let start = Instant::now();
    while traces().len() < 2 {
        assert!(start.elapsed() < Duration::from_mins(1), "{:?}", traces());
        thread::sleep(Duration::from_millis(100));
    }
    let tag = |span: &Value, key: &str| -> Value {
        let tags = span["tags"].as_array().unwrap();
        tags.iter().find(|tag| tag["key"] == key).map_or(Value::Null, |tag| tag["value"].clone())
    };
    let mut endings = Vec::new();
    for trace in traces() {
        let spans = trace["spans"].as_array().unwrap();
        let root = spans.iter().find(|span| span["references"] == serde_json::json!([])).unwrap();
        assert_eq!(root["operationName"], "affidavit run");
        assert_eq!(tag(root, "affidavit.cluster"), "test");
        let (begun, took) = (&root["startTime"], &root["duration"]);
        let ended = begun.as_u64().unwrap() + took.as_u64().unwrap();
        for step in spans.iter().filter(|span| *span != root) {
            assert_eq!(step["references"][0]["spanID"], root["spanID"]);
            let at = step["startTime"].as_u64().unwrap();
            assert!(
                at >= begun.as_u64().unwrap()
                    && at + step["duration"].as_u64().unwrap() <= ended + 1
            );
        }
        let names: Vec<&str> =
            spans.iter().map(|span| span["operationName"].as_str().unwrap()).collect();
        endings.push((tag(root, "error"), tag(root, "affidavit.findings"), spans.len()));
        if tag(root, "error").is_null() {
            assert!(names.contains(&"sealing and archiving"), "{names:?}");
        }
        // Counts and names, and nothing that a scanner found.
        let text = trace.to_string();
        assert!(!text.contains("4.1.2") && !text.contains("node-1"), "{text}");
    }
    endings.sort_by_key(|(error, ..)| error.as_bool());
    assert_eq!((&endings[0].0, &endings[0].1), (&Value::Null, &3.into()), "{endings:?}");
    assert_eq!((&endings[1].0, &endings[1].1), (&true.into(), &Value::Null), "{endings:?}");
    assert!(endings[0].2 > 4, "{endings:?}");
}

#[apply(test)]
fn a_collector_that_is_not_there_is_said_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    telling(folder.path(), &format!("  traces: '{}'\n", refused()));
    let output = run(folder.path(), DAY);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("not told: traces: "), "{said}");
}
