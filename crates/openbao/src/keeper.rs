//! The token's keeper: one refresh at a time, shared by everybody who needs a token.
//!
//! Only the loop in [`Keeper::run`] logs in and renews. Callers take the published token, or
//! wait for news; a caller that goes away takes nothing with it.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderValue, Method};
use pace::{BackoffError, Clock};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout_at},
};
use zeroize::Zeroizing;

use crate::{
    classify::{Finding, Refusal, Remedy},
    credential::Credential,
    desk::{Desk, Refreshed, Verdict},
    error::{Class, Error, NO_TOKEN_YET},
    exchange::{Budget, DEADLINE, Exchange, Fault, Way},
    lease::{Due, Lease},
    metrics::{Metrics, OK},
    operation::Operation,
    transport::Request,
    wire::{self, Grant},
};

/// Time for an error to reach the caller before its deadline does.
const ANSWER_AHEAD: Duration = Duration::from_millis(200);
/// Timers stand still while a machine is suspended, leases do not: look this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What the keeper is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeeperSettings {
    pub(crate) refresh_ahead: Duration,
    pub(crate) renewal_increment: Duration,
    pub(crate) login_timeout: Duration,
}

/// A token that can be used.
pub(crate) struct Session {
    /// Counts logins: a renewed token is the same token.
    pub(crate) generation: u64,
    /// The token, marked sensitive; wiped when the last handle is gone.
    pub(crate) header: HeaderValue,
    lease: Lease,
}

/// How the login stands, for `/ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginState {
    /// There is a token, and its last refresh went well.
    LoggedIn,
    /// The token still lives, but its refresh fails.
    RefreshFails(Error),
    /// There is no token; the error is that of the last attempt, if there was one.
    NoToken(Option<Error>),
}

/// Keeps one token alive.
pub(crate) struct Keeper {
    exchange: Arc<Exchange>,
    credential: Box<dyn Credential>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    settings: KeeperSettings,
    session: ArcSwapOption<Session>,
    desk: Mutex<Desk>,
    /// Something changed that may make a refresh due earlier.
    wake: Notify,
    /// Counts refreshes that ended, well or not.
    news: watch::Sender<u64>,
}

/// What the loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Sleep(Duration),
    Renew,
    Login,
}

/// What a renewal came to.
enum Renewal {
    Done,
    LoginNeeded,
}

impl Keeper {
    /// Does nothing until [`Keeper::run`] is polled.
    pub(crate) fn new(
        exchange: Arc<Exchange>,
        credential: Box<dyn Credential>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        settings: KeeperSettings,
        random: Rng,
    ) -> Result<Self, BackoffError> {
        let desk = Desk::new(random)?;
        Ok(Self {
            exchange,
            credential,
            clock,
            metrics,
            settings,
            session: ArcSwapOption::empty(),
            desk: Mutex::new(desk),
            wake: Notify::new(),
            news: watch::Sender::new(0),
        })
    }

    /// Logs in and keeps the token alive until `shutdown`. Who waits for a token when it ends,
    /// or asks for one afterwards, is told so at once.
    pub(crate) async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        self.desk().open();
        let _closing = Closing(self);
        loop {
            let step = self.next_step();
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.act(step) => {}
            }
        }
    }

    async fn act(&self, step: Step) {
        match step {
            Step::Sleep(time) => tokio::select! {
                () = sleep(time.min(LONGEST_SLEEP)) => {}
                () = self.wake.notified() => {}
            },
            Step::Renew | Step::Login => {
                let end = self.refresh(step).await;
                self.settle(end);
            }
        }
    }

    fn next_step(&self) -> Step {
        let now = self.clock.now().mono;
        let desk = self.desk();
        let due = match self.session.load().as_ref() {
            None => Due::Login,
            Some(_) if desk.login_wanted() => Due::Login,
            Some(session) => session.lease.due(now),
        };
        let step = match due {
            Due::Never => return Step::Sleep(LONGEST_SLEEP),
            Due::At(at) => return Step::Sleep(at.saturating_sub(now)),
            Due::Renew => Step::Renew,
            Due::Login => Step::Login,
        };
        match desk.retry_at() {
            Some(at) if at > now => Step::Sleep(at - now),
            _ => step,
        }
    }

    async fn refresh(&self, step: Step) -> Refreshed {
        if step == Step::Renew
            && let Some(session) = self.session.load_full()
            && matches!(self.renew(&session).await, Renewal::Done)
        {
            return Refreshed::Renewed;
        }
        match self.login().await {
            Ok(()) => Refreshed::LoggedIn,
            Err(error) => Refreshed::Failed(error),
        }
    }

    /// Ends a refresh: remembers a failure and when to try again, and tells those who wait.
    fn settle(&self, end: Refreshed) {
        let now = self.clock.now().mono;
        self.desk().settle(end, now);
        self.news.send_modify(|count| *count += 1);
    }

    async fn login(&self) -> Result<(), Error> {
        let deadline = Instant::now() + self.settings.login_timeout;
        let result =
            match timeout_at(deadline, self.credential.login_request(self.clock.now())).await {
                Ok(Ok(login)) => self.send_login(login, deadline).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(late(
                    "the credential was not ready within auth.loginTimeout",
                )),
            };
        match &result {
            Ok(lease) => {
                self.metrics.login(OK);
                tracing::info!(status = OK, "auth.login");
                if lease.is_short(self.settings.refresh_ahead) {
                    tracing::warn!(
                        reason = "the token's lease is not longer than \
                                  auth.loginBeforeTokenExpiry; it is refreshed at its half",
                        "auth.lease_short"
                    );
                }
            }
            Err(error) => {
                self.metrics.login(error.class.as_str());
                log_failure("auth.login", error);
            }
        }
        result.map(|_| ())
    }

    async fn send_login(
        &self,
        login: crate::credential::LoginRequest,
        deadline: Instant,
    ) -> Result<Lease, Error> {
        let operation = login.operation;
        let request = Request {
            operation,
            method: Method::POST,
            path: format!("/v1/{}", login.path),
            body: login.body,
            token: None,
        };
        let asked = self.clock.now().mono;
        let grant = self
            .exchange
            .ask(
                &request,
                way(deadline),
                &mut Budget::full(),
                wire::read_grant,
            )
            .await
            .map_err(|fault| login_error(fault, operation))?;
        let ahead = self.settings.refresh_ahead;
        let lease = Lease::of_login(asked, grant.lease_seconds, grant.renewable, ahead);
        let header = token_header(&grant).ok_or_else(|| unusable(operation))?;
        let mut desk = self.desk();
        self.session.store(Some(Arc::new(Session {
            generation: desk.next_generation(),
            header,
            lease,
        })));
        Ok(lease)
    }

    async fn renew(&self, session: &Session) -> Renewal {
        let operation = Operation::TokenRenewSelf;
        let deadline = Instant::now() + self.settings.login_timeout;
        let request = Request {
            operation,
            method: Method::POST,
            path: "/v1/auth/token/renew-self".to_owned(),
            body: wire::renew_body(self.settings.renewal_increment.as_secs().max(1)),
            token: Some(session.header.clone()),
        };
        let asked = self.clock.now().mono;
        let answer = self
            .exchange
            .ask(
                &request,
                way(deadline),
                &mut Budget::full(),
                wire::read_grant,
            )
            .await;
        match answer {
            Ok(grant) => {
                let lease = session
                    .lease
                    .renewed(asked, grant.lease_seconds, grant.renewable);
                self.publish_renewed(session, lease);
                self.metrics.renewal(OK);
                tracing::debug!(status = OK, enough = lease.is_enough(), "auth.renewal");
                if lease.is_enough() {
                    Renewal::Done
                } else {
                    Renewal::LoginNeeded
                }
            }
            Err(fault) => {
                let error = login_error(fault, operation);
                self.metrics.renewal(error.class.as_str());
                log_failure("auth.renewal", &error);
                Renewal::LoginNeeded
            }
        }
    }

    /// A token that was refused while it was being renewed stays dead.
    fn publish_renewed(&self, session: &Session, lease: Lease) {
        let desk = self.desk();
        if desk.is_alive(session.generation) {
            self.session.store(Some(Arc::new(Session {
                generation: session.generation,
                header: session.header.clone(),
                lease,
            })));
        }
    }

    /// The token, at once if there is one, else when the shared login ends, within `deadline`.
    pub(crate) async fn session(
        &self,
        operation: Operation,
        deadline: Instant,
    ) -> Result<Arc<Session>, Error> {
        if let Some(session) = self.usable() {
            return Ok(session);
        }
        let mut news = self.news.subscribe();
        let _place = self.wait_place();
        let patience = a_moment_before(deadline);
        loop {
            if let Some(session) = self.usable() {
                return Ok(session);
            }
            let closed = self.desk().is_closed();
            if closed || !heard(&mut news, patience).await {
                return Err(self.why_no_token(operation));
            }
        }
    }

    /// After a 403 on a call that used the token of generation `used`: whether to repeat the
    /// call with the token that there is now.
    pub(crate) async fn recover(
        &self,
        refusal: Refusal,
        used: u64,
        operation: Operation,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let mut news = self.news.subscribe();
        if !self.ask_for_login(refusal, used) {
            return Ok(self.newer_than(used));
        }
        if refusal == Refusal::Token {
            return self.session(operation, deadline).await.map(|_| true);
        }
        // The token still serves other calls; this one is worth a single login. News of a
        // renewal that was under way are not yet those of the login.
        let patience = a_moment_before(deadline);
        while !self.newer_than(used) && self.desk().login_wanted() {
            if !heard(&mut news, patience).await {
                break;
            }
        }
        Ok(self.newer_than(used))
    }

    /// Whether there is a login to wait for.
    fn ask_for_login(&self, refusal: Refusal, used: u64) -> bool {
        let now = self.clock.now().mono;
        let mut desk = self.desk();
        match desk.refused(refusal, used, now) {
            Verdict::No => return false,
            Verdict::Joined => return true,
            Verdict::Begun => {}
        }
        if refusal == Refusal::Token {
            self.session.store(None);
        }
        drop(desk);
        self.wake.notify_one();
        true
    }

    fn newer_than(&self, used: u64) -> bool {
        self.usable()
            .is_some_and(|session| session.generation > used)
    }

    /// What is left of the token's life; `Duration::MAX` for one without an end.
    pub(crate) fn token_ttl(&self) -> Option<Duration> {
        let session = self.usable()?;
        let left = session.lease.remaining(self.clock.now().mono);
        Some(left.unwrap_or(Duration::MAX))
    }

    pub(crate) fn login_state(&self) -> LoginState {
        let usable = self.usable().is_some();
        match (usable, self.desk().failure()) {
            (true, None) => LoginState::LoggedIn,
            (true, Some(failure)) => LoginState::RefreshFails(failure),
            (false, failure) => LoginState::NoToken(failure),
        }
    }

    fn usable(&self) -> Option<Arc<Session>> {
        let session = self.session.load_full()?;
        session
            .lease
            .lives(self.clock.now().mono)
            .then_some(session)
    }

    fn why_no_token(&self, operation: Operation) -> Error {
        let desk = self.desk();
        let (class, reason) = if desk.is_closed() {
            (
                Class::Unavailable,
                "the provider stops, and there is no token to ask OpenBao with",
            )
        } else {
            (Class::Deadline, NO_TOKEN_YET)
        };
        desk.failure().unwrap_or_else(|| Error {
            class,
            operation: operation.as_str(),
            reason: reason.to_owned(),
            status: None,
        })
    }

    fn wait_place(&self) -> WaitPlace<'_> {
        self.desk().enter();
        self.wake.notify_one();
        WaitPlace(self)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one caller that waits; a caller that is cancelled is counted out as well.
struct WaitPlace<'a>(&'a Keeper);

impl Drop for WaitPlace<'_> {
    fn drop(&mut self) {
        self.0.desk().leave();
    }
}

/// However the loop ends, nobody waits any longer for what it will not bring.
struct Closing<'a>(&'a Keeper);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.desk().close();
        self.0.news.send_modify(|count| *count += 1);
    }
}

/// Whether there were news before `patience` ended.
async fn heard(news: &mut watch::Receiver<u64>, patience: Instant) -> bool {
    matches!(timeout_at(patience, news.changed()).await, Ok(Ok(())))
}

/// Callers give up at their deadline themselves. Only who answers a moment earlier can tell
/// them that it was the login that failed.
fn a_moment_before(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline
        .checked_sub(ANSWER_AHEAD.min(left / 10))
        .unwrap_or(deadline)
}

fn way(deadline: Instant) -> Way {
    Way {
        deadline,
        new_connection: false,
        second_choice: false,
    }
}

fn token_header(grant: &Grant) -> Option<HeaderValue> {
    let bytes = Zeroizing::new(grant.token.expose_secret().as_bytes().to_vec());
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// A login or renewal whose time ran out is OpenBao's or the credential's slowness; the calls that wait
/// for it have deadlines of their own.
fn login_error(fault: Fault, operation: Operation) -> Error {
    let mut error = fault.into_error(operation);
    if fault.finding == DEADLINE {
        error.class = Class::Unavailable;
        "OpenBao did not answer within auth.loginTimeout".clone_into(&mut error.reason);
    }
    error
}

fn late(reason: &str) -> Error {
    Error {
        class: Class::AuthFailed,
        operation: Operation::JwtLogin.as_str(),
        reason: reason.to_owned(),
        status: None,
    }
}

fn unusable(operation: Operation) -> Error {
    let finding = Finding::new(
        Class::Unavailable,
        "OpenBao granted a token that no header can carry",
        Remedy::None,
    );
    Error {
        class: finding.class,
        operation: operation.as_str(),
        reason: finding.reason.to_owned(),
        status: None,
    }
}

fn log_failure(event: &'static str, error: &Error) {
    tracing::warn!(
        status = error.class.as_str(),
        error_class = error.class.as_str(),
        openbao_operation = error.operation,
        reason = error.reason,
        "{event}"
    );
}

#[cfg(test)]
mod tests;
