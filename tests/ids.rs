//! Privileges, seen in `/proc/PID/status`. What has to be dropped has to be there: most need root.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{Ids, drop_privileges, set_no_new_privs, setgroups, setresgid, setresuid};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use support::{fixture, hostile, proc, root_test, tell, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("drops", drops),
            ("keeps_capabilities", keeps_capabilities),
            ("not_root", not_root),
            ("lied_to", lied_to),
            ("many_groups", many_groups),
            ("one_too_many", one_too_many),
            ("as_many_as_are_looked_at", as_many_as_are_looked_at),
            ("to_root", to_root),
            ("to_itself", to_itself),
            ("second_thread", second_thread),
            ("one_by_one", one_by_one),
            ("no_new_privs", no_new_privs),
            ("denied", denied),
        ],
        vec![
            root_test("everything_is_dropped_and_cannot_be_had_again", everything_is_dropped),
            root_test("capabilities_that_would_survive_are_given_up", capabilities_that_would_survive_are_given_up),
            root_test("a_caller_with_capabilities_and_no_root_gives_them_up", a_caller_with_capabilities_gives_them_up),
            root_test("a_drop_that_did_not_happen_is_noticed", a_drop_that_did_not_happen_is_noticed),
            root_test("of_many_groups_the_number_is_verified", of_many_groups_the_number_is_verified),
            root_test("a_group_that_is_not_wanted_goes", a_group_that_is_not_wanted_goes),
            root_test("sixty_four_groups_that_are_right_are_not_set", sixty_four_groups_that_are_right_are_not_set),
            test("root_is_no_user_to_drop_to", root_is_no_user_to_drop_to),
            test("what_one_is_one_may_become", what_one_is_one_may_become),
            root_test("a_second_thread_changes_too_or_is_refused", a_second_thread_changes_too_or_is_refused),
            root_test("each_function_sets_all_of_its_ids", each_function_sets_all_of_its_ids),
            test("no_new_privs_is_set", no_new_privs_is_set),
            test("a_denied_call_is_an_error", a_denied_call_is_an_error),
        ],
    );
}

const NOBODY: u32 = 65534;

fn nobody(groups: &[Gid]) -> Ids<'_> {
    Ids { uid: Uid::from_raw(NOBODY), gid: Gid::from_raw(NOBODY), groups }
}

/// Asserts that a process has the ids of `nobody`, these groups and no capability.
#[track_caller]
fn is_nobody(pid: i32, groups: &[u32]) {
    assert_eq!((proc::uids(pid), proc::gids(pid)), (vec![NOBODY; 4], vec![NOBODY; 4]));
    assert_eq!(proc::groups(pid), groups);
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(proc::status(pid)[set], "0000000000000000", "{set}");
    }
}

fn drops() {
    setgroups(&[3, 4, 5].map(Gid::from_raw)).expect("groups to lose");
    tell(word(drop_privileges(&nobody(&[8, 7].map(Gid::from_raw)))));
    tell(word(setresuid(Uid::ROOT)));
    tell(word(setresgid(Gid::ROOT)));
    tell(word(setgroups(&[])));
    // It is that already: without privilege the same once more succeeds.
    tell(word(drop_privileges(&nobody(&[7, 8, 7].map(Gid::from_raw)))));
    wait_release();
}

fn everything_is_dropped() {
    let running = fixture("drops").start();
    let told = [running.hear(), running.hear(), running.hear(), running.hear(), running.hear()];
    assert_eq!(told, ["ok", "1", "1", "1", "ok"]);
    is_nobody(running.pid(), &[7, 8]);
}

fn keeps_capabilities() {
    match std::env::args().nth(1).as_deref() {
        // SAFETY: the call takes numbers.
        Some("keepcaps") => assert_eq!(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }, 0),
        // SECBIT_NO_SETUID_FIXUP: a change of the user leaves the capabilities.
        // SAFETY: the call takes numbers.
        Some("no_setuid_fixup") => assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, 1 << 2, 0, 0, 0) }, 0),
        // What a change of the user never takes away.
        _ => {
            let some = CapabilitySet::SETUID | CapabilitySet::SETGID;
            set_capabilities(None, CapabilitySets { effective: some, permitted: some, inheritable: some }).expect("capset");
        }
    }
    tell(word(drop_privileges(&nobody(&[]))));
    tell(word(setresuid(Uid::ROOT)));
    wait_release();
}

fn capabilities_that_would_survive_are_given_up() {
    for how in ["keepcaps", "no_setuid_fixup", "inheritable"] {
        let running = fixture("keeps_capabilities").arg(how).start();
        assert_eq!([running.hear(), running.hear()], ["ok", "1"], "{how}");
        is_nobody(running.pid(), &[]);
    }
}

fn not_root() {
    // Another user with the power to change its ids, and something inheritable.
    // SAFETY: the call takes numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }, 0);
    setresuid(Uid::from_raw(1000)).expect("another user");
    let some = CapabilitySet::SETUID | CapabilitySet::SETGID;
    set_capabilities(None, CapabilitySets { effective: some, permitted: some, inheritable: CapabilitySet::SETUID })
        .expect("capset");
    tell(word(drop_privileges(&nobody(&[]))));
    wait_release();
}

fn a_caller_with_capabilities_gives_them_up() {
    let running = fixture("not_root").start();
    assert_eq!(running.hear(), "ok");
    is_nobody(running.pid(), &[]);
}

/// A kernel that says yes and does nothing.
fn lied_to() {
    let call = std::env::args().nth(1).expect("a call").parse().expect("a number");
    setgroups(&[Gid::from_raw(3)]).expect("groups to lose");
    hostile::lie(call);
    tell(word(drop_privileges(&nobody(&[]))));
}

fn a_drop_that_did_not_happen_is_noticed() {
    for call in [libc::SYS_setgroups, libc::SYS_setresgid, libc::SYS_setresuid] {
        assert_eq!(fixture("lied_to").arg(call.to_string()).run().0, "1\n", "{call}");
    }
}

fn many_groups() {
    // As many to lose as to have: the number alone would tell nothing.
    setgroups(&(1000..1300).map(Gid::from_raw).collect::<Vec<_>>()).expect("groups to lose");
    let groups: Vec<_> = (100..400).map(Gid::from_raw).collect();
    tell(word(drop_privileges(&nobody(&groups))));
    wait_release();
}

fn of_many_groups_the_number_is_verified() {
    let running = fixture("many_groups").start();
    assert_eq!(running.hear(), "ok");
    is_nobody(running.pid(), &(100..400).collect::<Vec<_>>());
}

fn one_too_many() {
    setgroups(&[7, 8].map(Gid::from_raw)).expect("groups to lose");
    tell(word(drop_privileges(&nobody(&[Gid::from_raw(8)]))));
    wait_release();
}

fn a_group_that_is_not_wanted_goes() {
    let running = fixture("one_too_many").start();
    assert_eq!(running.hear(), "ok");
    is_nobody(running.pid(), &[8]);
}

fn as_many_as_are_looked_at() {
    let groups: Vec<_> = (100..164).map(Gid::from_raw).collect();
    tell(word(drop_privileges(&nobody(&groups))));
    tell(word(drop_privileges(&nobody(&groups))));
}

fn sixty_four_groups_that_are_right_are_not_set() {
    assert_eq!(fixture("as_many_as_are_looked_at").run().0, "ok\nok\n");
}

fn to_root() {
    tell(word(drop_privileges(&Ids { uid: Uid::ROOT, gid: Gid::from_raw(NOBODY), groups: &[] })));
    wait_release();
}

fn root_is_no_user_to_drop_to() {
    let running = fixture("to_root").start();
    assert_eq!(running.hear(), Errno::INVAL.raw_os_error().to_string());
    let me = std::process::id() as i32;
    assert_eq!(proc::gids(running.pid()), proc::gids(me));
    assert_eq!(proc::groups(running.pid()), proc::groups(me));
}

fn to_itself() {
    if geteuid().is_root() {
        drop_privileges(&nobody(&[])).expect("an ordinary user");
    }
    let groups: Vec<_> = proc::groups(std::process::id() as i32).into_iter().map(Gid::from_raw).collect();
    tell(word(drop_privileges(&Ids { uid: geteuid(), gid: getegid(), groups: &groups })));
    let other = Uid::from_raw(geteuid().as_raw() + 1);
    tell(word(drop_privileges(&Ids { uid: other, gid: getegid(), groups: &groups })));
}

fn what_one_is_one_may_become() {
    assert_eq!(fixture("to_itself").run().0, "ok\n1\n");
}

fn second_thread() {
    hostile::with_second_thread(|| {
        tell(word(drop_privileges(&nobody(&[]))));
        support::wait_byte();
    });
}

fn a_second_thread_changes_too_or_is_refused() {
    support::need_kernel("its threads in /proc");
    let mut running = fixture("second_thread").start();
    let pid = running.pid();
    // With a C library all threads change; without one nothing has.
    let (word, uid) = if cfg!(feature = "std") { ("ok".into(), NOBODY) } else { (Errno::BUSY.raw_os_error().to_string(), 0) };
    assert_eq!(running.hear(), word);
    let threads: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads").flatten().collect();
    assert_eq!(threads.len(), 2);
    for thread in threads {
        let thread = thread.file_name().to_str().and_then(|name| name.parse().ok()).expect("a number");
        assert_eq!((proc::uids(thread), proc::gids(thread)), (vec![uid; 4], vec![uid; 4]));
    }
    running.step();
}

fn one_by_one() {
    tell(word(setgroups(&[5, 6].map(Gid::from_raw))));
    tell(word(setresgid(Gid::from_raw(7))));
    tell(word(setresuid(Uid::from_raw(8))));
    tell(word(setresgid(Gid::from_raw(9))));
    wait_release();
}

fn each_function_sets_all_of_its_ids() {
    let running = fixture("one_by_one").start();
    assert_eq!([running.hear(), running.hear(), running.hear(), running.hear()], ["ok", "ok", "ok", "1"]);
    let pid = running.pid();
    assert_eq!((proc::groups(pid), proc::gids(pid), proc::uids(pid)), (vec![5, 6], vec![7; 4], vec![8; 4]));
}

fn no_new_privs() {
    tell(word(set_no_new_privs()));
    wait_release();
}

fn no_new_privs_is_set() {
    let running = fixture("no_new_privs").start();
    assert_eq!(running.hear(), "ok");
    assert_eq!(proc::status(running.pid())["NoNewPrivs"], "1");
}

fn denied() {
    let calls = [libc::SYS_setgroups, libc::SYS_setresgid, libc::SYS_setresuid, libc::SYS_getgroups, libc::SYS_prctl];
    hostile::deny(&calls.map(|call| (call, Errno::PERM)));
    tell(word(setgroups(&[])));
    tell(word(setresgid(getegid())));
    tell(word(setresuid(geteuid())));
    tell(word(drop_privileges(&nobody(&[]))));
    tell(word(set_no_new_privs()));
}

fn a_denied_call_is_an_error() {
    assert_eq!(fixture("denied").run().0, "1\n".repeat(5));
}
