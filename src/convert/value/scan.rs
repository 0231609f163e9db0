//! Reading bytes from the front.

/// Without the white space that PostgreSQL's input functions pass over.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t'..=b'\r', rest @ ..] | [rest @ .., b' ' | b'\t'..=b'\r'] = text {
        text = rest;
    }
    text
}

/// What is still to be read.
pub(super) struct Scan<'a>(pub(super) &'a [u8]);

impl<'a> Scan<'a> {
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    /// Passes over a sign; whether it was a minus.
    pub(super) fn sign(&mut self) -> bool {
        let minus = self.eat(b'-');
        if !minus {
            self.eat(b'+');
        }
        minus
    }

    pub(super) fn blanks(&mut self) -> bool {
        let found = self.eat(b' ');
        while self.eat(b' ') {}
        found
    }

    pub(super) fn digits(&mut self) -> &'a [u8] {
        self.digits_up_to(usize::MAX)
    }

    fn digits_up_to(&mut self, longest: usize) -> &'a [u8] {
        let digit_at = |byte: &&u8| byte.is_ascii_digit();
        let length = self.0.iter().take(longest).take_while(digit_at).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        digits
    }

    /// As many digits as there are, `longest` at most, if they are not too few.
    pub(super) fn number(&mut self, shortest: usize, longest: usize) -> Option<i64> {
        let digits = self.digits_up_to(longest);
        let number = digits
            .iter()
            .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        (digits.len() >= shortest).then_some(number)
    }
}
