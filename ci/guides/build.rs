//! Takes the programs out of the guides: what is shown is what is built.

use std::path::Path;

fn main() {
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/guide");
    println!("cargo::rerun-if-changed={}", guides.display());
    let out = std::env::var("OUT_DIR").expect("OUT_DIR");
    for (guide, before) in [("daemonize", true), ("fork", true), ("nix", true), ("python_daemon", false)] {
        let text = std::fs::read_to_string(guides.join(format!("from_{guide}.md"))).expect("a guide");
        let write = |when, fence| {
            std::fs::write(format!("{out}/{guide}_{when}.rs"), block(&text, fence)).expect("a file");
        };
        if before {
            write("before", "```rs\n");
        }
        write("after", "```no_run\n");
    }
}

/// The one block that begins so.
fn block<'a>(text: &'a str, fence: &str) -> &'a str {
    let [_, from] = text.split(fence).collect::<Vec<_>>()[..] else { panic!("not one block of {fence}") };
    from.split_once("```").expect("its end").0
}
