//! One call on its way: who makes it as the audit log knows them, and whether it is on
//! record yet.
//!
//! A service says what it lets through by `Caller::admit`. What no service said is
//! told by the gate when the answer is there, so that no method can be forgotten. Not
//! on record is what was let through of [`is_quiet`].

use enroute_access::{Action, Glass, Token};
use enroute_audit::{Audit, Entry, NotWritten, Outcome, Who};
use enroute_tls::Came;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;
use tonic::{Code, Status};

/// What screens do by themselves all the time, and tells of no patient: that an alert
/// was shown, a playback steered by who plays it, the server's health and its contract
/// asked for, and the pages about the service read.
pub(crate) fn is_quiet(method: &str, action: Option<Action>) -> bool {
    matches!(action, Some(Action::Report | Action::SeeService))
        || method == "Replay/Control"
        || method.starts_with("grpc.")
}

/// One call.
pub(crate) struct Call {
    audit: Option<Audit>,
    /// Without the package of the contract.
    method: String,
    who: Who,
    /// How somebody calls themselves of whom no token is asked.
    claimed: OnceLock<String>,
    /// What of its method, in a word.
    what: OnceLock<&'static str>,
    is_told: AtomicBool,
}

impl Call {
    pub(crate) fn new(audit: Option<Audit>, path: &str, came: Option<&Came>) -> Self {
        let path = path.trim_start_matches('/');
        let method = path.strip_prefix("enroute.v1.").unwrap_or(path);
        let who = Who {
            role: "nobody".to_owned(),
            peer: came.and_then(|came| came.peer.as_ref()?.name.clone()),
            from: came.map(|came| came.from.to_string()),
            ..Who::default()
        };
        Self {
            audit,
            method: method.to_owned(),
            who,
            claimed: OnceLock::new(),
            what: OnceLock::new(),
            is_told: AtomicBool::new(false),
        }
    }

    /// The same, made by the owner of a token, or by somebody of whom none is asked.
    pub(crate) fn by(mut self, token: Option<&Token>) -> Self {
        if let Some(token) = token {
            self.who.name.clone_from(&token.name);
            token.role.as_str().clone_into(&mut self.who.role);
            self.who.token = Some(token.id.clone());
        } else {
            "unverified".clone_into(&mut self.who.role);
        }
        self
    }

    /// Under a name that nobody checks.
    pub(crate) fn claims(&self, name: &str) {
        if self.who.token.is_none() {
            self.claimed.get_or_init(|| name.to_owned());
        }
    }

    pub(crate) fn is_about(&self, what: &'static str) {
        self.what.get_or_init(|| what);
    }

    fn entry(
        &self,
        outcome: Outcome,
        transfer: Option<&str>,
        glass: Option<&Glass>,
        detail: &str,
    ) -> Entry {
        let mut who = self.who.clone();
        who.glass = glass.map(|glass| glass.id.clone());
        if let Some(claimed) = self.claimed.get() {
            who.name.clone_from(claimed);
        }
        let what = self.what.get().copied();
        let parts: Vec<&str> = what.into_iter().chain([detail]).collect();
        Entry {
            who,
            action: self.method.clone(),
            transfer: transfer.map(str::to_owned),
            outcome,
            detail: parts.join(": ").trim_end_matches(": ").to_owned(),
        }
    }

    /// Whether somebody has said what became of it.
    fn told(&self) {
        self.is_told.store(true, Ordering::Relaxed);
    }

    /// Tells that it was let through.
    pub(crate) fn allow(&self, action: Action, transfer: Option<&str>, glass: Option<&Glass>) {
        self.told();
        if is_quiet(&self.method, Some(action)) {
            return;
        }
        let entry = self.entry(Outcome::Allowed, transfer, glass, "");
        let Some(audit) = &self.audit else { return };
        match action {
            // What somebody does is a record each; who only looks may look often.
            Action::Treat
            | Action::Register
            | Action::Delete
            | Action::Backup
            | Action::Export
            | Action::SeeIdentity
            | Action::Identify
            | Action::Forget => audit.tell(entry),
            Action::SeeBoard
            | Action::SeePatient
            | Action::Report
            | Action::SeeRecordings
            | Action::Replay
            | Action::SeeService => audit.tell_often(entry),
        }
    }

    /// The same of what must not happen unless it is on record.
    pub(crate) async fn allow_durably(&self, transfer: Option<&str>) -> Result<(), Status> {
        self.told();
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let (to, told) = oneshot::channel();
        audit.tell_durably(self.entry(Outcome::Allowed, transfer, None, ""), |how| {
            // Who asked may have gone.
            drop(to.send(how));
        });
        let how = told.await;
        let how = how.unwrap_or_else(|_| Err(NotWritten("the server stops".to_owned())));
        how.map_err(|why| {
            Status::unavailable(format!(
                "{why}; what takes data away waits until it can: see the log of the server"
            ))
        })
    }

    /// A glass was broken, or is whole again; each is a record of its own.
    pub(crate) fn glass(&self, outcome: Outcome, glass: &Glass, detail: &str) {
        self.told();
        if let Some(audit) = &self.audit {
            audit.tell(self.entry(outcome, Some(&glass.transfer), Some(glass), detail));
        }
    }

    pub(crate) fn refuse(&self, transfer: Option<&str>, why: &str) {
        self.told();
        self.tell_often(Outcome::Refused, transfer, None, why);
    }

    /// A stream that was let through is over.
    pub(crate) fn end(&self, transfer: Option<&str>, glass: Option<&Glass>, detail: &str) {
        self.tell_often(Outcome::Ended, transfer, glass, detail);
    }

    fn tell_often(
        &self,
        outcome: Outcome,
        transfer: Option<&str>,
        glass: Option<&Glass>,
        detail: &str,
    ) {
        if let Some(audit) = &self.audit {
            audit.tell_often(self.entry(outcome, transfer, glass, detail));
        }
    }

    /// Its answer is there: tells what became of it, if nobody has.
    pub(crate) fn answered(&self, code: Code) {
        if self.is_told.load(Ordering::Relaxed) {
            return;
        }
        if code == Code::PermissionDenied || code == Code::Unauthenticated {
            self.refuse(None, "");
        } else if code != Code::Ok {
            self.tell_often(Outcome::Failed, None, None, code.description());
        } else if !is_quiet(&self.method, None) {
            self.tell_often(Outcome::Allowed, None, None, "");
        }
    }
}
