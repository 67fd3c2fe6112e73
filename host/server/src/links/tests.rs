//! Limits of connections, and eviction.

use super::*;

/// Links whose clock has run for an hour, so that time 0 is long ago.
fn links(most: usize, per_group: usize) -> Arc<Links> {
    let began = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    Links::since(began, most, per_group, Counts::default())
}

/// The address of the `number`th client.
fn peer(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

/// A known client; with `true`, one with a running request.
fn known(links: &Arc<Links>, from: u8, is_busy: bool) -> (ConnectionPermit, Option<RequestGuard>) {
    let permit = links.permit(peer(from)).unwrap();
    permit.link.know();
    let busy = is_busy.then(|| permit.link.enter());
    (permit, busy)
}

fn is_told(permit: &mut ConnectionPermit) -> Option<Signal> {
    permit.signals.try_recv().ok()
}

#[test]
fn strangers_leave_a_quarter_to_known_clients() {
    let links = links(8, 100);
    let mut strangers: Vec<_> = (0..6).map(|number| links.permit(peer(number)).unwrap()).collect();
    assert!(strangers.iter_mut().all(|permit| is_told(permit).is_none()));
    let another = links.permit(peer(6)).unwrap();
    assert_eq!(is_told(&mut strangers[0]), Some(Signal::End), "the one that has been idle longest");
    assert!(strangers[1..].iter_mut().all(|permit| is_told(permit).is_none()));
    // A known client no longer counts as unknown.
    another.link.know();
    let last = links.permit(peer(7)).unwrap();
    assert!(strangers[1..].iter_mut().all(|permit| is_told(permit).is_none()));
    assert!(!last.link.is_spare());
}

#[test]
fn of_strangers_the_address_that_has_most_loses_one() {
    let links = links(8, 100);
    let mut modest = links.permit(peer(1)).unwrap();
    let mut many: Vec<_> = (0..5).map(|_| links.permit(peer(2)).unwrap()).collect();
    let _next = links.permit(peer(3)).unwrap();
    assert_eq!(is_told(&mut modest), None, "though it has been idle longest");
    assert_eq!(is_told(&mut many[0]), Some(Signal::End));
}

#[test]
fn an_idle_stranger_goes_before_a_busy_one() {
    let links = links(4, 100);
    let mut busy = links.permit(peer(1)).unwrap();
    let request = busy.link.enter();
    let mut others: Vec<_> = (2..4).map(|number| links.permit(peer(number)).unwrap()).collect();
    let _next = links.permit(peer(4)).unwrap();
    assert_eq!((is_told(&mut busy), is_told(&mut others[0])), (None, Some(Signal::End)));
    let more: Vec<_> = others.iter().map(|permit| permit.link.enter()).collect();
    drop((request, more));
}

#[test]
fn known_clients_go_only_when_they_are_idle() {
    let links = links(4, 100);
    let mut busy: Vec<_> = (0..3).map(|number| known(&links, number, true)).collect();
    let (mut idle, _) = known(&links, 3, false);
    let next = links.permit(peer(4)).unwrap();
    assert_eq!(is_told(&mut idle), Some(Signal::End));
    assert!(!next.link.is_spare());
    next.link.know();
    let _request = next.link.enter();
    // None can be evicted: the rest is for health checks.
    let spare: Vec<_> = (0..SPARE).map(|_| links.permit(peer(5)).unwrap()).collect();
    assert!(spare.iter().all(|permit| permit.link.is_spare()));
    assert!(links.permit(peer(5)).is_none());
    assert!(busy.iter_mut().all(|(permit, _)| is_told(permit).is_none()));
    drop(busy);
    assert!(links.permit(peer(5)).is_some_and(|permit| !permit.link.is_spare()));
}

#[test]
fn an_address_has_places_of_its_own_and_no_more() {
    let links = links(100, 2);
    let mut first = links.permit(peer(1)).unwrap();
    let _second = known(&links, 1, true);
    let _other = links.permit(peer(2)).unwrap();
    let third = known(&links, 1, true);
    assert_eq!(is_told(&mut first), Some(Signal::End));
    assert!(links.permit(peer(1)).is_none(), "both of its places are in use");
    assert!(links.permit(peer(2)).is_some());
    drop(third);
    assert!(links.permit(peer(1)).is_some());
    // An IPv6 client has a whole network of addresses.
    let network = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last));
    let held: Vec<_> = (0..2).map(|last| links.permit(network(last)).unwrap()).collect();
    let requests: Vec<_> = held.iter().map(|permit| (permit.link.know(), permit.link.enter())).collect();
    assert!(links.permit(network(9)).is_none());
    assert_eq!(group("::ffff:10.0.0.1".parse().unwrap()), peer(1));
    drop(requests);
}

#[test]
fn idle_connections_are_closed_and_used_ones_are_not() {
    let links = links(4, 4);
    let mut idle = links.permit(peer(1)).unwrap();
    let mut used = links.permit(peer(2)).unwrap();
    let request = used.link.enter();
    links.look(Duration::from_secs(600));
    assert_eq!(is_told(&mut idle), None);
    // Now it has been idle for longer than the limit.
    idle.link.idle_since.store(0, Ordering::Relaxed);
    used.link.idle_since.store(0, Ordering::Relaxed);
    links.look(Duration::from_secs(600));
    links.look(Duration::from_secs(600));
    assert_eq!((is_told(&mut idle), is_told(&mut idle)), (Some(Signal::Finish), None), "it is told once");
    assert_eq!(is_told(&mut used), None);
    drop(request);
}

#[test]
fn a_reader_that_is_cut_off_is_told_once() {
    let links = links(4, 4);
    let mut permit = links.permit(peer(1)).unwrap();
    links.close(&permit.link, CloseReason::SlowReader);
    links.close(&permit.link, CloseReason::SlowReader);
    assert_eq!((is_told(&mut permit), is_told(&mut permit)), (Some(Signal::End), None));
}
