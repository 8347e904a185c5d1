//! What can happen, and the dice that decide it.

use enroute_model::time::Span;
use enroute_simulator::radio::{Cut, LinkState};

/// One of each gateway, one of the server.
pub(crate) const LINKS: usize = 3;
/// 64 and 9.6 kbit/s.
const THIN: [u64; 2] = [8_000, 1_200];

/// What can happen. Gateways and their links are 0 and 1; link 2 is the server's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    KillServer,
    KillGateway(usize),
    KillBroker {
        forget: bool,
    },
    Link {
        link: usize,
        state: LinkState,
        heartbeats: usize,
    },
    ServerDiskFull {
        heartbeats: usize,
    },
    GatewayDiskFull {
        gateway: usize,
        heartbeats: usize,
    },
}

impl Fault {
    /// Its row in the table.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::KillServer => "server killed",
            Self::KillGateway(_) => "gateway killed",
            Self::KillBroker { forget: false } => "broker killed",
            Self::KillBroker { forget: true } => "broker without its state",
            Self::Link { state, .. } => match state {
                LinkState::Down(Cut::Reset) => "link cut",
                LinkState::Down(Cut::BlackHole) => "link silent",
                LinkState::Up { bytes_per_s, .. } if bytes_per_s == THIN[0] => "link 64 kbit/s",
                LinkState::Up { bytes_per_s, .. } if bytes_per_s == THIN[1] => "link 9.6 kbit/s",
                LinkState::Up { .. } => "link slow",
            },
            Self::ServerDiskFull { .. } => "server's disk full",
            Self::GatewayDiskFull { .. } => "gateway's disk full",
        }
    }

    /// The gateway that it concerns, if it is one alone.
    pub(crate) fn gateway(self) -> Option<usize> {
        match self {
            Self::KillGateway(gateway) | Self::GatewayDiskFull { gateway, .. } => Some(gateway),
            Self::Link { link, .. } if link + 1 < LINKS => Some(link),
            Self::Link { .. }
            | Self::KillServer
            | Self::KillBroker { .. }
            | Self::ServerDiskFull { .. } => None,
        }
    }
}

/// Steele and others, "Fast splittable pseudorandom number generators" (2014).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub(crate) fn count(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }

    pub(crate) fn fault(&mut self) -> Fault {
        let (gateway, link) = (self.count(2), self.count(LINKS as u64));
        let heartbeats = self.count(4);
        match self.below(11) {
            0 | 1 => Fault::KillServer,
            2 | 3 => Fault::KillGateway(gateway),
            4 => Fault::KillBroker {
                forget: self.below(3) == 0,
            },
            5 => Fault::Link {
                link,
                state: LinkState::Down(Cut::Reset),
                heartbeats,
            },
            6 => Fault::Link {
                link,
                state: LinkState::Down(Cut::BlackHole),
                // Now and then long enough for both ends to give up.
                heartbeats: if self.below(4) == 0 { 13 } else { heartbeats },
            },
            7 | 8 => Fault::Link {
                link,
                state: self.slow(),
                heartbeats: 1 + heartbeats,
            },
            9 => Fault::ServerDiskFull {
                heartbeats: 1 + heartbeats,
            },
            _ => Fault::GatewayDiskFull {
                gateway,
                heartbeats: 1 + heartbeats,
            },
        }
    }

    fn slow(&mut self) -> LinkState {
        let delay = Span::from_millis(i64::try_from(self.below(500)).unwrap());
        let bytes_per_s = match self.count(3) {
            2 => 2_000 + self.below(20_000),
            thin => THIN[thin],
        };
        LinkState::Up { delay, bytes_per_s }
    }
}
