//! What people type of a transfer: ages, weights, legs and places.

use crate::utc;
use clap::ValueEnum;

/// Age bands of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Age {
    /// Up to 28 days
    Neonate,
    /// From 29 days to under 1 year
    Infant,
    /// From 1 to under 13 years
    Child,
    /// From 13 to under 16 years
    Adolescent,
    /// From 16 years
    Adult,
}

/// A body weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grams(pub(crate) u32);

/// A leg as typed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LegArg {
    /// Call sign or registration.
    pub(crate) vehicle: String,
    /// By air, not by road.
    pub(crate) air: bool,
    /// Where it starts.
    pub(crate) from: PlaceArg,
    /// Where it ends.
    pub(crate) to: PlaceArg,
    /// The gateway on board, if known.
    pub(crate) gateway: String,
    /// Planned departure, microseconds UTC.
    pub(crate) departs_at_us: Option<i64>,
    /// Planned arrival, microseconds UTC.
    pub(crate) arrives_at_us: Option<i64>,
}

/// A place as typed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlaceArg {
    /// Its name.
    pub(crate) name: String,
    /// Degrees × 10^7, north positive.
    pub(crate) latitude_e7: i32,
    /// Degrees × 10^7, east positive.
    pub(crate) longitude_e7: i32,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
pub(super) fn weight(text: &str) -> Result<Grams, String> {
    let kilograms: f64 = text
        .parse()
        .map_err(|_| "use kilograms, such as 72 or 3.4".to_owned())?;
    if !(0.2..=500.0).contains(&kilograms) {
        return Err("must be between 0.2 and 500 kg".into());
    }
    Ok(Grams((kilograms * 1_000.0).round() as u32))
}

pub(super) fn leg(text: &str) -> Result<LegArg, String> {
    let mut fields = std::collections::BTreeMap::new();
    for part in text.split(',') {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?} is not KEY=VALUE"))?;
        let known = [
            "vehicle", "mode", "from", "to", "gateway", "departs", "arrives",
        ];
        let key = key.trim();
        if !known.contains(&key) {
            return Err(format!("{key:?} is not one of {}", known.join(", ")));
        }
        if fields.insert(key, value.trim()).is_some() {
            return Err(format!("{key} is given twice"));
        }
    }
    let need = |key: &str| {
        fields
            .get(key)
            .copied()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("{key}=… is missing"))
    };
    let time = |key: &str| {
        fields
            .get(key)
            .map(|text| {
                utc::parse(text)
                    .ok_or_else(|| format!("{key}: {text:?} is no time; use 2026-03-01T14:30Z"))
            })
            .transpose()
    };
    Ok(LegArg {
        vehicle: need("vehicle")?.to_owned(),
        air: match need("mode")? {
            "road" => false,
            "air" => true,
            other => return Err(format!("mode {other:?} is not road or air")),
        },
        from: place(need("from")?)?,
        to: place(need("to")?)?,
        gateway: fields
            .get("gateway")
            .copied()
            .unwrap_or_default()
            .to_owned(),
        departs_at_us: time("departs")?,
        arrives_at_us: time("arrives")?,
    })
}

fn place(text: &str) -> Result<PlaceArg, String> {
    let form =
        || format!("{text:?} is no place; use NAME@LATITUDE/LONGITUDE, such as Aosta@45.737/7.320");
    let (name, coordinates) = text.rsplit_once('@').ok_or_else(form)?;
    let (latitude, longitude) = coordinates.split_once('/').ok_or_else(form)?;
    Ok(PlaceArg {
        name: name.trim().to_owned(),
        latitude_e7: degrees(latitude, 90.0).ok_or_else(form)?,
        longitude_e7: degrees(longitude, 180.0).ok_or_else(form)?,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "at most 180 degrees, checked before"
)]
fn degrees(text: &str, limit: f64) -> Option<i32> {
    let degrees: f64 = text.trim().parse().ok()?;
    (-limit..=limit)
        .contains(&degrees)
        .then_some((degrees * 1e7).round() as i32)
}
