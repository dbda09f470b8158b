//! `affidavit report ARCHIVE --out FILE`, and `--check FILE`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::Context;
use super::trust::{Place, Trust, not_finished, open_verified, unsealed};
use crate::evidence::digest::Digest;
use crate::evidence::layout;
use crate::exit::Exit;
use crate::framework::Framework;
use crate::output::Failure;
use crate::render::build::{self, ChainFacts};
use crate::render::{self, Template};
use crate::sealed::Bundle;
use crate::verify::Archive;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    trust: Trust,

    /// Number of the bundle [default: the newest]
    #[arg(long, value_name = "N")]
    bundle: Option<u64>,

    /// Write the report again, from sealed data
    #[arg(long, value_name = "FILE", group = "what")]
    out: Option<PathBuf>,

    /// Is this the report that the bundle sealed?
    #[arg(long, value_name = "FILE", group = "what")]
    check: Option<PathBuf>,
}

pub(super) fn report(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let archive = open_verified(&arguments.place, &arguments.trust, context)?;
    let bundle = Bundle::read(&*archive, arguments.bundle).map_err(unsealed)?;
    if let Some(path) = &arguments.check {
        return check(path, &bundle, &*archive, context);
    }
    let sealed = bundle.file(&*archive, layout::REPORT_PDF).map_err(unsealed)?;
    let bytes = rendered(&bundle, &*archive)?;
    let path = arguments.out.clone().unwrap_or_default();
    std::fs::write(&path, &bytes)
        .with_context(|| path.display().to_string())
        .map_err(not_finished)?;
    let text = if sealed == bytes {
        "it is byte for byte the report that was sealed"
    } else {
        "it differs from the report that was sealed: another version of the program made that one"
    };
    context.output.note(format!("{}: {text}", path.display()));
    Ok(Exit::Done)
}

fn rendered(bundle: &Bundle, archive: &dyn Archive) -> Result<Vec<u8>, Failure> {
    let facts = ChainFacts::of(bundle, archive).map_err(unsealed)?;
    let mappings: Vec<(&Framework, Digest)> =
        bundle.frameworks.iter().map(|(framework, digest)| (framework, *digest)).collect();
    let report =
        build::report(&bundle.items, &bundle.run, &mappings, &facts).map_err(not_finished)?;
    let controls = bundle.file(archive, layout::CONTROLS).map_err(unsealed)?;
    render::pdf(&report, Template::Full, &controls).map_err(not_finished)
}

/// A report is the sealed one when its bytes are. Whether its figures are those of the data is seen by
/// rendering the data again, which the same version of the program does in the same bytes.
fn check(
    path: &Path,
    bundle: &Bundle,
    archive: &dyn Archive,
    context: &Context,
) -> Result<Exit, Failure> {
    let given = std::fs::read(path).with_context(|| path.display().to_string());
    let given = given.map_err(not_finished)?;
    let sealed = bundle.file(archive, layout::REPORT_PDF).map_err(unsealed)?;
    let name = format!("bundle {} of {}", bundle.seq(), bundle.statement.predicate.chain.origin);
    if given != sealed {
        let text = format!("{} is not the report that {name} sealed", path.display());
        let failure = Failure::new(Exit::NotVerified, anyhow!(text));
        return Err(failure.help("ask for the report of the bundle, or write it with --out"));
    }
    context.output.line(format!("{} is the report that {name} sealed", path.display()));
    if rendered(bundle, archive)? == sealed {
        context
            .output
            .line("Rendering the sealed data again gives the same bytes, figures included.");
    } else {
        context.output.line(
            "This version of the program renders the sealed data in other bytes: whether the \
             report's figures are those of the data was not checked.",
        );
    }
    Ok(Exit::Done)
}
