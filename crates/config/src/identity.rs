//! `[identity]`: where it is kept who the patients are.

use crate::Wrong;
use enroute_seal::Source;
use serde::Deserialize;
use std::path::PathBuf;
use toml::Spanned;

/// `[identity]`. Absent: this server does not know who the patients are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// A directory of its own.
    pub dir: Spanned<PathBuf>,
    /// A file of keys.
    #[serde(default)]
    keys: Option<PathBuf>,
    /// A command that prints them.
    #[serde(default)]
    command: Option<Vec<String>>,
}

impl IdentityConfig {
    /// Where its keys come from.
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            keys: self.keys.clone(),
            command: self.command.clone(),
        }
    }

    /// Names are told to those alone who may know them, so it has to be known who asks.
    pub(crate) fn check(&self, has_access: bool) -> Result<(), Wrong> {
        let at = self.dir.span();
        if !has_access {
            return Err(Wrong::at(
                at,
                "there is no [access]: whoever reaches the server would read who the patients are",
                "add [access] with tokens (`enroute token create` makes one), or remove [identity]",
            ));
        }
        if self.dir.get_ref().as_os_str().is_empty() {
            let help = "name the directory that holds who the patients are";
            return Err(Wrong::at(at, "dir is empty", help));
        }
        match (&self.keys, &self.command) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            (Some(_), Some(_)) | (None, None) => Err(Wrong::at(
                at,
                "[identity] needs one place for its keys",
                "give either keys = \"FILE\" or command = [\"PROGRAM\", …]",
            )),
        }
    }
}
