//! Errors for people.

use std::error::Error;

/// An error and all that is behind it, on one line. What says its cause itself is not said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(behind) = source {
        let cause = behind.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = behind.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Failed {
        said: &'static str,
        #[source]
        because: std::io::Error,
    }

    #[test]
    fn a_cause_is_said_once() {
        for (said, told) in [
            ("it failed", "it failed: no"),
            ("it failed: no", "it failed: no"),
        ] {
            let because = std::io::Error::other("no");
            assert_eq!(chain(&Failed { said, because }), told);
        }
    }
}
