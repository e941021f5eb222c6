//! The identifier under which a stream stores a client's event. JetStream takes
//! two events with one `Nats-Msg-Id` for the same, over the whole stream: what
//! clients call their events is a matter of theirs, and must neither keep out
//! what others publish nor tell what they have published. Free of I/O.

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    access::identity::{Identity, UserKey},
    event::headers::{CLIENT_ID, MSG_ID, encoded},
    proto::Envelope,
    subject::Subject,
};

/// The prefix of identifiers that nodes make. No service should write one.
const PREFIX: &str = "ntf.";

/// Writes down what a client calls its event, and under what a stream is to
/// know it again: the same for whatever connection the user repeats it by.
pub(crate) fn name(envelope: &mut Envelope, identity: &Identity, subject: &Subject) {
    if envelope.id.is_empty() {
        return;
    }
    envelope.headers.insert(MSG_ID.into(), msg_id(identity.user_key(), subject, &envelope.id));
    envelope.headers.insert(CLIENT_ID.into(), encoded(&envelope.id));
}

/// One identifier for each issuer, user, subject and name. Clients without a
/// token have one space together: nobody could tell one who comes back.
fn msg_id(user: Option<UserKey<'_>>, subject: &Subject, id: &str) -> String {
    let UserKey { issuer, user } = user.unwrap_or(UserKey { issuer: "", user: "" });
    let mut digest = Context::new(&SHA256);
    for part in [issuer, user, subject.as_str(), id] {
        // With its length, so that no part can reach into the next one.
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(digest.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(issuer: &str, user: &str, subject: &str, id: &str) -> String {
        let user = Some(UserKey { issuer, user }).filter(|key| !key.user.is_empty());
        msg_id(user, &Subject::parse(subject).expect("a subject"), id)
    }

    #[test]
    fn each_user_has_identifiers_of_their_own_for_each_subject() {
        let one = of("a", "u1", "cart.u1", "o-1");
        assert_eq!(one, of("a", "u1", "cart.u1", "o-1"), "a repeat");
        // It is written to streams, so nodes of any version have to make the same.
        assert_eq!(one, "ntf.WUP7NyCEFOFAH6N5b8AvrCcwHRoyanMLWUSUk3E3Sp4");
        let others = [
            of("b", "u1", "cart.u1", "o-1"),
            of("a", "u2", "cart.u1", "o-1"),
            of("a", "u1", "cart.u2", "o-1"),
            of("a", "u1", "cart.u1", "o-2"),
            of("", "", "cart.u1", "o-1"),
            of("au", "1", "cart.u1", "o-1"),
            of("a", "u1cart.u1", "o", "-1"),
        ];
        for (place, other) in others.iter().enumerate() {
            assert!(*other != one && !others[..place].contains(other), "{place}");
        }
    }

    #[test]
    fn an_event_without_a_name_has_none_made() {
        let subject = Subject::parse("a").expect("a subject");
        let mut envelope = Envelope::default();
        name(&mut envelope, &Identity::anonymous(), &subject);
        assert_eq!(envelope, Envelope::default());
        envelope.id = "a b".into();
        name(&mut envelope, &Identity::anonymous(), &subject);
        assert_eq!((envelope.id.as_str(), envelope.headers[CLIENT_ID].as_str()), ("a b", "a%20b"));
        assert!(envelope.headers[MSG_ID].starts_with(PREFIX));
    }
}
