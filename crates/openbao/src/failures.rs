//! What it means that no answer came: a class, a clause for the log and a remedy.
//!
//! Each clause says which of the likely causes it was, as far as this side can tell, and what to
//! look at first.

use crate::{
    classify::{Finding, Remedy},
    error::Class,
    transport::{CertificateFault, Failure, HandshakeFault},
};

/// Judges an exchange that did not end in an answer.
pub(crate) fn classify_failure(failure: Failure) -> Finding {
    let (class, reason) = match failure {
        Failure::Dns => (
            Class::DnsFailed,
            "the host name of the OpenBao address does not resolve; check openbao.address and \
             this node's resolver",
        ),
        Failure::Tls(fault) => (Class::TlsFailed, of_handshake(fault)),
        Failure::Certificate(fault) => (Class::TlsFailed, of_certificate(fault)),
        Failure::NotHttp => (
            Class::Unavailable,
            "an answer came that is not HTTP; check the port of openbao.address",
        ),
        Failure::TooLarge => (Class::Unavailable, "the answer is larger than allowed"),
        Failure::Timeout { answering: false } => (
            Class::Unavailable,
            "OpenBao did not answer within openbao.timeout",
        ),
        Failure::Timeout { answering: true } => (
            Class::Unavailable,
            "OpenBao did not finish its answer within openbao.timeout",
        ),
        Failure::Refused
        | Failure::Unreachable
        | Failure::Unopened
        | Failure::ConnectTimeout
        | Failure::HandshakeTimeout
        | Failure::LostBeforeAnswer
        | Failure::LostInAnswer => (Class::ConnectionFailed, of_connection(failure)),
    };
    // What has begun to answer is not asked again.
    let remedy = match failure {
        Failure::LostInAnswer
        | Failure::NotHttp
        | Failure::TooLarge
        | Failure::Timeout { answering: true } => Remedy::None,
        _ => Remedy::Again,
    };
    Finding::new(class, reason, remedy)
}

fn of_connection(failure: Failure) -> &'static str {
    match failure {
        Failure::Refused => {
            "the connection to OpenBao was refused; check that it runs and listens at \
             openbao.address, and that no firewall refuses it"
        }
        Failure::Unreachable => {
            "OpenBao cannot be reached, there is no route to it; check this node's network and \
             routes"
        }
        Failure::ConnectTimeout => {
            "no connection to OpenBao within half of openbao.timeout; check that its host is up, \
             and that no firewall drops what is sent to it"
        }
        Failure::HandshakeTimeout => {
            "OpenBao took the connection and did not finish the TLS handshake within half of \
             openbao.timeout; check its load, and what stands before it"
        }
        Failure::LostBeforeAnswer => "OpenBao closed the connection before it answered",
        Failure::LostInAnswer => "OpenBao closed the connection in the middle of its answer",
        _ => {
            "this node could not open a connection to OpenBao; check its firewall, its security \
             policy and its limit of open files"
        }
    }
}

fn of_handshake(fault: HandshakeFault) -> &'static str {
    match fault {
        HandshakeFault::NothingInCommon => {
            "the TLS handshake with OpenBao failed: it allows no TLS version or cipher of ours; \
             check tls_min_version, tls_max_version and tls_cipher_suites of its listener, TLS \
             1.2 or later is needed"
        }
        HandshakeFault::NotTls => {
            "the TLS handshake with OpenBao failed: what answers does not speak TLS; check the \
             port of openbao.address, and tls_disable of OpenBao's listener"
        }
        HandshakeFault::CutOff => {
            "the TLS handshake with OpenBao failed: the connection was cut off in it; check what \
             stands before OpenBao, and OpenBao's log"
        }
        HandshakeFault::Other => {
            "the TLS handshake with OpenBao failed; check OpenBao's log, and what stands before it"
        }
    }
}

fn of_certificate(fault: CertificateFault) -> &'static str {
    match fault {
        CertificateFault::Expired => {
            "the certificate of OpenBao was not accepted: it has expired, or one that signed it; \
             renew it, and check this node's clock"
        }
        CertificateFault::NotYetValid => {
            "the certificate of OpenBao was not accepted: it is not yet valid, or one that signed \
             it; check this node's clock, and the issuer's"
        }
        CertificateFault::OtherName => {
            "the certificate of OpenBao was not accepted: it is for another name; check \
             openbao.tlsServerName, and the names in the certificate"
        }
        CertificateFault::UnknownAuthority => {
            "the certificate of OpenBao was not accepted: no authority in openbao.caCertFile \
             signed it; check that file, and that OpenBao sends its intermediate certificates"
        }
        CertificateFault::Other => {
            "the certificate of OpenBao was not accepted: it is damaged, revoked or not for a \
             server; look at what OpenBao presents, and have it issued anew"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::error::Class::{ConnectionFailed, DnsFailed, TlsFailed, Unavailable};

    type Row = (Failure, Class, Remedy, &'static str);

    const TABLE: &[Row] = &[
        (Failure::Dns, DnsFailed, Remedy::Again, "resolver"),
        (Failure::Refused, ConnectionFailed, Remedy::Again, "refused"),
        (
            Failure::Unreachable,
            ConnectionFailed,
            Remedy::Again,
            "no route",
        ),
        (
            Failure::Unopened,
            ConnectionFailed,
            Remedy::Again,
            "open files",
        ),
        (
            Failure::ConnectTimeout,
            ConnectionFailed,
            Remedy::Again,
            "no connection",
        ),
        (
            Failure::HandshakeTimeout,
            ConnectionFailed,
            Remedy::Again,
            "took the connection",
        ),
        (
            Failure::Tls(HandshakeFault::NothingInCommon),
            TlsFailed,
            Remedy::Again,
            "no TLS version",
        ),
        (
            Failure::Tls(HandshakeFault::NotTls),
            TlsFailed,
            Remedy::Again,
            "does not speak TLS",
        ),
        (
            Failure::Tls(HandshakeFault::CutOff),
            TlsFailed,
            Remedy::Again,
            "cut off",
        ),
        (
            Failure::Tls(HandshakeFault::Other),
            TlsFailed,
            Remedy::Again,
            "failed; check",
        ),
        (
            Failure::Certificate(CertificateFault::Expired),
            TlsFailed,
            Remedy::Again,
            "has expired",
        ),
        (
            Failure::Certificate(CertificateFault::NotYetValid),
            TlsFailed,
            Remedy::Again,
            "not yet valid",
        ),
        (
            Failure::Certificate(CertificateFault::OtherName),
            TlsFailed,
            Remedy::Again,
            "openbao.tlsServerName",
        ),
        (
            Failure::Certificate(CertificateFault::UnknownAuthority),
            TlsFailed,
            Remedy::Again,
            "openbao.caCertFile",
        ),
        (
            Failure::Certificate(CertificateFault::Other),
            TlsFailed,
            Remedy::Again,
            "revoked",
        ),
        (
            Failure::LostBeforeAnswer,
            ConnectionFailed,
            Remedy::Again,
            "before it answered",
        ),
        (
            Failure::LostInAnswer,
            ConnectionFailed,
            Remedy::None,
            "in the middle",
        ),
        (Failure::NotHttp, Unavailable, Remedy::None, "not HTTP"),
        (Failure::TooLarge, Unavailable, Remedy::None, "larger"),
        (
            Failure::Timeout { answering: false },
            Unavailable,
            Remedy::Again,
            "did not answer within openbao.timeout",
        ),
        (
            Failure::Timeout { answering: true },
            Unavailable,
            Remedy::None,
            "did not finish its answer",
        ),
    ];

    #[test]
    fn a_failure_is_repeated_exactly_when_no_byte_of_an_answer_came() {
        for &(failure, class, remedy, _) in TABLE {
            let finding = classify_failure(failure);
            assert_eq!(
                (finding.class, finding.remedy),
                (class, remedy),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn every_cause_has_a_sentence_of_its_own() {
        let mut said = HashSet::new();
        for &(failure, _, _, words) in TABLE {
            let reason = classify_failure(failure).reason;
            assert!(reason.contains(words), "{failure:?}: {reason}");
            assert!(said.insert(reason), "{failure:?}: {reason}");
        }
    }
}
