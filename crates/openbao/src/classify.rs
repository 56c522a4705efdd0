//! What an answer means: status and error text to a class, a clause and a remedy.
//!
//! OpenBao tells most refusals apart by their English text alone, so the texts are matched
//! here and nowhere else, and none of them leaves this module.

use crate::{error::Class, operation::Operation};

/// What may be tried before the failure is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing: the next answer would be the same.
    None,
    /// Once more, at the next endpoint when there is one.
    Again,
    /// Once more on a new connection, which may lead to a node that is further.
    Elsewhere,
    /// With another token.
    Login(Refusal),
    /// Each item of the batch by itself.
    ItemByItem,
}

/// The two kinds of 403 differ only in how their text is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Plain: the token is unknown, expired or revoked.
    Token,
    /// Wrapped: the policy, or Encrypt on a key that does not exist.
    Policy,
}

/// The meaning of a failed exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) class: Class,
    pub(crate) reason: &'static str,
    pub(crate) remedy: Remedy,
}

impl Finding {
    pub(crate) const fn new(class: Class, reason: &'static str, remedy: Remedy) -> Self {
        Self {
            class,
            reason,
            remedy,
        }
    }

    /// The meaning in a call that has logged in already: whoever is refused the newest token
    /// as well has no use for another one.
    pub(crate) fn after_login(self) -> Self {
        match self.remedy {
            Remedy::Login(Refusal::Token) => Self {
                class: Class::PolicyDenied,
                reason: "OpenBao does not accept the token, even after a new login",
                ..self
            },
            _ => self,
        }
    }
}

/// Judges a status that is not 2xx. `text` is the first error text, `None` when the body is
/// not an OpenBao error at all.
pub(crate) fn classify(operation: Operation, status: u16, text: Option<&str>) -> Finding {
    match (status, text) {
        (300..=399, _) => unavailable(
            "OpenBao redirected to another node, and redirects are followed only to configured \
             endpoints; add that node to openbao.failoverAddresses",
            Remedy::Again,
        ),
        (412, _) => unavailable("the node has not yet seen our last write", Remedy::Again),
        (429, _) => Finding::new(
            Class::RateLimited,
            "OpenBao limits the rate of our requests; raise its rate limit quota, or find who \
             else uses it up",
            Remedy::Again,
        ),
        (502, _) => unavailable(
            "a gateway before OpenBao got no answer (502)",
            Remedy::Again,
        ),
        (503, Some(text)) if text.contains("sealed") => Finding::new(
            Class::Sealed,
            // A node that was never initialised says the same.
            "OpenBao or its namespace is sealed; unseal it, or initialise it if it is new",
            Remedy::Again,
        ),
        (503, Some(text)) if text.contains("locked by an administrator") => unavailable(
            "the namespace is locked by an administrator; unlock it",
            Remedy::Again,
        ),
        (503, _) => unavailable("OpenBao is not available (503)", Remedy::Again),
        (_, None) => unavailable(
            "an answer came that is not OpenBao's; check the address and what stands before it",
            Remedy::None,
        ),
        (_, Some(text)) => {
            let (wrapped, text) = unwrap_text(text);
            by_text(operation, status, wrapped, &text)
        }
    }
}

/// Judges the `error` of one item of a batch.
pub(crate) fn classify_item(text: &str) -> Finding {
    let (_, text) = unwrap_text(text);
    transit_text(&text).unwrap_or(OWN_INPUT)
}

/// A 2xx whose body is not what the operation promises.
pub(crate) const JUNK: Finding = Finding::new(
    Class::Unavailable,
    "the answer is not the JSON that OpenBao sends",
    Remedy::None,
);

const OWN_INPUT: Finding = Finding::new(
    Class::OwnInput,
    "OpenBao refused the request itself; this is a fault of the provider",
    Remedy::None,
);

const fn unavailable(reason: &'static str, remedy: Remedy) -> Finding {
    Finding::new(Class::Unavailable, reason, remedy)
}

fn by_text(operation: Operation, status: u16, wrapped: bool, text: &str) -> Finding {
    if status >= 500 {
        return server_error(operation, status, text);
    }
    if operation.is_login() {
        return Finding::new(Class::AuthFailed, login_reason(status, text), Remedy::None);
    }
    match status {
        403 => denied(operation, wrapped, text),
        404 => Finding::new(
            Class::KeyMissing,
            "there is no such key, mount or namespace",
            Remedy::None,
        ),
        400 if operation == Operation::BatchDecrypt && text.contains("batch input") => {
            Finding::new(OWN_INPUT.class, OWN_INPUT.reason, Remedy::ItemByItem)
        }
        400 => transit_text(text).unwrap_or(OWN_INPUT),
        405 | 413 => OWN_INPUT,
        _ => unavailable(
            "an answer came with a status that OpenBao does not send",
            Remedy::None,
        ),
    }
}

fn server_error(operation: Operation, status: u16, text: &str) -> Finding {
    let ours = ["associated_data", "batch input", "batch_input"]
        .iter()
        .any(|name| text.contains(name));
    if status == 500 && operation == Operation::BatchDecrypt && text.contains("batch input") {
        return Finding::new(OWN_INPUT.class, OWN_INPUT.reason, Remedy::ItemByItem);
    }
    if status == 500 && ours && !operation.is_login() {
        return OWN_INPUT;
    }
    if status == 500 && (text.contains("active cluster node not found") || no_leader(text)) {
        return unavailable("the node knows of no active OpenBao node", Remedy::Again);
    }
    if status == 500 && text == "internal error" {
        return unavailable(
            "OpenBao failed inside (500 internal error); check its audit devices",
            Remedy::Again,
        );
    }
    unavailable("OpenBao failed with a server error", Remedy::None)
}

fn no_leader(text: &str) -> bool {
    text.contains("no active Vault instance") || text.contains("no active OpenBao instance")
}

fn denied(operation: Operation, wrapped: bool, text: &str) -> Finding {
    let (reason, remedy) = match (text, wrapped) {
        ("permission denied", false) => {
            return Finding::new(
                Class::AuthFailed,
                "OpenBao does not accept the token",
                Remedy::Login(Refusal::Token),
            );
        }
        ("permission denied", true) if operation == Operation::Encrypt => (
            "the policy denies it, or the key does not exist",
            Remedy::Login(Refusal::Policy),
        ),
        ("permission denied", true) => ("the policy denies it", Remedy::Login(Refusal::Policy)),
        _ => ("OpenBao denies it (403)", Remedy::None),
    };
    Finding::new(Class::PolicyDenied, reason, remedy)
}

/// The refusals of Transit that are not about the shape of the request.
fn transit_text(text: &str) -> Option<Finding> {
    let (class, reason, remedy) = match text {
        "encryption key not found" => (Class::KeyMissing, "the key does not exist", Remedy::None),
        "refusing to use soft-deleted key" => (
            Class::VersionUnavailable,
            "the key is soft-deleted; restore it",
            Remedy::None,
        ),
        "invalid ciphertext: version is too new"
        | "requested version for encryption is higher than the latest key version" => (
            Class::VersionTooNew,
            "the node does not know this key version yet",
            Remedy::Elsewhere,
        ),
        "ciphertext or signature version is disallowed by policy (too old)" => (
            Class::VersionUnavailable,
            "the key version is below min_decryption_version, or trimmed",
            Remedy::None,
        ),
        "requested version for encryption is less than the minimum encryption key version" => (
            Class::VersionUnavailable,
            "the key version is below min_encryption_version",
            Remedy::None,
        ),
        "no such key version" => (
            Class::VersionUnavailable,
            "the key version is archived or does not exist",
            Remedy::None,
        ),
        _ if text.ends_with("message authentication failed") => (
            Class::CiphertextRejected,
            "authentication of the ciphertext failed",
            Remedy::None,
        ),
        _ if text.starts_with("invalid ciphertext") => (
            Class::CiphertextRejected,
            "the ciphertext is malformed",
            Remedy::None,
        ),
        _ => return None,
    };
    Some(Finding::new(class, reason, remedy))
}

/// Login texts in our words, for the operator who has to find the field.
fn login_reason(status: u16, text: &str) -> &'static str {
    const TABLE: [(&str, &str); 13] = [
        (
            "audience",
            "OpenBao refused the JWT's audience (aud) for this role",
        ),
        ("(iss)", "OpenBao refused the JWT's issuer (iss)"),
        (
            "(sub)",
            "OpenBao refused the JWT's subject (sub) for this role",
        ),
        (
            "not before",
            "OpenBao says that the JWT is not valid yet (nbf)",
        ),
        (
            "token is expired",
            "OpenBao says that the JWT has expired (exp)",
        ),
        (
            "issued in the future",
            "OpenBao says that the JWT was issued in the future (iat)",
        ),
        ("algorithm", "OpenBao refused the JWT's signature algorithm"),
        ("signature", "OpenBao could not verify the JWT's signature"),
        ("could not be found", "OpenBao knows no such role"),
        (
            "role_type",
            "the role is for interactive logins (role_type oidc)",
        ),
        (
            "could not load configuration",
            "the auth mount is not configured",
        ),
        (
            "error validating claims",
            "the JWT's claims are not those bound to the role",
        ),
        ("claim", "the JWT lacks a claim that the role needs"),
    ];
    if let Some((_, reason)) = TABLE.iter().find(|(part, _)| text.contains(part)) {
        return reason;
    }
    match status {
        403 => "the auth mount does not exist, or login is denied from this address",
        404 => "there is no such auth mount or namespace",
        _ => "OpenBao refused the login",
    }
}

/// Takes the wrapping off that OpenBao puts around an error without a response:
/// `1 error occurred:` and an indented list. Says whether there was one.
fn unwrap_text(text: &str) -> (bool, String) {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let wrapped = first
        .trim_end()
        .strip_suffix(" occurred:")
        .and_then(|count| count.split_once(' '))
        .is_some_and(|(count, noun)| {
            count.bytes().all(|b| b.is_ascii_digit()) && matches!(noun, "error" | "errors")
        });
    if !wrapped {
        return (false, text.trim_end().to_owned());
    }
    let inner: Vec<&str> = lines
        .map(|line| line.trim().trim_start_matches("* "))
        .filter(|line| !line.is_empty())
        .collect();
    (true, inner.join("\n"))
}

#[cfg(test)]
mod tests;
