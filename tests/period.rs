//! Reports on a period: what runs say over time, and what nobody said.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::command::{self, pdf_text};
use crate::small_chain::{root, run, workspace};
use crate::tools;

/// Seconds of a day.
const DAY: u64 = 86_400;

fn affidavit(folder: &Path, now: &str, arguments: &[&str]) -> Output {
    let root = root().to_string();
    command::affidavit(folder, &[arguments, &["--now", now, "--root", &root]].concat())
}

/// What the program says of a period of this archive. It also stands in `period.pdf`.
fn reported(folder: &Path, now: &str, period: &[&str]) -> Value {
    let mut arguments = vec!["report", "archive", "--out", "period.pdf", "--output", "json"];
    arguments.extend(period);
    let output = affidavit(folder, now, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The text of its PDF.
fn printed(folder: &Path, now: &str, period: &[&str]) -> String {
    reported(folder, now, period);
    pdf_text(&folder.join("period.pdf"))
}

fn control<'v>(report: &'v Value, id: &str) -> &'v Value {
    let groups = report["frameworks"][0]["groups"].as_array().unwrap();
    let mut controls = groups.iter().flat_map(|group| group["controls"].as_array().unwrap());
    controls.find(|control| control["id"] == id).unwrap()
}

/// 4.1.2 fails on the 20th and 21st, is fixed on the 22nd, the runs of the 23rd and 24th are missed,
/// and from the 25th it fails again; on the 26th a waiver covers it.
fn archive(folder: &Path) {
    let config = workspace(folder);
    let input = folder.join("inputs/node-1.json");
    let failing = fs::read_to_string(&input).unwrap();
    let fixed = failing
        .replace(
            "\"test_number\":\"4.1.2\",\"status\":\"FAIL\"",
            "\"test_number\":\"4.1.2\",\"status\":\"PASS\"",
        )
        .replace("\"total_pass\":2,\"total_fail\":1", "\"total_pass\":3,\"total_fail\":0");
    assert_ne!(failing, fixed);
    run(&config, "2026-11-20T02:00:00Z");
    run(&config, "2026-11-21T02:00:00Z");
    fs::write(&input, fixed).unwrap();
    run(&config, "2026-11-22T02:00:00Z");
    fs::write(&input, failing).unwrap();
    run(&config, "2026-11-25T02:00:00Z");
    fs::write(
        folder.join("waivers.yaml"),
        "waivers:\n- id: W-1\n  scope: { checks: ['kube-bench:cis-1.12:4.1.2'], resources: ['*'] }\n  reason: replaced next week\n  approver: Priya Raman\n  ticket: SEC-1\n  expires: 2026-12-01\n",
    )
    .unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}waivers: [waivers.yaml]\n")).unwrap();
    run(&config, "2026-11-26T02:00:00Z");
}

#[apply(test)]
fn time_is_shared_out_among_statuses_and_what_nobody_said_is_nobodys_success() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let report = reported(folder.path(), "2026-12-05T00:00:00Z", &["--period", "2026-11"]);
    // Due every day at 02:00: five are there; the 23rd and 24th, and the 27th to the 30th, are not.
    assert_eq!((report["expected"].as_u64(), report["missed"].as_u64()), (Some(11), Some(6)));
    let gaps = report["gaps"].as_array().unwrap();
    assert_eq!(gaps.iter().map(|gap| gap["runs"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(gaps[0]["declared"], "2 scheduled runs did not take place");
    assert_eq!(gaps[1]["declared"], "");
    // The first run speaks for the day before it, the 22nd for its own, the 25th for one day.
    assert_eq!(report["covered"], 5 * DAY);
    assert_eq!(report["seconds"], 30 * DAY);

    let failed = control(&report, "4.1.2");
    assert_eq!(failed["seconds"]["not-satisfied"], 3 * DAY);
    assert_eq!(failed["seconds"]["satisfied"], DAY);
    assert_eq!(failed["seconds"]["waived"], DAY);
    assert_eq!(failed["uncovered"], 25 * DAY);
    let strip: u64 =
        failed["strip"].as_array().unwrap().iter().map(|piece| piece[1].as_u64().unwrap()).sum();
    assert_eq!(strip, 30 * DAY);
    let intervals = failed["intervals"].as_array().unwrap();
    assert_eq!(intervals.len(), 2, "{failed:#}");
    assert_eq!(intervals[0]["opened"], "2026-11-20T02:00:00Z");
    assert_eq!(intervals[0]["closed"], "2026-11-22T02:00:00Z");
    assert_eq!(intervals[0]["closed_as"], "satisfied");
    assert_eq!(intervals[0]["seconds"], 2 * DAY);
    assert_eq!(intervals[0]["checks"][0], "kube-bench:cis-1.12:4.1.2");
    // A waiver ends a failure, but is no fix.
    assert_eq!(intervals[1]["closed_as"], "waived");
    let framework = &report["frameworks"][0];
    assert_eq!((&framework["opened"], &framework["fixed"]), (&2.into(), &1.into()));
    assert_eq!((&framework["ended_otherwise"], &framework["open"]), (&1.into(), &0.into()));
    assert_eq!(framework["median_to_fix"], 2 * DAY);
    let waiver = &report["waivers"][0];
    assert_eq!((&waiver["id"], &waiver["runs_in_force"]), (&"W-1".into(), &1.into()));

    let states = |state: &str| {
        let days = report["days"].as_array().unwrap();
        days.iter().filter(|day| day["state"] == state).count()
    };
    assert_eq!((states("complete"), states("missed"), states("before")), (5, 6, 19));
}

#[apply(test)]
fn the_report_on_a_period_prints_what_was_counted() {
    tools::PDFTOTEXT.demand();
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let text = printed(folder.path(), "2026-12-05T00:00:00Z", &["--period", "2026-11"]);
    for part in [
        "5 of 11 that were due; 6 are missing",
        "they speak for 16.6 % of the period",
        "Controls failed 2 times anew; 1 failures were fixed, half of them within 2 days; 1 ended otherwise, 0 are open",
        "no bundle came after them",
        "3.3 % 10.0 %",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let text = printed(folder.path(), "2026-11-26T03:00:00Z", &["--period", "2026-Q4"]);
    assert!(text.contains("it is not over"), "{text}");
}

#[apply(test)]
fn a_period_begins_with_what_stood_before_it_and_ends_now_when_it_is_not_over() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    // On the 21st it fails already; on the 22nd, noon, the period is not over.
    let period = ["--from", "2026-11-21", "--to", "2026-11-23"];
    let report = reported(folder.path(), "2026-11-26T03:00:00Z", &period);
    assert_eq!(report["runs"].as_array().unwrap().len(), 2);
    let interval = &control(&report, "4.1.2")["intervals"][0];
    assert_eq!((&interval["already"], &interval["opened_seq"]), (&true.into(), &0.into()));
    // The bundle of the 25th declares that the run of the 23rd is missing; the one of the 24th lies
    // outside.
    assert_eq!((report["expected"].as_u64(), report["missed"].as_u64()), (Some(3), Some(1)));
    // From midnight of the 21st to 02:00 of the 22nd.
    assert_eq!(report["covered"], 26 * 3600);

    let report = reported(folder.path(), "2026-11-26T03:00:00Z", &["--period", "2026-Q4"]);
    assert_eq!(report["is_over"], false);
    assert_eq!(report["until"], "2026-11-26T03:00:00Z");
    assert_eq!(report["missed"], 2);
    let report = reported(folder.path(), "2026-11-26T03:00:00Z", &["--period", "hipaa"]);
    assert!(report["basis"].as_str().unwrap().contains("164.316(b)(2)(i)"));
    assert_eq!(report["from"], "2020-11-26T03:00:00Z");
}

/// A second framework is assessed from the second run on.
fn archive_with_another_framework(folder: &Path) {
    let config = workspace(folder);
    run(&config, "2026-11-20T02:00:00Z");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("[cis-kubernetes@1.12]", "[cis-kubernetes@1.12, pci-dss@4.0.1]"),
    )
    .unwrap();
    run(&config, "2026-11-21T02:00:00Z");
}

const AFTER_ANOTHER_FRAMEWORK: &str = "2026-11-21T03:00:00Z";

#[apply(test)]
fn what_the_rules_moved_is_printed() {
    tools::PDFTOTEXT.demand();
    let folder = tempfile::tempdir().unwrap();
    archive_with_another_framework(folder.path());
    let text = printed(folder.path(), AFTER_ANOTHER_FRAMEWORK, &["--period", "2026-11"]);
    assert!(text.contains("What the rules moved"), "{text}");
}

#[apply(test)]
fn verapdf_finds_the_report_on_a_period_archival_and_accessible() {
    tools::VERAPDF.demand();
    let folder = tempfile::tempdir().unwrap();
    archive_with_another_framework(folder.path());
    reported(folder.path(), AFTER_ANOTHER_FRAMEWORK, &["--period", "2026-11"]);
    crate::stock_tools::validate(folder.path(), &["period.pdf"]);
}

#[apply(test)]
fn rules_that_change_are_told_from_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    archive_with_another_framework(folder.path());
    let report = reported(folder.path(), AFTER_ANOTHER_FRAMEWORK, &["--period", "2026-11"]);
    let rules = report["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0]["seq"], 1);
    assert!(rules[0]["rules"][0].as_str().unwrap().contains("pci-dss@4.0.1: new"), "{rules:#?}");
    let moved = rules[0]["moved"].as_array().unwrap();
    assert!(moved.iter().all(|m| m["control"].as_str().unwrap().starts_with("pci-dss@4.0.1/")));
    // The second framework was assessed in one of two runs, and nothing is claimed for the other.
    let second = &report["frameworks"][1];
    assert_eq!((&second["key"], &second["runs"]), (&"pci-dss@4.0.1".into(), &1.into()));
    let control = &second["groups"].as_array().unwrap().iter().find_map(|g| g["controls"].get(0));
    assert_eq!(control.unwrap()["uncovered"], report["seconds"].as_u64().unwrap() - DAY);
}

#[apply(test)]
fn a_period_without_a_run_and_a_text_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let refused = |arguments: &[&str], code: i32| {
        let mut all = vec!["report", "archive", "--out", "x.pdf"];
        all.extend(arguments);
        let output = affidavit(folder.path(), "2026-11-26T03:00:00Z", &all);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!folder.path().join("x.pdf").exists());
        said
    };
    let said = refused(&["--period", "2025"], 2);
    assert!(said.contains("no bundle speaks for 2025: the archive has"), "{said}");
    assert!(refused(&["--period", "soon"], 2).contains("`soon` is no period"));
    refused(&["--from", "2026-11-21"], 2);
    refused(&["--period", "2026", "--bundle", "1"], 2);
    assert!(
        refused(&["--period", "2026", "--framework", "soc2"], 2).contains("no framework `soc2`")
    );
}
