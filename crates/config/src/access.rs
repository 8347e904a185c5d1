//! `[access]`: by what people and programs are known.

use crate::Wrong;
use crate::address::is_protected;
use crate::server::within;
use enroute_access::{Issuing, Role};
use http::Uri;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;

/// `[access]`. Absent: nobody is asked who they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessConfig {
    /// The file of tokens.
    #[serde(default)]
    pub tokens: Option<PathBuf>,
    /// After how many minutes a console that nobody touches logs out.
    #[serde(default = "default_idle_minutes")]
    pub idle_minutes: Spanned<u64>,
    /// For how many minutes a broken glass opens a transfer.
    #[serde(default = "default_break_glass_minutes")]
    pub break_glass_minutes: Spanned<u64>,
    /// Who issues tokens beside it.
    #[serde(default)]
    pub oidc: Option<Spanned<OidcConfig>>,
}

/// `[access.oidc]`: an issuer of `OpenID` Connect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// Its name, an address below which its description is found.
    pub issuer: Spanned<String>,
    /// For whom its tokens are: this server's name there.
    pub audience: Spanned<String>,
    /// The console's name there; without it nobody logs in to the console by it.
    #[serde(default)]
    pub client_id: Option<Spanned<String>>,
    /// What the console asks for.
    #[serde(default = "default_scope")]
    pub scope: String,
    /// Who signs its certificate; without it the system's authorities.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// Which claim says the name.
    #[serde(default = "default_name_claim")]
    name_claim: String,
    /// Which claim says the role.
    #[serde(default = "default_role_claim")]
    role_claim: String,
    /// Which claim names receiving hospitals.
    #[serde(default)]
    hospital_claim: Option<String>,
    /// Which claim names transfers.
    #[serde(default)]
    transfer_claim: Option<String>,
    /// Which claim says where the bearer is.
    #[serde(default)]
    region_claim: Option<String>,
    /// The word in the claim of hospitals that means all transfers.
    #[serde(default)]
    all: Option<Spanned<String>>,
    /// What the words in the claim of roles mean here.
    roles: BTreeMap<String, Spanned<Role>>,
    /// The word in the claim of roles that says who may break the glass.
    #[serde(default)]
    break_glass: Option<Spanned<String>>,
}

fn default_idle_minutes() -> Spanned<u64> {
    Spanned::new(0..0, 15)
}

fn default_break_glass_minutes() -> Spanned<u64> {
    Spanned::new(0..0, 60)
}

fn default_scope() -> String {
    "openid".to_owned()
}

fn default_name_claim() -> String {
    "name".to_owned()
}

fn default_role_claim() -> String {
    "roles".to_owned()
}

impl AccessConfig {
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        within("idle_minutes", &self.idle_minutes, 1..=720)?;
        within("break_glass_minutes", &self.break_glass_minutes, 1..=720)?;
        match &self.oidc {
            Some(oidc) => oidc.get_ref().check(oidc.span()),
            None if self.tokens.is_none() => Err(Wrong::absent(
                "[access] says by nothing how anybody is known",
                "add tokens = \"…\" (`enroute token create` makes the file) or [access.oidc]",
            )),
            None => Ok(()),
        }
    }
}

impl OidcConfig {
    /// What is believed of its tokens.
    #[must_use]
    pub fn issuing(&self) -> Issuing {
        let roles = self.roles.iter();
        Issuing {
            issuer: self.issuer.get_ref().clone(),
            audience: self.audience.get_ref().clone(),
            name_claim: self.name_claim.clone(),
            role_claim: self.role_claim.clone(),
            roles: roles
                .map(|(word, role)| (word.clone(), *role.get_ref()))
                .collect(),
            break_glass: { &self.break_glass }
                .as_ref()
                .map(|word| word.get_ref().clone()),
            hospital_claim: self.hospital_claim.clone(),
            transfer_claim: self.transfer_claim.clone(),
            region_claim: self.region_claim.clone(),
            all: self.all.as_ref().map(|all| all.get_ref().clone()),
        }
    }

    fn check(&self, whole: std::ops::Range<usize>) -> Result<(), Wrong> {
        let issuer = self.issuer.get_ref().parse::<Uri>();
        let is_plain = !self.issuer.get_ref().contains(['?', '#']);
        if !issuer.is_ok_and(|issuer| is_plain && is_protected(&issuer)) {
            return Err(Wrong::at(
                self.issuer.span(),
                "an issuer is an address that begins with https://, without ? and #",
                "give it as its tokens have it (iss); http:// only on this machine",
            ));
        }
        if self.audience.get_ref().is_empty() {
            return Err(Wrong::at(
                self.audience.span(),
                "audience is empty: tokens for others would do",
                "give this server's name at the issuer",
            ));
        }
        if let Some(client) = &self.client_id
            && client.get_ref() == self.audience.get_ref()
        {
            return Err(Wrong::at(
                client.span(),
                "the console has the server's name: what proves a login to it (id_token) would \
                 open the server",
                "give console and server a name each at the issuer",
            ));
        }
        if let Some(word) = &self.break_glass
            && self.roles.contains_key(word.get_ref())
        {
            return Err(Wrong::at(
                word.span(),
                "break_glass is a word that means a role already: everybody of it could break the \
                 glass",
                "give those who may a role of their own at the issuer, beside the other",
            ));
        }
        let wall = self
            .roles
            .values()
            .find(|role| *role.get_ref() == Role::Wall);
        if let Some(wall) = wall {
            return Err(Wrong::at(
                wall.span(),
                "a wall is a device and nobody who logs in",
                "make it a token, bound to its certificate: `enroute token create --role wall`",
            ));
        }
        if let Some(all) = &self.all
            && self.hospital_claim.is_none()
        {
            return Err(Wrong::at(
                all.span(),
                "all is a word in the claim of hospitals, and there is no hospital_claim",
                "add hospital_claim = \"…\"",
            ));
        }
        if self.hospital_claim.is_none() && self.transfer_claim.is_none() {
            return Err(Wrong::at(
                whole,
                "nothing says which transfers anybody may see",
                "add hospital_claim = \"…\" or transfer_claim = \"…\" under [access.oidc]",
            ));
        }
        Ok(())
    }
}
