//! Legacy JSON templates: every builder to a plan. Strings of components stay raw; the agent renders them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kiln_lang::go_template::{Place, Question, Renderer, TemplateFacts, World};
use kiln_lang::{Diagnostic, Diagnostics, Span};
use kiln_plan::build::{Dialect, PLAN_FORMAT, TemplateContext};
use kiln_plan::{
    BuildPlan, ComponentConfig, ComponentKind, ConfigBody, PostProcessorPlan, ProvisionerPlan, Requirements,
    SecretQuestion, Sensitive,
};

use super::{Evaluation, Inputs, done, failed, missing, requirement, selection};
use crate::check::{self, Texts};
use crate::host::SharedHost;
use crate::secret_desk::SecretDesk;
use crate::template::legacy::{Builder, Document, PostProcessor, Provisioner, Variables, interpolate_name};
use crate::version::Version;
use crate::world_function::moment;

pub(super) fn evaluate(
    document: &Document,
    given: &BTreeMap<String, String>,
    root: &str,
    inputs: Inputs<'_>,
) -> Evaluation {
    if let Some(too_old) = check_version(document, &inputs.request.core_version) {
        return failed(too_old.into());
    }
    let mut found = document.validate();
    let context = inputs.facts(root);
    let facts = template_facts(&context, inputs);
    let desk = SecretDesk::new(inputs.host);
    let world: Arc<dyn World> = Arc::new(HostWorld::new(inputs.host, &desk));
    let variables = match Variables::resolve(document, given, facts, &world) {
        Ok((variables, complaints)) => {
            found.extend(complaints);
            variables
        }
        Err(complaints) => {
            found.extend(complaints);
            return failed(found);
        }
    };
    // Only variables ask for secrets, so by now all have been asked for.
    let secrets = desk.take().into_iter().chain(variables.secrets().cloned()).collect();
    let planner = Planner { document, variables: &variables, secrets, world: &world, context, inputs };
    let names = planner.names(&mut found);
    let broken = found.has_errors();
    let mut plans = Vec::new();
    let mut of_builds = Repeated::default();
    for (name, builder) in names {
        if selection::runs_legacy(inputs.request, &name) {
            let mut inner = Diagnostics::new();
            plans.extend(planner.plan(&name, builder, &mut inner));
            of_builds.extend(inner);
        }
    }
    found.extend(of_builds.into_diagnostics());
    // What is wrong with the template as a whole is wrong with every build.
    if broken { failed(found) } else { done(plans, found) }
}

/// The complaints about builds. Builds share provisioners and post-processors: what is wrong with one of those
/// is told once.
#[derive(Debug, Default)]
struct Repeated {
    /// Each with the number of builds that have it.
    list: Vec<(Diagnostic, usize)>,
    /// Where each stands in the list, by range and words.
    known: HashMap<(usize, usize, String), usize>,
}

impl Repeated {
    fn extend(&mut self, of_build: Diagnostics) {
        for new in of_build {
            let key = new.span.as_ref().map(|span| (span.start, span.end, new.detail.clone()));
            let known = key.as_ref().and_then(|key| self.known.get(key));
            if let Some(index) = known {
                self.list[*index].1 += 1;
                continue;
            }
            self.known.extend(key.map(|key| (key, self.list.len())));
            self.list.push((new, 1));
        }
    }

    fn into_diagnostics(self) -> impl Iterator<Item = Diagnostic> {
        self.list.into_iter().map(|(mut diagnostic, builds)| {
            match builds - 1 {
                0 => {}
                1 => diagnostic.detail.push_str(" The same in one more build."),
                more => diagnostic.detail.push_str(&format!(" The same in {more} more builds.")),
            }
            diagnostic
        })
    }
}

/// What text may ask for besides variables.
pub(super) fn template_facts(context: &TemplateContext, inputs: Inputs<'_>) -> TemplateFacts {
    TemplateFacts {
        start: moment(inputs.request.started_ns),
        template_dir: Some(context.template_dir.clone()),
        pwd: context.working_dir.clone(),
        packer_version: inputs.request.core_version.clone(),
        ..TemplateFacts::default()
    }
}

fn check_version(document: &Document, core_version: &str) -> Option<Diagnostic> {
    let (text, span) = document.min_version.as_ref()?;
    let problem = match (text.parse::<Version>(), core_version.parse::<Version>()) {
        (Err(error), _) => error.to_string(),
        (Ok(wanted), Ok(core)) if core.release() < wanted => {
            format!("This template requires Packer version {text} or higher; using {core_version}")
        }
        _ => return None,
    };
    Some(Diagnostic::error("Unsupported Packer version", problem).at(span.clone()))
}

/// Answers what variables may ask.
#[derive(Debug)]
pub(super) struct HostWorld {
    host: SharedHost,
    desk: SecretDesk,
}

impl HostWorld {
    /// By asking this host, and at this desk for secrets.
    pub(super) fn new(host: &SharedHost, desk: &SecretDesk) -> Self {
        Self { host: host.clone(), desk: desk.clone() }
    }
}

impl World for HostWorld {
    fn uuid(&self) -> String {
        self.host.random_uuid()
    }

    fn ask(&self, question: Question<'_>) -> Result<String, String> {
        let question = match question {
            Question::Env(name) => return Ok(self.host.environment(name).unwrap_or_default()),
            Question::Vault { path, key } => {
                SecretQuestion::Vault { path: path.to_owned(), key: key.to_owned() }
            }
            Question::ConsulKey(key) => SecretQuestion::Consul { key: key.to_owned() },
            Question::AwsSecret { name, key } => SecretQuestion::Aws {
                name: name.to_owned(),
                key: key.filter(|key| !key.is_empty()).map(str::to_owned),
            },
            Question::AwsRawSecret(name) => SecretQuestion::AwsRaw { name: name.to_owned() },
        };
        let unasked = || "secret stores aren't asked while a template is only looked at".to_owned();
        self.desk.ask(&question)?.ok_or_else(unasked)
    }
}

struct Planner<'a> {
    document: &'a Document,
    variables: &'a Variables,
    secrets: BTreeSet<String>,
    world: &'a Arc<dyn World>,
    context: TemplateContext,
    inputs: Inputs<'a>,
}

impl<'a> Planner<'a> {
    /// Builders by interpolated name, in alphabetical order; of two that come out equal the later counts.
    fn names(&self, found: &mut Diagnostics) -> BTreeMap<String, &'a Builder> {
        let mut names = BTreeMap::new();
        for builder in &self.document.builders {
            match interpolate_name(&builder.name, self.variables, self.world) {
                Ok(name) => {
                    if let Some(hidden) = names.insert(name.clone(), builder) {
                        found.push(hidden_builder(&name, hidden));
                    }
                }
                Err(reason) => {
                    let detail = format!("error interpolating the name {:?}: {reason}", builder.name);
                    let span = builder.name_span.clone();
                    found.push(Diagnostic::error("Invalid builder name", detail).at(span));
                }
            }
        }
        names
    }

    fn plan(&self, name: &str, builder: &Builder, found: &mut Diagnostics) -> Option<BuildPlan> {
        let mut inner = Diagnostics::new();
        self.check_types(name, builder, &mut inner);
        let texts = self.texts(name, builder);
        let mut checked = |component: ComponentConfig| {
            if let Some(catalog) = self.inputs.catalog {
                inner.extend(check::legacy(&component, catalog, (name, &texts)));
            }
            component
        };
        let config =
            checked(component(ComponentKind::Builder, &builder.kind, &builder.span, &builder.config));
        let mut provisioner = |p: &Provisioner| {
            let body = p.config_for(&builder.name);
            let component = checked(component(ComponentKind::Provisioner, &p.kind, &p.span, &body));
            self.provisioner(p, component)
        };
        let takes_part = |p: &&Provisioner| p.restriction.allows(&builder.name);
        let provisioners: Vec<_> =
            self.document.provisioners.iter().filter(takes_part).map(&mut provisioner).collect();
        let cleanup = self.document.error_cleanup.as_ref().filter(takes_part).map(&mut provisioner);
        let mut retries = Diagnostics::new();
        let provisioners = provisioners.into_iter().filter_map(|p| retries.take(p)).collect();
        let error_cleanup = cleanup.and_then(|p| retries.take(p));
        let post_processors = self.post_processors(builder, &mut checked);
        inner.extend(retries);
        let failed = inner.has_errors();
        found.extend(inner);
        let mut plan = BuildPlan {
            format: PLAN_FORMAT,
            name: display_name(name, &builder.kind),
            source_name: name.to_owned(),
            dialect: Dialect::LegacyJson,
            builder: config,
            provisioners,
            error_cleanup,
            post_processors,
            facts: self.facts(),
            options: self.inputs.request.options.clone(),
            secrets: self.secrets.iter().cloned().map(Sensitive::new).collect(),
            requirements: Requirements::default(),
            data: Vec::new(),
            bundle: None,
        };
        plan.requirements = requirement::of(&plan);
        (!failed).then_some(plan)
    }

    fn facts(&self) -> TemplateContext {
        let values = self.variables.values().iter();
        let user_variables = values.map(|(k, v)| (k.clone(), Sensitive::new(v.clone()))).collect();
        TemplateContext { user_variables, ..self.context.clone() }
    }

    /// Renders texts of this build as far as that can be done now.
    fn texts(&self, name: &str, builder: &Builder) -> Texts {
        let facts = TemplateFacts {
            build_name: Some(name.to_owned()),
            build_type: Some(builder.kind.clone()),
            ..(*self.variables.facts).clone()
        };
        Texts::new(Renderer::new(Arc::new(facts), self.world.clone(), Place::Component))
    }

    fn provisioner(
        &self,
        provisioner: &Provisioner,
        component: ComponentConfig,
    ) -> Result<ProvisionerPlan, Diagnostic> {
        let renderer = Renderer::new(self.variables.facts.clone(), self.world.clone(), Place::Component);
        let max_retries = provisioner.retries(|text| {
            renderer.render(text).map(|rendered| rendered.text).map_err(|error| {
                let span = provisioner.max_retries_span.clone();
                Diagnostic::error("Invalid max_retries", error.to_string()).at(span)
            })
        })?;
        Ok(ProvisionerPlan {
            component,
            pause_before: provisioner.pause_before,
            timeout: provisioner.timeout,
            max_retries,
            continue_on_error: false,
        })
    }

    fn post_processors(
        &self,
        builder: &Builder,
        checked: &mut dyn FnMut(ComponentConfig) -> ComponentConfig,
    ) -> Vec<Vec<PostProcessorPlan>> {
        let cut = |p: &&PostProcessor| !self.inputs.request.except.contains(&p.name);
        let mut sequences = Vec::new();
        for sequence in &self.document.post_processors {
            let kept = sequence.iter().take_while(cut).filter(|p| p.restriction.allows(&builder.name));
            let kept: Vec<_> = kept
                .map(|p| PostProcessorPlan {
                    component: checked(component(ComponentKind::PostProcessor, &p.kind, &p.span, &p.config)),
                    name: p.name.clone(),
                    keep_input_artifact: p.keep_input_artifact,
                })
                .collect();
            if !kept.is_empty() {
                sequences.push(kept);
            }
        }
        sequences
    }

    fn check_types(&self, name: &str, builder: &Builder, found: &mut Diagnostics) {
        let summary = format!("Failed to initialize build {name:?}");
        let mut check = |kind, name: &str, span: &Span| {
            let wanted = missing::Wanted { kind, name, summary: &summary, span };
            found.extend(missing::complaint(wanted, self.inputs, missing::Required::Legacy));
        };
        check(ComponentKind::Builder, &builder.kind, &builder.span);
        let provisioners = self.document.provisioners.iter().chain(&self.document.error_cleanup);
        for p in provisioners.filter(|p| p.restriction.allows(&builder.name)) {
            check(ComponentKind::Provisioner, &p.kind, &p.span);
        }
        let post_processors = self.document.post_processors.iter().flatten();
        for p in post_processors.filter(|p| p.restriction.allows(&builder.name)) {
            check(ComponentKind::PostProcessor, &p.kind, &p.span);
        }
    }
}

/// The warning about a builder that is lost because another one's name comes out the same.
fn hidden_builder(name: &str, hidden: &Builder) -> Diagnostic {
    let detail = format!(
        "The name {:?} comes out as {name:?}, which is a later builder's; only that one is built.",
        hidden.name
    );
    Diagnostic::warning("Two builders of one name", detail).at(hidden.name_span.clone())
}

/// The raw type when the name is the same, otherwise `type.name`.
fn display_name(name: &str, kind: &str) -> String {
    if name == kind { kind.to_owned() } else { format!("{kind}.{name}") }
}

fn component(kind: ComponentKind, name: &str, span: &Span, body: &ConfigBody) -> ComponentConfig {
    ComponentConfig { kind, name: name.to_owned(), span: Some(span.clone()), body: body.clone() }
}
