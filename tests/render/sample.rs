//! A report as a month's end brings it: two whole standards, every status, some forty failing
//! findings, and texts that somebody hostile could have put in a cluster.

use affidavit::assessment::{Status, StatusCounts};
use std::sync::Arc;

use affidavit::diff::Transition;
use affidavit::finding::Severity;
use affidavit::framework::{self, builtin};
use affidavit::member::State;
use affidavit::render::model::{
    Answered, Attestation, Chain, Changed, Changes, CheckResult, Cluster, Conflict, Control, Count,
    Failing, File, Framework, Gap, Group, Head, Mapping, Member, MemberCounts, Past, Population,
    PopulationKind, Report, Risk, Source, Tool, Totals, Waiver,
};

/// Texts that have broken reports.
pub const HOSTILE: [&str; 12] = [
    "支払い/Deployment/決済-api",
    "rocket-🚀-👩‍👩‍👧/Pod/x",
    "مرحبا/Pod/עולם \u{202e}gnp.exe",
    "\u{1b}[31mred\u{1b}[0m \u{7}\u{0}\u{8}",
    "#panic(\"no\") *b* _i_ $x$ @ref <label> `raw` \\ // /* ]}",
    "\u{e000}\u{f8ff}\u{10ffff}\u{fffe}",
    "",
    " \n\t\r\n ",
    "\u{301}\u{302}\u{303} e\u{301}\u{301}\u{301}\u{301}\u{301}",
    "= heading\n- list\n+ enum\n#import \"@preview/x:1.0.0\"",
    "#read(\"/etc/passwd\") #json(\"/data.json\")",
    "ﬁ ﷽ \u{2028} \u{feff} \u{200d} \u{ad} ½ ─│┌ → ≥ Ω Ж ễ",
];

/// Numbers that look drawn and are not.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const RESOURCES: [&str; 14] = [
    "payments/Deployment/api",
    "payments/Deployment/settlement-worker",
    "payments/StatefulSet/ledger",
    "checkout/Deployment/frontend",
    "checkout/CronJob/basket-expiry",
    "kube-system/DaemonSet/node-local-dns",
    "monitoring/StatefulSet/prometheus-k8s",
    "ingress-nginx/Deployment/ingress-nginx-controller",
    "cert-manager/Deployment/cert-manager-cainjector",
    "identity/Deployment/keycloak",
    "Node/ip-10-31-4-117.eu-central-1.compute.internal",
    "Node/ip-10-31-9-20.eu-central-1.compute.internal",
    "ClusterRoleBinding/legacy-dashboard-admin",
    "data-platform-analytics-production/Deployment/clickhouse-operator-reconciler-with-a-long-name",
];

const MESSAGES: [&str; 6] = [
    "Container 'api' of Deployment 'api' should set 'securityContext.allowPrivilegeEscalation' to false",
    "--profiling is not set to false in /etc/kubernetes/manifests/kube-controller-manager.yaml",
    "Namespace has no NetworkPolicy that selects its pods",
    "openssl 3.0.11-1~deb12u2 in registry.example.com/payments/api@sha256:4c1b6a7be0f4d5a6c8a7d7f9a3c1e2b4d6f8091a2b3c4d5e6f70819203a4b5c6; fixed in 3.0.13-1~deb12u1",
    "permissions 644, expected 600 or more restrictive",
    "ServiceAccount 'default' is bound to cluster-admin through ClusterRoleBinding 'legacy-dashboard-admin'",
];

fn count(name: &str, count: usize) -> Count {
    Count { name: name.into(), count }
}

fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn hex(seed: u64) -> String {
    let mut draw = Draw(seed);
    (0..64).map(|_| char::from_digit(u32::try_from(draw.below(16)).unwrap(), 16).unwrap()).collect()
}

fn status_of(control: &framework::Control, draw: &mut Draw) -> Status {
    match control.kind {
        framework::Kind::NotApplicable => Status::NotApplicable,
        framework::Kind::Manual => match draw.below(20) {
            0 => Status::Satisfied,
            1 => Status::NotApplicable,
            _ => Status::Manual,
        },
        kind => match draw.below(20) {
            0..2 => Status::NotSatisfied,
            2 => Status::Waived,
            3..6 => Status::NotAssessed,
            _ if kind == framework::Kind::Automated => Status::Satisfied,
            _ => Status::Supported,
        },
    }
}

fn mappings(control: &framework::Control, status: Status, draw: &mut Draw) -> Vec<Mapping> {
    let silent = matches!(status, Status::Manual | Status::NotAssessed);
    let mapping = |mapping: &framework::Mapping| {
        let mut checks: Vec<String> =
            mapping.all_checks().map(|(check, _)| check.to_string()).collect();
        let seen = if silent { 0 } else { checks.len().min(1 + draw.below(2)) };
        let silent_checks = checks.split_off(seen);
        let fails = matches!(status, Status::NotSatisfied | Status::Waived);
        Mapping {
            strength: word(&mapping.strength),
            rationale: mapping.rationale.clone(),
            responsibility: word(&mapping.responsibility),
            checks: checks
                .into_iter()
                .map(|id| CheckResult {
                    title: control.title.clone(),
                    outcomes: if fails {
                        vec![count("fail", 1 + draw.below(4)), count("pass", draw.below(90))]
                    } else {
                        vec![count("pass", 1 + draw.below(240))]
                    },
                    rows: (draw.below(400), 400 + draw.below(400)),
                    id,
                })
                .collect(),
            silent_checks,
        }
    };
    control.mappings.iter().map(mapping).collect()
}

fn failing(
    control: &str,
    mappings: &[Mapping],
    waiver: &str,
    many: usize,
    draw: &mut Draw,
) -> Vec<Arc<Failing>> {
    let checks: Vec<&str> =
        mappings.iter().flat_map(|m| &m.checks).map(|check| check.id.as_str()).collect();
    if checks.is_empty() {
        return Vec::new();
    }
    let mut failing: Vec<_> = (0..many)
        .map(|index| Failing {
            item: format!("finding/{control}/{index}"),
            row: 1 + draw.below(900),
            check: draw.of(&checks).to_owned(),
            rule: if draw.below(4) == 0 { "CVE-2026-21441".into() } else { String::new() },
            resource: draw.of(&RESOURCES).to_owned(),
            namespace: draw.of(&["payments", "checkout", "monitoring", "identity", ""]).to_owned(),
            severity: Severity::from_word(
                draw.of(&["critical", "high", "high", "medium", "medium", "low", "unknown"]),
            ),
            message: draw.of(&MESSAGES).to_owned(),
            source: "trivy".into(),
            waiver: waiver.into(),
        })
        .collect();
    failing.sort_by_key(|finding| finding.severity);
    failing.into_iter().map(Arc::new).collect()
}

fn control(control: &framework::Control, draw: &mut Draw) -> (Status, Control) {
    let status = status_of(control, draw);
    let mappings = mappings(control, status, draw);
    let attested = control.kind == framework::Kind::Manual
        && matches!(status, Status::Satisfied | Status::NotApplicable);
    let many = if draw.below(9) == 0 { 43 } else { 1 + draw.below(4) };
    let failing = match status {
        Status::NotSatisfied => failing(&control.id, &mappings, "", many, draw),
        Status::Waived => failing(&control.id, &mappings, "W-2026-014", 2, draw),
        _ => Vec::new(),
    };
    let passing = match status {
        Status::NotSatisfied => draw.below(200),
        Status::Satisfied | Status::Supported if !attested => 1 + draw.below(240),
        _ => 0,
    };
    let (reason, explanation) = match status {
        Status::NotSatisfied => {
            ("", format!("{} failing findings; {passing} passing.", failing.len()))
        }
        Status::Waived => {
            ("", format!("{} failing findings, all covered by waivers in force.", failing.len()))
        }
        Status::NotAssessed if draw.below(3) == 0 => ("stale", "Source kubescape is stale.".into()),
        Status::NotAssessed => {
            ("no-evidence", "No source reported any of the mapped checks.".into())
        }
        Status::Manual => ("", "A cluster cannot answer this; no attestation is in force.".into()),
        Status::NotApplicable if attested => {
            ("", "Declared not applicable by Dana Fischer (A-2026-002).".into())
        }
        Status::NotApplicable => ("", control.not_applicable.clone().unwrap_or_default()),
        _ if attested => ("", "Attested by Dana Fischer (A-2026-001).".into()),
        Status::Supported => (
            "",
            format!(
                "All {passing} passing findings support it; the mapped checks cover only part of it."
            ),
        ),
        Status::Satisfied => {
            ("", format!("All {passing} findings passed, and the mapped checks cover all of it."))
        }
    };
    let shown = Control {
        id: control.id.clone(),
        title: control.title.clone(),
        kind: word(&control.kind),
        attributes: control.attributes.clone().into_iter().collect(),
        status: status.to_string(),
        reason: reason.into(),
        explanation,
        basis: if attested {
            "attested"
        } else if passing + failing.len() > 0 {
            "automated"
        } else {
            "none"
        }
        .into(),
        waivers: if status == Status::Waived { vec!["W-2026-014".into()] } else { Vec::new() },
        attestations: match status {
            Status::NotApplicable if attested => vec!["A-2026-002".into()],
            _ if attested => vec!["A-2026-001".into()],
            _ => Vec::new(),
        },
        mappings,
        failing,
        undecided: 0,
        passing,
        remediation: control.remediation.clone(),
        remaining_evidence: control.remaining_evidence.clone(),
    };
    (status, shown)
}

fn framework(id: &str, draw: &mut Draw) -> Framework {
    let framework = builtin::find(id, None).unwrap();
    let controls: Vec<_> =
        framework.controls.iter().map(|c| (c.group.as_str(), control(c, draw))).collect();
    let groups = framework.groups.iter().map(|group| Group {
        id: group.id.clone(),
        title: group.title.clone(),
        depth: framework.path_of(&group.id).count() - 1,
        counts: StatusCounts::of(
            controls
                .iter()
                .filter(|(of, _)| framework.path_of(of).any(|above| above.id == group.id))
                .map(|(_, (status, _))| *status),
        ),
        controls: controls
            .iter()
            .filter(|(of, _)| *of == group.id)
            .map(|(_, (_, control))| control.clone())
            .collect(),
    });
    let counts = StatusCounts::of(controls.iter().map(|(_, (status, _))| *status));
    Framework {
        groups: groups.collect(),
        counts,
        total: counts.total(),
        applicable: counts.applicable(),
        assessed: counts.assessed(),
        mapping_sha256: hex(17),
        id: framework.id,
        version: framework.version,
        title: framework.title,
        authority: framework.authority,
        notice: framework.notice,
    }
}

fn source(name: &str, status: &str, detail: &str, files: Vec<File>) -> Source {
    Source {
        name: name.into(),
        scanner: name.into(),
        status: status.into(),
        detail: detail.into(),
        max_age: "36h".into(),
        files,
    }
}

fn file(path: &str, tool: &str, format: &str, findings: usize, notes: &[&str]) -> File {
    File {
        path: path.into(),
        sha256: hex(u64::try_from(path.len()).unwrap()),
        bytes: 48_211_904,
        formats: vec![format.into()],
        tools: vec![tool.into()],
        rule_sets: vec!["cis-1.12".into()],
        taken_at: "2026-11-23T01:12:44Z".into(),
        taken_at_basis: "scanner".into(),
        error: String::new(),
        notes: notes.iter().map(|&note| note.into()).collect(),
        findings,
        outcomes: vec![count("pass", findings - findings / 10), count("fail", findings / 10)],
    }
}

fn waiver(id: &str, state: &str, expires: &str, findings: usize) -> Waiver {
    Waiver {
        id: id.into(),
        state: state.into(),
        scope: "check trivy:KSV-0001, namespace payments, Deployment/api".into(),
        reason: "The vendor's image needs the capability until release 4.2; compensated by a seccomp profile.".into(),
        approver: "Priya Raman, CISO".into(),
        ticket: "SEC-4471".into(),
        from: "2026-09-01".into(),
        expires: expires.into(),
        findings,
        unmatched: if state == "unused" {
            vec!["there is no check `trivy:KSV0001`; is `trivy:KSV-0001` meant?".into()]
        } else {
            Vec::new()
        },
    }
}

fn attestation(id: &str, state: &str, outcome: &str, until: &str) -> Attestation {
    Attestation {
        id: id.into(),
        state: state.into(),
        scope: "pci-dss@4.0.1 9.1.1, 9.1.2, 9.2.1, 9.2.1.1".into(),
        outcome: outcome.into(),
        by: "Dana Fischer".into(),
        role: "Head of facilities".into(),
        statement: "The data centre's operator holds a current report on physical access; we reviewed it on 3 November.".into(),
        date: "2026-11-03".into(),
        until: until.into(),
        evidence: "DMS 2026/1187, report of the operator".into(),
        unmatched: Vec::new(),
    }
}

fn risks() -> Vec<Risk> {
    vec![
        Risk {
            resource: "payments/Deployment/card-gateway".to_owned(),
            score: 312,
            checks: vec![
                ("affidavit:container-privileged".to_owned(), 180),
                ("trivy:KSV-0012".to_owned(), 132),
            ],
            factors: vec![
                "reachable from outside (ingress): ×2".to_owned(),
                "namespace of critical criticality: ×2".to_owned(),
            ],
        },
        Risk {
            resource: HOSTILE[0].to_owned(),
            score: 40,
            checks: vec![("trivy:KSV-0017".to_owned(), 40)],
            factors: Vec::new(),
        },
    ]
}

fn population() -> Population {
    Population {
        source: "cluster".to_owned(),
        input: "inputs/cluster/0001-affidavit-checks.json".to_owned(),
        answered: Some(Answered {
            uid: "6f0d3a1e-5e7b-4c7a-9d1f-2b8e4f6a1c3d".to_owned(),
            version: "v1.33.5".to_owned(),
            certificate: "9f".repeat(32),
            user: "system:serviceaccount:affidavit:affidavit".to_owned(),
            groups: vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()],
            may_not_list: vec!["Secret".to_owned()],
            not_known: Vec::new(),
            server: "https://10.96.0.1:443".to_owned(),
            access: "in-cluster".to_owned(),
            authorities: "5c".repeat(32),
            tls_verified: true,
            clock_ahead_seconds: -2,
        }),
        objects: 1_249,
        kinds: [
            ("Pod", "v1", 1_100, "complete", ""),
            ("Deployment", "apps/v1", 149, "complete", ""),
            (
                "Secret",
                "v1",
                0,
                "forbidden",
                "secrets is forbidden: User \"x\" cannot list resource \"secrets\"",
            ),
        ]
        .map(|(kind, api, count, listing, detail)| PopulationKind {
            kind: kind.to_owned(),
            api_version: api.to_owned(),
            count,
            listing: listing.to_owned(),
            detail: detail.to_owned(),
            covered: vec![count, count / 2],
            uids_sha256: "ab".repeat(32),
        })
        .into(),
        without_objects: vec!["Ingress".to_owned()],
        covering: vec!["cluster".to_owned(), "trivy".to_owned()],
    }
}

/// The report over the frameworks given.
pub fn of(frameworks: &[&str]) -> Report {
    let mut draw = Draw(7);
    let frameworks: Vec<_> = frameworks.iter().map(|id| framework(id, &mut draw)).collect();
    Report {
        organisation: "Example Payments Ltd".into(),
        cluster: Cluster {
            name: "prod-eu1".into(),
            uid: "5f0c3a52-6f0e-4a0b-9c57-2a3f1f6f9a11".into(),
            named_by_inputs: vec!["arn:aws:eks:eu-central-1:111122223333:cluster/prod-eu1".into()],
        },
        created: "2026-11-23T02:00:00Z".into(),
        period_start: "2026-11-22T02:00:00Z".into(),
        period_end: "2026-11-23T02:00:00Z".into(),
        chain: Chain {
            origin: "evidence.example.com/prod-eu1".into(),
            seq: 326,
            previous: Some(Head {
                seq: 325,
                statement_sha256: hex(1),
                checkpoint_size: 326,
                checkpoint_root: "qvnLZAl4y8q3mC0Q1s9F2w5rTnYb7eXkJ6uHdGzPaVs=".into(),
            }),
            items: 402 + 4_796 + 3 + 3 + frameworks.iter().map(|f| f.total).sum::<usize>(),
            items_root: "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE=".into(),
            keyring_version: 3,
            signer: hex(2),
            root_fingerprints: vec![hex(3), hex(4)],
        },
        tool: Tool { name: "affidavit".into(), version: "0.1.0".into() },
        totals: Totals {
            inputs: 3,
            input_bytes: 144_635_712,
            findings: 4_796,
            outcomes: vec![count("pass", 4_297), count("fail", 478), count("error", 21)],
            unmapped_findings: 312,
            items: vec![
                count("attestation", 3),
                count("check", 402),
                count("control", frameworks.iter().map(|f| f.total).sum()),
                count("finding", 4_796),
                count("waiver", 3),
            ],
        },
        populations: vec![population()],
        members: Vec::new(),
        risks: risks(),
        failing_resources: 57,
        sources: vec![
            source(
                "kube-bench",
                "ok",
                "",
                vec![file(
                    "inputs/kube-bench/master.json",
                    "kube-bench 0.15.0",
                    "kube-bench",
                    260,
                    &[],
                )],
            ),
            source(
                "trivy",
                "ok",
                "",
                vec![file(
                    "inputs/trivy/prod-eu1-2026-11-23T01-12-44Z-full-cluster-scan.json",
                    "trivy 0.71.2",
                    "trivy-k8s",
                    4_536,
                    &[
                        "3 lines in front of the report were passed over",
                        "21 workloads timed out: their checks are errors",
                    ],
                )],
            ),
            source(
                "kubescape",
                "stale",
                "taken 51h ago, 36h are allowed",
                vec![file(
                    "inputs/kubescape/results.json",
                    "kubescape 3.0.48",
                    "kubescape-v2",
                    0,
                    &[],
                )],
            ),
            source("kyverno", "missing", "no file matches inputs/kyverno/*.json", Vec::new()),
        ],
        frameworks,
        waivers: vec![
            waiver("W-2026-014", "in-force", "2026-12-31", 9),
            waiver("W-2026-009", "expired", "2026-11-01", 0),
            waiver("W-2026-011", "unused", "2027-03-31", 0),
        ],
        attestations: vec![
            attestation("A-2026-001", "in-force", "implemented", "2027-11-03"),
            attestation("A-2026-002", "in-force", "not-applicable", "2026-12-01"),
            attestation("A-2025-031", "expired", "implemented", "2026-11-03"),
        ],
        gaps: vec![
            Gap {
                kind: "source".into(),
                text: "Source kubescape is stale: taken 51h ago, 36h are allowed.".into(),
            },
            Gap {
                kind: "source".into(),
                text: "Source kyverno is missing: no file matches inputs/kyverno/*.json.".into(),
            },
            Gap {
                kind: "run".into(),
                text: "No bundle for the run due at 2026-11-21 02:00 UTC.".into(),
            },
        ],
        conflicts: vec![Conflict {
            control: "cis-kubernetes@1.12 5.2.2".into(),
            resource: "payments/Deployment/api".into(),
            sides: vec!["kubescape:C-0057: pass".into(), "trivy:KSV-0017: fail".into()],
        }],
        annex_volumes: 1,
        history: Vec::new(),
        changes: None,
    }
}

/// The report with what stood in earlier bundles: twelve runs, one of them after a gap.
pub fn with_history(mut report: Report) -> Report {
    let mut draw = Draw(11);
    report.history = (0..12_u64)
        .map(|index| Past {
            seq: 315 + index,
            created: format!("2026-11-{:02}T02:00:00Z", 12 + index),
            gap: if index == 9 {
                "1 scheduled runs did not take place".into()
            } else {
                String::new()
            },
            frameworks: report
                .frameworks
                .iter()
                .map(|f| {
                    let mut counts = f.counts;
                    let moved =
                        counts.satisfied.min(draw.below(14 - usize::try_from(index).unwrap()));
                    counts.satisfied -= moved;
                    counts.not_satisfied += moved;
                    (format!("{}@{}", f.id, f.version), if index == 11 { f.counts } else { counts })
                })
                .collect(),
        })
        .collect();
    let changed = |check: &str, failures: usize| Changed {
        check: check.into(),
        failures,
        examples: RESOURCES.iter().take(failures.min(2)).map(ToString::to_string).collect(),
    };
    report.changes = Some(Changes {
        since: 325,
        since_created: "2026-11-22T02:00:00Z".into(),
        controls: vec![
            Transition {
                control: "cis-kubernetes@1.12/5.2.2".into(),
                before: Some(Status::NotSatisfied),
                after: Some(Status::Satisfied),
                mapping_changed: false,
            },
            Transition {
                control: "pci-dss@4.0.1/2.2.4".into(),
                before: Some(Status::Supported),
                after: Some(Status::NotSatisfied),
                mapping_changed: true,
            },
        ],
        opened: vec![changed("trivy:KSV-0014", 11), changed("kube-bench:cis-1.12:1.2.5", 1)],
        closed: vec![changed("trivy:KSV-0017", 2)],
        vanished: vec![changed("kubescape:C-0057", 3)],
        rules: vec!["tool trivy: 0.71.2 instead of 0.70.0".into()],
        sources: vec!["kubescape: stale instead of ok".into()],
        decisions: vec!["waiver/W-2026-009: expired instead of in-force".into()],
    });
    report
}

/// CIS and PCI, with a hostile text here and there.
pub fn sample() -> Report {
    let mut report = of(&["cis-kubernetes", "pci-dss"]);
    let mut hostile = HOSTILE.iter();
    for framework in &mut report.frameworks {
        for finding in framework
            .groups
            .iter_mut()
            .flat_map(|g| &mut g.controls)
            .flat_map(|c| &mut c.failing)
            .step_by(9)
        {
            let Some(text) = hostile.next() else { break };
            let finding = Arc::make_mut(finding);
            finding.resource = (*text).into();
            finding.message = format!("{text} {}", finding.message);
        }
    }
    report
}

/// The same over a fleet, with clusters in every state and hostile names.
pub fn fleet(mut report: Report, clusters: usize) -> Report {
    report.members = (0..clusters)
        .map(|index| {
            let state = State::ALL[index % State::ALL.len()];
            let believed = matches!(state, State::Ok | State::Stale);
            let counts = |number: usize| {
                let counts =
                    StatusCounts { not_satisfied: number, satisfied: 9, ..StatusCounts::default() };
                MemberCounts {
                    counts,
                    assessed: counts.assessed(),
                    applicable: counts.applicable(),
                }
            };
            let by = |place: usize| (believed && place + index % 7 > 0).then(|| counts(index % 4));
            Member {
                name: format!("store-{index:04} {}", if index == 3 { HOSTILE[0] } else { "" }),
                state: state.as_str().into(),
                detail: if state == State::Ok { String::new() } else { MESSAGES[1].into() },
                created: if believed { report.created.clone() } else { String::new() },
                seq: believed.then_some(index as u64),
                head: if index % 3 == 0 {
                    String::new()
                } else {
                    format!("evidence.example.com/s 7 {}", report.chain.items_root)
                },
                sources: (0..index % 5).map(|n| format!("source-{n} is stale")).collect(),
                frameworks: (0..report.frameworks.len()).map(by).collect(),
            }
        })
        .collect();
    report
}

/// Every control with as many failing findings.
pub fn many(failing: usize) -> Report {
    let mut report = of(&["cis-kubernetes", "pci-dss"]);
    let controls =
        report.frameworks.iter_mut().flat_map(|f| &mut f.groups).flat_map(|g| &mut g.controls);
    for control in controls {
        let finding = |index: usize| Failing {
            item: format!("finding/{}/{index}", control.id),
            row: 1 + index,
            check: format!("kube-bench:cis-1.12:{}", control.id),
            rule: String::new(),
            resource: RESOURCES[index % RESOURCES.len()].into(),
            namespace: "payments".into(),
            severity: Severity::High,
            message: MESSAGES[index % MESSAGES.len()].into(),
            source: "kube-bench".into(),
            waiver: String::new(),
        };
        control.failing = (0..failing).map(finding).map(Arc::new).collect();
    }
    report
}

/// The first run of a cluster about which nothing is known.
pub fn empty() -> Report {
    let mut report = of(&[]);
    report.organisation.clear();
    report.cluster = Cluster { name: "c".into(), uid: String::new(), named_by_inputs: Vec::new() };
    report.chain.previous = None;
    report.chain.seq = 0;
    report.chain.root_fingerprints.clear();
    report.totals = Totals {
        inputs: 0,
        input_bytes: 0,
        findings: 0,
        outcomes: Vec::new(),
        unmapped_findings: 0,
        items: Vec::new(),
    };
    report.populations.clear();
    report.risks.clear();
    report.failing_resources = 0;
    report.sources.clear();
    report.waivers.clear();
    report.attestations.clear();
    report.gaps.clear();
    report.conflicts.clear();
    report
}

/// A small report with `text` in every place that holds text.
pub fn everywhere(text: &str) -> Report {
    let mut report = of(&["cis-kubernetes"]);
    let framework = &mut report.frameworks[0];
    framework.groups.truncate(3);
    let group = &mut framework.groups[1];
    group.controls.truncate(5);
    let list = || vec![text.to_owned(); 2];
    let counts = || vec![count(text, 3)];
    for (index, control) in group.controls.iter_mut().enumerate() {
        everywhere_in_control(control, text, index);
    }
    group.id = text.into();
    group.title = text.into();
    for field in [
        &mut framework.id,
        &mut framework.version,
        &mut framework.title,
        &mut framework.authority,
        &mut framework.notice,
        &mut framework.mapping_sha256,
        &mut report.organisation,
        &mut report.cluster.name,
        &mut report.cluster.uid,
        &mut report.period_start,
        &mut report.period_end,
        &mut report.chain.origin,
        &mut report.chain.items_root,
        &mut report.chain.signer,
        &mut report.tool.name,
        &mut report.tool.version,
    ] {
        *field = text.into();
    }
    report.cluster.named_by_inputs = list();
    report.chain.root_fingerprints = list();
    report.chain.previous = Some(Head {
        seq: 1,
        statement_sha256: text.into(),
        checkpoint_size: 2,
        checkpoint_root: text.into(),
    });
    report.totals.outcomes = counts();
    report.totals.items = counts();
    everywhere_in_population(&mut report.populations[0], text);
    for risk in &mut report.risks {
        risk.resource = text.into();
        risk.checks = vec![(text.to_owned(), 7)];
        risk.factors = list();
    }
    everywhere_in_registers(&mut report, text);
    report
}

fn everywhere_in_population(population: &mut Population, text: &str) {
    let list = || vec![text.to_owned(); 2];
    population.source = text.into();
    population.input = text.into();
    population.without_objects = list();
    population.covering = list();
    population.answered = Some(Answered {
        uid: text.into(),
        version: text.into(),
        certificate: text.into(),
        user: text.into(),
        groups: list(),
        may_not_list: list(),
        not_known: list(),
        server: text.into(),
        access: text.into(),
        authorities: text.into(),
        tls_verified: false,
        clock_ahead_seconds: i64::MIN + 1,
    });
    for kind in &mut population.kinds {
        kind.kind = text.into();
        kind.api_version = text.into();
        kind.detail = text.into();
        kind.uids_sha256 = text.into();
    }
}

fn everywhere_in_control(control: &mut Control, text: &str, index: usize) {
    let list = || vec![text.to_owned(); 2];
    let counts = || vec![count(text, 3)];
    // Some with a status that the template knows, and with none.
    if index > 2 {
        control.status = text.into();
    }
    for field in [
        &mut control.id,
        &mut control.title,
        &mut control.kind,
        &mut control.reason,
        &mut control.explanation,
        &mut control.basis,
        &mut control.remediation,
        &mut control.remaining_evidence,
    ] {
        *field = text.into();
    }
    control.attributes = vec![(text.into(), text.into())];
    control.waivers = list();
    control.attestations = list();
    control.mappings = if index == 0 {
        Vec::new()
    } else {
        vec![Mapping {
            strength: text.into(),
            rationale: text.into(),
            responsibility: text.into(),
            checks: vec![CheckResult {
                id: text.into(),
                title: text.into(),
                outcomes: counts(),
                rows: (1, 2),
            }],
            silent_checks: list(),
        }]
    };
    let finding = |row| Failing {
        item: text.into(),
        row,
        check: text.into(),
        rule: text.into(),
        resource: text.into(),
        namespace: text.into(),
        severity: Severity::Unknown,
        message: text.into(),
        source: text.into(),
        waiver: text.into(),
    };
    control.failing = (0..index * 6).map(finding).map(Arc::new).collect();
}

fn everywhere_in_registers(report: &mut Report, text: &str) {
    let list = || vec![text.to_owned(); 2];
    for source in &mut report.sources {
        for field in [
            &mut source.name,
            &mut source.scanner,
            &mut source.status,
            &mut source.detail,
            &mut source.max_age,
        ] {
            *field = text.into();
        }
        for file in &mut source.files {
            for field in [
                &mut file.path,
                &mut file.sha256,
                &mut file.taken_at,
                &mut file.taken_at_basis,
                &mut file.error,
            ] {
                *field = text.into();
            }
            file.formats = list();
            file.tools = list();
            file.rule_sets = list();
            file.notes = vec![text.to_owned(); 9];
            file.outcomes = vec![count(text, 3)];
        }
    }
    for waiver in &mut report.waivers {
        // One keeps its state: those in force are looked at for their end.
        if waiver.id != "W-2026-014" {
            waiver.state = text.into();
        }
        for field in [
            &mut waiver.id,
            &mut waiver.scope,
            &mut waiver.reason,
            &mut waiver.approver,
            &mut waiver.ticket,
            &mut waiver.from,
            &mut waiver.expires,
        ] {
            *field = text.into();
        }
        waiver.unmatched = vec![text.into()];
    }
    for attestation in &mut report.attestations {
        for field in [
            &mut attestation.id,
            &mut attestation.scope,
            &mut attestation.outcome,
            &mut attestation.by,
            &mut attestation.role,
            &mut attestation.statement,
            &mut attestation.date,
            &mut attestation.until,
            &mut attestation.evidence,
        ] {
            *field = text.into();
        }
        attestation.unmatched = vec![text.into()];
    }
    for gap in &mut report.gaps {
        gap.kind = text.into();
        gap.text = text.into();
    }
    for conflict in &mut report.conflicts {
        conflict.control = text.into();
        conflict.resource = text.into();
        conflict.sides = list();
    }
}
