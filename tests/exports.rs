//! Exports that programs of others read: OSCAL by NIST's schema and compliance-trestle, a workbook, HDF by
//! MITRE's parser, Parquet by `DuckDB`. `OpenReports` go to the real API server in `kubernetes/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use affidavit::archive::Directory;
use affidavit::assessment::Status;
use affidavit::finding::Outcome;
use affidavit::sealed::Bundle;
use calamine::{Data, Reader as _, Xlsx};
use serde_json::{Value, json};

use crate::command::{self, done};
use crate::small_chain::{root, run, workspace};
use crate::support::schema_errors;
use crate::tools;

const NOW: &str = "2026-11-20T02:00:00Z";

/// What the message of the first result of [`policies`] is: a formula, to a spreadsheet.
const FORMULA: &str = "=HYPERLINK(\"http://example.com\",\"x\")";

/// A policy report of Kyverno's shape over `namespace`: three in ten fail.
fn policies(namespace: &str, results: usize) -> String {
    let mut text = String::from(
        r#"{"apiVersion":"wgpolicyk8s.io/v1alpha2","kind":"PolicyReport","metadata":{"name":"r","namespace":""#,
    );
    write!(text, r#"{namespace}"}},"results":["#).unwrap();
    for index in 0..results {
        let comma = if index == 0 { "" } else { "," };
        let (result, message) = match index {
            0 => ("fail", FORMULA.replace('"', "\\\"")),
            _ if index % 10 < 3 => ("fail", "privileged containers are not allowed".to_owned()),
            _ => ("pass", "rule passed".to_owned()),
        };
        write!(
            text,
            r#"{comma}{{"source":"kyverno","policy":"disallow-privileged-containers","rule":"privileged-containers","result":"{result}","severity":"high","scored":true,"timestamp":{{"seconds":1795118400,"nanos":0}},"message":"{message}","resources":[{{"apiVersion":"v1","kind":"Pod","namespace":"{namespace}","name":"pod-{index}"}}]}}"#
        )
        .unwrap();
    }
    text.push_str("]}");
    text
}

/// An archive with one bundle: nodes, and 1 200 results in the namespace `payments`.
pub fn archive(folder: &Path) -> Bundle {
    let config = workspace(folder);
    fs::write(folder.join("kyverno.json"), policies("payments", 1_200)).unwrap();
    fs::write(
        folder.join("waivers.yaml"),
        "waivers:\n- id: W-1\n  scope: { checks: ['kube-bench:cis-1.12:4.1.2'], resources: ['*'] }\n  reason: replaced next week\n  approver: Priya Raman\n  ticket: SEC-1\n  expires: 2026-12-01\n",
    )
    .unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("[cis-kubernetes@1.12]", "[cis-kubernetes@1.12, pci-dss@4.0.1]");
    let more = "  - { name: kyverno, scanner: policy, files: ['kyverno.json'], max_age: 3650d }\nwaivers: [waivers.yaml]\n";
    fs::write(&config, format!("{text}{more}")).unwrap();
    run(&config, NOW);
    Bundle::read(&Directory::new(folder.join("archive")), None).unwrap()
}

/// The archive of [`archive`], and in the namespace `long` 600 results whose messages take many bytes
/// for their characters, most of all as the API server writes them.
pub fn archive_with_long_messages(folder: &Path) -> Bundle {
    archive(folder);
    let long = "<界".repeat(500);
    let text = policies("long", 600).replace("rule passed", &long);
    fs::write(folder.join("kyverno-long.json"), text).unwrap();
    let config = folder.join("affidavit.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("['kyverno.json']", "['kyverno*.json']")).unwrap();
    run(&config, "2026-11-20T02:30:00Z");
    Bundle::read(&Directory::new(folder.join("archive")), None).unwrap()
}

fn affidavit(folder: &Path, arguments: &[&str]) -> Output {
    let root = root().to_string();
    let more = ["--now", "2026-11-20T03:00:00Z", "--root", &root];
    command::affidavit(folder, &[arguments, &more].concat())
}

/// An export to `out`, which is the same each time.
pub fn export(folder: &Path, format: &str, out: &str) -> PathBuf {
    let again = format!("again-{out}");
    for name in [out, &again] {
        let arguments = ["export", "archive", "--format", format, "--out", name];
        done(&affidavit(folder, &arguments));
    }
    let (first, second) = (folder.join(out), folder.join(again));
    if first.is_dir() {
        let files = crate::small_chain::files(&first);
        assert_eq!(files, crate::small_chain::files(&second));
        for file in files {
            assert!(fs::read(first.join(&file)).unwrap() == fs::read(second.join(&file)).unwrap());
        }
    } else {
        assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "{format}: other bytes");
    }
    first
}

fn outcomes(bundle: &Bundle) -> BTreeMap<&'static str, usize> {
    let mut outcomes = BTreeMap::new();
    for finding in &bundle.items.findings {
        *outcomes.entry(finding.outcome.as_str()).or_default() += 1;
    }
    outcomes
}

/// An export as JSON.
fn exported(folder: &Path, format: &str, out: &str) -> Value {
    serde_json::from_slice(&fs::read(export(folder, format, out)).unwrap()).unwrap()
}

/// What a script for Python with the packages of `tests/stock` prints.
fn by_python(folder: &Path, script: &str) -> String {
    done(&tools::PYTHON.command().args(["-c", script]).current_dir(folder).output().unwrap())
}

#[apply(test)]
fn the_plan_keeps_to_nists_schema_and_the_results_import_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bundle = archive(folder);
    let plan = exported(folder, "oscal-ap", "assessment-plan.json");
    let schema =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oscal/oscal_assessment-plan_schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    assert_eq!(schema_errors(&schema, &plan), "");
    let selected = &plan["assessment-plan"]["reviewed-controls"]["control-selections"];
    let selected: usize = selected
        .as_array()
        .unwrap()
        .iter()
        .map(|selection| selection["include-controls"].as_array().unwrap().len())
        .sum();
    assert_eq!(selected, bundle.items.controls.len());
    let results = exported(folder, "oscal", "assessment-results.json");
    let plan = plan["assessment-plan"]["uuid"].as_str().unwrap();
    assert_eq!(results["assessment-results"]["import-ap"]["href"], format!("#{plan}"));
}

#[apply(test)]
fn all_oscal_is_read_by_trestle() {
    tools::PYTHON.demand();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    archive(folder);
    let plan = exported(folder, "oscal-ap", "assessment-plan.json");
    export(folder, "oscal", "assessment-results.json");
    export(folder, "oscal-poam", "poam.json");
    let plan = plan["assessment-plan"]["uuid"].as_str().unwrap();
    let script = "import pathlib, sys\n\
        from trestle.oscal.assessment_plan import AssessmentPlan as Plan\n\
        from trestle.oscal.assessment_results import AssessmentResults as Results\n\
        from trestle.oscal.poam import PlanOfActionAndMilestones as Poam\n\
        p = Plan.oscal_read(pathlib.Path('assessment-plan.json'))\n\
        r = Results.oscal_read(pathlib.Path('assessment-results.json'))\n\
        m = Poam.oscal_read(pathlib.Path('poam.json'))\n\
        print(p.uuid, len(r.results), len(m.poam_items))";
    let said = by_python(folder, script);
    assert!(said.starts_with(&format!("{plan} 2 ")), "{said}");
}

#[apply(test)]
fn a_workbook_opens_with_typed_cells_and_text_that_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = archive(folder.path());
    let path = export(folder.path(), "xlsx", "evidence.xlsx");
    let mut book: Xlsx<_> = calamine::open_workbook(&path).unwrap();
    let sheets = ["Summary", "Controls", "Findings", "Waivers", "Attestations", "Gaps", "Sources"];
    assert_eq!(book.sheet_names(), sheets);
    let findings = book.worksheet_range("Findings").unwrap();
    assert_eq!(findings.height(), bundle.items.findings.len() + 1);
    let column = |name: &str| {
        let heads = findings.rows().next().unwrap();
        heads.iter().position(|head| *head == Data::String(name.into())).unwrap()
    };
    let (outcome, message) = (column("outcome"), column("message"));
    let failing = findings.rows().filter(|row| row[outcome] == Data::String("fail".into()));
    assert_eq!(failing.count(), outcomes(&bundle)["fail"]);
    assert!(findings.rows().any(|row| row[message] == Data::String(FORMULA.into())));
    let formulas = book.worksheet_formula("Findings").unwrap();
    assert!(formulas.rows().flatten().all(String::is_empty), "a text became a formula");
    let controls = book.worksheet_range("Controls").unwrap();
    assert_eq!(controls.height(), bundle.items.controls.len() + 1);
    let row = controls.rows().find(|row| row[1] == Data::String("4.1.2".into())).unwrap();
    assert_eq!(row[3], Data::String("waived".into()));
    assert_eq!(row[6], Data::Float(1.0));
    let summary = book.worksheet_range("Summary").unwrap();
    let date = summary.rows().flatten().find_map(|cell| match cell {
        Data::DateTime(date) => Some(date.as_f64()),
        _ => None,
    });
    // Days since the end of 1899.
    assert!((date.unwrap() - 46_346.083_333).abs() < 0.001, "{date:?}");
    let waivers = book.worksheet_range("Waivers").unwrap();
    assert_eq!(waivers.height(), 2);
    let Data::DateTime(until) = &waivers[(1, 7)] else { panic!("{:?}", waivers[(1, 7)]) };
    assert!((until.as_f64() - 46_357.0).abs() < 1e-9, "{until:?}");
    let waived: Vec<_> = findings
        .rows()
        .filter(|row| row[column("waivers")] == Data::String("W-1".into()))
        .collect();
    assert_eq!(waived.len(), 1);
    assert_eq!(waived[0][outcome], Data::String("fail".into()));
}

/// It comes with compliance-trestle.
#[apply(test)]
fn a_workbook_is_read_by_openpyxl() {
    tools::PYTHON.demand();
    let folder = tempfile::tempdir().unwrap();
    let bundle = archive(folder.path());
    export(folder.path(), "xlsx", "evidence.xlsx");
    let script = "import datetime, json, openpyxl\n\
        b = openpyxl.load_workbook('evidence.xlsx')\n\
        w = b['Waivers']\n\
        print(json.dumps({'rows': {s.title: s.max_row for s in b}, 'until': w['H2'].value.isoformat(),\n\
          'frozen': sorted({s.freeze_panes for s in b}), 'filter': b['Findings'].auto_filter.ref,\n\
          'formulas': sum(c.data_type == 'f' for s in b for r in s.iter_rows() for c in r),\n\
          'created': b.properties.created.isoformat()}))";
    let read: Value = serde_json::from_str(&by_python(folder.path(), script)).unwrap();
    assert_eq!(read["rows"]["Findings"], bundle.items.findings.len() + 1);
    assert_eq!(read["until"], "2026-12-01T00:00:00");
    assert_eq!(read["frozen"], json!(["A2"]));
    assert_eq!(read["filter"], format!("A1:N{}", bundle.items.findings.len() + 1));
    // A formula's text is text here, too: openpyxl would take it for one only when it is asked to write.
    assert_eq!(read["formulas"], 0);
    assert_eq!(read["created"], "2026-11-20T02:00:00");
}

/// The archive of [`archive`], in which people also say that a control is not in place whose check
/// passes, that one is in place at which no check looks, and that some do not apply.
fn archive_with_people(folder: &Path) -> (PathBuf, Bundle) {
    archive(folder);
    let config = folder.join("affidavit.yaml");
    let mut said = String::from("attestations:\n");
    for (id, control, outcome) in [
        ("A-1", "cis-kubernetes@1.12/4.1.1", "not-implemented"),
        ("A-2", "cis-kubernetes@1.12/3.1.1", "implemented"),
        ("A-3", "pci-dss@4.0.1/9.*", "not-applicable"),
    ] {
        writeln!(
            said,
            "- {{ id: {id}, controls: ['{control}'], outcome: {outcome}, by: Jo Field, role: auditor, statement: seen, date: 2026-11-01, until: 2026-12-31 }}"
        )
        .unwrap();
    }
    fs::write(folder.join("attestations.yaml"), said).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}attestations: [attestations.yaml]\n")).unwrap();
    run(&config, "2026-11-20T02:30:00Z");
    (config, Bundle::read(&Directory::new(folder.join("archive")), None).unwrap())
}

/// What Heimdall shows for a control of that status. It never shows more than the evidence has.
fn in_heimdall(status: &str) -> &'static [&'static str] {
    match status {
        "satisfied" => &["Passed"],
        // A waiver takes nothing from a failure.
        "not-satisfied" | "waived" => &["Failed"],
        "not-applicable" => &["Not Applicable"],
        "supported" => &["Not Reviewed"],
        // A scanner that could not tell is an error there; a waived failure beside what waits for a
        // person stays a failure.
        "manual" | "not-assessed" => &["Not Reviewed", "Profile Error", "Failed"],
        other => panic!("{other}"),
    }
}

/// A part of what was declared is not there: what the rest says is no pass.
fn run_without_a_part(folder: &Path, config: &Path) -> Bundle {
    let text = fs::read_to_string(config).unwrap();
    let text = text.replacen("expect_files: 1", "expect_files: 2", 1);
    fs::write(config, text).unwrap();
    run(config, "2026-11-20T02:45:00Z");
    Bundle::read(&Directory::new(folder.join("archive")), None).unwrap()
}

#[apply(test)]
fn hdf_has_every_control_and_until_when_its_waiver_holds() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (config, bundle) = archive_with_people(folder);
    let attested = &bundle.items.controls["cis-kubernetes@1.12/4.1.1"];
    assert_eq!((attested.status, attested.passing), (Status::NotSatisfied, 1));
    assert!(bundle.items.controls.values().any(|control| control.status == Status::Waived));
    hdf(folder, &bundle);
    let bundle = run_without_a_part(folder, &config);
    let incomplete = &bundle.items.controls["cis-kubernetes@1.12/4.2.1"];
    assert_eq!((incomplete.status, incomplete.passing), (Status::NotAssessed, 1));
    hdf(folder, &bundle);
}

/// HDF of the newest bundle; gives the file's name.
fn hdf(folder: &Path, bundle: &Bundle) -> String {
    let name = format!("evidence-{}.hdf.json", bundle.seq());
    let document = exported(folder, "hdf", &name);
    let mut controls = 0;
    let profiles = document["profiles"].as_array().unwrap().iter();
    for control in profiles.flat_map(|profile| profile["controls"].as_array().unwrap()) {
        controls += 1;
        if control["tags"]["status"] == "waived" {
            assert_eq!(control["waiver_data"]["expiration_date"], "2026-12-01");
        }
    }
    assert_eq!(controls, bundle.items.controls.len());
    name
}

/// Exports HDF of the newest bundle and has MITRE's code say what Heimdall shows: how often each pair
/// of our status and its word. Stops at a control that looks better or worse there.
fn read_by_heimdall(folder: &Path, bundle: &Bundle) -> BTreeMap<(String, String), usize> {
    let name = hdf(folder, bundle);
    let parser = tools::INSPECJS.path();
    let script = format!(
        "const {{ Convert }} = require(process.argv[1]);\n\
         const {{ ExecControl }} = require(process.argv[2]);\n\
         const text = require('fs').readFileSync('{name}', 'utf8');\n\
         const read = Convert.toExecJSON(text);\n\
         let refused = false;\n\
         try {{ Convert.toExecJSON(text.replace('\"status\": \"failed\"', '\"status\": \"fine\"')); }} catch (e) {{ refused = true; }}\n\
         console.log(JSON.stringify({{ refused, controls: read.profiles.flatMap(p => p.controls.map(c =>\n\
           [p.name + '/' + c.id, c.tags.status, new ExecControl(c).status])) }}));",
    );
    let output = tools::NODE
        .command()
        .args(["-e", &script])
        .arg(parser.join("lib/generated_parsers/v_1_0/exec-json.js"))
        .arg(parser.join("lib/compat_impl/compat_inspec_1_0.js"))
        .current_dir(folder)
        .output()
        .unwrap();
    let read: Value = serde_json::from_str(&done(&output)).unwrap();
    assert_eq!(read["refused"], true);
    let read = read["controls"].as_array().unwrap();
    assert_eq!(read.len(), bundle.items.controls.len());
    let mut wrong = Vec::new();
    let mut shown = BTreeMap::new();
    for control in read {
        let [id, status, heimdall] = [0, 1, 2].map(|place| control[place].as_str().unwrap());
        assert_eq!(bundle.items.controls[id].status.as_str(), status, "{id}");
        *shown.entry((status.to_owned(), heimdall.to_owned())).or_default() += 1;
        if !in_heimdall(status).contains(&heimdall) {
            wrong.push(format!("{id}: {status} is shown as {heimdall}"));
        }
    }
    assert!(wrong.is_empty(), "{shown:?}\n{}", wrong.join("\n"));
    shown
}

#[apply(test)]
fn heimdall_shows_no_control_better_than_the_evidence_has_it() {
    for tool in [tools::NODE, tools::INSPECJS] {
        tool.demand();
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (config, bundle) = archive_with_people(folder);
    let shown = read_by_heimdall(folder, &bundle);
    for status in Status::ALL {
        assert!(shown.keys().any(|(ours, _)| ours == status.as_str()), "{status:?}: {shown:?}");
    }
    let bundle = run_without_a_part(folder, &config);
    read_by_heimdall(folder, &bundle);
}

/// Parquet of two clusters beside each other in `fleet`, as a fleet's lies: their newest bundles.
fn parquet_of_a_fleet(folder: &Path, second: &Path) -> [Bundle; 2] {
    let bundle = archive(folder);
    let fleet = export(folder, "parquet", "fleet");
    let config = workspace(second);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("{ name: test }", "{ name: 'eu/west' }")).unwrap();
    run(&config, "2026-11-21T02:00:00Z");
    let arguments = ["export", "archive", "--format", "parquet", "--out", fleet.to_str().unwrap()];
    let output = Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .args(arguments)
        .args(["--now", "2026-11-21T03:00:00Z"])
        .current_dir(second)
        .output()
        .unwrap();
    done(&output);
    [bundle, Bundle::read(&Directory::new(second.join("archive")), None).unwrap()]
}

#[apply(test)]
fn parquet_of_clusters_lies_beside_each_other() {
    let [folder, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    parquet_of_a_fleet(folder.path(), second.path());
    assert_eq!(
        crate::small_chain::files(&folder.path().join("fleet")),
        [
            "controls/cluster=eu%2Fwest/date=2026-11-21/bundle-0.parquet",
            "controls/cluster=test/date=2026-11-20/bundle-0.parquet",
            "findings/cluster=eu%2Fwest/date=2026-11-21/bundle-0.parquet",
            "findings/cluster=test/date=2026-11-20/bundle-0.parquet",
        ]
    );
}

#[apply(test)]
fn duckdb_queries_the_parquet_of_a_fleet() {
    tools::PYTHON.demand();
    let [folder, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [bundle, other] = parquet_of_a_fleet(folder.path(), second.path());
    let script = "import duckdb, json\n\
        q = lambda sql: [[str(v) for v in row] for row in duckdb.sql(sql).fetchall()]\n\
        f = \"read_parquet('fleet/findings/**/*.parquet', hive_partitioning = true)\"\n\
        c = \"read_parquet('fleet/controls/**/*.parquet', hive_partitioning = true)\"\n\
        print(json.dumps({\n\
          'outcomes': q(f\"SELECT outcome, count(*) FROM {f} WHERE cluster = 'test' GROUP BY outcome ORDER BY outcome\"),\n\
          'clusters': q(f\"SELECT cluster, date, count(*) FILTER (status = 'not-satisfied') FROM {c} GROUP BY ALL ORDER BY cluster\"),\n\
          'types': q(f\"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {c})\"),\n\
          'statuses': q(f\"SELECT status, count(*) FROM {c} WHERE cluster = 'test' GROUP BY status ORDER BY status\"),\n\
          'waived': q(f\"SELECT outcome, waivers, usable FROM {f} WHERE waivers <> ''\"),\n\
          'columns': q(f\"SELECT column_name FROM (DESCRIBE SELECT * FROM {f})\"),\n\
          'at': q(f\"SELECT DISTINCT epoch(run_at), origin, bundle FROM {f} WHERE cluster = 'test'\"),\n\
        }))";
    let found: Value = serde_json::from_str(&by_python(folder.path(), script)).unwrap();
    let expected: Vec<Value> = outcomes(&bundle)
        .into_iter()
        .map(|(outcome, count)| json!([outcome, count.to_string()]))
        .collect();
    assert_eq!(found["outcomes"], json!(expected));
    let failing = |bundle: &Bundle| {
        let statuses = bundle.items.controls.values().map(|control| control.status.as_str());
        statuses.filter(|status| *status == "not-satisfied").count().to_string()
    };
    assert_eq!(
        found["clusters"],
        json!([
            ["eu/west", "2026-11-21", failing(&other)],
            ["test", "2026-11-20", failing(&bundle)],
        ])
    );
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    for control in bundle.items.controls.values() {
        *statuses.entry(control.status.as_str()).or_default() += 1;
    }
    let statuses: Vec<Value> =
        statuses.into_iter().map(|(status, count)| json!([status, count.to_string()])).collect();
    assert_eq!(found["statuses"], json!(statuses));
    // A waived failure is a failure, with its waiver.
    assert_eq!(found["waived"], json!([["fail", "W-1", "True"]]));
    // The page on exports names every column.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/exports.md"));
    let page = page.unwrap();
    let columns = [&found["columns"], &found["types"]].map(|rows| rows.as_array().unwrap());
    for row in columns.into_iter().flatten() {
        let name = format!("`{}`", row[0].as_str().unwrap());
        assert!(page.contains(&name), "docs/exports.md does not name {name}");
    }
    let types: BTreeMap<&str, &str> = found["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row[0].as_str().unwrap(), row[1].as_str().unwrap()))
        .collect();
    assert_eq!(types["run_at"], "TIMESTAMP WITH TIME ZONE");
    assert_eq!((types["failing"], types["status"], types["date"]), ("BIGINT", "VARCHAR", "DATE"));
    assert_eq!(found["at"], json!([["1795140000.0", "evidence.example.com/test", "0"]]));
}

#[apply(test)]
fn open_reports_are_divided_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = archive(folder.path());
    let path = export(folder.path(), "openreports", "openreports.json");
    let list: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let reports = list["items"].as_array().unwrap();
    let results = |report: &Value| report["results"].as_array().unwrap().len();
    assert_eq!(reports.iter().map(results).sum::<usize>(), bundle.items.findings.len());
    assert!(reports.iter().all(|report| results(report) <= 500));
    assert!(reports.iter().all(|report| report.to_string().len() < 1_000_000));
    let parts: Vec<_> = reports
        .iter()
        .filter(|report| report["kind"] == "Report")
        .map(|report| report["metadata"]["annotations"]["affidavit/part"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["1 of 3", "2 of 3", "3 of 3"]);
    let waived = reports.iter().flat_map(|report| report["results"].as_array().unwrap());
    let waived: Vec<_> = waived.filter(|r| r["properties"]["waivers"] == "W-1").collect();
    assert_eq!(waived.len(), 1);
    assert_eq!(waived[0]["result"], "fail");
    let failing = bundle.items.findings.iter().filter(|f| f.outcome == Outcome::Fail).count();
    let said: u64 = reports.iter().map(|report| report["summary"]["fail"].as_u64().unwrap()).sum();
    assert_eq!(said, u64::try_from(failing).unwrap());
}
