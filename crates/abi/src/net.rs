//! Where programs go: hosts as they are asked for, what a capability says of them, and which addresses are
//! nobody's business.
//!
//! ```text
//! api.example.com   10.0.0.5   2001:db8::1      a host, in the one spelling that is taken
//! *   *.example.com   github   private             what a capability may say beside one
//! :443   :*                                     a port of it, all of them; 80 and 443 if none is named
//! ```
//! A host has one spelling, so that what was decided about and what is connected to cannot differ: anything
//! that some library reads as an address though it is spelled otherwise (WHATWG URL, "ends in a number") is
//! refused, as is every letter that is not ASCII: a name of other letters comes as its `xn--` form (RFC
//! 5891). Never here: name look-up, and names of hosts of any service.

use crate::Error;
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use musli::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Words that stand for the hosts of a service: the machine knows which these are.
pub const PRESETS: [&str; 4] = ["crates", "github", "npm", "pypi"];
/// Bytes of a name (RFC 1035, section 2.3.4), and of one label of it.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;
/// Ports of the web.
const WEB: [u16; 2] = [80, 443];
/// Where clouds tell their machines who they are and what opens what.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// A host in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[musli(transparent)]
#[serde(transparent)]
pub struct Host(String);

impl Host {
    /// A name in any case, or an address; one of version 6 may stand in brackets.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            let shown: String = text.chars().take(64).collect();
            Error::invalid("host", format!("{shown:?} is no host: {why}"))
                .hint("a name as api.example.com, or an address as 192.0.2.1 or 2001:db8::1")
        };
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse::<Ipv6Addr>() {
            return Ok(Self(address.to_string()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self(address.to_string()));
        }
        if text.is_empty() || text.len() > NAME_MAX {
            return Err(bad("it is empty, or longer than 253 bytes"));
        }
        if !text.is_ascii() {
            return Err(bad("a name of other letters is written in its xn-- form"));
        }
        let label = |label: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let ends = label.starts_with('-') || label.ends_with('-');
            (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(good) && !ends
        };
        if !text.split('.').all(label) {
            return Err(bad("a name is labels of letters, digits and -, with one dot between"));
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number(last) || hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(bad("an address of version 4 is four decimal numbers"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Itself, if it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Host {
    /// As before a port: an address of version 6 in brackets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(out, "[{}]", self.0) } else { out.write_str(&self.0) }
    }
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Somebody's on the internet.
    Public,
    /// This host's, this network's, or of a form in which another address may hide.
    Private,
    /// A cloud's own, which gives out keys.
    Metadata,
    /// Nobody's to connect to: all of them, many, none.
    Never,
}

/// Whose an address is: public is only what the registries of special addresses (IANA, RFC 6890) leave.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            // What hides in another form is at best private.
            Some(inner) => reach_v4(inner).max(Reach::Private),
            None => reach_v6(address),
        },
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        _ if address == METADATA_V4 => Reach::Metadata,
        (0 | 224..=255, ..) => Reach::Never,
        (10 | 127, ..) | (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) => Reach::Private,
        (192, 0, 0 | 2) | (192, 88, 99) | (192, 168, _) => Reach::Private,
        (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let [first, second, ..] = address.segments();
    match first {
        _ if address == METADATA_V6 => Reach::Metadata,
        _ if address.is_unspecified() || address.is_multicast() => Reach::Never,
        // Protocols of the IETF (with Teredo), documentation.
        0x2001 if second < 0x200 || second == 0xdb8 => Reach::Private,
        0x3fff if second < 0x1000 => Reach::Private,
        0x2000..=0x3fff => Reach::Public,
        _ => Reach::Private,
    }
}

/// An address of version 4 in one of version 6: mapped, compatible, translated (RFC 6052, RFC 8215), 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(last(high, low)),
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => Some(last(high, low)),
        [0x2002, high, low, ..] => Some(last(high, low)),
        _ => None,
    }
}

/// Which hosts a capability is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hosts {
    /// Every one there is: the workspace's own, of which all others are parts.
    All,
    /// Every name and every public address.
    Any,
    /// Names below this one: `*.example.com`.
    Below(Host),
    /// This one.
    One(Host),
    /// Those of a service.
    Preset(String),
    /// Addresses that are not public, and names that lead to them.
    Private,
}

/// Which of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ports {
    /// 80 and 443.
    Web,
    /// This one.
    One(u16),
    /// All.
    Any,
}

impl Ports {
    /// Whether everything `other` names is named by this.
    pub fn includes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (Self::Web, Self::Web) => true,
            (Self::Web, Self::One(port)) => WEB.contains(&port),
            (Self::One(mine), Self::One(theirs)) => mine == theirs,
            (Self::Web | Self::One(_), _) => false,
        }
    }
}

/// Whether the host is an address that only its own name or `private` gives.
fn is_apart(host: &Host) -> Option<Reach> {
    host.address().map(reach).filter(|reach| *reach != Reach::Public)
}

impl Hosts {
    /// Whether everything `other` names is named by this.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (mine, theirs) if mine == theirs => true,
            (Self::Any, Self::Below(_) | Self::Preset(_)) => true,
            (Self::Any | Self::Below(_) | Self::Private, Self::One(host)) => self.has(host, &[]),
            (Self::Below(outer), Self::Below(inner)) => is_below(inner, outer),
            (Self::Any | Self::Below(_) | Self::One(_) | Self::Preset(_) | Self::Private, _) => false,
        }
    }

    /// Whether the host, which belongs to these services, is one of them.
    pub fn has(&self, host: &Host, presets: &[String]) -> bool {
        match self {
            Self::All => true,
            Self::Any => is_apart(host).is_none(),
            Self::Below(of) => is_below(host, of),
            Self::One(one) => one == host,
            Self::Preset(name) => presets.contains(name) && is_apart(host).is_none(),
            Self::Private => is_apart(host) == Some(Reach::Private),
        }
    }

    /// The same, as what keeps back sees it: `*` keeps back every host.
    pub fn keeps(&self, host: &Host, presets: &[String]) -> bool {
        match self {
            Self::Any => true,
            Self::Preset(name) => presets.contains(name),
            _ => self.has(host, presets),
        }
    }
}

fn is_below(host: &Host, of: &Host) -> bool {
    let above = host.as_str().strip_suffix(of.as_str()).and_then(|rest| rest.strip_suffix('.'));
    above.is_some_and(|rest| !rest.is_empty())
}

/// What words say of hosts and ports: `*`, `*.example.com`, `npm`, `private`, `HOST`, each with `:PORT` or
/// `:*` after it.
pub fn parse(text: &str) -> Result<(Hosts, Ports), Error> {
    let bad = |why: &str| {
        Error::invalid("host", format!("{text:?} names no hosts: {why}"))
            .hint(format!("HOST, *.HOST, *, private, {}; with :PORT or :*", PRESETS.join(", ")))
    };
    let split = text.rsplit_once(':').filter(|(host, _)| host.ends_with(']') || !host.contains(':'));
    let (hosts, port) = split.map_or((text, None), |(hosts, port)| (hosts, Some(port)));
    let ports = match port {
        None => Ports::Web,
        Some("*") => Ports::Any,
        Some(port) => Ports::One(port_of(port).ok_or_else(|| bad("its port is not one"))?),
    };
    // What belongs to a service says where; and what is private seldom stands at the ports of the web.
    let wide = if port.is_none() { Ports::Any } else { ports };
    if hosts == "*" {
        return Ok((Hosts::Any, ports));
    }
    if hosts == "private" {
        return Ok((Hosts::Private, wide));
    }
    if PRESETS.contains(&hosts) {
        return Ok((Hosts::Preset(hosts.to_string()), wide));
    }
    match hosts.strip_prefix("*.") {
        Some(below) => {
            let host = Host::parse(below)?;
            if host.address().is_some() {
                Err(bad("nothing is below an address"))
            } else {
                Ok((Hosts::Below(host), ports))
            }
        }
        None => Ok((Hosts::One(Host::parse(hosts)?), ports)),
    }
}

/// A port as it is written: digits only, from 1.
pub fn port_of(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|port| *port > 0)
}

/// The words of which these were made.
pub fn words(hosts: &Hosts, ports: Ports) -> String {
    let named = match hosts {
        Hosts::All => String::from("all"),
        Hosts::Any => String::from("*"),
        Hosts::Below(host) => format!("*.{host}"),
        Hosts::One(host) => match ports {
            Ports::Web => host.as_str().to_string(),
            _ => host.to_string(),
        },
        Hosts::Preset(name) => name.clone(),
        Hosts::Private => String::from("private"),
    };
    let wide = matches!(hosts, Hosts::All | Hosts::Preset(_) | Hosts::Private);
    match ports {
        Ports::Web => named,
        Ports::Any if wide => named,
        Ports::Any => format!("{named}:*"),
        Ports::One(port) => format!("{named}:{port}"),
    }
}

/// One connection that a program wants, or one request on it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Asked {
    /// Where.
    pub host: Host,
    /// There.
    pub port: u16,
    /// What is asked there; none: bytes that nobody looks into.
    pub method: Option<String>,
    /// Services that the host belongs to, as the machine knows them.
    pub presets: Vec<String>,
    /// Whether it goes over TLS that we speak to the host: only there a secret is put in.
    #[musli(default)]
    #[serde(default)]
    pub secure: bool,
    /// A POST that only looks: git asks so for what a repository has.
    #[musli(default)]
    #[serde(default)]
    pub fetches: bool,
}

impl Asked {
    /// Whether it only looks (RFC 9110, section 9.2.1).
    pub fn reads(&self) -> bool {
        let fetches = self.fetches && self.method.as_deref() == Some("POST");
        fetches
            || self
                .method
                .as_ref()
                .is_some_and(|method| ["GET", "HEAD", "OPTIONS"].contains(&method.as_str()))
    }
}

#[cfg(test)]
mod tests;
