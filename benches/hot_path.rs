//! What is done once per event, whoever receives it: encoding, and finding
//! who wants a subject.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use notifier::{
    codec::Encoding,
    event::Message,
    proto::Envelope,
    subject::{Pattern, Subject},
    trie::Trie,
};

fn message(bytes: usize) -> Arc<Message> {
    let data = format!("{{\"padding\":\"{}\"}}", "x".repeat(bytes.saturating_sub(14)));
    let envelope = Envelope { id: "m-1".into(), time: 1_795_341_600_000, data: data.into(), ..Envelope::default() };
    Arc::new(Message::new(Subject::parse("shop.cart.u42").expect("a subject"), envelope))
}

fn encode(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("encode");
    for bytes in [128, 1024] {
        for batch in [1, 16] {
            let messages = vec![message(bytes); batch];
            group.throughput(Throughput::Elements(batch as u64));
            for encoding in Encoding::OFFERED {
                group.bench_function(format!("{encoding:?} {bytes} B x {batch}"), |run| {
                    run.iter(|| encoding.events(black_box(&messages)));
                });
            }
        }
    }
}

fn find(bench: &mut Criterion) {
    let mut trie = Trie::default();
    for number in 0..10_000 {
        trie.insert(&Pattern::parse(&format!("shop.cart.u{number}")).expect("a pattern"), number);
    }
    trie.insert(&Pattern::parse("shop.>").expect("a pattern"), 0);
    let subject = Subject::parse("shop.cart.u42").expect("a subject");
    bench.bench_function("find 2 of 10,001 patterns", |run| {
        run.iter(|| {
            let mut found = 0;
            trie.each(black_box(&subject), |_| found += 1);
            found
        });
    });
}

criterion_group!(benches, encode, find);
criterion_main!(benches);
