//! What was sealed is read back: reports, exports and differences, from an archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use affidavit::archive::Directory;
use affidavit::assessment::StatusCounts;
use affidavit::sealed::Bundle;
use quick_junit::{Report, TestCaseStatus};
use serde_json::Value;

use crate::command::{self, done, error, pdf_text};
use crate::small_chain::{ORIGIN, root, run, small_chain, workspace};
use crate::support::{sarif_schema, schema_errors};
use crate::tools;

const TEMPLATES: [&str; 3] = ["executive", "framework", "full"];

fn affidavit(folder: &Path, arguments: &[&str]) -> Output {
    let root = root().to_string();
    let more = ["--now", "2026-11-24T03:00:00Z", "--root", &root];
    command::affidavit(folder, &[arguments, &more].concat())
}

fn small_chain_bundle() -> Bundle {
    Bundle::read(&Directory::new(small_chain().0.path().join("archive")), None).unwrap()
}

/// An export of the newest bundle to standard output.
fn exported(format: &str) -> Vec<u8> {
    let arguments = ["export", "archive", "--format", format, "--out", "-"];
    let output = affidavit(small_chain().0.path(), &arguments);
    done(&output);
    output.stdout
}

#[apply(test)]
fn a_report_is_rendered_again_in_the_same_bytes_and_another_is_told_apart() {
    let archive = small_chain().0.path();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.pdf");
    let path = path.to_str().unwrap();
    for seq in ["0", "1"] {
        let output = affidavit(archive, &["report", "archive", "--bundle", seq, "--out", path]);
        done(&output);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("byte for byte the report that was sealed"), "{said}");
        let said =
            done(&affidavit(archive, &["report", "archive", "--bundle", seq, "--check", path]));
        assert!(
            said.contains(&format!("is the report that bundle {seq} of {ORIGIN} sealed")),
            "{said}"
        );
        assert!(said.contains("gives the same bytes"), "{said}");
    }
    // The report of another bundle, and one in which a byte is another.
    let output = affidavit(archive, &["report", "archive", "--bundle", "0", "--check", path]);
    assert!(error(&output, 6).contains("is not the report that bundle 0"));
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    error(&affidavit(archive, &["report", "archive", "--bundle", "1", "--check", path]), 6);
}

#[apply(test)]
fn an_archive_that_does_not_verify_gives_nothing() {
    let (folder, archive) = crate::small_chain::copy();
    let log = archive.join("log/0000000000.json");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replace("\"seq\":0", "\"seq\":1")).unwrap();
    for arguments in [
        &["report", "archive", "--out", "x.pdf"][..],
        &["export", "archive", "--format", "sarif", "--out", "x"],
        &["diff", "archive", "0", "1"],
    ] {
        let said = error(&affidavit(folder.path(), arguments), 6);
        assert!(said.contains("the archive does not verify"), "{said}");
    }
    assert!(!folder.path().join("x").exists() && !folder.path().join("x.pdf").exists());
}

#[apply(test)]
fn a_changed_file_of_a_bundle_is_named() {
    let (folder, archive) = crate::small_chain::copy();
    let items = crate::small_chain::files(&archive);
    for path in items.iter().filter(|path| path.ends_with("items.jsonl")) {
        let text = fs::read_to_string(archive.join(path)).unwrap();
        fs::write(archive.join(path), text.replace("not-satisfied", "satisfied")).unwrap();
    }
    let output =
        affidavit(folder.path(), &["export", "archive", "--format", "junit", "--out", "-"]);
    assert!(output.stdout.is_empty());
    let said = error(&output, 6);
    assert!(said.contains("items.jsonl: it was changed"), "{said}");
}

#[apply(test)]
fn a_sealed_report_that_was_changed_is_not_taken_for_another_versions() {
    let (folder, archive) = crate::small_chain::copy();
    let all = crate::small_chain::files(&archive);
    for path in all.iter().filter(|path| path.ends_with("report.pdf")) {
        fs::write(archive.join(path), b"%PDF-1.7").unwrap();
    }
    let said = error(&affidavit(folder.path(), &["report", "archive", "--out", "x.pdf"]), 6);
    assert!(said.contains("report.pdf: it was changed"), "{said}");
    assert!(!folder.path().join("x.pdf").exists());
}

/// A report of the newest bundle by one of the templates.
fn by_template(out: &Path, template: &str) -> PathBuf {
    let path = out.join(template).with_extension("pdf");
    let arguments = ["report", "archive", "--template", template, "--out", path.to_str().unwrap()];
    done(&affidavit(small_chain().0.path(), &arguments));
    path
}

#[apply(test)]
fn a_report_by_each_template_is_told_from_the_same_by_another() {
    let folder = small_chain().0.path();
    let out = tempfile::tempdir().unwrap();
    for template in TEMPLATES {
        let path = by_template(out.path(), template);
        let name = path.to_str().unwrap();
        let same = ["report", "archive", "--template", template, "--check", name];
        let said = done(&affidavit(folder, &same));
        assert!(said.contains(name), "{said}");
        let other = if template == "framework" { "executive" } else { "framework" };
        let other = ["report", "archive", "--template", other, "--check", name];
        error(&affidavit(folder, &other), 6);
    }
}

#[apply(test)]
fn a_replay_recomputes_every_bundle() {
    let folder = small_chain().0.path();
    let replay = ["verify", "archive", "--replay", "--output", "json"];
    let replay: Value = serde_json::from_slice(&affidavit(folder, &replay).stdout).unwrap();
    let mut codes = replay["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]);
    // The chain is read days after its last run, and nobody keeps its head.
    assert!(codes.all(|code| code == "STALE_HEAD" || code == "HEAD_UNPINNED"), "{replay:#}");
    assert_eq!(replay["checked"]["replayed"], 3, "{replay:#}");
}

/// Those that the test above recomputes.
#[apply(test)]
fn every_template_prints_the_totals_of_the_bundle() {
    tools::PDFTOTEXT.demand();
    let bundle = small_chain_bundle();
    let counts = bundle.items.controls.values().map(|control| control.status);
    let counts = StatusCounts::of(counts);
    let said = format!(
        "Evidence bears on {} of {} controls that apply; it contradicts {} of them",
        counts.assessed(),
        counts.applicable(),
        counts.not_satisfied
    );
    let out = tempfile::tempdir().unwrap();
    for template in TEMPLATES {
        let text = pdf_text(&by_template(out.path(), template));
        assert!(text.contains(&said), "{template}: no `{said}` in\n{text}");
        let all = format!("satisfied {} supported {}", counts.satisfied, counts.supported);
        assert!(text.contains(&all), "{template}: no `{all}`");
        for word in ["compliant", "certified", "does not add up"] {
            assert!(!text.to_lowercase().contains(word), "{template}: `{word}`");
        }
    }
}

/// Writes the annex of the newest bundle's report; gives its folder.
fn annex(out: &Path) -> PathBuf {
    let folder = out.join("annex");
    let arguments = ["report", "archive", "--annex", folder.to_str().unwrap()];
    done(&affidavit(small_chain().0.path(), &arguments));
    folder
}

#[apply(test)]
fn the_annex_of_few_findings_is_one_file() {
    let out = tempfile::tempdir().unwrap();
    assert_eq!(crate::small_chain::files(&annex(out.path())), ["annex-1.pdf"]);
}

#[apply(test)]
fn verapdf_finds_the_annex_archival_and_accessible() {
    tools::VERAPDF.demand();
    let out = tempfile::tempdir().unwrap();
    crate::stock_tools::validate(&annex(out.path()), &["annex-1.pdf"]);
}

#[apply(test)]
fn the_annex_has_every_finding_once_under_the_number_that_the_report_gives_it() {
    tools::PDFTOTEXT.demand();
    let out = tempfile::tempdir().unwrap();
    let text = pdf_text(&annex(out.path()).join("annex-1.pdf"));
    let bundle = small_chain_bundle();
    assert!(text.contains(&format!("All {} findings", bundle.items.findings.len())), "{text}");
    // In the order of the checks: 4.1.1 passes in row 1, 4.1.2 fails in row 2, 4.2.1 passes in row 3.
    assert!(text.contains("kube-bench:cis-1.12:4.1.1 1 pass · row 1 "), "{text}");
    assert!(text.contains("2 fail, unknown · Node/node-1"), "{text}");
    assert!(text.contains("Pass, row 3, in order: Node/node-1"), "{text}");
}

/// A report by a template of a user's own, which prints this; to `own.pdf` beside it.
fn by_own_template(own: &Path, prints: &str) -> Output {
    let common = "#import \"/common/style.typ\": *\n#import \"/common/page.typ\": *\n#show: layout.with(title: \"Own\")\n";
    fs::write(own.join("main.typ"), format!("{common}= Own\n{prints}")).unwrap();
    let (template, pdf) = (own.to_str().unwrap(), own.join("own.pdf"));
    let arguments = ["report", "archive", "--template", template, "--out", pdf.to_str().unwrap()];
    affidavit(small_chain().0.path(), &arguments)
}

const OWN_WORDS: &str = "#num(r.totals.findings) findings of #r.cluster.name";

#[apply(test)]
fn a_template_of_a_user_prints_what_it_says() {
    tools::PDFTOTEXT.demand();
    let own = tempfile::tempdir().unwrap();
    done(&by_own_template(own.path(), OWN_WORDS));
    let text = pdf_text(&own.path().join("own.pdf"));
    assert!(text.contains("3 findings of test"), "{text}");
}

#[apply(test)]
fn templates_of_users_are_compiled_and_their_faults_are_placed() {
    let folder = small_chain().0.path();
    let own = tempfile::tempdir().unwrap();
    done(&by_own_template(own.path(), OWN_WORDS));
    let said = error(&by_own_template(own.path(), "#r.nothing"), 3);
    assert!(said.contains("/main.typ:5:") && said.contains("nothing"), "{said}");
    // Nothing beside the template can be read.
    let said = error(&by_own_template(own.path(), "#read(\"/etc/passwd\")"), 3);
    assert!(said.contains("/main.typ:5:"), "{said}");
    let unknown = ["report", "archive", "--template", "no-such", "--out", "x.pdf"];
    let said = error(&affidavit(folder, &unknown), 2);
    assert!(said.contains("neither one of") && said.contains("executive"), "{said}");
    let unknown = ["report", "archive", "--framework", "soc2", "--out", "x.pdf"];
    let said = error(&affidavit(folder, &unknown), 2);
    assert!(said.contains("no framework `soc2`, but cis-kubernetes@1.12"), "{said}");
}

#[apply(test)]
fn sarif_keeps_to_the_schema_of_its_standard() {
    let bytes = exported("sarif");
    assert_eq!(bytes, exported("sarif"));
    let log: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(schema_errors(&sarif_schema(), &log), "");
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 3);
    let mut other = log;
    other["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(schema_errors(&sarif_schema(), &other).contains("/level"));
    // Our own reader finds the same again.
    let reading = affidavit::scanner::read(&bytes, "").unwrap();
    assert_eq!(reading.formats, ["sarif"]);
    let outcomes: Vec<_> =
        reading.parsed.findings.iter().map(|f| (f.check.as_str(), f.outcome.as_str())).collect();
    assert_eq!(
        outcomes,
        [
            ("sarif:affidavit/kube-bench:cis-1.12:4.1.1", "pass"),
            ("sarif:affidavit/kube-bench:cis-1.12:4.1.2", "fail"),
            ("sarif:affidavit/kube-bench:cis-1.12:4.2.1", "pass"),
        ]
    );
}

#[apply(test)]
fn junit_is_what_others_read_and_nothing_unassessed_passes() {
    let report =
        Report::deserialize_from_str(std::str::from_utf8(&exported("junit")).unwrap()).unwrap();
    let suite = report.test_suites.first().unwrap();
    assert_eq!(suite.name.as_str(), "cis-kubernetes@1.12");
    assert_eq!((suite.tests, suite.failures), (131, 1));
    let passed: Vec<_> = suite
        .test_cases
        .iter()
        .filter(|case| matches!(case.status, TestCaseStatus::Success { .. }))
        .map(|case| case.name.as_str().split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(passed, ["4.1.1", "4.2.1"]);
}

/// Export of every framework of the quick start's run.
#[apply(test)]
fn oscal_keeps_to_the_schema_of_nist_and_decides_nothing_that_was_not_decided() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let written = fs::read_to_string(&config).unwrap();
    let all = "[cis-kubernetes@1.12, pci-dss, hipaa-security-rule]";
    fs::write(&config, written.replace("[cis-kubernetes@1.12]", all)).unwrap();
    run(&config, "2026-11-20T02:00:00Z");
    let document = valid_oscal(folder.path(), "oscal", "oscal_assessment-results_schema.json");
    let results = document.pointer("/assessment-results/results").unwrap().as_array().unwrap();
    assert_eq!(results.len(), 3);
    let states: Vec<(&str, &str)> = results[0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let target = &finding["target"];
            let state = target.pointer("/status/state").unwrap();
            (target["target-id"].as_str().unwrap(), state.as_str().unwrap())
        })
        .collect();
    let expected = [("_4.1.1", "satisfied"), ("_4.1.2", "not-satisfied"), ("_4.2.1", "satisfied")];
    assert_eq!(states, expected);
    // The others are named: 131 controls, of which 3 are decided, and the framework.
    assert_eq!(results[0]["props"].as_array().unwrap().len(), 1 + 131 - 3);
    assert_eq!(results[0]["risks"].as_array().unwrap().len(), 1);

    // What remains: one failure, and everything that waits for evidence.
    let plan = valid_oscal(folder.path(), "oscal-poam", "oscal_poam_schema.json");
    let plan = &plan["plan-of-action-and-milestones"];
    let items = plan["poam-items"].as_array().unwrap();
    let of_cis = |item: &&Value| item["title"].as_str().unwrap().starts_with("cis-kubernetes");
    assert_eq!(items.iter().filter(of_cis).count(), 131 - 2);
    assert_eq!(items.iter().filter(|item| item.get("related-risks").is_some()).count(), 1);
    assert_eq!(plan["findings"].as_array().unwrap().len(), 1);
}

/// An export that is the same each time and keeps to a schema of NIST.
fn valid_oscal(folder: &Path, format: &str, schema: &str) -> Value {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oscal").join(schema);
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    let arguments = ["export", "archive", "--format", format, "--out", "-"];
    let text = done(&affidavit(folder, &arguments));
    assert_eq!(text, done(&affidavit(folder, &arguments)));
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema_errors(&schema, &document), "");
    document
}

#[apply(test)]
fn csv_is_what_others_read_and_its_totals_are_the_bundles() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments = ["export", "archive", "--format", "csv", "--out", out.to_str().unwrap()];
    done(&affidavit(small_chain().0.path(), &arguments));
    let rows = |name: &str| -> Vec<csv::StringRecord> {
        let mut reader = csv::Reader::from_path(out.join(name)).unwrap();
        reader.records().map(Result::unwrap).collect()
    };
    let controls = rows("controls.csv");
    assert_eq!(controls.len(), 131);
    let failing: Vec<&str> =
        controls.iter().filter(|row| &row[3] == "not-satisfied").map(|row| &row[1]).collect();
    assert_eq!(failing, ["4.1.2"]);
    assert_eq!(rows("findings.csv").len(), 3);
    assert_eq!(&rows("sources.csv")[0][0], "kube-bench");
    // Several files have no place on standard output.
    let arguments = ["export", "archive", "--format", "csv", "--out", "-"];
    error(&affidavit(small_chain().0.path(), &arguments), 2);
}

#[apply(test)]
fn a_difference_keeps_the_cluster_and_the_rules_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    run(&config, "2026-11-20T02:00:00Z");
    // The cluster: one failure mended, another new, and a check that is no longer made.
    let input = folder.path().join("inputs/node-1.json");
    let text = fs::read_to_string(&input).unwrap();
    let text = text
        .replace(
            r#""test_number":"4.1.2","status":"FAIL""#,
            r#""test_number":"4.1.2","status":"PASS""#,
        )
        .replace(
            r#""test_number":"4.1.1","status":"PASS""#,
            r#""test_number":"4.1.1","status":"FAIL""#,
        );
    fs::write(&input, text).unwrap();
    run(&config, "2026-11-21T02:00:00Z");
    // The rules: another framework beside the first, and the node's file without that failure.
    let written = fs::read_to_string(&config).unwrap();
    fs::write(&config, written.replace("[cis-kubernetes@1.12]", "[cis-kubernetes@1.12, pci-dss]"))
        .unwrap();
    let text = fs::read_to_string(&input).unwrap();
    let text = text
        .replace(r#"{"test_number":"4.1.1","status":"FAIL","scored":true},"#, "")
        .replace(r#""total_fail":1"#, r#""total_fail":0"#);
    fs::write(&input, text).unwrap();
    run(&config, "2026-11-22T02:00:00Z");

    let difference = |before: &str, after: &str| -> Value {
        let arguments = ["diff", "archive", before, after, "--output", "json"];
        let text = done(&affidavit(folder.path(), &arguments));
        serde_json::from_str::<Value>(&text).unwrap()["difference"].take()
    };
    let cluster = difference("0", "1");
    let checks = |list: &Value| -> Vec<String> {
        let texts =
            list.as_array().unwrap().iter().map(|f| f["check"].as_str().unwrap().to_owned());
        texts.collect()
    };
    assert_eq!(checks(&cluster["opened"]), ["kube-bench:cis-1.12:4.1.1"]);
    assert_eq!(checks(&cluster["closed"]), ["kube-bench:cis-1.12:4.1.2"]);
    assert!(checks(&cluster["vanished"]).is_empty());
    assert!(cluster["rules"].as_array().unwrap().is_empty(), "{cluster:#}");
    let changed = cluster["controls"].as_array().unwrap();
    assert!(changed.iter().all(|change| change["mapping_changed"] == false), "{cluster:#}");
    let names: Vec<_> = changed.iter().map(|change| change["control"].as_str().unwrap()).collect();
    assert_eq!(names, ["cis-kubernetes@1.12/4.1.1", "cis-kubernetes@1.12/4.1.2"]);

    // Nobody mended 4.1.1: nothing is said of it any more.
    let rules = difference("1", "2");
    assert_eq!(checks(&rules["vanished"]), ["kube-bench:cis-1.12:4.1.1"]);
    assert!(checks(&rules["closed"]).is_empty());
    let said = rules["rules"].to_string();
    assert!(said.contains("mapping of pci-dss@4.0.1: new"), "{said}");

    let text = done(&affidavit(folder.path(), &["diff", "archive", "0", "1"]));
    assert!(text.contains("Cluster: failures closed: 1"), "{text}");
    assert!(text.contains("cis-kubernetes@1.12/4.1.2  not-satisfied → satisfied"), "{text}");
    assert!(text.contains("Rules and tools: 0"), "{text}");
    let same = done(&affidavit(folder.path(), &["diff", "archive", "1", "1"]));
    assert!(same.contains("Nothing changed."), "{same}");
    let said = error(&affidavit(folder.path(), &["diff", "archive", "0", "9"]), 2);
    assert!(said.contains("there is no bundle 9; the archive has 3"), "{said}");
}
