//! Linked as examples/nolibc is.

fn main() {
    let script = concat!("-Wl,-T,", env!("CARGO_MANIFEST_DIR"), "/../../examples/nolibc/link.ld");
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,norelro", script] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-z,nosectionheader");
    println!("cargo::rerun-if-changed=../../examples/nolibc/link.ld");
}
