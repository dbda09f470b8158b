//! An API server in bad moods: one that expires lists, has too much to do, does not answer, and has
//! another clock. A real one cannot be brought to that.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use affidavit::population::Listing;
use affidavit::scanner::affidavit::Report;
use serde_json::{Value, json};

/// How often each address was asked for.
type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

fn start() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let shared = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = Arc::clone(&shared);
            thread::spawn(move || answer(stream.unwrap(), &asked));
        }
    });
    (url, asked)
}

fn answer(mut stream: TcpStream, asked: &Asked) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    drop(reader.read_line(&mut line));
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) < 3 {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    drop(reader.take(length).read_to_end(&mut Vec::new()));
    let nth = {
        let mut asked = asked.lock().unwrap();
        let count = asked.entry(path.clone()).or_default();
        *count += 1;
        *count
    };
    let Some((status, extra, body)) = reply(&path, nth) else {
        thread::sleep(Duration::from_mins(1));
        return;
    };
    let date = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1))
        .strftime("%a, %d %b %Y %H:%M:%S GMT");
    let text = body.to_string();
    let reply = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nDate: {date}\r\n{extra}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    drop(stream.write_all(reply.as_bytes()));
}

/// Status, further headers, body; `None`: no answer.
fn reply(path: &str, nth: usize) -> Option<(u16, &'static str, Value)> {
    let pod = |name: &str| json!({"metadata": {"name": name, "namespace": "n", "uid": name}, "spec": {"containers": []}});
    let page = |items: &[Value], next: &str| json!({"metadata": {"resourceVersion": "7", "continue": next}, "items": items});
    let refused =
        |code: u16, message: &str| (code, "", json!({"kind": "Status", "message": message}));
    Some(match (path, nth) {
        ("/version", _) => (200, "", json!({"gitVersion": "v1.99.0"})),
        ("/api/v1/namespaces/kube-system", _) => (200, "", json!({"metadata": {"uid": "u"}})),
        ("/api/v1/pods?limit=500", 1) => (200, "", page(&[pod("a"), pod("b")], "old")),
        ("/api/v1/pods?limit=500&continue=old", _) => refused(410, "too old"),
        ("/api/v1/pods?limit=500", _) => (200, "", page(&[pod("a"), pod("b")], "new")),
        ("/api/v1/pods?limit=500&continue=new", _) => (200, "", page(&[pod("b"), pod("c")], "")),
        ("/api/v1/services?limit=500", 1) => (429, "Retry-After: 1\r\n", json!({})),
        ("/api/v1/services?limit=500", 2) => refused(503, "overloaded"),
        ("/api/v1/secrets?limit=500", _) => refused(403, "secrets is forbidden: User \"x\""),
        ("/apis/apps/v1/statefulsets?limit=500", _) => refused(404, "not found"),
        ("/apis/batch/v1/jobs?limit=500", _) => return None,
        ("/apis/batch/v1/cronjobs?limit=500", _) => refused(500, "broken"),
        (path, _) if path.contains("subjectaccessreview") => {
            (201, "", json!({"status": {"allowed": true}}))
        }
        (path, _) if path.contains("subjectreview") => {
            (201, "", json!({"status": {"userInfo": {"username": "x"}}}))
        }
        _ => (200, "", page(&[], "")),
    })
}

#[apply(test)]
fn a_moody_server_is_asked_again_and_what_it_withholds_is_said() {
    let (url, asked) = start();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: t\nclusters: [{{name: t, cluster: {{server: '{url}'}}}}]\n\
         users: [{{name: t, user: {{token: x}}}}]\ncontexts: [{{name: t, context: {{cluster: t, user: t}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let (bytes, output, _folder) = super::collect_within(&kubeconfig, "u", "1s");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    let report: Report<'_> = serde_json::from_slice(&bytes).unwrap();
    let kind = |name: &str| report.kinds.iter().find(|listed| listed.kind == name).unwrap();
    let is = |name: &str, listing: Listing, count: u64, detail: &str| {
        let found = kind(name);
        assert_eq!((found.listing, found.count), (listing, count), "{found:?}");
        assert!(found.detail.contains(detail), "{found:?}");
    };
    is("Pod", Listing::Complete, 3, "begun again");
    is("Service", Listing::Complete, 0, "");
    is("Secret", Listing::Forbidden, 0, "User \"x\"");
    is("StatefulSet", Listing::Absent, 0, "not found");
    is("Job", Listing::Failed, 0, "no answer within 1 s");
    is("CronJob", Listing::Failed, 0, "500: broken");
    let pods = report.objects.iter().filter(|object| object.kind == "Pod");
    assert_eq!(pods.map(|pod| pod.name.to_string()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let ahead = report.cluster.as_ref().unwrap().clock_ahead_seconds;
    assert!((3598..=3602).contains(&ahead), "{ahead}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked["/api/v1/services?limit=500"], 3);
    assert_eq!(asked["/apis/batch/v1/cronjobs?limit=500"], 5, "tries are bounded");
    assert_eq!(asked["/apis/batch/v1/jobs?limit=500"], 5, "tries are bounded");
    assert_eq!(asked["/api/v1/secrets?limit=500"], 1, "what is forbidden stays so");
}

#[apply(test)]
fn a_cluster_that_is_not_there_is_a_missing_source() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("none");
    let (bytes, output, _folder) = super::collect_within(&kubeconfig, "", "1s");
    assert!(bytes.is_empty());
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no access to a cluster"), "{said}");
}
