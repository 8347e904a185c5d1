//! What an issuer says of itself (`OpenID` Connect Discovery 1.0, section 3).

use serde::Deserialize;

/// Bytes of a description.
pub const DESCRIPTION_BYTES_MAX: usize = 64 << 10;

/// Where an issuer publishes its keys, and where people log in and out. These are its
/// words: who goes there looks first whether that is safe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Description {
    issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where people log in.
    pub authorization_endpoint: Option<String>,
    /// Where the console gets its token.
    pub token_endpoint: Option<String>,
    /// Where people log out.
    pub end_session_endpoint: Option<String>,
}

/// Why a description is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// It is none.
    #[error("is no description of an issuer: {0}")]
    Content(String),
    /// It is somebody else's.
    #[error("describes another issuer, letter by letter")]
    Another,
}

impl Description {
    /// Reads the description of `issuer`.
    ///
    /// # Errors
    /// When it is none, or another's.
    pub fn parse(json: &[u8], issuer: &str) -> Result<Self, DescriptionError> {
        let content = |error: serde_json::Error| DescriptionError::Content(error.to_string());
        let description: Self = serde_json::from_slice(json).map_err(content)?;
        if description.issuer != issuer {
            return Err(DescriptionError::Another);
        }
        Ok(description)
    }
}
