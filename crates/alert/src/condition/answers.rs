//! The answers of single clauses, and how several make one.

use super::Input;
use super::clause::{Answer, Memory, Moment, Swings};
use super::machine::Truth;
use super::quiet::Band;
use super::repeated::Bound;
use super::window::Window;
use crate::limit::Side;
use enroute_model::time::Span;

/// While a sustained breach is raised, its share may be so much less.
const SHARE_HYSTERESIS: f64 = 0.2;
/// Nearer to a bound a difference is asked for anew: far above what rounding does.
const LEFT_MIN: f64 = 1e-6;

pub(super) const TOO_LITTLE: Answer = Answer {
    truth: Truth::Unknown { stopped: true },
    applies: true,
};

pub(super) fn plain(truth: Truth) -> Answer {
    Answer {
        truth,
        applies: true,
    }
}

pub(super) fn holds(holds: bool) -> Truth {
    if holds { Truth::Present } else { Truth::Absent }
}

/// The memory of a clause that only remembers whether it held.
pub(super) fn on(memory: &mut [Memory], place: usize) -> Option<&mut bool> {
    match memory.get_mut(place)? {
        Memory::On(on) | Memory::Slope { on, .. } => Some(on),
        Memory::Baseline { .. } | Memory::Episodes(_) | Memory::Last(_) => None,
    }
}

/// Two values of which the difference is asked. While they come no nearer to the
/// bound than by a quarter of what is left, each, it stays on its side.
pub(super) fn difference(
    [one, other]: [usize; 2],
    bound: &Bound,
    at: &mut Moment,
) -> Result<(f64, f64), Answer> {
    let (_, a) = at.first(std::iter::once(one))?;
    // Without the other one nothing is known, whatever this one is.
    let (_, b) = at.first(std::iter::once(other))?;
    let left = ((a - b) - bound.limit) / 4.0;
    let (of_one, of_other) = if left > LEFT_MIN {
        (Band::at_least(a - left), Band::at_most(b + left))
    } else if left < -LEFT_MIN {
        (Band::at_most(a - left), Band::at_least(b + left))
    } else {
        (Band::NONE, Band::NONE)
    };
    at.same_within(one, of_one);
    at.same_within(other, of_other);
    Ok((a, b))
}

pub(super) fn sustained(
    (of, share, limit): (&[(usize, usize)], f64, f64),
    at: &mut Moment,
) -> Result<Answer, Answer> {
    // Each value and each second moves it.
    at.same_until(Some(at.now));
    let (chosen, _) = at.first(of.iter().map(|(channel, _)| *channel))?;
    let (channel, window) = of.get(chosen).ok_or(TOO_LITTLE)?;
    let interval = at.interval(*channel);
    let window = at.windows.get(*window).ok_or(TOO_LITTLE)?;
    let beyond = window.mean().ok_or(TOO_LITTLE)?;
    let wanted = if at.raised {
        share - SHARE_HYSTERESIS
    } else {
        share
    };
    // A part of the window can show that it is not so long yet.
    if beyond < wanted && window.is_covered(interval) {
        return Ok(plain(Truth::Absent));
    }
    if !window.is_covered(interval) {
        return Err(TOO_LITTLE);
    }
    // It goes on while it is raised; to be raised it must have begun so long ago.
    let lasted = at.raised || window.is_whole(at.now) && window.oldest_mean() > Some(0.5);
    let truth = holds(lasted);
    Ok(at.broke(truth, limit))
}

pub(super) fn slope(
    (of, bound): (&[(usize, usize)], &Bound),
    memory: &mut [Memory],
    place: usize,
    at: &mut Moment,
) -> Result<Answer, Answer> {
    let (chosen, _) = at.first(of.iter().map(|(channel, _)| *channel))?;
    let (channel, window) = of.get(chosen).ok_or(TOO_LITTLE)?;
    let window = at.windows.get(*window).ok_or(TOO_LITTLE)?;
    let Some(Memory::Slope { on, slope, version }) = memory.get_mut(place) else {
        return Err(TOO_LITTLE);
    };
    let now_at = version_of(window.version(), chosen);
    if *version != now_at {
        *version = now_at;
        *slope = window.slope_per_min();
    }
    let covered = window.is_covered(at.interval(*channel));
    // Within a bucket values add to what covers it, and no more.
    at.same_within(*channel, if covered { Band::ANY } else { Band::NONE });
    at.same_until(window.until());
    let slope = slope.filter(|_| covered).ok_or(TOO_LITTLE)?;
    let truth = bound.judge(slope, Some(on), at.raised);
    Ok(at.broke(truth, bound.limit))
}

/// Which channel speaks is a part of the version: another value has another
/// past.
pub(super) fn version_of(window: i64, chosen: usize) -> i64 {
    let chosen = i64::try_from(chosen).unwrap_or(i64::MAX);
    window.wrapping_mul(64).wrapping_add(chosen)
}

/// Certain as soon as one earlier value proves it; that nothing proves it is
/// only known when enough came. A person enters when there is something to say.
pub(super) fn swing(
    (of, side, by, manual): (&[Swings], Side, f64, bool),
    at: &mut Moment,
) -> Result<Answer, Answer> {
    let (chosen, value) = at.first(of.iter().map(|swings| swings.channel))?;
    let Swings {
        channel,
        window,
        from,
    } = of.get(chosen).ok_or(TOO_LITTLE)?;
    at.same_within(*channel, Band::NONE);
    at.same_within(*from, Band::NONE);
    at.same_until(at.windows.get(*window).and_then(Window::until));
    let covered = manual || {
        let interval = at.interval(*channel);
        at.windows
            .get(*window)
            .is_some_and(|w| w.is_covered(interval))
    };
    let window = at.windows.get(*window).ok_or(TOO_LITTLE)?;
    let limit = match side {
        Side::High => window.least().map(|least| least + by),
        Side::Low => window.greatest().map(|greatest| greatest - by),
    };
    let limit = limit.ok_or(TOO_LITTLE)?;
    let proven = match side {
        Side::High => value >= limit,
        Side::Low => value <= limit,
    };
    if !proven && !covered {
        return Err(TOO_LITTLE);
    }
    Ok(at.broke(holds(proven), limit))
}

pub(super) fn usable(of: &[usize], at: &mut Moment) -> Answer {
    match at.first(of.iter().copied()) {
        // Whatever it says.
        Ok(_) => plain(Truth::Present),
        Err(unknown) if at.silent => unknown,
        Err(_) => plain(Truth::Absent),
    }
}

/// That a value is not there is what it says; only of a source that is not
/// heard at all nothing is known.
pub(super) fn gone(of: usize, below: Option<f64>, at: &mut Moment) -> Answer {
    let Some(channel) = at.channels.get(of) else {
        return TOO_LITTLE;
    };
    if at.silent {
        at.same_within(of, Band::NONE);
        return Answer {
            applies: channel.is_seen(),
            ..TOO_LITTLE
        };
    }
    let (gone, same) = match (channel.input(at.now, at.raw), below) {
        (Input::Value(_), None) => (false, Band::ANY),
        (Input::Value(value), Some(below)) if value < below => {
            (true, Band::at_most(below.next_down()))
        }
        (Input::Value(_), Some(below)) => (false, Band::at_least(below)),
        (Input::Gap | Input::Stopped, _) => (channel.is_seen(), Band::NONE),
    };
    at.same_within(of, same);
    Answer {
        truth: holds(gone),
        applies: channel.is_seen(),
    }
}

/// From `before` the next value is due until `after` that, and for `after`
/// behind one that came.
pub(super) fn measuring(of: usize, (before, after): (Span, Span), at: &mut Moment) -> Answer {
    let last = at
        .channels
        .get(of)
        .and_then(|c| Some((c.heard_at?, c.interval)));
    let Some((heard_at, interval)) = last else {
        at.same_within(of, Band::NONE);
        return Answer {
            truth: Truth::Absent,
            applies: false,
        };
    };
    let next = heard_at.plus(interval);
    // Where they come so often that it is always about time, only what just
    // came counts.
    let cycles = interval.0 > before.0.saturating_add(after.0).saturating_mul(2);
    let begins = next.plus(Span(before.0.saturating_neg()));
    let ends = next.plus(after);
    let came = heard_at.plus(after);
    at.wake(came);
    if cycles {
        at.wake(begins);
        at.wake(ends);
    }
    if at.due.is_none() {
        // Else it is asked each time: what comes need not say so.
        at.same_within(of, Band::NONE);
    }
    let due = cycles && begins <= at.now && at.now < ends;
    plain(holds(at.now < came || due))
}

/// Held now, or within the span before.
pub(super) fn lately(
    asked: Answer,
    (memory, place): (&mut [Memory], usize),
    within: Span,
    at: &mut Moment,
) -> Answer {
    let Some(Memory::Last(last)) = memory.get_mut(place) else {
        return asked;
    };
    if asked.truth == Truth::Present {
        *last = Some(at.now);
        // Each asking moves it on.
        at.same_until(Some(at.now));
    }
    let Some(until) = last
        .map(|last| last.plus(within))
        .filter(|_| within > Span::ZERO)
    else {
        return asked;
    };
    if until <= at.now {
        return asked;
    }
    at.wake(until);
    Answer {
        truth: Truth::Present,
        ..asked
    }
}

/// Holds when so many hold; does not when so many cannot hold any more.
pub(super) fn count(asked: impl Iterator<Item = Answer>, wanted: usize) -> Answer {
    let (mut present, mut open, mut applying) = (0, 0, 0);
    let mut unknown = Truth::Absent;
    for Answer { truth, applies } in asked {
        applying += usize::from(applies);
        match truth {
            Truth::Present => present += 1,
            Truth::Absent => {}
            Truth::Unknown { stopped } => {
                open += 1;
                let already = unknown == Truth::Unknown { stopped: true };
                unknown = Truth::Unknown {
                    stopped: stopped || already,
                };
            }
        }
    }
    let truth = match (present >= wanted, present + open >= wanted) {
        (true, _) => Truth::Present,
        (false, true) => unknown,
        (false, false) => Truth::Absent,
    };
    Answer {
        truth,
        applies: applying >= wanted,
    }
}
