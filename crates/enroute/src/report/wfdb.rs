//! A WFDB record through the engine, as a gateway's source gives it, without the
//! network: every value is received at the time at which it was measured.

use super::Course;
use anyhow::{Result, anyhow};
use enroute_alert::book::{Books, RuleBook};
use enroute_engine::{Effects, Engine};
use enroute_gateway::{Source, WfdbConfig, WfdbSource};
use enroute_model::frame::{Emission, Frame, Header};
use enroute_model::ids::{BookHash, Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::record::{Entry, Record};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime};
use std::path::Path;
use std::sync::Arc;

/// What the engine makes of the record at `path`.
pub(super) fn course(
    path: &Path,
    zero_is_missing: bool,
    book: Option<&Arc<RuleBook>>,
) -> Result<Course> {
    let path = if path.extension().is_some_and(|extension| extension == "hea") {
        path.with_extension("")
    } else {
        path.to_owned()
    };
    let mut config = WfdbConfig::new(path);
    config.zero_is_missing = zero_is_missing;
    let mut source = WfdbSource::open(config).map_err(|error| anyhow!("{error}"))?;
    let mut player = Player::new(book)?;
    while let Some(emission) = source.next() {
        player.take(emission);
    }
    Ok(player.finish())
}

/// A gateway and an engine in one.
struct Player {
    transfer: TransferId,
    gateway: GatewayId,
    engine: Engine,
    /// To be named before the first frame.
    book: Option<BookHash>,
    effects: Effects,
    position: u64,
    sequences: [u64; 3],
    /// The monitor's clock when the record began.
    base: Option<i64>,
    course: Course,
}

impl Player {
    fn new(book: Option<&Arc<RuleBook>>) -> Result<Self> {
        let transfer = TransferId::new("wfdb")?;
        let books = Books::default();
        if let Some(book) = book {
            books.put(Arc::clone(book));
        }
        Ok(Self {
            engine: Engine::with_books(transfer.clone(), books),
            book: book.map(|book| book.hash()),
            transfer,
            gateway: GatewayId::new("wfdb")?,
            effects: Effects::default(),
            position: 0,
            sequences: [0; 3],
            base: None,
            course: Course {
                steps: Vec::new(),
                from_us: 0,
                to_us: 0,
            },
        })
    }

    fn take(&mut self, emission: Emission) {
        let Emission {
            due,
            observed_at,
            body,
        } = emission;
        let base = observed_at.map_or(0, |at| at.0.saturating_sub(due.0));
        let base = *self.base.get_or_insert(base);
        let at = base.saturating_add(due.0);
        let Some(stream) = enroute_wire::frame::stream_of(&body) else {
            return;
        };
        let header = Header {
            epoch: Epoch(1),
            stream,
            sequence: self.number(stream),
            leg_first: 1,
            captured_at: GatewayTime(at),
            observed_at,
            boot: 1,
            monotonic: due,
            clocks: None,
            exercise: true,
        };
        if self.position == 0 {
            self.course.from_us = at;
        }
        if let Some(hash) = self.book.take() {
            self.handle(at, Entry::RuleBook { hash });
        }
        let entry = Entry::Frame {
            gateway: self.gateway.clone(),
            lane: Lane::Live,
            // Each sequence comes once: there is nothing to tell apart.
            digest: 0,
            frame: Box::new(Frame { header, body }),
        };
        self.handle(at, entry);
        self.course.to_us = self.course.to_us.max(at);
        self.collect();
    }

    fn handle(&mut self, at: i64, entry: Entry) {
        self.position = self.position.saturating_add(1);
        let record = Record {
            position: Position(self.position),
            at: EngineTime(at),
            received_at: ServerTime(at),
            transfer: self.transfer.clone(),
            entry,
        };
        self.engine.handle(&record, &mut self.effects);
    }

    fn number(&mut self, stream: Stream) -> u64 {
        let index = match stream {
            Stream::Events => 0,
            Stream::Numerics => 1,
            Stream::Waveforms => 2,
        };
        self.sequences.get_mut(index).map_or(0, |sequence| {
            *sequence = sequence.saturating_add(1);
            *sequence
        })
    }

    fn collect(&mut self) {
        let transfer = &self.transfer;
        let alerts = self.effects.alerts.iter();
        let steps = alerts.map(|alert| enroute_wire::state::transition_to(transfer, alert));
        self.course.steps.extend(steps);
        self.effects.clear();
    }

    fn finish(mut self) -> Course {
        let end = EngineTime(self.course.to_us);
        self.engine.handle_timeout(end, &mut self.effects);
        self.collect();
        self.course
    }
}
