//! The inventory that is made for a run: one guest, in its groups.

/// The guest's line when the template gives none.
pub(super) const LINE: &str =
    "{{.HostAlias}} ansible_host={{.Host}} ansible_user={{.User}} ansible_port={{.Port}}";

/// The whole text: the guest's line, the line again in each group, then the empty groups.
pub(super) fn text(line: &str, groups: &[String], empty_groups: &[String]) -> String {
    let line = line.trim_end();
    let groups = groups.iter().map(|g| format!("[{g}]\n{line}\n"));
    let empty = empty_groups.iter().map(|g| format!("[{g}]\n"));
    std::iter::once(format!("{line}\n")).chain(groups).chain(empty).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_stands_alone_and_in_each_of_its_groups() {
        let groups = ["web".to_owned()];
        assert_eq!(text("h a=1", &groups, &["none".to_owned()]), "h a=1\n[web]\nh a=1\n[none]\n");
    }
}
