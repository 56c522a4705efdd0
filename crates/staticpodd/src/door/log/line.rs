//! One line of a log as a runtime writes it: `2026-11-21T22:00:00.123456789Z stdout F text`.

use jiff::Timestamp;

/// The parts of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a str,
    /// The container ended a line here; it goes on in the next entry otherwise.
    pub(crate) ends: bool,
    pub(crate) text: &'a [u8],
}

/// Reads a line without its end; `None` for what no runtime writes.
pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = parts.next()?;
    let tags = parts.next()?;
    let text = parts.next()?;
    let first = tags.split(|byte| *byte == b':').next()?;
    let known = matches!(stream, b"stdout" | b"stderr") && matches!(first, b"F" | b"P");
    known.then_some(Line {
        time,
        ends: first == b"F",
        text,
    })
}

/// What of the lines is wanted, and where between lines the output stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pen {
    /// Nothing older.
    pub(crate) since: Option<Timestamp>,
    /// With times.
    pub(crate) timestamps: bool,
    /// So many whole lines are passed over first.
    pub(crate) skip: u64,
    /// The line before this one goes on.
    pub(super) within: bool,
}

impl Pen {
    /// Writes what is wanted of a line of the log.
    pub(crate) fn put(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
        let Some(line) = parse(raw) else {
            // Not from a runtime: as it is.
            if self.skip == 0 {
                out.extend_from_slice(raw);
                out.push(b'\n');
            }
            self.skip = self.skip.saturating_sub(1);
            return;
        };
        if self.skip > 0 {
            self.skip -= u64::from(line.ends);
            return;
        }
        let is_old = |since: Timestamp| line.time.parse::<Timestamp>().is_ok_and(|at| at < since);
        if self.since.is_some_and(is_old) {
            return;
        }
        if self.timestamps && !self.within {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        if line.ends {
            out.push(b'\n');
        }
        self.within = !line.ends;
    }

    /// Whether the line ends one of the container's, or is none.
    pub(crate) fn counts(raw: &[u8]) -> bool {
        parse(raw.strip_suffix(b"\n").unwrap_or(raw)).is_none_or(|line| line.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: [&str; 5] = [
        "2026-11-21T22:00:00.000000001Z stdout F one\n",
        "2026-11-21T22:00:01.000000001Z stdout P two \n",
        "2026-11-21T22:00:02.000000001Z stdout F and three\n",
        "2026-11-21T22:00:03.000000001Z stderr F \n",
        "no runtime's\n",
    ];

    fn written(mut pen: Pen) -> String {
        let mut out = Vec::new();
        for line in LOG {
            pen.put(line.as_bytes(), &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_lose_what_the_runtime_added() {
        assert_eq!(
            written(Pen::default()),
            "one\ntwo and three\n\nno runtime's\n"
        );
    }

    #[test]
    fn lines_may_have_their_times_once_each() {
        let pen = Pen {
            timestamps: true,
            ..Pen::default()
        };
        assert_eq!(
            written(pen),
            "2026-11-21T22:00:00.000000001Z one\n2026-11-21T22:00:01.000000001Z two and three\n\
             2026-11-21T22:00:03.000000001Z \nno runtime's\n"
        );
    }

    #[test]
    fn lines_that_are_too_old_or_too_many_are_left_out() {
        let pen = Pen {
            since: Some("2026-11-21T22:00:03Z".parse().unwrap()),
            ..Pen::default()
        };
        assert_eq!(written(pen), "\nno runtime's\n");
        let pen = Pen {
            skip: 2,
            ..Pen::default()
        };
        assert_eq!(written(pen), "\nno runtime's\n");
        let counted = LOG.iter().filter(|line| Pen::counts(line.as_bytes()));
        assert_eq!(counted.count(), 4);
    }
}
