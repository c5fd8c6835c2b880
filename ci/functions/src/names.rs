//! The names of system calls, as the documentation has them.

macro_rules! table {
    ($($name:ident)+) => { &[$((stringify!($name), libc::$name as u64)),+] };
}

macro_rules! calls {
    ($($name:ident = $number:ident,)+) => { &[$((stringify!($name), libc::$number as u64)),+] };
}

/// What the library may call; another number is seen as a number.
const CALLS: &[(&str, u64)] = calls! {
    capget = SYS_capget, capset = SYS_capset, chdir = SYS_chdir, chroot = SYS_chroot, clock_gettime = SYS_clock_gettime,
    clone = SYS_clone, close = SYS_close, close_range = SYS_close_range, dup3 = SYS_dup3, execve = SYS_execve,
    exit_group = SYS_exit_group, fchdir = SYS_fchdir, fcntl = SYS_fcntl, flock = SYS_flock,
    ftruncate = SYS_ftruncate, getdents64 = SYS_getdents64, get_robust_list = SYS_get_robust_list, geteuid = SYS_geteuid,
    getgroups = SYS_getgroups, getpid = SYS_getpid,
    getppid = SYS_getppid, getresgid = SYS_getresgid, getresuid = SYS_getresuid, gettid = SYS_gettid, ioctl = SYS_ioctl, kill = SYS_kill,
    newfstatat = SYS_newfstatat, openat = SYS_openat, pidfd_open = SYS_pidfd_open, pidfd_send_signal = SYS_pidfd_send_signal,
    pipe2 = SYS_pipe2, ppoll = SYS_ppoll, prctl = SYS_prctl, prlimit64 = SYS_prlimit64, pwrite64 = SYS_pwrite64, read = SYS_read,
    readlinkat = SYS_readlinkat, rseq = SYS_rseq, rt_sigaction = SYS_rt_sigaction, rt_sigprocmask = SYS_rt_sigprocmask,
    rt_sigtimedwait = SYS_rt_sigtimedwait, sendmsg = SYS_sendmsg, set_robust_list = SYS_set_robust_list,
    set_tid_address = SYS_set_tid_address, setgroups = SYS_setgroups, setresgid = SYS_setresgid, setresuid = SYS_setresuid,
    setsid = SYS_setsid, sigaltstack = SYS_sigaltstack, socket = SYS_socket, umask = SYS_umask, unlinkat = SYS_unlinkat, unshare = SYS_unshare, wait4 = SYS_wait4, waitid = SYS_waitid,
    write = SYS_write,
};

/// The commands of those calls that are many in one.
const FCNTL: &[(&str, u64)] = table!(F_DUPFD_CLOEXEC F_GETFD F_GETLK F_OFD_SETLK F_SETFD F_SETLK);
const IOCTL: &[(&str, u64)] = table!(TIOCNOTTY TIOCSCTTY);
const PRCTL: &[(&str, u64)] = table!(PR_GET_CHILD_SUBREAPER PR_GET_TID_ADDRESS PR_SET_CHILD_SUBREAPER PR_SET_NO_NEW_PRIVS);

fn commands(call: &str) -> Option<(&'static [(&'static str, u64)], usize)> {
    match call {
        "fcntl" => Some((FCNTL, 1)),
        "ioctl" => Some((IOCTL, 1)),
        "prctl" => Some((PRCTL, 0)),
        _ => None,
    }
}

/// The call and, in parentheses, its command.
pub fn of(number: u64, arguments: &[u64]) -> String {
    let named = |table: &[(&str, u64)], number| {
        let found = table.iter().find(|(_, known)| *known == number);
        found.map_or_else(|| format!("number {number}"), |(name, _)| (*name).to_string())
    };
    let name = named(CALLS, number);
    match commands(&name) {
        Some((table, at)) => format!("{name}({})", named(table, arguments[at] & 0xffff_ffff)),
        None => name,
    }
}

/// Whether the documentation may name it so: with a command just if the call has some.
pub fn is_known(name: &str) -> bool {
    let knows = |table: &[(&str, u64)], name| table.iter().any(|(known, _)| *known == name);
    match name.split_once('(') {
        None => knows(CALLS, name) && commands(name).is_none(),
        Some((call, command)) => {
            let command = command.strip_suffix(')').unwrap_or_default();
            commands(call).is_some_and(|(table, _)| knows(table, command))
        }
    }
}

/// The call's number, whatever its command.
pub fn number(name: &str) -> i64 {
    let call = bare(name);
    CALLS.iter().find(|(known, _)| *known == call).expect("a name that is known").1 as i64
}

/// The name without its command.
pub fn bare(name: &str) -> &str {
    name.split('(').next().unwrap_or(name)
}
