//! WebSocket frames and the handshake, as far as a load client needs them. Masks are zero, which is legal, costs
//! nothing and leaves the bytes readable; servers treat them as any other.

/// Opcode of a text message.
pub const TEXT: u8 = 1;
/// Opcode of a binary message.
pub const BINARY: u8 = 2;
/// Opcode of a Ping.
pub const PING: u8 = 9;
/// Opcode of a Pong.
pub const PONG: u8 = 10;

/// A frame as a client sends it.
pub fn from_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, payload.len(), 0x80);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The head of a frame as a server sends it.
pub fn server_head(opcode: u8, length: usize) -> Vec<u8> {
    head(opcode, length, 0)
}

fn head(opcode: u8, length: usize, masked: u8) -> Vec<u8> {
    let mut head = vec![0x80 | opcode];
    match length {
        0..=125 => head.push(masked | length as u8),
        126..=0xffff => {
            head.push(masked | 126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

/// The request that opens a WebSocket, with a token where there has to be one.
pub fn upgrade(path: &str, subprotocol: Option<&str>, token: Option<&str>) -> Vec<u8> {
    let offer = subprotocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let bearer = bearer(token);
    format!(
        "GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{offer}{bearer}\r\n"
    )
    .into_bytes()
}

/// A request that opens no WebSocket, for an answer of this media type.
pub fn get(target: &str, accept: &str, token: Option<&str>) -> Vec<u8> {
    let bearer = bearer(token);
    format!("GET {target} HTTP/1.1\r\nHost: bench\r\nAccept: {accept}\r\n{bearer}\r\n").into_bytes()
}

fn bearer(token: Option<&str>) -> String {
    token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"))
}

/// One frame in a stream of bytes, in place.
#[derive(Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: u8,
    /// Its content, still masked if it came from a client.
    pub payload: &'a [u8],
    /// The mask, if it came from a client.
    pub mask: Option<[u8; 4]>,
    /// Bytes of the whole frame.
    pub length: usize,
}

/// The first frame in `bytes`, or nothing while it is incomplete.
pub fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let (opcode, second) = (*bytes.first()? & 15, *bytes.get(1)?);
    let (size, mut at) = match second & 127 {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        size => (u64::from(size), 2),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        mask = Some(bytes.get(at..at + 4)?.try_into().ok()?);
        at += 4;
    }
    let end = at.checked_add(usize::try_from(size).ok()?)?;
    Some(Frame { opcode, payload: bytes.get(at..end)?, mask, length: end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_read_back() {
        for length in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let payload = vec![7; length];
            let sent = from_client(BINARY, &payload);
            let frame = first(&sent).expect("a whole frame");
            assert_eq!((frame.opcode, frame.payload, frame.length), (BINARY, &payload[..], sent.len()));
            assert_eq!(first(&sent[..sent.len() - 1]), None);
        }
    }
}
