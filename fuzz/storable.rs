//! A strict reader of JSON that takes what is storable and nothing else: RFC 8259 without U+0000, without halves of
//! characters, within the limits on depth and numbers.

use site_tracking::ingest::beacon::{DEPTH_MAX, EXPONENT_MAX, NUMBER_MAX_DIGITS};

/// Why `text` is not storable, and at which byte.
pub fn fault(text: &str) -> Option<(&'static str, usize)> {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
    };
    let read = reader.value(0).and_then(|()| reader.end());
    read.err().map(|what| (what, reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Read<T = ()> = Result<T, &'static str>;

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Read {
        self.space();
        match self.peek() {
            Some(b'{') => self.members(depth + 1),
            Some(b'[') => self.elements(depth + 1),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => ["null", "true", "false"]
                .iter()
                .any(|word| self.takes(word.as_bytes()))
                .then_some(())
                .ok_or("no value"),
        }?;
        self.space();
        Ok(())
    }

    fn members(&mut self, depth: usize) -> Read {
        self.list(depth, b'}', |reader| {
            reader.space();
            reader.string()?;
            reader.space();
            if !reader.takes(b":") {
                return Err("no colon");
            }
            reader.value(depth)
        })
    }

    fn elements(&mut self, depth: usize) -> Read {
        self.list(depth, b']', |reader| reader.value(depth))
    }

    fn list(&mut self, depth: usize, end: u8, mut item: impl FnMut(&mut Self) -> Read) -> Read {
        if depth > DEPTH_MAX {
            return Err("too deep");
        }
        self.at += 1;
        self.space();
        if self.takes(&[end]) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.takes(&[end]) {
                return Ok(());
            }
            if !self.takes(b",") {
                return Err("no comma");
            }
        }
    }

    fn string(&mut self) -> Read {
        if !self.takes(b"\"") {
            return Err("no string");
        }
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..=0x1f => return Err("control character"),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Read {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.unit()? {
                0 => Err("U+0000"),
                0xdc00..=0xdfff => Err("a second half alone"),
                0xd800..=0xdbff if !self.takes(b"\\u") => Err("a first half alone"),
                0xd800..=0xdbff => match self.unit()? {
                    0xdc00..=0xdfff => Ok(()),
                    _ => Err("a first half alone"),
                },
                _ => Ok(()),
            },
            _ => Err("unknown escape"),
        }
    }

    fn unit(&mut self) -> Read<u32> {
        (0..4).try_fold(0, |unit, _| {
            let digit = char::from(self.next()?).to_digit(16).ok_or("no hex digit")?;
            Ok(unit * 16 + digit)
        })
    }

    fn number(&mut self) -> Read {
        self.takes(b"-");
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return Err("leading zero");
        }
        let mut digits = whole.len();
        if self.takes(b".") {
            digits += self.digits()?.len();
        }
        let mut exponent = 0;
        if self.takes(b"e") || self.takes(b"E") {
            let _ = self.takes(b"+") || self.takes(b"-");
            exponent = self.digits()?.parse().unwrap_or(u32::MAX);
        }
        match digits > NUMBER_MAX_DIGITS || exponent > EXPONENT_MAX {
            true => Err("number out of range"),
            false => Ok(()),
        }
    }

    fn digits(&mut self) -> Read<String> {
        let mut digits = String::new();
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            digits.push(char::from(digit));
            self.at += 1;
        }
        match digits.is_empty() {
            true => Err("no digit"),
            false => Ok(digits),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Read<u8> {
        let byte = self.peek().ok_or("cut off")?;
        self.at += 1;
        Ok(byte)
    }

    fn takes(&mut self, word: &[u8]) -> bool {
        let is_next = self.bytes[self.at..].starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn end(&self) -> Read {
        match self.at == self.bytes.len() {
            true => Ok(()),
            false => Err("more behind it"),
        }
    }
}
