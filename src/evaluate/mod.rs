//! A run's record and its files → items. The run and the verifier's `--replay` both go through
//! [`evaluate`]: there is one way from inputs to statuses.

mod inputs;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;

pub use self::inputs::duration_text;
use self::inputs::{Collected, Intake};
use crate::assess::{ControlResult, Evidence, Sourced};
use crate::assessment::{Status, StatusCounts};
use crate::attestation::{Attestation, AttestationFile};
use crate::decisions::{self, Known};
use crate::evidence::items::{ItemError, ItemWriter, Segment, WrittenItems};
use crate::finding::{CheckId, CheckInfo, Outcome, ResourceRef};
use crate::framework::{Framework, Mapping};
use crate::member::{Member, Newest};
use crate::parallel;
use crate::population::{ClusterIdentity, Population};
use crate::record::{
    AttestationItem, CheckItem, ClusterItem, ConflictItem, ControlItem, FactRecord, FindingLine,
    GapItem, InputItem, MemberItem, PopulationItem, ResourceLine, RiskItem, SourceItem, WaiverItem,
};
use crate::risk::{self, Circumstances, Criticality};
use crate::run::Run;
use crate::validity::State;
use crate::waiver::{PolicyError, Waiver, WaiverFile};

/// Bytes of inputs that are under way at once, apart from a single larger one.
const INPUT_BUDGET: usize = 32 << 20;

/// Findings that become lines of items in one go: few enough for the lines to stay in the cache.
const FINDINGS_PER_SEGMENT: usize = 128;

/// About as long as the line of a finding usually is.
const BYTES_PER_FINDING: usize = 384;

/// Everything a run found out.
pub struct Evaluation {
    /// Frameworks with their results, in the run's order.
    pub frameworks: Vec<(Framework, Vec<ControlResult>)>,
    findings: Vec<Sourced>,
    checks: BTreeMap<CheckId, CheckInfo>,
    sources: Vec<SourceItem>,
    inputs: Vec<InputItem>,
    waivers: Vec<Waiver>,
    attestations: Vec<Attestation>,
    gaps: Vec<(String, String)>,
    /// What was in scope, with the place of the input that says so.
    populations: Vec<(u32, Population)>,
    /// Clusters of a fleet, likewise.
    members: Vec<(u32, Member)>,
    namespaces: BTreeMap<String, Criticality>,
    exploited: BTreeSet<String>,
    at: Timestamp,
}

/// Why a run cannot be evaluated. Unreadable *inputs* are no error: they are evidence of nothing
/// and are recorded as that.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError<E: std::error::Error + 'static> {
    /// A file of the bundle could not be loaded.
    #[error("could not load `{path}`")]
    Load {
        /// Path in the bundle.
        path: String,
        /// Why.
        source: E,
    },
    /// A framework, waiver or attestation file is not valid.
    #[error("`{path}`: {reason}")]
    Invalid {
        /// Path in the bundle.
        path: String,
        /// Why.
        reason: String,
    },
    /// `created` is no instant.
    #[error("the run has no valid time")]
    Time,
}

/// Evaluates a run by the frameworks that it names. `load` gives the bytes of a file by its path in the
/// bundle (`Vec<u8>`, or something that points to bytes); few inputs are held at once.
///
/// # Errors
/// [`EvaluateError`].
pub fn evaluate<B, E>(
    run: &Run,
    load: &mut dyn FnMut(&str) -> Result<B, E>,
) -> Result<Evaluation, EvaluateError<E>>
where
    B: Deref<Target: AsRef<[u8]>> + Send,
    E: std::error::Error + 'static,
{
    let mut frameworks = Vec::new();
    for path in &run.frameworks {
        let bytes =
            load(path).map_err(|source| EvaluateError::Load { path: path.to_owned(), source })?;
        let framework = Framework::from_json(bytes.as_ref()).map_err(|error| {
            EvaluateError::Invalid { path: path.clone(), reason: error.to_string() }
        })?;
        frameworks.push(framework);
    }
    evaluate_by(frameworks, run, load)
}

/// The same by frameworks that are read already.
///
/// # Errors
/// [`EvaluateError`].
pub fn evaluate_by<B, E>(
    frameworks: Vec<Framework>,
    run: &Run,
    load: &mut dyn FnMut(&str) -> Result<B, E>,
) -> Result<Evaluation, EvaluateError<E>>
where
    B: Deref<Target: AsRef<[u8]>> + Send,
    E: std::error::Error + 'static,
{
    let at = run.at().ok_or(EvaluateError::Time)?;
    let mut load = |path: &str| {
        load(path).map_err(|source| EvaluateError::Load { path: path.to_owned(), source })
    };
    let waivers = load_waivers(run, &mut load)?;
    let attestations = load_attestations(run, &mut load)?;
    let mut exploited = BTreeSet::new();
    for path in &run.known_exploited {
        let bytes = load(path)?;
        let text = policy_text(bytes.as_ref()).map_err(|error| invalid(path, &error))?;
        exploited.extend(risk::vulnerability_ids(text));
    }

    let mut collected = Collected::default();
    let files = (0..)
        .zip(&run.sources)
        .flat_map(|(index, source)| source.files.iter().map(move |file| (index, source, file)));
    let intake = Intake::new(run, at, &frameworks);
    parallel::map_in_order(
        files.map(|(index, source, file)| Ok((index, source, file, load(&file.path)?))),
        |(.., bytes)| bytes.as_ref().len(),
        INPUT_BUDGET,
        |(index, source, file, bytes)| (index, intake.read(source, file, bytes.as_ref())),
        |(index, read)| {
            collected.add_input(index, read);
            Ok(())
        },
    )?;
    collected.settle_clusters(&run.cluster);
    for (index, source) in (0..).zip(&run.sources) {
        collected.add_source(index, source);
    }
    let Collected {
        findings, checks, sources, inputs, standings, gaps, populations, members, ..
    } = collected;
    let evidence = Evidence::new(&findings, &standings, &waivers, &attestations, at);
    let frameworks: Vec<_> = frameworks
        .into_iter()
        .map(|framework| {
            let results = evidence.assess(&framework);
            (framework, results)
        })
        .collect();
    Ok(Evaluation {
        frameworks,
        findings,
        checks,
        sources,
        inputs,
        waivers,
        attestations,
        gaps,
        populations,
        members,
        namespaces: run.namespaces.clone(),
        exploited,
        at,
    })
}

type Loader<'l, B, E> = dyn FnMut(&str) -> Result<B, EvaluateError<E>> + 'l;

/// Gives the salt of an item by id.
type Salt<'s> = dyn Fn(&str) -> String + Sync + 's;

fn load_waivers<B: Deref<Target: AsRef<[u8]>>, E: std::error::Error>(
    run: &Run,
    load: &mut Loader<'_, B, E>,
) -> Result<Vec<Waiver>, EvaluateError<E>> {
    let mut all = Vec::new();
    for path in &run.waivers {
        let file = policy_text(load(path)?.as_ref()).and_then(WaiverFile::parse);
        all.extend(file.map_err(|error| invalid(path, &error))?.waivers);
    }
    match duplicate(all.iter().map(|waiver: &Waiver| &waiver.id)) {
        Some(error) => Err(invalid("waivers", &error)),
        None => Ok(all),
    }
}

fn load_attestations<B: Deref<Target: AsRef<[u8]>>, E: std::error::Error>(
    run: &Run,
    load: &mut Loader<'_, B, E>,
) -> Result<Vec<Attestation>, EvaluateError<E>> {
    let mut all = Vec::new();
    for path in &run.attestations {
        let file = policy_text(load(path)?.as_ref()).and_then(AttestationFile::parse);
        all.extend(file.map_err(|error| invalid(path, &error))?.attestations);
    }
    match duplicate(all.iter().map(|attestation: &Attestation| &attestation.id)) {
        Some(error) => Err(invalid("attestations", &error)),
        None => Ok(all),
    }
}

fn policy_text(bytes: &[u8]) -> Result<&str, PolicyError> {
    std::str::from_utf8(bytes).map_err(|_| PolicyError::Malformed("not UTF-8".to_owned()))
}

fn invalid<E: std::error::Error>(path: &str, error: &PolicyError) -> EvaluateError<E> {
    EvaluateError::Invalid { path: path.to_owned(), reason: error.to_string() }
}

fn duplicate<'a>(ids: impl Iterator<Item = &'a String>) -> Option<PolicyError> {
    let mut seen = BTreeSet::new();
    ids.into_iter()
        .find(|id| !seen.insert(id.as_str()))
        .map(|id| PolicyError::Duplicate { id: id.clone() })
}

impl Evaluation {
    /// Controls of each status of a framework.
    #[must_use]
    pub fn counts(results: &[ControlResult]) -> StatusCounts {
        StatusCounts::of(results.iter().map(|result| result.status))
    }

    /// Declared sources in the run's order.
    #[must_use]
    pub fn sources(&self) -> &[SourceItem] {
        &self.sources
    }

    /// The clusters that were examined, as they say themselves.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterIdentity> {
        self.populations.iter().filter_map(|(_, population)| population.cluster.as_ref())
    }

    /// Inputs in the run's order.
    #[must_use]
    pub fn inputs(&self) -> &[InputItem] {
        &self.inputs
    }

    /// Number of findings.
    #[must_use]
    pub fn findings(&self) -> usize {
        self.findings.len()
    }

    /// Is anything about this namespace?
    #[must_use]
    pub fn has_namespace(&self, name: &str) -> bool {
        self.findings.iter().any(|sourced| sourced.finding.resource.namespace == name)
            || self.populations.iter().any(|(_, population)| {
                population.members.iter().any(|member| {
                    member.namespace == name || (member.kind == "Namespace" && member.name == name)
                })
            })
    }

    /// Waivers and attestations that have no effect, and why, in sentences.
    #[must_use]
    pub fn idle_decisions(&self) -> Vec<String> {
        if self.waivers.is_empty() && self.attestations.is_empty() {
            return Vec::new();
        }
        let in_force: Vec<u32> = (0..)
            .zip(&self.waivers)
            .filter(|(_, waiver)| waiver.state(self.at) == State::InForce)
            .map(|(index, _)| index)
            .collect();
        let used = self
            .frameworks
            .iter()
            .flat_map(|(_, results)| results)
            .flat_map(|result| &result.failing)
            .filter_map(|(_, waiver)| in_force.get(waiver.as_ref().copied()? as usize).copied())
            .collect();
        let known = self.known();
        let mut idle = decisions::idle_waivers(&self.waivers, &used, &known, self.at);
        idle.extend(decisions::idle_attestations(&self.attestations, &known, self.at));
        idle
    }

    /// What decisions can be about.
    fn known(&self) -> Known {
        let mut known = Known::default();
        for (framework, _) in &self.frameworks {
            let key = framework.key();
            for control in &framework.controls {
                known.controls.insert(format!("{key}/{}", control.id));
                let checks = control.mappings.iter().flat_map(Mapping::all_checks);
                known.checks.extend(checks.map(|(check, _)| check.to_string()));
            }
        }
        if !self.waivers.is_empty() {
            for Sourced { finding, .. } in &self.findings {
                known.checks.insert(finding.check.to_string());
                known.resources.insert(finding.resource.to_string());
            }
        }
        known
    }

    /// Is anything declared missing, or did anything break? Then the exit code says so.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Writes all items in order of id. `missed_runs` says what only the chain knows, in a
    /// sentence: that time passed without a run. `salt` gives the salt of an item by id.
    ///
    /// # Errors
    /// [`ItemError`].
    pub fn write_items(
        &self,
        missed_runs: Option<&str>,
        salt: &Salt<'_>,
    ) -> Result<WrittenItems, ItemError> {
        let mut out = ItemWriter::default();
        self.write_attestations(&mut out, salt)?;
        for (check, info) in &self.checks {
            let id = format!("check/{check}");
            let item = CheckItem {
                check: check.to_string(),
                remediation: info.remediation.clone(),
                salt: salt(&id),
                title: info.title.clone(),
                kind: "check".to_owned(),
                id,
            };
            out.push(&item.id, &item)?;
        }
        self.write_clusters(&mut out, salt)?;
        for (item, number) in self.conflicts().iter_mut().zip(1..) {
            item.id = format!("conflict/{number:07}");
            item.salt = salt(&item.id);
            out.push(&item.id, &item)?;
        }
        self.write_controls(&mut out, salt)?;
        self.write_findings(&mut out, salt)?;
        let own = self.gaps.iter().map(|(gap, text)| (gap.as_str(), text.as_str()));
        let gaps = own.chain(missed_runs.map(|text| ("run", text)));
        for ((gap, text), number) in gaps.zip(1..) {
            let id = format!("gap/{number:07}");
            let item = GapItem {
                gap: gap.to_owned(),
                salt: salt(&id),
                text: text.to_owned(),
                kind: "gap".to_owned(),
                id,
            };
            out.push(&item.id, &item)?;
        }
        let mut inputs: Vec<&InputItem> = self.inputs.iter().collect();
        inputs.sort_by(|left, right| left.id.cmp(&right.id));
        for input in inputs {
            out.push(&input.id, &InputItem { salt: salt(&input.id), ..input.clone() })?;
        }
        self.write_members(&mut out, salt)?;
        self.write_populations(&mut out, salt)?;
        self.write_risks(&mut out, salt)?;
        let mut sources: Vec<&SourceItem> = self.sources.iter().collect();
        sources.sort_by(|left, right| left.id.cmp(&right.id));
        for source in sources {
            out.push(&source.id, &SourceItem { salt: salt(&source.id), ..source.clone() })?;
        }
        self.write_waivers(&mut out, salt)?;
        Ok(out.finish())
    }

    fn write_attestations(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let mut attestations: Vec<&Attestation> = self.attestations.iter().collect();
        attestations.sort_by(|left, right| left.id.cmp(&right.id));
        let known = if attestations.is_empty() { Known::default() } else { self.known() };
        for attestation in attestations {
            let id = format!("attestation/{}", attestation.id);
            let state = attestation.state(self.at);
            let used = self.frameworks.iter().any(|(framework, results)| {
                let key = framework.key();
                results
                    .iter()
                    .any(|result| attestation.covers(&format!("{key}/{}", result.control)))
            });
            let item = AttestationItem {
                by: attestation.by.clone(),
                controls: attestation.controls.iter().map(ToString::to_string).collect(),
                date: attestation.date.to_string(),
                evidence: attestation.evidence.clone(),
                outcome: attestation.outcome,
                role: attestation.role.clone(),
                salt: salt(&id),
                state: state_text(state, used),
                statement: attestation.statement.clone(),
                kind: "attestation".to_owned(),
                unmatched: match state {
                    State::InForce => decisions::unmatched_by_attestation(attestation, &known),
                    _ => Vec::new(),
                },
                until: attestation.until.to_string(),
                id,
            };
            out.push(&item.id, &item)?;
        }
        Ok(())
    }

    fn write_clusters(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let mut items = BTreeMap::new();
        for (input, population) in &self.populations {
            let Some(cluster) = &population.cluster else { continue };
            let input = self.input_path(*input);
            let id = format!("cluster/{input}");
            let item = ClusterItem {
                access: cluster.access.clone(),
                authorities: cluster.authorities.clone(),
                clock_ahead_seconds: cluster.clock_ahead_seconds,
                context: cluster.context.clone(),
                endpoint_certificate: cluster.endpoint_certificate.clone(),
                groups: cluster.groups.clone(),
                input: input.to_owned(),
                may_not_list: cluster.may_not_list.clone(),
                not_known: cluster.not_known.clone(),
                salt: salt(&id),
                server: cluster.server.clone(),
                tls_verified: cluster.tls_verified,
                kind: "cluster".to_owned(),
                uid: cluster.uid.clone(),
                user: cluster.user.clone(),
                version: cluster.version.clone(),
                id,
            };
            items.insert(item.id.clone(), item);
        }
        items.iter().try_for_each(|(id, item)| out.push(id, item))
    }

    fn write_members(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let mut items = BTreeMap::new();
        for (input, member) in &self.members {
            let input = self.input_path(*input);
            let id = format!("member/{input}");
            let newest = member.newest.as_ref();
            let text =
                |of: fn(&Newest) -> &String| newest.map_or_else(String::new, |n| of(n).clone());
            let item = MemberItem {
                cluster: member.cluster.clone(),
                created: text(|newest| &newest.created),
                detail: member.detail.clone(),
                frameworks: newest.map(|newest| newest.frameworks.clone()).unwrap_or_default(),
                head: text(|newest| &newest.head),
                input: input.to_owned(),
                known: member.known.clone(),
                next: text(|newest| &newest.next),
                salt: salt(&id),
                seq: newest.map(|newest| newest.seq),
                sources: newest.map(|newest| newest.sources.clone()).unwrap_or_default(),
                state: member.state,
                statement_sha256: text(|newest| &newest.statement_sha256),
                kind: "member".to_owned(),
                id,
            };
            items.insert(item.id.clone(), item);
        }
        items.iter().try_for_each(|(id, item)| out.push(id, item))
    }

    fn write_populations(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let mut items = BTreeMap::new();
        for (input, population) in &self.populations {
            let mut covered = self.coverage(*input, population);
            let input = self.input_path(*input);
            for kind in &population.kinds {
                let id = format!("population/{input}/{}/{}", kind.api_version, kind.kind);
                let item = PopulationItem {
                    api_version: kind.api_version.clone(),
                    count: kind.count,
                    covered: covered.remove(kind.kind.as_str()).unwrap_or_default(),
                    detail: kind.detail.clone(),
                    input: input.to_owned(),
                    listing: kind.listing,
                    resource_kind: kind.kind.clone(),
                    resource_version: kind.resource_version.clone(),
                    salt: salt(&id),
                    kind: "population".to_owned(),
                    uids_sha256: kind.uids_sha256.clone(),
                    id,
                };
                items.insert(item.id.clone(), item);
            }
        }
        items.iter().try_for_each(|(id, item)| out.push(id, item))
    }

    fn write_risks(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let waived = self.waived_everywhere();
        let failing = (0..)
            .zip(&self.findings)
            .filter(|(index, sourced)| sourced.usable && !waived.contains(index))
            .map(|(_, sourced)| &sourced.finding);
        let circumstances = Circumstances {
            namespaces: self.namespaces.clone(),
            exploited: self.exploited.clone(),
            populations: self.populations.iter().map(|(_, population)| population).collect(),
        };
        let (risks, of) = risk::rank(failing, &circumstances);
        for (risk, number) in risks.into_iter().zip(1..) {
            let id = format!("risk/{number:04}");
            let item = RiskItem {
                checks: risk.checks.iter().map(|(id, score)| (id.to_string(), *score)).collect(),
                factors: risk.factors,
                of: of as u64,
                resource: risk.resource,
                salt: salt(&id),
                score: risk.score,
                kind: "risk".to_owned(),
                id,
            };
            out.push(&item.id, &item)?;
        }
        Ok(())
    }

    /// Failing findings that a waiver in force covers in every control that they bear on.
    fn waived_everywhere(&self) -> HashSet<u32> {
        let all = || self.frameworks.iter().flat_map(|(_, results)| results);
        let failing = || all().flat_map(|result| &result.failing);
        let uncovered: HashSet<u32> =
            failing().filter(|(_, waiver)| waiver.is_none()).map(|(index, _)| *index).collect();
        failing().map(|(index, _)| *index).filter(|index| !uncovered.contains(index)).collect()
    }

    /// Of how many objects of each kind each source says something, by its name. What manifests
    /// hold is nobody's business but that of the source that read them.
    fn coverage<'p>(
        &self,
        input: u32,
        population: &'p Population,
    ) -> BTreeMap<&'p str, BTreeMap<String, u64>> {
        let own = self.inputs.get(input as usize).map(|item| item.source.as_str());
        let own_place = (0..).zip(&self.sources).find(|(_, source)| own == Some(&*source.name));
        let members: HashMap<(&str, &str, &str), usize> = population
            .members
            .iter()
            .enumerate()
            .map(|(place, member)| {
                ((member.kind.as_str(), member.namespace.as_str(), member.name.as_str()), place)
            })
            .collect();
        let mut seen: BTreeMap<u32, HashSet<usize>> = BTreeMap::new();
        if let Some((place, _)) = own_place {
            let alike = population.members.iter().enumerate();
            let alike = alike.filter(|(_, member)| member.is_as_its_controller);
            seen.insert(place, alike.map(|(place, _)| place).collect());
        }
        let mut last: Option<(u32, *const ResourceRef)> = None;
        for sourced in self.findings.iter().filter(|sourced| sourced.usable) {
            let resource = &sourced.finding.resource;
            // Findings about one resource stand together and share it.
            let this = Some((sourced.source, Arc::as_ptr(resource)));
            if this == last {
                continue;
            }
            last = this;
            let key = (resource.kind.as_str(), resource.namespace.as_str(), resource.name.as_str());
            if let Some(place) = members.get(&key) {
                seen.entry(sourced.source).or_default().insert(*place);
            }
        }
        let mut covered: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        for (source, places) in seen {
            let Some(source) = self.sources.get(source as usize) else { continue };
            if population.cluster.is_none() && own != Some(source.name.as_str()) {
                continue;
            }
            for member in places.iter().filter_map(|place| population.members.get(*place)) {
                *covered
                    .entry(member.kind.as_str())
                    .or_default()
                    .entry(source.name.clone())
                    .or_default() += 1;
            }
        }
        covered
    }

    fn input_path(&self, input: u32) -> &str {
        self.inputs.get(input as usize).map_or("", |item| &item.path)
    }

    fn write_controls(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let in_force: Vec<&Waiver> =
            self.waivers.iter().filter(|w| w.state(self.at) == State::InForce).collect();
        let mut items = BTreeMap::new();
        for (framework, results) in &self.frameworks {
            let key = framework.key();
            for result in results {
                let id = format!("control/{key}/{}", result.control);
                let waived = result.failing.iter().filter_map(|(finding, waiver)| {
                    let waiver = in_force.get((*waiver)? as usize)?;
                    Some((finding_id(*finding), waiver.id.clone()))
                });
                let facts = result.facts.iter().map(|fact| FactRecord {
                    checks: fact
                        .checks
                        .iter()
                        .map(|(check, counts)| (check.to_string(), counts.clone()))
                        .collect(),
                    strength: fact.strength,
                    verdict: fact.verdict.as_str().to_owned(),
                });
                let item = ControlItem {
                    attestations: result.attestations.clone(),
                    basis: result.basis,
                    control: result.control.clone(),
                    explanation: result.explanation.clone(),
                    facts: facts.collect(),
                    failing: result.failing.len() as u64,
                    framework: key.clone(),
                    passing: result.passing as u64,
                    reason: result.reason,
                    salt: salt(&id),
                    status: result.status,
                    kind: "control".to_owned(),
                    undecided: result.undecided as u64,
                    waived: waived.collect(),
                    id,
                };
                items.insert(item.id.clone(), item);
            }
        }
        items.iter().try_for_each(|(id, item)| out.push(id, item))
    }

    fn write_findings(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let segments = (0..).step_by(FINDINGS_PER_SEGMENT);
        parallel::map_in_order(
            segments.zip(self.findings.chunks(FINDINGS_PER_SEGMENT)).map(Ok),
            |(_, findings)| findings.len() * BYTES_PER_FINDING,
            usize::MAX,
            |(first, findings)| self.finding_lines(first, findings, salt),
            |segment| out.append(&segment?),
        )
    }

    fn finding_lines(
        &self,
        first: u32,
        findings: &[Sourced],
        salt: &Salt<'_>,
    ) -> Result<Segment, ItemError> {
        let mut lines = Segment::with_capacity(findings.len() * BYTES_PER_FINDING);
        for (index, sourced) in (first..).zip(findings) {
            let finding = &sourced.finding;
            let resource = &finding.resource;
            let id = finding_id(index);
            let item = FindingLine {
                check: finding.check.as_str(),
                id: &id,
                input: self.input_path(sourced.input),
                locator: &finding.locator,
                message: &finding.message,
                outcome: finding.outcome,
                raw_check: &finding.raw_check,
                resource: ResourceLine {
                    kind: &resource.kind,
                    name: &resource.name,
                    namespace: &resource.namespace,
                    part: &resource.part,
                    uid: &resource.uid,
                },
                rule: &finding.rule,
                salt: &salt(&id),
                severity: finding.severity,
                kind: "finding",
            };
            lines.push_sorted(&id, &item)?;
        }
        Ok(lines)
    }

    fn write_waivers(&self, out: &mut ItemWriter, salt: &Salt<'_>) -> Result<(), ItemError> {
        let mut covered: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        let in_force: Vec<&Waiver> =
            self.waivers.iter().filter(|w| w.state(self.at) == State::InForce).collect();
        for result in self.frameworks.iter().flat_map(|(_, results)| results) {
            for (finding, waiver) in &result.failing {
                if let Some(waiver) = waiver.and_then(|index| in_force.get(index as usize)) {
                    covered.entry(&waiver.id).or_default().insert(*finding);
                }
            }
        }
        let mut waivers: Vec<&Waiver> = self.waivers.iter().collect();
        waivers.sort_by(|left, right| left.id.cmp(&right.id));
        let known = if waivers.is_empty() { Known::default() } else { self.known() };
        for waiver in waivers {
            let id = format!("waiver/{}", waiver.id);
            let findings = covered.get(waiver.id.as_str()).map_or(0, BTreeSet::len);
            let item = WaiverItem {
                approver: waiver.approver.clone(),
                expires: waiver.expires.to_string(),
                findings: findings as u64,
                from: waiver.from.map(|from| from.to_string()).unwrap_or_default(),
                reason: waiver.reason.clone(),
                salt: salt(&id),
                scope: waiver.scope_text(),
                state: state_text(waiver.state(self.at), findings > 0),
                ticket: waiver.ticket.clone(),
                kind: "waiver".to_owned(),
                unmatched: match waiver.state(self.at) {
                    State::InForce => decisions::unmatched_by_waiver(waiver, &known),
                    _ => Vec::new(),
                },
                id,
            };
            out.push(&item.id, &item)?;
        }
        Ok(())
    }

    /// Checks with findings that share a fact of a control that is not satisfied.
    fn alternatives(&self) -> HashSet<&CheckId> {
        self.frameworks
            .iter()
            .flat_map(|(_, results)| results)
            .filter(|result| result.status == Status::NotSatisfied)
            .flat_map(|result| &result.facts)
            .filter(|fact| fact.checks.len() > 1)
            .flat_map(|fact| fact.checks.keys())
            .collect()
    }

    /// Alternatives for one fact of which one fails and another passes at the same resource.
    fn conflicts(&self) -> Vec<ConflictItem> {
        let alternatives = self.alternatives();
        if alternatives.is_empty() {
            return Vec::new();
        }
        let mut by_check: BTreeMap<&CheckId, BTreeMap<String, Outcome>> = BTreeMap::new();
        for sourced in self.findings.iter().filter(|sourced| sourced.usable) {
            let finding = &sourced.finding;
            if matches!(finding.outcome, Outcome::Pass | Outcome::Fail)
                && alternatives.contains(&finding.check)
            {
                let resource = &finding.resource;
                let key = format!("{}/{}/{}", resource.namespace, resource.kind, resource.name);
                let known = by_check.entry(&finding.check).or_default();
                let worst = known.entry(key).or_insert(finding.outcome);
                *worst = finding.outcome.min(*worst);
            }
        }
        let mut seen = BTreeSet::new();
        let mut conflicts = Vec::new();
        for (framework, results) in &self.frameworks {
            for result in results.iter().filter(|result| result.status == Status::NotSatisfied) {
                let Some(control) = framework.control(&result.control) else { continue };
                for mapping in &control.mappings {
                    let checks: Vec<&CheckId> = mapping
                        .all_checks()
                        .map(|(check, _)| check)
                        .filter(|check| by_check.contains_key(check))
                        .collect();
                    for (resource, sides) in disagreements(&checks, &by_check) {
                        if seen.insert((resource.clone(), sides.clone())) {
                            conflicts.push(ConflictItem {
                                control: format!("{}/{}", framework.key(), control.id),
                                id: String::new(),
                                resource: resource.trim_start_matches('/').to_owned(),
                                salt: String::new(),
                                sides,
                                kind: "conflict".to_owned(),
                            });
                        }
                    }
                }
            }
        }
        conflicts
    }
}

fn disagreements(
    checks: &[&CheckId],
    by_check: &BTreeMap<&CheckId, BTreeMap<String, Outcome>>,
) -> BTreeMap<String, BTreeMap<String, Outcome>> {
    let mut sides: BTreeMap<String, BTreeMap<String, Outcome>> = BTreeMap::new();
    for check in checks {
        for (resource, outcome) in by_check.get(check).into_iter().flatten() {
            sides.entry(resource.clone()).or_default().insert(check.to_string(), *outcome);
        }
    }
    sides.retain(|_, sides| {
        let has = |outcome: Outcome| sides.values().any(|side| *side == outcome);
        has(Outcome::Pass) && has(Outcome::Fail)
    });
    sides
}

fn finding_id(index: u32) -> String {
    format!("finding/{:07}", u64::from(index) + 1)
}

fn state_text(state: State, used: bool) -> String {
    match state {
        State::InForce if !used => "unused".to_owned(),
        state => state.as_str().to_owned(),
    }
}
