//! The items of each fixture, byte for byte: what is made faster must still write the same.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use affidavit::evidence::items::DisclosureSecret;

use crate::support::{Declared, MANY_YEARS, Said, fixtures, judge, waive_all};

/// In the form of `sha256sum`. It changes only when a reader, a framework or the format does.
const KNOWN: &str = "tests/fixtures/items.sha256";

fn items_of(sources: &[Declared]) -> (String, u64) {
    let said = Said { waivers: waive_all("W", "2030-01-01"), ..Said::default() };
    let salter = DisclosureSecret::new([7; 32]).salter("evidence.example.com/test", 41);
    let evaluation = judge(sources, &said, MANY_YEARS);
    let items = evaluation.write_items(Some("A run is missing."), &|id| salter.salt(id)).unwrap();
    (items.digest.to_string(), items.size)
}

#[apply(test)]
fn the_items_of_each_fixture_are_the_known_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = String::new();
    let mut all: Vec<Declared> = Vec::new();
    for report in &fixtures() {
        let source = Declared::new(&report.scanner, &[&report.bytes]);
        let (digest, size) = items_of(std::slice::from_ref(&source));
        assert!(size > 0);
        writeln!(found, "{digest}  {}", report.name).unwrap();
        match all.iter_mut().find(|known| known.scanner == source.scanner) {
            Some(known) => known.files.extend(source.files),
            None => all.push(source),
        }
    }
    writeln!(found, "{}  all of them in one run", items_of(&all).0).unwrap();
    // So much that it is done on several threads.
    for source in &mut all {
        source.files = vec![source.files.clone(); 20].concat();
    }
    writeln!(found, "{}  all of them, 20 times, in one run", items_of(&all).0).unwrap();
    let known = fs::read_to_string(root.join(KNOWN)).unwrap_or_default();
    assert!(found == known, "{KNOWN} is not what was found:\n{found}");
}
