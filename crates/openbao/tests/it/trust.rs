//! Whose certificate is accepted.

use std::time::Duration;

use bao_dev::testing::TlsMode;
use openbao::{LoginState, OpenBao, error::Class, settings::SettingsError};
use prometheus_client::registry::Registry;

use crate::rig::{Client, Rig, within, write};

fn other_authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&key).unwrap().pem()
}

async fn class(client: &Client) -> Class {
    let answer = openbao::transit::Transit::read_key(&*client.bao, within(500)).await;
    answer.unwrap_err().class
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let rig = Rig::start().await;
    write(&rig.file("ca.crt"), &other_authority(), 0o644);
    assert_eq!(class(&rig.client()).await, Class::TlsFailed);
    assert_eq!(rig.control().count("login"), 0);
}

#[tokio::test]
async fn a_server_with_another_name_is_refused_although_its_address_fits() {
    let rig = Rig::start().await;
    let mut settings = rig.settings();
    settings.server_name = "bao.internal".to_owned();
    assert_eq!(class(&Client::start(settings)).await, Class::TlsFailed);
    assert_eq!(rig.control().count("login"), 0);
}

/// What the first login fails of, in words for the log.
async fn why(client: &Client) -> String {
    loop {
        if let LoginState::NoToken(Some(error)) = client.bao.login_state() {
            assert_eq!(error.class, Class::TlsFailed, "{error}");
            return error.reason;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_trouble_with_tls_has_words_of_its_own() {
    let rig = Rig::start().await;
    for (mode, words) in [
        (TlsMode::Expired, "it has expired"),
        (TlsMode::NotYetValid, "not yet valid"),
        (TlsMode::WrongName, "for another name"),
        (TlsMode::UnknownCa, "no authority in openbao.caCertFile"),
        (TlsMode::Version, "no TLS version"),
        (TlsMode::Alert, "no TLS version"),
        (TlsMode::Reset, "cut off"),
        (TlsMode::Plain, "does not speak TLS"),
    ] {
        rig.control().tls(None, mode).unwrap();
        let said = why(&rig.client()).await;
        assert!(said.contains(words), "{mode:?}: {said}");
    }
}

#[tokio::test]
async fn a_bundle_that_was_replaced_is_taken_up_without_a_restart() {
    let rig = Rig::start().await;
    write(&rig.file("ca.crt"), &other_authority(), 0o644);
    let client = rig.client();
    write(&rig.file("ca.crt"), rig.server.ca_pem(), 0o644);
    assert_eq!(client.read().await, Ok(true));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let rig = Rig::start().await;
    let refused = |change: &dyn Fn(&mut openbao::settings::Settings)| {
        let mut settings = rig.settings();
        change(&mut settings);
        let clock = std::sync::Arc::new(pace::SystemClock::new());
        OpenBao::new(settings, clock, &mut Registry::default())
            .err()
            .unwrap()
    };
    assert!(matches!(
        refused(&|s| s.endpoints.clear()),
        SettingsError::NoEndpoint
    ));
    assert!(matches!(
        refused(&|s| s.server_name = "not a name".to_owned()),
        SettingsError::ServerName
    ));
    assert!(matches!(
        refused(&|s| s.namespace = "a\nb".to_owned()),
        SettingsError::Namespace
    ));
    assert!(matches!(
        refused(&|s| s.timeout = Duration::ZERO),
        SettingsError::Zero { .. }
    ));
    assert!(matches!(
        refused(&|s| s.transit_mount = "a//b".to_owned()),
        SettingsError::Segments { .. }
    ));
    assert!(matches!(
        refused(&|s| s.ca_file = rig.file("absent")),
        SettingsError::CaBundle(_)
    ));
    write(&rig.file("ca.crt"), rig.server.ca_pem(), 0o666);
    assert!(matches!(refused(&|_| ()), SettingsError::CaBundle(_)));
}
