//! Inputs as they were read, and sources as they stand by their inputs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use memchr::memmem;

use crate::assess::{SourceStanding, Sourced, Standing, yields};
use crate::assessment::OutcomeCounts;
use crate::evidence::digest::Digest;
use crate::evidence::instant;
use crate::finding::{CheckId, CheckInfo, Finding, Outcome, Parsed, ResourceRef};
use crate::framework::Framework;
use crate::member::{self, Member};
use crate::population::Population;
use crate::record::{InputItem, SourceItem};
use crate::run::{Cluster, File, FileTime, REDACTED, Run, Source};
use crate::scanner;

/// How far ahead of the run's clock a scanner's may be before its data counts as dated in the
/// future, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 300;

/// By what inputs are read.
pub(super) struct Intake<'a> {
    cluster: &'a Cluster,
    at: Timestamp,
    /// Checks that bear on a control of the run.
    mapped: HashSet<&'a CheckId>,
    /// Editions of benchmarks of which a check does.
    editions: HashSet<&'a str>,
}

#[derive(Default)]
pub(super) struct Collected {
    pub(super) findings: Vec<Sourced>,
    pub(super) checks: BTreeMap<CheckId, CheckInfo>,
    pub(super) sources: Vec<SourceItem>,
    pub(super) inputs: Vec<InputItem>,
    pub(super) standings: Vec<SourceStanding>,
    pub(super) gaps: Vec<(String, String)>,
    pub(super) populations: Vec<(u32, Population)>,
    pub(super) members: Vec<(u32, Member)>,
    /// What each source with an input holds, by its index.
    seen: BTreeMap<u32, Seen>,
    /// By node that only its file names, and by check: the source and the file that answer, and how.
    answered: BTreeMap<(String, CheckId), (u32, String, Outcome)>,
    /// Inputs, from the first one on, of sources that have been added.
    judged_inputs: usize,
}

/// What the inputs of a source hold together.
#[derive(Default)]
struct Seen {
    /// Findings whose check bears on a control.
    mapped: u64,
    /// The other checks.
    unmapped: BTreeSet<CheckId>,
    /// Nodes that a finding is about.
    nodes: BTreeSet<String>,
    /// By node that only its file names: what answers for it.
    by_file: BTreeMap<String, Answers>,
    /// Reports that cannot be told apart by node, in sentences.
    doubled: BTreeSet<String>,
}

/// What answers for a node that no report names.
#[derive(Default)]
struct Answers {
    /// The input, and the place in it, by check.
    checks: BTreeMap<CheckId, (u32, Box<str>)>,
    /// Editions of benchmarks.
    editions: BTreeSet<String>,
}

impl Collected {
    pub(super) fn add_input(&mut self, source: u32, read: ReadInput) {
        let usable =
            matches!(read.standing, Standing::Ok | Standing::Incomplete | Standing::Unmapped);
        let input = u32::try_from(self.inputs.len()).unwrap_or(u32::MAX);
        self.note_contents(source, input, &read);
        let sourced = |finding| Sourced { finding, source, input, usable };
        self.findings.extend(read.findings.into_iter().map(sourced));
        for (check, info) in read.checks {
            self.checks.entry(check).or_insert(info);
        }
        for population in read.populations {
            for kind in population.kinds.iter().filter(|kind| kind.listing.is_gap()) {
                let text = format!("{} could not be listed: {}.", kind.kind, kind.detail);
                self.gaps.push(("population".to_owned(), text));
            }
            self.populations.push((input, population));
        }
        for member in read.members {
            let Member { cluster, state, detail, .. } = &member;
            if *state != member::State::Ok {
                let text = format!("Cluster {cluster} is {}: {detail}.", state.as_str());
                self.gaps.push(("member".to_owned(), text));
            }
            self.members.push((input, member));
        }
        self.inputs.push(read.item);
    }

    fn note_contents(&mut self, source: u32, input: u32, read: &ReadInput) {
        let seen = self.seen.entry(source).or_default();
        seen.mapped += read.mapped;
        seen.unmapped.extend(read.unmapped.iter().cloned());
        for finding in &read.findings {
            let node = &*finding.resource;
            if node.kind != "Node" {
                continue;
            }
            if !seen.nodes.contains(&node.name) {
                seen.nodes.insert(node.name.clone());
            }
            if !node.uid.is_empty() || node.name != read.subject {
                continue;
            }
            let answers = seen.by_file.entry(node.name.clone()).or_default();
            if let Some(edition) = finding.check.edition()
                && !answers.editions.contains(edition)
            {
                answers.editions.insert(edition.to_owned());
            }
            let key = (node.name.clone(), finding.check.clone());
            let answer = (source, read.item.original.clone(), finding.outcome);
            let (other, file, outcome) = self.answered.entry(key).or_insert(answer);
            if *other != source && *outcome != finding.outcome {
                seen.doubled.insert(format!(
                    "{} and {file} of another source are both about node {} and differ",
                    read.item.original, node.name
                ));
            }
            let here = (input, finding.locator.clone());
            let (first, place) = answers.checks.entry(finding.check.clone()).or_insert(here);
            if *first == input && *place == finding.locator {
                continue;
            }
            let name = &node.name;
            seen.doubled.insert(match self.inputs.get(*first as usize) {
                Some(earlier) => format!(
                    "{} and {} are both about node {name} (name nodes in `files` with {{node}})",
                    earlier.original, read.item.original,
                ),
                None => format!(
                    "{} holds several reports, of which none names its node: all are about {name} (one file for each node)",
                    read.item.original
                ),
            });
        }
        for (node, answers) in &seen.by_file {
            if answers.editions.len() > 1 {
                let editions = answers.editions.iter().map(String::as_str).collect::<Vec<_>>();
                seen.doubled.insert(format!(
                    "node {node} has results of several benchmarks ({}): reports of several nodes that none of them names",
                    editions.join(", ")
                ));
            }
        }
    }

    /// Inputs of several clusters, where the configuration does not say which one is meant, are
    /// evidence of none.
    pub(super) fn settle_clusters(&mut self, cluster: &Cluster) {
        let mut by_uid: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for (input, population) in &self.populations {
            let uid = population.cluster.as_ref().map_or("", |cluster| cluster.uid.as_str());
            if !uid.is_empty() {
                by_uid.entry(uid).or_default().insert(*input);
            }
        }
        if by_uid.len() < 2 || !cluster.uid.is_empty() {
            return;
        }
        let uids = by_uid.keys().copied().collect::<Vec<_>>().join(", ");
        let inputs: BTreeSet<u32> = by_uid.into_values().flatten().collect();
        for (_, item) in (0..).zip(&mut self.inputs).filter(|(index, _)| inputs.contains(index)) {
            Standing::OtherCluster.as_str().clone_into(&mut item.standing);
            item.error = format!(
                "the inputs are of different clusters, whose kube-system has the UIDs {uids}: set cluster.uid"
            );
        }
        for sourced in &mut self.findings {
            sourced.usable &= !inputs.contains(&sourced.input);
        }
    }

    pub(super) fn add_source(&mut self, index: u32, source: &Source) {
        let first_input = self.judged_inputs;
        self.judged_inputs += source.files.len();
        let inputs = self.inputs.get(first_input..self.judged_inputs).unwrap_or_default();
        let seen = self.seen.remove(&index).unwrap_or_default();
        let (standing, detail) = source_standing(source, inputs, &seen);
        if standing != Standing::Ok {
            self.gaps.push((
                "source".to_owned(),
                format!("Source {} is {}: {detail}.", source.name, standing.as_str()),
            ));
        }
        self.sources.push(SourceItem {
            detail,
            expect_files: source.expect_files,
            expect_nodes: source.expect_nodes.clone(),
            findings: inputs.iter().map(|input| input.findings).sum(),
            id: format!("source/{}", source.name),
            inputs: source.files.iter().map(|file| file.path.clone()).collect(),
            mapped: seen.mapped,
            max_age_seconds: source.max_age_seconds,
            name: source.name.clone(),
            salt: String::new(),
            scanner: source.scanner.clone(),
            standing: standing.as_str().to_owned(),
            kind: "source".to_owned(),
            unmapped_checks: seen.unmapped.iter().map(ToString::to_string).collect(),
        });
        self.standings.push(SourceStanding {
            name: source.name.clone(),
            scanner: source.scanner.clone(),
            standing,
        });
    }
}

/// What an input holds.
pub(super) struct ReadInput {
    item: InputItem,
    standing: Standing,
    /// What it is about where it does not say.
    subject: String,
    findings: Vec<Finding>,
    /// Findings whose check bears on a control.
    mapped: u64,
    /// The other checks.
    unmapped: BTreeSet<CheckId>,
    checks: BTreeMap<CheckId, CheckInfo>,
    populations: Vec<Population>,
    members: Vec<Member>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(run: &'a Run, at: Timestamp, frameworks: &'a [Framework]) -> Self {
        let mapped: HashSet<&CheckId> = frameworks
            .iter()
            .flat_map(|framework| &framework.controls)
            .flat_map(|control| &control.mappings)
            .flat_map(|mapping| mapping.all_checks().map(|(check, _)| check))
            .collect();
        let editions = mapped.iter().filter_map(|check| check.edition()).collect();
        Self { cluster: &run.cluster, at, mapped, editions }
    }

    pub(super) fn read(&self, source: &Source, file: &File, bytes: &[u8]) -> ReadInput {
        let mut item = unread_item(source, file, bytes);
        let subject = match &*file.subject {
            "" => stem(file.original.rsplit('/').next().unwrap_or_default()),
            configured => configured,
        };
        let parsed = match scanner::read(bytes, subject) {
            Ok(reading) => {
                item.formats = reading.formats.iter().map(ToString::to_string).collect();
                reading.parsed
            }
            Err(error) => {
                item.error = error.to_string();
                let standing = Standing::Unreadable;
                standing.as_str().clone_into(&mut item.standing);
                return ReadInput {
                    item,
                    standing,
                    subject: subject.to_owned(),
                    findings: Vec::new(),
                    mapped: 0,
                    unmapped: BTreeSet::new(),
                    checks: BTreeMap::new(),
                    populations: Vec::new(),
                    members: Vec::new(),
                };
            }
        };
        item.findings = parsed.findings.len() as u64;
        for finding in &parsed.findings {
            *item.outcomes.entry(finding.outcome).or_default() += 1;
        }
        let mut weakened = note_all(&mut item, file, bytes, &parsed);
        let foreign = parsed.findings.iter().find(|f| !yields(&source.scanner, &f.check));
        let other_cluster = self.other_cluster(&parsed);
        if let Some(finding) = foreign {
            item.error = format!(
                "declared as {} but it holds results of {}",
                source.scanner,
                finding.check.scanner()
            );
        } else if let Some(reason) = &other_cluster {
            item.error.clone_from(reason);
        }
        let stale = date(&mut item, file, parsed.taken_at, source.max_age_seconds, self.at);
        item.clusters = parsed.clusters.into_iter().collect();
        item.rule_sets = parsed.rule_sets;
        item.tools = parsed.tools;
        let (mapped, unmapped) = self.mapped_and_not(&parsed.findings);
        let is_unmapped = mapped == 0 && !parsed.findings.is_empty();
        // In an edition that is known it would answer: what it is about has no answer now.
        if is_unmapped {
            item.notes.push(unmapped_text(item.findings, &item.rule_sets.join(", ")));
        } else {
            for text in self.without_known_edition(&parsed.findings) {
                weakened = true;
                item.notes.push(text);
            }
        }
        let standing = if foreign.is_some() {
            Standing::Unreadable
        } else if other_cluster.is_some() {
            Standing::OtherCluster
        } else if parsed.findings.is_empty() {
            Standing::Empty
        } else if stale {
            Standing::Stale
        } else if is_unmapped {
            Standing::Unmapped
        } else if weakened {
            Standing::Incomplete
        } else {
            Standing::Ok
        };
        standing.as_str().clone_into(&mut item.standing);
        ReadInput {
            item,
            standing,
            subject: subject.to_owned(),
            findings: parsed.findings,
            mapped,
            unmapped,
            checks: parsed.checks,
            populations: parsed.populations,
            members: parsed.members,
        }
    }

    /// How many findings bear on a control, and the checks of the others.
    fn mapped_and_not(&self, findings: &[Finding]) -> (u64, BTreeSet<CheckId>) {
        let (mut mapped, mut unmapped) = (0, BTreeSet::new());
        for finding in findings {
            if self.mapped.contains(&finding.check) {
                mapped += 1;
            } else if !unmapped.contains(&finding.check) {
                unmapped.insert(finding.check.clone());
            }
        }
        (mapped, unmapped)
    }

    /// Why an input is not of the run's cluster, if it says so itself.
    fn other_cluster(&self, parsed: &Parsed) -> Option<String> {
        let Cluster { name: configured, also_known_as, uid } = self.cluster;
        let is_known = |name: &String| name == configured || also_known_as.contains(name);
        if let Some(name) = parsed.clusters.iter().find(|name| !is_known(name)) {
            return Some(format!(
                "it names the cluster `{name}`, and this run is about `{configured}`: if both are one cluster, add `{name}` to cluster.also_known_as"
            ));
        }
        let clusters =
            parsed.populations.iter().filter_map(|population| population.cluster.as_ref());
        let mut uids = clusters.map(|cluster| &cluster.uid).filter(|uid| !uid.is_empty());
        let other = uids.find(|found| !uid.is_empty() && *found != uid)?;
        Some(format!("it was taken from another cluster: its kube-system has the UID {other}"))
    }

    /// Things of which only results of editions are there that no framework knows: each would have an
    /// answer in an edition that is known.
    fn without_known_edition(&self, findings: &[Finding]) -> Vec<String> {
        let mut things: BTreeMap<&ResourceRef, Editions<'_>> = BTreeMap::new();
        for finding in findings {
            let Some(edition) = finding.check.edition() else { continue };
            let thing = things.entry(&finding.resource).or_default();
            if self.editions.contains(edition) {
                thing.known.insert(&finding.check);
            } else {
                thing.unknown.insert(edition);
                thing.unmapped += 1;
            }
        }
        let answers_less = |known: &BTreeSet<&CheckId>| {
            things
                .values()
                .any(|other| other.known.len() > known.len() && other.known.is_superset(known))
        };
        // What has an answer or two in a known edition has none for the rest of it.
        let is_unanswered = |thing: &Editions<'_>| {
            thing.unmapped > 0 && (thing.known.len() < thing.unmapped || answers_less(&thing.known))
        };
        let unanswered = things.iter().filter(|(_, editions)| is_unanswered(editions));
        unanswered
            .map(|(thing, editions)| {
                let names = editions.unknown.iter().copied().collect::<Vec<_>>().join(", ");
                match (editions.unmapped, editions.known.len()) {
                    (1, 0) => format!("the one finding about {thing} bears on no control of this run ({names})"),
                    (count, 0) => format!("none of the {count} findings about {thing} bears on a control of this run ({names})"),
                    (count, known) => format!("{count} findings about {thing} bear on no control of this run ({names}), and only {known} are of an edition that does"),
                }
            })
            .collect()
    }
}

/// Notes what the reader said of an input, and what it lacks. Does any of that weaken it?
fn note_all(item: &mut InputItem, file: &File, bytes: &[u8], parsed: &Parsed) -> bool {
    // What weakens comes last: sources say the last note of an input.
    let (weak, plain): (Vec<_>, Vec<_>) = parsed.notes.iter().partition(|note| note.weakens);
    let mut weakened = !weak.is_empty();
    for note in plain.into_iter().chain(weak) {
        let place = if note.locator.is_empty() { "" } else { " at " };
        item.notes.push(format!("{}{place}{}", note.text, note.locator));
    }
    let secrets = memmem::find_iter(bytes, REDACTED.as_bytes()).count();
    if secrets > 0 {
        let values = if secrets == 1 { "value that looks" } else { "values that look" };
        let text =
            format!("{secrets} {values} like a secret: taken out before anything was judged");
        item.notes.insert(0, text);
    }
    // The time of one report, or of the file, says nothing of another one.
    if file.taken_at.is_none()
        && parsed.taken_at.is_some()
        && let Some(first) = parsed.undated.first()
    {
        weakened = true;
        let count = parsed.undated.len();
        let what = if count == 1 {
            "a report carries".to_owned()
        } else {
            format!("{count} reports carry")
        };
        let at = if first.is_empty() { String::new() } else { format!(" at {first}") };
        item.notes.push(format!(
            "{what} no time{at}, and others do (`taken_at` of the source can state it)"
        ));
    }
    if !parsed.findings.is_empty()
        && parsed.findings.iter().all(|finding| finding.outcome == Outcome::Error)
    {
        weakened = true;
        item.notes.push("every result is an error: nothing could be looked at".to_owned());
    }
    weakened
}

/// What there is about a thing, by edition of the benchmark.
#[derive(Default)]
struct Editions<'a> {
    /// Checks of editions that bear on a control.
    known: BTreeSet<&'a CheckId>,
    /// Other editions.
    unknown: BTreeSet<&'a str>,
    /// How many findings are of those.
    unmapped: usize,
}

/// An input of which nothing is known but its bytes.
fn unread_item(source: &Source, file: &File, bytes: &[u8]) -> InputItem {
    InputItem {
        bytes: bytes.len() as u64,
        clusters: Vec::new(),
        error: String::new(),
        findings: 0,
        formats: Vec::new(),
        id: format!("input/{}", file.path),
        notes: Vec::new(),
        original: file.original.clone(),
        outcomes: OutcomeCounts::new(),
        path: file.path.clone(),
        rule_sets: Vec::new(),
        salt: String::new(),
        sha256: Digest::of(bytes),
        source: source.name.clone(),
        standing: Standing::Ok.as_str().to_owned(),
        subject: file.subject.clone(),
        taken_at: String::new(),
        taken_at_basis: String::new(),
        tools: BTreeMap::new(),
        kind: "input".to_owned(),
    }
}

/// The name of a file without the extension of its syntax and the name of the scanner: names of nodes have
/// dots too.
fn stem(name: &str) -> &str {
    let stem = without_extension(name);
    let scanners = ["kube-bench", "kubebench", "kube_bench"];
    let around = |mark: char| {
        scanners.into_iter().find_map(|scanner| {
            let after = stem.strip_suffix(scanner).and_then(|rest| rest.strip_suffix(mark));
            after.or_else(|| stem.strip_prefix(scanner).and_then(|rest| rest.strip_prefix(mark)))
        })
    };
    ['.', '-', '_'].into_iter().find_map(around).filter(|rest| !rest.is_empty()).unwrap_or(stem)
}

fn without_extension(name: &str) -> &str {
    const EXTENSIONS: [&str; 8] = ["json", "jsonl", "log", "ndjson", "txt", "xml", "yaml", "yml"];
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)) =>
        {
            stem
        }
        _ => name,
    }
}

/// Fills in when the data was taken and says whether it is too old or from the future.
fn date(
    item: &mut InputItem,
    file: &File,
    by_scanner: Option<Timestamp>,
    max_age_seconds: i64,
    at: Timestamp,
) -> bool {
    let configured = file.taken_at.as_deref().and_then(instant::parse);
    let (taken_at, basis) = match (configured, by_scanner) {
        (Some(taken_at), _) => (taken_at, "configuration"),
        (None, Some(taken_at)) => (taken_at, "scanner"),
        (None, None) => {
            "file-time".clone_into(&mut item.taken_at_basis);
            if file.file_time == FileTime::Stale {
                item.notes.push(format!(
                    "it carries no time, and its file is older than {}",
                    duration_text(max_age_seconds)
                ));
            }
            // No time anywhere is no proof of age; it is no proof of freshness either.
            return file.file_time != FileTime::Fresh;
        }
    };
    item.taken_at = instant::format(taken_at);
    basis.clone_into(&mut item.taken_at_basis);
    let age = at.as_second() - taken_at.as_second();
    if age < -CLOCK_SKEW_SECONDS {
        item.notes.push(format!("its data is dated {} after the run", duration_text(-age)));
        return true;
    }
    if age > max_age_seconds {
        item.notes.push(format!(
            "its data is {} old; at most {} is allowed",
            duration_text(age),
            duration_text(max_age_seconds)
        ));
        return true;
    }
    false
}

/// `36h`, `7d`, `90s`: the largest unit that fits without rest, else hours rounded down.
#[must_use]
pub fn duration_text(seconds: i64) -> String {
    match seconds {
        _ if seconds >= 172_800 && seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        _ if seconds >= 3_600 => format!("{}h", seconds / 3_600),
        _ if seconds >= 60 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// `of` names the rule sets; may be empty.
fn unmapped_text(findings: u64, of: &str) -> String {
    let of = if of.is_empty() { String::new() } else { format!(" ({of})") };
    match findings {
        1 => format!("its one finding bears on no control of this run{of}"),
        _ => format!("none of its {findings} findings bears on a control of this run{of}"),
    }
}

fn source_standing(source: &Source, inputs: &[InputItem], seen: &Seen) -> (Standing, String) {
    let mut problems = if inputs.is_empty() { Vec::new() } else { problems_of_inputs(inputs) };
    let mut incomplete = |text: String| problems.push((Standing::Incomplete, text));
    for shortfall in &source.shortfalls {
        incomplete(shortfall.clone());
    }
    // A place where a file was not found is a shortfall already.
    if !inputs.is_empty() && (inputs.len() as u64) < source.expect_files {
        let (found, expected) = (inputs.len(), source.expect_files);
        incomplete(format!("{found} of {expected} expected files were found"));
    }
    let missing: Vec<&str> = source
        .expect_nodes
        .iter()
        .filter(|node| !seen.nodes.contains(*node))
        .map(String::as_str)
        .collect();
    if !inputs.is_empty() && !missing.is_empty() {
        let noun = if missing.len() == 1 { "node" } else { "nodes" };
        incomplete(format!("there are no results for {noun} {}", missing.join(", ")));
    }
    for text in &seen.doubled {
        incomplete(text.clone());
    }
    problems.sort_by_key(|(standing, _)| std::cmp::Reverse(*standing));
    let texts: Vec<&str> = problems.iter().map(|(_, text)| text.as_str()).collect();
    let text = texts.join("; ");
    match problems.first() {
        _ if inputs.is_empty() && text.is_empty() => {
            (Standing::Missing, "no file was found".to_owned())
        }
        _ if inputs.is_empty() => (Standing::Missing, text),
        None => (Standing::Ok, text),
        Some((worst, _)) => (*worst, text),
    }
}

/// What is wrong with the inputs of a source, of which there is one at least.
fn problems_of_inputs(inputs: &[InputItem]) -> Vec<(Standing, String)> {
    let of = |standing: Standing| -> Vec<&InputItem> {
        inputs.iter().filter(|input| input.standing == standing.as_str()).collect()
    };
    // Files of several nodes often have one name.
    let name = |input: &InputItem| match &*input.subject {
        "" => input.original.clone(),
        subject => format!("{} ({subject})", input.original),
    };
    let names = |inputs: &[&InputItem]| {
        inputs.iter().map(|input| name(input)).collect::<Vec<_>>().join(", ")
    };
    let mut problems = Vec::new();
    for standing in [Standing::Unreadable, Standing::OtherCluster] {
        for input in of(standing) {
            problems.push((standing, format!("{}: {}", name(input), input.error)));
        }
    }
    let (empty, unmapped) = (of(Standing::Empty), of(Standing::Unmapped));
    let mut weak = of(Standing::Incomplete);
    if empty.len() == inputs.len() {
        problems.push((Standing::Empty, format!("{} holds no findings", names(&empty))));
    } else {
        weak.extend(empty);
    }
    if unmapped.len() == inputs.len() {
        let findings: u64 = inputs.iter().map(|input| input.findings).sum();
        let sets: BTreeSet<&str> =
            inputs.iter().flat_map(|input| &input.rule_sets).map(String::as_str).collect();
        let of = sets.into_iter().collect::<Vec<_>>().join(", ");
        problems.push((Standing::Unmapped, unmapped_text(findings, &of)));
    } else {
        weak.extend(unmapped);
    }
    for (standing, inputs, otherwise) in [
        (Standing::Stale, of(Standing::Stale), "its age is not known"),
        (Standing::Incomplete, weak, "it holds no findings"),
    ] {
        let why =
            |input: &InputItem| input.notes.last().map_or(otherwise, String::as_str).to_owned();
        let mut by_why: BTreeMap<String, Vec<&InputItem>> = BTreeMap::new();
        for input in inputs {
            by_why.entry(why(input)).or_default().push(input);
        }
        for (why, inputs) in by_why {
            problems.push((standing, format!("{}: {why}", names(&inputs))));
        }
    }
    problems
}
