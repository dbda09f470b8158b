//! `affidavit report ARCHIVE --out FILE`, `--annex FOLDER`, `--check FILE`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::Context;
use super::trust::{Place, Trust, not_finished, open_verified, unsealed, usage};
use crate::evidence::digest::Digest;
use crate::evidence::layout;
use crate::exit::Exit;
use crate::framework::Framework;
use crate::output::Failure;
use crate::render::annex::Annex;
use crate::render::build::{self, ChainFacts};
use crate::render::model::Report;
use crate::render::{self, Document, SEALED, Template, history};
use crate::sealed::Bundle;
use crate::verify::Archive;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    trust: Trust,

    /// Number of the bundle [default: the newest]
    #[arg(long, value_name = "N")]
    bundle: Option<u64>,

    /// executive, framework, full or period, or a folder with a main.typ of your own
    #[arg(long, value_name = "NAME|FOLDER", default_value = SEALED)]
    template: String,

    /// Only this framework (pci-dss or pci-dss@4.0.1); the template `framework` wants one
    #[arg(long, value_name = "FRAMEWORK")]
    framework: Option<String>,

    /// Say what changed since this bundle
    #[arg(long, value_name = "N")]
    since: Option<u64>,

    /// Write the report, from sealed data
    #[arg(long, value_name = "FILE", group = "what")]
    out: Option<PathBuf>,

    /// Write every finding, in numbered volumes to which the report refers
    #[arg(long, value_name = "FOLDER", group = "what")]
    annex: Option<PathBuf>,

    /// Is this the report that the bundle sealed?
    #[arg(long, value_name = "FILE", group = "what", conflicts_with_all = ["out", "annex"])]
    check: Option<PathBuf>,
}

pub(super) fn report(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let archive = open_verified(&arguments.place, &arguments.trust, context)?;
    let bundle = Bundle::read(&*archive, arguments.bundle).map_err(unsealed)?;
    if let Some(path) = &arguments.check {
        return check(path, &bundle, &*archive, context);
    }
    let report = model(&bundle, &*archive)?;
    if let Some(folder) = &arguments.annex {
        annex(folder, &bundle, &report, context)?;
    }
    let Some(path) = &arguments.out else { return Ok(Exit::Done) };
    let is_sealed =
        arguments.template == SEALED && arguments.framework.is_none() && arguments.since.is_none();
    if is_sealed {
        let sealed = bundle.file(&*archive, layout::REPORT_PDF).map_err(unsealed)?;
        let bytes = pdf(&report, &Template::sealed(), &bundle, &*archive)?;
        write(path, &bytes)?;
        let text = if sealed == bytes {
            "it is byte for byte the report that was sealed"
        } else {
            "it differs from the report that was sealed: another version of the program made that one"
        };
        context.output.note(format!("{}: {text}", path.display()));
    } else {
        let template = Template::find(&arguments.template).map_err(|error| usage(error.into()))?;
        let report = chosen(arguments, report, &bundle, &*archive)?;
        write(path, &pdf(&report, &template, &bundle, &*archive)?)?;
        let text = "made from sealed data, and not itself sealed";
        context.output.note(format!("{}: {text}", path.display()));
    }
    Ok(Exit::Done)
}

/// The report with what its template and the arguments want more, or less.
fn chosen(
    arguments: &Arguments,
    mut report: Report,
    bundle: &Bundle,
    archive: &dyn Archive,
) -> Result<Report, Failure> {
    report.history = history::up_to(bundle, archive).map_err(unsealed)?;
    let since = arguments.since.or_else(|| bundle.seq().checked_sub(1));
    if let Some(seq) = since {
        if seq >= bundle.seq() {
            let text = format!("--since {seq}: it must be earlier than bundle {}", bundle.seq());
            return Err(usage(anyhow!(text)));
        }
        let before = Bundle::read(archive, Some(seq)).map_err(unsealed)?;
        report.changes = Some(history::changes(&before, bundle));
    }
    let names: Vec<String> =
        report.frameworks.iter().map(|f| format!("{}@{}", f.id, f.version)).collect();
    match &arguments.framework {
        Some(wanted) => {
            report
                .frameworks
                .retain(|f| *wanted == f.id || *wanted == format!("{}@{}", f.id, f.version));
            if report.frameworks.is_empty() {
                let text =
                    format!("the bundle has no framework `{wanted}`; it has {}", names.join(", "));
                return Err(usage(anyhow!(text)));
            }
        }
        None if arguments.template == "framework" && names.len() > 1 => {
            let text = format!(
                "the template `framework` is about one: name it with --framework ({})",
                names.join(", ")
            );
            return Err(usage(anyhow!(text)));
        }
        None => {}
    }
    Ok(report)
}

fn annex(
    folder: &Path,
    bundle: &Bundle,
    report: &Report,
    context: &Context,
) -> Result<(), Failure> {
    let template = Template::builtin("annex")
        .ok_or_else(|| not_finished(anyhow!("this build has no template `annex`")))?;
    let annex = Annex::new(&bundle.items, report);
    std::fs::create_dir_all(folder)
        .with_context(|| folder.display().to_string())
        .map_err(not_finished)?;
    let width = annex.len().to_string().len();
    for number in 1..=annex.len() {
        let volume = annex.volume(number);
        let bytes = render::pdf(Document::Annex(&volume), &template, &[]).map_err(not_finished)?;
        write(&folder.join(format!("annex-{number:0width$}.pdf")), &bytes)?;
    }
    context.output.note(format!(
        "{}: {} findings in {} volumes",
        folder.display(),
        bundle.items.findings.len(),
        annex.len()
    ));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).with_context(|| path.display().to_string()).map_err(not_finished)
}

fn model(bundle: &Bundle, archive: &dyn Archive) -> Result<Report, Failure> {
    let facts = ChainFacts::of(bundle, archive).map_err(unsealed)?;
    let mappings: Vec<(&Framework, Digest)> =
        bundle.frameworks.iter().map(|(framework, digest)| (framework, *digest)).collect();
    build::report(&bundle.items, &bundle.run, &mappings, &facts).map_err(not_finished)
}

fn pdf(
    report: &Report,
    template: &Template,
    bundle: &Bundle,
    archive: &dyn Archive,
) -> Result<Vec<u8>, Failure> {
    let controls = bundle.file(archive, layout::CONTROLS).map_err(unsealed)?;
    let attachments = build::attachments(controls, &bundle.items);
    render::pdf(Document::Bundle(report), template, &attachments).map_err(not_finished)
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
    let rendered = pdf(&model(bundle, archive)?, &Template::sealed(), bundle, archive)?;
    if rendered == sealed {
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
