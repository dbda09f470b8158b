//! The web verifier open in a real Chromium, driven through `WebDriver` (W3C).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::tools;

/// One browser at a time: each takes more memory than all other tests together.
static ONE: Mutex<()> = Mutex::new(());

/// A session with the page loaded. Ends its browser when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// What a person puts into the page.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// An archive folder, or one file.
    pub subject: PathBuf,
    pub roots: String,
    pub pins: Vec<String>,
    pub pin_files: Vec<PathBuf>,
    pub policy: String,
    pub tsa: String,
    pub now: String,
}

/// A driver that answers, and its port.
///
/// Chromedriver binds a port that the system chooses under IPv4, then the same number under IPv6.
/// Where another program holds that one it gives up, so a start is tried again.
fn start_driver() -> (Child, u16) {
    let mut said = Vec::new();
    for _ in 0..5 {
        let mut driver = tools::CHROMEDRIVER.command();
        driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = driver.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            if line.contains("successfully on port ") {
                let port = line.rsplit("on port ").next().unwrap();
                let port = port.trim_end_matches('.').parse().unwrap();
                // The driver must not stop at a full pipe.
                std::thread::spawn(move || lines.count());
                return (driver, port);
            }
            said.push(line);
        }
        said.push(format!("{}", driver.wait().unwrap()));
    }
    panic!("chromedriver does not start:\n{}", said.join("\n"));
}

impl Browser {
    /// Ends the test as left out where Chromium or its driver is not installed.
    pub fn open() -> Self {
        // Asked for before it is this test's turn, so that nobody waits for nothing.
        tools::CHROMIUM.demand();
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (driver, port) = start_driver();
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), profile, _turn: turn };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1100,1400",
            &format!("--user-data-dir={}", browser.profile.path().display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "timeouts": {"script": 120_000},
        }}});
        let session = browser.call("POST", "/session", &capabilities);
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser.load();
        browser
    }

    fn load(&self) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify/page.html");
        self.command("/url", &json!({"url": format!("file://{}", page.display())}));
    }

    /// Loads another file, at a place in it (`#words`).
    #[cfg(feature = "pipeline")]
    pub fn visit(&self, path: &Path, place: &str) {
        // From one place to another of one file nothing is loaded anew.
        self.command("/url", &json!({"url": "about:blank"}));
        self.command("/url", &json!({"url": format!("file://{}{place}", path.display())}));
    }

    /// Fills in the page, presses the button, and returns what the element `result` then holds.
    pub fn verify(&self, input: &Input) -> Value {
        self.load();
        let kind = if input.subject.is_dir() { "archive-folder" } else { "archive-file" };
        self.send_path(kind, &input.subject);
        // Chromium lists a folder in the background.
        self.script(
            "const look = () => {
               if (document.getElementById('chosen').querySelector('code')) arguments[0](null);
               else setTimeout(look, 2);
             };
             look();",
            &[],
        );
        for file in &input.pin_files {
            self.send_path("pin-file", file);
        }
        let fields = json!({
            "root": input.roots,
            "pin": input.pins.join("\n\n"),
            "policy": input.policy,
            "tsa": input.tsa,
            "now": input.now,
        });
        self.script(
            "for (const [id, text] of Object.entries(arguments[0])) document.getElementById(id).value = text;
             arguments[1](null);",
            &[fields],
        );
        let button = self.element("verify");
        self.command(&format!("/element/{button}/click"), &json!({}));
        let text = self.script(
            "const look = () => {
               const text = document.getElementById('result').textContent;
               if (text) arguments[0](text); else setTimeout(look, 2);
             };
             look();",
            &[],
        );
        serde_json::from_str(text.as_str().unwrap()).unwrap()
    }

    /// Runs a script; it ends by calling its last argument with its result.
    pub fn script(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("/execute/async", &json!({"script": script, "args": arguments}))
    }

    fn send_path(&self, id: &str, path: &Path) {
        let element = self.element(id);
        self.command(&format!("/element/{element}/value"), &json!({"text": path}));
    }

    fn element(&self, id: &str) -> String {
        let locator = json!({"using": "css selector", "value": format!("#{id}")});
        let found = self.command("/element", &locator);
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// One HTTP/1.1 exchange with the driver.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(3))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {answer:#}");
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without this its browser outlives the driver. Nothing here may panic: a test may have.
        if !self.session.is_empty()
            && let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port))
        {
            let head = format!("DELETE /session/{} HTTP/1.1", self.session);
            drop(write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
            drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
            drop(stream.read_to_end(&mut Vec::new()));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
