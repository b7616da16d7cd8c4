//! One spelling of each host, and whose each address is: the ways in which one passes for another.
use super::*;
use alloc::vec;

#[test]
fn a_host_has_one_spelling() {
    for (text, host) in [
        ("api.Example.COM", "api.example.com"),
        ("localhost", "localhost"),
        ("_dns.example.com", "_dns.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("0xa.example", "0xa.example"),
    ] {
        assert_eq!(Host::parse(text).unwrap().as_str(), host, "{text}");
    }
    let long = alloc::format!("{}.example", "a".repeat(64));
    for text in [
        "",
        ".",
        "a.",
        "a..b",
        ".a",
        "a b",
        "a\t",
        "a\0",
        "a/b",
        "a@b",
        "a:b",
        "*.a",
        "-a.b",
        "a-.b",
        "a%41",
        "a#b",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.01",
        "0x7f.0.0.1",
        "127.0.0.1.",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "a.1",
        "a.0x1",
        "[::1",
        "::1]",
        "[fe80::1%eth0]",
        "fe80::1%25eth0",
        "[127.0.0.1]",
        "b\u{fc}cher.example",
        "\u{ff41}.example",
        "1\u{3002}2.example",
        "\u{2460}.example",
        "a\u{ad}b.example",
        "exam\u{2024}ple.com",
        "\u{ff11}27.0.0.1",
        &long,
    ] {
        assert!(Host::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn an_address_is_whose_it_is() {
    let of = |text: &str| reach(text.parse().unwrap());
    for text in
        ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "2001:4860::1", "3fff:1000::1"]
    {
        assert_eq!(of(text), Reach::Public, "{text}");
    }
    for text in [
        "10.0.0.1",
        "127.0.0.1",
        "127.255.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.9.9",
        "192.168.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd12::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "5f00::1",
    ] {
        assert_eq!(of(text), Reach::Private, "{text}");
    }
    for text in [
        "169.254.169.254",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ] {
        assert_eq!(of(text), Reach::Metadata, "{text}");
    }
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.9.9.9",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "ff02::1",
        "::ffff:0.0.0.0",
    ] {
        assert_eq!(of(text), Reach::Never, "{text}");
    }
}

#[test]
fn words_are_hosts_and_back() {
    for text in [
        "*",
        "*:*",
        "*:8080",
        "*.example.com",
        "*.example.com:8443",
        "example.com",
        "example.com:22",
        "example.com:*",
        "github",
        "private",
        "private:8080",
        "10.0.0.5",
        "10.0.0.5:80",
        "[2001:db8::1]:443",
        "2001:db8::1",
    ] {
        let (hosts, ports) = parse(text).unwrap();
        assert_eq!(words(&hosts, ports), text);
    }
    for text in [
        "",
        "**",
        "*x",
        "*.10.0.0.1",
        "a:",
        "a:0",
        "a:65536",
        "a:+1",
        "a:b",
        "a.*",
        "github.*",
        "*.*.a",
        "*.",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn what_is_included_is_matched() {
    let texts = [
        "*",
        "*:*",
        "*.example.com",
        "*.a.example.com",
        "example.com",
        "a.example.com",
        "b.a.example.com:443",
        "b.a.example.com:1",
        "github",
        "private",
        "10.0.0.5",
        "10.0.0.5:80",
        "169.254.169.254",
        "1.1.1.1",
        "notexample.com",
    ];
    let all: Vec<_> = texts.iter().map(|text| parse(text).unwrap()).collect();
    let presets = vec![String::from("github")];
    for (outer, outer_ports) in &all {
        assert!(Hosts::All.includes(outer));
        for (inner, inner_ports) in &all {
            if !(outer.includes(inner) && outer_ports.includes(*inner_ports)) {
                continue;
            }
            for host in
                ["example.com", "a.example.com", "b.a.example.com", "10.0.0.5", "169.254.169.254", "1.1.1.1"]
            {
                let host = Host::parse(host).unwrap();
                assert!(
                    !inner.has(&host, &presets) || outer.has(&host, &presets),
                    "{outer:?} {inner:?} {host}"
                );
            }
        }
    }
    let includes = |outer: &str, inner: &str| parse(outer).unwrap().0.includes(&parse(inner).unwrap().0);
    // Nothing that is not public is a part of `*`, nor a cloud's own address of `private`.
    for (outer, inner, has) in [
        ("*", "a.example.com", true),
        ("*", "1.1.1.1", true),
        ("*", "10.0.0.5", false),
        ("*", "private", false),
        ("private", "10.0.0.5", true),
        ("private", "169.254.169.254", false),
        ("private", "1.1.1.1", false),
        ("*.example.com", "example.com", false),
        ("*.example.com", "notexample.com", false),
        ("*", "github", true),
        ("github", "*", false),
    ] {
        assert_eq!(includes(outer, inner), has, "{outer} {inner}");
    }
}
