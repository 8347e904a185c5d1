//! Who may do what: roles and what each may ([`Role::may`]), which transfers a caller
//! sees ([`Scope`]), the static tokens by which a server knows its callers
//! ([`Tokens`]), of which it keeps hashes alone, and those of an `OpenID` Connect issuer
//! ([`Issuing`]), which describes itself ([`Description`]) and of which it knows the public keys ([`Keys`]).
//!
//! In an emergency somebody opens one transfer that is not theirs, for a while
//! ([`Glasses`]). A transfer may be seen in some regions, whoever asks ([`Regions`]).
//!
//! Pure: no files, no clock, no network, no randomness. What is refused is refused at
//! the edge, in `feed`; files and the issuer's keys are fetched by the binary. Bounds:
//! [`TOKENS_MAX`] tokens, [`NAMES_MAX`] hospitals and transfers each, [`KEYS_MAX`] keys,
//! [`ISSUED_BYTES_MAX`] bytes of an issued token, [`GLASSES_MAX`] glasses that are broken
//! at a time. Start with [`Role`].

mod description;
mod glass;
mod issuing;
mod keys;
mod regions;
mod role;
mod scope;
mod tokens;

pub use description::{DESCRIPTION_BYTES_MAX, Description, DescriptionError};
pub use glass::{GLASSES_MAX, Glass, Glasses, NotBroken, OF_ONE_MAX};
pub use issuing::{ISSUED_BYTES_MAX, Issuing, NotTaken};
pub use keys::{KEYS_BYTES_MAX, KEYS_KEPT_US, KEYS_MAX, Keys, KeysError};
pub use regions::Regions;
pub use role::{Action, Role};
pub use scope::{NAMES_MAX, Scope};
pub use tokens::{Refused, SECRET_BYTES, TOKENS_MAX, Token, Tokens, TokensError, Wanted};

#[cfg(test)]
mod tests;
