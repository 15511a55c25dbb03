//! `kiln plugins required`

use kiln_plan::fault;
use kiln_plugin_host::Query;

use crate::arguments::plugins::RequiredArguments;
use crate::command::init;
use crate::exit_code::Ended;
use crate::plugin_store;
use crate::render::Screen;

/// Lists the plug-ins that a template requires, each with those installed ones that will do:
/// `amazon github.com/hashicorp/amazon ">= 1.0" /path/of/one …`.
pub(super) fn run(arguments: &RequiredArguments, screen: &Screen) -> Ended {
    let Some(template) = init::template(&arguments.template, "plugins required", screen) else {
        return Ended::Failed;
    };
    let wanted = plugin_store::wanted(template.required_plugins());
    if wanted.is_empty() {
        screen.note("This template requires no plug-ins: it has no required_plugins block.");
        return Ended::Well;
    }
    plugin_store::with(screen, async |store| {
        for plugin in &wanted {
            let found = match store.find(Query::of(&plugin.requirement)).await {
                Ok(found) => found,
                Err(error) => {
                    screen.error(&fault::chain(&error));
                    return Ended::Failed;
                }
            };
            let (source, constraints) = (&plugin.requirement.source, plugin.requirement.constraints());
            let paths: String = found.plugins.iter().map(|p| format!(" {}", p.path.display())).collect();
            screen.note(&format!("{} {source} {constraints:?}{paths}", plugin.accessor));
        }
        Ended::Well
    })
}
