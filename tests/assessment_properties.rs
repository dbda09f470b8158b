//! What holds for every set of findings, whatever their order and whoever waives them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use affidavit::assess::{Evidence, SourceStanding, Sourced, Standing};
use affidavit::assessment::Status;
use affidavit::attestation::{Attestation, AttestationFile};
use affidavit::finding::{CheckId, Finding, Outcome, ResourceRef, Severity};
use affidavit::waiver::{Waiver, WaiverFile};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    BUILTIN, CREATED, Declared, MANY_YEARS, Said, attest_all, judge, mapped_checks, statuses,
    waive_all,
};

const SCANNERS: [&str; 5] = ["kube-bench", "trivy", "kubescape", "policy", "compliance-operator"];

static CHECKS: LazyLock<Vec<CheckId>> =
    LazyLock::new(|| SCANNERS.iter().flat_map(|scanner| mapped_checks(scanner)).collect());

fn at() -> Timestamp {
    CREATED.parse().unwrap()
}

fn finding(check: usize, resource: u8, outcome: usize) -> Sourced {
    let check = CHECKS[check % CHECKS.len()].clone();
    let source = SCANNERS.iter().position(|scanner| *scanner == check.scanner()).unwrap();
    Sourced {
        finding: Finding {
            check,
            resource: Arc::new(ResourceRef::namespaced("Pod", "n", format!("p{resource}"))),
            outcome: Outcome::ALL[outcome % Outcome::ALL.len()],
            severity: Severity::High,
            rule: "".into(),
            raw_check: "".into(),
            message: "".into(),
            locator: "".into(),
        },
        source: u32::try_from(source).unwrap(),
        input: 0,
        usable: true,
    }
}

/// Mostly passes of many checks, so that some controls get far, and a few others.
fn findings() -> impl Strategy<Value = Vec<Sourced>> {
    let few = prop::collection::vec((any::<usize>(), 0..3_u8, any::<usize>()), 0..12);
    (any::<bool>(), any::<u64>(), few).prop_map(|(rich, salt, few)| {
        let pass = Outcome::ALL.iter().position(|outcome| *outcome == Outcome::Pass).unwrap();
        let is_in = |index: &usize| !(*index as u64).wrapping_mul(salt | 1).is_multiple_of(7);
        let many = (0..CHECKS.len()).filter(is_in).map(|index| finding(index, 0, pass));
        let few =
            few.into_iter().map(|(check, resource, outcome)| finding(check, resource, outcome));
        if rich { many.chain(few).collect() } else { few.collect() }
    })
}

fn sources(standing: Standing) -> Vec<SourceStanding> {
    let stand = |(index, scanner): (usize, &&str)| SourceStanding {
        name: format!("s{index}"),
        scanner: (*scanner).to_owned(),
        standing: if index == 0 { standing } else { Standing::Ok },
    };
    SCANNERS.iter().enumerate().map(stand).collect()
}

fn standing() -> impl Strategy<Value = Standing> {
    prop::sample::select(vec![Standing::Ok, Standing::Ok, Standing::Incomplete, Standing::Missing])
}

fn waivers(id: &str, expires: &str) -> Vec<Waiver> {
    WaiverFile::parse(&waive_all(id, expires)).unwrap().waivers
}

fn attestations(outcome: &str, date: &str, until: &str) -> Vec<Attestation> {
    AttestationFile::parse(&attest_all("A", outcome, date, until)).unwrap().attestations
}

fn said() -> impl Strategy<Value = (Vec<Waiver>, Vec<Attestation>)> {
    let outcomes = ["implemented", "alternative", "not-implemented", "not-applicable"];
    (any::<bool>(), prop::option::of(prop::sample::select(outcomes.to_vec()))).prop_map(
        |(waived, attested)| {
            let waivers = if waived { waivers("W", "2027-12-31") } else { Vec::new() };
            let attested =
                attested.map(|outcome| attestations(outcome, "2026-12-01", "2027-12-31"));
            (waivers, attested.unwrap_or_default())
        },
    )
}

fn assess(
    findings: &[Sourced],
    sources: &[SourceStanding],
    waivers: &[Waiver],
    attestations: &[Attestation],
) -> BTreeMap<String, Status> {
    let evidence = Evidence::new(findings, sources, waivers, attestations, at());
    let mut all = BTreeMap::new();
    for framework in BUILTIN.iter() {
        let results = evidence.assess(framework);
        assert_eq!(results.len(), framework.controls.len());
        for result in results {
            all.insert(format!("{}/{}", framework.key(), result.control), result.status);
        }
    }
    all
}

/// Every status that is no claim about the control ranks as 0: an improvement is a move upwards.
fn rank(status: Status) -> u8 {
    match status {
        Status::NotSatisfied => 0,
        Status::NotAssessed | Status::Manual => 1,
        Status::Waived => 2,
        Status::Supported => 3,
        Status::Satisfied | Status::NotApplicable => 4,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[apply(test)]
    fn every_control_has_one_status_whatever_the_order(
        (findings, shuffled) in findings().prop_flat_map(|f| (Just(f.clone()), Just(f).prop_shuffle())),
        standing in standing(),
        (waivers, attestations) in said(),
    ) {
        let sources = sources(standing);
        let first = assess(&findings, &sources, &waivers, &attestations);
        let second = assess(&shuffled, &sources, &waivers, &attestations);
        prop_assert_eq!(&first, &second);
        let controls: usize = BUILTIN.iter().map(|framework| framework.controls.len()).sum();
        prop_assert_eq!(first.len(), controls);
    }

    #[apply(test)]
    fn a_waiver_satisfies_nothing(findings in findings(), standing in standing()) {
        let sources = sources(standing);
        let without = assess(&findings, &sources, &[], &[]);
        let with = assess(&findings, &sources, &waivers("W", "2027-12-31"), &[]);
        for (control, was) in &without {
            let is = with[control];
            // Where a failure is accepted, what is left may also be a gap or a person's part.
            let accepted = [Status::Waived, Status::NotAssessed, Status::Manual];
            let is_fine = is == *was || (*was == Status::NotSatisfied && accepted.contains(&is));
            prop_assert!(is_fine, "{}: {} → {}", control, was, is);
        }
    }

    #[apply(test)]
    fn one_more_failure_improves_nothing(
        findings in findings(),
        (check, resource) in (any::<usize>(), 0..3_u8),
        standing in standing(),
        (waivers, attestations) in said(),
    ) {
        let sources = sources(standing);
        let before = assess(&findings, &sources, &waivers, &attestations);
        let mut more = findings;
        more.push(finding(check, resource, 0));
        prop_assert_eq!(more.last().unwrap().finding.outcome, Outcome::Fail);
        let after = assess(&more, &sources, &waivers, &attestations);
        for (control, was) in &before {
            let is = after[control];
            // All failures waived: a control about which nothing was known is now known to fail, and
            // that is accepted. It is no claim that it holds.
            let is_known_now = is == Status::Waived && *was == Status::NotAssessed;
            prop_assert!(
                rank(is) <= rank(*was) || is_known_now,
                "{}: {} → {} by {}", control, was, is, more.last().unwrap().finding.check
            );
        }
    }

    #[apply(test)]
    fn what_has_ended_or_not_begun_changes_nothing(findings in findings(), standing in standing()) {
        let sources = sources(standing);
        let without = assess(&findings, &sources, &[], &[]);
        let waivers = waivers("W", "2026-12-31");
        for outcome in ["implemented", "not-implemented", "not-applicable"] {
            for (date, until) in [("2026-01-01", "2026-12-31"), ("2027-01-02", "2027-12-31")] {
                let attestations = attestations(outcome, date, until);
                prop_assert_eq!(&without, &assess(&findings, &sources, &waivers, &attestations));
            }
        }
    }
}

fn report(results: &[(usize, bool)]) -> Vec<u8> {
    let policies: Vec<CheckId> = mapped_checks("policy").into_iter().collect();
    let results: Value = results
        .iter()
        .map(|(index, passed)| {
            let local = policies[index % policies.len()].local().split_once('/').unwrap();
            let result = if *passed { "pass" } else { "fail" };
            json!({"source": local.0, "policy": local.1, "result": result})
        })
        .collect();
    let report = json!({
        "apiVersion": "openreports.io/v1alpha1", "kind": "Report", "metadata": {"name": "r"},
        "results": results,
    });
    serde_json::to_vec(&report).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Over whole reports: the order of results changes no status, and results in the same order
    /// give the same bytes.
    #[apply(test)]
    fn reports_in_any_order_say_the_same(
        (results, mut shuffled) in prop::collection::vec(any::<(usize, bool)>(), 1..30)
            .prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
    ) {
        let run = |results: &[(usize, bool)]| {
            let source = Declared::new("policy", &[&report(results)]);
            judge(&[source], &Said::default(), MANY_YEARS)
        };
        let items = |results: &[(usize, bool)]| {
            run(results).write_items(None, &|id| format!("salt of {id}")).unwrap().bytes
        };
        prop_assert_eq!(statuses(&run(&results)), statuses(&run(&shuffled)));
        let mut sorted = results;
        sorted.sort_unstable();
        shuffled.sort_unstable();
        prop_assert_eq!(items(&sorted), items(&shuffled));
    }
}
