//! One request with its one retry: which endpoint, which connection, how long, and what the
//! answer means. Counts and logs every attempt.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pace::Clock;
use tokio::time::{Instant, sleep};
use tracing::Level;

use crate::{
    classify::{Finding, JUNK, Remedy, classify},
    endpoints::Endpoints,
    error::{Class, Error},
    failures::classify_failure,
    metrics::{Metrics, OK},
    operation::Operation,
    transport::{Answer, Failure, Request, Route, Transport},
    wire::{self, Junk},
};

/// Wait before the same endpoint is asked again; a lagging standby has caught up in twice
/// that, and a leaderless moment may be over.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Between two looks at what is kept.
const TIDY: Duration = Duration::from_secs(30);

/// What one call may still do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// One repetition of a request, whatever the reason.
    pub(crate) retry: bool,
    /// One repetition after a login.
    pub(crate) login: bool,
}

impl Budget {
    /// What every call begins with.
    pub(crate) fn full() -> Self {
        Self {
            retry: true,
            login: true,
        }
    }
}

/// How a request may travel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Everything is over by then.
    pub(crate) deadline: Instant,
    /// On a connection of its own.
    pub(crate) new_connection: bool,
    /// Not to the endpoint that answered last, if there is another.
    pub(crate) second_choice: bool,
}

/// An exchange that failed for good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) finding: Finding,
    pub(crate) status: Option<u16>,
    /// What the retry should wait for, where the server said so.
    retry_after: Option<Duration>,
    /// Nothing of an answer came.
    silent: bool,
}

impl Fault {
    fn of(finding: Finding) -> Self {
        Self {
            finding,
            status: None,
            retry_after: None,
            silent: false,
        }
    }

    /// The fault in a call that has `budget` left.
    fn in_call_with(self, budget: Budget) -> Self {
        if budget.login {
            return self;
        }
        Self {
            finding: self.finding.after_login(),
            ..self
        }
    }

    /// The error that callers see.
    pub(crate) fn into_error(self, operation: Operation) -> Error {
        Error {
            class: self.finding.class,
            operation: operation.as_str(),
            reason: self.finding.reason.to_owned(),
            status: self.status,
        }
    }
}

/// The time of the call is over: a caller's, a login's or a probe's.
pub(crate) const DEADLINE: Finding = Finding::new(
    Class::Deadline,
    "OpenBao did not answer before the deadline of the call",
    Remedy::None,
);

/// Asks the cluster.
pub(crate) struct Exchange {
    transport: Arc<dyn Transport>,
    endpoints: Mutex<Endpoints>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    timeout: Duration,
    log_request_ids: bool,
}

impl Exchange {
    /// `timeout` bounds each attempt.
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        timeout: Duration,
        log_request_ids: bool,
    ) -> Self {
        let endpoints = Mutex::new(Endpoints::new(transport.endpoints()));
        Self {
            transport,
            endpoints,
            clock,
            metrics,
            timeout,
            log_request_ids,
        }
    }

    /// Has connections dropped that nobody needs; without end.
    pub(crate) async fn tidy(&self) {
        loop {
            sleep(TIDY).await;
            self.transport.tidy();
        }
    }

    /// Sends `request` and reads its answer with `parse`. Repeats it at most once, inside the
    /// deadline, and only while `budget` has the retry.
    pub(crate) async fn ask<T>(
        &self,
        request: &Request,
        way: Way,
        budget: &mut Budget,
        parse: impl Fn(&[u8]) -> Result<T, Junk>,
    ) -> Result<T, Fault> {
        let mut endpoint = self.choose(way.second_choice);
        let mut new_connection = way.new_connection;
        loop {
            let now = Instant::now();
            if now >= way.deadline {
                return Err(Fault::of(DEADLINE));
            }
            let route = Route {
                endpoint,
                new_connection,
                until: way.deadline.min(now + self.timeout),
            };
            let attempt = self.attempt(request, route, way.deadline, *budget, &parse);
            let fault = match attempt.await {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let again = matches!(fault.finding.remedy, Remedy::Again | Remedy::Elsewhere);
            if !again || !budget.retry {
                return Err(fault);
            }
            let next = self.after(endpoint);
            let pause = pause(&fault, next == endpoint);
            if Instant::now() + pause >= way.deadline {
                return Err(fault);
            }
            budget.retry = false;
            // A new connection may lead to another node. Who asks for fewer requests does
            // not get a handshake on top.
            new_connection |= fault.finding.class != Class::RateLimited;
            endpoint = next;
            sleep(pause).await;
        }
    }

    async fn attempt<T>(
        &self,
        request: &Request,
        route: Route,
        deadline: Instant,
        budget: Budget,
        parse: impl Fn(&[u8]) -> Result<T, Junk>,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        let result = self.transport.send(request, route).await;
        let took = started.elapsed();
        let outcome = match &result {
            Ok(answer) => judge(request.operation, answer, parse),
            Err(failure) => Err(self.judge_failure(*failure, route, deadline, took)),
        };
        let outcome = outcome.map_err(|fault| fault.in_call_with(budget));
        let answer = result.as_ref().ok();
        let id = answer.and_then(|answer| self.request_id(answer, outcome.is_err()));
        self.remember(route.endpoint, outcome.as_ref().err());
        self.report(
            request.operation,
            route.endpoint,
            outcome.as_ref().err(),
            took,
            id.as_deref(),
        );
        outcome
    }

    fn judge_failure(
        &self,
        failure: Failure,
        route: Route,
        deadline: Instant,
        took: Duration,
    ) -> Fault {
        let out_of_time = matches!(failure, Failure::Timeout { .. }) && route.until == deadline;
        let unreachable = !matches!(
            failure,
            Failure::LostBeforeAnswer
                | Failure::LostInAnswer
                | Failure::NotHttp
                | Failure::TooLarge
        );
        // That a caller was in a hurry says nothing about the endpoint. Callers whose time is
        // no longer than the timeout would else ask a dead one first for ever.
        let had_its_chance = !out_of_time || took >= self.timeout / 2;
        if unreachable && had_its_chance {
            let now = self.clock.now().mono;
            self.lock().failed(route.endpoint, now);
        }
        if out_of_time {
            return Fault::of(DEADLINE);
        }
        Fault {
            silent: matches!(
                failure,
                Failure::LostBeforeAnswer | Failure::Timeout { answering: false }
            ),
            ..Fault::of(classify_failure(failure))
        }
    }

    /// An answer that asks for another node's opinion does not make its endpoint the first.
    fn remember(&self, endpoint: usize, fault: Option<&Fault>) {
        let definite = fault.is_none_or(|fault| {
            fault.status.is_some()
                && !matches!(fault.finding.remedy, Remedy::Again | Remedy::Elsewhere)
        });
        if definite {
            self.lock().answered(endpoint);
        }
    }

    fn report(
        &self,
        operation: Operation,
        endpoint: usize,
        fault: Option<&Fault>,
        took: Duration,
        id: Option<&str>,
    ) {
        let status = fault.map_or(OK, |fault| fault.finding.class.as_str());
        self.metrics.request(operation, status, took);
        let operation = operation.as_str();
        let duration_ms = pace::millis(took);
        let endpoint = self.transport.name(endpoint);
        match fault {
            None => tracing::debug!(
                openbao_operation = operation,
                endpoint,
                status,
                duration_ms,
                openbao_request_id = id,
                "openbao.request"
            ),
            Some(fault) => tracing::warn!(
                openbao_operation = operation,
                endpoint,
                status,
                error_class = status,
                http_status = fault.status,
                reason = fault.finding.reason,
                duration_ms,
                openbao_request_id = id,
                "openbao.request"
            ),
        }
    }

    /// Where a line will be written that can show it; OpenBao's refusals have none.
    fn request_id(&self, answer: &Answer, failed: bool) -> Option<String> {
        if !self.log_request_ids || !(failed || tracing::enabled!(Level::DEBUG)) {
            return None;
        }
        wire::request_id(&answer.body)
    }

    fn choose(&self, second_choice: bool) -> usize {
        let order = self.lock().order(self.clock.now().mono);
        let second = if second_choice { order.get(1) } else { None };
        second.or(order.first()).copied().unwrap_or_default()
    }

    /// The best endpoint that is not `failed`, or `failed` itself when there is no other.
    fn after(&self, failed: usize) -> usize {
        let order = self.lock().order(self.clock.now().mono);
        order.into_iter().find(|&i| i != failed).unwrap_or(failed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Endpoints> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn judge<T>(
    operation: Operation,
    answer: &Answer,
    parse: impl Fn(&[u8]) -> Result<T, Junk>,
) -> Result<T, Fault> {
    let success = (200..300).contains(&answer.status);
    // A batch answers with its results under any status.
    if (success || operation == Operation::BatchDecrypt)
        && let Ok(value) = parse(&answer.body)
    {
        return Ok(value);
    }
    let finding = if success {
        JUNK
    } else {
        let text = wire::error_text(&answer.body);
        classify(operation, answer.status, text.as_deref())
    };
    Err(Fault {
        status: Some(answer.status),
        retry_after: answer.retry_after,
        ..Fault::of(finding)
    })
}

fn pause(fault: &Fault, same_endpoint: bool) -> Duration {
    match (fault.retry_after, same_endpoint) {
        (Some(asked), true) => asked.max(PAUSE),
        (None, true) if !fault.silent => PAUSE,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
