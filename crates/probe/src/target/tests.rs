use super::*;

const POD: Whereabouts = Whereabouts {
    address: Some(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))),
    host_network: false,
};

fn container() -> api::Container {
    api::Container {
        ports: Some(vec![api::ContainerPort {
            name: Some("probe-port".into()),
            container_port: 6443,
            ..api::ContainerPort::default()
        }]),
        ..api::Container::default()
    }
}

fn int(port: i32) -> api::IntOrString {
    api::IntOrString::Int(port)
}

fn get(action: api::HTTPGetAction) -> api::Probe {
    api::Probe {
        http_get: Some(action),
        ..api::Probe::default()
    }
}

fn filled(probe: &api::Probe, pod: Whereabouts) -> Result<Target, TargetError> {
    target(probe, &container(), pod)
}

fn http_of(action: api::HTTPGetAction) -> HttpTarget {
    match filled(&get(action), POD).unwrap() {
        Target::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_host_is_the_named_one_or_the_pod_or_loopback_under_host_network() {
    let host = |named: Option<&str>, pod: Whereabouts| {
        let action = api::HTTPGetAction {
            host: named.map(str::to_owned),
            port: int(80),
            ..api::HTTPGetAction::default()
        };
        let http = filled(&get(action), pod)?;
        let tcp = api::Probe {
            tcp_socket: Some(api::TCPSocketAction {
                host: named.map(str::to_owned),
                port: int(80),
            }),
            ..api::Probe::default()
        };
        match (http, filled(&tcp, pod)?) {
            (Target::Http(http), Target::Tcp { host, port: 80 }) => {
                assert_eq!(http.host, host);
                Ok(host)
            }
            other => panic!("{other:?}"),
        }
    };
    let on_node = Whereabouts {
        host_network: true,
        ..POD
    };
    let nowhere = Whereabouts {
        address: None,
        host_network: false,
    };
    let six = Whereabouts {
        address: Some("fd00::1".parse().unwrap()),
        host_network: false,
    };
    assert_eq!(host(None, POD).unwrap(), "10.1.2.3");
    assert_eq!(host(Some(""), POD).unwrap(), "10.1.2.3");
    assert_eq!(host(Some("x.example"), POD).unwrap(), "x.example");
    assert_eq!(host(Some("[::1]"), POD).unwrap(), "::1");
    assert_eq!(host(None, on_node).unwrap(), "127.0.0.1");
    assert_eq!(host(None, six).unwrap(), "fd00::1");
    assert_eq!(host(None, nowhere), Err(TargetError::NoAddress));
    assert_eq!(host(Some("x"), nowhere).unwrap(), "x");
}

#[test]
fn ports_are_numbers_or_names_of_this_container() {
    let port = |port| {
        let action = api::HTTPGetAction {
            port,
            ..api::HTTPGetAction::default()
        };
        match filled(&get(action), POD)? {
            Target::Http(http) => Ok(http.port),
            other => panic!("{other:?}"),
        }
    };
    let name = |name: &str| api::IntOrString::String(name.into());
    assert_eq!(port(int(1)), Ok(1));
    assert_eq!(port(int(65_535)), Ok(65_535));
    assert_eq!(port(name("probe-port")), Ok(6443));
    assert_eq!(port(name("8080")), Ok(8080));
    for bad in [0, -1, 65_536] {
        assert_eq!(port(int(bad)), Err(TargetError::BadPort(bad)));
    }
    assert_eq!(
        port(name("http")),
        Err(TargetError::NoSuchPort("http".into()))
    );
}

#[test]
fn paths_begin_with_a_slash_and_keep_their_query() {
    for (given, path) in [
        (None, "/"),
        (Some(""), "/"),
        (Some("/healthz?verbose=1"), "/healthz?verbose=1"),
        (Some("livez"), "/livez"),
        (Some("/a#b"), "/a"),
    ] {
        let action = api::HTTPGetAction {
            path: given.map(str::to_owned),
            port: int(80),
            ..api::HTTPGetAction::default()
        };
        assert_eq!(http_of(action).path, path, "{given:?}");
    }
}

#[test]
fn headers_repeat_and_the_two_defaults_give_way() {
    let with = |given: &[(&str, &str)]| {
        let header = |(name, value): &(&str, &str)| api::HTTPHeader {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        http_of(api::HTTPGetAction {
            http_headers: Some(given.iter().map(header).collect()),
            port: int(80),
            scheme: Some("HTTPS".into()),
            ..api::HTTPGetAction::default()
        })
    };
    let shown = |http: &HttpTarget| {
        let headers = http.headers.iter();
        headers
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let plain = with(&[]);
    assert!(plain.tls);
    assert_eq!(
        shown(&plain),
        [format!("user-agent={AGENT}"), "accept=*/*".into()]
    );
    let given = with(&[
        ("X-One", "1"),
        ("x-one", "2"),
        ("Accept", ""),
        ("User-Agent", "me"),
    ]);
    assert_eq!(shown(&given), ["x-one=1", "x-one=2", "user-agent=me"]);
    let action = api::HTTPGetAction {
        http_headers: Some(vec![api::HTTPHeader {
            name: "X".into(),
            value: "a\nb".into(),
        }]),
        port: int(80),
        ..api::HTTPGetAction::default()
    };
    assert!(matches!(
        filled(&get(action), POD),
        Err(TargetError::Unsendable(_))
    ));
}

#[test]
fn commands_and_health_services_are_passed_on() {
    let exec = api::Probe {
        exec: Some(api::ExecAction {
            command: Some(vec!["true".into(), "x".into()]),
        }),
        ..api::Probe::default()
    };
    assert_eq!(
        filled(&exec, POD).unwrap(),
        Target::Exec {
            command: vec!["true".into(), "x".into()]
        }
    );
    for (mode, tls) in [
        (None, false),
        (Some("Plaintext"), false),
        (Some("TLS"), true),
    ] {
        let grpc = api::Probe {
            grpc: Some(api::GRPCAction {
                mode: mode.map(str::to_owned),
                port: 2379,
                service: None,
            }),
            ..api::Probe::default()
        };
        assert_eq!(
            filled(&grpc, POD).unwrap(),
            Target::Grpc {
                tls,
                host: "10.1.2.3".into(),
                port: 2379,
                service: String::new()
            }
        );
    }
    assert_eq!(
        filled(&api::Probe::default(), POD),
        Err(TargetError::NoHandler)
    );
}
