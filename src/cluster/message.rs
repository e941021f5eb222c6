//! Messages and answers between nodes, as JSON: a head that says which node speaks, and
//! beside it the fields of whoever uses the cluster. Free of I/O. Unknown fields are
//! passed over, so that nodes of different versions understand each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Bytes of a message that is read at all: below what NATS takes, and room for
/// the longest that is written.
pub const MESSAGE_BYTES: usize = 512 * 1024;

/// The head of a message: which node says it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageHead {
    /// Name of the node. Messages of older nodes have none, their answers do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Which running node says so; a restart makes another one of it. Answers of
    /// older nodes have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The node does not know yet which others there are: each has to answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hello: bool,
    /// The node leaves, and says nothing more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

/// The bytes are not a message of a node.
#[derive(Debug, thiserror::Error)]
pub enum BadMessage {
    /// It is longer than anything a node writes.
    #[error("{0} bytes are more than {MESSAGE_BYTES}")]
    TooLong(usize),
    /// It does not say which node it is of.
    #[error("`from` is missing")]
    Anonymous,
    /// It is not JSON, or says something else.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Written<'m, B> {
    #[serde(flatten)]
    head: &'m MessageHead,
    #[serde(flatten)]
    body: &'m B,
}

/// A message as it is sent.
pub fn write(head: &MessageHead, body: &impl Serialize) -> Bytes {
    // Strings, numbers and lists of them: there is nothing that JSON cannot say.
    serde_json::to_vec(&Written { head, body }).unwrap_or_default().into()
}

/// Reads the head of what was heard.
///
/// # Errors
/// See [`BadMessage`].
pub fn head(bytes: &[u8]) -> Result<MessageHead, BadMessage> {
    body(bytes)
}

/// Reads what is beside the head.
///
/// # Errors
/// See [`BadMessage`].
pub fn body<B: DeserializeOwned>(bytes: &[u8]) -> Result<B, BadMessage> {
    if bytes.len() > MESSAGE_BYTES {
        return Err(BadMessage::TooLong(bytes.len()));
    }
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Counted {
        word: u64,
    }

    #[test]
    fn a_head_and_what_is_said_read_back_and_take_no_room_where_they_say_nothing() {
        let named = MessageHead { node: Some("a".into()), from: Some("1".into()), ..MessageHead::default() };
        for (head, written) in [
            (named.clone(), json!({"node": "a", "from": "1", "word": u64::MAX})),
            (
                MessageHead { hello: true, ..named.clone() },
                json!({"node": "a", "from": "1", "hello": true, "word": u64::MAX}),
            ),
            (
                MessageHead { leaving: true, ..named },
                json!({"node": "a", "from": "1", "leaving": true, "word": u64::MAX}),
            ),
            (MessageHead::default(), json!({"word": u64::MAX})),
        ] {
            let bytes = write(&head, &Counted { word: u64::MAX });
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON"), written);
            assert_eq!(super::head(&bytes).expect("it reads back"), head);
            assert_eq!(body::<Counted>(&bytes).expect("it reads back"), Counted { word: u64::MAX });
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_what_makes_no_sense_is_refused() {
        assert_eq!(head(b"{\"later\":[1]}").expect("a head"), MessageHead::default());
        for bytes in [&b""[..], b"\xff", b"[1]", b"{\"from\":1}", b"{\"node\":{}}"] {
            assert!(head(bytes).is_err(), "{bytes:?}");
        }
        assert!(matches!(head(&vec![b' '; MESSAGE_BYTES + 1]), Err(BadMessage::TooLong(_))));
    }
}
