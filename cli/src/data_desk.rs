//! Data sources for commands that evaluate without building: `validate -evaluate-datasources`, `inspect`, `console`.
//!
//! The questions go to the farm of one, by the road that a build's take; it is started only when there is a question.

use std::sync::Arc;

use kiln_agent::catalog::Factories;
use kiln_config::{Answers, DataAnswer, DataQuery};

use crate::evaluation::LocalEvaluation;
use crate::farm_of_one::FarmOfOne;

/// The most rounds of questions; each answers at least one data source.
const ROUNDS: usize = 100;

/// How far an evaluation has come.
#[derive(Debug)]
pub(crate) enum Round<T> {
    /// To its end.
    Done(T),
    /// To these questions.
    Ask(Vec<DataQuery>),
}

/// Repeats `step` with ever more answers, until it asks nothing. What can't be answered is a failed answer, so that the
/// evaluation tells of it at the data source's place. After too many rounds what is open stays unknown.
pub(crate) fn answered<T>(
    factories: &Arc<Factories>,
    mut step: impl FnMut(&Answers) -> Round<T>,
) -> Option<T> {
    let mut answers = Answers::none();
    for _ in 0..ROUNDS {
        match step(&answers) {
            Round::Done(done) => return Some(done),
            Round::Ask(queries) => {
                for (query, answer) in queries.iter().zip(ask(factories, &queries)) {
                    answers.take(query, answer);
                }
            }
        }
    }
    answers.placeholders = true;
    match step(&answers) {
        Round::Done(done) => Some(done),
        Round::Ask(_) => None,
    }
}

fn ask(factories: &Arc<Factories>, queries: &[DataQuery]) -> Vec<DataAnswer> {
    let all_failed = |reason: &str| queries.iter().map(|_| DataAnswer::failed(reason)).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return all_failed(&format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let farm = match FarmOfOne::start(LocalEvaluation::new(Arc::clone(factories))).await {
            Ok(farm) => farm,
            Err(error) => return all_failed(&kiln_plan::fault::chain(&error)),
        };
        let answers = farm.client().ask_data(queries).await;
        farm.stop().await;
        answers.unwrap_or_else(|error| all_failed(&kiln_plan::fault::chain(&error)))
    })
}
