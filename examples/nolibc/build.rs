//! The arguments for the linker: no start files, no libraries, no interpreter, one segment.

use std::env::var;

fn main() {
    let architecture = var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    // Symbols, for whoever wants them, cannot be without section headers.
    let stripped = var("PROFILE").as_deref() == Ok("release") && var("CARGO_PROFILE_RELEASE_STRIP").as_deref() != Ok("false");
    // e_machine and e_flags of elf(5).
    let bare = match &*architecture {
        "x86_64" => Some((62, 0)),
        "aarch64" => Some((183, 0)),
        "riscv64" => Some((243, 5)),
        _ => None,
    };
    let mut arguments =
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,norelro"].map(String::from).to_vec();
    let script = match bare.filter(|_| stripped) {
        Some((machine, flags)) => {
            arguments.push(format!("-Wl,--oformat=binary,--defsym=MACHINE={machine},--defsym=FLAGS={flags}"));
            "bare"
        }
        None if architecture == "x86" => "link-x86",
        None => "link",
    };
    if stripped && script != "bare" {
        arguments.push("-Wl,-z,nosectionheader".into());
    }
    arguments.push(format!("-Wl,-T,{}/{script}.ld", env!("CARGO_MANIFEST_DIR")));
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-env-changed=CARGO_PROFILE_RELEASE_STRIP");
    for script in ["bare", "link", "link-x86"] {
        println!("cargo::rerun-if-changed={script}.ld");
    }
}
