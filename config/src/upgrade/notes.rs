//! The comments of `-with-annotations`.

pub(super) const HEAD: [&str; 1] = [
    "Made from a JSON template by kiln hcl2_upgrade. The blocks may be moved to other files of this directory\n\
    whose names end with .pkr.hcl: they are read together when the directory is built. The JSON template is no\n\
    longer needed once kiln validate and a build agree.\n\n\
    Strings may still hold actions such as {{ .Vars }}: the component renders those itself, after all ${...}.",
];

pub(super) const GATE: &str =
    "The oldest version that reads this template, and the plug-ins it needs; kiln init installs them.";

pub(super) const VARIABLES: &str = "What can be set with -var, in a var file or as PKR_VAR_name. Variables of JSON templates are strings;\n\
    give them a better type where one fits.";

pub(super) const DATA: &str = "Questions that are answered before the build begins.";

pub(super) const LOCALS: &str =
    "Computed values. Those with a variable of the same name can be set through it.";

pub(super) const SOURCES: &str = "One source for each builder. A source does nothing until a build names it.";

pub(super) const BUILD: &str = "What happens to the sources: provisioners in order, then post-processors.";
