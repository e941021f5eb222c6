//! Denials: errors of a server about a subscription that it refuses. A denial
//! goes to the connection and not in reply to the command, before the `PONG` to
//! a `PING` that followed; and unasked, when a permission is taken back. Free
//! of I/O.

/// A subscription that is refused, as far as the server says which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The one with this number.
    Number(u64),
    /// The one to this subject.
    Subject(String),
    /// One of those that it was told of last: there are as many as may be.
    Limit,
}

/// The words of nats-server for a missing permission; the subject follows,
/// quoted as Go quotes, and where a permission was taken back the number.
const PERMISSION: &str = "Permissions Violation for Subscription to ";

/// Its words where `max_subscriptions` is reached, its own or the account's.
const LIMIT: &str = "maximum subscriptions exceeded";

/// The subscription that an error speaks of; nothing where it is about something else.
pub(crate) fn denial(error: &str) -> Option<Denial> {
    if error.contains(LIMIT) {
        return Some(Denial::Limit);
    }
    let (_, said) = error.split_once(PERMISSION)?;
    if let Some((_, number)) = said.rsplit_once("(sid \"")
        && let Some(number) = number.split('"').next().and_then(|number| number.parse().ok())
    {
        return Some(Denial::Number(number));
    }
    // For what a subject can hold, Go quotes as JSON does.
    let mut quoted = serde_json::Deserializer::from_str(said).into_iter::<String>();
    quoted.next()?.ok().map(Denial::Subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nats_server_says_is_understood() {
        let subject = |subject: &str| Some(Denial::Subject(subject.into()));
        let rows = [
            (r#"Permissions Violation for Subscription to "other.x""#, subject("other.x")),
            (r#"nats: Permissions Violation for Subscription to ">""#, subject(">")),
            (r#"Permissions Violation for Subscription to "a.b.c.d.e", too many tokens"#, subject("a.b.c.d.e")),
            (r#"Permissions Violation for Subscription to "other.q" using queue "qq""#, subject("other.q")),
            ("Permissions Violation for Subscription to \"ot\\\"h\u{fc}.\\\\y\"", subject("ot\"h\u{fc}.\\y")),
            (r#"Permissions Violation for Subscription to "news.a" (sid "2")"#, Some(Denial::Number(2))),
            ("maximum subscriptions exceeded", Some(Denial::Limit)),
            (r#"Permissions Violation for Publish to "other.x""#, None),
            ("Permissions Violation for Subscription to other", None),
            ("Permissions Violation for Subscription to \"other", None),
            ("Authorization Violation", None),
        ];
        for (error, expected) in rows {
            assert_eq!(denial(error), expected, "{error}");
        }
    }
}
