//! The order of the end: first the calls, then what they need to be answered.

use daemon::shutdown::Shutdown;

/// The calls, as those who work for them see them.
#[derive(Debug)]
pub(super) struct Calls {
    stop: Shutdown,
    over: Shutdown,
}

/// However the service ends, no call is left then.
struct Last(Shutdown);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

impl Calls {
    /// There may be calls until `stop`, and for the time of the drain.
    pub(super) fn until(stop: &Shutdown) -> Self {
        Self {
            stop: stop.clone(),
            over: Shutdown::default(),
        }
    }

    /// Runs the service that takes them; with it they end, be it by a failure, a panic or a
    /// cancellation.
    pub(super) fn taken_by<T>(
        &self,
        service: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let last = Last(self.over.clone());
        async move {
            let _last = last;
            service.await
        }
    }

    /// Completes once there are no calls any more. Not before the stop: a service that fails
    /// has to be named as the task that ended the process, so nobody may follow it at once.
    pub(super) fn over(&self) -> impl Future<Output = ()> + Send + 'static {
        let (over, stop) = (self.over.wait(), self.stop.wait());
        async move {
            over.await;
            stop.await;
        }
    }

    /// Runs `work` while there are calls, and drops it then: nobody is left to wait for it.
    pub(super) fn served_by(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let over = self.over();
        async move {
            tokio::select! {
                () = work => {}
                () = over => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;

    use super::*;

    fn ends(future: impl Future<Output = ()>) -> bool {
        future.now_or_never().is_some()
    }

    #[tokio::test]
    async fn what_calls_need_outlives_the_stop_until_the_service_has_ended() {
        let stop = Shutdown::default();
        let calls = Calls::until(&stop);
        let service = calls.taken_by(ready(7));
        stop.trigger();
        assert!(!ends(calls.over()));
        assert!(!ends(calls.served_by(pending())));
        assert_eq!(service.await, 7);
        assert!(ends(calls.over()));
        assert!(ends(calls.served_by(pending())));
    }

    #[tokio::test]
    async fn a_service_that_is_cancelled_or_panics_has_ended_too() {
        let stop = Shutdown::default();
        stop.trigger();
        let calls = Calls::until(&stop);
        drop(calls.taken_by(pending::<()>()));
        assert!(ends(calls.over()));

        let calls = Calls::until(&stop);
        let service = tokio::spawn(calls.taken_by(async { panic!("planted") }));
        assert!(service.await.is_err());
        assert!(ends(calls.over()));
    }

    #[tokio::test]
    async fn a_service_that_fails_without_a_stop_is_not_followed() {
        let stop = Shutdown::default();
        let calls = Calls::until(&stop);
        calls.taken_by(ready(())).await;
        assert!(!ends(calls.over()));
        stop.trigger();
        assert!(ends(calls.over()));
    }
}
