//! Where a vehicle is: great circles through waypoints, with a speed profile.

use crate::num::{Noise, ramp, to_i32, to_u64};
use enroute_model::frame::GeoPoint;
use enroute_model::registry::{Mode, Place};
use std::f64::consts::TAU;

/// Mean radius of the Earth, metres (IUGG).
const EARTH_M: f64 = 6_371_008.8;

/// A point on a sphere; good to half a percent of a distance, which is less
/// than the detours of any road.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    lat: f64,
    lon: f64,
}

impl Point {
    fn of(place: &Place) -> Self {
        Self {
            lat: (f64::from(place.latitude_e7) / 1e7).to_radians(),
            lon: (f64::from(place.longitude_e7) / 1e7).to_radians(),
        }
    }

    /// Central angle, by the haversine formula.
    fn angle_to(self, other: Self) -> f64 {
        let half = |a: f64, b: f64| ((a - b) / 2.0).sin().powi(2);
        let h = half(self.lat, other.lat)
            + self.lat.cos() * other.lat.cos() * half(self.lon, other.lon);
        2.0 * h.sqrt().min(1.0).asin()
    }

    /// The point part of the way along the great circle.
    fn toward(self, other: Self, part: f64) -> Self {
        let angle = self.angle_to(other);
        if angle < 1e-9 {
            return self;
        }
        let here = ((1.0 - part) * angle).sin() / angle.sin();
        let there = (part * angle).sin() / angle.sin();
        let x = here * self.lat.cos() * self.lon.cos() + there * other.lat.cos() * other.lon.cos();
        let y = here * self.lat.cos() * self.lon.sin() + there * other.lat.cos() * other.lon.sin();
        let z = here * self.lat.sin() + there * other.lat.sin();
        Self {
            lat: z.atan2(x.hypot(y)),
            lon: y.atan2(x),
        }
    }

    /// Initial course in degrees from north, 0 ≤ c < 360.
    fn course_to(self, other: Self) -> f64 {
        let turn = other.lon - self.lon;
        let y = turn.sin() * other.lat.cos();
        let x = self.lat.cos() * other.lat.sin() - self.lat.sin() * other.lat.cos() * turn.cos();
        y.atan2(x).to_degrees().rem_euclid(360.0)
    }
}

/// Along the great circle.
pub(crate) fn metres_between(from: &Place, to: &Place) -> f64 {
    Point::of(from).angle_to(Point::of(to)) * EARTH_M
}

/// A way from one place to another.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    points: Vec<Point>,
    /// Length up to each point, as a central angle.
    lengths: Vec<f64>,
    mode: Mode,
    ground_m: f64,
}

impl Route {
    /// Roads swing to both sides of the great circle, aircraft do not.
    pub(crate) fn new(
        from: &Place,
        to: &Place,
        mode: Mode,
        ground_m: f64,
        noise: &mut Noise,
    ) -> Self {
        let (start, end) = (Point::of(from), Point::of(to));
        let direct = start.angle_to(end);
        let mut points = vec![start];
        if mode == Mode::Road {
            for part in [0.2, 0.4, 0.6, 0.8] {
                let on_line = start.toward(end, part);
                let swing = 0.07 * direct;
                points.push(Point {
                    lat: on_line.lat + swing * noise.between(-1.0, 1.0),
                    lon: on_line.lon + swing * noise.between(-1.0, 1.0),
                });
            }
        }
        points.push(end);
        let mut total = 0.0;
        let mut last = start;
        let mut lengths = Vec::with_capacity(points.len());
        for point in &points {
            total += last.angle_to(*point);
            lengths.push(total);
            last = *point;
        }
        Self {
            points,
            lengths,
            mode,
            ground_m,
        }
    }

    pub(crate) fn metres(&self) -> f64 {
        self.lengths.last().copied().unwrap_or(0.0) * EARTH_M
    }

    /// Where the vehicle is when `time_part` (0 to 1) of its journey of
    /// `duration_s` seconds has passed.
    pub(crate) fn at(&self, time_part: f64, duration_s: f64) -> GeoPoint {
        let moving = time_part > 0.0 && time_part < 1.0;
        let u = time_part.clamp(0.0, 1.0);
        let (way, pace) = self.profile(u);
        let (point, course) = self.along(way);
        let speed = if moving {
            pace * self.metres() / duration_s.max(1.0)
        } else {
            0.0
        };
        GeoPoint {
            latitude_e7: to_i32(point.lat.to_degrees() * 1e7),
            longitude_e7: to_i32(point.lon.to_degrees() * 1e7),
            altitude_m: Some(to_i32(self.altitude_m(u))),
            speed_cm_s: u32::try_from(to_u64(speed * 100.0)).ok(),
            course_cdeg: u32::try_from(to_u64(course * 100.0))
                .ok()
                .map(|c| c % 36_000),
        }
    }

    /// Part of the way that is done, and speed as a multiple of the mean: slow
    /// at both ends, and on roads faster and slower in between.
    fn profile(&self, u: f64) -> (f64, f64) {
        let waves: &[(f64, f64)] = match self.mode {
            Mode::Road => &[(1.0, 0.45), (4.0, 0.3), (9.0, 0.15)],
            Mode::Air => &[(1.0, 0.5)],
        };
        let mut way = u;
        let mut pace = 1.0;
        for (times, depth) in waves {
            way -= depth * (TAU * times * u).sin() / (TAU * times);
            pace -= depth * (TAU * times * u).cos();
        }
        (way.clamp(0.0, 1.0), pace.max(0.0))
    }

    fn along(&self, way: f64) -> (Point, f64) {
        let target = way * self.lengths.last().copied().unwrap_or(0.0);
        let legs = self.points.iter().zip(self.points.iter().skip(1));
        let spans = self.lengths.iter().zip(self.lengths.iter().skip(1));
        let mut found = None;
        for ((a, b), (from, to)) in legs.zip(spans) {
            let part = ((target - from) / (to - from).max(1e-12)).clamp(0.0, 1.0);
            found = Some((a.toward(*b, part), a.course_to(*b)));
            if target <= *to {
                break;
            }
        }
        found.unwrap_or((Point { lat: 0.0, lon: 0.0 }, 0.0))
    }

    fn altitude_m(&self, u: f64) -> f64 {
        match self.mode {
            Mode::Road => self.ground_m,
            Mode::Air => {
                let climb = [(0.03, 0.0), (0.25, 1.0), (0.7, 1.0), (0.97, 0.0)];
                self.ground_m + CRUISE_ABOVE_GROUND_M * ramp(u, &climb)
            }
        }
    }
}

/// A turboprop's usual cruise, above the airfields.
const CRUISE_ABOVE_GROUND_M: f64 = 6_400.0;
