//! Chores of the repository: `cargo xtask generate [--check]`, `cargo xtask house`.

mod documents;
mod generate;
mod house;
mod shapes;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask generate [--check] | house";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["generate"] => generate::write(),
        ["generate", "--check"] => generate::check(),
        ["house"] => house::check(),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(said) => {
            print(&mut std::io::stdout(), &said);
            ExitCode::SUCCESS
        }
        Err(fault) => {
            print(&mut std::io::stderr(), &fault.to_string());
            ExitCode::FAILURE
        }
    }
}

/// A closed pipe is the reader's choice and no failure of the chore.
fn print(to: &mut impl std::io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
}
