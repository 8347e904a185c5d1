//! The rule book of a running server: taken from its directory at the start, and
//! again when a file in it changes or the process gets SIGHUP. A book that is not in
//! order is refused, with file, line and reason in the log; the old one stays.

use super::{Refused, files_of, load};
use enroute_alert::book::RuleBook;
use enroute_live::Live;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

/// How often the directory is looked at. A change is taken when it has not changed
/// again by the next look, so that a file half written is not read.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What metrics tell of it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Books that were put in force.
    pub(crate) taken: AtomicU64,
    /// Books that were refused.
    pub(crate) refused: AtomicU64,
    /// The newest files are refused: an older book is in force.
    pub(crate) is_refused: AtomicBool,
    /// Somebody approved the one in force.
    pub(crate) is_approved: AtomicBool,
}

/// Keeps the book of a server.
pub(crate) struct Keeper {
    dir: Option<PathBuf>,
    live: Live,
    counts: Arc<Counts>,
}

/// The files of a directory as a look at it shows them.
type Seen = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The book that a server starts with.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn first(dir: Option<&Path>) -> Result<Arc<RuleBook>, Refused> {
    match dir {
        Some(dir) => Ok(Arc::new(load(dir)?)),
        None => Ok(RuleBook::built_in()),
    }
}

impl Keeper {
    pub(crate) fn new(dir: Option<PathBuf>, live: Live, counts: Arc<Counts>) -> Self {
        Self { dir, live, counts }
    }

    /// Puts a book in force.
    pub(crate) async fn put(&self, book: Arc<RuleBook>) -> Result<(), enroute_live::BookError> {
        let title = super::show::title(&book);
        let approved = book.head().is_approved();
        self.live.use_book(book).await?;
        tracing::info!(title, "in force");
        self.counts.taken.fetch_add(1, Ordering::Relaxed);
        self.counts.is_approved.store(approved, Ordering::Relaxed);
        self.counts.is_refused.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Takes what changes, for as long as the server runs.
    pub(crate) async fn run(self) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::error!(%error, "SIGHUP is not heard");
                return;
            }
        };
        let Some(dir) = self.dir.clone() else {
            while hangups.recv().await.is_some() {
                tracing::info!("no rule book is configured: nothing to read again");
            }
            return;
        };
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut taken, mut last) = (look(&dir), None);
        loop {
            tokio::select! {
                hangup = hangups.recv() => {
                    if hangup.is_none() {
                        return;
                    }
                    tracing::info!("the rule book is read again, as asked");
                    taken = look(&dir);
                    self.reload(&dir).await;
                }
                _ = looks.tick() => {
                    let now = look(&dir);
                    if now != taken && last.as_ref() == Some(&now) {
                        taken.clone_from(&now);
                        self.reload(&dir).await;
                    }
                    last = Some(now);
                }
            }
        }
    }

    async fn reload(&self, dir: &Path) {
        match load(dir) {
            Ok(book) => {
                if let Err(error) = self.put(Arc::new(book)).await {
                    tracing::error!(%error, "the rule book is not taken: send SIGHUP to try again");
                    self.refused();
                }
            }
            Err(Refused(problems)) => {
                for problem in &problems {
                    let (file, line) = (&problem.file, problem.line);
                    tracing::error!(
                        file,
                        line,
                        reason = problem.reason,
                        "the rule book is refused, the old one stays"
                    );
                }
                self.refused();
            }
        }
    }

    fn refused(&self) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        self.counts.is_refused.store(true, Ordering::Relaxed);
    }
}

/// Names, sizes and times of the files; a file that cannot be looked at is one of
/// size 0, which reading will explain.
fn look(dir: &Path) -> Seen {
    let files = if dir.is_dir() {
        files_of(dir).unwrap_or_default()
    } else {
        vec![dir.to_owned()]
    };
    let about = |path: PathBuf| {
        let about = std::fs::metadata(&path).ok();
        let size = about.as_ref().map_or(0, std::fs::Metadata::len);
        let changed = about.and_then(|about| about.modified().ok());
        (path, size, changed)
    };
    files.into_iter().map(about).collect()
}
