//! The frames of a recording, in the order in which their last values were taken.

use anyhow::{Result, anyhow, bail};
use enroute_export::McapFrames;
use enroute_gateway::{Source as _, WfdbConfig, WfdbSource};
use enroute_model::frame::{Body, Emission, Frame, Header};
use enroute_model::ids::{Epoch, GatewayId, Stream, TransferId};
use enroute_model::time::{GatewayTime, Span};
use std::path::PathBuf;

/// The source of what comes from WFDB records.
const GATEWAY: &str = "import";

/// A recording that gives its frames one by one.
pub(super) enum Frames {
    Mcap(Box<Mcap>),
    Wfdb(Box<Wfdb>),
}

/// An MCAP file, the first frame of which is known.
pub(super) struct Mcap {
    file: McapFrames,
    next: Option<enroute_wire::v1::Samples>,
}

/// Records side by side.
pub(super) struct Wfdb {
    records: Vec<(WfdbSource, Option<Emission>)>,
    gateway: GatewayId,
    epoch: Epoch,
    /// Of each stream.
    sequences: [u64; 3],
    began: Option<i64>,
}

impl Frames {
    pub(super) fn open(from: &[PathBuf], zero_is_missing: bool) -> Result<Self> {
        let is_mcap = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "mcap");
        match from {
            [one] if is_mcap(one) => {
                let mut file = McapFrames::open(one)?;
                let next = file.advance()?;
                Ok(Self::Mcap(Box::new(Mcap { file, next })))
            }
            _ if from.iter().any(is_mcap) => {
                bail!("give one MCAP file, or WFDB records, and not both")
            }
            _ => Ok(Self::Wfdb(Box::new(Wfdb::open(from, zero_is_missing)?))),
        }
    }

    /// The id of the file's transfer, or a new one.
    pub(super) fn transfer(&self) -> Result<TransferId> {
        match self {
            Self::Mcap(mcap) => {
                let first = mcap.next.as_ref().map_or("", |s| s.transfer.as_str());
                Ok(TransferId::new(first)?)
            }
            Self::Wfdb(wfdb) => Ok(TransferId::new(&format!("tx-{:016x}", wfdb.epoch.0))?),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<(GatewayId, Frame)>> {
        match self {
            Self::Mcap(mcap) => mcap.next(),
            Self::Wfdb(wfdb) => Ok(wfdb.next()),
        }
    }
}

impl Mcap {
    fn next(&mut self) -> Result<Option<(GatewayId, Frame)>> {
        let Some(samples) = self.next.take() else {
            return Ok(None);
        };
        self.next = self.file.advance()?;
        let mut frame = enroute_wire::frame::decode(&samples.frame)?;
        frame.header.exercise = true;
        Ok(Some((GatewayId::new(&samples.gateway)?, frame)))
    }
}

impl Wfdb {
    fn open(from: &[PathBuf], zero_is_missing: bool) -> Result<Self> {
        let mut records = Vec::new();
        for path in from {
            let mut config = WfdbConfig::new(path);
            config.zero_is_missing = zero_is_missing;
            let mut source = WfdbSource::open(config)?;
            let next = source.next();
            records.push((source, next));
        }
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes)
            .map_err(|error| anyhow!("failed to get random bytes: {error}"))?;
        Ok(Self {
            records,
            gateway: GatewayId::new(GATEWAY)?,
            epoch: Epoch(u64::from_le_bytes(bytes)),
            sequences: [0; 3],
            began: None,
        })
    }

    fn next(&mut self) -> Option<(GatewayId, Frame)> {
        let heads = self.records.iter_mut();
        let heads = heads.filter(|(_, next)| next.is_some());
        let (source, next) = heads.min_by_key(|(_, next)| next.as_ref().map(ends))?;
        let emission = std::mem::replace(next, source.next())?;
        let at = begins(&emission);
        let began = *self.began.get_or_insert(at);
        let stream = enroute_wire::frame::stream_of(&emission.body)?;
        let [events, numerics, waveforms] = &mut self.sequences;
        let sequence = match stream {
            Stream::Events => events,
            Stream::Numerics => numerics,
            Stream::Waveforms => waveforms,
        };
        *sequence += 1;
        let header = Header {
            epoch: self.epoch,
            stream,
            sequence: *sequence,
            leg_first: 1,
            captured_at: GatewayTime(at),
            observed_at: emission.observed_at,
            boot: 1,
            monotonic: Span(at.saturating_sub(began).max(0)),
            clocks: None,
            exercise: true,
        };
        let body = emission.body;
        Some((self.gateway.clone(), Frame { header, body }))
    }
}

/// When an emission's first value was taken; of a record without a date as if it
/// had begun with 1970.
fn begins(emission: &Emission) -> i64 {
    let undated = emission.due.0.saturating_sub(lasted(&emission.body));
    emission.observed_at.map_or(undated, |at| at.0)
}

fn ends(emission: &Emission) -> i64 {
    begins(emission).saturating_add(lasted(&emission.body))
}

/// From the first sample of a body to behind its last, microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a frame has few samples; a float beyond i64 saturates"
)]
pub(super) fn lasted(body: &Body) -> i64 {
    let Body::Waveforms(waveforms) = body else {
        return 0;
    };
    let us = waveforms
        .iter()
        .map(|w| w.samples.len() as f64 * 1e6 / w.rate_hz);
    us.fold(0.0, f64::max).round() as i64
}
