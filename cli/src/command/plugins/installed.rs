//! `kiln plugins installed`

use kiln_plan::fault;
use kiln_plugin_host::Query;

use crate::exit_code::Ended;
use crate::plugin_store;
use crate::render::Screen;

/// Lists the programs of all plug-ins that count on this machine, whatever protocol they speak.
pub(super) fn run(screen: &Screen) -> Ended {
    plugin_store::with(screen, async |store| match store.find(Query::all().any_protocol()).await {
        Ok(found) => {
            found.plugins.iter().for_each(|plugin| screen.note(&plugin.path.display().to_string()));
            Ended::Well
        }
        Err(error) => {
            screen.error(&fault::chain(&error));
            Ended::Failed
        }
    })
}
