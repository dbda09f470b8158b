//! Every file that a Markdown page links to, and every path of ours that it names, is there.

use std::fs;
use std::path::{Path, PathBuf};

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // What is made by running things is not ours to check.
        if name.starts_with('.') || matches!(name, "target" | "archive" | "receipts-kept") {
            continue;
        }
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Folders whose paths a page names from the root of the repository.
const ROOTS: [&str; 8] = [
    "src/",
    "tests/",
    "frameworks/",
    "report-templates/",
    "examples/",
    "benches/",
    "keys/",
    "docs/",
];

#[apply(test)]
fn what_the_pages_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    pages(root, &mut all);
    assert!(all.len() > 12, "{all:?}");
    let mut missing = Vec::new();
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                missing.push(format!("{}: link {link}", page.display()));
            }
        }
        for named in text.split('`').skip(1).step_by(2) {
            let plain = named.split_whitespace().next().unwrap_or_default();
            let is_path = ROOTS.iter().any(|start| plain.starts_with(start))
                && !plain.contains(['<', '*', '{', '…']);
            if is_path && !root.join(plain).exists() && !folder.join(plain).exists() {
                // Keys and archives exist only after a run.
                if !plain.starts_with("keys/") {
                    missing.push(format!("{}: `{plain}`", page.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[apply(test)]
fn each_folder_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "frameworks", "report-templates", "keys", "tests", "examples", "benches"]
    {
        let page = root.join(folder).join("README.md");
        let text = fs::read_to_string(&page).unwrap_or_default();
        assert!(!text.is_empty() && text.lines().count() < 120, "{}", page.display());
    }
}
