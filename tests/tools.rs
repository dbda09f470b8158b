//! Programs of others that tests run. This is the only file that starts one: it knows whether the
//! program is there, and what brings it.
//!
//! A test that needs a program asks for it here, before anything that would be lost without it. Where the
//! program is missing the test ends as left out ([`leave_out`]), which is a failure where `CI` is set. That
//! ends a test only on the thread on which the test runs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Missing, leave_out};

/// A program, or a folder of them, that this project does not bring.
pub struct Tool {
    name: &'static str,
    place: Place,
    /// The command that brings it.
    remedy: &'static str,
}

enum Place {
    /// On the `PATH`, under its name.
    Path,
    /// Below `~/.cache/affidavit`, unless a variable names another place.
    #[cfg(feature = "pipeline")]
    Cache { below: &'static str, variable: Option<&'static str> },
}

impl Tool {
    const fn on_path(name: &'static str, remedy: &'static str) -> Self {
        Self { name, place: Place::Path, remedy }
    }

    #[cfg(feature = "pipeline")]
    const fn cached(name: &'static str, below: &'static str, remedy: &'static str) -> Self {
        Self { name, place: Place::Cache { below, variable: None }, remedy }
    }

    #[cfg(feature = "pipeline")]
    const fn or_in(mut self, name: &'static str) -> Self {
        if let Place::Cache { variable, .. } = &mut self.place {
            *variable = Some(name);
        }
        self
    }

    /// Where it is, if it is there.
    fn find(&self) -> Option<PathBuf> {
        match self.place {
            Place::Path => {
                let path = std::env::var_os("PATH")?;
                std::env::split_paths(&path)
                    .map(|folder| folder.join(self.name))
                    .find(|path| is_program(path))
            }
            #[cfg(feature = "pipeline")]
            Place::Cache { below, variable } => {
                if let Some(named) = variable.and_then(named) {
                    return Some(named);
                }
                let home = PathBuf::from(std::env::var_os("HOME")?);
                let path = home.join(".cache/affidavit").join(below);
                path.exists().then_some(path)
            }
        }
    }

    /// Where it is. Ends the test as left out where it is not.
    pub fn path(&self) -> PathBuf {
        self.find().unwrap_or_else(|| {
            leave_out(Missing { what: self.name.to_owned(), remedy: self.remedy.to_owned() })
        })
    }

    /// A command that runs it. Ends the test as left out where it is not.
    pub fn command(&self) -> Command {
        Command::new(self.path())
    }

    /// Ends the test as left out where it is not there: for what a script runs.
    pub fn demand(&self) {
        self.path();
    }
}

/// What a script of `.ci` puts into its folder. Ends the test as left out where it is not there.
#[cfg(feature = "pipeline")]
pub fn within(folder: &Tool, below: &str) -> PathBuf {
    let path = folder.path().join(below);
    if !path.exists() {
        leave_out(Missing {
            what: format!("{below} of {}", folder.name),
            remedy: folder.remedy.to_owned(),
        });
    }
    path
}

/// A command that runs a program below such a folder.
#[cfg(feature = "pipeline")]
pub fn program_within(folder: &Tool, below: &str) -> Command {
    Command::new(within(folder, below))
}

/// Is it a file that may be run?
fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// What a variable names, unless it is unset or empty. A name of nothing is a mistake, and no missing program.
fn named(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).filter(|value| !value.is_empty())?);
    assert!(path.exists(), "{variable} names {}, which is not there", path.display());
    Some(path)
}

/// The folder of scanner outputs that `AFFIDAVIT_SAMPLES` names. Ends the test as left out where it names
/// none.
pub fn samples() -> PathBuf {
    named("AFFIDAVIT_SAMPLES").unwrap_or_else(|| {
        leave_out(Missing {
            what: "more scanner outputs (optional)".to_owned(),
            remedy: "set AFFIDAVIT_SAMPLES to a folder of them".to_owned(),
        })
    })
}

/// The library of `SoftHSM`, where distributions put it or where `AFFIDAVIT_SOFTHSM` says that it is. Ends
/// the test as left out where it is not there.
#[cfg(feature = "pipeline")]
pub fn softhsm_library() -> PathBuf {
    let given = named("AFFIDAVIT_SOFTHSM");
    let usual = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];
    let found = given.or_else(|| usual.map(PathBuf::from).into_iter().find(|path| path.is_file()));
    found.unwrap_or_else(|| {
        leave_out(Missing {
            what: "the library of SoftHSM".to_owned(),
            remedy: "apt-get install softhsm2, or name it in AFFIDAVIT_SOFTHSM".to_owned(),
        })
    })
}

// Tools stand with the features whose tests run them: a constant that nothing uses is a fault of its own.

pub const OPENSSL: Tool = Tool::on_path("openssl", "apt-get install openssl");

#[cfg(feature = "cli")]
pub use of_the_verifier::*;
#[cfg(feature = "cli")]
mod of_the_verifier {
    use super::Tool;

    pub const SH: Tool = Tool::on_path("sh", "apt-get install dash");
    pub const SHA256SUM: Tool = Tool::on_path("sha256sum", "apt-get install coreutils");
    pub const MOUNT: Tool = Tool::on_path("mount", "apt-get install mount");
    pub const UNSHARE: Tool = Tool::on_path("unshare", "apt-get install util-linux");
    pub const CHROMIUM: Tool =
        Tool::on_path("chromium", "apt-get install chromium chromium-driver");
    pub const CHROMEDRIVER: Tool =
        Tool::on_path("chromedriver", "apt-get install chromium chromium-driver");
}

#[cfg(feature = "pipeline")]
pub use of_the_pipeline::*;
#[cfg(feature = "pipeline")]
mod of_the_pipeline {
    use super::Tool;

    // What every Linux has, or Debian's packages bring.
    pub const BASH: Tool = Tool::on_path("bash", "apt-get install bash");
    pub const KILL: Tool = Tool::on_path("kill", "apt-get install procps");
    pub const MKFIFO: Tool = Tool::on_path("mkfifo", "apt-get install coreutils");
    pub const BASE64: Tool = Tool::on_path("base64", "apt-get install coreutils");
    pub const CMP: Tool = Tool::on_path("cmp", "apt-get install diffutils");
    pub const TAR: Tool = Tool::on_path("tar", "apt-get install tar");
    pub const JQ: Tool = Tool::on_path("jq", "apt-get install jq");
    pub const PYTHON3: Tool = Tool::on_path("python3", "apt-get install python3");
    pub const STRACE: Tool = Tool::on_path("strace", "apt-get install strace");
    pub const CURL: Tool = Tool::on_path("curl", "apt-get install curl");
    pub const QPDF: Tool = Tool::on_path("qpdf", "apt-get install qpdf");
    pub const PDFTOTEXT: Tool = Tool::on_path("pdftotext", "apt-get install poppler-utils");
    pub const PDFSIG: Tool = Tool::on_path("pdfsig", "apt-get install poppler-utils");
    pub const PDFDETACH: Tool = Tool::on_path("pdfdetach", "apt-get install poppler-utils");
    pub const SOFTHSM: Tool = Tool::on_path("softhsm2-util", "apt-get install softhsm2");
    pub const NODE: Tool = Tool::on_path("node", "apt-get install nodejs");
    pub const JAVA: Tool = Tool::on_path("java", "apt-get install default-jre-headless");

    // What the scripts of `.ci` install or build.
    pub const ETCD: Tool = Tool::on_path("etcd", "bash .ci/kubernetes");
    pub const KUBERNETES: Tool =
        Tool::cached("the Kubernetes API server", "kubernetes/kubernetes", "bash .ci/kubernetes")
            .or_in("AFFIDAVIT_KUBERNETES");
    pub const WEED: Tool =
        Tool::cached("SeaweedFS", "weed/bin/weed", "bash .ci/seaweedfs").or_in("AFFIDAVIT_WEED");
    pub const BAO: Tool =
        Tool::cached("OpenBao", "openbao/bin/bao", "bash .ci/openbao").or_in("AFFIDAVIT_BAO");
    pub const MINISTACK: Tool =
        Tool::cached("MiniStack", "ministack/bin/ministack", "bash .ci/ministack")
            .or_in("AFFIDAVIT_MINISTACK");
    /// `bin/helm`, `bin/pushgateway`, `bin/alertmanager`, `bin/promtool`, `bin/jaeger`.
    pub const PRODUCTION: Tool = Tool::cached(
        "helm, Pushgateway, Alertmanager, promtool and Jaeger",
        "production",
        "bash .ci/production",
    )
    .or_in("AFFIDAVIT_PRODUCTION");
    /// `bin/trivy`, `bin/kubescape`, `bin/checkov`, `bin/prowler`, and policies of Kubescape.
    pub const SCANNERS: Tool = Tool::cached("scanners of others", "scanners", "bash .ci/scanners")
        .or_in("AFFIDAVIT_SCANNERS");
    /// Python with the packages of `tests/stock/requirements.txt`.
    pub const PYTHON: Tool = Tool::cached(
        "Python with the packages of tests/stock",
        "stock/python/bin/python3",
        "bash .ci/stock-tools",
    );
    /// The packages of that Python, by its version.
    pub const PYTHON_PACKAGES: Tool =
        Tool::cached("the packages of tests/stock", "stock/python/lib", "bash .ci/stock-tools");
    /// The reader of checkpoints, built from `tests/stock/notes`.
    pub const NOTES: Tool =
        Tool::cached("a reader of checkpoints in Go", "stock/bin/notes", "bash .ci/stock-tools");
    pub const COSIGN: Tool =
        Tool::cached("cosign", "stock/bin/cosign-v3.1.3", "bash .ci/stock-tools");
    /// MITRE's reader of HDF, a package for Node.
    pub const INSPECJS: Tool =
        Tool::cached("inspecjs", "stock/inspecjs-2.12.6", "bash .ci/stock-tools");
    /// Definitions of the `OpenReports` kinds (`openreports/reports-api`).
    pub const OPENREPORTS: Tool =
        Tool::cached("the OpenReports kinds", "stock/openreports-v0.2.1", "bash .ci/stock-tools");
    /// Its jars. It validates PDFs as PDF/A and PDF/UA.
    pub const VERAPDF: Tool = Tool::cached("veraPDF", "stock/verapdf", "bash .ci/stock-tools");
}
