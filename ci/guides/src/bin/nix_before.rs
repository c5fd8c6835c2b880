include!(concat!(env!("OUT_DIR"), "/nix_before.rs"));
