// Must be found: core::fmt
#![no_std]
#![no_main]

use core::fmt::Write;
use daemon_steps::{EnvBlock, ThinCStr};

nolibc::program!(main);

struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

fn main(argv: &[Option<ThinCStr<'static>>], _: &EnvBlock<'static>) -> i32 {
    let mut count = Count(0);
    let _ = write!(count, "{}", argv.len());
    count.0 as i32
}
