include!(concat!(env!("OUT_DIR"), "/daemonize_after.rs"));
