//! Every field of every scanner format in every odd shape: what has a meaning is read, what has none is
//! left out and named, and neither makes a pass or loses a finding without a word.
//!
//! The table that the test prints says for each format and shape how many fields are read without a word,
//! read with a note, left out (which weakens the evidence), or a reason to refuse the file by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use affidavit::finding::{Outcome, Parsed};
use affidavit::scanner::{ReadError, SCANNERS, read};
use serde_json::{Value, json};

/// Fixtures of more bytes add no fields, only time.
const MAX_BYTES: usize = 40_000;

/// What a word in these fields, or a number read as one, makes of a valid report is another valid report:
/// other kinds of objects, ids of checks that pass, statuses.
const DECIDING: &[(&str, &str)] = &[
    // An object of another kind, which is another reader's business, and is named.
    ("", "apiVersion"),
    ("", "kind"),
    // Statuses: `true` is a pass.
    ("polaris", "Success"),
    ("trivy-operator", "success"),
    // No sub-status is a plain pass.
    ("kubescape", "subStatus"),
    // What some checks of Trivy are told apart by, whose pass is none.
    ("trivy", "ID"),
    ("trivy-k8s", "ID"),
    ("trivy-operator", "checkID"),
    ("trivy-operator", "trivy-operator.resource.kind"),
    // Two sensors of one name are one.
    ("falco", "hostname"),
    // Falco says by the names of its own rules that it lost events.
    ("falco", "rule"),
    // What an audit event is about.
    ("audit-log", "code"),
    ("audit-log", "verb"),
    // What a result of Trivy lists: a list of packages is a scan.
    ("trivy", "Class"),
    ("trivy-k8s", "Class"),
];

/// The shapes; `None` is an absent field.
fn shapes() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("null", Some(Value::Null)),
        ("absent", None),
        ("\"\"", Some(json!(""))),
        ("word", Some(json!("maybe"))),
        ("\"true\"", Some(json!("TRUE"))),
        ("\"3\"", Some(json!("3"))),
        ("3", Some(json!(3))),
        ("3.0", Some(json!(3.0))),
        ("-1", Some(json!(-1))),
        ("true", Some(json!(true))),
        ("[]", Some(json!([]))),
        ("[{}]", Some(json!([{}]))),
        ("{}", Some(json!({}))),
        ("no zone", Some(json!("2026-01-02T03:04:05"))),
        ("no time", Some(json!("2026-13-45T99:00:00Z"))),
        ("1e999", Some(json!(HUGE))),
    ]
}

/// Stands for a number that `serde_json` cannot write.
const HUGE: &str = "\u{1}1e999";

/// One step to a field: a key, or any element of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Element,
}

type Field = Vec<Step>;

/// Every field below a value.
fn fields(value: &Value, at: &mut Field, found: &mut BTreeSet<Field>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                at.push(Step::Key(key.clone()));
                found.insert(at.clone());
                fields(value, at, found);
                at.pop();
            }
        }
        Value::Array(items) => {
            at.push(Step::Element);
            for item in items {
                if !matches!(item, Value::Object(_) | Value::Array(_)) {
                    found.insert(at.clone());
                }
                fields(item, at, found);
            }
            at.pop();
        }
        _ => {}
    }
}

/// Puts `shape` in the place of the first value of a field, or of all. Returns the values that stood
/// there.
fn put(value: &mut Value, field: &[Step], shape: Option<&Value>, all: bool) -> Vec<Value> {
    let mut was = Vec::new();
    match (field, value) {
        ([Step::Key(key)], Value::Object(map)) => {
            if let Some(old) = map.get(key) {
                was.push(old.clone());
                match shape {
                    Some(shape) => drop(map.insert(key.clone(), shape.clone())),
                    None => drop(map.remove(key)),
                }
            }
        }
        ([Step::Element], Value::Array(items)) => {
            for item in items {
                if (all || was.is_empty()) && !item.is_object() && !item.is_array() {
                    was.push(item.clone());
                    *item = shape.cloned().unwrap_or_default();
                }
            }
        }
        ([Step::Key(key), rest @ ..], Value::Object(map)) => {
            if let Some(value) = map.get_mut(key) {
                was = put(value, rest, shape, all);
            }
        }
        ([Step::Element, rest @ ..], Value::Array(items)) => {
            for item in items {
                if all || was.is_empty() {
                    was.extend(put(item, rest, shape, all));
                }
            }
        }
        _ => {}
    }
    was
}

/// How a fixture is written.
#[derive(Clone, Copy, PartialEq)]
enum Syntax {
    Json,
    Lines,
    Yaml,
}

fn write(value: &Value, syntax: Syntax) -> Vec<u8> {
    let text = match (value, syntax) {
        (Value::Array(lines), Syntax::Lines) => {
            lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect()
        }
        // Flow style: JSON, read as YAML.
        (_, Syntax::Yaml) => format!("---\n{value}\n...\n"),
        _ => value.to_string(),
    };
    text.replace("\"\\u00011e999\"", "1e999").into_bytes()
}

struct Fixture {
    format: String,
    name: String,
    value: Value,
    syntax: Syntax,
}

fn fixtures() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found = Vec::new();
    for scanner in SCANNERS {
        for file in fs::read_dir(root.join(scanner.id())).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            if name.ends_with(".counts.json") || text.len() > MAX_BYTES {
                continue;
            }
            let mut push = |value: Value, syntax| {
                let (format, name) = (scanner.id().to_owned(), name.clone());
                found.push(Fixture { format, name, value, syntax });
            };
            let extension = path.extension().and_then(|extension| extension.to_str());
            if extension == Some("jsonl") {
                let lines = text.lines().filter(|line| line.starts_with('{'));
                push(
                    lines.map(|line| serde_json::from_str::<Value>(line).unwrap()).collect(),
                    Syntax::Lines,
                );
            } else if extension == Some("json") {
                push(serde_json::from_str(&text).unwrap(), Syntax::Json);
            } else if extension == Some("yaml") {
                let lines: Vec<&str> =
                    text.lines().filter(|l| !l.starts_with("Warning: ")).collect();
                let text = lines.join("\n");
                let first = text.split("\n---").find(|text| text.contains("kind:")).unwrap();
                push(serde_saphyr::from_str(first).unwrap(), Syntax::Yaml);
            }
        }
    }
    found
}

/// Everything that a reading says besides its notes.
fn content(parsed: &Parsed) -> String {
    let parsed = Parsed { notes: Vec::new(), ..parsed.clone() };
    format!("{parsed:?}")
}

/// Passes by place; of a log, by check: they stand at the first event that shows them.
fn passes(parsed: &Parsed, syntax: Syntax) -> BTreeMap<&str, usize> {
    let mut passes = BTreeMap::new();
    for finding in parsed.findings.iter().filter(|finding| finding.outcome == Outcome::Pass) {
        let place = if syntax == Syntax::Lines { finding.check.as_str() } else { &finding.locator };
        *passes.entry(place).or_default() += 1;
    }
    passes
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(text) if text == HUGE => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Is it what an absent field says too?
fn is_nothing(shape: Option<&Value>) -> bool {
    shape.is_none_or(|shape| [Value::Null, json!(""), json!([]), json!({})].contains(shape))
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
}

/// What becomes of a field in a shape, and what is wrong with that.
fn judge(
    fixture: &Fixture,
    before: &Parsed,
    field: &Field,
    (shape_name, shape): (&str, Option<&Value>),
    all: bool,
) -> Option<(&'static str, Vec<String>)> {
    let mut value = fixture.value.clone();
    let was = put(&mut value, field, shape, all);
    let key = field.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Element => None,
    })?;
    let bytes = write(&value, fixture.syntax);
    let mut wrong = Vec::new();
    let after = match read(&bytes, "node-1") {
        Ok(reading) => reading.parsed,
        Err(ReadError::Unrecognised { .. }) => return Some(("not recognised", wrong)),
        Err(error) => {
            let text = error.to_string();
            // Our own documents must add up: what they are refused for may be the list around a field.
            let is_named =
                field.iter().any(|step| matches!(step, Step::Key(key) if text.contains(key)));
            let is_other = was.iter().any(|was| shape.is_none_or(|shape| kind(shape) != kind(was)));
            if !is_named && is_other {
                wrong.push(format!("refused without the field's name: {error}"));
            }
            return Some(("refused", wrong));
        }
    };
    let old: BTreeSet<&str> = before.notes.iter().map(|note| note.text.as_str()).collect();
    let new: Vec<_> = after.notes.iter().filter(|note| !old.contains(&*note.text)).collect();
    let escaped = key.replace('/', "~1");
    // Keys of a map vary, so that what stands at them is named by the map: `/controls/*`.
    let of_map = |text: &str| {
        let path = text.split('`').nth(1).unwrap_or_default();
        let mut keys = field.iter().filter_map(|step| match step {
            Step::Key(key) => Some(format!("/{key}/*")),
            Step::Element => None,
        });
        path.ends_with("/*")
            && (path == "/*" || path == "/*/*" || keys.any(|key| path.contains(&key)))
    };
    let names = |note: &&affidavit::finding::Note| {
        note.text.contains(key) || note.text.contains(&escaped) || of_map(&note.text)
    };
    let is_named = new.iter().any(names);
    let is_weak = new.iter().any(|note| note.weakens);
    let decides = DECIDING
        .iter()
        .any(|(format, name)| *name == key && (format.is_empty() || *format == fixture.format));
    let is_scalar = shape.is_some_and(|shape| !shape.is_array() && !shape.is_object());
    // Events of an unknown host still show a sensor at work.
    let is_choice = decides && (is_scalar || is_nothing(shape) || key == "hostname");

    let passed = passes(before, fixture.syntax);
    for (locator, count) in passes(&after, fixture.syntax) {
        // A run of which the list of results is empty found nothing.
        let is_emptied = fixture.format == "sarif" && key == "results" && shape == Some(&json!([]));
        let more = count > passed.get(locator).copied().unwrap_or_default();
        if more && !is_choice && !is_emptied {
            wrong.push(format!("a pass at {locator}"));
        }
    }
    let other_kind =
        |was: &Value| !was.is_null() && shape.is_some_and(|shape| kind(shape) != kind(was));
    // Without quotes, a scalar of YAML is text as well as a number.
    let is_text = fixture.syntax == Syntax::Yaml && is_scalar && was.iter().all(Value::is_string);
    let fewer = after.findings.len() < before.findings.len();
    let is_other = was.iter().any(other_kind) && !is_nothing(shape);
    if fewer && is_other && !is_text && !(is_named && is_weak) && !is_choice {
        wrong.push(format!("{} findings of {}", after.findings.len(), before.findings.len()));
    }
    let is_odd = is_other && !is_text && !(decides && is_scalar)
        || was.iter().any(is_time) && matches!(shape_name, "no zone" | "no time" | "word");
    if is_odd && !is_named {
        let mut absent = fixture.value.clone();
        put(&mut absent, field, None, all);
        let absent = read(&write(&absent, fixture.syntax), "node-1").ok();
        let absent = absent.map_or_else(String::new, |reading| content(&reading.parsed));
        if absent != content(before) && absent == content(&after) {
            wrong.push("left out without a word".to_owned());
        }
    }
    let what = match () {
        () if is_weak => "left out",
        () if is_named => "noted",
        () => "read",
    };
    Some((what, wrong))
}

#[apply(test)]
fn no_odd_value_loses_a_report_or_passes_unnoticed() {
    let fixtures = fixtures();
    let table: Mutex<Table<'_>> = Mutex::default();
    let wrong: Mutex<BTreeSet<String>> = Mutex::default();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let shapes = shapes();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(fixture) =
                    fixtures.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let before =
                        read(&write(&fixture.value, fixture.syntax), "node-1").unwrap().parsed;
                    let mut found = BTreeSet::new();
                    fields(&fixture.value, &mut Vec::new(), &mut found);
                    for field in &found {
                        for (name, shape) in &shapes {
                            for all in [false, true] {
                                let Some((what, problems)) =
                                    judge(fixture, &before, field, (name, shape.as_ref()), all)
                                else {
                                    continue;
                                };
                                if !all {
                                    let mut table = table.lock().unwrap();
                                    let row = table.entry((&fixture.format, name)).or_default();
                                    *row.entry(what).or_default() += 1;
                                }
                                for problem in problems {
                                    wrong.lock().unwrap().insert(format!(
                                        "{}/{} {field:?} as {name}{}: {problem}",
                                        fixture.format,
                                        fixture.name,
                                        if all { " everywhere" } else { "" }
                                    ));
                                }
                            }
                        }
                    }
                }
            });
        }
    });
    println!("{}", shown(&table.into_inner().unwrap()));
    let wrong = wrong.into_inner().unwrap();
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// By format and shape: how many fields become what.
type Table<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<&'a str, usize>>;

fn shown(table: &Table<'_>) -> String {
    let mut text = format!(
        "{:20} {:8} {:>6} {:>6} {:>8} {:>7}\n",
        "format", "shape", "read", "noted", "left out", "refused"
    );
    for ((format, shape), row) in table {
        let of = |what| row.get(what).copied().unwrap_or_default();
        let refused = of("refused") + of("not recognised");
        let [read, noted, left_out] = ["read", "noted", "left out"].map(of);
        let _ = writeln!(text, "{format:20} {shape:8} {read:6} {noted:6} {left_out:8} {refused:7}");
    }
    text
}

/// Reports as programs write them that are not quite the scanner: each is read, and says what is odd.
#[apply(test)]
fn reports_with_one_odd_value_are_read() {
    let bench = |fields: &str| {
        format!(
            r#"{{"Controls":[{{"version":"cis-1.12","node_type":"node","tests":[{{"results":[{{"test_number":"4.1.1","status":"PASS",{fields}}},{{"test_number":1.10,"status":"FAIL"}}]}}]}}]}}"#
        )
    };
    let policy = |metadata: &str| {
        format!(
            "apiVersion: wgpolicyk8s.io/v1alpha2\nkind: PolicyReport\nmetadata: {{name: r, {metadata}}}\nresults:\n- policy: 1.10\n  result: pass\nsummary: {{pass: '1', warn: 0}}\n"
        )
    };
    let kubescape = |time: &str| {
        format!(
            r#"{{"generationTime":{time},"summaryDetails":{{"controls":{{"C-0001":{{"scoreFactor":"7"}}}}}},"results":[{{"resourceID":"/v1/a/Pod/p","controls":[{{"controlID":"C-0001","status":{{"status":"passed"}}}}]}}]}}"#
        )
    };
    let prowler = |time: &str| {
        format!(
            r#"[{{"class_uid":2004,"status_code":"PASS","time":{time},"metadata":{{"event_code":"c","product":{{"name":"Prowler"}}}}}}]"#
        )
    };
    let starboard = r#"{"apiVersion":"aquasecurity.github.io/v1alpha1","kind":"CISKubeBenchReport","metadata":{"name":null},"report":{"scanner":{"name":null,"version":null},"updateTimestamp":"","sections":[{"version":null,"tests":[{"results":[{"test_number":"1","status":"PASS","reason":null}]}]}]}}"#;
    let seconds = "2026-01-01T00:00:00Z";
    let cases: Vec<(String, Option<&str>, Vec<&str>)> = vec![
        (
            bench(r#""reason":null,"scored":"true""#),
            None,
            vec![
                "`/Controls/*/tests/*/results/*/reason`: `null`, read as absent",
                "`/Controls/*/tests/*/results/*/scored`: text, read as a boolean",
                "`/Controls/*/tests/*/results/*/test_number`: a number, read as text",
            ],
        ),
        (starboard.to_owned(), None, vec!["`/report/scanner/name`: `null`, read as absent"]),
        (
            policy("ownerReferences: [{kind: Pod, name: p, uid: ~}]"),
            None,
            vec!["`/metadata/ownerReferences/*/uid`: `null`, read as absent"],
        ),
        (
            policy("ownerReferences: {}"),
            None,
            vec!["`/metadata/ownerReferences`: left out: an object where a list is expected"],
        ),
        (
            kubescape("\"\""),
            None,
            vec!["`/summaryDetails/controls/*/scoreFactor`: text, read as a number"],
        ),
        (
            kubescape("\"2026-01-02T14:00:00\""),
            Some("2026-01-02T00:00:00Z"),
            vec!["`/generationTime`: without a zone, taken as the earliest time that it can mean"],
        ),
        (kubescape("[]"), None, vec!["`/generationTime`: left out: a list where text is expected"]),
        (prowler("1767225600"), Some(seconds), vec![]),
        (prowler("\"1767225600\""), Some(seconds), vec![]),
        (prowler("\"2026-01-01T14:00:00\""), Some(seconds), vec!["`/*/time`: without a zone"]),
        (prowler("{}"), None, vec!["`/*/time`: left out"]),
    ];
    for (text, at, says) in cases {
        let parsed =
            read(text.as_bytes(), "").unwrap_or_else(|error| panic!("{text}: {error}")).parsed;
        assert_eq!(parsed.count(Outcome::Pass), 1, "{text}");
        assert_eq!(parsed.taken_at.map(|at| at.to_string()).as_deref(), at, "{text}");
        for said in says {
            let note = parsed.notes.iter().find(|note| note.text.starts_with(said));
            let note = note.unwrap_or_else(|| panic!("{text}: {said}: {:?}", parsed.notes));
            assert_eq!(note.weakens, said.contains("left out"), "{text}");
        }
        // Numbers are what is written, without quotes too.
        let ids: Vec<&str> = parsed.findings.iter().map(|finding| finding.check.local()).collect();
        assert!(!ids.iter().any(|id| id.ends_with(":1.1") || id.ends_with("/1.1")), "{ids:?}");
    }
}

/// What has no meaning but decides is an error, and what cannot be meant at all is refused.
#[apply(test)]
fn what_decides_is_never_guessed() {
    let result = |fields: &str| {
        let text = format!(
            r#"{{"apiVersion":"openreports.io/v1alpha1","kind":"Report","results":[{{{fields}}}]}}"#
        );
        read(text.as_bytes(), "").map(|reading| reading.parsed)
    };
    let parsed = result(r#""policy":"p","result":["pass"]"#).unwrap();
    assert_eq!(parsed.findings[0].outcome, Outcome::Error);
    assert_eq!(&*parsed.findings[0].message, "no result stated");
    assert!(
        parsed.notes.iter().any(|note| note.weakens && note.text.contains("/results/*/result"))
    );
    let parsed = result(r#""policy":{},"result":"pass""#).unwrap();
    assert_eq!(parsed.findings[0].outcome, Outcome::Error);
    assert!(parsed.notes.iter().any(|note| note.weakens && note.text.contains("names no check")));
    // Values of one field that are odd alike are told of once.
    let many = r#""policy":"p","result":"pass"},{"result":"pass","severity":3},{"result":"pass","severity":4"#;
    let notes = result(many).unwrap().notes;
    assert!(
        notes
            .iter()
            .any(|note| note.text.contains("/severity`: a number, read as text (2 values)")),
        "{notes:?}"
    );
    for (fields, reason) in [
        (r#""result":"pass","severity":3,"result":"fail""#, "duplicate field `result`"),
        (r#""result":NaN"#, "expected value"),
    ] {
        let error = result(fields).unwrap_err().to_string();
        assert!(error.starts_with("line 1, column ") && error.contains(reason), "{error}");
    }
}

/// Puts a key into the object that a report begins with, or into every one of a list.
fn add_key(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(add_key),
        Value::Object(map) if map.get("items").is_some_and(Value::is_array) => {
            map["items"].as_array_mut().unwrap().iter_mut().for_each(add_key);
        }
        Value::Object(map) if map.keys().all(|key| key.contains('.')) => {
            map.values_mut().for_each(add_key);
        }
        Value::Object(map) => drop(map.insert("scanDegraded".to_owned(), json!(true))),
        _ => {}
    }
}

#[apply(test)]
fn a_key_that_a_scanner_adds_to_its_reports_is_named() {
    /// Their entries have keys of their own.
    const FREE: [&str; 1] = ["kubeaudit"];
    /// What our own program writes is refused.
    const OURS: [&str; 1] = ["fleet-member"];
    let mut formats = BTreeSet::new();
    for Fixture { format, name, mut value, syntax } in fixtures() {
        let notes = |value: &Value| {
            let reading = read(&write(value, syntax), "node-1");
            let notes = reading.map(|reading| reading.parsed.notes);
            notes.map(|notes| notes.into_iter().map(|note| note.text).collect())
        };
        let is_unknown = |notes: &Vec<String>| {
            notes.iter().filter(|note| note.contains("is not known to have")).count()
        };
        assert_eq!(is_unknown(&notes(&value).unwrap()), 0, "{format} {name}");
        add_key(&mut value);
        let after: Result<Vec<String>, ReadError> = notes(&value);
        if OURS.contains(&&*format) {
            assert!(after.unwrap_err().to_string().contains("scanDegraded"), "{format} {name}");
        } else {
            let expected = usize::from(!FREE.contains(&&*format));
            let after = after.unwrap();
            assert_eq!(is_unknown(&after), expected, "{format} {name} {after:?}");
            let is_named = after.iter().any(|note| note.contains("`scanDegraded`"));
            assert_eq!(is_named, expected == 1, "{format} {name} {after:?}");
        }
        formats.insert(format);
    }
    // The fixture of the built-in checks is over `MAX_BYTES`.
    assert_eq!(formats.len(), SCANNERS.len() - 1, "{formats:?}");
}
