//! Static pods without a kubelet, told in plain words with real processes: containerd on a root
//! of its own, `staticpodd`, a web server, and the provider with an OpenBao for development.
//! Every sentence about a result is checked first; at the end a table says what was checked and
//! how long it took until all was well.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

#![expect(
    clippy::expect_used,
    reason = "a story that cannot go on ends by panicking, and everything it started goes"
)]

mod paper;

mod seal;

mod backend;

mod tale;

mod chapters;

use std::{
    any::Any,
    io,
    panic::{self, AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use fake_cri::containerd::missing;
use pod_rig::Builder;
use stage::places;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    chapters::CHAPTERS,
    paper::{Paper, Row, seconds},
    tale::{Programs, STOPPED, Tale},
};

const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let paper = Paper::new();
    let programs = match programs() {
        Ok(programs) => programs,
        Err(error) => {
            paper.failure("looking for the programs", &error.to_string());
            return ExitCode::FAILURE;
        }
    };
    if let Some(reason) = missing() {
        paper.failure("making room for the demo", &reason);
        return ExitCode::FAILURE;
    }
    let stop = Arc::new(AtomicBool::new(false));
    // It listens as long as this value lives.
    let _listening = match listen(&stop) {
        Ok(listening) => listening,
        Err(error) => {
            paper.failure("listening to signals", &error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let began = Instant::now();
    let mut rows = Vec::new();
    // The story says itself what went wrong.
    panic::set_hook(Box::new(|_| ()));
    let told = catch_unwind(AssertUnwindSafe(|| {
        tell(&paper, &programs, &stop, &mut rows);
    }));
    let Err(panic) = told else {
        paper.table(&rows);
        let took = seconds(began.elapsed());
        paper.say(&format!(
            "\nAll of it took {took}. Nothing is left running."
        ));
        return ExitCode::SUCCESS;
    };
    if stop.load(Ordering::Relaxed) {
        paper.say("\nInterrupted: everything is stopped.");
        return ExitCode::from(INTERRUPTED);
    }
    let step = rows.last().map_or("starting", |row| row.name);
    paper.failure(step, &words(&*panic));
    ExitCode::FAILURE
}

fn programs() -> io::Result<Programs> {
    Ok(Programs {
        staticpodd: places::beside("staticpodd")?,
        provider: places::beside("bao-kms-provider")?,
        bao_dev: places::beside("bao-dev")?,
    })
}

/// Hears signals; what waits looks whether one came.
fn listen(stop: &Arc<AtomicBool>) -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let stop = Arc::clone(stop);
        let mut heard = {
            let _inside = runtime.enter();
            signal(kind)?
        };
        // It ends with the runtime.
        runtime.spawn(async move {
            let _ = heard.recv().await;
            stop.store(true, Ordering::Relaxed);
        });
    }
    Ok(runtime)
}

fn tell(paper: &Paper, programs: &Programs, stop: &AtomicBool, rows: &mut Vec<Row>) {
    paper.title("staticpodd: static pods without a kubelet");
    paper
        .say("\ncontainerd starts on a root of its own, and the agent with an empty directory ...");
    let mut node = Builder::new(&programs.staticpodd).boots().build();
    node.start();
    let mut tale = Tale {
        paper,
        rows,
        programs,
        stop,
        backend: None,
        images: Vec::new(),
        seal: None,
        node,
    };
    for (number, (title, name, happens)) in CHAPTERS.iter().enumerate() {
        assert!(!stop.load(Ordering::Relaxed), "{STOPPED}");
        paper.heading(number + 1, CHAPTERS.len(), title);
        tale.rows.push(Row {
            name,
            well: None,
            facts: Vec::new(),
        });
        happens(&mut tale);
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("for a reason that nobody told").to_owned()
}
