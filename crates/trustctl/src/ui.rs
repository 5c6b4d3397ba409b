//! The terminal: colours, questions, progress, and the one place that writes to stdout and stderr.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use trustctl_core::reason::{Code, Reason, is_hidden};
use zeroize::Zeroizing;

use crate::cli::{Color, Global, Output};
use crate::config::Environment;
use crate::failure::Failure;

/// What a colour means. Colour repeats what words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Commands.
    Cyan,
    /// Trusted.
    Green,
    /// Errors.
    Red,
    /// Warnings.
    Yellow,
}

/// How this run talks.
#[derive(Clone, Debug)]
pub struct Ui {
    /// The form of the answer.
    pub output: Output,
    /// Whether only the answer is printed.
    pub quiet: bool,
    /// Whether counts are printed.
    pub verbose: bool,
    color_out: bool,
    color_err: bool,
    progress: bool,
    ask: bool,
    unwritten: Arc<OnceLock<Reason>>,
}

impl Ui {
    /// The way of talking that the flags and the terminal call for.
    #[must_use]
    pub fn new(global: &Global, environment: &Environment) -> Self {
        let wanted = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !environment.no_color,
        };
        let err_terminal = io::stderr().is_terminal();
        Self {
            output: global.output,
            quiet: global.quiet,
            verbose: global.verbose,
            color_out: wanted(io::stdout().is_terminal()),
            color_err: wanted(err_terminal),
            progress: err_terminal && !global.quiet,
            ask: !global.no_input && io::stdin().is_terminal(),
            unwritten: Arc::default(),
        }
    }

    /// Whether the answer is JSON.
    #[must_use]
    pub fn json(&self) -> bool {
        self.output == Output::Json
    }

    /// Whether questions may be asked.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        self.ask
    }

    /// `text` in colour for stdout, when colours are on.
    #[must_use]
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        painted(self.color_out, paint, text)
    }

    /// `text` in colour for stderr, when colours are on.
    #[must_use]
    pub fn paint_err(&self, paint: Paint, text: &str) -> String {
        painted(self.color_err, paint, text)
    }

    /// Writes a line of the answer. A closed pipe ends the output quietly; any other failure is kept for [`Ui::unwritten`].
    pub fn say(&self, line: impl AsRef<str>) {
        if let Some(reason) = unwritten(write_line(line.as_ref())) {
            // The first one tells why.
            let _ = self.unwritten.set(reason);
        }
    }

    /// Why a part of the answer could not be written, when that is so: then the run has not done what it was asked for.
    #[must_use]
    pub fn unwritten(&self) -> Option<&Reason> {
        self.unwritten.get()
    }

    /// Writes a line about the answer to stderr, unless quiet.
    pub fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            self.tell(line);
        }
    }

    /// Writes a line to stderr.
    pub fn tell(&self, line: impl AsRef<str>) {
        let mut err = io::stderr().lock();
        drop(writeln!(err, "{}", harmless(line.as_ref())));
    }

    /// Asks a yes-or-no question.
    ///
    /// # Errors
    /// A usage [`Failure`] naming `flag` when nothing may be asked; [`Exit::Interrupted`](crate::exit::Exit::Interrupted) when
    /// the user stops the program instead.
    pub fn confirm(&self, question: &str, flag: &str) -> Result<bool, Failure> {
        if !self.ask {
            return Err(Failure::usage(
                Code::ConfirmationNeeded,
                format!("this asks before it changes anything; give {flag} to go ahead"),
            ));
        }
        let mut err = io::stderr();
        drop(write!(err, "{question} [y/N] ").and_then(|()| err.flush()));
        let answer = or_stop(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let answer = answer.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Failure::stopped(),
            _ => Failure::new(Reason::new(Code::LocalFile, error.to_string())),
        })?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for a secret, which is not shown.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] when the user stops the program instead; else what the terminal says.
    pub fn ask_secret(&self, question: &str) -> io::Result<Zeroizing<String>> {
        let question = format!("{question}: ");
        let before = tcgetattr(io::stdin()).ok();
        let answer = or_stop(|| rpassword::prompt_password(question).map(Zeroizing::new));
        if let (Err(error), Some(before)) = (&answer, before)
            && error.kind() == io::ErrorKind::Interrupted
        {
            // The thread that reads on would leave the terminal without echo.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
            self.tell("");
        }
        answer
    }

    /// Runs `work`, and shows `stage` on a terminal once it takes longer than a second.
    pub async fn progress<T>(&self, stage: &str, work: impl Future<Output = T>) -> T {
        if !self.progress {
            return work.await;
        }
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let mut err = io::stderr();
        drop(write!(err, "\r{stage} …").and_then(|()| err.flush()));
        let done = work.await;
        drop(write!(err, "\r\u{1b}[2K").and_then(|()| err.flush()));
        done
    }
}

/// What `read` brings from the terminal, unless the user stops the program before: a read cannot be ended, and with a handler for
/// it SIGINT ends nothing by itself.
///
/// # Errors
/// [`io::ErrorKind::Interrupted`] after SIGINT, from the keyboard or from elsewhere; else what `read` says.
fn or_stop<T: Send + 'static>(read: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    // A thread of its own, for the one that waits may itself drive a runtime.
    let waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let answer = runtime.block_on(async move {
            // Before anything is read: without a handler SIGINT would leave the terminal without echo.
            let mut stop = signal(SignalKind::interrupt())?;
            tokio::select! {
                biased;
                _ = stop.recv() => Err(io::ErrorKind::Interrupted.into()),
                answer = tokio::task::spawn_blocking(read) => answer.map_err(io::Error::other)?,
            }
        });
        runtime.shutdown_background();
        answer
    });
    waiting.join().unwrap_or_else(|_| Err(io::Error::other("the thread that asks broke off")))
}

/// Writes a line to stdout.
///
/// # Errors
/// What the operating system says, of a closed pipe too.
pub fn write_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", harmless(line))?;
    out.flush()
}

/// Why the answer was not written; nothing for a closed pipe, whose reader wants no more.
#[must_use]
pub fn unwritten(written: io::Result<()>) -> Option<Reason> {
    let error = written.err().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
    Some(Reason::new(Code::LocalFile, format!("the answer cannot be written to standard output: {error}")))
}

/// The text without what moves the cursor, clears or titles a terminal, turns text around or hides in it, whoever wrote it; our
/// colours stay.
fn harmless(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !is_hidden(c) || matches!(c, '\n' | '\t');
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let ours = |rest: &str| {
        ["\u{1b}[0m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m"].iter().any(|own| rest.starts_with(own))
    };
    Cow::Owned(
        text.char_indices().map(|(at, c)| if plain(c) || text.get(at..).is_some_and(ours) { c } else { '\u{fffd}' }).collect(),
    )
}

fn painted(on: bool, paint: Paint, text: &str) -> String {
    let code = match paint {
        Paint::Cyan => 36,
        Paint::Green => 32,
        Paint::Red => 31,
        Paint::Yellow => 33,
    };
    if on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        assert_eq!(unwritten(Ok(())), None);
        assert_eq!(unwritten(Err(io::ErrorKind::BrokenPipe.into())), None);
        let reason = unwritten(Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(reason.map(|reason| reason.code), Some(Code::LocalFile));
    }

    #[test]
    fn only_our_own_colours_reach_the_terminal() {
        let painted = painted(true, Paint::Green, "proven");
        assert_eq!(harmless(&painted), painted);
        assert_eq!(harmless("a\tb\nc é"), "a\tb\nc é");
        for (hostile, shown) in [
            ("\u{1b}[2J\u{1b}[1;1Hproven", "\u{fffd}[2J\u{fffd}[1;1Hproven"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("unsigned\rtrusted", "unsigned\u{fffd}trusted"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("\u{202e}detsurt\u{61c}", "\u{fffd}detsurt\u{fffd}"),
            ("un\u{2060}signed\u{e0041}", "un\u{fffd}signed\u{fffd}"),
        ] {
            assert_eq!(harmless(hostile), shown);
        }
    }
}
