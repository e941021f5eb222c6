//! The cost of an event on account of one user is bounded by the shapes that
//! they may hold and by the length of the subject, whatever and however many
//! their patterns
//! are. Counted in a hub with the broker inside the process, all on one thread.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*, sample::select};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use super::*;
use crate::{
    broker,
    config::{Config, Overflow},
    effort,
    event::Message,
    metrics::Metrics,
    outbox::Policy,
    proto::Envelope,
    quota::Quotas,
    socket::Wire,
    subject::{Pattern, SUBJECT_TOKENS, Subject},
    tasks::Tasks,
    trie::Trie,
};

/// Shapes that one user may hold here.
const SHAPES: usize = 32;

/// Subjects below `s` are stored, the others are not.
const SETTINGS: &str = r#"
broker.kind = "memory"
auth.mode = "anonymous"

[[streams]]
name = "S"
subjects = ["s.>"]

[[subjects]]
pattern = "s.>"
delivery = "durable"
stream = "S"
"#;

/// A hub without sessions.
struct Hall {
    hub: Arc<Hub>,
    broker: Arc<dyn Broker>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

/// A connection of it with endless room.
struct Guest {
    attachment: Attachment,
    peer: TcpStream,
    read: String,
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect(text)
}

impl Hall {
    async fn open(wildcard_shapes: usize) -> Self {
        let config: Config = toml::from_str(SETTINGS).expect("settings");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let tasks = Tasks::new(metrics.clone());
        let (broker, intakes) = broker::connect(&config, &metrics, &tasks).await.expect("a broker");
        let classes = broker.classes().clone();
        let context = Context {
            backlog_bytes: usize::MAX,
            overflow: Overflow::Close,
            replay_events: u64::MAX,
            wildcard_shapes: wildcard_shapes as u32,
            quotas: Quotas::new(&config.limits),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
        };
        let hub =
            Hub::new(context, broker.clone(), intakes, Journal::all(&config, &classes, &broker, &tasks, &metrics))
                .expect("threads");
        while !hub.has_begun() {
            yield_now().await;
        }
        Self { hub, broker, metrics, tasks }
    }

    async fn guest(&self) -> Guest {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let policy = Policy {
            bytes: usize::MAX,
            frames: usize::MAX,
            close_time: Duration::from_secs(5),
            stall_time: Duration::from_secs(600),
            tasks: self.tasks.clone(),
            metrics: self.metrics.clone(),
        };
        let outbox = Outbox::new(Wire::new(stream), Encoding::Json.framing(), Arc::new(policy));
        Guest { attachment: self.hub.attach(outbox, Encoding::Json), peer, read: String::new() }
    }

    async fn publish(&self, subject: &str) {
        let message = Message::new(Subject::parse(subject).expect(subject), Envelope::default());
        self.broker.publish(message).await.expect("the broker is here");
    }

    /// The deliveries to all connections so far.
    fn deliveries(&self) -> u64 {
        self.value("notifier_deliveries_total ")
    }

    fn value(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        text.lines().find_map(|line| line.strip_prefix(series)?.parse().ok()).unwrap_or(0)
    }
}

impl Guest {
    /// Reads until this stands in what has been sent.
    async fn until(&mut self, text: &str) {
        let mut buffer = vec![0; 64 << 10];
        while !self.read.contains(text) {
            let read = self.peer.read(&mut buffer).await.expect("it stays open");
            assert!(read > 0, "it stays open");
            self.read.drain(..self.read.len().saturating_sub(text.len()));
            self.read.extend(buffer[..read].iter().map(|byte| char::from(*byte)));
        }
        self.read.clear();
    }

    /// Subscribes to what it may; how many that are.
    async fn subscribe(&mut self, patterns: &[Pattern], last: &str) -> Vec<Pattern> {
        let join = |pattern: &&Pattern| self.attachment.join(pattern, SubscribeOptions::default()).is_ok();
        let held: Vec<_> = patterns.iter().filter(join).cloned().collect();
        // The pattern that is asked for last is live last.
        self.attachment.join(&pattern(last), SubscribeOptions::default()).expect("it has no wildcard");
        self.until(&format!(r#""subject":"{last}""#)).await;
        held
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A deep subject, and patterns of which many match it and many nearly do: where
/// they have wildcards, which token is another one, and behind which the rest is `>`.
fn hostile() -> impl Strategy<Value = (String, Vec<Pattern>)> {
    let tokens = select(vec![2, 5, 16, SUBJECT_TOKENS]);
    (tokens, vec(any::<u32>(), 1..40)).prop_flat_map(|(tokens, stars)| {
        let one = (select(stars), option::weighted(0.6, (1..tokens, 0..9_u8)), option::weighted(0.3, 1..tokens));
        let write = move |(stars, other, cut): (u32, Option<(usize, u8)>, Option<usize>)| {
            let token = |place: usize| match other {
                _ if place == 0 => "s".to_owned(),
                _ if stars & (1 << place) != 0 => "*".to_owned(),
                Some((at, other)) if at == place => format!("b{other}"),
                _ => "a".to_owned(),
            };
            let mut text: Vec<_> = (0..cut.unwrap_or(tokens)).map(token).collect();
            text.extend(cut.map(|_| ">".to_owned()));
            pattern(&text.join("."))
        };
        let subject = format!("s{}", ".a".repeat(tokens - 1));
        (Just(subject), vec(one.prop_map(write), 1..512))
    })
}

/// The same, where nothing is stored.
fn live((subject, patterns): (String, Vec<Pattern>)) -> (String, Vec<Pattern>) {
    let other = |text: &str| format!("n{}", &text[1..]);
    (other(&subject), patterns.iter().map(|one| pattern(&other(one.as_str()))).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_event_costs_what_its_subject_and_the_shapes_of_patterns_allow(
        plan in prop_oneof![hostile(), hostile().prop_map(live)],
        events in 1..70_usize,
    ) {
        let (subject, mut patterns) = plan;
        let concrete = Subject::parse(&subject).expect("a subject");
        // Those that match behind all that do not.
        patterns.sort_by_cached_key(|one| (one.matches(&concrete), one.clone()));
        patterns.dedup();
        runtime().block_on(async {
            let hall = Hall::open(SHAPES).await;
            let mut guest = hall.guest().await;
            let last = subject[..1].to_owned() + ".last";
            let held = guest.subscribe(&patterns, &last).await;
            let shapes: std::collections::HashSet<_> = held.iter().filter_map(Pattern::shape).collect();
            prop_assert!(shapes.len() <= SHAPES);

            let copies = held.iter().filter(|one| one.matches(&concrete)).count();
            let (before, taken) = (hall.deliveries(), effort::taken());
            for _ in 0..events {
                hall.publish(&subject).await;
            }
            hall.publish(&last).await;
            guest.until(&format!(r#""subject":"{last}""#)).await;
            let steps = effort::taken() - taken;
            let expected = (if copies > 0 { events as u64 } else { 0 }) + 1;
            prop_assert_eq!(hall.deliveries() - before, expected, "each once, {} held, {} match", held.len(), copies);

            // A walk through the tree of all patterns, in which each shape has at most one node for each token.
            let mut tree = Trie::default();
            held.iter().for_each(|one| tree.insert(one, ()));
            let (_, walk) = effort::of(|| tree.each(&concrete, |_| ()));
            let tokens = subject.split('.').count();
            prop_assert!(walk <= (shapes.len() + 1) * (tokens + 1), "{walk} nodes");
            // Then a look for each shape, and one for each pattern that matches; of a few patterns each is compared.
            let own = if held.len() < 8 { 8 * copies } else { shapes.len() + 1 + copies };
            // A turn of a stream may begin twice.
            let walks = if subject.starts_with('s') { 2 } else { 1 };
            let rest = 8 * (SHAPES + 2);
            prop_assert!(
                steps <= events * (walks * walk + own) + rest,
                "{steps} steps, {events} events, {walk} nodes, {copies} copies, {} shapes", shapes.len(),
            );
            Ok(())
        })?;
    }
}

#[test]
fn a_stored_event_costs_as_much_as_there_are_patterns_that_match_it() {
    const CONNECTIONS: usize = 8;
    const EACH: usize = 256;
    let runtime = runtime();
    runtime.block_on(async {
        // Without the limit: one user cannot hold as many shapes.
        let hall = Hall::open(0).await;
        let subject = format!("s{}", ".a".repeat(11));
        let text = |stars: usize| {
            let token = |place: usize| if stars & (1 << place) == 0 { "a" } else { "*" };
            pattern(&format!("s.{}", (0..11).map(token).collect::<Vec<_>>().join(".")))
        };
        let mut guests = Vec::new();
        for connection in 0..CONNECTIONS {
            let patterns: Vec<_> = (0..EACH).map(|index| text(connection * EACH + index)).collect();
            let mut guest = hall.guest().await;
            assert_eq!(guest.subscribe(&patterns, "s.last").await.len(), EACH);
            guests.push(guest);
        }
        let (before, taken) = (hall.deliveries(), effort::taken());
        let events = 10;
        for _ in 0..events {
            hall.publish(&subject).await;
        }
        hall.publish("s.last").await;
        for guest in &mut guests {
            guest.until(r#""subject":"s.last""#).await;
        }
        let steps = effort::taken() - taken;
        assert_eq!(hall.deliveries() - before, (CONNECTIONS * (events + 1)) as u64);
        // Nodes of the tree are at most twice as many as patterns, and each is visited once or twice.
        let matches = CONNECTIONS * EACH;
        assert!(steps <= events * 6 * matches, "{steps} steps for {events} events and {matches} patterns");
    });
}

#[test]
fn a_new_pattern_is_compared_with_few() {
    runtime().block_on(async {
        let hall = Hall::open(SHAPES).await;
        let deep = |last: usize| pattern(&format!("*.{}b{last}", "a.".repeat(SUBJECT_TOKENS - 2)));
        let member = hall.guest().await.attachment.position_handle().0;
        let note = |pattern: &Pattern| {
            effort::of(|| member.add_live(pattern, 0, member_slot::MemberSlot { slice: 0, key: 0 }))
        };
        let steps: Vec<_> = (0..512).map(|last| note(&deep(last)).1).collect();
        assert!(steps.iter().all(|steps| *steps <= 64), "{steps:?}");

        let member = hall.guest().await.attachment.position_handle().0;
        let note = |pattern: &Pattern| {
            effort::of(|| member.add_live(pattern, 0, member_slot::MemberSlot { slice: 0, key: 0 }))
        };
        assert!((0..512).all(|one| matches!(note(&pattern(&format!("a.{one}"))), (checks, 0) if checks.nothing())));
        assert!(!note(&pattern("a.*")).0.nothing());
    });
}

#[test]
fn a_pattern_that_is_given_up_delivers_on_for_a_wider_one_until_no_copy_is_under_way() {
    runtime().block_on(async {
        let hall = Hall::open(SHAPES).await;
        let held = |patterns: &[&str]| {
            let attachment = hall.guest();
            let patterns: Vec<_> = patterns.iter().map(|text| pattern(text)).collect();
            async move {
                let member = attachment.await.attachment.position_handle().0;
                for (request, pattern) in (1..).zip(&patterns) {
                    member.add_live(pattern, request, member_slot::MemberSlot { slice: 0, key: 0 });
                }
                member
            }
        };
        let subject = Subject::parse("l.a").expect("a subject");
        let member = held(&["l.>", ">"]).await;
        let shares = || ["l.>", ">"].map(|text| member.share(&pattern(text), &subject));
        assert_eq!(shares(), [member::Share::Mine, member::Share::Others]);
        assert!(member.linger(&pattern("l.>")).is_some());
        assert_eq!(shares(), [member::Share::Mine, member::Share::Others], "nothing changes");
        assert_eq!(
            member.with_request(&pattern("l.>"), |named, request| (named.clone(), request)),
            Some((pattern(">"), 2))
        );
        assert!(!member.leave_quiet(&pattern("l.>")), "a copy has come");
        assert!(member.leave_quiet(&pattern("l.>")));
        assert_eq!(shares()[1], member::Share::Mine);

        // Those that deliver nothing for a wider one leave at once.
        for (patterns, given_up) in [([">", "l.>"], "l.>"), (["l.>", "*.a"], "l.>"), (["l.>", "l.*"], "l.>")] {
            assert_eq!(held(&patterns).await.linger(&pattern(given_up)), None, "{patterns:?}");
        }
        // And those whose wider one leaves too, unless there is another one.
        let member = held(&["l.*", "l.>", ">"]).await;
        assert!(member.linger(&pattern("l.*")).is_some() && member.linger(&pattern("l.>")).is_some());
        assert_eq!(member.end_lingering(false), []);
        assert!(member.revive(&pattern("l.>")) && !member.revive(&pattern("l.>")));
        member.remove_live(&pattern(">"));
        assert_eq!(member.end_lingering(false), []);
        member.remove_live(&pattern("l.>"));
        assert_eq!(member.end_lingering(false), [pattern("l.*")]);
    });
}
