//! A fleet: who is transferred, from where to where, in which vehicles, with
//! which illness, monitor and radio link.

use crate::battery::Battery;
use crate::course::{ALERT, Course, Entry, Script};
use crate::geo::{Route, metres_between};
use crate::monitor::DeviceClock;
use crate::num::{Noise, Part, float, span, to_u64};
use crate::patient::Profile;
use crate::places::{
    RECEIVING, SENDING, place, showcase_arrival, showcase_departure, showcase_hospital,
    showcase_origin,
};
use crate::radio::{LinkState, Plan};
use crate::source::{Aboard, Detail, Emissions};
use enroute_model::frame::CrewEvent;
use enroute_model::ids::{GatewayId, ShortCode, TransferId};
use enroute_model::registry::{AgeBand, Leg, Mode, Place, Population, TransferInfo};
use enroute_model::time::{ServerTime, Span};
use std::sync::Arc;

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// How many transfers.
    pub transfers: u32,
    /// How long the showcase takes from door to door, in emission time: all
    /// courses, routes and radio outages are scaled to it. Clamped to
    /// [`LENGTH_MIN`] and [`LENGTH_MAX`]; whole seconds count.
    pub length: Span,
    /// True time at which the fleet starts: anchors planned times and the
    /// monitors' clocks.
    pub starts_at: ServerTime,
}

/// Shortest scenario that still passes through all three legs.
pub const LENGTH_MIN: Span = Span::from_secs(20);
/// Longest scenario.
pub const LENGTH_MAX: Span = Span::from_secs(24 * 3600);

/// One simulated transfer.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// From 1; 1 is the showcase: ambulance, aircraft and ambulance across a
    /// border, silent in mid-flight.
    pub number: u32,
    /// The id that its first gateway publishes under.
    pub transfer: TransferId,
    /// What the registry knows: hospital, legs with planned times, population,
    /// conditions, concern.
    pub info: TransferInfo,
    /// What happens to the patient.
    pub course: Course,
    /// How much faster than life the vehicles travel: planned times and
    /// positions are compressed by it, heartbeats and reported speeds are not.
    pub time_scale: f64,
    /// One per vehicle, in order of travel; neighbours overlap a little.
    pub legs: Vec<LegPlan>,
}

/// One vehicle with its gateway, monitor and radio.
#[derive(Clone, Debug)]
pub struct LegPlan {
    /// The box on board.
    pub gateway: GatewayId,
    /// What the gateway publishes under at first. The first leg uses the
    /// scenario's id; later ones have their own and ask, by a crew event in
    /// their first second, to join the scenario's by its short code.
    pub transfer: TransferId,
    /// Road or air.
    pub mode: Mode,
    /// When its gateway is switched on, since the fleet's start; whole seconds.
    pub starts: Span,
    /// When its crew hands over, since the fleet's start: the last emission is
    /// that crew event. `None`: the last leg goes on for ever, standing at its
    /// destination after arrival.
    pub ends: Option<Span>,
    /// Its radio link, times since [`Self::starts`].
    pub radio: Plan,
    pub(crate) aboard: Arc<Aboard>,
}

impl LegPlan {
    /// What the box on board runs on.
    #[must_use]
    pub fn battery(&self) -> Battery {
        Battery::of_seed(self.aboard.seed.wrapping_add(self.aboard.number.into()))
    }

    /// What the monitor, the receiver of positions and the crew give, in order
    /// of `due`, which counts from [`Self::starts`].
    #[must_use]
    pub fn emissions(&self, detail: Detail) -> Emissions {
        Emissions::new(self, detail)
    }
}

/// Builds a fleet. Transfer 1 is the showcase; the next ones go through the
/// other courses in turn. A transfer is the same whatever the fleet's size.
#[must_use]
pub fn fleet(options: &Options) -> Vec<Scenario> {
    let clamped = Options {
        length: options.length.clamp(LENGTH_MIN, LENGTH_MAX),
        ..*options
    };
    (1..=clamped.transfers)
        .filter_map(|number| Draft::new(&clamped, number).scenario())
        .collect()
}

/// A stretch of one vehicle, in seconds since the scenario's start.
#[derive(Clone, Debug)]
struct Stretch {
    vehicle: String,
    mode: Mode,
    from: Place,
    to: Place,
    starts_s: u64,
    ends_s: Option<u64>,
    departs_s: f64,
    journey_s: f64,
    /// Seconds in life, for the speed.
    real_s: f64,
    radio: Plan,
}

/// A scenario under construction.
struct Draft {
    options: Options,
    number: u32,
    length_s: f64,
    noise: Noise,
    radio: Noise,
    course: Course,
    script: Script,
}

/// An ambulance's mean speed, and how much longer a road is than the straight line.
const ROAD_M_S: f64 = 15.0;
const ROAD_DETOUR: f64 = 1.2;
/// A turboprop's mean speed from block to block.
const AIR_M_S: f64 = 150.0;
/// Neighbouring gateways are both on for this part of the length, but no less
/// than [`OVERLAP_MIN_S`].
const OVERLAP: f64 = 0.02;
const OVERLAP_MIN_S: f64 = 2.0;

impl Draft {
    fn new(options: &Options, number: u32) -> Self {
        let length_s = options.length.as_secs_f64().floor();
        let mut noise = Noise::new(options.seed, number, Part::Fleet);
        let turn = usize::try_from(number).unwrap_or(0).saturating_sub(2) % IN_TURN.len();
        let (course, onset) = match (number, IN_TURN.get(turn)) {
            (2.., Some(course)) => (*course, noise.between(0.12, 0.3)),
            _ => (Course::Haemorrhage, 0.1),
        };
        let script = Script::new(course, onset, noise.between(0.92, 1.02), length_s);
        Self {
            options: *options,
            number,
            length_s,
            noise,
            radio: Noise::new(options.seed, number, Part::Radio),
            course,
            script,
        }
    }

    fn scenario(mut self) -> Option<Scenario> {
        let name = self.noise.bits() >> 24;
        let transfer = TransferId::new(&format!("tx-sim-{name:010x}")).ok()?;
        let stretches = if self.number == 1 {
            self.showcase()
        } else {
            vec![self.ambulance()]
        };
        let scale = stretches.iter().map(|s| s.real_s).sum::<f64>()
            / stretches.iter().map(|s| s.journey_s).sum::<f64>();
        let population = self.population();
        let known = self.number == 1 || self.noise.chance(0.7);
        let crew = self.crew(&population, known);
        let mut profile = Profile::random(&mut self.noise);
        if self.number == 1 {
            // So that the showcase always breaks the usual limits for a while.
            profile.hr = profile.hr.max(78.0);
        }
        let arterial_line = self.number == 1 || self.noise.chance(0.6);
        let phase = Span::from_millis(i64::try_from(self.noise.bits() % 1_000).ok()?);

        let mut info = self.info(&stretches)?;
        info.population = if known {
            population
        } else {
            Population::default()
        };
        let mut legs = Vec::new();
        for (index, stretch) in stretches.into_iter().enumerate() {
            let gateway = GatewayId::new(&format!("gw-sim-{name:010x}-{}", index + 1)).ok()?;
            if let Some(leg) = info.legs.get_mut(index) {
                leg.gateway = Some(gateway.clone());
            }
            let own = if index == 0 {
                transfer.clone()
            } else {
                TransferId::new(&format!("{transfer}-{}", index + 1)).ok()?
            };
            let joins = (index > 0).then(|| ShortCode::of(&transfer));
            let mine = stretch.share_of(&crew, joins.as_ref(), legs.last());
            let aboard = self.aboard(&stretch, profile, arterial_line, phase, scale, mine);
            legs.push(LegPlan {
                gateway,
                transfer: own,
                mode: stretch.mode,
                starts: whole(stretch.starts_s),
                ends: stretch.ends_s.map(whole),
                radio: stretch.radio,
                aboard: Arc::new(aboard),
            });
        }
        Some(Scenario {
            number: self.number,
            transfer,
            info,
            course: self.course,
            time_scale: scale,
            legs,
        })
    }

    fn aboard(
        &mut self,
        stretch: &Stretch,
        profile: Profile,
        arterial_line: bool,
        phase: Span,
        scale: f64,
        crew: Vec<(Span, CrewEvent)>,
    ) -> Aboard {
        let leg_s = stretch.ends_s.map_or(self.length_s, float) - float(stretch.starts_s);
        Aboard {
            seed: self.options.seed,
            number: self.number,
            profile,
            script: self.script,
            pace: (self.length_s / 600.0).clamp(0.1, 1.0),
            arterial_line,
            clock: DeviceClock::random(&mut self.noise, leg_s.max(1.0)),
            leg_start: self.options.starts_at.plus(whole(stretch.starts_s)),
            starts_s: stretch.starts_s,
            lasts: stretch
                .ends_s
                .map(|ends| whole(ends.saturating_sub(stretch.starts_s))),
            phase,
            route: Route::new(
                &stretch.from,
                &stretch.to,
                stretch.mode,
                GROUND_M,
                &mut self.noise,
            ),
            departs_s: stretch.departs_s - float(stretch.starts_s),
            journey_s: stretch.journey_s,
            real_journey_s: stretch.real_s,
            nibp_every_s: to_u64((300.0 / scale.max(1.0)).clamp(15.0, 300.0)),
            crew,
        }
    }

    /// Ambulance, aircraft, ambulance; times are parts of the whole length.
    fn showcase(&mut self) -> Vec<Stretch> {
        let length = self.length_s;
        let (field, airport) = (showcase_departure(), showcase_arrival());
        let silent = (0.13 * length, 0.33 * length);
        let road = Plan::of_road(&mut self.radio, 0.27 * length);
        let flight = Plan::of_flight(&mut self.radio, 0.46 * length, silent);
        let last = Plan::of_road(&mut self.radio, 0.31 * length);
        let first = Stretch {
            vehicle: "Ambulance LP-3".to_owned(),
            mode: Mode::Road,
            from: showcase_origin(),
            to: field.clone(),
            radio: road,
            ..self.stretch(0.0, Some(0.25), (0.03, 0.24))
        };
        let second = Stretch {
            vehicle: "Air ambulance RDPL-34".to_owned(),
            mode: Mode::Air,
            from: field,
            to: airport.clone(),
            radio: flight,
            ..self.stretch(0.25, Some(0.69), (0.29, 0.67))
        };
        let third = Stretch {
            vehicle: "Ambulance KM-120".to_owned(),
            from: airport,
            radio: last,
            ..self.stretch(0.69, None, (0.73, 0.97))
        };
        vec![first.in_life(), second.in_life(), third.in_life()]
    }

    /// A stretch that starts, ends when the next one has started, and travels.
    fn stretch(&self, starts: f64, next_starts: Option<f64>, travels: (f64, f64)) -> Stretch {
        let length = self.length_s;
        let overlap = to_u64((OVERLAP * length).max(OVERLAP_MIN_S));
        Stretch {
            vehicle: String::new(),
            mode: Mode::Road,
            from: showcase_origin(),
            to: showcase_hospital(),
            starts_s: to_u64(starts * length),
            ends_s: next_starts.map(|next| to_u64(next * length) + overlap),
            departs_s: travels.0 * length,
            journey_s: (travels.1 - travels.0) * length,
            real_s: 0.0,
            radio: Plan::always(LinkState::CLEAR),
        }
    }

    /// One ambulance, already under way.
    fn ambulance(&mut self) -> Stretch {
        let at = |found: Option<&(&str, i32, i32)>| {
            found.map_or_else(showcase_hospital, |(name, lat, lon)| {
                place(name, *lat, *lon)
            })
        };
        let from = at(self.noise.pick(&SENDING));
        let to = at(self.noise.pick(&RECEIVING));
        let journey = self.noise.between(0.9, 1.5);
        let departs = -journey * self.noise.between(0.0, 0.4);
        let radio = Plan::of_road(&mut self.radio, self.length_s);
        Stretch {
            vehicle: format!("Ambulance YN-{}", 100 + self.number),
            from,
            to,
            radio,
            ..self.stretch(0.0, None, (departs, departs + journey))
        }
        .in_life()
    }

    fn population(&mut self) -> Population {
        let age_band = if self.noise.chance(0.07) {
            AgeBand::Adolescent
        } else {
            AgeBand::Adult
        };
        let kilograms = if age_band == AgeBand::Adult {
            (52.0, 98.0)
        } else {
            (44.0, 62.0)
        };
        let weight = to_u64(self.noise.between(kilograms.0, kilograms.1));
        Population {
            age_band: Some(age_band),
            weight_g: u32::try_from(weight * 1_000).ok(),
        }
    }

    /// What the crews enter over the whole scenario.
    fn crew(&mut self, population: &Population, known: bool) -> Vec<(Span, CrewEvent)> {
        let mut crew = self.script.crew();
        let early = self.length_s * self.noise.between(0.02, 0.05);
        if !known {
            crew.push((span(1.5 * early), CrewEvent::Population(*population)));
        }
        crew.extend(
            Entry::Acvpu(ALERT)
                .event()
                .map(|event| (span(early), event)),
        );
        crew.sort_by_key(|(at, _)| *at);
        crew
    }

    fn info(&self, stretches: &[Stretch]) -> Option<TransferInfo> {
        let moment = |s: f64| Some(self.options.starts_at.plus(span(s)));
        let (conditions, concern) = illness(self.course);
        Some(TransferInfo {
            regions: Vec::new(),
            hospital: stretches.last()?.to.name.clone(),
            legs: stretches
                .iter()
                .map(|stretch| Leg {
                    vehicle: stretch.vehicle.clone(),
                    mode: stretch.mode,
                    gateway: None,
                    from: stretch.from.clone(),
                    to: stretch.to.clone(),
                    departs_at: moment(stretch.departs_s),
                    arrives_at: moment(stretch.departs_s + stretch.journey_s),
                })
                .collect(),
            population: Population::default(),
            conditions: conditions.iter().map(|word| (*word).to_owned()).collect(),
            concern: concern.to_owned(),
        })
    }
}

impl Stretch {
    /// With the time that the journey takes in life.
    fn in_life(mut self) -> Self {
        let straight = metres_between(&self.from, &self.to);
        self.real_s = match self.mode {
            Mode::Road => ROAD_DETOUR * straight / ROAD_M_S,
            Mode::Air => straight / AIR_M_S,
        };
        self
    }

    /// The crew events of this leg, since its start: those after the hand-over
    /// of the leg before and before its own.
    fn share_of(
        &self,
        crew: &[(Span, CrewEvent)],
        joins: Option<&ShortCode>,
        before: Option<&LegPlan>,
    ) -> Vec<(Span, CrewEvent)> {
        let starts = whole(self.starts_s);
        let from = before.and_then(|leg| leg.ends).unwrap_or(starts);
        let to = self.ends_s.map_or(Span(i64::MAX), whole);
        let join = joins.map(|code| CrewEvent::Join {
            short_code: code.as_str().to_owned(),
        });
        join.into_iter()
            .map(|event| (Span::from_millis(400), event))
            .chain(
                crew.iter()
                    .filter(|(at, _)| (from..to).contains(at))
                    .map(|(at, event)| (Span(at.0 - starts.0), event.clone())),
            )
            .collect()
    }
}

/// Courses of transfers 2, 3, …
const IN_TURN: [Course; 7] = [
    Course::Sepsis,
    Course::Stable,
    Course::Hypoxia,
    Course::MovementArtefact,
    Course::CardiacArrest,
    Course::SensorOff,
    Course::Haemorrhage,
];

/// The plateau of Yunnan.
const GROUND_M: f64 = 1_900.0;

fn illness(course: Course) -> (&'static [&'static str], &'static str) {
    match course {
        Course::Stable => (&["stroke"], "stroke, stable"),
        Course::Haemorrhage => (
            &["polytrauma", "haemorrhagic_shock"],
            "polytrauma, bleeding",
        ),
        Course::Sepsis => (&["sepsis"], "sepsis, source unclear"),
        Course::Hypoxia => (&["pneumonia"], "severe pneumonia, high oxygen need"),
        Course::CardiacArrest => (&["myocardial_infarction"], "myocardial infarction"),
        Course::SensorOff => (&["traumatic_brain_injury"], "head injury"),
        Course::MovementArtefact => (&["burns"], "burns"),
    }
}

fn whole(seconds: u64) -> Span {
    Span::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}
