//! Opening a failed store again, on a thread of its own, until it works.
//!
//! ```text
//!  failed ─► wait ─► room and sync ─► write back ─► open ─► the same journal? ─► commit ─► committer
//!              ▲          │               │           │             │               │
//!              └──────────┴───────────────┴───────────┴─────────────┴───────────────┘
//! ```
//!
//! What the failed commit may or may not have written counts as durable if the
//! opened store has it. After a failed sync the system's cache may hold what the
//! disk does not, and the next sync may say nothing of it: so the write-ahead
//! files are written back and synced before the store reads them ([`rewrite`]).
//!
//! [`rewrite`]: crate::rewrite

use crate::error::Failure;
use crate::journal::{Shared, known};
use crate::queue::{Control, Queue};
use crate::rewrite;
use crate::spaces::Spaces;
use crate::store::{Disk, guarded};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::EngineTime;
use enroute_seal::Keys;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How many times as long as the first one a wait may become.
const WAIT_MAX: u32 = 5;

/// How a store is opened again.
#[derive(Clone, Debug)]
pub(crate) struct Repair {
    pub(crate) dir: PathBuf,
    pub(crate) incarnation: u64,
    pub(crate) slice_us: u64,
    pub(crate) keys: Option<Arc<Keys>>,
    pub(crate) after: Duration,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
}

/// A store that works again, and where it stands.
#[derive(Debug)]
pub(crate) struct Repaired {
    pub(crate) spaces: Spaces,
    pub(crate) last: Position,
    pub(crate) last_at: EngineTime,
    pub(crate) known: HashSet<TransferId>,
}

impl Repair {
    /// Tries until it works or the journal is closed; then tells the committer.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let repair = self.clone();
        let thread = std::thread::Builder::new().name("journal-repair".to_owned());
        thread.spawn(move || repair.run()).map(drop)
    }

    fn run(&self) {
        let mut wait = self.after;
        while !self.queue.closed_within(wait) {
            match guarded(|| self.attempt()) {
                Ok(repaired) => {
                    let repaired = Control::Repaired(Box::new(repaired));
                    return self.queue.control(repaired);
                }
                Err(failure) => {
                    if self.shared.fail_still(&failure) {
                        tracing::warn!(reason = failure.reason(), "the journal is not repaired");
                        self.queue.control(Control::Look);
                    }
                }
            }
            wait = wait
                .saturating_mul(2)
                .min(self.after.saturating_mul(WAIT_MAX));
        }
    }

    fn attempt(&self) -> Result<Repaired, Failure> {
        let failed = |error: std::io::Error| Failure::new(&error);
        self.disk.probe(&self.dir).map_err(failed)?;
        if rewrite::write_back(&self.dir).map_err(failed)? == 0 {
            return Err(self.gone("it is no longer there"));
        }
        let spaces = Spaces::open(&self.dir, self.slice_us, self.keys.as_ref());
        let spaces = spaces.map_err(|error| Failure::new(&error))?;
        let last = spaces.tables.last(&self.dir);
        let last = last.map_err(|error| Failure::new(&error))?;
        let (last, last_at) = last.unwrap_or((Position(0), EngineTime(i64::MIN)));
        let durable = self.shared.durable();
        if spaces.tables.incarnation != self.incarnation {
            return Err(self.gone("another one is in its place"));
        }
        if last < durable {
            return Err(self.gone(&format!(
                "it ends at record {}, and {} were durable",
                last.0, durable.0
            )));
        }
        if last > Position(0) {
            let mut batch = spaces.tables.batch();
            spaces.tables.last_into(&mut batch, last, last_at);
            self.disk.commit(batch)?;
        }
        let known = known(&self.dir, &spaces).map_err(|error| Failure::new(&error))?;
        Ok(Repaired {
            spaces,
            last,
            last_at,
            known,
        })
    }

    /// Nothing that a running server could go on with.
    fn gone(&self, what: &str) -> Failure {
        let dir = self.dir.display();
        Failure::new(&format!(
            "the journal in {dir} is not the one that failed: {what}; put it back, or start anew"
        ))
    }
}
