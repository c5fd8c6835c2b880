//! Numbers in decimal digits, without `core::fmt`.

/// The digits of one `u32`, and a newline.
pub(crate) struct Decimal {
    line: [u8; 11],
    leading_zeros: usize,
}

impl Decimal {
    pub(crate) fn of(mut n: u32) -> Self {
        let mut decimal = Self { line: *b"0000000000\n", leading_zeros: 10 };
        let [digits @ .., _newline] = &mut decimal.line;
        for digit in digits.iter_mut().rev() {
            *digit += (n % 10) as u8;
            n /= 10;
            decimal.leading_zeros -= 1;
            if n == 0 {
                break;
            }
        }
        decimal
    }

    pub(crate) fn digits(&self) -> &[u8] {
        self.line.get(self.leading_zeros..10).unwrap_or_default()
    }

    /// The digits with the newline.
    pub(crate) fn line(&self) -> &[u8] {
        self.line.get(self.leading_zeros..).unwrap_or_default()
    }
}
