//! What a parsed template calls and reads, found before it runs: so that a misspelt function is an error even in
//! a branch that isn't taken, and a text that shows a secret is marked.

use std::collections::{BTreeMap, BTreeSet};

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

/// How many parts a rendering runs through at most, ranges counted once; saturates.
///
/// # Errors
/// The name of a definition that invokes itself, directly or not.
pub(super) fn parts(body: &ListNode, defines: &[DefineNode]) -> Result<u64, String> {
    let bodies = defines.iter().map(|define| (define.name.to_string(), &define.body)).collect();
    let mut count = Count { bodies, known: BTreeMap::new(), open: Vec::new() };
    count.list(body)
}

struct Count<'t> {
    bodies: BTreeMap<String, &'t ListNode>,
    known: BTreeMap<String, u64>,
    /// The definitions that are being looked into.
    open: Vec<String>,
}

impl Count<'_> {
    fn list(&mut self, list: &ListNode) -> Result<u64, String> {
        list.nodes.iter().try_fold(1_u64, |sum, node| Ok(sum.saturating_add(self.node(node)?)))
    }

    fn node(&mut self, node: &Node) -> Result<u64, String> {
        match node {
            Node::List(list) => self.list(list),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                let otherwise = branch.else_body.as_ref().map_or(Ok(0), |list| self.list(list))?;
                Ok(self.list(&branch.body)?.saturating_add(otherwise))
            }
            Node::Template(call) => self.definition(&call.name),
            Node::Action(_) | Node::Define(_) | Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(1),
        }
    }

    fn definition(&mut self, name: &str) -> Result<u64, String> {
        if self.open.iter().any(|open| open == name) {
            return Err(name.to_owned());
        }
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        // One that isn't there fails when it is run.
        let Some(body) = self.bodies.get(name).copied() else { return Ok(1) };
        self.open.push(name.to_owned());
        let parts = self.list(body)?;
        self.open.pop();
        self.known.insert(name.to_owned(), parts);
        Ok(parts)
    }
}
