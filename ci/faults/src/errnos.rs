//! The errnos that the manual lists for each system call, as far as they can come to pass.
//!
//! Left out: `EFAULT`, which is for pointers that this crate does not pass; `EINTR`, which [`of`] adds where a call may wait.

use functions_proof::names::bare;
use rustix::io::Errno;

macro_rules! table {
    ($($call:literal: $($errno:ident)*;)+) => { &[$(($call, &[$(Errno::$errno),*])),+] };
}

const CALLS: &[(&str, &[Errno])] = table! {
    "capget": INVAL SRCH;
    "capset": INVAL SRCH;
    "chdir": ACCESS IO LOOP NAMETOOLONG NOENT NOMEM NOTDIR;
    "chroot": ACCESS IO LOOP NAMETOOLONG NOENT NOMEM NOTDIR;
    "clock_gettime": INVAL;
    "clone": AGAIN INVAL NOMEM NOSPC USERS;
    // It has closed by then.
    "close": DQUOT IO NOSPC;
    "close_range": INVAL MFILE NOMEM;
    "dup3": BADF BUSY INVAL MFILE;
    "execve": TOOBIG ACCESS AGAIN INVAL IO ISDIR LIBBAD LOOP MFILE NAMETOOLONG NFILE NOENT NOEXEC NOMEM NOTDIR TXTBSY;
    "fchdir": ACCESS BADF IO NOTDIR;
    "fcntl(F_DUPFD_CLOEXEC)": BADF INVAL MFILE NFILE;
    "fcntl(F_GETFD)": BADF;
    "fcntl(F_GETLK)": BADF INVAL NOLCK OVERFLOW;
    "fcntl(F_OFD_SETLK)": AGAIN BADF INVAL NOLCK;
    "fcntl(F_SETFD)": BADF;
    "fcntl(F_SETLK)": ACCESS AGAIN BADF INVAL NOLCK;
    "flock": BADF INVAL NOLCK AGAIN;
    "ftruncate": ACCESS FBIG INVAL IO ROFS TXTBSY;
    "get_robust_list": SRCH;
    "getdents64": BADF INVAL NOENT NOTDIR;
    "getgroups": INVAL;
    "getresgid": ;
    "getresuid": ;
    "gettid": ;
    "ioctl(TIOCNOTTY)": INVAL IO NOTTY;
    "ioctl(TIOCSCTTY)": INVAL IO NOTTY;
    "kill": INVAL SRCH;
    "newfstatat": ACCESS IO LOOP NAMETOOLONG NOENT NOMEM NOTDIR OVERFLOW STALE;
    "openat": ACCESS AGAIN BUSY DQUOT EXIST INVAL IO ISDIR LOOP MFILE NAMETOOLONG NFILE NODEV NOENT NOMEM NOSPC NOTDIR NXIO OVERFLOW
        ROFS STALE TXTBSY;
    "pidfd_open": INVAL MFILE NFILE NODEV NOMEM SRCH;
    "pidfd_send_signal": AGAIN BADF INVAL SRCH;
    "pipe2": INVAL MFILE NFILE NOMEM;
    "ppoll": AGAIN INVAL NOMEM;
    "prctl(PR_GET_CHILD_SUBREAPER)": INVAL;
    "prctl(PR_GET_TID_ADDRESS)": INVAL;
    "prctl(PR_GET_DUMPABLE)": INVAL;
    "prctl(PR_SET_DUMPABLE)": INVAL;
    "prctl(PR_SET_CHILD_SUBREAPER)": INVAL;
    "prctl(PR_SET_NO_NEW_PRIVS)": INVAL;
    "prlimit64": INVAL;
    "pwrite64": AGAIN DQUOT FBIG INVAL IO NOSPC;
    "read": AGAIN BADF INVAL IO ISDIR;
    "readlinkat": ACCESS INVAL IO LOOP NAMETOOLONG NOENT NOMEM NOTDIR;
    "rseq": BUSY INVAL;
    "rt_sigaction": INVAL;
    "rt_sigprocmask": INVAL;
    "rt_sigtimedwait": INVAL;
    "sendmsg": ACCESS AGAIN BADF CONNREFUSED CONNRESET INVAL IO LOOP MSGSIZE NAMETOOLONG NOBUFS NOENT NOMEM NOTDIR NOTSOCK OPNOTSUPP PIPE
        PROTOTYPE TOOMANYREFS;
    "set_robust_list": INVAL;
    "set_tid_address": ;
    "setgroups": AGAIN INVAL NOMEM;
    "setresgid": AGAIN INVAL;
    "setresuid": AGAIN INVAL;
    "setsid": ;
    "sigaltstack": INVAL NOMEM;
    "socket": ACCESS AFNOSUPPORT INVAL MFILE NFILE NOBUFS NOMEM PROTONOSUPPORT;
    "umask": ;
    "unlinkat": ACCESS BUSY INVAL IO ISDIR LOOP NAMETOOLONG NOENT NOMEM NOTDIR ROFS;
    "unshare": INVAL NOMEM NOSPC USERS;
    "wait4": CHILD INVAL;
    "waitid": CHILD INVAL;
    "write": AGAIN BADF DQUOT FBIG INVAL IO NOSPC PIPE;
};

/// Those that a signal may interrupt, or a slow device.
const WAIT: &[&str] = &[
    "close",
    "dup3",
    "fcntl(F_GETLK)",
    "fcntl(F_OFD_SETLK)",
    "fcntl(F_SETLK)",
    "flock",
    "ftruncate",
    "openat",
    "ppoll",
    "pwrite64",
    "read",
    "rt_sigtimedwait",
    "sendmsg",
    "wait4",
    "waitid",
    "write",
];

/// What an old kernel answers, and a seccomp filter.
pub const DENIALS: [Errno; 2] = [Errno::NOSYS, Errno::PERM];

/// Those that the manual says never fail, and that no filter could deny without ending most programs: with them nothing is tried.
pub const SURE: &[&str] = &["exit_group", "getpid", "getppid", "geteuid"];

/// Whether a shorter answer may come: the third argument is a length.
pub fn may_be_short(call: &str) -> bool {
    ["read", "write", "pwrite64", "getdents64"].contains(&call)
}

/// Everything that this call may fail with; none if it is not in the table.
pub fn of(call: &str) -> Option<Vec<Errno>> {
    let (_, listed) = CALLS.iter().find(|(name, _)| *name == call)?;
    let interrupted = WAIT.contains(&call).then_some(Errno::INTR);
    // A descriptor whose `close` is denied stays: nobody can help that.
    let denials = if bare(call) == "close" { [].as_slice() } else { &DENIALS };
    Some(listed.iter().copied().chain(interrupted).chain(denials.iter().copied()).collect())
}
