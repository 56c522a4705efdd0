//! The configuration, poured into the rooms: each gets its own settings and sees no other's.

use std::time::Duration;

use daemon::lines::Format;
use keyring::probes;
use openbao::settings::{Auth, Endpoint, EndpointError, JwtFile, Settings};
use registry::{health, rotation};
use tracing::Level;

use crate::config::{AuthMethod, Config, Group, LogFormat, LogLevel, OnTimeout};

pub(super) fn openbao(config: &Config) -> Result<Settings, EndpointError> {
    let bao = &config.openbao;
    let endpoints = std::iter::once(&bao.address)
        .chain(&bao.failover_addresses)
        .map(|endpoint| Endpoint::parse(&endpoint.to_string()))
        .collect::<Result<_, _>>()?;
    Ok(Settings {
        endpoints,
        namespace: bao.namespace.clone(),
        ca_file: bao.ca_cert_file.clone(),
        server_name: bao.tls_server_name.clone(),
        timeout: bao.timeout,
        transit_mount: config.transit.mount_path.clone(),
        key_name: config.transit.key_name.clone(),
        refresh_ahead: config.auth.login_before_token_expiry,
        renewal_increment: config.auth.token_renewal_increment,
        login_timeout: config.auth.login_timeout,
        auth: auth(&config.auth.method),
        log_request_ids: config.logging.openbao_request_ids,
    })
}

fn auth(method: &AuthMethod) -> Auth {
    match method {
        AuthMethod::Jwt(jwt) => Auth::JwtFile(JwtFile {
            mount: jwt.mount_path.clone(),
            role: jwt.role.clone(),
            file: jwt.jwt_file.clone(),
            min_remaining: jwt.min_remaining_ttl,
            clock_skew_leeway: jwt.clock_skew_leeway,
            issuer: jwt.expected_issuer.clone(),
            audience: jwt.expected_audience.clone(),
            subject: jwt.expected_subject.clone(),
        }),
    }
}

pub(super) fn keyring(config: &Config) -> keyring::keyring::Settings {
    keyring::keyring::Settings {
        max_encrypt: config.server.max_concurrent_encrypt,
        max_decrypt: config.server.max_concurrent_decrypt,
        decrypt_lanes: config.server.decrypt_lanes,
        probe_interval: config.status.probe_interval,
    }
}

pub(super) fn probes(config: &Config) -> probes::Settings {
    probes::Settings {
        rotation: rotation::Settings {
            activation_delay: config.rotation.activation_delay,
            stable_count: config.rotation.stable_observations,
            probe_interval: config.status.probe_interval,
        },
        health: health::Settings {
            probe_interval: config.status.probe_interval,
            deep_probe_interval: config.status.deep_probe_interval,
            max_staleness: config.status.max_staleness,
            request_timeout: config.openbao.timeout,
        },
        bootstrap_grace: config.bootstrap.grace_timeout,
        bootstrap_retry: config.bootstrap.retry_interval,
        on_timeout: match config.bootstrap.on_timeout {
            OnTimeout::Exit => probes::OnTimeout::Exit,
            OnTimeout::Stay => probes::OnTimeout::Stay,
        },
    }
}

/// How long calls in flight may take after SIGTERM: what the longest call may take.
const DRAIN: Duration = Duration::from_secs(10);

pub(super) fn socket(config: &Config) -> kms_server::settings::Settings {
    use kms_server::settings::{Correlation, Settings, SocketGroup};
    let server = &config.server;
    let group = match &server.socket_group {
        Group::Gid(gid) => SocketGroup::Gid(*gid),
        Group::Name(name) => SocketGroup::Name(name.clone()),
    };
    Settings {
        allowed_peers: server.allowed_peers.clone(),
        drain_timeout: DRAIN,
        correlation: config
            .logging
            .debug_correlation
            .as_ref()
            .map(|correlation| Correlation {
                incident: correlation.incident_id.clone(),
                expires_at: (jiff::Timestamp::now() + correlation.ttl).to_string(),
                until: tokio::time::Instant::now() + correlation.ttl,
            }),
        ..Settings::new(server.socket_path.clone(), server.socket_mode, group)
    }
}

pub(super) fn logging(config: &Config) -> (Level, Format) {
    let level = match config.logging.level {
        LogLevel::Trace => Level::TRACE,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    let format = match config.logging.format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
    };
    (level, format)
}
