//! Template text to build plans, in passes.
//!
//! ```text
//!  Request ──► Bundle ──► Template ──────────► Evaluation ──► NeedsData(queries) ──► … answers … ─┐
//!   what was    which     declarations,            ▲   │                                         │
//!   asked for   files     variables' values        └───┼─────────────────────────────────────────┘
//!                                                      └──► Done: BuildPlans, diagnostics
//! ```
//!
//! Evaluation is pure and repeatable: whatever it must know of the world it asks one [`Host`], whatever it must
//! know of components it reads in a catalog. It starts nothing and waits for nothing.
//!
//! Two commands work on text alone: [`fix`] brings old JSON templates up to date, [`upgrade`] turns them into HCL2.
//!
//! Three languages come in (HCL2, its JSON profile, legacy JSON), one plan goes out. Values that exist only
//! at run time stay in the plan as deferred expressions or as text with actions; agents finish them.

pub mod bundle;
mod check;
pub mod data_source;
pub mod evaluate;
pub mod farm_file;
pub mod fix;
mod glob;
pub mod host;
mod json;
mod locals;
pub mod overview;
pub mod request;
mod secret_desk;
pub mod template;
pub mod upgrade;
mod variables;
pub mod world;
mod world_function;

pub use bundle::Bundle;
pub use data_source::{Answers, DataAnswer, DataQuery};
pub use evaluate::{
    Answer, CONSOLE_INPUT, Completion, Console, Evaluation, Inputs, Inspection, Opened, evaluate, inspect,
};
pub use farm_file::FarmFile;
pub use host::{Host, HostError, SharedHost};
pub use kiln_plan::version;
pub use overview::Overview;
pub use request::{ConfigType, Request, VariableArgument};
pub use template::{RequiredPlugin, Template, parse};
pub use world::{Submission, World};

#[cfg(test)]
mod tests;
