//! Two providers and one OpenBao on a hostile day: random faults, rotations and restarts under
//! load, while a model checks every answer. Exit status 0 only if all was well.

mod pacing;

mod latency;

mod growth;

mod failure;

mod weather;

mod sky;

mod remembered;

mod forge;

mod ledger;

mod keys;

mod model;

mod callers;

mod node;

mod backend;

mod director;

mod report;

mod run;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;

/// Two providers and one OpenBao on a hostile day, every answer checked.
#[derive(Parser)]
struct Arguments {
    /// How long, as 90s, 10m or 1h; the end takes a minute more
    #[arg(long, default_value = "10m", value_parser = time)]
    time: Duration,
    /// What the weather is made from; the same number gives the same weather
    #[arg(long)]
    seed: Option<u64>,
    /// Calls per second, of all callers together
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Write the summary as JSON here, too
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the summary between the markers of this document, too
    #[arg(long)]
    doc: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    });
    let plan = run::Plan {
        time: arguments.time,
        seed,
        rate: arguments.rate,
    };
    let summary = run::run(&plan).await?;
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{:#}\n", summary.json()))?;
    }
    if let Some(path) = &arguments.doc {
        report::write_into(path, &summary.page())?;
    }
    Ok(if summary.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Seconds, minutes or hours.
fn time(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().unwrap_or_default();
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err("write it as 90s, 10m or 1h".to_owned()),
    };
    let number = text.trim_end_matches(unit).parse::<u64>();
    let number = number.map_err(|_| "write it as 90s, 10m or 1h".to_owned())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(|| "longer than anybody can wait".to_owned())
}
