//! Descriptors.

use super::{Function, MISSING, NO_PROC, NO_RANGE, of};
use crate::hostile::{cover, hide_proc};
use crate::stage::alone;
use crate::surroundings::{close, deny, deny_close_range, few_descriptors, full_table, keep_open, null};
use daemon_steps::{close_except, close_from, dup3, fill_stdio, openat};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

const CLOSE_FAILS: &str = "A `close` fails, other than with `EBADF`";
const EQUAL: &str = "The numbers are equal";

/// Closes all but one, with one gap.
fn close_all_but_one() -> Result<(), Errno> {
    let kept = null();
    keep_open(null());
    // SAFETY: nothing here uses one of the others.
    unsafe { alone(|| close_except(3, [kept.as_fd()])) }
}

fn close_all() -> Result<(), Errno> {
    keep_open(null());
    // SAFETY: nothing here uses one.
    unsafe { alone(|| close_from(3)) }
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        of("fill_stdio")
            .main(|| alone(fill_stdio).expect("filled"))
            .when(&[MISSING], || {
                close(0);
                alone(fill_stdio).expect("filled");
            })
            .when(&[MISSING], || {
                (0..3).for_each(close);
                alone(fill_stdio).expect("filled");
            })
            .when(&[MISSING], || {
                cover(c"/dev");
                close(1);
                assert_eq!(alone(fill_stdio), Err(Errno::NOENT));
            }),
        of("close_from").main(|| close_all().expect("closed")).when(&[NO_RANGE], || {
            deny_close_range();
            close_all().expect("closed");
        }),
        of("close_except")
            .main(|| close_all_but_one().expect("closed"))
            .main(|| {
                let (low, between, high) = (null(), null(), null());
                keep_open(between);
                let kept = [high.as_fd(), low.as_fd(), high.as_fd()];
                // SAFETY: nothing here uses one of the others.
                unsafe { alone(|| close_except(3, kept)) }.expect("closed");
            })
            .when(&[NO_RANGE], || {
                deny_close_range();
                close_all_but_one().expect("closed");
            })
            .when(&[NO_RANGE], || {
                deny_close_range();
                full_table();
                // SAFETY: nothing here uses one.
                unsafe { alone(|| close_except(3, [])) }.expect("closed");
            })
            .when(&[NO_RANGE, NO_PROC], || {
                hide_proc();
                deny_close_range();
                few_descriptors();
                close_all_but_one().expect("closed");
            })
            .when(&[NO_RANGE, NO_PROC, CLOSE_FAILS], || {
                deny_close_range();
                few_descriptors();
                deny(libc::SYS_close, Errno::PERM);
                assert_eq!(close_all_but_one(), Err(Errno::PERM));
            }),
        of("openat").main(|| drop(alone(|| openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty())).expect("a file"))).main(
            || {
                assert_eq!(alone(|| openat(CWD, c"/missing", OFlags::RDWR, Mode::empty())).err(), Some(Errno::NOENT));
            },
        ),
        of("dup3")
            .main(|| {
                let file = null();
                // SAFETY: nothing here uses the descriptor 30.
                unsafe { alone(|| dup3(&file, 30, true)) }.expect("a duplicate");
            })
            .main(|| {
                let file = null();
                // SAFETY: there is no such number.
                assert_eq!(unsafe { alone(|| dup3(&file, i32::MAX, true)) }, Err(Errno::BADF));
            })
            .when(&[EQUAL], || {
                let file = null();
                // SAFETY: it stays what it is.
                unsafe { alone(|| dup3(&file, file.as_raw_fd(), true)) }.expect("a flag");
            }),
    ]
}
