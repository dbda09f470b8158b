//! The HTML report: complete, searchable, and nobody's text ever becomes markup; in a real Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use affidavit::archive::Directory;
use affidavit::finding::{Outcome, ResourceRef, Severity};
use affidavit::record::{FindingItem, InputItem};
use affidavit::render::html::html;
use affidavit::sealed::{Bundle, Items};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::command;
use crate::render::sample;
use crate::small_chain::{root, small_chain};

fn report(arguments: &[&str]) -> Output {
    let root = root().to_string();
    let more = ["--now", "2026-11-24T03:00:00Z", "--root", &root];
    let folder = small_chain().0.path();
    command::affidavit(folder, &[&["report", "archive"], arguments, &more].concat())
}

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("report.html");
    let output = report(&["--format", "html", "--out", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

#[apply(test)]
fn it_is_made_again_byte_for_byte_and_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let name = path.to_str().unwrap();
    let output = report(&["--check", name]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("is what this version makes"), "{said}");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("not-satisfied", "satisfied", 1)).unwrap();
    let output = report(&["--check", name]);
    assert_eq!(output.status.code(), Some(6));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is not what this version makes"), "{said}");
}

#[apply(test)]
fn it_is_searched_by_keyboard_and_loads_nothing() {
    let browser = Browser::open();
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let store = Directory::new(small_chain().0.path().join("archive"));
    let bundle = Bundle::read(&store, None).unwrap();
    browser.visit(&path, "");
    let found = browser.script(
        "const done = arguments[0];
         const all = s => document.querySelectorAll(s).length;
         const key = (target, key) => target.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
         const out = () => document.querySelector('form[data-of=control-list] output').textContent;
         const result = {
           controls: all('#control-list [data-text]'), findings: all('#finding-list [data-text]'),
           loaded: performance.getEntriesByType('resource').length,
           outside: all('[src], link, iframe, object, embed, [style]'), scripts: all('script'),
           headings: all('h1'), before: out(),
         };
         key(document.body, '/');
         result.focused = document.activeElement.name;
         document.activeElement.value = '4.1.2 not-satisfied';
         document.activeElement.dispatchEvent(new Event('input', {bubbles: true}));
         setTimeout(() => {
           result.after = out();
           result.shown = Array.from(document.querySelectorAll('#control-list [data-text]:not([hidden])')).map(e => e.id);
           key(document.activeElement, 'Escape');
           setTimeout(() => { result.cleared = out(); done(result); }, 50);
         }, 300);",
        &[],
    );
    let controls = bundle.items.controls.len();
    assert_eq!(found["controls"], controls, "{found:#}");
    assert_eq!(found["before"], format!("{controls} of {controls} shown"));
    assert_eq!(found["after"], format!("1 of {controls} shown"));
    assert_eq!(found["cleared"], found["before"]);
    assert_eq!(found["shown"], json!(["cis-kubernetes@1.12/4.1.2"]));
    assert_eq!(found["focused"], "q");
    let told = bundle.items.findings.iter().filter(|f| f.outcome != Outcome::Pass).count();
    assert_eq!(found["findings"], told);
    assert_eq!((&found["loaded"], &found["outside"]), (&json!(0), &json!(0)), "{found:#}");
    assert_eq!((&found["scripts"], &found["headings"]), (&json!(1), &json!(1)));

    // A link to a control opens it.
    browser.visit(&path, "#cis-kubernetes@1.12/4.1.2");
    let open = browser
        .script("arguments[0](document.getElementById('cis-kubernetes@1.12/4.1.2').open)", &[]);
    assert_eq!(open, true);
}

#[apply(test)]
fn it_says_the_same_totals_without_its_script() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(written(folder.path())).unwrap();
    let store = Directory::new(small_chain().0.path().join("archive"));
    let bundle = Bundle::read(&store, None).unwrap();
    let statuses = bundle.items.controls.values().map(|control| control.status);
    let counts = affidavit::assessment::StatusCounts::of(statuses);
    for part in [
        format!(
            "Evidence bears on {} of {} controls that apply; it contradicts {} of them.",
            counts.assessed(),
            counts.applicable(),
            counts.not_satisfied
        ),
        format!("All {} findings: 1 fail, 2 pass.", bundle.items.findings.len()),
        format!("{}#{}", bundle.statement.predicate.chain.origin, bundle.seq()),
        bundle.statement.predicate.items.root.clone(),
    ] {
        assert!(text.contains(&part), "no `{part}`");
    }
    for word in ["compliant", "certified"] {
        assert!(!text.to_lowercase().contains(word), "{word}");
    }
}

#[apply(test)]
fn text_of_a_cluster_stays_text() {
    let browser = Browser::open();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.html");
    let corpus = [
        "</script><script>window.pwned = 1</script>",
        "\"><img src=x onerror=window.pwned=1>",
        "' onmouseover='window.pwned=1' x='",
        "<svg onload=window.pwned=1>",
        "javascript:window.pwned=1",
        "<!--",
        "]]>",
        "&lt;b&gt;",
        "</style><style>*{display:none}</style>",
        "\u{202e}gnp.exe\u{2028}\u{0}\u{1b}[31m",
    ];
    for text in corpus.into_iter().chain(sample::HOSTILE) {
        fs::write(&path, html(&sample::everywhere(text), &Items::default())).unwrap();
        browser.visit(&path, "");
        let found = browser.script(
            "const all = s => document.querySelectorAll(s).length;
             arguments[0]({
               pwned: window.pwned === undefined, scripts: all('script'), styles: all('style'),
               foreign: all('img, iframe, object, embed, base, svg[onload], [onmouseover], a[href^=javascript]'),
               text: document.querySelector('h1').textContent,
             });",
            &[],
        );
        assert_eq!(found["pwned"], true, "{text:?}");
        assert_eq!(
            (&found["scripts"], &found["styles"], &found["foreign"]),
            (&json!(1), &json!(1), &json!(0)),
            "{text:?}"
        );
        let shown = found["text"].as_str().unwrap();
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        if text.is_ascii() && !text.contains(['\u{1b}', '\n', '\0']) {
            assert!(shown.contains(text.trim()), "{shown:?} without {text:?}");
        }
    }
}

/// As many findings as a large cluster has, three in ten failing.
fn many(count: usize) -> Items {
    let mut items = Items::default();
    let input = json!({
        "bytes": 1, "clusters": [], "error": "", "findings": count, "formats": [], "id": "input/a",
        "notes": [], "original": "a", "outcomes": {}, "path": "a", "ruleSets": [], "salt": "",
        "sha256": "0".repeat(64), "source": "trivy", "standing": "ok", "subject": "",
        "takenAt": "", "takenAtBasis": "", "tools": {}, "type": "input",
    });
    let input: InputItem = serde_json::from_value(input).unwrap();
    items.inputs.insert("a".into(), input);
    items.findings = (0..count)
        .map(|index| FindingItem {
            check: format!("trivy:KSV-{:04}", index % 40),
            id: format!("finding/{index:07}"),
            input: "a".into(),
            locator: String::new(),
            message: "Container of this workload should set securityContext".into(),
            outcome: if index % 10 < 3 { Outcome::Fail } else { Outcome::Pass },
            raw_check: String::new(),
            resource: ResourceRef::namespaced(
                "Deployment",
                format!("team-{}", index % 30),
                format!("service-{index}"),
            ),
            rule: String::new(),
            salt: String::new(),
            severity: Severity::High,
            kind: "finding".into(),
        })
        .collect();
    items
}

#[apply(test)]
fn twenty_thousand_findings_are_all_there_and_can_be_searched() {
    let browser = Browser::open();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.html");
    let items = many(20_000);
    fs::write(&path, html(&sample::of(&["pci-dss"]), &items)).unwrap();
    browser.visit(&path, "");
    let found = browser.script(
        "const done = arguments[0];
         const form = document.querySelector('form[data-of=finding-list]');
         const out = () => form.querySelector('output').textContent;
         const before = out();
         form.querySelector('input').value = 'service-12340';
         form.querySelector('input').dispatchEvent(new Event('input', {bubbles: true}));
         const passing = Array.from(document.querySelectorAll('.passing > div'))
           .reduce((sum, e) => sum + e.textContent.split(' · ').length, 0);
         setTimeout(() => done({before, after: out(), passing}), 2000);",
        &[],
    );
    assert_eq!(found["before"], "6,000 of 6,000 shown", "{found:#}");
    assert_eq!(found["after"], "1 of 6,000 shown");
    assert_eq!(found["passing"], 14_000);
}

/// The rules of axe-core for WCAG 2.1 A and AA.
#[apply(test)]
fn nothing_stands_in_the_way_of_those_who_do_not_see_it() {
    let axe = crate::stock_tools::axe();
    let browser = Browser::open();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let report = sample::with_history(sample::of(&["cis-kubernetes", "hipaa-security-rule"]));
    let report = sample::fleet(report, 6);
    fs::write(&path, html(&report, &many(50))).unwrap();
    browser.visit(&path, "");
    let script = format!(
        "{}\nconst done = arguments[0];
         axe.run(document, {{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}})
           .then(r => done(r.violations.map(v => [v.id, v.help, v.nodes.length, v.nodes[0].html])), e => done(String(e)));",
        fs::read_to_string(axe).unwrap()
    );
    let found: Value = browser.script(&script, &[]);
    assert_eq!(found, json!([]), "{found:#}");
}
