//! The rules that types cannot say, over the whole file in one pass.

use std::time::Duration;

use registry::{health, scope::Scope};
use yaml::fault::Fault;

use super::{
    raw::{self, Raw},
    settings::{
        Bootstrap, DebugCorrelation, LogFormat, LogLevel, Logging, OnTimeout, OpenBao, Rotation,
        Server, State, Status, Transit,
    },
    values::{self, Wrong},
    walk::Places,
};

mod auth;

/// Every section, checked.
pub(crate) struct Sections {
    pub(crate) server: Server,
    pub(crate) openbao: OpenBao,
    pub(crate) auth: super::settings::Auth,
    pub(crate) transit: Transit,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) status: Status,
    pub(crate) state: State,
    pub(crate) rotation: Rotation,
    pub(crate) logging: Logging,
}

/// Checks all sections; complaints go to `faults`. Nothing comes back when a value is missing;
/// the result counts only when there are no faults at all.
pub(crate) fn check(raw: &Raw, places: &Places, faults: &mut Vec<Fault>) -> Option<Sections> {
    let mut rules = Rules {
        places,
        faults,
        only_written: false,
    };
    let server = server(&raw.server, &mut rules);
    let openbao = openbao(&raw.openbao, &mut rules);
    let auth = auth::auth(&raw.auth, &raw.openbao, &mut rules);
    let transit = transit(raw, &mut rules);
    let bootstrap = bootstrap(&raw.bootstrap, &mut rules);
    let status = status(raw, &mut rules);
    let state = state(&raw.state, &mut rules);
    let rotation = rotation(&raw.rotation, &mut rules);
    let logging = logging(&raw.logging, &mut rules);
    Some(Sections {
        server: server?,
        openbao: openbao?,
        auth: auth?,
        transit: transit?,
        bootstrap: bootstrap?,
        status: status?,
        state: state?,
        rotation: rotation?,
        logging: logging?,
    })
}

/// Collects what the rules find.
struct Rules<'a> {
    places: &'a Places,
    faults: &'a mut Vec<Fault>,
    /// Whether what is missing is no fault.
    only_written: bool,
}

impl Rules<'_> {
    /// The rules for a section that is of no use here: what is written there has to be right all
    /// the same, and to ask for the rest would only hide the fault that matters.
    fn of_what_is_written(&mut self) -> Rules<'_> {
        Rules {
            places: self.places,
            faults: self.faults,
            only_written: true,
        }
    }

    /// The value, or a fault of `field` that is reported once.
    fn take<T>(&mut self, field: &str, read: Result<T, Wrong>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fault(field, wrong.message, wrong.advice);
                None
            }
        }
    }

    fn fault(&mut self, field: &str, message: impl Into<String>, advice: impl Into<String>) {
        let is_silent = self.only_written && !self.places.is_written(field);
        if is_silent || self.places.is_broken(field) {
            return;
        }
        let (place, show) = self.places.find(field);
        self.faults.push(Fault {
            field: field.to_owned(),
            place,
            message: message.into(),
            advice: advice.into(),
            show,
        });
    }

    /// A rule over two fields; silent when one of them was reported already.
    fn clash(&mut self, field: &str, other: &str, message: String, advice: String) {
        if !self.places.is_broken(other) {
            self.fault(field, message, advice);
        }
    }
}

fn server(raw: &raw::Server, rules: &mut Rules<'_>) -> Option<Server> {
    let socket_path = rules.take("server.socketPath", values::socket_path(&raw.socket_path));
    let socket_mode = rules.take("server.socketMode", values::socket_mode(&raw.socket_mode));
    let socket_group = rules.take("server.socketGroup", values::group(&raw.socket_group));
    let metrics = rules.take(
        "server.metricsAddress",
        values::listen_address(&raw.metrics_address),
    );
    let health = rules.take(
        "server.healthAddress",
        values::listen_address(&raw.health_address),
    );
    if let (Some(Some(metrics)), Some(Some(health))) = (&metrics, &health)
        && metrics == health
        && metrics.port != 0
    {
        rules.clash(
            "server.healthAddress",
            "server.metricsAddress",
            "is the same as server.metricsAddress".to_owned(),
            "give them different ports, or turn one off".to_owned(),
        );
    }
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Some(Server {
        socket_path: socket_path?,
        socket_mode: socket_mode?,
        socket_group: socket_group?,
        metrics_address: metrics?,
        health_address: health?,
        max_concurrent_status: count(raw.max_concurrent_status),
        max_concurrent_encrypt: count(raw.max_concurrent_encrypt),
        max_concurrent_decrypt: count(raw.max_concurrent_decrypt),
        decrypt_lanes: count(raw.decrypt_lanes),
        allowed_peers: raw.allowed_peers.clone(),
    })
}

fn openbao(raw: &raw::OpenBao, rules: &mut Rules<'_>) -> Option<OpenBao> {
    let address = rules.take("openbao.address", values::endpoint(&raw.address));
    let mut failover_addresses = Vec::new();
    for (at, text) in raw.failover_addresses.iter().enumerate() {
        let field = format!("openbao.failoverAddresses[{at}]");
        let Some(endpoint) = rules.take(&field, values::endpoint(text)) else {
            continue;
        };
        if address.as_ref() == Some(&endpoint) || failover_addresses.contains(&endpoint) {
            rules.fault(
                &field,
                "names an endpoint that is listed already",
                "remove it, or write the address of another node",
            );
        } else {
            failover_addresses.push(endpoint);
        }
    }
    let namespace = rules.take("openbao.namespace", values::namespace(&raw.namespace));
    let ca_cert_file = rules.take("openbao.caCertFile", values::file_path(&raw.ca_cert_file));
    let tls_server_name = rules.take(
        "openbao.tlsServerName",
        values::server_name(&raw.tls_server_name),
    );
    let timeout = rules.take("openbao.timeout", values::positive_duration(&raw.timeout));
    Some(OpenBao {
        address: address?,
        failover_addresses,
        namespace: namespace?,
        ca_cert_file: ca_cert_file?,
        tls_server_name: tls_server_name?,
        timeout: timeout?,
    })
}

fn transit(raw: &Raw, rules: &mut Rules<'_>) -> Option<Transit> {
    let transit = &raw.transit;
    let scope = &transit.key_id_scope;
    let mount_path = rules.take("transit.mountPath", values::bao_path(&transit.mount_path));
    let key_name = rules.take("transit.keyName", values::key_name(&transit.key_name));
    let provider_name = rules.take(
        "transit.keyIdScope.providerName",
        values::name(&scope.provider_name),
    );
    let cluster_id = rules.take(
        "transit.keyIdScope.clusterId",
        values::name(&scope.cluster_id),
    );
    let transit_mount_id = rules.take(
        "transit.keyIdScope.transitMountId",
        values::name(&scope.transit_mount_id),
    );
    let key_lineage_id = rules.take(
        "transit.keyIdScope.keyLineageId",
        values::name(&scope.key_lineage_id),
    );
    let openbao_instance_id =
        rules.take("openbao.instanceId", values::name(&raw.openbao.instance_id));
    let expected_fingerprint = rules.take(
        "transit.expectedFingerprint",
        values::fingerprint(&transit.expected_fingerprint),
    );
    Some(Transit {
        mount_path: mount_path?,
        key_name: key_name?,
        scope: Scope {
            provider_name: provider_name?,
            cluster_id: cluster_id?,
            openbao_instance_id: openbao_instance_id?,
            openbao_namespace: raw.openbao.namespace.clone(),
            transit_mount_id: transit_mount_id?,
            key_lineage_id: key_lineage_id?,
        },
        expected_fingerprint: expected_fingerprint?,
    })
}

fn bootstrap(raw: &raw::Bootstrap, rules: &mut Rules<'_>) -> Option<Bootstrap> {
    let grace_timeout = rules.take(
        "bootstrap.graceTimeout",
        values::duration(&raw.grace_timeout),
    );
    let retry_interval = rules.take(
        "bootstrap.retryInterval",
        values::positive_duration(&raw.retry_interval),
    );
    Some(Bootstrap {
        grace_timeout: grace_timeout?,
        retry_interval: retry_interval?,
        on_timeout: match raw.on_timeout {
            raw::OnTimeout::Exit => OnTimeout::Exit,
            raw::OnTimeout::Stay => OnTimeout::Stay,
        },
    })
}

fn status(raw: &Raw, rules: &mut Rules<'_>) -> Option<Status> {
    let status = &raw.status;
    let interval = rules.take(
        "status.probeInterval",
        values::positive_duration(&status.probe_interval),
    );
    let deep = rules.take(
        "status.deepProbeInterval",
        values::positive_duration(&status.deep_probe_interval),
    );
    let staleness = rules.take(
        "status.statusMaxStaleness",
        values::positive_duration(&status.status_max_staleness),
    );
    let timeout = values::positive_duration(&raw.openbao.timeout).ok();
    if let (Some(probe_interval), Some(deep_probe_interval), Some(max_staleness), Some(timeout)) =
        (interval, deep, staleness, timeout)
    {
        let settings = health::Settings {
            probe_interval,
            deep_probe_interval,
            max_staleness,
            request_timeout: timeout,
        };
        if let Err(clash) = settings.check() {
            rules.clash(
                clash.first,
                clash.second,
                format!("clashes with {}", clash.second),
                clash.why.to_owned(),
            );
        }
    }
    Some(Status {
        probe_interval: interval?,
        deep_probe_interval: deep?,
        max_staleness: staleness?,
    })
}

fn state(raw: &raw::State, rules: &mut Rules<'_>) -> Option<State> {
    let path = rules.take("state.path", values::absolute_path(&raw.path));
    Some(State { path: path? })
}

fn rotation(raw: &raw::Rotation, rules: &mut Rules<'_>) -> Option<Rotation> {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    let delay = rules.take(
        "rotation.activationDelay",
        values::duration(&raw.activation_delay),
    );
    if delay.is_some_and(|delay| delay > LONGEST) {
        rules.fault(
            "rotation.activationDelay",
            "is longer than 24h",
            "write a duration from 0s to 24h",
        );
    }
    if !raw.reject_version_rollback {
        rules.fault(
            "rotation.rejectVersionRollback",
            "must be true: a key_id that goes back would lose what was written since",
            "write true, or remove the line",
        );
    }
    match raw.mode {
        raw::RotationMode::Observed => {}
    }
    Some(Rotation {
        activation_delay: delay?,
        stable_observations: raw.require_stable_observation_count,
    })
}

fn logging(raw: &raw::Logging, rules: &mut Rules<'_>) -> Option<Logging> {
    let level = match raw.level {
        raw::LogLevel::Trace => LogLevel::Trace,
        raw::LogLevel::Debug => LogLevel::Debug,
        raw::LogLevel::Info => LogLevel::Info,
        raw::LogLevel::Warn => LogLevel::Warn,
        raw::LogLevel::Error => LogLevel::Error,
    };
    let correlation = debug_correlation(raw, level, rules);
    Some(Logging {
        level,
        format: match raw.format {
            raw::LogFormat::Json => LogFormat::Json,
            raw::LogFormat::Text => LogFormat::Text,
        },
        openbao_request_ids: raw.log_openbao_request_ids,
        debug_correlation: correlation?,
    })
}

/// Outer `None`: a fault. Inner `None`: off.
#[expect(
    clippy::option_option,
    reason = "the outer layer is 'could not be read', the inner one is the setting"
)]
fn debug_correlation(
    raw: &raw::Logging,
    level: LogLevel,
    rules: &mut Rules<'_>,
) -> Option<Option<DebugCorrelation>> {
    const SECTION: &str = "logging.debugCorrelation";
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    const ID_CHARACTERS: usize = 64;
    let correlation = &raw.debug_correlation;
    let ttl_field = format!("{SECTION}.ttl");
    let id_field = format!("{SECTION}.incidentId");
    let enabled_field = format!("{SECTION}.enabled");
    let ttl = rules.take(&ttl_field, values::duration(&correlation.ttl));
    if ttl.is_some_and(|ttl| ttl.is_zero() || ttl > LONGEST) {
        rules.fault(
            &ttl_field,
            "is not above 0 and at most 1h",
            "write a duration such as 15m",
        );
    }
    let id = rules.take(&id_field, values::optional_name(&correlation.incident_id));
    if correlation.incident_id.chars().count() > ID_CHARACTERS {
        rules.fault(
            &id_field,
            format!("is longer than {ID_CHARACTERS} characters"),
            "write the short name of the incident",
        );
    }
    if !correlation.enabled {
        return Some(None);
    }
    if !matches!(level, LogLevel::Debug | LogLevel::Trace) {
        rules.clash(
            &enabled_field,
            "logging.level",
            "needs logging.level debug".to_owned(),
            "set logging.level to debug for the time of the incident".to_owned(),
        );
    }
    if !raw.log_openbao_request_ids {
        rules.clash(
            &enabled_field,
            "logging.logOpenBaoRequestIDs",
            "needs logging.logOpenBaoRequestIDs".to_owned(),
            "set logging.logOpenBaoRequestIDs to true".to_owned(),
        );
    }
    if let Some(None) = id {
        rules.clash(
            &enabled_field,
            &id_field,
            format!("needs {id_field}"),
            "name the incident, so that the lines can be found again".to_owned(),
        );
    }
    Some(Some(DebugCorrelation {
        ttl: ttl?,
        incident_id: id??,
    }))
}
