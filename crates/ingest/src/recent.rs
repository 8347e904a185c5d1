//! A table with a bound that forgets what was not asked for lately.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// At most `max` entries in two generations. What is found or put moves to the
/// younger one; when that is half of `max`, the older one is forgotten. So an entry
/// that is in use stays, whatever flood of others comes and goes.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            half: (max / 2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// The entry, which counts as used.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.old.is_empty()
            && let Some((key, value)) = self.old.remove_entry(key)
        {
            self.put(key, value);
        }
        self.young.get_mut(key)
    }

    /// The entry, without a claim to stay.
    pub(crate) fn peek<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_table_is_bounded() {
        let mut recent = Recent::new(8);
        recent.put(0, "used");
        for key in 1..1_000 {
            recent.put(key, "flood");
            assert!(recent.young.len() + recent.old.len() <= 8);
            if key % 3 == 0 {
                assert_eq!(recent.get(&0).copied(), Some("used"), "{key}");
            }
        }
        assert_eq!(recent.peek(&999), Some(&"flood"));
        assert_eq!(recent.peek(&900), None);
        recent.put(999, "newer");
        assert_eq!(recent.get(&999).copied(), Some("newer"));
    }
}
