//! The framework data says what it must and claims no more than it may.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use affidavit::finding::CheckId;
use affidavit::framework::builtin::{self, FindError};
use affidavit::framework::lint::{KnownChecks, LintError, MAX_CONTROLS_PER_CHECK, lint};
use affidavit::framework::{Control, Framework, FrameworkError, Kind, Mapping, Strength};
use affidavit::scanner::read;

use crate::support::schema_errors;

fn all() -> Vec<Framework> {
    builtin::load_all().unwrap()
}

fn framework(id: &str, version: &str) -> Framework {
    builtin::find(id, Some(version)).unwrap()
}

fn with_attribute(framework: &Framework, key: &str, value: &str) -> usize {
    let has = |control: &&Control| control.attributes.get(key).is_some_and(|found| found == value);
    framework.controls.iter().filter(has).count()
}

fn pairs(framework: &Framework) -> Vec<(String, String)> {
    let pair = |control: &Control| (control.id.clone(), control.title.clone());
    framework.controls.iter().map(pair).collect()
}

#[apply(test)]
fn the_list_and_the_files_agree() {
    for (listed, framework) in builtin::FRAMEWORKS.iter().zip(all()) {
        assert_eq!((listed.id, listed.version), (&*framework.id, &*framework.version));
    }
}

#[apply(test)]
fn each_file_follows_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(builtin::SCHEMA).unwrap();
    for listed in builtin::FRAMEWORKS {
        let file: serde_json::Value = serde_saphyr::from_str(listed.yaml).unwrap();
        assert_eq!(schema_errors(&schema, &file), "", "{}", listed.id);
    }
}

#[apply(test)]
fn the_schema_refuses_what_the_types_refuse() {
    let schema: serde_json::Value = serde_json::from_str(builtin::SCHEMA).unwrap();
    for (from, to) in [
        ("kind: assisted", "kind: certified"),
        ("responsibility: node-operator", "owner: node-operator"),
        ("    rationale: Says why.\n", ""),
        ("    checks: [\"trivy:KSV-0001\"]\n", ""),
        ("  remaining_evidence: A person's word.\n", ""),
        ("version: \"1\"", "version: 1.10"),
    ] {
        let broken = SMALL.replace(from, to);
        assert_ne!(broken, SMALL, "{from}");
        let file: serde_json::Value = serde_saphyr::from_str(&broken).unwrap();
        assert_ne!(schema_errors(&schema, &file), "", "{to}");
    }
    let file: serde_json::Value = serde_saphyr::from_str(SMALL).unwrap();
    assert_eq!(schema_errors(&schema, &file), "");
}

#[apply(test)]
fn cis_has_every_recommendation_in_both_editions() {
    let older = framework("cis-kubernetes", "1.12");
    let newer = framework("cis-kubernetes", "2.0.1");
    assert_eq!((older.controls.len(), newer.controls.len()), (131, 131));
    assert_eq!(pairs(&older), pairs(&newer));
    for cis in [&older, &newer] {
        assert_eq!(with_attribute(cis, "assessment", "automated"), 64);
        assert_eq!(cis.coverage().total.kind(Kind::Automated), 64);
    }
    assert_eq!(with_attribute(&newer, "level", "1"), 116);
    assert_eq!(with_attribute(&older, "level", "1"), 117);
    let level = |cis: &Framework| cis.control("5.2.9").unwrap().attributes["level"].clone();
    assert_eq!((level(&older), level(&newer)), ("1".to_owned(), "2".to_owned()));
}

#[apply(test)]
fn pci_has_every_requirement() {
    let pci = framework("pci-dss", "4.0.1");
    assert_eq!(pci.controls.len(), 280);
    let numbered = pci.groups.iter().filter(|group| group.parent.is_some()).count();
    assert_eq!((numbered, pci.groups.len() - numbered), (71, 15));
    assert_eq!(pci.controls.iter().filter(|control| !control.id.starts_with('A')).count(), 250);
    assert!(pci.control("A3.3.1.1").is_some() && pci.control("A3.3.1.2").is_none());
    let set_aside: Vec<_> =
        pci.controls.iter().filter(|c| c.kind == Kind::NotApplicable).map(|c| &*c.id).collect();
    assert_eq!(set_aside, ["6.4.1", "8.3.10", "10.7.1"]);
    assert_eq!(pci.coverage().total.kind(Kind::Automated), 0);
}

#[apply(test)]
fn hipaa_has_every_standard_and_specification() {
    let hipaa = framework("hipaa-security-rule", "2013");
    assert_eq!(hipaa.controls.len(), 76);
    let of_type = |name| with_attribute(&hipaa, "type", name);
    assert_eq!((of_type("general"), of_type("standard"), of_type("specification")), (4, 24, 48));
    let required = with_attribute(&hipaa, "specification", "required");
    let addressable = with_attribute(&hipaa, "specification", "addressable");
    assert_eq!((required, addressable), (26, 22));
    assert_eq!(hipaa.coverage().total.kind(Kind::Automated), 0);
}

#[apply(test)]
fn the_data_is_clean() {
    let known = KnownChecks::builtin().unwrap();
    for framework in all() {
        let errors: Vec<_> = lint(&framework, &known).iter().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[apply(test)]
fn no_control_that_needs_a_person_can_be_satisfied_by_checks() {
    for framework in all() {
        for control in &framework.controls {
            let fully = |mapping: &Mapping| mapping.strength == Strength::Full;
            assert_eq!(
                control.kind == Kind::Automated,
                control.mappings.iter().any(fully),
                "{} {}",
                framework.key(),
                control.id
            );
        }
    }
}

#[apply(test)]
fn older_benchmarks_never_claim_a_whole_control() {
    for framework in all() {
        for (check, strength) in
            framework.controls.iter().flat_map(|c| &c.mappings).flat_map(Mapping::all_checks)
        {
            if check.scanner() == "kube-bench" && !check.local().starts_with("cis-1.12:") {
                assert_ne!(strength, Some(Strength::Full), "{check}");
            }
        }
    }
}

#[apply(test)]
fn a_pass_that_proves_nothing_claims_nothing() {
    // Trivy's KCV checks of files and kubelets (from 48 on) also pass on empty node data; of
    // vulnerabilities and secrets it reports none but failures. Those of arguments are counted at
    // the component's own pods only, but are of an older edition.
    for framework in all() {
        for (check, strength) in
            framework.controls.iter().flat_map(|c| &c.mappings).flat_map(Mapping::all_checks)
        {
            let local = check.local();
            let number = local.strip_prefix("KCV-").map(|digits| digits.parse::<u32>().unwrap());
            let silent = number.is_some_and(|number| number >= 48)
                || local == "exposed-secret"
                || (local.starts_with("vulnerability-") && local != "vulnerability-scan");
            if check.scanner() == "trivy" && silent {
                assert_eq!(strength, None, "{check}");
            }
            assert!(number.is_none() || strength != Some(Strength::Full), "{check}");
        }
    }
}

#[apply(test)]
fn checks_of_another_polarity_or_threshold_are_not_mapped() {
    for framework in all() {
        let index = framework.controls_by_check();
        for id in ["trivy:KCV-0003", "trivy:KCV-0068", "trivy:KCV-0075", "trivy:KSV-0038"] {
            let check = CheckId::parse(id).unwrap();
            assert!(!index.contains_key(&check), "{id} in {}", framework.key());
        }
        for number in ["1.1.20", "4.1.7"] {
            for version in ["1.24", "1.7", "1.8", "1.9", "1.10"] {
                let check = CheckId::new("kube-bench", &format!("cis-{version}:{number}"));
                assert!(!index.contains_key(&check), "{check} in {}", framework.key());
            }
        }
    }
}

#[apply(test)]
fn nothing_in_a_cluster_speaks_about_rooms_and_media() {
    let physical = |control: &&Control, pci: &str, hipaa: &str| {
        control.id.starts_with(pci) || control.id.starts_with(hipaa)
    };
    for framework in [framework("pci-dss", "4.0.1"), framework("hipaa-security-rule", "2013")] {
        let rows: Vec<_> =
            framework.controls.iter().filter(|c| physical(c, "9.", "164.310")).collect();
        assert!(rows.len() >= 10);
        for control in rows {
            assert_eq!(control.kind, Kind::Manual, "{}", control.id);
            assert!(control.mappings.is_empty(), "{}", control.id);
        }
    }
}

#[apply(test)]
fn encryption_of_disks_or_etcd_never_makes_card_numbers_unreadable() {
    let pci = framework("pci-dss", "4.0.1");
    for id in ["3.5.1", "3.5.1.1", "3.5.1.2", "3.5.1.3"] {
        let control = pci.control(id).unwrap();
        assert_eq!(control.kind, Kind::Manual, "{id}");
        assert!(control.mappings.is_empty(), "{id}");
    }
}

#[apply(test)]
fn a_whole_benchmark_stands_for_no_requirement() {
    let pci = framework("pci-dss", "4.0.1");
    assert!(pci.control("2.2.1").unwrap().mappings.is_empty());
    let hipaa = framework("hipaa-security-rule", "2013");
    assert!(hipaa.control("164.308(a)(8)").unwrap().checks().len() <= 3);
}

#[apply(test)]
fn titles_are_ours_and_fit_on_a_line() {
    const LICENSED: [&str; 6] =
        ["ensure that", "ensure the", "verify that", "the following", "is/are", "[manual]"];
    for framework in all() {
        let mut seen = BTreeSet::new();
        for control in &framework.controls {
            let title = control.title.to_lowercase();
            assert!(control.title.len() <= 110, "{} {}", control.id, control.title);
            assert!(!title.contains("(automated)") && !title.contains("(manual)"), "{title}");
            for phrase in LICENSED {
                assert!(!title.starts_with(phrase), "{} {title}", control.id);
            }
            let words = format!("{} {}", control.remediation, control.remaining_evidence);
            assert!(!words.to_lowercase().contains("ensure that"), "{} {words}", control.id);
            seen.insert(title);
        }
        assert_eq!(seen.len(), framework.controls.len(), "{}", framework.key());
    }
}

#[apply(test)]
fn the_default_version_is_the_one_documented() {
    let version = |id| builtin::find(id, None).unwrap().version;
    assert_eq!(version("cis-kubernetes"), "1.12");
    assert_eq!(version("pci-dss"), "4.0.1");
    assert_eq!(version("hipaa-security-rule"), "2013");
    let unknown = builtin::find("soc2", None).unwrap_err();
    assert!(matches!(&unknown, FindError::UnknownId { .. }), "{unknown}");
    assert!(unknown.to_string().contains("pci-dss"), "{unknown}");
    let unknown = builtin::find("pci-dss", Some("3.2.1")).unwrap_err();
    assert!(matches!(&unknown, FindError::UnknownVersion { .. }), "{unknown}");
    assert!(unknown.to_string().ends_with("4.0.1"), "{unknown}");
}

#[apply(test)]
fn coverage_counts_every_control_once_in_total_and_in_its_group() {
    for framework in all() {
        let coverage = framework.coverage();
        assert_eq!(coverage.total.controls, framework.controls.len());
        assert_eq!(coverage.total.kinds.values().sum::<usize>(), framework.controls.len());
        let top = |id: &str| framework.group(id).unwrap().parent.is_none();
        let tops = coverage.groups.iter().filter(|(id, _)| top(id));
        assert_eq!(tops.map(|(_, counts)| counts.controls).sum::<usize>(), coverage.total.controls);
    }
}

/// A framework without defects, small enough to break in one place at a time.
const SMALL: &str = r#"id: small
version: "1"
title: Small
authority: Nobody
notice: For tests.
groups:
- id: "1"
  title: All
- id: "1.1"
  title: Some
  parent: "1"
controls:
- id: "1.1.1"
  group: "1.1"
  title: Answered by checks
  kind: automated
  remediation: Repair it.
  mappings:
  - strength: full
    responsibility: control-plane
    rationale: The check is the control.
    checks: ["kubescape:C-0092"]
    partial_checks: ["compliance-operator:file_permissions_kube_apiserver"]
    contradicting_checks: ["trivy:KCV-0048"]
- id: "1.1.2"
  group: "1.1"
  title: Answered in part
  kind: assisted
  remediation: Repair it.
  remaining_evidence: A person's word.
  mappings:
  - strength: partial
    responsibility: node-operator
    rationale: Says why.
    checks: ["trivy:KSV-0001"]
- id: "1.1.3"
  group: "1.1"
  title: Answered by a person
  kind: manual
  remediation: Repair it.
  remaining_evidence: A record.
- id: "1.1.4"
  group: "1.1"
  title: Set aside
  kind: not-applicable
  not_applicable: Replaced by 1.1.3.
  remaining_evidence: None.
"#;

/// What lint says about the small framework with one change.
fn lint_with(change: impl FnOnce(&mut Framework)) -> Vec<LintError> {
    let mut framework = Framework::parse(SMALL).unwrap();
    change(&mut framework);
    lint(&framework, &KnownChecks::builtin().unwrap())
}

/// Asserts that the rule fires, alone, and names framework and place.
macro_rules! fires {
    ($variant:ident, $place:literal, $change:expr) => {
        let errors = lint_with($change);
        assert!(matches!(errors.as_slice(), [LintError::$variant { .. }]), "{errors:#?}");
        let text = errors[0].to_string();
        assert!(text.starts_with("small@1: "), "{text}");
        assert!(text.contains($place), "{text}");
    };
}

fn check(id: &str) -> CheckId {
    CheckId::parse(id).unwrap()
}

#[apply(test)]
fn each_rule_about_structure_fires() {
    assert_eq!(lint_with(|_| ()), []);
    fires!(DuplicateGroup, "group 1.1:", |f| {
        let copy = f.groups[1].clone();
        f.groups.push(copy);
    });
    fires!(DuplicateControl, "control 1.1.3:", |f| {
        let copy = f.controls[2].clone();
        f.controls.push(copy);
    });
    fires!(UnknownGroup, "control 1.1.3: there is no group 9", |f| {
        "9".clone_into(&mut f.controls[2].group);
    });
    fires!(UnknownParent, "group 1: there is no parent group 9", |f| {
        f.groups[0].parent = Some("9".to_owned());
    });
    fires!(EmptyTitle, "control 1.1.3", |f| f.controls[2].title.clear());
    fires!(EmptyTitle, "group 1.1", |f| " ".clone_into(&mut f.groups[1].title));
    let errors = lint_with(|f| f.groups[0].parent = Some("1.1".to_owned()));
    assert!(matches!(
        errors.as_slice(),
        [LintError::GroupCycle { .. }, LintError::GroupCycle { .. }]
    ));
}

#[apply(test)]
fn each_rule_about_kinds_fires() {
    fires!(AutomatedWithoutFull, "control 1.1.1:", |f| {
        f.controls[0].mappings[0].strength = Strength::Supporting;
    });
    fires!(AutomatedWithoutFull, "control 1.1.1:", |f| f.controls[0].mappings.clear());
    fires!(AutomatedWithPartial, "control 1.1.1:", |f| {
        let extra = f.controls[1].mappings[0].clone();
        f.controls[0].mappings.push(extra);
    });
    fires!(AssistedWithoutMapping, "control 1.1.2:", |f| f.controls[1].mappings.clear());
    fires!(ManualWithRequiredMapping, "control 1.1.2:", |f| f.controls[1].kind = Kind::Manual);
    fires!(NotApplicableWithMapping, "control 1.1.4:", |f| {
        f.controls[3].mappings = f.controls[1].mappings.clone();
    });
    fires!(NotApplicableWithoutReason, "control 1.1.4:", |f| f.controls[3].not_applicable = None);
    fires!(ReasonWithoutNotApplicable, "control 1.1.3:", |f| {
        f.controls[2].not_applicable = Some("No reason.".to_owned());
    });
    fires!(RemainingEvidenceMissing, "control 1.1.3:", |f| {
        f.controls[2].remaining_evidence.clear();
    });
    fires!(RemediationMissing, "control 1.1.1:", |f| f.controls[0].remediation.clear());
}

#[apply(test)]
fn each_rule_about_mappings_fires() {
    fires!(MappingWithoutChecks, "control 1.1.2: mapping 1", |f| {
        f.controls[1].mappings[0].checks.clear();
    });
    fires!(RequiredWithoutPass, "control 1.1.1: mapping 1", |f| {
        f.controls[0].mappings[0].checks.clear();
        f.controls[0].mappings[0].partial_checks.clear();
    });
    fires!(FullWithPartialChecksOnly, "control 1.1.1: mapping 1", |f| {
        f.controls[0].mappings[0].checks.clear();
    });
    fires!(MappingWithoutRationale, "control 1.1.2: mapping 1", |f| {
        f.controls[1].mappings[0].rationale.clear();
    });
    fires!(UnknownCheck, "control 1.1.2: no supported scanner has the check trivy:KSV-9999", |f| {
        f.controls[1].mappings[0].checks.push(check("trivy:KSV-9999"));
    });
    fires!(RepeatedCheck, "control 1.1.2: check trivy:KSV-0001", |f| {
        f.controls[1].mappings[0].partial_checks.push(check("trivy:KSV-0001"));
    });
    fires!(TooManyFacts, "control 1.1.2: it requires 13 facts", |f| {
        let mapping = f.controls[1].mappings[0].clone();
        f.controls[1].mappings = (1..=13)
            .map(|n| {
                let checks = vec![check(&format!("kube-bench:cis-1.12:1.2.{n}"))];
                Mapping { checks, ..mapping.clone() }
            })
            .collect();
    });
    let known = KnownChecks::builtin().unwrap();
    let spread = |copies: usize| {
        let mut framework = Framework::parse(SMALL).unwrap();
        for n in 1..copies {
            let mut control = framework.controls[1].clone();
            control.id = format!("1.1.2.{n}");
            framework.controls.push(control);
        }
        lint(&framework, &known)
    };
    assert_eq!(spread(MAX_CONTROLS_PER_CHECK), []);
    let errors = spread(123);
    assert!(matches!(errors.as_slice(), [LintError::CheckTooWidespread { .. }]), "{errors:#?}");
    assert!(
        errors[0].to_string().starts_with("small@1: check trivy:KSV-0001 bears on 123 controls")
    );
}

#[apply(test)]
fn parsing_refuses_ambiguous_files_and_names_the_place() {
    for (from, to, expected) in [
        ("- id: \"1.1.3\"", "- id: \"1.1.2\"", "control 1.1.2"),
        ("- id: \"1.1\"\n", "- id: \"1\"\n", "group 1"),
        ("  parent: \"1\"", "  parent: \"1.1\"", "group 1.1"),
        ("[\"trivy:KSV-0001\"]", "[\"KSV-0001\"]", "check KSV-0001"),
        ("    responsibility: node-operator\n", "", "missing field `responsibility` at line 34"),
        ("strength: partial", "strength: 90%", "line 32"),
        ("kind: manual", "kind: perhaps", "line 39"),
        ("version: \"1\"", "version: \"1\"\nscore: 5", "line 3"),
    ] {
        let broken = SMALL.replacen(from, to, 1);
        assert_ne!(broken, SMALL, "{from}");
        let error: FrameworkError = Framework::parse(&broken).unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

/// Ids of the scanners' fixtures, as the readers spell them: a list and a reader that drift apart
/// would leave mappings that nothing can ever meet.
#[apply(test)]
fn readers_and_the_list_of_checks_spell_ids_alike() {
    let known = KnownChecks::builtin().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (folder, is_listed) in [
        ("kube-bench", (|local| local.starts_with("cis-1.12:")) as fn(&str) -> bool),
        ("kubescape", |local| local.starts_with("C-")),
        ("trivy", |local| local.starts_with("KSV-") || local.starts_with("KCV-")),
        ("trivy-k8s", |local| local.starts_with("KSV-") || local.starts_with("KCV-")),
        ("trivy-operator", |local| local.starts_with("KSV-") || local.starts_with("KCV-")),
    ] {
        let mut met = 0;
        for file in fs::read_dir(fixtures.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.to_str().unwrap().ends_with(".counts.json") {
                continue;
            }
            let reading = read(&fs::read(&path).unwrap(), "").unwrap();
            for finding in reading.parsed.findings.iter().filter(|f| is_listed(f.check.local())) {
                assert!(known.contains(&finding.check), "{} in {}", finding.check, path.display());
                met += 1;
            }
        }
        assert!(met > 0, "{folder}");
    }
}
