//! A Kubernetes API server with RBAC, on loopback: `.ci/kubernetes` builds it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::tools;

const START: Duration = Duration::from_mins(2);

/// A running cluster without nodes; stopped when dropped.
pub struct Cluster {
    folder: TempDir,
    children: Vec<Child>,
    pub url: String,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// This machine's own address. The API server passes nothing on to loopback addresses. (Connecting
/// a datagram socket sends nothing.)
pub fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

impl Cluster {
    /// Starts etcd and the API server, and waits until it is ready. Ends the test as left out where one of
    /// them is not installed.
    pub fn start() -> Self {
        for tool in [tools::SH, tools::OPENSSL] {
            tool.demand();
        }
        let (mut etcd, mut server) = (tools::ETCD.command(), tools::KUBERNETES.command());
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let url = format!("https://127.0.0.1:{port}");
        let mut cluster = Self { folder, children: Vec::new(), url };
        cluster.make_keys();
        let [clients, peers] =
            [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
        etcd.args(["--data-dir", "etcd", "--unsafe-no-fsync", "--log-level", "error"])
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")]);
        cluster.spawn(etcd, "etcd");
        cluster.write("audit.yaml", AUDIT_POLICY);
        server
            .arg("kube-apiserver")
            .args([format!("--etcd-servers={clients}"), format!("--secure-port={port}")])
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .args(["--tls-cert-file=pki/server.crt", "--tls-private-key-file=pki/server.key"])
            .args(["--tls-sni-cert-key=pki/p521.crt,pki/p521.key:p521.example"])
            .args(["--tls-sni-cert-key=pki/self.crt,pki/self.key:self.example"])
            .args(["--client-ca-file=pki/ca.crt", "--authorization-mode=Node,RBAC"])
            .args(["--service-account-issuer=https://kubernetes.default.svc"])
            .args(["--service-account-key-file=pki/sa.pub"])
            .args(["--service-account-signing-key-file=pki/sa.key"])
            .args(["--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none"])
            .args(["--allow-privileged=true", "--cert-dir=certs"])
            .args(["--audit-policy-file=audit.yaml", "--audit-log-path=audit.log"]);
        cluster.spawn(server, "kube-apiserver");
        let kubeconfig = cluster
            .kubeconfig_with("client-certificate: pki/admin.crt\n    client-key: pki/admin.key");
        cluster.write("admin.kubeconfig", &kubeconfig);
        let began = Instant::now();
        while !cluster.kubectl(&["get", "--raw", "/readyz"], "").status.success() {
            assert!(began.elapsed() < START, "{}", cluster.log("kube-apiserver"));
            std::thread::sleep(Duration::from_millis(300));
        }
        cluster
    }

    fn make_keys(&self) {
        fs::create_dir(self.path("pki")).unwrap();
        self.write("pki/ext", EXTENSIONS);
        let script = "set -e; cd pki
            openssl ecparam -name prime256v1 -genkey -noout -out ca.key
            openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 2 -out ca.crt
            issue() {
              openssl ecparam -name prime256v1 -genkey -noout -out $1.key
              openssl req -new -key $1.key -subj $3 -out $1.csr
              openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
                -extfile ext -extensions $2 -out $1.crt
            }
            issue server server /CN=kube-apiserver
            issue admin client /O=system:masters/CN=admin
            issue controllers client /CN=system:kube-controller-manager
            openssl ecparam -name secp521r1 -genkey -noout -out p521.key
            openssl req -new -key p521.key -subj /O=system:masters/CN=p521 -out p521.csr
            openssl x509 -req -in p521.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
              -extfile ext -extensions p521 -sha512 -out p521.crt
            openssl x509 -req -in admin.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out v1.crt
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout self.key \
              -subj /CN=self.example -addext subjectAltName=DNS:self.example \
              -addext basicConstraints=critical,CA:FALSE -days 2 -out self.crt
            openssl genrsa -out sa.key 2048; openssl rsa -in sa.key -pubout -out sa.pub";
        let output = tools::SH
            .command()
            .current_dir(self.folder.path())
            .args(["-c", script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn spawn(&mut self, mut command: Command, name: &str) {
        let log = File::create(self.path(&format!("{name}.output"))).unwrap();
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        let child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.children.push(child);
    }

    /// Starts the controller manager, which makes accounts, replica sets and pods as in a cluster
    /// that is used. No pod is ever scheduled. The API server takes its requests when it is ready.
    pub fn start_controllers(&mut self) {
        let credentials =
            "client-certificate: pki/controllers.crt\n    client-key: pki/controllers.key";
        self.write("controllers.kubeconfig", &self.kubeconfig_with(credentials));
        let mut manager = tools::KUBERNETES.command();
        manager
            .args(["kube-controller-manager", "--kubeconfig=controllers.kubeconfig"])
            .args(["--bind-address=127.0.0.1", &format!("--secure-port={}", free_port())])
            .args(["--service-account-private-key-file=pki/sa.key", "--root-ca-file=pki/ca.crt"])
            .args(["--use-service-account-credentials=true", "--leader-elect=false"])
            .arg("--cert-dir=certs");
        self.spawn(manager, "kube-controller-manager");
    }

    /// Starts a stand-in for a kubelet and a Node that points to it. `configz` is what it answers.
    pub fn add_node(&mut self, name: &str, configz: &Value) {
        let (address, port) = (own_address(), free_port());
        self.write(&format!("{name}.json"), &configz.to_string());
        let mut stand_in = tools::KUBERNETES.command();
        stand_in.args(["kubelet-stand-in", &format!("{address}:{port}"), &format!("{name}.json")]);
        self.spawn(stand_in, name);
        let node =
            serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        self.apply(&node.to_string());
        let status = serde_json::json!({"status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        self.run(&[
            "patch",
            "node",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status.to_string(),
        ]);
    }

    /// Runs kubectl as the cluster's administrator.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = tools::KUBERNETES
            .command()
            .arg("kubectl")
            .arg(format!("--kubeconfig={}", self.kubeconfig().display()))
            .args(arguments)
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// The same where it must succeed; gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        text(self.kubectl(arguments, ""), arguments)
    }

    /// Applies objects, on the server's side.
    pub fn apply(&self, objects: &str) -> String {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        text(self.kubectl(&arguments, objects), &arguments)
    }

    /// Would the server create these objects? `Err` says why not.
    pub fn would_create(&self, objects: &str) -> Result<(), String> {
        let output = self.kubectl(&["create", "--dry-run=server", "-f", "-"], objects);
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The administrator's.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// A service account's, with a token of its own.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.run(&["create", "token", account, "-n", namespace]);
        let path = self.path(&format!("{namespace}-{account}.kubeconfig"));
        fs::write(&path, self.kubeconfig_with(&format!("token: {}", token.trim()))).unwrap();
        path
    }

    fn kubeconfig_with(&self, credentials: &str) -> String {
        let url = &self.url;
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters:\n- name: test\n  cluster:\n    server: {url}\n    certificate-authority: pki/ca.crt\n\
             users:\n- name: test\n  user:\n    {credentials}\n\
             contexts:\n- name: test\n  context: {{ cluster: test, user: test }}\n"
        )
    }

    /// What a program of the cluster printed.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.output"))).unwrap_or_default()
    }

    /// A file in the cluster's folder: `audit.log`, `pki/ca.crt`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

fn text(output: Output, arguments: &[&str]) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {}: {error}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The API server first: without etcd it would wait.
        for child in self.children.iter_mut().rev() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// For certificates of version 3.
const EXTENSIONS: &str = "\
[server]
subjectAltName = IP:127.0.0.1,DNS:localhost
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
[p521]
subjectAltName = DNS:p521.example
extendedKeyUsage = serverAuth, clientAuth
";

const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";
