//! One client over all its connections: it comes, subscribes, publishes, asks, stops reading, leaves or is cut off, and
//! comes back with its cursors. All that it is sent is checked.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use notifier::{
    access::auth::Signer,
    codec::Encoding,
    proto::{
        ClientFrame, Connect, Event, Fetch, Pong, Publish, Refresh, Request, ServerFrame, Subscribe, Unsubscribe,
        client_frame::Body as Said, server_frame::Body,
    },
    subject::{Pattern, Subject},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    book::Book,
    ledger::Ledger,
    socket::{End, Socket},
    sources::{ASK, ASK_IN_VAIN, GROUPS, SUBJECTS, VALUES},
    standing::{Standing, is_stored, number},
    world::claims,
};
use crate::{
    clock::{self, SECOND},
    marker::{self, Marker, Scanner},
};

/// Silent for two heartbeats of 5 s, and a little more on a busy machine: dead.
const SILENCE: Duration = Duration::from_secs(15);

/// For an answer, nanoseconds: a resume that cannot be read is refused after 10 s.
const ANSWER: u64 = 15 * SECOND;

/// For the answer to a Close.
const FAREWELL: Duration = Duration::from_secs(5);

/// Between two things that a client does, on average.
const ACTION: Duration = Duration::from_secs(8);

/// Tokens hold for so many seconds, from and to; clients are warned 5 s ahead.
const TOKEN: (u64, u64) = (15, 90);

/// However hasty everything is: the warning has to come before the end.
const LEAST_TOKEN: f64 = 7.0;

/// Subscriptions of a client at most, besides its own subject.
const MOST: usize = 5;

/// Bytes of what clients publish.
const PAYLOAD: usize = 200;

/// What all guests share.
#[derive(Debug)]
pub(super) struct House {
    pub(super) listen: SocketAddr,
    pub(super) issuer: Signer,
    pub(super) book: Book,
    pub(super) ledger: Ledger,
    /// How much shorter than usual everything is.
    pub(super) haste: f64,
}

/// The ends of the streams, once nothing is published any more. Then guests come, stay until they have everything, and
/// leave for good.
pub(super) type Ends = Vec<(&'static str, u64)>;

/// How a guest lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Temper {
    /// Stays for minutes.
    Steady,
    /// Stays for seconds.
    Hasty,
    /// Wants much, and stops reading now and then.
    Slow,
}

/// How a connection is to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Polite,
    Cut,
    /// It brings no new token.
    Expiry,
}

/// What waits for an answer.
#[derive(Debug)]
enum Asked {
    Subscribe,
    Unsubscribe,
    /// An event of its own subject, which is stored.
    Own,
    Say,
    Request,
    RequestInVain,
    Fetch,
    Refresh,
}

#[derive(Debug)]
pub(super) struct Guest {
    house: Arc<House>,
    ends: watch::Receiver<Option<Ends>>,
    user: String,
    temper: Temper,
    /// Some subjects are denied to guests of this role.
    restricted: bool,
    encoding: Encoding,
    random: fastrand::Rng,
    scanner: Scanner,
    standings: Vec<Standing>,
    /// Number of the next event that it publishes on its own subject, and whether it was published already.
    own: (u64, bool),
    /// Of the live subjects of this connection: the number that must come next, and when the last one came.
    live: HashMap<String, (u64, u64)>,
    asked: BTreeMap<u64, (Asked, u64)>,
    id: u64,
    way: Way,
    /// Whether it has stopped reading on this connection.
    stalled: bool,
}

impl Guest {
    pub(super) fn new(house: Arc<House>, ends: watch::Receiver<Option<Ends>>, number: usize, seed: u64) -> Self {
        let temper = match number % 25 {
            0 => Temper::Slow,
            1..=12 => Temper::Hasty,
            _ => Temper::Steady,
        };
        let mut guest = Self {
            house,
            ends,
            user: format!("u{number}"),
            temper,
            restricted: number.is_multiple_of(8),
            encoding: Encoding::OFFERED[number / 25 % 2],
            random: fastrand::Rng::with_seed(seed),
            scanner: Scanner::default(),
            standings: Vec::new(),
            own: (0, false),
            live: HashMap::new(),
            asked: BTreeMap::new(),
            id: 0,
            way: Way::Polite,
            stalled: false,
        };
        guest.begin_anew();
        guest
    }

    /// Lives until it has everything that there is.
    pub(super) async fn live(mut self) {
        let mut pause = Duration::from_secs_f64(20.0 / self.house.haste).mul_f64(self.random.f64());
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                // Its sender lives as long as the house.
                _ = self.ends.wait_for(Option::is_some) => {}
            }
            let begun = clock::now();
            let end = self.connection().await;
            let done = matches!(end, Ok(()));
            self.judge(end.err().unwrap_or(End::Left), begun);
            self.disconnected();
            if done {
                self.standings.iter().for_each(|standing| standing.audit(&self.house.ledger, &self.house.book));
                return;
            }
            pause = self.pause();
        }
    }

    /// One connection. `Ok` when it has everything; else how it ended.
    async fn connection(&mut self) -> Result<(), End> {
        let (until, mut action) = (self.stay(), self.next_action());
        let narrow = self.temper == Temper::Slow;
        let mut socket = Socket::open(self.house.listen, self.encoding, narrow).await?;
        let connect = Connect {
            token: self.token(),
            subscriptions: self.standings.iter().map(Standing::wanted).collect(),
            ..Connect::default()
        };
        socket.send(&[ClientFrame { id: 0, body: Some(Said::Connect(connect)) }]).await?;
        self.house.book.count("connections");
        let mut heard = Instant::now();
        loop {
            let ends = self.ends.borrow().clone();
            if let Some(ends) = &ends
                && self.asked.is_empty()
                && self.standings.iter().all(|standing| standing.has_reached(ends))
            {
                return socket.leave(FAREWELL).await;
            }
            let mut answers = Vec::new();
            tokio::select! {
                frames = socket.receive() => {
                    heard = Instant::now();
                    for frame in frames? {
                        self.take(frame, &mut answers)?;
                    }
                }
                () = sleep_until(action), if ends.is_none() => {
                    action = self.next_action();
                    if self.temper == Temper::Slow {
                        self.stall().await;
                        heard = Instant::now();
                    } else {
                        self.act(&mut answers);
                    }
                }
                () = sleep_until(until), if ends.is_none() && self.way != Way::Expiry => {
                    if self.way == Way::Cut {
                        socket.cut();
                        return Err(End::Left);
                    }
                    return Err(socket.leave(FAREWELL).await.err().unwrap_or(End::Left));
                }
                () = sleep_until(heard + SILENCE) => return Err(End::Silent),
                _ = self.ends.changed() => {}
            }
            socket.send(&answers).await?;
        }
    }

    /// Reads nothing for a while.
    async fn stall(&mut self) {
        self.stalled = true;
        self.house.book.count("stops of reading");
        let span = Duration::from_secs_f64(0.3 + 6.0 * self.random.f64());
        // It reads again at once when it is time to leave.
        let _ = timeout_at(Instant::now() + span, self.ends.wait_for(Option::is_some)).await;
    }

    /// Until when this connection is to stay.
    fn stay(&mut self) -> Instant {
        self.way = match self.random.u8(..) {
            0..=25 => Way::Expiry,
            26..=140 => Way::Cut,
            _ => Way::Polite,
        };
        if self.ends.borrow().is_some() {
            self.way = Way::Polite;
        }
        let mean = match self.temper {
            Temper::Steady => 180.0,
            Temper::Hasty => 18.0,
            Temper::Slow => 60.0,
        };
        Instant::now() + self.around(mean)
    }

    /// How long to stay away; now and then until the window in memory has passed.
    fn pause(&mut self) -> Duration {
        let mean = if self.random.u8(..) < 12 { 40.0 } else { 2.0 };
        self.around(mean)
    }

    fn next_action(&mut self) -> Instant {
        Instant::now() + self.around(ACTION.as_secs_f64())
    }

    /// Something whose mean is `seconds`; often less, seldom much more.
    fn around(&mut self, seconds: f64) -> Duration {
        let span = -seconds / self.house.haste * (1.0 - self.random.f64()).ln();
        Duration::from_secs_f64(span.min(5.0 * seconds))
    }

    fn token(&mut self) -> String {
        let now = clock::unix();
        let role = if self.restricted { "guest" } else { "customer" };
        let lasts = self.random.u64(TOKEN.0..TOKEN.1) as f64 / self.house.haste;
        let until = now + lasts.max(LEAST_TOKEN) as u64;
        self.house.issuer.mint(&claims(&self.user, role, until)).unwrap_or_default()
    }

    /// Its own subject, and what it wants besides; nothing is known of any of it.
    fn begin_anew(&mut self) {
        self.standings = Vec::new();
        let own = format!("soak.own.{}", self.user);
        let wants = 1 + self.random.usize(..3);
        let wanted: Vec<String> = std::iter::once(own).chain((0..wants).map(|_| self.wish())).collect();
        for pattern in wanted {
            self.add(&pattern);
        }
    }

    /// Takes up a subscription, unless there is one like it.
    fn add(&mut self, pattern: &str) -> Option<&Standing> {
        let pattern = Pattern::parse(pattern).ok()?;
        if self.standings.iter().any(|standing| standing.pattern.as_str() == pattern.as_str()) {
            return None;
        }
        self.standings.push(Standing::new(pattern));
        self.standings.last()
    }

    /// Literal and wildcard, live, durable and latest, and such as overlap.
    fn wish(&mut self) -> String {
        if self.temper == Temper::Slow {
            return if self.random.bool() { "soak.d.>" } else { "soak.l.>" }.into();
        }
        // What is denied as a whole would be refused.
        let group = self.random.usize(usize::from(self.restricted)..GROUPS);
        let subject = self.random.usize(..SUBJECTS);
        match self.random.u8(..12) {
            0..=3 => format!("soak.d.{group}.{subject}"),
            4 => format!("soak.d.{group}.*"),
            5..=7 => format!("soak.l.{group}.{subject}"),
            8 => format!("soak.l.{group}.*"),
            9 => format!("soak.v.{}", self.random.usize(..VALUES)),
            10 => "soak.v.*".into(),
            _ => format!("soak.*.{}.*", self.random.usize(..GROUPS)),
        }
    }

    fn ask(&mut self, asked: Asked, body: Said) -> ClientFrame {
        self.id += 1;
        self.asked.insert(self.id, (asked, clock::now()));
        ClientFrame { id: self.id, body: Some(body) }
    }

    /// Does one thing.
    fn act(&mut self, out: &mut Vec<ClientFrame>) {
        match self.random.u8(..8) {
            0 => {
                let wish = self.wish();
                if self.standings.len() <= MOST
                    && let Some(standing) = self.add(&wish)
                {
                    let subscribe = subscribe(standing);
                    out.push(self.ask(Asked::Subscribe, subscribe));
                }
            }
            1 => {
                let choice = self.random.usize(..self.standings.len());
                if let Some(standing) = self.standings.get_mut(choice.max(1)).filter(|standing| standing.live) {
                    standing.leaving = true;
                    let subject = standing.pattern.as_str().into();
                    out.push(self.ask(Asked::Unsubscribe, Said::Unsubscribe(Unsubscribe { subject })));
                }
            }
            2 => {
                // From where it stands, on the same connection: what is stored begins anew.
                let choice = self.random.usize(..self.standings.len());
                let standing = &mut self.standings[choice];
                if standing.live && !standing.leaving && standing.is_stored() {
                    standing.live = false;
                    let subscribe = subscribe(standing);
                    out.push(self.ask(Asked::Subscribe, subscribe));
                }
            }
            3 => self.publish_own(out),
            4 => {
                let publish = publish("soak.say.all", String::new(), 0);
                out.push(self.ask(Asked::Say, publish));
            }
            5 => {
                let request = request(ASK, 0);
                out.push(self.ask(Asked::Request, request));
            }
            6 => {
                let request = request(ASK_IN_VAIN, 500);
                out.push(self.ask(Asked::RequestInVain, request));
            }
            _ => {
                let subject = format!("soak.d.{}.*", self.random.usize(..GROUPS));
                let fetch = Fetch { subject, limit: 20, ..Fetch::default() };
                out.push(self.ask(Asked::Fetch, Said::Fetch(fetch)));
            }
        }
    }

    /// The next event of its own subject, or the last one again while nobody has said that it is stored.
    fn publish_own(&mut self, out: &mut Vec<ClientFrame>) {
        if !self.asked.values().any(|(asked, _)| matches!(asked, Asked::Own)) {
            let (number, repeated) = self.own;
            let subject = format!("soak.own.{}", self.user);
            if repeated {
                self.house.ledger.repeats(&subject, number);
            }
            self.own.1 = true;
            let publish = publish(&subject, format!("{}-{number}", self.user), number);
            out.push(self.ask(Asked::Own, publish));
        }
    }

    /// Takes one frame in; what it is to be answered with goes to `out`.
    fn take(&mut self, frame: ServerFrame, out: &mut Vec<ClientFrame>) -> Result<(), End> {
        let house = self.house.clone();
        let (book, ledger) = (&house.book, &house.ledger);
        let asked = self.asked.remove(&frame.reply_to);
        match frame.body {
            None | Some(Body::Welcome(_)) => {}
            Some(Body::Event(event)) => self.event(&event),
            Some(Body::Replay(replay)) => {
                let Some(standing) = standing(&mut self.standings, &replay.subject, book) else { return Ok(()) };
                for event in &replay.events {
                    if let Some(number) = number(&self.scanner, event) {
                        standing.stored(event, number, ledger, book);
                    }
                }
            }
            Some(Body::Subscribed(subscribed)) => {
                if let Some(standing) = standing(&mut self.standings, &subscribed.subject, book) {
                    standing.subscribed(&subscribed, book);
                }
                if asked.is_some() {
                    // What is live in a pattern that was subscribed again has begun anew.
                    self.live.clear();
                }
            }
            Some(Body::Unsubscribed(unsubscribed)) if unsubscribed.reason.is_empty() => {
                self.standings.retain(|standing| standing.pattern.as_str() != unsubscribed.subject);
                // Which of several patterns delivers what is under way may have changed.
                self.live.clear();
            }
            Some(Body::Ping(ping)) => {
                for standing in self.standings.iter_mut().filter(|standing| standing.live) {
                    standing.checkpoint(&ping.positions, book);
                }
                out.push(ClientFrame { id: 0, body: Some(Said::Pong(Pong {})) });
            }
            Some(Body::TokenExpiring(_)) => {
                if self.way != Way::Expiry {
                    let token = self.token();
                    out.push(self.ask(Asked::Refresh, Said::Refresh(Refresh { token })));
                }
            }
            Some(Body::Published(_)) => {
                book.count("events published by clients");
                if matches!(asked, Some((Asked::Own, _))) {
                    self.own = (self.own.0 + 1, false);
                }
            }
            Some(Body::Response(_)) => book.count("requests answered"),
            Some(Body::Fetched(_)) => book.count("fetches answered"),
            Some(Body::Refreshed(_)) => book.count("tokens refreshed"),
            Some(Body::Error(error)) => match asked {
                Some((Asked::RequestInVain, _)) if error.code == "timeout" => {
                    book.count("requests that nobody answered");
                }
                Some((asked, since)) => {
                    book.unless_outage(since, "refused", || format!("{}: {asked:?}: {error:?}", self.user));
                    if matches!(asked, Asked::Subscribe) {
                        return Err(End::Left); // it asks again, as a new connection
                    }
                }
                None => {
                    // What `connect` asked for: the subscription has ended.
                    book.unless_outage(clock::now(), "refused unasked", || format!("{}: {error:?}", self.user));
                    return Err(End::Left);
                }
            },
            Some(other) => book.fault("a frame that nobody should get", || format!("{}: {other:?}", self.user)),
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) {
        let book = &self.house.book;
        let Some(number) = number(&self.scanner, event) else {
            return book.fault("an event of nobody", || format!("{event:?}"));
        };
        if is_stored(event) {
            let Ok(subject) = Subject::parse(&event.subject) else { return };
            let ours = self.standings.iter_mut().filter(|standing| standing.live && standing.pattern.matches(&subject));
            ours.for_each(|standing| standing.stored(event, number, &self.house.ledger, book));
            return;
        }
        book.count("live events received");
        let now = clock::now();
        let told = || format!("{}: {} number {number}", self.user, event.subject);
        if self.restricted && event.subject.starts_with("soak.l.0.") {
            book.fault("denied and delivered", told);
        }
        if let Some((next, last)) = self.live.insert(event.subject.clone(), (number + 1, now)) {
            if number > next {
                book.unless_outage(last, "live, lost", || format!("{}, expected {next}", told()));
            } else if number < next {
                book.unless_outage(last, "live, twice or out of order", || format!("{}, expected {next}", told()));
            }
        }
    }

    /// What an end means: some are meant to be.
    fn judge(&self, end: End, begun: u64) {
        let book = &self.house.book;
        match end {
            End::Left => book.count("left"),
            End::Closed { code: 4007, .. } if self.way == Way::Expiry || self.stalled => {
                book.count("closed: the token had expired");
            }
            End::Closed { code: 4002, .. } if self.temper == Temper::Slow => book.count("closed: read too slowly"),
            End::Closed { code: 4003, .. } if self.stalled => book.count("closed: read too slowly"),
            // NATS may hold up what the client asked before its new token, and a busy machine the client itself.
            End::Closed { code: 4003 | 4007, .. } | End::Silent => {
                book.unless_outage(clock::now().saturating_sub(ANSWER), "ended late", || self.told(&end, begun));
            }
            // A farewell may find no room.
            End::Lost(_) if self.stalled => book.count("closed: read too slowly"),
            end => book.fault("ended by the node", || self.told(&end, begun)),
        }
    }

    fn told(&self, end: &End, begun: u64) -> String {
        let [after, minute] = [clock::seconds(clock::now() - begun), clock::seconds(clock::now()) / 60.0];
        format!("{} ({:?}, {:?}), after {after:.1} s, at {minute:.1} min: {end}", self.user, self.temper, self.way)
    }

    fn disconnected(&mut self) {
        let book = &self.house.book;
        for (asked, since) in std::mem::take(&mut self.asked).into_values() {
            if clock::now() - since > ANSWER && !self.stalled {
                book.unless_outage(since, "not answered", || format!("{}: {asked:?}", self.user));
            }
        }
        self.live.clear();
        self.stalled = false;
        self.standings.retain(|standing| !standing.leaving);
        self.standings.iter_mut().for_each(|standing| standing.live = false);
        if self.random.u8(..) < 25 && self.ends.borrow().is_none() {
            self.begin_anew();
        }
    }
}

fn standing<'a>(standings: &'a mut [Standing], subject: &str, book: &Book) -> Option<&'a mut Standing> {
    let found = standings.iter_mut().find(|standing| standing.pattern.as_str() == subject);
    if found.is_none() {
        book.fault("a subscription of nobody", || subject.into());
    }
    found
}

fn subscribe(standing: &Standing) -> Said {
    let wanted = standing.wanted();
    Said::Subscribe(Subscribe { subject: wanted.subject, after: wanted.after, snapshot: wanted.snapshot })
}

fn publish(subject: &str, id: String, sequence: u64) -> Said {
    let mut data = Vec::new();
    marker::write_payload(&mut data, Marker { sequence, time: clock::now() }, PAYLOAD);
    let event = Event { id, data: data.into(), ..Event::default() };
    Said::Publish(Publish { subject: subject.into(), event: Some(event) })
}

fn request(subject: &str, timeout_ms: u64) -> Said {
    let event = Event { data: "{}".into(), ..Event::default() };
    Said::Request(Request { subject: subject.into(), event: Some(event), timeout_ms })
}
