//! Ways to close descriptors.

use crate::{now, report, tell};
use daemon_steps::close_from;
use std::ffi::c_int;
use std::os::fd::AsRawFd;

const FIRST: c_int = 10;

unsafe extern "C" {
    fn closefrom(first: c_int);
}

/// Opens so many descriptors beside the few there are: how long until they are closed, and all that there might be among so many
/// numbers.
pub(crate) fn close(who: &str, descriptors: usize, numbers: usize) {
    let report = report();
    assert!(report.as_raw_fd() < FIRST);
    let end = FIRST + numbers as c_int;
    for fd in (FIRST..end).take(descriptors) {
        // SAFETY: from 10 on nothing in this process owns a descriptor.
        assert_eq!(unsafe { libc::dup2(0, fd) }, fd, "the limit of descriptors is lower");
    }
    let (who, old_kernel) = who.strip_suffix("-enosys").map_or((who, false), |who| (who, true));
    if old_kernel {
        deny_close_range();
    }
    // Once with nothing to close: what is measured is not how long it takes to find the code.
    from(who, end, end);
    let before = now();
    from(who, FIRST, end);
    let time = now() - before;
    // SAFETY: it only asks.
    let left = (FIRST..end).take(descriptors).find(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0);
    assert_eq!(left, None, "{who} has left one");
    tell(report, &[time]);
}

/// Closes all from `first` on; one after the other, up to `end`.
fn from(who: &str, first: c_int, end: c_int) {
    match who {
        // SAFETY: nobody owns what was opened here.
        "ours" => unsafe { close_from(first) }.expect("closed"),
        // SAFETY: as above.
        "glibc" => unsafe { closefrom(first) },
        // SAFETY: as above.
        "close_fds" => unsafe { close_fds::close_open_fds(first, &[]) },
        "loop" => (first..end).for_each(|fd| {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }),
        _ => panic!("nobody of this name"),
    }
}

/// As a kernel before 5.9 would answer.
fn deny_close_range() {
    let step = |code: u32, k| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut filter = [
        // The call's number is the first word.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_close_range as u32) },
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true).expect("no new privileges");
    // SAFETY: the filter is copied from where it says.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0, "a filter");
}
