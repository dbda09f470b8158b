//! Whom to tell how runs end.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, DAY, Fault, parse_duration};
use crate::alert::{self, Kind};

/// Whom to tell.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    /// Addresses that get a message when there is something to tell.
    pub webhooks: Vec<Webhook>,
    /// A Prometheus Pushgateway, which gets metrics after every run.
    pub pushgateway: Option<String>,
    /// A file for `node_exporter`'s textfile collector.
    pub textfile: Option<PathBuf>,
    /// An OpenTelemetry collector, which gets a trace of every run.
    pub traces: Option<String>,
    /// Write an Event about the pod into the cluster.
    pub events: bool,
    /// So many days before its end, a decision or a key is told of.
    pub soon_days: u32,
}

impl Notify {
    /// Is nobody to be told?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { webhooks, pushgateway, textfile, events, .. } = self;
        webhooks.is_empty() && pushgateway.is_none() && textfile.is_none() && !events
    }
}

/// An address that gets messages.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// For people, in errors: its address may be a secret.
    pub name: String,
    /// Address, or a file that holds it.
    pub address: Address,
    /// Of whom.
    pub format: Format,
    /// Which notices it gets.
    pub on: Vec<Kind>,
    /// Where a person reads on; `{cluster}` and `{bundle}` are put in. May be empty.
    pub link: String,
}

/// An address, or where it is kept.
#[derive(Clone, Debug)]
pub enum Address {
    /// Itself.
    Url(String),
    /// A file with it: it may be a secret.
    File(PathBuf),
}

/// Whose form a message has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Ours: JSON with everything that is known.
    #[default]
    Json,
    /// Slack's incoming webhooks; Mattermost and others take them too.
    Slack,
    /// Microsoft Teams' workflows: an Adaptive Card.
    Teams,
    /// Prometheus Alertmanager, API v2: the address of its `/api/v2/alerts`.
    Alertmanager,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenNotify {
    webhooks: Vec<WrittenWebhook>,
    pushgateway: Option<String>,
    textfile: Option<PathBuf>,
    traces: Option<String>,
    events: bool,
    expiring_within: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWebhook {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    url_file: Option<PathBuf>,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    on: Option<Vec<Kind>>,
    #[serde(default)]
    link: String,
}

/// Reads a file with what `notify` of a configuration holds, for who watches from elsewhere.
///
/// # Errors
/// [`ConfigError`].
pub fn load_notify(path: &Path) -> Result<Notify, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Read { path: path.to_owned(), reason: error.to_string() })?;
    let written: WrittenNotify = serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::Shape { path: path.to_owned(), text: error.render() })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    written.mean(folder.unwrap_or(Path::new("."))).map_err(|(field, reason)| ConfigError::Value {
        path: path.to_owned(),
        field,
        reason,
    })
}

/// What [`is_address`] asks for.
const ADDRESS: &str = "an address begins with http:// or https://";

fn is_address(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

impl WrittenNotify {
    pub(super) fn mean(self, folder: &Path) -> Result<Notify, Fault> {
        let soon_days = match self.expiring_within.as_deref() {
            None => alert::SOON_DAYS,
            Some(text) => parse_duration(text)
                .filter(|seconds| seconds % DAY == 0)
                .and_then(|seconds| u32::try_from(seconds / DAY).ok())
                .ok_or_else(|| {
                    ("notify.expiring_within".to_owned(), "a number of days, like 30d".to_owned())
                })?,
        };
        if let Some(address) = &self.traces
            && !is_address(address)
        {
            return Err(("notify.traces".to_owned(), ADDRESS.to_owned()));
        }
        let webhooks = (1..).zip(self.webhooks).map(|(number, webhook)| {
            let name = webhook.name.unwrap_or_else(|| number.to_string());
            let fault = |reason: &str| Err((format!("notify.webhooks.{name}"), reason.to_owned()));
            let address = match (webhook.url, webhook.url_file) {
                (Some(url), None) => Address::Url(url),
                (None, Some(path)) => Address::File(folder.join(path)),
                _ => return fault("exactly one of `url` and `url_file`"),
            };
            if let Address::Url(url) = &address
                && !is_address(url)
            {
                return fault(ADDRESS);
            }
            let on = webhook.on.unwrap_or_else(|| Kind::ALL.to_vec());
            Ok(Webhook { name, address, format: webhook.format, on, link: webhook.link })
        });
        Ok(Notify {
            webhooks: webhooks.collect::<Result<_, _>>()?,
            pushgateway: self.pushgateway,
            textfile: self.textfile.map(|path| folder.join(path)),
            traces: self.traces,
            events: self.events,
            soon_days,
        })
    }
}
