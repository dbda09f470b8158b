//! The report: the same bytes everywhere, archival and accessible, whatever stands in the cluster.

mod sample;

use affidavit::render::{self, Template};

#[test]
fn sample_pdf() {
    let report = sample::sample();
    std::fs::write("/tmp/r/model.json", serde_json::to_vec(&report).unwrap()).unwrap();
    let pdf = render::pdf(&report, Template::Full, b"{}").unwrap();
    std::fs::write("/tmp/r/sample.pdf", pdf).unwrap();
}
