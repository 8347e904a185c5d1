//! The simulated monitor: what it shows of a patient, its alarms, its clock.

use crate::course::Rhythm;
use crate::num::{Noise, span};
use crate::patient::Vitals;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, DeviceAlarm, Metric, Numeric, Priority};
use enroute_model::reading::{Decimal, NoValue, Reading, Validity};
use enroute_model::time::{DeviceTime, ServerTime, Span};

/// A monitor's clock against true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceClock {
    /// At the start of its leg.
    pub(crate) offset: Span,
    /// Gained per million.
    pub(crate) drift_ppm: i64,
    /// Set by hand at this moment since the start of its leg, by this much.
    pub(crate) step: Option<(Span, Span)>,
}

impl DeviceClock {
    /// Right within seconds, minutes off, an hour off, or years off.
    pub(crate) fn random(noise: &mut Noise, leg_s: f64) -> Option<Self> {
        let sign = if noise.chance(0.5) { 1 } else { -1 };
        let some = |noise: &mut Noise, most: u64| i64::try_from(noise.bits() % most).unwrap_or(0);
        let seconds = match noise.bits() % 8 {
            0..=2 => some(noise, 4),
            3 | 4 => 60 + some(noise, 1_200),
            5 => 3_600 + some(noise, 90),
            6 => 86_400 * (365 + some(noise, 9_000)),
            _ => return None,
        };
        let drift_ppm = some(noise, 160) - 80;
        let step = noise.chance(0.25).then(|| {
            let back = -sign * seconds;
            (span(leg_s * noise.between(0.2, 0.7)), Span::from_secs(back))
        });
        Some(Self {
            offset: Span::from_secs(sign * seconds),
            drift_ppm,
            step,
        })
    }

    /// What it shows `since_leg` after the start of the leg at `leg_start`.
    pub(crate) fn shows(&self, leg_start: ServerTime, since_leg: Span) -> DeviceTime {
        let step = self
            .step
            .filter(|(at, _)| *at <= since_leg)
            .map_or(Span::ZERO, |(_, by)| by);
        DeviceTime(leg_start.0)
            .plus(since_leg)
            .plus(self.offset)
            .plus(since_leg.scaled(self.drift_ppm, 1_000_000))
            .plus(step)
    }
}

/// A quantity that the monitor shows.
#[derive(Clone, Debug)]
struct Shown {
    id: &'static str,
    metric: Metric,
    decimals: u8,
    min: f64,
    max: f64,
    interval: Span,
}

/// What the monitor shows of one quantity at one moment.
#[derive(Clone, Copy, Debug)]
enum Sight {
    Good(f64),
    Doubtful(f64),
    Nothing(NoValue),
}

/// A monitor with its sensors attached.
#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    shown: Vec<Shown>,
    nibp_every_s: u64,
    noise: Noise,
    /// Slow errors of measurement, in deviations.
    drift: f64,
    alarms: Vec<Alarm>,
}

const EVERY_SECOND: [&str; 8] = [
    "hr", "pr", "spo2", "pi", "rr_imp", "rr_co2", "etco2", "fico2",
];
const WITH_ARTERIAL_LINE: [&str; 3] = ["abp_sys", "abp_dia", "abp_mean"];
const BY_CUFF: [&str; 3] = ["nibp_sys", "nibp_dia", "nibp_mean"];
const TEMP_EVERY_S: u64 = 10;

impl Monitor {
    /// `nibp_every_s`: seconds between measurements by cuff.
    pub(crate) fn new(arterial_line: bool, nibp_every_s: u64, noise: Noise) -> Self {
        let line: &[&str] = if arterial_line {
            &WITH_ARTERIAL_LINE
        } else {
            &[]
        };
        let nibp = Span::from_secs(i64::try_from(nibp_every_s).unwrap_or(300));
        let temp = Span::from_secs(i64::try_from(TEMP_EVERY_S).unwrap_or(10));
        let shown = EVERY_SECOND
            .iter()
            .chain(line)
            .map(|id| (*id, Span::from_secs(1)))
            .chain([("temp1", temp)])
            .chain(BY_CUFF.map(|id| (id, nibp)))
            .filter_map(|(id, interval)| {
                let known = catalogue().vital_by_id(id)?;
                Some(Shown {
                    id,
                    metric: Metric {
                        code: known.code,
                        label: String::new(),
                    },
                    decimals: known.decimals,
                    min: known.plausible_min,
                    max: known.plausible_max,
                    interval,
                })
            })
            .collect();
        Self {
            shown,
            nibp_every_s: nibp_every_s.max(1),
            noise,
            drift: 0.0,
            alarms: Alarm::all(),
        }
    }

    /// What it shows at this second since it was switched on; the first is 1.
    pub(crate) fn numerics(&mut self, second: u64, vitals: &Vitals) -> Vec<Numeric> {
        self.drift = 0.9 * self.drift + 0.4 * self.noise.normal();
        let mut numerics = Vec::with_capacity(self.shown.len());
        for shown in &self.shown {
            let due = match shown.id {
                "temp1" => second % TEMP_EVERY_S == 1,
                "nibp_sys" | "nibp_dia" | "nibp_mean" => {
                    second % self.nibp_every_s == CUFF_TAKES_S % self.nibp_every_s
                }
                _ => true,
            };
            if !due {
                continue;
            }
            let reading = match sight(shown.id, vitals, self.drift, &mut self.noise) {
                Sight::Good(value) => shown.reading(value, Validity::Measured),
                Sight::Doubtful(value) => shown.reading(value, Validity::Questionable),
                Sight::Nothing(reason) => Reading::None(reason),
            };
            numerics.push(Numeric {
                metric: shown.metric.clone(),
                unit: String::new(),
                reading,
                interval: shown.interval,
            });
        }
        numerics
    }

    /// Alarms that begin or end with these numbers.
    pub(crate) fn alarms(&mut self, numerics: &[Numeric], vitals: &Vitals) -> Vec<DeviceAlarm> {
        self.alarms
            .iter_mut()
            .filter_map(|alarm| alarm.check(numerics, vitals))
            .collect()
    }

    /// Ends all that are active: the monitor is taken off.
    pub(crate) fn silence(&mut self) -> Vec<DeviceAlarm> {
        self.alarms.iter_mut().filter_map(Alarm::end).collect()
    }
}

/// A cuff is inflated when the monitor is switched on; it takes this long.
const CUFF_TAKES_S: u64 = 5;

impl Shown {
    fn reading(&self, value: f64, validity: Validity) -> Reading {
        match Decimal::from_f64(value.clamp(self.min, self.max), self.decimals) {
            Some(value) => Reading::Value { value, validity },
            None => Reading::None(NoValue::Invalid),
        }
    }
}

/// How a sensor sees the patient.
fn sight(id: &str, vitals: &Vitals, drift: f64, noise: &mut Noise) -> Sight {
    let now = vitals.now;
    let jitter = noise.normal();
    match id {
        "hr" if vitals.arrested() => Sight::Nothing(NoValue::Invalid),
        "hr" if now.motion > 0.3 => Sight::Good(vitals.hr + 4.0 * jitter),
        "hr" => Sight::Good(vitals.hr + 0.4 * jitter),
        "pr" | "spo2" | "pi" => oximeter(id, vitals, drift, jitter),
        "abp_sys" => Sight::Good(vitals.systolic() + 0.8 * jitter),
        "abp_dia" => Sight::Good(vitals.diastolic() + 0.6 * jitter),
        "abp_mean" => Sight::Good(vitals.map + 0.5 * jitter),
        "nibp_sys" | "nibp_dia" | "nibp_mean" if vitals.arrested() || now.motion > 0.5 => {
            Sight::Nothing(NoValue::Invalid)
        }
        "nibp_sys" => Sight::Good(vitals.systolic() - 3.0 + 3.0 * drift),
        "nibp_dia" => Sight::Good(vitals.diastolic() + 2.0 + 2.0 * drift),
        "nibp_mean" => Sight::Good(vitals.map + 2.0 * drift),
        "rr_imp" if now.cpr => Sight::Doubtful(110.0 + 2.0 * jitter),
        "rr_imp" if now.motion > 0.3 => Sight::Doubtful(vitals.rr + 10.0 + 5.0 * jitter),
        "rr_imp" | "rr_co2" => Sight::Good(vitals.rr + 0.3 * jitter),
        "etco2" if vitals.rr < 1.0 => Sight::Nothing(NoValue::Invalid),
        "etco2" => Sight::Good(vitals.etco2 + 0.5 * drift),
        "fico2" => Sight::Good((0.3 * drift).max(0.0)),
        "temp1" => Sight::Good(vitals.temp + 0.02 * drift),
        _ => Sight::Nothing(NoValue::NotAvailable),
    }
}

fn oximeter(id: &str, vitals: &Vitals, drift: f64, jitter: f64) -> Sight {
    let now = vitals.now;
    if now.probe_off {
        return Sight::Nothing(NoValue::SensorOff);
    }
    let see = if now.motion > 0.3 {
        Sight::Doubtful
    } else {
        Sight::Good
    };
    match id {
        "pr" | "spo2" if vitals.arrested() => Sight::Nothing(NoValue::Invalid),
        "pr" => see(vitals.hr + 0.5 * jitter + now.motion * (9.0 + 8.0 * drift)),
        "spo2" => {
            see((vitals.spo2 + 0.3 * drift - now.motion * (3.0 + 2.0 * drift)).clamp(1.0, 100.0))
        }
        _ => see(vitals.pi * (1.0 + 0.03 * drift) + 0.6 * now.motion),
    }
}

/// What an alarm watches.
#[derive(Clone, Copy, Debug)]
enum Watch {
    Below(f64),
    Above(f64),
    Rhythm(Rhythm),
    Apnoea,
    ProbeOff,
}

/// One of the monitor's own alarms; its limits stand apart from enroute's.
#[derive(Clone, Debug)]
struct Alarm {
    label: &'static str,
    priority: Priority,
    watch: Watch,
    subject: Code,
    /// More than so many measurements in a row, which is seconds for most.
    delay: u32,
    broken_for: u32,
    kept: u32,
    active: bool,
}

/// An alarm with a delay ends when its condition has been gone for so many
/// measurements, one without at the first.
const ENDS_AFTER: u32 = 3;

impl Alarm {
    /// Limits as a crew might set them for an adult; event codes are left out,
    /// as older monitors do.
    fn all() -> Vec<Self> {
        let high = Priority::High;
        let medium = Priority::Medium;
        [
            (
                "VENT FIB",
                high,
                Watch::Rhythm(Rhythm::Fibrillation),
                "hr",
                2,
            ),
            ("ASYSTOLE", high, Watch::Rhythm(Rhythm::Asystole), "hr", 3),
            ("APNOEA", high, Watch::Apnoea, "rr_co2", 10),
            ("HR HIGH", medium, Watch::Above(120.0), "hr", 4),
            ("HR LOW", medium, Watch::Below(45.0), "hr", 4),
            ("SPO2 LOW", medium, Watch::Below(88.0), "spo2", 4),
            ("ABP MEAN LOW", high, Watch::Below(60.0), "abp_mean", 4),
            ("ABP MEAN HIGH", medium, Watch::Above(115.0), "abp_mean", 4),
            ("NIBP MEAN LOW", high, Watch::Below(60.0), "nibp_mean", 0),
            ("ETCO2 LOW", medium, Watch::Below(25.0), "etco2", 6),
            ("RR HIGH", medium, Watch::Above(30.0), "rr_co2", 6),
            ("TEMP HIGH", medium, Watch::Above(39.0), "temp1", 0),
            ("SPO2 PROBE OFF", Priority::Low, Watch::ProbeOff, "spo2", 1),
        ]
        .into_iter()
        .filter_map(|(label, priority, watch, subject, delay)| {
            Some(Self {
                label,
                priority,
                watch,
                subject: catalogue().vital_by_id(subject)?.code,
                delay,
                broken_for: 0,
                kept: 0,
                active: false,
            })
        })
        .collect()
    }

    /// `None`: this second says nothing about it.
    fn broken(&self, numerics: &[Numeric], vitals: &Vitals) -> Option<bool> {
        match self.watch {
            Watch::Rhythm(rhythm) => Some(vitals.now.rhythm == rhythm),
            Watch::Apnoea => Some(vitals.rr < 1.0),
            Watch::ProbeOff => Some(vitals.now.probe_off),
            Watch::Below(limit) => Some(value_of(numerics, self.subject)? < limit),
            Watch::Above(limit) => Some(value_of(numerics, self.subject)? > limit),
        }
    }

    fn check(&mut self, numerics: &[Numeric], vitals: &Vitals) -> Option<DeviceAlarm> {
        if self.broken(numerics, vitals)? {
            self.broken_for = self.broken_for.saturating_add(1);
            self.kept = 0;
        } else {
            self.kept = self.kept.saturating_add(1);
            self.broken_for = 0;
        }
        if !self.active && self.broken_for > self.delay {
            self.active = true;
            return Some(self.alarm());
        }
        let ends_after = if self.delay == 0 { 1 } else { ENDS_AFTER };
        if self.active && self.kept >= ends_after {
            return self.end();
        }
        None
    }

    fn end(&mut self) -> Option<DeviceAlarm> {
        std::mem::take(&mut self.active).then(|| self.alarm())
    }

    fn alarm(&self) -> DeviceAlarm {
        DeviceAlarm {
            code: Code::default(),
            label: self.label.to_owned(),
            priority: Some(self.priority),
            active: self.active,
            subject: self.subject,
        }
    }
}

/// The valid value of a quantity among these.
fn value_of(numerics: &[Numeric], code: Code) -> Option<f64> {
    let numeric = numerics
        .iter()
        .find(|numeric| numeric.metric.code == code)?;
    match numeric.reading {
        Reading::Value {
            value,
            validity: Validity::Measured,
        } => Some(value.value()),
        Reading::Value { .. } | Reading::None(_) => None,
    }
}
