//! The arguments for the linker: no start files, no libraries, no interpreter.

fn main() {
    for argument in
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,norelro", "-Wl,-z,noseparate-code"]
    {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
