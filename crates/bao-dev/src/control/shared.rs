//! What listeners, control endpoint and tests have in common.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pace::{Clock, Now};
use serde_json::Value;

use crate::envelope::Answer;
use crate::faults::{Listener, Plan, Presented, Seen};
use crate::journal::Entry;
use crate::request::{Request, name_of};
use crate::router;
use crate::state::Node;
use crate::tls::Authority;
use crate::wire::Wire;
use crate::world::World;

/// What is shared by listeners, control endpoint and tests.
pub(crate) struct Shared {
    world: Mutex<World>,
    clock: Box<dyn Clock>,
    pub(super) authority: Authority,
    active: Wire,
    standby: Wire,
}

impl Shared {
    /// `wires` are those of the active node and of the standby.
    pub(crate) fn new(
        world: World,
        clock: Box<dyn Clock>,
        authority: Authority,
        wires: (Wire, Wire),
    ) -> Self {
        Self {
            world: Mutex::new(world),
            clock,
            authority,
            active: wires.0,
            standby: wires.1,
        }
    }

    /// A node's port and connections.
    pub(crate) fn wire(&self, node: Node) -> &Wire {
        match node {
            Node::Active => &self.active,
            Node::Standby => &self.standby,
        }
    }

    /// The lock; held only while nothing waits.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both clocks, the wall clock as the server sees it.
    pub(super) fn now(&self, world: &World) -> Now {
        let now = self.clock.now();
        Now {
            wall: now.wall.saturating_add(world.clock_offset),
            ..now
        }
    }

    /// Notes a request, and says what faults want of it.
    pub(crate) fn plan(&self, request: &Request, node: Node) -> (u64, Plan) {
        let mut guard = self.world();
        let world = &mut *guard;
        let now = self.now(world);
        let listener = Listener::from(node);
        let body = request.json();
        let batch = body
            .as_ref()
            .and_then(|body| body.get("batch_input"))
            .and_then(Value::as_array);
        let token = match request.token() {
            "" => Presented::Nothing,
            id => match world.state.tokens.get(id, now.wall) {
                Some(token) => Presented::Known(token),
                None => Presented::Unknown,
            },
        };
        let seen = Seen {
            method: &request.method,
            path: &request.path,
            listener,
            token,
            batch: batch.is_some(),
        };
        let plan = world.faults.plan(&seen, now.mono);
        let entry = Entry {
            seq: 0,
            unix: now.wall,
            listener,
            method: request.method.clone(),
            path: request.path.clone(),
            operation: name_of(&request.method, &request.path),
            namespace: request.header("x-vault-namespace").to_owned(),
            items: batch.map_or(1, Vec::len),
            status: 0,
            fault: plan.fault,
        };
        (world.journal.begin(entry), plan)
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Request, node: Node) -> Answer {
        let mut world = self.world();
        let now = self.now(&world);
        world.answer(request, node, now)
    }

    /// Rotates the key that a request's path names, if it names one.
    pub(crate) fn rotate_key_of(&self, request: &Request) {
        let mut world = self.world();
        let now = self.now(&world).wall;
        if let Some(key) = router::key_of(&mut world.state, request) {
            key.rotate(now);
        }
    }

    /// Lets the token that an answer granted or renewed live for `ttl` seconds; false if there is none.
    pub(crate) fn shorten_granted(&self, body: &[u8], ttl: i64) -> bool {
        let accessor = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|body| Some(body.pointer("/auth/accessor")?.as_str()?.to_owned()));
        let mut world = self.world();
        let until = self.now(&world).wall.saturating_add(ttl);
        accessor.is_some_and(|accessor| world.state.tokens.end_at(Some(&accessor), until) > 0)
    }

    /// Notes with which status a request was answered.
    pub(crate) fn answered(&self, seq: u64, status: u16) {
        self.world().journal.end(seq, status);
    }
}
