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
/// token for as long as the client waits for one.
const CAUSES: [Cause; 8] = [
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
];

/// The defaults, and those of the fault table, where each limit is short beside a timeout.
fn paces() -> [Settings; 3] {
    let ms = Duration::from_millis;
    let with = |probe, deep, stale, timeout| {
        let mut settings = settings();
        settings.rotation.probe_interval = ms(probe);
        settings.health = health::Settings {
            probe_interval: ms(probe),
            deep_probe_interval: ms(deep),
            max_staleness: ms(stale),
            request_timeout: ms(timeout),
        };
        settings
    };
    [
        settings(),
        with(500, 1500, 2500, 1000),
        with(10_000, 20_000, 60_000, 5_000),
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
        let end = Instant::now() + stale + health.probe_interval + phase;
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
            let opened = keyring.decrypt(request(1, b"seed"), until(50)).await;
            let opened = opened.expect("answered at once");
            assert_eq!(opened.expose_secret(), b"seed");
            assert_eq!(ended.elapsed(), Duration::ZERO, "{cause:?}");
            assert_eq!(world.healthy_version(), None, "{cause:?}");
            drop(keyring);
            driver.await.unwrap();
            world.end().await.unwrap();
        }
    }
}
