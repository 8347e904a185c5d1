//! A journal whose disk takes nothing for a while (I8), and a server that is
//! restored from an older copy of its journal.

use crate::model::Recorded;
use crate::world::{Event, World};
use enroute_journal::{TailItem, restore};
use enroute_model::time::ServerTime;
use std::sync::atomic::Ordering;

/// A copy of the journal, and what the model knew to be in it.
pub(crate) struct Backup {
    bytes: Vec<u8>,
    recorded: Recorded,
}

impl World {
    pub(crate) fn break_journal(&mut self) {
        if let Some(on) = &self.server.on {
            self.tally.add("journals that failed", 1);
            on.broken.store(true, Ordering::SeqCst);
        }
    }

    /// The disk works again. The journal notices that by itself, on a thread of
    /// its own: so the world waits for it.
    pub(crate) fn mend_journal(&mut self) {
        let Some(on) = &mut self.server.on else {
            return;
        };
        on.broken.store(false, Ordering::SeqCst);
        if !self.outage || on.journal.failure().is_none() {
            return;
        }
        let before = on.items.len();
        loop {
            let item = on.tail.blocking_next().expect("the journal goes on");
            let last = matches!(item, TailItem::Recovered(_));
            on.items.push_back(item);
            if last {
                break;
            }
        }
        self.tailed(before);
        self.at(self.now, Event::Shard(self.server.life));
    }

    /// What the tail gave beyond the first `before` items that wait.
    pub(crate) fn tailed(&mut self, before: usize) {
        let on = self.server.on.as_ref().unwrap();
        let items: Vec<TailItem> = on.items.iter().skip(before).cloned().collect();
        for item in items {
            match item {
                TailItem::Records(records) => self.model.committed(&records),
                TailItem::Unrecorded(records) => {
                    assert!(self.outage, "unrecorded without a failure");
                    self.model.unrecorded(&records);
                }
                TailItem::Failed(_) => {
                    let on = self.server.on.as_ref().unwrap();
                    assert!(on.broken.load(Ordering::SeqCst), "it failed by itself");
                    self.outage = true;
                }
                TailItem::Recovered(last) => {
                    let held = self.model.journal.records;
                    assert_eq!(last.0, held, "what was durable, and no more");
                }
                TailItem::Tick(_) => {}
            }
        }
    }

    /// The shard may have appended what happened unrecorded.
    pub(crate) fn shard_wrote(&mut self) {
        if !self.outage {
            return;
        }
        let on = self.server.on.as_mut().unwrap();
        let before = on.items.len();
        let pending = on.journal.appender().try_submit(Vec::new());
        on.wait(pending.expect("room"));
        let (more, recording) = (on.items.len() > before, on.live.is_recording());
        self.tailed(before);
        if more {
            self.at(self.now, Event::Shard(self.server.life));
        } else if recording {
            // Viewers have been told to come again.
            self.outage = false;
            self.outages += 1;
        }
    }

    /// Copies the journal as it is now.
    pub(crate) fn back_up(&mut self) {
        let Some(on) = self.server.on.as_ref().filter(|_| !self.outage) else {
            return;
        };
        let blocks = on.journal.reader().backup(ServerTime(0)).expect("readable");
        let blocks: Vec<Vec<u8>> = blocks.map(|block| block.expect("readable")).collect();
        self.copy = Some(Backup {
            bytes: blocks.concat(),
            recorded: self.model.journal.clone(),
        });
    }

    /// The server's disk is replaced, and filled from the copy.
    pub(crate) fn restore(&mut self) {
        self.crash_server();
        let Some(copy) = self.copy.take() else { return };
        self.tally.add("servers restored from a copy", 1);
        let dir = self.server.dir.join("journal");
        std::fs::remove_dir_all(&dir).unwrap();
        restore(&mut copy.bytes.as_slice(), &dir, |_| {}).expect("the copy is whole");
        self.model.restored(copy.recorded);
        self.acts_restored();
        self.server.journals += 1;
    }
}
