//! Connections that do not use the proxy which the environment names for them.

use url::Url;

use crate::config::{Config, Notify};
use crate::remote::proxy;
use crate::{notify, sign};

/// A sentence for each connection of a configuration that goes past a proxy.
#[must_use]
pub fn past_proxies(config: &Config) -> Vec<String> {
    let mut connections = Vec::new();
    if let Some(address) = sign::address(&config.keys.signer) {
        connections.push((at("Vault", &address), address));
    }
    let authority = config.report_signature.as_ref();
    if let Some(address) = authority.and_then(|signature| signature.timestamp_authority.clone()) {
        connections.push((at("the timestamp authority", &address), address));
    }
    let mut sentences: Vec<String> = connections.into_iter().filter_map(sentence).collect();
    sentences.extend(past_proxies_to_tell(&config.notify));
    sentences
}

/// The same of those who are told.
#[must_use]
pub fn past_proxies_to_tell(notify: &Notify) -> Vec<String> {
    let mut connections = Vec::new();
    for webhook in &notify.webhooks {
        // An address that cannot be read is said when it is used. It may be a secret, and is not repeated.
        if let Ok(address) = notify::address(webhook) {
            connections.push((format!("webhook {}", webhook.name), address));
        }
    }
    if let Some(address) = &notify.pushgateway {
        connections.push((at("the Pushgateway", address), address.clone()));
    }
    if let Some(address) = &notify.traces {
        connections.push((at("the collector of traces", address), address.clone()));
    }
    connections.into_iter().filter_map(sentence).collect()
}

/// What a connection leads to, without anything in the address that may be a secret.
fn at(what: &str, address: &str) -> String {
    match Url::parse(address) {
        Ok(url) => format!("{what} at {}", url.origin().ascii_serialization()),
        Err(_) => what.to_owned(),
    }
}

fn sentence((to, address): (String, String)) -> Option<String> {
    let variable = proxy::variable(&address)?;
    Some(format!("{variable} is set, but the connection to {to} does not use it"))
}
