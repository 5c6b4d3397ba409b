//! `trustctl completions` and `trustctl man`: made from the command tree.

use std::path::Path;

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// Prints completions for a shell.
pub(super) fn completions(ui: &Ui, args: &CompletionsArgs) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trustctl", &mut text);
    ui.say(String::from_utf8_lossy(&text).trim_end());
    Exit::Done
}

/// Prints the manual page, or writes one page a command.
///
/// # Errors
/// [`trustctl_core::reason::Code::LocalFile`] when a page cannot be written.
pub(super) fn man(ui: &Ui, args: &ManArgs) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.to {
        None => {
            let page = page(&command).map_err(|error| Failure::file(Path::new("-"), &error))?;
            ui.say(page.trim_end());
        }
        Some(dir) => write_pages(&command, "trustctl", dir)?,
    }
    Ok(Exit::Done)
}

fn write_pages(command: &clap::Command, name: &str, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(format!("{name}.1"));
    let written = page(command).and_then(|page| {
        std::fs::create_dir_all(dir)?;
        std::fs::write(&path, page)
    });
    written.map_err(|error| Failure::file(&path, &error))?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        write_pages(sub, &format!("{name}-{}", sub.get_name()), dir)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> std::io::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
