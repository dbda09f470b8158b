//! The report PDF signed as `PAdES` has it: accepted by programs of others, and by our verifier only when
//! the signature covers the whole file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use affidavit::archive::Directory;
use affidavit::config::Config;
use affidavit::evidence::{layout, pades};
use affidavit::pipeline;
use affidavit::sealed::Bundle;
use affidavit::verify::{self, FailureCode, Level, Policy};
use tempfile::TempDir;

use crate::browser::{Browser, Input};
use crate::command::{self, done};
use crate::forge::{Forge, InMemory};
use crate::small_chain::{Silent, at, root, run, workspace};
use crate::timestamps::Workshop;
use crate::tools::{self, Tool};

const NOW: &str = "2026-11-20T02:00:00Z";

fn tool(tool: &Tool, folder: &Path, arguments: &[&str]) -> Output {
    tool.command().args(arguments).current_dir(folder).output().unwrap()
}

/// A key and a self-signed certificate by openssl; `algorithm` as `openssl req` names it.
fn certificate(folder: &Path, algorithm: &[&str]) {
    let mut arguments = vec!["req", "-x509", "-nodes", "-keyout", "report.key.pem"];
    arguments.extend(["-out", "report.crt.pem", "-subj", "/O=Example Payments/CN=Evidence"]);
    arguments.extend(["-addext", "keyUsage=critical,digitalSignature,nonRepudiation"]);
    // Valid at the time of the run and of the checking programs, whenever that is.
    arguments.extend(["-days", "36500", "-newkey"]);
    arguments.extend(algorithm);
    done(&tool(&tools::OPENSSL, folder, &arguments));
    let key = folder.join("report.key.pem");
    fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
const ED25519: &[&str] = &["ed25519"];

/// A workspace whose reports are signed. Runs take place after today: the certificate begins today.
fn signing(folder: &Path, algorithm: &[&str]) -> PathBuf {
    certificate(folder, algorithm);
    let config = workspace(folder);
    let text = fs::read_to_string(&config).unwrap();
    let report = "report: { signature: { key: report.key.pem, certificate: report.crt.pem } }\n";
    fs::write(&config, format!("{text}{report}")).unwrap();
    config
}

/// Later than the certificate's first second, which is this one.
fn later() -> String {
    let now = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    affidavit::evidence::instant::format(now)
}

fn report(archive: &Path) -> (Bundle, Vec<u8>) {
    let store = Directory::new(archive);
    let bundle = Bundle::read(&store, None).unwrap();
    let pdf = bundle.file(&store, layout::REPORT_PDF).unwrap();
    (bundle, pdf)
}

/// Both kinds of key, and how a program that knows the kind names its signatures.
const KINDS: [(&[&str], &str); 2] = [(P256, "ecdsa"), (ED25519, "ed25519")];

/// Runs in this folder with signed reports, and writes the report to `report.pdf` there; gives its bytes.
fn signed(folder: &Path, algorithm: &[&str]) -> Vec<u8> {
    run(&signing(folder, algorithm), &later());
    let (_, pdf) = report(&folder.join("archive"));
    fs::write(folder.join("report.pdf"), &pdf).unwrap();
    pdf
}

/// For each kind of key a folder with a report that is signed by one, and the name of its signatures. They
/// are made once; the first is of P-256.
fn signed_by_each_kind() -> impl Iterator<Item = (&'static Path, &'static str)> {
    static SIGNED: OnceLock<[TempDir; 2]> = OnceLock::new();
    // Asked for before anything is made: nothing in there may leave a test out.
    tools::OPENSSL.demand();
    let folders = SIGNED.get_or_init(|| {
        KINDS.map(|(algorithm, _)| {
            let folder = tempfile::tempdir().unwrap();
            signed(folder.path(), algorithm);
            folder
        })
    });
    folders.iter().map(TempDir::path).zip(KINDS.map(|(_, mechanism)| mechanism))
}

/// What the file was before stands in it unchanged: it is still what it claims to be.
#[apply(test)]
fn a_signed_report_names_its_signer_and_is_what_it_was() {
    for (folder, _) in signed_by_each_kind() {
        let pdf = fs::read(folder.join("report.pdf")).unwrap();
        let signature = pades::check(&pdf).unwrap().unwrap();
        assert!(signature.subject.contains("CN=Evidence"), "{}", signature.subject);
        let text = String::from_utf8_lossy(&pdf);
        assert!(text.contains("<pdfaid:part>3") && text.contains("<pdfuaid:part>1"));
    }
}

/// What pyHanko says of a folder's report, where it trusts the signer's own certificate and these.
fn judged_by_pyhanko(folder: &Path, trusted: &[&str]) -> String {
    let mut arguments = vec!["-m", "pyhanko", "sign", "validate", "--pretty-print"];
    for certificate in ["report.crt.pem"].iter().chain(trusted) {
        arguments.extend(["--trust", certificate]);
    }
    arguments.push("report.pdf");
    let said = tool(&tools::PYTHON, folder, &arguments);
    [said.stdout, said.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
}

#[apply(test)]
fn pyhanko_finds_the_signature_valid_and_over_the_whole_file() {
    tools::PYTHON.demand();
    for (folder, mechanism) in signed_by_each_kind() {
        let text = judged_by_pyhanko(folder, &[]);
        assert!(text.contains("The signature is judged VALID."), "{mechanism}: {text}");
        assert!(text.contains("The signature is cryptographically sound."), "{text}");
        assert!(text.contains("The signature covers the entire file."), "{text}");
        assert!(text.to_lowercase().contains(mechanism), "{text}");
    }
}

#[apply(test)]
fn qpdf_finds_a_signed_report_well_formed() {
    tools::QPDF.demand();
    for (folder, _) in signed_by_each_kind() {
        done(&tool(&tools::QPDF, folder, &["--check", "report.pdf"]));
    }
}

#[apply(test)]
fn verapdf_finds_a_signed_report_archival_and_accessible() {
    tools::VERAPDF.demand();
    for (folder, _) in signed_by_each_kind() {
        crate::stock_tools::validate(folder, &["report.pdf"]);
    }
}

/// It does not know Ed25519.
#[apply(test)]
fn pdfsig_finds_the_signature_valid() {
    tools::PDFSIG.demand();
    let (folder, _) = signed_by_each_kind().next().unwrap();
    let text = done(&tool(&tools::PDFSIG, folder, &["-nocert", "report.pdf"]));
    assert!(text.contains("Signature is Valid."), "{text}");
    assert!(text.contains("Total document signed"), "{text}");
    assert!(text.contains("ETSI.CAdES.detached"), "{text}");
}

#[apply(test)]
fn the_attachment_comes_out_of_a_signed_report() {
    tools::PDFDETACH.demand();
    for (folder, _) in signed_by_each_kind() {
        let arguments = ["-save", "1", "-o", "controls.json", "report.pdf"];
        done(&tool(&tools::PDFDETACH, folder, &arguments));
        let store = Directory::new(folder.join("archive"));
        let (bundle, _) = report(&folder.join("archive"));
        let sealed = bundle.file(&store, layout::CONTROLS).unwrap();
        assert_eq!(fs::read(folder.join("controls.json")).unwrap(), sealed);
    }
}

#[apply(test)]
fn equal_runs_sign_equal_bytes_and_the_report_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let now = later();
    let config = signing(folder.path(), P256);
    run(&config, &now);
    let (_, first) = report(&folder.path().join("archive"));
    let archive = folder.path().join("archive");
    fs::rename(&archive, folder.path().join("first")).unwrap();
    run(&config, &now);
    assert!(report(&archive).1 == first, "two runs gave other bytes");

    let affidavit = |arguments: &[&str]| {
        let mut all = vec!["report", "archive"];
        let root = root().to_string();
        all.extend(arguments);
        all.extend(["--now", &now, "--root", &root]);
        command::affidavit(folder.path(), &all)
    };
    let output = affidavit(&["--out", "again.pdf"]);
    done(&output);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("byte for byte the report that was sealed, with its signature"),
        "{said}"
    );
    assert!(fs::read(folder.path().join("again.pdf")).unwrap() == first);
    let said = done(&affidavit(&["--check", "again.pdf"]));
    assert!(said.contains("signed by the key of the certificate of CN=Evidence"), "{said}");
    assert!(said.contains("gives the same bytes, figures included"), "{said}");
    // A reader may call this file untouched up to here; it is not the one that was sealed.
    let mut more = first;
    more.extend(b"\n% more\n");
    fs::write(folder.path().join("again.pdf"), more).unwrap();
    assert_eq!(affidavit(&["--check", "again.pdf"]).status.code(), Some(6));
}

/// Every byte is covered: a sample of all places, and all of the added ones.
#[apply(test)]
fn a_byte_that_differs_and_a_byte_that_is_added_are_found() {
    let folder = tempfile::tempdir().unwrap();
    run(&signing(folder.path(), P256), &later());
    let (_, pdf) = report(&folder.path().join("archive"));
    let update = memchr_rfind(&pdf, b"/AcroForm");
    let hole = memchr_rfind(&pdf, b"/Contents<");
    let mut tried = 0;
    for place in (0..pdf.len()).step_by(pdf.len() / 150).chain((update..hole).step_by(7)) {
        let mut changed = pdf.clone();
        changed[place] ^= 1;
        assert!(pades::check(&changed).is_err(), "byte {place}");
        tried += 1;
    }
    assert!(tried > 200);
    // The signature's own bytes: its digits, and the zeros after them.
    for place in (hole + 10..hole + 10 + 2200).step_by(13).chain([hole + 32_000]) {
        let mut changed = pdf.clone();
        changed[place] = if changed[place] == b'1' { b'2' } else { b'1' };
        assert!(pades::check(&changed).is_err(), "digit {place}");
    }
    let mut longer = pdf.clone();
    longer.push(b'\n');
    assert_eq!(pades::check(&longer), Err("its signature does not cover the whole file"));
    assert!(pades::check(&pdf[..pdf.len() - 1]).is_err());
    // Another update on top, as readers allow it.
    let mut updated = pdf.clone();
    updated
        .extend(b"1 0 obj\n<<>>\nendobj\nxref\n0 0\ntrailer\n<</Size 1>>\nstartxref\n0\n%%EOF\n");
    assert!(pades::check(&updated).is_err());
    // A signature that was taken out of its range is none that covers nothing.
    let cut = String::from_utf8_lossy(&pdf).replace("/ByteRange", "/BiteRange");
    assert!(pades::check(cut.as_bytes()).is_err());
    let (_, unsigned) = report(&crate::small_chain::small_chain().0.path().join("archive"));
    assert_eq!(pades::check(&unsigned), Ok(None));
}

fn memchr_rfind(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).rposition(|window| window == text).unwrap()
}

/// When archives of [`sealing`] are verified.
const SEALED: &str = "2026-11-20T03:00:00Z";

/// An archive with a bundle that seals this report.
fn sealing(pdf: &[u8]) -> Forge {
    let mut forge = Forge::new();
    let report = |draft: &mut crate::forge::Draft| {
        drop(draft.payload.insert(layout::REPORT_PDF.to_owned(), pdf.to_vec()));
    };
    forge.bundle_with(&report, &|_| {});
    forge
}

/// The errors of such an archive.
fn errors(forge: &Forge) -> Vec<(FailureCode, String)> {
    let mut policy = Policy::new([crate::forge::root_id()].into(), at(SEALED));
    policy.deep = true;
    let verdict = verify::verify(&InMemory(&forge.files), &policy).unwrap();
    let errors = verdict.findings.into_iter().filter(|finding| finding.level == Level::Error);
    errors.map(|finding| (finding.code, finding.found)).collect()
}

/// A signed report as it was made, one with more at its end, and one with another byte.
fn covered_and_not(folder: &Path) -> [Vec<u8>; 3] {
    let pdf = signed(folder, P256);
    let longer = [pdf.as_slice(), b"% more\n"].concat();
    let mut changed = pdf.clone();
    changed[2000] ^= 1;
    [pdf, longer, changed]
}

/// A bundle that seals a report whose signature does not cover it: its writer's fault, and said.
#[apply(test)]
fn the_verifier_demands_that_the_signature_covers_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let found = covered_and_not(folder.path()).map(|pdf| errors(&sealing(&pdf)));
    let mismatch = |text: &str| vec![(FailureCode::ReportMismatch, text.to_owned())];
    let expected = [
        Vec::new(),
        mismatch("its signature does not cover the whole file"),
        mismatch("its bytes are not those that were signed"),
    ];
    assert_eq!(found, expected);
}

#[apply(test)]
fn the_web_verifier_says_the_same_of_what_the_signature_covers() {
    let folder = tempfile::tempdir().unwrap();
    let archives = covered_and_not(folder.path()).map(|pdf| sealing(&pdf));
    let browser = Browser::open();
    for forge in archives {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in &forge.files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let input = Input {
            subject: folder.path().to_owned(),
            roots: crate::forge::root_id().to_string(),
            now: SEALED.to_owned(),
            ..Input::default()
        };
        let page = browser.verify(&input);
        let all = page["findings"].as_array().unwrap().iter();
        let page: Vec<_> = all
            .filter(|finding| finding["level"] == "error")
            .map(|finding| {
                let found = finding["found"].as_str().unwrap_or_default();
                (finding["code"].as_str().unwrap().to_owned(), found.to_owned())
            })
            .collect();
        let own = errors(&forge).into_iter().map(|(code, found)| (code.to_string(), found));
        assert_eq!(page, own.collect::<Vec<_>>());
    }
}

#[apply(test)]
fn keys_and_certificates_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = signing(folder.path(), P256);
    let refused = |now: &str, part: &str| {
        let config = Config::load(&config).unwrap();
        let error = pipeline::run(&config, at(now), false, &Silent).unwrap_err().to_string();
        assert!(error.contains(part), "`{error}` without `{part}`");
        assert!(!folder.path().join("archive/log").exists());
    };
    refused(NOW, "report.crt.pem: it is not valid yet");
    refused("2199-01-01T00:00:00Z", "report.crt.pem: it is not valid any more");
    let key = fs::read_to_string(folder.path().join("report.key.pem")).unwrap();
    fs::write(folder.path().join("report.key.pem"), "no key").unwrap();
    refused(&later(), "report.key.pem: neither a P-256 nor an Ed25519 private key");
    let other = tempfile::tempdir().unwrap();
    certificate(other.path(), P256);
    fs::copy(other.path().join("report.key.pem"), folder.path().join("report.key.pem")).unwrap();
    refused(&later(), "report.crt.pem: it is the certificate of another key");
    fs::write(folder.path().join("report.key.pem"), key).unwrap();
    fs::write(folder.path().join("report.crt.pem"), "x").unwrap();
    refused(&later(), "report.crt.pem: certificates in PEM: none in this file");
}

/// The key under a passphrase (PBES2), as the other keys may be.
#[apply(test)]
fn the_key_may_be_under_a_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = signing(folder, P256);
    let arguments = [
        "pkcs8",
        "-topk8",
        "-in",
        "report.key.pem",
        "-out",
        "sealed.pem",
        "-passout",
        "pass:horse",
    ];
    done(&tool(&tools::OPENSSL, folder, &arguments));
    fs::rename(folder.join("sealed.pem"), folder.join("report.key.pem")).unwrap();
    let key = folder.join("report.key.pem");
    fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let loaded = Config::load(&config).unwrap();
    let error = pipeline::run(&loaded, at(&later()), false, &Silent).unwrap_err().to_string();
    assert!(error.contains("report.key.pem needs a passphrase"), "{error}");
    fs::write(folder.join("passphrase"), "horse").unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace(
            "keyring: keys/keyring,",
            "keyring: keys/keyring, passphrase_file: passphrase,",
        ),
    )
    .unwrap();
    run(&config, &later());
    assert!(pades::check(&report(&folder.join("archive")).1).unwrap().is_some());
}

/// An authority on a free port: answers one request by `openssl ts`.
fn authority(workshop: Workshop) -> (String, std::thread::JoinHandle<Workshop>) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut length, mut is_query) = (0, false);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            is_query |= line == "content-type: application/timestamp-query";
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        assert!(is_query);
        let mut request = vec![0; length];
        reader.read_exact(&mut request).unwrap();
        let answer = workshop.reply("tsa", &request, "");
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            answer.len()
        );
        let stream = reader.get_mut();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&answer).unwrap();
        workshop
    });
    (url, served)
}

/// A run whose report's signature is stamped by an authority that is gone afterwards; gives the
/// configuration, where the authority was, and its certificates.
fn stamped(folder: &Path) -> (PathBuf, String, Workshop) {
    let config = signing(folder, P256);
    let (url, served) = authority(Workshop::with_tsa());
    let text = fs::read_to_string(&config).unwrap();
    let certificate = "certificate: report.crt.pem";
    let with = text.replace(certificate, &format!("{certificate}, timestamp_authority: '{url}'"));
    fs::write(&config, with).unwrap();
    let outcome = run(&config, &later());
    assert_eq!(outcome.without_timestamp, None);
    let workshop = served.join().unwrap();
    let (_, pdf) = report(&folder.join("archive"));
    assert!(pades::check(&pdf).unwrap().is_some());
    fs::write(folder.join("report.pdf"), &pdf).unwrap();
    (config, url, workshop)
}

#[apply(test)]
fn pyhanko_finds_the_timestamp_of_a_signature_sound() {
    tools::PYTHON.demand();
    let folder = tempfile::tempdir().unwrap();
    let (_, _, workshop) = stamped(folder.path());
    let root = workshop.path("root.pem");
    let text = judged_by_pyhanko(folder.path(), &[root.to_str().unwrap()]);
    assert!(text.contains("The signature is judged VALID."), "{text}");
    for part in
        ["The timestamp token is cryptographically sound.", "The TSA certificate is trusted."]
    {
        assert!(text.contains(part), "{text}");
    }
}

#[apply(test)]
fn an_authority_stamps_the_signature_and_its_silence_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (config, url, _) = stamped(folder);
    // The authority is gone.
    let mut child = Command::new(env!("CARGO_BIN_EXE_affidavit"));
    let next = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(2)).unwrap();
    let next = affidavit::evidence::instant::format(next);
    let config = config.to_str().unwrap();
    let said = done(&child.args(["run", "--config", config, "--now", &next]).output().unwrap());
    assert!(said.contains(&format!("its signature has no timestamp: {url}")), "{said}");
    let (bundle, pdf) = report(&folder.join("archive"));
    assert_eq!(bundle.seq(), 1);
    assert!(pades::check(&pdf).unwrap().is_some());
}
