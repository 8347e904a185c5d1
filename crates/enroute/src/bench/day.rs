//! A made-up recording of one long transfer: 12 numerics and four waveforms at
//! 250 Hz each second, written by the real live view. Waveforms have noise in their
//! lowest bits, as real ones do, so that they do not compress too well; every 20
//! minutes the oxygen saturation falls, so that there are alerts.

use super::restart::crash;
use super::{NUMERICS, SAMPLES, SetClock, Vehicle, still};
use anyhow::{Result, anyhow};
use enroute_journal::Journal;
use enroute_live::Live;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Metric, Numeric, Waveform};
use enroute_model::ids::{GatewayId, Position, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::registry::RegistryAction;
use enroute_model::time::{Clock, Span};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Its id.
pub(super) const TRANSFER: &str = "tx-bench-day";
/// Seconds appended at a time.
const AT_ONCE: i64 = 30;
/// How often the oxygen saturation falls, and for how long, in seconds.
const DESATURATES: (i64, i64) = (1_200, 90);

/// Writes `hours` of it and closes the transfer.
pub(super) async fn write(journal: &Path, hours: u16) -> Result<()> {
    let (journal, tail) = Journal::open(journal, enroute_journal::Options::default())?;
    let clock = Arc::new(SetClock::default());
    let shown = Arc::clone(&clock) as Arc<dyn Clock>;
    let started = Live::start(&journal, tail, shown, still()).await?;
    let vehicle = vehicle()?;
    let mut noise = Noise(1);
    let mut last = Position(0);
    let seconds = i64::from(hours) * 3_600;
    for first in (0..seconds).step_by(usize::try_from(AT_ONCE)?) {
        let some = first..first.saturating_add(AT_ONCE).min(seconds);
        let records = some.flat_map(|second| {
            let bodies = [
                (Stream::Numerics, numerics(second)),
                (Stream::Waveforms, waveforms(second, &mut noise)),
            ];
            bodies.map(|(stream, body)| vehicle.record(stream, second, body))
        });
        last = journal.appender().append(records.collect()).await?;
        clock
            .0
            .store(first.saturating_mul(1_000_000), Ordering::Relaxed);
    }
    started.live.reached(last).await?;
    let end = seconds.saturating_mul(1_000_000);
    clock.0.store(end, Ordering::Relaxed);
    let closed = started
        .live
        .act(TRANSFER, RegistryAction::Close, "bench-close", "bench");
    closed.await?;
    started.live.shutdown().await;
    crash(journal, started).await
}

fn vehicle() -> Result<Vehicle> {
    Ok(Vehicle {
        transfer: TransferId::new(TRANSFER).map_err(|_| anyhow!("no id"))?,
        gateway: GatewayId::new("gw-bench-day").map_err(|_| anyhow!("no id"))?,
    })
}

/// A linear congruential generator: the same recording each time.
struct Noise(u32);

impl Noise {
    /// From -3 through 4.
    fn step(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i32::try_from(self.0 >> 29).unwrap_or(0) - 3
    }
}

fn numerics(second: i64) -> Body {
    let (every, long) = DESATURATES;
    let falls = second % every >= every - long;
    let one = |(id, value, decimals): &(&str, i64, u8)| {
        let vital = catalogue().vital_by_id(id)?;
        let value = if falls && *id == "spo2" { 82 } else { *value };
        let value = Decimal::new(value.saturating_add(second % 3), *decimals)?;
        Some(Numeric {
            metric: Metric {
                code: vital.code,
                label: String::new(),
            },
            unit: String::new(),
            reading: Reading::Value {
                value,
                validity: Validity::Measured,
            },
            interval: Span::from_secs(1),
        })
    };
    Body::Numerics(NUMERICS.iter().filter_map(one).collect())
}

fn waveforms(second: i64, noise: &mut Noise) -> Body {
    let first = second.unsigned_abs().saturating_mul(u64::from(SAMPLES));
    let channels = ["ecg_ii", "pleth", "abp", "resp"].into_iter();
    let channels = channels.filter_map(|id| catalogue().waveform_by_id(id));
    let mut one = |code| Waveform {
        metric: Metric {
            code,
            label: String::new(),
        },
        unit: String::new(),
        rate_hz: f64::from(SAMPLES),
        gain: 200.0,
        baseline: 0,
        first_sample: first,
        start_offset: Span::ZERO,
        samples: (0..SAMPLES).map(|n| Some(beat(n) + noise.step())).collect(),
    };
    Body::Waveforms(channels.map(|channel| one(channel.code)).collect())
}

/// One beat a second: a slow slope and a fast spike.
fn beat(sample: u16) -> i32 {
    match sample % SAMPLES {
        n @ 0..=9 => i32::from(n) * 30,
        n @ 10..=19 => i32::from(20 - n) * 30,
        n => (i32::from(n) - 135).abs() / 4,
    }
}
