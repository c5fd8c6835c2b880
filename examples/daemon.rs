//! Starts a command as a daemon, looks at it from outside, and stops it.
//!
//! ```text
//! cargo run --example daemon -- start -- sleep 300
//! cargo run --example daemon -- status
//! cargo run --example daemon -- stop
//! ```

mod tool;

use daemon_steps::ThinCStr;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStringExt;

#[allow(unsafe_code)]
unsafe extern "C" {
    static mut environ: *mut *const c_char;
}

fn main() {
    let args: Vec<CString> = std::env::args_os().filter_map(|arg| CString::new(arg.into_vec()).ok()).collect();
    let mut argv: Vec<_> = args.iter().map(|arg| Some(ThinCStr::from(&**arg))).collect();
    argv.push(None);
    // SAFETY: the program has one thread, which does not change the environment but through this block.
    #[allow(unsafe_code)]
    let first = unsafe { environ };
    // SAFETY: the C library has set `environ` up as execve(2) passes it, and it stays so.
    #[allow(unsafe_code)]
    let env = unsafe { ThinCStr::array(first) };
    daemon_steps::exit(tool::main(&argv, env));
}
