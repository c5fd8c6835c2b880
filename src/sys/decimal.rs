//! Numbers in decimal digits, without `core::fmt`.

/// The number and a newline.
pub(crate) fn line(mut n: u32, place: &mut [u8; 11]) -> &[u8] {
    let [digits @ .., newline] = place;
    *newline = b'\n';
    let mut start = 0;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
        start = at;
        if n == 0 {
            break;
        }
    }
    // SAFETY: the first digit stands there.
    unsafe { place.get_unchecked(start..) }
}
