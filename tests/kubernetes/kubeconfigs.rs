//! Kubeconfigs as people have them, given to kubectl and to this program: both reach the server, or both
//! refuse. Where they differ it is on purpose, and `docs/cluster-access.md` says why.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use affidavit::collect::Api;
use affidavit::config::{Access, AccessFrom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::cluster::Cluster;
use crate::harness::part_of;
use crate::tools;

/// Says what this program makes of the environment of its process.
#[apply(part)]
fn reach() {
    let access = Access {
        context: std::env::var("CASE_CONTEXT").ok(),
        from: std::env::var_os("CASE_IN_CLUSTER").map(|_| AccessFrom::InCluster),
        timeout_seconds: 5,
        ..Access::default()
    };
    let ask = || {
        let api = Api::open(&access)?;
        drop(api.get::<Value>("/version"));
        api.get::<Value>("/api/v1/namespaces/kube-system")
    };
    // As often as a run does: a plugin is called once all the same.
    drop(ask());
    let answer = ask().map(|namespace| namespace["metadata"]["uid"].as_str().unwrap().to_owned());
    match answer {
        Ok(uid) => println!("\nREACHED {uid}"),
        Err(error) => println!("\nREFUSED {error}"),
    }
}

/// A kubeconfig, and how the two are started.
struct Case {
    name: &'static str,
    /// Name and content; the first is what `KUBECONFIG` names where `list` is empty.
    files: Vec<(&'static str, String)>,
    list: &'static str,
    context: Option<&'static str>,
    environment: Vec<(&'static str, String)>,
    /// What kubectl reaches and this program refuses, or the other way round, and why.
    differs: Option<&'static str>,
}

/// A file in which everything is one flow mapping: `cluster` and `user` are fields of their entries.
fn file(server: &str, cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: k, cluster: {{server: \"{server}\"{cluster}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}

struct Cases {
    server: String,
    token: String,
    all: Vec<Case>,
}

const CA: &str = ", certificate-authority: pki/ca.crt";
const ADMIN: &str = "client-certificate: pki/admin.crt, client-key: pki/admin.key";

impl Cases {
    fn push(&mut self, name: &'static str, text: String) -> &mut Case {
        self.all.push(Case {
            name,
            files: vec![("kc", text)],
            list: "",
            context: None,
            environment: Vec::new(),
            differs: None,
        });
        self.all.last_mut().unwrap()
    }

    /// Another user of the usual cluster.
    fn user(&mut self, name: &'static str, user: &str) -> &mut Case {
        let text = file(&self.server, CA, user);
        self.push(name, text)
    }

    /// Another way to the cluster, with the usual user.
    fn cluster(&mut self, name: &'static str, cluster: &str) -> &mut Case {
        let text = file(&self.server, cluster, &format!("token: {}", self.token));
        self.push(name, text)
    }

    fn plain(&self) -> String {
        file(&self.server, CA, &format!("token: {}", self.token))
    }
}

/// A credential plugin that prints an `ExecCredential` with this `status`.
fn plugin(folder: &Path, name: &str, version: &str, status: &str) {
    let answer = format!(
        r#"{{"apiVersion":"client.authentication.k8s.io/{version}","kind":"ExecCredential","status":{status}}}"#
    );
    script(
        folder,
        name,
        &format!("echo \"$KUBERNETES_EXEC_INFO\" >> {name}.log\ncat <<'E'\n{answer}\nE\n"),
    );
}

fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn exec(command: &str, more: &str) -> String {
    format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: {command}{more}}}"
    )
}

fn users(cases: &mut Cases, folder: &Path) {
    let token = cases.token.clone();
    fs::write(folder.join("token"), format!("{token}\n")).unwrap();
    fs::write(folder.join("two-lines"), format!("{token}\n{token}\n")).unwrap();
    fs::write(folder.join("nothing"), "\n").unwrap();
    cases.user("a token", &format!("token: {token}"));
    cases.user("a token that ends in a newline", &format!("token: \"{token}\\n\""));
    cases.user("a token with a newline inside", &format!("token: \"{token}\\n{token}\""));
    cases.user("a token that is a number", "token: 123");
    cases.user("a token that nobody knows", "token: abc");
    cases.user("a token's file that ends in a newline", "tokenFile: token");
    cases.user("a token's file of two lines", "tokenFile: two-lines");
    cases.user("an empty token's file", "tokenFile: nothing");
    cases.user("a missing token's file", "tokenFile: nowhere");
    cases.user("a token and a token's file", "token: abc, tokenFile: token");
    cases.user("a token and a missing file", &format!("token: {token}, tokenFile: nowhere"));
    cases.user(
        "empty name and password beside a token",
        &format!("username: '', password: '', token: {token}"),
    );
    cases.user(
        "nulls beside a token",
        &format!("username: null, client-key: null, exec: null, token: {token}"),
    );
    cases.user("a name and a token", &format!("username: a, password: b, token: {token}"));
    cases.user("a password alone", "password: abc");
    cases.user("no credentials", "");
    cases.user("unknown fields", &format!("token: {token}, colour: blue"));
    cases.user("a key twice", &format!("token: abc, token: {token}"));
    cases.user("a certificate", ADMIN);
    cases.user("a certificate without its key", "client-certificate: pki/admin.crt");
    cases.user("another one's key", "client-certificate: pki/admin.crt, client-key: pki/ca.key");
    cases.user("a certificate that is none", "client-certificate: kc, client-key: pki/admin.key");
    cases.user(
        "a certificate of version 1",
        "client-certificate: pki/v1.crt, client-key: pki/admin.key",
    );
    cases.user(
        "a certificate on P-521",
        "client-certificate: pki/p521.crt, client-key: pki/p521.key",
    );
    cases.user("a certificate and a token", &format!("{ADMIN}, token: {token}"));
    let [certificate, key] = ["pki/admin.crt", "pki/admin.key"]
        .map(|path| STANDARD.encode(fs::read(folder.join(path)).unwrap()));
    cases.user(
        "certificate and key as data",
        &format!("client-certificate-data: {certificate}, client-key-data: {key}"),
    );
    cases.user(
        "certificate as data and as a file",
        &format!("{ADMIN}, client-certificate-data: {certificate}"),
    );
    cases.user(
        "acting as another",
        &format!(
            "{ADMIN}, as: jane, as-groups: ['system:masters'], as-user-extra: {{scopes: [a]}}"
        ),
    );
    cases.user("groups of nobody", &format!("{ADMIN}, as-groups: ['system:masters']"));
    cases.user(
        "a plugin and a provider",
        &format!("auth-provider: {{name: oidc}}, {}", exec("true", "")),
    );
    cases.user("gcp", "auth-provider: {name: gcp}");
    cases.user("azure", "auth-provider: {name: azure}");
}

fn plugins(cases: &mut Cases, folder: &Path) {
    let token = cases.token.clone();
    let good = format!(r#"{{"token":"{token}"}}"#);
    plugin(folder, "good", "v1", &good);
    plugin(folder, "beta", "v1beta1", &good);
    plugin(folder, "empty", "v1", "{}");
    let [certificate, key] = ["pki/admin.crt", "pki/admin.key"]
        .map(|path| fs::read_to_string(folder.join(path)).unwrap());
    let pair = serde_json::json!({"clientCertificateData": certificate, "clientKeyData": key});
    plugin(folder, "pair", "v1", &pair.to_string());
    plugin(folder, "half", "v1", &serde_json::json!({"clientKeyData": key}).to_string());
    let old = format!(r#"{{"token":"{token}","expirationTimestamp":"2020-01-01T00:00:00Z"}}"#);
    plugin(folder, "old", "v1", &old);
    script(folder, "fails", "echo token-in-output; echo token-in-error >&2; exit 3\n");
    script(folder, "words", "echo signed in\n");
    script(folder, "hangs", "sleep 600 &\necho $! > hanging\nwait\n");
    let needs = format!(
        r#"[ "$WHO" = me ] && [ "$1" = get ] || exit 1
echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{good}}}'
"#
    );
    script(folder, "needs", &needs);
    let told = format!(
        r#"case "$KUBERNETES_EXEC_INFO" in *certificate-authority-data*) ;; *) exit 1;; esac
echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{good}}}'
"#
    );
    script(folder, "told", &told);
    cases.user("a plugin", &exec("./good", ""));
    cases.user(
        "a plugin with arguments and environment",
        &exec("./needs", ", args: [get], env: [{name: WHO, value: me}]"),
    );
    cases.user("a plugin without its environment", &exec("./needs", ", args: [get]"));
    cases.user(
        "a plugin that is to know the cluster",
        &exec("./told", ", provideClusterInfo: true"),
    );
    cases.user("a plugin that gives a certificate", &exec("./pair", ""));
    cases.user("a plugin that gives a key alone", &exec("./half", ""));
    cases.user("a plugin that gives nothing", &exec("./empty", ""));
    cases.user("a plugin of another version", &exec("./beta", ""));
    cases.user("a plugin whose token has expired", &exec("./old", ""));
    cases.user("a plugin that fails", &exec("./fails", ""));
    cases.user("a plugin that prints words", &exec("./words", ""));
    cases.user("a plugin that hangs", &exec("./hangs", ""));
    cases.user(
        "a plugin that is not installed",
        &exec("no-such-plugin", ", installHint: install it"),
    );
    cases.user("a plugin beside a token", &format!("token: {token}, {}", exec("./fails", "")));
    cases.user(
        "a plugin of v1beta1",
        "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./beta}",
    );
    cases.user(
        "a plugin of v1alpha1",
        "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: ./good}",
    );
    cases.user("a plugin without a version", "exec: {command: ./good, interactiveMode: Never}");
    cases.user(
        "a plugin without a mode",
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./good}",
    );
    cases.user(
        "a plugin that needs a person",
        "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always, command: ./good}",
    );
}

fn clusters(cases: &mut Cases, folder: &Path) {
    let token = cases.token.clone();
    let server = cases.server.clone();
    let authorities = fs::read(folder.join("pki/ca.crt")).unwrap();
    let data = STANDARD.encode(&authorities);
    let lines: Vec<&str> =
        data.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let wrapped = lines.join("\\n");
    cases.cluster("an authority as data", &format!(", certificate-authority-data: {data}"));
    cases.cluster("wrapped base64", &format!(", certificate-authority-data: \"{wrapped}\""));
    cases.cluster("no base64", ", certificate-authority-data: '%%%'");
    cases.cluster("base64 of something else", ", certificate-authority-data: YWJj");
    cases.cluster("empty data beside a file", &format!("{CA}, certificate-authority-data: ''"));
    cases.cluster("data and a file", &format!("{CA}, certificate-authority-data: {data}"));
    cases.cluster(
        "data and a missing file",
        &format!(", certificate-authority: nowhere, certificate-authority-data: {data}"),
    );
    cases.cluster("a missing authority", ", certificate-authority: nowhere");
    cases.cluster("no authority", "");
    cases.cluster("another authority", ", certificate-authority: pki/self.crt");
    cases.cluster("anybody", ", insecure-skip-tls-verify: true");
    cases.cluster("anybody, in the words of YAML 1.1", ", insecure-skip-tls-verify: yes");
    cases.cluster("anybody, as text", ", insecure-skip-tls-verify: 'true'");
    cases.cluster("anybody and an authority", &format!("{CA}, insecure-skip-tls-verify: true"));
    cases.cluster("the name of the certificate", &format!("{CA}, tls-server-name: localhost"));
    cases.cluster("an empty name", &format!("{CA}, tls-server-name: ''"));
    cases.cluster("another name", &format!("{CA}, tls-server-name: other.example"));
    cases.cluster("a server on P-521", &format!("{CA}, tls-server-name: p521.example"));
    cases.cluster(
        "a server that signed itself",
        ", certificate-authority: pki/self.crt, tls-server-name: self.example",
    );
    cases.cluster(
        "one that signed itself, by another name",
        ", certificate-authority: pki/self.crt, tls-server-name: p521.example",
    );
    cases.cluster("a proxy of an unknown kind", &format!("{CA}, proxy-url: 'ftp://127.0.0.1:9'"));
    cases.cluster("a proxy that is not there", &format!("{CA}, proxy-url: 'http://127.0.0.1:9'"));
    cases.cluster("an empty proxy", &format!("{CA}, proxy-url: ''"));
    let mut at = |name: &'static str, server: String| {
        let text = file(&server, CA, &format!("token: {token}"));
        cases.push(name, text);
    };
    at("a slash after the server", format!("{server}/"));
    at("a question after the server", format!("{server}?a=b"));
    at("a path that the server does not have", format!("{server}/k8s/clusters/c-1"));
    at("no server", String::new());
    at("no scheme", server.replace("https://", ""));
    at("HTTP where there is TLS", server.replace("https://", "http://"));
    at("a server in capitals", server.replace("https://", "HTTPS://"));
    at("a port where nobody listens", "https://127.0.0.1:9".to_owned());
    at("a name that is not known", "https://nowhere.invalid".to_owned());
    at("no address", "https://[".to_owned());
    at("a name and a password in the address", server.replace("https://", "https://me:secret@"));
}

fn files(cases: &mut Cases, folder: &Path) {
    let plain = cases.plain();
    let token = cases.token.clone();
    let broken = plain.replace(&token, "abc");
    cases.push("with a byte order mark", format!("\u{feff}{plain}"));
    cases.push("with carriage returns", plain.replace('\n', "\r\n"));
    cases.push("without version and kind", plain.replace("apiVersion: v1\nkind: Config\n", ""));
    cases.push("of another kind", plain.replace("kind: Config", "kind: Pod"));
    cases.push("as JSON", serde_saphyr::from_str::<Value>(&plain).unwrap().to_string());
    cases.push("cut off", plain[..plain.len() - 40].to_owned());
    cases.push("empty", String::new());
    cases.push("a list", "- a\n".to_owned());
    cases.push("no current context", plain.replace("current-context: c", "current-context: ''"));
    cases.push("another context", plain.clone()).context = Some("d");
    cases
        .push("a named context", plain.replace("current-context: c", "current-context: d"))
        .context = Some("c");
    cases.push("an unknown cluster", plain.replace("cluster: k, user", "cluster: z, user"));
    cases.push("an unknown user", plain.replace("user: u}", "user: z}"));
    cases.push("no user", plain.replace(", user: u}", "}"));
    let twice = plain.replace("users: [", "users: [{name: u, user: {token: abc}}, ");
    cases.push("a user twice", twice);
    let odd = plain
        .replace("users: [", "users: [{name: v, user: {exec: {}}}, null, {name: w, user: null}, ");
    cases.push("odd users beside the one", odd);
    cases.push(
        "a wrong type beside the one",
        plain.replace("users: [", "users: [{name: v, user: {token: 3}}, "),
    );
    cases.push(
        "no base64 beside the one",
        plain.replace(
            "clusters: [",
            "clusters: [{name: v, cluster: {server: x, certificate-authority-data: '%'}}, ",
        ),
    );
    cases.push(
        "preferences and extensions",
        format!(
            "{plain}preferences: {{colors: true}}\nextensions: [{{name: a, extension: {{b: c}}}}]\n"
        ),
    );
    fs::create_dir(folder.join("below")).unwrap();
    let below = plain.replace("pki/ca.crt", "../pki/ca.crt");
    for (name, list, more) in [
        ("a missing file first", "nowhere:kc", vec![]),
        ("a missing file last", "kc:nowhere", vec![]),
        ("missing files only", "nowhere:nowhere-else", vec![]),
        ("one missing file", "nowhere", vec![]),
        ("a folder in the list", "below:kc", vec![]),
        ("a broken file in the list", "kc:broken", vec![("broken", "{".to_owned())]),
        ("an empty file first", "none:kc", vec![("none", String::new())]),
        ("the first file's user", "kc:other", vec![("other", broken.clone())]),
        ("the first file's user, who is wrong", "other:kc", vec![("other", broken.clone())]),
        (
            "entries in several files",
            "a:b",
            vec![
                (
                    "a",
                    "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
                        .to_owned(),
                ),
                ("b", plain.replace("current-context: c", "current-context: z")),
            ],
        ),
        ("paths from where the file is", "below/kc", vec![("below/kc", below)]),
        ("empty parts of the list", "::kc:", vec![]),
    ] {
        let case = cases.push(name, plain.clone());
        case.list = list;
        case.files.extend(more);
    }
    let port = cases.server.rsplit(':').next().unwrap().to_owned();
    let case = cases.push("a pod in whose environment no file is", plain.clone());
    case.list = "nowhere";
    case.environment = vec![
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
        ("KUBERNETES_SERVICE_PORT", port),
    ];
}

/// A token of an account that may read namespaces.
fn token_of_reader(cluster: &Cluster) -> String {
    cluster.run(&["create", "serviceaccount", "reader", "-n", "default"]);
    cluster.run(&[
        "create",
        "clusterrolebinding",
        "reader",
        "--clusterrole=view",
        "--serviceaccount=default:reader",
    ]);
    cluster.run(&["create", "clusterrole", "namespaces", "--verb=get", "--resource=namespaces"]);
    cluster.run(&[
        "create",
        "clusterrolebinding",
        "namespaces",
        "--clusterrole=namespaces",
        "--serviceaccount=default:reader",
    ]);
    cluster.run(&["create", "token", "reader", "-n", "default"]).trim().to_owned()
}

/// Plugins are called once, and end with what they started.
fn assert_plugins_end(folder: &Path) {
    // Once by kubectl, once by this program.
    let calls = fs::read_to_string(folder.join("good.log")).unwrap();
    assert_eq!(calls.lines().filter(|line| !line.is_empty()).count(), 2, "{calls}");
    // A plugin is ended with what it started.
    let hanging = fs::read_to_string(folder.join("hanging")).unwrap();
    let process = format!("/proc/{}/stat", hanging.trim());
    let is_alive = fs::read_to_string(process).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(!is_alive, "{hanging}");
}

#[apply(test)]
fn kubeconfigs_are_read_as_kubectl_reads_them() {
    let cluster = Cluster::start();
    let folder = cluster.path("");
    let token = token_of_reader(&cluster);
    let mut cases = Cases { server: cluster.url.clone(), token, all: Vec::new() };
    users(&mut cases, &folder);
    plugins(&mut cases, &folder);
    clusters(&mut cases, &folder);
    files(&mut cases, &folder);
    let uid = cluster.run(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    let (mut table, mut wrong) = (String::new(), Vec::new());
    let (mut reached, mut refused) = (0, 0);
    for case in &cases.all {
        for (name, text) in &case.files {
            fs::write(folder.join(name), text).unwrap();
        }
        let list = if case.list.is_empty() { "kc" } else { case.list };
        let prepare = |command: &mut Command| {
            for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
                command.env_remove(name);
            }
            command
                .current_dir(&folder)
                .env("KUBECONFIG", list)
                .env("HOME", folder.join("below"))
                .envs(case.environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::null());
        };
        let mut kubectl = tools::KUBERNETES.command();
        prepare(kubectl.arg("kubectl"));
        kubectl.args(case.context.map(|context| format!("--context={context}")));
        kubectl.args(["get", "--raw", "/api/v1/namespaces/kube-system", "--request-timeout=10s"]);
        // It waits for ever where this program does not.
        let theirs = if case.name == "a plugin that hangs" {
            tools::SH.command().args(["-c", "exit 1"]).output().unwrap()
        } else {
            kubectl.output().unwrap()
        };
        let theirs_said = String::from_utf8_lossy(&theirs.stderr).trim().replace('\n', " ");
        let theirs = theirs.status.success();
        let mut ours = part_of("kubernetes::kubeconfigs::reach");
        prepare(&mut ours);
        if let Some(context) = case.context {
            ours.env("CASE_CONTEXT", context);
        }
        let ours = ours.output().unwrap();
        let printed = String::from_utf8_lossy(&ours.stdout).into_owned();
        let all = format!("{printed}{}", String::from_utf8_lossy(&ours.stderr));
        let found = printed.lines().find_map(|line| line.strip_prefix("REACHED "));
        let said = printed.lines().find_map(|line| line.strip_prefix("REFUSED ")).unwrap_or(&all);
        match found {
            Some(found) if found == uid => reached += 1,
            Some(other) => wrong.push(format!("{}: another cluster: {other}", case.name)),
            None => refused += 1,
        }
        if found.is_some() == theirs && case.differs.is_some()
            || found.is_some() != theirs && case.differs.is_none()
        {
            wrong.push(format!(
                "{}: kubectl: {theirs} {theirs_said}, here: {found:?} {said}",
                case.name
            ));
        }
        for secret in ["token-in-output", "token-in-error", &cases.token, "me:secret", "panicked"] {
            if all.contains(secret) {
                wrong.push(format!("{}: {secret} in {all}", case.name));
            }
        }
        let word = |reached: bool| if reached { "reached" } else { "refused" };
        writeln!(
            table,
            "| {} | {} | {} | {} |",
            case.name,
            word(theirs),
            word(found.is_some()),
            if found.is_some() { "" } else { said }
        )
        .unwrap();
    }
    assert_plugins_end(&folder);
    println!("| kubeconfig | kubectl | affidavit | says |\n| --- | --- | --- | --- |\n{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        cases.all.len() >= 100 && reached > 40 && refused > 50,
        "{} {reached} {refused}",
        cases.all.len()
    );
}
