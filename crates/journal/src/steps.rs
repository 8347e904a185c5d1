//! Steps between samples in few bits.
//!
//! A waveform lies in a payload as a run of numbers: the first sample, then each minus
//! the one before, zigzag in base 128 (what protobuf makes of a packed `sint32`). That is
//! a byte and more for each, whatever the signal. Here it is what the step before does
//! not let expect, in a Rice code whose parameter follows the signal:
//!
//! ```text
//!  packed = (bytes before the run + 1 │ those bytes │ first number
//!            │ 2 · numbers behind it + guess │ their bits, to a whole byte)*
//!           0 │ what is left, as it is
//!
//!  guess 0: three quarters of the step before; guess 1: all of it
//!  bits of z, the zigzag of step − guess:   z >> k ones, a zero, the lowest k bits
//!                                           24 ones, 32 bits, if z >> k is 24 or more
//!  k: bits of mean >> 3; mean = 32 at first, then mean − mean/4 + z (at most 65,536)
//! ```
//!
//! Counts and lengths are in base 128 too. A run that does not become a quarter shorter
//! stays as it is: the store's own compression may do better with it. What is around the
//! runs is left to that as well, because it hardly differs from record to record, which
//! only the store sees. Zstandard with a trained dictionary was tried: record by record
//! it needs a quarter more.

use std::ops::Range;

/// Numbers of a run that is worth it.
const RUN_MIN: usize = 16;
/// Longest payload that is unpacked, as in `pack.rs`.
const UNPACKED_MAX: usize = 64 << 20;
/// Ones after which the number follows as it is.
const ONES_MAX: u32 = 24;
/// What one number adds to the mean at most: the first beat behind a flat line should
/// not make all that follow long.
const SEEN_MAX: u32 = 1 << 16;

/// `payload` with the numbers in `runs` packed; `None` where nothing is gained. A range
/// that is none, or holds something else, does no harm.
pub(crate) fn pack(payload: &[u8], runs: &[Range<usize>]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(payload.len());
    let mut from = 0;
    for run in runs {
        let before = payload.get(from..run.start)?;
        let Some(coded) = coded(payload.get(run.clone())?) else {
            continue;
        };
        put_number(
            &mut packed,
            u32::try_from(before.len()).ok()?.checked_add(1)?,
        );
        packed.extend_from_slice(before);
        packed.extend_from_slice(&coded);
        from = run.end;
    }
    if from == 0 || payload.len() > UNPACKED_MAX {
        return None;
    }
    packed.push(0);
    packed.extend_from_slice(payload.get(from..)?);
    Some(packed)
}

/// What was packed; `None` if that is not what it is.
pub(crate) fn unpack(mut packed: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::with_capacity(packed.len().saturating_mul(2));
    while let Some(before) = take_number(&mut packed)?.checked_sub(1) {
        let (before, rest) = packed.split_at_checked(usize::try_from(before).ok()?)?;
        payload.extend_from_slice(before);
        packed = rest;
        put_number(&mut payload, take_number(&mut packed)?);
        let count = take_number(&mut packed)?;
        let mut model = Model::new(Guess::of(count & 1));
        let mut bits = Taken::of(packed);
        for _ in 0..count >> 1 {
            let difference = bits.rice(model.parameter())?;
            let step = signed(difference).wrapping_add(model.guess());
            put_number(&mut payload, zigzag(step));
            model.see(step, difference);
            if payload.len() > UNPACKED_MAX {
                return None;
            }
        }
        packed = bits.done();
    }
    payload.extend_from_slice(packed);
    Some(payload)
}

/// The numbers of a run behind their first and how many they are; `None` if they are not
/// numbers as an encoder writes them, or not a quarter shorter.
fn coded(run: &[u8]) -> Option<Vec<u8>> {
    let mut rest = run;
    let first = take_number(&mut rest)?;
    let mut numbers = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        numbers.push(take_number(&mut rest)?);
    }
    if numbers.len() < RUN_MIN {
        return None;
    }
    let guess = Guess::best_of(&numbers);
    let bits = bits(&numbers, guess);
    let mut coded = Vec::with_capacity(bits.len().saturating_add(10));
    put_number(&mut coded, first);
    let count = u32::try_from(numbers.len()).ok()?.checked_mul(2)?;
    put_number(&mut coded, count | guess.bit());
    coded.extend_from_slice(&bits);
    (coded.len() <= run.len() / 4 * 3).then_some(coded)
}

fn bits(numbers: &[u32], guess: Guess) -> Vec<u8> {
    let mut model = Model::new(guess);
    let mut bits = Put::with_room(numbers.len());
    for number in numbers {
        let step = signed(*number);
        let difference = zigzag(step.wrapping_sub(model.guess()));
        bits.rice(difference, model.parameter());
        model.see(step, difference);
    }
    bits.done()
}

/// What a step is expected to be.
#[derive(Clone, Copy)]
enum Guess {
    Most,
    All,
}

impl Guess {
    fn of(bit: u32) -> Self {
        if bit == 0 { Self::Most } else { Self::All }
    }

    fn bit(self) -> u32 {
        match self {
            Self::Most => 0,
            Self::All => 1,
        }
    }

    /// The one from which these numbers differ less.
    fn best_of(numbers: &[u32]) -> Self {
        let [most, all] = [Self::Most, Self::All].map(|guess| {
            let mut last = 0;
            let differences = numbers.iter().map(|number| {
                let step = signed(*number);
                let difference = zigzag(step.wrapping_sub(guess.behind(last)));
                last = step;
                u64::from(difference.min(SEEN_MAX))
            });
            differences.sum::<u64>()
        });
        if all < most { Self::All } else { Self::Most }
    }

    /// What is expected behind a step.
    fn behind(self, step: i32) -> i32 {
        match self {
            Self::Most => step / 2 + step / 4,
            Self::All => step,
        }
    }
}

/// What both ends know of the numbers so far.
struct Model {
    guess: Guess,
    last: i32,
    /// Four times what differed of late.
    mean: u32,
}

impl Model {
    fn new(guess: Guess) -> Self {
        Self {
            guess,
            last: 0,
            mean: 32,
        }
    }

    fn guess(&self) -> i32 {
        self.guess.behind(self.last)
    }

    fn parameter(&self) -> u32 {
        u32::BITS - (self.mean >> 3).leading_zeros()
    }

    fn see(&mut self, step: i32, difference: u32) {
        self.last = step;
        self.mean = self.mean - self.mean / 4 + difference.min(SEEN_MAX);
    }
}

/// Bits that are written.
struct Put {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl Put {
    fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            held: 0,
            count: 0,
        }
    }

    fn rice(&mut self, number: u32, parameter: u32) {
        let ones = number >> parameter;
        if ones >= ONES_MAX {
            self.put((1 << ONES_MAX) - 1, ONES_MAX);
            self.put(u64::from(number), u32::BITS);
        } else {
            let low = u64::from(number) & ((1 << parameter) - 1);
            let high = (1_u64 << (ones + 1)) - 2;
            self.put(high << parameter | low, ones + 1 + parameter);
        }
    }

    /// At most 56 bits.
    fn put(&mut self, value: u64, bits: u32) {
        self.held = self.held << bits | value;
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            let [.., byte] = (self.held >> self.count).to_be_bytes();
            self.bytes.push(byte);
        }
    }

    fn done(mut self) -> Vec<u8> {
        self.put(0, (8 - self.count) % 8);
        self.bytes
    }
}

/// Bits that are read.
struct Taken<'a> {
    all: &'a [u8],
    /// Bytes of which none is held yet.
    rest: &'a [u8],
    /// From the highest on.
    held: u64,
    count: u32,
}

impl<'a> Taken<'a> {
    fn of(all: &'a [u8]) -> Self {
        Self {
            all,
            rest: all,
            held: 0,
            count: 0,
        }
    }

    fn rice(&mut self, parameter: u32) -> Option<u32> {
        // Bits that are not there are zeros, and found to be missing when they are taken.
        self.fill();
        let ones = self.held.leading_ones().min(ONES_MAX);
        if ones == ONES_MAX {
            self.take(ONES_MAX)?;
            return self.take(u32::BITS);
        }
        self.take(ones + 1)?;
        Some(ones << parameter | self.take(parameter)?)
    }

    /// At most 32 bits.
    fn take(&mut self, bits: u32) -> Option<u32> {
        if self.count < bits {
            self.fill();
        }
        self.count = self.count.checked_sub(bits)?;
        // In two steps, because none may be as wide as the number.
        let taken = self.held >> 1 >> (u64::BITS - 1 - bits);
        self.held <<= bits;
        u32::try_from(taken).ok()
    }

    fn fill(&mut self) {
        while self.count <= u64::BITS - 8
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.held |= u64::from(*byte) << (u64::BITS - 8 - self.count);
            self.count += 8;
            self.rest = rest;
        }
    }

    /// What follows the byte of the last bit.
    fn done(self) -> &'a [u8] {
        let unread = usize::try_from(self.count / 8).unwrap_or(0);
        let taken = self.all.len() - self.rest.len();
        self.all.get(taken - unread..).unwrap_or_default()
    }
}

/// The next number; `None` at the end, beyond 32 bits, and where an encoder would have
/// taken fewer bytes.
fn take_number(rest: &mut &[u8]) -> Option<u32> {
    // Nearly all are of one byte.
    if let [byte @ ..0x80, behind @ ..] = *rest {
        *rest = behind;
        return Some(u32::from(*byte));
    }
    let mut number = 0;
    for (at, byte) in (0..5).zip(rest.iter()) {
        let low = u64::from(byte & 0x7f);
        number |= low << (7 * at);
        if *byte < 0x80 {
            let longer = at > 0 && *byte == 0;
            *rest = rest.get(at + 1..).filter(|_| !longer)?;
            return u32::try_from(number).ok();
        }
    }
    None
}

fn put_number(to: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        let [low, ..] = number.to_le_bytes();
        to.push(low | 0x80);
        number >>= 7;
    }
    let [low, ..] = number.to_le_bytes();
    to.push(low);
}

fn zigzag(step: i32) -> u32 {
    (step.wrapping_shl(1) ^ (step >> 31)).cast_unsigned()
}

fn signed(number: u32) -> i32 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn run(steps: &[i32]) -> Vec<u8> {
        let mut run = Vec::new();
        for step in steps {
            put_number(&mut run, zigzag(*step));
        }
        run
    }

    /// A slow wave of 400 samples with some noise, as steps.
    fn wave() -> Vec<u8> {
        let sample = |n: i32| 900 + (n % 50 - 25).abs() * 4 + n * 7_919 % 5;
        run(&(0..400)
            .map(|n| sample(n) - if n > 0 { sample(n - 1) } else { 0 })
            .collect::<Vec<_>>())
    }

    /// With one run.
    fn pack_one(payload: &[u8], start: usize, end: usize) -> Option<Vec<u8>> {
        let run = Range { start, end };
        pack(payload, &[run])
    }

    #[test]
    fn a_wave_becomes_shorter_and_what_is_around_it_stays() {
        let wave = wave();
        let payload = [b"before", wave.as_slice(), b"between", &wave, b"behind"].concat();
        let second = 6 + wave.len() + 7;
        let runs = [6..6 + wave.len(), second..second + wave.len()];
        let packed = pack(&payload, &runs).unwrap();
        assert!(packed.len() * 5 < payload.len() * 3, "{}", packed.len());
        assert!(packed.windows(7).any(|some| some == b"between"));
        assert!(packed.ends_with(b"behind"));
        assert_eq!(unpack(&packed).unwrap(), payload);
    }

    /// Journals are read for ever, so what is written today stays readable.
    #[test]
    fn the_format_stands() {
        let steps = [&[1_000][..], &[3; 20]].concat();
        let payload = [b"ab", run(&steps).as_slice(), b"z"].concat();
        let packed = [3, b'a', b'b', 0xd0, 0x0f, 41, 0x60, 0, 0, 0, 0, b'z'];
        assert_eq!(pack_one(&payload, 2, 24).unwrap(), packed);
        assert_eq!(unpack(&packed).unwrap(), payload);

        // By the other guess, with a step that is beyond the code.
        let steps = [&[5][..], &[4, 2].repeat(20), &[5_000]].concat();
        let payload = run(&steps);
        let packed = [
            1, 10, 82, 128, 209, 163, 70, 143, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
            15, 15, 255, 255, 248, 0, 1, 56, 112, 0,
        ];
        assert_eq!(pack_one(&payload, 0, payload.len()).unwrap(), packed);
        assert_eq!(unpack(&packed).unwrap(), payload);
    }

    #[test]
    fn what_gains_nothing_is_left() {
        let noise: Vec<i32> = (0..100_i32)
            .map(|n| n.wrapping_mul(0x9e37_79b9_u32.cast_signed()))
            .collect();
        let (noise, wave) = (run(&noise), wave());
        assert_eq!(pack_one(&noise, 0, noise.len()), None);
        assert_eq!(pack(&wave, &[]), None);
        assert_eq!(pack_one(&wave, 0, RUN_MIN), None);
        for (start, end) in [(0, wave.len() + 1), (7, 3), (400, 900)] {
            assert_eq!(pack_one(&wave, start, end), None);
        }
        // Two bytes where one would do would come back as one.
        let long = [&wave[..], &[0x81, 0x00]].concat();
        assert_eq!(pack_one(&long, 0, long.len()), None);
    }

    #[test]
    fn what_was_not_packed_so_is_told() {
        let wave = wave();
        let packed = pack_one(&wave, 0, wave.len()).unwrap();
        for cut in 0..packed.len() {
            assert_eq!(unpack(&packed[..cut]), None, "cut {cut}");
        }
        for wrong in [&[2][..], &[1], &[1, 5, 9], &[0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(unpack(wrong), None);
        }
    }

    fn payloads() -> impl Strategy<Value = (Vec<u8>, Vec<Range<usize>>)> {
        let small = vec(-40..40_i32, 0..120);
        let steps = prop_oneof![4 => small, 1 => vec(any::<i32>(), 0..60)];
        let part = (vec(any::<u8>(), 0..20), steps);
        let parts = vec(part, 0..4).prop_map(|parts| {
            let (mut payload, mut runs) = (Vec::new(), Vec::new());
            for (before, steps) in parts {
                payload.extend(before);
                let from = payload.len();
                payload.extend(run(&steps));
                runs.push(from..payload.len());
            }
            (payload, runs)
        });
        let wild = vec(0..200_usize, 0..8)
            .prop_map(|ends| ends.chunks(2).map(|c| c[0]..c[c.len() - 1]).collect());
        prop_oneof![3 => parts, 1 => (vec(any::<u8>(), 0..200), wild)]
    }

    proptest! {
        #[test]
        fn every_payload_comes_back((payload, runs) in payloads()) {
            if let Some(packed) = pack(&payload, &runs) {
                prop_assert_eq!(unpack(&packed), Some(payload));
            }
        }

        #[test]
        fn nothing_is_unpacked_without_bounds(packed in vec(any::<u8>(), 0..400)) {
            if let Some(payload) = unpack(&packed) {
                prop_assert!(payload.len() <= packed.len() * 48);
            }
        }
    }
}
