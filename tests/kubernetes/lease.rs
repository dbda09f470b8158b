//! Several processes of `affidavit serve` and one Lease on the real API server.

use std::fs;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use crate::serve::{Service, of_today};

const RIGHTS: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "affidavit"}},
{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "serve", "namespace": "affidavit"}},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "serve", "namespace": "affidavit"},
 "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "patch"]}]},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "serve", "namespace": "affidavit"},
 "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "serve"},
 "subjects": [{"kind": "ServiceAccount", "name": "serve", "namespace": "affidavit"}]}]}"#;

#[apply(test)]
fn one_of_several_leads_and_another_takes_over() {
    let cluster = Cluster::start();
    cluster.apply(RIGHTS);
    let kubeconfig = cluster.kubeconfig_of("affidavit", "serve");
    let folder = tempfile::tempdir().unwrap();
    of_today(folder.path(), "0 0 1 1 *", ", lease: { namespace: affidavit, name: evidence }");
    let config = folder.path().join("affidavit.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let access = format!("kubernetes: {{ kubeconfig: '{}' }}\n", kubeconfig.display());
    fs::write(&config, format!("{access}{text}")).unwrap();

    let mut services: Vec<Service> =
        ["one", "two", "three"].map(|name| Service::start(folder.path(), name)).into();
    let leaders = |services: &[Service]| -> Vec<usize> {
        let leads =
            |service: &Service| service.ask("GET", "/metrics").1.contains("serve_leader 1\n");
        (0..services.len()).filter(|index| leads(&services[*index])).collect()
    };
    let wait_for_one = |services: &[Service]| {
        let start = Instant::now();
        loop {
            let leaders = leaders(services);
            assert!(leaders.len() < 2, "two lead");
            if let [leader] = leaders[..] {
                return leader;
            }
            assert!(start.elapsed() < Duration::from_mins(2), "nobody leads");
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    let first = wait_for_one(&services);
    let holder = || {
        let path = "jsonpath={.spec.holderIdentity}";
        cluster.run(&["get", "lease", "evidence", "-n", "affidavit", "-o", path])
    };
    let named = holder();
    assert!(["one", "two", "three"].contains(&named.as_str()), "{named}");
    // It gives the lease back: nobody waits until it runs out.
    let start = Instant::now();
    assert!(services.remove(first).end().success());
    wait_for_one(&services);
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    assert_ne!(holder(), named);
    for service in &mut services {
        assert!(service.end().success());
    }
}
