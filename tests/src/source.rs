//! Templates with guests of the builder `qemu`, written by tests.

use std::collections::BTreeMap;
use std::path::Path;

use crate::guest;

/// A source of the builder `qemu`. The accelerator is left out: the program finds out what the machine can do.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    options: BTreeMap<String, String>,
}

impl Source {
    /// The small guest's disk, with a login and a shutdown command.
    pub fn small(name: &str) -> Self {
        Self::of_disk(name, &guest::file("small.qcow2")).with_login().text("shutdown_command", "poweroff")
    }

    /// The guest of a disk image, without a communicator.
    pub fn of_disk(name: &str, disk: &Path) -> Self {
        Self::of_iso(name, disk).set("disk_image", "true")
    }

    /// A guest with an empty disk and an ISO, without a communicator.
    pub fn of_iso(name: &str, iso: &Path) -> Self {
        let source = Self { name: name.to_owned(), options: BTreeMap::new() };
        source
            .text("iso_url", &iso.display().to_string())
            .text("iso_checksum", "none")
            .set("headless", "true")
            .text("disk_size", "2G")
            .text("communicator", "none")
    }

    /// The small guest's login.
    #[must_use]
    pub fn with_login(self) -> Self {
        let source = self.without("communicator").text("ssh_username", "root");
        source.text("ssh_password", guest::PASSWORD).text("ssh_timeout", "4m")
    }

    /// Sets an option to an expression of the template language.
    #[must_use]
    pub fn set(mut self, option: &str, expression: &str) -> Self {
        self.options.insert(option.to_owned(), expression.to_owned());
        self
    }

    /// Sets an option to a text, which may have `${}` in it.
    #[must_use]
    pub fn text(self, option: &str, text: &str) -> Self {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        self.set(option, &format!("\"{quoted}\""))
    }

    /// Takes an option away.
    #[must_use]
    pub fn without(mut self, option: &str) -> Self {
        self.options.remove(option);
        self
    }

    /// The source as a block of a template.
    pub fn block(&self) -> String {
        let options = self.options.iter().map(|(name, value)| format!("  {name} = {value}\n"));
        format!("source \"qemu\" \"{}\" {{\n{}}}\n", self.name, options.collect::<String>())
    }

    /// A template that builds this source; `rest` is what stands in the build besides.
    pub fn template(&self, rest: &str) -> String {
        template(std::slice::from_ref(self), rest)
    }
}

/// A template that builds `sources` in one build block.
pub fn template(sources: &[Source], rest: &str) -> String {
    let blocks: String = sources.iter().map(Source::block).collect();
    let names = sources.iter().map(|s| format!("\"qemu.{}\"", s.name)).collect::<Vec<_>>().join(", ");
    format!("{blocks}build {{\n  sources = [{names}]\n{rest}}}\n")
}

/// A `shell` provisioner with these lines.
pub fn shell(lines: &[&str]) -> String {
    let lines = lines.iter().map(|l| format!("{l:?}")).collect::<Vec<_>>().join(", ");
    format!("  provisioner \"shell\" {{\n    inline = [{lines}]\n  }}\n")
}
