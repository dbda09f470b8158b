//! Credential plugins (client.authentication.k8s.io): one call for each process and expiry, bounded in time.
//! Nothing that a plugin prints, is given or holds in its environment gets into an error.

use std::collections::HashMap;
use std::io::{IsTerminal as _, stderr, stdin};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::kubeconfig::{Cluster, Exec};

/// Longest that a plugin may take where a person signs in.
const TIME_WITH_PERSON: Duration = Duration::from_mins(10);
/// Longest output that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Why a plugin gave no credentials.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PluginError {
    /// There is no such program.
    #[error("credential plugin {0} is not installed")]
    NotFound(String),
    /// It could not be started.
    #[error("credential plugin {0} cannot be started ({1})")]
    NotStarted(String, std::io::ErrorKind),
    /// It did not end.
    #[error("credential plugin {0} did not end within {1} s")]
    TimedOut(String, u64),
    /// It ended with another status than 0.
    #[error("credential plugin {0} ended with status {1}")]
    Status(String, i32),
    /// It was killed.
    #[error("credential plugin {0} was ended by a signal")]
    Signal(String),
    /// It printed something else.
    #[error("credential plugin {0} printed no ExecCredential of {1}")]
    NoCredential(String, String),
    /// It must talk to a person.
    #[error("credential plugin {0} needs a terminal")]
    NoTerminal(String),
}

/// What a plugin gives.
#[derive(Default)]
pub(super) struct Credential {
    pub token: String,
    /// PEM of a certificate and of its key.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    status: Option<AnswerStatus>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct AnswerStatus {
    token: String,
    expiration_timestamp: Option<Timestamp>,
    client_certificate_data: String,
    client_key_data: String,
}

/// A plugin and what it is told.
#[derive(Clone)]
pub(super) struct Plugin {
    exec: Exec,
    /// `spec.cluster`, where the plugin is to know it.
    cluster: Option<Value>,
    /// Longest that it may take where nobody talks to it.
    time: Duration,
}

/// What plugins gave to this process.
static GIVEN: Mutex<Option<HashMap<String, Arc<Credential>>>> = Mutex::const_new(None);

impl Plugin {
    pub(super) fn new(exec: Exec, cluster: &Cluster, time: Duration) -> Self {
        let told = exec.provide_cluster_info.then(|| {
            let mut told = serde_json::Map::new();
            let mut say = |key: &str, value: Value| drop(told.insert(key.to_owned(), value));
            say("server", json!(cluster.server));
            if !cluster.tls_server_name.is_empty() {
                say("tls-server-name", json!(cluster.tls_server_name));
            }
            if cluster.insecure_skip_tls_verify {
                say("insecure-skip-tls-verify", json!(true));
            }
            if let Some(authorities) = &cluster.authorities {
                say("certificate-authority-data", json!(STANDARD.encode(authorities)));
            }
            if !cluster.proxy_url.is_empty() {
                say("proxy-url", json!(cluster.proxy_url));
            }
            if let Some(config) = cluster.config_of_plugins() {
                say("config", config.clone());
            }
            Value::Object(told)
        });
        Self { exec, cluster: told, time }
    }

    /// What it gave, or gives now. `refused` is a credential that the server did not take.
    pub(super) async fn credential(
        &self,
        refused: Option<&Arc<Credential>>,
    ) -> Result<Arc<Credential>, PluginError> {
        let key = format!("{:?} {:?}", self.exec, self.cluster);
        // Whoever comes while a plugin runs waits for it.
        let mut given = GIVEN.lock().await;
        let given = given.get_or_insert_default();
        let known = given.get(&key).filter(|known| {
            known.expires.is_none_or(|expires| expires > Timestamp::now())
                && refused.is_none_or(|refused| !Arc::ptr_eq(refused, known))
        });
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(self.run().await?);
        given.insert(key, Arc::clone(&new));
        Ok(new)
    }

    /// The program, without where it is.
    fn name(&self) -> String {
        let name = Path::new(&self.exec.command).file_name();
        name.unwrap_or_default().to_string_lossy().escape_debug().to_string()
    }

    /// What its configuration says to people who do not have it.
    pub(super) fn install_hint(&self) -> &str {
        &self.exec.install_hint
    }

    async fn run(&self) -> Result<Credential, PluginError> {
        let is_terminal = stdin().is_terminal();
        let is_interactive = match self.exec.interactive_mode.as_str() {
            "Never" => false,
            "Always" if !is_terminal => return Err(PluginError::NoTerminal(self.name())),
            _ => is_terminal,
        };
        let spec = match &self.cluster {
            Some(cluster) => json!({ "interactive": is_interactive, "cluster": cluster }),
            None => json!({ "interactive": is_interactive }),
        };
        let info = json!({
            "kind": "ExecCredential",
            "apiVersion": self.exec.api_version,
            "spec": spec,
        });
        let mut command = Command::new(&self.exec.command);
        command
            .args(&self.exec.args)
            .envs(self.exec.env.iter().map(|variable| (&variable.name, &variable.value)))
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(if is_interactive { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            // It may hold what it was given: nobody but a person who sits there sees it.
            .stderr(if stderr().is_terminal() { Stdio::inherit() } else { Stdio::null() })
            .kill_on_drop(true);
        if !is_interactive {
            // So that its children can be ended with it. A terminal talks to one group only.
            command.process_group(0);
        }
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PluginError::NotFound(self.name()),
            kind => PluginError::NotStarted(self.name(), kind),
        })?;
        let group = child.id().filter(|_| !is_interactive);
        let time = if is_interactive { TIME_WITH_PERSON } else { self.time };
        let mut output = Vec::new();
        let stdout = child.stdout.take();
        let ended = tokio::time::timeout(time, async {
            if let Some(stdout) = stdout {
                // What a child of it leaves open is not waited for once it has ended itself.
                let mut stdout = stdout.take(LONGEST);
                tokio::select! {
                    _ = stdout.read_to_end(&mut output) => child.wait().await,
                    status = child.wait() => {
                        let _ = tokio::time::timeout(
                            Duration::from_secs(1),
                            stdout.read_to_end(&mut output),
                        ).await;
                        status
                    }
                }
            } else {
                child.wait().await
            }
        })
        .await;
        if !matches!(ended, Ok(Ok(_))) {
            end_group(group);
            let _ = child.start_kill();
        }
        let status = ended
            .map_err(|_| PluginError::TimedOut(self.name(), time.as_secs()))?
            .map_err(|error| PluginError::NotStarted(self.name(), error.kind()))?;
        if !status.success() {
            let name = self.name();
            return Err(match status.code() {
                Some(code) => PluginError::Status(name, code),
                None => PluginError::Signal(name),
            });
        }
        self.read(&output)
            .ok_or_else(|| PluginError::NoCredential(self.name(), self.exec.api_version.clone()))
    }

    fn read(&self, output: &[u8]) -> Option<Credential> {
        let answer: Answer = serde_json::from_slice(output).ok()?;
        let is_asked_for =
            answer.api_version == self.exec.api_version && answer.kind == "ExecCredential";
        let status = answer.status.filter(|_| is_asked_for)?;
        let certificate = match (&*status.client_certificate_data, &*status.client_key_data) {
            ("", "") => None,
            ("", _) | (_, "") => return None,
            (certificate, key) => Some((certificate.as_bytes().to_vec(), key.as_bytes().to_vec())),
        };
        let is_empty = status.token.is_empty() && certificate.is_none();
        (!is_empty).then_some(Credential {
            token: status.token,
            certificate,
            expires: status.expiration_timestamp,
        })
    }
}

/// Ends a plugin with everything that it started.
fn end_group(group: Option<u32>) {
    let group = group.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
