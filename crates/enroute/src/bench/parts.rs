//! The processes that a measure is made of, each with its own processor time and
//! memory: this binary again in another role, Mosquitto, `node`.

use crate::simulate::Data;
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Longer than any part takes for one step; then the measure fails with words.
const STEP_WITHIN: Duration = Duration::from_mins(5);
/// How often is asked again what has to become so.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Where Debian puts it, outside the usual path.
pub(super) const MOSQUITTO: &str = "/usr/sbin/mosquitto";
/// As it is shipped: its limits are part of what is measured.
const MOSQUITTO_CONF: &str = include_str!("../../../../deploy/mosquitto.conf");

/// A running part. It is killed when this is dropped.
pub(super) struct Part {
    child: Child,
    words: Lines<BufReader<ChildStdout>>,
    ear: ChildStdin,
}

/// What a process has used so far.
#[derive(Clone, Debug)]
pub(super) struct Used {
    /// Processor time of each of its threads, in user and kernel, nanoseconds.
    threads: BTreeMap<String, u64>,
    /// Resident memory, bytes.
    pub(super) memory: f64,
    /// Of it what is not pages of a file, the program's own above all.
    pub(super) anonymous: f64,
}

impl Used {
    /// Microseconds of processor since then. A thread that has ended since counts
    /// nothing: those of a server end when they had nothing to do for long.
    pub(super) fn cpu_us_since(&self, before: &Self) -> f64 {
        let used = self.threads.iter().map(|(thread, now)| {
            let then = before.threads.get(thread).copied().unwrap_or(0);
            now.saturating_sub(then)
        });
        float(used.sum()) / 1e3
    }
}

impl Part {
    /// Starts it; what it says on standard error is seen.
    pub(super) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.kill_on_drop(true);
        let mut child = command
            .spawn()
            .context("failed to start a part of the measure")?;
        let words = child.stdout.take().context("it has no output")?;
        let ear = child.stdin.take().context("it has no input")?;
        Ok(Self {
            child,
            words: BufReader::new(words).lines(),
            ear,
        })
    }

    /// This binary as a part of a measure.
    pub(super) fn own(arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "part"]);
        command.args(arguments);
        Self::start(command)
    }

    /// Waits for a line that begins so, and gives the rest of it.
    pub(super) async fn says(&mut self, beginning: &str) -> Result<String> {
        let heard = async {
            while let Some(line) = self.words.next_line().await? {
                if let Some(rest) = line.strip_prefix(beginning) {
                    return Ok(rest.trim().to_owned());
                }
            }
            bail!("a part of the measure ended before it said {beginning:?}");
        };
        let heard = timeout(STEP_WITHIN, heard).await;
        heard.map_err(|_| anyhow!("a part of the measure never said {beginning:?}"))?
    }

    /// Tells it a line.
    pub(super) async fn tell(&mut self, line: &str) -> Result<()> {
        self.ear.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.ear.flush().await?)
    }

    /// Ends it at once, and waits until it has.
    pub(super) async fn end(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    pub(super) fn id(&self) -> Result<u32> {
        self.child.id().context("a part of the measure has ended")
    }

    pub(super) fn used(&self) -> Result<Used> {
        used(&self.id()?.to_string())
    }
}

/// What the process of this number (or `self`) has used.
pub(super) fn used(process: &str) -> Result<Used> {
    let process = Path::new("/proc").join(process);
    let status = std::fs::read_to_string(process.join("status"))?;
    let bytes = |name: &str| -> Result<f64> {
        let told = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = told.and_then(|told| told.trim().strip_suffix(" kB"));
        let kib: u64 = kib.context("no memory")?.trim().parse()?;
        Ok(float(kib.saturating_mul(1_024)))
    };
    let mut threads = BTreeMap::new();
    for thread in std::fs::read_dir(process.join("task"))? {
        let thread = thread?;
        // It may have ended meanwhile. The first number is its time on a processor.
        if let Ok(told) = std::fs::read_to_string(thread.path().join("schedstat")) {
            let on = told
                .split_whitespace()
                .next()
                .context("no processor time")?;
            let name = thread.file_name().to_string_lossy().into_owned();
            threads.insert(name, on.parse()?);
        }
    }
    if threads.is_empty() {
        bail!("the system does not tell processor time by thread");
    }
    Ok(Used {
        threads,
        memory: bytes("VmRSS:")?,
        anonymous: bytes("RssAnon:")?,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and microseconds far below 2^53"
)]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// Which broker a measure goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    Mosquitto,
    Embedded,
}

/// Mosquitto with the shipped configuration, on a free port.
pub(super) struct Mosquitto {
    pub(super) port: u16,
    _process: Child,
    _dir: Data,
}

impl Mosquitto {
    /// `None`: it is not installed.
    pub(super) async fn start() -> Result<Option<Self>> {
        let Some(program) = found("mosquitto", &[MOSQUITTO]) else {
            return Ok(None);
        };
        let dir = Data::at(None, "enroute-bench-mosquitto")?;
        let port = free_port()?;
        let mut text: String = MOSQUITTO_CONF
            .lines()
            .map(|line| match line.split_whitespace().next() {
                Some("listener") => format!("listener {port} 127.0.0.1\n"),
                Some("persistence") => "persistence false\n".to_owned(),
                Some("log_type") => "log_type error\n".to_owned(),
                _ => format!("{line}\n"),
            })
            .collect();
        // As root it would drop its privileges.
        text.push_str("user root\n");
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(&file, text)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).kill_on_drop(true);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn()?;
        until("Mosquitto", async || {
            Ok(TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        })
        .await?;
        Ok(Some(Self {
            port,
            _process: process,
            _dir: dir,
        }))
    }
}

/// A program on the path, or at one of these places.
pub(super) fn found(program: &str, places: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = places.iter().map(PathBuf::from);
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .chain(places)
        .find(|candidate| candidate.is_file())
}

pub(super) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// Asks until it is so.
pub(super) async fn until(what: &str, mut so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let asked = async {
        while !so().await? {
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    };
    let asked = timeout(STEP_WITHIN, asked).await;
    asked.map_err(|_| anyhow!("{what} took too long"))?
}

/// `enroute serve` in a process of its own, with an empty journal.
pub(super) struct Server {
    pub(super) part: Part,
    pub(super) http: String,
    pub(super) broker: String,
    _data: Data,
}

impl Server {
    /// Behind Mosquitto on this port, or with its own broker.
    pub(super) async fn start(mosquitto: Option<u16>) -> Result<Self> {
        let data = Data::at(None, "enroute-bench-server")?;
        let file = data.path().join("server.toml");
        std::fs::write(&file, configuration(data.path(), mosquitto))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--log", "error", "serve", "--config"])
            .arg(&file);
        let mut part = Part::start(command)?;
        let http = part.says("gRPC, gRPC-Web and HTTP on http://").await?;
        let broker = part.says("gateways: mqtt://").await?;
        let server = Self {
            part,
            http: http.trim_end_matches('/').to_owned(),
            broker,
            _data: data,
        };
        until("the server", async || {
            Ok(server.metric("enroute_ingest_lanes_subscribed").await? >= 2.0)
        })
        .await?;
        Ok(server)
    }

    /// Frames that are durable.
    pub(super) async fn frames(&self) -> Result<f64> {
        self.metric("enroute_frames_durable_total").await
    }

    /// One of its metrics, over all labels.
    pub(super) async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = match rest.strip_prefix('{') {
                Some(labelled) => labelled.split_once('}')?.1,
                None => rest,
            };
            value.strip_prefix(' ')?.trim().parse::<f64>().ok()
        });
        let values: Vec<f64> = values.collect();
        if values.is_empty() {
            bail!("the server does not tell {name}");
        }
        Ok(values.iter().sum())
    }

    async fn metrics(&self) -> Result<String> {
        let mut stream = TcpStream::connect(&self.http).await?;
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

fn configuration(data: &Path, mosquitto: Option<u16>) -> String {
    let broker = match mosquitto {
        Some(port) => format!("kind = \"external\"\nhost = \"127.0.0.1\"\nport = {port}\n"),
        None => "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n".to_owned(),
    };
    let data = data.join("data");
    format!(
        "listen = \"127.0.0.1:0\"\ndata = \"{}\"\n[broker]\n{broker}[limits]\nviewers_max = 2000\n",
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_ingest::RECEIVE_MAXIMUM;

    /// With fewer the server waits for the broker, and nothing says so.
    #[test]
    fn brokers_let_as_much_be_under_way_as_the_server_takes() {
        let mut lines = MOSQUITTO_CONF.lines();
        let most = lines.find_map(|line| line.strip_prefix("max_inflight_messages "));
        assert_eq!(most, Some(RECEIVE_MAXIMUM.to_string().as_str()));
        let embedded = enroute_broker::Limits::default();
        assert_eq!(embedded.inflight_max, RECEIVE_MAXIMUM);
    }
}
