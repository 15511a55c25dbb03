//! What a machine must offer, read off a plan's builder. Only QEMU's says how much of a machine it uses; the
//! others build elsewhere, or leave it to the `*.kiln.hcl` file.

use kiln_lang::convert::primitive_text;
use kiln_plan::{Acceleration, Accelerator, BuildPlan, ComponentConfig, Leaf, Requirements};

/// What QEMU's builder takes when the template doesn't say.
const QEMU_MEMORY_MIB: u64 = 512;
const QEMU_PROCESSORS: u64 = 1;
const QEMU_PROGRAM: &str = "qemu-system-x86_64";

/// The requirements of a plan that is otherwise complete.
pub(super) fn of(plan: &BuildPlan) -> Requirements {
    let builder = std::iter::once(&plan.builder);
    let provisioners = plan.provisioners.iter().chain(&plan.error_cleanup).map(|p| &p.component);
    let post_processors = plan.post_processors.iter().flatten().map(|p| &p.component);
    let all = builder.chain(provisioners).chain(post_processors);
    let components = all.map(|c| format!("{}/{}", c.kind.noun().replace(' ', "-"), c.name)).collect();
    let (cpus, memory_mib) = (whole(&plan.builder, "cpus"), whole(&plan.builder, "memory"));
    let processors = |cpus| u32::try_from(cpus).unwrap_or(u32::MAX);
    if plan.builder.name != "qemu" {
        let (cpus, memory_mib) = (processors(cpus.unwrap_or(0)), memory_mib.unwrap_or(0));
        return Requirements { components, cpus, memory_mib, ..Requirements::default() };
    }
    Requirements {
        components,
        cpus: processors(cpus.unwrap_or(QEMU_PROCESSORS)),
        memory_mib: memory_mib.unwrap_or(QEMU_MEMORY_MIB),
        disk_mib: disk_mib(&plan.builder),
        acceleration: acceleration(&plan.builder),
        ..Requirements::default()
    }
}

/// Without a word about it QEMU uses KVM where it can. `tcg` and `none` emulate.
fn acceleration(builder: &ComponentConfig) -> Acceleration {
    let program = text(builder, "qemu_binary").unwrap_or_else(|| QEMU_PROGRAM.to_owned());
    let arch = program.rsplit('/').next().and_then(|name| name.strip_prefix("qemu-system-"));
    let accelerator = |name: String| Accelerator { name, arch: arch.map(str::to_owned) };
    match text(builder, "accelerator").filter(|name| !name.is_empty()) {
        None => Acceleration::Preferred(accelerator("kvm".into())),
        Some(name) if matches!(name.as_str(), "tcg" | "none") => Acceleration::Any,
        Some(name) => Acceleration::Required(accelerator(name)),
    }
}

/// What the guest's disks may grow to, as far as the template says it: the main disk in MiB without unit,
/// further ones in bytes.
fn disk_mib(builder: &ComponentConfig) -> u64 {
    let main = text(builder, "disk_size").and_then(|size| mebibytes(&size, 1 << 20));
    let further = match builder.body.attribute("disk_additional_size") {
        Some(Leaf::Value(value)) => value.as_items().unwrap_or_default(),
        _ => &[],
    };
    let further = further.iter().filter_map(|size| mebibytes(&primitive_text(size)?, 1));
    further.fold(main.unwrap_or(0), u64::saturating_add)
}

/// `20G`, `20 GiB` in MiB, rounded up; a number without unit counts `unit` bytes.
pub(crate) fn mebibytes(size: &str, unit: u64) -> Option<u64> {
    let size = size.trim();
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match size[digits.len()..].to_ascii_lowercase().as_str() {
        "" => unit,
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = digits.trim_end().parse::<u64>().ok()?.checked_mul(factor)?;
    Some(bytes.div_ceil(1 << 20))
}

/// An option that is a whole number; `None` when it isn't known.
fn whole(component: &ComponentConfig, option: &str) -> Option<u64> {
    text(component, option)?.parse().ok()
}

fn text(component: &ComponentConfig, option: &str) -> Option<String> {
    match component.body.attribute(option) {
        Some(Leaf::Value(value)) => primitive_text(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_qemu_reads_them_and_people_write_them() {
        let cases = [
            ("40960", 1 << 20, Some(40_960)),
            ("20G", 1 << 20, Some(20_480)),
            ("1048577", 1, Some(2)),
            ("1t", 1, Some(1 << 20)),
            ("64 GiB", 1 << 20, Some(65_536)),
            ("big", 1, None),
            ("20X", 1, None),
        ];
        for (size, unit, expected) in cases {
            assert_eq!(mebibytes(size, unit), expected, "{size}");
        }
    }
}
