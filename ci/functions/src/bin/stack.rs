//! The peak stack of each public function, over all its ways.

use functions_proof::{table, watch::watch, ways, ways::Function};
use pidfile_proof::case::Count;
use pidfile_proof::room::Room;

/// Those that read a directory, and those that contain them.
const READERS: &[&str] = &["close_from", "close_except", "daemonize", "detach"];
const READERS_LIMIT: usize = 1536;
const LIMIT: usize = 512;

fn main() {
    let room = Room::start(|| {
        let mut count = Count::default();
        for Function { name: function, ways } in ways::all() {
            count.case(function, || {
                let limit = if READERS.contains(&function) { READERS_LIMIT } else { LIMIT };
                let (mut deepest, mut there) = (0, String::new());
                for way in ways {
                    let stack =
                        watch(way.body, way.meanwhile).map_err(|wrong| format!("{}: {wrong}", table::words(way.when)))?.stack;
                    if stack > deepest {
                        (deepest, there) = (stack, table::words(way.when));
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
