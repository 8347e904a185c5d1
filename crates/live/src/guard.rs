//! The one place where a panic is caught (I9).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Characters of a panic's message that are kept.
const REASON_CHARS_MAX: usize = 200;

/// Runs `step`; a panic becomes its message. What `step` had in its hands is
/// in an unknown state then and must be thrown away.
pub(crate) fn guard<T>(step: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|payload| reason(payload.as_ref()))
}

fn reason(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let text: String = text.chars().take(REASON_CHARS_MAX).collect();
    format!("the engine panicked: {text}")
}
