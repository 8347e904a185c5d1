//! Alert conditions as pure state machines, and the limits they go by.
//!
//! Each machine is fed values and engine time and says when its condition takes
//! a step; it has no identity, no clock and no I/O. The engine owns the
//! machines, names the alerts and numbers their transitions.
//!
//! Limits come from rule books ([`book`], `rules/`), from overlays in them, and
//! from clinicians, who may have them set around the current values ([`auto`]).
//! `data/` has the reference tables that the built-in book is held against.
//!
//! Start with [`limit::LimitCondition`], one value beyond a limit, and
//! [`condition`], everything that a rule book can make of several.

pub mod auto;
pub mod book;
pub mod condition;
pub mod equipment;
pub mod limit;
pub mod past;
pub mod profile;
pub mod score;
pub mod technical;
pub mod trend;
pub mod words;
