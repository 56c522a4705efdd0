//! Archives in the USTAR format, of regular files and directories of root.

/// The unit of the format.
const BLOCK: usize = 512;
/// What the fields for a name and for what precedes it hold, bytes.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// An archive that is being written.
pub(crate) struct Tar {
    bytes: Vec<u8>,
    /// Of every entry, seconds since 1970.
    modified: u64,
}

impl Tar {
    pub(crate) fn new(modified: u64) -> Self {
        let bytes = Vec::new();
        Self { bytes, modified }
    }

    /// `path` is relative, without a slash at its end. [`None`] where the format cannot say it.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> Option<()> {
        self.header(&format!("{path}/"), mode, 0, b'5')
    }

    /// As [`Tar::directory`].
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Option<()> {
        let size = u64::try_from(content.len()).ok()?;
        self.header(path, mode, size, b'0')?;
        self.bytes.extend_from_slice(content);
        self.pad();
        Some(())
    }

    /// Two empty blocks end an archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn pad(&mut self) {
        let whole = self.bytes.len().next_multiple_of(BLOCK);
        self.bytes.resize(whole, 0);
    }

    fn header(&mut self, path: &str, mode: u32, size: u64, kind: u8) -> Option<()> {
        let (prefix, name) = split(path)?;
        let mut header = Vec::with_capacity(BLOCK);
        field(&mut header, NAME, name.as_bytes());
        octal(&mut header, 8, u64::from(mode & 0o7777))?;
        octal(&mut header, 8, 0)?;
        octal(&mut header, 8, 0)?;
        octal(&mut header, 12, size)?;
        octal(&mut header, 12, self.modified)?;
        let sum_at = header.len();
        // The sum is taken with its own field blank.
        header.extend_from_slice(&[b' '; 8]);
        header.push(kind);
        field(&mut header, 100, b"");
        header.extend_from_slice(b"ustar\x0000");
        field(&mut header, 64, b"");
        octal(&mut header, 8, 0)?;
        octal(&mut header, 8, 0)?;
        field(&mut header, PREFIX, prefix.as_bytes());
        header.resize(BLOCK, 0);
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        let text = format!("{sum:06o}\0 ");
        header.splice(sum_at..sum_at + 8, text.bytes());
        self.bytes.extend_from_slice(&header);
        Some(())
    }
}

/// Prefix and name, which a reader joins with a slash.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME {
        return Some(("", path));
    }
    let slashes = path.match_indices('/').map(|(at, _)| at);
    slashes
        .filter_map(|at| Some((path.get(..at)?, path.get(at + 1..)?)))
        .find(|(prefix, name)| {
            !name.is_empty() && !prefix.is_empty() && prefix.len() <= PREFIX && name.len() <= NAME
        })
}

fn field(header: &mut Vec<u8>, width: usize, text: &[u8]) {
    let end = header.len() + width;
    header.extend_from_slice(text);
    header.resize(end, 0);
}

/// Digits and a zero byte.
fn octal(header: &mut Vec<u8>, width: usize, number: u64) -> Option<()> {
    let digits = width - 1;
    let text = format!("{number:0digits$o}");
    if text.len() > digits {
        return None;
    }
    field(header, width, text.as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_one_block_whose_sum_is_right() {
        let mut tar = Tar::new(0);
        tar.file("a", 0o644, b"x").unwrap();
        let bytes = tar.finish();
        assert_eq!(bytes.len(), 4 * BLOCK);
        assert_eq!(bytes[257..265], *b"ustar\x0000");
        let written = std::str::from_utf8(&bytes[148..154]).unwrap();
        let mut blank = bytes[..BLOCK].to_vec();
        blank[148..156].fill(b' ');
        let sum: u64 = blank.iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(u64::from_str_radix(written, 8).unwrap(), sum);
    }

    #[test]
    fn a_long_path_is_split_at_a_slash_and_an_unspeakable_one_refused() {
        let long = format!("{}/{}", "p".repeat(120), "n".repeat(90));
        assert_eq!(
            split(&long),
            Some(("p".repeat(120).as_str(), "n".repeat(90).as_str()))
        );
        assert_eq!(split(&"n".repeat(101)), None);
        assert_eq!(split(&format!("{}/n", "p".repeat(156))), None);
        assert_eq!(split(&format!("{}/", "d".repeat(100))), None);
    }
}
