//! The process that moves: seen in `/proc`, by its parent, and by what still works in it afterwards.
//!
//! P is the process that calls, C the one between, D the daemon.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{
    CloseFds, Detached, Error, Fork, Plan, SignalSet, Step, Steps, Stream, ThinCStr, Way, block_signals, detach, execve, exit,
    exit_status, fork, handoff, handoff_until_ready, reap, set_child_subreaper, setsid, stdio_fd, tiocsctty,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use support::hostile::{self, Halt};
use support::{
    LIMIT, Running, argument, fixture, path_argument, proc, root_test, tell, temp_dir, test, until, wait_byte, wait_end,
    wait_release, word,
};

fn main() {
    support::main(
        &[
            ("moves", moves),
            ("lives_on", lives_on),
            ("leaves_a_robust_mutex", leaves_a_robust_mutex),
            ("keeps_a_mutex", keeps_a_mutex),
            ("has_an_area", has_an_area),
            ("aborts", aborts),
            ("overflows", overflows),
            ("remembers", remembers),
            ("refused", refused),
            ("refused_once", refused_once),
            ("fails", fails),
            ("halts", halts),
            ("waits", waits),
            ("hears", hears),
            ("daemonizes", daemonizes),
            ("daemonizes_halted", daemonizes_halted),
            ("halts_everywhere", halts_everywhere),
            ("shows_its_stack", shows_its_stack),
            ("storm", storm),
        ],
        tests(),
    );
}

fn tests() -> Vec<libtest_mimic::Trial> {
    if cfg!(target_env = "musl") {
        return vec![test("another_library_than_glibc_is_refused_or_forks", another_library)];
    }
    vec![
        test("the_daemon_is_a_new_process_in_a_session_it_does_not_lead", the_daemon_is_new),
        test("mask_handlers_and_descriptors_are_as_before", mask_handlers_and_descriptors_are_as_before),
        test("what_the_library_keeps_for_a_thread_works_afterwards", the_library_works_afterwards),
        test("a_robust_mutex_is_given_up_by_the_daemons_end", a_robust_mutex_is_given_up),
        test("the_parents_end_gives_up_no_mutex", the_parents_end_gives_up_no_mutex),
        test("the_parent_writes_no_processor_into_the_daemons_memory", the_parent_writes_no_processor),
        test("abort_ends_the_daemon_by_its_signal", abort_ends_the_daemon_by_its_signal),
        test("a_stack_overflow_is_told_as_such", a_stack_overflow_is_told_as_such),
        test("a_gigabyte_stays_where_it_is", a_gigabyte_stays_where_it_is),
        test("each_precondition_has_an_errno", each_precondition_has_an_errno),
        root_test("a_new_pid_namespace_is_refused", a_new_pid_namespace_is_refused),
        test("a_refused_process_can_move_later", a_refused_process_can_move_later),
        test("a_failed_call_changes_nothing", a_failed_call_changes_nothing),
        test("killed_between_the_clones_the_caller_hears_of_it", killed_between_the_clones),
        test("killed_after_the_clones_nobody_minds", killed_after_the_clones),
        test("a_parent_killed_in_its_sleep_is_not_missed", a_parent_killed_in_its_sleep),
        test("the_parent_ends_as_the_daemon_says", the_parent_ends_as_the_daemon_says),
        test("the_parents_own_stack_is_used_for_a_small_part", the_parents_own_stack),
        test("the_parent_ends_by_its_terminal_and_runs_no_handler", the_parent_hears_its_terminal),
        test("the_parent_ends_by_a_key_of_its_terminal", the_parent_ends_by_a_key),
        test("a_failed_step_is_the_callers_error", a_failed_step_is_the_callers_error),
        root_test("a_failed_change_of_ids_leaves_the_callers_memory_as_it_was", a_failed_change_of_ids),
        test("a_daemon_that_dies_in_its_steps_is_the_callers_outcome", a_daemon_that_dies_in_its_steps),
        test("a_step_past_the_timeout_is_the_callers_error", a_step_past_the_timeout),
        test("a_daemonized_process_has_moved", a_daemonized_process_has_moved),
        test("where_it_is_refused_the_plan_may_allow_forks", the_plan_may_allow_forks),
        test("a_signal_at_each_call_is_handled_by_the_daemon_alone", signals_at_each_call),
        test("signals_in_every_phase", signals_in_every_phase),
    ]
}

/// A fixture that can move. Without the feature `std` it must not have the C library's `rseq`.
fn mover(name: &str) -> support::Fixture {
    let fixture = fixture(name);
    if cfg!(feature = "std") { fixture } else { fixture.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0") }
}

static HANDLED: AtomicU32 = AtomicU32::new(0);
/// In which process, the first few times.
static HANDLED_BY: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

extern "C" fn count(_: i32) {
    if let Some(by) = HANDLED_BY.get(HANDLED.fetch_add(1, Ordering::Relaxed) as usize) {
        by.store(std::process::id(), Ordering::Relaxed);
    }
}

/// Has the signal counted, on the alternate stack, which has no room for one handler above another on every processor.
fn handle(signal: i32) {
    // SAFETY: a plain structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the library writes the set.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    // SAFETY: the handler only counts.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
}

/// Waits until the test lets go, and leaves its steps to others.
fn wait_end_of_test() {
    let [_, hear] = support::channel();
    let mut fds = [PollFd::from_borrowed_fd(hear, PollFlags::empty())];
    rustix::io::retry_on_intr(|| poll(&mut fds, None)).expect("an end");
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("a signal");
}

fn raw_call(number: i64, arguments: [usize; 4]) -> i64 {
    let [a, b, c, d] = arguments;
    // SAFETY: the caller's, which asks only, or about places that stay.
    unsafe { libc::syscall(number, a, b, c, d) }
}

/// What the kernel and the C library have for this task, and whether its memory may be dumped.
fn task() -> String {
    let mut said = String::new();
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: the kernel writes one structure.
    unsafe { libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr()) };
    // SAFETY: it has.
    let stack = unsafe { stack.assume_init() };
    let (mut head, mut length, mut tid) = (0_usize, 0_usize, std::ptr::null::<i32>());
    raw_call(libc::SYS_get_robust_list, [0, &raw mut head as usize, &raw mut length as usize, 0]);
    raw_call(libc::SYS_prctl, [40, &raw mut tid as usize, 0, 0]);
    // EFAULT if nothing is registered, EINVAL if something is.
    raw_call(libc::SYS_rseq, [!31, 32, 0, 0]);
    let rseq = std::io::Error::last_os_error().raw_os_error();
    // SAFETY: glibc has the thread's id there.
    let cached = unsafe { tid.read_volatile() } == rustix::thread::gettid().as_raw_nonzero().get();
    let dumps = raw_call(libc::SYS_prctl, [libc::PR_GET_DUMPABLE as usize, 0, 0, 0]);
    write!(said, "{:p} {} {head:x} {tid:p} {cached} {rseq:?} {dumps}", stack.ss_sp, stack.ss_size).expect("a string");
    said
}

fn moves() {
    block_signals(SignalSet::from(Signal::USR1)).expect("block");
    handle(libc::SIGUSR2);
    daemon_steps::ignore_signal(Signal::HUP).expect("ignore");
    let before = task();
    tell(before.clone());
    wait_byte();
    handoff().expect("moved");
    tell(std::process::id());
    tell(task());
    wait_byte();
    tell(HANDLED.load(Ordering::Relaxed));
}

fn the_daemon_is_new() {
    let mut running = mover("moves").start();
    running.hear();
    running.step();
    let daemon = running.hear_pid();
    running.hear();
    assert_eq!(running.status().code(), Some(0));
    let (parent, session) = (running.pid(), proc::session(daemon));
    assert!(daemon != parent && session != daemon && session != parent, "{parent} {daemon} {session}");
    assert_eq!(proc::group(daemon), session);
    assert_ne!(session, proc::session(std::process::id() as i32));
    assert_eq!(proc::terminal(daemon), 0);
    until("the daemon is somebody else's", || proc::parent(daemon) != parent);
    // The session's leader has gone.
    assert!(!Path::new(&format!("/proc/{session}")).exists());
    running.step();
    assert_eq!(running.hear_all(), "0\n");
}

fn mask_handlers_and_descriptors_are_as_before() {
    let mut running = mover("moves").start();
    let task = running.hear();
    let seen = |pid| {
        let sets = ["SigBlk", "SigIgn", "SigCgt"].map(|set| proc::signals(pid, set));
        (sets, proc::fds(pid), proc::cwd(pid), proc::exe(pid), proc::environ(pid))
    };
    let before = seen(running.pid());
    running.step();
    let daemon = running.hear_pid();
    assert_eq!(running.hear(), task);
    assert!(task.contains("true"), "{task}");
    assert_eq!(seen(daemon), before);
    signal(daemon, Signal::USR2);
    until("the signal is taken", || proc::signals(daemon, "ShdPnd") == 0);
    running.step();
    assert_eq!(running.hear(), "1");
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

struct Last(&'static str);

impl Drop for Last {
    fn drop(&mut self) {
        tell(self.0);
    }
}

/// All of it in the daemon. What was begun before the move goes on after it.
fn lives_on() {
    LAST.with(|last| *last.borrow_mut() = Some(Last("the main thread's")));
    let shared = std::sync::Arc::new(std::sync::Mutex::new(1));
    let kept = shared.lock().expect("free");
    handoff().expect("moved");
    drop(kept);

    let adders: Vec<_> = (0..4)
        .map(|_| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                LAST.with(|last| *last.borrow_mut() = Some(Last("a thread's")));
                *shared.lock().expect("sound") += 1;
            })
        })
        .collect();
    for adder in adders {
        adder.join().expect("joined");
    }
    tell(*shared.lock().expect("sound"));

    tell(std::panic::catch_unwind(|| std::panic::panic_any(7)).expect_err("a panic").downcast_ref::<i32>().expect("a number"));

    for robust in [false, true] {
        for protocol in [libc::PTHREAD_PRIO_NONE, libc::PTHREAD_PRIO_INHERIT] {
            tell(format!("{:?}", uses_mutex(protocol, robust)));
        }
    }

    tell(Command::new("/bin/sh").args(["-c", "exit 3"]).status().expect("a child").code().expect("a status"));
    tell(timer());
    tell(cpus());
    // SAFETY: the library's, which runs the main thread's destructors.
    unsafe { libc::exit(0) };
}

/// A mutex of the C library, which checks its owner. It stays.
#[derive(Clone, Copy)]
struct Mutex(*mut libc::pthread_mutex_t);

// SAFETY: that is what it is for.
unsafe impl Send for Mutex {}

impl Mutex {
    #[allow(clippy::multiple_unsafe_ops_per_block)]
    fn new(place: *mut libc::pthread_mutex_t, protocol: i32, robust: i32) -> Self {
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are initialised first; the place stays.
        unsafe {
            libc::pthread_mutexattr_init(attributes);
            libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK);
            libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_setprotocol(attributes, protocol);
            libc::pthread_mutexattr_setrobust(attributes, robust);
            assert_eq!(libc::pthread_mutex_init(place, attributes), 0);
        }
        Self(place)
    }

    fn lock(self) -> i32 {
        // SAFETY: initialised.
        unsafe { libc::pthread_mutex_lock(self.0) }
    }

    fn try_lock(self) -> i32 {
        // SAFETY: initialised.
        unsafe { libc::pthread_mutex_trylock(self.0) }
    }

    fn unlock(self) -> i32 {
        // SAFETY: initialised.
        unsafe { libc::pthread_mutex_unlock(self.0) }
    }

    fn consistent(self) -> i32 {
        // SAFETY: initialised.
        unsafe { libc::pthread_mutex_consistent(self.0) }
    }
}

/// What lock and unlock say; and lock again, when another thread has ended with it, or without if it is not robust.
fn uses_mutex(protocol: i32, robust: bool) -> [i32; 4] {
    let place = Box::into_raw(Box::new(MaybeUninit::<libc::pthread_mutex_t>::uninit())).cast();
    let mutex = Mutex::new(place, protocol, if robust { libc::PTHREAD_MUTEX_ROBUST } else { libc::PTHREAD_MUTEX_STALLED });
    let [locked, unlocked] = [mutex.lock(), mutex.unlock()];
    let other = move || {
        let mutex = mutex;
        if mutex.lock() == 0 && !robust {
            mutex.unlock();
        }
    };
    std::thread::spawn(other).join().expect("joined");
    let again = mutex.lock();
    if robust {
        mutex.consistent();
    }
    [locked, unlocked, again, mutex.unlock()]
}

/// The signal that a timer sends.
fn timer() -> i32 {
    let alarm = SignalSet::from(Signal::ALARM);
    block_signals(alarm).expect("block");
    let soon = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: libc::timeval { tv_sec: 0, tv_usec: 1000 },
    };
    // SAFETY: the kernel reads the time.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const soon, std::ptr::null_mut()) }, 0);
    daemon_steps::wait_signal(alarm, Some(LIMIT)).expect("a wait").expect("a signal in time")
}

/// Whether the processor that the library names is the one that the thread is bound to: each in turn, there and back.
fn cpus() -> bool {
    let allowed = sched_getaffinity(None).expect("the processors");
    let cpus: Vec<_> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    cpus.iter().chain(cpus.iter().rev()).all(|&cpu| {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).expect("bound");
        // SAFETY: it only asks.
        usize::try_from(unsafe { libc::sched_getcpu() }) == Ok(cpu)
    })
}

fn the_library_works_afterwards() {
    let (told, status) = mover("lives_on").run();
    let owner_died = libc::EOWNERDEAD;
    // A static glibc runs the destructors of other threads only, moved or not.
    let last = if cfg!(target_feature = "crt-static") { "" } else { "the main thread's\n" };
    let lines = [
        "a thread's\n".repeat(4),
        "5\n7\n".into(),
        "[0, 0, 0, 0]\n".repeat(2),
        format!("[0, 0, {owner_died}, 0]\n").repeat(2),
        format!("3\n{}\ntrue\n{last}", libc::SIGALRM),
    ];
    assert_eq!((told, status.code()), (lines.concat(), Some(0)));
}

/// Memory that stays shared across a fork.
fn shared_page() -> *mut libc::c_void {
    let (flags, access) = (libc::MAP_SHARED | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: new memory.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    page
}

/// The daemon ends with a mutex locked; its former child then wants it.
fn leaves_a_robust_mutex() {
    let mutex = Mutex::new(shared_page().cast(), libc::PTHREAD_PRIO_NONE, libc::PTHREAD_MUTEX_ROBUST);
    let (ends, daemon) = rustix::pipe::pipe().expect("a pipe");
    if fork() == Ok(Fork::Child) {
        drop(daemon);
        assert_eq!(rustix::io::read(&ends, &mut [0; 1][..]), Ok(0));
        // The kernel gives up a process's mutexes before it closes its files.
        tell(mutex.try_lock());
        return;
    }
    handoff().expect("moved");
    tell(mutex.lock());
    exit(0);
}

fn a_robust_mutex_is_given_up() {
    assert_eq!(mover("leaves_a_robust_mutex").run().0, format!("0\n{}\n", libc::EOWNERDEAD));
}

/// Locked before the move: by a thread id that nobody has any more, and that the former parent's end does not give up.
fn keeps_a_mutex() {
    let mutex = Mutex::new(shared_page().cast(), libc::PTHREAD_PRIO_NONE, libc::PTHREAD_MUTEX_ROBUST);
    assert_eq!(mutex.lock(), 0);
    let former = std::process::id();
    handoff().expect("moved");
    until("the parent ends", || std::os::unix::process::parent_id() != former);
    tell(mutex.try_lock());
}

fn the_parents_end_gives_up_no_mutex() {
    assert_eq!(mover("keeps_a_mutex").run().0, format!("{}\n", libc::EBUSY));
}

/// The parent, which is woken on one processor, writes nothing about it into the memory of the daemon, which is on another.
fn has_an_area() {
    let allowed = sched_getaffinity(None).expect("the processors");
    let cpus: Vec<_> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).take(2).collect();
    let [mine, others] = cpus[..] else {
        support::weakened("there is one processor only");
        tell(true);
        return;
    };
    let bind = |pid, cpu| {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(pid, &one).expect("bound");
    };
    let parent = std::process::id() as i32;
    let notifier = handoff_until_ready(None).expect("moved");
    bind(None, mine);
    bind(Pid::from_raw(parent), others);
    // Without a system call meanwhile: the kernel would put the right number back.
    let undisturbed = (0..200).all(|_| {
        notifier.announce().expect("told");
        // SAFETY: it only asks.
        (0..20_000).all(|_| usize::try_from(unsafe { libc::sched_getcpu() }) == Ok(mine))
    });
    tell(undisturbed);
    notifier.ready().expect("told");
}

fn the_parent_writes_no_processor() {
    assert_eq!(mover("has_an_area").run().0, "true\n");
}

/// A subreaper, whose child becomes a daemon that does what it is told to; tells how both have ended.
fn reaper(act: fn()) {
    set_child_subreaper(true).expect("a subreaper");
    if let Fork::Parent(parent) = fork().expect("a fork") {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::empty()) {
            let who = if pid == parent { "parent" } else { "daemon" };
            tell(format!("{who} {:?} {:?}", status.exit_status(), status.terminating_signal()));
        }
        return;
    }
    handoff().expect("moved");
    act();
}

fn sorted(told: &str) -> Vec<&str> {
    let mut lines: Vec<_> = told.lines().collect();
    lines.sort_unstable();
    lines
}

fn aborts() {
    no_core();
    reaper(|| std::process::abort());
}

fn no_core() {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit");
}

fn abort_ends_the_daemon_by_its_signal() {
    let told = mover("aborts").run().0;
    assert_eq!(sorted(&told), ["daemon None Some(6)", "parent Some(0) None"]);
}

fn overflows() {
    fn deeper(n: u64) -> u64 {
        if std::hint::black_box(n) == 0 { 0 } else { deeper(n - 1) + std::hint::black_box(n) }
    }
    no_core();
    reaper(|| tell(deeper(u64::MAX)));
}

fn a_stack_overflow_is_told_as_such() {
    let dir = temp_dir();
    let path = dir.path().join("stderr");
    let mut fixture = mover("overflows");
    fixture.command.stderr(std::fs::File::create(&path).expect("a file"));
    let told = fixture.run().0;
    assert_eq!(sorted(&told), ["daemon None Some(6)", "parent Some(0) None"]);
    let message = std::fs::read_to_string(path).expect("a message");
    assert!(message.contains("has overflowed its stack"), "{message}");
}

/// A gigabyte, each page with a number of its own.
fn remembers() {
    const PAGE: usize = 4096;
    let mut memory = vec![0_u8; 1 << 30];
    let number = |n: usize| (n % 251) as u8;
    memory.chunks_mut(PAGE).enumerate().for_each(|(n, page)| page[n % PAGE] = number(n));
    let address = memory.as_ptr();
    handoff().expect("moved");
    let kept = memory.chunks(PAGE).enumerate().all(|(n, page)| page[n % PAGE] == number(n));
    tell(kept && memory.as_ptr() == address);
    drop(memory);
    tell(vec![1_u8; 1 << 20].iter().map(|byte| u32::from(*byte)).sum::<u32>());
}

fn a_gigabyte_stays_where_it_is() {
    assert_eq!(mover("remembers").run().0, "true\n1048576\n");
}

// Refused

extern "C" fn in_shared_memory(_: *mut libc::c_void) -> i32 {
    tell(word(handoff()));
    0
}

/// A child that has this process's memory, which sleeps meanwhile.
fn beside_a_vfork_parent() {
    let mut stack = vec![0_u8; 1 << 18];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child has a stack of its own, and this process waits for its end.
    let child = unsafe { libc::clone(in_shared_memory, stack.as_mut_ptr_range().end.cast(), flags, std::ptr::null_mut()) };
    assert!(child > 0);
    rustix::process::wait(WaitOptions::empty()).expect("its end");
}

#[cfg(target_arch = "x86_64")]
const RSEQ_SIGNATURE: usize = 0x5305_3053;
#[cfg(not(target_arch = "x86_64"))]
const RSEQ_SIGNATURE: usize = 0xd428_bc00;

fn refused() {
    let before = task();
    match argument(1).as_str() {
        "thread" => hostile::with_second_thread(|| tell(word(handoff()))),
        "vfork" => beside_a_vfork_parent(),
        "nothing" => tell(word(handoff())),
        "unshare" => {
            hostile::deny(&[(libc::SYS_unshare, Errno::PERM)]);
            tell(word(handoff()));
        }
        "unshare_and_thread" => {
            hostile::deny(&[(libc::SYS_unshare, Errno::PERM)]);
            hostile::with_second_thread(|| tell(word(handoff())));
        }
        "library" => {
            // A number that is no thread's.
            let elsewhere = Box::leak(Box::new(0_i32));
            raw_call(libc::SYS_set_tid_address, [&raw mut *elsewhere as usize, 0, 0, 0]);
            tell(word(handoff()));
            return;
        }
        "rseq" => {
            #[repr(align(32))]
            struct Area([u8; 32]);
            let area = Box::leak(Box::new(Area([0; 32])));
            let register = || raw_call(libc::SYS_rseq, [area.0.as_ptr() as usize, 32, 0, RSEQ_SIGNATURE]);
            assert_eq!(register(), 0);
            tell(word(handoff()));
            // It still is.
            assert_eq!((register(), Errno::from_io_error(&std::io::Error::last_os_error())), (-1, Some(Errno::BUSY)));
            return;
        }
        "prctl" => {
            hostile::deny_if(&[(libc::SYS_prctl, Some(40), Errno::INVAL)]);
            tell(word(handoff()));
            return;
        }
        "namespace" => {
            // SAFETY: children get a pid namespace of their own; this process, of one thread, stays as it is.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) }.expect("a pid namespace");
            tell(word(handoff()));
        }
        "denied_rseq" => {
            hostile::deny(&[(libc::SYS_rseq, Errno::PERM)]);
            tell(word(handoff()));
            return;
        }
        "robust" => {
            hostile::deny(&[(libc::SYS_get_robust_list, Errno::PERM)]);
            tell(word(handoff()));
            return;
        }
        _ => {
            let notifier = handoff_until_ready(None).expect("moved");
            tell(word(handoff()));
            notifier.ready().expect("ready");
            return;
        }
    }
    assert_eq!(task(), before);
}

fn each_precondition_has_an_errno() {
    let cases = [
        ("thread", Errno::BUSY),
        ("vfork", Errno::USERS),
        ("unshare", Errno::USERS),
        ("unshare_and_thread", Errno::BUSY),
        ("library", Errno::LIBACC),
        ("robust", Errno::PERM),
        ("denied_rseq", Errno::ADDRINUSE),
        ("a parent that waits", Errno::USERS),
    ];
    for (case, errno) in cases {
        assert_eq!(mover("refused").arg(case).run().0, format!("{}\n", errno.raw_os_error()), "{case}");
    }
    // The library's own is not in the way of the other.
    let foreign = fixture("refused").env("GLIBC_TUNABLES", "glibc.pthread.rseq=0").arg("rseq").run().0;
    assert_eq!(foreign, format!("{}\n", Errno::ADDRINUSE.raw_os_error()));
    // Without the feature the library's own is another's.
    let (case, errno) = if cfg!(feature = "std") { ("prctl", Errno::LIBACC) } else { ("nothing", Errno::ADDRINUSE) };
    assert_eq!(fixture("refused").arg(case).run().0, format!("{}\n", errno.raw_os_error()));
}

fn a_new_pid_namespace_is_refused() {
    assert_eq!(mover("refused").arg("namespace").run().0, format!("{}\n", Errno::INVAL.raw_os_error()));
}

fn refused_once() {
    let me = std::process::id();
    assert_eq!(hostile::with_second_thread(handoff), Err(Errno::BUSY));
    assert_eq!(std::process::id(), me);
    // And one that has moved moves again, once its former parent has ended.
    for waits in [false, true, false, true] {
        let former = std::process::id();
        if waits {
            handoff_until_ready(None).expect("moved").ready().expect("ready");
        } else {
            handoff().expect("moved");
        }
        until("the parent ends", || std::os::unix::process::parent_id() != former);
    }
    tell("ok");
}

fn a_refused_process_can_move_later() {
    let (told, status) = mover("refused_once").run();
    assert_eq!((told.as_str(), status.code()), ("ok\n", Some(0)));
}

// Calls that fail

/// The flags of the two clones.
const LEND: u32 = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES) as u32;
const GIVE: u32 = (libc::CLONE_VM | libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID) as u32;

fn fails() {
    handle(libc::SIGCHLD);
    handle(libc::SIGUSR2);
    block_signals(SignalSet::from(Signal::USR1)).expect("block");
    let errno = Errno::from_raw_os_error(argument(2).parse().expect("a number"));
    match argument(1).as_str() {
        "limit" => {
            hostile::without_root();
            setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit");
        }
        "first" => hostile::deny_if(&[(libc::SYS_clone, Some(LEND), errno)]),
        "second" => hostile::deny_if(&[(libc::SYS_clone, Some(GIVE), errno)]),
        "setsid" => hostile::deny(&[(libc::SYS_setsid, errno)]),
        "mask" => hostile::deny(&[(libc::SYS_rt_sigprocmask, errno)]),
        _ => panic!("no such case"),
    }
    tell("before");
    wait_byte();
    let before = task();
    let refused = handoff();
    tell(word(refused));
    tell(task() == before);
    let refused = handoff_until_ready(None);
    tell(word(refused));
    tell(task() == before && HANDLED.load(Ordering::Relaxed) == 0);
    wait_release();
}

fn a_failed_call_changes_nothing() {
    let cases = [
        ("limit", Errno::AGAIN),
        ("first", Errno::AGAIN),
        ("first", Errno::NOMEM),
        ("second", Errno::AGAIN),
        ("second", Errno::from_raw_os_error(4000)),
        ("setsid", Errno::PERM),
        ("mask", Errno::PERM),
    ];
    for (case, errno) in cases {
        let mut running = mover("fails").arg(case).arg(errno.raw_os_error().to_string()).start();
        let pid = running.pid();
        let seen = || {
            let sets = ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"].map(|set| proc::signals(pid, set));
            (sets, proc::fds(pid), proc::session(pid), proc::group(pid), proc::children(pid))
        };
        assert_eq!(running.hear(), "before");
        let before = seen();
        running.step();
        for expected in [&*errno.raw_os_error().to_string(), "true"].repeat(2) {
            assert_eq!(running.hear(), expected, "{case} {errno:?}");
        }
        assert_eq!(seen(), before, "{case} {errno:?}");
    }
}

// Processes that are killed on the way

/// Moves, halted where its first argument says; tells who is halted. The second says what becomes of the first that is.
fn halts() {
    let call = argument(1).parse().expect("a number");
    let mut halt = Halt::at(&[call]);
    let actor = halt.start(|| {
        let moved = handoff();
        tell(format!("{} {}", std::process::id(), word(moved)));
        wait_end_of_test();
    });
    tell(actor.as_raw_nonzero());
    let mut kills = argument(2) == "kills";
    while let Some(halted) = halt.next() {
        tell(halted.pid);
        wait_byte();
        if std::mem::take(&mut kills) {
            signal(halted.pid, Signal::KILL);
        } else {
            halt.go(halted);
        }
        reap(|_, _| ()).expect("reaped");
    }
}

/// P, and C that is halted; and D, which runs already if C is about to exit.
fn halted(call: i64, then: &str) -> (Running, i32, i32, Option<i32>) {
    let running = mover("halts").arg(call.to_string()).arg(then).start();
    let count = if call == libc::SYS_exit_group { 3 } else { 2 };
    let lines: Vec<_> = (0..count).map(|_| running.hear()).collect();
    let daemon = lines.iter().find_map(|line| line.strip_suffix(" ok")).map(|daemon| daemon.parse().expect("a pid"));
    let [parent, between] = lines.iter().filter_map(|line| line.parse().ok()).collect::<Vec<_>>()[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(proc::parent(between), parent);
    (running, parent, between, daemon)
}

fn killed_between_the_clones() {
    let (mut running, parent, _, _) = halted(libc::SYS_setsid, "kills");
    running.step();
    assert_eq!(running.hear(), format!("{parent} {}", Errno::CHILD.raw_os_error()));
    assert!(proc::children(parent).is_empty());
    running.release();
    assert_eq!(running.hear_all(), "");
}

fn killed_after_the_clones() {
    let (mut running, parent, between, daemon) = halted(libc::SYS_exit_group, "kills");
    let daemon = daemon.expect("moved");
    assert_eq!(proc::children(parent), [between, daemon]);
    running.step();
    assert_eq!(running.hear_pid(), parent);
    running.step();
    wait_end(parent);
    running.release();
    // Where it ends.
    assert_eq!(running.hear_pid(), daemon);
}

fn a_parent_killed_in_its_sleep() {
    let (mut running, parent, between, _) = halted(libc::SYS_setsid, "goes");
    signal(parent, Signal::KILL);
    wait_end(parent);
    running.step();
    let line = running.hear();
    let daemon: i32 = line.strip_suffix(" ok").expect("moved").parse().expect("a pid");
    wait_end(between);
    assert_eq!(proc::session(daemon), between);
    running.release();
    wait_end(daemon);
}

// The parent that waits

fn waits() {
    no_core();
    let timeout = (argument(1) == "late").then(|| Duration::from_millis(50));
    let notifier = handoff_until_ready(timeout).expect("moved");
    tell(std::process::id());
    wait_byte();
    match argument(1).as_str() {
        "ready" => {
            notifier.announce().expect("told");
            notifier.ready().expect("told");
            wait_release();
        }
        "failed" => {
            notifier.failed(Step::Chdir.failed(Errno::NOENT)).expect("told");
            exit(5);
        }
        "failed_zero" => notifier.failed(Step::Chdir.failed(Errno::NOENT)).expect("told"),
        "dropped" => drop(notifier),
        "exit" => exit(7),
        "exit_zero" => exit(0),
        "abort" => std::process::abort(),
        "executes" => {
            let [_, hear] = support::channel();
            stdio_fd(Stream::Stdin, hear).expect("stdin");
            let argv = [c"/bin/sh", c"-c", c"read end"].map(|word| Some(ThinCStr::from(word)));
            let argv: Vec<_> = argv.into_iter().chain([None]).collect();
            panic!("{}", execve(c"/bin/sh", &argv, &[Cell::new(None)]));
        }
        _ => wait_release(),
    }
}

fn the_parent_ends_as_the_daemon_says() {
    let cases = [
        ("ready", 0),
        ("failed", 5),
        ("failed_zero", 1),
        ("dropped", 1),
        ("exit", 7),
        ("exit_zero", 1),
        ("abort", 128 + 6),
        ("executes", 0),
        ("late", 1),
    ];
    for (case, status) in cases {
        let mut running = mover("waits").arg(case).start();
        let daemon = running.hear_pid();
        assert!(case == "late" || proc::parent(daemon) == running.pid(), "{case}");
        if case != "late" {
            until("the parent waits", || proc::state(running.pid()) == "S");
            running.step();
        }
        assert_eq!(running.status().code(), Some(status), "{case}");
        if case == "ready" || case == "executes" {
            assert_ne!(proc::state(daemon), "Z");
        }
        running.release();
        wait_end(daemon);
    }
}

/// What the parent has used of its own stack when it ends with the status of a daemon that it has waited for.
fn shows_its_stack() {
    let (mut halt, parent) = Halt::only(&[libc::SYS_ppoll, libc::SYS_exit_group], || {
        std::mem::forget(handoff_until_ready(None).expect("moved"));
        if argument(1) == "executes" {
            let argv = [c"/bin/sh", c"-c", c"exit 7"].map(|word| Some(ThinCStr::from(word)));
            let argv: Vec<_> = argv.into_iter().chain([None]).collect();
            panic!("{}", execve(c"/bin/sh", &argv, &[Cell::new(None)]));
        }
        exit(7);
    });
    let parent = parent.as_raw_nonzero().get();
    let mut highest = 0;
    while let Some(halted) = halt.next() {
        if halted.pid == parent {
            until("the process halts", || proc::stack_pointer(parent).is_some());
            highest = highest.max(proc::stack_pointer(parent).expect("it halts"));
        }
        if halted.pid == parent && halted.call == libc::SYS_exit_group {
            let below = proc::memory(parent, highest - OWN_STACK, OWN_STACK);
            tell(OWN_STACK - below.iter().take_while(|byte| **byte == 0).count());
        }
        halt.go(halted);
    }
}

/// The most part of it, below where it stands when it waits.
const OWN_STACK: usize = 12 * 1024;

/// It has no guard: what is below it is other memory of the library.
fn the_parents_own_stack() {
    for case in ["exits", "executes"] {
        let used: usize = mover("shows_its_stack").arg(case).run().0.trim_end().parse().expect("a number");
        assert!(used > 0 && used < OWN_STACK / 2, "{case}: {used}");
    }
}

/// Waits with handlers, which must not run in the parent, and with signals blocked; one more is ignored.
fn hears() {
    let caught = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGALRM];
    caught.into_iter().for_each(handle);
    daemon_steps::ignore_signal(Signal::from_named_raw(argument(1).parse().expect("a number")).expect("a signal"))
        .expect("ignore");
    block_signals(SignalSet::from(Signal::TERM)).expect("block");
    let notifier = handoff_until_ready(None).expect("moved");
    tell(std::process::id());
    wait_byte();
    tell(HANDLED.load(Ordering::Relaxed));
    notifier.ready().expect("ready, whoever hears it");
    wait_release();
}

fn the_parent_hears_its_terminal() {
    for (ending, ignored) in [(Signal::INT, Signal::HUP), (Signal::TERM, Signal::INT), (Signal::HUP, Signal::TERM)] {
        let mut fixture = mover("hears").arg(ignored.as_raw().to_string());
        // Nobody of an orphaned group stops by SIGTSTP, and the test's own may be one.
        fixture.command.process_group(0);
        let mut running = fixture.start();
        let (daemon, parent) = (running.hear_pid(), running.pid());
        until("the parent listens", || proc::signals(parent, "SigBlk") & 1 << (ending.as_raw() - 1) == 0);
        for other in [Signal::USR1, Signal::ALARM, Signal::QUIT, Signal::CHILD, Signal::WINCH, ignored] {
            signal(parent, other);
        }
        assert!(proc::signals(parent, "ShdPnd") & 1 << (libc::SIGUSR1 - 1) != 0);
        signal(parent, Signal::TSTP);
        until("the parent stops", || proc::state(parent) == "T");
        signal(parent, Signal::CONT);
        signal(parent, ending);
        assert_eq!(running.status().signal(), Some(ending.as_raw()));
        // The daemon is left alone, with its handlers.
        assert_ne!(proc::signals(daemon, "SigCgt") & 1 << (ending.as_raw() - 1), 0);
        running.step();
        assert_eq!(running.hear(), "0");
    }
}

/// Control and C.
fn the_parent_ends_by_a_key() {
    let (keys, terminal) = support::tty::terminal();
    let mut fixture = mover("hears").arg(libc::SIGHUP.to_string());
    let its_terminal = terminal.try_clone().expect("a descriptor");
    // SAFETY: both calls are async-signal-safe.
    unsafe { fixture.command.pre_exec(move || Ok(setsid().and_then(|_| tiocsctty(&its_terminal))?)) };
    let mut running = fixture.start();
    let (daemon, parent) = (running.hear_pid(), running.pid());
    until("the parent listens", || proc::signals(parent, "SigBlk") & 1 << (libc::SIGINT - 1) == 0);
    assert!(proc::terminal(parent) != 0 && proc::terminal(daemon) == 0);
    rustix::io::write(&keys, b"\x03").expect("a key");
    assert_eq!(running.status().signal(), Some(libc::SIGINT));
    running.step();
    assert_eq!(running.hear(), "0");
}

// The composition

fn described(result: &Result<Detached<'_>, Error>) -> String {
    match result {
        Ok(Detached::Daemon(_)) => "daemon".into(),
        Ok(Detached::Caller(outcome)) => exit_status(*outcome).to_string(),
        Err(Error { step, errno }) => format!("{step:?} {}", errno.raw_os_error()),
    }
}

fn plan(pid_file: &'static std::ffi::CStr) -> Plan<'static, 'static> {
    let steps = Steps::DAEMON | Steps::PID_FILE | Steps::CLOSE_FDS;
    let keep: &'static [_] = Box::leak(Box::new(support::channel()));
    // SAFETY: a fixture has no other descriptor above 2 than its channel.
    let close = Some(unsafe { CloseFds::all_but(keep) });
    Plan { way: Way::HANDOFF, pid_file: Some(pid_file), close, ..Plan::new(steps) }
}

fn daemonizes() {
    let mut plan = plan(path_argument());
    match argument(2).as_str() {
        "usual" => {}
        "directory" => plan.directory = c"/no/such/directory",
        "output" => plan.stdio[1] = daemon_steps::Stdio::File(c"/no/such/file", rustix::fs::Mode::empty()),
        "clone" => hostile::deny_if(&[(libc::SYS_clone, Some(GIVE), Errno::AGAIN)]),
        "either" => plan.way = Way::HANDOFF_OR_FORKS,
        "incomplete" => plan.steps -= Steps::FORK_AGAIN,
        "privileges" => {
            plan.steps |= Steps::DROP_PRIVILEGES;
            hostile::deny(&[(libc::SYS_setresuid, Errno::PERM)]);
        }
        "refused" => hostile::deny(&[(libc::SYS_unshare, Errno::PERM)]),
        "refused_forks" => {
            hostile::deny(&[(libc::SYS_unshare, Errno::PERM)]);
            plan.way = Way::HANDOFF_OR_FORKS;
        }
        _ => panic!("no such case"),
    }
    handle(libc::SIGTERM);
    handle(libc::SIGUSR1);
    tell("before");
    wait_byte();
    let before = task();
    let result = detach(&plan);
    tell(described(&result));
    tell(std::process::id());
    if result.is_err() {
        tell(task() == before);
    }
    wait_release();
}

fn a_failed_step_is_the_callers_error() {
    let cases = [
        ("directory", Step::Chdir.failed(Errno::NOENT)),
        ("output", Step::Stdio.failed(Errno::NOENT)),
        ("clone", Step::Handoff.failed(Errno::AGAIN)),
        ("incomplete", Step::Handoff.failed(Errno::INVAL)),
        ("refused", Step::Handoff.failed(Errno::USERS)),
    ];
    cases.into_iter().for_each(fails_in_its_steps);
}

/// The groups are the daemon's own, and have been changed by then; the memory is shared with the caller.
fn a_failed_change_of_ids() {
    fails_in_its_steps(("privileges", Step::DropPrivileges.failed(Errno::PERM)));
}

fn fails_in_its_steps((case, error): (&str, Error)) {
    let dir = temp_dir();
    let pid_file = dir.path().join("pid");
    let mut running = mover("daemonizes").arg(&pid_file).arg(case).start();
    let pid = running.pid();
    let seen = || {
        let sets = ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"].map(|set| proc::signals(pid, set));
        let ids = (proc::session(pid), proc::group(pid), proc::terminal(pid));
        (sets, ids, proc::fds(pid), proc::cwd(pid), proc::umask(pid), proc::children(pid))
    };
    assert_eq!(running.hear(), "before");
    let before = seen();
    running.step();
    assert_eq!(running.hear(), described(&Err(error)), "{case}");
    assert_eq!(running.hear_pid(), pid, "{case}");
    assert_eq!(running.hear(), "true", "{case}");
    assert_eq!(seen(), before, "{case}");
    assert!(!pid_file.exists(), "{case}");
}

/// Daemonizes, and is halted at the change of directory.
fn daemonizes_halted() {
    let plan = plan(path_argument());
    let mut halt = Halt::at(&[libc::SYS_chdir]);
    halt.start(|| {
        handle(libc::SIGUSR1);
        // The watch blocks it, and the caller hears it afterwards. It is sent before the time is over.
        let timeout = (argument(2) == "late").then(|| Duration::from_secs(2));
        let result = detach(&Plan { timeout, ..plan });
        tell(format!("{} {}", std::process::id(), described(&result)));
        tell(HANDLED.load(Ordering::Relaxed));
    });
    while let Some(halted) = halt.next() {
        tell(format!("{} {}", proc::parent(halted.pid), halted.pid));
        wait_byte();
    }
}

fn dies_halted(case: &str, then: &str) {
    let dir = temp_dir();
    let pid_file = dir.path().join("pid");
    let mut running = mover("daemonizes_halted").arg(&pid_file).arg(case).start();
    let line = running.hear();
    let (parent, daemon) = line.split_once(' ').expect("two pids");
    let (parent, daemon): (i32, i32) = (parent.parse().expect("a pid"), daemon.parse().expect("a pid"));
    assert!(pid_file.exists());
    signal(parent, Signal::USR1);
    if case == "killed" {
        signal(daemon, Signal::KILL);
    }
    assert_eq!(running.hear(), format!("{parent} {then}"));
    assert_eq!(running.hear(), "1");
    assert!(!pid_file.exists());
    running.release();
}

fn a_daemon_that_dies_in_its_steps() {
    dies_halted("killed", &(128 + libc::SIGKILL).to_string());
}

fn a_step_past_the_timeout() {
    dies_halted("late", &described(&Err(Step::Ready.failed(Errno::TIMEDOUT))));
}

fn a_daemonized_process_has_moved() {
    let dir = temp_dir();
    let pid_file = dir.path().join("pid");
    let mut running = mover("daemonizes").arg(&pid_file).arg("usual").start();
    assert_eq!(running.hear(), "before");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", running.pid())).expect("the maps");
    running.step();
    assert_eq!(running.hear(), "daemon");
    let daemon = running.hear_pid();
    assert_eq!(running.status().code(), Some(0));
    assert_eq!(std::fs::read_to_string(&pid_file).expect("a pid"), format!("{daemon}\n"));
    assert_ne!(proc::session(daemon), daemon);
    assert_eq!(proc::cwd(daemon), Path::new("/"));
    let streams: Vec<_> = proc::fds(daemon).into_iter().filter(|(fd, _)| *fd < 3).collect();
    assert!(streams.len() == 3 && streams.iter().all(|(_, path)| path == "/dev/null"), "{streams:?}");
    let stack = |maps: &str| maps.lines().find(|line| line.ends_with("[stack]")).map(str::to_owned);
    assert_eq!(stack(&std::fs::read_to_string(format!("/proc/{daemon}/maps")).expect("the maps")), stack(&maps));
}

fn another_library() {
    fails_in_its_steps(("usual", Step::Handoff.failed(Errno::LIBACC)));
    forks("either");
}

fn the_plan_may_allow_forks() {
    forks("refused_forks");
}

fn forks(case: &str) {
    let dir = temp_dir();
    let mut running = mover("daemonizes").arg(dir.path().join("pid")).arg(case).start();
    assert_eq!(running.hear(), "before");
    running.step();
    // Two lines of the daemon's, and two of the caller's, which has its word by then.
    let lines: Vec<_> = (0..4).map(|_| running.hear()).collect();
    let parent = running.pid().to_string();
    assert!(["daemon", "0", &parent].iter().all(|line| lines.iter().any(|told| told == line)), "{lines:?}");
    let daemon =
        lines.iter().filter(|line| **line != parent).find_map(|line| line.parse().ok().filter(|pid| *pid != 0)).expect("a pid");
    assert_ne!(proc::session(daemon), proc::session(running.pid()));
    running.release();
}

// Signals

/// What P, C and D call.
const CALLS: [i64; 13] = [
    libc::SYS_rt_sigprocmask,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_clone,
    libc::SYS_setsid,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_sigaltstack,
    libc::SYS_close,
    libc::SYS_rt_sigaction,
    libc::SYS_pidfd_open,
    libc::SYS_ppoll,
];

/// Moves, halted at each call; whoever is gets a signal there, if it is blocked. Tells `PID CALL BLOCKED` of each.
fn halts_everywhere() {
    set_child_subreaper(true).expect("a subreaper");
    let number = argument(1).parse().expect("a number");
    handle(number);
    let sent = Signal::from_named_raw(number).expect("a signal");
    let (mut halt, parent) = Halt::only(&CALLS, || {
        let notifier = handoff_until_ready(None).expect("moved");
        let by: Vec<_> = HANDLED_BY.iter().map(|by| by.load(Ordering::Relaxed)).filter(|by| *by != 0).collect();
        tell(format!("{} handled {by:?}", std::process::id()));
        notifier.ready().expect("ready, whoever hears it");
        wait_end_of_test();
    });
    tell(parent.as_raw_nonzero());
    while let Some(halted) = halt.next() {
        let blocked = proc::signals(halted.pid, "SigBlk") & 1 << (number - 1) != 0;
        if blocked {
            signal(halted.pid, sent);
        }
        tell(format!("{} {} {blocked}", halted.pid, halted.call));
        halt.go(halted);
    }
    let (_, status) = rustix::process::waitpid(Some(parent), WaitOptions::empty()).expect("an end").expect("one");
    tell(format!("{:?} {:?}", status.exit_status(), status.terminating_signal()));
}

fn signals_at_each_call() {
    for (sent, end) in [(libc::SIGUSR1, "Some(0) None".into()), (libc::SIGTERM, format!("None Some({})", libc::SIGTERM))] {
        let mut running = mover("halts_everywhere").arg(sent.to_string()).start();
        let parent = running.hear();
        let mut lines = Vec::new();
        let daemon = loop {
            let line = running.hear();
            if let Some((daemon, by)) = line.split_once(" handled ") {
                // Once: they are no more than one until it is handled.
                assert_eq!(by, format!("[{daemon}]"));
                break daemon.to_string();
            }
            lines.push(line);
        };
        running.release();
        let rest = running.hear_all();
        lines.extend(rest.lines().map(String::from));
        assert_eq!(lines.pop(), Some(end));
        let hit = |by: &dyn Fn(&str) -> bool, calls: &[i64]| {
            for call in calls {
                let hit = |line: &String| line.split_once(' ').is_some_and(|(pid, at)| by(pid) && at == format!("{call} true"));
                assert!(lines.iter().any(hit), "{sent} at {call}: {lines:?}");
            }
        };
        hit(&|pid| pid == parent, &[libc::SYS_clone, libc::SYS_wait4, libc::SYS_close, libc::SYS_rt_sigaction]);
        hit(&|pid| pid != parent && pid != daemon, &[libc::SYS_setsid, libc::SYS_clone, libc::SYS_exit_group]);
        hit(&|pid| pid == daemon, &[libc::SYS_rt_sigprocmask]);
        if sent == libc::SIGUSR1 {
            hit(&|pid| pid == parent, &[libc::SYS_pidfd_open, libc::SYS_ppoll, libc::SYS_exit_group]);
        }
    }
}

// How many processes move: ten thousand take minutes.
fn rounds() -> u32 {
    std::env::var("DAEMON_STEPS_HANDOFFS").map_or(200, |rounds| rounds.parse().expect("a number"))
}

/// Moves again and again while a process sends signals to all that are there.
fn storm() {
    set_child_subreaper(true).expect("a subreaper");
    let me = std::process::id() as i32;
    let (over, storms) = rustix::pipe::pipe().expect("a pipe");
    let Fork::Parent(sender) = fork().expect("a fork") else {
        drop(storms);
        send_until(&over, me);
        return;
    };
    drop(over);
    [libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM, libc::SIGCHLD].into_iter().for_each(handle);
    let mut seen = 0;
    for round in 0..rounds() {
        // The library's own, also without the feature `std`: so that its thread has all that a thread has.
        // SAFETY: this is the only thread.
        if unsafe { libc::fork() } == 0 {
            drop(storms);
            moves_in_the_storm(round);
            exit(0);
        }
        // P and D.
        for _ in 0..2 {
            let (pid, status) =
                rustix::io::retry_on_intr(|| rustix::process::wait(WaitOptions::empty())).expect("an end").expect("one");
            assert!(pid != sender && status.exit_status() == Some(0), "round {round}: {pid:?} {status:?}");
            seen += 1;
        }
        if seen % 100 == 0 {
            tell("a hundred");
        }
    }
    drop(storms);
    let sent =
        rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(sender), WaitOptions::empty())).expect("the sender's end");
    assert_eq!(sent.map(|(_, status)| status.exit_status()), Some(Some(0)));
    tell(seen);
}

fn moves_in_the_storm(round: u32) {
    let before = HANDLED.load(Ordering::Relaxed);
    let numbers: Vec<u32> = (0..1000).map(|n| n ^ round).collect();
    let on_stack: [u32; 100] = std::array::from_fn(|n| n as u32 ^ round);
    let task = task();
    let started = std::process::id();
    if round % 2 == 0 {
        handoff().expect("moved");
    } else {
        handoff_until_ready(None).expect("moved").ready().expect("ready");
    }
    assert_ne!(std::process::id(), started);
    assert_eq!(self::task(), task);
    assert!(numbers.iter().zip(0..).all(|(number, n)| *number == n ^ round));
    assert!(on_stack.iter().zip(0..).all(|(number, n)| *number == n ^ round));
    assert_eq!(std::thread::spawn(move || round).join().expect("joined"), round);
    // One more, for sure.
    signal(std::process::id() as i32, Signal::USR1);
    until("a signal is handled", || HANDLED.load(Ordering::Relaxed) > before);
}

/// Sends signals to the descendants of `root`, and stops and continues them, until the pipe ends.
fn send_until(over: &OwnedFd, root: i32) {
    let me = std::process::id() as i32;
    let mut turn = 0_usize;
    let signals = [Signal::USR1, Signal::STOP, Signal::CONT, Signal::USR2, Signal::ALARM, Signal::CONT];
    while !support::readable(over.as_fd(), Duration::ZERO) {
        for pid in descendants(root).into_iter().filter(|pid| *pid != me) {
            turn += 1;
            // They come and go: that one is not there any more is no error, and the number of one that nobody
            // has waited for for so short a time is nobody else's.
            let _ = kill_process(Pid::from_raw(pid).expect("a pid"), signals[turn % signals.len()]);
            let _ = kill_process(Pid::from_raw(pid).expect("a pid"), Signal::CONT);
        }
    }
}

fn descendants(root: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{root}/task/{root}/children")).unwrap_or_default();
    let children: Vec<i32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    children.iter().flat_map(|child| descendants(*child)).chain(children.iter().copied()).collect()
}

fn signals_in_every_phase() {
    let (told, status) = mover("storm").env("DAEMON_STEPS_HANDOFFS", rounds().to_string()).run();
    let ends = 2 * rounds();
    assert_eq!((told, status.code()), (format!("{}{ends}\n", "a hundred\n".repeat(ends as usize / 100)), Some(0)));
}
