//! A web server's pod that comes from a URL.

use std::{fs, slice};

use pod_rig::{Builder, Node, Watch, can_run, pod};
use serde_json::{Value, json};

use crate::site::{Answer, Site};

/// In the network of the pods.
const ADDRESS: &str = "127.0.0.1:8080";
const SECRET: &str = "Bearer of-this-node";

fn list(pods: &[Value]) -> Answer {
    let list = json!({"apiVersion": "v1", "kind": "PodList", "items": pods});
    Answer::Document(list.to_string())
}

fn web(text: &str) -> Answer {
    let serve = format!("serve={ADDRESS}={text}");
    list(&[pod("web", &[&serve, "hang"])])
}

fn answer(node: &Node) -> String {
    let whole = node.get(ADDRESS, "/");
    whole.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

fn until_answer(node: &Node, text: &str) {
    node.until(text, |node| answer(node) == text);
}

fn count(node: &Node, event: &str) -> usize {
    let lines = node.lines();
    lines.iter().filter(|line| line["message"] == event).count()
}

/// What the URL says now is told as a fault of it, and changes nothing.
fn nothing_happens(node: &Node, site: &Site, now: Answer, good: Answer, why: &str) {
    let before = (node.running(), count(node, "source.readable"));
    site.says(now);
    node.until(why, |node| node.said("source.unreadable", why));
    assert_eq!(node.running(), before.0, "{why}");
    site.says(good);
    node.until("it works again", |node| {
        count(node, "source.readable") > before.1
    });
    assert_eq!(node.running(), before.0, "{why}");
}

#[test]
fn a_pod_from_a_url_lives_through_everything_but_an_explicit_end() {
    if !can_run() {
        return;
    }
    let site = Site::start(web("one"));
    let mut node = Builder::new(crate::staticpodd())
        // Where the test serves the manifests.
        .outside()
        .flag("--healthz-port")
        .flag("0")
        .flag("--manifest-url")
        .flag(site.url())
        .flag("--manifest-url-header")
        .flag(format!("Authorization:{SECRET}"))
        .flag("--http-check-frequency")
        .flag("200ms")
        .build();
    let ca = node.home().join("ca.crt");
    fs::write(&ca, site.ca()).unwrap();
    node.flag("--manifest-url-ca-file");
    node.flag(ca);
    let watch = Watch::begin(node.rig());
    node.start();

    // It runs, and is asked for with what was heard before.
    until_answer(&node, "one");
    let first = node.until_runs("web", "main");
    node.until("the tag comes back", |_| {
        let asked = site.asked();
        asked
            .iter()
            .any(|request| request.contains("if-none-match"))
    });
    let header = format!("authorization: {SECRET}\r\n");
    assert!(site.asked().iter().all(|asked| asked.contains(&header)));
    let log = fs::read_to_string(node.log()).unwrap();
    assert!(!log.contains(SECRET), "{log}");

    // An edit.
    site.says(web("two"));
    until_answer(&node, "two");
    let second = node.until_runs("web", "main");
    assert_ne!(second.id, first.id);

    // The server has bad days.
    let raw = |text: &str| Answer::Raw(text.to_owned());
    let mut misspelt = pod("web", &["hang"]);
    misspelt["spec"]["containes"] = json!([]);
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: ";
    for (bad, why) in [
        (
            raw("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"),
            "answered 500",
        ),
        (raw(&format!("{ok}0\r\n\r\n")), "an empty body"),
        (raw(&format!("{ok}500\r\n\r\n{{")), "broke off"),
        (
            raw(&format!("{ok}6\r\ncontent-type: text/html\r\n\r\n<html>")),
            "which is no manifest",
        ),
        (list(&[misspelt]), "is no known field"),
        (Answer::Silence, "did not answer within"),
    ] {
        nothing_happens(&node, &site, bad, web("two"), why);
    }
    assert_eq!(answer(&node), "two");

    // The agent starts again while the URL does not work: it knows what it ran, and heals it.
    site.says(raw("HTTP/1.1 503 Oh\r\ncontent-length: 0\r\n\r\n"));
    node.kill();
    node.start();
    node.until("it is told", |node| {
        node.said("source.unreadable", "answered 503")
    });
    assert_eq!(node.running(), slice::from_ref(&second));
    node.rig().kill_task(&second.id).unwrap();
    node.until("it is restarted", |node| {
        node.runs("web", "main")
            .is_some_and(|now| now.restarts == 1)
    });
    until_answer(&node, "two");

    // The one word that ends it.
    site.says(list(&[]));
    node.until_empty();
    node.stop();
    assert!(watch.end() > 0);
}
