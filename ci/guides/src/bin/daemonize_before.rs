include!(concat!(env!("OUT_DIR"), "/daemonize_before.rs"));
