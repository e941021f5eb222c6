//! An HTTP request, from its head until its client has taken the answer. The
//! request counts and not its connection: a proxy has those of many users.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;

use crate::{
    access::identity::UserKey,
    admission::{Admission, Exhausted, Holder, Rejected},
    error::Refusal,
};

/// Bytes of an answer that is told whatever else is held: what was done must
/// not be denied because the word for it has no room. There are never more of
/// them than connections.
const SHORT: u64 = 16 * 1024;

/// One request's right to be served; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Visit {
    admission: Arc<Admission>,
    holder: Holder,
    /// Set aside for the answer, or what that comes to.
    bytes: u64,
}

/// An answer that its client has not taken.
struct Untaken {
    answer: Vec<u8>,
    _visit: Visit,
}

impl AsRef<[u8]> for Untaken {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Visit {
    pub(crate) fn new(admission: Arc<Admission>, address: IpAddr) -> Self {
        let holder = Holder { user: 0, address: admission.address_key(address) };
        Self { admission, holder, bytes: 0 }
    }

    /// Counts the request for its user, once. Nobody in particular is not counted.
    ///
    /// # Errors
    /// `user_limit`, or `user_full`.
    pub(crate) fn count_for_user(&mut self, user: Option<UserKey<'_>>) -> Result<(), Refusal> {
        let Some(user) = user.filter(|_| self.holder.user == 0) else { return Ok(()) };
        self.holder.user = self.admission.enter_user(user).map_err(|closed| self.admission.refusal(closed))?;
        Ok(())
    }

    /// Sets room aside for an answer, before what it tells is read.
    ///
    /// # Errors
    /// `answer_limit` or `overloaded`, when there is none for a while.
    pub(crate) async fn reserve(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = (bytes as u64).saturating_sub(self.bytes);
        self.admission.answers().take(self.holder, more).await.map_err(|exhausted| {
            self.admission.refusal(match exhausted {
                Exhausted::Share => Rejected::Answers,
                Exhausted::Total => Rejected::AnswersFull,
            })
        })?;
        self.bytes += more;
        Ok(())
    }

    /// The answer, which holds its bytes until the last of them is gone.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve), where it is larger than what was set aside.
    pub(crate) async fn hold(mut self, mut answer: Vec<u8>) -> Result<Bytes, Refusal> {
        answer.shrink_to_fit();
        let bytes = answer.len() as u64;
        if bytes <= self.bytes {
            self.admission.answers().give_back(self.holder, self.bytes - bytes);
        } else if bytes <= SHORT {
            self.admission.answers().force(self.holder, bytes - self.bytes);
        } else {
            self.reserve(answer.len()).await?;
        }
        self.bytes = bytes;
        Ok(Bytes::from_owner(Untaken { answer, _visit: self }))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.admission.answers().give_back(self.holder, self.bytes);
        self.admission.leave_user(self.holder.user);
    }
}

#[cfg(test)]
mod tests {
    use metrics::Gauge;

    use super::*;
    use crate::{config::Limits, error::Code};

    fn admission() -> Arc<Admission> {
        let limits = Limits { user_connections: 2, http_answer_bytes: 800_000.into(), ..Limits::default() };
        Admission::new(&limits, std::time::Duration::ZERO, Gauge::noop())
    }

    fn visit(admission: &Arc<Admission>, user: &str) -> Result<Visit, Code> {
        let mut visit = Visit::new(admission.clone(), "192.0.2.1".parse().expect("an address"));
        visit.count_for_user(Some(UserKey { issuer: "a", user })).map_err(|refusal| refusal.code)?;
        Ok(visit)
    }

    #[tokio::test]
    async fn a_request_counts_for_its_user_until_its_answer_is_taken() {
        let admission = admission();
        let first = visit(&admission, "u1").expect("room");
        let answer = visit(&admission, "u1").expect("room").hold(vec![0; 10]).await.expect("it is short");
        assert_eq!(visit(&admission, "u1").err(), Some(Code::UserFull));
        assert!(visit(&admission, "u2").is_ok());
        let connection = admission.enter(None).expect("room");
        assert_eq!(connection.count_for_user(Some(UserKey { issuer: "a", user: "u1" })), Err(Rejected::UserFull));
        let rest = answer.slice(9..);
        drop(answer);
        assert_eq!(visit(&admission, "u1").err(), Some(Code::UserFull), "a byte is left");
        drop(rest);
        assert!(visit(&admission, "u1").is_ok());
        drop(first);
    }

    #[tokio::test]
    async fn what_an_answer_does_not_need_is_given_back_and_what_it_needs_is_held() {
        let admission = admission();
        let mut first = visit(&admission, "u1").expect("room");
        first.reserve(90_000).await.expect("room");
        let mut second = visit(&admission, "u1").expect("room");
        assert_eq!(second.reserve(90_000).await.expect_err("the share is used up").code, Code::AnswerLimit);
        let answer = first.hold(vec![0; 60_000]).await.expect("it was set aside");
        assert_eq!(second.reserve(40_000).await, Ok(()));
        // More than was set aside, and more than there is.
        assert_eq!(second.hold(vec![0; 50_000]).await.expect_err("no room").code, Code::AnswerLimit);
        let short = visit(&admission, "u1").expect("room").hold(vec![0; 16_000]).await;
        assert_eq!(short.expect("it is told in any case").len(), 16_000);
        drop(answer);
        let mut third = visit(&admission, "u1").expect("room");
        assert_eq!(third.reserve(100_000).await, Ok(()));
    }
}
