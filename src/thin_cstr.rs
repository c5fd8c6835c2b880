//! C strings as `argv` and `envp` hold them.

use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::fmt;
use core::iter::from_fn;
use core::marker::PhantomData;
use core::num::NonZeroU8;
use core::ptr::NonNull;

/// A `&CStr` one pointer wide: the element of `argv` and `envp`.
///
/// An `Option` of it is a pointer or null, so `&[Option<ThinCStr>]` that ends with `None` is
/// what [`execve`](crate::execve) hands to the kernel, without copying.
///
/// ```
/// use daemon_steps::ThinCStr;
/// let word = ThinCStr::from(c"sleep");
/// assert_eq!(word.as_c_str(), c"sleep");
/// assert_eq!(size_of::<Option<ThinCStr>>(), size_of::<usize>());
/// ```
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct ThinCStr<'a>(NonNull<c_char>, PhantomData<&'a CStr>);

/// An environment block in the caller's own array, null pointer included.
///
/// Of cells, because a C library reads the same array through `environ`. An array of one's own
/// becomes one by `Cell::from_mut(&mut array[..]).as_slice_of_cells()`, the process's own by
/// [`ThinCStr::array`].
pub type EnvBlock<'a> = [Cell<Option<ThinCStr<'a>>>];

impl<'a> ThinCStr<'a> {
    /// The string.
    #[must_use]
    pub fn as_c_str(self) -> &'a CStr {
        // SAFETY: made from a `&'a CStr`, or by `array`, whose caller vouches for the strings.
        #[allow(unsafe_code)]
        unsafe {
            CStr::from_ptr(self.0.as_ptr())
        }
    }

    /// Its bytes, without the null, and without a look at its end first.
    #[allow(unsafe_code)]
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> {
        let mut place = self.0.cast();
        from_fn(move || {
            // SAFETY: the string goes on until the null, which is not passed.
            let byte = NonZeroU8::new(unsafe { place.read() })?;
            // SAFETY: as above.
            place = unsafe { place.add(1) };
            Some(byte.get())
        })
    }

    /// The null-terminated array of strings at `first` (such as `environ`), with the null.
    ///
    /// # Safety
    ///
    /// `first` is not null; from there on stand pointers to C strings and then a null pointer. For
    /// `'a` the strings do not change, and the pointers are changed by this thread only.
    ///
    /// ```
    /// use daemon_steps::ThinCStr;
    /// let mut raw = [c"PATH=/bin".as_ptr(), std::ptr::null()];
    /// // SAFETY: the array is there, ends with null, and nobody else uses it.
    /// let block = unsafe { ThinCStr::array(raw.as_mut_ptr()) };
    /// assert_eq!(block.len(), 2);
    /// ```
    #[allow(unsafe_code)]
    #[must_use]
    pub unsafe fn array(first: *mut *const c_char) -> &'a EnvBlock<'a> {
        let first: *const Cell<Option<ThinCStr<'a>>> = first.cast_const().cast();
        let mut length = 0;
        loop {
            // SAFETY: the array goes on until the null, which was not met yet.
            let next = unsafe { first.add(length) };
            length += 1;
            // SAFETY: each element is a pointer to a C string or null.
            if unsafe { &*next }.get().is_none() {
                break;
            }
        }
        // SAFETY: `length` elements were just read, and the caller vouches for `'a`.
        unsafe { core::slice::from_raw_parts(first, length) }
    }
}

impl<'a> From<&'a CStr> for ThinCStr<'a> {
    fn from(string: &'a CStr) -> Self {
        Self(NonNull::from(string).cast(), PhantomData)
    }
}

impl fmt::Debug for ThinCStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_c_str().fmt(f)
    }
}
