//! Every exit code of the program.

/// An exit code with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or verified.
    Done = 0,
    /// A fault of the program.
    Internal = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The job could not be finished.
    NotFinished = 3,
    /// Finished, but evidence is incomplete.
    Incomplete = 4,
    /// A gate given by `--fail-on` is not met.
    Gate = 5,
    /// Not verified.
    NotVerified = 6,
    /// Verified with warnings, under `--strict`.
    Warnings = 7,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
