//! Metrics in the `OpenMetrics` text format. Those of a chain are gauges only, so that Prometheus' older format
//! reads them too.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicI64;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Ended, seconds};
use crate::alert::{Kind, Standing};
use crate::assessment::Status;
use crate::remote;

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<i64, AtomicI64>>;

/// Metrics of a chain.
#[must_use]
pub fn exposition(standing: &Standing, ended: Option<Ended>) -> String {
    let mut registry = Registry::with_prefix("affidavit");
    let own = || -> Labels {
        vec![("cluster", standing.cluster.clone()), ("origin", standing.origin.clone())]
    };
    let mut gauge = |name: &str, help: &str| -> Gauges {
        let gauges = Gauges::default();
        registry.register(name, help, gauges.clone());
        gauges
    };
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    if let Some(ended) = ended {
        let last = gauge("run_last_timestamp_seconds", "When the last run took place");
        last.get_or_create(&own()).set(ended.at.as_second());
        let sealed = gauge("run_last_sealed", "Did the last run seal a bundle (1) or none (0)");
        sealed.get_or_create(&own()).set(i64::from(ended.sealed));
    }
    if let Some(seq) = standing.seq {
        let newest = gauge("bundle_seq", "Number of the newest bundle");
        newest.get_or_create(&own()).set(i64::try_from(seq).unwrap_or(i64::MAX));
        let findings = gauge("bundle_findings", "Findings in the newest bundle");
        findings.get_or_create(&own()).set(number(standing.findings));
    }
    for (name, help, at) in [
        ("bundle_created_timestamp_seconds", "When the newest bundle was made", &standing.created),
        ("run_next_timestamp_seconds", "When the next run is due", &standing.next),
        (
            "keyring_expires_timestamp_seconds",
            "When the keyring expires",
            &standing.keyring_expires,
        ),
    ] {
        if let Some(at) = seconds(at) {
            gauge(name, help).get_or_create(&own()).set(at);
        }
    }
    let sources = gauge("source_in_order", "Is a declared source in order (1) or not (0)");
    for (name, stands) in &standing.sources {
        let mut labels = own();
        labels.push(("source", name.clone()));
        sources.get_or_create(&labels).set(i64::from(stands == "ok"));
    }
    if !standing.clusters.is_empty() {
        let clusters = gauge("clusters", "Clusters of the fleet by state");
        for (state, count) in &standing.clusters {
            let mut labels = own();
            labels.push(("state", state.as_str().to_owned()));
            clusters.get_or_create(&labels).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }
    let controls = gauge("controls", "Controls of a framework by status");
    for (key, counts) in &standing.frameworks {
        for status in Status::ALL {
            let mut labels = own();
            labels.push(("framework", key.clone()));
            labels.push(("status", status.as_str().to_owned()));
            controls.get_or_create(&labels).set(number(counts.get(status)));
        }
    }
    let alerts = gauge("alerts", "Things to be told, by kind; 0 where there is nothing");
    for kind in Kind::ALL {
        let count = standing.alerts.iter().find(|alert| alert.kind == kind).map_or(0, |a| a.count);
        let mut labels = own();
        labels.push(("kind", kind.as_str().to_owned()));
        alerts.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    encoded(&registry)
}

/// A process of `affidavit serve`.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Does it lead?
    pub leads: bool,
    /// Could it use the archive and the keys?
    pub ready: bool,
    /// Is a run under way?
    pub running: bool,
    /// Its runs.
    pub runs: u64,
    /// Those of them that sealed nothing.
    pub failures: u64,
}

/// Metrics of a process that serves this chain, whether it leads or not.
#[must_use]
pub fn of_process(cluster: &str, origin: &str, process: Process) -> String {
    let mut registry = Registry::with_prefix("affidavit_serve");
    let own: Labels = vec![("cluster", cluster.to_owned()), ("origin", origin.to_owned())];
    for (name, help, value) in [
        ("leader", "Does this process lead (1) or wait (0)", process.leads),
        ("ready", "Could this process use the archive and the keys (1) or not (0)", process.ready),
        ("running", "Is a run under way", process.running),
    ] {
        let gauges = Gauges::default();
        gauges.get_or_create(&own).set(i64::from(value));
        registry.register(name, help, gauges);
    }
    for (name, help, value) in [
        ("runs", "Runs of this process", process.runs),
        ("failures", "Runs of this process that sealed nothing", process.failures),
    ] {
        let counters = Family::<Labels, Counter>::default();
        counters.get_or_create(&own).inc_by(value);
        registry.register(name, help, counters);
    }
    encoded(&registry)
}

fn encoded(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = text::encode(&mut out, registry);
    out
}

/// Writes a file at once: the collector never sees half of it.
pub(super) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    // Not `.prom`, which the collector would read.
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

/// Adds to what a Pushgateway has of the cluster: metrics of the same names are replaced.
pub(super) fn push(address: &str, cluster: &str, text: &str) -> Result<(), String> {
    // A name may hold what a path may not.
    let cluster = URL_SAFE.encode(cluster);
    let address = address.trim_end_matches('/');
    let url = format!("{address}/metrics/job/affidavit/cluster@base64/{cluster}");
    remote::deliver(&url, "text/plain; version=0.0.4", text.as_bytes())
}
