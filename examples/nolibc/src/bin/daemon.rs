//! The example tool, from the same source, without a C library.

#![no_std]
#![no_main]

#[path = "../../../tool/mod.rs"]
mod tool;

nolibc::program!(tool::main);
