//! The report: the same bytes everywhere, archival and accessible, whatever stands in the cluster.

pub mod sample;

use std::path::Path;

use affidavit::render::model::Report;
use affidavit::render::{self, Attachment, Document, RenderError, Template, printed};

use crate::command::done;
use crate::harness::part_of;
use crate::tools::{self, Tool};

const ATTACHMENT: &[u8] = b"{\"controls\":[],\"text\":\"\xe6\xbc\xa2\"}\n";

/// Templates for reports of one bundle.
const OF_A_BUNDLE: [&str; 3] = ["executive", "framework", "full"];

fn render_by(report: &Report, template: &str) -> Result<Vec<u8>, RenderError> {
    let attachment = Attachment {
        name: render::ATTACHMENT,
        mime: "application/json",
        description: "The controls",
        bytes: ATTACHMENT.to_vec(),
    };
    render::pdf(Document::Bundle(report), &Template::find(template).unwrap(), &[attachment])
}

fn render(report: &Report) -> Vec<u8> {
    render_by(report, "full").unwrap()
}

/// What one of poppler's or qpdf's programs prints.
fn run(tool: &Tool, arguments: &[&str]) -> String {
    done(&tool.command().args(arguments).output().unwrap())
}

fn with_file<T>(pdf: &[u8], then: impl FnOnce(&Path, &str) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.pdf");
    std::fs::write(&path, pdf).unwrap();
    then(folder.path(), path.to_str().unwrap())
}

/// The report's text, each line's white space reduced to single spaces.
fn text_of(report: &Report) -> String {
    tools::PDFTOTEXT.demand();
    let read = |_: &Path, path: &str| run(&tools::PDFTOTEXT, &["-layout", path, "-"]);
    let text = with_file(&render(report), read);
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('\u{200b}', "").lines().map(line).collect::<Vec<_>>().join("\n")
}

/// For whoever works on a template: writes reports to look at, to a folder that is there.
/// `AFFIDAVIT_TEST_PARTS=render::reports_to_look_at AFFIDAVIT_REPORTS=/tmp/x cargo test --test main` runs it.
#[apply(part)]
fn reports_to_look_at() {
    let folder = std::env::var_os("AFFIDAVIT_REPORTS").expect("a folder");
    for (name, report) in [
        ("sample", sample::with_history(sample::sample())),
        (
            "three",
            sample::with_history(sample::of(&["cis-kubernetes", "pci-dss", "hipaa-security-rule"])),
        ),
        ("many", sample::many(12)),
        ("empty", sample::empty()),
        ("fleet", sample::fleet(sample::of(&["cis-kubernetes", "pci-dss"]), 40)),
        ("hostile", sample::everywhere(sample::HOSTILE[4])),
        ("long", sample::everywhere(&"n".repeat(4096))),
    ] {
        for template in OF_A_BUNDLE {
            let begun = std::time::Instant::now();
            let pdf = render_by(&report, template).unwrap();
            let name = format!("{name}-{template}.pdf");
            eprintln!("{name}: {} bytes in {:?}", pdf.len(), begun.elapsed());
            std::fs::write(Path::new(&folder).join(name), pdf).unwrap();
        }
    }
}

/// Where the part below writes to.
const RENDER_TO: &str = "AFFIDAVIT_TEST_RENDER_TO";

#[apply(part)]
fn renders_the_sample() {
    let path = std::env::var_os(RENDER_TO).expect("the test below runs this");
    std::fs::write(path, render(&sample::sample())).unwrap();
}

#[apply(test)]
fn bytes_depend_on_the_input_only() {
    let report = sample::sample();
    let pdf = render(&report);
    let folder = tempfile::tempdir().unwrap();
    for (zone, language, threads, home) in
        [("Asia/Tokyo", "ja_JP.UTF-8", "1", "/"), ("America/Caracas", "C", "7", "/tmp")]
    {
        let path = folder.path().join(threads);
        let output = part_of("render::renders_the_sample")
            .env(RENDER_TO, &path)
            .env("TZ", zone)
            .env("LANG", language)
            .env("LC_ALL", language)
            .env("RAYON_NUM_THREADS", threads)
            .current_dir(home)
            .output()
            .unwrap();
        done(&output);
        assert!(std::fs::read(&path).unwrap() == pdf, "other bytes with TZ={zone} LANG={language}");
    }
    // What an earlier report left in memory does not matter, nor does the next one get its identity.
    let mut next = report.clone();
    next.chain.seq += 1;
    assert!(render(&next) != pdf);
    assert!(render(&report) == pdf);
}

#[apply(test)]
fn a_report_claims_to_be_archival_and_accessible() {
    let pdf = render(&sample::of(&["hipaa-security-rule"]));
    let text = String::from_utf8_lossy(&pdf);
    for claim in ["<pdfaid:part>3", "<pdfaid:conformance>A", "<pdfuaid:part>1", "affidavit 0.1.0"] {
        assert!(text.contains(claim), "no {claim}");
    }
}

#[apply(test)]
fn qpdf_finds_a_report_well_formed() {
    tools::QPDF.demand();
    let pdf = render(&sample::of(&["hipaa-security-rule"]));
    with_file(&pdf, |_, path| run(&tools::QPDF, &["--check", path]));
}

/// By the validator of others, for every template and for hostile text.
#[apply(test)]
fn verapdf_finds_every_template_archival_and_accessible() {
    tools::VERAPDF.demand();
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    let report = sample::with_history(sample::sample());
    let hostile = sample::everywhere(sample::HOSTILE[3]);
    let all = OF_A_BUNDLE.map(|template| (template, &report));
    let fleet = sample::fleet(sample::of(&["pci-dss"]), 12);
    let more = [("executive", &hostile), ("full", &fleet), ("executive", &fleet)];
    for (template, report) in all.into_iter().chain(more) {
        let name = format!("{}.pdf", names.len());
        std::fs::write(folder.path().join(&name), render_by(report, template).unwrap()).unwrap();
        names.push(name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    crate::stock_tools::validate(folder.path(), &names);
}

#[apply(test)]
fn the_attachment_comes_back_byte_for_byte() {
    tools::PDFDETACH.demand();
    with_file(&render(&sample::empty()), |folder, path| {
        let list = run(&tools::PDFDETACH, &["-list", path]);
        assert!(list.contains(render::ATTACHMENT), "{list}");
        let saved = folder.join("saved.json");
        run(&tools::PDFDETACH, &["-save", "1", "-o", saved.to_str().unwrap(), path]);
        assert_eq!(std::fs::read(saved).unwrap(), ATTACHMENT);
    });
}

#[apply(test)]
fn the_text_holds_each_frameworks_counts_and_no_verdict() {
    let report = sample::sample();
    let text = text_of(&report);
    for framework in &report.frameworks {
        let counts = &framework.counts;
        for part in [
            format!(
                "{} of {} {} of {}",
                framework.assessed, framework.applicable, counts.satisfied, framework.assessed
            ),
            format!(
                "satisfied {} supported {} not-satisfied {}",
                counts.satisfied, counts.supported, counts.not_satisfied
            ),
            format!(
                "manual {} not-assessed {} not-applicable {}",
                counts.manual, counts.not_assessed, counts.not_applicable
            ),
        ] {
            assert!(text.contains(&part), "{}: no `{part}`", framework.id);
        }
        for control in framework.groups.iter().flat_map(|group| &group.controls) {
            assert!(text.contains(&control.id), "{} {} is not shown", framework.id, control.id);
        }
    }
    for check in
        ["kube-bench:cis-1.12:1.1.1", "evidence.example.com/prod-eu1#326", "--root FINGERPRINT"]
    {
        assert!(text.contains(check), "no `{check}`");
    }
    let text = text.to_lowercase();
    for word in ["compliant", "certified", "does not add up"] {
        assert!(!text.contains(word), "`{word}` appears");
    }
}

#[apply(test)]
fn a_shortened_list_says_what_it_leaves_out() {
    let report = sample::sample();
    let text = text_of(&report);
    let controls = report.frameworks.iter().flat_map(|f| &f.groups).flat_map(|g| &g.controls);
    let mut long = 0;
    for control in controls.filter(|control| control.failing.len() > 12) {
        long += 1;
        let total = control.failing.len();
        assert!(text.contains(&format!("12 of {total} are listed. … and {} more:", total - 12)));
    }
    assert!(long > 0, "the sample has no long list");
}

#[apply(test)]
fn an_empty_report_says_why_it_is_empty() {
    let text = text_of(&sample::empty());
    for part in [
        "No framework was assessed",
        "No source was declared",
        "No waiver was given",
        "No attestation was given",
        "this is the first bundle",
        "Nothing: every source is in order",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[apply(test)]
fn no_text_makes_a_report_fail() {
    let long = "n".repeat(4096);
    let no_date = "2026-02-31T25:61:61Z";
    let almost = "2026-02-31T02:00:00Z";
    for text in sample::HOSTILE.into_iter().chain([long.as_str(), no_date, almost]) {
        for template in OF_A_BUNDLE {
            let pdf = render_by(&sample::everywhere(text), template);
            assert!(pdf.is_ok(), "{template}, {text:?}: {}", pdf.unwrap_err());
        }
    }
}

#[apply(test)]
fn altered_texts_are_counted() {
    let mut report = sample::empty();
    report.organisation = "漢字 \u{1b}[31m".into();
    report.cluster.name = "n".repeat(4096);
    let text = text_of(&report);
    let text = text.replace('\n', " ");
    assert!(text.contains("In 1 text, characters that no font"), "{text}");
    assert!(text.contains("1 text of more than 600 characters is cut"), "{text}");
}

/// What `report --check` does for the report of another version: it reads the pages.
#[apply(test)]
fn printed_totals_are_read_back_and_others_are_missed() {
    for report in [sample::sample(), sample::of(&["hipaa-security-rule"]), sample::empty()] {
        let totals = printed::totals(&report);
        let pdf = render(&report);
        assert_eq!(printed::missing(&pdf, &totals), Some(Vec::new()));
        assert_eq!(printed::missing(b"%PDF-1.7 no pages", &totals), None);
        let mut other = report.clone();
        other.totals.findings += 1;
        for framework in &mut other.frameworks {
            framework.counts.not_satisfied += 1;
        }
        let missing = printed::missing(&pdf, &printed::totals(&other)).unwrap();
        // The findings, and of each framework the sentence and the row of counts.
        assert_eq!(missing.len(), 1 + 2 * report.frameworks.len(), "{missing:#?}");
    }
}

#[apply(test)]
fn a_run_at_no_time_has_no_report() {
    let mut report = sample::empty();
    report.created = "yesterday".into();
    let error = render_by(&report, "full").unwrap_err();
    assert_eq!(error.to_string(), "`yesterday` is no instant");
}
