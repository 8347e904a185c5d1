//! The fault layer: `strace` tampers with the system calls of a process and
//! writes down what really happened.
//!
//! `strace` counts calls per thread and per name: *the k-th* is the k-th of
//! each thread, so that one run may strike two threads. The trace tells which
//! calls were struck.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

const WRITES: &str = "write,pwrite64,writev,pwritev,ftruncate,mkdir,rename,renameat,renameat2";
const SYNCS: &str = "fsync,fdatasync,sync_file_range,msync";
/// The file with which the journal asks a disk whether it works again; the thread
/// that writes it then writes the write-ahead files back as they read.
const PROBE: &str = "probe";
/// A child has all that its parent had open until it becomes another program, the
/// locks of stores too: none is open while one begins.
static STORES: RwLock<()> = RwLock::new(());
/// A guard against hanging, not a measure.
const HANG: Duration = Duration::from_mins(1);

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    Writes,
    Syncs,
    /// The syncs of commits alone.
    Commits,
}

/// Stores may be opened while this is held.
pub(crate) fn stores() -> RwLockReadGuard<'static, ()> {
    STORES.read().unwrap_or_else(PoisonError::into_inner)
}

fn begin(command: &mut Command) -> std::io::Result<Child> {
    let _none_open = STORES.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// What the disk says from the `k`-th call on.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) calls: Calls,
    pub(crate) error: &'static str,
    pub(crate) k: usize,
    /// The last call that is struck; none: it stays so.
    pub(crate) last: Option<usize>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            calls, error, k, ..
        } = self;
        match self.last {
            Some(last) => write!(f, "{error} at {calls:?} {k} to {last}"),
            None => write!(f, "{error} at {calls:?} {k} and on"),
        }
    }
}

impl Fault {
    fn argument(&self) -> String {
        let set = match self.calls {
            Calls::Writes => WRITES,
            Calls::Syncs => SYNCS,
            Calls::Commits => "fdatasync",
        };
        let (error, k) = (self.error, self.k);
        match self.last {
            Some(last) => format!("inject={set}:error={error}:when={k}..{last}"),
            None => format!("inject={set}:error={error}:when={k}+"),
        }
    }
}

/// What a process did and said.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// What it told its listener.
    pub(crate) said: Vec<String>,
    /// What it wrote to its error output, `strace`'s own words with it.
    pub(crate) errors: String,
    /// Calls that were struck: name and what is between the brackets.
    pub(crate) struck: Vec<(String, String)>,
    /// Most calls of one thread and one name.
    pub(crate) writes: usize,
    pub(crate) syncs: usize,
    /// What a power cut leaves of each write-ahead file.
    pub(crate) kept: BTreeMap<PathBuf, Kept>,
}

/// What a power cut leaves of a file: what was written before the last sync
/// that succeeded, without what a failed sync was for. Linux takes pages whose
/// writing failed for clean, so that no later sync tries them again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) bytes: u64,
    pub(crate) holes: Vec<Range<u64>>,
}

/// `strace`, if it is here and may trace. Says so loudly if not.
pub(crate) fn usable() -> bool {
    let begun = begin(Command::new("strace").args(["-qqq", "-o", "/dev/null", "true"]));
    let ended = begun.and_then(|mut child| child.wait());
    let usable = ended.is_ok_and(|status| status.success());
    if !usable {
        let required = std::env::var("ENROUTE_REQUIRE_TOOLS").is_ok_and(|v| v == "1");
        assert!(
            !required,
            "ENROUTE_REQUIRE_TOOLS=1 and strace is absent or may not trace"
        );
        eprintln!("SKIPPED: strace is absent or may not trace (apt-get install strace)");
    }
    usable
}

/// Runs the writer under `faults` to its end on `dir`, a copy of `before`.
pub(crate) fn run(kind: &str, before: &Path, dir: &Path, batches: u64, faults: &[Fault]) -> Ran {
    let log = dir.with_extension("trace");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut strace = Command::new("strace");
    strace
        .args([
            "-f",
            "--seccomp-bpf",
            "-qqq",
            "-y",
            "-s",
            "0",
            "-e",
            "signal=none",
            "-o",
        ])
        .arg(&log)
        .args(["-e", &format!("trace={WRITES},{SYNCS}")]);
    for fault in faults {
        strace.args(["-e", &fault.argument()]);
    }
    let port = listener.local_addr().unwrap().port().to_string();
    strace
        .arg(env!("CARGO_BIN_EXE_store_writer"))
        .args([OsStr::new(kind), dir.as_os_str(), OsStr::new(&port)])
        .arg(batches.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = begin(&mut strace).unwrap();
    let mut ran = listen(child, &listener);
    let files = Files {
        before: before.to_owned(),
        dir: dir.to_owned(),
        known: BTreeMap::new(),
        repairs: BTreeMap::new(),
    };
    read_trace(&std::fs::read_to_string(&log).unwrap(), files, &mut ran);
    ran
}

/// Takes down what the child says until it hangs up, then waits for its end.
fn listen(mut child: Child, listener: &TcpListener) -> Ran {
    let mut ran = Ran::default();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    for line in BufReader::new(stream).lines() {
        match line {
            Ok(line) => ran.said.push(line),
            Err(error) => {
                child.kill().ok();
                panic!("the writer hangs ({error}) after {:#?}", ran.said);
            }
        }
    }
    let output = child.wait_with_output().unwrap();
    ran.errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ran
}

/// Goes through the trace in the order in which the calls ended.
fn read_trace(trace: &str, mut files: Files, ran: &mut Ran) {
    // Calls during which another thread had its turn.
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(call) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread, call);
            continue;
        }
        let resumed = call
            .split_once(" resumed>")
            .filter(|_| call.starts_with("<... "));
        let call = match resumed {
            Some((_, end)) => format!("{}{end}", begun.remove(thread).unwrap()),
            None => call.to_owned(),
        };
        let Some((name, rest)) = call.split_once('(') else {
            continue;
        };
        // A call that the end of its process cut short has no result.
        let Some((arguments, result)) = rest.rsplit_once(" = ") else {
            continue;
        };
        *counts
            .entry((thread.to_owned(), name.to_owned()))
            .or_default() += 1;
        if result.contains("(INJECTED)") {
            ran.struck.push((name.to_owned(), arguments.to_owned()));
        }
        files.follow(thread, name, arguments, result);
    }
    for ((_, name), count) in counts {
        let most = if SYNCS.contains(&name) {
            &mut ran.syncs
        } else {
            &mut ran.writes
        };
        *most = count.max(*most);
    }
    ran.kept = files.kept();
}

/// The write-ahead files as the calls left them.
struct Files {
    before: PathBuf,
    dir: PathBuf,
    known: BTreeMap<PathBuf, File>,
    /// Threads that repair, and how much of each file they have written once more;
    /// none: that is over.
    repairs: BTreeMap<String, BTreeMap<PathBuf, Option<u64>>>,
}

#[derive(Default)]
struct File {
    written: u64,
    /// Nothing before this waits for a sync.
    clean: u64,
    kept: Kept,
}

impl File {
    fn of_length(written: u64) -> Self {
        let kept = Kept {
            bytes: written,
            holes: Vec::new(),
        };
        Self {
            written,
            clean: written,
            kept,
        }
    }

    fn sync(&mut self, succeeds: bool) {
        if succeeds {
            self.kept.bytes = self.written;
        } else {
            self.kept.holes.push(self.clean..self.written);
        }
        self.clean = self.written;
    }

    /// All that it holds was written once more, and synced.
    fn written_back(&mut self) {
        self.clean = self.written;
        self.kept = Kept {
            bytes: self.written,
            holes: Vec::new(),
        };
    }

    /// A new file is made longer than what it holds.
    fn cut(&mut self, length: u64) {
        self.written = self.written.min(length);
        self.clean = self.clean.min(length);
        self.kept.bytes = self.kept.bytes.min(length);
        for hole in &mut self.kept.holes {
            hole.end = hole.end.min(length);
        }
    }
}

impl Files {
    fn follow(&mut self, thread: &str, name: &str, arguments: &str, result: &str) {
        let inside = arguments
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        let Some((path, rest)) = inside else {
            return;
        };
        let path = Path::new(path);
        if path == self.dir.join(PROBE) && name == "write" {
            self.repairs.insert(thread.to_owned(), BTreeMap::new());
        }
        if path.parent() != Some(&self.dir) || path.extension() != Some(OsStr::new("jnl")) {
            return;
        }
        let path = path.file_name().map(PathBuf::from).unwrap();
        // What was there before the run was synced before it.
        let before = std::fs::metadata(self.before.join(&path));
        let before = || File::of_length(before.map_or(0, |data| data.len()));
        let file = self.known.entry(path.clone()).or_insert_with(before);
        let result = result.trim().parse::<u64>();
        let repair = self.repairs.get_mut(thread);
        let again = repair.map(|files| files.entry(path).or_insert(Some(0)));
        if let Some(again) = again
            && let Some(bytes) = again
        {
            match (name, &result) {
                // The same bytes at the same place, until they are synced.
                ("write", Ok(more)) => *bytes += more,
                ("fsync", Ok(_)) => {
                    if *bytes >= file.written {
                        file.written_back();
                    }
                    file.sync(true);
                    *again = None;
                }
                _ => {}
            }
            return;
        }
        match (name, result) {
            ("write", Ok(bytes)) => file.written += bytes,
            ("ftruncate", Ok(_)) => {
                let length = rest.trim_matches([',', ' ', ')']);
                file.cut(length.parse().unwrap());
            }
            ("write" | "ftruncate", Err(_)) => {}
            (_, result) => file.sync(result.is_ok()),
        }
    }

    fn kept(self) -> BTreeMap<PathBuf, Kept> {
        self.known
            .into_iter()
            .map(|(path, file)| (path, file.kept))
            .collect()
    }
}
