//! A reader of the part of HCL that policies are written in, and of its JSON twin.

use serde_json::Value;
use thiserror::Error;

use super::Capability;

/// Which capabilities one path pattern has in one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Relative to the namespace of the policy; may end in `*`, may hold `+` segments.
    pub(crate) pattern: String,
    /// In the order of the text.
    pub(crate) capabilities: Vec<Capability>,
}

/// Why a policy cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PolicyError {
    /// The text is no HCL of the kind understood here.
    #[error("policy line {line}: expected {expected}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// A capability nobody knows.
    #[error("path \"{path}\": invalid capability '{capability}'")]
    Capability {
        /// The rule's pattern.
        path: String,
        /// The word.
        capability: String,
    },
    /// `+*` is no pattern.
    #[error("path \"{0}\": invalid use of wildcards ('+*' is forbidden)")]
    Wildcards(String),
    /// A part of the language that this reader refuses to guess at.
    #[error("path \"{path}\": '{member}' is not supported by bao-dev")]
    Unsupported {
        /// The rule's pattern.
        path: String,
        /// The member.
        member: String,
    },
}

/// Reads a policy in HCL or JSON.
///
/// # Errors
/// The first fault of the text.
pub(crate) fn parse(text: &str) -> Result<Vec<Rule>, PolicyError> {
    if text.trim_start().starts_with('{') {
        return json(text);
    }
    let mut reader = Reader {
        rest: text.chars().collect(),
        at: 0,
    };
    let mut rules = Vec::new();
    while reader.skip_space() {
        match reader.word().as_str() {
            "path" => rules.push(reader.path()?),
            "name" => {
                reader.sign('=')?;
                reader.quoted()?;
            }
            _ => return Err(reader.expected("'path \"...\" {'")),
        }
    }
    Ok(rules)
}

fn rule(pattern: &str, words: Vec<String>) -> Result<Rule, PolicyError> {
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    if pattern.contains("+*") {
        return Err(PolicyError::Wildcards(pattern.to_owned()));
    }
    let capabilities = words.into_iter().map(|word| {
        Capability::from_word(&word).ok_or_else(|| PolicyError::Capability {
            path: pattern.to_owned(),
            capability: word,
        })
    });
    Ok(Rule {
        pattern: pattern.to_owned(),
        capabilities: capabilities.collect::<Result<_, _>>()?,
    })
}

fn json(text: &str) -> Result<Vec<Rule>, PolicyError> {
    let syntax = |expected| PolicyError::Syntax { line: 1, expected };
    let value: Value = serde_json::from_str(text).map_err(|_| syntax("a JSON object"))?;
    let paths = value
        .get("path")
        .and_then(Value::as_object)
        .ok_or_else(|| syntax("a member 'path'"))?;
    paths
        .iter()
        .map(|(pattern, body)| {
            let body = body
                .as_object()
                .ok_or_else(|| syntax("an object per path"))?;
            if let Some(member) = body.keys().find(|name| *name != "capabilities") {
                return Err(PolicyError::Unsupported {
                    path: pattern.clone(),
                    member: member.clone(),
                });
            }
            rule(
                pattern,
                body.get("capabilities")
                    .map(crate::fields::texts)
                    .unwrap_or_default(),
            )
        })
        .collect()
}

struct Reader {
    rest: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn expected(&self, expected: &'static str) -> PolicyError {
        let before = self.rest.iter().take(self.at);
        PolicyError::Syntax {
            line: 1 + before.filter(|c| **c == '\n').count(),
            expected,
        }
    }

    /// Skips white space and comments; false at the end of the text.
    fn skip_space(&mut self) -> bool {
        while let Some(next) = self.peek(0) {
            match (next, self.peek(1)) {
                ('#', _) | ('/', Some('/')) => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                ('/', Some('*')) => {
                    while self.peek(0).is_some()
                        && (self.peek(0), self.peek(1)) != (Some('*'), Some('/'))
                    {
                        self.at += 1;
                    }
                    self.at += 2;
                }
                (space, _) if space.is_whitespace() => self.at += 1,
                _ => return true,
            }
        }
        false
    }

    fn word(&mut self) -> String {
        self.skip_space();
        let mut word = String::new();
        while let Some(c) = self
            .peek(0)
            .filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        {
            word.push(c);
            self.at += 1;
        }
        word
    }

    fn sign(&mut self, sign: char) -> Result<(), PolicyError> {
        if self.try_sign(sign) {
            return Ok(());
        }
        Err(self.expected(match sign {
            '{' => "'{'",
            '=' => "'='",
            _ => "'['",
        }))
    }

    fn try_sign(&mut self, sign: char) -> bool {
        self.skip_space();
        let found = self.peek(0) == Some(sign);
        self.at += usize::from(found);
        found
    }

    fn quoted(&mut self) -> Result<String, PolicyError> {
        if !self.try_sign('"') {
            return Err(self.expected("a quoted text"));
        }
        let mut text = String::new();
        loop {
            match self.peek(0) {
                None | Some('\n') => return Err(self.expected("the end of a quoted text")),
                Some('"') => break,
                Some('\\') => {
                    self.at += 1;
                    text.extend(self.peek(0));
                }
                Some(c) => text.push(c),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(text)
    }

    fn path(&mut self) -> Result<Rule, PolicyError> {
        let pattern = self.quoted()?;
        self.sign('{')?;
        let mut words = Vec::new();
        while !self.try_sign('}') {
            // A member may be quoted, as in JSON.
            let member = if self.peek(0) == Some('"') {
                self.quoted()?
            } else {
                self.word()
            };
            if member.is_empty() {
                return Err(self.expected("'}'"));
            }
            if member != "capabilities" {
                return Err(PolicyError::Unsupported {
                    path: pattern,
                    member,
                });
            }
            self.sign('=')?;
            words.extend(self.list()?);
            self.try_sign(',');
        }
        rule(&pattern, words)
    }

    fn list(&mut self) -> Result<Vec<String>, PolicyError> {
        self.sign('[')?;
        let mut items = Vec::new();
        while !self.try_sign(']') {
            items.push(self.quoted()?);
            if !self.try_sign(',') && self.peek(0) != Some(']') {
                return Err(self.expected("',' or ']'"));
            }
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_with_comments_and_trailing_commas_is_read() {
        let text = "# one\npath \"a/+/b\" { capabilities = [\"read\", \"update\",] }\n/* two */\n\
                    path \"/c/*\" {\n  // three\n  capabilities = [\"deny\"]\n}\nname = \"x\"\n";
        let rules = parse(text).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].pattern, "a/+/b");
        assert_eq!(
            rules[0].capabilities,
            [Capability::Read, Capability::Update]
        );
        assert_eq!(rules[1].pattern, "c/*");
        let json = parse(r#"{"path":{"a":{"capabilities":["read"]}}}"#).unwrap();
        assert_eq!(
            json,
            [Rule {
                pattern: String::from("a"),
                capabilities: vec![Capability::Read]
            }]
        );
    }

    #[test]
    fn faults_say_where_they_are() {
        let text = |policy| parse(policy).unwrap_err().to_string();
        assert_eq!(text("\npath x {}"), "policy line 2: expected a quoted text");
        assert_eq!(
            text("path \"x\" { capabilities = [\"fly\"] }"),
            "path \"x\": invalid capability 'fly'"
        );
        assert!(text("path \"a/+*\" { }").contains("'+*' is forbidden"));
        assert!(text("path \"a\" { min_wrapping_ttl = 1 }").contains("not supported by bao-dev"));
        assert_eq!(text("path \"a\" {"), "policy line 1: expected '}'");
    }
}
