//! Sealed items → one HTML file: searchable, printable, readable without its script, and without any
//! network. Everything in it is escaped text of the model; the content policy admits only its own
//! style and script, by digest (CSP level 3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::annex::{Annex, CheckPart};
use super::decisions::named;
use super::figures::{self, Extra};
use super::model::{Control, Count, Framework, Mapping, Population, Report, Source};
use super::printed::number;
use super::text;
use crate::assessment::{Status, StatusCounts};
use crate::evidence::digest::Digest;
use crate::sealed::Items;

const STYLE: &str = include_str!("../../report-templates/html/style.css");
const SCRIPT: &str = include_str!("../../report-templates/html/script.js");

/// Resources in the list of what to look at first.
const RISKS: usize = 10;

/// Statuses in the order in which reports tell them, with a picture (in a box of 10) for each.
const STATUSES: [(Status, &str); 7] = [
    (Status::Satisfied, r#"<circle cx="5" cy="5" r="5" stroke="none"/>"#),
    (
        Status::Supported,
        r#"<circle cx="5" cy="5" r="4.3" fill="none" stroke-width="1.4"/><path d="M5 0A5 5 0 0 0 5 10Z" stroke="none"/>"#,
    ),
    (Status::NotSatisfied, r#"<path d="M1 1 9 9M9 1 1 9" fill="none" stroke-width="2.2"/>"#),
    (Status::Waived, r#"<path d="M1 0H9V5L5 10 1 5Z" stroke="none"/>"#),
    (Status::Manual, r#"<path d="M5 0 10 5 5 10 0 5Z" stroke="none"/>"#),
    (Status::NotAssessed, r#"<circle cx="5" cy="5" r="4.3" fill="none" stroke-width="1.4"/>"#),
    (Status::NotApplicable, r#"<path d="M0 5H10" fill="none" stroke-width="1.6"/>"#),
];

/// The report on these items as one HTML file. Equal input gives equal bytes.
#[must_use]
pub fn html(report: &Report, items: &Items) -> Vec<u8> {
    let mut page = Page(String::new());
    page.head(report);
    page.raw("<main id=\"content\">");
    let extra = figures::extra(report);
    page.one_minute(report, &extra);
    page.members(report);
    page.provenance(report);
    page.maps(report);
    page.controls(report);
    page.findings(report, items);
    page.registers(report, &extra);
    page.verify(report);
    page.words();
    page.raw("</main>");
    page.line("footer", &format!(
        "{} {} made this from the sealed data of bundle {} of {}. It is not itself sealed: whoever has the archive can make it again and compare.",
        report.tool.name, report.tool.version, report.chain.seq, report.chain.origin
    ));
    page.raw("<script>");
    page.raw(SCRIPT);
    page.raw("</script></body></html>\n");
    page.0.into_bytes()
}

/// HTML in the making.
struct Page(String);

/// What a decision covers, and what it names that the run does not have.
fn with_misses(scope: &str, unmatched: &[String]) -> String {
    let sentences = unmatched.iter().map(|clause| format!(" ({clause})"));
    sentences.fold(scope.to_owned(), |text, sentence| text + &sentence)
}

/// `2026-11-23T02:00:00Z` → `2026-11-23 02:00 UTC`; anything else as it is.
fn stamp(text: &str) -> String {
    match (text.get(..10), text.get(11..16), text.get(16..)) {
        (Some(day), Some(time), Some(":00Z")) if text.len() == 20 => format!("{day} {time} UTC"),
        _ if text.is_empty() => "not stated".to_owned(),
        _ => text.to_owned(),
    }
}

fn counted(counts: &[Count]) -> String {
    let parts: Vec<String> =
        counts.iter().map(|count| format!("{} {}", number(count.count), count.name)).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn anchor(framework: &Framework, control: &Control) -> String {
    format!("{}@{}/{}", framework.id, framework.version, control.id)
}

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    /// Text of the model: escaped, and what shows nothing or reorders its surroundings is made visible.
    fn text(&mut self, value: &str) {
        for c in text::visible(value) {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
    }

    /// An element with text in it; `tag` may have attributes of our own.
    fn line(&mut self, tag: &str, value: &str) {
        let name = tag.split(' ').next().unwrap_or(tag);
        self.raw(&format!("<{tag}>"));
        self.text(value);
        self.raw(&format!("</{name}>"));
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.raw(&format!(" {name}=\""));
        self.text(&value.replace(' ', "_"));
        self.raw("\"");
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.line("dt", name);
        self.line("dd", value);
    }

    fn glyph(&mut self, word: &str) {
        let word = if STATUSES.iter().any(|(status, _)| status.as_str() == word) {
            word
        } else {
            Status::NotAssessed.as_str()
        };
        self.raw(&format!("<svg class=\"g g-{word}\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><use href=\"#g-{word}\"/></svg>"
        ));
    }

    fn status(&mut self, word: &str) {
        self.raw("<span class=\"status\">");
        self.glyph(word);
        self.text(word);
        self.raw("</span>");
    }

    fn table(&mut self, caption: &str, heads: &[&str], rows: &[Vec<String>]) {
        self.raw("<table class=\"wide\">");
        self.line("caption", caption);
        self.raw("<thead><tr>");
        let is_number = |cell: &String| {
            !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || c == ',')
        };
        for (index, head) in heads.iter().enumerate() {
            let numbers = rows.iter().all(|row| row.get(index).is_some_and(is_number));
            let tag = if numbers { "th scope=\"col\" class=\"n\"" } else { "th scope=\"col\"" };
            self.line(tag, head);
        }
        self.raw("</tr></thead><tbody>");
        for row in rows {
            self.raw("<tr>");
            for cell in row {
                self.line(if is_number(cell) { "td class=\"n\"" } else { "td" }, cell);
            }
            self.raw("</tr>");
        }
        self.raw("</tbody></table>");
    }

    fn head(&mut self, report: &Report) {
        let digest = |text: &str| STANDARD.encode(Digest::of(text.as_bytes()).as_bytes());
        self.raw(&format!("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\">\
             <meta name=\"color-scheme\" content=\"light dark\">",
            digest(SCRIPT),
            digest(STYLE)
        ));
        self.line("title", &format!("Evidence report: {}", report.cluster.name));
        self.raw("<style>");
        self.raw(STYLE);
        self.raw("</style></head><body><a class=\"skip\" href=\"#content\">Skip to the content</a><svg width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>");
        for (status, picture) in STATUSES {
            self.raw(&format!(
                "<symbol id=\"g-{status}\" viewBox=\"0 0 10 10\">{picture}</symbol>"
            ));
        }
        self.raw("</defs></svg><header>");
        let organisation = if report.organisation.is_empty() {
            "Organisation not named"
        } else {
            &report.organisation
        };
        self.line("p class=\"quiet\"", organisation);
        let what = if report.members.is_empty() { "cluster" } else { "fleet" };
        self.line("h1", &format!("Evidence report: {what} {}", report.cluster.name));
        self.raw("<dl>");
        self.fact("Run of", &stamp(&report.created));
        self.fact(
            "Speaks for",
            &format!("{} to {}", stamp(&report.period_start), stamp(&report.period_end)),
        );
        let uid = if report.cluster.uid.is_empty() {
            "not recorded; known by its configured name only"
        } else {
            &report.cluster.uid
        };
        if report.members.is_empty() {
            self.fact("Cluster identity", uid);
        } else {
            let all = report.members.len();
            let ok = report.members.iter().filter(|member| member.state == "ok").count();
            let said = format!("{} of {} up to date and verified", number(ok), number(all));
            self.fact("Clusters", &said);
        }
        self.fact("Bundle", &format!("{}#{}", report.chain.origin, report.chain.seq));
        self.fact("Made by", &format!("{} {}", report.tool.name, report.tool.version));
        self.raw("</dl><div class=\"box\"><p><b>Evidence supports; the assessor decides.</b></p><p>This report states what scanners found, what people approved and attested, and what was not looked at. It gives no opinion on whether a requirement is met. Every figure is computed from sealed data that anyone can verify without the network.</p></div></header>");
        self.raw("<nav aria-label=\"Parts of the report\"><ul><li><a href=\"#one-minute\">One minute</a></li>");
        if !report.members.is_empty() {
            self.raw("<li><a href=\"#clusters\">Clusters</a></li>");
        }
        self.raw("<li><a href=\"#provenance\">How it was produced</a></li><li><a href=\"#map\">Coverage map</a></li><li><a href=\"#controls\">Controls</a></li><li><a href=\"#findings\">Findings</a></li><li><a href=\"#registers\">Exceptions and open points</a></li><li><a href=\"#verify\">Verify</a></li><li><a href=\"#words\">Words</a></li></ul></nav>");
    }

    fn bar(&mut self, title: &str, counts: StatusCounts) {
        self.raw("<div class=\"bar\" role=\"img\"");
        let said: Vec<String> = STATUSES
            .iter()
            .map(|(status, _)| format!("{} {status}", number(counts.get(*status))))
            .collect();
        self.raw(" aria-label=\"");
        self.text(&format!("{title}: {}", said.join(", ")));
        self.raw("\">");
        self.raw(&format!(
            "<svg viewBox=\"0 0 {} 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
            counts.total().max(1)
        ));
        let mut from = 0;
        for (status, _) in STATUSES {
            let count = counts.get(status);
            self.raw(&format!(
                "<rect x=\"{from}\" width=\"{count}\" height=\"1\" class=\"f-{status}\"/>"
            ));
            from += count;
        }
        self.raw("</svg>");
        self.raw("</div><ul class=\"legend\">");
        for (status, _) in STATUSES {
            self.raw("<li>");
            self.glyph(status.as_str());
            self.text(&format!("{status} "));
            self.line("b", &number(counts.get(status)));
            self.raw("</li>");
        }
        self.raw("</ul>");
    }

    fn one_minute(&mut self, report: &Report, extra: &Extra) {
        self.raw("<section aria-labelledby=\"one-minute\"><h2 id=\"one-minute\">One minute</h2>");
        if report.frameworks.is_empty() {
            self.line("p class=\"quiet\"", "No framework was assessed in this run.");
        }
        for framework in &report.frameworks {
            let title = named(&framework.title, &framework.version);
            self.line("h3", &title);
            self.raw("<div class=\"numbers\"><p>");
            self.line("b", &number(framework.assessed));
            self.text(&format!(
                " of {} assessed of those that apply",
                number(framework.applicable)
            ));
            self.raw("</p><p>");
            self.line("b", &number(framework.counts.satisfied));
            self.text(&format!(" of {} satisfied of those assessed", number(framework.assessed)));
            self.raw("</p></div>");
            self.bar(&title, framework.counts);
            self.line(
                "p class=\"quiet\"",
                &format!(
                    "Evidence bears on {} of {} controls that apply; it contradicts {} of them.",
                    number(framework.assessed),
                    number(framework.applicable),
                    number(framework.counts.not_satisfied)
                ),
            );
        }
        self.raw("<h3>What needs a decision</h3>");
        if extra.decisions.is_empty() {
            self.line("p class=\"quiet\"", "Nothing: every source is in order, and no waiver, attestation, gap or disagreement asks for one.");
        } else {
            let rows: Vec<_> = extra
                .decisions
                .iter()
                .map(|decision| vec![decision.question.to_owned(), decision.about.clone()])
                .collect();
            self.table("The most urgent first", &["Question", "About what"], &rows);
        }
        self.risks(report);
        self.raw("<h3>What fails worst</h3>");
        if extra.worst.is_empty() {
            self.line(
                "p class=\"quiet\"",
                "No failing finding bears on a control of these frameworks.",
            );
        } else {
            let rows: Vec<_> = extra
                .worst
                .iter()
                .map(|worst| {
                    vec![
                        worst.severity.as_str().to_owned(),
                        format!("{} {}", worst.check, worst.title).trim().to_owned(),
                        number(worst.findings),
                        number(worst.waived),
                        number(worst.resources),
                    ]
                })
                .collect();
            let caption = format!(
                "{} failing findings of {} checks bear on controls: {}",
                number(extra.failing_findings),
                number(extra.failing_checks),
                counted(&extra.failing_severities)
            );
            let heads = ["Severity", "Check", "Findings", "Waived", "Resources"];
            self.table(&caption, &heads, &rows);
        }
        self.raw("</section>");
    }

    fn risks(&mut self, report: &Report) {
        if report.risks.is_empty() {
            return;
        }
        self.raw("<h3>What to look at first</h3>");
        let rows: Vec<_> = report
            .risks
            .iter()
            .take(RISKS)
            .map(|risk| {
                let checks: Vec<String> =
                    risk.checks.iter().map(|(check, score)| format!("{check} {score}")).collect();
                vec![
                    risk.score.to_string(),
                    risk.resource.clone(),
                    checks.join(", "),
                    risk.factors.join("; "),
                ]
            })
            .collect();
        let caption = format!(
            "{} of {} resources that fail a check, ranked by severity, exposure, power and criticality",
            rows.len(),
            report.failing_resources
        );
        self.table(&caption, &["Score", "Resource", "Checks", "Raised or lowered by"], &rows);
    }

    fn provenance(&mut self, report: &Report) {
        let totals = &report.totals;
        self.raw("<section aria-labelledby=\"provenance\"><h2 id=\"provenance\">How this evidence was produced</h2><h3>Totals that reconcile</h3>");
        let controls: usize = report.frameworks.iter().map(|framework| framework.total).sum();
        let of_each: Vec<String> = report
            .frameworks
            .iter()
            .map(|f| format!("{} of {}", number(f.total), named(&f.title, &f.version)))
            .collect();
        let row = |stage: &str, count: usize, of: String| vec![stage.to_owned(), number(count), of];
        let rows = [
            row(
                "Input files",
                totals.inputs,
                format!("{} bytes, sealed as they were read", totals.input_bytes),
            ),
            row("Findings read", totals.findings, counted(&totals.outcomes)),
            row(
                "of them without a control",
                totals.unmapped_findings,
                "their checks bear on no control of these frameworks; they are sealed like the rest"
                    .to_owned(),
            ),
            row("Sealed items", report.chain.items, counted(&totals.items)),
            row("Controls", controls, of_each.join(", ")),
        ];
        self.table("From inputs to controls", &["Stage", "Number", "Made up of"], &rows);
        self.raw("<h3>Sources</h3>");
        if report.sources.is_empty() {
            self.line(
                "p class=\"quiet\"",
                "No source was declared, so nothing could be missing and nothing was read.",
            );
        }
        for source in &report.sources {
            self.source(source);
        }
        self.raw("<h3>Population</h3>");
        if report.populations.is_empty() {
            self.line("p class=\"quiet\"", "No source counted the cluster's own objects: what the scanners reported is all that is known of it.");
        }
        for population in &report.populations {
            self.population(population);
        }
        self.raw("</section>");
    }

    fn source(&mut self, source: &Source) {
        self.line("h4", &format!("{}: {}", source.name, source.status));
        let detail =
            if source.detail.is_empty() { String::new() } else { format!("; {}", source.detail) };
        self.line(
            "p class=\"quiet\"",
            &format!("scanner {}, may be {} old{detail}", source.scanner, source.max_age),
        );
        let rows: Vec<_> = source
            .files
            .iter()
            .map(|file| {
                let mut remarks = file.notes.clone();
                if !file.error.is_empty() {
                    remarks.insert(0, format!("Could not be read: {}", file.error));
                }
                vec![
                    file.path.clone(),
                    format!("{} {}", file.tools.join(", "), file.rule_sets.join(", ")),
                    stamp(&file.taken_at),
                    number(file.findings),
                    counted(&file.outcomes),
                    file.sha256.clone(),
                    remarks.join(" "),
                ]
            })
            .collect();
        let heads =
            ["File", "Tool and rules", "Taken at", "Findings", "Outcomes", "SHA-256", "Remarks"];
        if rows.is_empty() {
            self.line(
                "p class=\"quiet\"",
                "No file: every control that its checks map to lacks this evidence.",
            );
        } else {
            self.table("Files", &heads, &rows);
        }
    }

    fn population(&mut self, population: &Population) {
        self.line("h4", &population.source);
        let rows: Vec<_> = population
            .kinds
            .iter()
            .map(|kind| {
                let covered: Vec<String> = population
                    .covering
                    .iter()
                    .zip(&kind.covered)
                    .map(|(source, count)| format!("{source} {count}"))
                    .collect();
                vec![
                    format!("{} ({})", kind.kind, kind.api_version),
                    kind.count.to_string(),
                    kind.listing.clone(),
                    covered.join(", "),
                    kind.detail.clone(),
                ]
            })
            .collect();
        let caption = format!("{} objects in scope", population.objects);
        let heads = ["Kind", "Objects", "List", "Sources that say something of", "Detail"];
        self.table(&caption, &heads, &rows);
    }

    fn maps(&mut self, report: &Report) {
        self.raw("<section aria-labelledby=\"map\"><h2 id=\"map\">Coverage map</h2>");
        for framework in &report.frameworks {
            self.line("h3", &named(&framework.title, &framework.version));
            self.raw("<div class=\"map\">");
            for group in framework.groups.iter().filter(|group| !group.controls.is_empty()) {
                self.line("span", &format!("{} {}", group.id, group.title));
                self.raw("<div>");
                for control in &group.controls {
                    self.raw(&format!("<a class=\"s-{}\"", known(&control.status)));
                    self.attribute("href", &format!("#{}", anchor(framework, control)));
                    self.raw(">");
                    self.glyph(&control.status);
                    self.text(&control.id);
                    self.raw("<span class=\"skip\">, ");
                    self.text(&control.status);
                    self.raw("</span></a>");
                }
                self.raw("</div>");
            }
            self.raw("</div>");
        }
        if report.frameworks.is_empty() {
            self.line("p class=\"quiet\"", "No framework was assessed.");
        }
        self.raw("</section>");
    }

    /// What a list is searched with; shown by the script.
    fn form(&mut self, list: &str, what: &str, selects: &[(&str, &str, Vec<String>)]) {
        self.raw(&format!("<form data-of=\"{list}\" hidden role=\"search\" aria-label=\"{what}\"><label>Search <input type=\"search\" name=\"q\" placeholder=\"/\"></label>"
        ));
        for (name, label, values) in selects {
            self.raw(&format!(
                "<label>{label} <select name=\"{name}\"><option value=\"\">all</option>"
            ));
            for value in values {
                self.raw("<option");
                self.attribute("value", value);
                self.raw(">");
                self.text(value);
                self.raw("</option>");
            }
            self.raw("</select></label>");
        }
        self.raw(
            "<button type=\"reset\">Clear</button><output aria-live=\"polite\"></output></form>",
        );
    }

    fn controls(&mut self, report: &Report) {
        self.raw("<section aria-labelledby=\"controls\"><h2 id=\"controls\">Controls</h2>");
        let statuses = STATUSES.iter().map(|(status, _)| status.to_string()).collect();
        let keys = report.frameworks.iter().map(|f| format!("{}@{}", f.id, f.version)).collect();
        let selects = [("status", "Status", statuses), ("framework", "Framework", keys)];
        self.form("control-list", "Filter the controls", &selects);
        self.raw("<div id=\"control-list\">");
        let listed = figures::listed(report);
        for framework in &report.frameworks {
            self.raw("<div data-group>");
            self.line("h3", &named(&framework.title, &framework.version));
            self.line("p class=\"quiet\"", &framework.notice);
            for group in framework.groups.iter().filter(|group| !group.controls.is_empty()) {
                self.raw("<div data-group>");
                self.line("h4", &format!("{} {}", group.id, group.title));
                for control in &group.controls {
                    self.control(framework, control, listed);
                }
                self.raw("</div>");
            }
            self.raw("</div>");
        }
        self.raw("</div></section>");
    }

    fn control(&mut self, framework: &Framework, control: &Control, listed: usize) {
        self.raw("<details class=\"control\" data-text");
        self.attribute("id", &anchor(framework, control));
        self.attribute("data-status", &control.status);
        self.attribute("data-framework", &format!("{}@{}", framework.id, framework.version));
        self.raw("><summary>");
        self.line("b", &control.id);
        self.line("span", &control.title);
        self.status(&control.status);
        self.raw("</summary><div class=\"facts\">");
        self.line("p", &control.explanation);
        let mut tags = vec![control.kind.clone()];
        tags.extend(control.attributes.iter().map(|(name, value)| format!("{name} {value}")));
        if !control.reason.is_empty() {
            tags.insert(0, control.reason.clone());
        }
        tags.push(format!("basis {}", control.basis));
        self.line("p class=\"quiet\"", &tags.join(" · "));
        for mapping in &control.mappings {
            self.mapping(mapping);
        }
        self.failing(control, listed);
        self.raw("<dl>");
        let fails = matches!(control.status.as_str(), "not-satisfied" | "waived");
        let decided = matches!(control.status.as_str(), "satisfied" | "not-applicable");
        for (name, value, is_told) in [
            ("What to do", control.remediation.clone(), fails),
            ("Still needed", control.remaining_evidence.clone(), !decided),
            ("Waivers", control.waivers.join(", "), true),
            ("Attestations", control.attestations.join(", "), true),
        ] {
            if is_told && !value.is_empty() {
                self.fact(name, &value);
            }
        }
        self.raw("</dl></div></details>");
    }

    fn mapping(&mut self, mapping: &Mapping) {
        self.line(
            "p",
            &format!(
                "{} mapping. {} Who acts: {}.",
                mapping.strength, mapping.rationale, mapping.responsibility
            ),
        );
        self.raw("<ul>");
        for check in &mapping.checks {
            self.raw("<li>");
            self.line("span class=\"mono\"", &check.id);
            self.text(&format!(" {}: {}", check.title, counted(&check.outcomes)));
            self.raw("</li>");
        }
        if !mapping.silent_checks.is_empty() {
            self.raw("<li class=\"quiet\">");
            self.text(&format!("reported nothing: {}", mapping.silent_checks.join(", ")));
            self.raw("</li>");
        }
        self.raw("</ul>");
    }

    fn failing(&mut self, control: &Control, listed: usize) {
        if control.failing.is_empty() {
            return;
        }
        let rows: Vec<_> = control
            .failing
            .iter()
            .take(listed)
            .map(|finding| {
                let waiver = if finding.waiver.is_empty() {
                    String::new()
                } else {
                    format!("waived by {}", finding.waiver)
                };
                vec![
                    finding.severity.as_str().to_owned(),
                    finding.resource.clone(),
                    finding.message.clone(),
                    format!("{} {}", finding.check, finding.rule).trim().to_owned(),
                    waiver,
                ]
            })
            .collect();
        let total = control.failing.len();
        let caption = format!("{} of {} failing findings", number(rows.len()), number(total));
        let heads = ["Severity", "Resource", "What was found", "Check", "Waiver"];
        self.table(&caption, &heads, &rows);
        let rest = figures::rest(control.failing.get(listed..).unwrap_or_default());
        if rest.is_empty() {
            return;
        }
        self.raw("<p>… and ");
        self.text(&number(rest.iter().map(|rest| rest.findings).sum()));
        self.raw(" more: ");
        for (index, rest) in rest.iter().enumerate() {
            self.raw(if index == 0 { "" } else { ", " });
            self.raw(&format!("{} of <a href=\"#findings\"", number(rest.findings)));
            self.attribute("data-check", &rest.check);
            self.raw(" class=\"mono\">");
            self.text(&rest.check);
            self.raw("</a>");
        }
        self.raw("</p>");
    }

    fn findings(&mut self, report: &Report, items: &Items) {
        self.raw("<section aria-labelledby=\"findings\"><h2 id=\"findings\">Findings</h2>");
        self.line("p", &format!(
            "All {} findings: {}. What does not pass is listed one by one; who passes is named by check below. Row numbers are those of the annex.",
            number(report.totals.findings),
            counted(&report.totals.outcomes)
        ));
        let annex = Annex::new(items, report);
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let selects = [
            (
                "outcome",
                "Outcome",
                words(&["fail", "error", "manual", "not-checked", "not-applicable", "pass"]),
            ),
            (
                "severity",
                "Severity",
                words(&["critical", "high", "medium", "low", "info", "unknown"]),
            ),
            ("waived", "Waiver", words(&["waived", "open"])),
        ];
        self.form("finding-list", "Filter the findings", &selects);
        self.raw("<table class=\"wide\"><caption>What does not pass</caption><thead><tr>");
        for head in ["Row", "Outcome", "Severity", "Resource", "Check", "What was found", "Source"]
        {
            self.line("th scope=\"col\"", head);
        }
        self.raw("</tr></thead><tbody id=\"finding-list\">");
        let mut passing: Vec<CheckPart> = Vec::new();
        for number in 1..=annex.len() {
            for mut part in annex.volume(number).checks {
                for row in std::mem::take(&mut part.told) {
                    self.told(&part.id, &row);
                }
                match passing.last_mut().filter(|last| last.id == part.id) {
                    Some(last) => last.passing.append(&mut part.passing),
                    None => passing.push(part),
                }
            }
        }
        self.raw("</tbody></table><h3>Who passes, by check</h3>");
        for part in passing.iter().filter(|part| !part.passing.is_empty()) {
            self.raw("<details class=\"passing\"><summary>");
            self.line("span class=\"mono\"", &part.id);
            self.text(&format!(" {}: {} pass", part.title, number(part.passing.len())));
            self.raw("</summary>");
            self.line("div", &part.passing.join(" · "));
            self.raw("</details>");
        }
        self.raw("</section>");
    }

    fn told(&mut self, check: &str, row: &super::annex::Row) {
        self.raw("<tr data-text");
        self.attribute("data-outcome", &row.outcome);
        self.attribute("data-severity", &row.severity);
        let waived = if row.waivers.is_empty() { "open" } else { "waived" };
        self.attribute("data-waived", waived);
        self.raw("><td class=\"n\">");
        self.text(&number(row.row));
        self.raw("</td>");
        self.line("td", &row.outcome);
        self.line("td", &row.severity);
        self.line("td", &row.resource);
        self.line("td class=\"mono\"", format!("{check} {}", row.rule).trim());
        self.raw("<td>");
        self.text(&row.message);
        if !row.waivers.is_empty() {
            self.line("span class=\"quiet\"", &format!(" waived by {}", row.waivers.join(", ")));
        }
        if !row.standing.is_empty() {
            self.line("span class=\"quiet\"", &format!(" its input is {}", row.standing));
        }
        self.raw("</td>");
        self.line("td", &row.source);
        self.raw("</tr>");
    }

    /// The clusters of a fleet.
    fn members(&mut self, report: &Report) {
        if report.members.is_empty() {
            return;
        }
        self.raw("<section aria-labelledby=\"clusters\"><h2 id=\"clusters\">Clusters</h2>");
        let mut heads = vec!["Cluster", "State", "Why", "Newest run", "Head of its log"];
        let named: Vec<String> = report
            .frameworks
            .iter()
            .map(|f| format!("{} {}: contradicted, assessed", f.id, f.version))
            .collect();
        heads.extend(named.iter().map(String::as_str));
        let mut rows = Vec::new();
        for member in &report.members {
            let why = [std::slice::from_ref(&member.detail), &member.sources].concat();
            let why: Vec<_> = why.into_iter().filter(|text| !text.is_empty()).collect();
            let newest = match member.seq {
                Some(seq) => format!("{}, bundle {seq}", member.created),
                None => "none that can be believed".to_owned(),
            };
            let mut row = vec![
                member.name.clone(),
                member.state.clone(),
                why.join("; "),
                newest,
                member.head.clone(),
            ];
            row.extend(member.frameworks.iter().map(|part| match part {
                None => "not assessed by it".to_owned(),
                Some(part) => {
                    let (assessed, of) = (number(part.assessed), number(part.applicable));
                    format!("{}, {assessed} of {of}", number(part.counts.not_satisfied))
                }
            }));
            rows.push(row);
        }
        self.table(&format!("{} in all", rows.len()), &heads, &rows);
        self.raw("</section>");
    }

    fn registers(&mut self, report: &Report, extra: &Extra) {
        self.raw("<section aria-labelledby=\"registers\"><h2 id=\"registers\">Exceptions, statements and open points</h2>");
        let rows: Vec<_> = report
            .waivers
            .iter()
            .map(|w| {
                vec![
                    w.id.clone(),
                    w.state.clone(),
                    number(w.findings),
                    with_misses(&w.scope, &w.unmatched),
                    w.reason.clone(),
                    w.approver.clone(),
                    w.ticket.clone(),
                    format!("{} {}", w.from, w.expires).trim().to_owned(),
                ]
            })
            .collect();
        let heads = [
            "Waiver",
            "State",
            "Findings",
            "Covers",
            "Why",
            "Approved by",
            "Ticket",
            "From, until",
        ];
        self.register(
            "Waivers",
            "No waiver was given: every failing finding counts.",
            &heads,
            &rows,
        );
        let rows: Vec<_> = report
            .attestations
            .iter()
            .map(|a| {
                vec![
                    a.id.clone(),
                    a.state.clone(),
                    a.outcome.clone(),
                    with_misses(&a.scope, &a.unmatched),
                    a.statement.clone(),
                    format!("{}, {}", a.by, a.role),
                    format!("{} {}", a.date, a.until),
                    a.evidence.clone(),
                ]
            })
            .collect();
        let heads = [
            "Attestation",
            "State",
            "Outcome",
            "Controls",
            "Statement",
            "Stated by",
            "From, until",
            "Evidence kept elsewhere",
        ];
        let none = "No attestation was given: what a cluster cannot answer stays manual.";
        self.register("Attestations", none, &heads, &rows);
        let rows: Vec<_> =
            report.gaps.iter().map(|gap| vec![gap.kind.clone(), gap.text.clone()]).collect();
        let none = "None: every declared source said what it had to say, and no run that was due is missing.";
        self.register("Gaps", none, &["Kind", "What is missing"], &rows);
        let rows: Vec<_> = extra
            .conflicts
            .iter()
            .map(|c| {
                let more = c.resources - c.examples.len();
                let more =
                    if more == 0 { String::new() } else { format!(" and {} more", number(more)) };
                vec![
                    c.control.clone(),
                    c.sides.join("; "),
                    number(c.resources),
                    format!("{}{more}", c.examples.join(", ")),
                ]
            })
            .collect();
        let none = "None: no two checks of one fact contradict each other at one resource.";
        let heads = ["Control", "What each check says", "Resources", "Where"];
        self.register("Disagreements", none, &heads, &rows);
        self.raw("</section>");
    }

    fn register(&mut self, title: &str, none: &str, heads: &[&str], rows: &[Vec<String>]) {
        self.line("h3", title);
        if rows.is_empty() {
            self.line("p class=\"quiet\"", none);
        } else {
            self.table(&format!("{} in all", rows.len()), heads, rows);
        }
    }

    fn verify(&mut self, report: &Report) {
        let chain = &report.chain;
        self.raw(
            "<section aria-labelledby=\"verify\"><h2 id=\"verify\">Verify this report</h2><dl>",
        );
        self.fact("Origin", &chain.origin);
        self.fact("Sequence number", &chain.seq.to_string());
        self.fact("Sealed items", &number(chain.items));
        self.fact("Root over the items", &chain.items_root);
        if let Some(head) = &chain.previous {
            self.fact("Statement before", &head.statement_sha256);
            let pin = format!("{} {} {}", chain.origin, head.checkpoint_size, head.checkpoint_root);
            self.fact("Head before", &pin);
        } else {
            self.fact("Statement before", "none: this is the first bundle");
        }
        self.fact("Keyring version", &chain.keyring_version.to_string());
        self.fact("Signing key", &chain.signer);
        for root in &chain.root_fingerprints {
            self.fact("Root key fingerprint", root);
        }
        for framework in &report.frameworks {
            let name = format!("Mapping of {}", named(&framework.title, &framework.version));
            self.fact(&name, &framework.mapping_sha256);
        }
        self.raw("</dl><p>Compare the root fingerprint with one that reached you by another way than the archive.</p><pre>affidavit verify ARCHIVE --root FINGERPRINT --pin RECEIPT --replay\naffidavit report ARCHIVE --check report.html</pre><p>The first command needs no network and recomputes every status from the sealed scanner outputs; the second makes this file again from them and compares. Neither shows that what the scanners said is true, that they looked at everything, or that a requirement is met.</p></section>");
    }

    fn words(&mut self) {
        self.raw("<section aria-labelledby=\"words\"><h2 id=\"words\">Words</h2><dl>");
        for (status, meaning) in [
            (
                "satisfied",
                "the evidence covers all of the control, or a person attested what checks cannot see",
            ),
            (
                "supported",
                "every mapped check passed, but the checks cover only part of the control: a person must still look",
            ),
            ("not-satisfied", "at least one finding contradicts the control"),
            (
                "waived",
                "findings contradict the control, and approved waivers in force cover every one of them",
            ),
            ("manual", "a cluster cannot answer it, and no attestation is in force"),
            (
                "not-assessed",
                "there is no sufficient evidence; the reason stands beside it; it never counts as a pass",
            ),
            (
                "not-applicable",
                "the standard sets it aside for a cluster, or a named person declared that it does not apply",
            ),
        ] {
            self.raw("<dt>");
            self.status(status);
            self.raw("</dt>");
            self.line("dd", meaning);
        }
        for (word, meaning) in [
            (
                "assessed",
                "satisfied, supported, waived or not-satisfied: evidence says something about the control",
            ),
            ("check", "a scanner's test, always named with the scanner's prefix"),
            ("finding", "what one check said about one resource"),
            (
                "basis",
                "what a status rests on: automated (scanner results), attested (a person's statement), mixed, or none",
            ),
            (
                "mapping strength",
                "full: the checks are the requirement; partial: they are a part of it; supporting: they make it more credible",
            ),
            ("gap", "a source, a run or a part of the population that is missing"),
        ] {
            self.fact(word, meaning);
        }
        self.raw("</dl></section>");
    }
}

/// A word of the model that may stand in a class.
fn known(word: &str) -> &str {
    match STATUSES.iter().find(|(status, _)| status.as_str() == word) {
        Some((status, _)) => status.as_str(),
        None => Status::NotAssessed.as_str(),
    }
}
