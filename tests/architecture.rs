//! The direction of the architecture: which module may use which. A change here is a change of
//! ARCHITECTURE.md. And what the tests themselves keep to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the modules of ours that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    // Core.
    ("parallel", &[]),
    ("escape", &[]),
    ("population", &[]),
    ("member", &[]),
    ("finding", &["member", "population"]),
    ("scanner", &["assessment", "evidence", "finding", "member", "population"]),
    ("framework", &["finding"]),
    ("risk", &["finding", "population"]),
    ("pattern", &[]),
    ("validity", &[]),
    ("waiver", &["pattern", "validity"]),
    ("attestation", &["pattern", "validity", "waiver"]),
    ("assessment", &["finding"]),
    (
        "assess",
        &["assessment", "attestation", "finding", "framework", "scanner", "validity", "waiver"],
    ),
    ("evidence", &[]),
    ("run", &["evidence", "risk"]),
    ("decisions", &["attestation", "pattern", "validity", "waiver"]),
    (
        "record",
        &[
            "assessment",
            "attestation",
            "decisions",
            "evidence",
            "finding",
            "framework",
            "member",
            "population",
        ],
    ),
    (
        "evaluate",
        &[
            "assess",
            "assessment",
            "attestation",
            "decisions",
            "evidence",
            "finding",
            "framework",
            "member",
            "parallel",
            "population",
            "record",
            "risk",
            "run",
            "scanner",
            "validity",
            "waiver",
        ],
    ),
    ("verify", &["assessment", "evaluate", "evidence", "run", "escape"]),
    ("disclose", &["evidence", "verify"]),
    ("sample", &["evidence", "finding"]),
    ("diff", &["assessment", "finding", "framework", "record", "sealed"]),
    ("alert", &["assessment", "diff", "evidence", "member", "sealed", "validity", "verify"]),
    (
        "period",
        &[
            "assessment",
            "diff",
            "disclose",
            "evidence",
            "finding",
            "framework",
            "member",
            "record",
            "schedule",
            "sealed",
            "verify",
        ],
    ),
    ("sealed", &["disclose", "evidence", "framework", "record", "run", "escape", "verify"]),
    // Edges: the core and `remote`, and never each other.
    ("remote", &[]),
    ("archive", &["evidence", "remote", "escape", "verify"]),
    ("schedule", &[]),
    ("config", &["alert", "archive", "evidence", "risk", "scanner", "schedule"]),
    ("checks", &["evidence", "finding", "population", "scanner"]),
    ("access", &["config", "evidence", "remote"]),
    ("redaction", &["run"]),
    (
        "collect",
        &[
            "access",
            "assessment",
            "checks",
            "config",
            "evidence",
            "member",
            "population",
            "remote",
            "run",
            "scanner",
            "sealed",
            "verify",
        ],
    ),
    ("sign", &["evidence", "remote", "verify"]),
    ("notify", &["alert", "assessment", "collect", "config", "evidence", "remote"]),
    (
        "render",
        &[
            "assessment",
            "diff",
            "evaluate",
            "evidence",
            "export",
            "finding",
            "framework",
            "period",
            "population",
            "record",
            "run",
            "sealed",
            "validity",
            "verify",
        ],
    ),
    (
        "export",
        &["assessment", "escape", "evidence", "finding", "framework", "record", "run", "sealed"],
    ),
    // The writing protocol, and the one module that knows all edges.
    ("seal", &["archive", "evidence", "parallel", "escape", "sign", "verify"]),
    (
        "pipeline",
        &[
            "alert",
            "archive",
            "assessment",
            "collect",
            "config",
            "disclose",
            "evaluate",
            "evidence",
            "framework",
            "notify",
            "population",
            "record",
            "redaction",
            "remote",
            "render",
            "run",
            "scanner",
            "seal",
            "sealed",
            "sign",
            "verify",
        ],
    ),
    (
        "doctor",
        &[
            "alert",
            "archive",
            "config",
            "evidence",
            "pipeline",
            "population",
            "seal",
            "sign",
            "verify",
        ],
    ),
    ("serve", &["access", "archive", "config", "evidence", "notify", "pipeline"]),
    // Shell.
    ("exit", &[]),
    ("output", &["escape", "exit"]),
    (
        "cli",
        &[
            "alert",
            "archive",
            "assessment",
            "checks",
            "collect",
            "config",
            "diff",
            "disclose",
            "doctor",
            "escape",
            "evidence",
            "exit",
            "export",
            "finding",
            "framework",
            "member",
            "notify",
            "output",
            "period",
            "pipeline",
            "record",
            "render",
            "sample",
            "scanner",
            "sealed",
            "serve",
            "escape",
            "sign",
            "verify",
        ],
    ),
];

/// Modules of the core: no files, environment, clock, network, randomness or printing.
const CORE: &[&str] = &[
    "alert",
    "parallel",
    "escape",
    "population",
    "finding",
    "scanner",
    "framework",
    "risk",
    "pattern",
    "validity",
    "waiver",
    "attestation",
    "assessment",
    "assess",
    "evidence",
    "run",
    "record",
    "evaluate",
    "verify",
    "disclose",
    "sample",
];

/// What the core must not mention.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::time::SystemTime",
    "Instant::now",
    "Timestamp::now",
    "getrandom",
    "println!",
    "eprintln!",
    "print!",
    "tokio",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of each top module, without its tests and comments.
fn code() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for path in files {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let own = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines: Vec<&str> =
            own.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = lines.join("\n");
        modules.entry(module).or_default().push((path, code));
    }
    modules
}

#[apply(test)]
fn every_module_uses_only_what_it_may() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_USE.iter().map(|(module, uses)| (*module, uses.iter().copied().collect())).collect();
    let mut faults = Vec::new();
    for (module, files) in code() {
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let Some(may_use) = allowed.get(module.as_str()) else {
            faults.push(format!("{module} is not in the table"));
            continue;
        };
        for (path, code) in files {
            for rest in code.split("crate::").skip(1) {
                let used: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if allowed.contains_key(used.as_str())
                    && used != module
                    && !may_use.contains(used.as_str())
                {
                    faults.push(format!("{}: {module} uses {used}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[apply(test)]
fn the_core_is_pure() {
    let mut faults = Vec::new();
    for (module, files) in code() {
        if !CORE.contains(&module.as_str()) {
            continue;
        }
        for (path, code) in files {
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                faults.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[apply(test)]
fn features_are_decided_where_modules_are_declared() {
    let allowed = [
        "src/lib.rs",
        "src/cli/mod.rs",
        "src/archive/mod.rs",
        "src/export/mod.rs",
        "src/remote/mod.rs",
        "src/sign/mod.rs",
    ];
    for (path, code) in code().into_values().flatten() {
        let is_allowed = allowed.iter().any(|file| path.ends_with(file));
        assert!(is_allowed || !code.contains("cfg(feature"), "{}", path.display());
    }
}

#[apply(test)]
fn only_one_file_prints() {
    for (path, code) in code().into_values().flatten() {
        let prints = code.contains("io::stdout()") || code.contains("io::stderr()");
        assert!(!prints || path.ends_with("src/output.rs"), "{}", path.display());
    }
}

/// Lines of a test that no test may have. A function with libtest's attribute would silently not be run; a
/// program that is started by name would fail where it is missing, and not say what brings it.
fn faults_of_a_test(text: &str, may_start_programs: bool) -> Vec<usize> {
    let start = concat!("Command::", "new(");
    let own = ["env!(\"CARGO_BIN_EXE_affidavit\")", "cargo_bin!(\"affidavit\")"];
    let starts_another = |at: usize| {
        let program = text[at + start.len()..].trim_start();
        !own.iter().any(|own| program.starts_with(own))
    };
    let attributes = text.match_indices(concat!("#[", "test]")).map(|(at, _)| at);
    let others = text.match_indices(start).map(|(at, _)| at).filter(|at| starts_another(*at));
    let mut found: Vec<usize> = attributes.collect();
    if !may_start_programs {
        found.extend(others);
    }
    found.sort_unstable();
    found.iter().map(|at| text[..*at].matches('\n').count() + 1).collect()
}

#[apply(test)]
fn every_test_is_registered_and_starts_programs_of_others_by_tools() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut faults = Vec::new();
    for path in files {
        let may_start_programs =
            ["tools.rs", "harness.rs"].iter().any(|name| path == root.join(name));
        let text = fs::read_to_string(&path).unwrap();
        for line in faults_of_a_test(&text, may_start_programs) {
            faults.push(format!("{}:{line}", path.display()));
        }
    }
    let rule = "a test is registered by `#[apply(test)]`, and `tools.rs` starts programs of others";
    assert!(faults.is_empty(), "{rule}: {faults:#?}");

    // It finds what it looks for.
    let start = concat!("std::process::Command::", "new(");
    let text = format!(
        "{start}\n    env!(\"CARGO_BIN_EXE_affidavit\"))\n{start}\"ls\")\n    {}\nfn f() {{ {start}program) }}",
        concat!("#[", "test]")
    );
    assert_eq!(faults_of_a_test(&text, false), [3, 4, 5]);
    assert_eq!(faults_of_a_test(&text, true), [4]);
}
