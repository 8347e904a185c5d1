//! The plan of a radio link: what it can carry, when.

use crate::num::{Noise, span, to_u64};
use enroute_model::time::Span;
use serde::{Deserialize, Serialize};

/// How a link fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// Connections are reset and new ones refused: both ends know at once.
    Reset,
    /// Connections stay open and nothing passes: nobody knows. What was under
    /// way arrives if the link comes back before an end gives up.
    BlackHole,
}

/// What a link does at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkState {
    /// Carries data, in each direction alike.
    Up {
        /// One way.
        delay: Span,
        /// At most this many bytes per second; 0 is taken as 1.
        bytes_per_s: u64,
    },
    /// Carries nothing.
    Down(Cut),
}

impl LinkState {
    /// No delay, no limit that matters.
    pub const CLEAR: Self = Self::Up {
        delay: Span::ZERO,
        bytes_per_s: 125_000_000,
    };
}

/// A stretch of time in one state; `from` belongs to it, `to` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Start.
    pub from: Span,
    /// End.
    pub to: Span,
    /// What the link does.
    pub state: LinkState,
}

/// States of a link over time: windows, and what holds outside of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    otherwise: LinkState,
    windows: Vec<Window>,
}

impl Plan {
    /// The same state for ever.
    #[must_use]
    pub fn always(state: LinkState) -> Self {
        Self {
            otherwise: state,
            windows: Vec::new(),
        }
    }

    /// A state with exceptions. Windows are sorted by start; where two overlap
    /// the one that starts later wins from its start on; empty ones go.
    #[must_use]
    pub fn new(otherwise: LinkState, windows: Vec<Window>) -> Self {
        let mut sorted = windows;
        sorted.retain(|window| window.from < window.to);
        sorted.sort_by_key(|window| window.from);
        let mut plan = Self::always(otherwise);
        for window in sorted {
            if let Some(last) = plan.windows.last_mut() {
                last.to = last.to.min(window.from);
            }
            plan.windows.push(window);
        }
        plan.windows.retain(|window| window.from < window.to);
        plan
    }

    /// The windows, in order, not overlapping.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The state at a moment since the plan's start.
    #[must_use]
    pub fn at(&self, t: Span) -> LinkState {
        let after = self.windows.partition_point(|window| window.from <= t);
        after
            .checked_sub(1)
            .and_then(|i| self.windows.get(i))
            .filter(|window| t < window.to)
            .map_or(self.otherwise, |window| window.state)
    }

    /// The next moment after `t` at which the state may change.
    #[must_use]
    pub fn next_change(&self, t: Span) -> Option<Span> {
        self.windows
            .iter()
            .flat_map(|window| [window.from, window.to])
            .find(|edge| *edge > t)
    }
}

impl Plan {
    /// A road: cellular, with tunnels and fading; clear in the last sixth of
    /// `length_s` and after it. Outages shorten where a scenario is shorter
    /// than life.
    pub(crate) fn of_road(noise: &mut Noise, length_s: f64) -> Self {
        let pace = (length_s / 600.0).clamp(0.05, 1.0);
        let otherwise = LinkState::Up {
            delay: span(noise.between(0.03, 0.09)),
            bytes_per_s: to_u64(noise.between(80e3, 400e3)),
        };
        let mut windows = Vec::new();
        let mut t = length_s * noise.between(0.08, 0.3);
        while t < length_s * 5.0 / 6.0 {
            let (state, lasts) = match noise.bits() % 4 {
                0 => (LinkState::Down(Cut::Reset), noise.between(4.0, 20.0)),
                1 => (LinkState::Down(Cut::BlackHole), noise.between(8.0, 45.0)),
                _ => (faded(noise), noise.between(20.0, 60.0)),
            };
            let to = (t + lasts * pace).min(length_s * 5.0 / 6.0);
            windows.push(Window {
                from: span(t),
                to: span(to),
                state,
            });
            t = to + length_s * noise.between(0.12, 0.35);
        }
        Self::new(otherwise, windows)
    }

    /// A flight: a satellite link, and a silent stretch between the two
    /// moments: first nobody knows, then connections are cut.
    pub(crate) fn of_flight(noise: &mut Noise, length_s: f64, silent: (f64, f64)) -> Self {
        let otherwise = LinkState::Up {
            delay: span(noise.between(0.28, 0.34)),
            bytes_per_s: to_u64(noise.between(30e3, 50e3)),
        };
        let known = silent.0 + 0.7 * (silent.1 - silent.0);
        let window = |from: f64, to: f64, state| Window {
            from: span(from),
            to: span(to),
            state,
        };
        let clear = LinkState::Up {
            delay: span(0.05),
            bytes_per_s: 200_000,
        };
        Self::new(
            otherwise,
            vec![
                window(0.0, 0.1 * length_s, clear),
                window(silent.0, known, LinkState::Down(Cut::BlackHole)),
                window(known, silent.1, LinkState::Down(Cut::Reset)),
                window(0.88 * length_s, length_s, clear),
            ],
        )
    }
}

fn faded(noise: &mut Noise) -> LinkState {
    LinkState::Up {
        delay: span(noise.between(0.25, 0.8)),
        bytes_per_s: to_u64(noise.between(4e3, 16e3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Part;

    fn window(from: i64, to: i64, cut: Cut) -> Window {
        Window {
            from: Span(from),
            to: Span(to),
            state: LinkState::Down(cut),
        }
    }

    #[test]
    fn a_window_holds_from_its_start_up_to_its_end() {
        let plan = Plan::new(
            LinkState::CLEAR,
            vec![
                window(30, 40, Cut::Reset),
                window(10, 35, Cut::BlackHole),
                window(5, 5, Cut::Reset),
            ],
        );
        let expected = [
            (-1, LinkState::CLEAR),
            (9, LinkState::CLEAR),
            (10, LinkState::Down(Cut::BlackHole)),
            (29, LinkState::Down(Cut::BlackHole)),
            (30, LinkState::Down(Cut::Reset)),
            (39, LinkState::Down(Cut::Reset)),
            (40, LinkState::CLEAR),
        ];
        for (t, state) in expected {
            assert_eq!(plan.at(Span(t)), state, "{t}");
        }
        let mut edges = vec![Span(-1)];
        while let Some(next) = plan.next_change(*edges.last().unwrap()) {
            edges.push(next);
        }
        assert_eq!(edges, [Span(-1), Span(10), Span(30), Span(40)]);
    }

    #[test]
    fn every_road_has_trouble_and_is_clear_at_the_end() {
        let mut kinds = [0; 3];
        for seed in 0..50 {
            let length = 30.0 + 60.0 * f64::from(u32::try_from(seed).unwrap());
            let plan = Plan::of_road(&mut Noise::new(seed, 1, Part::Radio), length);
            assert!(!plan.windows().is_empty());
            assert!(
                plan.windows()
                    .iter()
                    .all(|w| w.to.as_secs_f64() <= length * 0.834)
            );
            assert!(matches!(plan.at(span(length * 0.85)), LinkState::Up { .. }));
            for window in plan.windows() {
                kinds[match window.state {
                    LinkState::Up { .. } => 0,
                    LinkState::Down(Cut::Reset) => 1,
                    LinkState::Down(Cut::BlackHole) => 2,
                }] += 1;
            }
        }
        assert!(kinds.iter().all(|count| *count > 10), "{kinds:?}");
    }
}
