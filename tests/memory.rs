//! The bytes that an event counts are the bytes that it takes, whatever a
//! hostile publisher makes of it. A process of its own, because it is measured.

use std::{fs, sync::Arc};

use bytes::Bytes;
use notifier::{
    event::{BatchMark, Message},
    event_log::{Bounds, EventLog},
    proto::Envelope,
    subject::Subject,
};

/// Bytes of one window, as they are counted.
const WINDOW: usize = 32 * 1024 * 1024;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let pages: usize = pages.split(' ').nth(1).expect("a second number").parse().expect("a number");
    pages * 4096
}

fn event(subject: &str, envelope: Envelope) -> Message {
    Message::new(Subject::parse(subject).expect("a subject"), envelope)
}

fn with_headers(count: usize, name: usize, value: usize) -> Envelope {
    let header = |number: usize| (format!("{number:0name$}"), "v".repeat(value));
    Envelope { headers: (0..count).map(header).collect(), ..Envelope::default() }
}

#[test]
fn a_window_takes_what_it_counts_whatever_its_events_are_made_of() {
    type Make = fn(u64) -> Message;
    let rows: [(&str, Make); 10] = [
        ("no data, a subject each", |seq| event(&format!("a.{seq}"), Envelope::default())),
        ("no data, one subject", |_| event("a", Envelope::default())),
        ("subjects of 32 tokens", |seq| event(&format!("{}{seq}", "t.".repeat(31)), Envelope::default())),
        ("the longest subjects", |seq| event(&format!("{}.{seq:07}", "s".repeat(240)), Envelope::default())),
        ("a header", |seq| event(&format!("a.{seq}"), with_headers(1, 2, 1))),
        ("many small headers", |seq| event(&format!("a.{seq}"), with_headers(64, 2, 1))),
        ("large headers", |seq| event(&format!("a.{seq}"), with_headers(8, 8, 1_000))),
        ("attributes", |seq| {
            let [id, r#type, source, content_type] = [(); 4].map(|()| "x".repeat(20));
            event(&format!("a.{seq}"), Envelope { id, r#type, source, content_type, ..Envelope::default() })
        }),
        ("marks of atomic batches", |_| {
            let mark = BatchMark { id: "b".repeat(64).into(), index: 1, commits: false, parted: false };
            Message { batch: Some(Box::new(mark)), ..event("a", Envelope::default()) }
        }),
        ("data", |seq| {
            event(&format!("a.{seq}"), Envelope { data: Bytes::copy_from_slice(&[7; 2_000]), ..Envelope::default() })
        }),
    ];
    // Nothing is freed meanwhile: what is used again would not show.
    let mut windows = Vec::new();
    for (what, make) in rows {
        let before = resident();
        let mut window = EventLog::new(Bounds { bytes: WINDOW, ..Bounds::NONE });
        let mut seq = 0;
        while window.bytes() + 20_000 < WINDOW {
            seq += 1;
            let message = Arc::new(make(seq));
            window.append(seq, message.subject.clone(), message.cost(), message);
        }
        let ratio = (resident() - before) as f64 / window.bytes() as f64;
        println!("{what}: {ratio:.2} of what is counted");
        windows.push((what, ratio, window));
    }
    for (what, ratio, _) in &windows {
        assert!((0.5..1.5).contains(ratio), "{what}: {ratio:.2}");
    }
}
