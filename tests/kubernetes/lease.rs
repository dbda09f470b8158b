//! Several processes of `affidavit serve` and one Lease on the real API server.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::cluster::Cluster;
use super::monitoring::{Timeline, fires, scraped};
use crate::command::{affidavit, done};
use crate::serve::{Service, of_today};
use crate::small_chain::ORIGIN;

const RIGHTS: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "affidavit"}},
{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "serve", "namespace": "affidavit"}},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "serve", "namespace": "affidavit"},
 "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "patch"]}]},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "serve", "namespace": "affidavit"},
 "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "serve"},
 "subjects": [{"kind": "ServiceAccount", "name": "serve", "namespace": "affidavit"}]}]}"#;

/// A chain of one bundle in a folder, and a cluster with the lease of those who serve it.
fn chain(folder: &Path) -> Cluster {
    let cluster = Cluster::start();
    cluster.apply(RIGHTS);
    of_today(folder, "0 0 1 1 *", ", lease: { namespace: affidavit, name: evidence }");
    reached_by(folder, &cluster.kubeconfig_of("affidavit", "serve"));
    seal(folder, 4);
    cluster
}

fn reached_by(folder: &Path, kubeconfig: &Path) {
    let config = folder.join("affidavit.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("kubernetes:"))
        .fold(String::new(), |text, line| text + line + "\n");
    let access = format!("kubernetes: {{ kubeconfig: '{}' }}\n", kubeconfig.display());
    fs::write(&config, format!("{access}{text}")).unwrap();
}

/// A run by hand, some minutes ago.
fn seal(folder: &Path, minutes: i64) {
    let at = Timestamp::now().checked_sub(SignedDuration::from_mins(minutes)).unwrap();
    let at = Timestamp::from_second(at.as_second()).unwrap().to_string();
    done(&affidavit(folder, &["run", "--now", &at]));
}

fn metrics(service: &Service) -> String {
    service.ask("GET", "/metrics").1
}

fn leads(metrics: &str) -> bool {
    metrics.lines().any(|line| line.starts_with("affidavit_serve_leader{") && line.ends_with(" 1"))
}

/// Everything that a process says, unless it leads, is of itself.
fn is_of_the_process(metrics: &str) -> bool {
    metrics
        .lines()
        .filter(|line| line.starts_with("affidavit_"))
        .all(|line| line.starts_with("affidavit_serve_"))
}

/// The leader, once there is one that describes the chain, and how many bundles it says there are.
fn wait_for_one(services: &[Service]) -> (usize, u64) {
    let start = Instant::now();
    loop {
        let all: Vec<String> = services.iter().map(metrics).collect();
        let leaders: Vec<usize> = (0..all.len()).filter(|index| leads(&all[*index])).collect();
        assert!(leaders.len() < 2, "two lead");
        for standby in all.iter().filter(|metrics| !leads(metrics)) {
            assert!(is_of_the_process(standby), "{standby}");
        }
        if let [leader] = leaders[..] {
            let newest = all[leader].lines().find(|line| line.starts_with("affidavit_bundle_seq{"));
            if let Some(line) = newest {
                return (leader, line.rsplit(' ').next().unwrap().parse().unwrap());
            }
        }
        assert!(start.elapsed() < Duration::from_mins(2), "nobody leads: {all:#?}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[apply(test)]
fn one_of_several_leads_and_another_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = chain(folder.path());
    let mut services: Vec<Service> =
        ["one", "two", "three"].map(|name| Service::start(folder.path(), name)).into();
    let (first, seq) = wait_for_one(&services);
    assert_eq!(seq, 0);
    let holder = || {
        let path = "jsonpath={.spec.holderIdentity}";
        cluster.run(&["get", "lease", "evidence", "-n", "affidavit", "-o", path])
    };
    let named = holder();
    assert!(["one", "two", "three"].contains(&named.as_str()), "{named}");
    let led = metrics(&services[first]);

    // Killed, it gives nothing back: the lease runs out. What was sealed meanwhile is in what the next leader says.
    drop(services.remove(first));
    seal(folder.path(), 2);
    let waits = metrics(&services[0]);
    let (second, seq) = wait_for_one(&services);
    assert_eq!(seq, 1);
    assert_ne!(holder(), named);
    let leads_now = metrics(&services[second]);

    // The run that is due on the 1st of January has left no bundle an hour later, whoever says so.
    let due = led.lines().find(|line| line.starts_with("affidavit_run_next_timestamp_seconds{"));
    let due: i64 = due.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let scrape = |text: &str| scraped(text, due - 3600);
    let (led, waits, leads_now) = (scrape(&led), scrape(&waits), scrape(&leads_now));
    let timeline = Timeline::new()
        .then(130, &[("one", &led), ("two", &waits)])
        .then(2, &[("two", &waits)])
        .then(30, &[("two", &leads_now)])
        .then(20, &[("two", &waits)]);
    let missing = &["AffidavitRunMissing"][..];
    fires(
        "serve",
        ORIGIN,
        &timeline,
        &[
            (118, &[]),
            (125, missing),
            (131, missing),
            (160, missing),
            (180, &["AffidavitNobodyLeads"]),
        ],
    );

    // Told to end, it gives the lease back: nobody waits until it runs out.
    let start = Instant::now();
    assert!(services.remove(second).end().success());
    wait_for_one(&services);
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    for service in &mut services {
        assert!(service.end().success());
    }
}

/// A way to a server. It can be cut.
pub struct Way {
    pub address: String,
    is_cut: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    /// From a free port of an address.
    pub fn at(own: &str, server: String) -> Self {
        let listener = TcpListener::bind((own, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let way = Self { address, is_cut: Arc::default(), streams: Arc::default() };
        let (is_cut, streams) = (way.is_cut.clone(), way.streams.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(&server).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || drop(io::copy(&mut from, &mut to)));
                }
                streams.lock().unwrap().extend([near, far]);
            }
        });
        way
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.streams.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

#[apply(test)]
fn a_leader_without_the_api_server_stops_speaking_of_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = chain(folder.path());
    let direct = cluster.kubeconfig_of("affidavit", "serve");
    let server = cluster.url.trim_start_matches("https://").to_owned();
    let way = Way::at("127.0.0.1", server.clone());
    let through = cluster.path("through.kubeconfig");
    let text = fs::read_to_string(&direct).unwrap().replace(&server, &way.address);
    fs::write(&through, text).unwrap();
    reached_by(folder.path(), &through);
    let first = Service::start(folder.path(), "one");
    assert_eq!(wait_for_one(std::slice::from_ref(&first)), (0, 0));
    reached_by(folder.path(), &direct);
    let second = Service::start(folder.path(), "two");

    way.cut();
    let services = [first, second];
    let start = Instant::now();
    // Never two at once; then the other one.
    while wait_for_one(&services).0 == 0 {
        assert!(start.elapsed() < Duration::from_mins(2), "it still leads");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(is_of_the_process(&metrics(&services[0])));
}
