//! Functions on IP networks. An address is a number of 32 or 128 bits; everything else is arithmetic on it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::argument::{Outcome, bounded, integer, number, string, string_list, text};
use super::{Function, FunctionError};
use crate::types::Type;
use crate::value::Value;

/// The most bits that a prefix may be extended by at once.
const MAX_NEW_BITS: i64 = 32;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("cidrhost", [string("prefix"), number("hostnum")], Type::String, |args| {
            bounded(host(&network(args)?, integer(args, 1)?)?.to_string())
        }),
        Function::new("cidrnetmask", [string("prefix")], Type::String, |args| {
            let network = network(args)?;
            bounded(Address { bits: network.mask(), v6: network.v6 }.to_string())
        }),
        Function::new(
            "cidrsubnet",
            [string("prefix"), number("newbits"), number("netnum")],
            Type::String,
            |args| bounded(subnet(&network(args)?, integer(args, 1)?, integer(args, 2)?)?.to_string()),
        ),
        Function::new("cidrsubnets", [string("prefix")], Type::list(Type::String), subnets)
            .variadic(number("newbits")),
    ]
}

#[derive(Clone, Copy)]
struct Address {
    bits: u128,
    v6: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.bits) {
            Ok(bits) if !self.v6 => Ipv4Addr::from(bits).fmt(f),
            _ => Ipv6Addr::from(self.bits).fmt(f),
        }
    }
}

#[derive(Clone, Copy)]
struct Network {
    first: u128,
    prefix: u32,
    v6: bool,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Address { bits: self.first, v6: self.v6 }, self.prefix)
    }
}

impl Network {
    fn width(&self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }

    /// The highest host number.
    fn max_host(&self) -> u128 {
        match self.width() - self.prefix {
            128 => u128::MAX,
            bits => (1 << bits) - 1,
        }
    }

    fn mask(&self) -> u128 {
        let all = if self.v6 { u128::MAX } else { u128::from(u32::MAX) };
        all & !self.max_host()
    }

    fn last(&self) -> u128 {
        self.first | self.max_host()
    }
}

/// The network in argument 0, with host bits cleared.
fn network(args: &[Value]) -> Result<Network, FunctionError> {
    let source = text(args, 0)?;
    let invalid =
        || FunctionError::argument(0, format!("invalid CIDR expression: invalid CIDR address: {source}"));
    let (address, prefix) = source.split_once('/').ok_or_else(invalid)?;
    let digits = !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix: u32 = if digits { prefix.parse().map_err(|_| invalid())? } else { return Err(invalid()) };
    let (bits, v6) = match address.parse::<std::net::IpAddr>().map_err(|_| invalid())? {
        std::net::IpAddr::V4(address) => (u128::from(u32::from(address)), false),
        std::net::IpAddr::V6(address) => (u128::from(address), true),
    };
    let mut network = Network { first: bits, prefix, v6 };
    if prefix > network.width() {
        return Err(invalid());
    }
    network.first &= network.mask();
    Ok(network)
}

/// The address of host `number`; negative numbers count from the end.
fn host(network: &Network, number: i64) -> Result<Address, FunctionError> {
    let distance = u128::from(number.unsigned_abs());
    let offset = if number < 0 {
        network.max_host().checked_sub(distance - 1)
    } else {
        Some(distance).filter(|d| *d <= network.max_host())
    };
    let offset = offset.ok_or_else(|| {
        let message = format!("prefix of {} does not accommodate a host numbered {number}", network.prefix);
        FunctionError::argument(1, message)
    })?;
    Ok(Address { bits: network.first | offset, v6: network.v6 })
}

fn subnet(network: &Network, new_bits: i64, number: i64) -> Result<Network, FunctionError> {
    if new_bits > MAX_NEW_BITS {
        return Err(FunctionError::argument(1, "may not extend prefix by more than 32 bits"));
    }
    let new_bits = u32::try_from(new_bits)
        .map_err(|_| FunctionError::argument(1, "the number of new bits must not be negative"))?;
    let prefix = network.prefix + new_bits;
    if prefix > network.width() {
        return Err(FunctionError::argument(
            1,
            format!("insufficient address space to extend prefix of {} by {new_bits}", network.prefix),
        ));
    }
    let position = u128::try_from(number).ok().filter(|n| *n < 1 << new_bits).ok_or_else(|| {
        let message =
            format!("prefix extension of {new_bits} does not accommodate a subnet numbered {number}");
        FunctionError::argument(2, message)
    })?;
    let shifted = position.checked_shl(network.width() - prefix).unwrap_or(0);
    Ok(Network { first: network.first | shifted, prefix, ..*network })
}

/// Consecutive subnets, each with its own number of new bits, each aligned to its size.
fn subnets(args: &[Value]) -> Outcome {
    let network = network(args)?;
    let mut found = Vec::new();
    let mut free = Some(network.first);
    for index in 1..args.len() {
        let fail = |message: String| FunctionError::argument(index, message);
        let new_bits = integer(args, index)?;
        if new_bits < 1 {
            return Err(fail("must extend prefix by at least one bit".to_owned()));
        }
        if new_bits > MAX_NEW_BITS {
            return Err(fail("may not extend prefix by more than 32 bits".to_owned()));
        }
        let prefix = network.prefix + u32::try_from(new_bits).unwrap_or(0);
        if prefix > network.width() {
            let protocol = if network.v6 { "IPv6" } else { "IPv4" };
            return Err(fail(format!(
                "would extend prefix to {prefix} bits, which is too long for an {protocol} address"
            )));
        }
        let mut next = Network { prefix, ..network };
        let aligned =
            free.and_then(|free| free.checked_add(next.max_host())).map(|end| end & !next.max_host());
        let first = aligned.filter(|first| *first <= network.last()).ok_or_else(|| {
            let after = found.last().map_or_else(|| network.to_string(), Network::to_string);
            fail(format!(
                "not enough remaining address space for a subnet with a prefix of {prefix} bits after {after}"
            ))
        })?;
        next.first = first;
        free = next.last().checked_add(1);
        found.push(next);
    }
    Ok(string_list(found.iter().map(Network::to_string)))
}
