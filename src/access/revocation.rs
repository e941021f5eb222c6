//! Revocations of tokens that have not expired, each kept for as long as such tokens
//! may live. Free of I/O and of clocks; `control` keeps the lists of all nodes the
//! same.

mod fingerprint;
mod name;

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use name::{IssuerName, NAME_BYTES, Name, NoName};

use crate::{access::identity::Identity, sync::RwLock};
use fingerprint::fingerprint;

/// Revocations that are kept at most: some 15 MB with names of usual length.
/// Above that, revoking has become the rule: let tokens live shorter instead.
const MOST: usize = 65_536;

/// The tokens that a revocation covers.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Revoked {
    /// Those of a user that were issued until the moment of the revocation.
    User(Name),
    /// The one with this `jti`.
    TokenId(Name),
}

/// One revocation.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Revocation {
    /// The tokens that are revoked.
    #[serde(flatten)]
    pub what: Revoked,
    /// The issuer of the tokens; absent: any issuer, as where only one is
    /// configured, and in revocations of nodes that do not know this field.
    /// Those nodes ignore it, and revoke the name for every issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerName>,
    /// When, seconds since 1970.
    pub at: u64,
    /// How long it is kept, seconds since 1970.
    pub until: u64,
}

/// There are as many revocations as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} revocations are kept already, the most there may be; let tokens live shorter")]
pub struct Full;

/// All revocations, as one node knows them.
#[derive(Debug)]
pub struct Revocations {
    list: RwLock<HashMap<Key, KeptRevocation>>,
    /// By how much the clocks of issuers may differ from ours.
    leeway: u64,
    /// Whether it is known what was revoked before this node started.
    known: watch::Sender<bool>,
}

/// The tokens that are revoked, and their issuer, or any.
type Key = (Revoked, Option<IssuerName>);

/// From when to when one stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct KeptRevocation {
    /// Seconds since 1970.
    at: u64,
    /// Seconds since 1970.
    until: u64,
    /// Differs for each revocation; part of the [digest](Revocations::digest).
    fingerprint: u64,
}

impl Revocations {
    /// Nothing is revoked. `leeway` is by how much the clocks of issuers may
    /// differ from ours.
    pub fn new(leeway: Duration) -> Self {
        Self { list: RwLock::default(), leeway: leeway.as_secs(), known: watch::Sender::new(false) }
    }

    /// Adds a revocation. One that is there already is kept for the longer of
    /// both terms, so that nodes may learn of the same in any order. Returns
    /// whether anything changed.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add(&self, revocation: Revocation, now: u64) -> Result<bool, Full> {
        let Revocation { what, issuer, at, until } = revocation;
        if until <= now {
            return Ok(false);
        }
        let key = (what, issuer);
        let mut list = self.list.write();
        let known = list.get(&key).copied();
        if list.len() >= MOST && known.is_none() {
            return Err(Full);
        }
        let before = known.unwrap_or_default();
        let (at, until) = (before.at.max(at), before.until.max(until));
        let kept = KeptRevocation { at, until, fingerprint: fingerprint(names(&key), [at, until]) };
        if known == Some(kept) {
            return Ok(false);
        }
        list.insert(key, kept);
        Ok(true)
    }

    /// Whether somebody's token is revoked. A token of a revoked user that does
    /// not say when it was issued (`iat`) is.
    pub fn covers(&self, identity: &Identity, now: u64) -> bool {
        let list = self.list.read();
        if list.is_empty() || identity.is_anonymous() {
            return false;
        }
        let issuer = identity.issuer.clone().and_then(|issuer| IssuerName::try_from(issuer).ok());
        // Later than this nothing of what was revoked can have been issued.
        let latest = |what: Revoked| {
            let mut key = (what, issuer.clone());
            let own = list.get(&key);
            key.1 = None;
            let everybodys = list.get(&key);
            own.into_iter().chain(everybodys).filter(|kept| kept.until > now).map(|kept| kept.at).max()
        };
        let user = Name::try_from(identity.user.clone()).ok().and_then(|user| latest(Revoked::User(user)));
        let token = identity.token_id.clone().and_then(|id| Name::try_from(id).ok());
        user.is_some_and(|at| identity.issued_at.is_none_or(|issued| issued <= at.saturating_add(self.leeway)))
            || token.is_some_and(|id| latest(Revoked::TokenId(id)).is_some())
    }

    /// Everything that stands, in no order.
    pub fn all(&self, now: u64) -> Vec<Revocation> {
        let standing = |((what, issuer), kept): (&Key, &KeptRevocation)| {
            let KeptRevocation { at, until, .. } = *kept;
            (until > now).then(|| Revocation { what: what.clone(), issuer: issuer.clone(), at, until })
        };
        self.list.read().iter().filter_map(standing).collect()
    }

    /// The same number on nodes that know the same, whatever their version, and
    /// hardly ever otherwise.
    pub fn digest(&self, now: u64) -> u64 {
        self.list.read().values().filter(|kept| kept.until > now).fold(0, |all, kept| all ^ kept.fingerprint)
    }

    /// Forgets what has run out, and tells how many stand.
    pub fn forget(&self, now: u64) -> usize {
        let mut list = self.list.write();
        list.retain(|_, kept| kept.until > now);
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
}

fn names((what, issuer): &Key) -> [&str; 3] {
    let (kind, name) = match what {
        Revoked::User(name) => ("user", name),
        Revoked::TokenId(name) => ("tokenId", name),
    };
    [kind, name.as_str(), issuer.as_ref().map_or("", |issuer| issuer.as_str())]
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
        Revocation { what: Revoked::User(name(user)), issuer: None, at, until }
    }

    fn token(id: &str, until: u64) -> Revocation {
        Revocation { what: Revoked::TokenId(name(id)), issuer: None, at: 0, until }
    }

    fn of(issuer: &str, revocation: Revocation) -> Revocation {
        Revocation { issuer: Some(IssuerName::try_from(issuer.to_owned()).expect("a name")), ..revocation }
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
    fn a_revocation_is_its_issuers_own_unless_it_names_none() {
        let list = Revocations::new(Duration::ZERO);
        list.add(of("us", user("u1", 1_000, 2_000)), 1_000).expect("room");
        list.add(of("them", token("t1", 2_000)), 1_000).expect("room");
        list.add(user("u2", 1_000, 1_500), 1_000).expect("room");
        list.add(of("us", user("u2", 1_200, 2_000)), 1_000).expect("room");
        let rows = [
            ("us", "u1", "t0", 1_000, true),
            ("them", "u1", "t0", 1_000, false),
            ("them", "u9", "t1", 1_000, true),
            ("us", "u9", "t1", 1_000, false),
            ("them", "u2", "t0", 1_000, true),
            ("them", "u2", "t0", 1_600, false),
            ("us", "u2", "t0", 1_600, true),
        ];
        for (issuer, user, id, now, covered) in rows {
            let issuer = Some(issuer.to_owned());
            let somebody = Identity { issuer, ..identity(user, Some(id), Some(900)) };
            assert_eq!(list.covers(&somebody, now), covered, "{somebody:?} {now}");
        }
        // The later of both moments counts.
        let new = |issuer: &str, issued| Identity { issuer: Some(issuer.into()), ..identity("u2", None, Some(issued)) };
        assert!(list.covers(&new("us", 1_100), 1_400) && !list.covers(&new("them", 1_100), 1_400));
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
            heard in prop::collection::vec((0..8u8, 0..6u64, 5..9u64, any::<prop::sample::Index>()), 1..12),
        ) {
            let revocation = |(who, at, until, _): &(u8, u64, u64, prop::sample::Index)| {
                let name = (who % 4).to_string();
                let one = if who % 2 == 0 { user(&name, *at, *until) } else { token(&name, *until) };
                if *who < 4 { one } else { of("us", one) }
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
        for revocation in [user("u1", 1, 2), token("t1", 3), of("us", user("u1", 1, 2))] {
            let text = serde_json::to_string(&revocation).expect("JSON");
            assert_eq!(serde_json::from_str::<Revocation>(&text).expect("it reads back"), revocation);
        }
        let old = json!({"user": "u1", "at": 1, "until": 2});
        assert_eq!(serde_json::to_value(user("u1", 1, 2)).expect("JSON"), old);
        assert_eq!(
            serde_json::to_value(of("us", user("u1", 1, 2))).expect("JSON"),
            json!({"user": "u1", "issuer": "us", "at": 1, "until": 2})
        );
        // Fields of a later version are ignored, as an earlier version ignores the issuer.
        let later = json!({"user": "u1", "at": 1, "until": 2, "later": true});
        assert_eq!(serde_json::from_value::<Revocation>(later).expect("it reads"), user("u1", 1, 2));
    }
}
