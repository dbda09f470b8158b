//! The JSON Schema of `affidavit.yaml` and the program agree.

use std::fs;
use std::path::Path;

use affidavit::config::Config;
use serde_json::Value;

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn both(yaml: &str) -> (bool, bool) {
    let schema: Value =
        serde_json::from_str(&repository("examples/affidavit.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let by_schema =
        serde_saphyr::from_str::<Value>(yaml).is_ok_and(|value| validator.is_valid(&value));
    let path = Path::new("affidavit.yaml");
    (by_schema, Config::parse(yaml, path, Path::new(".")).is_ok())
}

#[test]
fn the_configurations_that_we_ship_are_valid() {
    for path in ["src/cli/affidavit.yaml", "examples/quickstart/affidavit.yaml"] {
        assert_eq!(both(&repository(path)), (true, true), "{path}");
    }
    let all = "
organisation: x
cluster: { name: x, uid: u-1 }
origin: a.example/b
archive: { uri: 's3://b/p', endpoint: 'http://127.0.0.1:1', path_style: true, region: r, object_lock: { mode: compliance, days: 1 } }
keys: { signer: k, keyring: k, disclosure_secret: s, passphrase_file: p }
schedule: '0 2 * * *'
frameworks: [pci-dss]
sources: [{ name: a, scanner: trivy, files: [x], max_age: 1d, expect_files: 2, taken_at: '2026-01-01T00:00:00Z', subject: node-1 }]
waivers: [w]
attestations: [a]
";
    assert_eq!(both(all), (true, true));
}

#[test]
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

#[test]
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
    ] {
        let bad = good.replace(part, replacement);
        assert_ne!(bad, good, "{part}");
        assert_eq!(both(&bad), (false, false), "{replacement}");
    }
}

#[test]
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
