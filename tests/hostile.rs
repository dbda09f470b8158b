//! Bad input: never a panic, never long, and either an error that names a place or a reading
//! without passes that were not there.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use affidavit::attestation::AttestationFile;
use affidavit::finding::Outcome;
use affidavit::framework::Framework;
use affidavit::scanner::{MAX_INPUT_BYTES, Reading, read};
use affidavit::waiver::WaiverFile;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{Report, attest_all, fixtures, samples, waive_all};

/// Far more than any of these needs, also on a busy machine with an unoptimised build.
const LIMIT: Duration = Duration::from_secs(20);

fn timed<T>(what: &str, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = action();
    assert!(start.elapsed() < LIMIT, "{what} took {:?}", start.elapsed());
    result
}

/// Reads it; an error must say where.
fn read_or_place(what: &str, bytes: &[u8]) -> Option<Reading> {
    let result = timed(what, || read(bytes, "node-1"));
    let error = match result {
        Ok(reading) => return Some(reading),
        Err(error) => error.to_string(),
    };
    let named = ["line ", "document ", "byte ", "the file "];
    assert!(named.iter().any(|start| error.starts_with(start)), "{what}: {error}");
    assert!(!error.chars().any(char::is_control), "{what}: {error:?}");
    assert!(error.len() < 2_000, "{what}: an error of {} bytes", error.len());
    assert!(
        error.chars().any(|c| c.is_ascii_digit()) || error.starts_with("the file is "),
        "{what}: {error}"
    );
    None
}

fn passes(reading: Option<Reading>) -> usize {
    reading.map_or(0, |reading| reading.parsed.count(Outcome::Pass))
}

/// Framework, waiver and attestation files: an error or not, but in time.
fn parse_policies(what: &str, text: &str) {
    timed(what, || {
        assert!(Framework::from_json(text.as_bytes()).is_err(), "{what}");
        assert!(Framework::parse(text).is_err(), "{what}");
        assert!(AttestationFile::parse(text).map_or(0, |file| file.attestations.len()) == 0);
        assert!(WaiverFile::parse(text).map_or(0, |file| file.waivers.len()) == 0, "{what}");
    });
}

fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let above = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{}]", above.trim_end_matches(", ")).unwrap();
    }
    text
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

#[apply(test)]
fn bad_documents_are_refused_with_their_place() {
    let long = "x".repeat(10 << 20);
    let deep = |open: &str| open.repeat(200_000);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("white space", b" \r\n\t \n".to_vec()),
        ("mark alone", b"\xEF\xBB\xBF".to_vec()),
        ("UTF-16 mark alone", b"\xFF\xFE".to_vec()),
        ("odd UTF-16", b"\xFF\xFE{".to_vec()),
        ("half a surrogate", b"\xFF\xFE\x00\xD8".to_vec()),
        ("UTF-16 without a mark", utf16("{\"Controls\":[]}")[2..].to_vec()),
        ("empty UTF-16 object", utf16("{}")),
        ("NaN", b"{\"Controls\":[{\"tests\":NaN}]}".to_vec()),
        ("minus infinity", b"{\"Controls\":[{\"tests\":-Infinity}]}".to_vec()),
        ("1e400", b"{\"Controls\":[{\"tests\":[],\"total\":1e400}],\"Totals\":{}}".to_vec()),
        ("nested arrays", deep("[").into_bytes()),
        ("nested objects", deep("{\"a\":").into_bytes()),
        ("nested YAML", format!("a: {}", deep("[")).into_bytes()),
        ("nested YAML lists", deep("- ").into_bytes()),
        ("closed nested arrays", (deep("[") + &deep("]")).into_bytes()),
        ("deep below a key", format!("{{\"Controls\":{}", deep("[")).into_bytes()),
        ("10 MB of string", format!("\"{long}\"").into_bytes()),
        ("10 MB of text", long.clone().into_bytes()),
        ("10 MB of key", format!("{{\"{long}\":1}}").into_bytes()),
        ("10 MB of YAML key", format!("{long}: 1\n").into_bytes()),
        ("10 MB of lines", "a\n".repeat(5 << 20).into_bytes()),
        ("many documents", "---\na: 1\n".repeat(20_000).into_bytes()),
        ("many JSON documents", "{}".repeat(100_000).into_bytes()),
        ("alias bomb", alias_bomb().into_bytes()),
        ("alias of itself", b"a: &a [*a]\n".to_vec()),
        ("tag", b"!!python/object/apply:os.system ['id']\n".to_vec()),
        ("NUL", b"\0\0\0\0".to_vec()),
        ("NUL in JSON", b"{\"Controls\":\0}".to_vec()),
        ("colour codes", b"{\"\x1b[31mred\x1b[0m\": 1}".to_vec()),
        ("colour codes in YAML", b"\"\\e[31mred\": 1\n".to_vec()),
        ("line breaks in keys", b"{\"a\\nline 1: fine\": 1}".to_vec()),
        ("repeated key", b"{\"Controls\":[{\"tests\":[]}],\"Controls\":[]}".to_vec()),
        ("repeated YAML key", b"Controls: [{tests: []}]\nControls: []\n".to_vec()),
        ("wrong types", b"{\"Controls\":{\"tests\":7},\"Totals\":[]}".to_vec()),
        ("number", b"1\n".to_vec()),
        ("trailing noise", b"{\"Controls\":[]} x".to_vec()),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()),
        ("XML entity bomb", b"<!DOCTYPE x [<!ENTITY a \"a\">]><x>&a;</x>".to_vec()),
    ];
    for (what, bytes) in &cases {
        let reading = read_or_place(what, bytes);
        assert!(reading.is_none_or(|reading| reading.parsed.findings.is_empty()), "{what}");
        if let Ok(text) = std::str::from_utf8(bytes) {
            parse_policies(what, text);
        }
    }
}

#[apply(test)]
fn an_input_over_the_limit_is_refused_before_it_is_looked_at() {
    let bytes = vec![0; MAX_INPUT_BYTES + 1];
    let error = timed("too large", || read(&bytes, "")).unwrap_err().to_string();
    assert!(error.contains("at most"), "{error}");
}

fn kube_bench(number: &str, status: &str, rest: &str) -> String {
    format!(
        r#"{{"Controls":[{{"version":"cis-1.12","node_type":"node","tests":[{{"results":[{{"test_number":"{number}","status":"{status}"{rest}}}]}}]}}]}}"#
    )
}

#[apply(test)]
fn strange_names_stay_names() {
    for name in ["../../etc/passwd", "a/../../b", "a\\u0000b", "\\u001b[31mred", "*", "", "'; DROP"]
    {
        let text = kube_bench(name, "PASS", "");
        assert!(passes(read_or_place(name, text.as_bytes())) <= 1, "{name}");
        let report = format!(
            r#"{{"apiVersion":"openreports.io/v1alpha1","kind":"Report","metadata":{{"name":"{name}","namespace":"{name}"}},"results":[{{"policy":"{name}","source":"{name}","result":"fail","message":"{name}"}}]}}"#
        );
        let reading = read_or_place(name, report.as_bytes()).unwrap();
        assert_eq!(reading.parsed.count(Outcome::Fail), 1, "{name}");
        let message = &reading.parsed.findings[0].message;
        assert!(!message.chars().any(char::is_control), "{name}: {message:?}");
    }
}

#[apply(test)]
fn no_word_is_a_pass_but_pass() {
    for word in ["pass", "Pass", "PASS ", "PASS\\u0000", "PASSED", "true", "", "ok", "\\u0050ASSE"]
    {
        let text = kube_bench("4.1.1", word, "");
        assert_eq!(passes(read_or_place(word, text.as_bytes())), 0, "{word}");
    }
    for rest in [r#","status":"FAIL""#, r#","status":"PASS""#] {
        let reading = read_or_place("a state twice", kube_bench("4.1.1", "PASS", rest).as_bytes());
        assert!(reading.is_none(), "a repeated key is no answer");
    }
    for wrong in ["true", "1", "null", "[]", "{}", "[\"PASS\"]"] {
        let text = kube_bench("4.1.1", "PASS", "").replace("\"PASS\"", wrong);
        assert_eq!(passes(read_or_place(wrong, text.as_bytes())), 0, "{wrong}");
    }
}

#[apply(test)]
fn long_strings_and_many_results_are_read_in_time() {
    let long = kube_bench(&"9".repeat(10 << 20), "PASS", "");
    assert!(passes(read_or_place("a long number", long.as_bytes())) <= 1);
    let result = r#"{"test_number":"1.1.1","status":"FAIL"},"#.repeat(200_000);
    let many = format!(
        r#"{{"Controls":[{{"version":"v","node_type":"node","tests":[{{"results":[{}]}}]}}]}}"#,
        result.trim_end_matches(',')
    );
    assert_eq!(passes(read_or_place("many results", many.as_bytes())), 0);
}

#[apply(test)]
fn repeated_keys_and_unknown_fields_of_policies_are_refused() {
    let waiver = waive_all("W", "2027-12-31");
    let attestation = attest_all("A", "implemented", "2026-01-01", "2027-12-31");
    assert!(WaiverFile::parse(&waiver).is_ok() && AttestationFile::parse(&attestation).is_ok());
    for (from, to) in [
        ("expires: 2027-12-31", "expires: 2027-12-31, expires: 2099-12-31"),
        ("expires: 2027-12-31", "expires: .nan"),
        ("expires: 2027-12-31", "expires: 1e400"),
        ("expires: 2027-12-31", "expires: 2027-12-31, until: 2099-12-31"),
        ("expires: 2027-12-31", "expires: 2027-02-30"),
        ("resources: ['*']", "resources: []"),
        ("approver: a", "approver: ' '"),
    ] {
        assert!(waiver.contains(from), "{from}");
        assert!(WaiverFile::parse(&waiver.replace(from, to)).is_err(), "{to}");
    }
    for (from, to) in [
        ("outcome: implemented", "outcome: implemented, outcome: implemented"),
        ("outcome: implemented", "outcome: satisfied"),
        ("controls: ['*']", "controls: []"),
        ("until: 2027-12-31", "until: 2025-12-31"),
        ("by: b", "by: ''"),
    ] {
        assert!(attestation.contains(from), "{from}");
        assert!(AttestationFile::parse(&attestation.replace(from, to)).is_err(), "{to}");
    }
    for text in [&waiver, &attestation] {
        for cut in 0..text.len() {
            let waivers = WaiverFile::parse(&text[..cut]).map_or(0, |file| file.waivers.len());
            let attestations =
                AttestationFile::parse(&text[..cut]).map_or(0, |file| file.attestations.len());
            assert_eq!(waivers + attestations, 0, "{}", &text[..cut]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[apply(test)]
    fn noise_is_no_evidence(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let reading = read_or_place("noise", &bytes);
        prop_assert!(reading.is_none_or(|reading| reading.parsed.findings.is_empty()));
        parse_policies("noise", &String::from_utf8_lossy(&bytes));
    }

    #[apply(test)]
    fn text_that_looks_like_data_is_no_evidence(text in "[-{}\\[\\]:,&*!|>'\"% a-c0-9\n#.]{0,200}") {
        let reading = read_or_place("text", text.as_bytes());
        prop_assert!(reading.is_none_or(|reading| reading.parsed.findings.is_empty()));
        parse_policies("text", &text);
    }
}

#[apply(test)]
fn damaged_reports_are_read_or_refused_of_fixtures() {
    damaged_reports_are_read_or_refused(fixtures());
}

#[apply(test)]
fn damaged_reports_are_read_or_refused_of_samples() {
    damaged_reports_are_read_or_refused(samples());
}

/// A report in which a few bytes are others: no pass that was not there, unless a letter of a name or of
/// another status changed into one that makes it so.
fn damaged_reports_are_read_or_refused(reports: Vec<Report>) {
    let small: Vec<Report> = reports.into_iter().filter(|r| r.bytes.len() < 20_000).collect();
    let damages = (any::<usize>(), prop::collection::vec((any::<usize>(), any::<u8>()), 1..6));
    let config =
        ProptestConfig { cases: 400, source_file: Some(file!()), ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&damages, |(which, damage)| {
        let report = &small[which % small.len()];
        let mut bytes = report.bytes.clone();
        for (place, byte) in damage {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let whole = passes(read(&report.bytes, "node-1").ok());
        prop_assert!(passes(read_or_place(&report.name, &bytes)) <= whole + 5, "{}", report.name);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
