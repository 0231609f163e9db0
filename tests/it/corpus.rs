//! What the fuzzers found interesting so far still breaks no promise. `scripts/fuzz` looks for more.

#[path = "../../fuzz/fuzz_targets/promises.rs"]
mod promises;

use crate::support::repository;

fn replay(target: &str, promise: fn(&[u8])) {
    let folder = std::fs::read_dir(repository("fuzz/corpus").join(target)).expect("a corpus");
    let files = folder.map(|entry| entry.expect("an entry").path());
    let replayed = files
        .map(|file| {
            println!("{}", file.display());
            promise(&std::fs::read(file).expect("a file"));
        })
        .count();
    assert!(replayed > 10, "{replayed} files are no corpus");
}

#[test]
fn json_of_the_corpus_keeps_its_promises() {
    replay("json", promises::json);
}

#[test]
fn urls_of_the_corpus_keep_their_promises() {
    replay("url", promises::url);
}
