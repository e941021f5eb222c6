//! The sample shop of `notifier dev`: its streams, its users' rights, and services in
//! which something happens twice a second.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    access::grants::Grants,
    config::{
        Algorithm, AuthMode, Config, Delivery, Grant, Issuer, Secret, Span, Storage, Stream, SubjectRule, WindowLimits,
    },
    error::Refusal,
    proto::Envelope,
    publish::{Publisher, Sender},
};

/// Time between two events: slow enough to read along.
const PACE: Duration = Duration::from_millis(500);

/// Carts and orders: each event counts.
const SHOP: &str = "SHOP";

/// Prices and stock: the newest value counts.
const GOODS: &str = "GOODS";

/// Events of each stream that are kept: hours of the shop.
const KEPT: u64 = 20_000;

/// The goods with their prices in cents.
const PRICES: [(&str, u32); 3] = [("mug", 950), ("lamp", 4_900), ("chair", 8_700)];

/// The subjects of the shop, the guarantee of each, and the stream that stores it.
/// `shop.deal` has no rule, so it is `live`.
const SUBJECTS: [(&str, Delivery, &str); 4] = [
    ("shop.cart.>", Delivery::Durable, SHOP),
    ("shop.order.>", Delivery::Durable, SHOP),
    ("shop.price.>", Delivery::Latest, GOODS),
    ("shop.stock.>", Delivery::Latest, GOODS),
];

/// The goods of which some are sold and others come in. The stock of the others stays
/// as it is, so that one can look at what becomes of a value that is deleted.
const MOVING: usize = 2;

/// The issuer of the shop's tokens, and what they are for.
const ISSUER: &str = "sample-shop";
const AUDIENCE: &str = "notifier";

/// An event: its subject, its type and its data.
type Happening = (String, &'static str, Value);

/// Gives a node the streams of the shop.
pub(crate) fn configure(config: &mut Config) {
    for name in [SHOP, GOODS] {
        let stored = SUBJECTS.iter().filter(|(_, _, stream)| *stream == name);
        config.streams.push(Stream {
            name: name.into(),
            subjects: stored.map(|(pattern, ..)| (*pattern).to_owned()).collect(),
            max_messages: Some(KEPT),
            storage: Storage::Memory,
            republish_prefix: None,
            manage: true,
            max_age: None,
            max_bytes: None,
            max_messages_per_subject: None,
            replicas: 1,
            duplicate_window: Span::seconds(120),
            window: WindowLimits::default(),
        });
    }
    config.subjects = SUBJECTS
        .map(|(pattern, delivery, stream)| SubjectRule {
            pattern: pattern.into(),
            delivery,
            stream: Some(stream.into()),
        })
        .into();
}

/// Gives users with a token of the shop's login, signed with this secret, what a shop
/// would. Whoever brings none may do everything: the terminals of this machine, which
/// stand for services.
pub(crate) fn authorize(config: &mut Config, secret: Secret) {
    config.auth.mode = Some(AuthMode::Jwt);
    config.auth.allow_anonymous = true;
    // One clock issues and judges the tokens, and some of them are made to end soon.
    config.auth.leeway = Span::seconds(0);
    config.auth.expiry_warning = Span::seconds(2);
    config.auth.issuers = vec![Issuer {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        algorithms: vec![Algorithm::HS256],
        secret: Some(secret),
        secret_file: None,
        jwks_url: None,
        jwks_ca_file: None,
        jwks_allow_http: false,
        public_key_file: None,
        user_claim: "sub".into(),
        roles_claim: "roles".into(),
    }];
    let patterns = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    config.grants = vec![
        Grant {
            role: "anonymous".into(),
            subscribe: patterns(&[">"]),
            publish: patterns(&[">"]),
            request: patterns(&[">"]),
            ..Grant::default()
        },
        Grant {
            role: "customer".into(),
            subscribe: patterns(&["shop.price.*", "shop.stock.*", "shop.order.*", "shop.deal", "shop.cart.{sub}"]),
            publish: patterns(&["shop.cart.{sub}"]),
            ..Grant::default()
        },
        // For the button that floods the page.
        Grant { role: "tester".into(), publish: patterns(&["shop.price.mug"]), ..Grant::default() },
    ];
}

/// Publishes until it is dropped. Events of nodes that share a broker differ by the
/// name of the node; a node that is `alone` begins with a cart that has something in it.
pub(crate) async fn publish(publisher: &Publisher, node: &str, alone: bool) {
    let goods = PRICES.iter().flat_map(|(sku, _)| [price(sku), stock(sku)]);
    let cart = ("shop.cart.u42".into(), "shop.cart.changed", json!({"qty": 1, "items": {"mug": 1}}));
    // Whoever comes first shall see a shop with goods. The broker may still be on its way.
    for happening in goods.chain(alone.then_some(cart)) {
        while let Err(why) = send(publisher, &format!("{node}-first-{}", happening.0), &happening).await {
            tracing::debug!(%why, "the broker is not there yet");
            tokio::time::sleep(PACE).await;
        }
    }
    let mut pace = tokio::time::interval(PACE);
    for number in 1u64.. {
        pace.tick().await;
        if let Err(why) = send(publisher, &format!("{node}-sample-{number}"), &happening(number)).await {
            tracing::warn!(%why, "a sample event was refused");
        }
    }
}

async fn send(publisher: &Publisher, id: &str, (subject, kind, data): &Happening) -> Result<(), Refusal> {
    let envelope = Envelope {
        id: id.into(),
        r#type: (*kind).into(),
        source: "/sample-shop".into(),
        content_type: "application/json".into(),
        data: data.to_string().into(),
        ..Envelope::default()
    };
    let sender = Sender { grants: &Grants::anonymous(Arc::default()), connection: None };
    publisher.publish(sender, subject, envelope).await.map(drop)
}

/// What happens next. The cart of `u42` belongs to the page.
fn happening(number: u64) -> Happening {
    let user = format!("u{}", fastrand::u8(43..=49));
    let (sku, _) = PRICES[fastrand::usize(..PRICES.len())];
    let (moving, _) = PRICES[fastrand::usize(..MOVING)];
    match number % 5 {
        0 => {
            let data = json!({"number": number, "user": user, "total": fastrand::u16(5..200)});
            (format!("shop.order.{number}"), "shop.order.placed", data)
        }
        1 => (format!("shop.cart.{user}"), "shop.cart.changed", json!({"qty": fastrand::u8(1..5)})),
        2 => ("shop.deal".into(), "shop.deal.made", json!({"text": format!("Today 10 % off each {sku}")})),
        3 => price(sku),
        _ => stock(moving),
    }
}

/// A price around the usual one.
fn price(sku: &str) -> Happening {
    let usual = PRICES.iter().find(|(name, _)| *name == sku).map_or(1_000, |(_, cents)| *cents);
    let cents = usual * fastrand::u32(90..110) / 100;
    (format!("shop.price.{sku}"), "shop.price.changed", json!({"sku": sku, "price": f64::from(cents) / 100.0}))
}

fn stock(sku: &str) -> Happening {
    (format!("shop.stock.{sku}"), "shop.stock.changed", json!({"sku": sku, "left": fastrand::u8(3..40)}))
}
