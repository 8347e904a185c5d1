//! The catalogue of vital signs and waveform channels, from the reference
//! tables in `data/` (each row names its sources).
//!
//! Codes are IEEE 11073-10101 context-free codes. Quantities without one have a
//! local code in the private partition 1024; the table below fixes them for ever.

use crate::frame::Code;
use crate::time::Span;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Start of the private partition (1024 × 65,536).
const PRIVATE: u32 = 1024 << 16;

/// Local codes: what IEEE 11073-10101 has no code for, or none that is known here.
const LOCAL_CODES: [(&str, u32); 8] = [
    ("acvpu", PRIVATE + 1),
    ("pain", PRIVATE + 2),
    ("o2_supp", PRIVATE + 3),
    ("shock_index", PRIVATE + 4),
    ("map_derived", PRIVATE + 5),
    ("news2", PRIVATE + 6),
    ("mews", PRIVATE + 7),
    ("qsofa", PRIVATE + 8),
];

/// How often a quantity is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// All the time.
    Continuous,
    /// Once a breath.
    PerBreath,
    /// Now and then, by the device.
    Intermittent,
    /// Entered by a person.
    Manual,
    /// Computed from others.
    Derived,
}

/// One row of `data/vitals.csv`.
#[derive(Clone, Debug)]
pub struct VitalSign {
    /// Short name used in configuration and tables, such as `hr`.
    pub id: String,
    /// English label.
    pub label: String,
    /// Code on the wire.
    pub code: Code,
    /// IEEE 11073-10101 reference id; empty for local codes.
    pub refid: String,
    /// UCUM.
    pub unit: String,
    /// Smallest value that can be true.
    pub plausible_min: f64,
    /// Largest value that can be true.
    pub plausible_max: f64,
    /// Decimal places of the table's resolution.
    pub decimals: u8,
    /// Usual interval between values.
    pub interval: Span,
    /// How it is measured.
    pub cadence: Cadence,
    /// A value older than this is stale, whatever its interval.
    pub stale_after: Span,
}

/// One row of `data/waveforms.csv`.
#[derive(Clone, Debug)]
pub struct WaveformChannel {
    /// Short name used in configuration, such as `ecg_ii`.
    pub id: String,
    /// English label.
    pub label: String,
    /// Code on the wire.
    pub code: Code,
    /// IEEE 11073-10101 reference id.
    pub refid: String,
    /// UCUM.
    pub unit: String,
    /// Samples per second if nothing else is said.
    pub rate_hz: f64,
    /// Bottom of the usual display range.
    pub range_min: f64,
    /// Top of the usual display range.
    pub range_max: f64,
}

/// The tables, by code and by id.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// By code.
    vitals: Vec<VitalSign>,
    /// Where each is in `vitals`, at the place that its code gives or behind it: one
    /// is looked up for each value of each frame.
    places: Vec<u8>,
    waveforms: BTreeMap<Code, WaveformChannel>,
    codes: BTreeMap<String, Code>,
}

/// Places for vital signs: many more than there are, so that hardly two want the same.
const PLACES: usize = 1 << 10;
/// No vital sign; there are fewer.
const NOBODY: u8 = u8::MAX;

/// The upper ten bits of a product with the golden ratio, which scatters neighbours.
#[inline]
fn place(code: Code) -> usize {
    let scattered = code.0.wrapping_mul(0x9e37_79b1) >> 22;
    usize::try_from(scattered).unwrap_or(0) % PLACES
}

/// The catalogue that is built in.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
        let mut catalogue = Catalogue::default();
        catalogue.read_vitals(include_str!("../data/vitals.csv"));
        catalogue.index();
        catalogue.read_waveforms(include_str!("../data/waveforms.csv"));
        catalogue
    });
    &BUILT_IN
}

impl Catalogue {
    /// The vital sign with this code.
    #[must_use]
    pub fn vital(&self, code: Code) -> Option<&VitalSign> {
        let mut place = place(code);
        loop {
            let index = usize::from(*self.places.get(place)?);
            let vital = self.vitals.get(index)?;
            if vital.code == code {
                return Some(vital);
            }
            place = (place + 1) % PLACES;
        }
    }

    fn index(&mut self) {
        self.vitals.sort_by_key(|vital| vital.code);
        self.places = vec![NOBODY; PLACES];
        for (index, vital) in (0..NOBODY).zip(&self.vitals) {
            let mut place = place(vital.code);
            while self.places.get(place).is_some_and(|it| *it != NOBODY) {
                place = (place + 1) % PLACES;
            }
            if let Some(free) = self.places.get_mut(place) {
                *free = index;
            }
        }
    }

    /// The vital sign with this short name.
    #[must_use]
    pub fn vital_by_id(&self, id: &str) -> Option<&VitalSign> {
        self.vital(*self.codes.get(id)?)
    }

    /// The channel with this code.
    #[must_use]
    pub fn waveform(&self, code: Code) -> Option<&WaveformChannel> {
        self.waveforms.get(&code)
    }

    /// The channel with this short name.
    #[must_use]
    pub fn waveform_by_id(&self, id: &str) -> Option<&WaveformChannel> {
        self.waveform(*self.codes.get(id)?)
    }

    /// All vital signs, by code.
    pub fn vitals(&self) -> impl Iterator<Item = &VitalSign> {
        self.vitals.iter()
    }

    /// All channels, by code.
    pub fn waveforms(&self) -> impl Iterator<Item = &WaveformChannel> {
        self.waveforms.values()
    }

    fn read_vitals(&mut self, table: &str) {
        for row in rows(table) {
            let id = row.text("id");
            let local = LOCAL_CODES
                .iter()
                .find(|(local, _)| *local == id)
                .map(|(_, code)| *code);
            let vital = VitalSign {
                code: Code(local.unwrap_or_else(|| row.number("mdc_cf_code10"))),
                label: row.text("label"),
                refid: row.text("mdc_refid"),
                unit: row.text("ucum"),
                plausible_min: row.number("plausible_min"),
                plausible_max: row.number("plausible_max"),
                decimals: row.decimals("resolution"),
                interval: Span::from_secs(row.number("typical_update_s")),
                cadence: row.cadence("kind"),
                stale_after: Span::from_secs(row.number("stale_after_s_proposed")),
                id,
            };
            self.codes.insert(vital.id.clone(), vital.code);
            self.vitals.push(vital);
        }
    }

    fn read_waveforms(&mut self, table: &str) {
        for row in rows(table) {
            let channel = WaveformChannel {
                id: row.text("id"),
                label: row.text("label"),
                code: Code(row.number("mdc_cf_code10")),
                refid: row.text("mdc_refid"),
                unit: row.text("ucum"),
                rate_hz: row.number("default_rate_hz"),
                range_min: row.number("phys_min"),
                range_max: row.number("phys_max"),
            };
            self.codes.insert(channel.id.clone(), channel.code);
            self.waveforms.insert(channel.code, channel);
        }
    }
}

/// A row of a table that is compiled in: an error in it is a bug of this crate,
/// found by the first test that reads the catalogue.
struct Row {
    fields: BTreeMap<String, String>,
}

#[expect(
    clippy::panic,
    reason = "the tables are compiled in; the tests below read every row"
)]
fn rows(table: &str) -> impl Iterator<Item = Row> {
    csv::Reader::from_reader(table.as_bytes())
        .into_deserialize()
        .map(|row| match row {
            Ok(fields) => Row { fields },
            Err(error) => panic!("catalogue table: {error}"),
        })
}

#[expect(
    clippy::panic,
    reason = "the tables are compiled in; the tests below read every row"
)]
impl Row {
    fn text(&self, column: &str) -> String {
        match self.fields.get(column) {
            Some(text) => text.clone(),
            None => panic!("catalogue table has no column {column}"),
        }
    }

    fn number<T: std::str::FromStr>(&self, column: &str) -> T {
        let text = self.text(column);
        text.parse()
            .unwrap_or_else(|_| panic!("catalogue: {column} {text:?} in {:?}", self.fields))
    }

    fn decimals(&self, column: &str) -> u8 {
        let places = self
            .text(column)
            .split_once('.')
            .map_or(0, |(_, places)| places.len());
        u8::try_from(places).unwrap_or(0)
    }

    fn cadence(&self, column: &str) -> Cadence {
        match self.text(column).as_str() {
            "continuous" => Cadence::Continuous,
            "per-breath" => Cadence::PerBreath,
            "intermittent" => Cadence::Intermittent,
            "manual" => Cadence::Manual,
            "derived" => Cadence::Derived,
            other => panic!("catalogue: unknown kind {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_tables_is_read_and_found_again() {
        let rows = |table: &str| table.lines().count() - 1;
        assert_eq!(
            catalogue().vitals().count(),
            rows(include_str!("../data/vitals.csv"))
        );
        assert_eq!(
            catalogue().waveforms().count(),
            rows(include_str!("../data/waveforms.csv"))
        );
        for vital in catalogue().vitals() {
            assert_eq!(catalogue().vital_by_id(&vital.id).unwrap().code, vital.code);
            assert!(vital.plausible_min < vital.plausible_max, "{}", vital.id);
            assert!(
                vital.interval > Span::ZERO && vital.stale_after > Span::ZERO,
                "{}",
                vital.id
            );
            assert_ne!(vital.code, Code(0), "{}", vital.id);
        }
    }

    #[test]
    fn known_codes_of_ieee_11073_10101() {
        let hr = catalogue().vital(Code(147_842)).unwrap();
        assert_eq!(
            (hr.id.as_str(), hr.refid.as_str()),
            ("hr", "MDC_ECG_HEART_RATE")
        );
        let spo2 = catalogue().vital_by_id("spo2").unwrap();
        assert_eq!(
            (spo2.code, spo2.unit.as_str(), spo2.stale_after),
            (Code(150_456), "%", Span::from_secs(10))
        );
        assert_eq!(catalogue().vital_by_id("temp1").unwrap().decimals, 1);
        assert_eq!(
            catalogue().waveform_by_id("ecg_ii").unwrap().code,
            Code(131_330)
        );
    }
}
