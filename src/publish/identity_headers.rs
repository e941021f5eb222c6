//! Identity headers tell services which user sent a message; only nodes write them.
//! Free of I/O.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{access::identity::Identity, socket::ConnectionId};

/// The user, empty for somebody without a token. Always there: what comes
/// without it was not sent by a client.
pub(crate) const USER: &str = "Notifier-User";
/// The issuer of the user's token: a user is a name and its issuer. Absent for
/// clients without a token.
pub(crate) const ISSUER: &str = "Notifier-Issuer";
/// Roles, joined by commas; absent where there are none.
pub(crate) const ROLES: &str = "Notifier-Roles";
/// The WebSocket connection, as `welcome.connection`; absent over HTTP.
pub(crate) const CONNECTION: &str = "Notifier-Connection";

/// Characters that are percent-encoded, beside all that are not ASCII, as in
/// CloudEvents' headers. A space is, because readers of headers trim it: `
/// root` must not become `root`. A comma is, because it stands between roles.
const SPECIAL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b',');

/// Adds the identity of the sender, over whatever stands there.
pub(crate) fn add_identity_headers(
    headers: &mut BTreeMap<String, String>,
    identity: &Identity,
    connection: Option<ConnectionId>,
) {
    headers.insert(USER.into(), encoded(&identity.user));
    if let Some(issuer) = &identity.issuer {
        headers.insert(ISSUER.into(), encoded(issuer));
    }
    if !identity.roles.is_empty() {
        let roles: Vec<String> = identity.roles.iter().map(|role| encoded(role)).collect();
        headers.insert(ROLES.into(), roles.join(","));
    }
    if let Some(connection) = connection {
        headers.insert(CONNECTION.into(), connection.to_string());
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SPECIAL).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity_headers(user: &str, roles: &[&str]) -> Vec<(String, String)> {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let mut headers = BTreeMap::new();
        add_identity_headers(&mut headers, &Identity { user: user.into(), roles, ..Identity::default() }, None);
        headers.into_iter().collect()
    }

    #[test]
    #[allow(clippy::type_complexity)] // a table of rows
    fn whoever_reads_the_headers_learns_exactly_what_the_token_says() {
        let rows: [(&str, &[&str], &[(&str, &str)]); 5] = [
            ("", &[], &[(USER, "")]),
            ("u42", &["customer", "vip"], &[(ROLES, "customer,vip"), (USER, "u42")]),
            ("auth0|a@b.c", &["a,b", "c"], &[(ROLES, "a%2Cb,c"), (USER, "auth0|a@b.c")]),
            (" root\r\nNotifier-Roles: admin", &[], &[(USER, "%20root%0D%0ANotifier-Roles:%20admin")]),
            ("J\u{fc}rgen\u{202e}%41", &[""], &[(ROLES, ""), (USER, "J%C3%BCrgen%E2%80%AE%2541")]),
        ];
        for (user, roles, expected) in rows {
            let expected: Vec<(String, String)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(identity_headers(user, roles), expected, "{user:?}");
        }
    }

    #[test]
    fn users_of_two_issuers_are_two() {
        let of = |issuer: &str| {
            let mut headers = BTreeMap::new();
            let identity = Identity { user: "u1".into(), issuer: Some(issuer.into()), ..Identity::default() };
            add_identity_headers(&mut headers, &identity, None);
            headers[ISSUER].clone()
        };
        assert_eq!(of("https://login.example/a,b"), "https://login.example/a%2Cb");
        assert_ne!(of("them"), of("us"));
    }

    #[test]
    fn a_connection_has_the_name_that_it_was_told() {
        let mut headers = BTreeMap::from([(CONNECTION.to_owned(), "forged".to_owned())]);
        let connection = "00000000000000ff".parse().expect("a name");
        add_identity_headers(&mut headers, &Identity::anonymous(), Some(connection));
        assert_eq!(headers[CONNECTION], "00000000000000ff");
    }
}
