mod decisions;
mod exhaustive;

use serde_json::{Value, json};

use decisions::{
    DECISIONS,
    Expected::{Bad, Denied, Literal, No, Reserved, Some as Part, Yes},
};

use super::*;
use crate::config::{SettingsFile, load};

const SHOP: &str = r#"
    [auth]
    mode = "anonymous"

    [[grants]]
    role = "*"
    subscribe = ["shop.price.*", "shop.news.>"]
    publish = ["shop.seen"]

    [[grants]]
    role = "anonymous"
    subscribe = ["shop.public.>"]

    [[grants]]
    role = "customer"
    subscribe = ["shop.cart.{sub}.>", "shop.tier.{tier}", "shop.{tenant}.{sub}.*"]
    subscribe_literal = ["shop.order.>", "shop.price.*.history"]
    publish = ["shop.cart.{sub}.seen", "shop.chat.*"]
    request = ["shop.cart.{sub}.get", "svc.>"]
    deny = ["shop.*.internal.>", "shop.news.draft", "svc.admin.*"]

    [[grants]]
    role = "clerk"
    subscribe = ["shop.>"]
    publish = ["shop.>"]
    deny = ["shop.salary.>"]

    [[grants]]
    role = "layers"
    subscribe = ["log.*", "log.*.*", "log.*.*.>", "split.a", "split.b", "part.*", "part.*.*.>"]

    [[grants]]
    role = "root"
    subscribe = [">"]
    publish = [">"]
    request = [">"]

    [[grants]]
    role = "fenced"
    subscribe = [">"]
    publish = [">"]
    deny = ["shop.{sub}.>", "*.secret", "x.*", "x.*.>"]

    [[grants]]
    role = "literal"
    subscribe_literal = [">"]
    deny = ["vault.>"]

    [[streams]]
    name = "SHOP"
    subjects = ["shop.order.>"]
    [[subjects]]
    pattern = "shop.order.>"
    delivery = "durable"
    stream = "SHOP"
"#;

fn rules(text: &str) -> Rules {
    let source = SettingsFile { origin: "test".into(), text: text.into() };
    let config = load(Some(&source), [], &Default::default()).expect("it parses");
    config.validate().expect("it holds");
    let classes = Arc::new(Classes::of(&config).expect("patterns"));
    Rules::new(&config, classes)
}

/// Somebody by their claims.
fn identity(claims: Value) -> Identity {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let roles = claims.get("roles").and_then(Value::as_array).cloned().unwrap_or_default();
    let roles = roles.iter().map(|role| role.as_str().expect("a role").to_owned()).collect();
    Identity {
        user: text("sub"),
        roles,
        token_id: None,
        expires_at: Some(4_000_000_000),
        claims,
        ..Identity::default()
    }
}

/// Somebody of the table.
fn somebody(who: &str) -> Identity {
    match who {
        "nobody" => Identity::anonymous(),
        "stranger" => identity(json!({"sub": "u1"})),
        "u42" => identity(json!({"sub": "u42", "roles": ["customer"], "tier": "gold"})),
        "both" => identity(json!({"sub": "u7", "roles": ["customer", "clerk"], "tier": 7, "tenant": "acme"})),
        role => identity(json!({"sub": "u9", "roles": [role]})),
    }
}
#[test]
fn every_request_gets_the_answer_that_its_grants_give() {
    let rules = rules(SHOP);
    assert!(DECISIONS.len() >= 120);
    for (who, verb, subject, expected) in DECISIONS {
        let grants = rules.grant(somebody(who)).expect(who);
        let verb: Action = verb.parse().expect("a verb");
        let row = format!("{who} {} {subject:?} {expected:?}", verb.label());
        let answer = match verb {
            Action::Subscribe => grants.subscribe(subject).map(|pattern| grants.filters(&pattern)),
            Action::Publish => grants.publish(subject).map(|_| false),
            Action::Request => grants.request(subject).map(|_| false),
        };
        let explanation = grants.explain(verb, subject);
        assert_eq!(explanation.allowed, answer.is_ok(), "{row}: {explanation}");
        let forbidden = |part: &str| {
            let refusal = answer.as_ref().expect_err(&row);
            assert_eq!(refusal.code, Code::Forbidden, "{row}: {refusal}");
            assert!(refusal.message.contains(part), "{row}: {refusal}");
            assert_eq!(refusal.subject.as_deref(), Some(*subject), "{row}");
        };
        match expected {
            Yes => assert_eq!(answer, Ok(false), "{row}"),
            Part => assert_eq!(answer, Ok(true), "{row}"),
            No(part) => forbidden(part),
            Denied => forbidden("is denied"),
            Literal => forbidden("concrete subjects"),
            Reserved => forbidden("messaging system"),
            Bad => assert_eq!(answer.expect_err(&row).code, Code::BadSubject, "{row}"),
        }
    }
}

#[test]
fn a_claim_that_is_not_one_clean_token_is_refused_by_its_name() {
    let rules = rules(SHOP);
    let long = "a".repeat(65);
    let values = [
        json!("*"),
        json!(">"),
        json!("u1.>"),
        json!("a.b"),
        json!("a b"),
        json!("a\r\nSUB"),
        json!("a\0"),
        json!(""),
        json!("$SYS"),
        json!("a*"),
        json!("\u{202e}x"),
        json!("\u{e4}"),
        json!(["u1"]),
        json!({"a": 1}),
        json!(true),
        json!(1.5),
        json!(-1),
        json!(long),
    ];
    for value in values {
        for claim in ["sub", "tier", "tenant"] {
            let mut claims = json!({"sub": "u1", "roles": ["customer"], "tier": "gold", "tenant": "acme"});
            claims[claim] = value.clone();
            let refusal = rules.grant(identity(claims)).expect_err("refused");
            assert_eq!(refusal.code, Code::Unauthorized, "{claim} {value}");
            assert!(refusal.message.contains(&format!("claim `{claim}`")), "{refusal}");
            let text = value.as_str().unwrap_or_default();
            assert!(text.len() < 3 || !refusal.message.contains(text), "a value is told: {refusal}");
        }
        // Nobody is refused for a claim that no grant of theirs wants.
        let claims = json!({"sub": "u1", "roles": ["clerk"], "tier": value});
        assert!(rules.grant(identity(claims)).is_ok(), "{value}");
    }
}

#[test]
fn a_missing_claim_gives_nothing_but_takes_everything_where_it_denies() {
    let rules = rules(SHOP);
    let grants = rules.grant(identity(json!({"sub": "u1", "roles": ["customer"], "tier": null}))).expect("granted");
    assert_eq!(grants.subscribe("shop.tier.gold").expect_err("no tier").code, Code::Forbidden);
    let explanation = grants.explain(Action::Subscribe, "shop.tier.gold");
    let missing = |said: &&Said| said.effect == Effect::ClaimMissing;
    let templates: Vec<_> = explanation.rules.iter().filter(missing).map(|said| said.template.as_str()).collect();
    assert_eq!(templates, ["shop.tier.{tier}", "shop.{tenant}.{sub}.*"]);
    assert!(explanation.to_string().contains("claim is missing"), "{explanation}");
    assert!(grants.subscribe("shop.cart.u1.a").is_ok());

    let refusal = rules.grant(identity(json!({"roles": ["fenced"]}))).expect_err("what is denied is unknown");
    assert_eq!(refusal.code, Code::Unauthorized);
    assert!(refusal.message.contains("claim `sub`"), "{refusal}");
}

#[test]
fn the_user_stands_for_sub_where_the_token_has_none() {
    let rules = rules("[auth]\nmode = \"anonymous\"\n[[grants]]\nrole = \"*\"\nsubscribe = [\"shop.cart.{sub}.>\"]");
    // Another claim may say who the user is.
    let who = |claims| Identity { user: "u42".into(), ..identity(claims) };
    for (identity, subject, expected) in [
        (who(json!({"oid": "u42"})), "shop.cart.u42.a", None),
        (who(json!({"oid": "u42", "sub": null})), "shop.cart.u42.a", None),
        (who(json!({"oid": "u42", "sub": "s1"})), "shop.cart.s1.a", None),
        (who(json!({"oid": "u42", "sub": "s1"})), "shop.cart.u42.a", Some(Code::Forbidden)),
        // An anonymous identity lacks the claims: a rule with claims gives nothing, and does not
        // keep anybody out.
        (Identity::anonymous(), "shop.cart.u42.a", Some(Code::Forbidden)),
    ] {
        let answer = rules.grant(identity).expect("granted").subscribe(subject);
        assert_eq!(answer.err().map(|refusal| refusal.code), expected, "{subject}");
    }
}

#[test]
fn of_several_issuers_a_grant_that_names_none_gives_nothing() {
    let issuer = |name: &str| -> crate::config::Issuer {
        let issuer = json!({"issuer": name, "audience": "n", "algorithms": ["HS256"]});
        serde_json::from_value(issuer).expect("an issuer")
    };
    let grant = |role: &str, issuers: &[&str]| crate::config::Grant {
        role: role.into(),
        issuers: issuers.iter().map(|name| (*name).into()).collect(),
        subscribe: vec![format!("of.{}", issuers.first().copied().unwrap_or(role))],
        ..Default::default()
    };
    let mut config =
        Config { grants: vec![grant("r", &["us"]), grant("r", &[]), grant("*", &[])], ..Config::default() };
    config.grants.push(grant("anonymous", &[]));
    config.auth.mode = Some(AuthMode::Jwt);
    config.auth.issuers = vec![issuer("us"), issuer("them")];
    // Entries that validation refuses must not grant either.
    let rules = Rules::new(&config, Arc::default());
    let of = |issuer: &str| Identity {
        issuer: Some(issuer.into()),
        ..identity(json!({"sub": "u1", "roles": ["r", "anonymous"]}))
    };
    let rows = [(of("us"), vec!["of.us"]), (of("them"), vec![]), (Identity::anonymous(), vec!["of.anonymous"])];
    for (who, granted) in rows {
        let grants = rules.grant(who).expect("granted");
        for subject in ["of.us", "of.r", "of.*", "of.anonymous"] {
            assert_eq!(grants.subscribe(subject).is_ok(), granted.contains(&subject), "{subject}: {granted:?}");
        }
    }
    // With one issuer it is for everybody, as it says nothing else.
    config.auth.issuers.pop();
    assert!(Rules::new(&config, Arc::default()).grant(of("us")).expect("granted").subscribe("of.r").is_ok());
}

#[test]
fn a_message_names_some_of_many_roles() {
    let rules = rules(SHOP);
    for (count, end) in [(8, "r7, r8 covers"), (9, "r7, r8 and 1 more covers"), (30, "r7, r8 and 22 more covers")] {
        let roles: Vec<String> = (1..=count).map(|number| format!("r{number}")).collect();
        let grants = rules.grant(identity(json!({"sub": "u1", "roles": roles}))).expect("granted");
        let refusal = grants.subscribe("a").expect_err("not granted");
        assert!(refusal.message.contains(end), "{refusal}");
    }
}

#[test]
fn whoever_has_no_token_shares_one_set_of_grants() {
    let rules = rules(SHOP);
    let [first, second] = [(); 2].map(|()| rules.grant(Identity::anonymous()).expect("granted"));
    let [one, other] = [(); 2].map(|()| rules.grant(somebody("u42")).expect("granted"));
    assert!(first.ptr_eq(&second) && !one.ptr_eq(&other) && !one.ptr_eq(&first));
}

#[test]
fn an_explanation_names_the_rules_that_had_a_say() {
    let rules = rules(SHOP);
    let grants = rules.grant(somebody("u42")).expect("granted");
    let explanation = grants.explain(Action::Subscribe, "shop.cart.u42.>");
    assert_eq!(
        serde_json::to_value(&explanation).expect("JSON"),
        json!({
            "user": "u42", "roles": ["customer"], "verb": "subscribe", "subject": "shop.cart.u42.>",
            "allowed": true, "filtered": false,
            "rules": [
                {
                    "role": "customer", "list": "subscribe", "template": "shop.cart.{sub}.>",
                    "pattern": "shop.cart.u42.>", "effect": "grants"
                },
                {"role": "customer", "list": "subscribe", "template": "shop.{tenant}.{sub}.*", "effect": "claim_missing"},
            ]
        })
    );
    let text = grants.explain(Action::Subscribe, "shop.news.>").to_string();
    for part in [
        "allowed: subscribe shop.news.>",
        "without the events of denied subjects",
        "role *, subscribe `shop.news.>`: grants it",
        "role customer, deny `shop.news.draft`: denies a part of it",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = grants.explain(Action::Subscribe, "shop.cart.u42.a").to_string();
    assert!(text.contains("subscribe `shop.cart.{sub}.>` = `shop.cart.u42.>`: grants it"), "{text}");
    let effects = |subject| grants.explain(Action::Subscribe, subject).rules.into_iter().map(|said| said.effect);
    assert!(effects("shop.order.1").eq([Effect::ClaimMissing, Effect::Grants]));
    assert!(effects("shop.order.*").eq([Effect::ClaimMissing, Effect::LiteralOnly]));
    let text = grants.explain(Action::Subscribe, "shop.order.*").to_string();
    assert!(text.contains("denied: subscribe shop.order.*") && text.contains("one by one"), "{text}");
}

#[test]
fn what_is_denied_is_told_without_the_rules() {
    let rules = rules(SHOP);
    for (who, verb, subject, _) in DECISIONS {
        let explanation = rules.grant(somebody(who)).expect(who).explain(verb.parse().expect("a verb"), subject);
        let message = explanation.message.unwrap_or_default();
        for said in explanation.rules.iter().filter(|said| said.template != *subject) {
            assert!(!message.contains(&format!("`{}`", said.template)), "{message}");
        }
    }
}

#[test]
fn without_grants_everybody_may_everything_but_what_is_the_systems() {
    let rules = rules("[auth]\nmode = \"anonymous\"");
    for grants in [rules.grant(Identity::anonymous()).expect("granted"), Grants::anonymous(Arc::default())] {
        assert!(grants.subscribe(">").is_ok() && grants.publish("a").is_ok() && grants.request("a.b").is_ok());
        assert!(!grants.has_denials());
        for subject in ["$JS.API.>", "$SYS.ACCOUNT.x", "_INBOX.abc", "$KV.bucket.key"] {
            assert_eq!(grants.subscribe(subject).expect_err(subject).code, Code::Forbidden);
        }
        assert_eq!(grants.publish("_INBOX.abc").expect_err("reserved").code, Code::Forbidden);
        assert_eq!(grants.publish("a.*").expect_err("wildcard").code, Code::BadSubject);
    }
}

#[test]
fn claims_are_not_kept() {
    let grants = rules(SHOP).grant(somebody("both")).expect("granted");
    assert!(grants.identity().claims.is_empty());
    assert_eq!(grants.identity().user, "u7");
}
