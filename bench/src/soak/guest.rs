//! One client over all its connections: it comes, subscribes, publishes, asks, stops reading, leaves or is cut off, and
//! comes back with its cursors. All that it is sent is checked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use notifier::{
    codec::Encoding,
    proto::{ClientFrame, Connect, Event, Pong, ServerFrame, client_frame::Body as Said, server_frame::Body},
    subject::{BadSubject, Pattern, Subject},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    chance::{Chance, Temper, Way},
    house::{Ends, House},
    live_events::LiveEvents,
    requests::{Asked, fetch, publish, refresh, request, subscribe, unsubscribe},
    socket::{End, Socket},
    standing::{self, Standing},
    subjects::{ASK, ASK_IN_VAIN, DURABLE, GROUPS, LATEST},
};
use crate::{
    clock::{self, SECOND},
    marker::Scanner,
};

/// Silent for two heartbeats of 5 s, and a little more on a busy machine: dead.
const SILENCE: Duration = Duration::from_secs(15);

/// For an answer, nanoseconds: a resume that cannot be read is refused after 10 s.
const ANSWER: u64 = 15 * SECOND;

/// Subscriptions of a client at most, besides its own subject.
const MOST: usize = 5;

#[derive(Debug)]
pub(super) struct Guest {
    house: Arc<House>,
    ends: watch::Receiver<Option<Ends>>,
    user: String,
    /// The subject that it alone publishes on.
    subject: Subject,
    encoding: Encoding,
    chance: Chance,
    scanner: Scanner,
    standings: Vec<Standing>,
    /// Number of the next event that it publishes on its own subject, and whether it was published already.
    own: (u64, bool),
    live: LiveEvents,
    asked: BTreeMap<u64, (Asked, u64)>,
    id: u64,
    way: Way,
    /// Whether it has stopped reading on this connection.
    stalled: bool,
}

impl Guest {
    /// Fails for no number: each makes a subject.
    pub(super) fn new(
        house: Arc<House>,
        ends: watch::Receiver<Option<Ends>>,
        number: usize,
        seed: u64,
    ) -> Result<Self, BadSubject> {
        let user = format!("u{number}");
        let mut guest = Self {
            subject: Subject::parse(&format!("soak.own.{user}"))?,
            encoding: Encoding::OFFERED[number / 25 % 2],
            chance: Chance::new(number, seed, house.haste),
            house,
            ends,
            user,
            scanner: Scanner::default(),
            standings: Vec::new(),
            own: (0, false),
            live: LiveEvents::default(),
            asked: BTreeMap::new(),
            id: 0,
            way: Way::Polite,
            stalled: false,
        };
        guest.begin_anew();
        Ok(guest)
    }

    /// Lives until it has everything that there is.
    pub(super) async fn live(mut self) {
        let mut pause = self.chance.arrival();
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
                self.standings.iter().for_each(|standing| standing.close(&self.house));
                return;
            }
            pause = self.chance.pause();
        }
    }

    /// One connection. `Ok` when it has everything; else how it ended.
    async fn connection(&mut self) -> Result<(), End> {
        let (until, mut action) = (self.stay(), Instant::now() + self.chance.action());
        let narrow = self.chance.temper == Temper::Slow;
        let mut socket = Socket::open(self.house.listen, self.encoding, narrow).await?;
        let connect = Connect {
            token: self.token(),
            subscriptions: self.standings.iter().map(Standing::request).collect(),
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
                return socket.leave().await;
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
                    action = Instant::now() + self.chance.action();
                    if self.chance.temper == Temper::Slow {
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
                    return Err(socket.leave().await.err().unwrap_or(End::Left));
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
        let span = self.chance.stall();
        // It reads again at once when it is time to leave.
        let _ = timeout_at(Instant::now() + span, self.ends.wait_for(Option::is_some)).await;
    }

    /// Until when this connection is to stay.
    fn stay(&mut self) -> Instant {
        self.way = self.chance.way();
        if self.ends.borrow().is_some() {
            self.way = Way::Polite;
        }
        Instant::now() + self.chance.stay()
    }

    fn token(&mut self) -> String {
        let role = if self.chance.restricted { "guest" } else { "customer" };
        self.house.token(&self.user, role, self.chance.token())
    }

    /// Its own subject, and what it wants besides; nothing is known of any of it.
    fn begin_anew(&mut self) {
        self.standings = Vec::new();
        let own = self.subject.to_string();
        let wishes = 1 + self.chance.random.usize(..3);
        let wishes: Vec<String> = (0..wishes).map(|_| self.chance.wish()).collect();
        for pattern in std::iter::once(own).chain(wishes) {
            self.add(&pattern);
        }
    }

    /// Takes up a subscription, unless there is one like it.
    fn add(&mut self, pattern: &str) -> Option<&Standing> {
        let pattern = Pattern::parse(pattern).ok()?;
        if self.standings.iter().any(|standing| standing.pattern() == pattern.as_str()) {
            return None;
        }
        self.standings.push(Standing::new(&self.user, pattern));
        self.standings.last()
    }

    fn ask(&mut self, asked: Asked, body: Said) -> ClientFrame {
        self.id += 1;
        self.asked.insert(self.id, (asked, clock::now()));
        ClientFrame { id: self.id, body: Some(body) }
    }

    /// Does one thing.
    fn act(&mut self, out: &mut Vec<ClientFrame>) {
        match self.chance.random.u8(..8) {
            0 => {
                let wish = self.chance.wish();
                if self.standings.len() <= MOST
                    && let Some(standing) = self.add(&wish)
                {
                    let wanted = standing.request();
                    out.push(self.ask(Asked::Subscribe, subscribe(wanted)));
                }
            }
            1 => {
                let choice = self.chance.random.usize(..self.standings.len());
                if let Some(standing) = self.standings.get_mut(choice.max(1)).filter(|standing| standing.is_live()) {
                    standing.leaving = true;
                    let unsubscribe = unsubscribe(standing.pattern());
                    out.push(self.ask(Asked::Unsubscribe, unsubscribe));
                }
            }
            2 => {
                // From where it stands, on the same connection: what is stored begins anew.
                let choice = self.chance.random.usize(..self.standings.len());
                let standing = &mut self.standings[choice];
                if standing.is_live() && !standing.leaving && standing.is_stored() {
                    standing.disconnected();
                    let wanted = standing.request();
                    out.push(self.ask(Asked::Subscribe, subscribe(wanted)));
                }
            }
            3 => self.publish_own(out),
            4 => out.push(self.ask(Asked::Say, publish("soak.say.all", String::new(), 0))),
            5 => out.push(self.ask(Asked::Request, request(ASK, 0))),
            6 => out.push(self.ask(Asked::RequestInVain, request(ASK_IN_VAIN, 500))),
            _ => {
                let subject = format!("soak.d.{}.*", self.chance.random.usize(..GROUPS));
                out.push(self.ask(Asked::Fetch, fetch(subject)));
            }
        }
    }

    /// The next event of its own subject, or the last one again while nobody has said that it is stored.
    fn publish_own(&mut self, out: &mut Vec<ClientFrame>) {
        if !self.asked.values().any(|(asked, _)| matches!(asked, Asked::Own)) {
            let (number, repeated) = self.own;
            if repeated {
                self.house.ledger().repeat(&self.subject, number);
            }
            self.own.1 = true;
            let publish = publish(self.subject.as_str(), format!("{}-{number}", self.user), number);
            out.push(self.ask(Asked::Own, publish));
        }
    }

    /// Takes one frame in; what it is to be answered with goes to `out`.
    fn take(&mut self, frame: ServerFrame, out: &mut Vec<ClientFrame>) -> Result<(), End> {
        let house = self.house.clone();
        let book = &house.book;
        let asked = self.asked.remove(&frame.reply_to);
        match frame.body {
            None | Some(Body::Welcome(_)) => {}
            Some(Body::Event(event)) => self.event(&event),
            Some(Body::Replay(replay)) => {
                let Some(standing) = standing::find(&mut self.standings, &replay.subject, &house) else {
                    return Ok(());
                };
                for event in &replay.events {
                    if let Some(number) = self.scanner.number(&event.data) {
                        standing.replayed(event, number, &house);
                    }
                }
            }
            Some(Body::Subscribed(subscribed)) => {
                if let Some(standing) = standing::find(&mut self.standings, &subscribed.subject, &house) {
                    standing.subscribed(&subscribed, book);
                }
                if asked.is_some() {
                    // Live events of a pattern that was subscribed again have begun anew.
                    self.live.clear();
                }
            }
            Some(Body::Unsubscribed(unsubscribed)) if unsubscribed.reason.is_empty() => {
                self.standings.retain(|standing| standing.pattern() != unsubscribed.subject);
                // Which of several patterns delivers what is under way may have changed.
                self.live.clear();
            }
            Some(Body::Ping(ping)) => {
                self.standings.iter_mut().for_each(|standing| standing.checkpoint(&ping.positions, book));
                out.push(ClientFrame { id: 0, body: Some(Said::Pong(Pong::default())) });
            }
            Some(Body::TokenExpiring(_)) => {
                if self.way != Way::Expiry {
                    let token = self.token();
                    out.push(self.ask(Asked::Refresh, refresh(token)));
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
                    // A subscription of `connect` has ended.
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
        let Some(number) = self.scanner.number(&event.data) else {
            return book.fault("an event of nobody", || format!("{event:?}"));
        };
        if [DURABLE, LATEST].contains(&&*event.stream) {
            return self.standings.iter_mut().for_each(|standing| standing.received(event, number, &self.house));
        }
        book.count("live events received");
        let told = || format!("{}: {} number {number}", self.user, event.subject);
        if self.chance.restricted && event.subject.starts_with("soak.l.0.") {
            book.fault("denied and delivered", told);
        }
        self.live.take(&event.subject, number, book, told);
    }

    /// Judges the end of a connection: some are meant to be.
    fn judge(&self, end: End, begun: u64) {
        let book = &self.house.book;
        match end {
            End::Left => book.count("left"),
            End::Closed { code: 4007, .. } if self.way == Way::Expiry || self.stalled => {
                book.count("closed: the token had expired");
            }
            End::Closed { code: 4002, .. } if self.chance.temper == Temper::Slow => {
                book.count("closed: read too slowly")
            }
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
        format!(
            "{} ({:?}, {:?}), after {after:.1} s, at {minute:.1} min: {end}",
            self.user, self.chance.temper, self.way
        )
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
        self.standings.iter_mut().for_each(Standing::disconnected);
        if self.chance.random.u8(..) < 25 && self.ends.borrow().is_none() {
            self.begin_anew();
        }
    }
}
