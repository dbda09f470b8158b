//! A fleet: clusters with archives and keys of their own, rolled up into one chain.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use affidavit::archive::Directory;
use affidavit::assessment::Status;
use affidavit::member::State;
use affidavit::record::{ControlItem, MemberItem};
use affidavit::sealed::Bundle;
use affidavit::verify::{FailureCode, Policy};

use crate::browser::{Browser, Input};
use crate::command::{affidavit, done, error};
use crate::small_chain::{at, copy_tree, files, verify_with, workspace};

/// When the clusters ran, and when the fleet does.
const RAN: &str = "2026-11-22T02:00:00Z";
const FLEET_RUNS: &str = "2026-11-22T04:00:00Z";

/// A fleet in a folder.
struct Fleet {
    folder: tempfile::TempDir,
}

impl Fleet {
    /// Clusters with one bundle each; what their scanner says of 4.1.2 is given.
    fn new(clusters: &[(&str, &str)]) -> Self {
        let fleet = Self { folder: tempfile::tempdir().unwrap() };
        let mut list = String::new();
        for (name, outcome) in clusters {
            let root = fleet.cluster(name, outcome);
            writeln!(list, "- {{ name: {name}, uri: {name}/archive, roots: ['{root}'] }}").unwrap();
        }
        fs::write(fleet.path("clusters.yaml"), list).unwrap();
        done(&affidavit(
            fleet.root(),
            &["init", ".", "--keys-only", "--origin", "fleet.example.com/all"],
        ));
        fleet.configure("clusters_file: clusters.yaml");
        fleet
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.root().join(inner)
    }

    fn configure(&self, clusters: &str) {
        let text = format!(
            "cluster: {{ name: fleet }}\norigin: fleet.example.com/all\narchive: {{ uri: archive }}\n\
             keys: {{ signer: keys/log.pem, keyring: keys/keyring, disclosure_secret: keys/disclosure.secret }}\n\
             frameworks: [cis-kubernetes@1.12]\n\
             sources:\n  - {{ name: clusters, scanner: fleet, max_age: 36h, {clusters} }}\n"
        );
        fs::write(self.path("affidavit.yaml"), text).unwrap();
    }

    /// A cluster with a chain of its own; gives its root key's fingerprint.
    fn cluster(&self, name: &str, outcome: &str) -> String {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        let origin = format!("evidence.example.com/{name}");
        done(&affidavit(
            &folder,
            &["init", ".", "--keys-only", "--origin", &origin, "--now", "2026-11-01T00:00:00Z"],
        ));
        let config = workspace(&folder);
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("evidence.example.com/test", &origin)).unwrap();
        let input = folder.join("inputs/node-1.json");
        let text = fs::read_to_string(&input).unwrap();
        if outcome == "PASS" {
            let text = text.replace("FAIL", "PASS");
            let text = text
                .replace("\"total_pass\":2,\"total_fail\":1", "\"total_pass\":3,\"total_fail\":0");
            fs::write(&input, text).unwrap();
        }
        self.run_cluster(name, RAN);
        fs::read_to_string(folder.join("keys/root.fingerprint")).unwrap().trim().to_owned()
    }

    fn run_cluster(&self, name: &str, now: &str) {
        done(&affidavit(&self.path(name), &["run", "--now", now]));
    }

    fn run(&self, now: &str, code: i32) -> Bundle {
        let output = affidavit(self.root(), &["run", "--now", now]);
        if code == 0 {
            done(&output)
        } else {
            error(&output, code)
        };
        self.newest()
    }

    fn newest(&self) -> Bundle {
        Bundle::read(&Directory::new(self.path("archive")), None).unwrap()
    }
}

fn member<'b>(bundle: &'b Bundle, cluster: &str) -> &'b MemberItem {
    bundle.items.members.iter().find(|member| member.cluster == cluster).unwrap()
}

fn control<'b>(bundle: &'b Bundle, number: &str) -> &'b ControlItem {
    &bundle.items.controls[&format!("cis-kubernetes@1.12/{number}")]
}

#[apply(test)]
fn a_control_is_as_in_the_cluster_where_it_is_worst() {
    let fleet = Fleet::new(&[("eu", "PASS"), ("us", "FAIL")]);
    let bundle = fleet.run(FLEET_RUNS, 0);
    let worst = control(&bundle, "4.1.2");
    assert_eq!(worst.status, Status::NotSatisfied);
    assert_eq!(worst.explanation, "Of 2 clusters: not-satisfied in 1, satisfied in 1.");
    assert_eq!((worst.failing, worst.passing), (1, 1));
    assert_eq!(control(&bundle, "4.1.1").status, Status::Satisfied);
    assert_eq!(control(&bundle, "1.1.1").status, Status::NotAssessed);

    // Every head is pinned, as the cluster's own archive has it.
    for name in ["eu", "us"] {
        let own = Bundle::read(&Directory::new(fleet.path(name).join("archive")), None).unwrap();
        let head = own.head(&Directory::new(fleet.path(name).join("archive"))).unwrap().line();
        let member = member(&bundle, name);
        assert_eq!((member.state, member.seq, &member.head), (State::Ok, Some(0), &head));
        assert_eq!(member.statement_sha256, own.digest.to_string());
        assert_eq!(member.sources["kube-bench"], "ok");
        let counts = &member.frameworks["cis-kubernetes@1.12"];
        assert_eq!(counts.get("not-satisfied").copied().unwrap_or(0), u64::from(name == "us"));
    }

    // It is a bundle like any other: it verifies, also when it is assessed again.
    let root = fs::read_to_string(fleet.path("keys/root.fingerprint")).unwrap();
    let root = affidavit::evidence::key::KeyId::from_fingerprint(root.trim()).unwrap();
    let policy = Policy { replay: true, ..Policy::new([root].into(), at(FLEET_RUNS)) };
    let verdict = verify_with(&fleet.path("archive"), &policy);
    let codes: Vec<_> = verdict.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [FailureCode::HeadUnpinned], "{verdict:#?}");
    assert_eq!(verdict.checked.replayed, 1);
}

/// It knows nothing of fleets, and says of one what the program says.
#[apply(test)]
fn the_web_verifier_verifies_a_fleet() {
    let fleet = Fleet::new(&[("eu", "PASS"), ("us", "FAIL")]);
    fleet.run(FLEET_RUNS, 0);
    let root = fs::read_to_string(fleet.path("keys/root.fingerprint")).unwrap();
    let root = affidavit::evidence::key::KeyId::from_fingerprint(root.trim()).unwrap();
    let browser = Browser::open();
    let said = browser.verify(&Input {
        subject: fleet.path("archive"),
        roots: root.to_string(),
        now: FLEET_RUNS.to_owned(),
        ..Input::default()
    });
    let codes: Vec<&str> =
        said["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["HEAD_UNPINNED"], "{said}");
}

#[apply(test)]
fn what_cannot_be_believed_is_named_and_nothing_passes_without_it() {
    let fleet =
        Fleet::new(&[("a", "PASS"), ("b", "PASS"), ("c", "FAIL"), ("d", "PASS"), ("e", "PASS")]);
    let all = fleet.run(FLEET_RUNS, 0);
    assert_eq!(control(&all, "4.1.1").status, Status::Satisfied);
    // One goes away, one is changed, one is another chain, and one has no run since; the others have.
    let later = "2026-11-23T04:00:00Z";
    fs::remove_dir_all(fleet.path("a/archive")).unwrap();
    for name in ["b", "c", "d"] {
        fleet.run_cluster(name, "2026-11-23T02:00:00Z");
    }
    let statement = fleet.path("b/archive/log/0000000000.json");
    let text = fs::read_to_string(&statement).unwrap();
    fs::write(&statement, text.replace("2026-11-22T02:00:00Z", "2026-11-22T02:00:01Z")).unwrap();
    // With its own keys it writes its history anew: it verifies, and is not what was pinned.
    fs::remove_dir_all(fleet.path("d/archive")).unwrap();
    fleet.run_cluster("d", "2026-11-22T03:00:00Z");
    fleet.run_cluster("d", "2026-11-23T02:00:00Z");
    let bundle = fleet.run(later, 4);
    let states: Vec<_> =
        bundle.items.members.iter().map(|m| (m.cluster.as_str(), m.state.as_str())).collect();
    let expected = [
        ("a", "absent"),
        ("b", "not-verified"),
        ("c", "ok"),
        ("d", "not-verified"),
        ("e", "stale"),
    ];
    assert_eq!(states, expected, "{:#?}", bundle.items.members);
    let detail = &member(&bundle, "d").detail;
    assert_eq!(detail, "CHECKPOINT_INCONSISTENT at checkpoints/0000000001");
    // What was pinned stays known, also of those that are gone.
    assert_eq!(member(&bundle, "a").known, member(&all, "a").head);
    assert_eq!(member(&bundle, "a").head, "");
    // Nothing passes any more; what fails still fails.
    assert_eq!(control(&bundle, "4.1.1").status, Status::NotAssessed);
    assert_eq!(control(&bundle, "4.1.2").status, Status::NotSatisfied);
    let gaps: Vec<_> = bundle.items.gaps.iter().map(|gap| gap.text.as_str()).collect();
    let gap = gaps.join("\n");
    for name in ["a is absent", "b is not-verified", "d is not-verified", "e is stale"] {
        assert!(gap.contains(name), "{name}: {gap}");
    }
    // What nothing is said of any more is not closed.
    let change = affidavit::diff::Difference::between(&all, &bundle);
    let own = |failure: &&affidavit::diff::Failure| failure.check.ends_with("/4.1.2");
    assert_eq!(change.closed.iter().filter(own).count(), 0, "{change:#?}");
    // The next run still knows the head of the one that is gone: it does not come back as another.
    copy_tree(&fleet.path("d/archive"), &fleet.path("a/archive"));
    let bundle = fleet.run("2026-11-23T05:00:00Z", 4);
    assert_eq!(member(&bundle, "a").state, State::NotVerified);
}

#[apply(test)]
fn shares_that_others_read_roll_up_to_the_same() {
    let fleet = Fleet::new(&[("a", "PASS"), ("b", "FAIL"), ("c", "PASS")]);
    for part in ["0/2", "1/2"] {
        done(&affidavit(fleet.root(), &["collect", "read", "--part", part, "--now", FLEET_RUNS]));
    }
    assert_eq!(
        files(&fleet.path("read")),
        ["clusters/a.json", "clusters/b.json", "clusters/c.json"]
    );
    let direct = fleet.run(FLEET_RUNS, 0);
    fs::remove_dir_all(fleet.path("archive")).unwrap();
    let parts = "clusters_file: clusters.yaml, parts: { folder: read/clusters, max_age: 2h }";
    fleet.configure(parts);
    for name in ["a", "b", "c"] {
        fs::rename(fleet.path(name), fleet.path(&format!("{name}-away"))).unwrap();
    }
    let reduced = fleet.run(FLEET_RUNS, 0);
    assert_eq!(reduced.items.controls, direct.items.controls);
    assert_eq!(reduced.items.members, direct.items.members);
    // One that is older than what was seen is not taken for new, whatever time it says it was left at.
    let old = fs::read_to_string(fleet.path("read/clusters/a.json")).unwrap();
    fs::rename(fleet.path("a-away"), fleet.path("a")).unwrap();
    fleet.run_cluster("a", "2026-11-22T04:10:00Z");
    done(&affidavit(fleet.root(), &["collect", "read", "--now", "2026-11-22T04:15:00Z"]));
    assert_eq!(member(&fleet.run("2026-11-22T04:20:00Z", 4), "a").seq, Some(1));
    let old =
        old.replacen("\"checked\":\"2026-11-22T04:00:00Z", "\"checked\":\"2026-11-22T04:25:00Z", 1);
    fs::write(fleet.path("read/clusters/a.json"), old).unwrap();
    let bundle = fleet.run("2026-11-22T04:26:00Z", 4);
    assert_eq!(member(&bundle, "a").state, State::NotVerified);
    // A share that is lacking, or was left yesterday, is no evidence.
    fs::remove_file(fleet.path("read/clusters/b.json")).unwrap();
    let bundle = fleet.run("2026-11-22T04:30:00Z", 4);
    assert_eq!(member(&bundle, "b").state, State::Unreadable);
    assert_eq!(control(&bundle, "4.1.1").status, Status::NotAssessed);
    let bundle = fleet.run("2026-11-22T07:00:00Z", 4);
    assert!(bundle.items.members.iter().all(|member| member.state == State::Unreadable));
}

#[apply(test)]
fn a_document_says_nothing_that_its_signatures_do_not_hold() {
    let fleet = Fleet::new(&[("a", "FAIL")]);
    done(&affidavit(fleet.root(), &["collect", "read", "--now", FLEET_RUNS]));
    fleet.configure("files: [read/clusters/a.json]");
    assert_eq!(control(&fleet.run(FLEET_RUNS, 0), "4.1.2").status, Status::NotSatisfied);
    let path = fleet.path("read/clusters/a.json");
    let good = fs::read_to_string(&path).unwrap();
    let mut seconds = 1;
    // Signed throughout, and by nobody who is trusted: another chain's, with its own root for its own.
    let other = Fleet::new(&[("a", "PASS")]);
    done(&affidavit(other.root(), &["collect", "read", "--now", FLEET_RUNS]));
    let forged = fs::read_to_string(other.path("read/clusters/a.json")).unwrap();
    let root = |folder: &Fleet| {
        fs::read_to_string(folder.path("a/keys/root.fingerprint")).unwrap().trim().to_owned()
    };
    let forged = forged.replacen(&root(&other), &root(&fleet), 1);
    for (changed, reason) in [
        // As many controls of each status as were signed, or nothing is taken.
        (good.replacen("\"4.1.2\"", "\"4.1.2\",\"4.1.3\"", 1), "totals"),
        (good.replace("\"kube-bench\":\"ok\"", "\"kube-bench\":\"stale\""), "totals"),
        (
            good.replace("evidence.example.com/a\\n1\\n", "evidence.example.com/a\\n2\\n"),
            "checkpoint",
        ),
        (good.replacen("payload\\\":\\\"eyJ", "payload\\\":\\\"eyK", 1), "envelope"),
        (good.replace("\"state\":\"ok\"", "\"state\":\"absent\""), "cannot be so"),
        (good.replace("\"state\":\"ok\"", "\"state\":\"fine\""), "fine"),
        (forged, "its root keys are not trusted"),
        (good.replacen("\"keyrings\":[\"", "\"keyrings\":[],\"x\":[\"", 1), "unknown field"),
    ] {
        assert!(changed != good, "{reason}");
        fs::write(&path, changed).unwrap();
        seconds += 1;
        let bundle = fleet.run(&format!("2026-11-22T04:00:{seconds:02}Z"), 4);
        let input = bundle.items.inputs.values().next().unwrap();
        assert!(input.standing == "unreadable", "{input:#?}");
        assert!(input.error.contains(reason), "{reason}: {}", input.error);
        assert_eq!(control(&bundle, "4.1.2").status, Status::NotAssessed);
    }
}

#[apply(test)]
fn the_command_line_shows_the_clusters_and_gives_their_heads() {
    let fleet = Fleet::new(&[("eu", "PASS"), ("us", "FAIL")]);
    fs::rename(fleet.path("us/archive"), fleet.path("us/away")).unwrap();
    let config = fs::read_to_string(fleet.path("affidavit.yaml")).unwrap();
    fs::write(fleet.path("affidavit.yaml"), config + "notify: { textfile: fleet.prom }\n").unwrap();
    let output = affidavit(fleet.root(), &["fleet", "--now", FLEET_RUNS]);
    error(&output, 4);
    let metrics = fs::read_to_string(fleet.path("fleet.prom")).unwrap();
    let of = |state: &str| {
        let label = format!("state=\"{state}\"");
        let mut lines = metrics.lines().filter(|line| line.starts_with("affidavit_clusters{"));
        lines.find(|line| line.contains(&label)).unwrap().rsplit(' ').next().unwrap()
    };
    assert_eq!((of("ok"), of("absent"), of("stale")), ("1", "1", "0"), "{metrics}");
    let watched = affidavit(
        fleet.root(),
        &["watch", "archive", "--root", "keys/root.fingerprint", "--now", FLEET_RUNS],
    );
    let told = String::from_utf8(watched.stdout).unwrap();
    assert!(told.contains("1 of 2 clusters are not in order: us is absent."), "{told}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("us       absent  -") && said.contains("there is no archive"), "{said}");
    assert!(said.contains("eu       ok      2026-11-22T02:00:00Z #0  0, 3 of 131"), "{said}");
    fs::rename(fleet.path("us/away"), fleet.path("us/archive")).unwrap();
    let later = ["fleet", "--now", "2026-11-22T05:00:00Z", "--output", "json"];
    let said: serde_json::Value =
        serde_json::from_str(&done(&affidavit(fleet.root(), &later))).unwrap();
    assert_eq!(said["run"]["seq"], 1);
    assert_eq!(said["clusters"][1]["frameworks"]["cis-kubernetes@1.12"]["not-satisfied"], 1);
    // The head that it gives pins the cluster's own archive.
    let root = ["--root", "keys/root.fingerprint"];
    let show = ["fleet", "show", "archive", root[0], root[1]];
    let head =
        done(&affidavit(fleet.root(), &[&show[..], &["--cluster", "us", "--head"]].concat()));
    assert!(head.starts_with("evidence.example.com/us 1 "), "{head}");
    fs::write(fleet.path("us/head.txt"), head).unwrap();
    let verify = ["verify", "archive", root[0], root[1], "--pin", "head.txt", "--now", FLEET_RUNS];
    let said = done(&affidavit(&fleet.path("us"), &verify));
    assert!(said.contains("pinned    1 of 1 statement"), "{said}");
    // Bundles of before stay to be seen, and exit as they stood.
    error(&affidavit(fleet.root(), &[&show[..], &["--bundle", "0"]].concat()), 4);
    let said = error(&affidavit(fleet.root(), &[&show[..], &["--cluster", "asia"]].concat()), 2);
    assert!(said.contains("has no cluster `asia`"), "{said}");
    let said = error(&affidavit(&fleet.path("us"), &["fleet"]), 2);
    assert!(said.contains("scanner: fleet"), "{said}");
    let said = error(&affidavit(&fleet.path("us"), &["fleet", "show", "archive"]), 2);
    assert!(said.contains("is not of a fleet"), "{said}");
    error(&affidavit(fleet.root(), &["collect", "x", "--part", "3/3"]), 2);
}

/// A cluster whose run has claimed its place and not signed it is waited for; one that was cut off there is
/// told.
#[apply(test)]
fn a_run_that_is_under_way_is_no_fault() {
    let fleet = Fleet::new(&[("a", "PASS")]);
    fleet.run_cluster("a", "2026-11-22T03:00:00Z");
    let unsigned = ["log/0000000001.dsse.json", "checkpoints/0000000002", "checkpoint"];
    let at = |path: &str| fleet.path("a/archive").join(path);
    let away = |path: &str| fleet.path("away").join(path.replace('/', "-"));
    fs::create_dir(fleet.path("away")).unwrap();
    for path in unsigned {
        fs::rename(at(path), away(path)).unwrap();
    }
    fs::copy(at("checkpoints/0000000001"), at("checkpoint")).unwrap();
    let bundle = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(1));
            for path in unsigned {
                fs::rename(away(path), at(path)).unwrap();
            }
        });
        fleet.run(FLEET_RUNS, 0)
    });
    let member_of = |bundle: &Bundle| member(bundle, "a").clone();
    assert_eq!((member_of(&bundle).state, member_of(&bundle).seq), (State::Ok, Some(1)));
    for path in unsigned {
        fs::rename(at(path), away(path)).unwrap();
    }
    fs::copy(at("checkpoints/0000000001"), at("checkpoint")).unwrap();
    let bundle = fleet.run("2026-11-22T05:00:00Z", 4);
    assert_eq!(member_of(&bundle).state, State::NotVerified);
}
