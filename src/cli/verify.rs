//! `affidavit verify ARCHIVE`

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Context;
use super::recognise::refuse_other;
use super::trust::{Place, Trust, read_authorities, read_witnesses};
use crate::exit::Exit;
use crate::output::{Failure, Output, Paint};
use crate::verify::pin::Pin;
use crate::verify::{self, FailureCode, Finding, Level, Policy, Verdict};

/// How many findings of one code are shown to people.
const SHOWN: usize = 10;

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    trust: Trust,

    /// Witnesses whose cosignatures are asked for: a C2SP tlog-policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Certificates, in PEM, of authorities whose timestamps you believe
    #[arg(long, value_name = "FILE")]
    authority: Vec<PathBuf>,

    /// Check the chain of statements only, not the bundles' files
    #[arg(long, conflicts_with_all = ["deep", "replay"])]
    chain: bool,

    /// Check the bundles' files and items too; this is the default
    #[arg(long)]
    deep: bool,

    /// Assess the sealed inputs again and compare every item
    #[arg(long)]
    replay: bool,

    /// Demand that the archive is up to date: no run that was due is missing, and its keyring has not expired
    #[arg(long)]
    live: bool,

    /// Exit with 7 when there are warnings
    #[arg(long)]
    strict: bool,
}

pub(super) fn verify(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let witnesses = arguments.policy.as_deref().map(read_witnesses).transpose()?;
    let authorities = read_authorities(&arguments.authority)?;
    let policy = Policy {
        authorities,
        deep: !arguments.chain,
        live: arguments.live,
        replay: arguments.replay,
        witnesses,
        ..arguments.trust.policy(Some(&arguments.place), context)?
    };
    let archive = arguments.place.open(context)?;
    let verdict =
        verify::verify(&*archive, &policy).map_err(|error| arguments.place.unreadable(error))?;
    refuse_other(&arguments.place, &*archive, &verdict, &policy)?;
    let exit = exit_of(&verdict, arguments.strict);
    if context.output.is_json() {
        print_json(&verdict, exit, context);
    } else {
        print_text(&verdict, exit, context.output);
    }
    Ok(exit)
}

pub(super) fn exit_of(verdict: &Verdict, strict: bool) -> Exit {
    if verdict.has(Level::Error) {
        Exit::NotVerified
    } else if verdict.has(Level::Inconclusive) {
        Exit::NotFinished
    } else if strict && verdict.has(Level::Warning) {
        Exit::Warnings
    } else {
        Exit::Done
    }
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

/// What was found, for people.
pub(super) fn print_findings(verdict: &Verdict, output: Output) {
    let mut told: BTreeMap<FailureCode, usize> = BTreeMap::new();
    for finding in &verdict.findings {
        let before = told.entry(finding.code).or_default();
        *before += 1;
        if *before > SHOWN {
            continue;
        }
        let (word, paint) = match finding.level {
            Level::Error => ("ERROR", Paint::Red),
            Level::Inconclusive => ("INCONCLUSIVE", Paint::Yellow),
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
    for (code, count) in told.into_iter().filter(|(_, count)| *count > SHOWN) {
        output.line(format!("… and {} more of {code}; `--output json` lists all", count - SHOWN));
    }
    if !verdict.findings.is_empty() {
        output.line("");
    }
}

/// The last line, for people.
pub(super) fn print_verdict(verdict: &Verdict, exit: Exit, output: Output) {
    let of =
        |level| verdict.findings.iter().filter(|finding| finding.level == level).count() as u64;
    let (errors, warnings) = (of(Level::Error), of(Level::Warning));
    let is_unread = |finding: &&Finding| finding.code == FailureCode::FileUnreadable;
    let unread = verdict.findings.iter().filter(is_unread).count() as u64;
    let text = match exit {
        Exit::NotVerified => {
            output.paint(Paint::Red, &format!("NOT VERIFIED: {}", count(errors, "fault")))
        }
        Exit::NotFinished => {
            let mut reasons = Vec::new();
            if unread > 0 {
                reasons.push(format!("{} could not be read", count(unread, "file")));
            }
            if verdict.findings.iter().any(|finding| finding.code == FailureCode::RootNotGiven) {
                reasons.push("no root fingerprint was given (--root)".to_owned());
            }
            output.paint(Paint::Yellow, &format!("INCONCLUSIVE: {}", reasons.join(", and ")))
        }
        _ if warnings > 0 => {
            output.paint(Paint::Yellow, &format!("VERIFIED, with {}", count(warnings, "warning")))
        }
        _ => output.paint(Paint::Green, "VERIFIED"),
    };
    output.line(format!("verdict   {text}"));
}

fn print_text(verdict: &Verdict, exit: Exit, output: Output) {
    print_findings(verdict, output);
    let checked = verdict.checked;
    output.line(format!("chain     {}", or_none(&verdict.origin)));
    output.line(format!(
        "checked   {}, {}, {}, {}",
        count(checked.statements, "statement"),
        count(checked.signatures, "signature"),
        count(checked.checkpoints, "checkpoint"),
        count(checked.keyrings, "keyring")
    ));
    if verdict.deep {
        output.line(format!(
            "          {}: {}, {}, {}",
            count(checked.bundles, "bundle"),
            count(checked.files, "file"),
            count(checked.bytes, "byte"),
            count(checked.items, "item")
        ));
    } else {
        output.line("          the chain only: no file of any bundle was looked at");
    }
    if checked.replayed > 0 {
        let again = count(checked.replayed, "bundle");
        output.line(format!("          {again} assessed again: same items"));
    }
    if checked.not_checked > 0 {
        output.line(format!(
            "          {} left out, because of what is broken or could not be read",
            count(checked.not_checked, "check")
        ));
    }
    if let Some(pin) = head(verdict) {
        output.line(format!("head      {}", pin.line()));
    }
    if let Some(pinned) = &verdict.pinned {
        output.line(format!("pinned    {} of {}", pinned.size, count(pinned.of, "statement")));
    }
    if let Some(witnessed) = &verdict.witnessed {
        output.line(format!(
            "witnessed {} statements, by the quorum at {}",
            witnessed.size, witnessed.at
        ));
    }
    if let Some(stamped) = &verdict.stamped {
        output.line(format!(
            "stamped   {} statements existed at {}, says {}",
            stamped.size, stamped.at, stamped.authority
        ));
    }
    print_verdict(verdict, exit, output);
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
