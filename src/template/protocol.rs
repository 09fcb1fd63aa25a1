//! The protocols that templates declare: how their programs post, and what they expect.

use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{ErrorKind, State};

use super::declarations::{
    Declarations, ENTER, FILE_NAMES, PAGES, PARAMETERS, PATHS, PROBLEM, TOKEN, TRAITS,
};
use super::engine::{FUEL, Templates};
use super::parameter;
use super::seen_headers::parent;
use super::source::{BUILT_IN, COMES_WITH_IT, built_in};
use crate::http::answer::title_and_detail;
use crate::http::problem::Problem;

/// The fuel of a block that is rendered alone.
const FUEL_OF_BLOCK: u64 = 5_000;

/// The maximum number of templates in a row of which each extends the next.
const MOST_ANCESTORS: usize = 10;

impl Templates {
    /// How the program of a template posts. Empty if there is no such template.
    pub fn declarations(&self, name: &str) -> Arc<Declarations> {
        let index = BUILT_IN.binary_search_by_key(&name, |(name, _)| name);
        match index.ok().filter(|_| !self.is_own(name)) {
            Some(index) => Arc::clone(self.built_in_declarations(index)),
            None => Arc::new(self.declared(name)),
        }
    }

    /// The declarations of a built-in template, by its index. They never change.
    fn built_in_declarations(&self, index: usize) -> &Arc<Declarations> {
        let declared = || self.declared(&format!("{COMES_WITH_IT}{}", BUILT_IN[index].0));
        self.declarations[index].get_or_init(|| Arc::new(declared()))
    }

    fn declared(&self, name: &str) -> Declarations {
        let Ok(template) = self.environment.get_template(name) else {
            return Declarations::default();
        };
        let text = |block| self.text(&template, block).unwrap_or_default();
        let words = |block| text(block).split_whitespace().map(str::to_owned).collect();
        let traits: Vec<String> = words(TRAITS);
        let has = |word: &str| traits.iter().any(|known| known == word);
        let pages = text(PAGES);
        let pages = pages.lines().filter_map(|line| line.trim().split_once(' '));
        Declarations {
            parameters: words(PARAMETERS),
            paths: words(PATHS),
            has_topics: has("topic"),
            takes_text: has("text"),
            file_names: words(FILE_NAMES),
            token: words(TOKEN).pop(),
            pages: pages
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .collect(),
            answers_problems: template.source().contains("{% block problem %}"),
        }
    }

    fn built_in(&self) -> impl Iterator<Item = (&'static str, &Arc<Declarations>)> {
        let names = BUILT_IN.iter().enumerate();
        names.map(|(index, (name, _))| (*name, self.built_in_declarations(index)))
    }

    /// The built-in template of a protocol whose programs ask for this path, and the member of the payload that has the token, if any.
    pub fn of_path(&self, path: &str) -> Option<(&'static str, Option<String>)> {
        let mut protocols = self
            .built_in()
            .filter(|(_, declared)| declared.answers_problems);
        let protocol = protocols.find(|(_, declared)| declared.is_path(path));
        protocol.map(|(name, declared)| (name, declared.token.clone()))
    }

    /// The answer to `GET` of a path for which the programs of a protocol ask. With `name`, only this template may have it.
    pub fn page(&self, path: &str, name: Option<&str>) -> Option<String> {
        let protocols = self.built_in();
        let meant = protocols.filter(|(known, _)| name.is_none_or(|name| name == *known));
        let mut pages = meant.flat_map(|(_, declared)| &declared.pages);
        let page = pages.find(|(known, _)| known == path);
        page.map(|(_, answer)| answer.clone())
    }

    /// The answer to a problem in the form that the program expects, if its template has one.
    pub fn problem(&self, name: &str, problem: &Problem) -> Option<String> {
        let (title, detail) = title_and_detail(problem);
        let details = Value::from_pairs([
            ("status", Value::from(problem.status())),
            ("title", Value::from(title)),
            ("detail", Value::from(detail)),
        ]);
        self.block(name, PROBLEM, (parameter::PROBLEM, details))
    }

    /// What a user enters in the program of a template: a line for each of its settings. `server`: the URL of this module; `topic`: a
    /// recipient; `None`: the token has only one.
    pub fn enter(&self, name: &str, server: &str, topic: Option<&str>, token: &str) -> String {
        let settings = Value::from_pairs([
            ("server", Value::from(server)),
            ("topic", Value::from(topic)),
            ("token", Value::from(token)),
        ]);
        let entered = self.block(name, ENTER, (parameter::ENTER, settings));
        entered.unwrap_or_else(|| {
            let recipient = topic.map(|topic| format!("/{topic}")).unwrap_or_default();
            format!("URL: {server}{recipient}?token={token}")
        })
    }

    /// A block alone, in which a function returns a value.
    fn block(&self, name: &str, block: &str, (given, value): (&str, Value)) -> Option<String> {
        let template = self.template(name).ok()?;
        let text = self.block_of(&template, block, |state| {
            state.set_temp(given, value.clone());
        });
        text.map(|text| text.trim().to_owned())
    }

    /// The name of the template in an appended element: for Discord, `/slack` and `/github` after the URL choose
    /// another format.
    pub fn format_of<'a>(
        &self,
        appended: &Declarations,
        elements: &'a [String],
    ) -> Option<&'a String> {
        let mut elements = elements.iter();
        elements.find(|element| appended.paths.contains(element) && self.is_known(element))
    }

    /// The text of a declaring block.
    fn text(&self, template: &minijinja::Template, block: &str) -> Option<String> {
        self.block_of(template, block, |_| ())
    }

    /// A block alone. `prepare` sets the values that its functions return. A template has the blocks of those that it extends, and an
    /// administrator's template that replaces a built-in one also those of the replaced one, because it is for the same program.
    fn block_of(
        &self,
        template: &minijinja::Template,
        block: &str,
        prepare: impl Fn(&mut State),
    ) -> Option<String> {
        let render = |template: &minijinja::Template| {
            let mut state = template.new_state();
            // Anybody can be refused.
            state.consume_fuel(FUEL - FUEL_OF_BLOCK).ok()?;
            prepare(&mut state);
            match state.render_block(block) {
                Err(error) if error.kind() == ErrorKind::UnknownBlock => None,
                rendered => Some(rendered.ok()),
            }
        };
        if let Some(rendered) = render(template) {
            return rendered;
        }
        let mut source = template.source().to_owned();
        for _ in 0..MOST_ANCESTORS {
            let Some(name) = parent(&source) else { break };
            let ancestor = self.environment.get_template(&name).ok()?;
            if let Some(rendered) = render(&ancestor) {
                return rendered;
            }
            source = ancestor.source().to_owned();
        }
        let replaced = built_in(template.name()).filter(|_| self.is_own(template.name()))?;
        let replaced = self.environment.template_from_str(replaced).ok()?;
        render(&replaced).flatten()
    }
}
