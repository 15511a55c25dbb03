//! What a parsed template calls and reads, found before it runs: so that a misspelt function is an error even in
//! a branch that isn't taken, and a text that shows a secret is marked.

use std::collections::BTreeSet;

use gotmpl::parse::{BranchNode, CommandNode, DefineNode, Expr, ListNode, Node, PipeNode};

/// What a template mentions.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    /// Names called as functions.
    pub(super) functions: BTreeSet<String>,
    /// First names of field chains: `HTTPIP` of `.HTTPIP`.
    pub(super) fields: BTreeSet<String>,
    /// Whether the dot is used as a whole, or through a variable.
    pub(super) whole_dot: bool,
}

impl Mentions {
    /// Reads a parsed template.
    pub(super) fn of(body: &ListNode, defines: &[DefineNode]) -> Self {
        let mut mentions = Self::default();
        mentions.list(body);
        for define in defines {
            mentions.list(&define.body);
        }
        mentions
    }

    fn list(&mut self, list: &ListNode) {
        for node in &list.nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::List(list) => self.list(list),
            Node::Action(action) => self.pipe(&action.pipe),
            Node::If(branch) => self.branch(branch),
            // Inside, the dot stands for something else.
            Node::Range(branch) | Node::With(branch) => {
                self.whole_dot = true;
                self.branch(branch);
            }
            Node::Template(call) => {
                self.whole_dot = true;
                if let Some(pipe) = &call.pipe {
                    self.pipe(pipe);
                }
            }
            Node::Define(define) => self.list(&define.body),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }

    fn branch(&mut self, branch: &BranchNode) {
        self.pipe(&branch.pipe);
        self.list(&branch.body);
        if let Some(list) = &branch.else_body {
            self.list(list);
        }
    }

    fn pipe(&mut self, pipe: &PipeNode) {
        pipe.commands.iter().for_each(|command: &CommandNode| command.args.iter().for_each(|e| self.expr(e)));
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Dot(_) | Expr::Variable(..) => self.whole_dot = true,
            Expr::Field(_, names) => {
                self.fields.extend(names.first().map(ToString::to_string));
            }
            Expr::Identifier(_, name) => {
                self.functions.insert(name.to_string());
            }
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Chain(_, inner, _) => self.expr(inner),
            Expr::String(..) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => {}
        }
    }
}
