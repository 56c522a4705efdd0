//! Instructions of the hot paths, counted by valgrind and compared with those
//! that are recorded: the price of a change, seen without a quiet machine.
//!
//! Everything between the caller's HTTP/2 and OpenBao's HTTP is real; those two are memory.

mod fault;

mod recorded;
mod wire;

mod stand;
mod verdict;

mod paths;

mod counted;

mod callgrind;

use std::{collections::BTreeMap, error::Error as _, io, path::Path, process::ExitCode};

use crate::{
    fault::Fault,
    paths::PATHS,
    recorded::{Counts, Tools},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["--path", name] => run(name).map(|()| ExitCode::SUCCESS),
        ["--record", file] => record(Path::new(file)),
        [file] if !file.starts_with('-') => compare(Path::new(file)),
        _ => Err(Fault::Usage),
    };
    outcome.unwrap_or_else(|fault| {
        let mut source = fault.source();
        let mut text = fault.to_string();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        show(&mut io::stderr(), &text);
        ExitCode::FAILURE
    })
}

fn run(name: &str) -> Result<(), Fault> {
    let path = PATHS.iter().find(|path| path.name == name);
    counted::run(path.ok_or_else(|| Fault::UnknownPath(name.to_owned()))?)
}

fn record(file: &Path) -> Result<ExitCode, Fault> {
    let now = least_of(LOOKS)?;
    // What the new figures replace is worth a look before it is committed.
    if let Ok(recorded) = Counts::read(file) {
        let verdict = verdict::judge(&recorded, &now, &names());
        show(&mut io::stdout(), &verdict.table);
    }
    now.write(file)?;
    show(
        &mut io::stdout(),
        &format!("recorded in {}", file.display()),
    );
    Ok(ExitCode::SUCCESS)
}

fn compare(file: &Path) -> Result<ExitCode, Fault> {
    let recorded = Counts::read(file)?;
    let mut now = least_of(1)?;
    let mut verdict = verdict::judge(&recorded, &now, &names());
    for _ in 1..LOOKS {
        if verdict.fails {
            now = now.least(least_of(1)?);
            verdict = verdict::judge(&recorded, &now, &names());
        }
    }
    let said = format!("{}{}", verdict.table, verdict.advice);
    show(&mut io::stdout(), &said);
    Ok(if verdict.fails {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn names() -> Vec<&'static str> {
    PATHS.iter().map(|path| path.name).collect()
}

/// How often is counted before a count is believed to be too high. On a busy machine more time
/// passes in a call, and with it more ticks of its timers: counts grow, and never shrink.
const LOOKS: usize = 3;

/// The least of each count in so many looks.
fn least_of(looks: usize) -> Result<Counts, Fault> {
    let mut least = count_all()?;
    for _ in 1..looks {
        least = least.least(count_all()?);
    }
    Ok(least)
}

fn count_all() -> Result<Counts, Fault> {
    let tools = Tools::here()?;
    let program = std::env::current_exe().map_err(Fault::Lost)?;
    let mut instructions = BTreeMap::new();
    for path in &PATHS {
        instructions.insert(path.name.to_owned(), callgrind::count(&program, path)?);
    }
    Ok(Counts {
        tools,
        instructions,
    })
}

/// A closed pipe is the reader's choice and no failure.
fn show(to: &mut impl io::Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
