// Must be found: alloc::
#![no_std]
#![no_main]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use daemon_steps::{EnvBlock, ThinCStr};

nolibc::program!(main);

struct None;

// SAFETY: it never gives memory.
unsafe impl GlobalAlloc for None {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        (daemon_steps::exit as fn(i32) -> ! as usize & layout.align()) as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NONE: None = None;

fn main(argv: &[Option<ThinCStr<'static>>], env: &EnvBlock<'static>) -> i32 {
    let mut lengths = alloc::vec::Vec::new();
    argv.iter().flatten().for_each(|word| lengths.push(word.as_c_str().count_bytes()));
    lengths.iter().sum::<usize>() as i32 & env.len() as i32
}
