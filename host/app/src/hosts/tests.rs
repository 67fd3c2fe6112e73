//! Parser of hosts: accepts exactly hosts, and never grants more than the text says.

use proptest::prelude::*;

use super::*;

fn check(text: &str, expect: &str) {
    let found = text.parse::<Hosts>().map_or_else(|error| error.to_string(), |hosts| hosts.to_string());
    assert_eq!(found.split('\n').next(), Some(expect), "{text}");
}

#[test]
fn hosts_are_names_patterns_and_addresses() {
    check("api.example.com", "api.example.com");
    check("API.Example.com.", "api.example.com");
    check("localhost:8080", "localhost:8080");
    check("*.example.com:*", "*.example.com:*");
    check("127.0.0.1:*", "127.0.0.1:*");
    check("::1", "[::1]");
    check("[::1]", "[::1]");
    check("[::1]:443", "[::1]:443");
    check("xn--bcher-kva.example", "xn--bcher-kva.example");
    check("a_b.example", "a_b.example");
}

#[test]
fn what_is_more_or_less_than_a_host_is_refused() {
    check("https://api.example.com", "`https://api.example.com` is more than a host");
    check("api.example.com/v1", "`api.example.com/v1` is more than a host");
    check("user@api.example.com", "`user@api.example.com` is more than a host");
    check("", "`` is not a host");
    check("a..b", "`a..b` is not a host");
    check("-a", "`-a` is not a host");
    check("a b", "`a b` is not a host");
    check("bücher.example", "`bücher.example` is not a host");
    check("[::1", "`[:` is not a host");
    check("[127.0.0.1]", "`[127.0.0.1]` is not a host");
    check("a.*.example", "`a.*.example` is not a host");
    check("a:0", "`0` is not a port");
    check("a:65536", "`65536` is not a port");
    check("a:+80", "`+80` is not a port");
    check("a:", "`` is not a port");
    check("127.1", "`127.1` is not an IP address");
    check("2130706433", "`2130706433` is not an IP address");
    check("0x7f000001", "`0x7f000001` is not an IP address");
    check("*", "`*` matches too many hosts");
    check("*.com", "`*.com` matches too many hosts");
    check("*.0.0.1", "`*.0.0.1` is not a host");
}

proptest! {
    #[test]
    fn whatever_is_read_is_shown_so_that_it_reads_the_same(text in "[*]?[.]?[a-z0-9.:-]{0,12}(:[0-9*]{1,5})?") {
        if let Ok(hosts) = text.parse::<Hosts>() {
            prop_assert_eq!(hosts.to_string().parse::<Hosts>(), Ok(hosts));
        }
    }

    #[test]
    fn addresses_are_read_as_addresses(v4: Ipv4Addr, v6: Ipv6Addr, port in 1_u16..) {
        for (text, address) in [(v4.to_string(), IpAddr::from(v4)), (format!("[{v6}]"), IpAddr::from(v6))] {
            let host = HostPattern::Address(address);
            prop_assert_eq!(text.parse(), Ok(Hosts { host: host.clone(), ports: Ports::Web }));
            let one = format!("{text}:{port}");
            prop_assert_eq!(one.parse(), Ok(Hosts { host, ports: Ports::One(port) }));
        }
    }

    #[test]
    fn nothing_is_a_panic(text in ".{0,40}") {
        let _ = text.parse::<Hosts>();
    }
}
