//! A cluster of two nodes over one state: the leader, and a standby that may lag.

use std::collections::BTreeMap;
use std::time::Duration;

use pace::Now;
use serde::{Deserialize, Serialize};

use crate::envelope::{Answer, Refusal};
use crate::faults::Faults;
use crate::journal::Journal;
use crate::jwt::Signer;
use crate::request::Request;
use crate::router;
use crate::state::{Namespaces, Node, State};
use crate::tokens::Tokens;

/// What a standby says about itself.
const OWN: [&str; 3] = ["/v1/sys/health", "/v1/sys/seal-status", "/v1/sys/leader"];

/// What no audit device is told.
const UNAUDITED: [&str; 5] = [
    "/v1/sys/health",
    "/v1/sys/seal-status",
    "/v1/sys/leader",
    "/v1/sys/init",
    "/v1/sys/unseal",
];

/// Whether the audit device takes what the server must tell it before it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audit {
    /// It does.
    #[default]
    Works,
    /// Not the request: nothing is carried out.
    RequestFails,
    /// Not the response: all is carried out, and the client does not learn it.
    ResponseFails,
}

/// What the standby does.
pub(crate) struct Standby {
    /// What it still believes, while it lags.
    pub(crate) stale: Option<Namespaces>,
    /// When the lag ends by itself, monotonic.
    pub(crate) until: Option<Duration>,
    /// Whether it serves reads by itself.
    pub(crate) reads: bool,
    /// Whether it forwards the rest, or redirects.
    pub(crate) forward: bool,
    /// Whether it knows a leader.
    pub(crate) leader_known: bool,
}

/// Everything, under one lock.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) standby: Standby,
    pub(crate) audit: Audit,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    /// Seconds that the server's wall clock is ahead of the machine's.
    pub(crate) clock_offset: i64,
    pub(crate) snapshots: BTreeMap<u64, (Namespaces, Tokens)>,
    pub(crate) signer: Signer,
    /// Grows with every new signing key.
    pub(crate) signer_generation: u64,
    pub(crate) standby_address: String,
}

impl World {
    /// A server fresh from its initialisation; `now` is Unix seconds.
    pub(crate) fn new(signer: Signer, now: i64) -> Self {
        Self {
            state: State::new(now),
            standby: Standby {
                stale: None,
                until: None,
                reads: true,
                forward: true,
                leader_known: true,
            },
            audit: Audit::Works,
            faults: Faults::default(),
            journal: Journal::default(),
            clock_offset: 0,
            snapshots: BTreeMap::new(),
            signer,
            signer_generation: 0,
            standby_address: String::new(),
        }
    }

    /// Answers a request that came to `node`.
    pub(crate) fn answer(&mut self, request: &Request, node: Node, now: Now) -> Answer {
        // What needs no token is not audited, and a sealed server does not get that far.
        let audited = !self.state.sealed && !UNAUDITED.contains(&request.path.as_str());
        let refused = || Refusal::plain(500, "internal error").answer();
        match self.audit {
            Audit::RequestFails if audited => refused(),
            Audit::ResponseFails if audited => {
                self.unaudited_answer(request, node, now);
                refused()
            }
            _ => self.unaudited_answer(request, node, now),
        }
    }

    fn unaudited_answer(&mut self, request: &Request, node: Node, now: Now) -> Answer {
        if node == Node::Active {
            return router::answer(&mut self.state, request, Node::Active, now);
        }
        if self.state.sealed || OWN.contains(&request.path.as_str()) {
            return router::answer(&mut self.state, request, Node::Standby, now);
        }
        if self.standby.until.is_some_and(|until| now.mono >= until) {
            (self.standby.stale, self.standby.until) = (None, None);
        }
        if let Some(answer) = self.local_answer(request, now) {
            return answer;
        }
        if !self.standby.leader_known {
            return Refusal::plain(
                500,
                "local node not active but active cluster node not found",
            )
            .answer();
        }
        if !self.standby.forward || !request.header("x-vault-no-request-forwarding").is_empty() {
            let query = if request.query.is_empty() { "" } else { "?" };
            let to = format!(
                "{}{}{query}{}",
                self.state.active_address, request.path, request.query
            );
            return Answer::new(307, Vec::new()).header("Location", to);
        }
        router::answer(&mut self.state, request, Node::Active, now)
    }

    /// What the standby serves by itself, from what it believes. Limited-use tokens, unknown tokens,
    /// and all that would write, are for the leader.
    fn local_answer(&mut self, request: &Request, now: Now) -> Option<Answer> {
        let token = self.state.tokens.get(request.token(), now.wall)?;
        let forwarded = token.num_uses > 0 || !request.header("x-vault-wrap-ttl").is_empty();
        if forwarded || !self.standby.reads {
            return None;
        }
        let live = self
            .standby
            .stale
            .take()
            .map(|stale| std::mem::replace(&mut self.state.namespaces, stale));
        let local = router::is_local_read(&self.state, request)
            && !router::may_create_key(&self.state, request, now.wall);
        let answer = local.then(|| router::answer(&mut self.state, request, Node::Standby, now));
        if let Some(live) = live {
            self.standby.stale = Some(std::mem::replace(&mut self.state.namespaces, live));
        }
        answer
    }
}
