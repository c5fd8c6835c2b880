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

/// The number.
pub(crate) fn digits(n: u32, place: &mut [u8; 11]) -> &[u8] {
    let line = line(n, place);
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// The digits as a number; `None` if one is no digit, or the number is too large. No digits are zero.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |n, &byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        n.checked_mul(10)?.checked_add(digit.into())
    })
}
