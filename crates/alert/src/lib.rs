//! Alert conditions as pure state machines, and the limits they go by.
//!
//! Each machine is fed values and engine time and says when its condition takes
//! a step; it has no identity, no clock and no I/O. The engine owns the
//! machines, names the alerts and numbers their transitions.
//!
//! Not here yet: composite rules, overlays, a patient's own limits,
//! acknowledgement. Their places: a module per kind of condition beside
//! [`limit`] and [`technical`], and further sources of limits beside [`profile`].
//!
//! Start with [`limit::LimitCondition`].
//!
//! `data/` also holds the table for limits around the current value; nothing
//! uses it yet.

pub mod auto;
pub mod book;
pub mod equipment;
pub mod limit;
pub mod past;
pub mod profile;
pub mod score;
pub mod technical;
pub mod trend;
