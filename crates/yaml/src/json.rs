//! JSON texts as the same trees.
//!
//! A kubelet takes a manifest whose first character is `{` for JSON and nothing else, so that
//! what is only YAML (`{a: b}`) is a mistake there. Duplicate keys are kept for the walk.

use std::{iter::Peekable, str::Chars};

use crate::{
    node::{Entry, Kind, Node},
    source::{Place, Spot},
};

/// What is wrong, and where; a JSON text has at most one such fault, since nothing after it
/// can be trusted.
pub(crate) struct Mistake {
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// How much a text may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) nesting: usize,
    pub(crate) nodes: usize,
}

/// Reads one JSON value and nothing behind it.
pub(crate) fn read(text: &str, limits: Limits) -> Result<Node, Mistake> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        line: 1,
        column: 1,
        nodes: 0,
        limits,
    };
    let root = reader.value(0)?;
    reader.skip_space();
    match reader.rest.peek() {
        None => Ok(root),
        Some(_) => Err(reader.mistake("text after the end of the document")),
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
    nodes: usize,
    limits: Limits,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn skip_space(&mut self) {
        while matches!(self.rest.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            let _ = self.next();
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Mistake> {
        self.skip_space();
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(self.mistake("more values than a manifest may hold"));
        }
        let (line, column) = (self.line, self.column);
        let kind = match self.rest.peek() {
            Some('{' | '[') if depth >= self.limits.nesting => {
                return Err(self.mistake("too many levels"));
            }
            Some('{') => self.mapping(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Kind::Scalar {
                text: self.text()?,
                plain: false,
            },
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z') => self.word()?,
            Some(_) => return Err(self.mistake("expected a value")),
            None => return Err(self.mistake("the text ends in the middle")),
        };
        let width = if matches!(kind, Kind::Scalar { .. } | Kind::Null) && self.line == line {
            self.column.saturating_sub(column).max(1)
        } else {
            1
        };
        Ok(Node {
            place: Place::Text(Spot {
                line,
                column,
                width,
            }),
            kind,
        })
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let _ = self.next();
        let mut entries = Vec::new();
        self.skip_space();
        if self.rest.next_if_eq(&'}').is_some() {
            self.column += 1;
            return Ok(Kind::Map(entries));
        }
        loop {
            self.skip_space();
            let (line, column) = (self.line, self.column);
            if self.rest.peek() != Some(&'"') {
                return Err(self.mistake("expected a key in double quotes"));
            }
            let key = self.text()?;
            let key_place = Place::Text(Spot {
                line,
                column,
                width: self.column.saturating_sub(column).max(1),
            });
            self.skip_space();
            self.expect(':', "expected ':'")?;
            let value = self.value(depth + 1)?;
            entries.push(Entry {
                key,
                key_place,
                value,
            });
            if !self.another('}', "expected ',' or '}'")? {
                return Ok(Kind::Map(entries));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let _ = self.next();
        let mut items = Vec::new();
        self.skip_space();
        if self.rest.next_if_eq(&']').is_some() {
            self.column += 1;
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.another(']', "expected ',' or ']'")? {
                return Ok(Kind::List(items));
            }
        }
    }

    /// Whether a comma announces one more; false behind the closing character.
    fn another(&mut self, close: char, expected: &str) -> Result<bool, Mistake> {
        self.skip_space();
        match self.rest.peek() {
            Some(',') => {
                let _ = self.next();
                Ok(true)
            }
            Some(next) if *next == close => {
                let _ = self.next();
                Ok(false)
            }
            Some(_) => Err(self.mistake(expected)),
            None => Err(self.mistake("the text ends in the middle")),
        }
    }

    fn expect(&mut self, wanted: char, expected: &str) -> Result<(), Mistake> {
        if self.rest.peek() == Some(&wanted) {
            let _ = self.next();
            Ok(())
        } else {
            Err(self.mistake(expected))
        }
    }

    fn text(&mut self) -> Result<String, Mistake> {
        let _ = self.next();
        let mut text = String::new();
        loop {
            match self.rest.peek() {
                None => return Err(self.mistake("the text ends within quotes")),
                Some('"') => {
                    let _ = self.next();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(next) if *next < ' ' => {
                    return Err(self.mistake("a control character within quotes"));
                }
                Some(_) => text.extend(self.next()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Mistake> {
        let _ = self.next();
        let plain = match self.rest.peek() {
            Some('"') => '"',
            Some('\\') => '\\',
            Some('/') => '/',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode(),
            _ => return Err(self.mistake("an unknown escape")),
        };
        let _ = self.next();
        Ok(plain)
    }

    /// `\u` and four digits; beyond the first plane two of them.
    fn unicode(&mut self) -> Result<char, Mistake> {
        let first = self.four_digits()?;
        let code = match first {
            0xD800..=0xDBFF => {
                self.expect('\\', "half of a surrogate pair")?;
                if self.rest.peek() != Some(&'u') {
                    return Err(self.mistake("half of a surrogate pair"));
                }
                let second = self.four_digits()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(self.mistake("half of a surrogate pair"));
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.mistake("half of a surrogate pair"))
    }

    fn four_digits(&mut self) -> Result<u32, Mistake> {
        let _ = self.next();
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.rest.peek().and_then(|digit| digit.to_digit(16));
            let Some(digit) = digit else {
                return Err(self.mistake("expected four hexadecimal digits"));
            };
            code = code * 16 + digit;
            let _ = self.next();
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Kind, Mistake> {
        let mut text = String::new();
        while let Some(next) = self
            .rest
            .next_if(|next| matches!(next, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'))
        {
            self.column += 1;
            text.push(next);
        }
        if is_number(&text) {
            Ok(Kind::Scalar { text, plain: true })
        } else {
            Err(self.mistake("no number that JSON knows"))
        }
    }

    fn word(&mut self) -> Result<Kind, Mistake> {
        let mut text = String::new();
        // One letter more than the longest word there is.
        while text.len() < 6
            && let Some(next) = self.rest.next_if(char::is_ascii_lowercase)
        {
            self.column += 1;
            text.push(next);
        }
        match text.as_str() {
            "null" => Ok(Kind::Null),
            "true" | "false" => Ok(Kind::Scalar { text, plain: true }),
            _ => Err(self.mistake("expected a value; texts stand in double quotes")),
        }
    }

    fn mistake(&self, message: &str) -> Mistake {
        Mistake {
            place: Place::Text(Spot {
                line: self.line,
                column: self.column,
                width: 1,
            }),
            message: message.to_owned(),
        }
    }
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`, of a size that a machine can hold.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}
