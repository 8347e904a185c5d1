//! A bar on standard error, where that is a terminal; silence otherwise.

use crate::clock::SystemClock;
use enroute_model::time::{Clock, Span};
use std::io::{IsTerminal, Write};

/// The bar is drawn at most so often.
const EVERY: Span = Span::from_millis(100);
const WIDTH: u64 = 40;

/// A bar that is gone when dropped.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    clock: Option<SystemClock>,
    drawn: Option<Span>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let clock = std::io::stderr().is_terminal().then(SystemClock::new);
        Self {
            what,
            total: total.max(1),
            clock,
            drawn: None,
        }
    }

    pub(crate) fn tell(&mut self, done: u64) {
        let Some(clock) = &self.clock else {
            return;
        };
        let now = clock.monotonic();
        if self.drawn.is_some_and(|drawn| now.0 - drawn.0 < EVERY.0) {
            return;
        }
        self.drawn = Some(now);
        draw(&bar(self.what, done, self.total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            draw("\r\x1b[K");
        }
    }
}

fn draw(text: &str) {
    let mut error = std::io::stderr().lock();
    // A terminal that has gone misses only the bar.
    drop(
        error
            .write_all(text.as_bytes())
            .and_then(|()| error.flush()),
    );
}

fn bar(what: &str, done: u64, total: u64) -> String {
    let done = done.min(total);
    let filled = done.saturating_mul(WIDTH) / total;
    let percent = done.saturating_mul(100) / total;
    let cells: String = (0..WIDTH)
        .map(|at| if at < filled { '█' } else { '·' })
        .collect();
    format!("\r\x1b[K{what} {cells} {percent:>3} %")
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_grows_and_never_overflows() {
        let filled = |done, total| bar("reading", done, total).matches('█').count();
        assert_eq!([filled(0, 10), filled(5, 10), filled(99, 10)], [0, 20, 40]);
        assert_eq!(filled(u64::MAX, u64::MAX), 1, "saturates, and is drawn");
        assert!(bar("writing", 3, 10).ends_with(" 30 %"));
    }
}
