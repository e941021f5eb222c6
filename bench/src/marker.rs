//! What every event carries, so that a client that knows no protocol finds it in any stream of bytes: its sequence and
//! the instant of its publication.

use memchr::memmem::Finder;

/// Bytes of a marker: the sign, then two numbers of 16 hexadecimal digits.
pub const LENGTH: usize = SIGN.len() + 2 * DIGITS;

/// The sequence of an event that belongs to no measurement.
pub const PROBE: u64 = u64::MAX;

const SIGN: &[u8] = b"@@";
const DIGITS: usize = 16;

/// One event as a client sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Marker {
    /// Its place among the events of its subject, from 0, with the [`numbered`] subject; or [`PROBE`].
    pub sequence: u64,
    /// When it was published, or should have been, on [`crate::clock`].
    pub time: u64,
}

/// The sequence of the event number `place` of a subject: clients that have several subjects tell them apart by it.
pub fn numbered(subject: u32, place: u64) -> u64 {
    u64::from(subject) << 32 | place
}

/// The subject in a sequence, and the place among its events.
pub fn parts(sequence: u64) -> (u32, u64) {
    ((sequence >> 32) as u32, sequence & u64::from(u32::MAX))
}

/// Appends a payload of exactly `size` bytes, valid JSON, that holds `marker`.
pub fn write_payload(out: &mut Vec<u8>, marker: Marker, size: usize) {
    let begin = out.len();
    out.extend_from_slice(b"{\"n\":\"@@");
    push_hex(out, marker.sequence);
    push_hex(out, marker.time);
    out.extend_from_slice(b"\",\"pad\":\"");
    out.resize(begin + size - 2, b'x');
    out.extend_from_slice(b"\"}");
}

fn push_hex(out: &mut Vec<u8>, number: u64) {
    const TABLE: &[u8; 16] = b"0123456789abcdef";
    for digit in (0..DIGITS).rev() {
        out.push(TABLE[(number >> (4 * digit)) as usize & 15]);
    }
}

/// Finds markers.
#[derive(Debug)]
pub struct Scanner {
    sign: Finder<'static>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { sign: Finder::new(SIGN) }
    }
}

impl Scanner {
    /// Hands over every marker in `bytes`. Returns how many bytes at the end may be the beginning of another one: they
    /// belong in front of what is read next.
    pub fn scan(&self, bytes: &[u8], mut each: impl FnMut(Marker)) -> usize {
        let mut at = 0;
        while let Some(found) = self.sign.find(&bytes[at..]) {
            let begin = at + found;
            let digits = begin + SIGN.len();
            let Some(numbers) = bytes.get(digits..digits + 2 * DIGITS) else {
                if bytes[digits..].iter().all(|byte| HEX[*byte as usize] < 16) {
                    return bytes.len() - begin;
                }
                at = begin + 1;
                continue;
            };
            match (hex(&numbers[..DIGITS]), hex(&numbers[DIGITS..])) {
                (Some(sequence), Some(time)) => {
                    each(Marker { sequence, time });
                    at = begin + LENGTH;
                }
                _ => at = begin + 1, // the sign by chance, in a frame's head
            }
        }
        usize::from(bytes[at..].last() == SIGN.first())
    }

    /// The sequence of the marker in a payload.
    pub fn number(&self, payload: &[u8]) -> Option<u64> {
        let mut number = None;
        self.scan(payload, |marker| number = Some(marker.sequence));
        number
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    let mut seen = 0;
    for digit in digits {
        let value = HEX[*digit as usize];
        seen |= value;
        number = number << 4 | u64::from(value & 15);
    }
    (seen < 16).then_some(number)
}

/// The value of each hexadecimal digit; 16 for what is none.
const HEX: [u8; 256] = {
    let mut table = [16; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(sequence: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write_payload(&mut out, Marker { sequence, time: sequence * 7 }, 128);
        out
    }

    #[test]
    fn a_payload_is_json_of_the_size_asked_for() {
        for size in [128, 1024] {
            let mut out = Vec::new();
            write_payload(&mut out, Marker { sequence: 5, time: 9 }, size);
            assert_eq!(out.len(), size);
            serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON");
        }
    }

    #[test]
    fn markers_are_found_wherever_a_read_ends() {
        // The second sign is one by chance, as a frame's head could be.
        let stream = [b"\x81\x7e@".to_vec(), payload(1), b"\x82@@@".to_vec(), payload(2), payload(0xfeed)].concat();
        for first in 0..=stream.len() {
            for second in [first, (first + 1).min(stream.len()), (first + 40).min(stream.len())] {
                let scanner = Scanner::default();
                let mut found = Vec::new();
                let mut kept = Vec::new();
                for part in [&stream[..first], &stream[first..second], &stream[second..]] {
                    kept.extend_from_slice(part);
                    let tail = scanner.scan(&kept, |marker| found.push(marker.sequence));
                    assert!(tail < LENGTH);
                    kept.drain(..kept.len() - tail);
                }
                assert_eq!(found, [1, 2, 0xfeed], "cut at {first} and {second}");
            }
        }
    }
}
