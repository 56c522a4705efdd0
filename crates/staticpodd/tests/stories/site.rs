//! A web server that vouches for itself, and says whatever it is told to.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// What it answers with.
#[derive(Clone)]
pub(crate) enum Answer {
    /// This document, with an entity tag: who has it hears that nothing changed.
    Document(String),
    /// These bytes.
    Raw(String),
    /// Nothing, with the connection open.
    Silence,
}

struct Script {
    answer: Answer,
    asked: Vec<String>,
}

/// Serves until the test's end.
pub(crate) struct Site {
    port: u16,
    ca: String,
    script: Arc<Mutex<Script>>,
}

impl Site {
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ca, config) = certificates();
        let asked = Vec::new();
        let script = Arc::new(Mutex::new(Script { answer, asked }));
        let told = Arc::clone(&script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, told) = (Arc::clone(&config), Arc::clone(&told));
                thread::spawn(move || serve(stream, config, &told));
            }
        });
        Self { port, ca, script }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/pods", self.port)
    }

    /// The authority behind its certificate.
    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    pub(crate) fn says(&self, answer: Answer) {
        self.script.lock().unwrap().answer = answer;
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }
}

/// An authority, and a certificate of it for loopback.
fn certificates() -> (String, Arc<ServerConfig>) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (ca.pem(), Arc::new(config))
}

/// One request. Who goes away in the middle of it is no fault.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, script: &Mutex<Script>) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.extend(byte),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let answer = {
        let mut script = script.lock().unwrap();
        script.asked.push(request.clone());
        script.answer.clone()
    };
    let text = match answer {
        Answer::Silence => {
            // Until the client loses its patience.
            let _ = stream.read(&mut byte);
            return;
        }
        Answer::Raw(text) => text,
        Answer::Document(body) => {
            let tag = format!("\"{}\"", tag(&body));
            if request.contains(&format!("if-none-match: {tag}\r\n")) {
                "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()
            } else {
                let length = body.len();
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\netag: {tag}\r\n\r\n{body}"
                )
            }
        }
    };
    let _ = stream.write_all(text.as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// Of one body, and hardly ever of another.
fn tag(body: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
