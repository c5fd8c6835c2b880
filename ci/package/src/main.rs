//! The public API, a line an item: without what every type has (blanket implementations), and what no program can name.
//!
//! Argument: what rustdoc has written. Its form changes with the compiler's version, and `public-api` with it.

/// The compiler's own traits, as a path ends.
const NAMELESS: [&str; 3] = ["::Freeze for ", "::StructuralPartialEq for ", "::UnsafeUnpin for "];

fn main() {
    let json = std::env::args_os().nth(1).expect("the path of rustdoc's JSON");
    match public_api::Builder::from_rustdoc_json(json).omit_blanket_impls(true).build() {
        Ok(api) => {
            let lines = api.items().map(ToString::to_string);
            lines.filter(|line| !NAMELESS.iter().any(|name| line.contains(name))).for_each(|line| println!("{line}"));
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
