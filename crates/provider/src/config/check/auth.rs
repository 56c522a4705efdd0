//! The rules of the section `auth`. Only the section of the chosen method is judged. Where this
//! build cannot run the method yet, that comes first: what is written for it is judged all the
//! same, since a file that is prepared for a later build learns about its mistakes now, and what
//! is missing is not asked for.

use std::time::Duration;

use super::{Rules, values};
use crate::config::{
    raw::{self, AuthMethod, CertSource, JwtSource},
    settings,
};

/// What a login takes at least, when `loginTimeout` is left to us.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn auth(
    raw: &raw::Auth,
    openbao: &raw::OpenBao,
    rules: &mut Rules<'_>,
) -> Option<settings::Auth> {
    let before_expiry = rules.take(
        "auth.loginBeforeTokenExpiry",
        values::positive_duration(&raw.login_before_token_expiry),
    );
    let increment = rules.take(
        "auth.tokenRenewalIncrement",
        values::positive_duration(&raw.token_renewal_increment),
    );
    let login_timeout = rules.take("auth.loginTimeout", values::duration(&raw.login_timeout));
    let method = match raw.method {
        // Which section counts is not known.
        _ if rules.places.is_broken("auth.method") => None,
        AuthMethod::Jwt => jwt(&raw.jwt, rules),
        AuthMethod::Cert => {
            unsupported(rules, "auth.method", "method jwt");
            cert(&raw.cert, &mut rules.of_what_is_written());
            None
        }
        AuthMethod::Approle => {
            unsupported(rules, "auth.method", "method jwt");
            approle(&raw.approle, &mut rules.of_what_is_written());
            None
        }
    };
    let login_timeout = login_timeout.map(|timeout| {
        if timeout.is_zero() {
            values::duration(&openbao.timeout)
                .unwrap_or_default()
                .max(LOGIN_TIMEOUT)
        } else {
            timeout
        }
    });
    Some(settings::Auth {
        method: method?,
        login_before_token_expiry: before_expiry?,
        token_renewal_increment: increment?,
        login_timeout: login_timeout?,
    })
}

fn unsupported(rules: &mut Rules<'_>, field: &str, supported: &str) {
    rules.fault(
        field,
        format!("is not supported: this build supports {supported}"),
        format!("use {supported}, or a build that has the other"),
    );
}

fn jwt(raw: &raw::JwtAuth, rules: &mut Rules<'_>) -> Option<settings::AuthMethod> {
    let mount_path = rules.take("auth.jwt.mountPath", values::auth_mount(&raw.mount_path));
    let role = rules.take("auth.jwt.role", values::name(&raw.role));
    let min_remaining_ttl = rules.take(
        "auth.jwt.minRemainingTtl",
        values::duration(&raw.min_remaining_ttl),
    );
    let clock_skew_leeway = rules.take(
        "auth.jwt.clockSkewLeeway",
        values::duration(&raw.clock_skew_leeway),
    );
    let issuer = rules.take(
        "auth.jwt.expectedIssuer",
        values::optional_name(&raw.expected_issuer),
    );
    let audience = rules.take(
        "auth.jwt.expectedAudience",
        values::optional_name(&raw.expected_audience),
    );
    let subject = rules.take(
        "auth.jwt.expectedSubject",
        values::optional_name(&raw.expected_subject),
    );
    let jwt_file = match raw.source {
        JwtSource::File => rules.take("auth.jwt.jwtFile", values::file_path(&raw.jwt_file)),
        JwtSource::Oauth2 => {
            unsupported(rules, "auth.jwt.source", "source file");
            oauth2(raw, &mut rules.of_what_is_written());
            None
        }
        JwtSource::Spiffe => {
            unsupported(rules, "auth.jwt.source", "source file");
            None
        }
    };
    if raw.source != JwtSource::File && !raw.jwt_file.is_empty() {
        rules.clash(
            "auth.jwt.jwtFile",
            "auth.jwt.source",
            "is only for source file".to_owned(),
            "remove it, or set auth.jwt.source to file".to_owned(),
        );
    }
    Some(settings::AuthMethod::Jwt(settings::JwtFile {
        mount_path: mount_path?,
        role: role?,
        jwt_file: jwt_file?,
        min_remaining_ttl: min_remaining_ttl?,
        clock_skew_leeway: clock_skew_leeway?,
        expected_issuer: issuer?,
        expected_audience: audience?,
        expected_subject: subject?,
    }))
}

fn oauth2(raw: &raw::JwtAuth, rules: &mut Rules<'_>) {
    for (field, text) in [
        ("auth.jwt.expectedIssuer", &raw.expected_issuer),
        ("auth.jwt.expectedAudience", &raw.expected_audience),
    ] {
        if text.is_empty() {
            rules.fault(
                field,
                "is required for source oauth2",
                "write what the issuer's tokens must carry",
            );
        }
    }
    let oauth2 = &raw.oauth2;
    rules.take(
        "auth.jwt.oauth2.tokenUrl",
        values::https_url(&oauth2.token_url),
    );
    rules.take("auth.jwt.oauth2.clientId", values::name(&oauth2.client_id));
    if oauth2.auth_method.is_none() {
        rules.fault(
            "auth.jwt.oauth2.authMethod",
            "is required",
            "write client_secret_basic or client_secret_post, as the issuer has it",
        );
    }
    rules.take(
        "auth.jwt.oauth2.clientSecretFile",
        values::file_path(&oauth2.client_secret_file),
    );
    if !oauth2.ca_cert_file.is_empty() {
        rules.take(
            "auth.jwt.oauth2.caCertFile",
            values::file_path(&oauth2.ca_cert_file),
        );
    }
    rules.take(
        "auth.jwt.oauth2.audience",
        values::optional_name(&oauth2.audience),
    );
    for (at, scope) in oauth2.scopes.iter().enumerate() {
        let field = format!("auth.jwt.oauth2.scopes[{at}]");
        if rules.take(&field, values::name(scope)).is_some() && scope.contains(' ') {
            rules.fault(&field, "has a space", "list each scope by itself");
        }
    }
    for (at, resource) in oauth2.resources.iter().enumerate() {
        let field = format!("auth.jwt.oauth2.resources[{at}]");
        if rules.take(&field, values::name(resource)).is_some()
            && (!resource.contains(':') || resource.contains('#'))
        {
            rules.fault(
                &field,
                "is no absolute URI without fragment",
                "write it like https://HOST/PATH",
            );
        }
    }
}

fn cert(raw: &raw::CertAuth, rules: &mut Rules<'_>) {
    rules.take("auth.cert.mountPath", values::auth_mount(&raw.mount_path));
    rules.take("auth.cert.name", values::optional_name(&raw.name));
    rules.take(
        "auth.cert.minRemainingTtl",
        values::duration(&raw.min_remaining_ttl),
    );
    rules.take(
        "auth.cert.clockSkewLeeway",
        values::duration(&raw.clock_skew_leeway),
    );
    match raw.source {
        None => rules.fault(
            "auth.cert.source",
            "is required",
            "write pkcs11, spiffe or file",
        ),
        Some(CertSource::Pkcs11) => pkcs11(&raw.pkcs11, rules),
        Some(CertSource::Spiffe) => spiffe(&raw.spiffe, rules),
        Some(CertSource::File) => {}
    }
}

fn pkcs11(raw: &raw::Pkcs11, rules: &mut Rules<'_>) {
    for (name, path) in [
        ("certificateFile", &raw.certificate_file),
        ("modulePath", &raw.module_path),
        ("pinFile", &raw.pin_file),
    ] {
        rules.take(&format!("auth.cert.pkcs11.{name}"), values::file_path(path));
    }
    for (name, label) in [
        ("tokenLabel", &raw.token_label),
        ("keyLabel", &raw.key_label),
    ] {
        rules.take(&format!("auth.cert.pkcs11.{name}"), values::name(label));
    }
    if raw.max_sessions.is_none() {
        rules.fault(
            "auth.cert.pkcs11.maxSessions",
            "is required",
            "write how many sessions the token allows, 2 or more",
        );
    }
}

fn spiffe(raw: &raw::Spiffe, rules: &mut Rules<'_>) {
    rules.take(
        "auth.cert.spiffe.workloadApiSocket",
        values::other_socket(&raw.workload_api_socket),
    );
    let domain = rules.take(
        "auth.cert.spiffe.trustDomain",
        values::server_name(&raw.trust_domain),
    );
    let id = rules.take("auth.cert.spiffe.spiffeId", values::name(&raw.spiffe_id));
    let (Some(domain), Some(id)) = (domain, id) else {
        return;
    };
    let path = id
        .strip_prefix("spiffe://")
        .and_then(|id| id.strip_prefix(domain.as_str()));
    if !path.is_some_and(|path| path.len() > 1 && path.starts_with('/')) {
        rules.clash(
            "auth.cert.spiffe.spiffeId",
            "auth.cert.spiffe.trustDomain",
            "is no id of auth.cert.spiffe.trustDomain".to_owned(),
            "write spiffe://TRUST-DOMAIN/PATH".to_owned(),
        );
    }
}

pub(super) fn approle(raw: &raw::AppRoleAuth, rules: &mut Rules<'_>) {
    rules.take(
        "auth.approle.mountPath",
        values::auth_mount(&raw.mount_path),
    );
    rules.take(
        "auth.approle.roleIdFile",
        values::file_path(&raw.role_id_file),
    );
    rules.take(
        "auth.approle.secretIdFile",
        values::file_path(&raw.secret_id_file),
    );
}
