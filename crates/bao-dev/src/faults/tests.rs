use std::time::Duration;

use serde_json::json;

use super::*;
use crate::tokens::Token;

const NOW: Duration = Duration::ZERO;

fn seen(path: &str, listener: Listener) -> Seen<'_> {
    Seen {
        method: "POST",
        path,
        listener,
        token: Presented::Nothing,
        batch: false,
    }
}

fn acts(faults: &mut Faults, path: &str) -> bool {
    faults
        .plan(&seen(path, Listener::Active), NOW)
        .action
        .is_some()
}

#[test]
fn a_rule_skips_acts_so_many_times_and_is_spent() {
    let mut faults = Faults::default();
    let rule = Fault::new(Action::Reset).path("/v1/transit/*");
    faults.add(rule.after(1).times(2), NOW);
    let hits: Vec<_> = (0..5)
        .map(|_| acts(&mut faults, "/v1/transit/decrypt/k"))
        .collect();
    assert_eq!(hits, [false, true, true, false, false]);
    assert!(!acts(&mut faults, "/v1/sys/health"));
}

#[test]
fn waits_add_up_and_the_first_other_rule_acts() {
    let mut faults = Faults::default();
    faults.add(Fault::new(Action::Delay { ms: 5 }), NOW);
    let first = faults.add(Fault::new(Action::Reset).times(1), NOW);
    let second = faults.add(Fault::new(Action::Hang).listener(Listener::Active), NOW);
    let jitter = Action::Jitter {
        min_ms: 7,
        max_ms: 7,
    };
    faults.add(Fault::new(jitter), NOW);
    let plan = faults.plan(&seen("/", Listener::Active), NOW);
    assert_eq!(
        (plan.delay, plan.fault),
        (Duration::from_millis(12), Some(first))
    );
    let plan = faults.plan(&seen("/", Listener::Active), NOW);
    assert_eq!(plan.fault, Some(second));
    let plan = faults.plan(&seen("/", Listener::Standby), NOW);
    assert_eq!(plan.fault, None);
}

#[test]
fn jitter_keeps_its_bounds_and_uses_all_the_room_between_them() {
    let mut faults = Faults::default();
    let jitter = Action::Jitter {
        min_ms: 10,
        max_ms: 50,
    };
    faults.add(Fault::new(jitter), NOW);
    let waits: Vec<_> = (0..200)
        .map(|_| faults.plan(&seen("/", Listener::Active), NOW).delay)
        .collect();
    let (min, max) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!(*min >= Duration::from_millis(10) && *min < Duration::from_millis(14));
    assert!(*max <= Duration::from_millis(50) && *max > Duration::from_millis(46));
}

#[test]
fn a_seed_decides_which_requests_are_hit_and_the_probability_how_many() {
    let run = |seed| {
        let mut faults = Faults::default();
        faults.add(Fault::new(Action::Reset).probability(0.05, seed), NOW);
        (0..2000)
            .map(|_| acts(&mut faults, "/"))
            .collect::<Vec<_>>()
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    let hits = first.iter().filter(|hit| **hit).count();
    assert!((60..=140).contains(&hits), "{hits} of 2000");
    let mut never = Faults::default();
    never.add(Fault::new(Action::Reset).probability(0.0, 1), NOW);
    assert!(!(0..50).any(|_| acts(&mut never, "/")));
}

#[test]
fn a_rule_acts_only_in_its_window() {
    let mut faults = Faults::default();
    let born = Duration::from_secs(100);
    faults.add(Fault::new(Action::Reset).window(50, 100), born);
    let hit = |faults: &mut Faults, ms| {
        let plan = faults.plan(
            &seen("/", Listener::Active),
            born + Duration::from_millis(ms),
        );
        plan.action.is_some()
    };
    let hits = [0, 49, 50, 149, 150, 9999].map(|ms| hit(&mut faults, ms));
    assert_eq!(hits, [false, false, true, true, false, false]);
}

#[test]
fn a_rule_can_be_about_the_holder_of_a_token() {
    let mut root = Token::new("", "root", false, 0);
    root.policies = vec![String::from("root")];
    let mut login = Token::new("", "root", false, 0);
    login.policies = vec![String::from("kms")];
    login.path = String::from("auth/jwt/login");
    let presented = [
        Presented::Nothing,
        Presented::Unknown,
        Presented::Known(&root),
        Presented::Known(&login),
    ];
    for (holder, expected) in [
        (Holder::None, [true, false, false, false]),
        (Holder::Unknown, [false, true, false, false]),
        (Holder::Root, [false, false, true, false]),
        (Holder::Login, [false, false, false, true]),
        (
            Holder::Accessor(login.accessor.clone()),
            [false, false, false, true],
        ),
        (
            Holder::Policy(String::from("kms")),
            [false, false, false, true],
        ),
    ] {
        let mut faults = Faults::default();
        faults.add(Fault::new(Action::Reset).token(holder.clone()), NOW);
        let hits = presented.map(|token| {
            let seen = Seen {
                token,
                ..seen("/", Listener::Active)
            };
            faults.plan(&seen, NOW).action.is_some()
        });
        assert_eq!(hits, expected, "{holder:?}");
    }
}

#[test]
fn rules_are_read_from_json_and_strangers_are_refused() {
    let rule = json!({"match": {"method": "POST", "path": "/v1/*", "listener": "active", "token": {"policy": "kms"},
        "batch": true}, "count": 3, "probability": 0.5, "seed": 7, "from_ms": 1, "for_ms": 2,
        "action": {"kind": "answer", "status": 503, "error": "Vault is sealed"}});
    let read: Fault = serde_json::from_value(rule).unwrap();
    let made = Fault::new(Action::error(503, "Vault is sealed"))
        .method("POST")
        .path("/v1/*")
        .token(Holder::Policy(String::from("kms")))
        .batch(true)
        .probability(0.5, 7)
        .window(1, 2);
    assert_eq!(read, made.listener(Listener::Active).times(3));
    for bad in [
        json!({"action": {"kind": "fly"}}),
        json!({"action": {"kind": "reset"}, "coutn": 1}),
        json!({"action": {"kind": "reset", "coutn": 1}}),
        json!({"action": {"kind": "delay", "ms": 1, "max": 1}}),
        json!({"action": {"kind": "reset"}, "match": {"tokne": "root"}}),
        json!({"action": {"kind": "reset"}, "match": {"token": "s.secret"}}),
        json!({"action": {"kind": "rotate", "when": "soon"}}),
    ] {
        assert!(
            serde_json::from_value::<Fault>(bad.clone()).is_err(),
            "{bad}"
        );
    }
    let kebab: Fault =
        serde_json::from_value(json!({"action": {"kind": "reset-mid-body"}})).unwrap();
    assert_eq!(kebab.action, Action::ResetMidBody);
}

#[test]
fn a_rule_that_makes_no_sense_is_named() {
    let jitter = Action::Jitter {
        min_ms: 2,
        max_ms: 1,
    };
    let slow = Action::SlowBody {
        bytes: 0,
        every_ms: 1,
    };
    for (rule, name) in [
        (
            Fault::new(Action::Reset).probability(1.5, 1),
            "probability 1.5",
        ),
        (Fault::new(jitter), "min_ms 2"),
        (Fault::new(slow), "bytes 0"),
        (Fault::new(Action::error(99, "x")), "status 99"),
    ] {
        assert!(rule.flaw().unwrap().starts_with(name), "{rule:?}");
    }
    assert_eq!(Fault::new(Action::Reset).probability(0.5, 1).flaw(), None);
}
