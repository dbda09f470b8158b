//! A proxy that the environment names for a connection which does not use it is said, by `run`, `doctor`, `watch` and
//! `serve`; and what is exempted from it is not.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::contract::proxy::read_request;
use crate::kubernetes::cluster::own_address;
use crate::serve::{Service, of_today};
use crate::small_chain::workspace;

/// What a proxy is named by.
pub const VARIABLES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// Nobody is asked for it, and its password is nobody's business.
const PROXY: &str = "http://user:pass-word@proxy.example.com:3128";

/// This program with these variables and no others that name a proxy.
pub fn affidavit_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affidavit"));
    for name in VARIABLES {
        command.env_remove(name);
    }
    let variables = variables.iter().copied();
    command.args(arguments).current_dir(folder).envs(variables).output().unwrap()
}

/// An address of this machine that is no loopback address, where nobody listens.
fn refused() -> String {
    let own = own_address();
    let listener = TcpListener::bind((own.as_str(), 0)).unwrap();
    format!("{own}:{}", listener.local_addr().unwrap().port())
}

/// Those lines of what a program said that are about proxies.
fn warned(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("pass-word"), "{said}");
    said.lines().filter(|line| line.contains("does not use it")).map(ToOwned::to_owned).collect()
}

const NOW: &str = "2026-11-20T02:00:00Z";

#[apply(test)]
fn whoever_is_told_past_a_proxy_is_named_by_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let at = refused();
    let notify = format!(
        "notify:\n  webhooks: [{{ name: chat, url: 'https://{at}/secret-path', on: [not-satisfied] }}]\n  \
         pushgateway: 'http://{at}'\n  traces: 'http://{at}/'\n"
    );
    fs::write(folder.path().join("watch.yaml"), notify.replace("notify:\n", "")).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}{notify}")).unwrap();
    let of = |variable: &str, what: &str| {
        format!("warning: {variable} is set, but the connection to {what} does not use it")
    };
    let run = |variables: &[(&str, &str)]| {
        warned(&affidavit_with(folder.path(), &["run", "--now", NOW, "--no-progress"], variables))
    };
    let chat = "webhook chat";
    let [gateway, traces] =
        ["the Pushgateway", "the collector of traces"].map(|what| format!("{what} at http://{at}"));
    assert_eq!(
        run(&[("HTTPS_PROXY", PROXY), ("http_proxy", PROXY)]),
        [of("HTTPS_PROXY", chat), of("http_proxy", &gateway), of("http_proxy", &traces)]
    );
    // By the scheme of the address, and for every scheme.
    assert_eq!(run(&[("HTTPS_PROXY", PROXY)]), [of("HTTPS_PROXY", chat)]);
    let all = run(&[("ALL_PROXY", PROXY), ("HTTPS_PROXY", "")]);
    assert_eq!(all, [of("ALL_PROXY", chat), of("ALL_PROXY", &gateway), of("ALL_PROXY", &traces)]);
    // Exempted, by address and by network, or not set at all.
    let own = own_address();
    for exempt in [own.clone(), format!("example.com, {own}/24"), "*".to_owned()] {
        assert!(run(&[("ALL_PROXY", PROXY), ("NO_PROXY", &exempt)]).is_empty(), "{exempt}");
    }
    assert!(run(&[]).is_empty());

    let watch = ["watch", "archive", "--root", "keys/root.fingerprint", "--notify", "watch.yaml"];
    let watched = affidavit_with(folder.path(), &watch, &[("HTTPS_PROXY", PROXY)]);
    assert_eq!(warned(&watched), [of("HTTPS_PROXY", chat)]);
}

#[apply(test)]
fn keys_and_timestamps_past_a_proxy_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let at = refused();
    fs::write(folder.path().join("token"), "a-token").unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let token = folder.path().join("token");
    let vault =
        format!("vault:https://{at}/transit/keys/log?version=1&token-file={}", token.display());
    let text = text.replace("signer: keys/log.pem", &format!("signer: '{vault}'"));
    assert!(text.contains(&vault), "{text}");
    let signature = format!(
        "report: {{ signature: {{ key: k, certificate: c, timestamp_authority: 'http://{at}/tsr' }} }}\n"
    );
    fs::write(&config, format!("{text}{signature}")).unwrap();
    let proxies = [("HTTPS_PROXY", PROXY), ("HTTP_PROXY", PROXY)];
    let wanted = [
        format!("HTTPS_PROXY is set, but the connection to Vault at https://{at} does not use it"),
        format!(
            "HTTP_PROXY is set, but the connection to the timestamp authority at http://{at} does not use it"
        ),
    ];

    let run = affidavit_with(folder.path(), &["run", "--now", NOW, "--no-progress"], &proxies);
    assert_eq!(warned(&run), wanted.clone().map(|text| format!("warning: {text}")));

    let doctor = ["doctor", "--now", NOW, "-o", "json", "--no-progress"];
    let examined = |variables: &[(&str, &str)]| -> Vec<Value> {
        let output = affidavit_with(folder.path(), &doctor, variables);
        let lines: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        lines.into_iter().filter(|line| line["subject"] == "proxy").collect()
    };
    let lines = examined(&proxies);
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, wanted);
    assert!(lines.iter().all(|line| line["health"] == "warning"), "{lines:?}");
    assert!(lines[0]["help"].as_str().unwrap().contains("NO_PROXY"), "{lines:?}");
    let own = own_address();
    assert!(examined(&[proxies[0], proxies[1], ("NO_PROXY", &own)]).is_empty());
}

/// Refuses whatever it is asked, and counts.
fn refusing(address: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            if read_request(&mut stream).is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
                let answer =
                    "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                drop(stream.write_all(answer.as_bytes()));
            }
        }
    });
    (url, asked)
}

#[apply(test)]
fn a_store_is_reached_through_its_proxy_or_past_it() {
    let folder = tempfile::tempdir().unwrap();
    let own = own_address();
    let (store, asked) = refusing(&own);
    let (proxy, passed_on) = refusing("127.0.0.1");
    let arguments = ["verify", "s3://evidence/prod", "--path-style", "--endpoint", &store];
    for (exempt, by_proxy) in
        [("", true), ("example.com", true), (own.as_str(), false), ("*", false)]
    {
        let before = (asked.load(Ordering::SeqCst), passed_on.load(Ordering::SeqCst));
        let variables = [
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_REGION", "us-east-1"),
            ("HTTP_PROXY", proxy.as_str()),
            ("NO_PROXY", exempt),
        ];
        let output = affidavit_with(folder.path(), &arguments, &variables);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let after = (asked.load(Ordering::SeqCst), passed_on.load(Ordering::SeqCst));
        assert_eq!(
            (after.0 == before.0, after.1 == before.1),
            (by_proxy, !by_proxy),
            "{exempt}: {said}"
        );
    }
}

#[apply(test)]
fn a_service_says_it_in_its_log() {
    let folder = tempfile::tempdir().unwrap();
    of_today(folder.path(), "0 0 1 1 *", ", catch_up: skip");
    let config = folder.path().join("affidavit.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let gateway = format!("notify: {{ pushgateway: 'http://{}' }}\n", refused());
    fs::write(&config, format!("{text}{gateway}")).unwrap();
    let mut service =
        Service::start_with(folder.path(), "one", &[("HTTP_PROXY", PROXY), ("NO_PROXY", "")]);
    service.says("warning: HTTP_PROXY is set, but the connection to the Pushgateway at http://");
    assert!(service.end().success());
}
