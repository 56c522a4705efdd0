//! Manual pages, from the grammar.

use std::io;

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::version::VERSION;

/// What an exit code means.
const CODES: [(&str, &str); 4] = [
    ("0", "Nothing is wrong; there may be advice."),
    (
        "1",
        "Problems were found (with --strict, this may be advice only), or the agent cannot be asked or would not.",
    ),
    (
        "2",
        "The command line is not understood, or something cannot be read or written.",
    ),
    (
        "3",
        "The agent cannot start or had to end; its log says why.",
    ),
];

/// The page of `command`, in the language of man(7). `name` is the page's, `also` that of the other.
pub(crate) fn page(command: Command, name: &str, also: &str) -> io::Result<Vec<u8>> {
    let commands = commands(&command);
    let mut page = Vec::new();
    let man = Man::new(command)
        .title(name)
        .manual("staticpodd")
        .source(format!("staticpodd {VERSION}"));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::default();
    if !commands.is_empty() {
        list(&mut roff, "COMMANDS", &commands);
    }
    list(&mut roff, "EXIT STATUS", &CODES);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(also), roman("(1)")]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// By name; not every command has a page of its own.
fn commands(command: &Command) -> Vec<(String, String)> {
    let told = |command: &Command| {
        let about = command.get_about().map(ToString::to_string);
        (command.get_name().to_owned(), about.unwrap_or_default())
    };
    command.get_subcommands().map(told).collect()
}

fn list<T: AsRef<str>>(roff: &mut Roff, title: &str, entries: &[(T, T)]) {
    roff.control("SH", [title]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(name.as_ref())]);
        roff.text([roman(meaning.as_ref())]);
    }
}
