//! What a call costs, next to an empty handler on the same gRPC stack, in one run.
//!
//! Machines differ and are noisy: read the ratios, not the figures.

mod floor;
mod load;
mod stage;

use std::{error::Error, io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use serde_json::{Value, json};

use ::stage::process::{Holdings, Process};

use crate::{
    load::{Call, Measured},
    stage::Stage,
};

const CONCURRENCIES: [usize; 3] = [1, 16, 64];
const WARM_UP: Duration = Duration::from_millis(300);
/// More than are ever in flight, so that equal ones never meet.
const CIPHERTEXTS: usize = 512;

/// What a call costs, next to an empty handler on the same gRPC stack.
#[derive(Parser)]
struct Arguments {
    /// Seconds for each row
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Write the figures as JSON here, too
    #[arg(long)]
    json: Option<PathBuf>,
    /// Be the empty handler on this socket (started by the program itself)
    #[arg(long, hide = true)]
    floor: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    match &arguments.floor {
        Some(socket) => floor::serve(socket).await,
        None => measure(&arguments).await,
    }
}

async fn measure(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let length = Duration::from_secs(arguments.seconds);
    let stage = Stage::set().await?;
    let idle = stage.provider.holdings()?.resident_kib;
    let floor = load::client(&stage.floor_socket).await?;
    let mut provider = load::client(&stage.provider_socket).await?;
    let sealed = Arc::new(load::ciphertexts(&mut provider, CIPHERTEXTS).await?);
    let equal = sealed.first().cloned().ok_or("nothing was encrypted")?;
    let kinds = [
        ("empty handler", Call::Status, true),
        ("Status", Call::Status, false),
        ("Encrypt", Call::Encrypt, false),
        ("Decrypt, distinct", Call::DecryptDistinct(sealed), false),
        ("Decrypt, equal", Call::DecryptEqual(equal), false),
    ];

    let mut out = std::io::stdout();
    writeln!(out, "{}", machine())?;
    writeln!(
        out,
        "\n{:<20} {:>4} {:>10} {:>10} {:>10} {:>12} {:>14}",
        "call", "c", "p50 us", "p99 us", "calls/s", "CPU us/call", "p99 / empty"
    )?;
    let mut rows = Vec::new();
    for concurrency in CONCURRENCIES {
        let mut empty_p99 = Duration::ZERO;
        for (name, call, is_floor) in &kinds {
            let (client, process) = if *is_floor {
                (&floor, &stage.floor)
            } else {
                (&provider, &stage.provider)
            };
            load::run(client, call, concurrency, WARM_UP).await?;
            let before = process.cpu()?;
            let measured = load::run(client, call, concurrency, length).await?;
            let cpu = process.cpu()?.saturating_sub(before);
            if *is_floor {
                empty_p99 = measured.p99;
            }
            let row = row(name, concurrency, &measured, cpu, empty_p99);
            writeln!(out, "{}", line(&row))?;
            rows.push(row);
        }
    }
    let summary = summary(&stage.provider, idle, stage.start_to_healthy)?;
    writeln!(out, "\n{}", summary_text(&summary))?;
    if let Some(path) = &arguments.json {
        let report = json!({"machine": machine(), "rows": rows, "provider": summary});
        std::fs::write(path, format!("{report:#}\n"))?;
    }
    Ok(())
}

fn row(name: &str, c: usize, measured: &Measured, cpu: Duration, empty_p99: Duration) -> Value {
    let micros = |time: Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
    let calls = measured.calls.max(1) as f64;
    json!({
        "call": name,
        "concurrency": c,
        "p50_us": micros(measured.p50),
        "p99_us": micros(measured.p99),
        "calls_per_second": (calls / measured.took.as_secs_f64()).round(),
        "cpu_us_per_call": (cpu.as_secs_f64() * 1e7 / calls).round() / 10.0,
        "p99_to_empty_handler": (measured.p99.as_secs_f64() / empty_p99.as_secs_f64() * 100.0).round() / 100.0,
    })
}

fn line(row: &Value) -> String {
    let text = |name: &str| {
        let value = row.get(name).cloned().unwrap_or_default();
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    format!(
        "{:<20} {:>4} {:>10} {:>10} {:>10} {:>12} {:>14}",
        text("call"),
        text("concurrency"),
        text("p50_us"),
        text("p99_us"),
        text("calls_per_second"),
        text("cpu_us_per_call"),
        text("p99_to_empty_handler")
    )
}

fn summary(provider: &Process, idle: u64, healthy: Duration) -> Result<Value, Box<dyn Error>> {
    let Holdings {
        resident_kib,
        threads,
        ..
    } = provider.holdings()?;
    Ok(json!({
        "resident_idle_kib": idle,
        "resident_after_load_kib": resident_kib,
        "threads": threads,
        "start_to_healthy_ms": healthy.as_millis(),
    }))
}

fn summary_text(summary: &Value) -> String {
    let figure = |name: &str| summary.get(name).cloned().unwrap_or_default();
    format!(
        "provider: {} KiB resident idle, {} KiB after load, {} threads, healthy {} ms after start",
        figure("resident_idle_kib"),
        figure("resident_after_load_kib"),
        figure("threads"),
        figure("start_to_healthy_ms")
    )
}

/// The machine in one line: processors, their model, kernel.
fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            line.split_once(": ").map(|(_, model)| model.to_owned())
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    format!(
        "{cores} processors, {}, Linux {kernel}; OpenBao is bao-dev on the same machine",
        model.unwrap_or_else(|| "unknown".into())
    )
}
