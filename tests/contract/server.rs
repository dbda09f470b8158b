//! Servers on loopback: a real S3 server, and sockets that misbehave on purpose.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use super::proxy::read_request;
use crate::tools;

/// Of `admin`, `writer`, `keeper` and `reader`.
pub const SECRET_KEY: &str = "contract-secret";

/// A running SeaweedFS; stopped when dropped.
pub struct Weed {
    child: Child,
    folder: TempDir,
    pub endpoint: String,
}

impl Weed {
    /// Ends the test as left out where it is not installed.
    pub fn start() -> Self {
        let mut weed = tools::WEED.command();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let identity = |name: &str, actions: &[&str]| {
            let credentials = [serde_json::json!({ "accessKey": name, "secretKey": SECRET_KEY })];
            serde_json::json!({ "name": name, "credentials": credentials, "actions": actions })
        };
        let identities = serde_json::json!({ "identities": [
            identity("admin", &["Admin", "Read", "Write", "List", "Tagging"]),
            identity("writer", &["Read", "Write", "List"]),
            // Who may also set locks.
            identity("keeper", &["Read", "Write", "List", "PutObjectRetention"]),
            identity("reader", &["Read", "List"]),
        ] });
        fs::write(folder.path().join("s3.json"), identities.to_string()).unwrap();
        // Without it the server knows no encryption by its own keys.
        let secret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let security = format!("[s3.sse]\nkek = \"{secret}\"\n");
        fs::write(folder.path().join("security.toml"), security).unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let [master, volume, filer, s3] = free_ports();
        let child = weed
            .current_dir(folder.path())
            .args(["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-master.telemetry=false", "-volume.max=50", "-master.volumeSizeLimitMB=64"])
            .args(["-filer", "-s3", "-s3.config=s3.json"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg("-s3.domainName=s3.eu-central-1.amazonaws.com")
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-s3.port={s3}"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, folder, endpoint: format!("http://127.0.0.1:{s3}") }
    }

    /// The last that it said.
    pub fn output(&self) -> String {
        let output = fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ports that are free, and so is the one 10000 above, which the server takes too.
fn free_ports() -> [u16; 4] {
    let mut held = Vec::new();
    let mut refused = Vec::new();
    while held.len() < 4 {
        let low = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = low.local_addr().unwrap().port();
        let high = port.checked_add(10_000).map(|port| TcpListener::bind(("127.0.0.1", port)));
        match high {
            Some(Ok(high)) => held.push((port, low, high)),
            // Kept, so that it is not offered again.
            _ => refused.push(low),
        }
    }
    let ports: Vec<u16> = held.iter().map(|(port, ..)| *port).collect();
    ports.try_into().unwrap()
}

/// Nobody listens here.
pub fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Answers the n-th request with the status and body that `answer` gives for it and its first line.
pub fn stub(answer: impl Fn(usize, &str) -> (u16, &'static str) + Send + 'static) -> String {
    stub_with_headers(move |number, line| {
        let (status, body) = answer(number, line);
        (status, "ETag: \"0\"\r\n".to_owned(), body)
    })
}

/// Lists nothing, and takes whatever it is given, as often as it is given.
pub fn overwriting() -> String {
    const EMPTY: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    stub(|_, line| (200, if line.starts_with("get") { EMPTY } else { "" }))
}

/// The same with headers, each ended by `\r\n`.
pub fn stub_with_headers(
    answer: impl Fn(usize, &str) -> (u16, String, &'static str) + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let Ok((head, _)) = read_request(&mut stream) else { continue };
            let head = head.to_ascii_lowercase();
            let (status, headers, body) = answer(number, head.lines().next().unwrap_or_default());
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 {status} -\r\n{headers}Content-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            );
            drop(stream.write_all(reply.as_bytes()));
        }
    });
    endpoint
}

/// Passes requests on to a server, and loses the first reply.
pub fn lossy(server: &str) -> String {
    let server = server.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let replies = AtomicUsize::new(0);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let client = stream.unwrap();
            let mut upstream = TcpStream::connect(&server).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            if replies.fetch_add(1, Ordering::Relaxed) == 0 {
                // The server has answered, so it has done what it was asked.
                assert!(upstream.read(&mut [0]).unwrap() > 0);
                client.shutdown(std::net::Shutdown::Both).unwrap();
            } else {
                let mut to = client;
                thread::spawn(move || std::io::copy(&mut upstream, &mut to));
            }
        }
    });
    endpoint
}

/// Gives out a session's credentials as Amazon's services do, to pods that show a token: EKS Pod
/// Identity (GET with the token as a header) and STS (POST of `AssumeRoleWithWebIdentity`). The requests
/// that came are kept.
pub fn credentials(access_key: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Ok((head, body)) = read_request(&mut stream) else { continue };
            let body = String::from_utf8(body).unwrap();
            let (kind, answer) = if head.starts_with("GET") {
                let answer = serde_json::json!({ "AccessKeyId": access_key, "Token": "",
                    "SecretAccessKey": SECRET_KEY, "Expiration": "2036-01-01T00:00:00Z" });
                ("application/json", answer.to_string())
            } else {
                let fields = format!(
                    "<AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{SECRET_KEY}\
                     </SecretAccessKey><SessionToken></SessionToken>\
                     <Expiration>2036-01-01T00:00:00Z</Expiration>"
                );
                let name = "AssumeRoleWithWebIdentity";
                let answer = format!(
                    "<{name}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{name}Result>\
                     <Credentials>{fields}</Credentials></{name}Result></{name}Response>"
                );
                ("text/xml", answer)
            };
            kept.lock().unwrap().push(format!("{head}{body}"));
            let length = answer.len();
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{answer}"
            );
            drop(stream.write_all(reply.as_bytes()));
        }
    });
    (endpoint, requests)
}
