//! Attestations: a person says, by name and with an end, how a control stands.
//!
//! An attestation proves that somebody said it. It completes what checks leave to a person; it
//! never outweighs a failing check or a missing source.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;
use crate::validity::{Day, State};
use crate::waiver::{self, PolicyError, is_placeholder};

/// An attestation file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationFile {
    /// The attestations.
    pub attestations: Vec<Attestation>,
}

/// One person's statement about controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Short id of your own, unique in all attestation files.
    pub id: String,
    /// `framework@version/control`, with `*`.
    pub controls: Vec<Pattern>,
    /// What is said.
    pub outcome: Said,
    /// Name of who says it.
    pub by: String,
    /// In which role.
    pub role: String,
    /// In their words: what is in place, or why it does not apply.
    pub statement: String,
    /// Day on which it was said.
    #[serde(deserialize_with = "crate::validity::day")]
    pub date: Day,
    /// Last day on which it holds (UTC).
    #[serde(deserialize_with = "crate::validity::day")]
    pub until: Day,
    /// Where the underlying evidence is kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
}

/// What an attestation says. HIPAA's addressable specifications need all four
/// (45 CFR 164.306(d)(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It is in place.
    Implemented,
    /// An equivalent measure is in place; the statement says which and why.
    Alternative,
    /// It is not in place.
    NotImplemented,
    /// It does not apply; the statement says why.
    NotApplicable,
}

impl Said {
    /// The word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Implemented => "implemented",
            Self::Alternative => "alternative",
            Self::NotImplemented => "not-implemented",
            Self::NotApplicable => "not-applicable",
        }
    }
}

impl AttestationFile {
    /// Reads an attestation file.
    ///
    /// # Errors
    /// [`PolicyError`], with the place in the file where the YAML is wrong.
    pub fn parse(yaml: &str) -> Result<Self, PolicyError> {
        let file: Self = waiver::read(yaml)?;
        for attestation in &file.attestations {
            attestation.check()?;
        }
        Ok(file)
    }
}

impl Attestation {
    fn check(&self) -> Result<(), PolicyError> {
        let texts = [
            ("id", &self.id),
            ("by", &self.by),
            ("role", &self.role),
            ("statement", &self.statement),
        ];
        let empty = texts.iter().find(|(_, text)| text.trim().is_empty()).map(|(field, _)| *field);
        if let Some(field) = empty.or_else(|| self.controls.is_empty().then_some("controls")) {
            return Err(PolicyError::Empty { id: self.id.clone(), field });
        }
        if let Some((field, _)) = texts.iter().find(|(_, text)| is_placeholder(text)) {
            return Err(PolicyError::Template { id: self.id.clone(), field });
        }
        if self.date > self.until {
            return Err(PolicyError::EndsBeforeStart { id: self.id.clone() });
        }
        Ok(())
    }

    /// Does it hold at this instant?
    #[must_use]
    pub fn state(&self, at: Timestamp) -> State {
        State::at(at, Some(self.date), self.until)
    }

    /// Is it about this control (`pci-dss@4.0.1/9.1.1`)?
    #[must_use]
    pub fn covers(&self, control: &str) -> bool {
        self.controls.iter().any(|pattern| pattern.matches(control))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_needs_a_name_a_role_and_an_end() {
        let good = "
attestations:
  - id: A-1
    controls: ['pci-dss@4.0.1/9.1.*']
    outcome: implemented
    by: Jo Doe
    role: CISO
    statement: Policies were reviewed.
    date: 2026-10-01
    until: 2027-09-30
";
        let file = AttestationFile::parse(good).unwrap();
        assert!(file.attestations[0].covers("pci-dss@4.0.1/9.1.2"));
        assert!(!file.attestations[0].covers("pci-dss@4.0.1/9.2.1"));
        for line in ["    by: Jo Doe\n", "    role: CISO\n", "    until: 2027-09-30\n"] {
            assert!(AttestationFile::parse(&good.replace(line, "")).is_err(), "{line}");
        }
        assert!(AttestationFile::parse(&good.replace("2026-10-01", "2028-01-01")).is_err());
    }
}
