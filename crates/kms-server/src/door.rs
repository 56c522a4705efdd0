//! What every call passes on its way in and out: its deadline, the guard that counts it, the
//! net under its panics, and our words in place of the library's.

use std::{pin::pin, sync::Arc};

use http::{Request, Response};
use keyring::kms::Kms;
use kms_proto::v2::key_management_service_server::KeyManagementServiceServer;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status, body::Body};
use tower::Service as _;

use crate::{
    catch::catch,
    deadline, limits,
    metrics::{Method, Metrics},
    record::{Call, Record},
    service::{Deadline, KmsService},
    settings::Correlation,
    status::{Cause, refuse},
};

/// Beside an answer: the request was begun and did not come to its end in time.
#[derive(Clone)]
pub(crate) struct NotSent;

/// The way in. Cheap to clone; one for all connections.
#[derive(Clone)]
pub struct Door {
    service: KeyManagementServiceServer<KmsService>,
    metrics: Metrics,
    correlation: Option<Arc<Correlation>>,
}

impl Door {
    /// Answers with `kms`; `correlation` names calls in the log, `None` in normal operation.
    #[must_use]
    pub fn new(kms: Arc<dyn Kms>, metrics: Metrics, correlation: Option<Correlation>) -> Self {
        let service = KeyManagementServiceServer::new(KmsService { kms })
            .max_decoding_message_size(limits::MESSAGE)
            .max_encoding_message_size(limits::MESSAGE);
        Self {
            service,
            metrics,
            correlation: correlation.map(Arc::new),
        }
    }

    /// One call, from the head of its request to the whole answer.
    pub async fn answer<B>(mut self, mut request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let now = Instant::now();
        let method = Method::of(request.uri().path());
        let deadline = deadline::internal(request.headers(), now);
        let call = Call::begin(method, &self.metrics, self.correlation.as_ref(), now);
        let extensions = request.extensions_mut();
        extensions.insert(Arc::clone(call.record()));
        extensions.insert(Deadline(deadline));
        let mut served = pin!(catch(async { self.service.call(request).await }));
        // A request that is begun and never ended must not be held for as long as its sender
        // likes: for ten minutes, say. Usually the deadline comes first.
        let all_sent = deadline::of_the_request(now);
        let mut end = timeout_at(deadline.min(all_sent), &mut served).await;
        let is_late = |call: &Call| !call.record().was_reached() && all_sent < deadline;
        if end.is_err() && !is_late(&call) {
            end = timeout_at(deadline, served).await;
        }
        let response = match end {
            Ok(Ok(Ok(response))) => in_our_words(response, &call),
            Ok(Err(_panicked)) => {
                self.metrics.panicked(method);
                refused(&Cause::Panic, call.record())
            }
            Err(_elapsed) if is_late(&call) => {
                let mut response = refused(&Cause::NotSent, call.record());
                response.extensions_mut().insert(NotSent);
                response
            }
            Err(_elapsed) => refused(&Cause::Deadline, call.record()),
        };
        call.end(code_of(&response));
        response
    }
}

fn code_of(response: &Response<Body>) -> Code {
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

/// Keeps answers of the service; translates those that the library gave before it.
fn in_our_words(response: Response<Body>, call: &Call) -> Response<Body> {
    if call.record().was_reached() {
        return response;
    }
    let cause = match (code_of(&response), call.method()) {
        (Code::Ok, _) => return response,
        (Code::Unimplemented, Method::Unknown) => Cause::MethodUnknown,
        (Code::Unimplemented, _) => Cause::MessageCompressed,
        (Code::OutOfRange, _) => Cause::MessageTooLong,
        _ => Cause::MessageMalformed,
    };
    refused(&cause, call.record())
}

fn refused(cause: &Cause<'_>, record: &Record) -> Response<Body> {
    let refusal = refuse(cause);
    let response = refusal.status().into_http();
    let reason = refusal.text.to_owned();
    record.note_refusal(refusal, reason);
    response
}
