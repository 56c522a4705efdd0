//! How soon all is well when a cause has ended: exact, because time is not the machine's here.
//!
//! The cause ends at many points of a probe's round, also right after a request that it had
//! swallowed; such a request is never answered.

use tokio::time::{Instant, sleep_until};

use super::*;
use crate::{
    keyring::{self, Keyring},
    kms::Kms as _,
    testing::request,
};

/// How the backend fails, as the client tells it.
#[derive(Debug, Clone, Copy)]
struct Cause {
    class: Class,
    /// What one request takes, the client's own repetition included; `None`: it never ends.
    takes: Option<Duration>,
}

const fn fails(class: Class, takes_ms: u64) -> Cause {
    Cause {
        class,
        takes: Some(Duration::from_millis(takes_ms)),
    }
}

/// Refused; swallowed; answered by nobody until the client's timeout; 500, and again after the
/// client's pause; 429, and again after the pause that `Retry-After` asks for; sealed; junk; no
/// token for as long as the client waits for one; denied, which is long since confirmed.
const CAUSES: [Cause; 9] = [
    fails(Class::ConnectionFailed, 0),
    Cause {
        class: Class::Unavailable,
        takes: None,
    },
    fails(Class::Unavailable, 999),
    fails(Class::Unavailable, 100),
    fails(Class::RateLimited, 900),
    fails(Class::Sealed, 110),
    fails(Class::Unavailable, 1),
    fails(Class::AuthFailed, 700),
    fails(Class::PolicyDenied, 900),
];

/// Probe intervals, staleness and `openbao.timeout` in milliseconds.
fn pace(probe: u64, deep: u64, stale: u64, timeout: u64) -> Settings {
    let ms = Duration::from_millis;
    let mut settings = settings();
    settings.rotation.probe_interval = ms(probe);
    settings.health = health::Settings {
        probe_interval: ms(probe),
        deep_probe_interval: ms(deep),
        max_staleness: ms(stale),
        request_timeout: ms(timeout),
    };
    settings
}

/// The defaults, those of the fault table, where each limit is short beside a timeout, and a
/// mixture.
fn paces() -> [Settings; 3] {
    [
        settings(),
        pace(500, 1500, 2500, 1000),
        pace(10_000, 20_000, 60_000, 5_000),
    ]
}

/// Who calls while it lasts; afterwards nobody does, unless the test says so.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Callers {
    Nobody,
    /// Live calls fail all the time, and each asks for a deep probe.
    Five,
}

impl World {
    /// Healthy at `settings`, then failing for so long that both kinds of probe are too old.
    async fn failing(settings: Settings, cause: Cause, callers: Callers, phase: Duration) -> Self {
        let mut world = Self::new(Some(first()));
        world.start(settings);
        world.pass(1).await;
        assert_eq!(world.healthy_version(), Some(1));
        {
            let mut script = world.transit.script();
            script.down = Some(error(cause.class));
            script.latency = cause.takes.unwrap_or_default();
            script.hangs = cause.takes.is_none();
        }
        let health = settings.health;
        let stale = health.max_staleness + health.deep_probe_interval;
        let confirmed = Duration::from_secs(8);
        let end = Instant::now() + stale + health.probe_interval + confirmed + phase;
        if callers == Callers::Five {
            let many = Duration::from_secs(12).min(health.probe_interval * 3);
            sleep_until(end - many).await;
            while Instant::now() + Duration::from_millis(200) < end {
                world.signals.deep_probe.notify_one();
                sleep(Duration::from_millis(200)).await;
            }
        }
        sleep_until(end).await;
        assert_eq!(world.healthy_version(), None);
        world
    }

    fn recovers(&self) {
        let mut script = self.transit.script();
        script.down = None;
        script.latency = Duration::ZERO;
        script.hangs = false;
    }
}

#[tokio::test(start_paused = true)]
async fn status_is_well_again_within_two_probe_intervals_of_the_end_of_any_cause() {
    const PHASES: u32 = 10;
    let mut missed = Vec::new();
    for settings in paces() {
        let interval = settings.health.probe_interval;
        for cause in CAUSES {
            for callers in [Callers::Nobody, Callers::Five] {
                for n in 0..PHASES {
                    let phase = interval * 2 * n / PHASES;
                    let world = World::failing(settings, cause, callers, phase).await;
                    let ended = Instant::now();
                    world.recovers();
                    // The clock of timers ticks in milliseconds.
                    sleep_until(ended + interval * 2 + Duration::from_millis(1)).await;
                    if world.healthy_version() != Some(1) {
                        let reasons = world.reasons();
                        missed.push((interval, cause, callers, phase, reasons));
                    }
                    world.end().await.unwrap();
                }
            }
        }
    }
    assert!(
        missed.is_empty(),
        "{} missed: {:?}",
        missed.len(),
        &missed[..1]
    );
}

#[tokio::test(start_paused = true)]
async fn decrypt_works_at_once_when_any_cause_has_ended_while_status_still_waits() {
    for settings in paces() {
        for cause in CAUSES {
            let phase = settings.health.probe_interval / 3;
            let world = World::failing(settings, cause, Callers::Nobody, phase).await;
            let calls = keyring::Settings {
                max_encrypt: 32,
                max_decrypt: 64,
                decrypt_lanes: 4,
                probe_interval: settings.health.probe_interval,
            };
            let (keyring, driver) = Keyring::new(
                calls,
                scope(),
                "0.1.0",
                Arc::clone(&world.transit) as _,
                Arc::clone(&world.view),
                Arc::clone(&world.signals),
                Arc::clone(&world.clock) as _,
                &mut Registry::default(),
            );
            let driver = tokio::spawn(driver.run());
            let until = |ms| Instant::now() + Duration::from_millis(ms);
            let opened = keyring.decrypt(request(1, b"seed"), until(50)).await;
            assert!(opened.is_err(), "{cause:?}");
            world.recovers();
            let ended = Instant::now();
            assert_eq!(world.healthy_version(), None, "{cause:?}");
            let opened = keyring.decrypt(request(1, b"seed"), until(50)).await;
            let opened = opened.expect("answered at once");
            assert_eq!(opened.expose_secret(), b"seed");
            assert_eq!(ended.elapsed(), Duration::ZERO, "{cause:?}");
            drop(keyring);
            driver.await.unwrap();
            world.end().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_request_that_hangs_makes_nobody_unhealthy_where_the_limits_are_tightest() {
    fastrand::seed(7);
    for _ in 0..8 {
        let mut world = World::new(Some(first()));
        world.start(pace(30_000, 300_000, 60_000, 25_000));
        world.pass(1).await;
        world.transit.script().hangs = true;
        let before = world.transit.count();
        while world.transit.count() == before {
            world.pass(1).await;
        }
        world.transit.script().hangs = false;
        for _ in 0..1500 {
            assert_eq!(world.healthy_version(), Some(1));
            sleep(Duration::from_millis(100)).await;
        }
        world.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_openbao_timeout_is_waited_for_however_often_probes_come() {
    let mut world = World::new(Some(first()));
    world.transit.script().latency = Duration::from_secs(15);
    world.start(pace(5_000, 30_000, 60_000, 20_000));
    world.pass(50).await;
    for _ in 0..600 {
        assert_eq!(world.healthy_version(), Some(1));
        world.pass(1).await;
    }
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_passes_closes_its_breaker_and_a_call_that_succeeds_closes_both() {
    const BREAKERS: [&str; 2] = ["metadata", "deep"];
    let breakers = |world: &World| {
        let text = world.scrape();
        BREAKERS.map(|kind| {
            let is = |state| {
                let line = format!("circuit_breaker_state{{kind=\"{kind}\"}} {state}");
                text.contains(&line)
            };
            (0..3).find(|state| is(*state)).unwrap()
        })
    };
    let world = World::healthy().await;
    for live in [false, true] {
        world.transit.script().down = Some(error(Class::Sealed));
        let mut open = false;
        for _ in 0..500 {
            world.pass(1).await;
            open |= breakers(&world) == [2, 2];
        }
        assert!(open);
        if live {
            world.signals.live_success();
            world.pass(1).await;
            assert_eq!(breakers(&world), [0, 0]);
        }
        world.transit.script().down = None;
        world.pass(61).await;
        assert_eq!(breakers(&world), [0, 0]);
    }
    world.end().await.unwrap();
}
