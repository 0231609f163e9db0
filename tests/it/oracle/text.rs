//! Text as it may stand in a column: numbers, words, dates, UUIDs, prose and JSON, well-formed for the most part.

use webui_init::json;

use super::random::Random;

impl Random {
    pub fn digits(&mut self, longest: usize) -> String {
        (0..=self.below(longest))
            .map(|_| self.pick(b"0123456789") as char)
            .collect()
    }

    pub fn number(&mut self) -> String {
        let whole = if self.one_in(3) {
            self.integer().to_string()
        } else {
            self.pick(&["", "-", "+"]).to_owned() + &self.digits(20)
        };
        let fraction = if self.one_in(3) {
            format!(".{}", self.digits(8))
        } else {
            String::new()
        };
        let exponent = if self.one_in(5) {
            format!(
                "{}{}{}",
                self.pick(&["e", "E"]),
                self.pick(&["", "-", "+"]),
                self.below(40)
            )
        } else {
            String::new()
        };
        whole + &fraction + &exponent
    }

    pub fn word(&mut self) -> String {
        let word = self.pick(&[
            "true",
            "false",
            "yes",
            "no",
            "on",
            "off",
            "1",
            "0",
            "inf",
            "-Infinity",
            "NaN",
            "null",
            "",
            "None",
        ]);
        let word = if self.one_in(3) {
            &word[..self.below(word.len() + 1)]
        } else {
            word
        };
        word.chars()
            .map(|c| {
                if self.one_in(4) {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect()
    }

    pub fn date(&mut self) -> String {
        let year = if self.one_in(8) {
            self.below(300_000)
        } else {
            1900 + self.below(200)
        };
        let mut text = format!(
            "{year:04}-{:02}-{:02}",
            1 + self.below(12),
            1 + self.below(31)
        );
        if self.one_in(3) {
            return text;
        }
        text += &format!(
            "{}{:02}:{:02}",
            self.pick(&["T", " "]),
            self.below(25),
            self.below(60)
        );
        if !self.one_in(5) {
            text += &format!(":{:02}", self.below(61));
            if self.one_in(2) {
                text += &format!(".{}", self.digits(8));
            }
        }
        text + self.pick(&[
            "", "", "Z", "+00:00", "-05", "+0530", " +14:00", "+15:59", "-16:00",
        ])
    }

    pub fn uuid(&mut self) -> String {
        let mut text = String::new();
        for group in 0..8 {
            text += &format!("{:04x}", self.next() & 0xFFFF);
            if group < 7 && self.one_in(3) {
                text.push('-');
            }
        }
        match self.below(4) {
            0 => format!("{{{text}}}"),
            1 => text.to_uppercase(),
            _ => text,
        }
    }

    pub fn prose(&mut self) -> String {
        let pieces = [
            "word",
            " ",
            "é",
            "世界",
            "😀",
            "\n",
            "'",
            "\"",
            "\\",
            "\u{fffd}",
            "\u{10ffff}",
            "x",
            "   ",
            "\\u0000",
        ];
        (0..self.below(30)).map(|_| self.pick(&pieces)).collect()
    }

    pub fn json(&mut self, depth: usize) -> String {
        let blank = if self.one_in(4) {
            self.pick(&[" ", "\n", "\t", "\r\n  "])
        } else {
            ""
        };
        let value = match self.below(if depth > 5 { 4 } else { 7 }) {
            0 => self
                .pick(&[
                    "null",
                    "true",
                    "false",
                    "NaN",
                    "Infinity",
                    "-Infinity",
                    "0",
                    "-0",
                    "1e5",
                ])
                .to_owned(),
            1 => self.json_number(),
            2 | 3 => self.json_string(),
            4 if depth == 0 && self.one_in(20) => {
                let levels = self.below(json::MAX_DEPTH + 200);
                "[".repeat(levels) + &"]".repeat(levels)
            }
            4 => {
                let items: Vec<String> = (0..self.below(4)).map(|_| self.json(depth + 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let items: Vec<String> = (0..self.below(4))
                    .map(|_| format!("{}{blank}:{}", self.json_string(), self.json(depth + 1)))
                    .collect();
                format!("{{{blank}{}}}", items.join(","))
            }
        };
        format!("{blank}{value}{blank}")
    }

    fn json_number(&mut self) -> String {
        let largest = 1 << self.below(19);
        let fraction = if self.one_in(2) {
            format!(".{}", self.digits(5))
        } else {
            String::new()
        };
        let exponent = if self.one_in(3) {
            format!(
                "{}{}{}",
                self.pick(&["e", "E"]),
                self.pick(&["", "-", "+"]),
                self.below(largest)
            )
        } else {
            String::new()
        };
        format!("{}{fraction}{exponent}", self.integer())
    }

    fn json_string(&mut self) -> String {
        let pieces = [
            "a",
            "key",
            " ",
            "é",
            "😀",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\u0001",
            "\\\\u0000",
            "{",
            "]",
            ",",
            ":",
        ];
        let mended = ["\\u0000", "\\ud83d", "\\ude00", "\\uD83D", "\n", "\u{1}"];
        let content: String = (0..self.below(8))
            .map(|_| {
                if self.one_in(12) {
                    self.pick(&mended)
                } else {
                    self.pick(&pieces)
                }
            })
            .collect();
        format!("\"{content}\"")
    }
}
