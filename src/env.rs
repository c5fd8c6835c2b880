//! The environment, filtered in the caller's own array, and read there.

use crate::sys::c_str;
use crate::thin_cstr::EnvBlock;
use core::cell::Cell;
use core::ffi::CStr;

/// Keeps only the variables with these `names`, in their order; the number that is left.
///
/// `block` is compacted in place and ends with `None` as before; strings are neither changed nor
/// freed. An entry without `=` has no name and goes. Of two entries with the same name both stay.
///
/// # System calls
///
/// None.
///
/// See [environ(7)](https://man7.org/linux/man-pages/man7/environ.7.html).
///
/// ```
/// use core::cell::Cell;
/// use daemon_steps::{ThinCStr, keep_env};
/// let mut block = [Some(ThinCStr::from(c"LD_PRELOAD=x.so")), Some(ThinCStr::from(c"PATH=/bin")), None];
/// let left = keep_env(Cell::from_mut(&mut block[..]).as_slice_of_cells(), &[c"PATH", c"TZ"]);
/// assert_eq!(left, 1);
/// assert_eq!(block[0].unwrap().as_c_str(), c"PATH=/bin");
/// assert!(block[1].is_none());
/// ```
pub fn keep_env(block: &EnvBlock<'_>, names: &[&CStr]) -> usize {
    filter(block, names, true)
}

/// Drops the variables with these `names`; the number that is left.
///
/// In place, as [`keep_env`] does it. An entry without `=` has no name and stays.
///
/// # System calls
///
/// None.
///
/// See [environ(7)](https://man7.org/linux/man-pages/man7/environ.7.html).
///
/// ```
/// use core::cell::Cell;
/// use daemon_steps::{ThinCStr, drop_env};
/// let mut block = [Some(ThinCStr::from(c"NOTIFY_SOCKET=/run/x")), Some(ThinCStr::from(c"PATH=/bin")), None];
/// assert_eq!(drop_env(Cell::from_mut(&mut block[..]).as_slice_of_cells(), &[c"NOTIFY_SOCKET"]), 1);
/// ```
pub fn drop_env(block: &EnvBlock<'_>, names: &[&CStr]) -> usize {
    filter(block, names, false)
}

/// The value of the variable with this `name`; of the first, if there are several.
///
/// # System calls
///
/// None.
///
/// See [getenv(3)](https://man7.org/linux/man-pages/man3/getenv.3.html).
///
/// ```
/// use core::cell::Cell;
/// use daemon_steps::{ThinCStr, getenv};
/// let mut block = [Some(ThinCStr::from(c"PATH=/bin")), None];
/// assert_eq!(getenv(Cell::from_mut(&mut block[..]).as_slice_of_cells(), c"PATH"), Some(c"/bin"));
/// ```
#[must_use]
pub fn getenv<'a>(block: &EnvBlock<'a>, name: &CStr) -> Option<&'a CStr> {
    let entry = block.iter().map_while(Cell::get).find(|entry| is_named(entry.as_c_str(), name))?;
    let value = entry.as_c_str().to_bytes_with_nul().get(name.count_bytes() + 1..)?;
    c_str(value).ok()
}

/// Moves the entries that are named, or those that are not, to the front, up to the first `None`, and makes the rest `None`.
fn filter(block: &EnvBlock<'_>, names: &[&CStr], named: bool) -> usize {
    let mut left = 0;
    let mut places = block.iter();
    for cell in block {
        let Some(entry) = cell.take() else { break };
        if names.iter().any(|name| is_named(entry.as_c_str(), name)) == named {
            // There is a place: this entry's own, at the latest.
            places.next().inspect(|place| place.set(Some(entry)));
            left += 1;
        }
    }
    left
}

/// Whether the name stands before the first `=`.
fn is_named(entry: &CStr, name: &CStr) -> bool {
    let mut name = name.to_bytes().iter();
    for byte in entry.to_bytes() {
        match name.next() {
            Some(wanted) if wanted == byte && *byte != b'=' => {}
            wanted => return wanted.is_none() && *byte == b'=',
        }
    }
    false
}
