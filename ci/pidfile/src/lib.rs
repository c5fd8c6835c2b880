//! What the four programs share. They look at the example tool from outside: by its exit status, by
//! `/proc`, and through ptrace; what the tool says is compared with that.

pub mod case;
pub mod proc;
pub mod room;
pub mod stranger;
pub mod tool;
pub mod trace;
