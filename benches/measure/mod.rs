//! Wall and CPU time of this process and of peers.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

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
