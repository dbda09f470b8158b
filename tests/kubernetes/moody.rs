//! An API server in bad moods: one that expires lists, has too much to do, does not answer, gives lists that
//! are none, and has another clock. A real one cannot be brought to that.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use affidavit::checks::KINDS;
use affidavit::population::Listing;
use affidavit::scanner::affidavit::Report;
use serde_json::{Value, json};

use crate::command::{affidavit, error};
use crate::small_chain::{NOW, workspace};

/// How often each address was asked for.
type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

fn start() -> (String, Asked) {
    start_as("u")
}

/// A server whose `kube-system` has this UID.
fn start_as(uid: &'static str) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let shared = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = Arc::clone(&shared);
            thread::spawn(move || answer(stream.unwrap(), &asked, uid));
        }
    });
    (url, asked)
}

fn answer(mut stream: TcpStream, asked: &Asked, uid: &str) {
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
    let mut asks = String::new();
    drop(reader.take(length).read_to_string(&mut asks));
    let nth = {
        let mut asked = asked.lock().unwrap();
        let count = asked.entry(format!("{path}{}", resource_of(&asks))).or_default();
        *count += 1;
        *count
    };
    let Some((status, extra, mut body)) = reply(&path, &asks, nth) else {
        thread::sleep(Duration::from_mins(1));
        return;
    };
    if path == "/api/v1/namespaces/kube-system" {
        body["metadata"]["uid"] = json!(uid);
    }
    let date = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1))
        .strftime("%a, %d %b %Y %H:%M:%S GMT");
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let reply = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nDate: {date}\r\n{extra}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    drop(stream.write_all(reply.as_bytes()));
}

/// The resource of an access review.
fn resource_of(asks: &str) -> String {
    let asks: Value = serde_json::from_str(asks).unwrap_or_default();
    let resource = asks.pointer("/spec/resourceAttributes/resource").and_then(Value::as_str);
    resource.map(|resource| format!("#{resource}")).unwrap_or_default()
}

/// The list that a path leads to.
fn list(path: &str, items: &[Value], next: &str, remaining: Option<u64>) -> Value {
    let plural = path.split('?').next().unwrap().rsplit('/').next().unwrap();
    let kind = KINDS.iter().find(|kind| kind.plural == plural).unwrap();
    let (api, kind) = if plural == "secrets" {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata".to_owned())
    } else {
        (kind.api_version(), kind.kind.to_owned())
    };
    json!({
        "apiVersion": api, "kind": format!("{kind}List"), "items": items,
        "metadata": {"resourceVersion": "7", "continue": next, "remainingItemCount": remaining},
    })
}

fn object(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "n", "uid": name}, "spec": {"containers": []}})
}

/// Status, further headers, body; `None`: no answer.
fn reply(path: &str, asks: &str, nth: usize) -> Option<(u16, &'static str, Value)> {
    let page = |items: &[&str], next: &str, remaining: Option<u64>| {
        let items: Vec<Value> = items.iter().map(|name| object(name)).collect();
        (200, "", list(path, &items, next, remaining))
    };
    let refused =
        |code: u16, message: &str| (code, "", json!({"kind": "Status", "message": message}));
    let many =
        |count: usize| -> Vec<Value> { (0..count).map(|n| object(&format!("m{n}"))).collect() };
    Some(match (path, nth) {
        ("/version", _) => refused(403, "forbidden: User \"secret-in-words\""),
        ("/api/v1/namespaces/kube-system", _) => {
            (200, "", json!({"kind": "Namespace", "metadata": {"uid": "u"}}))
        }
        ("/apis", _) => {
            let group = |name: &str, version: &str| json!({"name": name, "versions": [{"version": version}]});
            let groups =
                [group("apps", "v1"), group("batch", "v1"), group("networking.k8s.io", "v1")];
            (200, "", json!({"kind": "APIGroupList", "groups": groups}))
        }
        ("/apis/apps/v1", _) => {
            let resource = json!({"name": "daemonsets", "kind": "DaemonSet"});
            (200, "", json!({"kind": "APIResourceList", "resources": [resource]}))
        }
        ("/api/v1/pods?limit=500", 1) => page(&["a", "b"], "old", None),
        ("/api/v1/pods?limit=500&continue=old", _) => refused(410, "too old"),
        ("/api/v1/pods?limit=500", _) => page(&["a", "b"], "new", Some(2)),
        ("/api/v1/pods?limit=500&continue=new", _) => page(&["b", "c"], "", None),
        ("/api/v1/services?limit=500", 1) => (429, "Retry-After: 1\r\n", json!({})),
        ("/api/v1/services?limit=500", 2) => refused(503, "overloaded"),
        // Allowed by the review, but not by those who have just started.
        ("/api/v1/serviceaccounts?limit=500", 1 | 2) => refused(403, "starting"),
        ("/api/v1/serviceaccounts?limit=500", _) => page(&["s"], "", None),
        ("/api/v1/secrets?limit=500", _) => {
            refused(403, "secrets is forbidden: User \"secret-in-words\"")
        }
        // What the server does not have, and what somebody on the way says.
        ("/apis/apps/v1/statefulsets?limit=500" | "/apis/apps/v1/daemonsets?limit=500", _) => {
            (404, "", json!({"kind": "Status", "reason": "NotFound"}))
        }
        ("/api/v1/nodes?limit=500", _) => {
            (404, "", json!("<html>not found: secret-in-words</html>"))
        }
        ("/apis/batch/v1/jobs?limit=500", _) => return None,
        ("/apis/batch/v1/cronjobs?limit=500", _) => refused(500, "broken: secret-in-words"),
        // Lists that are none.
        ("/api/v1/namespaces?limit=500", _) => (200, "", json!({})),
        ("/apis/apps/v1/deployments?limit=500", _) => {
            (200, "", json!({"error": "secret-in-words"}))
        }
        ("/apis/apps/v1/replicasets?limit=500", _) => {
            (200, "", json!({"kind": "Status", "apiVersion": "v1", "status": "Failure"}))
        }
        ("/api/v1/replicationcontrollers?limit=500", _) => {
            (200, "", list("/api/v1/services", &[], "", None))
        }
        // Lists that end too early: for good, and once.
        ("/apis/networking.k8s.io/v1/ingresses?limit=500", _) => page(&["i"], "", Some(4)),
        ("/apis/networking.k8s.io/v1/networkpolicies?limit=500", 1) => page(&["p"], "", Some(1)),
        ("/apis/networking.k8s.io/v1/networkpolicies?limit=500", _) => page(&["p", "q"], "", None),
        (
            "/apis/rbac.authorization.k8s.io/v1/roles?limit=500"
            | "/apis/rbac.authorization.k8s.io/v1/rolebindings?limit=500",
            _,
        ) => (200, "", list(path, &many(500), "", None)),
        ("/apis/rbac.authorization.k8s.io/v1/roles?limit=1", _) => {
            (200, "", list(path, &many(1), "x", Some(800)))
        }
        ("/apis/rbac.authorization.k8s.io/v1/rolebindings?limit=1", _) => {
            (200, "", list(path, &many(1), "x", Some(499)))
        }
        (path, _) if path.contains("subjectaccessreview") => {
            let allowed = !asks.contains("\"secrets\"");
            let review = json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}});
            if asks.contains("\"ingresses\"") { refused(500, "no") } else { (201, "", review) }
        }
        (path, _) if path.contains("subjectreview") => {
            (201, "", json!({"status": {"userInfo": {"username": "x"}}}))
        }
        _ => page(&[], "", None),
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
    assert_eq!(output.status.code(), Some(4), "{error}");
    let report: Report<'_> = serde_json::from_slice(&bytes).unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let is = |name: &str, listing: Listing, count: u64, detail: &str| {
        let found = report.kinds.iter().find(|listed| listed.kind == name).unwrap();
        assert_eq!((found.listing, found.count), (listing, count), "{found:?}");
        assert!(found.detail.contains(detail), "{found:?}");
        let is_seen = matches!(listing, Listing::Complete | Listing::Absent);
        assert_eq!(!is_seen, told.contains(&format!("{name}: ")), "{name} {told}");
    };
    is("Pod", Listing::Complete, 3, "begun again");
    is("Service", Listing::Complete, 0, "");
    is("ServiceAccount", Listing::Complete, 1, "");
    is("Secret", Listing::Forbidden, 0, "/api/v1/secrets: forbidden");
    is("StatefulSet", Listing::Absent, 0, "the server does not have this kind");
    is("DaemonSet", Listing::Failed, 0, "not found");
    is("Node", Listing::Failed, 0, "HTTP status 404");
    is("Job", Listing::Failed, 0, "no answer within 1 s");
    is("CronJob", Listing::Failed, 0, "HTTP status 500");
    is("Namespace", Listing::Failed, 0, "no NamespaceList of v1");
    is("Deployment", Listing::Failed, 0, "no DeploymentList of apps/v1");
    is("ReplicaSet", Listing::Failed, 0, "no ReplicaSetList of apps/v1");
    is("ReplicationController", Listing::Failed, 0, "no ReplicationControllerList of v1");
    is("Ingress", Listing::Failed, 1, "does not add up");
    is("NetworkPolicy", Listing::Complete, 2, "");
    is("Role", Listing::Failed, 500, "ends before its objects do");
    is("RoleBinding", Listing::Complete, 500, "");
    let pods = report.objects.iter().filter(|object| object.kind == "Pod");
    assert_eq!(pods.map(|pod| pod.name.to_string()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let identity = report.cluster.as_ref().unwrap();
    assert!((3598..=3602).contains(&identity.clock_ahead_seconds), "{identity:?}");
    // What is refused before the lists loses itself only.
    assert_eq!((&*identity.version, &*identity.user, &*identity.uid), ("", "x", "u"));
    assert_eq!(
        (&identity.may_not_list[..], &identity.not_known[..]),
        (&["Secret".to_owned()][..], &["Ingress".to_owned()][..])
    );
    assert!(!identity.tls_verified);
    let asked = asked.lock().unwrap();
    assert_eq!(asked["/api/v1/services?limit=500"], 3);
    assert_eq!(asked["/apis/batch/v1/cronjobs?limit=500"], 5, "tries are bounded");
    assert_eq!(asked["/apis/batch/v1/jobs?limit=500"], 5, "tries are bounded");
    assert_eq!(asked["/api/v1/namespaces?limit=500"], 5, "tries are bounded");
    assert_eq!(asked["/api/v1/secrets?limit=500"], 1, "what is forbidden stays so");
    // Nothing that a server says is repeated.
    let everything = [&bytes[..], &output.stdout, &output.stderr].concat();
    assert!(!String::from_utf8_lossy(&everything).contains("secret-in-words"));
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

#[apply(test)]
fn a_chain_is_about_the_cluster_of_its_first_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = workspace(folder);
    let text = std::fs::read_to_string(&config).unwrap();
    let more = "  - { name: trivy, scanner: trivy, from: cluster, max_age: 1h }\n";
    let access = "kubernetes: { kubeconfig: kubeconfig, timeout: 2s }\n";
    std::fs::write(&config, format!("{access}{text}{more}")).unwrap();
    let run = |uid: &'static str, second: u32| {
        let (url, _) = start_as(uid);
        let kubeconfig = format!(
            "current-context: t\nclusters: [{{name: t, cluster: {{server: '{url}'}}}}]\n\
             users: [{{name: t, user: {{token: x}}}}]\ncontexts: [{{name: t, context: {{cluster: t, user: t}}}}]\n"
        );
        std::fs::write(folder.join("kubeconfig"), kubeconfig).unwrap();
        affidavit(folder, &["run", "--now", &NOW.replace(":00Z", &format!(":{second:02}Z"))])
    };
    assert_eq!(run("first", 0).status.code(), Some(4));
    assert_eq!(run("first", 1).status.code(), Some(4));
    let told = error(&run("other", 2), 3);
    assert!(told.contains("has the UID other, and this chain is about first"), "{told}");
}
