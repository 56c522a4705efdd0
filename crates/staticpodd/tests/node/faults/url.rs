//! Manifests from a URL that is down, slow, empty, or lies.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use pod_rig::{Instance, Node, pod};
use serde_json::json;

use super::case::{Case, Row, untouched};

pub(super) fn rows() -> Vec<Row> {
    let pods = "run on";
    let well = "with the next look, `--http-check-frequency`";
    let row = |id, what, run| Row {
        id,
        what,
        pods,
        well,
        run,
    };
    vec![
        row("U1", "a URL takes connections and never answers", silent),
        row("U2", "a URL answers with an error", failing),
        row("U3", "a URL answers with 200 and a page", page),
        row("U4", "a URL answers with half of the manifests", half),
        row("U5", "a URL answers with a Pod that breaks a rule", lies),
        row("U6", "a URL answers with more than 10 MiB", huge),
        row("U7", "a URL answers with nothing", empty),
        Row {
            id: "U8",
            what: "a URL answers with an explicit empty `PodList`",
            pods: "of this URL are stopped: that is how to say so",
            well: "with the next look, `--http-check-frequency`",
            run: emptied,
        },
    ]
}

/// What the server says, until it is told otherwise.
#[derive(Clone)]
enum Answer {
    Text(&'static str, String),
    Silence,
}

struct Server {
    address: String,
    answer: Arc<Mutex<Answer>>,
}

impl Server {
    /// Its thread ends with the process: it waits for connections until then.
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new(answer));
        let now = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = now.lock().unwrap().clone();
                thread::spawn(move || serve(stream, &answer));
            }
        });
        Self { address, answer }
    }

    fn says(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

fn serve(mut stream: TcpStream, answer: &Answer) {
    let mut question = [0; 4096];
    let _ = stream.read(&mut question);
    match answer {
        Answer::Text(status, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body.as_bytes());
        }
        Answer::Silence => {
            // Until the other side gives up.
            let _ = stream.read(&mut question);
        }
    }
}

fn list(pods: &[serde_json::Value]) -> Answer {
    let list = json!({"apiVersion": "v1", "kind": "PodList", "items": pods});
    Answer::Text("200 OK", list.to_string())
}

fn good() -> Answer {
    list(&[pod("web", &["hang"])])
}

fn started(case: &Case) -> (Node, Server, Vec<Instance>) {
    let server = Server::start(good());
    let mut node = case.builder().outside().build();
    node.flag("--manifest-url");
    node.flag(format!("http://{}/pods", server.address));
    node.flag("--http-check-frequency");
    node.flag("1s");
    node.start();
    let web = node.until_runs("web", "main");
    (node, server, vec![web])
}

fn endure(case: &mut Case, answer: &Answer, words: &str) {
    let (mut node, server, before) = started(case);
    server.says(answer.clone());
    case.sees(&node, "source.unreadable", words);
    untouched(&node, &before);
    // A new agent knows what the URL said last, too.
    node.kill();
    node.launch();
    node.until("it looks", |node| node.said("source.unreadable", words));
    thread::sleep(Duration::from_secs(1));
    untouched(&node, &before);
    server.says(list(&[pod("web", &["hang"]), pod("other", &["hang"])]));
    case.ends();
    case.is_well(&node, |node| node.runs("other", "main").is_some());
    case.sees(&node, "source.readable", "");
    assert_eq!(node.until_runs("web", "main"), before[0]);
}

fn silent(case: &mut Case) {
    endure(case, &Answer::Silence, "10 s");
}

fn failing(case: &mut Case) {
    endure(
        case,
        &Answer::Text("503 Service Unavailable", String::new()),
        "503",
    );
}

fn page(case: &mut Case) {
    let text = "<!DOCTYPE html><html><body>Please log in</body></html>".to_owned();
    endure(case, &Answer::Text("200 OK", text), "");
}

fn half(case: &mut Case) {
    let Answer::Text(status, text) = good() else {
        return;
    };
    let half = text.get(..text.len() / 2).unwrap().to_owned();
    endure(case, &Answer::Text(status, half), "");
}

fn lies(case: &mut Case) {
    let mut lie = pod("web", &["hang"]);
    lie["spec"]["containers"][0]["image"] = json!(null);
    endure(case, &list(&[lie]), "image");
}

fn huge(case: &mut Case) {
    endure(
        case,
        &Answer::Text("200 OK", " ".repeat(11 << 20)),
        "more than 10 MiB",
    );
}

fn empty(case: &mut Case) {
    endure(case, &Answer::Text("200 OK", String::new()), "");
}

fn emptied(case: &mut Case) {
    let (node, server, _) = started(case);
    server.says(list(&[]));
    case.ends();
    case.is_well(&node, |node| node.sandboxes().is_empty());
    case.sees(&node, "manifest.removed", "");
    node.until_empty();
}
