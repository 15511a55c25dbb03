//! Questions find an agent that can answer, another when that one goes, and end when nobody comes.

use kiln_plan::build::TemplateContext;
use kiln_plan::schema::ComponentSchema;
use kiln_plan::{ComponentConfig, ConfigBody};
use uuid::Uuid;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn agent(n: u128) -> AgentId {
    AgentId::new(Uuid::from_u128(n))
}

fn query() -> DataQuery {
    let component = ComponentConfig {
        kind: ComponentKind::DataSource,
        name: "null".into(),
        span: None,
        body: ConfigBody::default(),
    };
    DataQuery { id: "null.x".into(), component, facts: TemplateContext::default(), locals: BTreeMap::new() }
}

fn catalog(names: &[&'static str]) -> Arc<Catalog> {
    let component = |name: &&'static str| ComponentSchema {
        kind: ComponentKind::DataSource,
        name: (*name).into(),
        options: vec![],
        generated: vec![],
        answer: None,
        rules: vec![],
    };
    Arc::new(Catalog { components: names.iter().map(component).collect() })
}

async fn question(asked: &mut mpsc::Receiver<DataQuestion>) -> DataQuestion {
    tokio::time::timeout(LONG, asked.recv()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_offers_the_data_source_is_asked() {
    let (desk, roster) = (Arc::new(DataDesk::default()), Arc::new(Roster::default()));
    let _other = roster.enter(agent(1), catalog(&["http"]));
    let _able = roster.enter(agent(2), catalog(&["null"]));
    let (_seat, mut silent) = desk.sit(agent(1));
    let (seat, mut asked) = desk.sit(agent(2));
    let answering = async {
        let question = question(&mut asked).await;
        assert_eq!(question.query, Some(query()));
        seat.answered(question.number + 1, DataAnswer::failed("nobody asked this"));
        seat.answered(question.number, DataAnswer::failed("done"));
    };
    let query = query();
    let (answer, ()) = tokio::join!(desk.ask(&query, &roster, LONG), answering);
    assert_eq!(answer.unwrap(), DataAnswer::failed("done"));
    assert!(silent.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn when_an_agent_goes_another_is_asked() {
    let (desk, roster) = (Arc::new(DataDesk::default()), Arc::new(Roster::default()));
    let first = roster.enter(agent(1), catalog(&["null"]));
    let (seat, mut asked) = desk.sit(agent(1));
    let moving = async {
        question(&mut asked).await;
        drop((first, seat, asked));
        let presence = roster.enter(agent(2), catalog(&["null"]));
        let (seat, mut asked) = desk.sit(agent(2));
        let question = question(&mut asked).await;
        seat.answered(question.number, DataAnswer::failed("by the second"));
        presence
    };
    let query = query();
    let (answer, _presence) = tokio::join!(desk.ask(&query, &roster, LONG), moving);
    assert_eq!(answer.unwrap(), DataAnswer::failed("by the second"));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_ends_and_is_taken_back() {
    let (desk, roster) = (Arc::new(DataDesk::default()), Arc::new(Roster::default()));
    let nobody = desk.ask(&query(), &roster, LONG).await.unwrap_err();
    assert!(nobody.to_string().contains("no agent that offers the data source \"null\""), "{nobody}");
    let _presence = roster.enter(agent(1), catalog(&["null"]));
    let (_seat, mut asked) = desk.sit(agent(1));
    let silent = desk.ask(&query(), &roster, LONG).await.unwrap_err();
    assert!(silent.to_string().contains("no agent answered"), "{silent}");
    let first = question(&mut asked).await;
    assert_eq!(question(&mut asked).await, DataQuestion { number: first.number, query: None });
}
