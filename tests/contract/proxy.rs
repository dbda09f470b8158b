//! A proxy between a client and an S3 server that does one thing wrong at one request.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not reach the server.
    DropRequest,
    /// It is done, and its reply is lost.
    DropReply,
    /// Its reply is late, but not too late.
    Delay,
    /// It reaches the server twice, and the second reply is the one that comes back.
    Duplicate,
    /// It is done, and its reply breaks off in the middle.
    Truncate,
    /// It does not reach the server, and this status comes back.
    Answer(u16),
    /// It is done, and this status comes back.
    DoneButAnswer(u16),
    /// It does not reach the server, and this status and code come back.
    Refuse(u16, &'static str),
    /// It does not reach the server, and a page for people comes back with 200.
    LoginPage,
    /// A write does not reach the server, and the answer is as if it had. Everything else is passed on.
    Lose,
    /// A listing says that more follows, for ever. Everything else is passed on.
    EndlessListing,
    /// A listing has its first object twice. Everything else is passed on.
    DoubledListing,
    /// Nothing comes back for a long time.
    Stall,
}

impl Fault {
    /// So late is a late reply.
    pub const DELAY: Duration = Duration::from_millis(300);
}

/// Every kind.
pub const FAULTS: [Fault; 11] = [
    Fault::DropRequest,
    Fault::DropReply,
    Fault::Delay,
    Fault::Duplicate,
    Fault::Truncate,
    Fault::Answer(409),
    Fault::Answer(412),
    Fault::Answer(500),
    Fault::Answer(503),
    Fault::DoneButAnswer(500),
    Fault::DoneButAnswer(503),
];

/// A running proxy.
pub struct Proxy {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// First lines of the requests so far.
    seen: Vec<String>,
    plan: Option<Plan>,
    /// Are requests that try the store counted too?
    probes_count: bool,
}

/// What happens at a request, by its number from 0.
type Plan = Arc<dyn Fn(usize) -> Option<Fault> + Send + Sync>;

impl Proxy {
    /// Passes everything on.
    pub fn before(server: &str) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, shared) = (server.clone(), shared.clone());
                thread::spawn(move || {
                    // A client that went away is no fault of the proxy.
                    drop(pass_on(client, &server, &shared));
                });
            }
        });
        Self { endpoint, state }
    }

    /// From now on, counting from 0. Requests that only try the store are passed on and not counted: how many
    /// there are depends on the clock.
    pub fn plan(&self, plan: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) {
        *self.state.lock().unwrap() =
            State { seen: Vec::new(), plan: Some(Arc::new(plan)), probes_count: false };
    }

    /// From now on, whatever is asked.
    pub fn plan_for_all(&self, fault: Fault) {
        let plan = Some(Arc::new(move |_| Some(fault)) as Plan);
        *self.state.lock().unwrap() = State { seen: Vec::new(), plan, probes_count: true };
    }

    /// First lines of the requests since the last plan.
    pub fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }
}

/// One request and one reply on a connection.
fn pass_on(mut client: TcpStream, server: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let (head, body) = read_request(&mut client)?;
    let (number, plan) = {
        let mut state = state.lock().unwrap();
        let first = head.lines().next().unwrap_or_default();
        if first.contains(".probe") && !state.probes_count {
            drop(state);
            return client.write_all(&ask(server, &head, &body)?);
        }
        state.seen.push(head.lines().next().unwrap_or_default().to_owned());
        (state.seen.len() - 1, state.plan.clone())
    };
    let fault = plan.and_then(|plan| plan(number));
    let reply = match fault {
        Some(Fault::DropRequest) => return client.shutdown(Shutdown::Both),
        Some(Fault::Answer(status)) => answer(status),
        Some(Fault::Refuse(status, code)) => error(status, code),
        Some(Fault::LoginPage) => {
            let page = "<!DOCTYPE html><html><body>Please sign in.</body></html>";
            ok("Content-Type: text/html\r\n", page)
        }
        Some(Fault::Stall) => {
            thread::sleep(Duration::from_secs(100));
            return client.shutdown(Shutdown::Both);
        }
        Some(Fault::Lose) if head.starts_with("PUT") => {
            ok("ETag: \"00000000000000000000000000000000\"\r\n", "")
        }
        Some(Fault::EndlessListing) if head.contains("list-type=2") => {
            let body = format!(
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{number}\
                 </NextContinuationToken></ListBucketResult>"
            );
            ok("", &body)
        }
        Some(Fault::DoubledListing) if head.contains("list-type=2") => {
            let reply =
                String::from_utf8(ask(server, &head, &body)?).map_err(std::io::Error::other)?;
            let (_, body) = reply.split_once("\r\n\r\n").unwrap_or_default();
            let twice = body.find("<Contents>").zip(body.find("</Contents>")).map(|(from, to)| {
                let one = &body[from..to + "</Contents>".len()];
                body.replacen(one, &one.repeat(2), 1)
            });
            ok("", twice.as_deref().unwrap_or(body))
        }
        Some(Fault::Duplicate) => {
            ask(server, &head, &body)?;
            ask(server, &head, &body)?
        }
        _ => ask(server, &head, &body)?,
    };
    match fault {
        Some(Fault::DropReply) => return client.shutdown(Shutdown::Both),
        Some(Fault::Delay) => thread::sleep(Fault::DELAY),
        Some(Fault::Truncate) => {
            client.write_all(&reply[..reply.len() / 2])?;
            return client.shutdown(Shutdown::Both);
        }
        Some(Fault::DoneButAnswer(status)) => return client.write_all(&answer(status)),
        _ => {}
    }
    client.write_all(&reply)
}

fn ok(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn answer(status: u16) -> Vec<u8> {
    let code = match status {
        409 => "ConditionalRequestConflict",
        412 => "PreconditionFailed",
        503 => "SlowDown",
        _ => "InternalError",
    };
    error(status, code)
}

fn error(status: u16, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code><Message>made up</Message></Error>");
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// The server's whole reply, which says that the connection ends after it.
pub fn ask(server: &str, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(server)?;
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    // Of the headers only the signed ones must stay; this one is not signed.
    upstream.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes())?;
    upstream.write_all(body)?;
    let mut reply = Vec::new();
    upstream.read_to_end(&mut reply)?;
    Ok(reply)
}

/// Head and body of a request that says how long it is.
pub fn read_request(stream: &mut impl std::io::Read) -> std::io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(std::io::Error::other)?;
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}
