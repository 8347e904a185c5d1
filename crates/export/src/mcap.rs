//! A recording as one MCAP file: every frame and every step of an alert as it is,
//! with the contract's descriptors inside, so that the file explains itself.
//!
//! | topic | message |
//! | --- | --- |
//! | `/numerics`, `/waveforms`, `/device_alarms`, `/position`, `/crew_events`, `/link_reports`, `/shed`, `/other` | `enroute.v1.RecordedFrame` |
//! | `/alerts` | `enroute.v1.AlertTransition` |
//! | `/transfer` | `enroute.v1.TransferState`, once, at the end |
//!
//! A message's log time is that of the clock on board (the monitor's, else the
//! gateway's) and its publish time the gateway's; the times of reception are in
//! the messages. MCAP knows no time before 1970: it is 0 there, and right in the
//! message.

use crate::error::Error;
use crate::item::Taken;
use enroute_model::frame::Body;
use enroute_wire::{DESCRIPTORS, Message, v1};
use mcap::records::MessageHeader;
use mcap::{Compression, WriteOptions, Writer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Bytes of messages in a chunk: what a reader reads at a time.
const CHUNK_BYTES: u64 = 1 << 20;

pub(crate) struct McapFile {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
    frames: u16,
    alerts: u16,
    transfer: u16,
    topics: BTreeMap<&'static str, u16>,
    last: u64,
}

impl McapFile {
    pub(crate) fn create(dir: &Path, transfer: &str) -> Result<Self, Error> {
        let path = dir.join(format!("{transfer}.mcap"));
        let file = File::create_new(&path).map_err(Error::io(&path))?;
        let made = || {
            let mut writer = WriteOptions::new()
                .compression(Some(Compression::Zstd))
                .compression_threads(0)
                .chunk_size(Some(CHUNK_BYTES))
                .library("enroute")
                .create(BufWriter::new(file))?;
            let mut schema = |name: &str| writer.add_schema(name, "protobuf", DESCRIPTORS);
            let frames = schema("enroute.v1.RecordedFrame")?;
            let alerts = schema("enroute.v1.AlertTransition")?;
            let transfer = schema("enroute.v1.TransferState")?;
            Ok((writer, frames, alerts, transfer))
        };
        let (writer, frames, alerts, transfer) = made().map_err(failed(&path))?;
        Ok(Self {
            path,
            writer,
            frames,
            alerts,
            transfer,
            topics: BTreeMap::new(),
            last: 0,
        })
    }

    pub(crate) fn frame(&mut self, taken: &Taken<'_>) -> Result<(), Error> {
        let header = &taken.frame.header;
        let topic = topic(&taken.frame.body);
        let times = (taken.at(), header.captured_at.0);
        // The same bytes as a `RecordedFrame`, whose frame is typed.
        let message = taken.raw.encode_to_vec();
        self.message((topic, self.frames), header.sequence, times, &message)
    }

    pub(crate) fn alert(&mut self, step: &v1::AlertTransition, on_board: i64) -> Result<(), Error> {
        let times = (on_board, step.at_us);
        let message = step.encode_to_vec();
        self.message(("/alerts", self.alerts), step.ordinal, times, &message)
    }

    pub(crate) fn finish(mut self, state: &v1::TransferState) -> Result<(), Error> {
        let end = i64::try_from(self.last / 1_000).unwrap_or(i64::MAX);
        let message = state.encode_to_vec();
        self.message(("/transfer", self.transfer), 1, (end, end), &message)?;
        self.writer.finish().map_err(failed(&self.path))?;
        let file = self.writer.into_inner().into_inner();
        let file = file.map_err(|error| Error::io(&self.path)(error.into_error()))?;
        file.sync_all().map_err(Error::io(&self.path))
    }

    fn channel(&mut self, topic: &'static str, schema: u16) -> Result<u16, Error> {
        if let Some(channel) = self.topics.get(topic) {
            return Ok(*channel);
        }
        let none = BTreeMap::new();
        let channel = self.writer.add_channel(schema, topic, "protobuf", &none);
        let channel = channel.map_err(failed(&self.path))?;
        self.topics.insert(topic, channel);
        Ok(channel)
    }

    fn message(
        &mut self,
        (topic, schema): (&'static str, u16),
        number: u64,
        (at, published): (i64, i64),
        data: &[u8],
    ) -> Result<(), Error> {
        let channel_id = self.channel(topic, schema)?;
        let log_time = nanos(at);
        self.last = self.last.max(log_time);
        let header = MessageHeader {
            channel_id,
            // Its low 32 bits.
            sequence: u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0),
            log_time,
            publish_time: nanos(published),
        };
        let written = self.writer.write_to_known_channel(&header, data);
        written.map_err(failed(&self.path))
    }
}

fn failed(path: &Path) -> impl FnOnce(mcap::McapError) -> Error {
    let path = path.to_owned();
    |error| Error::Format {
        path,
        what: error.to_string(),
    }
}

fn nanos(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0).saturating_mul(1_000)
}

fn topic(body: &Body) -> &'static str {
    match body {
        Body::Numerics(_) => "/numerics",
        Body::Waveforms(_) => "/waveforms",
        Body::DeviceAlarms(_) => "/device_alarms",
        Body::Position(_) => "/position",
        Body::Crew(_) => "/crew_events",
        Body::Link(_) => "/link_reports",
        Body::Shed(_) => "/shed",
        Body::Unknown => "/other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes the typed message in the file byte for byte what was received.
    #[test]
    fn a_recorded_frame_is_written_as_samples_are() {
        let frame = v1::Frame {
            header: Some(v1::Header {
                sequence: 7,
                captured_at_us: -5,
                ..v1::Header::default()
            }),
            body: None,
        };
        let samples = v1::Samples {
            transfer: "tx-1".to_owned(),
            gateway: "gw-1".to_owned(),
            lane: v1::Lane::History.into(),
            late: true,
            received_at_us: -1,
            position: 9,
            frame: frame.encode_to_vec().into(),
        };
        let typed = v1::RecordedFrame::decode(samples.encode_to_vec().as_slice()).unwrap();
        assert_eq!(typed.frame, Some(frame));
        assert_eq!(typed.encode_to_vec(), samples.encode_to_vec());
    }

    #[test]
    fn no_time_is_before_1970() {
        assert_eq!([nanos(-1), nanos(2), nanos(i64::MAX)], [0, 2_000, u64::MAX]);
    }
}
