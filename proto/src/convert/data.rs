//! Questions to data sources and their answers.

use kiln_plan::{DataAnswer, DataQuery};

use super::{ConvertError, from_json, id, to_json};
use crate::link::{DataQuestion, DataReply};
use crate::v1;

impl From<DataQuestion> for v1::DataQuestion {
    fn from(question: DataQuestion) -> Self {
        Self { number: question.number, query: question.query.as_ref().map(to_json) }
    }
}

impl TryFrom<v1::DataQuestion> for DataQuestion {
    type Error = ConvertError;

    fn try_from(question: v1::DataQuestion) -> Result<Self, Self::Error> {
        let query = question.query.map(|json| from_json("question to a data source", &json)).transpose()?;
        Ok(Self { number: question.number, query })
    }
}

impl From<DataReply> for v1::DataReply {
    fn from(reply: DataReply) -> Self {
        match reply {
            DataReply::Seated(agent) => Self { agent: Some(agent.to_string()), ..Self::default() },
            DataReply::Answered { number, answer } => Self { agent: None, number, answer: to_json(&answer) },
        }
    }
}

impl TryFrom<v1::DataReply> for DataReply {
    type Error = ConvertError;

    fn try_from(reply: v1::DataReply) -> Result<Self, Self::Error> {
        match reply.agent {
            Some(agent) => Ok(Self::Seated(id("agent", &agent)?)),
            None => {
                let answer = from_json("answer of a data source", &reply.answer)?;
                Ok(Self::Answered { number: reply.number, answer })
            }
        }
    }
}

impl From<&[DataQuery]> for v1::AskDataRequest {
    fn from(queries: &[DataQuery]) -> Self {
        Self { queries: to_json(&queries) }
    }
}

impl TryFrom<v1::AskDataRequest> for Vec<DataQuery> {
    type Error = ConvertError;

    fn try_from(request: v1::AskDataRequest) -> Result<Self, Self::Error> {
        from_json("list of questions to data sources", &request.queries)
    }
}

impl From<Vec<DataAnswer>> for v1::AskDataReply {
    fn from(answers: Vec<DataAnswer>) -> Self {
        Self { answers: to_json(&answers) }
    }
}

impl TryFrom<v1::AskDataReply> for Vec<DataAnswer> {
    type Error = ConvertError;

    fn try_from(reply: v1::AskDataReply) -> Result<Self, Self::Error> {
        from_json("list of answers of data sources", &reply.answers)
    }
}
