include!(concat!(env!("OUT_DIR"), "/fork_before.rs"));
