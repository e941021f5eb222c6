//! Settings of grants: the rights of each role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{auth::Auth, error::ConfigError, streams::Stream, template::Template},
    subject::Pattern,
};

/// In `issuers`: all clients, with a token of any issuer or without one.
pub const EVERYBODY: &str = "*";

/// The role of whoever has no token.
pub const ANONYMOUS: &str = "anonymous";

/// Patterns in all grants together. Each identity is compared with those of its
/// roles when it connects, and each request with what came of them.
const PATTERNS: usize = 4_096;

/// The rights of one role. All grants whose role a token has add up, and a
/// denial of any of them wins. In a pattern, `{claim}` stands for the value of
/// a claim, as one token: `shop.cart.{sub}.>`. A line whose claim a token lacks
/// grants nothing; a token whose claim is not one valid token is refused.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The role; `*` for all clients, `anonymous` for clients without a token.
    pub role: String,
    /// Issuers to whose tokens the grant applies: names of `[[auth.issuers]]`,
    /// or `*` for all clients, with or without a token. With one issuer, and
    /// for the role `anonymous`, leave it out. With several issuers it is
    /// required, because each gives out roles and names as it likes. A line
    /// with `{claim}` is then for one issuer only.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Subjects and patterns that may be subscribed, and whose stored events
    /// may be read. Clients may subscribe to any pattern within them.
    #[serde(default)]
    pub subscribe: Vec<String>,
    /// The same for concrete subjects only: a subscription with a wildcard is
    /// refused.
    #[serde(default)]
    pub subscribe_literal: Vec<String>,
    /// Subjects on which clients may publish.
    #[serde(default)]
    pub publish: Vec<String>,
    /// Subjects to which clients may send requests.
    #[serde(default)]
    pub request: Vec<String>,
    /// Subjects denied to this role for every action, even if another grant
    /// allows them. Events of denied subjects are left out of wider
    /// subscriptions.
    #[serde(default)]
    pub deny: Vec<String>,
}

impl Grant {
    /// The lists with their names.
    pub fn lists(&self) -> [(&'static str, &[String]); 5] {
        [
            ("subscribe", &self.subscribe),
            ("subscribe_literal", &self.subscribe_literal),
            ("publish", &self.publish),
            ("request", &self.request),
            ("deny", &self.deny),
        ]
    }
}

/// Checks what no single field can say of itself.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check(grants: &[Grant], streams: &[Stream], auth: &Auth, tokens: usize) -> Result<(), ConfigError> {
    let republished: Vec<Pattern> =
        streams.iter().filter_map(|stream| Pattern::parse(&format!("{}.>", stream.prefix())).ok()).collect();
    let mut patterns = 0;
    for grant in grants {
        if grant.role.is_empty() || grant.role.chars().any(char::is_control) {
            return refuse("grants.role", "is empty or has control characters; name a role, or `*` for everybody");
        }
        let key = format!("grants[{}]", grant.role);
        if grant.lists().iter().all(|(_, list)| list.is_empty()) {
            return refuse(&key, "grants nothing and denies nothing; add `subscribe = [..]` or remove it");
        }
        issuers(grant, &format!("{key}.issuers"), auth)?;
        for (name, list) in grant.lists() {
            patterns += list.len();
            let key = format!("{key}.{name}");
            list.iter().try_for_each(|text| line(text, &key, name != "deny", &republished, tokens))?;
        }
    }
    if patterns > PATTERNS {
        return refuse(
            "grants",
            &format!("have {patterns} patterns, more than {PATTERNS}; use templates or wildcards"),
        );
    }
    Ok(())
}

/// Roles and names are each issuer's own: what one of them says must not give
/// what another one's users have.
fn issuers(grant: &Grant, key: &str, auth: &Auth) -> Result<(), ConfigError> {
    if grant.issuers.is_empty() {
        return match auth.has_several_issuers() && grant.role != ANONYMOUS {
            false => Ok(()),
            true => refuse(
                key,
                &format!(
                    "is not set, but there are several [[auth.issuers]], each with roles and users of its own; say whose \
                     tokens this is for, as issuers = [\"{}\"], or [\"{EVERYBODY}\"] for everybody",
                    auth.issuers[0].issuer
                ),
            ),
        };
    }
    if grant.role == ANONYMOUS {
        return refuse(key, "is set, but whoever is `anonymous` has no token of anybody; leave it out");
    }
    let is_known = |name: &String| name == EVERYBODY || auth.issuers.iter().any(|issuer| issuer.issuer == *name);
    if let Some(unknown) = grant.issuers.iter().find(|name| !is_known(name)) {
        return refuse(key, &format!("`{unknown}` is none of auth.issuers; there are: {}", auth.issuer_names()));
    }
    let is_shared = auth.has_several_issuers() && (grant.issuers.len() > 1 || grant.issuers[0] == EVERYBODY);
    let mut granting = grant.lists().into_iter().filter(|(name, _)| *name != "deny").flat_map(|(_, list)| list);
    match granting.find(|text| is_shared && text.contains('{')) {
        None => Ok(()),
        Some(text) => refuse(
            key,
            &format!(
                "names several, but `{text}` is filled by a claim, and two issuers may give the same value to two \
                 users; write a [[grants]] entry for each issuer"
            ),
        ),
    }
}

fn line(text: &str, key: &str, grants: bool, republished: &[Pattern], tokens: usize) -> Result<(), ConfigError> {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(problem) => return refuse(key, &format!("`{text}` {problem}")),
    };
    // With any value: what stands around the blanks says what can be reached.
    let Ok(pattern) = template.fill(|_| Some("x".into())) else {
        return refuse(key, &format!("`{text}` cannot be filled; write it without blanks"));
    };
    if let Err(problem) = Pattern::parse_within(pattern.as_str(), tokens) {
        return refuse(key, &format!("`{text}` {problem}; shorten it or raise the limit"));
    }
    if !grants {
        return Ok(());
    }
    if pattern.is_reserved() {
        return refuse(key, &format!("`{text}` is the messaging system's, which no client reaches; remove it"));
    }
    match republished.iter().find(|republished| republished.covers(&pattern)) {
        Some(prefix) => refuse(
            key,
            &format!("`{text}` lies in `{prefix}`, where a stream republishes for nodes only; name what it stores"),
        ),
        None => Ok(()),
    }
}

fn refuse<T>(key: &str, problem: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { key: key.into(), problem: problem.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        Config,
        layers::{SettingsFile, load},
    };

    fn problem(text: &str) -> Option<String> {
        let text = format!("[auth]\nmode = \"anonymous\"\n{text}");
        let source = SettingsFile { origin: "test".into(), text };
        match load(Some(&source), [], &Default::default()).and_then(|config: Config| config.validate()) {
            Ok(()) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn grants_that_do_not_hold_are_refused_by_their_key() {
        let rows = [
            ("subscribe = [\"a..b\"]", "grants[r].subscribe: `a..b` has an empty token"),
            ("subscribe_literal = [\"a.>.b\"]", "grants[r].subscribe_literal: `a.>.b` has `>` before the end"),
            ("publish = [\"a b\"]", "grants[r].publish: `a b` has the character"),
            (
                "deny = [\"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.{sub}\"]",
                "grants[r].deny: `a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.{sub}` has more than 16 tokens (limits.subject_tokens)",
            ),
            ("deny = [\"foo*\"]", "grants[r].deny: `foo*` has a wildcard inside"),
            ("subscribe = [\"a.{sub\"]", "has `{sub`, which is no blank"),
            ("subscribe = [\"a.x{sub}\"]", "has `x{sub}`, which is no blank"),
            ("request = [\"a.{}\"]", "has `{}`, which is no blank"),
            ("subscribe = [\"$JS.API.>\"]", "the messaging system's"),
            ("publish = [\"_INBOX.>\"]", "the messaging system's"),
            ("request = [\"$SRV.{sub}\"]", "the messaging system's"),
            ("subscribe = [\"ntf.SHOP.>\"]", "where a stream republishes"),
            ("subscribe = [\"ntf.SHOP.{sub}\"]", "where a stream republishes"),
            ("", "grants nothing and denies nothing"),
            ("subscribe = \"a\"", "line"),
            ("subscripe = [\"a\"]", "did you mean `grants.subscribe`"),
        ];
        let stream = "[[streams]]\nname = \"SHOP\"\nsubjects = [\"shop.>\"]\n";
        for (lines, expected) in rows {
            let problem = problem(&format!("{stream}[[grants]]\nrole = \"r\"\n{lines}")).expect(lines);
            assert!(problem.contains(expected), "{lines}: {problem}");
        }
        assert!(problem("[[grants]]\nsubscribe = [\"a\"]").expect("no role").contains("role"));
        assert!(problem("[[grants]]\nrole = \"\"\nsubscribe = [\"a\"]").expect("no role").contains("grants.role"));
        let many = vec!["\"a\""; PATTERNS + 1].join(",");
        assert!(
            problem(&format!("[[grants]]\nrole = \"r\"\nsubscribe = [{many}]"))
                .expect("many")
                .contains("4097 patterns")
        );
    }

    /// Two issuers, and some grants.
    fn of_two(lines: &str) -> Option<String> {
        let issuer = |name: &str| {
            let secret = "0123456789abcdef0123456789abcdef";
            format!(
                "[[auth.issuers]]\nissuer = \"{name}\"\naudience = \"n\"\nalgorithms = [\"HS256\"]\nsecret = \"{secret}\"\n"
            )
        };
        let text = format!("[auth]\nmode = \"jwt\"\n{}{}{lines}", issuer("us"), issuer("them"));
        let source = SettingsFile { origin: "test".into(), text };
        let config: Config = load(Some(&source), [], &Default::default()).expect("it parses");
        config.validate().err().map(|error| error.to_string())
    }

    #[test]
    fn with_several_issuers_each_grant_says_whose_tokens_it_is_for() {
        let grant = |role: &str, more: &str| of_two(&format!("[[grants]]\nrole = \"{role}\"\n{more}"));
        let rows = [
            ("customer", "subscribe = [\"a\"]", "grants[customer].issuers: is not set"),
            ("*", "subscribe = [\"a\"]", "as issuers = [\"us\"], or [\"*\"]"),
            (
                "r",
                "issuers = [\"us\", \"others\"]\nsubscribe = [\"a\"]",
                "`others` is none of auth.issuers; there are: us, them",
            ),
            ("r", "issuers = [\"*\"]\nsubscribe = [\"a.{sub}\"]", "grants[r].issuers: names several, but `a.{sub}`"),
            ("r", "issuers = [\"us\", \"them\"]\npublish = [\"a.{sub}\"]", "write a [[grants]] entry for each issuer"),
            ("anonymous", "issuers = [\"us\"]\nsubscribe = [\"a\"]", "leave it out"),
        ];
        for (role, more, expected) in rows {
            let problem = grant(role, more).expect(more);
            assert!(problem.contains(expected), "{more}: {problem}");
        }
        for (role, more) in [
            ("r", "issuers = [\"us\"]\nsubscribe = [\"a.{sub}\"]"),
            ("*", "issuers = [\"*\"]\nsubscribe = [\"a\"]"),
            ("r", "issuers = [\"us\", \"them\"]\nsubscribe = [\"a\"]\ndeny = [\"a.{sub}\"]"),
            ("anonymous", "subscribe = [\"a\"]"),
        ] {
            assert_eq!(grant(role, more), None, "{more}");
        }
        // With one issuer, or where tokens are not looked at, there is nothing to say.
        assert_eq!(problem("[[grants]]\nrole = \"r\"\nsubscribe = [\"a.{sub}\"]"), None);
        assert!(
            problem("[[grants]]\nrole = \"r\"\nissuers = [\"us\"]\nsubscribe = [\"a\"]")
                .expect("unknown")
                .contains("there are: none")
        );
    }

    #[test]
    fn grants_add_up_and_may_deny_what_is_the_systems() {
        let lines = "[[grants]]\nrole = \"r\"\nsubscribe = [\">\", \"a.{sub}.>\"]\n[[grants]]\nrole = \"r\"\ndeny = [\"$KV.>\"]";
        assert_eq!(problem(lines), None);
    }
}
