//! Numbers in decimal digits, without `core::fmt`.

/// A number above zero, and a newline.
pub(crate) fn line(mut n: u32, place: &mut [u8; 11]) -> &[u8] {
    *place = *b"0000000000\n";
    let [digits @ .., _newline] = place;
    for digit in digits.iter_mut().rev() {
        *digit += (n % 10) as u8;
        n /= 10;
    }
    let mut line = &place[..];
    while let [b'0', more @ ..] = line {
        line = more;
    }
    line
}

/// A number above zero.
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
