//! Falco's JSON events, as Falco logs them and as falcosidekick passes them on.
//!
//! An alert shows that detection works and asks for a person (`falco:alert`); it passes and fails
//! nothing by itself. `falco:sensor` passes for every sensor that was seen at work: by an alert, or by the
//! metrics snapshots that Falco writes at an interval when told to. Silence shows nothing. What an
//! alert quotes (command lines, environment) can hold secrets and stays in the input. A line that is no event
//! weakens the evidence, unless it comes before the first event or is of Falco's own log.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::events::{self, Stream};
use super::text::{Text, clean};
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct Falco;

const PREFIX: &str = "falco";
/// Falco's events about itself.
const INTERNAL: &str = "Falco internal: ";
const HEARTBEAT: &str = "metrics snapshot";

impl Scanner for Falco {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        probe.has("rule") && probe.has("priority") && (probe.has("time") || probe.has("output"))
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "output",
            "output_fields",
            "priority",
            "rule",
            "source",
            "tags",
            "time",
            "hostname",
            "uuid",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        let mut log = Log::default();
        let each = |index, event: Event<'_>| {
            let at = events::time(document, index, "/time", &event.time);
            log.add(index, &event, at);
        };
        let others = events::read(document, each, is_own_line)?;
        others.tell(events::locator(document, 0), parsed);
        log.conclude(document, parsed);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    rule: Text<'a>,
    #[serde(default)]
    priority: Text<'a>,
    #[serde(default)]
    time: Text<'a>,
    #[serde(default)]
    hostname: Text<'a>,
    #[serde(default)]
    source: Text<'a>,
    #[serde(default)]
    output_fields: Option<Fields<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow, rename = "k8s.ns.name")]
    namespace: Text<'a>,
    #[serde(rename = "k8s.pod.name")]
    pod: Text<'a>,
    #[serde(rename = "k8smeta.ns.name")]
    meta_namespace: Text<'a>,
    #[serde(rename = "k8smeta.pod.name")]
    meta_pod: Text<'a>,
    #[serde(rename = "container.name")]
    container: Text<'a>,
    #[serde(rename = "ka.target.namespace")]
    target_namespace: Text<'a>,
    #[serde(rename = "ka.target.resource")]
    target_resource: Text<'a>,
    #[serde(rename = "ka.target.name")]
    target_name: Text<'a>,
    #[serde(rename = "falco.version")]
    version: Text<'a>,
}

/// What is told apart: rule, priority, source, and what it happened to.
type Kind = (String, String, String, ResourceRef);

#[derive(Default)]
struct Log {
    alerts: BTreeMap<Kind, Alerts>,
    sensors: BTreeMap<String, Sensor>,
    version: String,
    without_time: usize,
}

#[derive(Default)]
struct Alerts {
    index: usize,
    count: usize,
    stream: Stream,
}

#[derive(Default)]
struct Sensor {
    index: usize,
    alerts: usize,
    heartbeats: usize,
    /// Events by which Falco says that it lost others.
    losses: usize,
    /// Events that do not name their rule.
    unnamed: usize,
    stream: Stream,
}

impl Log {
    fn add(&mut self, index: usize, event: &Event<'_>, at: Option<Timestamp>) {
        let hostname = clean(&event.hostname).into_owned();
        let sensor = self
            .sensors
            .entry(hostname.clone())
            .or_insert_with(|| Sensor { index, ..Sensor::default() });
        if let Some(at) = at {
            sensor.stream.saw(at);
        } else {
            self.without_time += 1;
        }
        match event.rule.strip_prefix(INTERNAL) {
            Some(HEARTBEAT) => {
                sensor.heartbeats += 1;
                if let Some(fields) = event.output_fields.as_ref().filter(|f| !f.version.is_empty())
                {
                    (*fields.version).clone_into(&mut self.version);
                }
            }
            Some(_) => sensor.losses += 1,
            // It may be one of those.
            None if event.rule.is_empty() => sensor.unnamed += 1,
            None => {
                sensor.alerts += 1;
                let kind = (
                    clean(&event.rule).into_owned(),
                    clean(&event.priority).into_owned(),
                    clean(&event.source).into_owned(),
                    event.resource(hostname),
                );
                let fresh = || Alerts { index, ..Alerts::default() };
                let alerts = self.alerts.entry(kind).or_insert_with(fresh);
                alerts.count += 1;
                if let Some(at) = at {
                    alerts.stream.saw(at);
                }
            }
        }
    }

    fn conclude(self, document: &Document<'_>, parsed: &mut Parsed) {
        parsed.saw_tool(PREFIX, &self.version);
        // A log is as fresh as its end; of several sensors, as that of the one silent longest.
        if let Some(at) = self.sensors.values().filter_map(|sensor| sensor.stream.end()).min() {
            parsed.saw_time(at);
        }
        if self.without_time > 0 {
            let text = format!("{} events state no time", self.without_time);
            parsed.shortfall(events::locator(document, 0), text);
        }
        for (hostname, sensor) in self.sensors {
            parsed.findings.push(sensor.read(&hostname, document));
        }
        let check = CheckId::new(PREFIX, "alert");
        for ((rule, priority, source, resource), alerts) in self.alerts {
            let locator = events::locator(document, alerts.index);
            let mut finding =
                Finding::new(check.clone(), Arc::new(resource), Outcome::Manual, locator);
            finding.severity = severity(&priority);
            let source = if source.is_empty() { String::new() } else { format!(" from {source}") };
            finding.message = format!(
                "{} events of priority {priority}{source}, {}: a person must review them",
                alerts.count,
                alerts.stream.describe()
            )
            .into();
            finding.rule = rule.into();
            parsed.findings.push(finding);
        }
    }
}

impl Sensor {
    fn read(self, hostname: &str, document: &Document<'_>) -> Finding {
        let resource = match hostname {
            "" => ResourceRef::cluster_scoped("Cluster", ""),
            name => ResourceRef::cluster_scoped("Node", name),
        };
        let is_in_doubt = self.losses > 0 || self.unnamed > 0;
        let outcome = if is_in_doubt { Outcome::Error } else { Outcome::Pass };
        let locator = events::locator(document, self.index);
        let mut finding =
            Finding::new(CheckId::new(PREFIX, "sensor"), Arc::new(resource), outcome, locator);
        let lost = match self.losses {
            0 => String::new(),
            count => format!("; {count} times it says that it lost events"),
        };
        let unnamed = match self.unnamed {
            0 => String::new(),
            count => format!("; {count} events name no rule"),
        };
        finding.message = format!(
            "{} alerts and {} heartbeats {}{lost}{unnamed}",
            self.alerts,
            self.heartbeats,
            self.stream.describe()
        )
        .into();
        finding
    }
}

impl Event<'_> {
    /// The pod where the kernel saw it, the object that the API was asked for, or the machine.
    fn resource(&self, hostname: String) -> ResourceRef {
        let fields = self.output_fields.as_ref();
        let of =
            |get: for<'f> fn(&'f Fields<'_>) -> &'f str| clean(fields.map_or("", get)).into_owned();
        let either = |first: String, second: String| if first.is_empty() { second } else { first };
        let pod = either(of(|f| &f.pod), of(|f| &f.meta_pod));
        if !pod.is_empty() {
            let namespace = either(of(|f| &f.namespace), of(|f| &f.meta_namespace));
            let part = of(|f| &f.container);
            return ResourceRef { part, ..ResourceRef::namespaced("Pod", namespace, pod) };
        }
        let target = of(|f| &f.target_resource);
        if !target.is_empty() {
            let namespace = of(|f| &f.target_namespace);
            return ResourceRef::namespaced(target, namespace, of(|f| &f.target_name));
        }
        let kind = if hostname.is_empty() { "Cluster" } else { "Node" };
        ResourceRef::cluster_scoped(kind, hostname)
    }
}

/// Is this a line that Falco writes beside its events: its log, which begins with a time
/// (`Mon Nov 24 10:00:00 2025: …`, or `2025-11-24T10:00:00+0000: …`), or the statistics with which it ends?
fn is_own_line(line: &str) -> bool {
    let stamp = line.split_once(": ").map_or("", |(stamp, _)| stamp);
    let words: Vec<&str> = stamp.split_ascii_whitespace().collect();
    let is_clock = |text: &str| {
        text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
    };
    let is_local = matches!(words.as_slice(), [_, _, _, clock, _] if is_clock(clock));
    let is_iso = matches!(words.as_slice(), [one] if one.get(10..11) == Some("T")
        && one.get(11..19).is_some_and(is_clock));
    let starts = ["Events detected:", "Rule counts by severity:", "Triggered rules by rule name:"];
    // `NOTICE: 2`, `Terminal shell in container: 2`.
    let is_count = line.rsplit_once(": ").is_some_and(|(_, count)| {
        !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_local || is_iso || is_count || starts.iter().any(|start| line.starts_with(start))
}

fn severity(priority: &str) -> Severity {
    match priority.to_ascii_lowercase().as_str() {
        "emergency" | "alert" | "critical" => Severity::Critical,
        "error" => Severity::High,
        "warning" => Severity::Medium,
        "notice" => Severity::Low,
        "informational" | "info" | "debug" => Severity::Info,
        _ => Severity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::Parsed;
    use crate::scanner::read;

    fn parsed(text: &str) -> Parsed {
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["falco"]);
        reading.parsed
    }

    fn said(parsed: &Parsed) -> Vec<String> {
        let line = |f: &crate::finding::Finding| {
            format!(
                "{} {} {} {} {} @{}",
                f.check, f.resource, f.outcome, f.severity, f.message, f.locator
            )
        };
        parsed.findings.iter().map(line).collect()
    }

    const ALERT: &str = r#"{"hostname":"n1","output":"shell with --password=hunter2","priority":"Notice","rule":"Terminal shell in container","source":"syscall","time":"2026-01-02T03:00:00.123456789Z","output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"web","container.name":"c","evt.time":1767322800123456789,"proc.cmdline":"x --password=hunter2"}}"#;
    const HEARTBEAT: &str = r#"{"hostname":"n1","output":"Falco metrics snapshot","priority":"Informational","rule":"Falco internal: metrics snapshot","source":"internal","time":"2026-01-02T04:00:00Z","output_fields":{"falco.version":"0.43.0","evt.time":1}}"#;

    #[test]
    fn alerts_are_for_a_person_and_show_that_the_sensor_runs() {
        let parsed = parsed(&format!("Falco version: 0.43.0\n{ALERT}\n{ALERT}\n{HEARTBEAT}\n"));
        assert_eq!(
            said(&parsed),
            [
                "falco:sensor Node/n1 pass unknown 2 alerts and 1 heartbeats from 2026-01-02T03:00:00Z to 2026-01-02T04:00:00Z, longest silence 59m 59s @0#",
                "falco:alert shop/Pod/web#c manual low 2 events of priority Notice from syscall, at 2026-01-02T03:00:00Z: a person must review them @0#",
            ]
        );
        assert_eq!(&*parsed.findings[1].rule, "Terminal shell in container");
        assert_eq!(parsed.tools["falco"], "0.43.0");
        assert_eq!(parsed.taken_at.unwrap().to_string(), "2026-01-02T04:00:00Z");
        assert!(parsed.notes[0].text.starts_with("1 line ") && !parsed.notes[0].weakens);
        assert!(!format!("{parsed:?}").contains("hunter2"));
    }

    #[test]
    fn heartbeats_alone_prove_the_sensor_and_nothing_proves_silence() {
        let parsed = parsed(&format!("{HEARTBEAT}\n{HEARTBEAT}\n"));
        assert_eq!(parsed.findings.len(), 1);
        assert!(parsed.findings[0].message.starts_with("0 alerts and 2 heartbeats"));
        assert!(read(b"Falco version: 0.43.0\nloading rules\n", "").is_err());
    }

    #[test]
    fn what_may_be_left_of_an_event_weakens() {
        let weakens = |text: &str| parsed(text).notes.iter().any(|note| note.weakens);
        for own in [
            "Mon Nov 24 10:00:00 2025: SIGHUP received, restarting...",
            "2025-11-24T10:00:00+0000: Loading rules from file /etc/falco/falco_rules.yaml",
            "Events detected: 2\nRule counts by severity:\n   NOTICE: 2\nTriggered rules by rule name:\n   Terminal shell in container: 2",
        ] {
            assert!(!weakens(&format!("{ALERT}\n{own}\n{ALERT}\n")), "{own}");
            assert!(!weakens(&format!("{own}\nloading\n{ALERT}\n{ALERT}\n")), "{own}");
        }
        let tail = &ALERT[20..];
        let prefixed = format!("2026-01-02T03:00:00Z {ALERT}");
        for damaged in [tail, &prefixed, "nal\",\"time"] {
            assert!(weakens(&format!("{ALERT}\n{damaged}\n{ALERT}\n")), "{damaged}");
        }
        assert!(weakens(&format!("{tail}\n{ALERT}\n{ALERT}\n")));
        // The first object need not be a whole event.
        for first in ["{\"a\":1}", &ALERT.replace("\"rule\"", "\"r\"")] {
            let parsed = parsed(&format!("{first}\n{ALERT}\n{ALERT}\n"));
            assert_eq!(parsed.count(crate::finding::Outcome::Error), 1, "{first}");
        }
    }

    #[test]
    fn a_sensor_that_lost_events_is_an_error() {
        let lost = HEARTBEAT.replace("metrics snapshot\"", "syscall event drop\"");
        let parsed = parsed(&format!("{HEARTBEAT}\n{lost}\n"));
        assert!(said(&parsed)[0].contains("Node/n1 error unknown 0 alerts and 1 heartbeats"));
        assert!(parsed.findings[0].message.ends_with("1 times it says that it lost events"));
    }

    #[test]
    fn the_log_is_as_old_as_the_sensor_that_is_silent_longest() {
        let old = ALERT.replace("\"n1\"", "\"n2\"");
        let parsed = parsed(&format!("{old}\n{HEARTBEAT}\n"));
        assert_eq!(parsed.taken_at.unwrap().to_string(), "2026-01-02T03:00:00.123456789Z");
    }

    #[test]
    fn audit_alerts_name_the_object_and_arrays_are_read() {
        let text = r#"[{"priority":"Warning","rule":"R","source":"k8s_audit","time":"2026-01-02T03:00:00Z","output_fields":{"ka.target.namespace":"shop","ka.target.resource":"pods","ka.target.name":"web","k8s.pod.name":null}}]"#;
        let said = said(&parsed(text));
        assert!(said[0].starts_with("falco:sensor Cluster/ pass"), "{said:?}");
        assert!(said[1].starts_with("falco:alert shop/pods/web manual medium"), "{said:?}");
        assert!(said[1].ends_with("@/0"), "{said:?}");
    }
}
