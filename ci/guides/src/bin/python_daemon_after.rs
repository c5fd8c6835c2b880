include!(concat!(env!("OUT_DIR"), "/python_daemon_after.rs"));
