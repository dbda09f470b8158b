//! `affidavit verify-proof DISCLOSURE`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::Context;
use super::trust::{Trust, usage};
use super::verify::{exit_of, print_findings, print_verdict};
use crate::escape::visible;
use crate::evidence::disclosure;
use crate::exit::Exit;
use crate::output::Failure;
use crate::scanner;
use crate::verify::{DisclosureVerdict, Verdict, verify_disclosure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A file that `affidavit disclose` wrote
    disclosure: PathBuf,

    #[command(flatten)]
    trust: Trust,

    /// Exit with 7 when there are warnings
    #[arg(long)]
    strict: bool,
}

pub(super) fn verify_proof(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let policy = arguments.trust.policy(None, context)?;
    let path = &arguments.disclosure;
    let name = visible(&path.to_string_lossy());
    let bytes = std::fs::read(path).with_context(|| name.clone()).map_err(usage)?;
    if !is_disclosure(&bytes) {
        let help =
            "give a file that `affidavit disclose` wrote; `affidavit verify` takes an archive";
        let kind = json_kind_of(&bytes).map(|(kind, _)| format!(": it is {kind}"));
        let kind = kind.unwrap_or_default();
        return Err(usage(anyhow!("`{name}` is not a disclosure{kind}")).help(help));
    }
    let result = verify_disclosure(&bytes, &policy);
    let exit = exit_of(&result.verdict, arguments.strict);
    if context.output.is_json() {
        print_json(&result, exit, context);
    } else {
        print_text(&result, exit, context);
    }
    Ok(exit)
}

/// Does a file say that it is a disclosure, of whatever version, whole or not?
fn is_disclosure(bytes: &[u8]) -> bool {
    let mark = disclosure::MARK.as_bytes();
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// What a file is that holds JSON, and what to do with it; `None` when it holds something else.
pub(super) fn json_kind(path: &Path) -> Option<(String, &'static str)> {
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    if length > scanner::MAX_INPUT_BYTES as u64 {
        return None;
    }
    json_kind_of(&std::fs::read(path).ok()?)
}

fn json_kind_of(bytes: &[u8]) -> Option<(String, &'static str)> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if !matches!(text.first(), Some(b'{' | b'[')) || bytes.iter().take(512).any(|byte| *byte == 0) {
        return None;
    }
    if is_disclosure(bytes) {
        return Some(("a disclosure".to_owned(), "affidavit verify-proof FILE"));
    }
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let of_archive = "give the whole archive that it belongs to: a folder, a .tar or a .zip";
    if value.get("predicateType").is_some() {
        return Some(("a single statement of an archive".to_owned(), of_archive));
    }
    if value.get("payloadType").is_some() {
        let kind = "a single signature file of an archive (a DSSE envelope)";
        return Some((kind.to_owned(), of_archive));
    }
    Some(match scanner::read(bytes, "") {
        Ok(reading) => {
            let kind = format!("a scanner report (format {})", reading.formats.join(", "));
            (
                kind,
                "`affidavit inspect FILE` says what it holds; `affidavit run` seals it as evidence",
            )
        }
        Err(_) => ("a JSON file".to_owned(), of_archive),
    })
}

fn print_json(result: &DisclosureVerdict, exit: Exit, context: &Context) {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Report<'a> {
        verified: bool,
        exit_code: u8,
        items: Vec<serde_json::Value>,
        #[serde(flatten)]
        verdict: &'a Verdict,
    }
    let items = result.items.iter().filter_map(|line| serde_json::from_str(line).ok());
    context.output.json(&Report {
        verified: result.verdict.is_verified(),
        exit_code: exit as u8,
        items: items.collect(),
        verdict: &result.verdict,
    });
}

fn print_text(result: &DisclosureVerdict, exit: Exit, context: &Context) {
    let output = context.output;
    print_findings(&result.verdict, output);
    output.line(format!("chain     {}", result.verdict.origin));
    if let Some(statement) = &result.statement {
        let predicate = &statement.predicate;
        output.line(format!(
            "bundle    {}, sealed {}, with {} items",
            predicate.chain.seq, predicate.time.created, predicate.items.size
        ));
    }
    for line in &result.items {
        output.line(format!("item      {line}"));
    }
    output.line(format!(
        "checked   {} items; nothing is said of the others, or of the bundle's files",
        result.items.len()
    ));
    print_verdict(&result.verdict, exit, output);
}
