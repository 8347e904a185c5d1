//! The broker of a command that publishes as gateways do: what was typed is checked
//! before anything connects, so that what the broker would refuse is refused here, in
//! words.

use crate::args::{BrokerArgs, BrokerUrl, SimulateArgs};
use anyhow::{Context, Result, anyhow};
use enroute_config::address::is_this_machine;
use enroute_gateway::config::BrokerConfig;
use enroute_model::ids::GatewayId;
use enroute_tls::{ClientFiles, Connector};
use std::fmt;
use std::path::{Path, PathBuf};

/// What was typed does not go together, or is no way to send a patient's values.
#[derive(Debug)]
pub(crate) struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// I12, as a gateway's configuration has it.
fn not_in_clear(url: &BrokerUrl, allow_unprotected_network: bool) -> Result<(), Wrong> {
    if url.tls || is_this_machine(&url.host) || allow_unprotected_network {
        return Ok(());
    }
    Err(Wrong(format!(
        "{url} is reached over the network, and there is no TLS: use mqtts:// with certificates, \
         or give --allow-unprotected-network on a network that only trusted people reach"
    )))
}

/// A broker as gateways are told of it.
pub(crate) fn config(url: &BrokerUrl, tls: Option<ClientFiles>) -> BrokerConfig {
    BrokerConfig {
        host: url.host.clone(),
        port: url.port,
        tls,
        ..BrokerConfig::default()
    }
}

/// The broker of a command with one gateway, and that one's id: as asked for, or as
/// the certificate has it; `None`: any.
///
/// # Errors
/// When the options do not go together, the certificate is another gateway's, or it
/// would go over the network in clear and nobody allowed that.
pub(crate) fn of_one(
    url: &BrokerUrl,
    args: &BrokerArgs,
) -> Result<(BrokerConfig, Option<GatewayId>)> {
    not_in_clear(url, args.allow_unprotected_network)?;
    let files = match (url.tls, &args.authority) {
        (true, Some(authority)) => Some(ClientFiles {
            authority: authority.clone(),
            certificate: args.certificate.clone(),
            key: args.key.clone(),
        }),
        (true, None) => {
            let what = "needs --authority, the PEM file of who signed the broker's certificate";
            return Err(Wrong(format!("{url} {what}")).into());
        }
        (false, Some(_)) => {
            let what = "is without TLS: use mqtts://HOST:PORT, or leave --authority out";
            return Err(Wrong(format!("{url} {what}")).into());
        }
        (false, None) => None,
    };
    let borne = files.as_ref().map(bearer).transpose()?.flatten();
    let gateway = match (borne, &args.gateway) {
        (Some(name), Some(asked)) if name != *asked => {
            return Err(another(args.certificate.as_deref(), &name, asked).into());
        }
        (Some(name), _) => Some(name),
        (None, asked) => asked.clone(),
    };
    Ok((config(url, files), gateway))
}

/// The gateway whose certificate it is, if there is one.
fn bearer(files: &ClientFiles) -> Result<Option<GatewayId>> {
    let Some(file) = &files.certificate else {
        return Ok(None);
    };
    let name = files.name()?;
    let id = name.as_deref().map(GatewayId::new).transpose();
    let id = id.map_err(|error| anyhow!("{error}")).and_then(|id| {
        id.context("it bears no common name, or several, or one that is longer than any id")
    });
    id.map(Some)
        .with_context(|| format!("{}: is no gateway's certificate", file.display()))
}

fn another(file: Option<&Path>, name: &GatewayId, asked: &GatewayId) -> Wrong {
    let file = file.unwrap_or(Path::new("the certificate")).display();
    Wrong(format!(
        "{file}: is the certificate of {name}, and a broker lets nobody publish as {asked} with \
         it: name the certificate of {asked}"
    ))
}

/// The certificates of many gateways, in a directory as `enroute certs` makes it.
#[derive(Clone, Debug)]
pub(crate) struct Certs(PathBuf);

impl Certs {
    /// Those for all these gateways; none without TLS.
    ///
    /// # Errors
    /// When the options do not go together; when files are missing, not in order, or
    /// another gateway's; and in clear over the network, when nobody allowed that.
    pub(crate) fn of<'a>(
        args: &SimulateArgs,
        gateways: impl Iterator<Item = &'a GatewayId> + Clone,
    ) -> Result<Option<Self>> {
        let url = &args.broker;
        not_in_clear(url, args.allow_unprotected_network)?;
        let certs = match (url.tls, &args.certs) {
            (true, Some(dir)) => Self(dir.clone()),
            (true, None) => {
                let what = "needs --certs, a directory as `enroute certs` makes it";
                return Err(Wrong(format!("{url} {what}")).into());
            }
            (false, Some(_)) => {
                let what = "is without TLS: use mqtts://HOST:PORT, or leave --certs out";
                return Err(Wrong(format!("{url} {what}")).into());
            }
            (false, None) => return Ok(None),
        };
        certs.are_there(gateways.clone())?;
        for gateway in gateways {
            certs.are_in_order(gateway)?;
        }
        Ok(Some(certs))
    }

    fn authority(&self) -> PathBuf {
        self.0.join("hospital").join("ca.pem")
    }

    /// What a gateway trusts and shows.
    pub(crate) fn files(&self, gateway: &GatewayId) -> ClientFiles {
        let vehicles = self.0.join("vehicles");
        ClientFiles {
            authority: self.authority(),
            certificate: Some(vehicles.join(format!("{gateway}.pem"))),
            key: Some(vehicles.join(format!("{gateway}.key"))),
        }
    }

    /// Names the first file that is missing, and how to have all of them.
    fn are_there<'a>(&self, gateways: impl Iterator<Item = &'a GatewayId>) -> Result<(), Wrong> {
        let dir = self.0.display();
        let authority = self.authority();
        if !authority.exists() {
            let file = authority.display();
            let what = "is not there: name a directory that `enroute certs` made";
            return Err(Wrong(format!("{file}: {what}")));
        }
        let missing = |gateway: &'a GatewayId| {
            let files = self.files(gateway);
            let mut files = [files.certificate, files.key].into_iter().flatten();
            Some((files.find(|file| !file.exists())?, gateway))
        };
        let missing: Vec<(PathBuf, &GatewayId)> = gateways.filter_map(missing).collect();
        let Some((first, _)) = missing.first() else {
            return Ok(());
        };
        let named = missing.iter().map(|(_, id)| format!(" --gateway {id}"));
        let named: String = named.collect();
        let first = first.display();
        Err(Wrong(format!(
            "{first}: is not there; what is missing is made, where the authorities are, by\n  \
             enroute certs {dir}{named}"
        )))
    }

    fn are_in_order(&self, gateway: &GatewayId) -> Result<()> {
        let files = self.files(gateway);
        if let Some(name) = bearer(&files)?.filter(|name| name != gateway) {
            return Err(another(files.certificate.as_deref(), &name, gateway).into());
        }
        Connector::new(files, &[])?;
        Ok(())
    }
}
