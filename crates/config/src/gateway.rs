//! Configuration of `enroute gateway`.

use crate::address::is_this_machine;
use crate::{Checked, Wrong};
use enroute_gateway::WfdbConfig;
use enroute_simulator::course::Course;
use serde::Deserialize;
use toml::Spanned;

/// `gateway.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayFile {
    /// A filter as for `--log`, which wins.
    #[serde(default)]
    pub log: Option<Spanned<String>>,
    /// Seconds that a shutdown waits for the server to confirm what is spooled.
    #[serde(default = "default_shutdown_s")]
    pub shutdown_s: Spanned<u64>,
    /// To a broker over the network without TLS all the same.
    #[serde(default)]
    pub allow_unprotected_network: bool,
    /// The box itself.
    pub gateway: Spanned<enroute_gateway::Config>,
    /// What it reads; exactly one kind.
    pub source: Spanned<SourceConfig>,
}

/// `[source]`: one of its tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// `[source.simulator]`.
    #[serde(default)]
    pub simulator: Option<Spanned<SimulatorConfig>>,
    /// `[source.wfdb]`.
    #[serde(default)]
    pub wfdb: Option<Spanned<WfdbConfig>>,
}

/// `[source.simulator]`: one simulated patient in one vehicle.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatorConfig {
    /// The same seed gives the same patient.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// What happens to the patient; absent: the seed decides.
    #[serde(default)]
    pub course: Option<Spanned<String>>,
    /// Also waveforms.
    #[serde(default = "default_waveforms")]
    pub waveforms: bool,
    /// Minutes from door to door.
    #[serde(default = "default_minutes")]
    pub minutes: Spanned<u32>,
    /// How full the box's battery is at the start; absent: the seed decides.
    #[serde(default)]
    pub battery_percent: Option<Spanned<u32>>,
}

fn default_shutdown_s() -> Spanned<u64> {
    Spanned::new(0..0, 10)
}

fn default_seed() -> u64 {
    1
}

fn default_waveforms() -> bool {
    true
}

fn default_minutes() -> Spanned<u32> {
    Spanned::new(0..0, 30)
}

impl SimulatorConfig {
    /// The course that was named.
    #[must_use]
    pub fn course(&self) -> Option<Course> {
        let word = self.course.as_ref()?.get_ref();
        Course::ALL.into_iter().find(|course| course.word() == word)
    }

    fn check(&self) -> Result<(), Wrong> {
        if let Some(course) = &self.course
            && self.course().is_none()
        {
            let known: Vec<_> = Course::ALL.iter().map(|course| course.word()).collect();
            return Err(Wrong::at(
                course.span(),
                format!("course {:?} is not known", course.get_ref()),
                format!("choose one of {}", known.join(", ")),
            ));
        }
        if let Some(percent) = &self.battery_percent
            && *percent.get_ref() > 100
        {
            return Err(Wrong::at(
                percent.span(),
                format!("battery_percent = {} is out of range", percent.get_ref()),
                "give a number from 0 to 100",
            ));
        }
        if !(1..=1_440).contains(self.minutes.get_ref()) {
            return Err(Wrong::at(
                self.minutes.span(),
                format!("minutes = {} is out of range", self.minutes.get_ref()),
                "give a number from 1 to 1440",
            ));
        }
        Ok(())
    }
}

impl Checked for GatewayFile {
    const EXAMPLE: &'static str = "deploy/gateway.toml";

    fn check(&self) -> Result<(), Wrong> {
        if let Some(log) = &self.log {
            crate::filter::check(log)?;
        }
        if !(1..=3_600).contains(self.shutdown_s.get_ref()) {
            return Err(Wrong::at(
                self.shutdown_s.span(),
                format!("shutdown_s = {} is out of range", self.shutdown_s.get_ref()),
                "give a number from 1 to 3600",
            ));
        }
        check_gateway(&self.gateway, self.allow_unprotected_network)?;
        let source = self.source.get_ref();
        match (&source.simulator, &source.wfdb) {
            (Some(simulator), None) => simulator.get_ref().check(),
            (None, Some(wfdb)) => check_wfdb(wfdb),
            (Some(_), Some(wfdb)) => Err(Wrong::at(
                wfdb.span(),
                "there are two sources",
                "keep one of [source.simulator] and [source.wfdb]",
            )),
            (None, None) => Err(Wrong::at(
                self.source.span(),
                "there is no source",
                "add [source.simulator] or [source.wfdb]",
            )),
        }
    }
}

fn check_gateway(
    gateway: &Spanned<enroute_gateway::Config>,
    allow_unprotected_network: bool,
) -> Result<(), Wrong> {
    let config = gateway.get_ref();
    let wrong = |wrong: &str, help: &str| Err(Wrong::at(gateway.span(), wrong, help));
    if config.broker.host.is_empty() {
        return wrong("gateway.broker.host is empty", "name the broker's host");
    }
    let is_protected = config.broker.tls.is_some() || is_this_machine(&config.broker.host);
    if !is_protected && !allow_unprotected_network {
        return wrong(
            "gateway.broker.host is reached over the network, and there is no TLS",
            "add [gateway.broker.tls] with authority, certificate and key, or set \
             allow_unprotected_network = true on a network that only trusted people reach",
        );
    }
    if config.broker.port == 0 {
        return wrong("gateway.broker.port is 0", "MQTT's port is 1883");
    }
    if config.broker.keep_alive_s == 0 {
        return wrong(
            "gateway.broker.keep_alive_s is 0",
            "give the seconds of silence after which a connection is given up, such as 5",
        );
    }
    if config.spool.dir.as_os_str().is_empty() {
        return wrong("gateway.spool.dir is empty", "name the spool's directory");
    }
    if config.spool.bytes_max < SPOOL_BYTES_MIN {
        return wrong(
            "gateway.spool.bytes_max is below 1 MiB",
            "give the bytes that the spool may take, such as 8_589_934_592 for 8 GiB",
        );
    }
    check_page(gateway, allow_unprotected_network)
}

/// I12 on board: who reaches the page from the network reads nothing and acts for nobody
/// without a PIN that nobody could overhear.
fn check_page(
    gateway: &Spanned<enroute_gateway::Config>,
    allow_unprotected_network: bool,
) -> Result<(), Wrong> {
    let page = &gateway.get_ref().page;
    let wrong = |wrong: &str, help: &str| Err(Wrong::at(gateway.span(), wrong, help));
    let is_pin =
        |pin: &String| (4..=12).contains(&pin.len()) && pin.bytes().all(|b| b.is_ascii_digit());
    if !page.pin.as_ref().is_none_or(is_pin) {
        return wrong(
            "gateway.page.pin is not 4 to 12 digits",
            "give digits in quotes, such as \"4711\"",
        );
    }
    let is_near = page.listen.is_none_or(|at| at.ip().is_loopback());
    let is_protected = page.tls.is_some() && page.pin.is_some();
    if !is_near && !is_protected && !allow_unprotected_network {
        return wrong(
            "gateway.page.listen can be reached from the network, and there is no TLS or no PIN: \
             whoever reaches it sees the patient and acts for the crew",
            "add [gateway.page.tls] with certificate and key (`enroute certs --page` makes them) \
             and a pin, listen on 127.0.0.1, or set allow_unprotected_network = true on a \
             network that only trusted people reach",
        );
    }
    Ok(())
}

/// A spool smaller than this would shed all the time.
const SPOOL_BYTES_MIN: u64 = 1 << 20;

fn check_wfdb(wfdb: &Spanned<WfdbConfig>) -> Result<(), Wrong> {
    if wfdb.get_ref().record.as_os_str().is_empty() {
        return Err(Wrong::at(
            wfdb.span(),
            "source.wfdb.record is empty",
            "name the record's header file, with or without .hea",
        ));
    }
    if !(50..=10_000).contains(&wfdb.get_ref().frame_ms) {
        return Err(Wrong::at(
            wfdb.span(),
            format!(
                "source.wfdb.frame_ms = {} is out of range",
                wfdb.get_ref().frame_ms
            ),
            "give a number from 50 to 10000",
        ));
    }
    Ok(())
}
