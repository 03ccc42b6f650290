//! Blocks of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses. IPv4 addresses that come as IPv6 (`::ffff:10.0.0.1`) count as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix_bits: u32,
}

impl Cidr {
    /// Whether `address` lies in this block.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                let drop = 32 - self.prefix_bits;
                u32::from(block).checked_shr(drop).unwrap_or(0) == u32::from(address).checked_shr(drop).unwrap_or(0)
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => {
                let drop = 128 - self.prefix_bits;
                u128::from(block).checked_shr(drop).unwrap_or(0) == u128::from(address).checked_shr(drop).unwrap_or(0)
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an address block such as 10.0.0.0/8 or 2001:db8::/32");
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(wrong)?,
            None => bits_max,
        };
        Ok(Self { address, prefix_bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_lies_in_them() {
        let table = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ];
        for (block, address, inside) in table {
            assert_eq!(
                block.parse::<Cidr>().unwrap().contains(address.parse().unwrap()),
                inside,
                "{address} in {block}"
            );
        }
        for wrong in ["10.0.0.0/33", "10.0.0/8", "", "::/129", "10.0.0.0/-1", "a/8"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }
}
