//! Tokens that somebody else issues, at the gate.

use enroute_access::{Issuing, Keys, NotTaken, Token};
use enroute_model::time::ServerTime;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How long a call waits for keys that are fetched on its account.
const WAITS: Duration = Duration::from_secs(5);

/// Whose tokens are taken beside those of the file.
#[derive(Clone)]
pub struct Issuer {
    /// What is believed of a token.
    pub issuing: Arc<Issuing>,
    /// The issuer's keys, as last fetched; what changes there counts at once.
    pub keys: watch::Receiver<Arc<Keys>>,
    /// Asks for the keys to be fetched now. The sender that is handed over is dropped
    /// when that is done, or will not be done; how often it is done is for the other
    /// side to bound. While its queue is full nobody asks.
    pub again: mpsc::Sender<oneshot::Sender<()>>,
}

impl Issuer {
    /// Who is known by a token. One by a key that is not known may be the first by a new
    /// key: then the keys are fetched before it is refused.
    pub(crate) async fn token(&self, shown: &str, now: ServerTime) -> Result<Arc<Token>, NotTaken> {
        let found = self.find(shown, now);
        if !matches!(found, Err(NotTaken::UnknownKey | NotTaken::NoKeys)) {
            return found;
        }
        let (ask, answered) = oneshot::channel();
        if self.again.try_send(ask).is_err() {
            return found;
        }
        // Whatever came of it: the keys are asked again.
        drop(tokio::time::timeout(WAITS, answered).await);
        self.find(shown, now)
    }

    fn find(&self, shown: &str, now: ServerTime) -> Result<Arc<Token>, NotTaken> {
        self.issuing.token(&self.keys.borrow(), shown, now)
    }
}
