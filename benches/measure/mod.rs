//! Wall and CPU time of this process and of peers.

#[allow(dead_code, reason = "not every benchmark writes chains")]
pub mod chain;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What something took, in seconds. CPU times are in ticks of 10 ms.
#[derive(Clone, Copy)]
pub struct Taken {
    pub cpu: f64,
    pub wall: f64,
}

/// What work of this process takes, on all its threads.
pub fn time(work: impl FnOnce()) -> Taken {
    measure(11, work)
}

/// What one process of a peer takes over all files.
pub fn peer(program: &str, arguments: &[&str], folder: &Path, files: &[String]) -> Taken {
    measure(13, || {
        let status = Command::new(program)
            .args(arguments)
            .args(files)
            .current_dir(folder)
            .stdout(Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(status.success());
    })
}

/// proc(5), `/proc/self/stat`: `utime` and `stime`, or `cutime` and `cstime` of ended children.
pub fn measure(field: usize, work: impl FnOnce()) -> Taken {
    let cpu = || -> f64 {
        let text = fs::read_to_string("/proc/self/stat").unwrap();
        let fields = text.rsplit_once(')').unwrap().1.split_whitespace();
        fields.skip(field).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum()
    };
    let (before, start) = (cpu(), Instant::now());
    work();
    Taken { wall: start.elapsed().as_secs_f64(), cpu: (cpu() - before) / 100.0 }
}

/// Medians.
pub fn median(times: &[Taken]) -> Taken {
    let of = |part: fn(&Taken) -> f64| {
        let mut values: Vec<f64> = times.iter().map(part).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Taken { cpu: of(|taken| taken.cpu), wall: of(|taken| taken.wall) }
}

/// Runs our program in a folder, which ends with one of these codes; what it takes, and the high-water mark
/// of its resident memory in MiB.
#[allow(dead_code, reason = "not every benchmark runs the program")]
pub fn program_in(
    folder: &Path,
    program: &Path,
    arguments: &[&str],
    codes: &[i32],
) -> (Taken, f64) {
    let mut command = Command::new(program);
    watched(command.args(arguments).arg("--no-progress").current_dir(folder), codes)
}

/// Runs any program, which ends with one of these codes; what it takes, and the high-water mark of its resident
/// memory in MiB.
#[allow(dead_code, reason = "not every benchmark runs programs")]
pub fn watched(command: &mut Command, codes: &[i32]) -> (Taken, f64) {
    let mut peak = 0.0_f64;
    let taken = measure(13, || {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let ended = loop {
            if let Some(line) = fs::read_to_string(&status)
                .unwrap_or_default()
                .lines()
                .find(|line| line.starts_with("VmHWM:"))
            {
                let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
                peak = peak.max(kib / 1024.0);
            }
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(codes.contains(&ended.code().unwrap()), "{command:?}: {ended}");
    });
    (taken, peak)
}
