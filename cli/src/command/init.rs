//! `kiln init`

use std::sync::Arc;

use kiln_agent::catalog::Factories;
use kiln_config::{SharedHost, Template};
use kiln_lang::{Diagnostic, Diagnostics, SourceMap};
use kiln_plan::build::Dialect;
use kiln_plan::plugin::public;
use kiln_plan::{Catalog, Constraints, fault};
use kiln_plugin_host::installer::Again;
use kiln_plugin_host::source::MirrorError;
use kiln_plugin_host::{Installer, Outcome, Placed, Query, Releases, Requirement, Store, source};

use crate::arguments::TemplateArguments;
use crate::arguments::init::InitArguments;
use crate::command::complain_of_count;
use crate::exit_code::Ended;
use crate::local_host::LocalHost;
use crate::plugin_store::{self, Bars, Wanted};
use crate::render::{Screen, Tone, diagnostic, style};
use crate::request;

/// Installs the plug-ins that a template requires and that aren't there.
pub(crate) fn run(arguments: &InitArguments, screen: &Screen) -> Ended {
    let Some(template) = template(&arguments.template, "init", screen) else { return Ended::Failed };
    if template.dialect() == Dialect::LegacyJson {
        let detail = "Legacy JSON templates can't say which plug-ins they require. Install each by: kiln plugins \
                      install SOURCE";
        let found = Diagnostics::from(Diagnostic::error("kiln init reads HCL2 templates only", detail));
        diagnostic::show(screen, &found, &SourceMap::default());
        return Ended::Failed;
    }
    let wanted = plugin_store::wanted(template.required_plugins());
    if wanted.is_empty() {
        screen.note("This template requires no plug-ins: it has no required_plugins block.");
        return Ended::Well;
    }
    // A mirror that isn't there matters only when something must come from it.
    let places = source::from_environment(&|name| std::env::var_os(name));
    plugin_store::with(screen, async |store| {
        let init = Init {
            store,
            places: places.as_deref(),
            catalog: Factories::builtin().catalog(),
            arguments,
            screen,
        };
        let mut ended = Ended::Well;
        for plugin in &wanted {
            if let Err(why) = init.one(plugin).await {
                screen.settle();
                screen.error(&format!("Failed getting the \"{}\" plugin:", plugin.requirement.source));
                screen.error(&why);
                ended = Ended::Failed;
            }
        }
        ended
    })
}

/// The template, read as far as requirements go; nothing when it isn't fine, which has been told.
pub(super) fn template(arguments: &TemplateArguments, command: &str, screen: &Screen) -> Option<Template> {
    let path = match arguments.one_template() {
        Ok(path) => path,
        Err(count) => {
            complain_of_count(screen, command, count);
            return None;
        }
    };
    let host: SharedHost = Arc::new(LocalHost::default());
    let (template, found, sources) = kiln_config::parse(&request::of(arguments, path), &host);
    diagnostic::show(screen, &found, &sources);
    template.filter(|_| !found.has_errors())
}

struct Init<'a> {
    store: &'a Store,
    places: Result<&'a [Arc<dyn Releases>], &'a MirrorError>,
    catalog: Catalog,
    arguments: &'a InitArguments,
    screen: &'a Screen,
}

impl Init<'_> {
    /// Sees to one requirement; `Err` in words.
    async fn one(&self, plugin: &Wanted) -> Result<(), String> {
        let wanted = &plugin.requirement;
        let (force, upgrade) = (self.arguments.force, self.arguments.upgrade);
        if !force && self.is_native(wanted) {
            let source = &wanted.source;
            self.screen.say(&format!("Plugin {source} is part of Kiln; nothing to install"));
            return Ok(());
        }
        let query = Query::of(wanted).releases_only();
        let found = self.store.find(query).await.map_err(|e| fault::chain(&e))?;
        let newest = found.plugins.last();
        if newest.is_some() && !force && !upgrade {
            return Ok(());
        }
        let again = if force { Again::Yes } else { Again::No };
        // Force alone installs what is there once more.
        let exactly = newest.filter(|_| force && !upgrade).map(|plugin| {
            let version = format!("= {}", plugin.file.version.canonical());
            let versions = version.parse::<Constraints>().unwrap_or_else(|_| Constraints::any());
            Requirement { source: wanted.source.clone(), versions: vec![versions] }
        });
        let wanted = exactly.as_ref().unwrap_or(wanted);
        let places = self.places.map_err(ToString::to_string)?;
        let installer = Installer::new(self.store, places);
        let outcome = installer.install(wanted, again, &Bars(self.screen)).await;
        self.screen.settle();
        let failed = |error| format!("{}{}", fault::chain(&error), found.passed_over());
        if let Outcome::Installed(placed) = outcome.map_err(failed)? {
            say_installed(self.screen, wanted, &placed);
        }
        Ok(())
    }

    /// Whether Kiln itself has every component of a plug-in.
    fn is_native(&self, wanted: &Requirement) -> bool {
        let known = public::from_source(wanted.source.as_str());
        known.is_some_and(|plugin| {
            plugin.components().all(|(kind, name)| self.catalog.get(kind, name).is_some())
        })
    }
}

/// The line that scripts look for.
pub(super) fn say_installed(screen: &Screen, wanted: &Requirement, placed: &Placed) {
    let (source, version) = (&wanted.source, placed.version.canonical());
    let line = format!("Installed plugin {source} v{version} in {:?}", placed.path.display().to_string());
    screen.colored(Tone::Say, style::INSTALLED, &line);
}
