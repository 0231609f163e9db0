//! How the source is arranged: an order of layers, in which nothing imports from above, and files and functions that
//! fit a reader's head. The order is that of the groups of `mod` lines in `src/lib.rs`, the highest layer first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Entries of `src`.
const ENTRIES: usize = 18;
/// Lines of code in a file, without comments, blank lines and unit tests.
const FILE: usize = 400;
/// Lines of code in a function.
const FUNCTION: usize = 60;

/// The lines of code of every file of `src`, by its path there.
fn sources() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            if !name.ends_with("tests.rs") {
                sources.insert(name, code(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    sources
}

/// Lines that are neither blank nor comments, up to the unit tests.
fn code(text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(str::trim_end);
    let lines = lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with("//"));
    lines.map(str::to_owned).collect()
}

/// The layers from the top: each group of `mod` lines is one, whose modules do not know each other.
fn layers(lib: &str) -> BTreeMap<String, usize> {
    let mut layers = BTreeMap::from([("main".to_owned(), 0), ("lib".to_owned(), 0)]);
    for (height, group) in lib.split("\n\n").enumerate() {
        for line in group.lines() {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let name = line.strip_prefix("mod ");
            layers.extend(name.map(|name| (name.trim_end_matches(';').to_owned(), height + 1)));
        }
    }
    layers
}

/// Every import that is neither from below nor from within the same folder.
fn against_the_order(
    sources: &BTreeMap<String, Vec<String>>,
    layers: &BTreeMap<String, usize>,
) -> Vec<String> {
    let mut against = Vec::new();
    for (name, lines) in sources {
        let own = name.split(['/', '.']).next().unwrap();
        let height = layers.get(own);
        if height.is_none() {
            against.push(format!("{name} is in none of the layers of lib.rs"));
        }
        for line in lines.iter().filter(|_| own != "lib") {
            if line.contains("super::super") || line.contains("crate::{") {
                against.push(format!("{name}: say where from: {}", line.trim()));
            }
            for path in line.split("crate::").skip(1) {
                let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
                let module = &path[..end.unwrap_or(path.len())];
                if module != own && layers.get(module) <= height {
                    against.push(format!("{name} imports {module}"));
                }
            }
        }
    }
    against
}

/// The functions among these lines, each with its length.
fn functions(lines: &[String]) -> Vec<(&str, usize)> {
    let mut functions = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let mut words = line.split_whitespace();
        let is_function = words.by_ref().take(5).any(|word| word == "fn");
        let declared = ["fn ", "pub", "async ", "const ", "unsafe "];
        if !is_function
            || !declared
                .iter()
                .any(|word| line.trim_start().starts_with(word))
        {
            continue;
        }
        let name = line.split("fn ").nth(1).unwrap_or_default();
        let name = name.split(['(', '<']).next().unwrap_or_default();
        let end = format!("{indent}}}");
        let length = lines[at..].iter().position(|line| *line == end);
        functions.push((name, length.map_or(1, |length| length + 1)));
    }
    functions
}

#[test]
fn nothing_imports_from_above() {
    let lib = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    let against = against_the_order(&sources(), &layers(&lib));
    assert!(against.is_empty(), "{}", against.join("\n"));
}

#[test]
fn the_source_fits_a_readers_head() {
    let sources = sources();
    let entries: BTreeSet<_> = sources.keys().map(|name| name.split('/').next()).collect();
    assert!(entries.len() <= ENTRIES, "{entries:?}");
    let long = sources.iter().filter(|(_, lines)| lines.len() > FILE);
    let long: BTreeSet<String> = long.map(|(name, _)| name.clone()).collect();
    assert_eq!(long, BTreeSet::new(), "files of more than {FILE} lines");
    let mut long = BTreeSet::new();
    for (file, lines) in &sources {
        let functions = functions(lines).into_iter();
        let functions = functions.filter(|(_, length)| *length > FUNCTION);
        long.extend(functions.map(|(name, _)| format!("{file}: {name}")));
    }
    assert_eq!(
        long,
        BTreeSet::new(),
        "functions of more than {FUNCTION} lines"
    );
}

#[test]
fn an_import_from_above_or_beside_is_found() {
    let layers = layers("mod top;\n\npub mod left;\nmod right;\n\nmod bottom;\n");
    let imports = |name: &str, text: &str| {
        let sources = BTreeMap::from([(name.to_owned(), code(text))]);
        against_the_order(&sources, &layers).len()
    };
    assert_eq!(imports("top.rs", "use crate::bottom::a;"), 0);
    assert_eq!(imports("left/a.rs", "use crate::left::b;"), 0);
    assert_eq!(imports("left/a.rs", "use crate::right::b;"), 1);
    assert_eq!(
        imports("bottom/a.rs", "    crate::top::b(crate::left::c);"),
        2
    );
    assert_eq!(imports("bottom.rs", "// crate::top"), 0);
    assert_eq!(
        imports(
            "bottom.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\nuse crate::top;\n}"
        ),
        0
    );
    assert_eq!(imports("top.rs", "use crate::unknown;"), 1);
    assert_eq!(imports("unknown.rs", ""), 1);
    let text = "impl A {\n    pub async fn b<T>(\n        a: T,\n    ) {\n        c();\n    }\n}\n";
    assert_eq!(functions(&code(text)), [("b", 5)]);
}
