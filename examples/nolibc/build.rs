//! The arguments for the linker: no start files, no libraries, no interpreter, one segment.

use std::env::var;

fn main() {
    let x86 = var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86");
    let script = format!("-Wl,-T,{}/link{}.ld", env!("CARGO_MANIFEST_DIR"), if x86 { "-x86" } else { "" });
    let fixed = ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,norelro", &script];
    for argument in fixed {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    // The kernel reads no section headers. Symbols, for whoever wants them, cannot be without.
    if var("CARGO_PROFILE_RELEASE_STRIP").as_deref() != Ok("false") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,nosectionheader");
    }
    println!("cargo::rerun-if-env-changed=CARGO_PROFILE_RELEASE_STRIP");
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rerun-if-changed=link-x86.ld");
}
