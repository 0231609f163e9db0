//! Values of every storage class, and text that some type or other can take, from a seed.

use webui_init::value::Kind;

use super::value::Value;

/// Steele, Lea and Flood's `SplitMix64`, and the values made from it.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn value(&mut self, kind: Kind) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 | 2 => Value::Integer(self.integer()),
            3 => Value::Real(self.real()),
            4 => Value::Blob(self.text_for(kind)),
            5 => Value::Blob(self.bytes(40)),
            6 => Value::Text(self.bytes(40)),
            _ => Value::Text(self.text_for(kind)),
        }
    }

    /// Around zero, around every power of two, and everywhere.
    pub fn integer(&mut self) -> i64 {
        let near = self.below(5) as i64 - 2;
        match self.below(5) {
            0 => near,
            1 => (1_i64 << self.below(63)).wrapping_add(near),
            2 => (i64::MIN >> self.below(63)).wrapping_add(near),
            3 => 10_i64.pow(self.below(19) as u32) * (1 + self.below(9) as i64),
            _ => self.next() as i64 >> self.below(64),
        }
    }

    fn real(&mut self) -> f64 {
        match self.below(6) {
            0 => self.integer() as f64,
            1 => self.integer() as f64 + 0.5,
            2 => (self.below(4_000_000) as f64 - 2e6) / 1000.0,
            3 => self.pick(&[
                0.0,
                -0.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                f64::MIN_POSITIVE,
                5e-324,
                f64::MAX,
                0.1,
            ]),
            4 => 1.7e9 + self.below(1_000_000_000) as f64 / 1e6,
            _ => f64::from_bits(self.next()),
        }
    }

    fn text_for(&mut self, kind: Kind) -> Vec<u8> {
        let own = match kind {
            Kind::Json | Kind::Jsonb => 5,
            Kind::Date | Kind::Timestamp | Kind::TimestampTz => self.pick(&[0, 2, 2, 2]),
            Kind::Uuid => 3,
            Kind::Bool => self.pick(&[0, 1, 1]),
            Kind::Text | Kind::Varchar(_) | Kind::Bytea => 4,
            _ => 0,
        };
        let form = if self.one_in(5) { self.below(6) } else { own };
        let mut text = match form {
            0 => self.number(),
            1 => self.word(),
            2 => self.date(),
            3 => self.uuid(),
            4 => self.prose(),
            _ => self.json(0),
        };
        if self.one_in(8) {
            let blank = self.pick(&[" ", "\t", "\n", "\r\n", "\u{b}", "  "]);
            text = if self.one_in(2) {
                text + blank
            } else {
                blank.to_owned() + &text
            };
        }
        let mut bytes = text.into_bytes();
        while self.one_in(4) {
            self.mutate(&mut bytes);
        }
        bytes
    }

    /// One byte less, more or other.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let byte = if self.one_in(4) {
            self.next() as u8
        } else {
            self.pick(b"0159-+.eE:,{}[]\"\\ u/TZtnN\n\0\x1f")
        };
        let at = self.below(bytes.len() + 1);
        match self.below(3) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let pieces: [&[u8]; 8] = [
            b"a",
            b"\0",
            b"\xed\xa0\x80",
            b"\xed\xb8\x80",
            b"\xff",
            b"\xc3",
            "é€😀".as_bytes(),
            b"\xf0\x9f\x98",
        ];
        (0..self.below(longest / 4 + 1))
            .flat_map(|_| {
                if self.one_in(3) {
                    [self.next() as u8].to_vec()
                } else {
                    self.pick(&pieces).to_vec()
                }
            })
            .collect()
    }
}
