//! The environment: its filters, in place, and what a program gets of them; a variable's value.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{Stream, ThinCStr, drop_env, execve, getenv, keep_env, stdio_fd};
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use support::{fixture, proc, test};

fn main() {
    support::main(
        &[("filters_its_own", filters_its_own)],
        vec![
            test("named_variables_stay_in_their_order", named_variables_stay_in_their_order),
            test("named_variables_go", named_variables_go),
            test("a_name_is_neither_a_beginning_nor_a_value", a_name_is_neither_a_beginning_nor_a_value),
            test("an_entry_without_a_value_has_no_name", an_entry_without_a_value_has_no_name),
            test("an_empty_block_stays_empty", an_empty_block_stays_empty),
            test("strings_are_moved_and_not_copied", strings_are_moved_and_not_copied),
            test("an_array_ends_at_its_null", an_array_ends_at_its_null),
            test("a_string_of_an_array_is_shown_as_one", a_string_of_an_array_is_shown_as_one),
            test("what_follows_the_null_is_not_looked_at", what_follows_the_null_is_not_looked_at),
            test("a_value_is_found_by_its_name", a_value_is_found_by_its_name),
            test("a_program_gets_what_is_left_of_environ", a_program_gets_what_is_left_of_environ),
        ],
    );
}

/// Filters a block of these entries; what is left, after looking at its form.
fn filtered(filter: impl Fn(&daemon_steps::EnvBlock<'_>) -> usize, entries: &[&CStr]) -> Vec<String> {
    let mut block: Vec<_> = entries.iter().map(|entry| Some(ThinCStr::from(*entry))).chain([None]).collect();
    let left = filter(Cell::from_mut(&mut block[..]).as_slice_of_cells());
    assert_eq!(block.len(), entries.len() + 1);
    assert!(block[left..].iter().all(Option::is_none), "all after the {left} that are left is null");
    let text = |entry: &Option<ThinCStr<'_>>| entry.expect("left").as_c_str().to_str().expect("utf-8").to_owned();
    block[..left].iter().map(text).collect()
}

const ENTRIES: [&CStr; 5] = [c"LANG=C", c"PATH=/bin", c"LD_PRELOAD=x.so", c"PATH=/sbin", c"TZ="];

fn named_variables_stay_in_their_order() {
    let left = filtered(|block| keep_env(block, &[c"TZ", c"PATH", c"NONE"]), &ENTRIES);
    assert_eq!(left, ["PATH=/bin", "PATH=/sbin", "TZ="]);
    assert_eq!(filtered(|block| keep_env(block, &[]), &ENTRIES), [""; 0]);
}

fn named_variables_go() {
    let left = filtered(|block| drop_env(block, &[c"LD_PRELOAD", c"PATH"]), &ENTRIES);
    assert_eq!(left, ["LANG=C", "TZ="]);
    assert_eq!(filtered(|block| drop_env(block, &[]), &ENTRIES).len(), ENTRIES.len());
}

fn a_name_is_neither_a_beginning_nor_a_value() {
    let entries = [c"PATHS=1", c"PAT=2", c"X=PATH=3", c"PATH=A=B", c"=PATH"];
    assert_eq!(filtered(|block| keep_env(block, &[c"PATH"]), &entries), ["PATH=A=B"]);
    // A name ends at the first `=`: one that holds it names nothing.
    assert_eq!(filtered(|block| keep_env(block, &[c"PATH=A", c"X=PATH"]), &entries), [""; 0]);
    assert_eq!(filtered(|block| keep_env(block, &[c""]), &entries), ["=PATH"]);
}

fn an_entry_without_a_value_has_no_name() {
    let entries = [c"PATH", c"", c"PATH=1"];
    assert_eq!(filtered(|block| keep_env(block, &[c"PATH", c""]), &entries), ["PATH=1"]);
    assert_eq!(filtered(|block| drop_env(block, &[c"PATH", c""]), &entries), ["PATH", ""]);
}

fn an_empty_block_stays_empty() {
    assert_eq!(filtered(|block| keep_env(block, &[c"PATH"]), &[]), [""; 0]);
    assert_eq!(keep_env(&[], &[c"PATH"]), 0);
}

fn what_follows_the_null_is_not_looked_at() {
    let mut block = [Some(ThinCStr::from(c"A=1")), None, Some(ThinCStr::from(c"B=2"))];
    assert_eq!(keep_env(Cell::from_mut(&mut block[..]).as_slice_of_cells(), &[c"B"]), 0);
    assert!(block[0].is_none() && block[2].is_some());
}

fn strings_are_moved_and_not_copied() {
    let kept = c"B=2";
    let mut block = [Some(ThinCStr::from(c"A=1")), Some(ThinCStr::from(kept)), None];
    assert_eq!(drop_env(Cell::from_mut(&mut block[..]).as_slice_of_cells(), &[c"A"]), 1);
    assert_eq!(block[0].map(|entry| entry.as_c_str().as_ptr()), Some(kept.as_ptr()));
}

fn an_array_ends_at_its_null() {
    let mut raw = [c"A=1".as_ptr(), c"B=2".as_ptr(), std::ptr::null(), c"C=3".as_ptr()];
    let first = raw.as_mut_ptr();
    // SAFETY: the array has strings, which stay, and then a null; it is used through `block` only.
    let block = unsafe { ThinCStr::array(first) };
    assert_eq!(
        block.iter().map(|cell| cell.get().map(ThinCStr::as_c_str)).collect::<Vec<_>>(),
        [Some(c"A=1"), Some(c"B=2"), None]
    );
    assert_eq!(keep_env(block, &[c"B", c"C"]), 1);
    assert_eq!(raw.map(<*const c_char>::is_null), [false, true, true, false]);
    let mut none = [std::ptr::null()];
    // SAFETY: an array of no string and a null.
    assert_eq!(unsafe { ThinCStr::array(none.as_mut_ptr()) }.len(), 1);
}

fn a_string_of_an_array_is_shown_as_one() {
    assert_eq!(format!("{:?}", ThinCStr::from(c"A=1")), "\"A=1\"");
}

fn a_value_is_found_by_its_name() {
    let entries = [
        Some(c"PATHS=0"),
        Some(c"PATH"),
        Some(c"PATH=/bin"),
        Some(c"PATH=/sbin"),
        Some(c"TZ="),
        Some(c"X=PATH=3"),
        None,
        Some(c"A=1"),
    ];
    let mut block = entries.map(|entry| entry.map(ThinCStr::from));
    let block = Cell::from_mut(&mut block[..]).as_slice_of_cells();
    assert_eq!(getenv(block, c"PATH"), Some(c"/bin"), "the first");
    assert_eq!(getenv(block, c"TZ"), Some(c""));
    assert_eq!(getenv(block, c"X"), Some(c"PATH=3"));
    for missing in [c"PAT", c"T", c"", c"X=PATH", c"A"] {
        assert_eq!(getenv(block, missing), None, "{missing:?}");
    }
    // It is the entry's own text, and the block is what it was.
    assert_eq!(getenv(block, c"X").map(CStr::as_ptr), block[5].get().map(|entry| entry.as_c_str()[2..].as_ptr()));
    assert_eq!(getenv(&[], c"PATH"), None);
}

unsafe extern "C" {
    static mut environ: *mut *const c_char;
}

fn filters_its_own() {
    // SAFETY: a fixture has one thread, and nobody changes the environment meanwhile.
    let first = unsafe { environ };
    // SAFETY: the C library keeps `environ` as execve(2) passed it, null at the end.
    let block = unsafe { ThinCStr::array(first) };
    assert_eq!(keep_env(block, &[c"KEPT", c"ALSO"]), 2);
    // The library reads the same array.
    assert!(std::env::var_os("KEPT").is_some() && std::env::var_os("GONE").is_none());
    let [tell, hear] = support::channel();
    stdio_fd(Stream::Stdout, tell).expect("stdout");
    stdio_fd(Stream::Stdin, hear).expect("stdin");
    let argv = [c"sh", c"-c", c"echo up; read end"].map(|word| Some(ThinCStr::from(word)));
    let argv: Vec<_> = argv.into_iter().chain([None]).collect();
    panic!("{}", execve(c"/bin/sh", &argv, block));
}

fn a_program_gets_what_is_left_of_environ() {
    let mut fixture = fixture("filters_its_own");
    fixture.command.env("KEPT", "1").env("GONE", "2").env("ALSO", "3").env("KEPT_NOT", "4");
    let running = fixture.start();
    assert_eq!(running.hear(), "up");
    let mut got = proc::environ(running.pid());
    got.sort();
    assert_eq!(got, ["ALSO=3", "KEPT=1"]);
}
