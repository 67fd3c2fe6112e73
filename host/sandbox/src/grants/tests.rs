//! Properties of host and port patterns: each fits exactly what it names, in any spelling.

use frond_root::call::Ports;
use proptest::prelude::*;

use super::*;

fn fits(pattern: &HostPattern, host: &str) -> bool {
    Target::read(host).fits(pattern)
}

fn label() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,5}[a-z0-9]"
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join("."))
}

fn grant(host: HostPattern, ports: Ports, methods: &[&str]) -> HttpGrant {
    let methods = methods.iter().map(|method| (*method).to_owned()).collect();
    HttpGrant { host, ports, methods, time: None, body: 1, private: false }
}

proptest! {
    #[test]
    fn a_name_fits_itself_however_it_is_spelled(name in name(), upper: bool, dot: bool) {
        let spelled = if upper { name.to_uppercase() } else { name.clone() } + if dot { "." } else { "" };
        prop_assert!(fits(&HostPattern::Name(name), &spelled));
    }

    #[test]
    fn a_name_fits_no_other(name in name(), other in name()) {
        prop_assert_eq!(fits(&HostPattern::Name(name.clone()), &other), name == other);
    }

    #[test]
    fn below_a_domain_is_what_ends_in_it_after_a_dot(domain in name(), above in name()) {
        let below = HostPattern::Below(domain.clone());
        let whole = format!("{above}.{domain}");
        let glued = format!("{above}{domain}");
        let twice = format!("{above}.{domain}.{above}");
        prop_assert!(fits(&below, &whole));
        prop_assert!(!fits(&below, &domain));
        prop_assert_eq!(fits(&below, &glued), glued.ends_with(&format!(".{domain}")));
        prop_assert_eq!(fits(&below, &twice), twice.ends_with(&format!(".{domain}")));
    }

    #[test]
    fn addresses_are_no_names(v4: std::net::Ipv4Addr, v6: std::net::Ipv6Addr) {
        let patterns = [HostPattern::Name(v4.to_string()), HostPattern::Below(v4.to_string())];
        prop_assert!(!patterns.iter().any(|pattern| fits(pattern, &v4.to_string())));
        prop_assert!(fits(&HostPattern::Address(v4.into()), &v4.to_string()));
        let bracketed = format!("[{v6}]");
        let mapped = format!("[{}]", v4.to_ipv6_mapped());
        prop_assert!(fits(&HostPattern::Address(v6.into()), &bracketed));
        prop_assert!(!fits(&HostPattern::Address(v4.into()), &mapped));
    }

    #[test]
    fn a_target_is_shown_as_it_is_read(name in name(), v4: std::net::Ipv4Addr, v6: std::net::Ipv6Addr) {
        for host in [name, v4.to_string(), format!("[{v6}]")] {
            prop_assert_eq!(Target::read(&host).to_string(), host);
        }
    }

    #[test]
    fn ports_are_kept_to(port: u16, other: u16) {
        prop_assert!(Ports::Any.include(port));
        prop_assert_eq!(Ports::One(port).include(other), port == other);
        prop_assert_eq!(Ports::Web.include(port), port == 80 || port == 443);
    }
}

#[test]
fn the_first_grant_that_fits_decides_and_else_the_nearest_is_named() {
    let a = || HostPattern::Name("a".to_owned());
    let http = vec![
        grant(a(), Ports::One(1), &["GET"]),
        grant(a(), Ports::Web, &["GET"]),
        grant(a(), Ports::Any, &["GET", "POST"]),
        grant(HostPattern::Name("b".to_owned()), Ports::One(1), &["GET"]),
    ];
    let grants = Arc::new(Grants { http: http.clone(), ..Grants::default() }.into());
    let granted = CallGrants::from(&grants);
    let ask = |host: &str, port, method| granted.http(&Target::read(host), port, method);
    assert_eq!(ask("a", 443, "GET"), Ok(&http[1]));
    assert_eq!(ask("a", 443, "POST"), Ok(&http[2]));
    assert_eq!(ask("a", 443, "PUT"), Err(MissingGrant::Method(&http[2])));
    assert_eq!(ask("b", 2, "GET"), Err(MissingGrant::Port(&http[3])));
    assert_eq!(ask("c", 1, "GET"), Err(MissingGrant::Host));
    assert_eq!(ask("a", 1, "get"), Err(MissingGrant::Method(&http[2])));
}

#[test]
fn nothing_is_granted_unless_it_is() {
    assert!(matches!(CallGrants::from(&Arc::default()), CallGrants::Nothing));
    let slow = InjectedFaults { slow_host: Some(("a".to_owned(), Duration::ZERO)), ..InjectedFaults::default() };
    assert!(matches!(
        CallGrants::from(&Arc::new(GuestGrants { faults: slow, ..GuestGrants::default() })),
        CallGrants::These(_)
    ));
}

#[test]
fn a_granted_variable_that_is_not_set_grants_nothing() {
    let app = Grants { env: vec!["UNSET".to_owned()], ..Grants::default() };
    let unset = GuestGrants::from(app);
    assert!(unset.is_empty());
    let set = GuestGrants { env: vec![("UNSET".to_owned(), String::new())], ..unset };
    assert!(!set.is_empty());
}
