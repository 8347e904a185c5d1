//! `/metrics` in the `OpenMetrics` text format, on the server's port and on that of
//! a gateway's page. `deploy/metrics.md` lists every name.
//!
//! Nothing is kept here: at each scrape the counters of all rooms are read, put
//! into a registry made for that scrape, and written. Labels take their values from
//! fixed sets of words; none names a patient, a transfer (I10) or a viewer.
//!
//! Start with [`Page`]; what is written is in `server` and `gateway`.

mod access;
mod audit;
pub(crate) mod connections;
pub(crate) mod gateway;
pub(crate) mod server;
mod transfers;

use crate::latency::Times;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// What the format is called in HTTP.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the buckets of every histogram, microseconds: around the budget
/// of 250 ms from sensor to screen, and far enough to see an outage.
const BOUNDS_US: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 60_000_000,
];

/// Counts between the bounds and beyond the last, and the sum in microseconds.
type Counted = (Vec<u64>, u64);
/// The label of a sample, and its word.
type Label = (&'static str, &'static str);

/// One family of metrics as it is written: its name without the suffix that its
/// type and unit give it.
#[derive(Clone, Copy)]
struct Family {
    name: &'static str,
    unit: Option<fn() -> Unit>,
    help: &'static str,
}

/// Counts things.
const fn things(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        unit: None,
        help,
    }
}

/// In seconds.
const fn seconds(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        unit: Some(|| Unit::Seconds),
        help,
    }
}

/// In bytes.
const fn bytes(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        unit: Some(|| Unit::Bytes),
        help,
    }
}

/// Writes families, one after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// A number that only grows, without labels.
    fn counter(&mut self, family: Family, value: u64) -> fmt::Result {
        self.family(
            family,
            MetricType::Counter,
            &[([], value)],
            |metric, value| metric.encode_counter::<NoLabelSet, u64, f64>(value, None),
        )
    }

    /// The same with labels.
    fn counters<const N: usize>(
        &mut self,
        family: Family,
        values: &[([Label; N], u64)],
    ) -> fmt::Result {
        self.family(family, MetricType::Counter, values, |metric, value| {
            metric.encode_counter::<NoLabelSet, u64, f64>(value, None)
        })
    }

    /// A number that goes up and down, without labels.
    fn gauge(&mut self, family: Family, value: f64) -> fmt::Result {
        self.gauges(family, &[([], value)])
    }

    /// The same with labels.
    fn gauges<const N: usize>(
        &mut self,
        family: Family,
        values: &[([Label; N], f64)],
    ) -> fmt::Result {
        self.family(family, MetricType::Gauge, values, |metric, value| {
            metric.encode_gauge(value)
        })
    }

    /// Times with labels.
    fn histograms<const N: usize>(
        &mut self,
        family: Family,
        values: &[([Label; N], &Times)],
    ) -> fmt::Result {
        let values = values
            .iter()
            .map(|(l, times)| (*l, times.buckets(&BOUNDS_US)));
        self.buckets(family, &BOUNDS_US, &values.collect::<Vec<_>>())
    }

    /// The same, counted by its bounds already: the counts between them and beyond
    /// the last, and the sum in microseconds.
    fn buckets<const N: usize>(
        &mut self,
        family: Family,
        bounds_us: &[u64],
        values: &[([Label; N], Counted)],
    ) -> fmt::Result {
        self.family(
            family,
            MetricType::Histogram,
            values,
            |metric, (counts, sum_us)| {
                let bounds = bounds_us.iter().map(|us| of_us(*us));
                let bounds = bounds.chain([f64::INFINITY]);
                let buckets: Vec<_> = bounds.zip(counts.iter().copied()).collect();
                let all = counts.iter().sum();
                metric.encode_histogram::<NoLabelSet>(of_us(*sum_us), all, &buckets, None)
            },
        )
    }

    fn family<const N: usize, T>(
        &mut self,
        family: Family,
        kind: MetricType,
        values: &[([Label; N], T)],
        write: impl Fn(&mut MetricEncoder, &T) -> fmt::Result,
    ) -> fmt::Result {
        let unit = family.unit.map(|unit| unit());
        let mut metric = self
            .0
            .encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            if N == 0 {
                write(&mut metric, value)?;
            } else {
                write(&mut metric.encode_family(labels)?, value)?;
            }
        }
        Ok(())
    }
}

/// What can be written.
trait Write: fmt::Debug + Send + Sync + 'static {
    fn write(&self, page: &mut Page) -> fmt::Result;
}

#[derive(Debug)]
struct Scrape<T>(T);

impl<T: Write> Collector for Scrape<T> {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        self.0.write(&mut Page(encoder))
    }
}

/// The answer to a scrape.
fn answer(what: impl Write) -> Response {
    let mut registry = Registry::with_prefix("enroute");
    registry.register_collector(Box::new(Scrape(what)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics not written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Seconds.
fn of_us(us: u64) -> f64 {
    number(us) / 1e6
}

/// Seconds of a span.
fn of_span(span: enroute_model::time::Span) -> f64 {
    let seconds = of_us(span.0.unsigned_abs());
    if span.0 < 0 { -seconds } else { seconds }
}

/// As the format's numbers are.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and microseconds beyond 2^53 lose digits that nobody looks at"
)]
fn number(n: u64) -> f64 {
    n as f64
}

/// 1 for yes.
fn flag(yes: bool) -> f64 {
    number(u64::from(yes))
}

/// The word of a stream, as a label.
fn stream_word(stream: enroute_model::ids::Stream) -> &'static str {
    use enroute_model::ids::Stream;
    match stream {
        Stream::Events => "events",
        Stream::Numerics => "numerics",
        Stream::Waveforms => "waveforms",
    }
}
