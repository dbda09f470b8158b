//! Writing without forks: equal input gives equal bytes, a run that is cut off at any step is
//! finished or repeated by the next one, and nothing is added to an archive that does not verify.

use std::fs;
use std::path::Path;
use std::process::Command;

use affidavit::archive::Directory;
use affidavit::config::Config;
use affidavit::evidence::layout;
use affidavit::pipeline::{self, RunFailure};
use affidavit::seal::SealError;
use affidavit::sign::{self, Secrets};
use affidavit::verify::{FailureCode, Policy};

use crate::command::done;
use crate::faulty::Faulty;
use crate::small_chain::{
    DAYS, Silent, at, copy_tree, errors, files, policy, run, small_chain, verify_with, workspace,
};
use crate::tools;

#[apply(test)]
fn a_run_cut_off_at_any_write_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let config_path = workspace(folder.path());
    run(&config_path, DAYS[0]);
    let archive = folder.path().join("archive");
    let before = folder.path().join("before");
    copy_tree(&archive, &before);
    let config = Config::load(&config_path).unwrap();
    let signer = sign::open(&config.keys.signer, &Secrets::default()).unwrap();
    run(&config_path, DAYS[1]);
    let expected: Vec<_> = files(&archive)
        .into_iter()
        .map(|path| (fs::read(archive.join(&path)).unwrap(), path))
        .collect();

    let mut tried = 0;
    for persisted in [false, true] {
        for fail_at in 1.. {
            fs::remove_dir_all(&archive).unwrap();
            copy_tree(&before, &archive);
            let directory = Directory::new(&archive);
            let store = Faulty::new(&directory, fail_at, persisted);
            let result = pipeline::run_with(&config, &store, &*signer, at(DAYS[1]), false, &Silent);
            if result.is_ok() {
                break;
            }
            tried += 1;
            // What a cut-off run leaves never verifies as more than what was there.
            let then = Policy { now: at(DAYS[1]), ..policy() };
            let faults = errors(&verify_with(&archive, &then));
            let unfinished = [
                vec![],
                vec![format!("UNSIGNED_CLAIM {}", layout::statement(1))],
                vec![format!("CHECKPOINT_MISSING {}", layout::checkpoint(2))],
                vec![format!("HEAD_ROLLED_BACK {}", layout::HEAD)],
            ];
            assert!(
                unfinished.iter().any(|allowed| allowed.iter().all(|f| faults.contains(f))
                    && faults
                        .iter()
                        .all(|f| allowed.contains(f) || f.starts_with("CHECKPOINT_MISSING"))),
                "write {fail_at}: {faults:?}"
            );
            // The next run finishes it: the same bytes as if nothing had happened.
            run(&config_path, DAYS[1]);
            let now: Vec<_> = files(&archive)
                .into_iter()
                .map(|path| (fs::read(archive.join(&path)).unwrap(), path))
                .collect();
            assert_eq!(now.len(), expected.len(), "write {fail_at}");
            assert!(now == expected, "write {fail_at}, persisted {persisted}: other bytes");
            assert_eq!(errors(&verify_with(&archive, &then)), Vec::<String>::new());
        }
    }
    assert!(tried > 20, "{tried}");
}

#[apply(test)]
fn two_writers_make_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let runs: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            ["2026-11-20T02:00:00Z", "2026-11-20T02:00:01Z", "2026-11-20T02:00:02Z"]
                .into_iter()
                .map(|now| {
                    let config = Config::load(&config).unwrap();
                    scope.spawn(move || pipeline::run(&config, at(now), false, &Silent))
                })
                .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    // A writer whose clock stands before the winner's is refused; none is lost silently.
    let mut seqs = Vec::new();
    for run in runs {
        match run {
            Ok(outcome) => seqs.push(outcome.seq),
            Err(RunFailure::Seal(SealError::ClockBack { .. } | SealError::NotVerified { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
    let archive = folder.path().join("archive");
    let verdict = verify_with(&archive, &Policy { now: at("2026-11-20T03:00:00Z"), ..policy() });
    assert_eq!(errors(&verdict), Vec::<String>::new());
}

#[apply(test)]
fn the_same_run_twice_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let first = run(&config, DAYS[0]);
    let second = run(&config, DAYS[0]);
    assert!(!first.already_recorded && second.already_recorded);
    assert_eq!((first.seq, second.seq), (0, 0));
    assert_eq!(first.pin, second.pin);
}

#[apply(test)]
fn missed_runs_are_declared() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    run(&config, "2026-11-20T02:00:00Z");
    run(&config, "2026-11-23T02:00:00Z");
    let archive = folder.path().join("archive");
    let late = Policy { now: at("2026-11-23T03:00:00Z"), replay: true, ..policy() };
    let verdict = verify_with(&archive, &late);
    assert_eq!(errors(&verdict), Vec::<String>::new());
    let gap = verdict.findings.iter().find(|f| f.code == FailureCode::PeriodGapDeclared).unwrap();
    assert_eq!(gap.object, layout::statement(1));
    assert_eq!(
        (gap.expected.as_str(), gap.found.as_str()),
        ("", "no bundle from 2026-11-20T02:00:00Z to 2026-11-22T02:00:00Z")
    );
}

/// Codes of what was found apart from an unpinned head.
fn codes(archive: &Path, now: &str) -> Vec<FailureCode> {
    let policy = Policy { now: at(now), ..policy() };
    let findings = verify_with(archive, &policy).findings;
    findings.iter().map(|f| f.code).filter(|code| *code != FailureCode::HeadUnpinned).collect()
}

#[apply(test)]
fn runs_are_missed_by_the_schedule_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let archive = folder.path().join("archive");
    let daily = fs::read_to_string(&config).unwrap();
    let set = |cron: &str| fs::write(&config, daily.replace("0 2 * * *", cron)).unwrap();
    // 2026-11-20 is a Friday: nothing is due on the weekend, and nothing is late before Monday.
    set("0 2 * * 1-5");
    run(&config, "2026-11-20T02:00:07Z");
    assert_eq!(codes(&archive, "2026-11-23T02:59:00Z"), []);
    assert_eq!(codes(&archive, "2026-11-23T03:00:01Z"), [FailureCode::StaleHead]);
    run(&config, "2026-11-23T02:00:05Z");
    assert_eq!(codes(&archive, "2026-11-23T03:30:00Z"), []);
    // A run by hand takes nobody's place.
    run(&config, "2026-11-23T12:00:00Z");
    run(&config, "2026-11-24T02:00:05Z");
    assert_eq!(codes(&archive, "2026-11-24T03:30:00Z"), []);
    // From now on once a week; what was due on Wednesday by the old schedule is still accounted for.
    set("0 2 * * 5");
    run(&config, "2026-11-27T02:00:05Z");
    assert_eq!(codes(&archive, "2026-11-27T03:30:00Z"), [FailureCode::PeriodGapDeclared]);
    // Nothing is due any more, but the Friday after that was.
    fs::write(&config, daily.replace("schedule: '0 2 * * *'\n", "")).unwrap();
    run(&config, "2026-12-10T00:00:00Z");
    let gaps = [FailureCode::PeriodGapDeclared; 2];
    assert_eq!(codes(&archive, "2027-01-01T00:00:00Z"), gaps);
}

#[apply(test)]
fn payloads_go_after_their_retention_and_no_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let config_path = workspace(folder.path());
    let archive = folder.path().join("archive");
    let bundles = |path: &Path| fs::read_dir(path.join("bundles")).unwrap().count();
    let text = fs::read_to_string(&config_path).unwrap();
    let kept = text.replace("uri: archive", "uri: archive, retention: { days: 2, prune: true }");
    fs::write(&config_path, &kept).unwrap();
    for (day, left) in [(20, 1), (21, 2), (22, 2), (23, 2)] {
        let outcome = run(&config_path, &format!("2026-11-{day}T02:00:00Z"));
        assert_eq!((bundles(&archive), outcome.not_pruned), (left, None));
    }
    assert_eq!(codes(&archive, "2026-11-23T03:00:00Z"), [FailureCode::PayloadPruned]);

    // A removal that is cut off anywhere is no fault of the archive, and is finished by the next run.
    let before = folder.path().join("before");
    copy_tree(&archive, &before);
    let config = Config::load(&config_path).unwrap();
    let signer = sign::open(&config.keys.signer, &Secrets::default()).unwrap();
    let mut tried = 0;
    for fail_at in 1.. {
        fs::remove_dir_all(&archive).unwrap();
        copy_tree(&before, &archive);
        let directory = Directory::new(&archive);
        let store = Faulty::new(&directory, fail_at, false);
        let now = at("2026-11-24T02:00:00Z");
        let Ok(outcome) = pipeline::run_with(&config, &store, &*signer, now, false, &Silent) else {
            continue;
        };
        let found = codes(&archive, "2026-11-24T03:00:00Z");
        assert_eq!(found, [FailureCode::PayloadPruned], "cut off at write {fail_at}");
        if outcome.not_pruned.is_none() {
            break;
        }
        tried += 1;
        run(&config_path, "2026-11-24T02:30:00Z");
        assert_eq!(bundles(&archive), 3);
    }
    assert!(tried >= 7, "{tried}");

    // Who does not prune any more keeps what is there, and says what is gone.
    fs::write(&config_path, text).unwrap();
    run(&config_path, "2026-11-30T02:00:00Z");
    assert_eq!(bundles(&archive), 3);
    let found = codes(&archive, "2026-11-30T03:00:00Z");
    assert_eq!(found, [FailureCode::PeriodGapDeclared, FailureCode::PayloadPruned]);
}

#[apply(test)]
fn nothing_is_added_to_an_archive_that_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let config_path = workspace(folder.path());
    run(&config_path, DAYS[0]);
    let archive = folder.path().join("archive");
    let statement = archive.join(layout::statement(0));
    let text = fs::read_to_string(&statement).unwrap();
    fs::write(&statement, text.replace("\"pass\":", "\"pasS\":")).unwrap();
    let before = files(&archive);
    let config = Config::load(&config_path).unwrap();
    let error = pipeline::run(&config, at(DAYS[1]), false, &Silent).unwrap_err();
    assert!(error.to_string().contains("PAYLOAD_COPY_MISMATCH"), "{error}");
    assert_eq!(files(&archive), before);
}

#[apply(test)]
fn an_expired_keyring_and_a_clock_that_went_back_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config_path = workspace(folder.path());
    let config = Config::load(&config_path).unwrap();
    run(&config_path, DAYS[1]);
    let back = pipeline::run(&config, at(DAYS[0]), false, &Silent).unwrap_err();
    assert!(matches!(back, RunFailure::Seal(_)), "{back}");
    let expired = pipeline::run(&config, at("2028-01-01T00:00:00Z"), false, &Silent).unwrap_err();
    assert!(expired.to_string().starts_with("keyring 1 expired 2027-"), "{expired}");
}

/// Removes a file when a run has found it and is about to read it.
struct Removes(std::path::PathBuf);

impl pipeline::Progress for Removes {
    fn step(&self, text: &str) {
        if text == "reading and assessing" {
            drop(fs::remove_file(&self.0));
        }
    }
}

#[apply(test)]
fn what_cannot_be_read_is_sealed_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let inputs = folder.path().join("inputs");
    std::os::unix::fs::symlink("nowhere", inputs.join("node-2.json")).unwrap();
    fs::File::create(inputs.join("node-3.json")).unwrap().set_len(3 << 30).unwrap();
    done(&tools::MKFIFO.command().arg(inputs.join("node-4.json")).output().unwrap());
    fs::copy(inputs.join("node-1.json"), inputs.join("node-5.json")).unwrap();
    let config = Config::load(&config).unwrap();
    let vanishing = Removes(inputs.join("node-5.json"));
    let outcome = pipeline::run(&config, at(DAYS[0]), false, &vanishing).unwrap();
    let [source] = &outcome.sources[..] else { panic!("{outcome:?}") };
    let (name, standing, detail) = (&source.name, &source.standing, &source.detail);
    assert_eq!(source.findings, 3);
    assert_eq!((name.as_str(), standing.as_str()), ("kube-bench", "incomplete"));
    for said in [
        "node-2.json: No such file",
        "node-3.json: 3221225472 bytes; at most",
        "node-4.json: not a regular file",
        "node-5.json: No such file",
    ] {
        assert!(detail.contains(said), "{detail}");
    }
    assert!(!detail.contains(folder.path().to_str().unwrap()), "{detail}");
    let archive = folder.path().join("archive");
    let policy = Policy { now: at(DAYS[0]), replay: true, ..policy() };
    assert_eq!(errors(&verify_with(&archive, &policy)), Vec::<String>::new());
    // A caller that wants nothing less than everything gets nothing sealed.
    let strict = pipeline::run(&config, at(DAYS[1]), true, &Silent).unwrap_err();
    assert!(matches!(strict, RunFailure::Strict { .. }), "{strict}");
}

#[apply(test)]
fn a_source_without_data_is_sealed_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    let config = workspace(folder.path());
    let whole = run(&config, DAYS[0]);
    fs::remove_dir_all(folder.path().join("inputs")).unwrap();
    let missing = run(&config, DAYS[1]);
    assert!(!whole.incomplete && missing.incomplete);
    assert_eq!(missing.sources[0].standing, "missing");
    assert!(missing.frameworks[0].2.assessed() < whole.frameworks[0].2.assessed());
    let error = pipeline::run(&Config::load(&config).unwrap(), at(DAYS[2]), true, &Silent);
    assert!(matches!(error.unwrap_err(), RunFailure::Strict { .. }));
}

/// Runs the program on a copy of the small chain's workspace and returns its archive's files.
fn archive_of(folder: &Path, environment: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    copy_tree(&small_chain().0.path().join("keys"), &folder.join("keys"));
    workspace(folder);
    let output = Command::new(env!("CARGO_BIN_EXE_affidavit"))
        .args(["run", "--config"])
        .arg(folder.join("affidavit.yaml"))
        .args(["--now", DAYS[0], "-q"])
        .envs(environment.iter().copied())
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let archive = folder.join("archive");
    files(&archive)
        .into_iter()
        .map(|path| (path.clone(), fs::read(archive.join(&path)).unwrap()))
        .collect()
}

#[apply(test)]
fn equal_input_gives_equal_bytes_wherever_it_runs() {
    let one = tempfile::tempdir().unwrap();
    let two = tempfile::tempdir().unwrap();
    let deeper = two.path().join("another/place");
    fs::create_dir_all(&deeper).unwrap();
    let first = archive_of(one.path(), &[("TZ", "UTC"), ("LANG", "C")]);
    let second = archive_of(
        &deeper,
        &[("TZ", "Pacific/Kiritimati"), ("LANG", "tr_TR.UTF-8"), ("RAYON_NUM_THREADS", "1")],
    );
    let paths =
        |files: &[(String, Vec<u8>)]| files.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&first), paths(&second));
    assert!(first.iter().any(|(path, _)| path.ends_with("report.pdf")));
    for ((path, left), (_, right)) in first.iter().zip(&second) {
        assert!(left == right, "{path} differs");
    }
}

#[apply(test)]
fn no_private_key_and_no_secret_reaches_the_archive() {
    let folder = small_chain().0.path();
    let log = fs::read_to_string(folder.join("keys/log.pem")).unwrap();
    let secret = fs::read_to_string(folder.join("keys/disclosure.secret")).unwrap();
    let key = log.lines().nth(1).unwrap();
    for path in files(&folder.join("archive")) {
        let bytes = fs::read(folder.join("archive").join(&path)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("PRIVATE KEY") && !text.contains(key), "{path}");
        assert!(!text.contains(secret.trim()), "{path}");
    }
}

#[apply(test)]
fn the_recipe_with_stock_tools_succeeds() {
    let run_by_the_recipe =
        [tools::BASH, tools::JQ, tools::OPENSSL, tools::SHA256SUM, tools::BASE64, tools::CMP];
    for tool in run_by_the_recipe {
        tool.demand();
    }
    let (_folder, archive) = crate::small_chain::copy();
    let text = fs::read_to_string(archive.join(layout::VERIFY_MD)).unwrap();
    let (_, rest) = text.split_once("```sh\n").unwrap();
    let (script, _) = rest.split_once("```").unwrap();
    // The second bundle, so that there is a previous one to compare with.
    let script = script
        .replace("N=0000000000; S=0000000001;", "N=0000000001; S=0000000002; PREV=0000000000;");
    let script = format!(
        "{script}\ntest \"$(jq -r '.predicate.chain.prev.sha256' log/$N.json)\" = \"$(sha256sum log/$PREV.json | cut -d' ' -f1)\"\n"
    );
    let recipe = |script: &str| {
        let output = tools::BASH
            .command()
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(&archive)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (success, output) = recipe(&script);
    assert!(success, "{output}");
    assert_eq!(output.matches("Signature Verified Successfully").count(), 2, "{output}");
    assert!(output.contains(&crate::small_chain::root().to_string()), "{output}");
    // Whoever has followed it has not changed the archive.
    let findings = crate::small_chain::verdict(&archive).findings;
    assert!(
        findings.iter().all(|finding| finding.code == FailureCode::HeadUnpinned),
        "{findings:?}"
    );
    // The positive control's opposite: the recipe notices a change.
    let items = files(&archive).into_iter().rfind(|path| path.ends_with("items.jsonl")).unwrap();
    let all: Vec<_> = files(&archive).into_iter().filter(|p| p.ends_with("items.jsonl")).collect();
    for path in &all {
        fs::write(archive.join(path), "changed").unwrap();
    }
    assert!(!recipe(&script).0, "{items}");
}

#[apply(test)]
fn what_its_own_verifier_would_refuse_is_not_sealed() {
    use affidavit::seal::Sealer;
    use affidavit::sign::FileSigner;

    type Change = fn(&mut affidavit::evidence::statement::Statement);

    let forge = crate::forge::Forge::new();
    let keyring = crate::forge::newest_keyring(&forge.files);
    let signer = FileSigner::new(crate::forge::key(crate::forge::LOG)).unwrap();
    let envelopes = [forge.files[&layout::keyring(1)].clone()];
    let now = at("2026-11-20T03:00:00Z");
    let changes: [(Change, FailureCode); 4] = [
        (|statement| statement.predicate.files += 1, FailureCode::SumsMalformed),
        (|statement| statement.predicate.items.size += 1, FailureCode::ItemCountMismatch),
        (|statement| statement.predicate.chain.seq += 1, FailureCode::SeqMismatch),
        (|statement| statement.predicate.chain.origin.push('x'), FailureCode::OriginMismatch),
    ];
    for (change, expected) in changes {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path());
        let sealer = Sealer::open(&store, &signer, &keyring, &envelopes, now).unwrap();
        let before = files(folder.path());
        let log = sealer.log().unwrap();
        let (payload, mut statement) = forge.bundle_after(None, 0);
        let none = &mut |path: &str| panic!("{path} is no input");
        let none_digests = std::collections::BTreeMap::new();
        let outcome = sealer.seal(&log, &payload, none, &none_digests, |sums, files| {
            statement.subject[0].digest.sha256 = sums;
            statement.predicate.files = files;
            change(&mut statement);
            statement
        });
        let error = outcome.unwrap_err();
        assert!(matches!(&error, SealError::Refused { code, .. } if *code == expected), "{error}");
        assert_eq!(files(folder.path()), before, "{expected}");
    }
}
