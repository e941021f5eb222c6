use serde_json::{Value, json};

use super::*;
use crate::config::{Config, Delivery, SettingsFile, Stream, load};

/// A stream of the configuration with some limits.
fn configured(fields: &str) -> Stream {
    let text = format!("[[streams]]\nname = \"SHOP\"\nsubjects = [\"shop.cart.>\", \"shop.order.*\"]\n{fields}");
    let config: Config =
        load(Some(&SettingsFile { origin: "test".into(), text }), [], &Default::default()).expect("TOML");
    config.streams.into_iter().next().expect("a stream")
}

fn wanted(fields: &str) -> Wanted {
    Wanted::of(&configured(fields), Delivery::Durable, 1024)
}

/// The settings that `fields` ask for, with others that JetStream reports otherwise.
fn found(fields: &str, others: &Value) -> Settings {
    let mut settings = serde_json::to_value(wanted(fields).settings).expect("JSON");
    for (key, value) in others.as_object().expect("an object") {
        settings[key] = value.clone();
    }
    serde_json::from_value(settings).expect("settings")
}

const DAY: &str =
    "max_age = \"24h\"\nmax_bytes = \"1GiB\"\nmax_messages = 100\nmax_messages_per_subject = 10\nreplicas = 3";

#[test]
fn a_stream_is_created_with_all_that_delivery_needs() {
    let body = serde_json::to_value(wanted(DAY).settings).expect("JSON");
    assert_eq!(
        body,
        json!({
            "name": "SHOP", "subjects": ["shop.cart.>", "shop.order.*"], "retention": "limits", "storage": "file",
            "max_age": 86_400_000_000_000_i64, "max_bytes": 1_073_741_824, "max_msgs": 100,
            "max_msgs_per_subject": 10, "max_msg_size": 1024 + 65_536, "num_replicas": 3,
            "duplicate_window": 120_000_000_000_i64, "allow_direct": true, "no_ack": false, "sealed": false,
            "republish": {"src": ">", "dest": "ntf.SHOP.>", "headers_only": false},
        })
    );
    let latest = Wanted::of(&configured(""), Delivery::Latest, 1024).settings;
    assert_eq!((latest.max_messages_per_subject, latest.max_age, latest.max_bytes), (1, 0, 1 << 30));
    assert_eq!(serde_json::to_value(latest).expect("JSON")["subject_delete_marker_ttl"], 86_400_000_000_000_i64);
}

#[test]
fn ends_of_values_are_marked_where_the_node_may_change_the_stream() {
    let latest = |fields| Wanted::of(&configured(fields), Delivery::Latest, 1024);
    let found = |others: Value| {
        let mut settings = serde_json::to_value(latest("").settings).expect("JSON");
        settings.as_object_mut().expect("an object").extend(others.as_object().expect("an object").clone());
        serde_json::from_value::<Settings>(settings).expect("settings")
    };
    let ttl = |nanoseconds: i64| found(json!({"subject_delete_marker_ttl": nanoseconds}));
    for longer in [86_400_000_000_000, 90_000_000_000_000] {
        assert_eq!(plan(&latest(""), &ttl(longer)), Plan { step: PlanStep::Fits, notes: Vec::new() });
    }
    let PlanStep::Update { settings, changes } = plan(&latest(""), &ttl(0)).step else { panic!("an update") };
    assert_eq!(settings.marker_ttl, 86_400_000_000_000);
    assert_eq!((changes[0].setting, changes[0].found.as_str()), ("subject_delete_marker_ttl", "not set"));
    let denied = found(json!({"subject_delete_marker_ttl": 0, "deny_purge": true}));
    for (wanted, found) in [(latest("manage = false"), ttl(1_000_000_000)), (latest(""), denied)] {
        let Plan { step, notes } = plan(&wanted, &found);
        assert_eq!(step, PlanStep::Fits);
        assert!(notes.len() == 1 && notes[0].contains("subject_delete_marker_ttl is "), "{notes:?}");
    }
}

#[test]
fn a_stream_that_a_node_makes_keeps_no_more_than_its_disk_can_bear() {
    for (fields, max_bytes) in [
        ("", 1 << 30),
        ("storage = \"memory\"", 256 << 20),
        ("max_bytes = \"5MiB\"", 5 << 20),
        ("max_bytes = \"0\"", -1),
        // A node that only checks asks for no more than a node that creates the
        // stream.
        ("manage = false", 1 << 30),
    ] {
        assert_eq!(wanted(fields).settings.max_bytes, max_bytes, "{fields}");
    }
    // One that is there is never made smaller, and what it keeps is told.
    for fields in ["", "manage = false"] {
        assert_eq!(plan(&wanted(fields), &found("", &json!({}))), Plan { step: PlanStep::Fits, notes: Vec::new() });
        let Plan { step, notes } = plan(&wanted(fields), &found("", &json!({"max_bytes": -1})));
        assert_eq!(step, PlanStep::Fits);
        assert!(notes.len() == 1 && notes[0].contains("max_bytes is unlimited, more than the 1GiB"), "{notes:?}");
    }
    let PlanStep::Update { settings, .. } = plan(&wanted(""), &found("", &json!({"max_bytes": 5}))).step else {
        panic!("an update")
    };
    assert_eq!(settings.max_bytes, 1 << 30);
}

#[test]
fn what_keeps_enough_fits_and_what_keeps_more_is_left_so() {
    let rows: [(&str, Value, &[&str]); 9] = [
        (DAY, json!({}), &[]),
        ("", json!({}), &[]),
        (DAY, json!({"republish": {"src": "", "dest": "ntf.SHOP.>"}}), &[]),
        (DAY, json!({"subjects": ["shop.>"]}), &[]),
        (DAY, json!({"discard": "new"}), &[]),
        (DAY, json!({"max_age": 0}), &["max_age is unlimited, more than the 1day asked for"]),
        (DAY, json!({"max_age": 172_800_000_000_000_i64}), &["max_age is 2days"]),
        (
            DAY,
            json!({"max_bytes": -1, "max_msgs": 101, "max_msgs_per_subject": 0, "num_replicas": 5}),
            &["max_bytes is unlimited", "max_msgs is 101", "max_msgs_per_subject is unlimited", "num_replicas is 5"],
        ),
        (DAY, json!({"max_msg_size": -1}), &["max_msg_size is unlimited; events above 65KiB"]),
    ];
    for (fields, others, notes) in rows {
        let plan = plan(&wanted(fields), &found(fields, &others));
        assert_eq!(plan.step, PlanStep::Fits, "{others}");
        assert_eq!(plan.notes.len(), notes.len(), "{others} {:?}", plan.notes);
        for (said, note) in plan.notes.iter().zip(notes) {
            assert!(said.contains(note), "{said}");
        }
    }
}

#[test]
fn what_is_missing_or_too_low_is_added_and_nothing_else_touched() {
    let rows: [(&str, Value, &[&str], Value); 11] = [
        (DAY, json!({"allow_direct": false}), &["allow_direct"], json!({"allow_direct": true})),
        (
            DAY,
            json!({"republish": null}),
            &["republish"],
            json!({"republish": {"src": ">", "dest": "ntf.SHOP.>", "headers_only": false}}),
        ),
        (
            DAY,
            json!({"subjects": ["shop.cart.>", "other"]}),
            &["subjects"],
            json!({"subjects": ["shop.cart.>", "other", "shop.order.*"]}),
        ),
        // A narrower one gives way to the wider one that covers it.
        (
            DAY,
            json!({"subjects": ["shop.cart.*.a", "other"]}),
            &["subjects"],
            json!({"subjects": ["other", "shop.cart.>", "shop.order.*"]}),
        ),
        (DAY, json!({"max_age": 1}), &["max_age"], json!({"max_age": 86_400_000_000_000_i64})),
        (DAY, json!({"max_bytes": 1}), &["max_bytes"], json!({"max_bytes": 1_073_741_824})),
        (DAY, json!({"max_msgs": 99}), &["max_msgs"], json!({"max_msgs": 100})),
        (DAY, json!({"num_replicas": 1}), &["num_replicas"], json!({"num_replicas": 3})),
        ("", json!({"max_age": 5}), &["max_age"], json!({"max_age": 0})),
        ("", json!({"max_msgs_per_subject": 5}), &["max_msgs_per_subject"], json!({"max_msgs_per_subject": -1})),
        // A higher value stays where another setting is raised.
        (
            DAY,
            json!({"max_msgs": 99, "max_age": 0, "duplicate_window": 1}),
            &["max_msgs", "duplicate_window"],
            json!({"max_msgs": 100, "duplicate_window": 120_000_000_000_i64}),
        ),
    ];
    for (fields, others, settings, expected) in rows {
        let mut others = others;
        // Unknown here, and it has to survive.
        others["allow_future_things"] = json!({"deep": [1]});
        let found = found(fields, &others);
        let PlanStep::Update { settings: updated, changes } = plan(&wanted(fields), &found).step else {
            panic!("{others} is no update");
        };
        assert_eq!(changes.iter().map(|change| change.setting).collect::<Vec<_>>(), settings, "{others}");
        let mut body = serde_json::to_value(&found).expect("JSON");
        for (key, value) in expected.as_object().expect("an object") {
            body[key] = value.clone();
        }
        assert_eq!(serde_json::to_value(&updated).expect("JSON"), body, "{others}");
        // Once done it fits.
        assert_eq!(plan(&wanted(fields), &updated).step, PlanStep::Fits, "{others}");
    }
}

#[test]
fn what_could_hurt_others_is_left_to_people_and_named_with_a_remedy() {
    let rows: [(Value, &[&str]); 11] = [
        (
            json!({"republish": {"src": ">", "dest": "their.>"}}),
            &["republish: is `>` to `their.>`", "`ntf.SHOP.>`", "republish_prefix = \"their\""],
        ),
        (json!({"republish": {"src": "shop.cart.>", "dest": "ntf.SHOP.>"}}), &["republish", "by hand"]),
        (json!({"republish": {"src": ">", "dest": "ntf.SHOP.>", "headers_only": true}}), &["headers only", "by hand"]),
        (json!({"republish": {"src": ">", "dest": "x.{{wildcard(1)}}"}}), &["republish", "by hand"]),
        (json!({"retention": "workqueue"}), &["retention: is workqueue, has to be limits"]),
        (json!({"retention": "interest"}), &["retention: is interest"]),
        (json!({"mirror": {"name": "OTHER"}}), &["mirror"]),
        (
            json!({"subject_transform": {"src": "shop.cart.>", "dest": "archive.>"}}),
            &["subject_transform: is `shop.cart.>` to `archive.>`, has to be not set", "by hand"],
        ),
        (json!({"sealed": true}), &["sealed"]),
        (json!({"no_ack": true}), &["no_ack"]),
        (json!({"storage": "memory"}), &["storage: is memory, has to be file", "`storage = \"memory\"`"]),
    ];
    for (others, parts) in rows {
        let PlanStep::Impossible(problems) = plan(&wanted(DAY), &found(DAY, &others)).step else {
            panic!("{others} is no problem");
        };
        let said = problems[0].to_string();
        for part in parts {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
    let partly = json!({"subjects": ["shop.*.u1", "shop.order.*"]});
    let PlanStep::Impossible(problems) = plan(&wanted(DAY), &found(DAY, &partly)).step else { panic!("a problem") };
    assert!(problems[0].remedy.contains("only in part"), "{problems:?}");
}

#[test]
fn what_a_transform_keeps_within_the_subjects_fits_and_is_handed_back() {
    let mut others = json!({"subject_transform": {"src": "in.*", "dest": "shop.order.{{wildcard(1)}}"}});
    assert_eq!(plan(&wanted(DAY), &found(DAY, &others)), Plan { step: PlanStep::Fits, notes: Vec::new() });
    others["max_age"] = json!(1);
    let PlanStep::Update { settings, .. } = plan(&wanted(DAY), &found(DAY, &others)).step else { panic!("an update") };
    assert_eq!(serde_json::to_value(&settings).expect("JSON")["subject_transform"], others["subject_transform"]);
}

#[test]
fn what_a_source_stores_elsewhere_is_told() {
    let source = |dest: &str| json!({"sources": [{"name": "PLAIN"}, {"name": "LEGACY", "subject_transforms": [{"src": "a.*", "dest": dest}]}]});
    let within = source("shop.order.{{wildcard(1)}}");
    assert_eq!(plan(&wanted(DAY), &found(DAY, &within)), Plan { step: PlanStep::Fits, notes: Vec::new() });
    let elsewhere = found(DAY, &source("shop.orders.{{wildcard(1)}}"));
    for Plan { step, notes } in [plan(&wanted(DAY), &elsewhere), drift(&wanted(DAY), &elsewhere)] {
        assert_eq!((step, notes.len()), (PlanStep::Fits, 1));
        assert!(notes[0].contains("source LEGACY stores `a.*` to `shop.orders."), "{notes:?}");
    }
}

#[test]
fn a_problem_comes_with_everything_else_that_differs() {
    let others = json!({"sealed": true, "allow_direct": false, "max_age": 1});
    let PlanStep::Impossible(problems) = plan(&wanted(DAY), &found(DAY, &others)).step else { panic!("a problem") };
    let settings: Vec<_> = problems.iter().map(|problem| problem.setting).collect();
    assert_eq!(settings, ["sealed", "allow_direct", "max_age"]);
}

#[test]
fn a_difference_names_who_resolves_it() {
    for (fields, remedy) in [
        ("manage = true", "a node sets it when it starts, or run `notifier streams apply --config FILE`"),
        ("manage = false", "run `notifier streams apply --config FILE`"),
    ] {
        let found = found(fields, &json!({"allow_direct": false}));
        let PlanStep::Update { changes, .. } = plan(&wanted(fields), &found).step else { panic!("an update") };
        assert_eq!(changes[0].remedy, remedy);
    }
}

#[test]
fn a_running_node_minds_what_it_needs_and_not_how_much_is_kept() {
    let fits = json!({"max_age": 1, "max_bytes": 1, "max_msgs": 1, "max_msgs_per_subject": 1, "num_replicas": 1});
    assert_eq!(drift(&wanted(DAY), &found(DAY, &fits)), Plan { step: PlanStep::Fits, notes: Vec::new() });
    let lacks = json!({"republish": null, "allow_direct": false, "subjects": ["shop.order.*"], "max_age": 1});
    let PlanStep::Update { settings, changes } = drift(&wanted(DAY), &found(DAY, &lacks)).step else {
        panic!("an update")
    };
    let named: Vec<_> = changes.iter().map(|change| (change.setting, change.remedy.as_str())).collect();
    assert_eq!(named, ["subjects", "republish", "allow_direct"].map(|setting| (setting, "this node sets it")));
    assert_eq!((settings.max_age, drift(&wanted(DAY), &settings).step), (1, PlanStep::Fits));
    let sealed = json!({"sealed": true, "allow_direct": false});
    let PlanStep::Impossible(problems) = drift(&wanted(DAY), &found(DAY, &sealed)).step else { panic!("a problem") };
    assert_eq!(problems.len(), 2);
}
