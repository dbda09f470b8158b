//! Waivers: approved exceptions for failing findings, with an approver, a ticket and an end.
//!
//! A waiver never makes a control satisfied; the finding stays a failure and is shown as one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;
use crate::validity::{Day, State};

/// A waiver file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiverFile {
    /// The waivers.
    pub waivers: Vec<Waiver>,
}

/// One approved exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Short id of your own, unique in all waiver files: `W-2026-014`.
    pub id: String,
    /// What it covers.
    pub scope: Scope,
    /// Why the risk is accepted.
    pub reason: String,
    /// Who accepted it.
    pub approver: String,
    /// Where the decision is recorded.
    pub ticket: String,
    /// First day on which it holds; from ever when left out.
    #[serde(
        default,
        deserialize_with = "crate::validity::day_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    pub from: Option<Day>,
    /// Last day on which it holds (UTC).
    #[serde(deserialize_with = "crate::validity::day")]
    pub expires: Day,
}

/// What a waiver covers: findings for which every given list has a match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// `framework@version/control`, with `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Pattern>,
    /// Check ids, with `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Pattern>,
    /// Resources as reports print them (`payments/Deployment/api`), with `*`. Required: to waive
    /// a check everywhere, say `"*"`.
    pub resources: Vec<Pattern>,
}

/// Why a waiver or attestation file is not valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not YAML of the right shape.
    #[error("{0}")]
    Malformed(String),
    /// A field that must say something is empty.
    #[error("`{id}`: `{field}` is empty")]
    Empty {
        /// Which entry.
        id: String,
        /// Which field.
        field: &'static str,
    },
    /// A field still holds what the template says in angle brackets.
    #[error("`{id}`: `{field}` still holds the words of the template")]
    Template {
        /// Which entry.
        id: String,
        /// Which field.
        field: &'static str,
    },
    /// The same id twice.
    #[error("`{id}` is there twice")]
    Duplicate {
        /// Which id.
        id: String,
    },
    /// It ends before it begins.
    #[error("`{id}` ends before it begins")]
    EndsBeforeStart {
        /// Which entry.
        id: String,
    },
}

/// Is it a place that somebody should have filled in, as the templates mark it?
pub(crate) fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('<') && text.ends_with('>')
}

/// Reads a file of waivers or attestations.
///
/// # Errors
/// [`PolicyError::Malformed`], with the line, the entry and the field.
pub(crate) fn read<'y, T: Deserialize<'y>>(yaml: &'y str) -> Result<T, PolicyError> {
    let read =
        serde_saphyr::with_deserializer_from_str(yaml, |deserializer| T::deserialize(deserializer));
    read.map_err(|error| {
        let (place, error) = located::<T>(yaml).unwrap_or((String::new(), error));
        let text = error.without_snippet().to_string();
        PolicyError::Malformed(format!("{place}{text}"))
    })
}

/// The field that cannot be read, as `` `A-1`, `date`: ``, and why.
fn located<'y, T: Deserialize<'y>>(yaml: &'y str) -> Option<(String, serde_saphyr::Error)> {
    let mut place = String::new();
    let read = serde_saphyr::with_deserializer_from_str(yaml, |deserializer| {
        serde_path_to_error::deserialize::<_, T>(deserializer).map_err(|error| {
            place = named(yaml, error.path());
            error.into_inner()
        })
    });
    read.err().map(|error| (place, error))
}

/// A path like `attestations[3].date`, with the entry's id where it has one.
fn named(yaml: &str, path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut entry = String::new();
    let mut field = Vec::new();
    let (mut list, mut is_in_entry) = (String::new(), false);
    for segment in path {
        match segment {
            Segment::Map { key } if is_in_entry => field.push(key.clone()),
            Segment::Map { key } => list.clone_from(key),
            Segment::Seq { index } if !is_in_entry => {
                is_in_entry = true;
                let all = serde_saphyr::from_str::<serde_json::Value>(yaml).unwrap_or_default();
                let id = all.pointer(&format!("/{list}/{index}/id")).and_then(|id| id.as_str());
                entry = id.map_or_else(
                    || format!("entry {} of `{list}`", index + 1),
                    |id| format!("`{id}`"),
                );
            }
            _ => {}
        }
    }
    match (entry.as_str(), field.join(".")) {
        ("", _) => String::new(),
        (entry, field) if field.is_empty() => format!("{entry}: "),
        (entry, field) => format!("{entry}, `{field}`: "),
    }
}

impl WaiverFile {
    /// Reads a waiver file.
    ///
    /// # Errors
    /// [`PolicyError`], with the place in the file where the YAML is wrong.
    pub fn parse(yaml: &str) -> Result<Self, PolicyError> {
        let file: Self = read(yaml)?;
        for waiver in &file.waivers {
            waiver.check()?;
        }
        Ok(file)
    }
}

impl Waiver {
    fn check(&self) -> Result<(), PolicyError> {
        let texts = [
            ("id", &self.id),
            ("reason", &self.reason),
            ("approver", &self.approver),
            ("ticket", &self.ticket),
        ];
        let empty = texts.iter().find(|(_, text)| text.trim().is_empty()).map(|(field, _)| *field);
        let scope = &self.scope;
        let empty = empty
            .or_else(|| scope.resources.is_empty().then_some("scope.resources"))
            .or_else(|| {
                (scope.controls.is_empty() && scope.checks.is_empty())
                    .then_some("scope.controls and scope.checks")
            });
        if let Some(field) = empty {
            return Err(PolicyError::Empty { id: self.id.clone(), field });
        }
        if let Some((field, _)) = texts.iter().find(|(_, text)| is_placeholder(text)) {
            return Err(PolicyError::Template { id: self.id.clone(), field });
        }
        if self.from.is_some_and(|from| from > self.expires) {
            return Err(PolicyError::EndsBeforeStart { id: self.id.clone() });
        }
        Ok(())
    }

    /// Does it hold at this instant?
    #[must_use]
    pub fn state(&self, at: Timestamp) -> State {
        State::at(at, self.from, self.expires)
    }

    /// Does its scope cover a finding of `check` at `resource`, as evidence for `control`
    /// (`pci-dss@4.0.1/2.2.6`)?
    #[must_use]
    pub fn covers(&self, control: &str, check: &str, resource: &str) -> bool {
        let any = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        any(&self.scope.controls, control)
            && any(&self.scope.checks, check)
            && self.scope.resources.iter().any(|pattern| pattern.matches(resource))
    }

    /// Its scope in one line.
    #[must_use]
    pub fn scope_text(&self) -> String {
        let join = |patterns: &[Pattern]| {
            patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(", ")
        };
        let mut parts = Vec::new();
        if !self.scope.controls.is_empty() {
            parts.push(format!("controls {}", join(&self.scope.controls)));
        }
        if !self.scope.checks.is_empty() {
            parts.push(format!("checks {}", join(&self.scope.checks)));
        }
        parts.push(format!("resources {}", join(&self.scope.resources)));
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
waivers:
  - id: W-1
    scope: { checks: ['trivy:KSV-0017'], resources: ['payments/*'] }
    reason: vendor appliance
    approver: Jo Doe
    ticket: SEC-1
    expires: 2026-12-31
";

    #[test]
    fn scope_is_all_of_what_is_given() {
        let waiver = &WaiverFile::parse(GOOD).unwrap().waivers[0];
        assert!(waiver.covers("x@1/2", "trivy:KSV-0017", "payments/Deployment/api"));
        assert!(!waiver.covers("x@1/2", "trivy:KSV-0018", "payments/Deployment/api"));
        assert!(!waiver.covers("x@1/2", "trivy:KSV-0017", "shop/Deployment/api"));
    }

    #[test]
    fn it_holds_until_the_end_of_its_last_day() {
        let waiver = &WaiverFile::parse(GOOD).unwrap().waivers[0];
        assert_eq!(waiver.state("2026-12-31T23:59:59Z".parse().unwrap()), State::InForce);
        assert_eq!(waiver.state("2027-01-01T00:00:00Z".parse().unwrap()), State::Expired);
    }

    #[test]
    fn nothing_may_be_left_out() {
        for (part, replacement) in [
            ("    expires: 2026-12-31\n", ""),
            ("    approver: Jo Doe\n", "    approver: ''\n"),
            ("    ticket: SEC-1\n", ""),
            (", resources: ['payments/*']", ""),
            ("checks: ['trivy:KSV-0017'], ", ""),
            ("    reason: vendor appliance\n", "    reasons: typo\n"),
            ("2026-12-31", "2026-13-01"),
        ] {
            let bad = GOOD.replace(part, replacement);
            assert_ne!(bad, GOOD);
            assert!(WaiverFile::parse(&bad).is_err(), "{bad}");
        }
    }
    #[test]
    fn what_cannot_be_read_is_named_by_entry_and_field() {
        for (part, replacement, said) in [
            ("2026-12-31", "2026-12-31T00:00:00Z", "`W-1`, `expires`: "),
            (
                "2026-12-31",
                "2026-12-31T00:00:00",
                "found `2026-12-31T00:00:00`, expected a calendar day",
            ),
            (
                "2026-12-31",
                "31.12.2026",
                "found `31.12.2026`, expected a calendar day like 2026-12-31",
            ),
            ("    expires", "    from: soon\n    expires", "`W-1`, `from`: "),
            (", resources: ['payments/*']", "", "`W-1`, `scope`: "),
            ("id: W-1", "ids: W-1", "entry 1 of `waivers`"),
        ] {
            let bad = GOOD.replace(part, replacement);
            assert_ne!(bad, GOOD);
            let error = WaiverFile::parse(&bad).unwrap_err().to_string();
            assert!(error.contains(said) && error.lines().count() == 1, "{error}");
            assert!(error.contains("line "), "{error}");
        }
    }
}
