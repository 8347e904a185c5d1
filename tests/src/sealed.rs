//! Keys for the stores of these tests. A sealed store does all that a clear one does and
//! more, so tests run on sealed ones; `ENROUTE_STORE=clear` runs them on clear ones.

use enroute_seal::Keys;
use std::sync::Arc;

/// The keys, unless stores are asked for in clear.
#[must_use]
pub fn keys() -> Option<Arc<Keys>> {
    let clear = std::env::var("ENROUTE_STORE").is_ok_and(|store| store == "clear");
    (!clear).then(|| Arc::new(Keys::parse(&format!("1 {:064x}", 42)).unwrap()))
}
