//! What the server tells.

use super::connections::Connections;
use super::{
    Page, Write, access, answer, audit, bytes, flag, number, of_span, seconds, stream_word, things,
    transfers,
};
use crate::latency::ServerTimes;
use crate::rules::keeper::Counts;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use enroute_ingest::Quarantine;
use enroute_journal::{Depth, Gauges};
use enroute_live::{Health, Live, Totals};
use enroute_model::ids::{Lane, Position, Stream};
use enroute_model::registry::ViewerRole;
use enroute_model::time::Span;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An engine that is busy for longer leaves a scrape without an answer, so that
/// scrapes cannot pile up.
const TOTALS_WITHIN: Duration = Duration::from_secs(5);

/// Where the server's numbers are.
#[derive(Clone)]
pub(crate) struct ServerMetrics {
    pub(crate) live: Live,
    pub(crate) ingest: Arc<enroute_ingest::Stats>,
    pub(crate) quarantine: Quarantine,
    pub(crate) journal: Gauges,
    pub(crate) times: Arc<ServerTimes>,
    pub(crate) book: Arc<Counts>,
    pub(crate) audit: Arc<enroute_audit::Counts>,
    pub(crate) connections: Connections,
    pub(crate) glass: Arc<enroute_feed::GlassCounts>,
    pub(crate) rates: Arc<enroute_feed::RateCounts>,
    pub(crate) viewers_max: usize,
    /// Publishes that both lanes together may have between reading and PUBACK.
    pub(crate) publishes_max: usize,
}

impl ServerMetrics {
    /// Answers a scrape.
    pub(crate) async fn scrape(&self) -> Response {
        let totals = tokio::time::timeout(TOTALS_WITHIN, self.live.totals()).await;
        let Ok(totals) = totals else {
            let why = "the engines are busy; try again\n";
            return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
        };
        answer(ServerScrape {
            of: self.clone(),
            // Without the engines, once they have stopped, the rest still counts.
            totals: totals.ok(),
        })
    }
}

/// One scrape.
struct ServerScrape {
    of: ServerMetrics,
    totals: Option<Totals>,
}

impl fmt::Debug for ServerScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerScrape").finish_non_exhaustive()
    }
}

impl Write for ServerScrape {
    fn write(&self, page: &mut Page) -> fmt::Result {
        page.gauges(
            things("build_info", "The running version; always 1"),
            &[([("version", env!("CARGO_PKG_VERSION"))], 1.0)],
        )?;
        self.ingest(page)?;
        self.frames(page)?;
        self.journal(page)?;
        self.engine(page)?;
        self.rule_book(page)?;
        audit::write(page, &self.of.audit, self.of.live.clock().wall().0)?;
        self.of.connections.write(page)?;
        access::write(page, &self.of.glass, &self.of.rates)?;
        self.viewers(page)?;
        self.queues(page)?;
        self.latency(page)?;
        self.totals
            .as_ref()
            .map_or(Ok(()), |all| transfers::write(page, all))
    }
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl ServerScrape {
    fn rule_book(&self, page: &mut Page) -> fmt::Result {
        let book = &self.of.book;
        page.counter(
            things("rule_book_taken", "Rule books that were put in force"),
            of(&book.taken),
        )?;
        page.counter(
            things(
                "rule_book_refused",
                "Rule books that were refused; the log says file, line and reason",
            ),
            of(&book.refused),
        )?;
        page.gauge(
            things(
                "rule_book_outdated",
                "1 while the newest rule book is refused and an older one is in force",
            ),
            flag(book.is_refused.load(Ordering::Relaxed)),
        )?;
        page.gauge(
            things(
                "rule_book_approved",
                "1 when the rule book in force names who approved it",
            ),
            flag(book.is_approved.load(Ordering::Relaxed)),
        )
    }

    fn ingest(&self, page: &mut Page) -> fmt::Result {
        let stats = &self.of.ingest;
        page.counter(
            things(
                "ingest_publishes",
                "Publishes that came in, refused ones included",
            ),
            of(&stats.publishes),
        )?;
        page.counter(
            bytes("ingest_received", "Payload of the publishes that came in"),
            of(&stats.bytes),
        )?;
        page.counter(
            things(
                "ingest_publishes_durable",
                "Publishes with frames that are durable and acknowledged to the broker",
            ),
            of(&stats.commits),
        )?;
        let refused = stats.refused();
        let refused: Vec<_> = refused
            .iter()
            .map(|(word, n)| ([("reason", *word)], *n))
            .collect();
        page.counters(
            things(
                "ingest_publishes_refused",
                "Publishes that were refused whole, by reason",
            ),
            &refused,
        )?;
        page.counter(
            things(
                "ingest_quarantine_dropped",
                "Refused publishes that the disk did not keep",
            ),
            of(&stats.quarantine_dropped),
        )?;
        page.gauge(
            things(
                "ingest_quarantined_publishes",
                "Refused publishes kept in memory",
            ),
            count(self.of.quarantine.recent().len()),
        )?;
        page.counter(
            things("ingest_statuses", "Status messages of gateways"),
            of(&stats.statuses),
        )?;
        page.gauge(
            things(
                "ingest_lanes_subscribed",
                "Lanes that are connected to the broker and subscribed; 2 is all of them",
            ),
            number(of(&stats.subscribed)),
        )?;
        page.counter(
            things(
                "ingest_disconnects",
                "Connections to the broker that were lost or not made",
            ),
            of(&stats.disconnects),
        )?;
        page.counter(
            things("receipts_sent", "Receipts handed to the broker"),
            of(&stats.receipts),
        )?;
        page.counter(
            things("commands_sent", "Commands that the broker has"),
            of(&stats.commands),
        )
    }

    fn frames(&self, page: &mut Page) -> fmt::Result {
        let stats = &self.of.ingest;
        let mut frames = Vec::new();
        for stream in Stream::ALL {
            for (word, lane) in [("live", Lane::Live), ("history", Lane::History)] {
                let labels = [("stream", stream_word(stream)), ("lane", word)];
                frames.push((labels, stats.frames(stream, lane)));
            }
        }
        page.counters(
            things(
                "frames_durable",
                "Frames made durable, repeated ones included",
            ),
            &frames,
        )?;
        let live = self.of.live.stats();
        page.counter(
            things(
                "frames_duplicate",
                "Frames seen before with the same content",
            ),
            live.duplicates(),
        )?;
        page.counter(
            things(
                "frames_conflicting",
                "Frames seen before with other content",
            ),
            live.conflicts(),
        )?;
        page.counter(
            things(
                "frames_for_deleted",
                "Frames of transfers whose recording was deleted; they are not kept",
            ),
            live.for_deleted(),
        )
    }

    fn journal(&self, page: &mut Page) -> fmt::Result {
        let (journal, times) = (&self.of.journal, &self.of.times);
        page.gauge(
            things(
                "journal_failed",
                "1 when the journal has failed: nothing more becomes durable",
            ),
            flag(journal.failure().is_some()),
        )?;
        page.gauge(
            seconds(
                "not_recorded",
                "For how long the live view has gone on without being recorded; 0 while it is",
            ),
            self.not_recorded().map_or(0.0, of_span),
        )?;
        page.counter(
            things(
                "records_not_recorded",
                "Records handled that no journal held then; gateways send frames again",
            ),
            self.of.live.stats().unrecorded(),
        )?;
        page.gauge(
            things("journal_position", "Position of the last durable record"),
            number(journal.last_position().0),
        )?;
        page.counter(
            things("journal_records", "Records committed since the start"),
            of(&times.records),
        )?;
        page.counter(
            bytes(
                "journal_payload",
                "Payload of the records committed since the start",
            ),
            of(&times.bytes),
        )?;
        page.histograms(
            seconds("journal_commit_duration", "Write and sync of a commit"),
            &[([], &times.commits)],
        )?;
        if let Some(size) = journal.disk_bytes() {
            page.gauge(
                bytes("journal_disk", "Size of the journal on disk"),
                number(size),
            )?;
        }
        Ok(())
    }

    fn not_recorded(&self) -> Option<Span> {
        match &*self.of.live.health().borrow() {
            Health::NotRecorded(told) => {
                let now = self.of.live.clock().wall();
                Some(Span(now.0.saturating_sub(told.since.0).max(0)))
            }
            Health::Running | Health::Ended { .. } => None,
        }
    }

    fn engine(&self, page: &mut Page) -> fmt::Result {
        let live = self.of.live.stats();
        let (last, handled) = (self.of.journal.last_position().0, live.handled());
        page.gauge(
            things(
                "engine_lag_records",
                "Durable records that no engine has handled",
            ),
            number(last.saturating_sub(handled)),
        )?;
        let next = Position(handled.saturating_add(1));
        let behind = self.of.times.waiting(next).filter(|_| last > handled);
        page.gauge(
            seconds(
                "engine_lag",
                "Age of the oldest durable record that no engine has handled",
            ),
            behind.map_or(0.0, of_span),
        )?;
        page.counter(
            things(
                "records_poisoned",
                "Records whose handling failed and that are skipped since",
            ),
            live.poisoned(),
        )?;
        page.counter(
            things("alert_transitions", "Steps of alerts"),
            live.alerts(),
        )?;
        let sent = live.alerts_sent();
        let sent = sent.map(|(role, n)| ([("role", role_word(role))], n));
        page.counters(
            things(
                "alert_transitions_sent",
                "Steps of alerts handed to viewers",
            ),
            &sent,
        )
    }

    fn viewers(&self, page: &mut Page) -> fmt::Result {
        let live = self.of.live.stats();
        page.gauge(
            things("viewers", "Viewers that are connected"),
            number(live.viewers()),
        )?;
        page.gauge(
            things("viewers_max", "Viewers that may be connected"),
            count(self.of.viewers_max),
        )?;
        page.counter(
            things("viewer_updates", "Updates handed to viewers"),
            live.sent(),
        )?;
        page.counter(
            things(
                "viewer_encodings",
                "Updates encoded for viewers, each once for all who are told the same",
            ),
            live.worded(),
        )?;
        page.counter(
            things(
                "viewer_conflated",
                "Samples and values that newer ones replaced for slow viewers",
            ),
            live.conflated(),
        )?;
        page.counter(
            things(
                "viewers_disconnected",
                "Viewers disconnected because they did not keep up with alerts",
            ),
            live.overflowed(),
        )
    }

    fn queues(&self, page: &mut Page) -> fmt::Result {
        let journal = self.of.journal.depths();
        let (requests, requests_max) = self.of.live.requests_waiting();
        let publishes = of(&self.of.ingest.in_flight);
        let mut depths = vec![
            (
                "ingest",
                number(publishes),
                Some(count(self.of.publishes_max)),
            ),
            (
                "journal",
                waiting(journal.records),
                Some(most(journal.records)),
            ),
            ("live_requests", count(requests), Some(count(requests_max))),
        ];
        if let Some(tail) = journal.tail {
            depths.push(("journal_tail", waiting(tail), Some(most(tail))));
        }
        if let Some(totals) = &self.totals {
            depths.push(("receipts", number(totals.receipts_waiting), None));
            depths.push(("commands", number(totals.commands_waiting), None));
        }
        let label = |queue: &'static str| [("queue", queue)];
        let now: Vec<_> = depths
            .iter()
            .map(|(queue, now, _)| (label(queue), *now))
            .collect();
        page.gauges(
            things("queue_depth", "What waits: publishes (ingest), records (journal), commits (journal_tail), requests, gateways (receipts, commands)"),
            &now,
        )?;
        let max = depths
            .iter()
            .filter_map(|(queue, _, max)| Some((label(queue), (*max)?)));
        page.gauges(
            things(
                "queue_capacity",
                "How much may wait; receipts and commands hold one entry for each gateway",
            ),
            &max.collect::<Vec<_>>(),
        )?;
        page.gauges(
            bytes("queue_depth", "Bytes that wait for the journal's committer"),
            &[(label("journal"), waiting(journal.bytes))],
        )?;
        page.gauges(
            bytes("queue_capacity", "How many bytes may wait"),
            &[(label("journal"), most(journal.bytes))],
        )
    }

    fn latency(&self, page: &mut Page) -> fmt::Result {
        let times = &self.of.times;
        let stages = [
            ("captured_received", &times.received),
            ("received_durable", &times.durable),
            ("durable_handled", &times.engine),
            ("handled_sent", &times.viewer),
            ("received_sent", &times.sent),
        ];
        let stages = stages.map(|(word, times)| ([("stage", word)], times));
        page.histograms(
            seconds("stage_duration", "How long frames of the live lane took from one stage to the next; captured_received by the gateway's offset if that is known, received_durable of every record"),
            &stages,
        )?;
        let alerts = &times.alerts;
        let stages = [
            ("measured_received", &alerts.received),
            ("received_raised", &alerts.raised),
            ("raised_sent", &alerts.sent),
            ("raised_shown", &alerts.shown),
            ("raised_acknowledged", &alerts.acknowledged),
        ];
        let stages = stages.map(|(word, times)| ([("stage", word)], times));
        page.histograms(
            seconds("alert_stage_duration", "How long alerts took: measured_received where the clocks on board are known, received_raised of the value that raised them, raised_shown to the first viewer of each role"),
            &stages,
        )
    }
}

fn role_word(role: ViewerRole) -> &'static str {
    match role {
        ViewerRole::Wall => "wall",
        ViewerRole::Viewer => "viewer",
        ViewerRole::Clinician => "clinician",
        ViewerRole::OnCall => "on_call",
    }
}

fn waiting(depth: Depth) -> f64 {
    number(depth.waiting)
}

fn most(depth: Depth) -> f64 {
    number(depth.max)
}

fn count(n: usize) -> f64 {
    number(u64::try_from(n).unwrap_or(u64::MAX))
}
