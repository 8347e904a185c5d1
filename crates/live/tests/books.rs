//! The rule book in use reaches every open transfer by a record, so that a restart
//! without it configured finds the same, whether from snapshots or from records.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, action, in_time, quiet, tx};
use enroute_alert::book::{BookFile, RuleBook};
use enroute_model::registry::RegistryAction;
use std::sync::Arc;

/// The built-in book under another name, with HR above 100 instead of 120.
fn strict() -> Arc<RuleBook> {
    let built_in = RuleBook::built_in();
    let files = built_in.files().iter().map(|file| BookFile {
        name: file.name.clone(),
        text: file
            .text
            .replacen(
                "high = { warn = 120, crit = 150 }",
                "high = { warn = 100, crit = 150 }",
                1,
            )
            .replace("name = \"enroute\"", "name = \"strict\""),
    });
    Arc::new(RuleBook::parse(files.collect()).unwrap())
}

async fn goes_by(bench: &Bench, transfer: &str, book: &str) {
    let told = async {
        while bench.state(transfer).await.rules.book_name != book {
            tokio::task::yield_now().await;
        }
    };
    in_time(told).await;
}

#[tokio::test]
async fn the_book_in_use_is_a_record_of_each_open_transfer() {
    for clean in [true, false] {
        let mut bench = Bench::new(quiet()).await;
        let close = action("tx-b", 2, "close", &RegistryAction::Close);
        bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 80), close]).await;
        assert_eq!(bench.state("tx-a").await.rules.book_name, "enroute");
        in_time(bench.live.use_book(strict())).await.unwrap();
        goes_by(&bench, "tx-a", "strict").await;
        // Nobody looks after a closed one, until it is opened again.
        assert_eq!(bench.state("tx-b").await.rules.book_name, "enroute");
        let reopen = action("tx-b", 3, "reopen", &RegistryAction::Reopen);
        bench.put(vec![reopen]).await;
        goes_by(&bench, "tx-b", "strict").await;
        for second in 4..20u32 {
            bench
                .put(vec![A.hr(second.into(), second.into(), 110)])
                .await;
        }
        let (states, derived) = (bench.states().await, bench.derived());
        assert!(!derived[&tx("tx-a")].is_empty(), "110 is above 100");
        let records = bench.stored("tx-a");
        // The book is found by the records and what is stored of it alone.
        bench = bench.restart(clean, quiet()).await;
        assert_eq!(bench.states().await, states, "clean {clean}");
        assert_eq!(bench.derived(), derived, "clean {clean}");
        // The same book again is no record; back to the built-in one is.
        in_time(bench.live.use_book(strict())).await.unwrap();
        bench.put(vec![B.hr(2, 30, 80)]).await;
        assert_eq!(bench.stored("tx-a"), records);
        in_time(bench.live.use_book(RuleBook::built_in()))
            .await
            .unwrap();
        goes_by(&bench, "tx-a", "enroute").await;
        assert_eq!(bench.stored("tx-a"), records + 1);
    }
}
