//! Character sets by their IANA names. UTF-16 and ISO-8859-1 are done here, because the web's encoders, which do
//! the rest, can't write the one and take the other for Windows-1252.

use encoding_rs::Encoding;

/// A character set.
pub(super) enum Charset {
    Utf8,
    /// With a byte order mark when encoding; big-endian unless a mark says otherwise.
    Utf16,
    Utf16Be,
    Utf16Le,
    Latin1,
    Other(&'static Encoding),
}

/// The character set of that name, in any case.
pub(super) fn find(name: &str) -> Result<Charset, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Charset::Utf8,
        "utf-16" => Charset::Utf16,
        "utf-16be" => Charset::Utf16Be,
        "utf-16le" => Charset::Utf16Le,
        "iso-8859-1" | "iso_8859-1" | "latin1" | "l1" => Charset::Latin1,
        // The web takes ASCII for Windows-1252; Go doesn't know it.
        "us-ascii" | "ascii" => return Err(unsupported(name)),
        other => {
            let found = Encoding::for_label_no_replacement(other.as_bytes());
            Charset::Other(found.ok_or_else(|| unsupported(name))?)
        }
    })
}

fn unsupported(name: &str) -> String {
    format!("{name:?} is not a supported IANA encoding name or alias; PowerShell wants \"UTF-16LE\"")
}

impl Charset {
    /// The bytes for `text`.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u8>, String> {
        let beyond = || "the string contains characters that the encoding does not have".to_owned();
        Ok(match self {
            Charset::Utf8 => text.as_bytes().to_vec(),
            Charset::Utf16 => {
                [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect()
            }
            Charset::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Charset::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Charset::Latin1 => {
                text.chars().map(u8::try_from).collect::<Result<_, _>>().map_err(|_| beyond())?
            }
            Charset::Other(encoding) => match encoding.encode(text) {
                (bytes, _, false) => bytes.into_owned(),
                (_, _, true) => return Err(beyond()),
            },
        })
    }

    /// The text of `bytes`.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        let broken = || "the given source is not valid in the encoding".to_owned();
        match self {
            Charset::Utf8 => String::from_utf8(bytes.to_vec()).map_err(|_| broken()),
            Charset::Utf16 => match bytes {
                [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).ok_or_else(broken),
                [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).ok_or_else(broken),
                _ => Err("the given source lacks a byte order mark".to_owned()),
            },
            Charset::Utf16Be => utf16(bytes, u16::from_be_bytes).ok_or_else(broken),
            Charset::Utf16Le => utf16(bytes, u16::from_le_bytes).ok_or_else(broken),
            Charset::Latin1 => Ok(bytes.iter().map(|b| char::from(*b)).collect()),
            Charset::Other(encoding) => {
                let decoded = encoding.decode_without_bom_handling_and_without_replacement(bytes);
                decoded.map(std::borrow::Cow::into_owned).ok_or_else(broken)
            }
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let pairs = bytes.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let units: Vec<u16> = pairs.map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}
