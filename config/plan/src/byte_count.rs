//! Numbers of bytes in words for people, the same in events and on screens.

/// As `1.5 GiB`: cut, not rounded, after one decimal.
pub fn in_words(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scale = 0;
    while scale + 1 < units.len() && bytes >> (10 * (scale + 1)) > 0 {
        scale += 1;
    }
    if scale == 0 {
        return format!("{bytes} B");
    }
    // Shifted by one unit less, so that one decimal is left and nothing overflows.
    let tenths = (bytes >> (10 * (scale - 1))) * 10 / 1_024;
    format!("{}.{} {}", tenths / 10, tenths % 10, units[scale])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_with_one_decimal() {
        for (count, told) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (442_761_216, "422.2 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(in_words(count), told);
        }
    }
}
