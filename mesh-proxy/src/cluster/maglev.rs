//! Consistent hashing: a table of slots, each of which belongs to an endpoint. A key
//! goes to the slot that its hash names; when endpoints come or go, nearly all other
//! slots keep their owner (Eisenbud and others: "Maglev: a fast and reliable software
//! network load balancer", 2016).

use crate::random::mix;

/// Slots of every table: a prime, so that every step visits every slot, and always the
/// same, because in a table of another size every key lands elsewhere. With a hundred
/// endpoints their shares differ by about one in a hundred.
const SLOTS: u32 = 65_521;

/// See the module.
#[derive(Debug)]
pub(crate) struct Maglev {
    /// Index of the endpoint that owns the slot.
    slots: Box<[u32]>,
}

/// Where an endpoint wants its slots, one after the other.
struct Wishes {
    at: u32,
    step: u32,
    /// Turns that the endpoint has earned; it takes a slot for each whole one.
    earned: f32,
}

impl Maglev {
    /// Divides the slots among endpoints, given as name and share (up to 1, of the
    /// heaviest); none for no endpoints.
    pub(crate) fn build<'a>(
        endpoints: impl Iterator<Item = (&'a str, f32)> + Clone,
    ) -> Option<Self> {
        let mut wishes: Vec<Wishes> = endpoints
            .clone()
            .map(|(name, _)| Wishes::of(name))
            .collect();
        let shares: Vec<f32> = endpoints.map(|(_, share)| share.max(0.01)).collect();
        (!shares.is_empty()).then(|| Self {
            slots: fill(&mut wishes, &shares),
        })
    }

    /// Owners of the slots from the key's on, as indices of the list it was built from.
    pub(crate) fn owners(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let size = self.slots.len();
        let first = usize::try_from(key % size as u64).unwrap_or(0);
        let (before, after) = self.slots.split_at(first);
        after.iter().chain(before).map(|&owner| owner as usize)
    }
}

impl Wishes {
    fn of(name: &str) -> Self {
        let hash = hash(name.as_bytes());
        let below = |hash: u64, bound: u32| u32::try_from(hash % u64::from(bound)).unwrap_or(0);
        Self {
            at: below(hash, SLOTS),
            step: below(mix(hash), SLOTS - 1) + 1,
            earned: 0.0,
        }
    }
}

/// Endpoints take turns; each takes the first free slot among those it wishes for.
fn fill(wishes: &mut [Wishes], shares: &[f32]) -> Box<[u32]> {
    const FREE: u32 = u32::MAX;
    let mut slots = vec![FREE; SLOTS as usize].into_boxed_slice();
    let mut left = slots.len();
    loop {
        for (owner, (wish, share)) in wishes.iter_mut().zip(shares).enumerate() {
            wish.earned += share;
            if wish.earned < 1.0 {
                continue;
            }
            wish.earned -= 1.0;
            while slots[wish.at as usize] != FREE {
                wish.at = (wish.at + wish.step) % SLOTS;
            }
            slots[wish.at as usize] = u32::try_from(owner).unwrap_or(0);
            left -= 1;
            if left == 0 {
                return slots;
            }
        }
    }
}

/// A hash that is the same on every machine and in every version: FNV-1a, its bits
/// spread once more because short keys leave the upper ones alike.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Maglev, SLOTS, hash};

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("10.0.0.{n}:80")).collect()
    }

    fn table(names: &[String]) -> Maglev {
        let even: Vec<(&str, f32)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        Maglev::build(even.into_iter()).unwrap()
    }

    fn owner(table: &Maglev, key: u64) -> usize {
        table.owners(hash(&key.to_be_bytes())).next().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn few_keys_of_the_others_move_when_an_endpoint_goes(count in 2_usize..40, gone in 0_usize..40) {
            let gone = gone % count;
            let before = names(count);
            let mut after = before.clone();
            after.remove(gone);
            let (old, new) = (table(&before), table(&after));
            let moved = (0..2000_u64)
                .filter(|&key| {
                    let (was, is) = (owner(&old, key), owner(&new, key));
                    was != gone && before[was] != after[is]
                })
                .count();
            prop_assert!(moved < 2000 * 15 / 100, "{moved} of 2000 moved");
        }

        #[test]
        fn every_endpoint_gets_about_its_share(count in 1_usize..60) {
            let table = table(&names(count));
            let mut slots = vec![0_usize; count];
            for owner in table.owners(0) {
                slots[owner] += 1;
            }
            let fair = slots.iter().sum::<usize>() / count;
            prop_assert!(slots.iter().all(|&n| n.abs_diff(fair) <= fair / 20 + 1), "{slots:?}");
        }
    }

    #[test]
    fn a_lighter_endpoint_owns_fewer_slots() {
        let table = Maglev::build([("heavy:1", 1.0), ("light:1", 0.25)].into_iter()).unwrap();
        let light = table.owners(0).filter(|&owner| owner == 1).count();
        assert!((12_000..=14_200).contains(&light), "{light} of {SLOTS}");
    }

    #[test]
    fn there_is_no_table_of_nothing() {
        assert!(Maglev::build(std::iter::empty()).is_none());
    }
}
