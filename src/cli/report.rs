//! `affidavit report ARCHIVE --out FILE`, `--annex FOLDER`, `--check FILE`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use indicatif::ProgressBar;

use super::Context;
use super::trust::{Place, Trust, not_finished, open_verified, unsealed, usage};
use crate::disclose;
use crate::evidence::digest::Digest;
use crate::evidence::{instant, layout, pades};
use crate::exit::Exit;
use crate::framework::Framework;
use crate::output::Failure;
use crate::period::{self, Period, PeriodError};
use crate::pipeline::TOOL;
use crate::render::annex::Annex;
use crate::render::build::{self, ChainFacts};
use crate::render::html::html;
use crate::render::model::{Report, Tool};
use crate::render::{self, Document, SEALED, Template, history, printed};
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

    /// executive, framework or full, or a folder with a main.typ of your own [default: full; period
    /// for a period]
    #[arg(long, value_name = "NAME|FOLDER")]
    template: Option<String>,

    /// pdf, or html: one file that can be searched, without network
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["template", "since", "period", "from", "annex"])]
    format: Format,

    /// Only this framework (pci-dss or pci-dss@4.0.1); the template `framework` wants one
    #[arg(long, value_name = "FRAMEWORK")]
    framework: Option<String>,

    /// Say what changed since this bundle
    #[arg(long, value_name = "N")]
    since: Option<u64>,

    /// Report on a period instead of one bundle: 2026, 2026-Q3, 2026-10, 2026-10-05; pci-dss and
    /// hipaa are the 12 months and the six years up to now
    #[arg(long, value_name = "PERIOD", conflicts_with_all = ["bundle", "since", "annex", "check"])]
    period: Option<String>,

    /// The same from this day or instant
    #[arg(long, value_name = "TIME", requires = "to", conflicts_with_all = ["period", "bundle", "since", "annex", "check"])]
    from: Option<String>,

    /// … up to this day or instant
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,

    /// Write the report, from sealed data
    #[arg(long, value_name = "FILE", group = "what")]
    out: Option<PathBuf>,

    /// Write every finding, in numbered volumes to which the report refers
    #[arg(long, value_name = "FOLDER", group = "what")]
    annex: Option<PathBuf>,

    /// Is this the report that the bundle sealed?
    /// With --template, --framework or --since: is it what these make of the sealed data?
    #[arg(long, value_name = "FILE", group = "what", conflicts_with_all = ["out", "annex"])]
    check: Option<PathBuf>,
}

/// Is said of every report that is not the one in the bundle.
const NOT_SEALED: &str = "made from sealed data, and not itself sealed";

/// What a report is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// PDF/A-3a, PDF/UA-1.
    #[default]
    Pdf,
    /// One self-contained file.
    Html,
}

pub(super) fn report(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let asked = asked(arguments, context)?;
    let archive = open_verified(&arguments.place, &arguments.trust, context)?;
    if let Some(asked) = asked {
        return period(arguments, &asked, &*archive, context);
    }
    let bundle = Bundle::read(&*archive, arguments.bundle).map_err(unsealed)?;
    if let Some(path) = &arguments.check {
        return check(arguments, path, &bundle, &*archive, context);
    }
    let report = model(&bundle, &*archive)?;
    if let Some(folder) = &arguments.annex {
        annex(folder, &bundle, &report, context)?;
    }
    let Some(path) = &arguments.out else { return Ok(Exit::Done) };
    if arguments.format == Format::Pdf && is_sealed_form(arguments) {
        let sealed = bundle.file(&*archive, layout::REPORT_PDF).map_err(unsealed)?;
        let bytes = pdf(&report, &Template::sealed(), &bundle, &*archive)?;
        let (bytes, text) = if sealed == bytes {
            (bytes, "it is byte for byte the report that was sealed")
        } else if is_signed_form(&sealed, &bytes) {
            (sealed, "it is byte for byte the report that was sealed, with its signature")
        } else {
            (
                bytes,
                "it differs from the report that was sealed: another version of the program made that one",
            )
        };
        write(path, &bytes)?;
        context.output.note(format!("{}: {text}", path.display()));
    } else {
        let bytes = other_form(arguments, arguments.format, report, &bundle, &*archive)?;
        write(path, &bytes)?;
        context.output.note(format!("{}: {NOT_SEALED}", path.display()));
    }
    Ok(Exit::Done)
}

/// Is the report asked for that a run seals?
fn is_sealed_form(arguments: &Arguments) -> bool {
    arguments.template.as_deref().is_none_or(|name| name == SEALED)
        && arguments.framework.is_none()
        && arguments.since.is_none()
}

/// A report that no bundle seals, by its format, template and arguments.
fn other_form(
    arguments: &Arguments,
    format: Format,
    mut report: Report,
    bundle: &Bundle,
    archive: &dyn Archive,
) -> Result<Vec<u8>, Failure> {
    if format == Format::Html {
        if let Some(wanted) = &arguments.framework {
            keep_framework(&mut report.frameworks, wanted, |f| (&f.id, &f.version))?;
        }
        return Ok(html(&report, &bundle.items));
    }
    let name = arguments.template.as_deref().unwrap_or(SEALED);
    let template = Template::find(name).map_err(|error| usage(error.into()))?;
    let report = chosen(arguments, report, bundle, archive)?;
    pdf(&report, &template, bundle, archive)
}

/// The period that is asked for.
fn asked(arguments: &Arguments, context: &Context) -> Result<Option<Period>, Failure> {
    let period = match (&arguments.period, arguments.from.as_ref().zip(arguments.to.as_ref())) {
        (Some(text), _) => Period::parse(text, context.now),
        (None, Some((from, to))) => Period::between(from, to),
        (None, None) => return Ok(None),
    };
    period.map(Some).map_err(|error| usage(error.into()))
}

fn period(
    arguments: &Arguments,
    period: &Period,
    archive: &dyn Archive,
    context: &Context,
) -> Result<Exit, Failure> {
    let name = arguments.template.as_deref().unwrap_or("period");
    let template = Template::find(name).map_err(|error| usage(error.into()))?;
    let bar = if context.progress { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let progress = |done: usize, of: usize| {
        bar.set_length(u64::try_from(of).unwrap_or(u64::MAX));
        bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    };
    let over_time = period::over_time(archive, period, context.now, &progress);
    bar.finish_and_clear();
    let mut over_time = over_time.map_err(|error| match error {
        PeriodError::Sealed(error) => unsealed(error),
        PeriodError::NoRuns { .. } | PeriodError::Pruned { .. } => usage(error.into()),
    })?;
    if let Some(wanted) = &arguments.framework {
        keep_framework(&mut over_time.frameworks, wanted, |f| (&f.id, &f.version))?;
    }
    if context.output.is_json() {
        context.output.json(&over_time);
    }
    let Some(path) = &arguments.out else { return Ok(Exit::Done) };
    let last = disclose::size(archive).map_err(not_finished)?.saturating_sub(1);
    let newest = Bundle::read_without_findings(archive, last, &[]).map_err(unsealed)?;
    let facts = ChainFacts::of(&newest, archive).map_err(unsealed)?;
    let head = newest.head(archive).map_err(unsealed)?;
    let (name, version) = TOOL;
    let tool = Tool { name: name.to_owned(), version: version.to_owned() };
    let made = (instant::format(context.now), tool);
    let (present, expected) = (over_time.runs.len(), over_time.expected);
    let report = build::period_report(&newest, &facts, &head, over_time, made);
    let bytes = render::pdf(Document::Period(&report), &template, &[]).map_err(not_finished)?;
    write(path, &bytes)?;
    context.output.note(format!("{}: {present} of {expected} runs; {NOT_SEALED}", path.display()));
    Ok(Exit::Done)
}

/// Keeps the framework that is wanted.
fn keep_framework<T>(
    frameworks: &mut Vec<T>,
    wanted: &str,
    key: impl Fn(&T) -> (&str, &str),
) -> Result<(), Failure> {
    let full = |framework: &T| {
        let (id, version) = key(framework);
        format!("{id}@{version}")
    };
    let names: Vec<String> = frameworks.iter().map(full).collect();
    frameworks.retain(|f| wanted == key(f).0 || wanted == full(f));
    if frameworks.is_empty() {
        let text = format!("there is no framework `{wanted}`, but {}", names.join(", "));
        return Err(usage(anyhow!(text)));
    }
    Ok(())
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
    if let Some(wanted) = &arguments.framework {
        keep_framework(&mut report.frameworks, wanted, |f| (&f.id, &f.version))?;
    } else if arguments.template.as_deref() == Some("framework") && report.frameworks.len() > 1 {
        let names = report.frameworks.iter().map(|f| format!("{}@{}", f.id, f.version));
        let names = names.collect::<Vec<_>>().join(", ");
        let text =
            format!("the template `framework` is about one: name it with --framework ({names})");
        return Err(usage(anyhow!(text)));
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
        bundle.frameworks.iter().map(|(framework, digest)| (&**framework, *digest)).collect();
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

fn is_html(bytes: &[u8]) -> bool {
    bytes.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!doctype"))
}

/// Is a file what it is said to be? A report is the sealed one when its bytes are. Whether its figures are
/// those of the data is seen by rendering the data again, which the same version of the program does in
/// the same bytes; for a report of another version, by reading its pages.
fn check(
    arguments: &Arguments,
    path: &Path,
    bundle: &Bundle,
    archive: &dyn Archive,
    context: &Context,
) -> Result<Exit, Failure> {
    let given = std::fs::read(path).with_context(|| path.display().to_string());
    let given = given.map_err(not_finished)?;
    let name = format!("bundle {} of {}", bundle.seq(), bundle.statement.predicate.chain.origin);
    let file = path.display();
    let refused = |text: String, help: &'static str| {
        Err(Failure::new(Exit::NotVerified, anyhow!(text)).help(help))
    };
    let model = model(bundle, archive)?;
    if is_html(&given) || !is_sealed_form(arguments) {
        let format = if is_html(&given) { Format::Html } else { Format::Pdf };
        if other_form(arguments, format, model, bundle, archive)? == given {
            let text = "is what this version makes of the sealed data of";
            context.output.line(format!("{file} {text} {name}"));
            return Ok(Exit::Done);
        }
        let text = format!("{file} is not what this version makes of the sealed data of {name}");
        return refused(text, "another version, another bundle or other options give other bytes");
    }
    let sealed = bundle.file(archive, layout::REPORT_PDF).map_err(unsealed)?;
    if given != sealed {
        let text = format!("{file} is not the report that {name} sealed");
        return refused(text, "ask for the report of the bundle, or write it with --out");
    }
    context.output.line(format!("{file} is the report that {name} sealed"));
    match pades::check(&sealed) {
        Ok(None) => {}
        Ok(Some(signature)) => context.output.line(format!(
            "It is signed by the key of the certificate of {}, over all of it; whether that certificate \
             deserves trust was not asked.",
            signature.subject
        )),
        Err(fault) => return refused(format!("the signature in {file}: {fault}"), ""),
    }
    let rendered = pdf(&model, &Template::sealed(), bundle, archive)?;
    if rendered == sealed || is_signed_form(&sealed, &rendered) {
        context
            .output
            .line("Rendering the sealed data again gives the same bytes, figures included.");
        return Ok(Exit::Done);
    }
    let totals = printed::totals(&model);
    match printed::missing(&sealed, &totals) {
        Some(missing) if missing.is_empty() => context.output.line(format!(
            "This version of the program renders the sealed data in other bytes; all {} totals that it \
             computes are printed in the report.",
            totals.len()
        )),
        Some(missing) => {
            let text = format!(
                "{} of {} totals of the sealed data are not printed in {file}: {}",
                missing.len(),
                totals.len(),
                missing.join("; ")
            );
            return refused(text, "");
        }
        None => {
            return refused(format!("the pages of {file} cannot be read"), "");
        }
    }
    Ok(Exit::Done)
}

/// Signing adds to a file and changes nothing in it.
fn is_signed_form(sealed: &[u8], rendered: &[u8]) -> bool {
    sealed.starts_with(rendered) && matches!(pades::check(sealed), Ok(Some(_)))
}
