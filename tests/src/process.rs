//! A child process that a test starts, listens to, and kills.
//!
//! Waits are for lines the child prints, never for time; a hang ends the test
//! after [`HANG`], which is a guard and not a measure.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// After this long without a word a child is taken to hang.
pub const HANG: Duration = Duration::from_mins(2);

/// Lines a child may be ahead of its reader before it is made to wait.
const LINES_MAX: usize = 100_000;

/// A child process; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// Starts `command`; its output and its errors are read as lines.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let (sender, lines) = sync_channel(LINES_MAX);
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child
                .stdout
                .take()
                .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child
                .stderr
                .take()
                .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        for pipe in pipes.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(pipe).lines().map_while(Result::ok);
                for line in lines {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            name: name.to_owned(),
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line that `pick` takes, and returns what it made of it.
    ///
    /// # Panics
    /// When the child ends or hangs first; its last lines are shown.
    pub fn wait_for<T>(&mut self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        loop {
            match self.lines.recv_timeout(HANG) {
                Ok(line) => {
                    let picked = pick(&line);
                    self.seen.push(line);
                    if let Some(picked) = picked {
                        return picked;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{self} hangs before {what}"),
                Err(RecvTimeoutError::Disconnected) => panic!("{self} ended before {what}"),
            }
        }
    }

    /// The most memory that it has had in use, in bytes, as Linux counts it.
    ///
    /// # Panics
    /// Where nobody counts.
    #[must_use]
    pub fn memory_most(&self) -> u64 {
        let file = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(file).expect("a living child of Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|kb| kb.parse::<u64>().ok())
            .expect("a number")
            << 10
    }

    /// Whether it has ended, by itself or not.
    ///
    /// # Panics
    /// When nobody can say.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Kills it without warning (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it cannot be asked, hangs, or fails.
    pub fn stop(self) {
        drop(self.stop_and_tell());
    }

    /// As [`Process::stop`]; returns every line it printed.
    ///
    /// # Panics
    /// As [`Process::stop`].
    #[must_use]
    pub fn stop_and_tell(mut self) -> Vec<String> {
        // Before its first word it may not listen to signals yet.
        if self.seen.is_empty() {
            self.wait_for("its first word", |_| Some(()));
        }
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(
            asked.is_ok_and(|status| status.success()),
            "cannot signal {self}"
        );
        let name = self.name.clone();
        let (status, lines) = self.finish();
        assert!(status.success(), "{name} ended with {status}: {lines:#?}");
        lines
    }

    /// Waits for its end; returns the status and every line it printed.
    ///
    /// # Panics
    /// When it hangs.
    #[must_use]
    pub fn finish(mut self) -> (ExitStatus, Vec<String>) {
        loop {
            match self.lines.recv_timeout(HANG) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("{self} hangs"),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self
            .child
            .wait()
            .unwrap_or_else(|e| panic!("cannot wait: {e}"));
        (status, std::mem::take(&mut self.seen))
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self
            .seen
            .iter()
            .rev()
            .take(40)
            .rev()
            .map(|line| format!("\n  | {line}"));
        write!(f, "{}{}", self.name, last.collect::<String>())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
