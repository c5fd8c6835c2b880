//! What is left: environment, umask, directories.

use super::{Function, of};
use crate::stage::alone;
use daemon_steps::{EnvBlock, ThinCStr, chdir, chroot, drop_env, fchdir, getenv, keep_env, umask};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::cell::Cell;

pub(super) fn functions() -> Vec<Function> {
    /// An environment of two.
    fn with_env(filter: impl FnOnce(&EnvBlock<'static>) -> usize) {
        let block = [c"PATH=/bin", c"TERM=linux"].map(|entry| Cell::new(Some(ThinCStr::from(entry))));
        let [path, term] = block;
        assert_eq!(alone(|| filter(&[path, term, Cell::new(None)])), 1);
    }
    vec![
        of("keep_env").main(|| with_env(|block| keep_env(block, &[c"PATH"]))),
        of("drop_env").main(|| with_env(|block| drop_env(block, &[c"PATH"]))),
        of("getenv").main(|| {
            let block = [Cell::new(Some(ThinCStr::from(c"PATH=/bin"))), Cell::new(None)];
            assert_eq!(alone(|| getenv(&block, c"PATH")), Some(c"/bin"));
        }),
        of("umask").main(|| assert!(alone(|| umask(Mode::WOTH)).is_ok())),
        of("chdir").main(|| alone(|| chdir(c"/")).expect("there")),
        of("fchdir").main(|| {
            let root = openat(CWD, c"/", OFlags::DIRECTORY, Mode::empty()).expect("the root");
            alone(|| fchdir(&root)).expect("there");
        }),
        of("chroot").main(|| alone(|| chroot(c"/mnt")).expect("a root")),
    ]
}
