//! The options of the HTTP server beside the guest, which builders append to their own.

use std::collections::BTreeMap;

use kiln_lang::decode::decode;
use kiln_lang::{Diagnostic, Diagnostics, Value};
use kiln_plan::OptionSchema;
use kiln_plan::schema::OptionType::{Integer, String as Text, StringMap};
use serde::Deserialize;

use crate::port::PortRange;

/// What a template says about the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// What is served; `None` when nothing is.
    pub served: Option<HttpSource>,
    /// The ports to choose from.
    pub ports: PortRange,
    /// Where to listen, when the template says so.
    pub bind_address: Option<String>,
    /// The network interface whose address the guest is told, where a builder asks for it.
    pub interface: Option<String>,
}

/// What is served, as the template has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpSource {
    /// `http_directory`
    Directory(String),
    /// `http_content`
    Content(BTreeMap<String, String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    http_directory: String,
    http_content: BTreeMap<String, String>,
    http_port_min: i64,
    http_port_max: i64,
    http_bind_address: String,
    http_interface: String,
    http_network_protocol: String,
}

/// The options, as data.
pub fn options() -> Vec<OptionSchema> {
    let option = OptionSchema::new;
    vec![
        option("http_directory", Text, "A directory to serve to the guest over HTTP while it is built."),
        option(
            "http_content",
            StringMap,
            "Texts to serve to the guest over HTTP, by path; not with http_directory.",
        ),
        option("http_port_min", Integer, "The lowest port of the HTTP server.").default("8000"),
        option("http_port_max", Integer, "One above the highest port of the HTTP server.").default("9000"),
        option("http_bind_address", Text, "The address that the HTTP server listens on.").default("0.0.0.0"),
        option(
            "http_interface",
            Text,
            "The network interface of the HTTP server; not with http_bind_address.",
        ),
        option("http_network_protocol", Text, "The protocol below HTTP.").default("tcp").values(&[
            "tcp",
            "tcp4",
            "tcp6",
            "unix",
            "unixpacket",
        ]),
    ]
}

impl HttpConfig {
    /// Reads and checks the options; what is wrong goes to `found`.
    pub fn parse(options: &Value, found: &mut Diagnostics) -> Option<Self> {
        let raw: Raw = match decode(options) {
            Ok(raw) => raw,
            Err(errors) => {
                found.extend(errors.0.iter().map(|e| Diagnostic::error("Invalid option", e.to_string())));
                return None;
            }
        };
        let mut error = |summary: &str, detail: String| found.push(Diagnostic::error(summary, detail));
        if !raw.http_interface.is_empty() && !raw.http_bind_address.is_empty() {
            error(
                "Either http_interface or http_bind_address can be specified",
                "The server listens on one address; remove one of the two options.".to_owned(),
            );
        }
        match raw.http_network_protocol.as_str() {
            "" | "tcp" | "tcp4" | "tcp6" => {}
            socket @ ("unix" | "unixpacket") => {
                error(
                    "Invalid http_network_protocol",
                    format!("A guest can't reach a {socket:?} socket; use tcp."),
                );
            }
            other => error("Invalid http_network_protocol", format!("{other:?} is not tcp, tcp4 or tcp6.")),
        }
        if !raw.http_directory.is_empty() && !raw.http_content.is_empty() {
            error(
                "http_content and http_directory are mutually exclusive",
                "Put the texts into the directory, or the files into http_content with file().".to_owned(),
            );
        }
        for path in raw.http_content.keys().filter(|path| !path.starts_with('/')) {
            error(
                "Invalid http_content",
                format!("The path {path:?} must begin with a slash: write \"/{path}\"."),
            );
        }
        let ports = port_range("http", (raw.http_port_min, raw.http_port_max), (8000, 9000), found);
        let text = |text: String| Some(text).filter(|t| !t.is_empty());
        let served = match (raw.http_directory, raw.http_content) {
            (directory, _) if !directory.is_empty() => Some(HttpSource::Directory(directory)),
            (_, content) if !content.is_empty() => Some(HttpSource::Content(content)),
            _ => None,
        };
        let bind_address = text(raw.http_bind_address);
        Some(Self { served, ports, bind_address, interface: text(raw.http_interface) })
    }
}

/// The range of `<name>_port_min` and `<name>_port_max`; 0 means the default.
pub fn port_range(name: &str, given: (i64, i64), default: (u16, u16), found: &mut Diagnostics) -> PortRange {
    let mut bound = |side: &str, given: i64, default: u16| match u16::try_from(given) {
        Ok(0) => default,
        Ok(port) => port,
        Err(_) => {
            found.push(Diagnostic::error(
                format!("Invalid {name}_port_{side}"),
                format!("{given} is not a port; ports go from 1 to 65535."),
            ));
            default
        }
    };
    let range = PortRange { min: bound("min", given.0, default.0), max: bound("max", given.1, default.1) };
    if range.min > range.max {
        found.push(Diagnostic::error(
            format!("{name}_port_min must be less than {name}_port_max"),
            format!("The range from {} to {} holds no port.", range.min, range.max),
        ));
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, Value)]) -> (Option<HttpConfig>, String) {
        let mut found = Diagnostics::new();
        let options = Value::object(options.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        let config = HttpConfig::parse(&options, &mut found);
        (config, found.iter().map(|d| d.summary.clone()).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn the_schema_and_the_struct_agree() {
        let mut names: Vec<_> = options().iter().map(|o| o.name.to_string()).collect();
        let mut fields = kiln_lang::decode::field_names::<Raw>().to_vec();
        names.sort();
        fields.sort_unstable();
        assert_eq!(names, fields);
    }

    #[test]
    fn a_silent_template_serves_nothing() {
        let (config, found) = parse(&[]);
        let config = config.expect("a config");
        assert_eq!((config.served, config.bind_address, found.as_str()), (None, None, ""));
        assert_eq!(config.ports, PortRange { min: 8000, max: 9000 });
    }

    #[test]
    fn what_is_wrong_is_told() {
        let content = Value::object([("a".to_owned(), Value::string("x"))]);
        let cases: [(&[(&str, Value)], &str); 5] = [
            (
                &[("http_port_min", 9000.into()), ("http_port_max", 8000.into())],
                "http_port_min must be less than http_port_max",
            ),
            (&[("http_port_min", 70000.into())], "Invalid http_port_min"),
            (
                &[("http_directory", "d".into()), ("http_content", content.clone())],
                "http_content and http_directory are mutually exclusive; Invalid http_content",
            ),
            (
                &[("http_interface", "e".into()), ("http_bind_address", "1.1.1.1".into())],
                "Either http_interface or http_bind_address can be specified",
            ),
            (&[("http_network_protocol", "udp".into())], "Invalid http_network_protocol"),
        ];
        for (options, expected) in cases {
            let found = parse(options).1;
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
