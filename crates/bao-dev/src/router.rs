//! From a request to an answer: the server's checks in the server's order, then the right room.
//!
//! No input, no output, no clock: state and time are passed in.

use http::header::CONTENT_TYPE;
use pace::Now;
use serde_json::{Map, Value};

use crate::body;
use crate::envelope::{Answer, Outcome, Refusal, Reply, render};
use crate::policy::Capability;
use crate::request::{Operation, Request};
use crate::state::{Node, State, split_mount};
use crate::tokens::Token;
use crate::transit::Key;
use crate::{go, jwt, sys, token_api, transit};

const NAMESPACE: &str = "x-vault-namespace";

/// What a token may ask about itself, wherever it is: its own namespace answers.
const SELF_PATHS: [&str; 4] = [
    "auth/token/lookup-self",
    "auth/token/renew-self",
    "auth/token/revoke-self",
    "auth/token/create",
];

/// Answers a request.
pub(crate) fn answer(state: &mut State, request: &Request, node: Node, now: Now) -> Answer {
    let mut answer = match unrouted(state, request, node, now) {
        Some(answer) => answer,
        None => routed(state, request, now).unwrap_or_else(|refused| *refused),
    };
    let namespace = request.header(NAMESPACE);
    if !namespace.is_empty() {
        answer = answer.header("X-Vault-Namespace", namespace);
    }
    if request.method == "HEAD" {
        answer.body.clear();
    }
    answer
}

/// What is answered before anything is parsed.
fn unrouted(state: &State, request: &Request, node: Node, now: Now) -> Option<Answer> {
    if let Some(clean) = cleaned(&request.path) {
        return Some(Answer::new(307, Vec::new()).header("Location", clean));
    }
    let Some(path) = request.path.strip_prefix("/v1/") else {
        return Some(Refusal::empty(404).answer());
    };
    if request.too_large {
        let mut answer = Refusal::plain(413, "http: request body too large").answer();
        (answer.close, answer.no_store) = (true, false);
        return Some(answer);
    }
    let query = body::form(&request.query);
    let is_get = matches!(request.method.as_str(), "GET" | "HEAD");
    let outcome: Outcome = match (path, request.method.as_str()) {
        ("sys/health", _) if !request.header(NAMESPACE).is_empty() => {
            Err(Refusal::plain(400, "operation unavailable in namespaces"))
        }
        ("sys/health", _) if is_get => sys::health(state, node, &query, now.wall),
        ("sys/seal-status", "GET") => Ok(sys::seal_status(state)),
        ("sys/init", "GET") => Ok(Reply::Bare(
            200,
            Map::from_iter([(String::from("initialized"), state.initialized.into())]),
        )),
        ("sys/health" | "sys/seal-status", _) => Err(Refusal::empty(405)),
        ("sys/leader", "GET") if state.sealed => Err(Refusal::plain(503, "Vault is sealed")),
        ("sys/leader", "GET") => Ok(sys::leader(state, node)),
        (_, "OPTIONS") => Err(Refusal::plain(
            400,
            "cannot handle internal-only request operation",
        )),
        (_, "PATCH") if request.headers.get(CONTENT_TYPE).is_none() => {
            Err(Refusal::plain(400, "mime: no media type"))
        }
        (_, "GET" | "LIST" | "SCAN" | "POST" | "PUT" | "DELETE" | "PATCH") => return None,
        _ => Err(Refusal::empty(405)),
    };
    Some(finish(outcome, true))
}

/// The path as the HTTP library would rather have it, if it differs: no `//`, `.` or `..`.
fn cleaned(path: &str) -> Option<String> {
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    let inner = path.strip_prefix('/').unwrap_or(path);
    if inner.is_empty()
        || !inner.trim_end_matches('/').split('/').any(odd) && !inner.ends_with("//")
    {
        return None;
    }
    let mut clean: Vec<&str> = Vec::new();
    for segment in inner.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    let end = if path.ends_with('/') { "/" } else { "" };
    Some(format!("/{}{end}", clean.join("/")))
}

/// A request on its way to its room.
struct Call<'a> {
    operation: Operation,
    /// Path of the namespace, `""` for root.
    namespace: String,
    /// Relative to the namespace.
    path: String,
    /// Body of a write, query of a read.
    body: Map<String, Value>,
    token: &'a str,
}

fn operation(request: &Request, query: &Map<String, Value>) -> Operation {
    match request.method.as_str() {
        "GET"
            if query
                .get("list")
                .and_then(Value::as_str)
                .is_some_and(|list| list != "false") =>
        {
            Operation::List
        }
        "GET" => Operation::Read,
        "LIST" => Operation::List,
        "SCAN" => Operation::Scan,
        "DELETE" => Operation::Delete,
        "PATCH" => Operation::Patch,
        _ => Operation::Update,
    }
}

fn finish(outcome: Outcome, is_read: bool) -> Answer {
    match outcome {
        Ok(reply) => render(reply, is_read),
        Err(refusal) => refusal.answer(),
    }
}

type Refused = Box<Answer>;

fn refuse(refusal: &Refusal) -> Refused {
    Box::new(refusal.answer())
}

fn routed(state: &mut State, request: &Request, now: Now) -> Result<Answer, Refused> {
    let query = body::form(&request.query);
    let operation = operation(request, &query);
    let raw = request.path.strip_prefix("/v1/").unwrap_or_default();
    let path = body::unescape(raw);
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(refuse(&Refusal::plain(400, "relative paths not supported")));
    }
    let header = canonical(request.header(NAMESPACE));
    if !matches!(path.as_str(), "sys/unseal") {
        state.quotas.take(&format!("{header}{path}"), now.mono)?;
    }
    let body = match operation {
        Operation::Update | Operation::Patch => {
            body::parse(&request.body, request.header("content-type"))
                .map_err(|refusal| refuse(&refusal))?
        }
        _ => query,
    };
    if path == "sys/unseal" && operation == Operation::Update {
        state.sealed = false;
        return Ok(render(sys::seal_status(state), false));
    }
    if state.sealed {
        return Err(refuse(&Refusal::plain(503, "Vault is sealed")));
    }
    let Some((namespace, path)) = resolve(state, &header, &path) else {
        return Err(refuse(&Refusal::plain(404, "namespace not found")));
    };
    if operation == Operation::Update && path.ends_with('/') {
        return Err(refuse(&Refusal::plain(
            400,
            "cannot write to a path ending in '/'",
        )));
    }
    let call = Call {
        operation,
        namespace,
        path,
        body,
        token: request.token(),
    };
    let is_read = !matches!(
        operation,
        Operation::Update | Operation::Delete | Operation::Patch
    );
    Ok(finish(serve(state, &call, now.wall), is_read))
}

/// `a/b` and `/a/b/` become `a/b/`; `root` and nothing become nothing.
fn canonical(header: &str) -> String {
    match header.trim_matches('/') {
        "" | "root" => String::new(),
        path => format!("{path}/"),
    }
}

/// The namespace of a request: the header's, extended by as much of the path as names one.
fn resolve(state: &State, header: &str, path: &str) -> Option<(String, String)> {
    if !state.namespaces.contains_key(header) {
        return None;
    }
    let full = format!("{header}{path}");
    let inside =
        |namespace: &&String| namespace.starts_with(header) && full.starts_with(namespace.as_str());
    let namespace = state
        .namespaces
        .keys()
        .filter(inside)
        .max_by_key(|namespace| namespace.len())?;
    let rest = full.get(namespace.len()..).unwrap_or_default();
    Some((namespace.clone(), rest.to_owned()))
}

fn serve(state: &mut State, call: &Call<'_>, now: i64) -> Outcome {
    if let Some(outcome) = login(state, call, now) {
        return outcome;
    }
    let token = authenticate(state, call, now)?;
    let outcome = authorize(state, call, &token).and_then(|()| dispatch(state, call, &token, now));
    spend(state, &token);
    outcome
}

/// A login needs no token. On a mount that does not exist it is a path like any other.
fn login(state: &mut State, call: &Call<'_>, now: i64) -> Option<Outcome> {
    let namespace = state.namespaces.get(&call.namespace)?;
    let (mount, rest) = split_mount(&namespace.jwt, call.path.strip_prefix("auth/")?)?;
    if rest != "login" {
        return None;
    }
    if call.operation != Operation::Update {
        return Some(Err(Refusal::plain(405, "unsupported operation")));
    }
    let place = jwt::Place {
        namespace: (&call.namespace, &namespace.id),
        mount: &mount,
        now,
    };
    let made = jwt::login(namespace.jwt.get(&mount)?, &call.body, &place);
    Some(made.map(|(token, warnings)| {
        let auth = token_api::auth_block(&token, token.ttl);
        state.tokens.sweep(now);
        state.tokens.insert(token);
        Reply::Auth(auth, warnings)
    }))
}

fn authenticate(state: &State, call: &Call<'_>, now: i64) -> Result<Token, Refusal> {
    if let Some(batch) = call.token.strip_prefix("b.") {
        let unpadded = batch.trim_end_matches('=');
        if let Err(reason) = go::decode_url(unpadded) {
            return Err(Refusal::plain(
                500,
                format!("error performing token check: {reason}"),
            ));
        }
    }
    match state.tokens.get(call.token, now) {
        Some(token) if call.namespace.starts_with(&token.namespace) => Ok(token.clone()),
        _ => Err(Refusal::plain(403, "permission denied")),
    }
}

/// A token with a limited number of uses ends with its last one.
fn spend(state: &mut State, token: &Token) {
    match token.num_uses {
        0 => {}
        1 => state.tokens.revoke(&token.id),
        uses => {
            if let Some(token) = state.tokens.get_mut(&token.id) {
                token.num_uses = uses - 1;
            }
        }
    }
}

fn authorize(state: &State, call: &Call<'_>, token: &Token) -> Result<(), Refusal> {
    let acl = state.acl(token);
    let own = SELF_PATHS.contains(&call.path.as_str());
    let namespace = if own {
        &token.namespace
    } else {
        &call.namespace
    };
    let path = format!("{namespace}{}", call.path);
    let capability = match call.operation {
        Operation::Read => Capability::Read,
        Operation::List => Capability::List,
        Operation::Scan => Capability::Scan,
        Operation::Delete => Capability::Delete,
        Operation::Patch => Capability::Patch,
        Operation::Update if encrypts_missing_key(state, &call.namespace, &call.path) => {
            Capability::Create
        }
        Operation::Update => Capability::Update,
    };
    let protected = sys::needs_sudo(&call.path);
    if acl.allows(&path, capability) && (!protected || acl.allows(&path, Capability::Sudo)) {
        return Ok(());
    }
    Err(Refusal::wrapped(403, "permission denied"))
}

/// Whether the request encrypts under a key that is not there: a *create*, to the policy.
fn encrypts_missing_key(state: &State, namespace: &str, path: &str) -> bool {
    let Some(namespace) = state.namespaces.get(namespace) else {
        return false;
    };
    let Some((mount, rest)) = split_mount(&namespace.transit, path) else {
        return false;
    };
    let missing = |name| {
        namespace
            .transit
            .get(&mount)
            .is_some_and(|mount| !mount.keys.contains_key(name))
    };
    transit::key_of_encrypt(rest).is_some_and(missing)
}

fn dispatch(state: &mut State, call: &Call<'_>, token: &Token, now: i64) -> Outcome {
    let path = call.path.as_str();
    if let Some(rest) = path.strip_prefix("sys/") {
        return sys::handle(
            state,
            &call.namespace,
            call.operation,
            rest,
            token,
            &call.body,
        );
    }
    if let Some(rest) = path.strip_prefix("auth/token/") {
        return token_api::handle(state, call.operation, rest, token, &call.body, now);
    }
    let Some(namespace) = state.namespaces.get_mut(&call.namespace) else {
        return Err(Refusal::plain(404, "namespace not found"));
    };
    if let Some((mount, rest)) = path
        .strip_prefix("auth/")
        .and_then(|path| split_mount(&namespace.jwt, path))
        && let Some(mount) = namespace.jwt.get_mut(&mount)
    {
        return jwt::handle(mount, call.operation, rest, &call.body);
    }
    if let Some((mount, rest)) = split_mount(&namespace.transit, path)
        && let Some(mount) = namespace.transit.get_mut(&mount)
    {
        return transit::handle(mount, call.operation, rest, &call.body, now);
    }
    Err(Refusal::plain(
        404,
        format!("no handler for route \"{path}\". route entry not found."),
    ))
}

/// The Transit key that a request's path names: `M/encrypt/K`, `M/keys/K` and their like.
pub(crate) fn key_of<'s>(state: &'s mut State, request: &Request) -> Option<&'s mut Key> {
    let header = canonical(request.header(NAMESPACE));
    let path = body::unescape(request.path.strip_prefix("/v1/")?);
    let (namespace, path) = resolve(state, &header, &path)?;
    let namespace = state.namespaces.get_mut(&namespace)?;
    let (mount, rest) = split_mount(&namespace.transit, &path)?;
    let name = rest.split('/').nth(1)?;
    namespace.transit.get_mut(&mount)?.keys.get_mut(name)
}

/// Whether a standby serves this by itself: what needs no write.
pub(crate) fn is_local_read(state: &State, request: &Request) -> bool {
    let header = canonical(request.header(NAMESPACE));
    let path = body::unescape(request.path.strip_prefix("/v1/").unwrap_or_default());
    let Some((namespace, path)) = resolve(state, &header, &path) else {
        return false;
    };
    let Some(namespace) = state.namespaces.get(&namespace) else {
        return false;
    };
    let query = body::form(&request.query);
    let operation = operation(request, &query);
    let Some((_, rest)) = split_mount(&namespace.transit, &path) else {
        return path == "sys/capabilities-self" || path == "auth/token/lookup-self";
    };
    let write = operation == Operation::Update;
    match rest.split_once('/') {
        Some(("encrypt" | "decrypt", _)) => write,
        Some(("keys", name)) => !write && operation != Operation::Delete && !name.contains('/'),
        Some(("config", "keys")) => operation == Operation::Read,
        _ => rest == "keys" && operation == Operation::List,
    }
}

/// Whether an encrypt would make its key, and may.
pub(crate) fn may_create_key(state: &State, request: &Request, now: i64) -> bool {
    let header = canonical(request.header(NAMESPACE));
    let path = body::unescape(request.path.strip_prefix("/v1/").unwrap_or_default());
    let Some((namespace, path)) = resolve(state, &header, &path) else {
        return false;
    };
    let Some(token) = state.tokens.get(request.token(), now) else {
        return false;
    };
    let allowed = state
        .acl(token)
        .allows(&format!("{namespace}{path}"), Capability::Create);
    allowed && encrypts_missing_key(state, &namespace, &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_cleaned_by_a_redirect() {
        for (path, clean) in [
            ("/v1/a/../b", Some("/v1/b")),
            ("/v1//a", Some("/v1/a")),
            ("/v1/./a/", Some("/v1/a/")),
            ("/v1/a/", None),
            ("/v1/a", None),
            ("/", None),
        ] {
            assert_eq!(cleaned(path).as_deref(), clean, "{path}");
        }
    }

    #[test]
    fn a_namespace_comes_from_the_header_the_path_or_both() {
        let mut state = State::new(0);
        assert!(state.add_namespace("ns1/"));
        assert!(state.add_namespace("ns1/ns2/"));
        assert!(!state.add_namespace("no/parent/"));
        let resolved = |header: &str, path: &str| resolve(&state, &canonical(header), path);
        let inner = Some((String::from("ns1/ns2/"), String::from("transit/keys")));
        assert_eq!(resolved("ns1/ns2", "transit/keys"), inner);
        assert_eq!(resolved("/ns1/", "ns2/transit/keys"), inner);
        assert_eq!(resolved("root", "ns1/ns2/transit/keys"), inner);
        assert_eq!(resolved("nosuch", "transit/keys"), None);
    }
}
