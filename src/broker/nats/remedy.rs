//! Remedies for connections to NATS that fail, found by words of the problem:
//! this node's own and those of the client library, which keeps no other
//! account of why. Free of I/O.

/// Parts of a problem in small letters, and the remedy; the first row that fits counts.
const REMEDIES: [(&[&str], &str); 14] = [
    (
        &["failed to lookup", "name or service not known", "no address", "nodename nor servname", "dns error"],
        "no such name is known here: check the host in broker.nats.urls, and the resolver",
    ),
    (
        &["connection refused"],
        "nobody listens there: check host and port in broker.nats.urls, and whether nats-server runs",
    ),
    (
        &["unreachable", "no route to host"],
        "there is no way to it: check the host in broker.nats.urls, and the network",
    ),
    (
        &["maximum connections exceeded", "maximum account active connections", "active connections exceeded"],
        "nats-server takes no more connections: raise max_connections, its own or the account's",
    ),
    (
        &["authorization violation", "authentication", "signing nonce", "cannot sign"],
        "nats-server does not know the node: check user, password, token, nkey or credentials_file of broker.nats; \
         files are read again at each attempt",
    ),
    (
        &["certificate expired", "certificateexpired", "certificate has expired"],
        "a certificate has expired: renew that of nats-server, or that of broker.nats.tls.cert_file",
    ),
    (
        &["unknownissuer", "unknown issuer", "unknown ca", "unknownca"],
        "the authority of nats-server's certificate is not trusted: name it in broker.nats.tls.ca_file",
    ),
    (
        &["not valid for", "notvalidforname", "no name that a certificate"],
        "the certificate of nats-server is for another name: use one of its names in broker.nats.urls",
    ),
    (
        &["certificate required", "certificaterequired", "bad certificate", "badcertificate"],
        "nats-server wants a certificate of the node: set broker.nats.tls.cert_file and key_file",
    ),
    (&["offers no tls"], "switch TLS on at nats-server, or broker.nats.tls.required off"),
    (&["knows no headers"], "install a newer nats-server"),
    (
        &[
            "no nats server",
            "something else than who it is",
            "got ok",
            "got ping",
            "corrupt message",
            "invalidcontenttype",
        ],
        "something else than nats-server listens there, or speaks TLS where this node does not: check the port in \
         broker.nats.urls, and broker.nats.tls",
    ),
    (
        &["does not answer", "timed out"],
        "nothing answers there: check host and port in broker.nats.urls, and whether firewalls let the node through",
    ),
    (
        &["closed the connection", "got nothing", "unexpected eof", "broken pipe", "reset by peer", "handshake eof"],
        "nats-server, or what stands in front of it, ends the connection: look into its log",
    ),
];

/// The problem of a server that ends a connection.
pub(crate) const LOST: &str = "it closed the connection";

/// A problem in the words that the connections to read from have for it, and
/// without the kind of error that the library puts in front.
pub(crate) fn plain(problem: &str) -> String {
    let kinds = ["IO error: ", "TLS error: ", "DNS error: "];
    let problem = kinds.iter().find_map(|kind| problem.strip_prefix(kind)).unwrap_or(problem);
    match problem {
        "authorization violation: nats: authorization violation" => "it refuses: Authorization Violation",
        "timed out" => "it does not answer",
        "broken pipe" | "expected INFO, got nothing" => LOST,
        other => other,
    }
    .to_owned()
}

/// The remedy for a problem; there always is one.
pub(crate) fn remedy(problem: &str) -> &'static str {
    let problem = problem.to_ascii_lowercase();
    let fits = |parts: &[&str]| parts.iter().any(|part| problem.contains(part));
    let found = REMEDIES.iter().find(|(parts, _)| fits(parts));
    found.map_or("check broker.nats, and look into the log of nats-server", |(_, remedy)| remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clients_words_lead_to_the_same_remedy() {
        let rows = [
            ("Connection refused (os error 111)", "IO error: Connection refused (os error 111)", "nobody listens"),
            ("it refuses: Authorization Violation", "authorization violation: nats: authorization violation", "user"),
            ("it does not answer", "timed out", "firewalls"),
            ("it closed the connection", "IO error: broken pipe", "its log"),
            (
                "failed to lookup address information: Name or service not known",
                "DNS error: no addresses resolved",
                "resolver",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1795 (UNIX)",
                "IO error: invalid peer certificate: certificate expired: verification time 1796 (UNIX)",
                "expired",
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                "TLS error: invalid peer certificate: UnknownIssuer",
                "ca_file",
            ),
            (
                "it is no NATS server: a line begins with no word of the protocol",
                "IO error: expected INFO, got Ok",
                "port",
            ),
            (
                "it refuses: maximum connections exceeded",
                "IO error: nats: maximum connections exceeded",
                "max_connections",
            ),
        ];
        for (ours, theirs, part) in rows {
            assert!(remedy(ours).contains(part), "{ours}: {}", remedy(ours));
            assert_eq!(remedy(ours), remedy(theirs), "{theirs}");
        }
        assert!(remedy("whatever").contains("broker.nats"));
    }
}
