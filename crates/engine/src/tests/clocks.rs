//! Clocks that are wrong, drift, step and jump back: corrected for display,
//! flagged, and without a say in anything live (I7).

use super::*;
use enroute_model::frame::{ClockOffsets, Offset};
use enroute_model::ids::Lane::Live;
use enroute_model::time::DeviceTime;
use proptest::prelude::*;

/// A gateway and its monitor, whose clocks are apart from the server's.
struct Aboard {
    engine: Engine,
    sender: Sender,
    /// Server's clock, seconds.
    now: i64,
    booted: i64,
    boot: u32,
    /// Gateway's clock minus server's.
    gateway: Span,
    /// Monitor's clock minus gateway's, if it has a clock.
    monitor: Option<Span>,
    /// To be stated with the next frame.
    states: ClockOffsets,
    told: String,
    text: String,
}

impl Aboard {
    fn new() -> Self {
        Self {
            engine: Engine::new(transfer("tx")),
            sender: Sender::default(),
            now: 10,
            booted: 0,
            boot: 1,
            gateway: Span::ZERO,
            monitor: None,
            states: ClockOffsets::default(),
            told: String::new(),
            text: String::new(),
        }
    }

    /// The gateway's estimate is off by no more than its uncertainty.
    fn state_gateway(&mut self, error: Span, uncertainty: Span) {
        self.states.gateway = Some(Offset {
            offset: Span(self.gateway.0 + error.0),
            uncertainty,
        });
    }

    fn state_monitor(&mut self, uncertainty: Span) {
        let offset = self.monitor.unwrap();
        self.states.monitor = Some(Offset {
            offset,
            uncertainty,
        });
    }

    fn frame(&mut self) {
        let at = s(self.now);
        let mut record = self.sender.frame(at, "amb", Live, numerics(&["hr=80"]));
        if let Entry::Frame { frame, .. } = &mut record.entry {
            let header = &mut frame.header;
            header.captured_at = GatewayTime(at.0).plus(self.gateway);
            header.observed_at = self
                .monitor
                .map(|ahead| DeviceTime(header.captured_at.plus(ahead).0));
            header.boot = self.boot;
            header.monotonic = Span::from_secs((self.now - self.booted).max(0));
            let states = std::mem::take(&mut self.states);
            header.clocks = Some(states).filter(|states| *states != ClockOffsets::default());
        }
        self.engine.handle(&record, &mut Effects::default());
        self.tell();
        self.now += 1;
    }

    fn frames(&mut self, count: i64) {
        for _ in 0..count {
            self.frame();
        }
    }

    /// How far `measured_at` is from the truth, and how far it may be.
    fn error(&self) -> Option<(Span, Span)> {
        let hr = self.engine.value(&gateway("amb"), &metric("hr")).unwrap();
        let (at, uncertainty) = hr.measured_at?;
        Some((Span(at.0 - hr.heard_at.0), uncertainty))
    }

    fn tell(&mut self) {
        let source = self.engine.source(&gateway("amb")).unwrap();
        let state = source.clock_state;
        let offset = |offset: Option<Offset>, wrong: bool, unsteady: bool| {
            let mut words = offset.map_or("unknown".to_owned(), |o| {
                let seconds = |span: Span| span.as_secs_f64();
                format!(
                    "{:+.3} s ± {:.3} s",
                    seconds(o.offset),
                    seconds(o.uncertainty)
                )
            });
            for (flag, word) in [(wrong, " WRONG"), (unsteady, " UNSTEADY")] {
                words.push_str(if flag { word } else { "" });
            }
            words
        };
        let (gateway, monitor) = (source.clocks.gateway, source.clocks.monitor);
        let told = format!(
            "gateway {}, monitor {}, measured {}",
            offset(gateway, state.gateway_wrong, state.gateway_unsteady),
            offset(monitor, state.monitor_wrong, state.monitor_unsteady),
            self.error()
                .map_or("at no known time".to_owned(), |(error, doubt)| format!(
                    "{:+.3} s off, ± {:.3} s",
                    error.as_secs_f64(),
                    doubt.as_secs_f64()
                ))
        );
        if told != self.told {
            writeln!(self.text, "{:>5} s  {told}", self.now).unwrap();
            self.told = told;
        }
    }
}

#[test]
fn a_wrong_clock_is_corrected_and_flagged() {
    let mut aboard = Aboard::new();
    aboard.gateway = Span::from_secs(90);
    aboard.monitor = Some(Span::from_secs(-3_600));
    aboard.frames(2);
    aboard.state_gateway(Span::from_millis(8), Span::from_millis(20));
    aboard.frames(2);
    aboard.state_monitor(Span::from_millis(500));
    aboard.frames(2);
    insta::assert_snapshot!(aboard.text);
}

/// NTP sets the clock back, the gateway notices with its next receipt.
#[test]
fn a_clock_that_is_set_is_carried_on_by_the_one_that_never_steps() {
    let mut aboard = Aboard::new();
    (aboard.gateway, aboard.monitor) = (Span::from_secs(61), Some(Span::ZERO));
    aboard.state_gateway(Span::ZERO, Span::from_millis(20));
    aboard.state_monitor(Span::from_millis(100));
    aboard.frames(5);
    // The monitor's did not move, so its difference did.
    aboard.gateway = Span::from_millis(500);
    aboard.monitor = Some(Span::from_millis(60_500));
    aboard.frames(5);
    aboard.state_gateway(Span::from_millis(3), Span::from_millis(15));
    aboard.frames(5);
    insta::assert_snapshot!(aboard.text);
}

#[test]
fn a_new_start_knows_nothing_of_its_clock() {
    let mut aboard = Aboard::new();
    aboard.state_gateway(Span::ZERO, Span::from_millis(20));
    aboard.frames(3);
    (aboard.boot, aboard.booted) = (2, aboard.now - 1);
    aboard.gateway = Span::from_secs(-1_000_000_000);
    aboard.frames(3);
    aboard.state_gateway(Span::ZERO, Span::from_millis(20));
    aboard.frames(3);
    insta::assert_snapshot!(aboard.text);
}

#[test]
fn a_clock_that_drifts_is_unsteady_and_one_that_does_not_is_not() {
    for (ppm, unsteady) in [(0, false), (-90, false), (200, true), (-200, true)] {
        let mut aboard = Aboard::new();
        for minute in 0..30 {
            // Its error swings within what it claims.
            aboard.gateway = Span(minute * 60 * ppm);
            aboard.state_gateway(
                Span::from_millis((minute % 3 - 1) * 15),
                Span::from_millis(15),
            );
            aboard.frames(60);
        }
        let state = aboard.engine.source(&gateway("amb")).unwrap().clock_state;
        assert_eq!(
            (state.gateway_unsteady, state.gateway_wrong),
            (unsteady, false),
            "{ppm} ppm"
        );
    }
}

#[test]
fn samples_from_before_the_start_are_no_step() {
    let mut aboard = Aboard::new();
    aboard.booted = aboard.now + 3;
    aboard.frames(8);
    let state = aboard.engine.source(&gateway("amb")).unwrap().clock_state;
    assert!(!state.gateway_unsteady);
}

#[derive(Clone, Debug)]
enum Action {
    Frames(i64),
    /// The gateway's clock is set, by so many milliseconds.
    Set(i64),
    /// An estimate: error in thousandths of the uncertainty, milliseconds.
    State(i64, i64),
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => (1..20i64).prop_map(Action::Frames),
        1 => (-5_000_000..5_000_000i64).prop_map(Action::Set),
        2 => (-1_000..1_000i64, 1..3_000i64).prop_map(|(e, u)| Action::State(e, u)),
        1 => Just(Action::Restart),
    ];
    prop::collection::vec(action, 1..40)
}

/// Everything that a header says of clocks.
type Nonsense = (
    i64,
    Option<i64>,
    u32,
    i64,
    Option<(i64, i64)>,
    Option<(i64, i64)>,
);

fn nonsense() -> impl Strategy<Value = Vec<Nonsense>> {
    let time = || prop_oneof![any::<i64>(), -10_000_000..10_000_000i64];
    let offset = || prop::option::weighted(0.3, (time(), time()));
    prop::collection::vec(
        (
            time(),
            prop::option::of(time()),
            0..3u32,
            time(),
            offset(),
            offset(),
        ),
        1..20,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the clock is set and restarted: when a measured time is given,
    /// the truth is within its uncertainty.
    #[test]
    fn the_truth_is_within_the_uncertainty(actions in actions()) {
        let mut aboard = Aboard::new();
        for action in actions {
            match action {
                Action::Frames(count) => {
                    for _ in 0..count {
                        aboard.frame();
                        if let Some((error, uncertainty)) = aboard.error() {
                            prop_assert!(error.0.abs() <= uncertainty.0, "{error:?} ± {uncertainty:?}");
                        }
                    }
                }
                Action::Set(millis) => {
                    aboard.gateway.0 += millis * 1_000;
                    // What it measured before says nothing of what it shows now.
                    aboard.states.gateway = None;
                }
                Action::State(error, uncertainty) => {
                    aboard.state_gateway(Span(error * uncertainty), Span::from_millis(uncertainty));
                }
                Action::Restart => {
                    (aboard.boot, aboard.booted) = (aboard.boot + 1, aboard.now - 1);
                    aboard.states.gateway = None;
                }
            }
        }
    }

    /// I7: whatever headers say of clocks, what is live is the same, but for the
    /// alert that says so.
    #[test]
    fn no_clock_on_board_has_a_say_in_what_is_live(
        actions in super::properties::actions(),
        nonsense in nonsense(),
    ) {
        let records = super::properties::build(&actions);
        let (mut plain, mut confused) = (Engine::new(transfer("tx")), Engine::new(transfer("tx")));
        let (mut told, mut told_confused) = (Effects::default(), Effects::default());
        for (record, said) in records.iter().zip(nonsense.iter().cycle()) {
            let mut strange = record.clone();
            if let Entry::Frame { frame, .. } = &mut strange.entry {
                let (captured, observed, boot, monotonic, monitor, gateway) = *said;
                let offset = |(offset, uncertainty)| Offset {
                    offset: Span(offset),
                    uncertainty: Span(uncertainty),
                };
                let header = &mut frame.header;
                header.captured_at = GatewayTime(captured);
                header.observed_at = observed.map(DeviceTime);
                (header.boot, header.monotonic) = (boot, Span(monotonic));
                header.clocks = Some(ClockOffsets {
                    monitor: monitor.map(offset),
                    gateway: gateway.map(offset),
                });
            }
            let verdict = plain.handle(record, &mut told);
            prop_assert_eq!(confused.handle(&strange, &mut told_confused), verdict);
            prop_assert_eq!(confused.next_timeout(), plain.next_timeout());
            prop_assert_eq!(present(&told_confused.alerts), present(&told.alerts));
            let (a, b) = (plain.state(), confused.state());
            prop_assert_eq!(a.phase, b.phase);
            for (a, b) in a.sources.iter().zip(&b.sources) {
                prop_assert_eq!((a.link, a.active), (b.link, b.active));
                for (a, b) in a.values.iter().zip(&b.values) {
                    prop_assert_eq!((a.heard_at, a.stale, a.reading), (b.heard_at, b.stale, b.reading));
                }
            }
        }
    }
}
