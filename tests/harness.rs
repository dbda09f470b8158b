//! The test harness: `libtest-mimic`, whose tests may say while they run that this machine lacks what
//! they need. Such a test counts as ignored, with its reason, and never as passed; with `CI` set it
//! fails.
//!
//! A test is a function with `#[apply(test)]`. A function with `#[apply(part)]` is a part of a test that
//! needs a process of its own: it runs only when a test starts it ([`part_of`]).

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};

/// A function that the harness runs.
pub struct Entry {
    /// `module_path!()`, which begins with the name of the binary.
    pub module: &'static str,
    pub function: &'static str,
    pub run: fn(),
    /// Whether it runs only in a process that a test starts.
    pub is_part: bool,
}

inventory::collect!(Entry);

impl Entry {
    /// As `cargo test NAME` filters it: modules and function, without the binary.
    fn name(&self) -> String {
        let inner = self.module.split_once("::").map_or("", |(_, inner)| inner);
        if inner.is_empty() {
            self.function.to_owned()
        } else {
            format!("{inner}::{}", self.function)
        }
    }
}

/// Registers a function as a test: `#[apply(test)]`.
macro_rules! test {
    ($(#[$attribute:meta])* fn $function:ident() $body:block) => {
        $(#[$attribute])*
        fn $function() $body
        inventory::submit! { crate::harness::Entry {
            module: module_path!(), function: stringify!($function), run: $function, is_part: false,
        } }
    };
}

/// Registers a function as a part of a test, for a process of its own: `#[apply(part)]`.
macro_rules! part {
    ($(#[$attribute:meta])* fn $function:ident() $body:block) => {
        $(#[$attribute])*
        fn $function() $body
        inventory::submit! { crate::harness::Entry {
            module: module_path!(), function: stringify!($function), run: $function, is_part: true,
        } }
    };
}

/// Set in a process that runs parts of tests.
const PARTS: &str = "AFFIDAVIT_TEST_PARTS";

/// A process of this binary that runs the parts whose names begin with this, two at a time. It exits with 101
/// when there are none.
pub fn part_of(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PARTS, name).args(["--test-threads", "2"]);
    command
}

/// Why a test was not run, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// What this machine lacks.
    pub what: String,
    /// What brings it: a command, or what to do.
    pub remedy: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: {}", self.what, self.remedy)
    }
}

/// Ends this test as left out.
///
/// # Panics
///
/// With `CI` set, where everything must be there. Otherwise it unwinds without a message, to the harness.
pub fn leave_out(missing: Missing) -> ! {
    let is_ci = std::env::var("CI").is_ok_and(|ci| !matches!(ci.as_str(), "" | "0" | "false"));
    assert!(!is_ci, "{missing}");
    panic::resume_unwind(Box::new(missing))
}

/// Tests that were left out, by reason.
static LEFT_OUT: Mutex<BTreeMap<Missing, usize>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Of the test that runs on this thread: what it said when it panicked.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static IS_TEST: RefCell<bool> = const { RefCell::new(false) };
}

/// Keeps what a test says when it panics, for the list of failures. Other threads print it at once.
fn keep_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !IS_TEST.with_borrow(|is_test| *is_test) {
            return print(info);
        }
        let mut said = info.to_string();
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            let _ = write!(said, "\n{backtrace}");
        }
        PANIC.set(Some(said));
    }));
}

fn run(function: fn()) -> Result<Completion, Failed> {
    IS_TEST.set(true);
    let ended = panic::catch_unwind(AssertUnwindSafe(function));
    IS_TEST.set(false);
    match ended {
        Ok(()) => Ok(Completion::Completed),
        Err(payload) => match payload.downcast::<Missing>() {
            Ok(missing) => {
                let reason = missing.to_string();
                let mut left_out = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
                *left_out.entry(*missing).or_default() += 1;
                Ok(Completion::ignored_with(reason))
            }
            Err(payload) => Err(Failed::from(said(&*payload))),
        },
    }
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    PANIC.take().or(text).unwrap_or_else(|| "it panicked without a message".to_owned())
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    keep_panics();
    let mut arguments = Arguments::from_args();
    // Some tests wait for a clock or a server: more threads than cores keep the cores busy.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    arguments.test_threads.get_or_insert(2 * cores);
    let parts = std::env::var(PARTS).ok();
    let chosen = inventory::iter::<Entry>.into_iter().filter(|entry| match &parts {
        Some(start) => entry.is_part && entry.name().starts_with(start.as_str()),
        None => !entry.is_part,
    });
    let mut trials: Vec<Trial> = chosen
        .map(|entry| {
            let (name, function) = (entry.name(), entry.run);
            Trial::ignorable_test(name.clone(), move || {
                let start = Instant::now();
                let ended = run(function);
                took(&name, start.elapsed());
                ended
            })
        })
        .collect();
    // What takes longest, and mostly waits, begins first, so that others run meanwhile.
    let waits = |trial: &Trial| {
        ["contract::s3::", "contract::outages::", "serve::"]
            .iter()
            .any(|start| trial.name().starts_with(start))
    };
    trials.sort_by(|left, right| {
        waits(right).cmp(&waits(left)).then_with(|| left.name().cmp(right.name()))
    });
    if parts.is_some() && trials.is_empty() {
        return ExitCode::from(101);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if parts.is_none() {
        report(&conclusion);
    }
    conclusion.exit_code()
}

/// Appends how long a test took to the file that `AFFIDAVIT_TEST_TIMES` names, for who makes them faster.
fn took(name: &str, time: Duration) {
    if let Some(path) = std::env::var_os("AFFIDAVIT_TEST_TIMES") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{:8.2} {name}\n", time.as_secs_f64()).as_bytes()).unwrap();
    }
}

/// Says what was left out and what brings it: to the file that `tests/run.sh` names, which prints it last, or
/// here.
fn report(conclusion: &Conclusion) {
    let left_out = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines = String::new();
    for (missing, tests) in &*left_out {
        let _ = writeln!(lines, "{tests:5}  {:40} {}", missing.what, missing.remedy);
    }
    match std::env::var_os("AFFIDAVIT_TEST_LEFT_OUT") {
        Some(path) => std::fs::write(path, lines).unwrap(),
        None if lines.is_empty() => {}
        None => println!("{} tests were left out:\n{lines}", conclusion.num_ignored),
    }
}

/// A part of the test below.
#[apply(part)]
fn lacks_something() {
    leave_out(Missing { what: "a thing".to_owned(), remedy: "make one".to_owned() });
}

/// A part of the test below.
#[apply(part)]
fn panics() {
    panic!("it is not so");
}

#[apply(test)]
fn what_a_machine_lacks_is_told_from_what_is_wrong() {
    let ended = |name: &str, is_ci: bool| {
        let mut command = part_of(name);
        if is_ci {
            command.env("CI", "true");
        } else {
            command.env_remove("CI");
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said)
    };
    let reason = "a thing is missing: make one";
    let (code, said) = ended("harness::lacks_something", false);
    assert!(code == Some(0) && said.contains(&format!("ignored ({reason})")), "{said}");
    assert!(said.contains("0 passed; 0 failed; 1 ignored"), "{said}");
    // Where everything must be there it fails, as what panics does everywhere: with its place.
    for (name, is_ci, message) in [
        ("lacks_something", true, reason),
        ("panics", true, "it is not so"),
        ("panics", false, "it is not so"),
    ] {
        let (code, said) = ended(&format!("harness::{name}"), is_ci);
        assert!(
            code == Some(101) && said.contains("0 passed; 1 failed; 0 ignored"),
            "{name}: {said}"
        );
        let place =
            said.lines().position(|line| line.contains(&format!("panicked at {}:", file!())));
        let next = said.lines().nth(place.unwrap() + 1);
        assert_eq!(next, Some(message), "{said}");
    }
    let (code, said) = ended("harness::no_such_part", false);
    assert_eq!((code, said.as_str()), (Some(101), ""));
}
