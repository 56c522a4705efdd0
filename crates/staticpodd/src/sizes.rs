//! Sizes as people write them.

use pod::quantity::Amount;

/// A quantity of bytes, such as `10Mi`; more than 0, and rounded up to whole ones.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "a size is written as 10Mi or 10485760, and is more than 0".to_owned();
    let amount: Amount = text.parse().map_err(|_| wrong())?;
    let bytes = amount.divided_up(Amount::whole(1));
    let bytes = u64::try_from(bytes).ok();
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_quantities_of_bytes() {
        for (text, size) in [("10Mi", 10 << 20), ("1k", 1000), ("7", 7), ("1500m", 2)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "0", "-1", "10MB", "x"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
