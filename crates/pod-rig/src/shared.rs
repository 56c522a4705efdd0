//! One containerd for all tests of a program that run at the same time.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use fake_cri::containerd::{Network, Rig};

/// The containerd, on [`Network::Own`], that the tests of this program share; it goes when nobody has
/// it any more. For tests that do not kill it.
///
/// # Panics
/// Where it cannot be started; ask [`crate::can_run`] first.
#[must_use]
pub fn shared() -> Arc<Rig> {
    static SHARED: Mutex<Weak<Rig>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(rig) = shared.upgrade() {
        return rig;
    }
    let rig = Arc::new(Rig::start(Network::Own).expect("containerd"));
    *shared = Arc::downgrade(&rig);
    rig
}
