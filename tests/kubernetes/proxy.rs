//! An API server that is no loopback address, where the environment or the kubeconfig names a proxy.

use std::fs;

use super::cluster::{Cluster, own_address};
use super::lease::Way;
use crate::proxies::affidavit_with;

/// Nobody listens there.
const PROXY: &str = "http://user:pass-word@127.0.0.1:9";

#[apply(test)]
fn the_server_is_reached_where_no_proxy_is_meant_for_it() {
    let cluster = Cluster::start();
    let own = own_address();
    let server = cluster.url.trim_start_matches("https://").to_owned();
    let way = Way::at(&own, server);
    let text = fs::read_to_string(cluster.kubeconfig()).unwrap();
    // Its certificate is of the loopback address.
    let text = text
        .replace(&cluster.url, &format!("https://{}\n    tls-server-name: localhost", way.address));
    let plain = cluster.path("plain.kubeconfig");
    fs::write(&plain, &text).unwrap();
    let of_its_own = cluster.path("proxied.kubeconfig");
    let proxied =
        text.replace("tls-server-name", &format!("proxy-url: {PROXY}\n    tls-server-name"));
    fs::write(&of_its_own, proxied).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let collect = |kubeconfig: &std::path::Path, variables: &[(&str, &str)]| {
        let config = format!(
            "cluster: {{ name: test }}\norigin: evidence.example.com/test\n\
             kubernetes: {{ kubeconfig: '{}' }}\narchive: {{ uri: archive }}\n\
             keys: {{ signer: k, keyring: k, disclosure_secret: k }}\nframeworks: [pci-dss]\n\
             sources: [{{ name: cluster, scanner: affidavit, from: cluster, max_age: 1h }}]\n",
            kubeconfig.display()
        );
        fs::write(folder.path().join("affidavit.yaml"), config).unwrap();
        let _ = fs::remove_dir_all(folder.path().join("out"));
        let output = affidavit_with(folder.path(), &["collect", "out"], variables);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains("pass-word"), "{said}");
        let report = fs::read(folder.path().join("out/cluster/affidavit-checks.json"));
        (report.is_ok_and(|report| report.len() > 1000), said)
    };
    // Go's programs do not look at this one.
    let (collected, said) = collect(&plain, &[("ALL_PROXY", PROXY)]);
    assert!(collected, "{said}");

    let set = ("HTTPS_PROXY", PROXY);
    // Not set, or not for this host: the server answers.
    for variables in [&[][..], &[set, ("NO_PROXY", &own)], &[set, ("no_proxy", "10.0.0.0/8,*")]] {
        let (collected, said) = collect(&plain, variables);
        assert!(collected, "{variables:?}: {said}");
    }
    // A proxy that nobody runs is not passed by.
    for (kubeconfig, variables) in [
        (&plain, &[set][..]),
        (&plain, &[("https_proxy", PROXY), ("NO_PROXY", "example.com")]),
        // As with kubectl, NO_PROXY says nothing of a proxy that the kubeconfig names.
        (&of_its_own, &[("NO_PROXY", "*")]),
    ] {
        let (collected, said) = collect(kubeconfig, variables);
        assert!(!collected && said.contains("connection refused"), "{variables:?}: {said}");
    }
}
