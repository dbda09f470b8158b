//! `affidavit inspect FILE…`

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Context;
use crate::assessment::OutcomeCounts;
use crate::evidence::digest::Digest;
use crate::evidence::instant;
use crate::exit::Exit;
use crate::finding::{CheckId, Finding};
use crate::framework::builtin;
use crate::output::Paint;
use crate::scanner::{self, ReadError};

/// Names of checks that are written out.
const SHOWN: usize = 5;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Scanner outputs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspected {
    file: String,
    sha256: String,
    bytes: u64,
    formats: Vec<&'static str>,
    tools: BTreeMap<String, String>,
    rule_sets: Vec<String>,
    clusters: Vec<String>,
    taken_at: Option<String>,
    findings: usize,
    outcomes: OutcomeCounts,
    checks: usize,
    resources: usize,
    /// Findings whose check bears on a control of a built-in framework.
    mapped: usize,
    /// The other checks.
    unmapped_checks: Vec<String>,
    notes: Vec<String>,
    error: Option<String>,
}

pub(super) fn inspect(arguments: &Arguments, context: &Context) -> Exit {
    let mut all = Vec::new();
    let mut help = "";
    let mapped = mapped_checks();
    for path in &arguments.files {
        let (inspected, advice) = look(path, &mapped);
        if help.is_empty() {
            help = advice;
        }
        all.push(inspected);
    }
    let failed = all.iter().any(|file| file.error.is_some());
    if context.output.is_json() {
        context.output.json(&all);
    } else {
        for file in &all {
            print(file, context);
        }
        if !help.is_empty() {
            context.output.note(format!("help: {help}"));
        }
    }
    if failed { Exit::NotFinished } else { Exit::Done }
}

/// Checks that bear on a control of a built-in framework.
fn mapped_checks() -> HashSet<CheckId> {
    let frameworks = builtin::load_all().unwrap_or_default();
    let controls = frameworks.iter().flat_map(|framework| &framework.controls);
    let mappings = controls.flat_map(|control| &control.mappings);
    mappings.flat_map(|mapping| mapping.all_checks().map(|(check, _)| check.clone())).collect()
}

fn look(path: &Path, mapped: &HashSet<CheckId>) -> (Inspected, &'static str) {
    let mut inspected = Inspected {
        file: path.display().to_string(),
        sha256: String::new(),
        bytes: 0,
        formats: Vec::new(),
        tools: BTreeMap::new(),
        rule_sets: Vec::new(),
        clusters: Vec::new(),
        taken_at: None,
        findings: 0,
        outcomes: OutcomeCounts::new(),
        checks: 0,
        resources: 0,
        mapped: 0,
        unmapped_checks: Vec::new(),
        notes: Vec::new(),
        error: None,
    };
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(reason) => {
            inspected.error = Some(reason);
            return (inspected, "");
        }
    };
    inspected.sha256 = Digest::of(&bytes).to_string();
    inspected.bytes = bytes.len() as u64;
    let reading = match scanner::read(&bytes, "") {
        Ok(reading) => reading,
        Err(error) => {
            inspected.error = Some(error.to_string());
            return (inspected, error.help());
        }
    };
    let parsed = reading.parsed;
    for finding in &parsed.findings {
        *inspected.outcomes.entry(finding.outcome).or_default() += 1;
    }
    let distinct = |texts: &mut dyn Iterator<Item = String>| texts.collect::<BTreeSet<_>>().len();
    inspected.checks = distinct(&mut parsed.findings.iter().map(|f| f.check.to_string()));
    inspected.resources = distinct(&mut parsed.findings.iter().map(|f| f.resource.to_string()));
    let is_mapped = |finding: &&Finding| mapped.contains(&finding.check);
    inspected.mapped = parsed.findings.iter().filter(is_mapped).count();
    let unmapped = parsed.findings.iter().filter(|finding| !is_mapped(finding));
    let unmapped: BTreeSet<&CheckId> = unmapped.map(|finding| &finding.check).collect();
    inspected.unmapped_checks = unmapped.into_iter().map(ToString::to_string).collect();
    inspected.formats = reading.formats;
    inspected.findings = parsed.findings.len();
    inspected.tools = parsed.tools;
    inspected.rule_sets = parsed.rule_sets;
    inspected.clusters = parsed.clusters.into_iter().collect();
    inspected.taken_at = parsed.taken_at.map(instant::format);
    inspected.notes = parsed
        .notes
        .into_iter()
        .map(|note| {
            let weight = if note.weakens { "weakens the evidence: " } else { "" };
            let place = if note.locator.is_empty() { "" } else { " at " };
            format!("{weight}{}{place}{}", note.text, note.locator)
        })
        .collect();
    if inspected.findings == 0 {
        let others = parsed.without_verdict;
        inspected.notes.push(format!("holds no findings ({others} objects without a verdict)"));
    }
    (inspected, "")
}

/// A file that is too large is refused before it is read.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if size > scanner::MAX_INPUT_BYTES {
        let limit = scanner::MAX_INPUT_BYTES;
        return Err(ReadError::TooLarge { found: size, limit }.to_string());
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

fn print(file: &Inspected, context: &Context) {
    let output = &context.output;
    output.line(output.paint(Paint::Bold, &file.file));
    if let Some(error) = &file.error {
        output.line(format!("  {} {error}", output.paint(Paint::Red, "refused:")));
        return;
    }
    let tools = file.tools.iter().map(|(tool, version)| format!("{tool} {version}"));
    let tools: Vec<String> = tools.map(|text| text.trim_end().to_owned()).collect();
    let outcomes = file.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}"));
    let outcomes: Vec<String> = outcomes.collect();
    let or_unstated = |text: String| if text.is_empty() { "not stated".to_owned() } else { text };
    output.line(format!("  format    {}", file.formats.join(", ")));
    output.line(format!("  tool      {}", or_unstated(tools.join(", "))));
    if !file.rule_sets.is_empty() {
        output.line(format!("  rules     {}", file.rule_sets.join(", ")));
    }
    output.line(format!("  cluster   {}", or_unstated(file.clusters.join(", "))));
    output.line(format!("  taken at  {}", or_unstated(file.taken_at.clone().unwrap_or_default())));
    output.line(format!(
        "  findings  {} ({}) of {} checks at {} resources",
        file.findings,
        if outcomes.is_empty() { "none".to_owned() } else { outcomes.join(", ") },
        file.checks,
        file.resources
    ));
    if file.findings > 0 {
        let shown = file.unmapped_checks.iter().take(SHOWN).map(String::as_str);
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = match file.unmapped_checks.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let rest = match file.unmapped_checks.len() {
            0 => String::new(),
            _ => format!("; not those of {shown}{more}"),
        };
        let (mapped, all) = (file.mapped, file.findings);
        output.line(format!(
            "  mapped    {mapped} of {all} findings bear on a control of the built-in frameworks{rest}"
        ));
    }
    output.line(format!("  sha256    {}  {} bytes", file.sha256, file.bytes));
    for note in &file.notes {
        output.line(format!("  {}      {note}", output.paint(Paint::Yellow, "note")));
    }
}
