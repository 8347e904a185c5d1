//! Who may do what: roles and what each may ([`Role::may`]), which transfers a caller
//! sees ([`Scope`]), and the static tokens by which a server knows its callers
//! ([`Tokens`]), of which it keeps hashes alone.
//!
//! Pure: no files, no clock, no network, no randomness. What is refused is refused at
//! the edge, in `feed`; the files are the binary's. Bounds: [`TOKENS_MAX`] tokens,
//! [`NAMES_MAX`] hospitals and transfers each. Start with [`Role`].

mod role;
mod scope;
mod tokens;

pub use role::{Action, Role};
pub use scope::{NAMES_MAX, Scope};
pub use tokens::{Refused, SECRET_BYTES, TOKENS_MAX, Token, Tokens, TokensError, Wanted};

#[cfg(test)]
mod tests;
