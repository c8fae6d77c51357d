//! No metric is only promised: for each there is a test that names it, because it makes
//! it move.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mesh_telemetry::catalog;

/// Rust sources below `folder` that are in a folder of tests.
fn tests(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["target", "node_modules", ".git"]
            .iter()
            .any(|it| name == *it);
        if path.is_dir() && !skipped {
            tests(&path, found);
        }
        let of_tests = path.components().any(|part| part.as_os_str() == "tests");
        if of_tests && path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_metric_is_named_by_a_test_that_moves_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Vec::new();
    tests(&root, &mut sources);
    let texts: Vec<_> = sources
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let named = |name: &str| {
        let whole = |text: &String| {
            text.match_indices(name).any(|(at, _)| {
                // `mesh_endpoints` is not in `mesh_endpoints_gone`, but in `…_bucket`.
                let rest = &text[at + name.len()..];
                let parts = ["_bucket", "_sum", "_count"];
                let part = parts.iter().any(|part| rest.starts_with(part));
                part || !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
            })
        };
        texts.iter().any(whole)
    };
    let missing: Vec<_> = catalog::METRICS
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !named(name))
        .collect();
    assert!(
        missing.is_empty(),
        "nobody tests that these move; a test of the stack, of a service or of the whole mesh \
         should, and read them from the page: {missing:#?}"
    );
}
