//! Keys and names of keyspaces.
//!
//! A record's key is its transfer (one byte of length, then the id) and its
//! position (u64, big endian): one transfer lies together, in order, and no id
//! is a prefix of another.

use crate::record::Class;
use crate::vault::Place;
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::EngineTime;

/// The part of a key that all records of `transfer` share.
pub(crate) fn prefix(transfer: &TransferId) -> Vec<u8> {
    let id = transfer.as_str().as_bytes();
    let mut key = Vec::with_capacity(id.len().saturating_add(9));
    // An id has at most 64 bytes, so the length always fits.
    key.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
    key.extend_from_slice(id);
    key
}

/// Key of (`transfer`, `number`): of a record by position, of a derived record
/// by ordinal.
pub(crate) fn numbered(transfer: &TransferId, number: u64) -> Vec<u8> {
    let mut key = prefix(transfer);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The part of a record's key that says whose it is.
pub(crate) fn prefix_of(key: &[u8]) -> &[u8] {
    key.split_last_chunk::<8>()
        .map_or(key, |(prefix, _)| prefix)
}

/// Engine time as a number that sorts as it does.
pub(crate) fn ordered(at: EngineTime) -> u64 {
    at.0.cast_unsigned() ^ (1 << 63)
}

/// The number at the end of a key.
pub(crate) fn number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>()
        .map(|bytes| u64::from_be_bytes(*bytes))
}

/// Position at the end of a key; 0 when it is too short to have one.
pub(crate) fn position(key: &[u8]) -> Position {
    Position(number(key).unwrap_or(0))
}

/// Where a record of `class` lies, whatever its slice.
pub(crate) fn place(class: Class, key: &[u8]) -> Place<'_> {
    let space = class_name(class);
    Place { space, key }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Vitals => "vitals",
        Class::Waveforms => "waveforms",
    }
}

/// Name of the keyspace of `class` in slice number `slice`.
pub(crate) fn slice_name(class: Class, slice: i64) -> String {
    format!("{}/{slice}", class_name(class))
}

/// The class and slice number in a name, if it is of a slice.
pub(crate) fn parse_slice_name(name: &str) -> Option<(Class, i64)> {
    let (class, slice) = name.split_once('/')?;
    let class = match class {
        "vitals" => Class::Vitals,
        "waveforms" => Class::Waveforms,
        _ => return None,
    };
    Some((class, slice.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_lies_together_and_in_order() {
        let id = |text| TransferId::new(text).unwrap();
        let keys = [
            numbered(&id("b"), 1),
            numbered(&id("b"), 255),
            numbered(&id("b"), 256),
            numbered(&id("a0"), 0),
            numbered(&id("a0"), u64::MAX),
        ];
        assert!(keys.is_sorted());
        assert_eq!(position(&keys[1]), Position(255));
        assert_eq!(prefix_of(&keys[3]), prefix(&id("a0")));
        assert_eq!(position(b"short"), Position(0));
    }

    #[test]
    fn times_sort_as_numbers() {
        let times = [i64::MIN, -1, 0, 1, i64::MAX].map(|at| ordered(EngineTime(at)));
        assert!(times.is_sorted(), "{times:?}");
    }

    #[test]
    fn slice_names_come_back() {
        for slice in [i64::MIN, -1, 0, 20_000] {
            let name = slice_name(Class::Waveforms, slice);
            assert_eq!(parse_slice_name(&name), Some((Class::Waveforms, slice)));
        }
        assert_eq!(parse_slice_name("meta"), None);
    }
}
