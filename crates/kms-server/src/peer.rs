//! Who may connect, where the socket's mode and group are not enough.

use rustix::process::geteuid;
use tokio::net::UnixStream;

/// A list of users; empty means that whoever can open the socket may connect.
#[derive(Debug, Clone)]
pub(crate) struct Peers(Vec<u32>);

impl Peers {
    /// The given users and our own, which owns the socket anyway.
    pub(crate) fn new(allowed: &[u32]) -> Self {
        let mut uids = allowed.to_vec();
        if !uids.is_empty() {
            uids.push(geteuid().as_raw());
        }
        Self(uids)
    }

    /// Whether the process at the other end, as the kernel saw it connect, may stay; else
    /// its user, where the kernel tells.
    pub(crate) fn admit(&self, stream: &UnixStream) -> Result<(), Option<u32>> {
        if self.0.is_empty() {
            return Ok(());
        }
        let uid = stream.peer_cred().map_err(|_| None)?.uid();
        if self.0.contains(&uid) {
            Ok(())
        } else {
            Err(Some(uid))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn h06_a_user_that_is_not_listed_is_turned_away() {
        let (_near, far) = UnixStream::pair().unwrap();
        let own = geteuid().as_raw();
        assert_eq!(Peers::new(&[]).admit(&far), Ok(()));
        assert_eq!(Peers::new(&[own + 1]).admit(&far), Ok(()), "our own user");
        assert_eq!(Peers(vec![own + 1]).admit(&far), Err(Some(own)));
    }
}
