//! One OpenBao, one provider in front of it, and what was encrypted before the weather changed.

use std::{net::TcpListener, time::Duration};

use bao_dev::testing::{Action, Control, Fault};
use kms_server::client::Client;

use super::row::{DEEP, PROBE, Row, STALE, TIMEOUT};
use crate::serve::{
    child::Provider,
    stage::put,
    world::{Sealed, World, until},
};

/// More than are decrypted while one Decrypt waits for its answer: equal ones would share it.
const POOL: usize = 16;

pub(super) struct Rig {
    pub(super) world: World,
    pub(super) provider: Provider,
    /// Under the write key.
    pub(super) pool: Vec<Sealed>,
    /// Under the version before it; empty without a rotation.
    pub(super) older: Vec<Sealed>,
    trap: TcpListener,
}

impl Rig {
    pub(super) async fn new(row: &Row) -> Self {
        let mut world = World::new().await;
        let ms = |time: Duration| format!("{}ms", time.as_millis());
        for (field, value) in [
            ("status.probeInterval", ms(PROBE)),
            ("status.deepProbeInterval", ms(DEEP)),
            ("status.statusMaxStaleness", ms(STALE)),
            ("openbao.timeout", ms(TIMEOUT)),
            ("logging.level", "info".to_owned()),
        ] {
            world.stage.set(field, value);
        }
        if row.standby {
            let standby = world.bao.standby_address().to_owned();
            world.stage.set("openbao.failoverAddresses", vec![standby]);
        }
        for (field, value) in &row.config {
            world.stage.set(field, value.clone());
        }
        let trap = TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        let provider = world.healthy().await;
        let mut rig = Self {
            world,
            provider,
            pool: Vec::new(),
            older: Vec::new(),
            trap,
        };
        rig.pool = rig.seal().await;
        if row.rotated {
            (row.prepare)(&rig);
            rig.rotate().await;
        }
        rig.world.control().counts_reset();
        rig
    }

    async fn seal(&self) -> Vec<Sealed> {
        let mut client = self.provider.client().await;
        let mut pool = Vec::new();
        for _ in 0..POOL {
            pool.push(Sealed::make(&mut client).await);
        }
        pool
    }

    async fn rotate(&mut self) {
        self.control().rotate().unwrap();
        let before = self.pool[0].key_id.clone();
        until("the new key_id", async || {
            let status = self.provider.status().await;
            (status.healthz == "ok" && status.key_id != before).then_some(())
        })
        .await;
        self.older = std::mem::take(&mut self.pool);
        self.pool = self.seal().await;
    }

    pub(super) fn control(&self) -> &Control {
        self.world.control()
    }

    /// From now on until the faults are cleared.
    pub(super) fn fault(&self, rule: Fault) {
        self.control().fault(rule);
    }

    /// Each ninth request that fits; the one repetition of a call gets through, whatever others
    /// ask meanwhile.
    pub(super) fn now_and_then(&self, path: &str, action: &Action) {
        for n in 1..=20 {
            let rule = Fault::new(action.clone()).path(path);
            self.fault(rule.after(n * 8).times(1));
        }
    }

    /// An address that nobody configured, and whether somebody has been there.
    pub(super) fn foreign_address(&self) -> String {
        format!("https://{}", self.trap.local_addr().unwrap())
    }

    pub(super) fn foreign_address_was_visited(&self) -> bool {
        self.trap.accept().is_ok()
    }

    /// Puts a JWT that is good today where the provider reads it.
    pub(super) fn give_new_jwt(&self) {
        let jwt = self.world.bao.mint(&bao_dev::testing::Jwt::default());
        put(&self.world.stage.jwt_file(), jwt.unwrap(), 0o640);
    }

    pub(super) async fn client(&self, patience: Duration) -> Client {
        Client::connect(&self.world.stage.socket(), patience)
            .await
            .unwrap()
    }
}
