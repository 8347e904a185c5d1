//! What a frame does.

use super::{Bound, Engine};
use crate::alerts::Now;
use crate::bounds::{CREW_LOG_MAX, SOURCES_MAX};
use crate::effects::{Effects, Request};
use crate::ledger::Taken;
use crate::source::Source;
use crate::value::Origin;
use enroute_model::frame::{Body, CrewEvent, Frame, Priority};
use enroute_model::ids::{GatewayId, Lane};
use enroute_model::notes::{CrewEntry, NoteTaken};
use enroute_model::reading::Reading;
use enroute_model::registry::Population;
use enroute_model::state::{AlertKind, Verdict};

impl Engine {
    pub(super) fn frame(
        &mut self,
        gateway: &GatewayId,
        (lane, digest): (Lane, u32),
        frame: &Frame,
        out: &mut Effects,
    ) -> Verdict {
        if !self.ensure_source(gateway) {
            self.overflow.sources = self.overflow.sources.saturating_add(1);
            return Verdict::refused("too many gateways speak for this transfer");
        }
        let header = &frame.header;
        let taken = self.with_source(gateway, out, |source, ctx| source.take(frame, digest, ctx));
        match taken {
            Some(Taken::New) => {}
            Some(Taken::Duplicate) => {
                // Of a shed record it speaks for the frames before it all the same.
                if let Body::Shed(shed) = &frame.body {
                    self.with_source(gateway, out, |source, _| source.give_up(header, shed));
                }
                return Verdict::Duplicate;
            }
            Some(Taken::Conflict) => {
                self.conflict(gateway, frame, out);
                return Verdict::Conflict;
            }
            Some(Taken::Full) | None => {
                self.overflow.ranges = self.overflow.ranges.saturating_add(1);
                return Verdict::refused("too many gaps in this stream");
            }
        }
        self.last_frame_at = self.now;
        if header.exercise && !self.exercise {
            self.exercise = true;
            out.changed.info = true;
        }
        if lane == Lane::Live && self.closed_by_silence {
            self.reopen(out);
        }
        Verdict::Accepted {
            late: self.place_and_apply(gateway, lane, frame, out),
        }
    }

    fn place_and_apply(
        &mut self,
        gateway: &GatewayId,
        lane: Lane,
        frame: &Frame,
        out: &mut Effects,
    ) -> bool {
        let (header, now) = (&frame.header, self.now);
        let placed = self.with_source(gateway, out, |source, ctx| {
            let mut origin = source.place(header, lane, now);
            let excused = source.excused;
            if lane == Lane::Live {
                source.heard(ctx);
            }
            if origin.late {
                source.technical.note_progress(now);
            }
            if !origin.late {
                origin.measured_at = source.note_clocks(header, ctx);
            }
            (origin, excused && !source.excused)
        });
        let Some((origin, new_deadlines)) = placed else {
            return true;
        };
        if new_deadlines {
            self.bound = Bound::Unknown;
        }
        self.body(gateway, frame, origin, out);
        let link = self.sources.get(gateway);
        self.arm(link.and_then(|source| source.link.next_timeout()));
        origin.late
    }

    fn body(&mut self, gateway: &GatewayId, frame: &Frame, origin: Origin, out: &mut Effects) {
        match &frame.body {
            Body::Numerics(numerics) => {
                let due = self.with_source(gateway, out, |source, ctx| {
                    if origin.late {
                        source.note_late(&frame.header, numerics, ctx);
                        return source.numerics(numerics, origin, ctx);
                    }
                    let silence = source.silence_before(&frame.header, ctx);
                    let due = source.numerics(numerics, origin, ctx);
                    source.search_silence(silence, ctx);
                    let sensors = source.note_sensors(numerics, ctx);
                    let derived = source.derive(false, ctx);
                    let asked = source.ask_if_watched(ctx);
                    let due = due.into_iter().chain(sensors).chain(derived);
                    due.chain(asked).min()
                });
                self.arm(due.flatten());
                if !origin.late {
                    self.answer_for_others(gateway, out);
                }
            }
            Body::Waveforms(_) if !origin.late => {
                self.with_source(gateway, out, |source, _| source.note_waveforms());
            }
            Body::DeviceAlarms(alarms) => {
                self.with_source(gateway, out, |source, ctx| {
                    source.note_device_alarms(alarms, origin, ctx);
                });
            }
            Body::Position(point) => {
                let index = self.appeared.iter().position(|known| known == gateway);
                let index = index
                    .and_then(|i| u32::try_from(i).ok())
                    .unwrap_or(u32::MAX);
                let (who, what) = ((gateway, index), (*point, origin.order));
                let legs = &self.info.legs;
                self.journey
                    .position(who, what, origin.late, self.now, legs);
                out.changed.travel = true;
            }
            Body::Crew(event) => self.crew(gateway, event, origin, out),
            Body::Link(report) => {
                let header = &frame.header;
                let moved = self.with_source(gateway, out, |source, ctx| {
                    source.book_report(header, report, origin.late);
                    !origin.late && source.note_report(report.clone(), ctx)
                });
                if moved == Some(true) {
                    self.bound = Bound::Unknown;
                }
            }
            Body::Shed(shed) => {
                let header = &frame.header;
                self.with_source(gateway, out, |source, ctx| {
                    source.give_up(header, shed);
                    source.note_given_up(ctx);
                });
            }
            Body::Waveforms(_) | Body::Unknown => {}
        }
    }

    /// Makes sure that a source is known, if there is room.
    pub(super) fn ensure_source(&mut self, gateway: &GatewayId) -> bool {
        if self.sources.contains_key(gateway) {
            return true;
        }
        if self.sources.len() >= SOURCES_MAX {
            return false;
        }
        self.sources
            .insert(gateway.clone(), Box::new(Source::new(self.now)));
        self.appeared.push(gateway.clone());
        self.with_source(gateway, &mut Effects::default(), |source, ctx| {
            source.adopt_conditions(None, ctx);
        });
        self.bound = Bound::Unknown;
        true
    }

    fn conflict(&mut self, gateway: &GatewayId, frame: &Frame, out: &mut Effects) {
        let kind = AlertKind::Conflict(frame.header.stream);
        let watched = self
            .sources
            .get(gateway)
            .is_some_and(|source| source.active);
        let known = self
            .alerts
            .open()
            .any(|alert| alert.gateway.as_ref() == Some(gateway) && alert.kind == kind);
        if self.is_open() && watched && !known {
            let now = Now::technical(Priority::Low, self.now);
            self.alerts
                .set((Some(gateway.clone()), kind), now, self.now, out);
        }
    }

    /// What inactive sources left unknown, this one may answer.
    fn answer_for_others(&mut self, gateway: &GatewayId, out: &mut Effects) {
        let mut sources = self.sources.values();
        if sources.len() < 2 || !sources.any(|source| !source.active && source.has_open()) {
            return;
        }
        let Some(speaking) = self.sources.remove(gateway) else {
            return;
        };
        if speaking.active && self.is_open() {
            for other in self.appeared.clone() {
                self.with_source(&other, out, |source, ctx| {
                    if !source.active {
                        source.yield_to(&speaking, ctx);
                    }
                });
            }
        }
        self.sources.insert(gateway.clone(), speaking);
    }

    fn crew(&mut self, gateway: &GatewayId, event: &CrewEvent, origin: Origin, out: &mut Effects) {
        match event {
            CrewEvent::Observation { code, value } => {
                let entered = (*code, Reading::measured(*value));
                let due = self.with_source(gateway, out, |source, ctx| {
                    let due = source.observation(entered, origin, ctx);
                    let due = due.into_iter().chain(source.derive(true, ctx)).min();
                    let asked = (!origin.late).then(|| source.ask_if_watched(ctx));
                    due.into_iter().chain(asked.flatten()).min()
                });
                self.arm(due.flatten());
                return;
            }
            CrewEvent::Population(population) => {
                self.crew_population(gateway, *population, origin, out);
            }
            CrewEvent::Join { short_code } => out.requests.push(Request::Join {
                gateway: gateway.clone(),
                short_code: short_code.clone(),
            }),
            CrewEvent::HandOver => {
                self.with_source(gateway, out, |source, ctx| {
                    if !(origin.late && source.named) {
                        source.deactivate(ctx);
                    }
                });
            }
            CrewEvent::End => self.close(out),
            CrewEvent::NotesTaken { notes, read } => {
                let taken = NoteTaken {
                    gateway: gateway.clone(),
                    at: origin.captured_at,
                };
                return self.notes_taken(notes, *read, &taken, out);
            }
            CrewEvent::Intervention { .. } | CrewEvent::Note(_) => {}
        }
        self.log(gateway, event, origin, out);
        self.bound = Bound::Unknown;
    }

    /// The newest word of a crew counts, however late it comes.
    fn crew_population(
        &mut self,
        gateway: &GatewayId,
        population: Population,
        origin: Origin,
        out: &mut Effects,
    ) {
        let newest = self.with_source(gateway, out, |source, _| {
            let newer = source.population_order < Some(origin.order);
            if newer {
                source.population_order = Some(origin.order);
            }
            newer
        });
        if newest == Some(true) {
            self.set_population(population, out);
        }
    }

    /// By the crew's clock, so that what comes late is where it belongs.
    fn log(&mut self, gateway: &GatewayId, event: &CrewEvent, origin: Origin, out: &mut Effects) {
        let captured_at = origin.captured_at;
        let place = self
            .crew_log
            .partition_point(|entry| entry.captured_at <= captured_at);
        let entry = CrewEntry {
            captured_at,
            gateway: gateway.clone(),
            event: event.clone(),
            read: None,
        };
        self.crew_log.insert(place, entry);
        if self.crew_log.len() > CREW_LOG_MAX {
            self.crew_log.remove(0);
        }
        out.changed.crew_log = true;
    }
}
