//! The etcd of a kubeadm control plane, which must come back from a reboot with all it had.

use std::{fs, path::Path, sync::Arc};

use pod_rig::{Builder, Instance, Node, can_run};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{
    pipe::{Answer, Question, ask_securely},
    programs::{built, image_of},
    until_told,
};

const PORT: u16 = 2379;
// In base64, as its gateway wants them: /registry/a and b.
const KEY: &str = "L3JlZ2lzdHJ5L2E=";
const VALUE: &str = "Yg==";

/// As kubeadm makes them: an authority, two pairs for etcd, and what a client needs.
fn certificates(folder: &Path) -> Arc<ClientConfig> {
    fs::create_dir_all(folder).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let pair = || {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    for name in ["server", "peer"] {
        let (certificate, key) = pair();
        fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let (certificate, key) = pair();
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

fn kv(node: &Node, trust: &Arc<ClientConfig>, what: &str, body: &str) -> Option<Answer> {
    let question = Question {
        method: "POST",
        path: &format!("/v3/kv/{what}"),
        headers: "",
        body,
    };
    ask_securely(node.rig(), PORT, trust, &question)
}

fn until_healthy(node: &Node) -> Instance {
    node.until("etcd is healthy", |node| {
        node.get("127.0.0.1:2381", "/readyz").contains("200 OK")
    });
    node.until_runs("etcd", "etcd")
}

#[test]
fn a_kubeadm_etcd_comes_back_from_a_reboot_with_its_data_and_its_name() {
    let Some(program) = built("etcd", "ETCD_BIN").filter(|_| can_run()) else {
        return;
    };
    let mut node = Builder::new(crate::staticpodd()).boots().build();
    let host = node.home().join("host");
    let trust = certificates(&host.join("etc/kubernetes/pki/etcd"));
    let etcd = image_of(&program, "/usr/local/bin/etcd");
    // As an image of etcd has it: the manifest names the program without its folder.
    let etcd = etcd.env("PATH", "/usr/local/bin");
    let etcd = etcd.build("registry.local/etcd:3").unwrap();
    node.rig().import(&etcd).unwrap();
    let manifest = include_str!("etcd.yaml")
        .replace("IMAGE", &etcd.name)
        .replace("HOST", &host.to_string_lossy());

    node.start();
    node.put_text("etcd.yaml", &manifest);
    let first = until_healthy(&node);
    assert_eq!(first.restarts, 0);
    let put = format!(r#"{{"key":"{KEY}","value":"{VALUE}"}}"#);
    let answer = kv(&node, &trust, "put", &put);
    assert_eq!(answer.map(|(status, _)| status), Some(200));
    assert!(host.join("var/lib/etcd/member/wal").is_dir());

    node.reboot();
    assert_eq!(node.running(), []);
    node.start();
    let second = until_healthy(&node);
    assert_eq!((&second.pod, &second.uid), (&first.pod, &first.uid));
    assert_eq!(second.restarts, 1);
    assert_ne!(second.sandbox, first.sandbox);
    // The probes of the manifest have all had their say.
    until_told(&node, "etcd", "Running", true, &[1]);
    let range = format!(r#"{{"key":"{KEY}"}}"#);
    let (status, body) = kv(&node, &trust, "range", &range).unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(&format!(r#""value":"{VALUE}""#)), "{body}");

    // The pod goes, and the data stays.
    node.remove("etcd");
    node.until_empty();
    assert!(host.join("var/lib/etcd/member/wal").is_dir());
    node.stop();
}
