//! The standard streams.

use super::{Function, of};
use crate::hostile::cover;
use crate::stage::alone;
use crate::surroundings::{close, null};
use daemon_steps::{Stream, stdio_fd, stdio_file, stdio_null};
use rustix::fd::AsFd;
use rustix::fs::Mode;
use rustix::io::Errno;

const ONE_CLOSED: &str = "One was closed";
const WAS_CLOSED: &str = "The stream was closed";
const ALREADY: &str = "`fd` is that stream already";

pub(super) fn functions() -> Vec<Function> {
    const FILE: &std::ffi::CStr = c"/mnt/log";
    const MODE: Mode = Mode::RUSR;
    vec![
        of("stdio_null")
            .main(|| alone(stdio_null).expect("redirected"))
            .main(|| {
                cover(c"/dev");
                assert_eq!(alone(stdio_null), Err(Errno::NOENT));
            })
            .when(&[ONE_CLOSED], || {
                close(0);
                alone(stdio_null).expect("redirected");
            }),
        of("stdio_file")
            .main(|| alone(|| stdio_file(Stream::Stdout, FILE, MODE)).expect("redirected"))
            .main(|| alone(|| stdio_file(Stream::Stdin, c"/dev/null", MODE)).expect("redirected"))
            .main(|| assert_eq!(alone(|| stdio_file(Stream::Stdout, c"/mnt", MODE)), Err(Errno::ISDIR)))
            .when(&[WAS_CLOSED], || {
                close(1);
                alone(|| stdio_file(Stream::Stdout, FILE, MODE)).expect("redirected");
            }),
        of("stdio_fd")
            .main(|| {
                let file = null();
                alone(|| stdio_fd(Stream::Stdout, &file)).expect("redirected");
            })
            .when(&[ALREADY], || alone(|| stdio_fd(Stream::Stdout, std::io::stdout().as_fd())).expect("a flag")),
    ]
}
