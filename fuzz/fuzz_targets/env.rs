//! The environment filters against a model. The input is cut at nulls: names, an empty string, entries.

#![no_main]

use core::cell::Cell;
use daemon_steps::{ThinCStr, drop_env, keep_env};
use libfuzzer_sys::fuzz_target;
use std::ffi::{CStr, CString};

fuzz_target!(|input: &[u8]| {
    let strings: Vec<CString> =
        input.split(|&byte| byte == 0).map(|part| CString::new(part).expect("cut at the nulls")).collect();
    let cut = strings.iter().position(|string| string.is_empty()).unwrap_or(strings.len());
    let (names, entries) = strings.split_at(cut);
    let names: Vec<&CStr> = names.iter().map(|name| &**name).collect();
    let named = |entry: &CStr| {
        let name = entry.to_bytes().split(|&byte| byte == b'=').next().expect("split yields a part");
        entry.to_bytes().len() > name.len() && names.iter().any(|wanted| wanted.to_bytes() == name)
    };
    for keep in [true, false] {
        let mut block: Vec<_> = entries.iter().map(|entry| Some(ThinCStr::from(&**entry))).collect();
        block.push(None);
        let cells = Cell::from_mut(&mut block[..]).as_slice_of_cells();
        let left = if keep { keep_env(cells, &names) } else { drop_env(cells, &names) };
        // A name that holds `=` names nothing in the model, and must name nothing in the filter.
        let expected: Vec<&CStr> = entries.iter().map(|entry| &**entry).filter(|entry| named(entry) == keep).collect();
        let got: Vec<&CStr> = block.iter().map_while(|entry| entry.map(ThinCStr::as_c_str)).collect();
        assert_eq!(got, expected);
        assert_eq!(left, expected.len());
        assert!(block[left..].iter().all(Option::is_none));
    }
});
