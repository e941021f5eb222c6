use super::*;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

fn gate(change: impl FnOnce(&mut Limits)) -> Arc<Admission> {
    let mut limits = Limits::default();
    change(&mut limits);
    Admission::new(&limits, Duration::ZERO, Gauge::noop())
}

#[tokio::test]
async fn the_gate_lets_in_as_many_as_it_may_and_tells_when_all_have_left() {
    let gate = gate(|limits| limits.connections = 2);
    gate.emptied().await;
    let (first, second) = (gate.enter(None), gate.enter(None));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(gate.enter(None).expect_err("it is full"), Rejected::Full);
    drop(first);
    let third = gate.enter(None);
    assert_eq!((third.is_ok(), gate.open()), (true, 2));
    let waiting = tokio::spawn({
        let gate = gate.clone();
        async move { gate.emptied().await }
    });
    tokio::task::yield_now().await;
    drop((second, third));
    waiting.await.expect("it was told");
}

#[test]
fn an_address_has_a_limit_of_its_own() {
    let gate = gate(|limits| limits.address_connections = 2);
    let held = [gate.enter(ip("192.0.2.1")), gate.enter(ip("::ffff:192.0.2.1"))];
    assert_eq!(gate.enter(ip("192.0.2.1")).expect_err("two are there"), Rejected::Address);
    assert_eq!(gate.open(), 2, "who was refused holds nothing");
    let others = [gate.enter(ip("192.0.2.2")), gate.enter(None), gate.enter(None), gate.enter(None)];
    assert!(others.iter().all(Result::is_ok));
    drop(held);
    assert!(gate.enter(ip("192.0.2.1")).is_ok());
}

#[test]
fn a_network_of_ipv6_counts_as_one_address() {
    let gate = gate(|limits| limits.address_connections = 1);
    let _held = gate.enter(ip("2001:db8:1:2::1")).expect("the first");
    assert_eq!(gate.enter(ip("2001:db8:1:2:ffff::9")).expect_err("the same network"), Rejected::Address);
    assert!(gate.enter(ip("2001:db8:1:3::1")).is_ok());
}

#[test]
fn a_user_has_a_limit_of_their_own_and_nobody_has_none() {
    let gate = gate(|limits| limits.user_connections = 1);
    let key = |issuer, user| Some(UserKey { issuer, user });
    let permits: Vec<_> = (0..5).map(|_| gate.enter(None).expect("room")).collect();
    assert_eq!(permits[0].count_for_user(key("a", "u42")), Ok(()));
    assert_eq!(permits[0].count_for_user(key("a", "u42")), Ok(()), "a refresh");
    assert_eq!(permits[1].count_for_user(key("a", "u42")), Err(Rejected::UserFull));
    assert_eq!(permits[1].count_for_user(key("a", "u43")), Ok(()));
    assert_eq!(permits[2].count_for_user(key("b", "u42")), Ok(()), "another issuer's");
    assert_eq!((permits[3].count_for_user(None), permits[4].count_for_user(None)), (Ok(()), Ok(())));
    drop(permits);
    assert_eq!(gate.enter(None).expect("room").count_for_user(key("a", "u42")), Ok(()));
}

#[test]
fn a_connection_takes_the_place_of_one_that_it_replaces() {
    let gate = gate(|limits| limits.user_connections = 1);
    let [u42, u43] = ["u42", "u43"].map(|user| UserKey { issuer: "a", user });
    let [old, new, third] = [(); 3].map(|()| gate.enter(None).expect("room"));
    assert_eq!(old.count_for_user(Some(u42)), Ok(()));
    // A place of somebody else's is none.
    new.take_place(&old, u43);
    assert!(new.count_for_user(Some(u42)).is_err());
    new.take_place(&old, u42);
    assert_eq!(new.count_for_user(Some(u42)), Ok(()));
    // It is taken once, and given back once.
    third.take_place(&old, u42);
    drop(old);
    assert!(third.count_for_user(Some(u42)).is_err());
    drop(new);
    assert_eq!(third.count_for_user(Some(u42)), Ok(()));
}

#[test]
fn a_limit_of_a_user_may_pass_until_those_who_are_there_must_live() {
    let short = Duration::from_millis(10).into();
    let limits = Limits { user_connections: 1, stall_time: short, close_time: short, ..Limits::default() };
    let user = Some(UserKey { issuer: "a", user: "u42" });
    for (heartbeat, expected) in [(Duration::from_secs(25), Rejected::UserFull), (Duration::ZERO, Rejected::User)] {
        let gate = Admission::new(&limits, heartbeat, Gauge::noop());
        let [one, other] = [(); 2].map(|()| gate.enter(None).expect("room"));
        assert_eq!(one.count_for_user(user), Ok(()));
        let refused = || other.count_for_user(user).expect_err("one is there");
        let told = std::iter::repeat_with(refused).find(|told| *told == expected).expect("it goes on for ever");
        assert_eq!(gate.refusal(told).retry_after.is_some(), expected == Rejected::UserFull);
    }
}

#[test]
fn new_connections_have_a_pace_for_each_address_and_for_all() {
    let gate = gate(|limits| {
        (limits.connections_per_second, limits.connections_burst) = (1, 5);
        (limits.address_connections_per_second, limits.address_connections_burst) = (1, 2);
    });
    assert!(gate.enter(ip("192.0.2.1")).is_ok() && gate.enter(ip("192.0.2.1")).is_ok());
    for _ in 0..10 {
        assert_eq!(gate.enter(ip("192.0.2.1")).expect_err("too fast"), Rejected::AddressFast);
    }
    assert!((2..5).all(|last| gate.enter(ip(&format!("192.0.2.{last}"))).is_ok()), "it took nothing from them");
    assert_eq!(gate.enter(ip("192.0.2.9")).expect_err("too many in all"), Rejected::Fast);
    assert_eq!(gate.open(), 0);
}
