//! Kubeconfig files, read and merged by the rules of client-go, so that a file that works with kubectl works
//! here, and one that kubectl refuses is refused. `tests/kubernetes/kubeconfigs.rs` holds them against each
//! other.
//!
//! No error repeats a value of a file: most of them are credentials.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::AccessError;

/// Which cluster, and as whom: one context of the merged files.
#[derive(Clone, Debug, Default)]
pub(super) struct Selected {
    pub context: String,
    pub cluster: Cluster,
    pub user: User,
}

/// `clusters[].cluster`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Cluster {
    #[serde(deserialize_with = "text")]
    pub server: String,
    #[serde(deserialize_with = "text")]
    pub tls_server_name: String,
    #[serde(deserialize_with = "boolean")]
    pub insecure_skip_tls_verify: bool,
    #[serde(deserialize_with = "text")]
    certificate_authority: String,
    #[serde(deserialize_with = "bytes")]
    certificate_authority_data: Vec<u8>,
    #[serde(deserialize_with = "text")]
    pub proxy_url: String,
    #[serde(deserialize_with = "list")]
    extensions: Vec<Extension>,
    /// PEM of the CA, from wherever it comes.
    #[serde(skip)]
    pub authorities: Option<Vec<u8>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Extension {
    #[serde(deserialize_with = "text")]
    name: String,
    extension: Value,
}

impl Cluster {
    /// What the file has for credential plugins.
    pub(super) fn config_of_plugins(&self) -> Option<&Value> {
        let named = |extension: &&Extension| extension.name == "client.authentication.k8s.io/exec";
        self.extensions.iter().find(named).map(|extension| &extension.extension)
    }
}

/// `users[].user`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct User {
    #[serde(deserialize_with = "text")]
    client_certificate: String,
    #[serde(deserialize_with = "bytes")]
    client_certificate_data: Vec<u8>,
    #[serde(deserialize_with = "text")]
    client_key: String,
    #[serde(deserialize_with = "bytes")]
    client_key_data: Vec<u8>,
    #[serde(deserialize_with = "text")]
    pub token: String,
    #[serde(deserialize_with = "text", rename = "tokenFile")]
    token_file: String,
    #[serde(deserialize_with = "text")]
    pub username: String,
    #[serde(deserialize_with = "text")]
    pub password: String,
    #[serde(rename = "as", deserialize_with = "text")]
    pub impersonate: String,
    #[serde(rename = "as-uid", deserialize_with = "text")]
    pub impersonate_uid: String,
    #[serde(rename = "as-groups", deserialize_with = "list")]
    pub impersonate_groups: Vec<String>,
    #[serde(rename = "as-user-extra", deserialize_with = "map")]
    pub impersonate_extra: BTreeMap<String, Vec<String>>,
    pub auth_provider: Option<AuthProvider>,
    pub exec: Option<Exec>,
    /// PEM of the certificate and of its key, from wherever they come.
    #[serde(skip)]
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// Where a token is read again and again.
    #[serde(skip)]
    pub token_path: Option<PathBuf>,
}

/// `auth-provider`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthProvider {
    #[serde(deserialize_with = "text")]
    pub name: String,
    #[serde(deserialize_with = "map")]
    pub config: BTreeMap<String, String>,
}

/// `exec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Exec {
    #[serde(deserialize_with = "text")]
    pub command: String,
    #[serde(deserialize_with = "list")]
    pub args: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub env: Vec<Variable>,
    #[serde(deserialize_with = "text")]
    pub api_version: String,
    #[serde(deserialize_with = "text")]
    pub install_hint: String,
    #[serde(deserialize_with = "boolean")]
    pub provide_cluster_info: bool,
    #[serde(deserialize_with = "text")]
    pub interactive_mode: String,
}

/// A variable of a plugin's environment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    #[serde(deserialize_with = "text")]
    pub name: String,
    #[serde(deserialize_with = "text")]
    pub value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    #[serde(deserialize_with = "text")]
    cluster: String,
    #[serde(deserialize_with = "text")]
    user: String,
}

/// A file, or several in one.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(rename = "apiVersion", deserialize_with = "text")]
    api_version: String,
    #[serde(deserialize_with = "text")]
    kind: String,
    #[serde(deserialize_with = "text")]
    current_context: String,
    #[serde(deserialize_with = "list")]
    clusters: Vec<NamedCluster>,
    #[serde(deserialize_with = "list")]
    contexts: Vec<NamedContext>,
    #[serde(deserialize_with = "list")]
    users: Vec<NamedUser>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedCluster {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    cluster: Cluster,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedContext {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    context: Context,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedUser {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    user: User,
}

/// All files in one. Of what two files name alike, the first file's counts.
#[derive(Default)]
struct Merged {
    current_context: String,
    clusters: BTreeMap<String, Cluster>,
    contexts: BTreeMap<String, Context>,
    users: BTreeMap<String, User>,
}

/// Reads files and selects a context of them: `context`, or the current one.
///
/// # Errors
/// [`AccessError`], where kubectl would refuse them as well, or reach no cluster by them.
pub(super) fn select(paths: &[PathBuf], context: Option<&str>) -> Result<Selected, AccessError> {
    let mut merged = Merged::default();
    let mut found = 0;
    for path in paths {
        // kubectl passes over files of the list that are not there.
        match fs::read_to_string(path) {
            Ok(text) => {
                found += 1;
                merged.add(path, parse(path, &text)?)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && paths.len() > 1 => {}
            Err(error) => {
                return Err(AccessError::File { path: path.clone(), reason: error.kind() });
            }
        }
    }
    if found == 0 {
        return Err(AccessError::NoFile(paths.to_vec()));
    }
    merged.select(context)
}

fn parse(path: &Path, text: &str) -> Result<Kubeconfig, AccessError> {
    let wrong = |place: String| AccessError::NotKubeconfig { path: path.to_owned(), place };
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(Kubeconfig::default());
    }
    // Of a key that stands in a mapping twice, Go takes the last value.
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
    };
    let value: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let at = error.location().map(|at| format!("line {}, column {}: ", at.line(), at.column()));
        wrong(format!("{}no valid YAML", at.unwrap_or_default()))
    })?;
    if value.is_null() {
        return Ok(Kubeconfig::default());
    }
    let kubeconfig: Kubeconfig = serde_path_to_error::deserialize(value)
        .map_err(|error| wrong(format!("`{}` has the wrong type or encoding", error.path())))?;
    let is_known = |text: &str, expected| text.is_empty() || text == expected;
    if is_known(&kubeconfig.kind, "Config") && is_known(&kubeconfig.api_version, "v1") {
        Ok(kubeconfig)
    } else {
        Err(wrong("`apiVersion` and `kind` are not `v1` and `Config`".to_owned()))
    }
}

impl Merged {
    fn add(&mut self, path: &Path, file: Kubeconfig) -> Result<(), AccessError> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let resolve = |text: &mut String| {
            if !text.is_empty() {
                *text = folder.join(&*text).to_string_lossy().into_owned();
            }
        };
        if self.current_context.is_empty() {
            self.current_context = file.current_context;
        }
        let twice = |list, name: &str| {
            let place = format!("`{list}` names `{}` twice", name.escape_debug());
            AccessError::NotKubeconfig { path: path.to_owned(), place }
        };
        let mut seen = std::collections::BTreeSet::new();
        for NamedCluster { name, mut cluster } in file.clusters {
            resolve(&mut cluster.certificate_authority);
            if !seen.insert(("clusters", name.clone())) {
                return Err(twice("clusters", &name));
            }
            self.clusters.entry(name).or_insert(cluster);
        }
        for NamedContext { name, context } in file.contexts {
            if !seen.insert(("contexts", name.clone())) {
                return Err(twice("contexts", &name));
            }
            self.contexts.entry(name).or_insert(context);
        }
        for NamedUser { name, mut user } in file.users {
            for path in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
                resolve(path);
            }
            if let Some(exec) = &mut user.exec
                && exec.command.contains('/')
            {
                resolve(&mut exec.command);
            }
            if !seen.insert(("users", name.clone())) {
                return Err(twice("users", &name));
            }
            self.users.entry(name).or_insert(user);
        }
        Ok(())
    }

    fn select(mut self, context: Option<&str>) -> Result<Selected, AccessError> {
        let name = context.unwrap_or(&self.current_context).to_owned();
        if name.is_empty() {
            return Err(AccessError::Kubeconfig("no context is current".to_owned()));
        }
        let unknown = |what: &str, name: &str| {
            AccessError::Kubeconfig(format!("there is no {what} `{}`", name.escape_debug()))
        };
        let Some(context) = self.contexts.remove(&name) else {
            return Err(unknown("context", &name));
        };
        let Some(mut cluster) = self.clusters.remove(&context.cluster) else {
            return Err(unknown("cluster", &context.cluster));
        };
        let mut user = match self.users.remove(&context.user) {
            Some(user) => user,
            None if context.user.is_empty() => User::default(),
            None => return Err(unknown("user", &context.user)),
        };
        cluster.complete(&context.cluster)?;
        user.complete(&context.user)?;
        Ok(Selected { context: name, cluster, user })
    }
}

/// A file that an entry names.
fn read(path: &str) -> Result<Vec<u8>, AccessError> {
    fs::read(path)
        .map_err(|error| AccessError::File { path: PathBuf::from(path), reason: error.kind() })
}

/// The data, or what the file holds: the data where both are there. The file must be readable all the same.
fn data_or_file(data: &[u8], path: &str) -> Result<Option<Vec<u8>>, AccessError> {
    let of_file = if path.is_empty() { None } else { Some(read(path)?) };
    Ok(if data.is_empty() { of_file } else { Some(data.to_vec()) })
}

impl Cluster {
    fn complete(&mut self, name: &str) -> Result<(), AccessError> {
        let wrong = |what: &str| {
            AccessError::Kubeconfig(format!("cluster `{}` {what}", name.escape_debug()))
        };
        if self.server.is_empty() {
            return Err(wrong("has no `server`"));
        }
        self.authorities =
            data_or_file(&self.certificate_authority_data, &self.certificate_authority)?;
        let both =
            !self.certificate_authority_data.is_empty() && !self.certificate_authority.is_empty();
        if both {
            return Err(wrong("has both `certificate-authority` and `certificate-authority-data`"));
        }
        if self.authorities.is_some() && self.insecure_skip_tls_verify {
            return Err(wrong("has a certificate authority and `insecure-skip-tls-verify`"));
        }
        Ok(())
    }
}

impl User {
    fn complete(&mut self, name: &str) -> Result<(), AccessError> {
        let wrong =
            |what: &str| AccessError::Kubeconfig(format!("user `{}` {what}", name.escape_debug()));
        let has_token = !self.token.is_empty() || !self.token_file.is_empty();
        let has_basic = !self.username.is_empty() || !self.password.is_empty();
        if has_token && has_basic {
            return Err(wrong("has a token and a user name: only one is allowed"));
        }
        if self.username.is_empty() && !self.password.is_empty() {
            return Err(wrong("has a password without a user name"));
        }
        let acts_for_nobody = !self.impersonate_uid.is_empty()
            || !self.impersonate_groups.is_empty()
            || !self.impersonate_extra.is_empty();
        if self.impersonate.is_empty() && acts_for_nobody {
            return Err(wrong("has `as-uid`, `as-groups` or `as-user-extra` without `as`"));
        }
        let has_certificate =
            !self.client_certificate.is_empty() || !self.client_certificate_data.is_empty();
        if has_certificate {
            for (data, file, what) in [
                (
                    &self.client_certificate_data,
                    &self.client_certificate,
                    "has both `client-certificate` and `client-certificate-data`",
                ),
                (
                    &self.client_key_data,
                    &self.client_key,
                    "has both `client-key` and `client-key-data`",
                ),
            ] {
                if !data.is_empty() && !file.is_empty() {
                    return Err(wrong(what));
                }
            }
            let certificate =
                data_or_file(&self.client_certificate_data, &self.client_certificate)?;
            let Some(key) = data_or_file(&self.client_key_data, &self.client_key)? else {
                return Err(wrong("has a client certificate without its key"));
            };
            self.certificate = certificate.map(|certificate| (certificate, key));
        }
        if self.exec.is_some() && self.auth_provider.is_some() {
            return Err(wrong("has both `exec` and `auth-provider`"));
        }
        if let Some(exec) = &self.exec {
            exec.check().map_err(wrong)?;
        }
        if !self.token_file.is_empty() {
            let read = read(&self.token_file);
            if self.token.is_empty() {
                String::from_utf8_lossy(&read?).trim().clone_into(&mut self.token);
            }
            self.token_path = Some(PathBuf::from(&self.token_file));
        }
        Ok(())
    }
}

impl Exec {
    fn check(&self) -> Result<(), &'static str> {
        if self.command.is_empty() {
            return Err("has `exec` without a command");
        }
        if self.env.iter().any(|variable| variable.name.is_empty()) {
            return Err("has a variable without a name in `exec.env`");
        }
        match (self.api_version.as_str(), self.interactive_mode.as_str()) {
            ("", _) => Err("has `exec` without `apiVersion`"),
            ("client.authentication.k8s.io/v1", "") => Err("has `exec` without `interactiveMode`"),
            (
                "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1",
                "" | "Never" | "IfAvailable" | "Always",
            ) => Ok(()),
            (_, "" | "Never" | "IfAvailable" | "Always") => Err(
                "has `exec` of an `apiVersion` other than client.authentication.k8s.io/v1 and v1beta1",
            ),
            _ => Err("has an unknown `exec.interactiveMode`"),
        }
    }
}

// What Go takes for a field: `null` is its zero value, and nothing else is turned into its type.

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    null_as_default(deserializer)
}

/// An element that is null is the element's zero value.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let list: Vec<Option<T>> = null_as_default(deserializer)?;
    Ok(list.into_iter().map(Option::unwrap_or_default).collect())
}

fn map<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let map: BTreeMap<String, Option<T>> = null_as_default(deserializer)?;
    Ok(map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// The YAML that kubectl reads calls `yes` and `on` booleans.
fn boolean<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(false),
        Value::Bool(value) => Ok(value),
        Value::String(word) => match word.as_str() {
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Ok(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Ok(false),
            _ => Err(serde::de::Error::custom("no boolean")),
        },
        _ => Err(serde::de::Error::custom("no boolean")),
    }
}

/// Base64, which may be wrapped.
fn bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let mut encoded = text(deserializer)?;
    encoded.retain(|character| !matches!(character, '\r' | '\n'));
    STANDARD.decode(encoded).map_err(|_| serde::de::Error::custom("no base64"))
}
