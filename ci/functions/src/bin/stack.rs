//! The peak stack of each public function, over all its ways.

use functions_proof::{table, watch::watch, ways, ways::Function};
use pidfile_proof::case::Count;
use pidfile_proof::room::Room;

/// Those that read a directory, and those that contain them.
const READERS: &[&str] = &["close_from", "close_except", "daemonize", "detach"];
const READERS_LIMIT: usize = 1536;
const LIMIT: usize = 512;

/// What misses its limit, and may not grow: to be deleted. They go on above the frame to which the old process may still return.
const MISSED: &[(&str, &[&str], usize)] =
    &[("handoff", &[], 560), ("handoff_until_ready", &[], 592), ("daemonize", &[ways::HANDOFF], 1696)];

fn limit(function: &str, when: &[&str]) -> usize {
    let is_it = |(missed, by, _): &&(&str, &[&str], usize)| *missed == function && by.iter().all(|way| when.contains(way));
    let usual = if READERS.contains(&function) { READERS_LIMIT } else { LIMIT };
    MISSED.iter().find(is_it).map_or(usual, |(.., limit)| *limit)
}

fn main() {
    let room = Room::start(|| {
        let mut count = Count::default();
        for Function { name: function, ways } in ways::all() {
            count.case(function, || {
                // The way that leaves the least room.
                let (mut deepest, mut limit, mut there) = (0, usize::MAX, String::new());
                for way in ways {
                    let stack =
                        watch(way.body, way.meanwhile).map_err(|wrong| format!("{}: {wrong}", table::words(way.when)))?.stack;
                    let this = self::limit(function, way.when);
                    if this.saturating_add(deepest) < limit.saturating_add(stack) {
                        (deepest, limit, there) = (stack, this, table::words(way.when));
                    }
                }
                println!("stack {function} bytes={deepest} limit={limit} ({there})");
                if deepest <= limit { Ok(()) } else { Err(format!("{deepest} bytes, of {limit}")) }
            });
        }
        count.all_right()
    });
    std::process::exit(i32::from(!room.wait()));
}
