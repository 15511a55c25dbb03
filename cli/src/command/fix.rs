//! `kiln fix`

use kiln_config::fix;

use super::{complain_of_count, old_template};
use crate::arguments::fix::FixArguments;
use crate::exit_code::Ended;
use crate::render::{Screen, diagnostic};

/// Prints an old JSON template as it would be written today.
pub(crate) fn run(arguments: &FixArguments, screen: &Screen) -> Ended {
    let path = match arguments.template.one_template() {
        Ok(path) => path,
        Err(count) => return complain_of_count(screen, "fix", count),
    };
    let file = match old_template::read(&arguments.template, path, screen) {
        Ok(file) => file,
        Err(ended) => return ended,
    };
    let fixed = match fix::fix(&file) {
        Ok(fixed) => fixed,
        Err(found) => return old_template::complain(screen, &found, file),
    };
    screen.say(&fixed.text);
    if !arguments.validate {
        return Ended::Well;
    }
    let (found, sources) = fix::check(&fixed, file.name());
    diagnostic::show(screen, &found, &sources);
    if found.has_errors() {
        screen.error("The template is fixed as far as that can be done, but it isn't valid.");
        return Ended::Failed;
    }
    Ended::Well
}
