//! `affidavit verify ARCHIVE`

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::Context;
use crate::archive::{self, Location};
use crate::evidence::key::{KeyId, PublicKey};
use crate::exit::Exit;
use crate::output::{Failure, Output, Paint};
use crate::verify::pin::Pin;
use crate::verify::{self, Level, Policy, Verdict};

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    /// A directory, or `s3://bucket/prefix`
    archive: String,

    /// Fingerprint of a root key that you trust, or a file with fingerprints or public keys
    #[arg(long, value_name = "FINGERPRINT|FILE")]
    root: Vec<String>,

    /// A head that you were given elsewhere: a checkpoint, a receipt, or a report's text
    #[arg(long, value_name = "FILE")]
    pin: Vec<PathBuf>,

    /// Check the chain of statements only, not the bundles' files
    #[arg(long, conflicts_with_all = ["deep", "replay"])]
    chain: bool,

    /// Check the bundles' files and items too; this is the default
    #[arg(long)]
    deep: bool,

    /// Assess the sealed inputs again and compare every item
    #[arg(long)]
    replay: bool,

    /// Exit with 7 when there are warnings
    #[arg(long)]
    strict: bool,

    /// Endpoint of an S3-compatible store
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Bucket in the path instead of the host name
    #[arg(long)]
    path_style: bool,

    /// Region of the bucket
    #[arg(long)]
    region: Option<String>,
}

pub(super) fn verify(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let usage = |error: anyhow::Error| Failure::new(Exit::Usage, error);
    let mut roots = BTreeSet::new();
    for root in &arguments.root {
        roots.extend(read_roots(root).map_err(usage)?);
    }
    let pins = arguments.pin.iter().map(read_pin).collect::<Result<Vec<_>, _>>().map_err(usage)?;
    let location = Location {
        uri: arguments.archive.clone(),
        endpoint: arguments.endpoint.clone(),
        path_style: arguments.path_style,
        region: arguments.region.clone(),
        lock: None,
    };
    let not_finished = |error: anyhow::Error| Failure::new(Exit::NotFinished, error);
    let store = archive::open(&location, context.now)
        .map_err(|error| Failure { help: error.help(), ..not_finished(error.into()) })?;
    let policy =
        Policy { roots, pins, now: context.now, deep: !arguments.chain, replay: arguments.replay };
    let verdict = verify::verify(&*store, &policy)
        .with_context(|| format!("could not list the archive {}", arguments.archive))
        .map_err(|error| not_finished(error).help("check the path"))?;
    let exit = if !verdict.is_verified() {
        Exit::NotVerified
    } else if arguments.strict && verdict.has(Level::Warning) {
        Exit::Warnings
    } else {
        Exit::Done
    };
    if context.output.is_json() {
        print_json(&verdict, exit, context);
    } else {
        print_text(&verdict, exit, context.output);
    }
    Ok(exit)
}

/// A fingerprint, or a file with fingerprints (one per line) or public keys in PEM.
fn read_roots(root: &str) -> Result<Vec<KeyId>, anyhow::Error> {
    if let Some(id) = KeyId::from_fingerprint(root) {
        return Ok(vec![id]);
    }
    let text = std::fs::read_to_string(root)
        .with_context(|| format!("--root {root}: neither a fingerprint nor a readable file"))?;
    let mut roots = Vec::new();
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        for pem in text.split_inclusive("-----END PUBLIC KEY-----") {
            if let Some(start) = pem.find("-----BEGIN PUBLIC KEY-----") {
                let pem = pem.get(start..).unwrap_or_default();
                let key = PublicKey::from_pem(&format!("{pem}\n"));
                roots.push(key.with_context(|| format!("--root {root}"))?.id());
            }
        }
    } else {
        roots.extend(text.lines().filter_map(KeyId::from_fingerprint));
    }
    if roots.is_empty() {
        return Err(anyhow!("--root {root}: no fingerprint and no public key in this file"));
    }
    Ok(roots)
}

fn read_pin(path: &PathBuf) -> Result<Pin, anyhow::Error> {
    let bytes = std::fs::read(path).with_context(|| format!("--pin {}", path.display()))?;
    if bytes.starts_with(b"%PDF") {
        return Err(anyhow!(
            "--pin {}: a PDF; give its text (`pdftotext report.pdf`)",
            path.display()
        ));
    }
    Pin::parse(&String::from_utf8_lossy(&bytes))
        .with_context(|| format!("--pin {}", path.display()))
}

fn print_json(verdict: &Verdict, exit: Exit, context: &Context) {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Report<'a> {
        verified: bool,
        exit_code: u8,
        head: Option<String>,
        #[serde(flatten)]
        verdict: &'a Verdict,
    }
    context.output.json(&Report {
        verified: verdict.is_verified(),
        exit_code: exit as u8,
        head: head(verdict).map(|pin| pin.line()),
        verdict,
    });
}

fn head(verdict: &Verdict) -> Option<Pin> {
    let head = verdict.head.as_ref().filter(|head| head.size > 0)?;
    Some(Pin { origin: head.origin.clone(), size: head.size, root: head.root })
}

fn print_text(verdict: &Verdict, exit: Exit, output: Output) {
    for finding in &verdict.findings {
        let (word, paint) = match finding.level {
            Level::Error => ("ERROR", Paint::Red),
            Level::Warning => ("WARNING", Paint::Yellow),
            Level::Info => ("INFO", Paint::Dim),
        };
        let code = finding.code;
        output.line(format!("{} {code}  {}", output.paint(paint, word), finding.object));
        output.line(format!("      {}", code.sentence()));
        if !finding.expected.is_empty() {
            output.line(format!("      expected: {}", finding.expected));
        }
        if !finding.found.is_empty() {
            output.line(format!("      found:    {}", finding.found));
        }
    }
    if !verdict.findings.is_empty() {
        output.line("");
    }
    let checked = verdict.checked;
    output.line(format!("chain     {}", or_none(&verdict.origin)));
    output.line(format!(
        "checked   {} statements, {} signatures, {} checkpoints, {} keyrings",
        checked.statements, checked.signatures, checked.checkpoints, checked.keyrings
    ));
    if verdict.deep {
        output.line(format!(
            "          {} bundles: {} files, {} bytes, {} items",
            checked.bundles, checked.files, checked.bytes, checked.items
        ));
    } else {
        output.line("          the chain only: no file of any bundle was looked at");
    }
    if checked.replayed > 0 {
        output.line(format!("          {} bundles assessed again: same items", checked.replayed));
    }
    if checked.not_checked > 0 {
        output.line(format!(
            "          {} checks left out, because they depend on what is broken",
            checked.not_checked
        ));
    }
    if let Some(pin) = head(verdict) {
        output.line(format!("head      {}", pin.line()));
    }
    if let Some(pinned) = &verdict.pinned {
        output.line(format!("pinned    {} of {} statements", pinned.size, pinned.of));
    }
    let errors = verdict.findings.iter().filter(|finding| finding.level == Level::Error).count();
    let warnings = verdict.findings.iter().filter(|f| f.level == Level::Warning).count();
    let text = match exit {
        Exit::NotVerified => {
            output.paint(Paint::Red, &format!("NOT VERIFIED: {}", count(errors, "fault")))
        }
        _ if warnings > 0 => {
            output.paint(Paint::Yellow, &format!("VERIFIED, with {}", count(warnings, "warning")))
        }
        _ => output.paint(Paint::Green, "VERIFIED"),
    };
    output.line(format!("verdict   {text}"));
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
