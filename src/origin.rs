//! Web origins (RFC 6454): the one that a browser tells of a page, and the list
//! of those that may use a node. Free of HTTP.

use std::str::FromStr;

/// Longest host of a URL (RFC 1035 3.1), bytes. A longer one is nobody's.
const HOST_BYTES: usize = 253;

/// Longest scheme that is taken, bytes; `chrome-extension` has 16.
const SCHEME_BYTES: usize = 32;

/// Scheme, host and port of a page: two pages that share them trust each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    /// Lower case; an IPv6 address with its brackets.
    host: String,
    /// None where the scheme has no default and none is given.
    port: Option<u16>,
}

/// Why a text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    /// There is no `://`.
    #[error("has no scheme; write it as https://shop.example")]
    Scheme,
    /// Something follows the port.
    #[error("has a path, a query or a user; an origin is scheme, host and port alone, as https://shop.example:8443")]
    Rest,
    /// The host is missing, or written in Unicode.
    #[error("has no host that a browser sends; write it in ASCII (punycode), as https://xn--bcher-kva.example")]
    Host,
    /// The port is not a port.
    #[error("has no port between 1 and 65535 behind the colon")]
    Port,
}

impl FromStr for Origin {
    type Err = BadOrigin;

    /// The form of RFC 6454 6.2, which is what browsers send, and nothing around it.
    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(BadOrigin::Scheme)?;
        let inner = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let scheme_holds = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(inner);
        if !scheme_holds || scheme.len() > SCHEME_BYTES {
            return Err(BadOrigin::Scheme);
        }
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(BadOrigin::Rest);
        }
        // Colons within brackets are an address's own.
        let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match authority[end..].find(':') {
            Some(colon) => (&authority[..end + colon], Some(&authority[end + colon + 1..])),
            None => (authority, None),
        };
        if !is_host(host) {
            return Err(BadOrigin::Host);
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = match port {
            None => default_port(&scheme),
            Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port > 0).ok_or(BadOrigin::Port)?)
            }
            Some(_) => return Err(BadOrigin::Port),
        };
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port })
    }
}

/// Whether it is a name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    host.len() <= HOST_BYTES && host.split('.').all(|label| !label.is_empty() && label.chars().all(inner))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

impl Origin {
    /// Whether a request with this `Host` went to where the page came from. Of
    /// the scheme nothing is known: TLS may end in front of the node.
    fn is_host(&self, host: &str) -> bool {
        let there: Result<Self, _> = format!("{}://{host}", self.scheme).parse();
        there.is_ok_and(|there| there == *self)
    }
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// `*`
    Any,
    /// `null`: sandboxed frames, files, some redirects. Anybody can be that.
    Null,
    /// This origin.
    Exact(Origin),
    /// Every name below this host, at least one label longer.
    Below(Origin),
}

impl Rule {
    fn holds(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Null => false,
            Self::Exact(exact) => exact == origin,
            Self::Below(base) => {
                let prefix = origin.host.strip_suffix(&base.host).and_then(|prefix| prefix.strip_suffix('.'));
                base.scheme == origin.scheme && base.port == origin.port && prefix.is_some_and(|name| !name.is_empty())
            }
        }
    }
}

/// The origins whose pages may use a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<Rule>);

/// The answer of the list to an `Origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the node's own; nothing has to be told to the browser.
    Same,
    /// It is another one, which may.
    Listed,
    /// It may not.
    Refused,
}

impl Origins {
    /// Reads the list: origins, `https://*.shop.example`, `null`, or `*`.
    ///
    /// # Errors
    /// The entry that is not an origin, and why.
    pub fn parse<'t>(entries: impl IntoIterator<Item = &'t str>) -> Result<Self, (&'t str, BadOrigin)> {
        let rule = |entry: &'t str| match entry {
            "*" => Ok(Rule::Any),
            "null" => Ok(Rule::Null),
            _ => match entry.split_once("://*.") {
                Some((scheme, base)) => format!("{scheme}://{base}").parse().map(Rule::Below),
                None => entry.parse().map(Rule::Exact),
            }
            .map_err(|problem| (entry, problem)),
        };
        entries.into_iter().map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// Whether pages of every origin may.
    fn is_any(&self) -> bool {
        self.0.contains(&Rule::Any)
    }

    /// Whether a page of an attacker's site can be on it.
    pub fn is_open(&self) -> bool {
        self.is_any() || self.0.contains(&Rule::Null)
    }

    /// Whether nothing is listed: then a node serves its own pages alone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer of the list to a page of `origin` that asks the node under
    /// the name `host`. With a list, a node's own origin has to be on it as
    /// well.
    pub fn judge(&self, origin: &str, host: Option<&str>) -> Verdict {
        if self.is_any() || (origin == "null" && self.0.contains(&Rule::Null)) {
            return Verdict::Listed;
        }
        let Ok(page) = origin.parse::<Origin>() else { return Verdict::Refused };
        let own = host.is_some_and(|host| page.is_host(host));
        match self.is_empty() || self.0.iter().any(|rule| rule.holds(&page)) {
            true if own => Verdict::Same,
            true if !self.is_empty() => Verdict::Listed,
            _ => Verdict::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origins(entries: &[&'static str]) -> Origins {
        Origins::parse(entries.iter().copied()).expect("a list")
    }

    #[test]
    fn only_what_is_listed_may() {
        use Verdict::{Listed, Refused, Same};
        let list =
            &["https://shop.example", "https://*.shop.example", "http://localhost:3000", "capacitor://localhost"];
        let rows = [
            ("https://shop.example", Listed),
            ("https://SHOP.example", Listed),
            ("HTTPS://shop.example:443", Listed),
            ("https://www.shop.example", Listed),
            ("https://a.b.shop.example", Listed),
            ("http://localhost:3000", Listed),
            ("capacitor://localhost", Listed),
            ("http://shop.example", Refused),
            ("https://shop.example:8443", Refused),
            ("https://www.shop.example:8443", Refused),
            ("http://www.shop.example", Refused),
            ("https://evil-shop.example", Refused),
            ("https://shop.example.evil", Refused),
            ("https://shop.example.evil.example", Refused),
            ("https://evilshop.example", Refused),
            ("https://.shop.example", Refused),
            ("https://shop.example.", Refused),
            ("https://shop.example/", Refused),
            ("https://shop.example/path", Refused),
            ("https://shop.example@evil.example", Refused),
            ("https://evil.example?https://shop.example", Refused),
            ("https://evil.example#.shop.example", Refused),
            ("https://evil.example\\.shop.example", Refused),
            ("https://evil.example https://shop.example", Refused),
            ("https://shop.example https://evil.example", Refused),
            (" https://shop.example", Refused),
            ("https:shop.example", Refused),
            ("//shop.example", Refused),
            ("shop.example", Refused),
            ("https://*.shop.example", Refused),
            ("https://shop.example:", Refused),
            ("https://shop.example:+443", Refused),
            ("https://shop.example:0443", Listed),
            ("https://shop.example:65979", Refused),
            ("https://shop.example:443:443", Refused),
            ("https://[::1]", Refused),
            ("https://[::1", Refused),
            ("https://b\u{fc}cher.example", Refused),
            ("http://localhost", Refused),
            ("capacitor://localhost:1", Refused),
            ("null", Refused),
            ("NULL", Refused),
            ("", Refused),
            ("*", Refused),
        ];
        for (origin, verdict) in rows {
            assert_eq!(origins(list).judge(origin, Some("node.example")), verdict, "{origin}");
        }
        assert_eq!(origins(list).judge("https://shop.example", Some("shop.example")), Same);
        assert_eq!(origins(list).judge("https://node.example", Some("node.example")), Refused);
    }

    #[test]
    fn without_a_list_a_node_serves_its_own_pages() {
        let rows = [
            ("https://shop.example", "shop.example", Verdict::Same),
            ("https://shop.example", "SHOP.EXAMPLE:443", Verdict::Same),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", Verdict::Same),
            ("http://[::1]:8080", "[::1]:8080", Verdict::Same),
            ("http://shop.example", "shop.example:443", Verdict::Refused),
            ("http://127.0.0.1:3000", "127.0.0.1:8080", Verdict::Refused),
            ("http://localhost:8080", "127.0.0.1:8080", Verdict::Refused),
            ("https://evil.example", "shop.example", Verdict::Refused),
            ("https://evil.example", "shop.example@evil.example", Verdict::Refused),
            ("null", "null", Verdict::Refused),
            ("file://", "", Verdict::Refused),
        ];
        for (origin, host, verdict) in rows {
            assert_eq!(Origins::default().judge(origin, Some(host)), verdict, "{origin} {host}");
        }
        assert_eq!(Origins::default().judge("https://shop.example", None), Verdict::Refused);
    }

    #[test]
    fn null_and_everybody_are_said_aloud() {
        assert_eq!(origins(&["null"]).judge("null", None), Verdict::Listed);
        assert_eq!(origins(&["null"]).judge("https://a", None), Verdict::Refused);
        assert_eq!(origins(&["*"]).judge("null", None), Verdict::Listed);
        assert_eq!(origins(&["*"]).judge("anything at all", None), Verdict::Listed);
    }

    #[test]
    fn an_entry_that_is_no_origin_is_named() {
        for (entry, problem) in [
            ("shop.example", BadOrigin::Scheme),
            ("https://shop.example/", BadOrigin::Rest),
            ("https://*", BadOrigin::Host),
            ("https://*.", BadOrigin::Host),
            ("https://*.*.example", BadOrigin::Host),
            ("https://shop.*", BadOrigin::Host),
            ("https://b\u{fc}cher.example", BadOrigin::Host),
            ("https://shop.example:0", BadOrigin::Port),
            ("https://shop.example:*", BadOrigin::Port),
        ] {
            assert_eq!(Origins::parse(["https://a", entry]), Err((entry, problem)));
        }
    }

    proptest! {
        #[test]
        fn a_suffix_lets_in_names_below_it_and_nothing_else(host in "[a-c.]{0,6}", base in "[a-b]\\.[a-c]") {
            let entry = format!("https://*.{base}");
            let list = Origins::parse([entry.as_str()]).expect("a list");
            let allowed = list.judge(&format!("https://{host}"), None) == Verdict::Listed;
            let labels: Vec<&str> = host.split('.').collect();
            let wanted: Vec<&str> = base.split('.').collect();
            let below = labels.len() > wanted.len() && labels.ends_with(&wanted) && labels.iter().all(|l| !l.is_empty());
            prop_assert_eq!(allowed, below);
        }

        #[test]
        fn whatever_a_client_sends_is_judged(origin in "\\PC{0,40}", host in "\\PC{0,20}") {
            let _ = Origins::default().judge(&origin, Some(&host));
            let _ = origins(&["https://*.a", "https://b"]).judge(&origin, Some(&host));
        }
    }
}
