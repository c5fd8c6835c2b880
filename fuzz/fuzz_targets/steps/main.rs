//! Steps in a random order, with random arguments, against a model of the process that takes them.
//!
//! The model takes the steps first, and says what each must answer. Then a child takes them, and rests; what it has become
//! is read from `/proc`, from outside.

#![no_main]
// The model's steps answer alike, whether they can fail or not.
#![allow(clippy::unnecessary_wraps)]

mod files;
mod input;
mod model;
mod take;

use input::Input;
use libfuzzer_sys::fuzz_target;
use model::Model;
use rustix::process::getpid;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use take::Told;
use world::{Room, fork, proc};

thread_local! {
    static ROOM: LazyCell<Room<Told>> = const { LazyCell::new(Room::new) };
}

fuzz_target!(|input: Input| {
    let mut model = Model::new(&input);
    let steps = input.steps.iter().take(take::MOST).filter_map(|step| model.take(step)).collect::<Vec<_>>();
    ROOM.with(|room| {
        let child = fork(room, |room| take::all(room, &input, &steps));
        child.rests();
        let told = room.told();
        for (at, (step, wanted)) in steps.iter().enumerate() {
            assert_eq!(told.answers[at], *wanted, "{at}: {step:?}");
        }
        compare(&model, &told);
        child.release();
        let (_, status) = child.ends();
        assert_eq!(status.exit_status(), Some(0), "the child's end");
    });
    model.files.clean_up();
});

/// Looks at the last process of those that there were.
fn compare(model: &Model, told: &Told) {
    let pids = &told.pids[..=model.generation];
    let pid = *pids.last().expect("the child");
    let fuzzer = getpid().as_raw_nonzero().get();
    let number = |generation: Option<usize>, of: fn(i32) -> i32| generation.map_or_else(|| of(fuzzer), |at| pids[at]);
    assert_eq!(proc::group(pid), number(model.group, proc::group));
    assert_eq!(proc::session(pid), number(model.session, proc::session));
    assert_eq!(model.session.is_none(), proc::session(pid) == proc::session(fuzzer), "whose session it is");
    assert_eq!(model.session == Some(model.generation), proc::session(pid) == pid, "whether it leads it");
    assert_eq!(told.subreaper, model.subreaper.into());
    assert_eq!(proc::cwd(pid), model.cwd);
    assert_eq!(proc::root(pid), model.root);

    let status = proc::status(pid);
    let bits = |name: &str| u64::from_str_radix(&status[name], 16).expect("hexadecimal");
    assert_eq!(status["Umask"], format!("{:04o}", model.umask));
    assert_eq!(bits("SigBlk"), model.blocked);
    assert_eq!(bits("SigIgn"), model.ignored);
    assert_eq!(bits("SigCgt") & !model::LIBCS, model.caught);
    assert_eq!(bits("SigPnd") | bits("ShdPnd"), model.pending);
    assert_eq!(status["NoNewPrivs"], u8::from(model.no_new_privs).to_string());
    let ids = |name: &str| status[name].split_whitespace().map(|id| id.parse().expect("an id")).collect::<Vec<u32>>();
    assert_eq!(ids("Uid"), [model.uid; 4]);
    assert_eq!(ids("Gid"), [model.gid; 4]);
    assert_eq!(ids("Groups").into_iter().collect::<BTreeSet<_>>(), model.groups.iter().copied().collect());
    if !model.power {
        assert_eq!(["CapInh", "CapPrm", "CapEff"].map(bits), [0; 3]);
    }
    let open: BTreeMap<_, _> = proc::fds(pid).into_iter().map(|(fd, to)| (fd, (to, is_cloexec(pid, fd)))).collect();
    assert_eq!(open, model.fds.iter().map(|(fd, open)| (*fd, (open.path.display().to_string(), open.cloexec))).collect());
    model.files.compare();
}

fn is_cloexec(pid: i32, fd: i32) -> bool {
    proc::fd_flags(pid, fd) & libc::O_CLOEXEC != 0
}
