include!(concat!(env!("OUT_DIR"), "/fork_after.rs"));
