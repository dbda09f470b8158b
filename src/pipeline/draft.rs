//! A bundle about to be sealed: its place in the chain and in time, its files, its statement.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::prepared::{Keys, Prepared};
use super::{RunFailure, TOOL};
use crate::assessment::{Basis, Reason, Status, StatusCounts};
use crate::config::{Config, Retention};
use crate::evaluate::Evaluation;
use crate::evidence::digest::{Digest, Hasher};
use crate::evidence::items::{ItemError, WrittenItems};
use crate::evidence::statement::{
    Chain, DigestSet, FrameworkRef, Gap, Items, KeyringRef, Listing, PREDICATE_TYPE, Predicate,
    Pruned, SourceRef, Statement, Subject, TYPE, Time, Tool,
};
use crate::evidence::{canonical, instant, layout, statement};
use crate::framework::Framework;
use crate::render::{Document, Template, build};
use crate::seal::{Log, Past, Payload};
use crate::sign::Signer;
use crate::verify::bundle::summary_of;
use crate::verify::pin::Pin;
use crate::{render, sealed};

/// Where a bundle stands in its chain and in time.
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) previous: Option<(DigestSet, Pin)>,
    pub(super) period_start: String,
    pub(super) period_end: String,
    pub(super) schedule: Option<statement::Schedule>,
    pub(super) gap: Option<Gap>,
    pub(super) pruned: Option<Pruned>,
}

impl Place {
    pub(super) fn next(config: &Config, now: Timestamp, log: &Log) -> Self {
        let schedule = config.schedule.as_ref();
        let end = instant::format(now);
        let before = log.newest.as_ref().map(|newest| &newest.statement.predicate.time);
        let mut due = Vec::new();
        let mut missed = Vec::new();
        let start = if let Some(before) = before {
            let expected = before.schedule.as_ref().and_then(|s| instant::parse(&s.next));
            let from = instant::parse(&before.period_end).unwrap_or(now);
            due = schedule.map(|schedule| schedule.due(from, now)).unwrap_or_default();
            missed.extend(due.split_last().map_or(&[][..], |(_, earlier)| earlier));
            // What the schedule of that time expected, if it was another one.
            missed.extend(expected.filter(|at| *at <= now && !due.contains(at)));
            before.period_end.clone()
        } else {
            let length = schedule.map_or(0, |schedule| schedule.interval_seconds(now));
            let length = i64::try_from(length).unwrap_or(0);
            instant::format(Timestamp::from_second(now.as_second() - length).unwrap_or(now))
        };
        // More due times than one since the last run are runs that did not happen.
        let gap = missed.iter().max().map(|last| Gap {
            from: start.clone(),
            to: instant::format(*last),
            reason: match missed.len() {
                1 => "1 scheduled run did not take place".to_owned(),
                more => format!("{more} scheduled runs did not take place"),
            },
        });
        let period_start = gap.as_ref().map_or(start, |gap| gap.to.clone());
        let schedule = schedule.and_then(|schedule| {
            Some(statement::Schedule {
                cron: schedule.cron.clone(),
                time_zone: schedule.time_zone.clone(),
                due: due.last().copied().map(instant::format),
                next: instant::format(schedule.next(now)?),
            })
        });
        Self {
            seq: log.next_seq(),
            previous: log
                .newest
                .as_ref()
                .map(|newest| (DigestSet { sha256: newest.digest }, log.pin(&config.origin))),
            period_start: period_start.min(end.clone()),
            period_end: end,
            schedule,
            gap,
            pruned: pruned(config, now, log),
        }
    }
}

/// By which retention payloads are removed. A legal hold wins over every retention.
pub(super) fn pruning(config: &Config) -> Option<&Retention> {
    config.retention.as_ref().filter(|retention| retention.prune && !config.archive.legal_hold)
}

/// The tombstone of the next statement: that of the one before it, or one that reaches further.
pub(super) fn pruned(config: &Config, now: Timestamp, log: &Log) -> Option<Pruned> {
    let newest = log.newest.as_ref()?;
    let known = newest.statement.predicate.pruned.clone();
    let Some(retention) = pruning(config) else { return known };
    let known_before = known.as_ref().map_or(0, |known| known.before);
    let kept = SignedDuration::from_hours(24 * i64::from(retention.days));
    let is_over = |past: &Past| {
        past.period_end.and_then(|end| end.checked_add(kept).ok()).is_some_and(|end| end <= now)
    };
    let from = usize::try_from(known_before).unwrap_or(usize::MAX);
    let over = log.past.iter().skip(from).take_while(|past| is_over(past)).count() as u64;
    if over == 0 {
        return known;
    }
    Some(Pruned {
        before: known_before + over,
        days: retention.days.into(),
        rule: retention.rule.clone(),
    })
}

/// A bundle about to be sealed.
pub(super) struct Draft<'a> {
    pub(super) config: &'a Config,
    pub(super) evaluation: &'a Evaluation,
    pub(super) prepared: &'a Prepared,
    pub(super) keys: &'a Keys,
    pub(super) place: &'a Place,
    pub(super) payload: Payload,
    pub(super) input_digests: BTreeMap<String, Digest>,
    pub(super) items: ItemFacts,
    pub(super) without_timestamp: Option<String>,
}

pub(super) struct ItemFacts {
    pub(super) size: u64,
    pub(super) root: String,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        config: &'a Config,
        prepared: &'a Prepared,
        evaluation: &'a Evaluation,
        keys: &'a Keys,
        place: &'a Place,
        signer: &dyn Signer,
    ) -> Result<Self, RunFailure> {
        let salter = keys.secret.salter(&config.origin, place.seq);
        let missed_runs = place
            .gap
            .as_ref()
            .map(|gap| format!("From {} to {}: {}.", gap.from, gap.to, gap.reason));
        let WrittenItems { bytes, size, root, .. } =
            evaluation.write_items(missed_runs.as_deref(), &|id| salter.salt(id))?;
        let items = ItemFacts { size, root: STANDARD.encode(root.as_bytes()) };
        let controls = controls_json(evaluation)?;
        let facts = build::ChainFacts {
            origin: config.origin.clone(),
            seq: place.seq,
            previous: place.previous.as_ref().map(|(prev, pin)| (prev.sha256, pin.clone())),
            period_start: place.period_start.clone(),
            period_end: place.period_end.clone(),
            items_size: size,
            items_root: items.root.clone(),
            keyring_version: keys.keyring.keyring.version,
            signer: signer.public_key().id(),
            roots: keys.roots.clone(),
        };
        let mappings: Vec<(&Framework, Digest)> = evaluation
            .frameworks
            .iter()
            .zip(&prepared.run.frameworks)
            .map(|((framework, _), path)| (framework, digest_of(prepared.rules.get(path))))
            .collect();
        let sealed = sealed::Items::read(&bytes)?;
        let report = build::report(&sealed, &prepared.run, &mappings, &facts)?;
        let attachments = build::attachments(controls.clone(), &sealed);
        drop(sealed);
        let pdf = render::pdf(Document::Bundle(&report), &Template::sealed(), &attachments)?;
        let (pdf, without_timestamp) = match &keys.report {
            Some(by) => {
                let report = by.sign(&pdf, prepared.run.at().unwrap_or_default())?;
                (report.pdf, report.without_timestamp)
            }
            None => (pdf, None),
        };

        let mut payload: Payload = prepared.rules.clone();
        payload.insert(layout::ITEMS.to_owned(), bytes);
        payload.insert(layout::RUN.to_owned(), prepared.run.to_bytes()?);
        payload.insert(layout::CONTROLS.to_owned(), controls);
        payload.insert(layout::REPORT_PDF.to_owned(), pdf);
        let input_digests =
            evaluation.inputs().iter().map(|input| (input.path.clone(), input.sha256)).collect();
        Ok(Self {
            config,
            evaluation,
            prepared,
            keys,
            place,
            payload,
            input_digests,
            items,
            without_timestamp,
        })
    }

    pub(super) fn statement(&self, sums: Digest, files: u64) -> Statement {
        let keyring = &self.keys.keyring;
        let frameworks = self.evaluation.frameworks.iter().zip(&self.prepared.run.frameworks);
        let (name, version) = TOOL;
        Statement {
            statement_type: TYPE.to_owned(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            subject: vec![Subject {
                name: layout::SHA256SUMS.to_owned(),
                digest: DigestSet { sha256: sums },
            }],
            predicate: Predicate {
                chain: Chain {
                    origin: self.config.origin.clone(),
                    seq: self.place.seq,
                    prev: self.place.previous.as_ref().map(|(prev, _)| *prev),
                },
                time: Time {
                    created: self.prepared.run.created.clone(),
                    period_start: self.place.period_start.clone(),
                    period_end: self.place.period_end.clone(),
                    schedule: self.place.schedule.clone(),
                },
                items: Items {
                    file: layout::ITEMS.to_owned(),
                    size: self.items.size,
                    root: self.items.root.clone(),
                },
                files,
                keyring: KeyringRef { version: keyring.keyring.version, sha256: keyring.digest },
                frameworks: Listing::Here(
                    frameworks
                        .map(|((framework, _), path)| FrameworkRef {
                            id: framework.id.clone(),
                            version: framework.version.clone(),
                            sha256: digest_of(self.prepared.rules.get(path)),
                        })
                        .collect(),
                ),
                sources: Listing::Here(source_refs(self.evaluation)),
                summary: Listing::Here(
                    self.evaluation
                        .frameworks
                        .iter()
                        .map(|(framework, results)| {
                            summary_of(&framework.key(), Evaluation::counts(results))
                        })
                        .collect(),
                ),
                gap: self.place.gap.clone(),
                pruned: self.place.pruned.clone(),
                tool: Tool { name: name.to_owned(), version: version.to_owned() },
            },
        }
    }
}

pub(super) fn digest_of(bytes: Option<&Vec<u8>>) -> Digest {
    Digest::of(bytes.map_or(&[], Vec::as_slice))
}

/// One entry per source: its standing, and one digest over the digests of its inputs.
pub(super) fn source_refs(evaluation: &Evaluation) -> Vec<SourceRef> {
    evaluation
        .sources()
        .iter()
        .map(|source| {
            let mut hasher = Hasher::default();
            for input in evaluation.inputs().iter().filter(|input| input.source == source.name) {
                hasher.update(input.sha256.to_string().as_bytes());
            }
            SourceRef {
                name: source.name.clone(),
                status: source.standing.clone(),
                sha256: (!source.inputs.is_empty()).then(|| hasher.finish()),
            }
        })
        .collect()
}

/// `controls.json`: what the report attaches.
pub(super) fn controls_json(evaluation: &Evaluation) -> Result<Vec<u8>, RunFailure> {
    #[derive(Serialize)]
    struct Controls<'a> {
        frameworks: BTreeMap<String, Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        counts: StatusCounts,
        controls: Vec<Line<'a>>,
    }
    #[derive(Serialize)]
    struct Line<'a> {
        control: &'a str,
        title: &'a str,
        status: Status,
        reason: Option<Reason>,
        basis: Basis,
        explanation: &'a str,
        failing: usize,
        passing: usize,
        undecided: usize,
    }
    let frameworks = evaluation
        .frameworks
        .iter()
        .map(|(framework, results)| {
            let controls = framework
                .controls
                .iter()
                .zip(results)
                .map(|(control, result)| Line {
                    control: &result.control,
                    title: &control.title,
                    status: result.status,
                    reason: result.reason,
                    basis: result.basis,
                    explanation: &result.explanation,
                    failing: result.failing.len(),
                    passing: result.passing,
                    undecided: result.undecided,
                })
                .collect();
            (framework.key(), Entry { counts: Evaluation::counts(results), controls })
        })
        .collect();
    Ok(canonical::to_vec(&Controls { frameworks }).map_err(ItemError::from)?)
}
