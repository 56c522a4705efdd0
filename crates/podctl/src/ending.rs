//! How a command in a container ended, from the last word of the runtime.

use serde::Deserialize;

use crate::fault::Fault;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    status: String,
    message: String,
    reason: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

/// The exit code of the command.
///
/// # Errors
/// [`Fault::Refused`]: it was not run, or nobody knows how it ended.
pub(crate) fn code(last_word: &[u8]) -> Result<u8, Fault> {
    if last_word.is_empty() {
        return Err(Fault::Refused(
            "the runtime ended the streams and did not say how the command ended".to_owned(),
        ));
    }
    let Ok(status) = serde_json::from_slice::<Status>(last_word) else {
        let said = String::from_utf8_lossy(last_word);
        return Err(Fault::Refused(format!("the runtime says: {}", said.trim())));
    };
    if status.status == "Success" {
        return Ok(0);
    }
    let mut causes = status.details.causes.iter();
    let code = causes.find(|cause| cause.reason == "ExitCode");
    let code = code.and_then(|cause| cause.message.parse::<i64>().ok());
    match code.filter(|_| status.reason == "NonZeroExitCode") {
        Some(code) => Ok(u8::try_from(code.rem_euclid(256)).unwrap_or(1).max(1)),
        None => Err(Fault::Refused(format!(
            "the runtime says: {}",
            status.message
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_read_from_the_last_word() {
        let ended = |text: &str| code(text.as_bytes()).map_err(|fault| fault.to_string());
        assert_eq!(ended(r#"{"metadata":{},"status":"Success"}"#), Ok(0));
        let failed = |code: &str| {
            ended(&format!(
                r#"{{"status":"Failure","message":"m","reason":"NonZeroExitCode",
                "details":{{"causes":[{{"reason":"ExitCode","message":"{code}"}}]}}}}"#
            ))
        };
        assert_eq!(failed("3"), Ok(3));
        assert_eq!(failed("255"), Ok(255));
        assert_eq!(failed("x"), Err("the runtime says: m".to_owned()));
        let refused = r#"{"status":"Failure","message":"no such file","reason":"InternalError"}"#;
        assert_eq!(
            ended(refused),
            Err("the runtime says: no such file".to_owned())
        );
        assert!(ended("").unwrap_err().contains("did not say"));
        assert_eq!(ended("boo\n"), Err("the runtime says: boo".to_owned()));
    }
}
