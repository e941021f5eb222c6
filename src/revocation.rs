//! Which tokens hold no longer although they have not expired: what operators
//! have revoked, each for as long as such tokens may live. Free of I/O and of
//! clocks; `control` keeps the lists of all nodes the same.

mod name;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use name::{NAME_BYTES, Name, NoName};

use crate::identity::Identity;

/// Revocations that are kept at most: some 10 MB with names of usual length.
/// More is no longer an exception; let tokens live shorter instead.
const MOST: usize = 65_536;

/// Whose tokens.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Revoked {
    /// Those of a user that were issued until the moment of the revocation.
    User(Name),
    /// The one with this `jti`.
    TokenId(Name),
}

/// Something that was revoked.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Revocation {
    /// Whose tokens.
    #[serde(flatten)]
    pub what: Revoked,
    /// When, seconds since 1970.
    pub at: u64,
    /// How long it is kept, seconds since 1970.
    pub until: u64,
}

/// There are as many revocations as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} revocations are kept already, the most there may be; let tokens live shorter")]
pub struct Full;

/// Everything that is revoked, as one node knows it.
#[derive(Debug)]
pub struct Revocations {
    list: RwLock<HashMap<Revoked, Term>>,
    /// By how much the clocks of issuers may differ from ours.
    leeway: u64,
    /// Whether it is known what was revoked before this node started.
    known: watch::Sender<bool>,
}

/// From when to when it stands, seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Term {
    at: u64,
    until: u64,
}

impl Revocations {
    /// Nothing is revoked. `leeway` is by how much the clocks of issuers may
    /// differ from ours.
    pub fn new(leeway: Duration) -> Self {
        Self { list: RwLock::default(), leeway: leeway.as_secs(), known: watch::Sender::new(false) }
    }

    /// Adds one. What is there stands for the longer of both terms, so that
    /// nodes may learn of the same in any order. True when it says something new.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add(&self, revocation: Revocation, now: u64) -> Result<bool, Full> {
        let Revocation { what, at, until } = revocation;
        if until <= now {
            return Ok(false);
        }
        let mut list = self.write();
        if list.len() >= MOST && !list.contains_key(&what) {
            return Err(Full);
        }
        let term = list.entry(what).or_insert(Term { at: 0, until: 0 });
        let longer = Term { at: term.at.max(at), until: term.until.max(until) };
        Ok(std::mem::replace(term, longer) != longer)
    }

    /// Whether somebody's token is revoked. A token of a revoked user that does
    /// not say when it was issued (`iat`) is.
    pub fn covers(&self, identity: &Identity, now: u64) -> bool {
        let list = self.read();
        if list.is_empty() || identity.is_anonymous() {
            return false;
        }
        let term = |what: Revoked| list.get(&what).filter(|term| term.until > now);
        let user = Name::try_from(identity.user.clone()).ok().and_then(|user| term(Revoked::User(user)));
        let token = identity.token_id.clone().and_then(|id| Name::try_from(id).ok());
        user.is_some_and(|term| identity.issued_at.is_none_or(|issued| issued <= term.at.saturating_add(self.leeway)))
            || token.is_some_and(|id| term(Revoked::TokenId(id)).is_some())
    }

    /// Everything that stands, in no order.
    pub fn all(&self, now: u64) -> Vec<Revocation> {
        let standing = |(what, term): (&Revoked, &Term)| {
            (term.until > now).then(|| Revocation { what: what.clone(), at: term.at, until: term.until })
        };
        self.read().iter().filter_map(standing).collect()
    }

    /// The same number on nodes that know the same, and hardly ever otherwise.
    pub fn digest(&self, now: u64) -> u64 {
        let hash = |(what, term): (&Revoked, &Term)| {
            let mut hasher = DefaultHasher::new();
            (what, term).hash(&mut hasher);
            hasher.finish()
        };
        self.read().iter().filter(|(_, term)| term.until > now).map(hash).fold(0, |all, one| all ^ one)
    }

    /// Forgets what has run out, and tells how many stand.
    pub fn forget(&self, now: u64) -> usize {
        let mut list = self.write();
        list.retain(|_, term| term.until > now);
        list.len()
    }

    /// It is known by now what was revoked before this node started.
    pub fn set_known(&self) {
        self.known.send_replace(true);
    }

    /// Whether it is known what was revoked before this node started.
    pub fn is_known(&self) -> bool {
        *self.known.borrow()
    }

    /// Resolves once that is known.
    pub async fn known(&self) {
        // The sender lives as long as we do.
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    // Every change leaves the list whole, so a panic elsewhere does not matter.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Revoked, Term>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Revoked, Term>> {
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> Name {
        Name::try_from(text.to_owned()).expect("a name")
    }

    fn user(user: &str, at: u64, until: u64) -> Revocation {
        Revocation { what: Revoked::User(name(user)), at, until }
    }

    fn token(id: &str, until: u64) -> Revocation {
        Revocation { what: Revoked::TokenId(name(id)), at: 0, until }
    }

    fn identity(user: &str, id: Option<&str>, issued_at: Option<u64>) -> Identity {
        let issuer = Some("https://login.example".into());
        Identity { user: user.into(), token_id: id.map(Into::into), issuer, issued_at, ..Identity::anonymous() }
    }

    #[test]
    fn a_revocation_covers_the_tokens_that_it_is_meant_for() {
        let list = Revocations::new(Duration::from_secs(5));
        assert_eq!(list.add(user("u1", 1_000, 2_000), 1_000), Ok(true));
        assert_eq!(list.add(token("t1", 2_000), 1_000), Ok(true));
        let rows = [
            ("issued before", "u1", None, Some(999), 1_000, true),
            ("issued within the leeway", "u1", None, Some(1_005), 1_000, true),
            ("issued after", "u1", None, Some(1_006), 1_100, false),
            ("issued nobody knows when", "u1", None, None, 1_000, true),
            ("issued before, and the revocation has run out", "u1", None, Some(999), 2_000, false),
            ("of another user", "u2", None, Some(999), 1_000, false),
            ("the token itself", "u2", Some("t1"), Some(5_000), 1_000, true),
            ("the token itself, later", "u2", Some("t1"), Some(5_000), 2_001, false),
            ("another token", "u2", Some("t2"), Some(999), 1_000, false),
        ];
        for (what, user, id, issued, now, covered) in rows {
            assert_eq!(list.covers(&identity(user, id, issued), now), covered, "{what}");
        }
        assert!(!list.covers(&Identity::anonymous(), 1_000));
    }

    #[test]
    fn what_has_run_out_is_neither_taken_nor_kept() {
        let list = Revocations::new(Duration::ZERO);
        assert_eq!(list.add(token("t", 10), 10), Ok(false));
        assert_eq!(list.add(token("t", 11), 10), Ok(true));
        assert_eq!((list.add(token("t", 11), 10), list.add(token("t", 12), 10)), (Ok(false), Ok(true)));
        assert_eq!((list.forget(11), list.forget(12)), (1, 0));
        assert_eq!((list.all(0), list.digest(0)), (Vec::new(), 0));
    }

    #[test]
    fn a_full_list_says_so_and_forgets_nothing() {
        let list = Revocations::new(Duration::ZERO);
        for number in 0..MOST {
            assert_eq!(list.add(token(&number.to_string(), 10), 0), Ok(true));
        }
        assert_eq!(list.add(token("one more", 10), 0), Err(Full));
        assert_eq!(list.add(token("0", 20), 0), Ok(true));
        assert!(list.covers(&identity("u", Some("7"), None), 0));
    }

    proptest! {
        /// Nodes that hear the same in any order, any number of times, agree.
        #[test]
        fn lists_that_have_heard_the_same_are_the_same(
            heard in prop::collection::vec((0..4u8, 0..6u64, 5..9u64, any::<prop::sample::Index>()), 1..12),
        ) {
            let revocation = |(who, at, until, _): &(u8, u64, u64, prop::sample::Index)| {
                if who % 2 == 0 { user(&format!("u{who}"), *at, *until) } else { token(&format!("t{who}"), *until) }
            };
            let (one, other) = (Revocations::new(Duration::ZERO), Revocations::new(Duration::ZERO));
            for entry in &heard {
                one.add(revocation(entry), 4).expect("room");
                other.add(revocation(&heard[entry.3.index(heard.len())]), 4).expect("room");
            }
            for entry in heard.iter().rev() {
                other.add(revocation(entry), 4).expect("room");
            }
            for now in 4..9 {
                prop_assert_eq!(one.digest(now), other.digest(now));
                prop_assert_eq!(one.all(now).len(), other.all(now).len());
            }
        }
    }

    #[test]
    fn a_revocation_reads_back_as_it_was_written() {
        for revocation in [user("u1", 1, 2), token("t1", 3)] {
            let text = serde_json::to_string(&revocation).expect("JSON");
            assert_eq!(serde_json::from_str::<Revocation>(&text).expect("it reads back"), revocation);
        }
        assert_eq!(serde_json::to_value(user("u1", 1, 2)).expect("JSON"), json!({"user": "u1", "at": 1, "until": 2}));
    }
}
