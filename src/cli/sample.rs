//! The sample stream of `notifier dev`: a small shop in which something
//! happens twice a second.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    access::grants::Grants,
    proto::Envelope,
    publish::{Publisher, Sender},
};

/// Time between two events: slow enough to read along.
const PACE: Duration = Duration::from_millis(500);

/// Publishes until it is dropped.
pub(crate) async fn publish(publisher: &Publisher) {
    let mut pace = tokio::time::interval(PACE);
    for number in 1u64.. {
        pace.tick().await;
        let (subject, kind, data) = happening(number);
        let envelope = Envelope {
            id: format!("sample-{number}"),
            r#type: kind.into(),
            source: "/sample-shop".into(),
            content_type: "application/json".into(),
            data: data.to_string().into(),
            ..Envelope::default()
        };
        let sender = Sender { grants: &Grants::anonymous(Arc::default()), connection: None };
        if let Err(why) = publisher.publish(sender, &subject, envelope).await {
            tracing::warn!(%why, "a sample event was refused");
        }
    }
}

/// One event: where, what, and its data.
fn happening(number: u64) -> (String, &'static str, Value) {
    let user = format!("u{}", fastrand::u8(40..=44));
    let sku = ["mug", "lamp", "chair"][fastrand::usize(..3)];
    match number % 3 {
        0 => {
            (format!("shop.order.{number}"), "shop.order.placed", json!({"user": user, "total": fastrand::u16(5..200)}))
        }
        1 => (format!("shop.cart.{user}"), "shop.cart.changed", json!({"sku": sku, "qty": fastrand::u8(1..5)})),
        _ => {
            let cents = fastrand::u32(500..9_900);
            (format!("shop.price.{sku}"), "shop.price.changed", json!({"sku": sku, "price": f64::from(cents) / 100.0}))
        }
    }
}
