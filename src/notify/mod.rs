//! Tells people and monitoring how a run ended and how a chain stands. One file per way.
//!
//! Nothing here changes evidence: what cannot be told is said on the command line, and the run's exit
//! code stays what it is. No finding is ever sent, only counts and the names of sources and decisions.

mod event;
pub mod metrics;
pub mod trace;
mod webhook;

use jiff::Timestamp;
pub use webhook::address;

use crate::alert::{Alert, Standing};
use crate::config::{Access, Notify};
use crate::evidence::instant;

/// How a run ended, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When it took place.
    pub at: Timestamp,
    /// Did it seal a bundle?
    pub sealed: bool,
}

/// Tells everybody. Gives what could not be told, one sentence each.
#[must_use]
pub fn tell(
    notify: &Notify,
    access: &Access,
    standing: &Standing,
    ended: Option<Ended>,
) -> Vec<String> {
    let mut failed = Vec::new();
    for webhook in &notify.webhooks {
        let wanted: Vec<&Alert> =
            standing.alerts.iter().filter(|alert| webhook.on.contains(&alert.kind)).collect();
        if let Err(reason) = webhook::send(webhook, standing, &wanted) {
            failed.push(format!("webhook {}: {reason}", webhook.name));
        }
    }
    let text = metrics::exposition(standing, ended);
    if let Some(path) = &notify.textfile
        && let Err(error) = metrics::write(path, &text)
    {
        failed.push(format!("{}: {error}", path.display()));
    }
    if let Some(address) = &notify.pushgateway
        && let Err(reason) = metrics::push(address, &standing.cluster, &text)
    {
        failed.push(format!("pushgateway: {reason}"));
    }
    if notify.events
        && let Err(reason) = event::write(access, standing, ended)
    {
        failed.push(format!("event: {reason}"));
    }
    failed
}

/// Seconds since 1970, of an instant as it is sealed.
fn seconds(text: &str) -> Option<i64> {
    instant::parse(text).map(Timestamp::as_second)
}
