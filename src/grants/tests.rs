use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Source, load};

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
    let source = Source { origin: "test".into(), text: text.into() };
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
    Identity { user: text("sub"), roles, token_id: None, expires_at: Some(4_000_000_000), claims }
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

/// All of it, some of it (the rest is filtered out), or the code of the refusal
/// and a part of its message.
#[derive(Debug)]
enum Expected {
    Yes,
    Some,
    No(&'static str),
    Denied,
    Literal,
    Reserved,
    Bad,
}
use Expected::{Bad, Denied, Literal, No, Reserved, Some as Part, Yes};

/// Who, what, with which subject, and the answer.
const DECISIONS: &[(&str, &str, &str, Expected)] = &[
    // What everybody has, and what only those without a token have.
    ("nobody", "subscribe", "shop.price.a", Yes),
    ("nobody", "subscribe", "shop.price.*", Yes),
    ("nobody", "subscribe", "shop.price.>", No("clients without a token")),
    ("nobody", "subscribe", "shop.price", No("covers `shop.price`")),
    ("nobody", "subscribe", "shop.price.a.b", No("shop.price.a.b")),
    ("nobody", "subscribe", "shop.news.draft", Yes),
    ("nobody", "subscribe", "shop.news.>", Yes),
    ("nobody", "subscribe", "shop.public.a", Yes),
    ("nobody", "subscribe", "shop.public.>", Yes),
    ("nobody", "subscribe", "shop.*", No("ask for less")),
    ("nobody", "subscribe", "*.price.a", No("[[grants]]")),
    ("nobody", "subscribe", ">", No("subscribe = [\">\"]")),
    ("nobody", "subscribe", "shop.cart.u42.x", No("clients without a token")),
    ("nobody", "publish", "shop.seen", Yes),
    ("nobody", "publish", "shop.price.a", No("publish = [\"shop.price.a\"]")),
    ("nobody", "request", "shop.seen", No("request = [\"shop.seen\"]")),
    ("stranger", "subscribe", "shop.price.a", Yes),
    ("stranger", "subscribe", "shop.public.a", No("no roles")),
    ("stranger", "publish", "shop.seen", Yes),
    ("stranger", "request", "svc.a", No("no roles")),
    // Templates.
    ("u42", "subscribe", "shop.cart.u42.item", Yes),
    ("u42", "subscribe", "shop.cart.u42.>", Yes),
    ("u42", "subscribe", "shop.cart.u42.*", Yes),
    ("u42", "subscribe", "shop.cart.u42.*.x", Yes),
    ("u42", "subscribe", "shop.cart.u42", No("covers")),
    ("u42", "subscribe", "shop.cart.u43.item", No("the role customer")),
    ("u42", "subscribe", "shop.cart.*.item", No("covers")),
    ("u42", "subscribe", "shop.cart.>", No("covers")),
    ("u42", "subscribe", "shop.cart.u4", No("covers")),
    ("u42", "subscribe", "shop.cart.u421.a", No("covers")),
    ("u42", "subscribe", "shop.cart.{sub}.a", No("covers")),
    ("u42", "subscribe", "shop.CART.u42.a", No("covers")),
    ("u42", "subscribe", "shop.cart.U42.a", No("covers")),
    ("u42", "subscribe", "shop.tier.gold", Yes),
    ("u42", "subscribe", "shop.tier.silver", No("covers")),
    ("u42", "subscribe", "shop.tier.*", No("covers")),
    ("u42", "subscribe", "shop.acme.u42.a", No("covers")),
    ("u42", "publish", "shop.cart.u42.seen", Yes),
    ("u42", "publish", "shop.cart.u43.seen", No("covers")),
    ("u42", "publish", "shop.cart.u42.item", No("covers")),
    ("u42", "publish", "shop.chat.a", Yes),
    ("u42", "publish", "shop.chat.a.b", No("covers")),
    ("u42", "publish", "shop.seen", Yes),
    ("u42", "request", "shop.cart.u42.get", Yes),
    ("u42", "request", "shop.cart.u43.get", No("covers")),
    ("u42", "request", "svc.a", Yes),
    ("u42", "request", "svc.a.b", Yes),
    ("u42", "request", "svc", No("covers")),
    ("u42", "subscribe", "svc.a", No("covers")),
    ("u42", "publish", "svc.a", No("covers")),
    // Several roles add up.
    ("both", "subscribe", "shop.cart.u7.a", Yes),
    ("both", "subscribe", "shop.tier.7", Yes),
    ("both", "subscribe", "shop.acme.u7.a", Yes),
    ("both", "subscribe", "shop.cart.u42.a", Yes),
    ("both", "subscribe", "other.a", No("the roles customer, clerk")),
    ("both", "subscribe", "shop.>", Part),
    ("both", "subscribe", "shop.salary.>", Denied),
    ("both", "subscribe", "shop.a.internal.b", Denied),
    ("both", "publish", "shop.salary.u1", Denied),
    ("both", "request", "svc.admin.x", Denied),
    // Literal grants.
    ("u42", "subscribe", "shop.order.1", Yes),
    ("u42", "subscribe", "shop.order.a.b", Yes),
    ("u42", "subscribe", "shop.order.*", Literal),
    ("u42", "subscribe", "shop.order.>", Literal),
    ("u42", "subscribe", "shop.order.a.*", Literal),
    ("u42", "subscribe", "shop.order", No("covers")),
    ("u42", "subscribe", "shop.*.1", No("covers")),
    ("u42", "subscribe", "shop.price.a.history", Yes),
    ("u42", "subscribe", "shop.price.*.history", Literal),
    ("u42", "publish", "shop.order.1", No("covers")),
    ("u42", "request", "shop.order.1", No("covers")),
    ("literal", "subscribe", "a", Yes),
    ("literal", "subscribe", "a.b.c", Yes),
    ("literal", "subscribe", "a.*", Literal),
    ("literal", "subscribe", ">", Literal),
    ("literal", "subscribe", "*", Literal),
    ("literal", "subscribe", "vault.a", Denied),
    ("literal", "subscribe", "vault.>", Denied),
    ("literal", "subscribe", "shop.price.*", Yes),
    // Denials: all of it, or a part.
    ("u42", "subscribe", "shop.news.draft", Denied),
    ("u42", "subscribe", "shop.news.*", Part),
    ("u42", "subscribe", "shop.news.>", Part),
    ("u42", "subscribe", "shop.news.a", Yes),
    ("u42", "subscribe", "shop.news.a.>", Yes),
    ("u42", "subscribe", "shop.cart.internal.x", Denied),
    ("u42", "request", "svc.admin.x", Denied),
    ("u42", "request", "svc.admin.x.y", Yes),
    ("u42", "request", "svc.admin", Yes),
    ("clerk", "subscribe", "shop.>", Part),
    ("clerk", "subscribe", "shop.*", Yes),
    ("clerk", "subscribe", "shop.*.a", Part),
    ("clerk", "subscribe", "shop.salary", Yes),
    ("clerk", "subscribe", "shop.salary.u1", Denied),
    ("clerk", "subscribe", "shop.salary.*", Denied),
    ("clerk", "subscribe", "shop.salary.>", Denied),
    ("clerk", "subscribe", ">", No("covers")),
    ("clerk", "subscribe", "*.a", No("covers")),
    ("clerk", "publish", "shop.a", Yes),
    ("clerk", "publish", "shop.salary.u1", Denied),
    ("clerk", "publish", "shopping.a", No("covers")),
    ("clerk", "request", "shop.a", No("covers")),
    ("fenced", "subscribe", ">", Part),
    ("fenced", "subscribe", "shop.u9.a", Denied),
    ("fenced", "subscribe", "shop.u9.>", Denied),
    ("fenced", "subscribe", "shop.*.a", Part),
    ("fenced", "subscribe", "shop.u8.a", Yes),
    ("fenced", "subscribe", "a.secret", Denied),
    ("fenced", "subscribe", "*.secret", Denied),
    ("fenced", "subscribe", "a.*", Part),
    ("fenced", "subscribe", "a.secret.b", Yes),
    ("fenced", "subscribe", "x.>", Denied),
    ("fenced", "subscribe", "x", Yes),
    ("fenced", "publish", "shop.u9.a", Denied),
    ("fenced", "publish", "shop.u8.a", Yes),
    ("fenced", "publish", "x.y.z", Denied),
    // What only several grants cover together.
    ("layers", "subscribe", "log.a", Yes),
    ("layers", "subscribe", "log.>", Yes),
    ("layers", "subscribe", "log.*.>", Yes),
    ("layers", "subscribe", "log.a.>", Yes),
    ("layers", "subscribe", "log", No("covers")),
    ("layers", "subscribe", "split.a", Yes),
    ("layers", "subscribe", "split.*", No("covers")),
    ("layers", "subscribe", "part.>", No("covers")),
    ("layers", "subscribe", "part.a.b.c", Yes),
    ("layers", "subscribe", "part.a.b", No("covers")),
    // Nobody reaches these, whatever is granted.
    ("root", "subscribe", ">", Yes),
    ("root", "subscribe", "*.>", Yes),
    ("root", "subscribe", "$JS.API.>", Reserved),
    ("root", "subscribe", "$JS.API.STREAM.INFO.SHOP", Reserved),
    ("root", "subscribe", "$SYS.>", Reserved),
    ("root", "subscribe", "$SYS.ACCOUNT.x.CONNECT", Reserved),
    ("root", "subscribe", "$KV.bucket.key", Reserved),
    ("root", "subscribe", "_INBOX.>", Reserved),
    ("root", "subscribe", "_INBOX.abc.1", Reserved),
    ("root", "subscribe", "_R_.x", Reserved),
    ("root", "subscribe", "ntf.SHOP.>", No("use the subjects it stores")),
    ("root", "subscribe", "ntf.SHOP.shop.order.1", No("use the subjects it stores")),
    ("root", "subscribe", "ntf.OTHER.a", Yes),
    ("root", "publish", "$JS.API.STREAM.DELETE.SHOP", Reserved),
    ("root", "publish", "$JS.ACK.x", Reserved),
    ("root", "publish", "_INBOX.abc", Reserved),
    ("root", "publish", "ntf.SHOP.shop.order.1", No("use the subjects it stores")),
    ("root", "request", "$JS.API.INFO", Reserved),
    ("root", "request", "$SRV.PING", Reserved),
    ("root", "request", "ntf.SHOP.a", No("use the subjects it stores")),
    ("root", "publish", "a.b", Yes),
    ("root", "request", "a.b", Yes),
    ("literal", "subscribe", "$SYS.a", Reserved),
    ("literal", "subscribe", "_INBOX.a", Reserved),
    // What is no subject.
    ("root", "subscribe", "", Bad),
    ("root", "subscribe", "a b", Bad),
    ("root", "subscribe", "a\tb", Bad),
    ("root", "subscribe", "a\r\nSUB > 1", Bad),
    ("root", "subscribe", "a\0", Bad),
    ("root", "subscribe", "a\u{7f}", Bad),
    ("root", "subscribe", "a..b", Bad),
    ("root", "subscribe", ".a", Bad),
    ("root", "subscribe", "a.", Bad),
    ("root", "subscribe", "a.>.b", Bad),
    ("root", "subscribe", "foo*", Bad),
    ("root", "subscribe", ">a", Bad),
    ("root", "subscribe", "a.\u{202e}b", Bad),
    ("root", "publish", "a.*", Bad),
    ("root", "publish", ">", Bad),
    ("root", "request", "a.>", Bad),
    ("root", "publish", "a\r\nPUB b 1", Bad),
];

#[test]
fn every_request_gets_the_answer_that_its_grants_give() {
    let rules = rules(SHOP);
    assert!(DECISIONS.len() >= 120);
    for (who, verb, subject, expected) in DECISIONS {
        let grants = rules.grant(somebody(who)).expect(who);
        let verb: Verb = verb.parse().expect("a verb");
        let row = format!("{who} {} {subject:?} {expected:?}", verb.label());
        let answer = match verb {
            Verb::Subscribe => grants.subscribe(subject).map(|pattern| grants.filters(&pattern)),
            Verb::Publish => grants.publish(subject).map(|_| false),
            Verb::Request => grants.request(subject).map(|_| false),
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
    let explanation = grants.explain(Verb::Subscribe, "shop.tier.gold");
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
fn an_explanation_names_the_rules_that_had_a_say() {
    let rules = rules(SHOP);
    let grants = rules.grant(somebody("u42")).expect("granted");
    let explanation = grants.explain(Verb::Subscribe, "shop.cart.u42.>");
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
    let text = grants.explain(Verb::Subscribe, "shop.news.>").to_string();
    for part in [
        "allowed: subscribe shop.news.>",
        "without the events of denied subjects",
        "role *, subscribe `shop.news.>`: grants it",
        "role customer, deny `shop.news.draft`: denies a part of it",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = grants.explain(Verb::Subscribe, "shop.order.*").to_string();
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

/// Subjects of up to four tokens: those that patterns name, and another one.
fn universe() -> Vec<Subject> {
    let mut level = vec![String::new()];
    let mut all = Vec::new();
    for _ in 0..4 {
        let longer = |head: &String| {
            ["a", "b", "z"].map(|token| if head.is_empty() { token.into() } else { format!("{head}.{token}") })
        };
        level = level.iter().flat_map(longer).collect();
        all.extend(level.iter().map(|text| Subject::parse(text).expect("a subject")));
    }
    all
}

fn pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "*", "{sub}"]), 0..3).prop_flat_map(|tokens| {
        prop::bool::ANY.prop_map(move |tail| {
            let mut tokens = tokens.clone();
            if tail || tokens.is_empty() {
                tokens.push(">");
            }
            tokens.join(".")
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn decisions_are_those_of_an_exhaustive_matcher(
        subscribe in prop::collection::vec(pattern(), 0..4),
        literal in prop::collection::vec(pattern(), 0..3),
        deny in prop::collection::vec(pattern(), 0..3),
        asked in pattern(),
        user in prop::sample::select(vec!["a", "b"]),
    ) {
        let grant = crate::config::Grant {
            role: "r".into(),
            subscribe: subscribe.clone(),
            subscribe_literal: literal.clone(),
            publish: subscribe.clone(),
            deny: deny.clone(),
            ..Default::default()
        };
        let config = Config { grants: vec![grant], ..Config::default() };
        let rules = Rules::new(&config, Arc::default());
        let grants = rules.grant(identity(json!({"sub": user, "roles": ["r"]}))).expect("clean claims");

        let filled = |texts: &[String]| -> Vec<Pattern> {
            texts.iter().map(|text| Pattern::parse(&text.replace("{sub}", user)).expect("a pattern")).collect()
        };
        let matches = |patterns: &[Pattern], subject: &Subject| patterns.iter().any(|pattern| pattern.matches(subject));
        let (subscribe, literal, deny) = (filled(&subscribe), filled(&literal), filled(&deny));
        let asked = Pattern::parse(&asked.replace("{sub}", user)).expect("a pattern");
        let all: Vec<Subject> = universe().into_iter().filter(|subject| asked.matches(subject)).collect();

        let concrete = asked.literal().is_some();
        let granted = all.iter().all(|subject| {
            matches(&subscribe, subject) || (concrete && matches(&literal, subject))
        });
        let denied = all.iter().all(|subject| matches(&deny, subject));
        prop_assert_eq!(grants.subscribe(asked.as_str()).is_ok(), granted && !denied);
        prop_assert_eq!(grants.filters(&asked), all.iter().any(|subject| matches(&deny, subject)));
        for subject in &all {
            prop_assert_eq!(grants.denies(subject), matches(&deny, subject));
            let may = matches(&subscribe, subject) && !matches(&deny, subject);
            prop_assert_eq!(grants.publish(subject.as_str()).is_ok(), may);
        }
    }
}
