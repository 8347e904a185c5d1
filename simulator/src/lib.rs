//! Simulated transfers: vehicles on a route, patients with a course of illness,
//! monitors with a wrong clock, and bad radio links. Everything follows from a
//! seed: the same seed gives the same emissions, byte for byte, on one platform
//! (the last bit of `sin` and `exp` belongs to the platform's mathematics).
//!
//! Not here: a clock, files, the network, numbering of frames. The one part
//! that runs is [`radio::Proxy`], a TCP proxy that applies a [`radio::Plan`].
//! What it makes is for exercises and tests; it is not a model for teaching
//! medicine. Each file says where its figures come from.
//!
//! Start with [`fleet::fleet`] (who travels where) and
//! [`fleet::LegPlan::emissions`] (what one gateway's surroundings give).

pub mod battery;
pub mod course;
pub mod fleet;
mod geo;
mod monitor;
mod num;
mod patient;
mod places;
pub mod radio;
mod rhythm;
pub mod source;
mod wave;

#[cfg(test)]
#[expect(
    clippy::wildcard_enum_match_arm,
    clippy::cast_precision_loss,
    reason = "tests look at some kinds of bodies, and count little"
)]
mod tests;
