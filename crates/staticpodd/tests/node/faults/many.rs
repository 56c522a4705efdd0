//! Many pods and many edits.

use std::{thread, time::Duration};

use pod_rig::{Watch, pod};

use super::case::{Case, Row};

const PODS: u32 = 20;
const ROUNDS: u32 = 10;

pub(super) fn rows() -> Vec<Row> {
    vec![Row {
        id: "N1",
        what: "20 pods are edited 200 times, faster than they can start",
        pods: "end as the last manifests say; at no time are there two of one name",
        well: "when the last ones have started",
        run: two_hundred_edits,
    }]
}

fn two_hundred_edits(case: &mut Case) {
    let node = case.node();
    let watch = Watch::begin(node.rig());
    for round in 0..ROUNDS {
        for number in 0..PODS {
            let version = format!("out={round}");
            node.put(
                &format!("p{number}"),
                &pod(&format!("p{number}"), &[&version, "hang"]),
            );
            thread::sleep(Duration::from_millis(3));
        }
    }
    case.ends();
    let last = [(ROUNDS - 1).to_string()];
    case.is_well(&node, |node| {
        (0..PODS).all(|number| node.output(&format!("p{number}"), "main") == last)
    });
    node.until("each runs once", |node| {
        let running = node.running();
        let pods = node.names("root/pods").len();
        running.len() == usize::try_from(PODS).unwrap() && pods == running.len()
    });
    for number in 0..PODS {
        assert_eq!(node.output(&format!("p{number}"), "main"), last);
    }
    assert!(watch.end() > 10);
    case.shows("`manifest.replaced`, `container.stopped` and `container.started`, in turn");
}
