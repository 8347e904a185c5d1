//! Where the vehicle is, how far it has to go along the planned legs, and when
//! it arrives.
//!
//! The leg under way: among the legs that name the position's gateway (all, if
//! none does) the one with the smallest detour over the position, never one
//! before the leg chosen last; a new plan starts the choice anew.
//!
//! Distances are great circles: from the position to the end of the leg, then
//! each later leg. Arrival at the end of the leg: by the mean ground speed of
//! the last positions; standing still or without a speed, by the leg's planned
//! arrival. Later legs add what the plan says lies between the two arrivals; one
//! without planned times is travelled at the present speed if its mode is the
//! same, else no arrival is given.

use crate::bounds::TRACK_MAX;
use crate::value::Order;
use enroute_model::frame::GeoPoint;
use enroute_model::ids::GatewayId;
use enroute_model::registry::{Leg, Place};
use enroute_model::state::Travel;
use enroute_model::time::{EngineTime, ServerTime, Span};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Mean radius of the earth (IUGG), metres.
const EARTH_M: f64 = 6_371_008.8;
/// Positions whose speeds are averaged.
const SPEEDS_MAX: usize = 8;
/// Below this mean speed the vehicle stands: 1 m/s.
const STANDING_CM_S: f64 = 100.0;
/// A point nearer to the last one than this adds nothing to the track, metres.
const TRACK_STEP_M: f64 = 25.0;
/// No arrival is further away than this.
const ETA_MAX_S: f64 = 30.0 * 86_400.0;

/// Position, track and plan of one transfer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Journey {
    position: Option<(GatewayId, GeoPoint)>,
    heard_at: Option<EngineTime>,
    /// By source in order of appearance, then by order of production.
    track: Vec<((u32, Order), GeoPoint)>,
    speeds_cm_s: VecDeque<u32>,
    leg: Option<usize>,
}

impl Journey {
    /// A live position is the newest; a late one only fills the track.
    pub(crate) fn position(
        &mut self,
        (gateway, source): (&GatewayId, u32),
        (point, order): (GeoPoint, Order),
        late: bool,
        at: EngineTime,
        legs: &[Leg],
    ) {
        self.add_to_track((source, order), point);
        if late {
            return;
        }
        if self
            .position
            .as_ref()
            .is_none_or(|(last, _)| last != gateway)
        {
            self.speeds_cm_s.clear();
        }
        self.position = Some((gateway.clone(), point));
        self.heard_at = Some(at);
        match point.speed_cm_s {
            Some(speed) => self.speeds_cm_s.push_back(speed),
            None => self.speeds_cm_s.clear(),
        }
        if self.speeds_cm_s.len() > SPEEDS_MAX {
            self.speeds_cm_s.pop_front();
        }
        self.choose_leg(legs);
    }

    /// The plan was replaced.
    pub(crate) fn replan(&mut self, legs: &[Leg]) {
        self.leg = None;
        self.choose_leg(legs);
    }

    /// A joined transfer's way is part of this one's.
    pub(crate) fn merge(&mut self, other: Self, first_source: u32, legs: &[Leg]) {
        for ((source, order), point) in other.track {
            self.add_to_track((source.saturating_add(first_source), order), point);
        }
        if other.heard_at > self.heard_at {
            self.position = other.position;
            self.heard_at = other.heard_at;
            self.speeds_cm_s = other.speeds_cm_s;
        }
        self.replan(legs);
    }

    pub(crate) fn state(&self, legs: &[Leg]) -> Travel {
        let distance_m = self.distances(legs).map(|(this, later)| this + later);
        Travel {
            position: self.position.as_ref().map(|(_, point)| *point),
            heard_at: self.heard_at,
            track: self.track.iter().map(|(_, point)| *point).collect(),
            leg: self.leg,
            distance_m,
            eta: self.eta(legs),
        }
    }

    fn choose_leg(&mut self, legs: &[Leg]) {
        let Some((gateway, point)) = &self.position else {
            return;
        };
        let at = degrees(point.latitude_e7, point.longitude_e7);
        let named = |leg: &Leg| leg.gateway.as_ref() == Some(gateway);
        let any_named = legs.iter().any(named);
        let from = self.leg.unwrap_or(0);
        let detour = |leg: &Leg| {
            let (start, end) = (place(&leg.from), place(&leg.to));
            distance_m(start, at) + distance_m(at, end) - distance_m(start, end)
        };
        let candidates = legs.iter().enumerate().skip(from);
        let best = candidates
            .filter(|(_, leg)| !any_named || named(leg))
            .min_by(|(_, a), (_, b)| detour(a).total_cmp(&detour(b)))
            .map(|(index, _)| index);
        self.leg = best.or(self.leg);
    }

    /// Metres to the end of the leg under way, and of all later legs.
    fn distances(&self, legs: &[Leg]) -> Option<(f64, f64)> {
        let (_, point) = self.position.as_ref()?;
        let index = self.leg?;
        let leg = legs.get(index)?;
        let at = degrees(point.latitude_e7, point.longitude_e7);
        let later = legs
            .iter()
            .skip(index.saturating_add(1))
            .map(length_m)
            .sum();
        Some((distance_m(at, place(&leg.to)), later))
    }

    fn eta(&self, legs: &[Leg]) -> Option<EngineTime> {
        let (this_m, _) = self.distances(legs)?;
        let index = self.leg?;
        let leg = legs.get(index)?;
        let speed = self.speed_m_s();
        let mut arrival = match speed {
            Some(speed) => self.heard_at?.plus(travel_time(this_m, speed)?),
            // Engine time is anchored to UTC.
            None => EngineTime(leg.arrives_at?.0),
        };
        let mut planned: Option<ServerTime> = leg.arrives_at;
        for next in legs.iter().skip(index.saturating_add(1)) {
            let by_plan = match (planned, next.departs_at, next.arrives_at) {
                (Some(before), _, Some(after)) if after >= before => Some(after.since(before)),
                (None, Some(from), Some(to)) if to >= from => Some(to.since(from)),
                _ => None,
            };
            let same_mode = speed.filter(|_| next.mode == leg.mode);
            let by_speed = same_mode.and_then(|speed| travel_time(length_m(next), speed));
            arrival = arrival.plus(by_plan.or(by_speed)?);
            planned = next.arrives_at;
        }
        Some(arrival)
    }

    /// `None`: standing or unknown.
    fn speed_m_s(&self) -> Option<f64> {
        let count = u32::try_from(self.speeds_cm_s.len()).ok()?;
        let sum: f64 = self.speeds_cm_s.iter().map(|speed| f64::from(*speed)).sum();
        let mean = sum / f64::from(count);
        (count > 0 && mean >= STANDING_CM_S).then_some(mean / 100.0)
    }

    fn add_to_track(&mut self, key: (u32, Order), point: GeoPoint) {
        let place = self.track.partition_point(|(held, _)| *held < key);
        let before = place.checked_sub(1).and_then(|i| self.track.get(i));
        if before.is_some_and(|(_, before)| apart(before, &point) < TRACK_STEP_M) {
            return;
        }
        self.track.insert(place, (key, point));
        if self.track.len() > TRACK_MAX {
            self.thin();
        }
    }

    /// Drops the inner point whose neighbours are nearest to it.
    fn thin(&mut self) {
        let cost = |window: &[((u32, Order), GeoPoint)]| match window {
            [a, b, c] => apart(&a.1, &b.1) + apart(&b.1, &c.1),
            _ => f64::INFINITY,
        };
        let costs = self.track.windows(3).map(cost).enumerate();
        if let Some((index, _)) = costs.min_by(|a, b| a.1.total_cmp(&b.1)) {
            self.track.remove(index.saturating_add(1));
        }
    }
}

fn travel_time(metres: f64, speed_m_s: f64) -> Option<Span> {
    let seconds = metres / speed_m_s;
    (seconds <= ETA_MAX_S).then(|| Span(whole_micros(seconds)))
}

#[expect(clippy::cast_possible_truncation, reason = "at most ETA_MAX_S")]
fn whole_micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

fn degrees(latitude_e7: i32, longitude_e7: i32) -> (f64, f64) {
    (f64::from(latitude_e7) / 1e7, f64::from(longitude_e7) / 1e7)
}

fn place(place: &Place) -> (f64, f64) {
    degrees(place.latitude_e7, place.longitude_e7)
}

fn length_m(leg: &Leg) -> f64 {
    distance_m(place(&leg.from), place(&leg.to))
}

/// Great circle by the haversine formula.
fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.1 - a.1).to_radians() / 2.0;
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * EARTH_M * h.sqrt().min(1.0).asin()
}

/// Nearly the distance in metres, cheap: good for points near each other.
fn apart(a: &GeoPoint, b: &GeoPoint) -> f64 {
    let (from, to) = (
        degrees(a.latitude_e7, a.longitude_e7),
        degrees(b.latitude_e7, b.longitude_e7),
    );
    let north = to.0 - from.0;
    // Across the date line the short way.
    let east = (to.1 - from.1 + 540.0).rem_euclid(360.0) - 180.0;
    let east = east * from.0.to_radians().cos();
    north.hypot(east) * 111_195.0
}
