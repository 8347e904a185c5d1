//! The playhead: which records and deadlines are due at a moment of the viewer's
//! time, and what they say. No I/O but what its [`Source`] does, no clock.
//!
//! ```text
//!  recording ──●──●────●──●──●───────●──●──►   records and deadlines, each at its time
//!                      ▲ head = anchor + (now − anchored) × speed
//! ```

use crate::engines::Step;
use crate::replay::course::Course;
use crate::replay::index::{Index, raised};
use crate::replay::source::{Source, Taken};
use crate::replay::telling::Telling;
use crate::replay::{Command, Order, Play, Replayed, Speed, State};
use crate::update::Update;
use enroute_journal::ReadError;
use enroute_model::ids::TransferId;
use enroute_model::state::Phase;
use enroute_model::time::{EngineTime, Span};

/// Records and deadlines handled at once; then what they said is sent.
const BATCH: usize = 256;
/// Pictures follow each other no faster than this.
const BETWEEN: Span = Span::from_millis(20);
/// How often an open transfer is looked at for new records.
const LOOK_EVERY: Span = Span::from_millis(200);
/// So near to its end an open transfer is now.
const NEAR_NOW: Span = Span::from_secs(1);
/// A deadline that is no later than this after the last one may be one that an
/// engine asks for again and again.
const FINE: Span = Span::from_millis(1);

/// What is to be said, each with its moment of the recording.
pub(crate) type Told = Vec<(EngineTime, Update)>;
/// What a record or deadline did, and the record.
type Event = (Vec<Step>, Option<Taken>);

pub(crate) struct Player {
    source: Box<dyn Source>,
    course: Course,
    transfer: TransferId,
    order: Order,
    /// The record behind the playhead, looked at already.
    next: Option<Taken>,
    /// The last record handled.
    place: u64,
    head: EngineTime,
    /// The playhead stood there at that time.
    anchor: (Span, EngineTime),
    /// When it last handled what was due.
    played: Span,
    speed: Speed,
    paused: bool,
    /// The present, while the transfer is open.
    present: Option<EngineTime>,
    index: Index,
    /// The course has run from the start of the index without a hole.
    indexed: bool,
    telling: Telling,
    jump: u32,
    note: Option<&'static str>,
}

impl Player {
    /// At `play.from`; `present`: the transfer is open, and it is then.
    pub(crate) fn new(
        source: Box<dyn Source>,
        transfer: TransferId,
        play: &Play,
        now: Span,
        present: Option<EngineTime>,
    ) -> Result<(Self, Told), ReadError> {
        let course = Course::new(source.directory());
        let (first, _) = source.bounds();
        let mut player = Self {
            source,
            course,
            transfer,
            order: play.order,
            next: None,
            place: 0,
            head: first,
            anchor: (now, first),
            played: now,
            speed: play.speed,
            paused: play.paused,
            present,
            index: Index::new(),
            indexed: true,
            telling: Telling::new(play.samples, play.waveforms),
            jump: 0,
            note: None,
        };
        let mut told = Told::new();
        if let Some(from) = play.from {
            player.run_to(from)?;
        } else {
            // What the first records did is told as well.
            while let Some((steps, taken)) = player.event(first)? {
                player.note(&steps, taken.as_ref(), &mut told);
            }
            player.look()?;
        }
        player.anchor = (now, player.head);
        told.insert(0, (player.head, player.telling.picture(&player.course)));
        Ok((player, told))
    }

    /// Where the playhead is.
    pub(crate) fn replayed(&self) -> Replayed {
        Replayed {
            at: self.head,
            speed: self.speed,
            order: self.order,
            state: self.state(),
            starts_at: self.source.bounds().0,
            ends_at: self.end(),
            open: self.present.is_some(),
            jump: self.jump,
            note: self.note,
        }
    }

    /// Where the playhead was when this was said.
    pub(crate) fn replayed_at(&self, at: EngineTime) -> Replayed {
        let replayed = self.replayed();
        let state = if at < replayed.at && !self.paused {
            State::Playing
        } else {
            replayed.state
        };
        Replayed {
            at,
            state,
            ..replayed
        }
    }

    fn state(&self) -> State {
        let left = self.end().since(self.head);
        let over = self.next.is_none();
        match self.present {
            Some(_) if over && left < NEAR_NOW => State::CaughtUp,
            None if over && left <= Span::ZERO => State::Ended,
            _ if self.paused => State::Paused,
            _ => State::Playing,
        }
    }

    /// In order of capture nothing is known behind the last record.
    fn end(&self) -> EngineTime {
        let (_, last) = self.source.bounds();
        match (self.order, self.present) {
            (Order::Arrival, Some(present)) => present.max(last),
            (Order::Arrival, None) | (Order::Device, _) => last,
        }
    }

    /// It is so late now, for an open transfer.
    pub(crate) fn tell_present(&mut self, present: EngineTime) {
        self.present = self.present.map(|_| present);
    }

    /// Why what was asked for was not done.
    pub(crate) fn say(&mut self, note: &'static str) {
        self.note = Some(note);
    }

    /// When [`Player::play`] has something to do again.
    pub(crate) fn next_due(&self, now: Span) -> Option<Span> {
        if self.paused || self.state() == State::Ended {
            return None;
        }
        // Counted from the last time, so that whoever asks often delays nothing.
        let soon = Span(self.played.0.saturating_add(BETWEEN.0));
        if self.state() == State::CaughtUp {
            return Some(Span(self.played.0.saturating_add(LOOK_EVERY.0)));
        }
        if self.speed == Speed::FASTEST {
            return Some(now);
        }
        let record = self.next.as_ref().map(|taken| taken.record.at);
        let events = record.into_iter().chain(self.course.next_deadline());
        let at = events.min().unwrap_or_else(|| self.end()).min(self.end());
        let wait = self.speed.takes(at.since(self.anchor.1));
        Some(Span(self.anchor.0.0.saturating_add(wait.0)).max(soon))
    }

    /// The time is `now`: handles what is due, up to a batch.
    pub(crate) fn play(
        &mut self,
        now: Span,
        present: EngineTime,
        out: &mut Told,
    ) -> Result<(), ReadError> {
        self.played = now;
        self.look_at_now(present)?;
        if self.paused {
            return Ok(());
        }
        let passed = Span(now.0.saturating_sub(self.anchor.0.0));
        let due = self.speed.covers(passed);
        let due = due.map_or(EngineTime(i64::MAX), |span| self.anchor.1.plus(span));
        let target = due.min(self.end());
        for _ in 0..BATCH {
            let Some((steps, taken)) = self.event(target)? else {
                self.arrive(target);
                break;
            };
            self.note(&steps, taken.as_ref(), out);
        }
        if self.head < target || target < due {
            // It cannot keep up, or is at the end: it goes on from where it is.
            self.anchor = (now, self.head);
        }
        self.look()?;
        self.flush(now, out);
        Ok(())
    }

    /// Whether the transfer is still open, and what has come.
    fn look_at_now(&mut self, present: EngineTime) -> Result<(), ReadError> {
        self.tell_present(present);
        if self.present.is_none() || self.order == Order::Device || self.look()? {
            return Ok(());
        }
        self.source.refresh()?;
        let more = self.look()?;
        let slot = self.course.engines.slots.get(&self.transfer);
        let closed = slot.is_some_and(|slot| slot.engine.phase() != Phase::Open);
        if closed && !more {
            self.present = None;
        }
        Ok(())
    }

    /// Does what the viewer asks; `true`: the picture is another one.
    pub(crate) fn command(
        &mut self,
        now: Span,
        command: Command,
        out: &mut Told,
    ) -> Result<bool, ReadError> {
        self.note = None;
        let before = self.jump;
        match command {
            Command::Pause => self.paused = true,
            Command::Resume => self.paused = false,
            Command::Speed(speed) => self.speed = speed,
            Command::StepFrame => self.step_frame(now, out)?,
            Command::StepSecond => self.step_to(now, self.head.plus(Span::from_secs(1)), out)?,
            Command::Seek(at) => self.seek(at)?,
            Command::NextAlert => self.next_alert()?,
            Command::PreviousAlert => self.previous_alert()?,
            // The caller has the other source: `reorder`.
            Command::Order(_) => {}
        }
        self.anchor = (now, self.head);
        let jumped = self.jump != before;
        if jumped {
            out.push((self.head, self.telling.picture(&self.course)));
        }
        Ok(jumped)
    }

    /// Goes on at the same moment in this order, of the transfer as it is by now.
    pub(crate) fn reorder(
        &mut self,
        now: Span,
        transfer: &TransferId,
        (order, source): (Order, Box<dyn Source>),
        out: &mut Told,
    ) -> Result<(), ReadError> {
        self.course = Course::new(source.directory());
        self.source = source;
        self.transfer.clone_from(transfer);
        self.order = order;
        (self.next, self.place) = (None, 0);
        (self.index, self.indexed) = (Index::new(), true);
        self.seek(self.head)?;
        self.anchor = (now, self.head);
        out.push((self.head, self.telling.picture(&self.course)));
        Ok(())
    }

    fn note(&mut self, steps: &[Step], taken: Option<&Taken>, out: &mut Told) {
        let mut updates = Vec::new();
        self.telling.note(steps, taken, &mut updates);
        let at = self.head;
        out.extend(updates.into_iter().map(|update| (at, update)));
    }

    fn flush(&mut self, now: Span, out: &mut Told) {
        let mut updates = Vec::new();
        self.telling.flush(now, &self.course, &mut updates);
        let at = self.head;
        out.extend(updates.into_iter().map(|update| (at, update)));
    }

    fn step_frame(&mut self, now: Span, out: &mut Told) -> Result<(), ReadError> {
        self.look()?;
        match self.next.as_ref().map(|taken| taken.place) {
            Some(place) => {
                while self.place != place {
                    let Some((steps, taken)) = self.event(EngineTime(i64::MAX))? else {
                        break;
                    };
                    self.note(&steps, taken.as_ref(), out);
                }
                self.paused = true;
                self.look()?;
                self.flush(now, out);
                Ok(())
            }
            None => self.step_to(now, self.end(), out),
        }
    }

    fn step_to(&mut self, now: Span, to: EngineTime, out: &mut Told) -> Result<(), ReadError> {
        let to = to.min(self.end());
        self.paused = true;
        while let Some((steps, taken)) = self.event(to)? {
            self.note(&steps, taken.as_ref(), out);
        }
        self.arrive(to);
        self.flush(now, out);
        Ok(())
    }

    fn seek(&mut self, at: EngineTime) -> Result<(), ReadError> {
        self.run_to(at)?;
        self.jump = self.jump.wrapping_add(1);
        Ok(())
    }

    /// Brings the course to a moment, silently, from the nearest place known.
    fn run_to(&mut self, at: EngineTime) -> Result<(), ReadError> {
        let (first, end) = (self.source.bounds().0, self.end());
        let at = at.min(end).max(first);
        self.go_near(at)?;
        while self.event(at)?.is_some() {}
        self.arrive(at);
        self.look()?;
        Ok(())
    }

    fn go_near(&mut self, at: EngineTime) -> Result<(), ReadError> {
        let here = (self.course.now <= at).then_some(self.course.now);
        let saved = self.index.before(at).map(|(_, saved)| saved.now);
        if at > self.index.through
            && let Some((place, course)) = self.source.stored(at)?
            && Some(course.now) > here.max(saved)
        {
            self.go_on(place, course, false);
        } else if saved > here || (here.is_none() && saved.is_none()) {
            self.go_back(at);
        }
        Ok(())
    }

    /// To the last saved course before `at`, or the start.
    fn go_back(&mut self, at: EngineTime) {
        let saved = self.index.before(at);
        let restored = saved.and_then(|(place, saved)| {
            let course = Course::restore(self.source.directory(), saved)?;
            Some((*place, course))
        });
        let (place, course) = restored.unwrap_or_else(|| (0, Course::new(self.source.directory())));
        self.go_on(place, course, true);
    }

    fn go_on(&mut self, place: u64, course: Course, indexed: bool) {
        self.head = course.now;
        (self.place, self.course, self.indexed) = (place, course, indexed);
        self.source.seek(place);
        self.next = None;
    }

    fn next_alert(&mut self) -> Result<(), ReadError> {
        let from = self.head;
        if let Some(at) = self.index.alert_after(from) {
            return self.seek(at);
        }
        let end = self.end();
        while let Some((steps, _)) = self.event(end)? {
            if let Some(at) = raised(&steps).find(|at| *at > from) {
                return self.seek(at);
            }
        }
        self.seek(from)?;
        self.note = Some("no alert asked for attention after this moment");
        Ok(())
    }

    fn previous_alert(&mut self) -> Result<(), ReadError> {
        let from = self.head;
        if self.index.through < from {
            self.go_back(self.index.through);
            while self.event(from)?.is_some() {}
        }
        // Who is playing has come a little way from the alert that was jumped to.
        let grace = self.speed.covers(Span::from_secs(2)).unwrap_or(Span::ZERO);
        let grace = if self.paused { Span::ZERO } else { grace };
        let limit = EngineTime(from.0.saturating_sub(grace.0));
        let found = self.index.alert_before(limit);
        self.seek(found.unwrap_or(from))?;
        if found.is_none() {
            self.note = Some("no alert asked for attention before this moment");
        }
        Ok(())
    }

    /// Nothing is left up to `at`.
    fn arrive(&mut self, at: EngineTime) {
        let mut none = Vec::new();
        self.course.advance(at, &mut none);
        self.head = self.head.max(at);
    }

    /// Looks at the next record; false: there is none.
    fn look(&mut self) -> Result<bool, ReadError> {
        if self.next.is_none() {
            self.next = self.source.next()?;
        }
        Ok(self.next.is_some())
    }

    /// The next record or deadline up to `until`.
    fn event(&mut self, until: EngineTime) -> Result<Option<Event>, ReadError> {
        self.look()?;
        let record = self.next.as_ref().map(|taken| taken.record.at);
        let stop = record.map_or(until, |record| record.min(until));
        let mut steps = Vec::new();
        let deadline = self.course.next_deadline().filter(|at| *at <= stop);
        let taken = match deadline {
            Some(at) if at > self.course.now.plus(FINE) => {
                self.course.advance(at, &mut steps);
                None
            }
            Some(_) | None if record.is_some_and(|record| record <= until) => {
                let taken = self.next.take();
                if let Some(taken) = &taken {
                    self.course.take(&taken.record, &mut steps);
                    self.place = taken.place;
                }
                taken
            }
            Some(_) => {
                self.course.advance(stop, &mut steps);
                None
            }
            None => return Ok(None),
        };
        self.head = self.head.max(self.course.now);
        if self.indexed {
            self.index.extend(&self.course, self.place, &steps);
        }
        Ok(Some((steps, taken)))
    }
}
