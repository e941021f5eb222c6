//! How many shapes of wildcards each user holds, over all connections of the
//! node. Of one shape at most one pattern matches a subject, so this bounds what
//! one user makes of one event: copies at NATS, nodes of a tree that are
//! visited, topics and groups that it goes through.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use crate::{
    access::identity::UserKey,
    error::{Code, Refusal},
    rate::{Rate, TokenBucket},
    subject::{Pattern, Shape},
    sync::Mutex,
};

/// Users who are named in the log when they reach the limit: 1 per second on
/// average, 10 at once. Each of them once, until they hold no wildcard any more.
const NAMED: (u64, u64) = (1, 10);

/// Shapes by who holds them.
#[derive(Debug)]
pub(crate) struct Shapes {
    /// 0: no limit, and nothing is counted.
    most: u32,
    state: Mutex<State>,
    hasher: RandomState,
    start: Instant,
}

#[derive(Debug, Default)]
struct State {
    holders: HashMap<ShapeHolder, HeldShapes>,
    named: TokenBucket,
}

/// The holder of shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ShapeHolder {
    /// A user, under a hash with a key that nobody knows.
    User(u64),
    /// One connection of nobody in particular, by address.
    Connection(usize),
}

#[derive(Debug, Default)]
struct HeldShapes {
    /// Each with how many patterns have it.
    shapes: Vec<(Shape, u32)>,
    /// It was named in the log.
    named: bool,
}

/// A pattern would be of one shape more than its user may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this user holds patterns of {most} shapes")]
pub struct TooManyShapes {
    most: u32,
    /// Whether that belongs into the log.
    pub is_news: bool,
}

impl Shapes {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, state: Mutex::default(), hasher: RandomState::new(), start: Instant::now() }
    }

    /// Under what a user is counted; never 0.
    pub(crate) fn user(&self, user: UserKey<'_>) -> u64 {
        self.hasher.hash_one(user).max(1)
    }

    /// Counts a pattern, which has to [leave](Self::leave) again.
    ///
    /// # Errors
    /// When its shape would be one too many; it is not counted then.
    pub(crate) fn enter(&self, holder: ShapeHolder, pattern: &Pattern) -> Result<(), TooManyShapes> {
        let Some(shape) = self.counted(pattern) else { return Ok(()) };
        let mut state = self.state.lock();
        let State { holders, named } = &mut *state;
        let held = holders.entry(holder).or_default();
        if let Some((_, patterns)) = held.shapes.iter_mut().find(|(known, _)| *known == shape) {
            *patterns += 1;
            return Ok(());
        }
        if held.shapes.len() >= self.most as usize {
            let (per_second, at_once) = NAMED;
            let is_news = !held.named && named.admit(self.now(), Rate::new(per_second, at_once));
            held.named |= is_news;
            return Err(TooManyShapes { most: self.most, is_news });
        }
        if held.shapes.is_empty() {
            // Most have one.
            held.shapes.reserve_exact(1);
        }
        held.shapes.push((shape, 1));
        Ok(())
    }

    /// Counts a pattern no longer.
    pub(crate) fn leave(&self, holder: ShapeHolder, pattern: &Pattern) {
        let Some(shape) = self.counted(pattern) else { return };
        let mut state = self.state.lock();
        let Entry::Occupied(mut entry) = state.holders.entry(holder) else { return };
        let held = entry.get_mut();
        let Some(index) = held.shapes.iter().position(|(known, _)| *known == shape) else { return };
        held.shapes[index].1 -= 1;
        if held.shapes[index].1 == 0 {
            held.shapes.swap_remove(index);
        }
        if held.shapes.is_empty() {
            entry.remove();
        }
    }

    fn counted(&self, pattern: &Pattern) -> Option<Shape> {
        if self.most == 0 { None } else { pattern.shape() }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl TooManyShapes {
    /// The refusal of the pattern.
    pub fn refusal(self, pattern: &Pattern) -> Refusal {
        let Self { most, .. } = self;
        let message = format!(
            "this user holds patterns with wildcards in {most} different shapes (numbers of tokens and places of \
             wildcards), the most they may over all connections; give one up, or ask for a pattern of a shape that is held"
        );
        Refusal::of(Code::WildcardLimit, pattern.as_str(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn a_user_holds_so_many_shapes_and_any_number_of_patterns_of_each() {
        let shapes = Shapes::new(2);
        let key = |issuer, user| ShapeHolder::User(shapes.user(UserKey { issuer, user }));
        let u1 = key("a", "u1");
        let enter = |who, text: &str| shapes.enter(who, &pattern(text)).is_ok();
        assert!(enter(u1, "a.*") && enter(u1, "b.*") && enter(u1, "c.>") && enter(u1, "d.e.f"));
        assert!(!enter(u1, "*.a"));
        assert!(enter(u1, "x.*"), "of a shape that is held");
        let others = [key("a", "u2"), key("b", "u1"), ShapeHolder::Connection(1)];
        assert!(others.into_iter().all(|other| enter(other, "*.a")));

        let leave = |text: &&str| shapes.leave(u1, &pattern(text));
        ["a.*", "b.*", "d.e.f", "never.held.*.>"].iter().for_each(leave);
        assert!(!enter(u1, "*.a"), "one pattern still has that shape");
        leave(&"x.*");
        assert!(enter(u1, "*.a") && !enter(u1, "a.*"));
        ["*.a", "c.>"].iter().for_each(leave);
        others.into_iter().for_each(|other| shapes.leave(other, &pattern("*.a")));
        assert!(shapes.state.lock().holders.is_empty(), "nothing is left of those who hold none");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let shapes = Shapes::new(0);
        let holder = ShapeHolder::Connection(1);
        assert!(["a.*", "*.a", "*.*", ">"].iter().all(|text| shapes.enter(holder, &pattern(text)).is_ok()));
        assert!(shapes.state.lock().holders.is_empty());
    }

    #[test]
    fn who_reaches_the_limit_is_named_once_and_not_everybody_at_once() {
        let shapes = Shapes::new(1);
        let refused = |holder| {
            shapes.enter(holder, &pattern("a.*")).expect("the first");
            [(); 2].map(|()| shapes.enter(holder, &pattern("*.a")).expect_err("the second").is_news)
        };
        let named = (0..30).map(|address| refused(ShapeHolder::Connection(address)));
        let named: Vec<_> = named.collect();
        assert_eq!(named[0], [true, false]);
        assert_eq!(named[29], [false, false]);
        let refusal =
            shapes.enter(ShapeHolder::Connection(0), &pattern("*.b")).expect_err("too many").refusal(&pattern("*.b"));
        assert_eq!((refusal.code, refusal.subject.as_deref()), (Code::WildcardLimit, Some("*.b")));
        assert!(refusal.message.contains("in 1 different shapes"), "{}", refusal.message);
    }
}
