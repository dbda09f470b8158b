//! Sealed items → report model. Everything that a report prints comes from here, and everything
//! here comes from `items.jsonl`, `run.json`, the mappings and the statement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::assessment::{OutcomeCounts, StatusCounts};
use crate::evaluate::duration_text;
use crate::evidence::digest::Digest;
use crate::evidence::key::KeyId;
use crate::export::csv;
use crate::finding::Outcome;
use crate::framework::{self, Framework};
use crate::period::OverTime;
use crate::population::Listing;
use crate::record::{
    AttestationItem, ConflictItem, ControlItem, FindingItem, MemberItem, PopulationItem, RiskItem,
    WaiverItem,
};
use crate::render::annex::Order;
use crate::render::model::{
    Answered, Attestation, Chain, CheckResult, Cluster, Conflict, Control, Count, Failing, File,
    Framework as FrameworkPart, Gap, Group, Head, Mapping, Member, MemberCounts, PeriodReport,
    Population, PopulationKind, Report, Risk, Source, Tool, Totals, Waiver,
};
use crate::render::{ATTACHMENT, Attachment};
use crate::run::Run;
use crate::sealed::{Bundle, Items, SealedError};
use crate::verify::Archive;
use crate::verify::pin::Pin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the report says of the chain.
#[derive(Clone, Debug)]
pub struct ChainFacts {
    /// Origin.
    pub origin: String,
    /// Place.
    pub seq: u64,
    /// Digest of the previous statement and the head at it.
    pub previous: Option<(Digest, Pin)>,
    /// First instant that the bundle speaks for.
    pub period_start: String,
    /// Last instant.
    pub period_end: String,
    /// Number of items.
    pub items_size: u64,
    /// Their root, base64.
    pub items_root: String,
    /// Version of the keyring in force.
    pub keyring_version: u64,
    /// Id of the signer.
    pub signer: KeyId,
    /// Ids of the root keys.
    pub roots: Vec<KeyId>,
}

impl ChainFacts {
    /// Those of a bundle that lies in an archive.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn of(bundle: &Bundle, archive: &dyn Archive) -> Result<Self, SealedError> {
        let predicate = &bundle.statement.predicate;
        let (signer, roots) = bundle.keys(archive)?;
        Ok(Self {
            origin: predicate.chain.origin.clone(),
            seq: predicate.chain.seq,
            previous: predicate
                .chain
                .prev
                .map(|prev| prev.sha256)
                .zip(bundle.head_before(archive)?),
            period_start: predicate.time.period_start.clone(),
            period_end: predicate.time.period_end.clone(),
            items_size: predicate.items.size,
            items_root: predicate.items.root.clone(),
            keyring_version: predicate.keyring.version,
            signer,
            roots,
        })
    }
}

/// What the report of a bundle carries with it: the controls as assessed (`controls.json` of the
/// bundle), and every finding.
#[must_use]
pub fn attachments(controls: Vec<u8>, items: &Items) -> Vec<Attachment> {
    vec![
        Attachment {
            name: ATTACHMENT,
            mime: "application/json",
            description: "The controls as assessed, in canonical JSON",
            bytes: controls,
        },
        Attachment {
            name: "findings.csv",
            mime: "text/csv",
            description: "Every finding, whatever its outcome (RFC 4180)",
            bytes: csv::findings(items),
        },
    ]
}

/// Why no report can be made of these items.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The items lack a control of a framework.
    #[error("the items have no control {0}")]
    MissingControl(String),
}

/// Builds the report of a bundle. `mappings` are the frameworks of the run, in its order, with the
/// digests of their files.
///
/// # Errors
/// [`BuildError`].
pub fn report(
    items: &Items,
    run: &Run,
    mappings: &[(&Framework, Digest)],
    chain: &ChainFacts,
) -> Result<Report, BuildError> {
    let mapped: BTreeSet<&str> = mappings
        .iter()
        .flat_map(|(framework, _)| &framework.controls)
        .flat_map(|control| &control.mappings)
        .flat_map(framework::Mapping::all_checks)
        .map(|(check, _)| check.as_str())
        .collect();
    let unmapped = items.findings.iter().filter(|f| !mapped.contains(f.check.as_str())).count();
    let facts = Facts::of(items);
    let frameworks = mappings
        .iter()
        .map(|(framework, digest)| framework_part(framework, *digest, &facts))
        .collect::<Result<Vec<_>, _>>()?;
    let mut outcomes = OutcomeCounts::new();
    for finding in &items.findings {
        *outcomes.entry(finding.outcome).or_default() += 1;
    }
    Ok(Report {
        organisation: run.organisation.clone(),
        cluster: cluster_part(run, items),
        created: run.created.clone(),
        period_start: chain.period_start.clone(),
        period_end: chain.period_end.clone(),
        chain: chain_part(chain),
        tool: Tool { name: run.tool.name.clone(), version: run.tool.version.clone() },
        totals: Totals {
            inputs: items.inputs.len(),
            input_bytes: items.inputs.values().map(|input| input.bytes).sum(),
            findings: items.findings.len(),
            outcomes: counts_of(&outcomes),
            unmapped_findings: unmapped,
            items: items
                .counts
                .iter()
                .map(|(name, count)| Count { name: name.clone(), count: *count })
                .collect(),
        },
        sources: run.sources.iter().filter_map(|source| source_part(&source.name, items)).collect(),
        populations: items
            .populations
            .iter()
            .map(|(input, kinds)| population_part(input, kinds, items))
            .collect(),
        members: members_part(&items.members, mappings),
        frameworks,
        risks: items.risks.iter().map(risk_part).collect(),
        failing_resources: items.risks.first().map_or(0, |risk| risk.of),
        waivers: items.waivers.iter().map(waiver_part).collect(),
        attestations: items.attestations.iter().map(attestation_part).collect(),
        gaps: items
            .gaps
            .iter()
            .map(|gap| Gap { kind: gap.gap.clone(), text: gap.text.clone() })
            .collect(),
        conflicts: items.conflicts.iter().map(conflict_part).collect(),
        annex_volumes: facts.volumes,
        history: Vec::new(),
        changes: None,
    })
}

/// What the controls are built from: a finding bears on many of them.
struct Facts<'i> {
    items: &'i Items,
    /// Failing findings that count, by check.
    failing: BTreeMap<&'i str, Vec<Arc<Failing>>>,
    /// Rows of each check in the annex.
    rows: BTreeMap<&'i str, (usize, usize)>,
    /// Volumes of the annex.
    volumes: usize,
}

impl<'i> Facts<'i> {
    fn of(items: &'i Items) -> Self {
        let order = Order::of(items);
        let mut failing: BTreeMap<&str, Vec<Arc<Failing>>> = BTreeMap::new();
        for (place, finding) in items.findings.iter().enumerate() {
            if finding.outcome == Outcome::Fail && items.is_usable(finding) {
                let part = failing_part(finding, order.row(place), items);
                failing.entry(&finding.check).or_default().push(Arc::new(part));
            }
        }
        Self { items, failing, rows: order.checks(items), volumes: order.volumes() }
    }
}

/// Clusters, those first of which least can be said, then those that fail most.
fn members_part(members: &[MemberItem], mappings: &[(&Framework, Digest)]) -> Vec<Member> {
    let counts = |item: &MemberItem, framework: &Framework| {
        let counts = item.counts(&framework.key())?;
        let (assessed, applicable) = (counts.assessed(), counts.applicable());
        Some(MemberCounts { counts, assessed, applicable })
    };
    let mut ranked: Vec<_> = members
        .iter()
        .map(|item| {
            let part = Member {
                name: item.cluster.clone(),
                state: item.state.as_str().to_owned(),
                detail: item.detail.clone(),
                created: item.created.clone(),
                seq: item.seq,
                head: item.pin().to_owned(),
                sources: item
                    .sources
                    .iter()
                    .filter(|(_, standing)| *standing != "ok")
                    .map(|(name, standing)| format!("{name} is {standing}"))
                    .collect(),
                frameworks: mappings.iter().map(|(framework, _)| counts(item, framework)).collect(),
            };
            let failing: usize =
                part.frameworks.iter().flatten().map(|part| part.counts.not_satisfied).sum();
            ((item.state, std::cmp::Reverse(failing), item.cluster.clone()), part)
        })
        .collect();
    ranked.sort_by(|left, right| left.0.cmp(&right.0));
    ranked.into_iter().map(|(_, part)| part).collect()
}

fn failing_part(finding: &FindingItem, row: usize, items: &Items) -> Failing {
    Failing {
        item: finding.id.clone(),
        row,
        check: finding.check.clone(),
        rule: finding.rule.clone(),
        resource: finding.resource.to_string(),
        namespace: finding.resource.namespace.clone(),
        severity: finding.severity,
        message: finding.message.clone(),
        source: items.source_of(finding).to_owned(),
        waiver: String::new(),
    }
}

/// Builds the report of a period. `newest` is the newest bundle of the archive and `head` the head with
/// it; `created` is when the report is made, by `tool`.
#[must_use]
pub fn period_report(
    newest: &Bundle,
    chain: &ChainFacts,
    head: &Pin,
    over_time: OverTime,
    (created, tool): (String, Tool),
) -> PeriodReport {
    PeriodReport {
        organisation: newest.run.organisation.clone(),
        cluster: cluster_part(&newest.run, &newest.items),
        created,
        tool,
        chain: chain_part(chain),
        pin: head_part(newest.digest, head),
        over_time,
    }
}

fn cluster_part(run: &Run, items: &Items) -> Cluster {
    let names: BTreeSet<&String> =
        items.inputs.values().flat_map(|input| &input.clusters).collect();
    Cluster {
        name: run.cluster.name.clone(),
        uid: run.cluster.uid.clone(),
        named_by_inputs: names.into_iter().cloned().collect(),
    }
}

fn head_part(statement: Digest, pin: &Pin) -> Head {
    Head {
        seq: pin.size.saturating_sub(1),
        statement_sha256: statement.to_string(),
        checkpoint_size: pin.size,
        checkpoint_root: STANDARD.encode(pin.root.as_bytes()),
    }
}

fn chain_part(chain: &ChainFacts) -> Chain {
    Chain {
        origin: chain.origin.clone(),
        seq: chain.seq,
        previous: chain.previous.as_ref().map(|(statement, pin)| head_part(*statement, pin)),
        items: usize::try_from(chain.items_size).unwrap_or(usize::MAX),
        items_root: chain.items_root.clone(),
        keyring_version: chain.keyring_version,
        signer: chain.signer.to_string(),
        root_fingerprints: chain.roots.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn counts_of(counts: &OutcomeCounts) -> Vec<Count> {
    counts
        .iter()
        .map(|(outcome, count)| Count { name: outcome.as_str().to_owned(), count: *count })
        .collect()
}

fn source_part(name: &str, items: &Items) -> Option<Source> {
    let source = items.sources.get(name)?;
    let files = source.inputs.iter().filter_map(|path| items.inputs.get(path)).map(|input| File {
        path: input.path.clone(),
        sha256: input.sha256.to_string(),
        bytes: input.bytes,
        formats: input.formats.clone(),
        tools: input
            .tools
            .iter()
            .map(|(tool, version)| format!("{tool} {version}").trim_end().to_owned())
            .collect(),
        rule_sets: input.rule_sets.clone(),
        taken_at: input.taken_at.clone(),
        taken_at_basis: input.taken_at_basis.clone(),
        error: input.error.clone(),
        notes: input.notes.clone(),
        findings: usize::try_from(input.findings).unwrap_or(usize::MAX),
        outcomes: counts_of(&input.outcomes),
    });
    Some(Source {
        name: source.name.clone(),
        scanner: source.scanner.clone(),
        status: source.standing.clone(),
        detail: source.detail.clone(),
        max_age: duration_text(source.max_age_seconds),
        files: files.collect(),
    })
}

fn risk_part(item: &RiskItem) -> Risk {
    let mut checks: Vec<(String, u64)> =
        item.checks.iter().map(|(check, score)| (check.clone(), *score)).collect();
    checks.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Risk {
        resource: item.resource.clone(),
        score: item.score,
        checks,
        factors: item.factors.clone(),
    }
}

fn population_part(input: &str, kinds: &[PopulationItem], items: &Items) -> Population {
    let covering: BTreeSet<&String> = kinds.iter().flat_map(|kind| kind.covered.keys()).collect();
    let is_empty = |kind: &&PopulationItem| kind.count == 0 && kind.listing.is_answer();
    let row = |kind: &PopulationItem| PopulationKind {
        kind: kind.resource_kind.clone(),
        api_version: kind.api_version.clone(),
        count: kind.count,
        listing: kind.listing.as_str().to_owned(),
        detail: kind.detail.clone(),
        covered: covering
            .iter()
            .map(|source| kind.covered.get(*source).copied().unwrap_or_default())
            .collect(),
        uids_sha256: kind.uids_sha256.clone(),
    };
    Population {
        source: items.inputs.get(input).map(|item| item.source.clone()).unwrap_or_default(),
        input: input.to_owned(),
        answered: items.clusters.get(input).map(|cluster| Answered {
            uid: cluster.uid.clone(),
            version: cluster.version.clone(),
            certificate: cluster.endpoint_certificate.clone(),
            user: cluster.user.clone(),
            groups: cluster.groups.clone(),
            may_not_list: cluster.may_not_list.clone(),
            not_known: cluster.not_known.clone(),
            server: cluster.server.clone(),
            access: match &*cluster.context {
                "" => cluster.access.clone(),
                context => format!("{}, context {context}", cluster.access),
            },
            authorities: cluster.authorities.clone(),
            tls_verified: cluster.tls_verified,
            clock_ahead_seconds: cluster.clock_ahead_seconds,
        }),
        objects: kinds.iter().map(|kind| kind.count).sum(),
        kinds: kinds.iter().filter(|kind| !is_empty(kind)).map(row).collect(),
        without_objects: kinds
            .iter()
            .filter(is_empty)
            .map(|kind| match kind.listing {
                Listing::Absent => format!("{} (the cluster has no such kind)", kind.resource_kind),
                _ => kind.resource_kind.clone(),
            })
            .collect(),
        covering: covering.into_iter().cloned().collect(),
    }
}

fn framework_part(
    framework: &Framework,
    digest: Digest,
    facts: &Facts<'_>,
) -> Result<FrameworkPart, BuildError> {
    let key = framework.key();
    let mut controls: BTreeMap<&str, Vec<Control>> = BTreeMap::new();
    let mut statuses = Vec::new();
    let mut by_group: BTreeMap<&str, Vec<crate::assessment::Status>> = BTreeMap::new();
    let parents: BTreeMap<&str, &str> = framework
        .groups
        .iter()
        .filter_map(|group| Some((group.id.as_str(), group.parent.as_deref()?)))
        .collect();
    for control in &framework.controls {
        let id = format!("{key}/{}", control.id);
        let item =
            facts.items.controls.get(&id).ok_or_else(|| BuildError::MissingControl(id.clone()))?;
        statuses.push(item.status);
        let mut group = Some(control.group.as_str());
        // Bounded: a cycle of groups would not end.
        for _ in 0..framework.groups.len() {
            let Some(id) = group else { break };
            by_group.entry(id).or_default().push(item.status);
            group = parents.get(id).copied();
        }
        controls.entry(&control.group).or_default().push(control_part(control, item, facts));
    }
    let counts = StatusCounts::of(statuses);
    let groups = framework
        .groups
        .iter()
        .map(|group| {
            let depth =
                std::iter::successors(parents.get(group.id.as_str()), |id| parents.get(*id));
            Group {
                id: group.id.clone(),
                title: group.title.clone(),
                depth: depth.take(framework.groups.len()).count(),
                counts: StatusCounts::of(by_group.remove(group.id.as_str()).unwrap_or_default()),
                controls: controls.remove(group.id.as_str()).unwrap_or_default(),
            }
        })
        .collect();
    Ok(FrameworkPart {
        id: framework.id.clone(),
        version: framework.version.clone(),
        title: framework.title.clone(),
        authority: framework.authority.clone(),
        notice: framework.notice.clone(),
        mapping_sha256: digest.to_string(),
        counts,
        total: counts.total(),
        applicable: counts.applicable(),
        assessed: counts.assessed(),
        groups,
    })
}

fn control_part(control: &framework::Control, item: &ControlItem, facts: &Facts<'_>) -> Control {
    let items = facts.items;
    let checks: BTreeSet<&str> = control
        .mappings
        .iter()
        .flat_map(framework::Mapping::all_checks)
        .map(|(check, _)| check.as_str())
        .collect();
    let mut failing: Vec<Arc<Failing>> =
        checks.iter().filter_map(|check| facts.failing.get(check)).flatten().cloned().collect();
    failing.sort_by(|a, b| (a.severity, &a.item).cmp(&(b.severity, &b.item)));
    for finding in &mut failing {
        if let Some(waiver) = item.waived.get(&finding.item) {
            *finding = Arc::new(Failing { waiver: waiver.clone(), ..(**finding).clone() });
        }
    }
    let waivers: BTreeSet<&String> = item.waived.values().collect();
    Control {
        id: control.id.clone(),
        title: control.title.clone(),
        kind: word(&control.kind),
        attributes: control.attributes.clone().into_iter().collect(),
        status: item.status.as_str().to_owned(),
        reason: item.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        explanation: item.explanation.clone(),
        basis: item.basis.as_str().to_owned(),
        mappings: control
            .mappings
            .iter()
            .zip(&item.facts)
            .map(|(mapping, fact)| Mapping {
                strength: word(&fact.strength),
                rationale: mapping.rationale.clone(),
                responsibility: word(&mapping.responsibility),
                checks: fact
                    .checks
                    .iter()
                    .map(|(id, counts)| CheckResult {
                        id: id.clone(),
                        title: items.checks.get(id).map(|c| c.title.clone()).unwrap_or_default(),
                        outcomes: counts_of(counts),
                        rows: facts.rows.get(id.as_str()).copied().unwrap_or_default(),
                    })
                    .collect(),
                silent_checks: mapping
                    .all_checks()
                    .map(|(check, _)| check.to_string())
                    .filter(|check| !fact.checks.contains_key(check))
                    .collect(),
            })
            .collect(),
        failing,
        undecided: usize::try_from(item.undecided).unwrap_or(usize::MAX),
        passing: usize::try_from(item.passing).unwrap_or(usize::MAX),
        remediation: control.remediation.clone(),
        remaining_evidence: control.remaining_evidence.clone(),
        waivers: waivers.into_iter().cloned().collect(),
        attestations: item.attestations.clone(),
    }
}

/// The word by which serde writes a unit variant.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn waiver_part(item: &WaiverItem) -> Waiver {
    Waiver {
        id: item.id.trim_start_matches("waiver/").to_owned(),
        state: item.state.clone(),
        scope: item.scope.clone(),
        reason: item.reason.clone(),
        approver: item.approver.clone(),
        ticket: item.ticket.clone(),
        from: item.from.clone(),
        expires: item.expires.clone(),
        findings: usize::try_from(item.findings).unwrap_or(usize::MAX),
        unmatched: item.unmatched.iter().map(ToString::to_string).collect(),
    }
}

fn attestation_part(item: &AttestationItem) -> Attestation {
    Attestation {
        id: item.id.trim_start_matches("attestation/").to_owned(),
        state: item.state.clone(),
        scope: item.controls.join(", "),
        outcome: item.outcome.as_str().to_owned(),
        by: item.by.clone(),
        role: item.role.clone(),
        statement: item.statement.clone(),
        date: item.date.clone(),
        until: item.until.clone(),
        evidence: item.evidence.clone(),
        unmatched: item.unmatched.iter().map(ToString::to_string).collect(),
    }
}

fn conflict_part(item: &ConflictItem) -> Conflict {
    Conflict {
        control: item.control.clone(),
        resource: item.resource.clone(),
        sides: item.sides.iter().map(|(check, outcome)| format!("{check}: {outcome}")).collect(),
    }
}
