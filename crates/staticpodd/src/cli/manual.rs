//! Manual pages, from the grammar.

use std::io;

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

/// What an exit code means.
const CODES: [(&str, &str); 3] = [
    ("0", "Nothing is wrong; there may be advice."),
    (
        "1",
        "Problems were found; with --strict, this may be advice only.",
    ),
    (
        "2",
        "The command line is not understood, or something cannot be read or written.",
    ),
];

/// The page of `command`, in the language of man(7). `name` is the page's.
pub(crate) fn page(command: Command, name: &str, also: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command)
        .title(name)
        .manual("staticpodd")
        .source("");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if also.is_empty() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::default();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in CODES {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning)]);
    }
    if !also.is_empty() {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold(also), roman("(1)")]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}
