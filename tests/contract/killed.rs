//! A directory whose writer is killed, or whose disk is full, at any system call: the next run leaves one
//! chain that verifies. `strace` does that to a real process.

use std::fs;
use std::path::Path;

use affidavit::archive::Directory;

use super::chains;
use crate::harness::part_of;
use crate::tools;

/// Tells the writer where to write.
const FOLDER: &str = "AFFIDAVIT_TEST_FOLDER";

/// With what a directory is written.
const CALLS: [&str; 6] = ["mkdir", "write", "fsync", "linkat", "unlink", "rename"];

/// More calls of one kind than a thread makes.
const MOST: u32 = 500;

#[apply(test)]
fn a_writer_killed_at_any_call_is_finished() {
    let killed = at_every_call(&CALLS, "signal=SIGKILL", "");
    assert!(killed > 50, "{killed}");
}

#[apply(test)]
fn a_disk_that_is_full_from_any_call_on_leaves_one_chain() {
    // `unlink` and `rename` need no room.
    let full = at_every_call(&CALLS[..4], "error=ENOSPC", "+");
    assert!(full > 40, "{full}");
}

/// For each call and each of its turns in a thread: one bundle, another by a writer to whom that happens,
/// then the next run. Gives how often the writer did not come to its end.
fn at_every_call(calls: &[&str], what: &str, and_after: &str) -> u32 {
    tools::STRACE.demand();
    let writer = part_of("contract::killed::writes_once");
    let root = tempfile::tempdir().unwrap();
    let mut failed = 0;
    for call in calls {
        for turn in 1..MOST {
            let folder = root.path().join(format!("{call}-{turn}"));
            let store = Directory::new(&folder);
            chains::seal(&store, "first", 1).unwrap();
            let mut strace = tools::STRACE.command();
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            strace.args(["-e", &format!("inject={call}:{what}:when={turn}{and_after}")]);
            strace.arg(writer.get_program()).args(writer.get_args());
            strace.envs(writer.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let output = strace.env(FOLDER, &folder).output().unwrap();
            let wrote = folder.join("wrote").exists();
            drop(fs::remove_file(folder.join("wrote")));
            let places = chains::seal(&store, "next", 1).unwrap();
            let size = places[0] + 1;
            // What was said to be sealed is there; what was not leaves no hole.
            assert!((if wrote { 3..=3 } else { 2..=3 }).contains(&size), "{call} {turn}: {size}");
            assert_eq!(chains::errors(&store, size), Vec::<String>::new(), "{call} {turn}");
            fs::remove_dir_all(&folder).unwrap();
            if output.status.success() {
                break;
            }
            failed += 1;
        }
    }
    failed
}

/// To whom it happens.
#[apply(part)]
fn writes_once() {
    let folder = std::env::var_os(FOLDER).expect("the tests above run this");
    let folder = Path::new(&folder);
    let sealed = chains::seal(&Directory::new(folder), "at fault", 1);
    sealed.unwrap();
    // Not on the archive's account: whether this appears is no matter.
    drop(fs::File::create(folder.join("wrote")));
}
