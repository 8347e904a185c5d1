//! Prints one transfer's waveforms as CSV, to plot and look at:
//! `strip COURSE FROM_S TO_S [SEED]`, with scenarios of ten minutes.

use enroute_model::frame::Body;
use enroute_model::time::{ServerTime, Span};
use enroute_simulator::fleet::{Options, fleet};
use enroute_simulator::source::Detail;
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let course = arguments.next().unwrap_or_else(|| "stable".to_owned());
    let from: f64 = arguments.next().map_or(Ok(30.0), |text| text.parse())?;
    let to: f64 = arguments.next().map_or(Ok(36.0), |text| text.parse())?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let options = Options {
        seed,
        transfers: 30,
        length: Span::from_secs(600),
        starts_at: ServerTime(0),
    };
    let scenarios = fleet(&options);
    let leg = scenarios
        .iter()
        .skip(1)
        .filter(|scenario| scenario.course.word() == course)
        .flat_map(|scenario| &scenario.legs)
        .next()
        .ok_or("no such course: see Course::word")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "code,seconds,value")?;
    for emission in leg.emissions(Detail::Waveforms) {
        if emission.due.as_secs_f64() > to {
            break;
        }
        let Body::Waveforms(waveforms) = emission.body else {
            continue;
        };
        for waveform in waveforms {
            let start = (emission.due.as_secs_f64() + waveform.start_offset.as_secs_f64()).max(0.0);
            for (sample, n) in waveform.samples.iter().zip(0_u32..) {
                let seconds = start + f64::from(n) / waveform.rate_hz;
                if let Some(sample) = sample.filter(|_| seconds >= from && seconds < to) {
                    let value = f64::from(sample - waveform.baseline) / waveform.gain;
                    writeln!(out, "{},{seconds:.4},{value:.4}", waveform.metric.code.0)?;
                }
            }
        }
    }
    Ok(())
}
