//! `vault`, `consul_key`, `aws_secretsmanager`, `aws_secretsmanager_raw`: what secret stores keep. Results are sensitive.

use kiln_lang::function::{Function, FunctionError, Parameter};
use kiln_lang::{Type, Value};
use kiln_plan::SecretQuestion;

use super::text;
use crate::secret_desk::SecretDesk;

/// The four, asking at this desk.
pub(super) fn functions(desk: &SecretDesk) -> Vec<Function> {
    let required = |name| Parameter::new(name, Type::String);
    vec![
        asking(desk, "vault", vec![required("path"), required("key")], |args| SecretQuestion::Vault {
            path: text(args, 0).to_owned(),
            key: text(args, 1).to_owned(),
        }),
        asking(desk, "consul_key", vec![required("key")], |args| SecretQuestion::Consul {
            key: text(args, 0).to_owned(),
        }),
        asking(desk, "aws_secretsmanager", vec![required("name"), required("key").nullable()], |args| {
            SecretQuestion::Aws {
                name: text(args, 0).to_owned(),
                key: Some(text(args, 1)).filter(|key| !key.is_empty()).map(str::to_owned),
            }
        }),
        asking(desk, "aws_secretsmanager_raw", vec![required("name")], |args| SecretQuestion::AwsRaw {
            name: text(args, 0).to_owned(),
        }),
    ]
}

fn asking(
    desk: &SecretDesk,
    name: &'static str,
    parameters: Vec<Parameter>,
    question: impl Fn(&[Value]) -> SecretQuestion + Send + Sync + 'static,
) -> Function {
    let desk = desk.clone();
    let body = move |args: &[Value]| match desk.ask(&question(args)) {
        Ok(Some(answer)) => Ok(Value::from(answer).marked(true)),
        Ok(None) => Ok(Value::unknown(Type::String).marked(true)),
        // The reason names the arguments.
        Err(_) if args.iter().any(Value::contains_sensitive) => Err(FunctionError::new(
            "there is no answer; the reason is withheld because an argument is sensitive",
        )),
        Err(reason) => Err(FunctionError::new(reason)),
    };
    Function::new(name, parameters, Type::String, body)
}
