//! Privileges.

use super::{Function, THREADS, UNSHARE, of};
use crate::hostile::with_second_thread;
use crate::stage::alone;
use crate::surroundings::deny_unshare;
use daemon_steps::{Ids, drop_privileges, set_no_new_privs, setgroups, setresgid, setresuid};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

const CAPABILITY: &str = "A capability is left";

/// "Nobody".
pub(super) fn nobody() -> Ids<'static> {
    Ids { uid: Uid::from_raw(65534), gid: Gid::from_raw(65534), groups: &[] }
}

pub(super) fn functions() -> Vec<Function> {
    /// The three that ask whether there is one thread have the same ways.
    macro_rules! alike {
        ($name:literal, $act:expr) => {
            of($name)
                .main(|| alone(|| $act).expect("changed"))
                .main(|| {
                    drop_privileges(&Ids { uid: Uid::from_raw(1), gid: Gid::from_raw(1), groups: &[] }).expect("dropped");
                    assert_eq!(alone(|| $act), Err(Errno::PERM));
                })
                .when(&[UNSHARE], || {
                    deny_unshare();
                    alone(|| $act).expect("changed");
                })
                .when(&[THREADS], || with_second_thread(|| assert_eq!(alone(|| $act), Err(Errno::BUSY))))
        };
    }
    vec![
        alike!("setgroups", setgroups(&[nobody().gid])),
        alike!("setresgid", setresgid(nobody().gid)),
        alike!("setresuid", setresuid(nobody().uid)),
        of("drop_privileges")
            .main(|| {
                setgroups(&[nobody().gid]).expect("a group");
                alone(|| drop_privileges(&nobody())).expect("dropped");
            })
            .main(|| {
                let many: Vec<_> = (1..=100).map(Gid::from_raw).collect();
                alone(|| drop_privileges(&Ids { groups: &many, ..nobody() })).expect("dropped");
            })
            .main(|| {
                setgroups(&[nobody().gid]).expect("a group");
                let few = [1, 2, 3].map(Gid::from_raw);
                alone(|| drop_privileges(&Ids { groups: &few, ..nobody() })).expect("dropped");
            })
            .main(|| {
                drop_privileges(&nobody()).expect("dropped");
                let other = Ids { uid: Uid::from_raw(1), ..nobody() };
                assert_eq!(alone(|| drop_privileges(&other)), Err(Errno::PERM));
            })
            .main(|| assert_eq!(alone(|| drop_privileges(&Ids { uid: Uid::ROOT, ..nobody() })), Err(Errno::INVAL)))
            .when(&[UNSHARE], || {
                setgroups(&[nobody().gid]).expect("a group");
                deny_unshare();
                alone(|| drop_privileges(&nobody())).expect("dropped");
            })
            .when(&[THREADS], || with_second_thread(|| assert_eq!(alone(|| drop_privileges(&nobody())), Err(Errno::BUSY))))
            .when(&[CAPABILITY], || {
                rustix::thread::set_keep_capabilities(true).expect("capabilities");
                alone(|| drop_privileges(&nobody())).expect("dropped");
            }),
        of("set_no_new_privs").main(|| alone(set_no_new_privs).expect("set")),
    ]
}
