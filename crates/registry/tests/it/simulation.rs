//! Several nodes against one Transit whose standbys lag, through rotations, restarts, lost
//! and late reads, clock jumps, restores and trims.
//!
//! Deterministic: a run is a list of events, which proptest shrinks to the few that matter.

mod backend;
mod node;
mod world;

use proptest::prelude::*;

use world::{Event, World};

fn event() -> impl Strategy<Value = Event> {
    let node = 0..world::NODES;
    prop_oneof![
        12 => (1_i64..200).prop_map(Event::Pass),
        4 => Just(Event::Pass(400)),
        6 => Just(Event::Rotate),
        3 => (1_usize..6).prop_map(Event::RestoreBackend),
        1 => (1_u64..6).prop_map(Event::MinDecryption),
        1 => (0_u64..6).prop_map(Event::MinEncryption),
        1 => Just(Event::Trim),
        3 => node.clone().prop_map(Event::Restart),
        2 => (node.clone(), 1_usize..6).prop_map(|(n, back)| Event::RestoreDisk(n, back)),
        1 => (node.clone(), node.clone()).prop_map(|(to, from)| Event::Join(to, from)),
        1 => node.clone().prop_map(Event::Retire),
        2 => (node.clone(), -5000_i64..5000).prop_map(|(n, by)| Event::SetClock(n, by)),
        1 => node.clone().prop_map(|n| Event::SetClock(n, 0)),
        4 => (0_i64..40).prop_map(Event::Lag),
        3 => (node.clone(), 1_u32..8).prop_map(|(n, reads)| Event::LoseReads(n, reads)),
        6 => node.prop_map(Event::Encrypt),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        // 100 by default; PROPTEST_CASES scales it.
        cases: ProptestConfig::default().cases * 2 / 5,
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_key_id_comes_back_and_no_version_is_lost(
        seed in any::<u64>(),
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut world = World::new(seed);
        for event in &events {
            world.apply(event)?;
        }
        world.calm_down()?;
    }
}

/// The same in calm weather, where more can be asked: nobody is ever unhealthy.
#[test]
fn many_rotations_in_calm_weather_never_make_a_node_unhealthy_and_all_nodes_agree() {
    let mut world = World::new(7);
    for _ in 0..12 {
        world.apply(&Event::Rotate).unwrap();
        for _ in 0..50 {
            world.apply(&Event::Pass(10)).unwrap();
            for node in 0..world::NODES {
                assert!(world.is_healthy(node), "node {node}");
                world.apply(&Event::Encrypt(node)).unwrap();
            }
        }
    }
    world.calm_down().unwrap();
    assert_eq!(world.ciphertexts(), 12 * 50 * world::NODES);
}

/// The disk of a node that writes with version 2 is put back to version 1 just after the key
/// was rotated to version 3.
#[test]
fn a_node_whose_disk_is_put_back_during_a_rotation_never_names_the_older_version_again() {
    for passed in [5, 45, 120] {
        let mut world = World::new(7);
        world.apply(&Event::Rotate).unwrap();
        world.apply(&Event::Pass(700)).unwrap();
        assert_eq!(world.named(0), [1, 2]);
        world.apply(&Event::Rotate).unwrap();
        world.apply(&Event::Pass(passed)).unwrap();
        world.apply(&Event::RestoreDisk(0, 100)).unwrap();
        assert!(!world.is_healthy(0));
        world.apply(&Event::Pass(30)).unwrap();
        assert!(world.is_healthy(0), "it has caught up");
        assert_eq!(world.named(0), [1, 2]);
        world.calm_down().unwrap();
        assert_eq!(world.named(0), [1, 2, 3]);
    }
}
