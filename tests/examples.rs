//! The examples that run, as their pages say.

use std::path::Path;
use std::sync::OnceLock;

use affidavit::archive::Directory;
use affidavit::sealed::Bundle;
use serde_json::Value;

use crate::command::done;
use crate::tools;

/// What every example runs.
fn demand_tools() {
    for tool in [tools::BASH, tools::JQ] {
        tool.demand();
    }
}

/// Runs an example with this program in a folder of its own; gives what it said.
fn example(name: &str, work: &Path) -> String {
    demand_tools();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).join("run.sh");
    let output = tools::BASH
        .command()
        .arg(script)
        .arg(work)
        .env("AFFIDAVIT", env!("CARGO_BIN_EXE_affidavit"))
        .output()
        .unwrap();
    done(&output)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[apply(test)]
fn a_payment_platforms_quarter() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let said = example("payments-quarter", &work);
    assert!(said.contains("VERIFIED") && said.contains("runs 12 of 13, missed 1"), "{said}");
    let quarter = json(&work.join("quarter.json"));
    assert_eq!(quarter["gaps"].as_array().unwrap().len(), 1);
    let framework = &quarter["frameworks"][0];
    // What was mended is mended, and what was waived is no fix.
    let count = |of: &str| framework[of].as_u64().unwrap();
    assert!(count("fixed") >= 2 && count("ended_otherwise") >= 1 && count("open") > 0, "{said}");
    assert_eq!(quarter["waivers"][0]["id"], "W-2026-031");
    let newest = Bundle::read(&Directory::new(work.join("archive")), None).unwrap();
    let first = Bundle::read(&Directory::new(work.join("archive")), Some(0)).unwrap();
    assert!(newest.items.waivers[0].findings > 0, "the exception covers something");
    let fails = |bundle: &Bundle| {
        let fails = |finding: &&affidavit::record::FindingItem| {
            finding.outcome == affidavit::finding::Outcome::Fail
        };
        bundle.items.findings.iter().filter(fails).count()
    };
    assert!(fails(&newest) < fails(&first), "something was mended");
}

#[apply(test)]
fn a_hospitals_six_years() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let said = example("hospital-archive", &work);
    assert!(said.contains("VERIFIED") && said.contains("PAYLOAD_PRUNED"), "{said}");
    let kept = std::fs::read_dir(work.join("archive/bundles")).unwrap().count();
    assert!((24..28).contains(&kept), "{kept} of 28");
    assert_eq!(std::fs::read_dir(work.join("archive/checkpoints")).unwrap().count(), 28);
    let report = json(&work.join("six-years.json"));
    assert_eq!((&report["missed"], report["runs"].as_array().unwrap().len()), (&0.into(), 24));
}

#[apply(test)]
fn a_hand_over_across_an_air_gap() {
    for tool in [tools::TAR, tools::SHA256SUM] {
        tool.demand();
    }
    let folder = tempfile::tempdir().unwrap();
    let said = example("air-gapped", &folder.path().join("work"));
    assert!(said.contains("VERIFIED") && said.contains("sha256sum agrees"), "{said}");
    assert!(!said.contains("HEAD_UNPINNED"), "the head came by another way: {said}");
}

/// The folder in which the example of a fleet ran, and what it said.
fn retailers_fleet() -> &'static (tempfile::TempDir, String) {
    static RUN: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    demand_tools();
    RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let said = example("retailer-fleet", &folder.path().join("work"));
        (folder, said)
    })
}

#[apply(test)]
fn a_retailers_fleet() {
    let (folder, said) = retailers_fleet();
    let nights: Vec<&str> = said.split("== the night").collect();
    assert!(nights[1].matches(" is ok").count() == 4, "{said}");
    assert!(nights[2].contains("store-017 is stale"), "{said}");
    assert!(nights[3].contains("store-017 is not-verified  CHECKPOINT_INCONSISTENT"), "{said}");
    assert_eq!(said.matches("VERIFIED").count(), 2, "{said}");
    let nights = json(&folder.path().join("work/nights.json"));
    let worst = &nights["clusters"][0];
    assert_eq!(
        (&worst["name"], &worst["ok"], &worst["runs"]),
        (&"store-017".into(), &1.into(), &3.into())
    );
    assert_eq!(worst["others"], serde_json::json!([["not-verified", 1], ["stale", 1]]));
    assert_eq!(nights["clusters"][3]["ok"], 3);
}

#[apply(test)]
fn verapdf_finds_the_reports_of_a_retailers_fleet_archival_and_accessible() {
    tools::VERAPDF.demand();
    let work = retailers_fleet().0.path().join("work");
    crate::stock_tools::validate(&work, &["fleet.pdf", "nights.pdf"]);
}

#[apply(test)]
fn the_report_of_a_retailers_fleet_names_the_store_that_came_back_as_another() {
    tools::PDFTOTEXT.demand();
    let text = crate::command::pdf_text(&retailers_fleet().0.path().join("work/fleet.pdf"));
    for part in ["Fleet of 4 Kubernetes clusters", "not-verified", "store-017"] {
        assert!(text.contains(part), "{part}");
    }
}
