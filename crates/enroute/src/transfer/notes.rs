//! `enroute transfer note`: reads what crew and hospital wrote, and writes to the crew.

use super::Server;
use crate::args::NoteArgs;
use crate::watch::notes;
use crate::{out, utc};
use anyhow::{Result, bail};
use enroute_wire::v1::registry_action::Action;

impl Server {
    pub(super) async fn note(&self, args: NoteArgs) -> Result<()> {
        let state = self.find(&args.transfer).await?;
        if let Some(text) = args.text {
            if text.trim().is_empty() {
                bail!("the note is empty");
            }
            let action = Action::NoteToCrew(text.trim().to_owned());
            let done = "the note goes to the crew; `enroute transfer note` says when it is read";
            return self.act_as(&state.transfer, action, done, args.actor).await;
        }
        for entry in notes::entries(&state).iter().rev().filter(|e| e.is_note) {
            let at = utc::rfc3339(entry.at_us);
            out::line(format!("{at}  {}", entry.text))?;
        }
        if args.read {
            for read in notes::unread(&state) {
                let done = format!("the notes of {} are read", read.gateway);
                let action = Action::NotesRead(read);
                self.act_as(&state.transfer, action, &done, args.actor.clone())
                    .await?;
            }
        }
        Ok(())
    }
}
