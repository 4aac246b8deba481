//! One hop of Nym's packet formats, as often as asked: peers.py builds this and measures its processor time.
//!
//! Reads lines from standard input, each a name (`sphinx-packet`, `outfox`); unwraps TURN packets of that format, from
//! the bytes that come to the bytes that leave; answers with an empty line.

use std::io::{self, BufRead, Write};
use std::time::Duration;

const TURN: usize = 64; // as in unwrap.py
const HOPS: usize = 4;
const CONTENT: [u8; 239] = [7; 239]; // as long as a payload of ours

fn sphinx() -> impl Fn() {
    use sphinx_packet::header::delays;
    use sphinx_packet::packet::builder::SphinxPacketBuilder;
    use sphinx_packet::packet::ProcessedPacketData;
    use sphinx_packet::payload::PAYLOAD_OVERHEAD_SIZE;
    use sphinx_packet::route::{Destination, DestinationAddressBytes, Node, NodeAddressBytes};
    use sphinx_packet::SphinxPacket;
    use x25519_dalek::{PublicKey, StaticSecret};

    let secrets: Vec<_> = (0..HOPS).map(|_| StaticSecret::random()).collect();
    let route: Vec<_> = secrets
        .iter()
        .map(|each| Node::new(NodeAddressBytes::from_bytes([5; 32]), PublicKey::from(each)))
        .collect();
    let delays = delays::generate_from_average_duration(HOPS, Duration::from_millis(10));
    let destination = Destination::new(DestinationAddressBytes::from_bytes([3; 32]), [4; 16]);
    let builder = SphinxPacketBuilder::new().with_payload_size(CONTENT.len() + PAYLOAD_OVERHEAD_SIZE);
    let packets: Vec<Vec<u8>> = (0..TURN)
        .map(|_| builder.build_packet(CONTENT, &route, &destination, &delays).unwrap().to_bytes())
        .collect();
    let secret = secrets[0].clone();
    move || {
        for packet in &packets {
            match SphinxPacket::from_bytes(packet).unwrap().process(&secret).unwrap().data {
                ProcessedPacketData::ForwardHop { next_hop_packet, .. } => {
                    std::hint::black_box(next_hop_packet.to_bytes());
                }
                ProcessedPacketData::FinalHop { .. } => panic!("the first of four hops is the last"),
            }
        }
    }
}

fn outfox() -> impl Fn() {
    use nym_outfox::packet::OutfoxPacket;
    use outfox_types::crypto::{PrivateKey, PublicKey};
    use outfox_types::route::{Destination, DestinationAddressBytes, Node, NodeAddressBytes};

    let secrets: Vec<_> = (0..HOPS).map(|_| PrivateKey::random()).collect();
    let route: Vec<_> = secrets
        .iter()
        .map(|each| Node::new(NodeAddressBytes::from_bytes([5; 32]), PublicKey::from(each)))
        .collect();
    let route: [Node; HOPS] = route.try_into().unwrap_or_else(|_| unreachable!());
    let destination = Destination::new(DestinationAddressBytes::from_bytes([3; 32]), [4; 16]);
    let packets: Vec<Vec<u8>> = (0..TURN)
        .map(|_| OutfoxPacket::build(CONTENT, &route, &destination, Some(CONTENT.len())).unwrap().to_bytes().unwrap())
        .collect();
    let secret = secrets[0].clone();
    move || {
        for packet in &packets {
            let mut packet = OutfoxPacket::try_from(packet.as_slice()).unwrap();
            assert_eq!(packet.decode_next_layer(&secret).unwrap(), [5; 32]);
            std::hint::black_box(packet.to_bytes().unwrap());
        }
    }
}

fn main() {
    let (sphinx, outfox) = (sphinx(), outfox());
    for line in io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            "sphinx-packet" => sphinx(),
            "outfox" => outfox(),
            other => panic!("no such format: {other}"),
        }
        println!();
        io::stdout().flush().unwrap();
    }
}
