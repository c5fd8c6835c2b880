// Must be found: symbols of a C library: malloc
#![no_std]
#![no_main]

use daemon_steps::{EnvBlock, ThinCStr};

nolibc::program!(main);

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn malloc(size: usize) -> usize {
    core::hint::black_box(size)
}

fn main(argv: &[Option<ThinCStr<'static>>], _: &EnvBlock<'static>) -> i32 {
    malloc(argv.len()) as i32
}
