//! The JSON Schema of `affidavit.yaml` and the program agree.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use affidavit::config::{Config, From};
use serde_json::{Value, json};

use crate::support::schema_errors;

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn both(yaml: &str) -> (bool, bool) {
    let schema: Value =
        serde_json::from_str(&repository("examples/affidavit.schema.json")).unwrap();
    let by_schema = serde_saphyr::from_str::<Value>(yaml)
        .is_ok_and(|value| schema_errors(&schema, &value).is_empty());
    let path = Path::new("affidavit.yaml");
    (by_schema, Config::parse(yaml, path, Path::new(".")).is_ok())
}

#[apply(test)]
fn the_configurations_that_we_ship_are_valid() {
    assert_eq!(both(&repository("examples/quickstart/affidavit.yaml")), (true, true));
    // What `init` writes names an example until somebody names a cluster.
    let written = repository("src/cli/affidavit.yaml");
    assert_eq!(both(&written), (true, false));
    assert_eq!(both(&written.replace("my-cluster", "prod")), (true, true));
    assert!(!both(&written.replacen("name: my-cluster", "name: prod", 1)).1, "the origin too");
    let all = "
organisation: x
cluster: { name: x, uid: u-1 }
origin: a.example/b
archive: { uri: 's3://b/p', endpoint: 'http://127.0.0.1:1', path_style: true, region: r, retention: { rule: hipaa, prune: true }, object_lock: { mode: compliance }, legal_hold: true, checksums: md5, patience: 90s, encryption: { by: kms, key: 'arn:aws:kms:x' } }
keys: { signer: k, keyring: k, disclosure_secret: s, passphrase_file: p }
schedule: '0 2 * * *'
time_zone: Europe/Berlin
frameworks: [pci-dss]
sources: [{ name: a, scanner: trivy, files: [x], max_age: 1d, expect_files: 2, taken_at: '2026-01-01T00:00:00Z', subject: node-1 }]
waivers: [w]
attestations: [a]
notify: { webhooks: [{ name: x, url_file: f, format: teams, on: [failed, stale], link: l }, { url: 'https://a' }], pushgateway: 'http://p', traces: 'http://o', textfile: t, events: true, expiring_within: 14d }
report: { signature: { key: k, certificate: c, timestamp_authority: 'http://t' } }
serve: { listen: '0.0.0.0:9090', jitter: 5m, catch_up: skip, lease: { namespace: ns, name: lease } }
";
    assert_eq!(both(all), (true, true));
    let root = "ab".repeat(32);
    let fleet = format!(
        "cluster: {{ name: fleet }}
origin: a.example/fleet
archive: {{ uri: 's3://b/fleet', region: r }}
keys: {{ signer: k, keyring: k, disclosure_secret: s }}
frameworks: [pci-dss]
sources: [{{ name: c, scanner: fleet, max_age: 1d, parts: {{ folder: p, max_age: 2h }}, clusters: [{{ name: eu, uri: 's3://b/x', endpoint: 'http://e', path_style: true, region: q, roots: ['{root}'], frameworks: [pci-dss] }}, {{ name: us, uri: 's3://b/y', roots: ['{root}'] }}] }}]
"
    );
    assert_eq!(both(&fleet), (true, true));
    let config = Config::parse(&fleet, Path::new("a.yaml"), Path::new(".")).unwrap();
    let From::Archives { clusters, .. } = &config.sources[0].from else { panic!() };
    // What is not said is as in the fleet's own archive.
    assert_eq!(clusters[1].archive.region.as_deref(), Some("r"));
    assert_eq!(config.sources[0].expected_files(), 2);
    for (part, replacement, said) in [
        ("name: us", "name: eu", "`eu` is listed twice"),
        ("name: us", "name: ../us", "letters, digits"),
        (root.as_str(), "abc", "no fingerprint"),
        ("scanner: fleet", "scanner: trivy", "`scanner: fleet`"),
        ("sources: [", "sources: [{ name: t, scanner: trivy, max_age: 1d, files: [a] }, ", "alone"),
    ] {
        let bad = fleet.replace(part, replacement);
        let error = Config::parse(&bad, Path::new("a.yaml"), Path::new(".")).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[apply(test)]
fn retention_follows_its_rule_and_locks_last_as_long() {
    let text = repository("examples/quickstart/affidavit.yaml");
    let parse = |archive: &str| {
        let text = text.replace("uri: archive", &format!("uri: 's3://b/p'\n{archive}"));
        let schema = both(&text).0;
        let config = Config::parse(&text, Path::new("a.yaml"), Path::new("."));
        (schema, config.map_err(|error| error.to_string()))
    };
    for (archive, kept, locked) in [
        ("  retention: { rule: pci-dss }", Some(366), None),
        (
            "  retention: { rule: hipaa }\n  object_lock: { mode: governance }",
            Some(2192),
            Some(2192),
        ),
        ("  retention: { rule: pci-dss, days: 400 }", Some(400), None),
        (
            "  retention: { days: 30 }\n  object_lock: { mode: governance, days: 31 }",
            Some(30),
            Some(31),
        ),
        ("  object_lock: { mode: compliance, days: 7 }", None, Some(7)),
    ] {
        let (schema, config) = parse(archive);
        let config = config.unwrap();
        assert!(schema, "{archive}");
        assert_eq!(config.retention.map(|retention| retention.days), kept, "{archive}");
        assert_eq!(config.archive.lock.map(|(_, days)| days), locked, "{archive}");
    }
    for (archive, said) in [
        ("  retention: { rule: hipaa, days: 366 }", "hipaa asks for 2192 days"),
        ("  retention: { prune: true }", "`rule`, or `days`"),
        ("  object_lock: { mode: governance }", "archive.object_lock.days"),
        (
            "  retention: { days: 30 }\n  object_lock: { mode: governance, days: 29 }",
            "shorter than",
        ),
        ("  encryption: { by: aes256, key: k }", "archive.encryption.key"),
        ("  patience: soon", "archive.patience"),
        ("  patience: 7h", "at most 6h"),
    ] {
        let error = parse(archive).1.unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    for key in [
        "legal_hold: true",
        "encryption: { by: aes256 }",
        "checksums: md5",
        "object_lock: { mode: governance, days: 1 }",
    ] {
        let text = text.replace("uri: archive", &format!("uri: archive\n  {key}"));
        let error = Config::parse(&text, Path::new("a.yaml"), Path::new(".")).unwrap_err();
        assert!(error.to_string().contains("a directory cannot be"), "{error}");
    }
}

#[apply(test)]
fn a_signer_is_a_path_or_a_uri() {
    let text = repository("examples/quickstart/affidavit.yaml");
    for (written, meant) in [
        ("keys/log.pem", "file:/etc/affidavit/keys/log.pem"),
        ("file:keys/log.pem", "file:/etc/affidavit/keys/log.pem"),
        ("/run/log.pem", "file:/run/log.pem"),
        ("pkcs11:object=k?module-path=/m.so", "pkcs11:object=k?module-path=/m.so"),
        ("vault:https://v/t/keys/k?version=1", "vault:https://v/t/keys/k?version=1"),
        ("awskms:///alias/k", "awskms:///alias/k"),
    ] {
        let text = text.replace("signer: keys/log.pem", &format!("signer: '{written}'"));
        assert!(both(&text).0, "{written}");
        let config = Config::parse(&text, Path::new("a.yaml"), Path::new("/etc/affidavit"));
        assert_eq!(config.unwrap().keys.signer, meant);
    }
}

#[apply(test)]
fn both_refuse_the_same_mistakes() {
    let good = repository("examples/quickstart/affidavit.yaml");
    for (part, replacement) in [
        ("organisation:", "organization:"),
        ("  name: payments-shop", "  nam: payments-shop"),
        ("scanner: policy", "scanner: kyverno"),
        ("max_age: 3650d", "max_age: forever"),
        ("uri: archive", "url: archive"),
        ("origin: evidence.example.com/payments-shop", "origin: 'two words'"),
        ("  signer: keys/log.pem\n", ""),
        ("- name: trivy", "- name: ../trivy"),
        ("organisation:", "notify: { webhooks: [{ format: slack }] }\norganisation:"),
        ("organisation:", "notify: { webhooks: [{ url: a, url_file: b }] }\norganisation:"),
        ("organisation:", "notify: { webhooks: [{ url: 'ftp://a' }] }\norganisation:"),
        ("organisation:", "notify: { webhooks: [{ url: 'http://a', on: [fail] }] }\norganisation:"),
        ("organisation:", "notify: { traces: 'collector:4317' }\norganisation:"),
        ("organisation:", "serve: { catch_up: never }\norganisation:"),
        ("organisation:", "serve: { jitter: some }\norganisation:"),
        ("organisation:", "notify: { expiring_within: 3h }\norganisation:"),
    ] {
        let bad = good.replace(part, replacement);
        assert_ne!(bad, good, "{part}");
        assert_eq!(both(&bad), (false, false), "{replacement}");
    }
}

#[apply(test)]
fn a_scanner_is_one_whose_reports_are_read() {
    let schema: Value =
        serde_json::from_str(&repository("examples/affidavit.schema.json")).unwrap();
    let listed = schema.pointer("/properties/sources/items/properties/scanner/enum").unwrap();
    assert_eq!(*listed, serde_json::json!(affidavit::config::scanners()));
    let template = repository("src/cli/affidavit.yaml");
    for scanner in affidavit::config::scanners() {
        assert!(template.contains(scanner), "{scanner}");
    }
}

/// What the program expects where a document holds `unknown`, as a key (`field`) or a word (`variant`)
/// that nobody knows: the keys or words of that place. Empty where it is no place for one.
fn expected_by_program(kind: &str, document: &Value) -> BTreeSet<String> {
    let error = Config::parse(&document.to_string(), Path::new("a.yaml"), Path::new("."));
    let said = error.unwrap_err().to_string();
    let list = said.split(&format!("unknown {kind} `unknown`, expected one of ")).nth(1);
    let list = list.and_then(|list| list.lines().next()).unwrap_or_default();
    list.split(", ").filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Compares the keys of an object, and what is below them, in both directions. `place` puts a value into
/// the document at the object's place.
fn compare_keys(path: &str, schema: &Value, place: &dyn Fn(Value) -> Value, seen: &mut usize) {
    let keys = expected_by_program("field", &place(json!({"unknown": 1})));
    let of_schema: BTreeSet<String> =
        schema["properties"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, of_schema, "{path}");
    for key in keys {
        *seen += 1;
        let path = format!("{path}.{key}");
        let property = &schema["properties"][&key];
        let [object, list, map] = [
            &|value| place(json!({ &key: value })),
            &|value| place(json!({ &key: [value] })),
            &|value| place(json!({ &key: { "a": value } })),
        ] as [&dyn Fn(Value) -> Value; 3];
        for (schema, place) in [(property, object), (&property["items"], list)] {
            // A struct of the program, or an object of the schema: then both.
            let is_struct = !expected_by_program("field", &place(json!({"unknown": 1}))).is_empty();
            assert_eq!(is_struct, schema["properties"].is_object(), "{path}");
            if is_struct {
                compare_keys(&path, schema, place, seen);
            }
        }
        for (schema, place) in [
            (property, object),
            (&property["items"], list),
            (&property["additionalProperties"], map),
        ] {
            let words = expected_by_program("variant", &place(json!("unknown")));
            let listed = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            // `a_scanner_is_one_whose_reports_are_read` compares those.
            if key != "scanner" {
                assert_eq!(words, listed.map(str::to_owned).collect(), "{path}");
            }
        }
    }
}

#[apply(test)]
fn the_schema_has_the_keys_and_words_of_the_program() {
    let schema: Value =
        serde_json::from_str(&repository("examples/affidavit.schema.json")).unwrap();
    let mut seen = 0;
    compare_keys("", &schema, &|value| value, &mut seen);
    assert!(seen > 80, "{seen}");
}

/// One row for each key, in alphabetical order; keys of lists have `[]`.
fn rows(schema: &Value, prefix: &str, out: &mut String) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{prefix}{key}");
        let needed = if required.contains(&key.as_str()) { "yes" } else { "" };
        let mut said: Vec<String> = Vec::new();
        let described = [&property["description"], &property["items"]["description"]];
        said.extend(described.iter().filter_map(|text| text.as_str()).map(str::to_owned));
        for of in [property, &property["items"], &property["additionalProperties"]] {
            if let Some(words) = of["enum"].as_array() {
                let words: Vec<String> =
                    words.iter().map(|word| format!("`{}`", word.as_str().unwrap())).collect();
                said.push(format!("One of {}.", words.join(", ")));
            }
        }
        if let (Some(least), Some(most)) =
            (property["minimum"].as_u64(), property["maximum"].as_u64())
        {
            said.push(format!("{least} to {most}."));
        }
        // A bar would end the cell.
        let said = said.join(" ").replace('|', "\\|");
        writeln!(out, "| `{name}` | {} | {needed} | {said} |", kind(property)).unwrap();
        rows(property, &format!("{name}."), out);
        rows(&property["items"], &format!("{name}[]."), out);
    }
}

fn kind(property: &Value) -> String {
    let of = |value: &Value| -> Option<String> {
        match &value["type"] {
            Value::String(one) => Some(one.clone()),
            Value::Array(several) => several
                .iter()
                .filter_map(Value::as_str)
                .find(|one| *one != "null")
                .map(str::to_owned),
            _ => value["enum"].is_array().then(|| "string".to_owned()),
        }
    };
    match of(property).as_deref() {
        Some("array") => format!("list of {}s", of(&property["items"]).unwrap()),
        Some("object") if property["properties"].is_null() => "map".to_owned(),
        Some(kind) => kind.to_owned(),
        None => panic!("no type: {property}"),
    }
}

/// The page of the configuration is made from its schema (`AFFIDAVIT_WRITE_DOCS=1` writes it).
#[apply(test)]
fn the_reference_is_made_from_the_schema() {
    let schema: Value =
        serde_json::from_str(&repository("examples/affidavit.schema.json")).unwrap();
    let mut page = "# Configuration\n\n\
        Every key of `affidavit.yaml`, made from its JSON Schema\n\
        ([affidavit.schema.json](../examples/affidavit.schema.json)), which editors understand and which the tests hold against the\n\
        program. Relative paths start at the folder of the file; unknown keys are errors. `affidavit init` writes a commented one.\n\n\
        | key | type | needed | meaning |\n| --- | --- | --- | --- |\n"
        .to_owned();
    rows(&schema, "", &mut page);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("AFFIDAVIT_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == page, "write docs/configuration.md again");
    // Whatever is refused as unknown is in the list of what is known, so the list is whole.
    assert!(page.lines().count() > 70, "{page}");
}
