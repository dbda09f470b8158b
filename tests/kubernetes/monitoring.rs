//! The chart's alert rules and its dashboard, as Prometheus evaluates them (`promtool` of `.ci/production`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use super::chart::{documents, made};
use crate::tools;

/// What one pod answers when it is scraped, with `timestamp_seconds` counted from the beginning of the test.
pub type Scrape = BTreeMap<String, f64>;

/// Minute by minute, what is scraped of each pod; a pod that is not there has no entry.
pub struct Timeline(Vec<BTreeMap<&'static str, Scrape>>);

/// Series and values of an exposition. `begins` is the beginning of the test in seconds since 1970: promtool's
/// clock begins at 0.
pub fn scraped(exposition: &str, begins: i64) -> Scrape {
    let lines = exposition.lines().filter(|line| line.starts_with("affidavit_"));
    let read = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let is_time = series.contains("_timestamp_seconds");
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let begins = if is_time { begins as f64 } else { 0.0 };
        (series.to_owned(), value - begins)
    });
    read.collect()
}

impl Timeline {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// For so many minutes, this is scraped.
    pub fn then(mut self, minutes: usize, pods: &[(&'static str, &Scrape)]) -> Self {
        let pods: BTreeMap<_, _> =
            pods.iter().map(|(pod, scrape)| (*pod, (*scrape).clone())).collect();
        self.0.extend(std::iter::repeat_n(pods, minutes));
        self
    }

    /// As promtool wants it. A series that a scrape no longer has is marked as stale, as Prometheus does.
    fn series(&self) -> Vec<Value> {
        let all: BTreeSet<(&str, &String)> = self
            .0
            .iter()
            .flatten()
            .flat_map(|(pod, scrape)| scrape.keys().map(|series| (*pod, series)))
            .collect();
        let one = |(pod, series): (&str, &String)| {
            let mut before = false;
            let values: Vec<String> = self
                .0
                .iter()
                .map(|minute| {
                    let value = minute.get(pod).and_then(|scrape| scrape.get(series));
                    let was = std::mem::replace(&mut before, value.is_some());
                    match value {
                        Some(value) => value.to_string(),
                        None if was => "stale".to_owned(),
                        None => "_".to_owned(),
                    }
                })
                .collect();
            let labelled = series.replace('}', &format!(",pod=\"{pod}\"}}"));
            json!({"series": labelled, "values": values.join(" ")})
        };
        all.into_iter().map(one).collect()
    }
}

/// The rules that the chart makes for an origin.
fn rules(mode: &str, origin: &str) -> Value {
    let values = format!("mode={mode},prometheusRule.enabled=true,config.origin={origin}");
    let objects = documents(&made(&["--set", &values]));
    let rule = objects.into_iter().find(|object| object["kind"] == "PrometheusRule").unwrap();
    json!({"groups": rule["spec"]["groups"]})
}

/// Minute, expression, and the labels and values that it must have.
type Evaluation = (usize, String, Vec<(String, f64)>);

/// Holds expressions against what is scraped.
fn evaluate(rules: &Value, timeline: &Timeline, wanted: &[Evaluation]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yaml"), rules.to_string()).unwrap();
    let expressions: Vec<Value> = wanted
        .iter()
        .map(|(minute, expression, samples)| {
            let samples: Vec<Value> = samples
                .iter()
                .map(|(labels, value)| json!({"labels": labels, "value": value}))
                .collect();
            json!({"expr": expression, "eval_time": format!("{minute}m"), "exp_samples": samples})
        })
        .collect();
    let test = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m", "input_series": timeline.series(), "promql_expr_test": expressions,
        }],
    });
    fs::write(folder.path().join("test.yaml"), test.to_string()).unwrap();
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "test.yaml"]] {
        let mut promtool = tools::program_within(&tools::PRODUCTION, "bin/promtool");
        let output = promtool.args(arguments).current_dir(folder.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

/// Which alerts fire, minute by minute; each once, whatever pods there are.
pub fn fires(mode: &str, origin: &str, timeline: &Timeline, wanted: &[(usize, &[&str])]) {
    let expression = "count by (alertname) (ALERTS{alertstate=\"firing\"})";
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(minute, alerts)| {
            let samples =
                alerts.iter().map(|name| (format!("{{alertname=\"{name}\"}}"), 1.0)).collect();
            (*minute, expression.to_owned(), samples)
        })
        .collect();
    evaluate(&rules(mode, origin), timeline, &wanted);
}

/// What fires where nothing of a chain is scraped.
const NONE: &[&str] = &["AffidavitAbsent", "AffidavitNobodyLeads"];

const ORIGIN: &str = "evidence.example.com/prod";

/// A pod of `affidavit serve`; with the state of the chain if it leads.
fn pod(chain: Option<(&str, &str)>) -> Scrape {
    let labels = format!("cluster=\"prod\",origin=\"{ORIGIN}\"");
    let text = chain.map_or_else(String::new, |(next, failed)| {
        format!(
            "affidavit_bundle_seq{{{labels}}} 7\n\
             affidavit_bundle_created_timestamp_seconds{{{labels}}} 0\n\
             affidavit_keyring_expires_timestamp_seconds{{{labels}}} 864000\n\
             affidavit_run_next_timestamp_seconds{{{labels}}} {next}\n\
             affidavit_source_in_order{{{labels},source=\"a\"}} 0\n\
             affidavit_source_in_order{{{labels},source=\"b\"}} 1\n\
             affidavit_controls{{{labels},framework=\"f\",status=\"satisfied\"}} 5\n\
             affidavit_alerts{{{labels},kind=\"worsened\"}} {failed}\n"
        )
    });
    let leads = u8::from(chain.is_some());
    scraped(&format!("{text}affidavit_serve_leader{{{labels}}} {leads}\n"), 0)
}

#[apply(test)]
fn alerts_outlive_their_pod_and_end_with_their_cause() {
    // Due after one hour, late after two; worse than before.
    let (late, well, standby) = (pod(Some(("3600", "1"))), pod(Some(("90000", "0"))), pod(None));
    let timeline = Timeline::new()
        .then(130, &[("one", &late), ("two", &standby)])
        // The leader dies; the other one waits for the lease, reads the same chain, and runs.
        .then(2, &[("two", &standby)])
        .then(8, &[("two", &late)])
        .then(40, &[("two", &well)])
        // Nobody leads, as when the API server does not answer.
        .then(80, &[("two", &standby)]);
    let late = &["AffidavitControlsWorsened", "AffidavitRunMissing"][..];
    fires(
        "serve",
        ORIGIN,
        &timeline,
        &[
            (115, &["AffidavitControlsWorsened"]),
            (125, late),
            (131, late),
            (135, late),
            (160, &[]),
            (185, &[]),
            (195, &["AffidavitNobodyLeads"]),
            (255, NONE),
        ],
    );
    // The chain of another is none of theirs; their own is not there.
    fires("serve", "evidence.example.com/other", &timeline, &[(9, &[]), (125, NONE)]);
    // Nothing is left to be scraped.
    let timeline = Timeline::new().then(10, &[("one", &well), ("two", &standby)]).then(80, &[]);
    fires("serve", ORIGIN, &timeline, &[(9, &[]), (85, NONE)]);
    // A CronJob has no leader.
    fires("cronjob", ORIGIN, &timeline, &[(9, &[]), (85, &["AffidavitAbsent"])]);
}

#[apply(test)]
fn the_dashboard_counts_each_chain_once() {
    let path = super::chart::chart().join("dashboard.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let leader = pod(Some(("3600", "2")));
    // While leadership moves, two may have been scraped as leaders.
    let timeline = Timeline::new()
        .then(125, &[("one", &leader), ("two", &pod(None))])
        .then(5, &[("one", &leader), ("two", &leader)]);
    let chain = format!("{{cluster=\"prod\",origin=\"{ORIGIN}\"}}");
    let kind = format!("{{cluster=\"prod\",kind=\"worsened\",origin=\"{ORIGIN}\"}}");
    let controls = "{framework=\"f\",status=\"satisfied\"}".to_owned();
    let wanted: BTreeMap<&str, (String, f64)> = BTreeMap::from([
        ("Clusters that seal", ("{}".to_owned(), 1.0)),
        ("Runs late", ("{}".to_owned(), 1.0)),
        ("Sources not in order", ("{}".to_owned(), 1.0)),
        ("Without a leader", ("{}".to_owned(), 0.0)),
        ("Hours since the newest bundle", (chain.clone(), 128.0 / 60.0)),
        ("To be told", (kind, 2.0)),
        ("Controls by status", (controls, 5.0)),
        ("Days until the keyring expires", (chain, 10.0 - 128.0 / 1440.0)),
    ]);
    let panels = dashboard["panels"].as_array().unwrap();
    assert_eq!(panels.len(), wanted.len());
    let wanted: Vec<_> = panels
        .iter()
        .map(|panel| {
            let expression =
                panel["targets"][0]["expr"].as_str().unwrap().replace("$cluster", ".*");
            (128, expression, vec![wanted[panel["title"].as_str().unwrap()].clone()])
        })
        .collect();
    evaluate(&rules("serve", ORIGIN), &timeline, &wanted);
}
