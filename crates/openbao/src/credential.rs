//! Where a login's proof of identity comes from.

use bytes::Bytes;
use pace::Now;

use crate::{error::Error, operation::Operation, settings::SettingsError, transit::BoxFuture};

/// A login, ready to be sent.
pub(crate) struct LoginRequest {
    pub(crate) operation: Operation,
    /// Path below `/v1/`.
    pub(crate) path: String,
    /// Wiped when the last handle is gone.
    pub(crate) body: Bytes,
}

/// A source of logins. Acquiring one may take a file, a token endpoint or a key in hardware;
/// the caller bounds how long it waits.
pub(crate) trait Credential: Send + Sync + 'static {
    /// The label `method`.
    fn method(&self) -> &'static str;

    /// Reads the credential afresh and checks it as far as that is possible locally.
    fn login_request(&self, now: Now) -> BoxFuture<'_, Result<LoginRequest, Error>>;
}

/// `auth/<mount>/login`; `jwt` and `auth/jwt` are the same mount.
pub(crate) fn login_path(mount: &str) -> Result<String, SettingsError> {
    let mount = mount.trim_matches('/');
    let mount = mount.strip_prefix("auth/").unwrap_or(mount);
    let mount = crate::settings::url_path("the auth mount path", mount)?;
    Ok(format!("auth/{mount}/login"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_path_with_and_without_auth_is_the_same_mount() {
        for mount in ["jwt", "auth/jwt", "/jwt/", "auth/jwt/"] {
            assert_eq!(login_path(mount).unwrap(), "auth/jwt/login");
        }
        assert_eq!(login_path("team/jwt").unwrap(), "auth/team/jwt/login");
        assert!(login_path("/").is_err());
        assert!(login_path("a/../b").is_err());
    }
}
