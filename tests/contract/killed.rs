//! A directory whose writer is killed, or whose disk is full, at any system call: the next run leaves one
//! chain that verifies. `strace` does that to a real process.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use affidavit::archive::Directory;

use super::chains;

/// Tells the writer where to write.
const FOLDER: &str = "AFFIDAVIT_TEST_FOLDER";

/// With what a directory is written.
const CALLS: [&str; 6] = ["mkdir", "write", "fsync", "linkat", "unlink", "rename"];

/// More calls of one kind than a thread makes.
const MOST: u32 = 500;

#[test]
fn a_writer_killed_at_any_call_is_finished() {
    let killed = at_every_call(&CALLS, "signal=SIGKILL", "");
    if let Some(killed) = killed {
        assert!(killed > 50, "{killed}");
        eprintln!("a writer killed at {killed} system calls: lost 0, forked 0");
    }
}

#[test]
fn a_disk_that_is_full_from_any_call_on_leaves_one_chain() {
    // `unlink` and `rename` need no room.
    let full = at_every_call(&CALLS[..4], "error=ENOSPC", "+");
    if let Some(full) = full {
        assert!(full > 40, "{full}");
        eprintln!("the disk was full from {full} system calls on: lost 0, forked 0");
    }
}

/// For each call and each of its turns in a thread: one bundle, another by a writer to whom that happens,
/// then the next run. Gives how often the writer did not come to its end.
fn at_every_call(calls: &[&str], what: &str, and_after: &str) -> Option<u32> {
    let root = tempfile::tempdir().unwrap();
    let mut failed = 0;
    for call in calls {
        for turn in 1..MOST {
            let folder = root.path().join(format!("{call}-{turn}"));
            let store = Directory::new(&folder);
            chains::seal(&store, "first", 1).unwrap();
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            strace.args(["-e", &format!("inject={call}:{what}:when={turn}{and_after}")]);
            let writer = strace
                .arg(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "contract::killed::writes_once"])
                .env(FOLDER, &folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            let ended = match writer {
                Ok(status) => status.success(),
                Err(error) => {
                    assert!(std::env::var_os("CI").is_none(), "strace: {error}");
                    eprintln!("SKIPPED: strace is not installed ({error})");
                    return None;
                }
            };
            let wrote = folder.join("wrote").exists();
            drop(fs::remove_file(folder.join("wrote")));
            let places = chains::seal(&store, "next", 1).unwrap();
            let size = places[0] + 1;
            // What was said to be sealed is there; what was not leaves no hole.
            assert!((if wrote { 3..=3 } else { 2..=3 }).contains(&size), "{call} {turn}: {size}");
            assert_eq!(chains::errors(&store, size), Vec::<String>::new(), "{call} {turn}");
            fs::remove_dir_all(&folder).unwrap();
            if ended {
                break;
            }
            failed += 1;
        }
    }
    Some(failed)
}

/// To whom it happens.
#[test]
#[ignore = "is run by the tests above"]
fn writes_once() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let sealed = chains::seal(&Directory::new(folder), "at fault", 1);
    sealed.unwrap();
    // Not on the archive's account: whether this appears is no matter.
    drop(fs::File::create(folder.join("wrote")));
}
