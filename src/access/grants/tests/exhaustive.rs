//! Decisions beside those of a matcher that tries every subject.

use proptest::prelude::*;
use serde_json::json;

use super::{Config, Pattern, Rules, Subject, identity};

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
        let rules = Rules::new(&config, std::sync::Arc::default());
        let grants = rules.grant(identity(json!({"sub": user, "roles": ["r"]}))).expect("clean claims");

        let filled = |texts: &[String]| -> Vec<Pattern> {
            texts.iter().map(|text| Pattern::parse(&text.replace("{sub}", user)).expect("a pattern")).collect()
        };
        let matches = |patterns: &[Pattern], subject: &Subject| patterns.iter().any(|pattern| pattern.matches(subject));
        let (subscribe, literal, deny) = (filled(&subscribe), filled(&literal), filled(&deny));
        let asked = Pattern::parse(&asked.replace("{sub}", user)).expect("a pattern");
        let all: Vec<Subject> = universe().into_iter().filter(|subject| asked.matches(subject)).collect();

        prop_assert_eq!(grants.has_denials(), !deny.is_empty());

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
