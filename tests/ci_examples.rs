//! The scripts of `examples/ci`, taken out of their files and run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::small_chain::workspace;
use crate::support::{sarif_schema, schema_errors};
use crate::tools::{self, Tool};

fn yaml(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(path);
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Runs a script as the platform does, in a workspace. All of them read JSON with jq.
fn run(shell: &Tool, script: &str, folder: &Path, environment: &[(&str, &str)]) -> Output {
    tools::JQ.demand();
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    drop(symlink(env!("CARGO_BIN_EXE_affidavit"), programs.join("affidavit")));
    let path = std::env::var("PATH").unwrap();
    shell
        .command()
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("SOURCE_DATE_EPOCH", "1795140000")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// Code, and what the results say.
fn outcome(output: &Output, folder: &Path) -> i32 {
    let said = String::from_utf8_lossy(&output.stderr);
    let results = folder.join("affidavit-results");
    let sarif = fs::read(results.join("affidavit.sarif")).unwrap_or_else(|_| panic!("{said}"));
    let sarif: Value = serde_json::from_slice(&sarif).unwrap();
    assert_eq!(schema_errors(&sarif_schema(), &sarif), "");
    assert!(!sarif["runs"][0]["results"].as_array().unwrap().is_empty());
    let junit = fs::read_to_string(results.join("affidavit.junit.xml")).unwrap();
    assert!(junit.contains("<testsuites"), "{junit}");
    assert!(fs::read(results.join("report.pdf")).unwrap().starts_with(b"%PDF"));
    output.status.code().unwrap()
}

#[apply(test)]
fn the_github_action_gates_and_leaves_results() {
    let action = yaml("github/action.yml");
    let step = &action["runs"]["steps"][0];
    assert_eq!(step["shell"], "bash");
    let script = step["run"].as_str().unwrap();
    for (fail_on, code) in [("", 0), ("not-satisfied", 5), ("waived", 0)] {
        let folder = tempfile::tempdir().unwrap();
        workspace(folder.path());
        // Each input has the name that the step gives it.
        let inputs = &action["inputs"];
        let default = |name: &str| inputs[name]["default"].as_str().unwrap().to_owned();
        for (variable, input) in
            [("CONFIG", "config"), ("FAIL_ON", "fail-on"), ("FOLDER", "folder")]
        {
            assert_eq!(step["env"][variable], format!("${{{{ inputs.{input} }}}}"));
        }
        let (outputs, summary) = (folder.path().join("outputs"), folder.path().join("summary"));
        let environment = [
            ("CONFIG", default("config")),
            ("FAIL_ON", fail_on.to_owned()),
            ("FOLDER", default("folder")),
            ("GITHUB_OUTPUT", outputs.display().to_string()),
            ("GITHUB_STEP_SUMMARY", summary.display().to_string()),
        ];
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = run(&tools::BASH, script, folder.path(), &environment);
        assert_eq!(outcome(&output, folder.path()), code, "{fail_on}");
        let outputs = fs::read_to_string(outputs).unwrap();
        assert!(
            outputs.contains("bundle=bundles/") && outputs.contains("head=evidence."),
            "{outputs}"
        );
        let summary = fs::read_to_string(summary).unwrap();
        assert!(summary.contains("| cis-kubernetes@1.12 | 3 of "), "{summary}");

        // What seals nothing fails as what it is.
        fs::remove_file(folder.path().join("keys/log.pem")).unwrap();
        let output = run(&tools::BASH, script, folder.path(), &environment);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[apply(test)]
fn the_gitlab_template_does_the_same() {
    let template = yaml("gitlab/affidavit.yml");
    let job = &template[".affidavit"];
    let script = job["script"][0].as_str().unwrap();
    for (fail_on, code) in [("", 0), ("not-satisfied", 5)] {
        let folder = tempfile::tempdir().unwrap();
        workspace(folder.path());
        let variable = |name: &str| job["variables"][name].as_str().unwrap().to_owned();
        let (config, results) = (variable("AFFIDAVIT_CONFIG"), variable("AFFIDAVIT_FOLDER"));
        let environment = [
            ("AFFIDAVIT_CONFIG", config.as_str()),
            ("AFFIDAVIT_FAIL_ON", fail_on),
            ("AFFIDAVIT_FOLDER", results.as_str()),
        ];
        // GitLab's images have no bash.
        let output = run(&tools::SH, script, folder.path(), &environment);
        assert_eq!(outcome(&output, folder.path()), code, "{fail_on}");
    }
    assert_eq!(job["artifacts"]["when"], "always");
}
