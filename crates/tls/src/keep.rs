//! The files of acceptors, read again for as long as a process runs.

use crate::accept::Acceptor;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often the files are read again: so long a revoked certificate still works.
const READ_EVERY: Duration = Duration::from_secs(5);

/// Reads the files again and again. What is wrong with them is said when it begins.
pub async fn keep(acceptors: Vec<Arc<Acceptor>>) {
    let mut said = vec![String::new(); acceptors.len()];
    let mut looks = tokio::time::interval(READ_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        for (acceptor, said) in acceptors.iter().zip(&mut said) {
            let wrong = match acceptor.reload() {
                Ok(0) => String::new(),
                Ok(ended) => {
                    tracing::warn!(ended, "ended connections whose certificate is not trusted");
                    String::new()
                }
                Err(error) => error.to_string(),
            };
            if !wrong.is_empty() && wrong != *said {
                tracing::error!(error = wrong, "kept the certificates that were read before");
            }
            *said = wrong;
        }
    }
}
