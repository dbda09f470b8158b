//! A real S3-compatible server on free loopback ports, stopped when the guard is dropped.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use affidavit::archive::{Location, LockMode, S3};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use tokio::runtime::Runtime;

/// Access key of the server.
const ACCESS_KEY: &str = "test";
/// Secret key of the server.
pub const SECRET_KEY: &str = "testtest";

/// The server's only identity, with this secret key.
pub fn credentials(secret: &str) -> Credentials {
    Credentials::new(ACCESS_KEY, secret, None, None, "test")
}

/// The running server.
pub struct SeaweedFs {
    process: Child,
    endpoint: String,
    runtime: Runtime,
    client: Client,
    _data: tempfile::TempDir,
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Where `.ci/seaweedfs` puts the program, or `AFFIDAVIT_WEED`.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("AFFIDAVIT_WEED").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    named
        .or_else(|| Some(cache?.join("affidavit/weed/bin/weed")))
        .filter(|program| program.exists())
}

/// A port that is free together with the one 10 000 above, which the server takes for gRPC.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

impl SeaweedFs {
    /// Starts a server; `None`, with a line that says so, when the program is not installed.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("skipped: no S3 server; `.ci/seaweedfs` installs one");
            return None;
        };
        let data = tempfile::tempdir().unwrap();
        let identities = data.path().join("s3.json");
        std::fs::write(
            &identities,
            format!(
                r#"{{"identities":[{{"name":"admin","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
            ),
        )
        .unwrap();
        let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
        let process = Command::new(program)
            .arg("server")
            .arg(format!("-dir={}", data.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"])
            .args(["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-volume.max=50", "-master.volumeSizeLimitMB=64"])
            .arg(format!("-master.port={}", ports[0]))
            .arg(format!("-volume.port={}", ports[1]))
            .arg(format!("-filer.port={}", ports[2]))
            .arg(format!("-s3.port={}", ports[3]))
            .arg(format!("-s3.config={}", identities.display()))
            .current_dir(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let endpoint = format!("http://127.0.0.1:{}", ports[3]);
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&endpoint)
            .force_path_style(true)
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials(SECRET_KEY))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let server = Self {
            process,
            endpoint,
            runtime: Runtime::new().unwrap(),
            client: Client::from_conf(config),
            _data: data,
        };
        server.wait();
        Some(server)
    }

    /// The port answers long before objects can be written: a real write tells.
    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let ready = self.runtime.block_on(async {
                drop(self.client.create_bucket().bucket("ready").send().await);
                self.client.put_object().bucket("ready").key("probe").send().await.is_ok()
            });
            if ready {
                return;
            }
            assert!(Instant::now() < deadline, "the S3 server did not become ready");
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str, lock: bool) {
        self.runtime
            .block_on(
                self.client
                    .create_bucket()
                    .bucket(name)
                    .object_lock_enabled_for_bucket(lock)
                    .send(),
            )
            .unwrap();
    }

    /// A store in a bucket of this server.
    pub fn location(&self, uri: &str, lock: Option<(LockMode, u32)>) -> Location {
        Location {
            uri: uri.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            path_style: true,
            region: Some("us-east-1".to_owned()),
            lock,
        }
    }

    /// Opens a store in a bucket of this server.
    pub fn store(&self, uri: &str) -> S3 {
        self.store_as(uri, SECRET_KEY)
    }

    /// The same with a secret key of the caller's.
    pub fn store_as(&self, uri: &str, secret: &str) -> S3 {
        let location = self.location(uri, None);
        S3::with(&location, super::at(super::NOW), Some(credentials(secret))).unwrap()
    }

    /// Retention of an object, and whether deleting that version is refused.
    pub fn retention(&self, bucket: &str, key: &str) -> (Option<String>, bool) {
        self.runtime.block_on(async {
            let head = self.client.head_object().bucket(bucket).key(key).send().await.unwrap();
            let mode = head.object_lock_mode().map(|mode| mode.as_str().to_owned());
            let version = head.version_id().unwrap_or_default();
            let delete =
                self.client.delete_object().bucket(bucket).key(key).version_id(version).send();
            (mode, delete.await.is_err())
        })
    }
}
