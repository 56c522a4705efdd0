//! The director: makes weather, rotates, restarts, looks after the nodes, and lets calm return.

use std::{
    io,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::process::Signal;

use crate::{
    backend::Backend,
    model::{Model, NAMES, NODES},
    node::Node,
    pacing::Pacing,
    weather::{Kind, TABLE, Weather},
};

/// The longest a provider is stopped or down; nobody's staleness is about this.
const ABSENCE: u64 = 3000;
const SLICE: Duration = Duration::from_millis(100);

/// Owns what is played with.
pub(crate) struct Director {
    pub(crate) model: Arc<Model>,
    pub(crate) backend: Backend,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pacing: Pacing,
    rng: Rng,
    bag: Vec<&'static Weather>,
    now_playing: &'static str,
    rotated: Instant,
    next_sample: Instant,
    next_line: Instant,
}

impl Director {
    pub(crate) fn new(
        model: Arc<Model>,
        backend: Backend,
        nodes: Vec<Node>,
        pacing: Pacing,
        rng: Rng,
    ) -> Self {
        let now = Instant::now();
        Self {
            model,
            backend,
            nodes,
            pacing,
            rng,
            bag: Vec::new(),
            now_playing: "calm",
            rotated: now,
            next_sample: now,
            next_line: now + Duration::from_secs(60),
        }
    }

    /// Plays for `time`, and ends in calm.
    pub(crate) async fn play(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        self.pause(Duration::from_millis(self.pacing.good.start))
            .await?;
        while Instant::now() < end && !self.model.ledger.is_over() {
            let weather = self.draw();
            self.raise(weather).await?;
            if self.rng.u8(..10) < self.pacing.calm_in_ten {
                self.calm().await?;
            }
        }
        self.now_playing = "the last calm";
        self.settle().await?;
        self.converge().await
    }

    /// Every kind comes once before any comes again.
    fn draw(&mut self) -> &'static Weather {
        if self.bag.is_empty() {
            self.bag = TABLE.iter().collect();
            self.rng.shuffle(&mut self.bag);
        }
        self.bag.pop().unwrap_or(&TABLE[0])
    }

    /// Good weather: what the bad one left behind goes, and then nothing may fail.
    async fn calm(&mut self) -> io::Result<()> {
        self.now_playing = "calm";
        self.settle().await?;
        if self.is_settled() {
            self.check_convergence();
        }
        if self.rng.bool() {
            self.rotate()?;
        }
        let good = self.rng.u64(self.pacing.good.clone());
        self.pause(Duration::from_millis(good)).await?;
        if self.is_settled() {
            self.check_convergence();
        }
        Ok(())
    }

    /// Waits until nothing excuses a failure any more.
    async fn settle(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let settled = self.model.sky().settled_at(now);
        self.pause(settled.saturating_duration_since(now)).await
    }

    async fn raise(&mut self, weather: &'static Weather) -> io::Result<()> {
        let kind = weather.kind;
        if kind == Kind::RolledBack {
            // Only what both nodes have promoted can be missed by both.
            self.backend.remember();
            self.rotate()?;
            self.converge().await?;
        }
        let node = match kind {
            Kind::Terminated | Kind::Killed | Kind::KilledPending => Some(0),
            Kind::Frozen | Kind::StateDirectoryGone => Some(self.rng.usize(..NODES)),
            _ => None,
        };
        if kind == Kind::KilledPending {
            self.rotate()?;
            let seen = self.pacing.probe * 5 / 4 + self.rng.u64(..self.pacing.activation);
            self.pause(Duration::from_millis(seen)).await?;
        }
        let number = self.model.sky().begin(weather, node, Instant::now());
        self.model.ledger.came(weather.name);
        let line = format!("BEGIN {}, node {node:?}", weather.name);
        self.model.ledger.note(&line);
        self.now_playing = weather.name;
        self.backend.begin(kind, &mut self.rng)?;
        let lasts = self.rng.u64(self.pacing.bad.clone());
        match node {
            None => self.last(kind, lasts).await?,
            Some(node) => self.act_on(node, kind, lasts).await?,
        }
        self.backend.end(kind)?;
        if kind == Kind::RotatedInRequest || kind == Kind::WriteMinimumRaised {
            self.has_rotated();
        }
        self.model.ledger.note(&format!("END {}", weather.name));
        self.model.sky().end(number, Instant::now());
        Ok(())
    }

    /// Lets it last, often with a rotation in its middle.
    async fn last(&mut self, kind: Kind, millis: u64) -> io::Result<()> {
        // These go back to a snapshot, which must not forget a version.
        let may_rotate = !matches!(kind, Kind::RolledBack | Kind::TokensRestored);
        let before = self.rng.u64(..=millis / 2);
        self.pause(Duration::from_millis(before)).await?;
        if may_rotate && self.rng.u8(..10) < 3 {
            self.rotate()?;
        }
        self.pause(Duration::from_millis(millis - before)).await
    }

    async fn act_on(&mut self, number: usize, kind: Kind, lasts: u64) -> io::Result<()> {
        let absence = Duration::from_millis(lasts % ABSENCE);
        match kind {
            Kind::Frozen => {
                self.node(number)?.signal(Signal::STOP)?;
                self.pause(absence).await?;
                self.node(number)?.signal(Signal::CONT)
            }
            Kind::StateDirectoryGone => {
                self.node(number)?.move_state(true)?;
                self.last(kind, lasts).await?;
                self.node(number)?.move_state(false)
            }
            _ => {
                if kind == Kind::Terminated {
                    self.node(number)?.terminate().await?;
                    self.model.ledger.tally("restarts after SIGTERM");
                } else {
                    self.node(number)?.kill();
                    self.model.ledger.tally("restarts after SIGKILL");
                }
                self.pause(absence).await?;
                self.node(number)?.start().await
            }
        }
    }

    fn node(&mut self, number: usize) -> io::Result<&mut Node> {
        let node = self.nodes.get_mut(number);
        node.ok_or_else(|| io::Error::other("there is no such node"))
    }

    fn rotate(&mut self) -> io::Result<()> {
        let version = self.backend.rotate()?;
        self.has_rotated();
        self.model.ledger.note(&format!("ROTATED to v{version}"));
        Ok(())
    }

    fn has_rotated(&mut self) {
        self.rotated = Instant::now();
        self.model.sky().rotated(self.rotated);
        self.model.ledger.tally("rotations");
    }

    /// Whether both nodes have had the time to come to the same write key.
    fn is_settled(&self) -> bool {
        let since = self.model.sky().clear_since(self.rotated);
        since.is_some_and(|since| since.elapsed() > self.pacing.converge)
    }

    fn have_converged(&self) -> bool {
        let latest = self.model.keys.latest();
        (0..NODES).all(|node| self.model.floor(node) == latest)
    }

    fn check_convergence(&self) {
        if self.have_converged() {
            self.model.ledger.tally("convergences checked");
            return;
        }
        let (latest, floor) = (self.model.keys.latest(), |node| self.model.floor(node));
        let fault = format!(
            "no convergence: the newest version is v{latest}, node A writes with v{}, node B with v{}",
            floor(0),
            floor(1)
        );
        self.model.ledger.fault(&fault);
    }

    /// Waits until both nodes write with the newest version, as long as that may take.
    async fn converge(&mut self) -> io::Result<()> {
        while !self.have_converged() && !self.is_settled() && !self.model.ledger.is_over() {
            self.pause(SLICE).await?;
        }
        self.check_convergence();
        Ok(())
    }

    /// Waits, and does what is due meanwhile.
    async fn pause(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.model.ledger.is_over() {
            let left = end.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(SLICE)).await;
            self.look_after()?;
        }
        Ok(())
    }

    fn look_after(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let sample = now >= self.next_sample;
        let line = now >= self.next_line;
        if !sample && !line {
            return Ok(());
        }
        let mut held = String::new();
        for (node, name) in self.nodes.iter_mut().zip(NAMES) {
            node.check()
                .map_err(|error| io::Error::other(format!("node {name}: {error}")))?;
            if let Some(holds) = node.sample() {
                held += &format!(
                    "; {name} {} KiB, {} threads, {} descriptors",
                    holds.resident_kib, holds.threads, holds.descriptors
                );
            }
        }
        if sample {
            self.next_sample = now + self.pacing.sample;
        }
        if line {
            self.next_line = now + Duration::from_secs(60);
            self.tell(&held)?;
        }
        Ok(())
    }

    fn tell(&self, held: &str) -> io::Result<()> {
        let (minutes, calls, weather, faults, newest) = {
            let books = self.model.ledger.books();
            let calls: u64 = books.outcomes.values().sum();
            let weather: u64 = books.weather.values().map(|toll| toll.times).sum();
            let minutes = self.model.ledger.began().elapsed().as_secs() / 60;
            let faults = match books.fault_after {
                None => format!("{} faults", books.faults_in_all),
                Some(name) => format!(
                    "{} faults, the last since '{name}' began",
                    books.faults_in_all
                ),
            };
            let newest = match books.newest {
                Some(newest) if newest != self.now_playing => {
                    format!("{newest}; now {}", self.now_playing)
                }
                _ => self.now_playing.to_owned(),
            };
            (minutes, calls, weather, faults, newest)
        };
        writeln!(
            io::stdout(),
            "{minutes:>3} min: {calls} calls, weather number {weather} ({newest}), v{}, {faults}{held}",
            self.model.keys.latest()
        )
    }
}
