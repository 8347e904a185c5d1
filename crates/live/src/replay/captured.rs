//! What the journal keeps of a recording's order of capture, so that a playback can
//! begin anywhere in it: *parts* of a quarter of an hour, each with its places and the
//! course at its start, and a *head* that says what is known of the records so far.
//!
//! It is made of records alone and may be lost: then it is made anew. Nothing of it
//! is used by another engine, or once the recording has other members, poisoned
//! records or another beginning. What comes late takes back the parts behind it.

use crate::live::{Live, LookupError};
use crate::replay::PlayError;
use crate::replay::course::{Course, Saved};
use crate::replay::device::{DeviceOrder, Moment};
use crate::replay::source::Recorded;
use crate::replay::survey::{Place, Survey};
use crate::requests::Request;
use enroute_engine::ENGINE_VERSION;
use enroute_journal::{Failure, ReadError, Side};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Format of head and parts.
const FORMAT: u32 = 1;
/// How long a part is, …
const PART_SPAN: Span = Span::from_secs(15 * 60);
/// … and how many places it has at the most.
const PART_PLACES: usize = 8_192;
/// Recordings that one look brings up to date.
const AT_ONCE: usize = 16;
/// A closed recording is brought up to date when nothing came between two looks, an
/// open one when there is so much more of it.
const MORE: Span = Span::from_secs(60 * 60);

/// What is known of all records through one.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) through: Position,
    pub(crate) survey: Survey,
    pub(crate) parts: Vec<Part>,
    /// Places in all parts.
    pub(crate) count: u64,
    pub(crate) ends_at: EngineTime,
}

/// Where a part is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// What was known when it was written.
    written: Position,
    /// Places before it.
    pub(crate) first: u64,
    /// Moment of its first place, …
    pub(crate) starts_at: EngineTime,
    /// … and of its course, behind the place before that.
    pub(crate) course_at: EngineTime,
}

/// A part.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    written: Position,
    course: Saved,
    pub(crate) places: Vec<Place>,
}

impl Row {
    pub(crate) fn course(&self, recorded: &Recorded) -> Option<Course> {
        Course::restore(recorded.directory.clone(), &self.course)
    }
}

/// For which recording a head holds.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    format: u32,
    engine: u32,
    first: Option<Position>,
    members: Vec<TransferId>,
    poisoned: usize,
}

impl Made {
    fn of(recorded: &Recorded) -> Result<Self, ReadError> {
        let mut first: Option<Position> = None;
        for member in &recorded.members {
            if let Some((from, _)) = recorded.reader.ends(member)? {
                first = Some(first.map_or(from.position, |first| first.min(from.position)));
            }
        }
        Ok(Self {
            format: FORMAT,
            engine: ENGINE_VERSION,
            first,
            members: recorded.members.clone(),
            poisoned: recorded.poisoned(),
        })
    }
}

/// What is kept of a recording; `None`: nothing that can be used.
pub(crate) fn head(recorded: &Recorded) -> Result<Option<Head>, ReadError> {
    let bytes = part(recorded, 0)?;
    let read = bytes.and_then(|bytes| postcard::from_bytes::<(Made, Head)>(&bytes).ok());
    let Some((made, head)) = read else {
        return Ok(None);
    };
    Ok((made == Made::of(recorded)?).then_some(head))
}

/// The part with this index; `None`: it is another one by now, or damaged.
pub(crate) fn row(recorded: &Recorded, index: usize, of: &Part) -> Result<Option<Row>, ReadError> {
    let number = u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1);
    let bytes = part(recorded, number)?;
    let row = bytes.and_then(|bytes| postcard::from_bytes::<Row>(&bytes).ok());
    Ok(row.filter(|row| row.written == of.written))
}

fn part(recorded: &Recorded, number: u64) -> Result<Option<bytes::Bytes>, ReadError> {
    match recorded.reader.captured(&recorded.transfer, number) {
        Err(ReadError::Record { what, .. }) => {
            tracing::warn!(transfer = %recorded.transfer, %what, "the order of capture is damaged");
            Ok(None)
        }
        read => read,
    }
}

/// Why an order is not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Play(#[from] PlayError),
    #[error("failed to read the recording: {0}")]
    Read(#[from] ReadError),
    #[error("{}", .0.reason())]
    Journal(Failure),
}

/// Brings what is kept of a recording up to date. Blocks.
fn keep(recorded: &Recorded, side: &Side) -> Result<(), KeepError> {
    let mut order = DeviceOrder::new(recorded.clone())?;
    if order.is_kept() {
        return Ok(());
    }
    let (mut head, tail, mut course) = order.unkept()?;
    // The last part goes on with the tail.
    let first = u64::try_from(head.parts.len()).unwrap_or(u64::MAX).max(1);
    head.parts.pop();
    let mut rows: Vec<Vec<u8>> = Vec::new();
    let mut steps = Vec::new();
    let mut rest = tail.as_slice();
    while let Some((starts_at, _)) = rest.first() {
        let Some(saved) = course.save() else {
            // What stands still has no course to begin at.
            return Ok(());
        };
        let (some, behind) = rest.split_at(length(rest, *starts_at));
        head.parts.push(Part {
            written: head.through,
            first: head.count,
            starts_at: *starts_at,
            course_at: saved.now,
        });
        let row = Row {
            written: head.through,
            course: saved,
            places: some.iter().map(|(_, place)| *place).collect(),
        };
        // Only a value that does not know its own length fails to encode.
        rows.push(postcard::to_stdvec(&row).unwrap_or_default());
        for moment in some {
            if let Some(taken) = order.take(*moment)? {
                course.take(&taken.record, &mut steps);
                steps.clear();
            }
        }
        let more = u64::try_from(some.len()).unwrap_or(u64::MAX);
        head.count = head.count.saturating_add(more);
        rest = behind;
    }
    let made = Made::of(recorded)?;
    let head = postcard::to_stdvec(&(made, head)).unwrap_or_default();
    side.put_captured(&recorded.transfer, &head, (first, &rows))
        .map_err(KeepError::Journal)
}

/// Places of a part that begins with the first of these.
fn length(rest: &[Moment], starts_at: EngineTime) -> usize {
    let ends_at = starts_at.plus(PART_SPAN);
    let within = rest.partition_point(|(at, _)| *at < ends_at);
    within.clamp(1, PART_PLACES)
}

/// Which recordings are up to date: up to 200,000, as many as are remembered.
#[derive(Debug, Default)]
pub struct Captures(BTreeMap<TransferId, Look>);

/// The last record of a recording …
#[derive(Debug, Default)]
struct Look {
    /// … at the last look, …
    seen: Option<EngineTime>,
    /// … and when it was brought up to date.
    done: Option<EngineTime>,
}

impl Captures {
    /// Whether there is something to do, and notes that it is done.
    fn due(&mut self, transfer: &TransferId, closed: bool, last: EngineTime) -> bool {
        let look = self.0.entry(transfer.clone()).or_default();
        let quiet = look.seen.replace(last) == Some(last);
        let due = match look.done {
            _ if closed && !quiet => false,
            None => true,
            Some(done) if closed => done != last,
            Some(done) => last.since(done) >= MORE,
        };
        if due {
            look.done = Some(last);
        }
        due
    }
}

impl Live {
    /// One look at which recordings have grown: brings some of them up to date, so
    /// that a playback in order of capture can begin anywhere in them at once.
    ///
    /// # Errors
    /// When the shard has stopped.
    pub async fn keep_captures(&self, captures: &mut Captures) -> Result<(), LookupError> {
        let recordings = self.ask(|reply| Request::Kept { reply }).await?;
        let mut left = AT_ONCE;
        let here: BTreeSet<_> = recordings.iter().map(|one| one.transfer.clone()).collect();
        captures.0.retain(|transfer, _| here.contains(transfer));
        for one in recordings {
            if left == 0 || !captures.due(&one.transfer, one.closed, one.last_at) {
                continue;
            }
            left = left.saturating_sub(1);
            let name = one.transfer.to_string();
            let reach = self.ask(|reply| Request::Members { name, reply }).await?;
            // It was joined to another one meanwhile.
            let Ok(reach) = reach else { continue };
            let members = reach
                .members
                .into_iter()
                .map(|(member, _)| member)
                .collect();
            let (reader, side) = (self.reader(), self.side.clone());
            let transfer = one.transfer.clone();
            let kept = tokio::task::spawn_blocking(move || {
                let recorded = Recorded::open(&reader, transfer, members)?;
                keep(&recorded, &side)
            });
            match kept.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(transfer = %one.transfer, %error, "no order of capture is kept");
                }
                Err(_) => return Err(LookupError::Stopped),
            }
        }
        Ok(())
    }
}
