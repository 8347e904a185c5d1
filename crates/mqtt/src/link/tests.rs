//! Over a stream that does as it is told and tells what was done to it.

use super::*;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{PingReq, PingResp, PubAck, Publish};
use std::collections::VecDeque;
use std::task::Waker;
use tokio::io::ReadBuf;

/// What was done to the stream.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    Wrote(Vec<u8>),
    Flushed,
    /// Somebody waits for bytes.
    Waited,
}

/// A stream by script.
#[derive(Default)]
struct Scripted {
    /// How many bytes each write takes, 0: none now; beyond it all.
    takes: VecDeque<usize>,
    /// What reads give; beyond it nothing comes.
    gives: VecDeque<Vec<u8>>,
    did: Vec<Did>,
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let takes = self.takes.pop_front().unwrap_or(bytes.len());
        if takes == 0 {
            return Poll::Pending;
        }
        let part = &bytes[..takes.min(bytes.len())];
        self.did.push(Did::Wrote(part.to_vec()));
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.did.push(Did::Flushed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut bytes) = self.gives.pop_front() else {
            self.did.push(Did::Waited);
            return Poll::Pending;
        };
        let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
        buffer.put_slice(&bytes);
        if !rest.is_empty() {
            self.gives.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

fn link(stream: Scripted) -> Link<Scripted> {
    Link::new(stream, 1 << 20)
}

/// One poll of a turn that is dropped then.
fn turn(link: &mut Link<Scripted>) -> Poll<Result<(), LinkError>> {
    let turn = pin!(link.turn(true));
    turn.poll(&mut Context::from_waker(Waker::noop()))
}

fn publish(payload: usize) -> Packet {
    let mut publish = Publish::new("t", QoS::AtLeastOnce, vec![7; payload], None);
    publish.pkid = 1;
    Packet::Publish(publish)
}

fn bytes_of(packets: &[Packet]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.write(&mut bytes, None).unwrap();
    }
    bytes.to_vec()
}

fn taken(link: &mut Link<Scripted>) -> Vec<Packet> {
    std::iter::from_fn(|| link.next().unwrap()).collect()
}

#[test]
fn what_was_put_in_goes_out_in_one_write_before_anything_is_waited_for() {
    let mut link = link(Scripted::default());
    let pubacks: Vec<_> = (1..=300)
        .map(|id| Packet::PubAck(PubAck::new(id, None)))
        .collect();
    for puback in &pubacks {
        link.put(puback).unwrap();
    }
    assert!(turn(&mut link).is_pending());
    let all = Did::Wrote(bytes_of(&pubacks));
    assert_eq!(link.stream.did, [all, Did::Flushed, Did::Waited]);

    // What comes later does not wait for anything to come in.
    link.stream.did.clear();
    link.put(&Packet::PingReq(PingReq)).unwrap();
    assert!(turn(&mut link).is_pending());
    let ping = Did::Wrote(bytes_of(&[Packet::PingReq(PingReq)]));
    assert_eq!(link.stream.did, [ping, Did::Flushed, Did::Waited]);
}

#[test]
fn a_stream_that_takes_little_gets_all_in_order_and_is_read_meanwhile() {
    let mut link = link(Scripted {
        takes: [3, 0, 1, 2, 0, 5, 0].into(),
        gives: [bytes_of(&[Packet::PingResp(PingResp)])].into(),
        ..Scripted::default()
    });
    let packets = [publish(10), Packet::PingReq(PingReq), publish(2)];
    for packet in &packets {
        link.put(packet).unwrap();
    }
    assert!(turn(&mut link).is_ready(), "what came was not read");
    assert_eq!(taken(&mut link), [Packet::PingResp(PingResp)]);
    for _ in 0..3 {
        assert!(turn(&mut link).is_pending());
    }
    let mut written = Vec::new();
    for did in &link.stream.did {
        if let Did::Wrote(bytes) = did {
            written.extend_from_slice(bytes);
        }
    }
    assert_eq!(written, bytes_of(&packets));
}

#[test]
fn who_does_not_read_sends_all_the_same() {
    let mut link = link(Scripted {
        gives: [bytes_of(&[Packet::PingResp(PingResp)])].into(),
        ..Scripted::default()
    });
    link.put(&Packet::PingReq(PingReq)).unwrap();
    let deaf = pin!(link.turn(false)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(deaf.is_pending());
    let ping = Did::Wrote(bytes_of(&[Packet::PingReq(PingReq)]));
    assert_eq!(link.stream.did, [ping, Did::Flushed]);
    assert!(turn(&mut link).is_ready());
    assert_eq!(taken(&mut link), [Packet::PingResp(PingResp)]);
}

#[test]
fn packets_come_whole_wherever_reads_cut_them() {
    let packets = [publish(300), Packet::PingResp(PingResp), publish(0)];
    let bytes = bytes_of(&packets);
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let mut link = link(Scripted {
            gives: [first.to_vec(), second.to_vec()].into(),
            ..Scripted::default()
        });
        let mut came = Vec::new();
        for _ in 0..2 {
            assert!(turn(&mut link).is_ready());
            came.extend(taken(&mut link));
        }
        assert_eq!(came, packets, "cut at {cut}");
    }
}

#[test]
fn many_packets_come_with_few_reads() {
    let packets: Vec<_> = (0..2_000).map(|_| publish(350)).collect();
    let mut link = link(Scripted {
        gives: [bytes_of(&packets)].into(),
        ..Scripted::default()
    });
    let (mut came, mut reads) = (Vec::new(), 0);
    while came.len() < packets.len() {
        assert!(turn(&mut link).is_ready());
        reads += 1;
        came.extend(taken(&mut link));
    }
    assert!(came == packets);
    assert!(reads < 30, "{reads} reads for 700 KiB");
}

#[test]
fn who_waited_for_room_is_told_when_there_is_some() {
    let mut link = link(Scripted {
        takes: [0].into(),
        ..Scripted::default()
    });
    link.put(&publish(WAITING_BYTES_MAX)).unwrap();
    assert!(!link.has_room());
    assert!(turn(&mut link).is_pending());
    assert!(turn(&mut link).is_ready());
    assert!(link.has_room());
}

#[test]
fn an_end_and_a_packet_that_is_too_large_are_errors() {
    let ended = Scripted {
        gives: [Vec::new()].into(),
        ..Scripted::default()
    };
    let Poll::Ready(Err(LinkError::Closed)) = turn(&mut link(ended)) else {
        panic!("its end was not seen");
    };
    let mut strict = Link::new(
        Scripted {
            gives: [bytes_of(&[publish(500)])].into(),
            ..Scripted::default()
        },
        100,
    );
    assert!(turn(&mut strict).is_ready());
    assert!(matches!(strict.next(), Err(LinkError::Packet(_))));
}
