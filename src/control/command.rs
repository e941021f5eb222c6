//! Commands and answers between nodes, as JSON: commands of operators, and
//! revocations. Free of I/O. Unknown fields are passed over, so
//! that nodes of different versions understand each other.

use serde::{Deserialize, Serialize};

use crate::{
    access::revocation::{IssuerName, Name, Revocation},
    session::ConnectionInfo,
};

/// Revocations that travel together. With the longest names, half of what is read
/// ([`MESSAGE_BYTES`](crate::cluster::MESSAGE_BYTES)).
pub(crate) const TOGETHER: usize = 128;

/// A message from one node to all others, beside its head.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeMessage {
    /// The issuer that gave out the names in the command; absent: any issuer.
    /// The field stands beside the command because nodes that do not know it
    /// ignore it here, and apply the command for every issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerName>,
    /// The command.
    pub order: Command,
}

/// A command to all other nodes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    /// End connections, and say how many there were.
    Disconnect(CommandTarget),
    /// Take note of revocations, and end the connections that they cover.
    Revoke(Vec<Revocation>),
    /// Have a user's clients bring a new token.
    #[serde(rename_all = "camelCase")]
    Reevaluate {
        /// The user.
        user: Name,
        /// Milliseconds they have for it.
        within_ms: u64,
    },
    /// Say which connections there are.
    List {
        /// Of this user only.
        user: Option<Name>,
        /// The most that are listed.
        most: usize,
    },
    /// Say what you have revoked, if it comes to something else.
    Compare {
        /// The digest of the sender's list.
        digest: u64,
    },
}

/// The connections that a command is for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandTarget {
    /// All of a user.
    User(Name),
    /// All that came in by the token with this `jti`.
    TokenId(Name),
    /// The one that is called so.
    Connection(Name),
}

/// The answer of a node, beside its head.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Answer {
    /// Connections that it concerned there.
    pub connections: u64,
    /// Some of them, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<ConnectionInfo>,
    /// Revocations of the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revocations: Vec<Revocation>,
    /// Whether the node has revoked what the asking one has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub same: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        access::revocation::{NAME_BYTES, Revoked},
        cluster::{
            MESSAGE_BYTES, MessageHead,
            message::{body, write},
        },
        config::ISSUER_BYTES,
    };

    fn name(text: &str) -> Name {
        Name::try_from(text.to_owned()).expect("a name")
    }

    fn head() -> MessageHead {
        MessageHead { from: Some("1".into()), ..MessageHead::default() }
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let revocation = Revocation { what: Revoked::TokenId(name("t")), issuer: None, at: 1, until: 2 };
        for order in [
            Command::Disconnect(CommandTarget::User(name("u"))),
            Command::Disconnect(CommandTarget::Connection(name("00000000000000aa"))),
            Command::Revoke(vec![revocation]),
            Command::Reevaluate { user: name("u"), within_ms: 30_000 },
            Command::List { user: None, most: 10 },
            Command::Compare { digest: u64::MAX },
        ] {
            for issuer in [None, Some(IssuerName::try_from("us".to_owned()).expect("a name"))] {
                let message = NodeMessage { issuer, order: order.clone() };
                assert_eq!(body::<NodeMessage>(&write(&head(), &message)).expect("it reads back"), message);
            }
        }
    }

    /// Messages and answers as nodes of before the head write and read them.
    #[test]
    fn nodes_of_older_versions_are_understood_and_understand() {
        let written = |issuer: Option<&str>| {
            let issuer = issuer.map(|name| IssuerName::try_from(name.to_owned()).expect("a name"));
            let message = NodeMessage { issuer, order: Command::Disconnect(CommandTarget::User(name("u"))) };
            serde_json::from_slice::<serde_json::Value>(&write(&head(), &message)).expect("JSON")
        };
        // As they write it, so as they read it; more beside the order they pass over.
        let old = json!({"from": "1", "order": {"disconnect": {"user": "u"}}});
        assert_eq!(written(None), old);
        assert_eq!(body::<NodeMessage>(old.to_string().as_bytes()).expect("it reads").issuer, None);
        assert_eq!(written(Some("us")), json!({"from": "1", "issuer": "us", "order": {"disconnect": {"user": "u"}}}));
        let answer = Answer { connections: 3, ..Answer::default() };
        let head = MessageHead { node: Some("a".into()), ..MessageHead::default() };
        let written = serde_json::from_slice::<serde_json::Value>(&write(&head, &answer)).expect("JSON");
        assert_eq!(written, json!({"node": "a", "connections": 3}));
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_what_makes_no_sense_is_refused() {
        let message = |order| json!({"from": "1", "later": [1], "order": order}).to_string();
        let read = |text: String| body::<NodeMessage>(text.as_bytes());
        assert!(read(message(json!({"disconnect": {"user": "u"}}))).is_ok());
        assert!(read(message(json!({"reevaluate": {"user": "u", "withinMs": 1, "later": true}}))).is_ok());
        for order in [
            json!({"explode": {}}),
            json!({"disconnect": {"user": ""}}),
            json!({"disconnect": {"user": "a\nb"}}),
            json!({"disconnect": {"user": "x".repeat(NAME_BYTES + 1)}}),
            json!({"revoke": [{"user": "u"}]}),
            json!({"compare": {"digest": -1}}),
            json!(null),
        ] {
            assert!(read(message(order.clone())).is_err(), "{order}");
        }
        assert_eq!(body::<Answer>(b"{\"later\":1}").expect("an answer"), Answer::default());
    }

    #[test]
    fn the_longest_message_that_is_written_is_read() {
        let what = Revoked::User(name(&"\"".repeat(NAME_BYTES)));
        let issuer = Some(IssuerName::try_from("\"".repeat(ISSUER_BYTES)).expect("a name"));
        let most = vec![Revocation { what, issuer: issuer.clone(), at: u64::MAX, until: u64::MAX }; TOGETHER];
        let written = write(&head(), &NodeMessage { issuer, order: Command::Revoke(most) });
        assert!(written.len() <= MESSAGE_BYTES && body::<NodeMessage>(&written).is_ok(), "{}", written.len());
    }
}
