//! The whole table, several rows at a time.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use pod_rig::{can_run, shared};

use super::{
    agent,
    case::{Case, Row},
    directory, host, many, page, refused, runtime, url,
};

const DOCUMENT: &str = include_str!("../../../../../docs/staticpodd-reliability.md");
/// Rows that run at the same time. Most of their time they wait.
const AT_ONCE: usize = 6;
/// They go first, so that nobody waits for them at the end.
const LONGEST: [&str; 6] = ["A2", "N1", "U1", "R4", "A4", "R1"];

fn rows() -> Vec<Row> {
    let rooms = [
        runtime::rows(),
        host::rows(),
        agent::rows(),
        directory::rows(),
        url::rows(),
        refused::rows(),
        many::rows(),
    ];
    rooms.into_iter().flatten().collect()
}

#[test]
fn in_every_fault_the_pods_do_what_the_table_says() {
    if !can_run() {
        return;
    }
    let rig = shared();
    let rows = rows();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|at| !LONGEST.contains(&rows[*at].id));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![None; rows.len()]);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = &rows[*at];
                    let began = Instant::now();
                    let mut case = Case::new(&rig, row.id);
                    let run = || (row.run)(&mut case);
                    if catch_unwind(AssertUnwindSafe(run)).is_ok() {
                        let promise = page::promise(row, &case.seen);
                        done.lock().unwrap()[*at] = Some((promise, case.well));
                    }
                    println!("{}: {:.1} s", row.id, began.elapsed().as_secs_f64());
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let broken = |row: &Row| (format!("| {} | broke off | | | |", row.id), None);
    let done: Vec<_> = (rows.iter().zip(done))
        .map(|(row, done)| done.unwrap_or_else(|| broken(row)))
        .collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("pod-faults.md"), page::table(&done)).unwrap();
    let broken: Vec<&str> = (done.iter().map(|(promise, _)| promise.as_str()))
        .filter(|promise| promise.contains("| broke off |"))
        .collect();
    assert!(broken.is_empty(), "see above: {broken:?}");
    let listed = DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| "))
        .count();
    assert_eq!(
        listed,
        done.len() + 1,
        "rows of docs/staticpodd-reliability.md, with the head"
    );
    for (promise, _) in &done {
        assert!(
            DOCUMENT.contains(promise),
            "docs/staticpodd-reliability.md lacks this row; make pod-faults DOC=docs/staticpodd-reliability.md writes it:\n{promise}"
        );
    }
}
