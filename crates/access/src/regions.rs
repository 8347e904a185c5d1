//! Where a transfer may be seen: regions, as countries or networks of hospitals.

use std::collections::{BTreeMap, BTreeSet};

/// What a server knows of regions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// That of the server, and of all of whom nothing else is said. Without one nobody
    /// is asked for a region.
    pub own: Option<String>,
    /// Those of hospitals elsewhere, by the name that the registry has.
    pub hospitals: BTreeMap<String, String>,
    /// Those of gateways from elsewhere, by their id.
    pub gateways: BTreeMap<String, String>,
}

impl Regions {
    /// Whether anybody is asked for a region.
    #[must_use]
    pub fn are_asked(&self) -> bool {
        self.own.is_some()
    }

    /// Where a caller is who says of it what the token says.
    #[must_use]
    pub fn of_caller<'a>(&'a self, said: Option<&'a str>) -> Option<&'a str> {
        said.or(self.own.as_deref())
    }

    /// In which regions a transfer may be seen: those that were said of it; if none were,
    /// those of the gateways that spoke for it and of the hospital that it goes to.
    #[must_use]
    pub fn of_transfer<'a>(
        &'a self,
        said: &'a [String],
        hospital: &str,
        gateways: impl IntoIterator<Item = &'a str>,
    ) -> BTreeSet<&'a str> {
        let Some(own) = self.own.as_deref() else {
            return BTreeSet::new();
        };
        if !said.is_empty() {
            return said.iter().map(String::as_str).collect();
        }
        let elsewhere = |of: &'a BTreeMap<String, String>, name: &str| -> &'a str {
            of.get(name).map_or(own, String::as_str)
        };
        let senders = gateways.into_iter();
        let senders = senders.map(|gateway| elsewhere(&self.gateways, gateway));
        senders
            .chain([elsewhere(&self.hospitals, hospital)])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::registry::is_region;

    fn regions() -> Regions {
        let of = |name: &str, region: &str| (name.to_owned(), region.to_owned());
        Regions {
            own: Some("CH".to_owned()),
            hospitals: BTreeMap::from([of("Parini", "IT")]),
            gateways: BTreeMap::from([of("gw-aosta", "IT"), of("gw-chamonix", "FR")]),
        }
    }

    fn seen_in(said: &[&str], hospital: &str, gateways: &[&str]) -> Vec<String> {
        let said: Vec<String> = said.iter().map(|&region| region.to_owned()).collect();
        let regions = regions();
        let seen = regions.of_transfer(&said, hospital, gateways.iter().copied());
        seen.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_transfer_is_seen_where_it_comes_from_and_goes_to_unless_it_is_said() {
        assert_eq!(seen_in(&[], "HUG", &[]), ["CH"]);
        assert_eq!(seen_in(&[], "HUG", &["gw-aosta"]), ["CH", "IT"]);
        // By three vehicles, to nowhere yet: whoever reads this is who receives it.
        let three = ["gw-aosta", "gw-chamonix", "gw-rega"];
        assert_eq!(seen_in(&[], "", &three), ["CH", "FR", "IT"]);
        assert_eq!(seen_in(&[], "Parini", &["gw-aosta"]), ["IT"]);
        assert_eq!(seen_in(&["FR"], "HUG", &["gw-aosta"]), ["FR"]);
        let nowhere = Regions::default();
        assert!(nowhere.of_transfer(&[], "HUG", ["gw-aosta"]).is_empty());
    }

    #[test]
    fn names_are_short_and_plain_and_a_caller_is_where_the_server_is() {
        assert!(
            ["CH", "eu-west-1", &"x".repeat(32)]
                .iter()
                .all(|name| is_region(name))
        );
        assert!(
            !["", "C H", "Genève", &"x".repeat(33)]
                .iter()
                .any(|name| is_region(name))
        );
        let regions = regions();
        assert_eq!(regions.of_caller(None), Some("CH"));
        assert_eq!(regions.of_caller(Some("DE")), Some("DE"));
    }
}
