//! Generated records with every oddity of the format round trip; rubbish never
//! panics.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use enroute_wfdb::{Date, Error, Frame, Header, Reader};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A signal as the test writes it.
#[derive(Clone, Debug)]
struct Made {
    samples_per_frame: usize,
    skew: usize,
    /// Stored samples.
    stored: Vec<i32>,
}

/// A file of signals.
#[derive(Clone, Debug)]
struct MadeFile {
    format: u32,
    offset: usize,
    signals: Vec<Made>,
}

fn range(format: u32) -> (i32, i32) {
    match format {
        16 => (-32_768, 32_767),
        80 => (-128, 127),
        _ => (-2_048, 2_047),
    }
}

/// Interleaves the signals of a file, frame by frame, and packs them.
fn bytes(file: &MadeFile, frames: usize) -> Vec<u8> {
    let mut order = Vec::new();
    for frame in 0..frames {
        for signal in &file.signals {
            let start = frame * signal.samples_per_frame;
            order.extend(&signal.stored[start..start + signal.samples_per_frame]);
        }
    }
    let mut out = vec![0xa5; file.offset];
    match file.format {
        16 => order
            .iter()
            .for_each(|s| out.extend(i16::try_from(*s).unwrap().to_le_bytes())),
        80 => out.extend(order.iter().map(|s| u8::try_from(s + 128).unwrap())),
        _ => {
            for pair in order.chunks(2) {
                let a = u32::try_from(pair[0] & 0xfff).unwrap();
                let b = u32::try_from(pair.get(1).unwrap_or(&0) & 0xfff).unwrap();
                let packed = [a & 0xff, (a >> 8) | ((b >> 8) << 4), b & 0xff];
                let used = if pair.len() == 2 { 3 } else { 2 };
                out.extend(packed[..used].iter().map(|b| u8::try_from(*b).unwrap()));
            }
        }
    }
    out
}

fn checksum(stored: &[i32]) -> i64 {
    let sum: i64 = stored.iter().map(|s| i64::from(*s)).sum();
    (sum + 32_768).rem_euclid(65_536) - 32_768
}

/// Writes one record; its files hold exactly `frames` frames.
fn write(dir: &Path, name: &str, files: &[MadeFile], frames: usize) {
    let signals: usize = files.iter().map(|f| f.signals.len()).sum();
    let mut header =
        format!("# made by a test\n{name} {signals} 62.5/125(7) {frames} 23:59:59.5 29/02/2896\n");
    for (index, file) in files.iter().enumerate() {
        fs::write(dir.join(format!("{name}_{index}.dat")), bytes(file, frames)).unwrap();
        for (number, signal) in file.signals.iter().enumerate() {
            let mut format = file.format.to_string();
            if signal.samples_per_frame > 1 {
                write!(format, "x{}", signal.samples_per_frame).unwrap();
            }
            if signal.skew > 0 {
                write!(format, ":{}", signal.skew).unwrap();
            }
            if file.offset > 0 {
                write!(format, "+{}", file.offset).unwrap();
            }
            let sum = checksum(&signal.stored);
            let first = signal.stored[0];
            writeln!(header, "{name}_{index}.dat {format} 12.5(-3)/mmHg 12 0 {first} {sum} 0 Signal {index} {number} ").unwrap();
        }
    }
    header.push_str("# a comment\n");
    fs::write(dir.join(format!("{name}.hea")), header).unwrap();
}

/// What the record must give: as stored, missing as `None`, frame by frame.
fn expected(files: &[MadeFile], frames: usize) -> Vec<Vec<Vec<Option<i32>>>> {
    let signals = files
        .iter()
        .flat_map(|f| f.signals.iter().map(|s| (f.format, s)));
    let signals: Vec<(u32, &Made)> = signals.collect();
    let frame = |t: usize| {
        let signal = |(format, s): &(u32, &Made)| {
            let sample = |i: usize| {
                let stored = *s.stored.get(t * s.samples_per_frame + i)?;
                Some(stored).filter(|v| *v != range(*format).0)
            };
            (0..s.samples_per_frame).map(sample).collect()
        };
        signals.iter().map(signal).collect()
    };
    (0..frames).map(frame).collect()
}

/// Reads a whole record.
fn read(path: &Path) -> Result<(Reader, Vec<Vec<Vec<Option<i32>>>>), Error> {
    let mut reader = Reader::open(path)?;
    let (mut frame, mut frames) = (Frame::default(), Vec::new());
    while reader.read(&mut frame)? {
        assert_eq!(frame.index, frames.len() as u64);
        let signals = 0..reader.signals(frame.segment).len();
        frames.push(signals.map(|s| frame.signal(s).to_vec()).collect());
    }
    Ok((reader, frames))
}

fn made_file(frames: usize) -> impl Strategy<Value = MadeFile> {
    let format = prop_oneof![Just(16), Just(80), Just(212)];
    let shapes = prop::collection::vec((1..5_usize, 0..4_usize), 1..4);
    (format, 0..40_usize, shapes).prop_flat_map(move |(format, offset, shapes)| {
        let (low, high) = range(format);
        let signals: Vec<_> = shapes
            .into_iter()
            .map(|(samples_per_frame, skew)| {
                let sample = prop_oneof![4 => low..=high, 1 => Just(low)];
                prop::collection::vec(sample, frames * samples_per_frame).prop_map(move |stored| {
                    Made {
                        samples_per_frame,
                        skew,
                        stored,
                    }
                })
            })
            .collect();
        signals.prop_map(move |signals| MadeFile {
            format,
            offset,
            signals,
        })
    })
}

fn made_record() -> impl Strategy<Value = (usize, Vec<MadeFile>)> {
    (1..12_usize).prop_flat_map(|frames| {
        prop::collection::vec(made_file(frames), 1..4).prop_map(move |files| (frames, files))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read((frames, files) in made_record()) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "made", &files, frames);
        let (reader, found) = read(&dir.path().join("made")).unwrap();
        prop_assert_eq!(found, expected(&files, frames));
        prop_assert_eq!(reader.mismatches(), &[]);
        prop_assert_eq!(reader.frame_count(), frames as u64);
    }

    #[test]
    fn segments_follow_one_another((frames, files) in made_record(), gap in 1..5_usize) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a", &files, frames);
        write(dir.path(), "b", &files, frames);
        let signals: usize = files.iter().map(|f| f.signals.len()).sum();
        let total = 2 * frames + gap;
        let master = format!("both/3 {signals} 62.5 {total}\na {frames}\n~ {gap}\nb {frames}\n");
        fs::write(dir.path().join("both.hea"), master).unwrap();
        let (reader, found) = read(&dir.path().join("both.hea")).unwrap();
        let one = expected(&files, frames);
        let mut none = one[..1].to_vec();
        none[0].iter_mut().flatten().for_each(|s| *s = None);
        let all: Vec<_> = one.iter().chain(none.iter().cycle().take(gap)).chain(&one).cloned().collect();
        prop_assert_eq!(found, all);
        prop_assert_eq!(reader.segment_count(), 3);
    }

    #[test]
    fn a_changed_byte_breaks_a_checksum((frames, files) in made_record(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "made", &files, frames);
        let path = dir.path().join("made_0.dat");
        let mut bytes = fs::read(&path).unwrap();
        let offset = files[0].offset;
        let at = offset + at.index(bytes.len() - offset);
        // The last nibble of an unpaired 12-bit sample belongs to nothing.
        let unused = files[0].format == 212 && at + 1 == bytes.len() && bit > 3;
        prop_assume!(!unused);
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let (reader, _) = read(&dir.path().join("made")).unwrap();
        prop_assert_eq!(reader.mismatches().len(), 1);
    }

    #[test]
    fn rubbish_never_panics(text in "\\PC*", bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("r.hea"), text).unwrap();
        fs::write(dir.path().join("r.dat"), bytes).unwrap();
        drop(read(&dir.path().join("r")));
    }

    #[test]
    fn nearly_right_headers_never_panic(
        numbers in prop::collection::vec("-?[0-9]{1,20}|[~x:+/()a.-]{0,3}", 16),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let n = |i: usize| &numbers[i];
        let dir = tempfile::tempdir().unwrap();
        let header = format!(
            "r {} {}/{}({}) {} {}:{} {}/{}/1994\nr.dat 16{}{} {}({})/{} {} {}\nr.dat 212x{}:{} 0\n",
            1 + n(0).len() % 2, n(1), n(2), n(3), n(4), n(5), n(6), n(7), n(8), n(9), n(10), n(11), n(12), n(13), n(14), n(15), n(0), n(1),
        );
        fs::write(dir.path().join("r.dat"), bytes).unwrap();
        for text in [header.clone(), header.replace("r 1", "r/1 1").replace("r 2", "r/2 2")] {
            fs::write(dir.path().join("r.hea"), text).unwrap();
            drop(read(&dir.path().join("r")));
        }
    }
}

fn header(text: &str) -> Result<Header, Error> {
    Header::parse(text, Path::new("x.hea"))
}

#[test]
fn defaults_of_the_format() {
    let parsed = header("r 1\nr.dat 16").unwrap();
    let enroute_wfdb::Layout::Single(signals) = &parsed.layout else {
        panic!("no signals")
    };
    assert!((parsed.frequency_hz - 250.0).abs() < f64::EPSILON);
    assert_eq!((parsed.frames, parsed.start_us()), (None, None));
    let signal = &signals[0];
    assert!((signal.gain - 200.0).abs() < f64::EPSILON && !signal.calibrated);
    assert_eq!(
        (signal.baseline, signal.unit.as_str(), signal.checksum),
        (0, "mV", None)
    );
    // The baseline is the ADC zero if none is given; gain 0 is no gain.
    let parsed = header("r 1 360 0\nr.dat 212 0 11 1024 995 -22131 0 MLII").unwrap();
    let enroute_wfdb::Layout::Single(signals) = &parsed.layout else {
        panic!("no signals")
    };
    assert_eq!((signals[0].baseline, signals[0].calibrated), (1_024, false));
    assert_eq!(
        (signals[0].initial_value, signals[0].checksum),
        (995, Some(-22_131))
    );
}

#[test]
fn dates_of_any_century() {
    let start = |text: &str| header(&format!("r 0 125 0 {text}")).unwrap().start_us();
    assert_eq!(start("0:0:0 01/01/1970"), Some(0));
    assert_eq!(start("17:27:45 15/08/1994"), Some(776_971_665_000_000));
    // 2896-10-10T00:31:25.894Z.
    assert_eq!(start("31:25.894 10/10/2896"), Some(29_246_229_085_894_000));
    assert_eq!(start("1 31/12/1969"), Some(-86_399_000_000));
    assert_eq!(Date::new(1900, 2, 29), None);
    assert!(Date::new(2000, 2, 29).is_some());
}

#[test]
fn errors_say_where_and_what_to_do() {
    let cases = [
        (
            "",
            "x.hea, line 1: number of signals \"\" is not valid; write the number of signal lines",
        ),
        (
            "r 1 0",
            "x.hea, line 1: sampling frequency \"0\" is not valid",
        ),
        (
            "r 1 1 1 25:00:00",
            "base time \"25:00:00\" is not valid; write HH:MM:SS",
        ),
        (
            "r 1 1 1 0:0:0 31/02/2000",
            "base date \"31/02/2000\" is not valid; write DD/MM/YYYY",
        ),
        (
            "# c\n\nr 2\nr.dat 16\n",
            "signal line 2 of 2 is missing; complete the header",
        ),
        (
            "r 1\nr.dat 311",
            "x.hea, line 2: format 311 is not supported; convert the record",
        ),
        (
            "r 1\n../r.dat 16",
            "signal file name \"../r.dat\" is not valid",
        ),
        ("r 1\nr.dat 16x0", "\"16x0\" is not valid"),
        ("r 1\nr.dat 16x2x2", "write each of x, : and + once"),
        ("r 1\nr.dat 16 1(2", "gain \"1(2\" is not valid"),
        (
            "r 2\nr.dat 16\nr.dat 80",
            "the signals of r.dat differ in format",
        ),
        (
            "r 3\na.dat 16\nb.dat 16\na.dat 16",
            "the signals of a.dat do not stand together",
        ),
        ("r/0 1", "number of segments \"0\" is not valid"),
        (
            "r/2 1 1 9\na 4\nb 4",
            "the segments have 8 samples, the first line says 9",
        ),
    ];
    for (text, message) in cases {
        let error = header(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text:?} gives {error:?}");
    }
}

#[test]
fn a_short_file_and_the_variable_layout_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let open = |name: &str| {
        Reader::open(&dir.path().join(name))
            .unwrap_err()
            .to_string()
    };
    put("r.dat", "123456");
    put("r.hea", "r 1 1 4\nr.dat 16");
    assert!(
        open("r").contains("r.dat: 3 frames where the header promises 4"),
        "{}",
        open("r")
    );
    put("v.hea", "v/2 1 1 3\nr 0\ns 3");
    assert!(open("v").contains("variable layout"), "{}", open("v"));
    put("s.hea", "s/1 1 2 3\nt 3");
    put("t.hea", "t 1 1 3\nr.dat 16");
    assert!(
        open("s").contains("t.hea, line 1: 1 Hz, but the record has 2 Hz"),
        "{}",
        open("s")
    );
    assert!(open("none").contains("none.hea"));
    // Without a length, the file tells it.
    put("u.hea", "u 1\nr.dat 16");
    assert_eq!(
        Reader::open(&dir.path().join("u")).unwrap().frame_count(),
        3
    );
}
