// Must be found: core::panicking
#![no_std]
#![no_main]

use daemon_steps::{EnvBlock, ThinCStr};

nolibc::program!(main);

fn main(argv: &[Option<ThinCStr<'static>>], env: &EnvBlock<'static>) -> i32 {
    i32::from(argv[env.len()].is_some())
}
