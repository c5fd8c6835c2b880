include!(concat!(env!("OUT_DIR"), "/nix_after.rs"));
