//! `affidavit remediate`: what to do about what fails, from a sealed bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::Context;
use super::trust::{Place, not_finished};
use crate::checks::{self, Check};
use crate::disclose::Source;
use crate::escape;
use crate::evidence::digest::Digest;
use crate::evidence::{items, layout};
use crate::exit::Exit;
use crate::finding::Outcome;
use crate::output::Failure;
use crate::record::{CheckItem, FindingItem, InputItem};
use crate::scanner::affidavit::Report;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    /// Which bundle [default: the newest]
    #[arg(long, value_name = "N")]
    bundle: Option<u64>,

    /// Folder for the list, the patches and the script; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What fails at one resource: check, what is wrong, what to do.
type Steps = BTreeSet<(String, String, String)>;

/// An object with its patch.
struct Patched {
    kind: String,
    namespace: String,
    name: String,
    checks: Vec<String>,
    patch: Value,
}

pub(super) fn remediate(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let archive = arguments.place.open(context)?;
    let source = Source::read(&*archive, arguments.bundle).map_err(super::disclose::failure)?;
    let mut advice: BTreeMap<String, String> = BTreeMap::new();
    let mut failing: BTreeMap<String, Steps> = BTreeMap::new();
    let mut inputs = Vec::new();
    for line in items::lines(&source.items) {
        let kind: Value = parse(line.bytes)?;
        match kind.get("type").and_then(Value::as_str) {
            Some("check") => {
                let item: CheckItem = parse(line.bytes)?;
                advice.insert(item.check, item.remediation);
            }
            Some("finding") => {
                let item: FindingItem = parse(line.bytes)?;
                if item.outcome == Outcome::Fail {
                    let words = advice.get(&item.check).cloned().unwrap_or_default();
                    let steps = failing.entry(item.resource.to_string()).or_default();
                    steps.insert((item.check, item.message, words));
                }
            }
            Some("input") => {
                let item: InputItem = parse(line.bytes)?;
                if item.formats.iter().any(|format| format == "affidavit-checks") {
                    inputs.push((item.path, item.sha256));
                }
            }
            _ => {}
        }
    }
    let all = checks::load_all().map_err(|error| Failure::new(Exit::Internal, error))?;
    let sums = source
        .statement
        .sums()
        .ok_or_else(|| not_finished(anyhow!("the statement names no bundle")))?;
    let mut patched = Vec::new();
    for (path, sha256) in inputs {
        let place = layout::bundle_file(&sums, &path);
        let bytes = archive.read(&place).map_err(|error| arguments.place.unreadable(error))?;
        if Digest::of(&bytes) != sha256 {
            return Err(not_finished(anyhow!("{path} is not the file that was sealed"))
                .help("`affidavit verify` says what else is wrong"));
        }
        let report: Report<'_> = parse(&bytes)?;
        // Manifests are corrected where they stand.
        if report.cluster.is_some() {
            patched.extend(patches(&report, &all));
        }
    }
    write(&arguments.out, &source, &failing, &patched)?;
    context.output.line(format!(
        "{} failing resources, {} of them with a patch, in {}",
        failing.len(),
        patched.len(),
        arguments.out.display()
    ));
    Ok(Exit::Done)
}

fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| not_finished(anyhow!("what was sealed cannot be read: {error}")))
}

fn patches(report: &Report<'_>, all: &[Check]) -> Vec<Patched> {
    let mut patched = Vec::new();
    for object in &report.objects {
        let mut patch = json!({});
        let mut done = Vec::new();
        for failed in &object.fail {
            let Some(rule) = report.checks.get(usize::from(failed.check)) else { continue };
            // A check that has changed since may need another patch.
            let same = all.iter().find(|check| check.id == *rule.id && check.cel == *rule.cel);
            if let Some(check) = same
                && checks::patch(check, &object.kind, &failed.elements, &mut patch)
            {
                done.push(check.id.clone());
            }
        }
        if !done.is_empty() {
            patched.push(Patched {
                kind: object.kind.to_string(),
                namespace: object.namespace.to_string(),
                name: object.name.to_string(),
                checks: done,
                patch,
            });
        }
    }
    patched
}

fn write(
    folder: &Path,
    source: &Source,
    failing: &BTreeMap<String, Steps>,
    patched: &[Patched],
) -> Result<(), Failure> {
    let make = |path: &Path| {
        std::fs::create_dir(path)
            .with_context(|| format!("could not make {}", path.display()))
            .map_err(|error| not_finished(error).help("choose a folder that is not there yet"))
    };
    make(folder)?;
    make(&folder.join("patches"))?;
    let put = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text)
            .with_context(|| format!("could not write {name}"))
            .map_err(not_finished)
    };
    let mut script = String::from(SCRIPT);
    for (number, one) in (1..).zip(patched) {
        // Names of Kubernetes objects need no quoting. What does is not one, and is left alone.
        let words = [&one.kind, &one.namespace, &one.name];
        let is_plain =
            |word: &&String| word.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        if !words.iter().all(is_plain) || one.name.starts_with('-') {
            continue;
        }
        let name = format!("patches/{number:04}-{}.yaml", layout::safe_segment(&one.name));
        let text = serde_saphyr::to_string(&one.patch)
            .map_err(|error| Failure::new(Exit::Internal, error))?;
        put(&name, &format!("# {}\n{text}", one.checks.join(", ")))?;
        let kind = one.kind.to_lowercase();
        let scope = match one.namespace.as_str() {
            "" => String::new(),
            namespace => format!(" --namespace {namespace}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            script,
            "kubectl patch {kind} {}{scope} --type=strategic --patch-file {name} $mode",
            one.name
        );
    }
    put("apply.sh", &script)?;
    let chain = &source.statement.predicate.chain;
    let mut list = format!(
        "# What to do\n\nFrom bundle {} of {}. Patches are in `patches`; `sh apply.sh` tries them on the \
         server and changes nothing, `sh apply.sh apply` applies them.\n",
        chain.seq,
        plain(&chain.origin)
    );
    for (resource, steps) in failing {
        let _ = write!(list, "\n## {}\n\n", plain(resource));
        for (check, message, words) in steps {
            let _ = write!(list, "- {}", plain(check));
            if !message.is_empty() {
                let _ = write!(list, ": {}", plain(message));
            }
            list.push('\n');
            if !words.is_empty() {
                let _ = writeln!(list, "  {}", plain(words));
            }
        }
    }
    put("remediation.md", &list)
}

/// On one line, without what Markdown or a terminal would act upon.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\`*_<>[]#&".contains(character) {
            plain.push('\\');
        }
        let shown = if matches!(character, '\n' | '\r' | '\t') { ' ' } else { character };
        escape::push_visible(&mut plain, shown);
    }
    plain
}

const SCRIPT: &str = "\
#!/bin/sh
# Tries the patches on the API server without changing anything; with `apply`, applies them.
set -eu
cd \"$(dirname \"$0\")\"
mode=--dry-run=server
if [ \"${1:-}\" = apply ]; then mode=; fi
";

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_list_of_steps_is_only_a_list() {
        let hostile = "a\u{1b}[2J\n## x\u{202e}&#x202e;<b>\\*";
        let shown = r"a\u{1b}\[2J \#\# x\u{202e}\&\#x202e;\<b\>\\\*";
        assert_eq!(plain(hostile), shown);
    }
}
