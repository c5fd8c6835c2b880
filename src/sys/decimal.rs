//! Numbers in decimal digits, without `core::fmt`.

/// The digits of one `u32`.
pub(crate) struct Decimal {
    digits: [u8; 10],
    leading_zeros: usize,
}

impl Decimal {
    pub(crate) fn of(mut n: u32) -> Self {
        let mut digits = [b'0'; 10];
        let mut leading_zeros = 10;
        for digit in digits.iter_mut().rev() {
            *digit += (n % 10) as u8;
            n /= 10;
            leading_zeros -= 1;
            if n == 0 {
                break;
            }
        }
        Self { digits, leading_zeros }
    }

    pub(crate) fn digits(&self) -> &[u8] {
        self.digits.get(self.leading_zeros..).unwrap_or_default()
    }
}
